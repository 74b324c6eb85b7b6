"""Who acts: console accounts, tokens, people at the gateway, the command line, and the gateway itself."""

from dataclasses import dataclass
from typing import Literal

from analyser.casework.columns import folded

ROLES = ("administrator", "technician", "dsl", "teacher", "headteacher", "governor")


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who does a thing that the audit writes down.

    Kinds: `account` signed in to the console, `token` a bearer token, `user` signed in at the gateway, `address`
    an unnamed device at the gateway, `os` a user of this machine on the command line, `gateway` the system itself.
    """

    kind: Literal["account", "token", "user", "address", "os", "gateway"]
    name: str
    maker: str = ""
    """For a token: the written form of the account that made it."""

    @property
    def written(self) -> str:
        """The form of the audit: the bare name for an account, otherwise kind and name."""
        return self.name if self.kind in ("account", "gateway") else f"{self.kind}:{self.name}"

    @property
    def persons(self) -> frozenset[str]:
        """What counts as the same person: an account and a gateway user of one name do, as do a token and its maker."""
        return persons_of(self.written) | (persons_of(self.maker) if self.maker and ":" not in self.maker else frozenset())


GATEWAY = Actor("gateway", "gateway")


def persons_of(written: str) -> frozenset[str]:
    """Return the identities behind a written actor: `user:Ann` and the account `ANN` are one person."""
    name = folded(written)
    return frozenset({name.removeprefix("user:")})
