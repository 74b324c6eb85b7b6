"""Where everything of one installation lies: the state folder."""

from dataclasses import dataclass
from pathlib import Path

STATE_FORMAT = 1
"""Version of the folder's layout; a folder with a higher number belongs to a newer Schoolgate."""

STATE_VARIABLE = "SCHOOLGATE_STATE"
DEFAULT_STATE = Path("state")


@dataclass(frozen=True, slots=True)
class StatePaths:
    """The files and folders below one state folder (layout: docs/architecture.md)."""

    root: Path

    @property
    def format(self) -> Path:
        """Text file with the layout's version."""
        return self.root / "format"

    @property
    def policy(self) -> Path:
        """The policy, unless `--config` names another file."""
        return self.root / "policy.toml"

    @property
    def config_note(self) -> Path:
        """Path of the policy that the last `up` used, when it was not the one above; so that other commands use it too."""
        return self.root / "config"

    @property
    def ca_folder(self) -> Path:
        """Folder of the certificate authority."""
        return self.root / "ca"

    @property
    def ca_key(self) -> Path:
        """Private key of the certificate authority: PEM, P-256, mode 0600."""
        return self.ca_folder / "ca.key"

    @property
    def ca_certificate(self) -> Path:
        """Certificate of the authority, PEM: what a school's devices must trust."""
        return self.ca_folder / "ca.crt"

    @property
    def keys(self) -> Path:
        """Folder of the installation's secret keys."""
        return self.root / "keys"

    @property
    def events_key(self) -> Path:
        """Key of the event store: 32 random bytes, hexadecimal."""
        return self.keys / "events.key"

    @property
    def casework_key(self) -> Path:
        """Key of the encrypted columns of the casework database."""
        return self.keys / "casework.key"

    @property
    def gateway_key(self) -> Path:
        """Key with which workers and console sign for each other, and of the digests of sealed hits."""
        return self.keys / "gateway.key"

    @property
    def lists(self) -> Path:
        """The lists as loaded, and their compiled file."""
        return self.root / "lists"

    @property
    def sealed(self) -> Path:
        """The sealed lists: digests only."""
        return self.root / "sealed"

    @property
    def rulesets(self) -> Path:
        """Numbered rulesets and the link `current`."""
        return self.root / "rulesets"

    @property
    def current_ruleset(self) -> Path:
        """Link to the ruleset in force."""
        return self.rulesets / "current"

    @property
    def ruleset_stamp(self) -> Path:
        """Of which files `up` built the current ruleset, so that a start with the same ones need not build it again."""
        return self.rulesets / ".built-from"

    @property
    def spool(self) -> Path:
        """Events on their way from the workers to the event store."""
        return self.root / "spool"

    @property
    def aside(self) -> Path:
        """Torn lines that ingest kept."""
        return self.spool / "aside"

    @property
    def snapshot(self) -> Path:
        """Grants and gateway accounts, published by the console for the workers."""
        return self.root / "snapshot.json"

    @property
    def events(self) -> Path:
        """The event store."""
        return self.root / "events.duckdb"

    @property
    def casework(self) -> Path:
        """The casework database, unless a URL names another."""
        return self.root / "casework.db"

    @property
    def run(self) -> Path:
        """What only holds while processes run: lock, sockets, reports of the workers."""
        return self.root / "run"

    @property
    def up_lock(self) -> Path:
        """Held by the supervisor for as long as it runs."""
        return self.run / "up.lock"

    @property
    def console_lock(self) -> Path:
        """Held by whoever has the event store open: the console, or for a moment a command."""
        return self.run / "console.lock"

    @property
    def console_file(self) -> Path:
        """Where the running console answers, for the command line."""
        return self.run / "console.json"

    @property
    def operator_token(self) -> Path:
        """Bearer token with which the command line asks the running console."""
        return self.run / "operator.token"

    @property
    def notify_socket(self) -> Path:
        """Where the supervisor hears that a part is ready."""
        return self.run / "notify.sock"

    def report(self, worker: str) -> Path:
        """What a worker says about itself, every second."""
        return self.run / f"{worker}.json"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that must exist before a process starts, parents first."""
        return (self.root, self.ca_folder, self.keys, self.lists, self.sealed, self.rulesets, self.spool, self.aside, self.run)

    @property
    def secret_keys(self) -> tuple[Path, ...]:
        """The key files that the first run makes."""
        return (self.events_key, self.casework_key, self.gateway_key)
