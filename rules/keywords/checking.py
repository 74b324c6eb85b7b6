"""Phrases looked at before they count: twice the same, never to be found, part of an ordinary word, or with a sign that is lost."""

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rules.keywords.matcher import KeywordMatcher
from rules.keywords.patterns import expand, pattern
from rules.keywords.sets import KeywordSet, Phrase, check_phrases, read_sets
from rules.kinds import CONTEXTS
from rules.normalise import words as plainly
from rules.problems import PolicyError, Problem
from rules.reading import Reader
from rules.schema import KEYWORD_FILE, ROOT

WORDS_FILE: Final = Path(__file__).parent.parent / "data" / "ordinary_words.txt"
_SIGNS: Final = ("Sc", "Sm", "Sk", "So")
"""Unicode's categories of signs: of money, of mathematics, and others."""
_LEAST: Final = dict.fromkeys(CONTEXTS, 1)
_VARIANTS: Final = 20
"""Ways to write a phrase that are tried before it is said never to match."""


class Located(NamedTuple):
    """One phrase and where it stands."""

    file: str
    line: int
    category: str
    phrase: Phrase


class Amount(msgspec.Struct, frozen=True):
    """How many phrases a category has in one language."""

    category: str
    language: str
    phrases: int
    levels: dict[int, int]
    """Phrases by level."""
    lowering: int
    """Phrases that only lower."""


def read_located(path: Path, *, policy: bool = False) -> list[Located]:
    """Read the phrases of a keyword file, or of a policy's own sets, with their lines; raises `PolicyError`."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([Problem(file, 0, f"The keyword file can't be read: {error.strerror or error}.")]) from None
    except ValueError:
        raise PolicyError([Problem(file, 0, "The keyword file is not UTF-8 text.")]) from None
    reader = Reader(text, file)
    tables = reader.section(ROOT if policy else KEYWORD_FILE, reader.data, ())["keyword_sets"]
    reader.finish()
    check_phrases(reader, tables)
    reader.finish()
    return list(_located(reader, tables, read_sets(reader, tables)))


def look_over(phrases: Sequence[Located]) -> list[Problem]:
    """Return what is wrong with phrases that can be read: one problem each, in the order of files and lines."""
    found = [*_twice(phrases), *_never(phrases), *_in_ordinary_words(phrases), *_lost_signs(phrases)]
    order = {file: number for number, file in enumerate(dict.fromkeys(one.file for one in phrases))}
    return sorted(found, key=lambda one: (order[one.file], one.line))


def unknown_categories(phrases: Iterable[Located], categories: Sequence[str]) -> list[Problem]:
    """Return a problem for the first phrase of each category that the policy lacks."""
    first: dict[str, Located] = {}
    for one in phrases:
        if one.category not in categories:
            first.setdefault(one.category, one)
    known = ", ".join(categories)
    return [
        Problem(one.file, one.line, f'There is no category "{name}" in the policy. The categories are: {known}.')
        for name, one in first.items()
    ]  # fmt: skip


def amounts(phrases: Iterable[Located]) -> list[Amount]:
    """Return how many phrases there are by category and language."""
    groups: dict[tuple[str, str], list[Phrase]] = {}
    for one in phrases:
        groups.setdefault((one.category, one.phrase.language), []).append(one.phrase)
    return [
        Amount(
            category, language, len(members), dict(sorted(Counter(one.level for one in members).items())),
            sum(1 for one in members if one.lowers),
        )
        for (category, language), members in sorted(groups.items())
    ]  # fmt: skip


@cache
def ordinary_words() -> tuple[str, ...]:
    """Return ordinary words and names that hold the letters of graver ones."""
    lines = WORDS_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(dict.fromkeys(word for line in lines for word in line.partition("#")[0].split()))


def _located(reader: Reader, tables: Sequence[dict[str, list[object]]], sets: Iterable[KeywordSet]) -> Iterator[Located]:
    for index, (table, one) in enumerate(zip(tables, sets, strict=True)):
        places = [("words", number) for number in range(len(table["words"]))]
        places += [("phrases", number) for number in range(len(table["phrases"]))]
        for (key, number), phrase in zip(places, one.phrases, strict=True):
            yield Located(reader.file, reader.lines.line_of(("keyword_sets", index, key, number)), one.category, phrase)


def _twice(phrases: Sequence[Located]) -> Iterator[Problem]:
    """Phrases all of whose ways to be written belong to one other phrase. That some do is no mistake: then they weigh more."""
    variants = [{(one.category, *map(pattern, parts)) for parts in expand(one.phrase.text)} for one in phrases]
    owners: dict[tuple[str, ...], list[int]] = {}
    for number, keys in enumerate(variants):
        for key in keys:
            owners.setdefault(key, []).append(number)
    for number, (one, keys) in enumerate(zip(phrases, variants, strict=True)):
        rarest = min((owners[key] for key in keys), key=len)
        for other in rarest:
            covered = other != number and keys <= variants[other] and (other < number or len(keys) < len(variants[other]))
            if covered and _overlap(one.phrase, phrases[other].phrase):
                before = phrases[other]
                written = "" if before.phrase.text == one.phrase.text else f', as part of "{_short(before.phrase.text)}"'
                message = f'"{_short(one.phrase.text)}" stands in {before.file}:{before.line} already{written}: take one of them out.'
                yield Problem(one.file, one.line, message)
                break


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _overlap(one: Phrase, other: Phrase) -> bool:
    """True when both would count for the same words; of phrases that lower only the strongest does."""
    return bool(set(one.contexts) & set(other.contexts)) and set(one.needs) == set(other.needs) and not (one.lowers or other.lowers)


def _never(phrases: Sequence[Located]) -> Iterator[Problem]:
    for one in phrases:
        phrase = one.phrase
        if not phrase.contexts:
            yield Problem(one.file, one.line, f'"{_short(phrase.text)}" can never count: its contexts are empty.')
        elif not _can_match(phrase, phrase.needs):
            blocking = [word for word in phrase.unless if not _can_match(msgspec.structs.replace(phrase, unless=(word,)), phrase.needs)]
            named = ", ".join(f'"{word}"' for word in blocking[:3] or phrase.unless[:3])
            why = f"its `unless` has {named}" if phrase.unless else "nothing of it is left when texts are made plain"
            yield Problem(one.file, one.line, f'"{_short(phrase.text)}" can never match: {why}. Correct it or take it out.')


def _can_match(phrase: Phrase, needs: Sequence[str]) -> bool:
    matcher = _alone(phrase)
    context = phrase.contexts[0]
    variants = expand(phrase.text)
    if len(variants) > _VARIANTS:
        variants = random.Random(0).sample(variants, _VARIANTS)  # noqa: S311 - the same ones each time
    near = [" ".join(part.strip("* ") for part in expand(word)[0]) for word in needs] or [""]
    return any(
        matcher.weigh(f"{' '.join(part.strip().strip('*') for part in parts)} {word}", context).matches
        for parts in variants for word in near
    )  # fmt: skip


def _in_ordinary_words(phrases: Sequence[Located]) -> Iterator[Problem]:
    # The matcher hands a phrase's kind on with each match: here it carries the number.
    open_ended = {number: one for number, one in enumerate(phrases) if "*" in one.phrase.text or one.phrase.loose}
    sets = [
        KeywordSet(one.category, (msgspec.structs.replace(one.phrase, kind=str(number), weight=1, lowers=0, contexts=CONTEXTS),))
        for number, one in open_ended.items()
    ]
    matcher = KeywordMatcher.build(sets, _LEAST)
    inside: dict[int, list[str]] = {}
    for word in ordinary_words():
        for match in matcher.weigh(word, "search").matches:
            inside.setdefault(int(match.kind), []).append(word)
    for number, words in inside.items():
        one = open_ended[number]
        shown = ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
        how = "Write it without *" if "*" in one.phrase.text else "Write `loose = false`"
        yield Problem(
            one.file, one.line, f'"{_short(one.phrase.text)}" is found in ordinary words: {shown}. {how}, or name them in `unless`.'
        )


def _lost_signs(phrases: Sequence[Located]) -> Iterator[Problem]:
    """Signs, such as that of the pound, of which nothing is left when texts are made plain: the rest alone would be found."""
    for one in phrases:
        signs = (sign for sign in one.phrase.text if sign != "|" and unicodedata.category(sign) in _SIGNS)
        lost = next((sign for sign in signs if not plainly(sign).strip()), None)
        if lost is not None:
            message = (
                f'"{_short(one.phrase.text)}" loses its {lost} when texts are made plain, and the rest is found alone: write it as a word.'
            )
            yield Problem(one.file, one.line, message)


def _alone(phrase: Phrase) -> KeywordMatcher:
    return KeywordMatcher.build([KeywordSet("c", (msgspec.structs.replace(phrase, lowers=0),))], _LEAST)
