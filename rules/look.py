"""One look at one request: everything that steps of the decision share is worked out once, when first asked for."""

from typing import NamedTuple

import msgspec

from blocklists.url import CanonicalUrl, canonicalise
from rules.curriculum import lowered, lowers_at
from rules.decision import Action, Decision, Match, Reason
from rules.keywords import Verdict
from rules.keywords.patterns import readable
from rules.request import Request, TypedText
from rules.ruleset import Ruleset
from rules.school_lists import SchoolEntry
from rules.second_reader import GRAVEST, second_reading
from rules.state import Grant, State

_HEARD_OF = 3
"""Level from which a person hears of a match."""


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
                for one in self.ruleset.expressions.find(url):
                    category = policy.category_named(one.category)
                    action, _ = policy.action_for(request.subject.group, category, request.at)
                    found.append(CategoryHit(action, category, one.list, one.pattern))
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

    @property
    def private(self) -> bool:
        """True where the policy wants no text to be read, neither what is typed nor what is shown, under any name of the address."""
        policy = self.policy
        if all(policy.is_private(url.host) for url in self.urls):
            return True
        return bool(policy.text.private_categories) and not policy.text.private_categories.isdisjoint(self.categories)

    def typed_decision(self) -> Decision | None:
        """What the typed words call for, whether that stops the request or only notes it."""
        if self._typed is False:
            self._typed = self._weigh_typed() if self.request.typed and not self.private else None
        assert not isinstance(self._typed, bool)
        return self._typed

    def host_decision(self) -> Decision | None:
        """What the words in the names of the site call for."""
        thresholds = self.policy.thresholds_of(self.request.subject.group)
        weigh = self.ruleset.keywords.weigh_host
        decisions = [self._judged(weigh(url.host, thresholds), "host", Reason.HOST_WORDS) for url in self.urls]
        return max((one for one in decisions if one is not None), key=_rank, default=None)

    def page_decision(self) -> Decision | None:
        """What the text of the answer calls for."""
        text = self.request.page_text
        if text is None or self.private:
            return None
        return self._weigh(text, "page", Reason.PAGE_TEXT)

    def _weigh_typed(self) -> Decision | None:
        decisions = [self._weigh_one(typed) for typed in self.request.typed]
        return _together([one for one in decisions if one is not None])

    def _weigh_one(self, typed: TypedText) -> Decision | None:
        """Read typed words twice, by the keyword sets and by the model; what a site answers is read by the sets alone."""
        if typed.answer:
            return self._weigh(typed.text, typed.context, Reason.PAGE_TEXT)
        ruleset, thresholds = self.ruleset, self.policy.thresholds_of(self.request.subject.group)
        verdict = ruleset.keywords.weigh(typed.text, typed.context, thresholds)
        second = second_reading(verdict, typed.text, typed.context, ruleset.model if self.policy.text.model else None)
        unsure = second.model_only if not self.policy.text.model_blocks else frozenset()
        # Somebody who types despair or worry is heard, and nothing is stopped for it; but where a search would show what makes it
        # worse, the page with the help lines comes instead.
        helped = typed.context == "search"
        unsure |= {theme.category for theme in second.verdict.themes if not theme.stops and not (helped and theme.level >= GRAVEST)}
        return self._judged(second.verdict, typed.context, Reason.TYPED_TEXT, unsure)

    def _weigh(self, text: str, context: str, reason: Reason) -> Decision | None:
        """Ask the keyword sets about a text, and the policy about the categories they name."""
        verdict = self.ruleset.keywords.weigh(text, context, self.policy.thresholds_of(self.request.subject.group))
        return self._judged(verdict, context, reason)

    def _judged(self, verdict: Verdict, context: str, reason: Reason, never_stopped: frozenset[str] = frozenset()) -> Decision | None:
        """Ask the policy about the categories of a verdict; those in `never_stopped` are written down at most."""
        if not verdict.themes:
            return None
        group, at, policy = self.request.subject.group, self.request.at, self.policy
        decisions: list[Decision] = []
        matches: tuple[Match, ...] = verdict.matches
        eased = lowers_at(self.request.url)
        for found in verdict.themes:
            theme = found if not eased else found._replace(level=lowered(found.level, eased))
            action = policy.text_action(group, theme, context, at)
            if eased and context == "page" and theme.level < _HEARD_OF and action.stops:
                # What a museum or a help line shows about slavery or self-harm is teaching; grave words still stop it.
                action = Action.LOG
            if action.stops and theme.category in never_stopped:
                action = Action.LOG
            if action is Action.ALLOW and theme.level < policy.alert_level:
                continue
            decisions.append(Decision(
                action if action is not Action.ALLOW else Action.LOG, reason, category=theme.category, level=theme.level,
                rule=readable(theme.phrase), categories=tuple(t.category for t in verdict.themes), matches=matches,
            ))  # fmt: skip
        return _together(decisions)


def _together(decisions: list[Decision]) -> Decision | None:
    """Return the strictest action with the gravest words: a swear word that is blocked must not hide a threat that is only noted."""
    if len(decisions) < 2:
        return decisions[0] if decisions else None
    strictest = max(decisions, key=_rank)
    gravest = max(decisions, key=lambda one: (one.level, one.action.strictness))
    return strictest if gravest.level == strictest.level else msgspec.structs.replace(gravest, action=strictest.action)


def _under_every_name(request: Request) -> tuple[CanonicalUrl, ...]:
    """Return the request's address, and the same port and path on each other host that was claimed for it."""
    url = request.url
    others = [canonicalise(f"{url.scheme}://{host}:{url.port}{url.path_and_query}") for host in request.claimed_hosts if host != url.host]
    return (url, *others)


def _rank(decision: Decision) -> tuple[int, int]:
    return decision.action.strictness, decision.level
