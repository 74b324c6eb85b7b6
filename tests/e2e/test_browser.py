"""A real Chromium behind the gateway."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .harness import Gateway, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("real_lists")]


def trust(authority: Path, home: Path) -> None:
    """Put our authority among those that a Chromium with this home folder trusts, as a school does on its devices."""
    certutil = shutil.which("certutil")
    if certutil is None:
        pytest.skip("certutil is not installed: apt-get install libnss3-tools")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    subprocess.run([certutil, "-N", "--empty-password", "-d", f"sql:{store}"], check=True)
    subprocess.run([certutil, "-A", "-d", f"sql:{store}", "-t", "C,,", "-n", "school", "-i", str(authority)], check=True)


@pytest.fixture(scope="module")
def browser(gateway: Gateway, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with our authority trusted and nothing else switched off."""
    home = tmp_path_factory.mktemp("chromium")
    trust(gateway.authority, home)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            proxy={"server": gateway.proxy, "bypass": "<-loopback>"},
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
            ],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile for each test."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One tab."""
    return context.new_page()


def test_an_allowed_page_loads_over_https(gateway: Gateway, page: Page) -> None:
    """Chromium accepts our certificate and shows the origin's page."""
    answer = page.goto(gateway.url("allowed.test", "/in-chromium"))
    assert answer is not None
    assert answer.status == 200
    assert page.inner_text("h1") == f"Welcome to allowed.test:{gateway.origin.https_port}/in-chromium"


@pytest.mark.parametrize("secure", [False, True])
def test_a_blocked_page_shows_ours_with_a_way_to_ask(gateway: Gateway, page: Page, secure: bool) -> None:
    """On HTTP and HTTPS alike: a heading, a reason, a form; readable at 400 pixels."""
    answer = page.goto(gateway.url("denied.test", "/lesson", secure=secure))
    assert answer is not None
    assert answer.status == 403
    assert page.locator("h1").count() == 1
    assert page.locator("form").count() == 1
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_search_in_the_browser_is_stopped_and_shows_help(gateway: Gateway, page: Page) -> None:
    """A child in trouble sees where help is."""
    answer = page.goto(gateway.url("www.google.co.uk", "/search?q=i+want+to+kill+myself"))
    assert answer is not None
    assert answer.status == 403
    assert "Childline" in page.inner_text("body")


def test_a_websocket_echoes_through_the_gateway(gateway: Gateway, page: Page) -> None:
    """The upgrade and messages both ways pass."""
    page.goto(gateway.url("stream.test"))
    echoed = page.evaluate(
        """() => new Promise((resolve, reject) => {
            const socket = new WebSocket('wss://' + location.host + '/socket');
            socket.onopen = () => socket.send('narrow boat');
            socket.onmessage = message => { resolve(message.data); socket.close(); };
            socket.onerror = () => reject(new Error('closed'));
        })"""
    )
    assert echoed == "narrow boat"


def test_the_block_page_sends_a_request_that_a_second_person_approves(gateway: Gateway, page: Page) -> None:
    """From the page a pupil sees, to the DSL's list, to the page that opens."""
    url = gateway.url("lesson.test", "/from-the-block-page")
    page.goto(url)
    page.locator("form [name=reason]").fill("For our canal topic")
    page.locator("form [type=submit]").first.click()
    page.wait_for_load_state()
    assert "schoolgate.internal" in page.url
    rows = gateway.api("GET", "/api/v1/unblock-requests", params={"status": "pending"}).json()
    mine = next(row for row in rows["unblock_requests"] if row["url"] == url)
    answer = gateway.api("POST", f"/api/v1/unblock-requests/{mine['id']}/approve", json={})
    assert answer.status_code == 200, answer.text

    def opened() -> bool:
        reply = page.goto(url)
        return reply is not None and reply.status == 200

    wait_for("the page to open", opened, 3)


def test_parts_on_another_blocked_host_load_with_the_granted_page(gateway: Gateway, page: Page) -> None:
    """The browser's own referrers are what the grant goes by."""
    url = gateway.url("blocked.test", "/with-parts")
    body = {"url": url, "scope": "exact", "group": "pupils", "reason": "Parts", "minutes": 5}
    number = gateway.api("POST", "/api/v1/unblock-requests", role="teacher", json=body).json()["id"]
    assert gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", json={}).status_code == 200
    statuses: dict[str, int] = {}
    page.on("response", lambda response: statuses.__setitem__(response.url, response.status))

    def opened() -> bool:
        reply = page.goto(url)
        return reply is not None and reply.status == 200

    wait_for("the page to open", opened, 3)
    page.wait_for_load_state("networkidle")
    parts = {address: status for address, status in statuses.items() if "parts.blocked.test" in address}
    assert parts
    assert set(parts.values()) == {200}, parts
    typed = page.goto(gateway.url("parts.blocked.test", "/"))
    assert typed is not None
    assert typed.status == 403
