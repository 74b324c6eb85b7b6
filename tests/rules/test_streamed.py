"""Text that arrives in pieces: put together over any cut, weighed in windows, settled only when nothing can undo it."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decision import Action, Decision, Reason
from rules.keywords import KeywordMatcher
from rules.keywords.sets import parse_keyword_file
from rules.pieces import Framing, Kind, Piece, read_message
from rules.streamed import Found, RunningText, conditional

SETS = parse_keyword_file(
    """
[[keyword_sets]]
category = "drugs"
level = 4
weight = 100
words = ["brew blue smoke"]
[[keyword_sets]]
category = "violence"
level = 4
weight = 100
unless = ["python"]
words = ["kill the process"]
[[keyword_sets]]
category = "profanity"
level = 2
weight = 35
words = ["drat", "botheration"]
""",
    "test.toml",
)
MATCHER = KeywordMatcher.build(SETS)


def judge(text: str) -> Decision | None:
    verdict = MATCHER.weigh(text, "prompt")
    if not verdict.themes:
        return None
    theme = verdict.themes[0]
    return Decision(Action.BLOCK, Reason.PAGE_TEXT, category=theme.category, level=theme.level, matches=verdict.matches)


def running(*, joined: bool = True) -> RunningText:
    return RunningText(judge, conditional(SETS), joined=joined)


def read(chunks: Iterable[str], kind: Kind = "events", *, joined: bool = True, glimpse: bool = True) -> list[str]:
    """Categories found in a stream, up to the first as a gateway would, with what its end settles."""
    framing, text = Framing(kind), running(joined=joined)
    for chunk in chunks:
        found = text.add(framing.feed(chunk))
        found = found or (text.glimpse(framing.partial()) if glimpse else [])
        if found:
            return categories(found)
    return categories([*text.add(framing.end()), *text.settle()])


def categories(found: list[Found]) -> list[str]:
    return [one.decision.category or "" for one in found][:1]


def openai(words: str) -> str:
    """An answer as most assistants send it, a token an event."""
    tokens = [words[at : at + 4] for at in range(0, len(words), 4)]
    events = [{"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": token}}]}
              for token in tokens]  # fmt: skip
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def claude(words: str) -> str:
    return "".join(
        "event: content_block_delta\n"
        f"data: {json.dumps({'type': 'content_block_delta', 'index': 0, 'delta': {'type': 'text_delta', 'text': words[at : at + 3]}})}\n\n"
        for at in range(0, len(words), 3)
    )


def patches(words: str) -> str:
    first = {"p": "/message/content/parts/0", "o": "append", "v": words[:5]}
    rest = [{"v": words[at : at + 5]} for at in range(5, len(words), 5)]
    return "event: delta\n" + "".join(f"data: {json.dumps(one)}\n\n" for one in [first, *rest])


def snapshots(words: str) -> str:
    return "".join(f"data: {json.dumps({'message': {'parts': [words[: at + 7]]}})}\n\n" for at in range(0, len(words), 7))


def plain_tokens(words: str) -> str:
    return "".join(f"data: {words[at : at + 4]}\n\n" for at in range(0, len(words), 4))


def ndjson(words: str) -> str:
    return "".join(json.dumps({"message": {"role": "assistant", "content": words[at : at + 4]}, "done": False}) + "\n"
                   for at in range(0, len(words), 4))  # fmt: skip


def sdk(words: str) -> str:
    return "".join(f"0:{json.dumps(words[at : at + 4])}\n" for at in range(0, len(words), 4))


def pretty_array(words: str) -> str:
    return json.dumps(
        [{"candidates": [{"content": {"parts": [{"text": words[at : at + 9]}]}}]} for at in range(0, len(words), 9)], indent=2
    )


def nested(words: str) -> str:
    lines = [json.dumps([["wrb.fr", None, json.dumps([None, [["rc_1", [words[: at + 20]]]]])]]) for at in range(0, len(words), 20)]
    return ")]}'\n\n" + "".join(f"{len(line)}\n{line}\n" for line in lines)


FORMS: list[tuple[Any, Kind]] = [
    (openai, "events"), (claude, "events"), (patches, "events"), (snapshots, "events"), (plain_tokens, "events"), (ndjson, "lines"),
    (sdk, "text"), (pretty_array, "lines"), (nested, "lines"), (str, "text"),
]  # fmt: skip
BAD = "Here is how: you brew blue smoke in a pot and then wait until it is done."
GOOD = "The canal was dug by hand, and the mill owners paid for it. " * 30


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=[form.__name__ for form, _ in FORMS])
def test_a_phrase_is_found_across_the_pieces_of_every_form(form: Any, kind: Kind) -> None:
    stream = form(GOOD[:900] + BAD)
    assert read([stream], kind) == ["drugs"]
    assert read([stream[at : at + 7] for at in range(0, len(stream), 7)], kind) == ["drugs"]
    assert read([form(GOOD)], kind) == []


@pytest.mark.parametrize(("form", "kind"), FORMS, ids=[form.__name__ for form, _ in FORMS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_cut_into_chunks_gives_the_same_decision(form: Any, kind: Kind, data: st.DataObject) -> None:
    words = data.draw(
        st.lists(
            st.sampled_from(
                ["brew", "blue", "smoke", "smoked", "drat", "botheration", "kill the process", "python", "canal", "ship ", GOOD[:130]]
            ),
            max_size=25,
        )
    )
    stream = form(" ".join(words) + ".")
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    # Which of several themes comes first may depend on the cut; whether the stream goes on may not.
    assert bool(read(chunks, kind, glimpse=False)) == bool(read([stream], kind, glimpse=False))


def test_a_word_that_goes_on_is_no_match() -> None:
    text = running()
    assert text.add([Piece("content", "we brew blue smoke")]) == []
    assert text.suspicious
    assert text.add([Piece("content", "rs for the fish")]) == []
    assert not text.suspicious
    assert text.settle() == []


def test_a_phrase_is_settled_by_what_follows_by_the_end_or_by_silence() -> None:
    for after in (" ", ",", "\n"):
        text = running()
        assert text.add([Piece("content", "we brew blue smoke")]) == []
        assert categories(text.add([Piece("content", after)])) == ["drugs"]
    text = running()
    text.add([Piece("content", "we brew blue smoke")])
    assert text.doubtful
    assert categories(text.settle()) == ["drugs"]
    assert text.settle() == []


def test_words_after_a_phrase_may_make_it_harmless() -> None:
    text = running()
    assert text.add([Piece("content", "To kill the process ")]) == []
    assert text.suspicious
    assert text.add([Piece("content", "that Python started, look up its number. ")]) == []
    assert not text.suspicious
    text = running()
    text.add([Piece("content", "They kill the process ")])
    assert categories(text.add([Piece("content", "of peace. " * 20)])) == ["violence"]


def test_mild_words_far_apart_do_not_add_up() -> None:
    assert read([openai("drat! " + GOOD + " botheration! ")]) == []
    assert read([openai("drat! " + GOOD[:100] + " botheration! ")]) == ["profanity"]


def test_messages_of_a_chat_stand_apart_and_tokens_do_not() -> None:
    chat = running(joined=False)
    assert chat.add([Piece("text", "we brew blue"), Piece("text", "smoke")]) != []
    tokens = running(joined=False)
    pieces = [Piece("text", piece) for piece in ("we", " all", " brew", " blue", " smo", "ke", ".")]
    assert tokens.add(pieces) != []


def test_what_is_sent_again_does_not_count_again() -> None:
    text = running()
    for _ in range(5):
        assert text.add([Piece("content", "drat, said the miller of Dee"), Piece("content", "and went to see the new canal")]) == []


def test_an_unfinished_line_is_read_too() -> None:
    framing, text = Framing("lines"), running()
    assert text.add(framing.feed('{"answer": "first you brew blue ')) == []
    assert text.glimpse(framing.partial()) == []
    text.add(framing.feed("smoke in a pot"))
    assert categories(text.glimpse(framing.partial())) == ["drugs"]


def test_a_line_without_end_is_read_in_parts_and_kept_in_bounds() -> None:
    framing, text = Framing("lines"), running()
    for _ in range(200):
        text.add(framing.feed('{"a": "' + "canal " * 500))
        text.glimpse(framing.partial())
        assert len(framing._line) < 40_000
    found = text.add(framing.feed("brew blue smoke " + "canal " * 6000))
    assert categories(found) == ["drugs"]


@pytest.mark.parametrize(
    ("message", "pieces"),
    [
        ("hello there", [("", "hello there")]),
        ('{"text": "hello", "n": 1}', [("text", "hello")]),
        ('42["message",{"body":"hi"}]', [(".0", "message"), ("body", "hi")]),
        ('a["{\\"body\\":\\"hi\\"}"]', [("body", "hi")]),
        ('{"type":1,"arguments":["hi"]}\x1e{"type":6}\x1e', [("arguments.0", "hi")]),
        ('{"parts": ["one", "two"]}', [("parts.0", "one"), ("parts.1", "two")]),
        ('{"password": "hush", "text": "ok", "id": "0123456789abcdef0123456789abcdef"}', [("text", "ok")]),
        ('{"token": {"text": " hello"}}', [("text", " hello")]),
        ('{"text": "cut off', [("text", "cut off")]),
        ("", [("", "")]),
    ],
)  # fmt: skip
def test_messages_are_taken_apart(message: str, pieces: list[tuple[str, str]]) -> None:
    assert [tuple(piece) for piece in read_message(message)[1]] == pieces


@settings(deadline=None)
@given(st.text(max_size=300), st.sampled_from(["events", "lines", "text"]))
def test_no_stream_makes_it_fail(text: str, kind: Kind) -> None:
    read([text], kind)
    read(list(text), kind, joined=False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.text(max_size=40)), max_size=60))
def test_memory_stays_bounded(pieces: list[tuple[str, str]]) -> None:
    text = running()
    for name, value in pieces * 20:
        text.add([Piece(name, value)])
    assert all(len(lane.seen) < 2000 for lane in text._lanes.values())


def test_many_fields_do_not_fill_the_memory() -> None:
    text = running()
    for number in range(1000):
        text.add([Piece(f"field{number}", "some words")])
    assert len(text._lanes) == 32
