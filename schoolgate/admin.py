"""The first administrator: an account without a password, and a link with which its owner sets one."""

from analyser.casework import accounts, signins
from analyser.casework.people import GATEWAY
from schoolgate import wiring
from schoolgate.address import Address
from schoolgate.paths import StatePaths

FIRST_ADMINISTRATOR = "admin"


def first_administrator_link(paths: StatePaths, console: Address) -> str | None:
    """Return a fresh one-time link while no administrator can sign in, else None; earlier links of the account die."""
    with wiring.casework_open(paths) as database, database.session() as session:
        if accounts.any_administrator(session):
            return None
        account = accounts.find(session, FIRST_ADMINISTRATOR)
        if account is None:
            account = accounts.add(session, GATEWAY, FIRST_ADMINISTRATOR, role="administrator")
        elif account.role != "administrator" or account.disabled:
            accounts.change(session, GATEWAY, account, role="administrator", group=account.group, disabled=False)
        return wiring.password_link(console.url, signins.make_link(session, GATEWAY, account))
