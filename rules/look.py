"""One look at one request: everything that steps of the decision share is worked out once, when first asked for."""

from typing import NamedTuple

import msgspec

from blocklists.url import CanonicalUrl, canonicalise
from rules.decision import Action, Decision, Match, Reason
from rules.request import Request
from rules.ruleset import Ruleset
from rules.school_lists import SchoolEntry
from rules.state import Grant, State


class CategoryHit(NamedTuple):
    """One list entry that holds the address, seen through the policy."""

    action: Action
    category: str
    list: str
    entry: str


class Look:
    """A request beside the ruleset and state that judge it."""

    __slots__ = ("_hits", "_typed", "policy", "request", "ruleset", "state", "urls")

    def __init__(self, request: Request, ruleset: Ruleset, state: State) -> None:
        self.request = request
        self.ruleset = ruleset
        self.state = state
        self.policy = ruleset.policy
        self._hits: list[CategoryHit] | None = None
        self._typed: Decision | bool | None = False
        # Tunnel, TLS and Host header may each name another host. Which of them the site listens to is the site's
        # affair, so the address is judged under every name: what closes one closes the request, what opens it must open all.
        self.urls: tuple[CanonicalUrl, ...] = (request.url,) if not request.claimed_hosts else _under_every_name(request)

    def sealed_hit(self) -> str | None:
        """Name of the sealed list that holds the address, under any of the names claimed for it."""
        find = self.ruleset.sealed.find
        return next((name for url in self.urls if (name := find(url)) is not None), None)

    def grant(self) -> Grant | None:
        """The grant that opens the address for this subject now, under every name; the first name's where each has its own."""
        request = self.request
        first = self.state.grant_for(request)
        if first is None or len(self.urls) == 1:
            return first
        others = (self.state.grant_for(msgspec.structs.replace(request, url=url)) for url in self.urls[1:])
        return first if all(grant is not None for grant in others) else None

    def denied(self) -> SchoolEntry | None:
        """The school's deny entry that names the address, under any of its names."""
        policy, group = self.policy, self.request.subject.group
        return next((entry for url in self.urls if (entry := policy.denied(url, group)) is not None), None)

    def hits(self) -> list[CategoryHit]:
        """Entries of block lists that hold the address, the strictest action first."""
        if self._hits is None:
            request, policy = self.request, self.policy
            found = []
            for url in self.urls:
                for hit in self.ruleset.lists.lookup(url):
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
        """The school's allow entry, or the allow list, that names the address under every name; exact strings only."""
        rule = self._allowed(self.request.url)
        return rule if rule is None or all(self._allowed(url) is not None for url in self.urls[1:]) else None

    def _allowed(self, url: CanonicalUrl) -> str | None:
        entry = self.policy.allowed(url, self.request.subject.group)
        if entry is not None:
            return entry.text
        hit = self.ruleset.allowed.find(url)
        return f"{hit.list}: {hit.entry}" if hit is not None else None

    def too_grave_for_a_part(self) -> bool:
        """True for a site that makes alerts: no page that somebody opened brings it along as one of its parts."""
        return any(self.policy.level_of(hit.category) >= self.policy.alert_level for hit in self.hits())

    def only_warned(self) -> bool:
        """True when nothing but a warning of a list, or of the group's default, stands before the person."""
        typed = self.typed_decision()
        return self.strictest_action() is Action.WARN and self.denied() is None and (typed is None or not typed.action.stops)

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


def _under_every_name(request: Request) -> tuple[CanonicalUrl, ...]:
    """Return the request's address, and the same port and path on each other host that was claimed for it."""
    url = request.url
    others = [canonicalise(f"{url.scheme}://{host}:{url.port}{url.path_and_query}") for host in request.claimed_hosts if host != url.host]
    return (url, *others)


def _rank(decision: Decision) -> tuple[int, int]:
    return decision.action.strictness, decision.level
