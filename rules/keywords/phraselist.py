"""e2guardian's phrase lists as phrases of ours, for pages, as far as both can say the same (e2guardian.conf, `lists/phraselists`)."""

from typing import Final

from blocklists.formats.e2guardian import Phrase as Rule
from blocklists.formats.e2guardian import read_phrases
from blocklists.reading import Line
from rules.keywords import cells
from rules.keywords.cells import CellError
from rules.keywords.exchange import Entry, Imported, Reading, RefusedRow, category_of, decoded, read_csv
from rules.keywords.sets import Phrase, phrase_fault

DELIMITER: Final = "<"
_FULL: Final = 200
"""Weight that stops a page by itself: a banned phrase. e2guardian's limit for older children is 100, so its weights count twice."""
_MOST: Final = 1_000
_LEVEL: Final = 2
"""What such lists hold is for filtering; nobody is told of a page because of it."""
_PAIR: Final = 2


def read_exchanged(data: bytes, reading: Reading) -> Imported:
    """Read an e2guardian phrase list or a table, whichever the file is; raises `ExchangeError` where no line could be understood."""
    text, encoding = decoded(data)
    first = next((line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", "."))), "")
    return _read_list(text, encoding, reading) if first.startswith("<") and ">" in first else read_csv(data, reading)


def _read_list(text: str, encoding: str, reading: Reading) -> Imported:
    entries, refused = [], []
    for item in read_phrases(Line(number, line) for number, line in enumerate(text.splitlines(), 1)):
        if not isinstance(item, Rule):
            refused.append(RefusedRow(item.line, item.text[:80], f"{item.reason[:1].upper()}{item.reason[1:]}."))
            continue
        try:
            entries.append(Entry(category_of(item.category or "", reading), _phrase(item), item.line))
        except CellError as error:
            refused.append(RefusedRow(item.line, ",".join(item.parts)[:80], str(error)))
    return Imported(tuple(entries), tuple(refused), encoding, DELIMITER, ())


def _phrase(rule: Rule) -> Phrase:
    """Return the phrase that says the same; raises `CellError`."""
    if rule.proportional:
        raise CellError("A weight in percent has no meaning here; leave the line out.")
    if rule.weight is not None and rule.weight <= 0:
        raise CellError("A weight below 1 makes other words harmless; except them by `unless` in a keyword file.")
    if len(rule.parts) > _PAIR:
        raise CellError("More than two parts in one line can't be asked for; write the rarest two of them.")
    texts = [_text(part) for part in rule.parts]
    fault = next((found for one in texts if (found := phrase_fault(one)) is not None), None)
    if fault is not None:
        raise CellError(fault)
    weight = min(2 * rule.weight, _MOST) if rule.weight is not None else _FULL
    return Phrase(texts[0], weight, _LEVEL, ("page",), tuple(texts[1:]))


def _text(part: str) -> str:
    """Return a part with `*` where it may go on within a word: a blank at its end means the edge of one."""
    core = cells.plain(part).strip("* ")
    if not core:
        raise CellError("There is no phrase in this line.")
    return f"{'' if part[:1].isspace() else '*'}{core}{'' if part[-1:].isspace() else '*'}"
