"""Labelled and ordinary texts from the data that lies beside the repository; used for training and measuring, never shipped."""

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TUNING = Path(__file__).resolve().parents[2] / "tests" / "rules" / "data"
_SPEECH = re.compile(r"<SPEECH>(.*?)</SPEECH>", re.DOTALL)
_LINE = re.compile(r"<LINE>(.*?)</LINE>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class Labelled(NamedTuple):
    """One text of a set: `label` is 1 for what should be found, `part` what it belongs to (a file, a class, a split)."""

    text: str
    label: int
    part: str


def davidson(data: Path) -> list[Labelled]:
    """Tweets: 1 for hateful and offensive ones (classes 0 and 1), 0 for neither (class 2); the class is the part."""
    return [
        Labelled(row["tweet"], int(row["class"] != "2"), row["class"]) for row in _rows(data / "labelled" / "davidson_labeled_data.csv.gz")
    ]


def edos(data: Path, split: str) -> list[Labelled]:
    """Posts of two forums: 1 for sexist ones; the part is the category of sexism."""
    rows = _rows(data / "labelled" / "edos_train_dev.csv.gz")
    return [Labelled(row["text"], int(row["label_sexist"] == "sexist"), row["label_category"]) for row in rows if row["split"] == split]


def wikipedia(data: Path) -> list[Labelled]:
    """Comments on talk pages: 1 for toxic ones."""
    rows = _rows(data / "labelled" / "wikipedia_toxicity_testset.csv.gz")
    return [Labelled(row["comment"], int(row["toxic"] == "True"), "") for row in rows]


def medquad(data: Path, field: str) -> list[Labelled]:
    """Questions or answers (`field`) of health institutes; the part is the disease."""
    with gzip.open(data / "benign" / "medquad_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Labelled(row[field], 0, row["focus"]) for row in rows]


def searches(data: Path) -> list[Labelled]:
    """Questions that people asked a search engine (Natural Questions)."""
    with gzip.open(data / "benign" / "nq_open_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [Labelled(json.loads(line)["question"], 0, "") for line in lines if line.strip()]


def speeches(data: Path, name: str) -> list[Labelled]:
    """Paragraphs of presidents' speeches (`inaugural`, `state_union`); the part is the speech."""
    with zipfile.ZipFile(data / "benign" / f"nltk_{name}.zip") as archive:
        return [
            Labelled(paragraph, 0, entry)
            for entry in archive.namelist()
            if entry.endswith(".txt")
            for paragraph in _paragraphs(archive.read(entry).decode("utf-8", "replace"))
        ]


def shakespeare(data: Path) -> list[Labelled]:
    """Speeches of the plays; the part is the play."""
    with zipfile.ZipFile(data / "benign" / "nltk_shakespeare.zip") as archive:
        return [
            Labelled(" ".join(_TAG.sub(" ", " ".join(_LINE.findall(speech))).split()), 0, entry)
            for entry in archive.namelist()
            if entry.endswith(".xml")
            for speech in _SPEECH.findall(archive.read(entry).decode("utf-8", "replace"))
        ]


BENIGN: dict[str, Callable[[Path], list[Labelled]]] = {
    "medquad questions": lambda data: medquad(data, "question"),
    "medquad answers": lambda data: medquad(data, "answer"),
    "natural questions": searches,
    "inaugural": lambda data: speeches(data, "inaugural"),
    "state of the union": lambda data: speeches(data, "state_union"),
    "shakespeare": shakespeare,
}
"""Texts in which nothing should be found."""


def tuning() -> list[str]:
    """Return the harmless texts that the project keeps for tuning limits: nothing is learned from them."""
    found = []
    for path in sorted(TUNING.glob("*_tuning*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found += [row["text"] for row in rows if not row.get("harmful", not path.stem.endswith("ordinary"))]
    return found


def digests(data: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that training reads."""
    paths = [*sorted((data / "labelled").glob("*.gz")), *sorted((data / "benign").glob("*.gz")), *sorted((data / "benign").glob("*.zip"))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path) as packed, io.TextIOWrapper(packed, encoding="utf-8", errors="replace", newline="") as text:
        return list(csv.DictReader(text))


def _paragraphs(text: str) -> list[str]:
    """Split at empty lines, or where there are none into stretches of about 600 characters."""
    found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    cut: list[str] = []
    for part in found:
        while len(part) > 1_200:
            at = part.find(". ", 600) + 1 or len(part)
            cut.append(part[:at])
            part = part[at:].strip()  # noqa: PLW2901 - what is left of it
        cut.append(part)
    return [part for part in cut if len(part) > 20]
