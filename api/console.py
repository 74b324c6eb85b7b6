"""What every route shares: the running analyser, the settings, and the limits on attempts."""

import asyncio
import socket
from datetime import tzinfo

from starlette.requests import Request

from analyser.casework.database import CaseworkDatabase
from analyser.casework.unblock import UnblockRules
from analyser.service import Analyser
from api.limits import AttemptLimit
from api.settings import ConsoleSettings
from rules.policy import Policy
from rules.request import Request as Asked
from rules.request import Subject
from rules.ruleset import Ruleset


class Console:
    """The console's shared parts; one for each application."""

    def __init__(self, analyser: Analyser, settings: ConsoleSettings) -> None:
        self.analyser = analyser
        self.settings = settings
        self.names = frozenset({settings.host.lower().strip("[]"), socket.gethostname().lower(), socket.getfqdn().lower()}) | settings.names
        self.closing = asyncio.Event()
        """Set when the server stops: streams end."""
        self.form_limit = AttemptLimit(5, 600)
        """Requests from block pages, for each person or device."""
        self.sign_in_limit = AttemptLimit(30, 60)
        """Sign-ins for each client address: every one costs a password hash."""
        self.token_limit = AttemptLimit(10, 60)
        """Wrong bearer tokens for each client address."""
        self.looks = AttemptLimit(1, 60)
        """Looks at lists that name people (see `api.looks`)."""

    @property
    def casework(self) -> CaseworkDatabase:
        """The casework database."""
        return self.analyser.casework

    def ruleset(self) -> Ruleset:
        """Return the ruleset in force."""
        return self.analyser.ruleset

    def policy(self) -> Policy:
        """Return the policy in force."""
        return self.ruleset().policy

    def own_hosts(self) -> frozenset[str]:
        """Names of the gateway's public pages."""
        return self.policy().own_hosts

    def timezone(self) -> tzinfo:
        """Time zone in which people read times."""
        return self.policy().timezone

    def unblock_rules(self) -> UnblockRules:
        """Return what the ruleset in force says about unblocks."""
        ruleset = self.ruleset()
        return UnblockRules(
            sealed=lambda url: ruleset.sealed.find(url) is not None,
            maximum_minutes=ruleset.policy.limits.grant_minutes,
            groups=frozenset(ruleset.policy.groups),
            rooms=ruleset.policy.rooms,
            closed=lambda url: ruleset.policy.safety.fault_of(Asked(url, Subject("", ""), 0.0)) is not None,
        )

    def publish(self) -> None:
        """Tell the gateway's workers of a change in grants or accounts."""
        self.analyser.publish()


def console_of(request: Request) -> Console:
    """Return the console of the application that answers a request."""
    console = request.app.state.console
    assert isinstance(console, Console)
    return console
