"""Who may do what: one table of roles and permissions, from which every route takes its answer.

A route names the permission that it needs; it never looks at a role. Governors see numbers, never names. Technicians keep
the gateway running and see no pupil's history. Teachers ask, and see what they asked for.
"""

from enum import StrEnum


class Role(StrEnum):
    """What somebody is to the console."""

    ADMINISTRATOR = "administrator"
    TECHNICIAN = "technician"
    DSL = "dsl"
    TEACHER = "teacher"
    HEADTEACHER = "headteacher"
    GOVERNOR = "governor"


ROLE_TITLES: dict[Role, str] = {
    Role.ADMINISTRATOR: "Administrator",
    Role.TECHNICIAN: "Technician",
    Role.DSL: "Safeguarding lead",
    Role.TEACHER: "Teacher",
    Role.HEADTEACHER: "Headteacher",
    Role.GOVERNOR: "Governor",
}


class Permission(StrEnum):
    """One thing that a person may do."""

    KNOW_MYSELF = "me:read"
    READ_NUMBERS = "numbers:read"
    READ_EVENTS = "events:read"
    READ_ALERTS = "alerts:read"
    HANDLE_ALERTS = "alerts:handle"
    ASK_UNBLOCK = "unblock:ask"
    READ_UNBLOCKS = "unblock:read-all"
    DECIDE_UNBLOCKS = "unblock:decide"
    READ_GRANTS = "grants:read"
    END_GRANTS = "grants:end"
    READ_HEALTH = "health:read"
    EXPLAIN = "explain:read"
    READ_AUDIT = "audit:read"
    MANAGE_ACCOUNTS = "accounts:manage"
    PREVIEW_LISTS = "lists:preview"
    DECIDE_LISTS = "lists:decide"


_P = Permission
_EVERYBODY = {_P.KNOW_MYSELF}
_STAFF = _EVERYBODY | {_P.ASK_UNBLOCK, _P.EXPLAIN}
_UNBLOCKING = {_P.READ_UNBLOCKS, _P.DECIDE_UNBLOCKS, _P.READ_GRANTS, _P.END_GRANTS}
_SAFEGUARDING = {_P.READ_EVENTS, _P.READ_ALERTS, _P.HANDLE_ALERTS, _P.READ_NUMBERS, _P.READ_HEALTH}

TABLE: dict[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.TECHNICIAN: frozenset(_STAFF | _UNBLOCKING | {_P.READ_HEALTH, _P.READ_NUMBERS, _P.PREVIEW_LISTS, _P.DECIDE_LISTS}),
    Role.DSL: frozenset(_STAFF | _UNBLOCKING | _SAFEGUARDING | {_P.DECIDE_LISTS}),
    Role.TEACHER: frozenset(_STAFF),
    Role.HEADTEACHER: frozenset(_STAFF | _UNBLOCKING | _SAFEGUARDING | {_P.READ_AUDIT, _P.DECIDE_LISTS}),
    Role.GOVERNOR: frozenset(_EVERYBODY | {_P.READ_NUMBERS}),
}


def may(role: Role, permission: Permission) -> bool:
    """Say whether the role holds the permission."""
    return permission in TABLE[role]
