"""The technician loads UT1 while pupils browse."""

import json
import random

import pytest

from .harness import Gateway, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_status_counts_what_was_loaded(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """`lists status` names the list and its size."""
    status = json.loads(gateway.cli("lists", "status", "--json").stdout)
    lists = status["lists"] if isinstance(status, dict) else status
    entry = next(row for row in lists if row["name"] == "ut1")
    assert entry["entries"] > 470_000


def test_lookup_finds_what_was_listed_and_nothing_near_it(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """Sub-domains, case and ports are found; a name that only ends alike isn't."""
    picked = random.Random(7).sample([name for name in ut1["gambling"] if not name[0].isdigit()], 200)
    urls = [f"http://www.{name.upper()}:8080/x" for name in picked] + [f"http://not{name}/" for name in picked]
    lines = gateway.cli("lists", "lookup", "--json", text="\n".join(urls) + "\n").stdout.splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["url"] for answer in answers] == urls
    assert all("gambling" in answer["categories"] for answer in answers[:200])
    listed = {name for names in ut1.values() for name in names}
    near = [answer for answer in answers[200:] if answer["url"][7:-1] not in listed]
    assert not [answer for answer in near if answer["hits"]]


def test_a_listed_site_is_blocked_in_the_running_gateway(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """Workers swap to the new ruleset without a restart; the blocked host is never looked up."""
    name = next(name for name in ut1["gambling"] if not name[0].isdigit())
    answer = wait_for("the block", lambda: (a := gateway.curl(f"http://{name}/", "-H", "Accept: text/html")) and a.status == 403 and a, 5)
    assert "<html" in answer.body
    explained = json.loads(gateway.cli("explain", f"http://{name}/", "--group", "pupils", "--json").stdout)
    assert (explained["action"], explained["category"], explained["list"]) == ("block", "gambling", "ut1")


def test_explain_and_gateway_agree_on_many_addresses(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """What `explain` says is what the gateway does."""
    choice = random.Random(3)
    names = [choice.choice([n for n in ut1[category] if not n[0].isdigit()]) for category in sorted(ut1) if ut1[category]]
    for name in names[:25]:
        url = f"http://{name}/page"
        says = json.loads(gateway.cli("explain", url, "--group", "pupils", "--json").stdout)["action"]
        does = gateway.curl(url).status
        assert (says in ("block", "warn")) == (does == 403), (url, says, does)


def test_a_wrong_policy_keeps_the_last_good_one(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """A slip of the pen changes nothing, and health says so."""
    good = gateway.policy_file.read_text()
    try:
        gateway.policy_file.write_text(good + "\n[groups.pupils.actoins]\ngambling = 'allow'\n")
        checked = gateway.cli("check", check=False)
        assert checked.returncode != 0
        assert "actoins" in checked.stderr + checked.stdout
        problem = wait_for(
            "health to say so", lambda: gateway.api("GET", "/api/v1/health", role="technician").json()["ruleset"]["last_error"], 4
        )
        assert "actoins" in problem
        assert gateway.curl(gateway.url("denied.test")).status == 403
        assert gateway.curl(gateway.url("allowed.test")).status == 200
    finally:
        gateway.policy_file.write_text(good)
    wait_for("health to clear", lambda: not gateway.api("GET", "/api/v1/health", role="technician").json()["ruleset"]["last_error"], 4)


def test_a_changed_policy_is_in_force_within_two_seconds(gateway: Gateway, ut1: dict[str, list[str]]) -> None:
    """The running workers follow the file."""
    good = gateway.policy_file.read_text()
    try:
        gateway.policy_file.write_text(good + '\n[[deny]]\nentries = ["allowed2.test"]\n')
        wait_for("the change", lambda: gateway.curl(gateway.url("allowed2.test")).status == 403, 2.5)
    finally:
        gateway.policy_file.write_text(good)
    wait_for("the change back", lambda: gateway.curl(gateway.url("allowed2.test")).status == 200, 2.5)
