"""Keeps the workers' snapshot in step with the casework: written when grants or accounts changed, and at a grant's end."""

import threading
import time
from pathlib import Path

from analyser.casework import audit, unblock
from analyser.casework.accounts import proxy_accounts
from analyser.casework.database import CaseworkDatabase
from analyser.casework.snapshot import publish_snapshot


class SnapshotPublisher:
    """Writes one snapshot file; safe from any thread."""

    def __init__(self, database: CaseworkDatabase, path: Path) -> None:
        self._database = database
        self._path = path
        self._lock = threading.Lock()
        self._published: object = None
        self._audited = -1
        self._next_expiry: float | None = None

    def publish(self) -> None:
        """Write the snapshot now if grants or accounts are other than in the last one; call it after the commit."""
        with self._lock:
            now = time.time()
            with self._database.reading() as session:
                audited = audit.newest(session)
                grants = unblock.in_force(session, now=now)
                content = (tuple(map(unblock.grant_value, grants)), proxy_accounts(session))
                if content != self._published or not self._path.exists():
                    publish_snapshot(session, self._path, now=now)
                # Only now: a write that failed (a full disk) is tried again at the next step.
                self._published, self._audited = content, audited
                self._next_expiry = min((grant.until for grant in grants), default=None)

    def publish_if_audited(self) -> None:
        """Write the snapshot when something was audited since: every change of a grant or account is, an alert alone is not."""
        with self._database.reading() as session:
            audited = audit.newest(session)
        if audited != self._audited:
            self.publish()

    def step(self) -> None:
        """Drop the grants whose time came, and note it in the audit."""
        expiry = self._next_expiry
        if expiry is not None and time.time() >= expiry:
            self.publish()
            with self._database.session() as session:
                unblock.run_out(session)
