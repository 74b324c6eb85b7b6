"""A pupil browses: what loads, what doesn't, and what is written down."""

import subprocess
import time
from pathlib import Path

import pytest

from .harness import Gateway, pretty, processes, wait_for

pytestmark = pytest.mark.e2e


def test_an_allowed_page_loads_over_http_and_https(gateway: Gateway) -> None:
    """Both schemes give the origin's own page."""
    for secure in (False, True):
        answer = gateway.curl(gateway.url("allowed.test", "/hello", secure=secure))
        assert (answer.status, "Welcome to allowed.test" in answer.body) == (200, True), answer


def test_http_2_is_spoken_on_both_sides(gateway: Gateway) -> None:
    """The client negotiates HTTP/2 and the origin sees HTTP/2."""
    answer = gateway.curl(gateway.url("allowed.test", "/__echo"), "--http2")
    assert answer.version == "HTTP/2", answer
    assert '"http": "2"' in answer.body


def test_http_1_clients_stay_served(gateway: Gateway) -> None:
    """An old client gets HTTP/1.1."""
    answer = gateway.curl(gateway.url("allowed.test", "/hello"), "--http1.1")
    assert (answer.status, answer.version) == (200, "HTTP/1.1")


@pytest.mark.parametrize("secure", [False, True])
def test_a_denied_host_gets_our_page_and_is_never_contacted(gateway: Gateway, secure: bool) -> None:
    """The page says that it is blocked; the origin sees nothing."""
    answer = gateway.curl(gateway.url("denied.test", "/secret", secure=secure), "-H", "Accept: text/html", "-H", "Sec-Fetch-Dest: document")
    assert answer.status == 403
    assert "<html" in answer.body
    assert "denied.test" in answer.body
    assert not any(key.startswith("denied.test") for key in gateway.origin.hits())


def test_a_blocked_image_gets_a_small_typed_answer(gateway: Gateway) -> None:
    """A page with a blocked picture doesn't break."""
    answer = gateway.curl(gateway.url("denied.test", "/x.png"), "-H", "Sec-Fetch-Dest: image", "-H", "Accept: image/png,image/*")
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("image/")


def test_a_blocked_large_post_is_answered_at_once(gateway: Gateway, tmp_path: Path) -> None:
    """Five megabytes to a blocked host get the page, not a hang."""
    body = tmp_path / "body"
    body.write_bytes(bytes(5_000_000))
    started = time.monotonic()
    answer = gateway.curl(gateway.url("denied.test", "/upload"), "--data-binary", f"@{body}", "-H", "Expect:")
    assert answer.status == 403
    assert time.monotonic() - started < 5


def test_alternative_services_are_taken_out(gateway: Gateway) -> None:
    """`Alt-Svc` would lead the browser to QUIC, past the gateway."""
    answer = gateway.curl(gateway.url("allowed.test", "/alt-svc"))
    assert answer.status == 200
    assert "alt-svc" not in answer.headers


def test_ports_that_the_policy_does_not_open_are_refused(gateway: Gateway) -> None:
    """CONNECT to port 22 doesn't get through."""
    answer = gateway.curl("https://allowed.test:22/")
    assert answer.exit_code != 0 or answer.status == 403


def test_private_addresses_that_the_policy_does_not_name_are_refused(gateway: Gateway) -> None:
    """The school's own network is not reached through the gateway."""
    for url in ("http://10.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://0x7f.1:9/"):
        answer = gateway.curl(url)
        assert answer.status == 403, (url, answer)


def test_our_headers_do_not_leak_and_proxy_credentials_stay_here(gateway: Gateway) -> None:
    """The origin sees neither proxy credentials nor our own headers."""
    answer = gateway.curl(gateway.url("allowed.test", "/__echo", secure=False), "-H", "X-Schoolgate-Subject: forged", user="nobody:wrong")
    assert "x-schoolgate" not in answer.body.lower()
    assert "proxy-authorization" not in answer.body.lower()


def test_a_download_of_200_mb_streams_with_flat_memory(gateway: Gateway) -> None:
    """Bodies that no rule reads are never held."""
    before = worker_memory(gateway)
    url = gateway.url("allowed.test", "/download?200")
    command = [
        "curl",
        "-sS",
        "--proxy",
        gateway.proxy,
        "--cacert",
        str(gateway.authority),
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) == 200 * 1024 * 1024
    growth = worker_memory(gateway) - before
    assert growth < 60 * 1024 * 1024, f"workers grew by {growth} bytes"


def worker_memory(gateway: Gateway) -> int:
    """Peak resident bytes of all workers together, from the kernel."""
    total = 0
    for pid in processes(gateway, "worker"):
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    return total


def test_every_request_makes_one_event_that_names_what_was_decided(gateway: Gateway) -> None:
    """Allowed and blocked requests stand in the store with reason and rule."""
    gateway.curl(gateway.url("allowed2.test", "/event-one"))
    gateway.curl(gateway.url("denied.test", "/event-two"))
    rows = wait_for("both events", lambda: found(gateway, "/event-one", "/event-two"))
    one, two = rows
    assert (one["action"], one["host"], one["status"]) == ("allow", "allowed2.test", 200), pretty(one)
    assert (two["action"], two["reason"], two["status"]) == ("block", "school-deny", 403), pretty(two)


def found(gateway: Gateway, *paths: str) -> list[dict[str, object]] | None:
    """The one event of each path, in order; None while one is missing."""
    events = gateway.events()
    rows = [[event for event in events if event["path"] == path] for path in paths]
    if not all(rows):
        return None
    assert all(len(row) == 1 for row in rows), pretty(rows)
    return [row[0] for row in rows]


def test_planted_secrets_never_reach_the_disk(gateway: Gateway) -> None:
    """Credentials, cookies, tokens and password fields are in no file of the installation."""
    secrets = {name: f"s3cret-{name}-4711" for name in ("basic", "bearer", "cookie", "query", "form", "json", "fragment")}
    gateway.curl(
        gateway.url("allowed.test", f"/login?token={secrets['query']}"),
        *("-H", f"Authorization: Bearer {secrets['bearer']}", "-b", f"session={secrets['cookie']}"),
        *("--data", f"user=ann&password={secrets['form']}"),
        user=f"ann:{secrets['basic']}",
    )
    gateway.curl(gateway.url("allowed.test", "/api"), "-H", "Content-Type: application/json",
                 "--data", f'{{"name": "ann", "password": "{secrets["json"]}"}}')  # fmt: skip
    wait_for("the event", lambda: [event for event in gateway.events() if event["path"] == "/login"])
    log = gateway.state.parent / f"{gateway.state.name}.log"
    for file in [*gateway.state.rglob("*"), log]:
        if file.is_file():
            content = file.read_bytes()
            for name, secret in secrets.items():
                assert secret.encode() not in content, f"the {name} secret stands in {file}"
