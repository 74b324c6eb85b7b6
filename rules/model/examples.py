"""Examples that the project writes: whole texts, and templates with choices that a seeded generator fills in."""

import random
import tomllib
from importlib.resources import files
from typing import Any, NamedTuple

FOLDER = files("rules.model") / "examples"
_PLAIN = str.maketrans("", "", "\"'.,!?;:")


class Example(NamedTuple):
    """One text with the theme that it is an example of."""

    text: str
    theme: str
    template: str
    """What it was made from: examples of one template stay in one fold."""
    whole: bool = False
    """True for a text that somebody wrote as it stands."""


def examples(seed: int) -> list[Example]:
    """Return every example, the same ones for the same seed; texts don't repeat within a theme.

    Files of templates are TOML; those of whole texts have one in a line, its theme before a tab. Raises `ValueError` with the
    line that has no theme.
    """
    chance = random.Random(seed)  # noqa: S311 - examples, no secrets
    found: dict[tuple[str, str], Example] = {}
    for path in sorted(FOLDER.iterdir(), key=lambda one: one.name):
        if path.name.endswith(".toml"):
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            for one in table["sets"]:
                for example in _of_set(one, table.get("lists", {}), chance):
                    found.setdefault((example.theme, example.text), example)
        elif path.name.endswith(".tsv"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                theme, tab, text = line.partition("\t")
                if not tab or not text.strip():
                    raise ValueError(f"{path.name}:{number}: a line is a theme, a tab and a text.")
                found.setdefault((theme, text), Example(text, theme, text, whole=True))
    return list(found.values())


def _of_set(table: dict[str, Any], lists: dict[str, str], chance: random.Random) -> list[Example]:
    templates = table["templates"]
    made = []
    for number in range(table["count"]):
        template = templates[number % len(templates)]
        made.append(Example(_styled(fill(template, lists, chance), chance), table["theme"], template))
    return made


def fill(template: str, lists: dict[str, str], chance: random.Random) -> str:
    """Return the template with each `{a|b}` replaced by one of its choices and each `=name` choice by one of the list's."""
    parts: list[str] = []
    at = 0
    while at < len(template):
        if template[at] != "{":
            end = template.find("{", at)
            end = len(template) if end < 0 else end
            parts.append(template[at:end])
            at = end
            continue
        end = _closing(template, at)
        parts.append(_choice(template[at + 1 : end], lists, chance))
        at = end + 1
    return "".join(parts)


def _choice(inside: str, lists: dict[str, str], chance: random.Random) -> str:
    picked = chance.choice(_alternatives(inside))
    if not picked.startswith("="):
        return fill(picked, lists, chance)
    name = picked[1:].strip()
    tail = picked[len(picked.rstrip()) :]
    return _choice(lists[name], lists, chance) + tail if name else ""


def _alternatives(inside: str) -> list[str]:
    found, depth, start = [], 0, 0
    for at, char in enumerate(inside):
        depth += (char == "{") - (char == "}")
        if char == "|" and depth == 0:
            found.append(inside[start:at])
            start = at + 1
    return [*found, inside[start:]]


def _closing(template: str, at: int) -> int:
    depth = 0
    for place in range(at, len(template)):
        depth += (template[place] == "{") - (template[place] == "}")
        if depth == 0:
            return place
    raise ValueError(f"The template {template!r} has a brace that is not closed.")


def _styled(text: str, chance: random.Random) -> str:
    """People write with and without capitals and stops."""
    text = " ".join(text.split())
    style = chance.random()
    if style < 0.4:
        return text[:1].upper() + text[1:]
    return text.lower() if style < 0.7 else text.lower().translate(_PLAIN)
