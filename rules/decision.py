"""What the answer to one request is made of: action, reason, and the rule that decided."""

from enum import StrEnum

import msgspec


class Action(StrEnum):
    """What happens to the request, from the mildest to the strictest."""

    ALLOW = "allow"
    LOG = "log"
    WARN = "warn"
    BLOCK = "block"

    @property
    def strictness(self) -> int:
        """Rank of the action: of several that apply, the highest wins."""
        return _STRICTNESS[self]

    @property
    def stops(self) -> bool:
        """True when the request does not go on as the person asked for it."""
        return self in (Action.WARN, Action.BLOCK)


_STRICTNESS = {Action.ALLOW: 0, Action.LOG: 1, Action.WARN: 2, Action.BLOCK: 3}


class Reason(StrEnum):
    """Why a decision was made: closed set, one plain sentence for each in `REASON_SENTENCES`."""

    OWN_HOST = "own-host"
    SEALED_LIST = "sealed-list"
    UNSAFE_PORT = "unsafe-port"
    PRIVATE_ADDRESS = "private-address"
    ADDRESS_LITERAL = "address-literal"
    HOST_MISMATCH = "host-mismatch"
    BAD_URL = "bad-url"
    UNREADABLE = "unreadable"
    AUTHENTICATION = "authentication"
    GRANT = "grant"
    SCHOOL_DENY = "school-deny"
    SCHOOL_ALLOW = "school-allow"
    LIST = "list"
    TYPED_TEXT = "typed-text"
    HOST_WORDS = "host-words"
    PAGE_TEXT = "page-text"
    DEFAULT = "default"
    FAULT = "fault"


REASON_SENTENCES: dict[Reason, str] = {
    Reason.OWN_HOST: "This is a page of the gateway itself.",
    Reason.SEALED_LIST: "The address is on a list of unlawful content that nobody can switch off.",
    Reason.UNSAFE_PORT: "The address uses a port that the policy does not open.",
    Reason.PRIVATE_ADDRESS: "The address lies inside a private network that the policy does not name.",
    Reason.ADDRESS_LITERAL: "The address is a number instead of a name, which hides where it leads.",
    Reason.HOST_MISMATCH: "The connection names one site on the outside and another inside.",
    Reason.BAD_URL: "The address can't be read as a web address.",
    Reason.UNREADABLE: "What was sent is packed in a way that the gateway can't undo, so that nobody could read it.",
    Reason.AUTHENTICATION: "The gateway needs a user name and password for this connection.",
    Reason.GRANT: "Somebody opened this address for a while.",
    Reason.SCHOOL_DENY: "The school itself blocks this address.",
    Reason.SCHOOL_ALLOW: "The school itself allows this address.",
    Reason.LIST: "The address is on a list in a category for which the policy has a rule.",
    Reason.TYPED_TEXT: "The words that were typed match a phrase that the school watches for.",
    Reason.HOST_WORDS: "The name of the site holds words that the school watches for.",
    Reason.PAGE_TEXT: "The text of the page matches phrases that the school watches for.",
    Reason.DEFAULT: "No rule speaks of this address; the group's default applies.",
    Reason.FAULT: "Something of the gateway's own failed, so it stopped the request to be safe.",
}


class Match(msgspec.Struct, frozen=True):
    """One phrase found in a text: what, where and how much it weighs."""

    phrase: str
    category: str
    level: int
    weight: int
    context: str
    """Where the text stood: `search`, `form`, `prompt` or `page`."""
    start: int = 0
    end: int = 0
    """Character positions in the text as given."""
    kind: str = ""
    """Kind within the category, where its set names one."""
    lowers: int = 0
    """Above 0 for words that make others harmless: levels by which they lower their category."""
    disguised: bool = False
    """True when only the second reading showed it (`rules.disguises`)."""


class Decision(msgspec.Struct, frozen=True):
    """The answer for one request."""

    action: Action
    reason: Reason
    category: str | None = None
    """Policy category that decided, for example `gambling`."""
    level: int = 0
    """0 for nothing of note, otherwise 1 (information) to 5 (critical)."""
    list: str | None = None
    """Name of the list whose entry decided."""
    rule: str | None = None
    """The rule as its author wrote it: a list entry, a policy key, a grant; of a phrase one way to write it."""
    categories: tuple[str, ...] = ()
    """Every policy category that the request fell in."""
    matches: tuple[Match, ...] = ()
    grant: str | None = None
    """Identifier of the grant that opened the request."""

    @property
    def sealed(self) -> bool:
        """True for a hit in an illegal-content list: no URL of it may be written down or shown."""
        return self.reason is Reason.SEALED_LIST
