"""Groups, and which of them somebody belongs to."""

import ipaddress
from functools import lru_cache

import msgspec

from rules.decision import Action
from rules.kinds import Network
from rules.request import IdentitySource, Subject
from rules.schedule import Schedule


class Timed(msgspec.Struct, frozen=True):
    """Other actions at some times."""

    name: str
    schedule: Schedule
    actions: dict[str, Action]
    default: Action | None


class Group(msgspec.Struct, frozen=True):
    """Section `[groups.<name>]`."""

    name: str
    title: str
    users: frozenset[str]
    default: Action
    other_categories: Action
    actions: dict[str, Action]
    text: dict[str, Action]
    timed: tuple[Timed, ...]
    thresholds: dict[str, int] | None = None
    """Weight to reach by context; None where they are the policy's."""


class Place(msgspec.Struct, frozen=True):
    """One network of a `[[subnets]]` entry."""

    network: Network
    group: str
    room: str | None
    require_sign_in: bool | None


class Roster:
    """Finds the group of a client address and a user name."""

    def __init__(self, groups: dict[str, Group], places: tuple[Place, ...], strictest: str, require_sign_in: bool) -> None:
        self.strictest = strictest
        self._groups = frozenset(groups)
        self._by_user = {user.casefold(): group.name for group in groups.values() for user in group.users}
        # The narrowest network first: it wins.
        self._places = tuple(sorted(places, key=lambda place: -place.network.prefixlen))
        self._require_sign_in = require_sign_in
        self._place = lru_cache(maxsize=16_384)(self._find_place)

    @property
    def rooms(self) -> frozenset[str]:
        """Rooms that the networks name."""
        return frozenset(place.room for place in self._places if place.room is not None)

    def identify(self, address: str, user: str | None, user_group: str | None) -> Subject:
        """Return the subject: by user, else by subnet, else in the strictest group."""
        place = self._place(address)
        room = place.room if place is not None else None
        if user is not None:
            group = self._by_user.get(user.casefold()) or user_group
            if group is None or group not in self._groups:
                group = self.strictest
            return Subject(address, group, user=user, room=room, identity_source=IdentitySource.PROXY_AUTH)
        if place is not None:
            return Subject(address, place.group, room=room, identity_source=IdentitySource.SUBNET)
        return Subject(address, self.strictest)

    def sign_in_required(self, address: str) -> bool:
        """True when somebody at the address has to sign in."""
        place = self._place(address)
        if place is None or place.require_sign_in is None:
            return self._require_sign_in
        return place.require_sign_in

    def _find_place(self, address: str) -> Place | None:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        for place in self._places:
            if ip in place.network:
                return place
        return None


def severity(group: Group, categories: list[str]) -> tuple[int, int]:
    """Return how strict a group is: its default first, then the sum over categories, each at its mildest hour."""
    defaults = [group.default.strictness, *(timed.default.strictness for timed in group.timed if timed.default is not None)]
    total = group.other_categories.strictness
    for category in categories:
        base = group.actions.get(category, group.other_categories)
        mildest = min([base.strictness, *(timed.actions[category].strictness for timed in group.timed if category in timed.actions)])
        words = group.text.get(category)
        total += mildest if words is None else min(mildest, words.strictness)
    return min(defaults), total


def strictest_of(groups: dict[str, Group], categories: list[str]) -> str:
    """Return the name of the strictest group; of equals, the one that stands first in the file."""
    return max(groups.values(), key=lambda group: severity(group, categories)).name
