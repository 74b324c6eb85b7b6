"""The first administrator: an account without a password, and a link with which its owner sets one."""

from analyser.casework import accounts, signins
from analyser.casework.database import CaseworkDatabase
from analyser.casework.people import GATEWAY
from schoolgate import wiring

FIRST_ADMINISTRATOR = "admin"


def first_administrator_link(database: CaseworkDatabase, console: str) -> str | None:
    """Return a fresh one-time link below the console's URL while no administrator can sign in, else None; earlier links die."""
    with database.session() as session:
        if accounts.any_administrator(session):
            return None
        account = accounts.find(session, FIRST_ADMINISTRATOR)
        if account is None:
            account = accounts.add(session, GATEWAY, FIRST_ADMINISTRATOR, role="administrator")
        elif account.role != "administrator" or account.disabled:
            accounts.change(session, GATEWAY, account, role="administrator", group=account.group, disabled=False)
        return wiring.password_link(console, signins.make_link(session, GATEWAY, account))
