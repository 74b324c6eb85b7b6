"""All detectors, run over each batch of new events."""

from collections.abc import Sequence
from dataclasses import dataclass

from analyser.detect import gateway
from analyser.detect.circumvention import circumvention
from analyser.detect.draft import AlertDraft, ThemeOf, merged
from analyser.detect.grave import DELIBERATE_SECONDS, GRAVE_LEVEL, grave_match, sealed_hit
from analyser.detect.repeated import repeated_blocks
from analyser.detect.window import Window
from rules.event import Event


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """When a pattern is worth an alert."""

    alert_level: int = GRAVE_LEVEL
    repeated_blocks: int = 5
    repeated_seconds: float = 600.0
    circumvention_seconds: float = 600.0

    @property
    def memory_seconds(self) -> float:
        """How far back the detectors remember, apart from hits of sealed lists (a day)."""
        return max(self.repeated_seconds, self.circumvention_seconds)


def same_category(category: str) -> str:
    """Theme of a category when no policy says otherwise: its own name."""
    return category


class Detectors:
    """The detectors with their memory of the last minutes."""

    def __init__(self, theme_of: ThemeOf = same_category, settings: DetectorSettings | None = None) -> None:
        self.theme_of = theme_of
        self.settings = settings or DetectorSettings()
        self._blocks: Window[tuple[str, str, str]] = Window(self.settings.repeated_seconds)
        self._attempts: Window[tuple[str, str]] = Window(self.settings.circumvention_seconds)
        self._sealed: Window[tuple[str, str]] = Window(DELIBERATE_SECONDS)

    def feed(self, events: Sequence[Event]) -> list[AlertDraft]:
        """Return the drafts that a batch of events gives, those that belong together made one."""
        drafts: list[AlertDraft] = []
        for event in events:
            # Nine in ten events are plain allowed requests, about which no detector has anything to say.
            if event.level or event.action != "allow" or event.fault:
                drafts += self._drafts_of(event)
        return merged(drafts + gateway.faults(events))

    def _drafts_of(self, event: Event) -> list[AlertDraft]:
        found = (
            grave_match(event, self.theme_of, self.settings.alert_level),
            sealed_hit(event, self._sealed),
            repeated_blocks(event, self.theme_of, self._blocks, self.settings.repeated_blocks),
            circumvention(event, self.theme_of, self._attempts),
        )
        return [draft for draft in found if draft is not None]
