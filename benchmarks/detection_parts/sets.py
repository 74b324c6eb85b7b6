"""The texts that detection is measured on, each with what should be found and the model that has not learned from it."""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

from rules.model import corpora
from rules.model.corpus import fold_of

WRITTEN = Path(__file__).resolve().parents[2] / "tests" / "rules" / "data"
"""Texts that the project writes and keeps apart from those it tunes on."""

_WRITTEN_SETS: tuple[tuple[str, tuple[tuple[str, bool | None], ...], str], ...] = (
    ("first person and teenage talk", (("welfare_held_first_person.jsonl", True), ("welfare_held_ordinary.jsonl", False)), "form"),
    ("other welfare", (("welfare_held_other.jsonl", True), ("welfare_held_ordinary.jsonl", False)), "form"),
    ("hate with contrast pairs", (("harms_hate_held.jsonl", None),), "form"),
    ("requests to assistants", (("harms_prompts_held.jsonl", None),), "prompt"),
    ("first person, by another writer", (("independent_held_first_person.jsonl", None),), "form"),
    ("other welfare, by another writer", (("independent_held_other.jsonl", None),), "form"),
    ("exam questions and homework", (("independent_held_exam.jsonl", False),), "search"),
    ("requests, by another writer", (("independent_held_prompts.jsonl", None),), "prompt"),
    ("first person and teenage talk, by a third writer", (("third_held_first_person.jsonl", None),), "form"),
    ("other welfare, by a third writer", (("third_held_other.jsonl", None),), "form"),
    ("requests, by a third writer", (("third_held_prompts.jsonl", None),), "prompt"),
)
"""Name, files with what holds for all of their texts, and the context of texts that name none."""
_CONTEXTS = {"search": "search", "form": "typed", "page": "page", "prompt": "ai"}
"""The command line's word for the policy's."""


class Case(NamedTuple):
    """One text of a set."""

    text: str
    harmful: bool
    fold: int | None
    """The fold whose model has not learned from it; None for texts that no model learns from."""
    part: str = ""
    """What the set calls it: a class, a theme."""
    context: str | None = None
    """Where it stands, for sets whose texts say so."""


class MeasuredSet(NamedTuple):
    """One set of texts."""

    name: str
    cases: list[Case]
    contexts: tuple[str, ...]
    """Contexts in which it is measured, as `schoolgate classify` names them."""


def sets(data: Path) -> list[MeasuredSet]:
    """Return every set that is there."""
    found = [
        MeasuredSet("Davidson", [_held_out(one, one.text) for one in corpora.davidson(data)], ("typed",)),
        MeasuredSet("EDOS dev", [Case(one.text, bool(one.label), None, one.part) for one in corpora.edos(data, "dev")], ("typed",)),
        MeasuredSet("Wikipedia toxicity", [_held_out(one, one.text) for one in corpora.wikipedia(data)], ("typed",)),
    ]
    contexts = {
        "medquad questions": ("search", "typed", "ai"), "medquad answers": ("page", "typed"),
        "natural questions": ("search", "typed", "ai"),
        "inaugural": ("page", "typed"), "state of the union": ("page", "typed"), "shakespeare": ("page", "typed"),
    }  # fmt: skip
    for name, read in corpora.BENIGN.items():
        found.append(MeasuredSet(name, [_held_out(one, one.part or one.text) for one in read(data)], contexts[name]))
    return found + written(WRITTEN)


def _held_out(one: corpora.Labelled, belongs_to: str) -> Case:
    return Case(one.text, bool(one.label), fold_of(belongs_to), one.part)


def written(folder: Path) -> list[MeasuredSet]:
    """Return the sets that the project writes; raises `ValueError` naming file and line for a line that is no case."""
    found = []
    for name, files, context in _WRITTEN_SETS:
        cases = [case for file, harmful in files for case in written_cases(folder / file, harmful, context)]
        found.append(MeasuredSet(name, cases, ()))
    open_texts = tomllib.loads((folder / "must_stay_open.toml").read_text(encoding="utf-8"))
    for section, context in (("searches", "search"), ("paragraphs", "page"), ("paragraphs", "typed")):
        cases = [Case(text, False, None, part, context) for part, texts in open_texts[section].items() for text in texts]
        found.append(MeasuredSet(f"must stay open, {section}", cases, (context,)))
    return found


def written_cases(path: Path, harmful: bool | None, context: str) -> list[Case]:
    """Read one file of written texts; `harmful` holds for all of them, or is None where each line says it itself."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            label = bool(row["harmful"]) if harmful is None else harmful
            cases.append(Case(str(row["text"]), label, None, str(row.get("theme") or ""), _CONTEXTS[row.get("context") or context]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number} is no case of a written set: {error!r}.") from None
    return cases
