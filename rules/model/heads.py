"""What the model has an opinion on: its columns, and what an opinion of each becomes."""

from typing import NamedTuple


class Head(NamedTuple):
    """One column of the model."""

    name: str
    category: str
    """The policy's category for it; empty for the columns that say what kind of text it is."""
    kind: str = ""
    """For an expert: the kind of text that it knows."""


KINDS = (Head("kind: post", ""), Head("kind: forum", ""), Head("kind: talk page", ""), Head("kind: plain", ""), Head("kind: print", ""))
"""Short posts, forum posts, discussions of articles; plain text: searches, prompts, school work; and what was printed: plays and
speeches, which somebody copies out or plays in."""

EXPERTS = (
    Head("offence", "bullying", "kind: post"),
    Head("sexism", "vawg", "kind: forum"),
    Head("toxicity", "bullying", "kind: talk page"),
)
"""Each learned from real texts of one kind, and counts as far as a text is of that kind: a word that marks an insult in a post is
quite ordinary in a forum."""

WELFARE, REQUEST = "welfare", "request"
THEMES = (Head("hate", "hate"), Head("abuse", "bullying"), Head(WELFARE, ""), Head(REQUEST, ""))
"""Learned from examples that the project writes; they count in every kind of text. The last two see that an adult should hear of a
text, and leave it to `NAMES` what it is about: together many themes have enough examples, each alone has not."""

HEADS = (*KINDS, *EXPERTS, *THEMES)

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    WELFARE: {
        "suicide": ("suicide", "worried-friend"), "self-harm": ("self-harm",), "eating-disorders": ("eating-disorders",),
        "grooming": ("grooming",), "bullying": ("bullying",), "help-seeking": ("home", "help"),
    },
    REQUEST: {
        "violence": ("violence", "weapons", "threat", "cruelty"), "extremism": ("extremism",), "drugs": ("drugs",),
        "hacking": ("hacking", "crime"), "filter-bypass": ("bypass",), "vawg": ("control", "image-abuse"), "hate": ("hate",),
        "pornography": ("sexual",), "gambling": ("gambling",), "challenges": ("challenges",),
    },
}  # fmt: skip
"""By head, the categories that it may name, each with the themes of the examples that belong to it."""
NAMED = tuple((head, category) for head, categories in NAMES.items() for category in categories)
"""Columns of the table of names."""


def themes_of(head: str) -> list[str]:
    """Return the themes of the examples of which a head of `NAMES` is to hear."""
    return [theme for themes in NAMES[head].values() for theme in themes]
