"""Tables and views of the event store: append only, no keys, no indexes, no upserts; changed by numbered steps alone."""

from typing import Final

EVENT_COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("id", "VARCHAR"),
    ("time", "TIMESTAMP"),
    ("worker", "VARCHAR"),
    ("client_address", "VARCHAR"),
    ("group", "VARCHAR"),
    ("identity_source", "VARCHAR"),
    ("action", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("site", "VARCHAR"),
    ("user", "VARCHAR"),
    ("device", "VARCHAR"),
    ("room", "VARCHAR"),
    ("method", "VARCHAR"),
    ("scheme", "VARCHAR"),
    ("host", "VARCHAR"),
    ("registrable_domain", "VARCHAR"),
    ("port", "INTEGER"),
    ("path", "VARCHAR"),
    ("search", "VARCHAR"),
    ("search_partial", "BOOLEAN"),
    ("page", "BOOLEAN"),
    ("category", "VARCHAR"),
    ("categories", "VARCHAR[]"),
    ("level", "INTEGER"),
    ("list", "VARCHAR"),
    ("rule", "VARCHAR"),
    ("matches", "VARCHAR[]"),
    ("excerpt", "VARCHAR"),
    ("grant", "VARCHAR"),
    ("status", "INTEGER"),
    ("media_type", "VARCHAR"),
    ("bytes_in", "BIGINT"),
    ("bytes_out", "BIGINT"),
    ("milliseconds", "DOUBLE"),
    ("inspected", "BOOLEAN"),
    ("url_digest", "VARCHAR"),
    ("fault", "VARCHAR"),
)
"""Fields of `rules.event.Event` in its order, with their DuckDB types; `time` is UTC without a zone."""

FOLD_SECONDS: Final = 10
"""Autocomplete calls this close together are one search (see FOLDED)."""

_MISSING = {"VARCHAR": "''", "VARCHAR[]": "[]", "BOOLEAN": "false", "INTEGER": "0", "BIGINT": "0", "DOUBLE": "0"}


def _json_type(kind: str) -> str:
    if kind == "TIMESTAMP":
        return '"DOUBLE"'
    return '["VARCHAR"]' if kind == "VARCHAR[]" else f'"{kind}"'


def _value(name: str, kind: str) -> str:
    if kind == "TIMESTAMP":
        return f'make_timestamp(CAST(round(e."{name}" * 1e6) AS BIGINT))'
    missing = "true" if name == "inspected" else _MISSING[kind]
    return f'coalesce(e."{name}", {missing})'


_STRUCTURE = "[{" + ",".join(f'"{name}":{_json_type(kind)}' for name, kind in EVENT_COLUMNS) + "}]"

ROWS: Final = (
    f"SELECT CAST(? AS BIGINT) AS batch, {', '.join(f'{_value(*column)} AS "{column[0]}"' for column in EVENT_COLUMNS)} "  # noqa: S608  (constants only)
    f"FROM (SELECT unnest(from_json(?, '{_STRUCTURE}')) AS e)"
)
"""Rows of `events`; parameters: batch number, JSON array of events (fields at their default may be left out)."""

INSERT: Final = f"INSERT INTO store.events {ROWS}"
"""Same parameters."""

SELECTED: Final = ", ".join("epoch(e.time)" if name == "time" else f'e."{name}"' for name, _ in EVENT_COLUMNS)
"""Columns of an event in the order of `Event`'s fields, for `Event(*row)`."""

FOLDED: Final = f"""
    SELECT id FROM (
        SELECT id, time, term, level, search_partial,
            list(struct_pack(t := time, term := term, level := level)) OVER (chain ROWS BETWEEN 1 FOLLOWING AND 5 FOLLOWING) AS later,
            list(CASE WHEN NOT search_partial THEN struct_pack(t := time, term := term, level := level) END)
                OVER (chain ROWS BETWEEN 5 PRECEDING AND 1 PRECEDING) AS earlier
        FROM (
            SELECT id, time, level, search_partial, lower(trim(search)) AS term, registrable_domain,
                CASE WHEN "user" <> '' THEN "user" ELSE client_address END AS subject
            FROM store.events WHERE search <> '' AND time >= ? AND time < ?
        )
        WINDOW chain AS (PARTITION BY subject, registrable_domain, left(term, 1) ORDER BY time, search_partial DESC, id)
    )
    WHERE search_partial AND (
        len(list_filter(later, lambda o: o.level >= level AND o.t <= time + INTERVAL {FOLD_SECONDS} SECOND
            AND (starts_with(o.term, term) OR starts_with(term, o.term)))) > 0
        OR len(list_filter(earlier, lambda o: o IS NOT NULL AND o.level >= level AND o.t >= time - INTERVAL {FOLD_SECONDS} SECOND
            AND starts_with(o.term, term))) > 0
    )
"""  # noqa: S608  (constants only)
"""Identifiers of autocomplete calls that are part of another search event; parameters: from and until (timestamps).

The rule: a call is folded into a search of the same person (or address) on the same engine, not more than 10 seconds
later, whose term begins with the call's term, or is the beginning of it (letters taken back); or into a finished
search not more than 10 seconds earlier whose term begins with it. A call that weighs more (level) than the search
stays an event of its own: words that somebody typed and took back are not hidden behind harmless ones. It is worked
out when asked, over rows that are all kept, so segments, workers and restarts make no difference to it.
"""

STEPS: Final[tuple[str, ...]] = (
    f"""
    CREATE TABLE store.events (batch BIGINT, {", ".join(f'"{name}" {kind}' for name, kind in EVENT_COLUMNS)});
    CREATE TABLE store.segments (name VARCHAR, batch BIGINT, events BIGINT, torn BIGINT, ingested TIMESTAMP);
    CREATE TABLE store.totals (batch BIGINT, events BIGINT, segments BIGINT, torn BIGINT);
    """,
)
"""Step N brings the store from version N to N + 1."""
