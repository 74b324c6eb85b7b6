"""Every setting of the policy file, with its kind, default and a line of documentation."""

from typing import NamedTuple

from rules import kinds as k
from rules.kinds import Kind, list_of, map_of, whole


class _Required:
    """Marks a setting without a default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


class Setting(NamedTuple):
    """One key of a section."""

    key: str
    kind: Kind
    default: object
    """As TOML gives it, or `REQUIRED`, or None for "not set"."""
    doc: str


class Section(NamedTuple):
    """One table of the file. `shape`: `table`, `named` (one table per name) or `list` (`[[...]]`)."""

    key: str
    shape: str
    doc: str
    settings: tuple[Setting, ...]
    sections: tuple["Section", ...] = ()


class SettingDoc(NamedTuple):
    """One line of docs/settings.md."""

    key: str
    """Dotted, for example `groups.<name>.default`."""
    type: str
    default: str
    doc: str


_DAYS = Setting("days", list_of(k.DAYS), ["mon-sun"], 'Days on which it holds, for example `["mon-fri"]`.')
_TIMES = Setting(
    "times", list_of(k.TIMES), ["00:00-24:00"], "Spans of the school's local time; one that ends before it starts runs past midnight."
)
_GROUPS = Setting("groups", list_of(k.NAME), [], "Groups that it is for; empty means everybody.")

SCHOOL = Section(
    "school", "table", "The school.",
    (
        Setting("name", k.NAME, "School", "Name of the school, shown on the block page."),
        Setting("site", k.NAME, "main", "Name of this site; every event carries it."),
        Setting("timezone", k.ZONE, "Europe/London", "Time zone of lesson times."),
        Setting("contact", k.TEXT, "", "Whom to ask about a blocked page, shown on the block page."),
    ),
)  # fmt: skip

GATEWAY = Section(
    "gateway", "table", "How the gateway meets browsers and sites.",
    (
        Setting("own_host", k.HOST, "schoolgate.internal", "Host name of the help page, the certificate and the PAC file."),
        Setting("ports", list_of(k.PORT), [80, 443, 8080, 8443], "Ports that web addresses may name."),
        Setting("connect_ports", list_of(k.PORT), [443, 8443], "Ports to which browsers may open a tunnel (CONNECT)."),
        Setting("private_targets", list_of(k.TARGET), [], "Private networks and hosts inside the school that may be reached."),
        Setting("numeric_targets", list_of(k.NETWORK), [], "Public networks that may be reached by number instead of by name."),
        Setting("trusted_ca", k.TEXT, "", "File with further certificate authorities (PEM) that sites may use; relative to this file."),
        Setting("hosts", map_of(k.ADDRESS), {}, "Addresses of hosts that the gateway takes from here instead of from DNS."),
        Setting("splice", list_of(k.HOST), [],
                "Hosts, with sub-domains, whose TLS connections pass unread (banks, device management); lists still see the host. "
                "Entries of lists for single pages of such a host, sealed ones included, can't be seen; where `[[deny]]` names a page "
                "of one, the host is read after all."),
        Setting("require_sign_in", k.FLAG, False, "Ask for user name and password where no subnet entry says otherwise."),
        Setting("header_seconds", whole(1, 600), 30, "Seconds within which a browser has to send the head of a request."),
        Setting("idle_seconds", whole(5, 86_400), 600, "Seconds after which a silent connection is closed."),
        Setting("max_connections", whole(10, 1_000_000), 20_000, "Connections that one worker holds at most; further ones wait."),
    ),
)  # fmt: skip

LIMITS = Section(
    "limits", "table", "Upper bounds that nobody can go beyond.",
    (
        Setting("grant_minutes", whole(1, 10_080), 240, "Longest temporary unblock, in minutes."),
        Setting("continue_minutes", whole(1, 1_440), 30, 'How long "go on" past a warning lasts, in minutes.'),
        Setting("form_bytes", whole(0, 16_777_216), 262_144,
                "Bytes of a request's body that are read for typed words; the rest passes unread."),
        Setting("page_bytes", whole(0, 67_108_864), 2_097_152,
                "Largest page, in bytes after decompression, whose text is read; larger ones pass unread."),
        Setting("page_characters", whole(1_000, 10_000_000), 300_000, "Characters of visible text that are weighed on one page."),
    ),
)  # fmt: skip

RETENTION = Section(
    "retention", "table", "How long the record is kept.",
    (
        Setting("event_days", whole(1, 3_650), 90,
                "Whole days for which events are kept; older ones are deleted. Alerts keep what they show of theirs."),
    ),
)  # fmt: skip

TEXT = Section(
    "text", "table", "Reading the words that people type and the pages that they open.",
    (
        Setting("pages", k.FLAG, True, "Weigh the text of pages."),
        Setting("typed", k.FLAG, True, "Weigh search terms and form fields."),
        Setting("skip_hosts", list_of(k.HOST), [],
                "Hosts, with sub-domains, whose text is private: neither what is typed there nor what they show is read "
                "(help lines, doctors, banks)."),
        Setting("private_categories", list_of(k.NAME), [],
                "Categories of lists whose sites are private in the same way, for example health or banking."),
        Setting("model", k.FLAG, True,
                "Read typed words a second time with the text model that comes with Schoolgate; it finds what no phrase says."),
        Setting("model_blocks", k.FLAG, False, "Let what the text model alone finds be blocked; otherwise it is written down only."),
        Setting("alert_level", k.LEVEL, 4,
                "From this level on a match is written down and makes an alert even where the group's action is allow."),
        Setting("search_threshold", whole(1, 10_000), 50, "Weight that a search term has to reach in one category."),
        Setting("form_threshold", whole(1, 10_000), 60, "Weight that a form field has to reach."),
        Setting("prompt_threshold", whole(1, 10_000), 60, "Weight that a prompt to an AI assistant has to reach."),
        Setting("page_threshold", whole(1, 10_000), 200,
                "Weight that a page has to reach; repeats of a phrase count half as much each time."),
        Setting("host_threshold", whole(1, 10_000), 60, "Weight that the words of a host name have to reach."),
    ),
)  # fmt: skip

SEALED = Section(
    "sealed", "table", "Lists of unlawful content, which no setting can weaken.",
    (Setting("required", list_of(k.NAME), [],
            "Sealed lists that have to be loaded, for example `iwf`, `ctiru`; the gateway stops when one is missing."),),
)  # fmt: skip

CATEGORY = Section(
    "categories", "named", "What sites and words are about. The categories of the starter policy are known without being written.",
    (
        Setting("title", k.NAME, None, "Name as people read it; the key itself when not set."),
        Setting("theme", k.NAME, None, "Theme under which alerts gather; the category itself when not set."),
        Setting("level", whole(0, 5), None,
                "Weight of a listed site, 0 (nothing) to 5 (critical); from `text.alert_level` on it makes an alert "
                "at once. When not set: as in the starter policy, otherwise 1."),
        Setting("includes", list_of(k.NAME), [], "Names that lists use for this category, for example folder names of UT1."),
    ),
)  # fmt: skip

TIMED = Section(
    "timed", "list", "Other actions at some times; the first entry that holds and names the category decides.",
    (
        Setting("name", k.NAME, "", 'Name of the time, for example "lunch".'),
        _DAYS,
        _TIMES,
        Setting("actions", map_of(k.ACTION), {}, "Action by category during that time."),
        Setting("default", k.ACTION, None, "Action for sites that no list names, during that time."),
    ),
)  # fmt: skip

THRESHOLDS = Section(
    "thresholds", "table", "Weights that words have to reach for this group, where they differ from `[text]`: lower for younger pupils.",
    tuple(
        Setting(context, whole(1, 10_000), None, f"Instead of `text.{context}_threshold`.") for context in k.CONTEXTS
    ),
)  # fmt: skip

GROUP = Section(
    "groups", "named", "People who share a policy. The strictest group is for everybody whom nothing else names.",
    (
        Setting("title", k.NAME, None, "Name as people read it; the key itself when not set."),
        Setting("users", list_of(k.NAME), [],
                "User names of the gateway's sign-in that belong to the group; an account's own group counts where no group names it."),
        Setting("default", k.ACTION, "allow", "Action for sites that no list names."),
        Setting("other_categories", k.ACTION, "block", "Action for categories that `actions` doesn't name."),
        Setting("actions", map_of(k.ACTION), {}, "Action by category."),
        Setting("text", map_of(k.ACTION), {}, "Action by category for words (typed or on a page) where it differs from `actions`."),
    ),
    (TIMED, THRESHOLDS),
)  # fmt: skip

SUBNET = Section(
    "subnets", "list", "Which group sits where; the narrowest network wins.",
    (
        Setting("networks", list_of(k.NETWORK), REQUIRED, "Networks or single addresses."),
        Setting("group", k.NAME, REQUIRED, "Group of whoever does not sign in there."),
        Setting("room", k.NAME, None, "Name of the room, for temporary unblocks by room."),
        Setting("require_sign_in", k.FLAG, None, "Ask for user name and password there; `gateway.require_sign_in` when not set."),
    ),
)  # fmt: skip

ALLOW = Section(
    "allow", "list", "Sites that the school itself allows.",
    (
        Setting("entries", list_of(k.TEXT), REQUIRED,
                "`host` (with sub-domains), `host/path` (and below) or a whole address with its query."),
        _GROUPS,
        Setting("reason", k.TEXT, "", "Why; for whoever reads this next year."),
    ),
)  # fmt: skip

DENY = Section(
    "deny", "list", "Sites that the school itself blocks. Deny goes before allow.",
    (
        Setting("entries", list_of(k.TEXT), REQUIRED, "As in `allow`."),
        _GROUPS,
        Setting("category", k.NAME, "school", "Category shown for them; it need not be one of `categories`."),
        Setting("reason", k.TEXT, "", "Why; for whoever reads this next year."),
    ),
)  # fmt: skip

PHRASE = Section(
    "phrases", "list", "Phrases with settings of their own.",
    (
        Setting("text", k.TEXT, REQUIRED,
                "The phrase: whole words; `*` at an end stands for the rest of a word, `{a|b}` for one of several, "
                "` ... ` for up to 6 words."),
        Setting("weight", whole(1, 1_000), None, "Weight; the set's when not set."),
        Setting("level", k.LEVEL, None, "Level; the set's when not set."),
        Setting("contexts", list_of(k.CONTEXT), None, "Where it counts; the set's when not set."),
        Setting("with", list_of(k.TEXT), [], "It counts only with one of these near it."),
        Setting("unless", list_of(k.TEXT), [], "It does not count with one of these near it."),
        Setting("kind", k.TEXT, None, "Kind within the category; the set's when not set."),
        Setting("language", k.TEXT, None, "Language, for example `cy`; the set's when not set."),
        Setting("loose", k.FLAG, None, "Also found in disguised spellings; the set's when not set."),
        Setting("lowers", whole(0, 4), None, "Levels by which it lowers its category; the set's when not set."),
        Setting("stops", k.FLAG, None, "Whether it may stop what is typed; the set's when not set."),
        Setting("note", k.TEXT, None, "Why it stands here; the set's when not set."),
    ),
)  # fmt: skip

KEYWORD_SET = Section(
    "keyword_sets", "list", "The school's own phrases.",
    (
        Setting("category", k.NAME, REQUIRED, "Category of the phrases."),
        Setting("kind", k.TEXT, "", "Kind within the category, for example `far-right` in `extremism`; shown beside a match."),
        Setting("weight", whole(1, 1_000), 60, "Weight of a phrase; see `text.search_threshold`."),
        Setting("level", k.LEVEL, 3, "Level of a match, 1 (information) to 5 (critical)."),
        Setting("contexts", list_of(k.CONTEXT), list(k.TEXT_CONTEXTS),
                "Where phrases count: `search`, `form`, `prompt`, `page`, and `host` for the site's name."),
        Setting("words", list_of(k.TEXT), [], "Phrases without settings of their own."),
        Setting("with", list_of(k.TEXT), [], "Every phrase counts only with one of these near it."),
        Setting("unless", list_of(k.TEXT), [], "No phrase counts with one of these near it."),
        Setting("language", k.TEXT, "en", "Language of the phrases (BCP 47)."),
        Setting("loose", k.FLAG, False, "Phrases are also found in digits for letters, spaced-out and repeated letters."),
        Setting("lowers", whole(0, 4), 0,
                "Above 0 the phrases count for nothing themselves: found beside others of their category they lower its level, "
                "but never level 5."),
        Setting("stops", k.FLAG, True,
                "False for words of despair, worry and disclosure: a person hears of them, and what is typed is not stopped for them; "
                "a search with such words of level 5 still gets the page with the help lines."),
        Setting("note", k.TEXT, "", "Why the set stands here; for whoever reads this next year."),
    ),
    (PHRASE,),
)  # fmt: skip

KEYWORDS = Section(
    "keywords", "table", "Which keyword sets are in force.",
    (
        Setting("starter", k.FLAG, True, "Use the sets that come with Schoolgate."),
        Setting("files", list_of(k.TEXT), [], "Further files of `[[keyword_sets]]`, relative to this file."),
    ),
)  # fmt: skip

ROOT = Section(
    "", "table", "The policy.",
    (
        Setting("version", whole(1, 1), 1, "Version of this file's form."),
        Setting("default_group", k.NAME, None,
                "Group for everybody whom nothing else names; it can only be the strictest, which is also what is taken when not set."),
    ),
    (SCHOOL, GATEWAY, LIMITS, RETENTION, TEXT, SEALED, CATEGORY, GROUP, SUBNET, ALLOW, DENY, KEYWORDS, KEYWORD_SET),
)  # fmt: skip

KEYWORD_FILE = Section("", "table", "A file of keyword sets.", (), (KEYWORD_SET,))


def schema_reference() -> list[SettingDoc]:
    """Return every setting in the order of the file, for docs/settings.md."""
    found: list[SettingDoc] = []
    _collect(ROOT, "", found)
    return found


def _collect(section: Section, prefix: str, found: list[SettingDoc]) -> None:
    found += [SettingDoc(prefix + one.key, one.kind.name, _default_text(one.default), one.doc) for one in section.settings]
    for inner in section.sections:
        ending = {"table": ".", "named": ".<name>.", "list": "[]."}[inner.shape]
        _collect(inner, prefix + inner.key + ending, found)


def _default_text(default: object) -> str:
    if default is REQUIRED:
        return "required"
    if default is None:
        return "not set"
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, str):
        return f'"{default}"'
    return str(default).replace("'", '"')
