"""What pages call the names that programs use."""

from collections import Counter

from analyser.alerts import ACTIONS
from rules.decision import REASON_SENTENCES
from rules.policy import Policy

STATES = {"open": "Open", "acknowledged": "Acknowledged", "closed": "Closed", "all": "All"}
SENTENCES: dict[str, str] = {reason.value: sentence for reason, sentence in REASON_SENTENCES.items()}
TRIAGES = {"true_positive": "A real concern", "false_positive": "A false alarm", "unclear": "Not clear"}
COUNTED = {"theme": "Theme", "level": "Level", "state": "State", "triage": "Finding"}
DECISIONS = {"allow": "Allowed", "log": "Allowed, noted", "warn": "Warned", "block": "Blocked", "error": "Stopped by a fault"}

PUPIL_ACTIONS = {
    "class_teacher": "Class teacher told",
    "head_of_department": "Head of department told",
    "headteacher": "Headteacher told",
    "police_social_work": "Police or social work",
    "la_technical": "Local authority's technical team",
    "inform_parents": "Parents informed",
    "remove_network_access": "Network access removed",
    "warning": "Warning",
    "further_sanction": "Further sanction",
    "no_action": "No action needed",
}
"""What the outcome form offers about a pupil (requirement SEED-07)."""

GATEWAY_ACTIONS = {"gateway_fixed": "Put right", "technical_support": "Technical support called", "no_action": "No action needed"}

# Outcomes about staff (SEED-08) need a restricted role, which the roles of this version do not have; the API takes them, no form does.
assert set(PUPIL_ACTIONS) | set(GATEWAY_ACTIONS) <= set(ACTIONS)

_OURS = {"school": "Closed by the school"}
"""Of the school's own entries that name no category (`deny.category`)."""

_KINDS = {"address": "somebody at {}", "user": "{}", "token": "the program {}", "os": "{} (command line)"}


def who(written: str) -> str:
    """Return somebody who acted, as the audit writes them (`analyser.casework.people.Actor`), in words."""
    kind, colon, name = written.partition(":")
    return _KINDS[kind].format(name) if colon and kind in _KINDS else written


def themes(policy: Policy) -> dict[str, str]:
    """Return how the policy calls its themes and categories; a theme of one category bears its title."""
    shared = Counter(category.theme for category in policy.categories.values())
    names = {
        category.theme: category.title if shared[category.theme] == 1 else category.theme.replace("-", " ").capitalize()
        for category in policy.categories.values()
    }
    return _OURS | names | {name: category.title for name, category in policy.categories.items()}
