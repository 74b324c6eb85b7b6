"""What the model reads of a text: links and names gone, spelling tricks undone, so that training and use see the same words."""

import re

from rules.disguises import signs_of, undisguised
from rules.normalise import words

MAX_CHARACTERS = 1_500
"""Of a longer text the model reads this much from its start."""

_NO_WORDS = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)@\w{5,}|\[(?:user|url)\]", re.IGNORECASE)
"""Links and names of accounts: the model must not learn one site's habits."""


def reading(text: str) -> str:
    """Return the words that the model reads, one space between, before and after; linear in the text's length."""
    text = text[:MAX_CHARACTERS]
    if "@" in text or "/" in text or "[" in text or "www." in text:
        text = _NO_WORDS.sub(" ", text)
    if "%" in text or "&" in text or "\\" in text:
        # Escapes first: their digits are no disguise of letters.
        text = words(text)
    plain = words(text)
    if any(signs_of(text, plain)):
        plain = words(undisguised(text))
    return plain.replace(" rt ", " ")
