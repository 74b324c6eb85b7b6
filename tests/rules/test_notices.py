"""The last words of a cut stream: in its own form, and readable by what reads it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.notices import JsonTail, message_notice, stream_notice
from rules.pieces import Framing, Kind

SENTENCE = "This answer was stopped by the school's filter."


def after(stream: str, kind: Kind) -> Framing:
    framing = Framing(kind)
    framing.feed(stream)
    return framing


def events(data: bytes) -> list[tuple[str, str]]:
    """Type and data of each event, read as the HTML standard says."""
    found: list[tuple[str, str]] = []
    name, lines = "", list[str]()
    for line in data.decode().split("\n"):
        if not line:
            if lines:
                found.append((name or "message", "\n".join(lines)))
            name, lines = "", []
        elif line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            lines.append(line[6:])
        else:
            assert line.startswith(":")
    return found


def test_an_answer_like_most_assistants_gets_a_delta_and_done() -> None:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    found = events(stream_notice(after(f"data: {json.dumps(chunk)}\n\n", "events"), SENTENCE))
    first, last = json.loads(found[0][1]), json.loads(found[1][1])
    assert SENTENCE in first["choices"][0]["delta"]["content"]
    assert (first["id"], first["model"]) == ("c1", "m")
    assert last["choices"][0]["finish_reason"] == "content_filter"
    assert found[2] == ("message", "[DONE]")


def test_an_answer_like_claude_gets_its_closing_events() -> None:
    step = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "x"}}
    found = events(stream_notice(after(f"event: content_block_delta\ndata: {json.dumps(step)}\n\n", "events"), SENTENCE))
    assert [name for name, _ in found] == ["content_block_delta", "content_block_stop", "message_delta", "message_stop"]
    assert all(json.loads(data)["type"] == name for name, data in found)
    assert SENTENCE in found[0][1]


@pytest.mark.parametrize("stream", ['data: {"some": "thing"}\n\n', "data: words\n\n", "", ": only a comment\n\n", 'data: {"cut":'])
def test_any_other_event_stream_gets_an_error_event(stream: str) -> None:
    found = events(stream.encode() + stream_notice(after(stream, "events"), SENTENCE))
    assert found[-1][0] == "error"
    assert SENTENCE in found[-1][1]


def test_lines_of_json_get_one_more() -> None:
    ollama = '{"model": "m", "message": {"role": "assistant", "content": "x"}, "done": false}\n'
    last = json.loads(stream_notice(after(ollama, "lines"), SENTENCE))
    assert (last["done"], last["model"]) == (True, "m")
    assert SENTENCE in last["message"]["content"]
    assert json.loads(stream_notice(after('{"a": 1}\n', "lines"), SENTENCE))["error"]["message"] == SENTENCE


def test_plain_text_gets_the_sentence_and_messages_their_form() -> None:
    assert SENTENCE in stream_notice(after("words and words and words", "text"), SENTENCE).decode()
    assert message_notice(None, SENTENCE) == SENTENCE
    assert json.loads(message_notice({"text": "hi"}, SENTENCE))["error"]["message"] == SENTENCE


JSON = st.recursive(
    # Literals are left out: nothing closes half a `true`.
    st.integers(0, 999) | st.text(alphabet='ab "\\\n{[,:', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k"\\', max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(alphabet="k", min_size=1, max_size=3), JSON, min_size=1), st.data())
def test_a_document_can_be_closed_wherever_it_was_cut(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    cut = data.draw(st.integers(1, len(text) - 1))
    middle = data.draw(st.integers(0, cut))
    tail = JsonTail()
    tail.feed(text[:middle])
    tail.feed(text[middle:cut])
    if tail.open:
        json.loads(text[:cut] + tail.closing(SENTENCE), strict=False)
