"""Events as lines of JSON."""

from hypothesis import given
from hypothesis import strategies as st

from rules.event import Event, decoder, encoder

texts = st.text(st.characters(codec=None), max_size=30)


def event(**values: object) -> Event:
    return Event("0" * 32, 1.0, "worker-1", "10.0.0.1", "pupils", "none", "allow", "default", **values)  # type: ignore[arg-type]


@given(texts, texts, st.lists(texts, max_size=3).map(tuple))
def test_whatever_stands_in_a_text_the_event_and_its_neighbours_are_written(method: str, excerpt: str, matches: tuple[str, ...]) -> None:
    odd, plain = event(method=method, excerpt=excerpt, matches=matches), event(search="größe \U0001f6f6")
    lines = encoder.encode_lines([plain, odd, plain]).splitlines()
    assert len(lines) == 3
    assert decoder.decode(lines[0]) == decoder.decode(lines[2]) == plain
    written = decoder.decode(lines[1])
    assert written.method == method.encode("utf-8", "replace").decode()
    assert len(written.matches) == len(matches)


def test_halves_of_characters_become_question_marks() -> None:
    assert decoder.decode(encoder.encode(event(method="G\udc80T", matches=("a\ud800",)))).matches == ("a?",)
