"""What pages call the names that programs use."""

from analyser.alerts import ACTIONS
from rules.decision import REASON_SENTENCES
from rules.policy import Policy

STATES = {"open": "Open", "acknowledged": "Acknowledged", "closed": "Closed", "all": "All"}
SENTENCES: dict[str, str] = {reason.value: sentence for reason, sentence in REASON_SENTENCES.items()}
TRIAGES = {"true_positive": "A real concern", "false_positive": "A false alarm", "unclear": "Not clear"}
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


def themes(policy: Policy) -> dict[str, str]:
    """Return how the policy calls its themes and categories."""
    names = {category.theme: category.theme.replace("-", " ") for category in policy.categories.values()}
    return names | {name: category.title for name, category in policy.categories.items()}
