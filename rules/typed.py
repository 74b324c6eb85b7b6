"""The words that an address carries: what somebody searches for, and what they ask an AI assistant."""

from blocklists.url import CanonicalUrl
from rules.assistants import ASSISTANTS
from rules.request import TypedText
from rules.ruleset import Ruleset
from rules.searches import SearchTerm


def typed_of(ruleset: Ruleset, url: CanonicalUrl) -> tuple[tuple[TypedText, ...], SearchTerm | None]:
    """Return the words of an address, ready for `Request.typed`, and the search term among them.

    The gateway and `explain` both ask here, so that they judge the same words. Whether those are private is the
    decision's question (`Look.private`).
    """
    term = ruleset.searches.term_of(url)
    if not ruleset.policy.text.typed:
        return (), term
    typed = (TypedText(term.text, "search"),) if term is not None else ()
    prompt = ASSISTANTS.prompt_of(url) if url.raw_query else None
    return typed if prompt is None else (*typed, TypedText(prompt, "prompt")), term
