"""The pages in a real browser, driven as people do: sign in, take on an alert, close it, ask, approve, end, set a password."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PASSWORD = "four dull green lamps"
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")]
WIDTHS = pytest.mark.parametrize("width", [1280, 400])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, world: Any) -> Iterator[Any]:
    """Open windows, each signed in with an account of its own: `window("dsl", 400)`."""
    opened = []

    def open_one(role: str | None, width: int = 1280) -> Page:
        context = chromium.new_context(base_url=world.url, viewport={"width": width, "height": 800})
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"a script of the page failed: {error}"))
        if role is not None:
            page.goto("/")
            page.get_by_label("Name").fill(world.account(role))
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        return page

    yield open_one
    for context in opened:
        context.close()


def fits(page: Page) -> None:
    """Nothing stands out on the right: a page is never scrolled sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url


@WIDTHS
def test_a_lead_takes_on_an_alert_and_closes_it(world: Any, window: Any, width: int) -> None:
    subject = f"pupil-of-{width}"
    page = window("dsl", width)
    expect(page).to_have_url(f"{world.url}/alerts")
    world.grave(subject)
    # The open list shows it by itself.
    button = page.get_by_role("button", name=f"Acknowledge the alert about {subject}")
    expect(button).to_be_visible(timeout=8000)
    fits(page)
    button.click()
    page.get_by_role("link", name="Acknowledged (").click()
    page.get_by_role("link", name=f"Look at the alert about {subject}").click()
    expect(page.get_by_text("how to hurt myself").first).to_be_visible()
    page.get_by_label("A real concern").check()
    page.get_by_label("Parents informed").check()
    page.get_by_label("Note").fill("Spoke with her and her mother.")
    fits(page)
    page.get_by_role("button", name="Record and close").click()
    expect(page.get_by_role("status")).to_have_text("The outcome is recorded.")
    page.get_by_label("Not clear").check()
    page.get_by_label("Class teacher told").check()
    page.get_by_label("Note").fill("More came to light.")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_text("More came to light.")).to_be_visible()
    fits(page)


@WIDTHS
def test_a_teacher_asks_a_lead_approves_and_ends_it(world: Any, window: Any, width: int) -> None:
    url = f"https://casino.test/lesson-{width}?" + "x=1&" * 60
    teacher, lead = window("teacher", width), window("dsl", width)
    teacher.get_by_label("Address").fill(url)
    teacher.get_by_label("The whole site").check()
    teacher.get_by_label("Which one").fill("nobody")
    teacher.get_by_label("Minutes").fill("30")
    teacher.get_by_label("What is it needed for?").fill("Probability")
    teacher.get_by_role("button", name="Ask").click()
    expect(teacher.get_by_role("alert")).to_contain_text("it has pupils, staff")
    # What was typed is still there.
    expect(teacher.get_by_label("Address")).to_have_value(url)
    teacher.get_by_label("Which one").fill("pupils")
    teacher.get_by_role("button", name="Ask").click()
    expect(teacher.get_by_role("status")).to_contain_text("somebody else will decide")
    expect(teacher.get_by_role("button", name="Approve")).to_have_count(0)
    fits(teacher)
    lead.goto("/requests")
    fits(lead)
    lead.get_by_role("button", name=f"Approve https://casino.test/lesson-{width}").click()
    expect(lead.get_by_role("status")).to_contain_text("the page is open")
    fits(lead)
    lead.get_by_role("button", name="End now").first.click()
    expect(lead.get_by_role("status")).to_contain_text("closed again")


@WIDTHS
def test_an_administrator_adds_an_account_whose_owner_sets_a_password(world: Any, window: Any, width: int) -> None:
    name = f"new.teacher.{width}"
    administrator = window("administrator", width)
    administrator.get_by_role("link", name="Accounts").click()
    administrator.get_by_label("Name", exact=True).fill(name)
    administrator.get_by_label("Console role").select_option("teacher")
    administrator.get_by_role("button", name="Add").click()
    link = administrator.get_by_role("status").locator("code").inner_text()
    fits(administrator)
    owner = window(None, width)
    owner.goto(link)
    for password, again in (("password1234", "password1234"), (PASSWORD, "another one entirely")):
        owner.locator("input[name=password]").fill(password)
        owner.locator("input[name=again]").fill(again)
        owner.get_by_role("button").last.click()
        expect(owner.get_by_role("alert")).to_be_visible()
    fits(owner)
    owner.locator("input[name=password]").fill(PASSWORD)
    owner.locator("input[name=again]").fill(PASSWORD)
    owner.get_by_role("button").last.click()
    expect(owner.get_by_role("status")).to_contain_text("Your password is set")
    owner.get_by_label("Name").fill(name.upper())
    owner.get_by_label("Password").fill(PASSWORD)
    owner.get_by_role("button", name="Sign in").click()
    expect(owner).to_have_url(f"{world.url}/requests")
    administrator.goto("/accounts")
    administrator.get_by_role("button", name=f"New link for {name}").click()
    expect(administrator.get_by_role("status")).to_contain_text(name)


@WIDTHS
def test_every_page_fits_the_window(world: Any, window: Any, width: int) -> None:
    page = window("administrator", width)
    for path in (
        "/alerts?status=all",
        "/requests",
        "/numbers",
        "/why?url=https://casino.test/",
        "/health",
        "/lists",
        "/accounts",
        "/help",
        "/nothing",
    ):
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        fits(page)
