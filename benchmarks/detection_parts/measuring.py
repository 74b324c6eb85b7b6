"""Every system over every set, in one run."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from detection_parts.baselines import E2guardian, ldnoobw
from detection_parts.figures import Counts
from detection_parts.mutations import MUTATIONS
from detection_parts.sets import Case, MeasuredSet
from rules.classify import Classifier, Text
from rules.model.reader import TextModel, shipped_model
from rules.model.train import folds, model_of
from rules.ruleset import Ruleset, starter_ruleset

HEARD_FROM = 3
"""Level from which a person hears of a text."""
OURS, KEYWORDS = "schoolgate", "keywords alone"


class Answer(NamedTuple):
    """What a system makes of a text."""

    heard: bool
    blocked: bool
    themes: tuple[str, ...]


type System = Callable[[Case, str, str], Answer]
"""A system is asked with the case, the text (the case's own or a disguised one) and the context."""


def systems(data: Path, group: str | None) -> dict[str, System]:
    """Return ours, ours without the model, and the baselines. Trains a model for each fold first, which takes minutes."""
    found, _ = folds(data)
    shipped = shipped_model()
    models: list[TextModel | None] = [model_of(weights, found.limits) for weights in found.weights]
    # The limits of the shipped model were chosen from the same held-out scores.
    ruleset = starter_ruleset()
    with_model = {fold: _asked(ruleset, model, group) for fold, model in [(None, shipped), *enumerate(models)]}
    alone = _asked(ruleset, None, group)
    phrases = data / "phrases"
    whole, part = ldnoobw(phrases)
    e2guardian = E2guardian(phrases)
    return {
        OURS: lambda case, text, context: with_model[case.fold](text, context),
        KEYWORDS: lambda _, text, context: alone(text, context),
        "LDNOOBW words": _baseline(whole),
        "LDNOOBW parts of words": _baseline(part),
        "e2guardian phrases": _baseline(e2guardian),
    }


def _asked(ruleset: Ruleset, model: TextModel | None, group: str | None) -> Callable[[str, str], Answer]:
    classifier = Classifier(msgspec.structs.replace(ruleset, model=model), group, at=1_790_000_000.0)

    def ask(text: str, context: str) -> Answer:
        decision = classifier.decision(Text(text, context=context))
        if decision is None:
            return Answer(False, False, ())
        return Answer(decision.level >= HEARD_FROM, decision.action.value == "block", decision.categories)

    return ask


def _baseline(finds: Callable[[str], bool]) -> System:
    def ask(_: Case, text: str, __: str) -> Answer:
        found = finds(text)
        return Answer(found, found, ())

    return ask


@dataclass(slots=True)
class Result:
    """Figures of one set in one context."""

    name: str
    context: str
    counts: dict[str, Counts] = field(default_factory=dict)
    """By system."""
    parts: dict[str, Counts] = field(default_factory=dict)
    """Ours, by what the set calls its texts."""
    themes: dict[str, Counts] = field(default_factory=dict)
    """Ours: how often each theme was named in harmful and in harmless texts of which a person would hear."""


def measure(asked: dict[str, System], measured: list[MeasuredSet], most: int | None) -> Iterator[Result]:
    """Yield the figures of each set in each of its contexts; `most` texts of a set at most, evenly taken."""
    for one in measured:
        cases = thinned(one.cases, most)
        for context in one.contexts or ("as written",):
            result = Result(one.name, context)
            for case in cases:
                _ask_all(asked, case, case.context or context, result)
            yield result


def _ask_all(asked: dict[str, System], case: Case, context: str, result: Result) -> None:
    for name, system in asked.items():
        heard, blocked, themes = system(case, case.text, context)
        result.counts.setdefault(name, Counts()).add(harmful=case.harmful, heard=heard, blocked=blocked)
        if name == OURS:
            if case.part and len(case.part) < 60:
                result.parts.setdefault(case.part, Counts()).add(harmful=case.harmful, heard=heard, blocked=blocked)
            for theme in themes if heard else ():
                result.themes.setdefault(theme, Counts()).add(harmful=case.harmful, heard=heard, blocked=blocked)


class Disguised(NamedTuple):
    """What one way of disguise does to our figures."""

    mutation: str
    kept: dict[str, float]
    """By set: texts found although disguised, for each text found as it stands."""
    found_plain: dict[str, int]
    added: int
    """Harmless texts of which a person would hear only when they are disguised."""
    benign: int


def disguises(ours: System, measured: list[MeasuredSet], most: int, benign_most: int) -> Iterator[Disguised]:
    """Yield, for each way of disguise, the share of the finds that stays, and the alarms that it adds to ordinary texts."""
    harmful = [
        (one.name, one.contexts[0] if one.contexts else None, thinned([c for c in one.cases if c.harmful], most)) for one in measured
    ]
    benign = [
        (case, context, ours(case, case.text, context).heard)
        for one in measured
        if one.contexts and not any(case.harmful for case in one.cases)
        for context in one.contexts[:1]
        for case in thinned(one.cases, benign_most)
    ]
    plain = {name: [ours(case, case.text, context or case.context or "typed").heard for case in cases] for name, context, cases in harmful}
    for mutation, change in MUTATIONS.items():
        kept = {}
        for name, context, cases in harmful:
            before = sum(plain[name])
            if before:
                after = sum(ours(case, change(case.text), context or case.context or "typed").heard for case in cases)
                kept[name] = after / before
        added = sum(not heard and ours(case, change(case.text), context).heard for case, context, heard in benign)
        yield Disguised(mutation, kept, {name: sum(heard) for name, heard in plain.items()}, added, len(benign))


def thinned(cases: list[Case], most: int | None) -> list[Case]:
    """Return at most `most` cases, evenly taken from all."""
    if most is None or len(cases) <= most:
        return cases
    return [cases[number * len(cases) // most] for number in range(most)]


def speed(ours: System, measured: list[MeasuredSet]) -> float:
    """Return how many short texts ours judges in a second of one core (CPU time), over searches."""
    cases = next(one.cases for one in measured if one.name == "natural questions")
    start = time.process_time()
    for case in cases:
        ours(case, case.text, "search")
    return len(cases) / (time.process_time() - start)
