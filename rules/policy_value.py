"""The policy: who may do what when, as the school wrote it, compiled so that a question costs microseconds."""

from zoneinfo import ZoneInfo

import msgspec

from blocklists.url import CanonicalUrl
from rules.decision import Action
from rules.groups import Group, Roster
from rules.keywords.sets import KeywordSet
from rules.request import Subject
from rules.safety import Safety
from rules.schedule import local_time
from rules.school_lists import EntryIndex, SchoolEntry
from rules.settings import Category, Gateway, Limits, Retention, School, TextSettings, ThemeScore

SERVICE = "service:"
"""Start of a category that only names a service, for example `service:youtube`: no reason to block unless the policy says so."""

HELP_SEEKING = "help-seeking"
"""Category of words with which somebody asks for help."""


class Policy(msgspec.Struct, frozen=True, eq=False):
    """A valid policy; never changed, only replaced."""

    school: School
    gateway: Gateway
    limits: Limits
    text: TextSettings
    safety: Safety
    categories: dict[str, Category]
    names: dict[str, str]
    """Policy category by the name that a list uses."""
    groups: dict[str, Group]
    roster: Roster
    allow_entries: EntryIndex
    deny_entries: EntryIndex
    keyword_sets: tuple[KeywordSet, ...]
    required_sealed: tuple[str, ...]
    own_hosts: frozenset[str]
    keyword_files: tuple[str, ...] = ()
    """Files that the policy names for keyword sets, as full paths."""
    retention: Retention = Retention()

    @property
    def site(self) -> str:
        """Name of the school's site."""
        return self.school.site

    @property
    def timezone(self) -> ZoneInfo:
        """Time zone of lesson times."""
        return self.school.timezone

    @property
    def alert_level(self) -> int:
        """Level from which a match is written down whatever the action."""
        return self.text.alert_level

    @property
    def strictest_group(self) -> str:
        """Group of everybody whom nothing names."""
        return self.roster.strictest

    @property
    def rooms(self) -> frozenset[str]:
        """Rooms that `[[subnets]]` names: an unblock for a room is for one of them."""
        return self.roster.rooms

    def denied(self, url: CanonicalUrl, group: str) -> SchoolEntry | None:
        """Return the school's deny entry for the address, or None."""
        return self.deny_entries.find(url, group)

    def allowed(self, url: CanonicalUrl, group: str) -> SchoolEntry | None:
        """Return the school's allow entry for the address, or None."""
        return self.allow_entries.find(url, group)

    def category_named(self, list_category: str) -> str:
        """Return the policy's category for a list's name of it; a name that the policy doesn't know stays itself."""
        return self.names.get(list_category, list_category)

    def action_for(self, group: str, category: str, at: float) -> tuple[Action, str]:
        """Return the action for a category at a time (seconds since the epoch, UTC), with the policy key that says so."""
        rules = self._group(group)
        if rules.timed:
            now = local_time(at, self.school.timezone)
            for index, timed in enumerate(rules.timed):
                action = timed.actions.get(category)
                if action is not None and timed.schedule.holds_at(now):
                    return action, f"groups.{rules.name}.timed[{index + 1}].actions.{category}"
        action = rules.actions.get(category)
        if action is not None:
            return action, f"groups.{rules.name}.actions.{category}"
        if category.startswith(SERVICE):
            return Action.ALLOW, "services"
        return rules.other_categories, f"groups.{rules.name}.other_categories"

    def default_action(self, group: str, at: float) -> Action:
        """Return the action for an address that no list names."""
        rules = self._group(group)
        if rules.timed:
            now = local_time(at, self.school.timezone)
            for timed in rules.timed:
                if timed.default is not None and timed.schedule.holds_at(now):
                    return timed.default
        return rules.default

    def thresholds_of(self, group: str) -> dict[str, int] | None:
        """Return the weights to reach by context for a group, or None where they are the lowest of all groups anyway."""
        return self._group(group).thresholds

    def lowest_thresholds(self) -> dict[str, int]:
        """Return, for each context, the lowest weight that any group asks for: below it a text is nothing for anybody."""
        lowest = dict(self.text.thresholds)
        for group in self.groups.values():
            for context, weight in (group.thresholds or {}).items():
                lowest[context] = min(lowest[context], weight)
        return lowest

    def text_action(self, group: str, theme: ThemeScore, context: str, at: float) -> Action:
        """Return the action for words of a category; `context` is where they stood."""
        del context  # one action for words wherever they stand; thresholds differ by context
        action = self._group(group).text.get(theme.category)
        if action is None and theme.category == HELP_SEEKING:
            # A child who asks for help finds it, also under a policy that has never heard of the category.
            return Action.LOG
        return action if action is not None else self.action_for(group, theme.category, at)[0]

    def level_of(self, category: str) -> int:
        """Return the level of a listed site of the category; 1 for a category that the policy doesn't name."""
        found = self.categories.get(category)
        return found.level if found is not None else 1

    def theme_of(self, category: str) -> str:
        """Return the theme of a category; the category itself when the policy doesn't name it."""
        found = self.categories.get(category)
        return found.theme if found is not None else category

    def title_of(self, category: str) -> str:
        """Return a category's name as people read it."""
        found = self.categories.get(category)
        return found.title if found is not None else category

    def identify(self, address: str, user: str | None = None, user_group: str | None = None) -> Subject:
        """Return who is asking, from the client's address and a verified user name with its account's group."""
        return self.roster.identify(address, user, user_group)

    def sign_in_required(self, address: str) -> bool:
        """True when the gateway has to ask for user name and password at this client address."""
        return self.roster.sign_in_required(address)

    def splices(self, host: str) -> bool:
        """True when TLS connections to the canonical host pass unread."""
        return _covers(self.gateway.splice, host)

    def is_private(self, host: str) -> bool:
        """True for a canonical host whose text is never read."""
        return _covers(self.text.skip_hosts, host)

    def reads_text(self, host: str) -> bool:
        """True when pages of the canonical host are weighed."""
        return self.text.pages and not self.is_private(host)

    def _group(self, name: str) -> Group:
        return self.groups.get(name) or self.groups[self.roster.strictest]


def _covers(hosts: frozenset[str], host: str) -> bool:
    if not hosts:
        return False
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False
