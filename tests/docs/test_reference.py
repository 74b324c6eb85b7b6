"""The docs say what the program does: generated parts are current, and nothing is missing."""

import re
from pathlib import Path

import pytest

from rules.decision import Reason
from rules.schema import schema_reference
from schoolgate import reference

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "deploy" / "README.md"])


def test_generated_parts_are_as_the_program_writes_them() -> None:
    stale = [path.name for path, text in reference.pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"run `uv run python -m schoolgate.reference` for {', '.join(stale)}"


def test_every_setting_stands_in_the_settings_page() -> None:
    text = (DOCS / "settings.md").read_text()
    assert [one.key for one in schema_reference() if f"`{one.key}`" not in text] == []


def test_every_reason_is_explained_to_the_safeguarding_lead() -> None:
    text = (DOCS / "dsl.md").read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []


def test_every_address_of_the_console_is_listed_with_who_may_use_it() -> None:
    from fastapi.routing import APIRoute

    from api.app import ROUTERS

    text = (DOCS / "developer.md").read_text()
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert [route.path for route in routes if not re.search(rf"`[A-Z/]+ {re.escape(route.path)}`", text)] == []


def test_commands_that_the_pages_show_exist_with_their_options() -> None:
    known = (DOCS / "commands.md").read_text()
    sections = {part.splitlines()[0]: part for part in re.split(r"^## schoolgate ", known, flags=re.MULTILINE)[1:]}
    wrong = []
    for page in PAGES:
        for shown in re.findall(
            r"schoolgate (?:--verbose )?((?:account|lists|keywords|token|audit) [a-z]+|[a-z]+)((?: [^\n`]*)?)", page.read_text()
        ):
            command, rest = shown[0], shown[1]
            section = next((text for head, text in sections.items() if head == command or head.startswith(command + " ")), None)
            if section is None:
                continue  # prose: "schoolgate runs …"; commands in code are checked below
            wrong += [f"{page.name}: {command} {option}" for option in re.findall(r"--[a-z-]+", rest) if f"`{option}" not in section]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_in_code_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    heads = re.findall(r"^## schoolgate (.+)$", (DOCS / "commands.md").read_text(), flags=re.MULTILINE)
    for shown in re.findall(r"`(?:uv run )?schoolgate (?:--verbose )?([a-z]+(?: [a-z]+)?)", text):
        assert any(head.startswith(shown.split()[0]) for head in heads), f"{page.name} shows `schoolgate {shown}`"
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
