"""What the block page says to whom."""

import pytest

from proxy.blockpage import Block, block_page
from rules.decision import Action, Decision, Reason


def shown(decision: Decision, *, category: str = "", theme: str = "", token: str = "t") -> str:
    url = "https://example.org/x?secret=1"
    return block_page(Block(decision, url, "example.org", "ref", "schoolgate.internal", token, category, theme, "document", "")).decode()


@pytest.mark.parametrize(
    ("category", "title", "theme", "helps"),
    [
        ("suicide", "Suicide", "suicide", True), ("eating-disorders", "Eating disorders", "self-harm", True),
        ("grooming", "Grooming and sexual exploitation", "sexual", True), ("bullying", "Bullying", "bullying", True),
        ("games", "Games", "games", False), ("pornography", "Pornography", "sexual", False),
    ],
)  # fmt: skip
def test_whoever_may_be_in_trouble_sees_where_help_is(category: str, title: str, theme: str, helps: bool) -> None:
    page = shown(Decision(Action.BLOCK, Reason.TYPED_TEXT, category=category, level=4), category=title, theme=theme)
    assert ("0800 1111" in page) is helps


def test_a_page_that_nobody_can_open_has_no_form_to_ask_with() -> None:
    decision = Decision(Action.BLOCK, Reason.UNSAFE_PORT, category="filter-bypass", level=2)
    assert "<form" not in shown(decision, token="")
    assert "you can ask for it" not in shown(decision, token="")
    assert "<form" in shown(Decision(Action.BLOCK, Reason.LIST, category="games", level=1))
