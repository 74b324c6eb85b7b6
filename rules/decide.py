"""The decision: one ordered list of steps, the first answer wins.

This is the product. A gateway worker calls `decide` for every request; `schoolgate explain`, the console's "why?"
page and the replay of old traffic call the same function, so what they say is what happens.

Nothing here waits, reads a file or changes anything: a request, a ruleset and a state go in, a decision comes out.
"""

from collections.abc import Callable
from typing import NamedTuple

from rules.decision import REASON_SENTENCES, Action, Decision, Reason
from rules.look import Look
from rules.request import Request
from rules.ruleset import Ruleset
from rules.state import State

type Step = Callable[[Look], Decision | None]


def decide(request: Request, ruleset: Ruleset, state: State) -> Decision:
    """Return what happens to the request; never None, and never an exception for odd input.

    A fault inside a step is not caught here: the caller answers it by failing closed.
    """
    look = Look(request, ruleset, state)
    for step in STEPS:
        decision = step(look)
        if decision is not None:
            return decision
    return default(look)


# --- the steps ------------------------------------------------------------------------------------------------------


def own_hosts(look: Look) -> Decision | None:
    """Serve the gateway's own pages: help, certificate, PAC file, report form."""
    own, request = look.policy.own_hosts, look.request
    # Under another name as well, it would reach the console's other pages.
    if request.url.host in own and own.issuperset(request.claimed_hosts):
        return Decision(Action.ALLOW, Reason.OWN_HOST, rule=request.url.host)
    return None


def sealed_lists(look: Look) -> Decision | None:
    """Block illegal content for everybody."""
    name = look.sealed_hit()
    if name is None:
        return None
    return Decision(Action.BLOCK, Reason.SEALED_LIST, category="illegal", level=4, list=name, rule="sealed entry", categories=("illegal",))


def protocol_safety(look: Look) -> Decision | None:
    """Refuse addresses that would carry traffic around the rules."""
    fault = look.policy.safety.fault_of(look.request)
    if fault is None:
        return None
    reason, rule = fault
    level = 3 if reason is Reason.HOST_MISMATCH else 2
    return Decision(Action.BLOCK, reason, category="filter-bypass", level=level, rule=rule, categories=("filter-bypass",))


def grants(look: Look) -> Decision | None:
    """Let through what somebody opened for this subject, for now."""
    grant = look.grant()
    if grant is None or (grant.lifts == "warn" and not look.only_warned()):
        return None
    if not grant.covers(look.request.url) and look.too_grave_for_a_part():
        return None
    # The page is open, and what a child writes there is still heard: the words keep their level.
    words = look.typed_decision() or Decision(Action.LOG, Reason.GRANT)
    return Decision(
        Action.LOG, Reason.GRANT, rule=f"{grant.scope} {grant.host}{grant.target}", grant=grant.id,
        category=words.category, level=words.level, categories=words.categories, matches=words.matches,
    )  # fmt: skip


def school_deny(look: Look) -> Decision | None:
    """Block what the school itself denies."""
    entry = look.denied()
    if entry is None:
        return None
    return Decision(Action.BLOCK, Reason.SCHOOL_DENY, category=entry.category, level=1, rule=entry.text, categories=(entry.category,))


def school_allow(look: Look) -> Decision | None:
    """Allow what the school itself allows, unless the words that were typed need an answer of their own."""
    rule = look.allowed_by_school()
    if rule is None:
        return None
    return look.typed_decision() or Decision(Action.ALLOW, Reason.SCHOOL_ALLOW, rule=rule)


def typed_text(look: Look) -> Decision | None:
    """Weigh the words that the person typed, where they ask for a block or a warning."""
    decision = look.typed_decision()
    return decision if decision is not None and decision.action.stops else None


def listed_categories(look: Look) -> Decision | None:
    """Apply the policy to the categories that lists give the address: group x category x time."""
    hit = look.strictest_hit()
    if hit is None or hit.action is Action.ALLOW:
        return None
    return Decision(
        hit.action, Reason.LIST, category=hit.category, level=look.policy.level_of(hit.category), list=hit.list, rule=hit.entry,
        categories=look.categories,
    )  # fmt: skip


def host_words(look: Look) -> Decision | None:
    """Weigh the words in the name of a site that no list speaks of; a name that stops nothing says nothing yet."""
    decision = look.host_decision() if look.strictest_hit() is None else None
    return decision if decision is not None and decision.action.stops else None


def page_text(look: Look) -> Decision | None:
    """Weigh the text of the answer, once it is known."""
    return look.page_decision()


def noted_text(look: Look) -> Decision | None:
    """Write down typed words that call for a record, not for a block."""
    return look.typed_decision()


def default(look: Look) -> Decision:
    """Apply the group's default to an address that no rule speaks of."""
    hit = look.strictest_hit()
    if hit is not None:
        return Decision(Action.ALLOW, Reason.LIST, category=hit.category, list=hit.list, rule=hit.entry, categories=look.categories)
    action = look.policy.default_action(look.request.subject.group, look.request.at)
    return Decision(action, Reason.DEFAULT, rule=f"groups.{look.request.subject.group}.default")


STEPS: tuple[Step, ...] = (
    # The help page and the certificate must load for somebody whom everything else stops.
    own_hosts,
    # Before any allow list, grant or exception: no setting reaches above this line.
    sealed_lists,
    # Before grants: a grant for a page must not open a port, a private network or a tunnel.
    protocol_safety,
    # Before the school's own deny: a lesson may need, for an hour, the page that is closed all year.
    grants,
    # Deny before allow: of two entries that disagree, the careful one holds.
    school_deny,
    school_allow,
    # What a child types says more than where it is typed, so words come before the lists' view of the site.
    typed_text,
    listed_categories,
    # What no list has yet may call itself by its name.
    host_words,
    # The page itself, on sites that everything above lets through.
    page_text,
    # Last, since it stops nothing: a record, and from level 4 an alert, for words on an allowed site.
    noted_text,
)


# --- the same decision, in words ------------------------------------------------------------------------------------


class StepAnswer(NamedTuple):
    """What one step would have said on its own."""

    step: str
    decision: Decision | None
    decided: bool
    note: str


def explain(request: Request, ruleset: Ruleset, state: State) -> tuple[Decision, list[StepAnswer]]:
    """Return the decision and every step's answer, also of the steps after the one that decided."""
    look = Look(request, ruleset, state)
    answers: list[StepAnswer] = []
    final: Decision | None = None
    for step in (*STEPS, default):
        decision = step(look)
        decided = final is None and decision is not None
        if decided:
            final = decision
        note = REASON_SENTENCES[decision.reason] if decision is not None else "nothing to say"
        answers.append(StepAnswer(step.__name__, decision, decided, note))
    assert final is not None, "the default step always answers"
    return final, answers
