"""Tokens of block pages."""

from hypothesis import given
from hypothesis import strategies as st

from rules.decision import Action
from rules.tokens import LIFETIME, sign, verify

KEY = b"k" * 32


@given(st.text(max_size=60), st.text(max_size=30), st.sampled_from(Action), st.floats(0, 2e9))
def test_token_holds_for_its_own_block_only(url: str, subject: str, action: Action, now: float) -> None:
    token = sign(KEY, url, subject, action, now)
    claim = verify(KEY, token, url, subject, now + 1)
    assert claim is not None
    assert claim.action is action
    assert verify(KEY, token, url + "x", subject, now) is None
    assert verify(KEY, token, url, subject + "x", now) is None
    assert verify(b"j" * 32, token, url, subject, now) is None
    assert verify(KEY, token, url, subject, now + LIFETIME + 1) is None
    assert verify(KEY, token.replace(action.value, "allow" if action is not Action.ALLOW else "warn"), url, subject, now) is None


@given(st.text(max_size=100))
def test_any_other_text_is_no_token(token: str) -> None:
    assert verify(KEY, token, "http://a.example/", "ann", 1000.0) is None
