"""What is in force right now: ruleset, state, and whether the gateway may let anything through at all."""

from dataclasses import dataclass, field

from rules.ruleset import Ruleset
from rules.state import State


@dataclass(slots=True)
class Live:
    """The one mutable value of a worker: its fields are replaced as a whole, by the watcher, and read by every request."""

    ruleset: Ruleset | None = None
    state: State = field(default_factory=State)
    fault: str = "The ruleset is not loaded yet."
    """Why everything is refused; empty while all is well."""
