"""What the model has an opinion on: its columns, and what an opinion of each becomes."""

from typing import NamedTuple


class Head(NamedTuple):
    """One column of the model."""

    name: str
    category: str
    """The policy's category for it; empty for the columns that say what kind of text it is."""
    kind: str = ""
    """For an expert: the kind of text that it knows."""


KINDS = (Head("kind: post", ""), Head("kind: forum", ""), Head("kind: talk page", ""), Head("kind: plain", ""))
"""Short posts, forum posts, discussions of articles, and everything else: searches, prompts, school work, prose."""

EXPERTS = (
    Head("offence", "bullying", "kind: post"),
    Head("sexism", "vawg", "kind: forum"),
    Head("toxicity", "bullying", "kind: talk page"),
)
"""Each learned from real texts of one kind, and counts as far as a text is of that kind: a word that marks an insult in a post is
quite ordinary in a forum."""

THEMES = (
    Head("hate", "hate"), Head("abuse", "bullying"), Head("bullying", "bullying"),
    Head("self-harm", "self-harm"), Head("suicide", "suicide"),
    Head("eating-disorders", "eating-disorders"), Head("grooming", "grooming"), Head("violence", "violence"), Head("hacking", "hacking"),
    Head("drugs", "drugs"), Head("sexual", "pornography"),
)  # fmt: skip
"""Learned from examples that the project writes; they count in every kind of text."""

HEADS = (*KINDS, *EXPERTS, *THEMES)
EXTREMISM_AS = "violence"
"""Examples of extremism teach this head: they are too few for one of their own."""
