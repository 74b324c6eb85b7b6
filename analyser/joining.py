"""Drafts join the alert that is open for the same thing, or become a new one: a whole batch in a handful of statements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from analyser.alerts import latest_revision
from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.columns import keys_of
from analyser.casework.models import Alert, AlertEvent
from analyser.detect.draft import AlertDraft
from analyser.schema import FOLD_SECONDS
from rules.event import Event

SHOWN_EVENTS: Final = 200
"""References kept for one alert; beyond it only the count grows."""
_AT_ONCE: Final = 500
"""Values in one IN list."""
type SubjectKind = Literal["user", "address", "gateway"]
type Story = tuple[str, str, bytes]
"""What an open alert is about: kind, theme, digest of the subject."""


@dataclass(slots=True, eq=False)
class _Target:
    """An alert while drafts join it: a row that exists (`id` set), or one to be."""

    draft: AlertDraft
    subject_key: bytes
    id: int = 0
    status: str = "open"
    level: int = 0
    why: str | None = None
    """The sentence to write; None leaves the one that stands."""
    first: float = 0.0
    last: float = 0.0
    count: int = 0
    risen_from: int | None = None
    """Its level so far, where this batch opens an acknowledged alert again."""
    kept: int = 0
    """References that it has."""
    known: set[str] = field(default_factory=set)
    newest: dict[str, Any] | None = None
    """Its latest reference: a row of `alert_events`, without `id` where it is yet to be written."""
    references: list[dict[str, Any]] = field(default_factory=list)
    """New rows, and rows that take the place of an autocomplete call's."""


def join(session: Session, drafts: Sequence[AlertDraft], *, now: float | None = None) -> list[int]:
    """Join drafts to what is open or make new alerts; return the alert's number for each draft.

    A rise in level opens an acknowledged alert again. Repeated blocks in a theme for which a grave match of the same
    subject is open join that one, so that one story is one alert. A closed alert is never touched. Rows are written
    beside the session's objects: use a session that holds no alerts.
    """
    if not drafts:
        return []
    at, keys = moment(now), keys_of(session)
    digests = {who: keys.digest(f"{who[0]}:{who[1]}") for who in {(draft.subject_kind, draft.subject) for draft in drafts}}
    stories = dict(_open(session, drafts, digests))
    chosen: dict[int, _Target] = {}
    # Grave matches first, so that repeated blocks of the same batch find them.
    for index in sorted(range(len(drafts)), key=lambda index: drafts[index].kind == "repeated-blocks"):
        draft = drafts[index]
        chosen[index] = _chosen(stories, draft, digests[draft.subject_kind, draft.subject])
    joined: dict[_Target, list[AlertDraft]] = {}
    for index, target in sorted(chosen.items()):
        joined.setdefault(target, []).append(drafts[index])
    _recall(session, joined)
    for target, same in joined.items():
        for draft in same:
            _take(target, draft)
    _write(session, list(joined), at, now)
    return [chosen[index].id for index in range(len(drafts))]


def _chosen(stories: dict[Story, _Target], draft: AlertDraft, digest: bytes) -> _Target:
    """Return the alert that the draft belongs to; `stories` gains one where there was none."""
    kinds = ("repeated-blocks", "grave-match") if draft.kind == "repeated-blocks" else (draft.kind,)
    for kind in kinds:
        if (found := stories.get((kind, draft.theme, digest))) is not None:
            return found
    made = _Target(draft, digest, level=draft.level, first=draft.time, last=draft.time)
    stories[draft.kind, draft.theme, digest] = made
    return made


def _open(
    session: Session, drafts: Sequence[AlertDraft], digests: Mapping[tuple[SubjectKind, str], bytes]
) -> Iterator[tuple[Story, _Target]]:
    """Yield the alerts that are not closed of the drafts' subjects, the newest of a story last; nothing is decrypted."""
    about = {digest: draft for draft in drafts for digest in (digests[draft.subject_kind, draft.subject],)}
    kinds, themes = {draft.kind for draft in drafts} | {"grave-match"}, {draft.theme for draft in drafts}
    for some in batched(about, _AT_ONCE, strict=False):
        query = (
            select(
                Alert.kind, Alert.theme, Alert.subject_key, Alert.id, Alert.status, Alert.level, Alert.first_event, Alert.last_event,
                Alert.event_count,
            )
            .where(
                Alert.kind.in_(kinds), Alert.theme.in_(themes), Alert.subject_key.in_(some), Alert.status.in_(("open", "acknowledged"))
            )
            .order_by(Alert.id)
        )  # fmt: skip
        for kind, theme, digest, number, status, level, first, last, count in session.execute(query):
            yield (
                (kind, theme, digest),
                _Target(about[digest], digest, number, status, level, first=first, last=last, count=count),
            )


def _recall(session: Session, joined: dict[_Target, list[AlertDraft]]) -> None:
    """Fetch what taking in the drafts needs to know of alerts that exist: how many references, which of these, the latest."""
    old = {target.id: target for target in joined if target.id}
    asked = {event.id for target in old.values() for draft in joined[target] for event in draft.events}
    for some in batched(old, _AT_ONCE, strict=False):
        counts = select(AlertEvent.alert_id, func.count()).where(AlertEvent.alert_id.in_(some)).group_by(AlertEvent.alert_id)
        for number, kept in session.execute(counts):
            old[number].kept = kept
        for few in batched(asked, _AT_ONCE, strict=False):
            held = select(AlertEvent.alert_id, AlertEvent.event_id).where(AlertEvent.alert_id.in_(some), AlertEvent.event_id.in_(few))
            for number, event_id in session.execute(held):
                old[number].known.add(event_id)
    searching = [target.id for target in old.values() if any(event.search for draft in joined[target] for event in draft.events)]
    for some in batched(searching, _AT_ONCE, strict=False):
        place = func.row_number().over(partition_by=AlertEvent.alert_id, order_by=(AlertEvent.time.desc(), AlertEvent.id.desc()))
        ranked = select(AlertEvent.id, place.label("place")).where(AlertEvent.alert_id.in_(some)).subquery()
        newest = (
            select(AlertEvent.id, AlertEvent.alert_id, AlertEvent.time, AlertEvent.summary)
            .join(ranked, ranked.c.id == AlertEvent.id)
            .where(ranked.c.place == 1)
        )
        for row_id, number, when, summary in session.execute(newest):
            old[number].newest = {"id": row_id, "time": when, "summary": summary}


def _take(target: _Target, draft: AlertDraft) -> None:
    """Let one draft join."""
    if draft.level > target.level and target.status == "acknowledged":
        target.risen_from = target.level if target.risen_from is None else target.risen_from
        target.status = "open"
    if draft.level >= target.level:
        target.why = draft.why
    target.level = max(target.level, draft.level)
    target.first = min([target.first, *(event.time for event in draft.events)])
    target.last = max(target.last, draft.time)
    if not draft.events:
        target.count += 1
    for event in draft.events:
        _refer(target, event)


def _refer(target: _Target, event: Event) -> None:
    """Add a reference to an event; a search and the autocomplete calls before it are one reference and count once."""
    if event.id in target.known:
        return
    target.known.add(event.id)
    row = {"event_id": event.id, "time": event.time, "summary": msgspec.json.encode(_summary(event)).decode()}
    newest = target.newest
    if newest is not None and _same_search(newest, event):
        newest.update(row)
        if newest not in target.references:
            target.references.append(newest)
        return
    target.count += 1
    if target.kept < SHOWN_EVENTS:
        target.kept += 1
        target.newest = row
        target.references.append(row)


def _write(session: Session, targets: list[_Target], at: float, now: float | None) -> None:
    new = [target for target in targets if not target.id]
    old = [target for target in targets if target.id]
    revision = latest_revision(session)
    if new:
        rows = [
            {
                "kind": t.draft.kind, "status": "open", "theme": t.draft.theme, "subject": t.draft.subject, "subject_key": t.subject_key,
                "subject_kind": t.draft.subject_kind, "group": t.draft.group, "created": at, "why": t.why or t.draft.why,
            } | _moving(t, at, revision + place)
            for place, t in enumerate(new, 1)
        ]  # fmt: skip
        numbers = session.scalars(insert(Alert).returning(Alert.id, sort_by_parameter_order=True), rows)
        for target, number in zip(new, numbers, strict=True):
            target.id = number
    changes = [
        {"id": t.id, "status": t.status} | _moving(t, at, revision + place) | ({"why": t.why} if t.why is not None else {})
        for place, t in enumerate(old, len(new) + 1)
    ]
    if changes:
        session.execute(update(Alert), changes)
    fresh = [row | {"alert_id": t.id} for t in targets for row in t.references if "id" not in row]
    replaced = [row | {} for t in targets for row in t.references if "id" in row]
    if fresh:
        session.execute(insert(AlertEvent), fresh)
    if replaced:
        session.execute(update(AlertEvent), replaced)
    for target in old:
        if target.risen_from is not None:
            detail = {"from": target.risen_from, "to": target.level}
            audit.append(session, "gateway", "alert.reopen", f"alert:{target.id}", detail, now=now)


def _moving(target: _Target, at: float, revision: int) -> dict[str, Any]:
    """Columns that every change of an alert writes."""
    return {
        "level": target.level, "first_event": target.first, "last_event": target.last, "event_count": target.count, "changed": at,
        "revision": revision,
    }  # fmt: skip


def _same_search(newest: dict[str, Any], event: Event) -> bool:
    if not event.search:
        return False
    last = msgspec.json.decode(newest["summary"])
    if not (last.get("search_partial") and last.get("domain") == event.registrable_domain):
        return False
    term, before = event.search.strip().lower(), str(last["search"]).strip().lower()
    related = term.startswith(before) or before.startswith(term)
    return related and 0 <= event.time - newest["time"] <= FOLD_SECONDS and event.level >= int(last["level"])


def _summary(event: Event) -> dict[str, Any]:
    return {
        "user": event.user, "client_address": event.client_address, "device": event.device, "room": event.room, "group": event.group,
        "identity_source": event.identity_source, "host": event.host, "domain": event.registrable_domain, "path": event.path,
        "search": event.search, "search_partial": event.search_partial, "page": event.page, "action": event.action, "reason": event.reason,
        "category": event.category, "level": event.level, "list": event.list, "rule": event.rule, "matches": list(event.matches),
        "excerpt": event.excerpt, "url_digest": event.url_digest, "fault": event.fault, "worker": event.worker,
    }  # fmt: skip
