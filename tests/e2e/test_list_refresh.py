"""Lists refreshed by the console itself, from a publisher by HTTPS, while the gateway runs: new, unchanged, poisoned, broken, forged."""

import base64
import gzip
import hashlib
import io
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .harness import Gateway, Origin, start, wait_for, write_policy
from .publisher import Publisher

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

LOOK = 150.0
"""The console looks every 20 seconds what is due; a refresh is a process of its own, and waits its turn on a busy machine."""
PASSWORD = "four dull green lamps"


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    made = Publisher(tmp_path_factory.mktemp("publisher"), trustme.CA(key_type=trustme.KeyType.ECDSA))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, publisher: Publisher) -> Iterator[Gateway]:
    """An installation that trusts the publisher's authority, with two people who may approve, and a running console."""
    state = tmp_path_factory.mktemp("refresh") / "state"
    state.mkdir(mode=0o700)
    origin = Origin(1, 1, publisher.authority)
    write_policy(state, origin)
    gateway = start(state, origin, "--workers", "1")
    for name in ("head", "lead"):
        link = gateway.cli("account", "add", name, "--role", "headteacher" if name == "head" else "dsl").stdout
        secret = link.split("/set-password/")[1].split()[0]
        answer = httpx2.post(f"{gateway.console}/set-password/{secret}", data={"password": PASSWORD, "again": PASSWORD}, trust_env=False)
        assert answer.status_code in (200, 303), answer.text
    yield gateway
    assert gateway.stop() == 0


def archive(**categories: list[str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, hosts in categories.items():
            data = "".join(f"{host}\n" for host in hosts).encode()
            member = tarfile.TarInfo(f"blacklists/{name}/domains")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def runs(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.api("GET", "/api/v1/list-runs", role="technician", params={"name": name}).json()["list_runs"]
    return found


def next_run(gateway: Gateway, name: str, before: int) -> dict[str, Any]:
    """Put the clock of a source forward, and wait for the report of the run that follows."""
    with closing(sqlite3.connect(gateway.state / "casework.db", timeout=10)) as casework, casework:
        casework.execute("UPDATE list_sources SET next_fetch = 0 WHERE name = ?", (name,))
    return wait_for(f"a run of {name}", lambda: (found := finished(gateway, name)) and len(found) > before and found[0], LOOK)


def finished(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """Reports of runs whose offer, too, is through: a fetched list is loaded or held after its report is written."""
    found = runs(gateway, name)
    if found and found[0]["result"] == "fetched" and "Loaded" not in found[0]["sentence"] and "waits" not in found[0]["sentence"]:
        return []
    return found


def blocked(gateway: Gateway, host: str) -> bool:
    return gateway.curl(f"http://{host}/").status == 403


def problems(gateway: Gateway) -> list[str]:
    found = gateway.api("GET", "/api/v1/health", role="technician").json()["problems"]
    return [one["sentence"] for one in found if one["cause"] == "lists"]


def test_the_console_refreshes_a_source_and_a_poisoned_version_waits_for_somebody_else(running: Gateway, publisher: Publisher) -> None:
    first = ["casino.example", *(f"bet{n}.example" for n in range(60))]
    address = publisher.offer("/bl.tar.gz", archive(jeux=first, press=["newspaper.example"]))
    running.cli(
        "lists", "sources", "add", "bets", address, "--format", "ut1", "--every", "60", "--map", "jeux=gambling", "--map", "press=-"
    )
    wait_for("the first refresh", lambda: finished(running, "bets"), LOOK)
    [run] = runs(running, "bets")
    assert (run["result"], run["by"]) == ("fetched", "gateway")
    assert "61 new, 0 gone" in run["sentence"]
    wait_for("the block", lambda: blocked(running, "www.casino.example"), 30)
    explained = json.loads(running.cli("explain", "http://casino.example/", "--group", "pupils", "--json").stdout)
    assert (explained["category"], explained["list"]) == ("gambling", "bets")
    assert json.loads(running.cli("explain", "http://newspaper.example/", "--group", "pupils", "--json").stdout)["action"] == "allow"
    source = json.loads(running.cli("lists", "why", "http://casino.example/", "--json").stdout)["reasons"][0]
    assert (source["source"], source["file"], source["line"]) == (address, "blacklists/jeux/domains", 1)

    # Later by up to a tenth of the hour, never before it.
    [listed] = json.loads(running.cli("lists", "sources", "list", "--json").stdout)["sources"]
    assert listed["categories"] == {"jeux": "gambling", "press": "-"}
    with closing(sqlite3.connect(running.state / "casework.db")) as casework:
        [[fetched, following]] = casework.execute("SELECT fetched, next_fetch FROM list_sources WHERE name = 'bets'").fetchall()
    assert 3590 <= following - fetched <= 3600 * 1.1 + 10

    unchanged = next_run(running, "bets", 1)
    assert unchanged["result"] == "unchanged"
    conditions = publisher.asked[-1][1]
    assert conditions["if-none-match"] == '"1"'
    assert conditions["if-modified-since"].endswith("GMT")

    publisher.offer("/bl.tar.gz", archive(jeux=[*first, "www.childline.org.uk"]), 2)
    waiting = next_run(running, "bets", 2)
    assert "waits for a second person" in waiting["sentence"]
    assert not blocked(running, "www.childline.org.uk")
    assert blocked(running, "casino.example")
    wait_for("health to say so", lambda: any("waits for somebody's approval" in one for one in problems(running)), 30)
    alerts = running.api("GET", "/api/v1/alerts", role="dsl").json()["alerts"]
    assert [alert["theme"] for alert in alerts if alert["theme"] == "gateway-lists"] == ["gateway-lists"]
    [change] = json.loads(running.cli("lists", "changes", "--json").stdout)["list_changes"]
    assert change["status"] == "pending"
    same = running.cli("lists", "approve", str(change["id"]), check=False)
    assert same.returncode != 0
    assert "somebody else" in same.stderr
    with httpx2.Client(base_url=running.console, trust_env=False, timeout=30) as browser:
        browser.post("/sign-in", data={"name": "head", "password": PASSWORD})
        assert "www.childline.org.uk" in browser.get("/lists").text
        assert browser.post(f"/lists/changes/{change['id']}/refuse", data={"note": "the publisher was broken into"}).status_code == 303
    wait_for("health to clear", lambda: not problems(running), 30)
    assert not blocked(running, "www.childline.org.uk")


def test_a_refresh_that_breaks_off_is_reported_and_the_list_that_is_there_stays(running: Gateway, publisher: Publisher) -> None:
    hosts = [f"old{n}.example" for n in range(60)]
    body = "".join(f"{host}\n" for host in hosts).encode()
    address = publisher.offer("/plain.txt", body)
    running.cli("lists", "sources", "add", "plain", address, "--format", "domains", "--category", "gambling", "--every", "60")
    wait_for("the first refresh", lambda: finished(running, "plain"), LOOK)
    publisher.break_off("/plain.txt", body * 2)
    failed = next_run(running, "plain", 1)
    assert failed["result"] == "failed"
    assert blocked(running, "old7.example")
    wait_for("health to say so", lambda: any("plain could not be refreshed" in one for one in problems(running)), 30)
    assert not list((running.state / "lists" / "fetched" / "plain").glob("*.part"))

    # A bomb comes whole, is kept and is refused when it is read; the list that is there stays once more.
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as packed:
        for _ in range(1100):
            packed.write(bytes(1 << 20))
    publisher.offer("/plain.txt", bomb.getvalue(), 3)
    before = len(runs(running, "plain"))
    with closing(sqlite3.connect(running.state / "casework.db", timeout=10)) as casework, casework:
        casework.execute("UPDATE list_sources SET next_fetch = 0 WHERE name = 'plain'")
    wait_for("the bomb to be refused", lambda: len(found := runs(running, "plain")) > before + 1 and found[0]["result"] == "failed", 120)
    assert blocked(running, "old7.example")
    running.cli("lists", "sources", "remove", "plain")


def test_commands_fetch_preview_load_and_take_back_while_the_gateway_runs(running: Gateway, publisher: Publisher) -> None:
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    body = b"signed1.example\nsigned2.example\n"
    options = [
        "--checksum", publisher.offer("/sums", f"{hashlib.sha256(body).hexdigest()}  signed.txt\n".encode()),
        "--signature", publisher.offer("/signed.sig", key.sign(body)), "--public-key", public,
    ]  # fmt: skip
    address = publisher.offer("/signed.txt", body)
    running.cli("lists", "sources", "add", "signed", address, "--format", "domains", "--category", "gambling", *options)
    report = json.loads(running.cli("lists", "fetch", "signed", "--json").stdout)
    assert [run["result"] for run in json.loads(running.cli("lists", "sources", "runs", "signed", "--json").stdout)["runs"]] == ["fetched"]
    assert report["checked"] == ["sha256", "ed25519"]
    running.curl("http://signed1.example/")
    wait_for("the page to be stored", lambda: any(event["host"] == "signed1.example" for event in running.events()), 30)
    found = json.loads(running.cli("lists", "preview", "signed", "--fetched", "--json").stdout)
    assert found["change"]["added"] == 2
    assert found["traffic"] is not None, "the running console was asked"
    running.cli("lists", "fetch", "signed", "--load")
    wait_for("the block", lambda: blocked(running, "signed2.example"), 30)

    forged = body + b"forged.example\n"
    publisher.offer("/signed.txt", forged, 2)
    publisher.offer("/sums", f"{hashlib.sha256(forged).hexdigest()}  signed.txt\n".encode(), 2)
    refused = running.cli("lists", "fetch", "signed", "--load", check=False)
    assert refused.returncode != 0
    assert "not signed by its publisher" in refused.stderr
    assert not blocked(running, "forged.example")

    # What a pupil met last week is opened by nobody alone.
    publisher.offer("/signed.sig", key.sign(body[:16]), 3)
    publisher.offer("/sums", f"{hashlib.sha256(body[:16]).hexdigest()}  signed.txt\n".encode(), 3)
    publisher.offer("/signed.txt", body[:16], 3)
    taken = running.cli("lists", "remove", "signed", check=False)
    assert taken.returncode != 0
    assert "not removed yet" in taken.stderr
    assert blocked(running, "signed2.example")


def test_the_console_keeps_a_sealed_list_fresh_for_members_alone_and_shows_no_word_of_it(
    running: Gateway, publisher: Publisher, tmp_path: Path
) -> None:  # fmt: skip
    hosts = [f"unlawful-{number}.example" for number in range(80)]
    publisher.offer("/sealed.txt", "".join(f"0.0.0.0 {host}\n" for host in hosts).encode())
    answer = publisher.pages["/sealed.txt"]
    publisher.pages["/sealed.txt"] = lambda h: answer(h) if h.headers.get("Authorization") == "Bearer member" else h.send_error(401)
    secret = tmp_path / "iwf.toml"
    secret.touch(0o600)
    secret.write_text('token = "wrong"\n')
    running.cli(
        "lists", "sources", "add", "iwf", f"{publisher.url}/sealed.txt", "--sealed", "--format", "hosts", "--every", "720",
        "--credentials", str(secret),
    )  # fmt: skip
    wait_for("the first try", lambda: runs(running, "iwf"), LOOK)
    assert "does not know who asks" in runs(running, "iwf")[0]["sentence"]
    secret.write_text('token = "member"\n')
    assert next_run(running, "iwf", 1)["sentence"].endswith("Loaded iwf: 80 entries, 80 new, 0 gone.")
    wait_for("the block", lambda: blocked(running, "www.unlawful-7.example"), 30)
    assert next_run(running, "iwf", 2)["result"] == "unchanged"

    publisher.offer("/sealed.txt", b"0.0.0.0 unlawful-7.example\n", 2)
    waiting = next_run(running, "iwf", 3)
    assert "waits for a second person" in waiting["sentence"]
    assert blocked(running, "unlawful-8.example")
    with httpx2.Client(base_url=running.console, trust_env=False, timeout=30) as browser:
        browser.post("/sign-in", data={"name": "head", "password": PASSWORD})
        page = browser.get("/lists").text
        assert "Load a new version of a sealed list" in page
        assert "99% of them are gone" in page
        [change] = [one for one in json.loads(running.cli("lists", "changes", "--json").stdout)["list_changes"] if one["name"] == "iwf"]
        assert browser.post(f"/lists/changes/{change['id']}/approve").status_code == 303
    wait_for("the approved version", lambda: not blocked(running, "unlawful-8.example"), 30)
    assert blocked(running, "unlawful-7.example")
    said = page + json.dumps(change) + json.dumps(runs(running, "iwf")) + running.cli("lists", "status", "--json").stdout
    assert "unlawful" not in said
    # The record of the requests above names their hosts by a keyed hash; no other file of the installation names any.
    shown = [path for path in running.state.rglob("*") if path.is_file() and b"unlawful-9.example" in path.read_bytes()]
    assert shown == []
