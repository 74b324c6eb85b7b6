"""One look at one request: everything that steps of the decision share is worked out once, when first asked for."""

from typing import NamedTuple

from rules.decision import Action, Decision, Match, Reason
from rules.request import Request
from rules.ruleset import Ruleset
from rules.state import State


class CategoryHit(NamedTuple):
    """One list entry that holds the address, seen through the policy."""

    action: Action
    category: str
    list: str
    entry: str


class Look:
    """A request beside the ruleset and state that judge it."""

    __slots__ = ("_categories", "_hits", "_sealed", "_typed", "policy", "request", "ruleset", "state")

    def __init__(self, request: Request, ruleset: Ruleset, state: State) -> None:
        self.request = request
        self.ruleset = ruleset
        self.state = state
        self.policy = ruleset.policy
        self._hits: list[CategoryHit] | None = None
        self._typed: Decision | bool | None = False

    def sealed_hit(self) -> str | None:
        """Name of the sealed list that holds the address or any other host claimed for it."""
        return self.ruleset.sealed.find(self.request.url, self.request.claimed_hosts)

    def hits(self) -> list[CategoryHit]:
        """Entries of block lists that hold the address, the strictest action first."""
        if self._hits is None:
            request, policy = self.request, self.policy
            found = []
            for hit in self.ruleset.lists.lookup(request.url):
                category = policy.category_named(hit.category)
                action, _ = policy.action_for(request.subject.group, category, request.at)
                found.append(CategoryHit(action, category, hit.list, hit.entry))
            if len(found) > 1:
                found.sort(key=lambda hit: -hit.action.strictness)
            self._hits = found
        return self._hits

    @property
    def categories(self) -> tuple[str, ...]:
        """Policy categories of the address by its lists, the one that decides first."""
        return tuple(dict.fromkeys(hit.category for hit in self.hits()))

    def strictest_hit(self) -> CategoryHit | None:
        """The entry whose category the policy treats most strictly, or None when no list has the address."""
        hits = self.hits()
        return hits[0] if hits else None

    def strictest_action(self) -> Action:
        """What lists and the group's default say together, without grants: a warning's own "go on" lifts only a warning."""
        hit = self.strictest_hit()
        if hit is not None:
            return hit.action
        return self.policy.default_action(self.request.subject.group, self.request.at)

    def allowed_by_school(self) -> str | None:
        """The school's allow entry, or the allow list, that names the address; exact strings only."""
        url, group = self.request.url, self.request.subject.group
        entry = self.policy.allowed(url, group)
        if entry is not None:
            return entry.text
        hit = self.ruleset.allowed.find(url)
        return f"{hit.list}: {hit.entry}" if hit is not None else None

    def typed_decision(self) -> Decision | None:
        """What the typed words call for, whether that stops the request or only notes it."""
        if self._typed is False:
            self._typed = self._weigh_typed()
        assert not isinstance(self._typed, bool)
        return self._typed

    def page_decision(self) -> Decision | None:
        """What the text of the answer calls for."""
        text = self.request.page_text
        if text is None:
            return None
        return self._weigh(text, "page", Reason.PAGE_TEXT)

    def _weigh_typed(self) -> Decision | None:
        strictest: Decision | None = None
        for typed in self.request.typed:
            decision = self._weigh(typed.text, typed.context, Reason.TYPED_TEXT)
            if decision is not None and (strictest is None or _rank(decision) > _rank(strictest)):
                strictest = decision
        return strictest

    def _weigh(self, text: str, context: str, reason: Reason) -> Decision | None:
        """Ask the keyword sets about a text, and the policy about the categories they name."""
        verdict = self.ruleset.keywords.weigh(text, context)
        if not verdict.themes:
            return None
        group, at, policy = self.request.subject.group, self.request.at, self.policy
        strictest: Decision | None = None
        matches: tuple[Match, ...] = verdict.matches
        for theme in verdict.themes:
            action = policy.text_action(group, theme, context, at)
            if action is Action.ALLOW and theme.level < policy.alert_level:
                continue
            decision = Decision(
                action if action is not Action.ALLOW else Action.LOG, reason, category=theme.category, level=theme.level,
                rule=theme.phrase, categories=tuple(t.category for t in verdict.themes), matches=matches,
            )  # fmt: skip
            if strictest is None or _rank(decision) > _rank(strictest):
                strictest = decision
        return strictest


def _rank(decision: Decision) -> tuple[int, int]:
    return decision.action.strictness, decision.level
