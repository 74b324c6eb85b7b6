"""The last words of a stream that was cut, in the stream's own form, so that the program at its other end can show them."""

import re
from typing import Any

import msgspec

from rules.pieces import Framing

_encode = msgspec.json.Encoder().encode
_STRING = re.compile(r'(?:[^"\\]++|\\.)*+("|\\?\Z)', re.DOTALL)
_TOKEN = re.compile(rf'"{_STRING.pattern}|[\[\]{{}}:,]|[^\s"\[\]{{}}:,]+', re.DOTALL)
CODE = "content_filter"
"""What assistants' own interfaces call an answer that a filter ended."""


def stream_notice(framing: Framing, sentence: str, tail: "JsonTail | None" = None) -> bytes:
    """Return the bytes that end a stream: `sentence` in its form, after whatever was passed on before.

    Event streams (HTML standard, 9.2) get a comment, then what their kind of answer ends with: a delta and `[DONE]`
    like those of most assistants, the closing events of Claude's, else an event `error`. Lines of JSON get one more
    object, a JSON document is closed, and plain text gets the sentence. `tail` knows where a JSON document stands.
    """
    if framing.kind == "events":
        # A line that was passed on in part is made whole, for pages fail on half an object.
        whole = tail.closing(sentence) if tail is not None and tail.open else ""
        return f"{whole}\n\n: {sentence}\n\n{_events(framing, sentence)}".encode()
    if framing.kind == "lines":
        if tail is not None and tail.open:
            return tail.closing(sentence).encode() + b"\n"
        return b"\n" + _line(framing.sample, sentence) + b"\n"
    return f"\n\n[{sentence}]\n".encode()


def message_notice(sample: dict[str, Any] | None, sentence: str) -> str:
    """Return a WebSocket message that says why the connection closes: JSON where the site speaks JSON."""
    return sentence if sample is None else _encode({"type": "error", "error": _error(sentence)}).decode()


def _error(sentence: str) -> dict[str, str]:
    return {"message": sentence, "type": CODE, "code": CODE}


def _events(framing: Framing, sentence: str) -> str:
    sample = framing.sample
    if sample is None:
        # Plain words: pages append the data of every event to what they show.
        return f"event: error\ndata: {sentence}\n\n"
    if isinstance(sample.get("choices"), list):
        facts: dict[str, Any] = {key: sample[key] for key in ("id", "object", "created", "model") if key in sample}
        # The older interface sends completed text, not deltas.
        in_deltas = not any(isinstance(choice, dict) and "text" in choice for choice in sample["choices"])

        def chunk(words: str, reason: str | None) -> str:
            delta: dict[str, Any] = {"content": words} if words else {}
            content: dict[str, Any] = {"delta": delta} if in_deltas else {"text": words}
            return _data({**facts, "choices": [{"index": 0, **content, "finish_reason": reason}]})

        return f"{chunk(f'\n\n{sentence}', None)}{chunk('', CODE)}data: [DONE]\n\n"
    kind = sample.get("type")
    if isinstance(kind, str) and kind.startswith(("content_block_", "message_")):
        place = sample.get("index") if isinstance(sample.get("index"), int) else 0
        steps: tuple[dict[str, Any], ...] = (
            {"type": "content_block_delta", "index": place, "delta": {"type": "text_delta", "text": f"\n\n{sentence}"}},
            {"type": "content_block_stop", "index": place},
            {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_sequence": None}},
            {"type": "message_stop"},
        )
        return "".join(f"event: {step['type']}\n{_data(step)}" for step in steps)
    if isinstance(kind, str) and kind.startswith("response."):
        places: dict[str, Any] = {key: sample[key] for key in ("item_id", "output_index", "content_index") if key in sample}
        failed = {"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": CODE}}}
        delta_event = _data({"type": "response.output_text.delta", **places, "delta": f"\n\n{sentence}"})
        return f"event: response.output_text.delta\n{delta_event}event: response.incomplete\n{_data(failed)}"
    ended = "data: [DONE]\n\n" if framing.done_marks or "v" in sample else ""
    return f"event: error\n{_data({'type': 'error', 'error': _error(sentence)})}{ended}"


def _data(value: dict[str, Any]) -> str:
    return f"data: {_encode(value).decode()}\n\n"


def _line(sample: dict[str, Any] | None, sentence: str) -> bytes:
    if sample is not None and "done" in sample:
        facts: dict[str, Any] = {key: sample[key] for key in ("model", "created_at") if key in sample}
        words: dict[str, Any] = (
            {"message": {"role": "assistant", "content": f"\n\n{sentence}"}} if "message" in sample else {"response": f"\n\n{sentence}"}
        )
        return _encode({**facts, **words, "done": True, "done_reason": CODE})
    return _encode({"type": "error", "error": _error(sentence)})


class JsonTail:
    """Where a JSON document stands after what was passed on of it, so that it can be closed there."""

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._in_string = self._escaped = False
        self._last = ""
        """What came last: a mark, `key` for a field's name, or `value`; of a string that is not over yet, what it is."""

    @property
    def open(self) -> bool:
        """True inside of an array or object: what was passed on is no whole document."""
        return bool(self._stack)

    def feed(self, text: str) -> None:
        """Follow text that was passed on."""
        at = 0
        if self._in_string:
            at = self._follow_string(_STRING.match(text, min(len(text), 1 if self._escaped else 0)), bool(text))
        for match in _TOKEN.finditer(text, at):
            mark = match[0]
            if mark[0] == '"':
                is_key = bool(self._stack) and self._stack[-1] == "{" and self._last in ("{", ",")
                self._last = "key" if is_key else "value"
                self._in_string = match[1] != '"'
                self._escaped = match[1] == "\\"
            elif mark in "[{":
                self._stack.append(mark)
                self._last = mark
            elif mark in "]}":
                if self._stack:
                    self._stack.pop()
                self._last = "value"
            else:
                self._last = mark if mark in ":," else "value"

    def _follow_string(self, match: re.Match[str] | None, grew: bool) -> int:
        assert match is not None, "matches the empty text too"
        if grew:
            self._in_string = match[1] != '"'
            self._escaped = match[1] == "\\"
        return match.end()

    def closing(self, sentence: str) -> str:
        """Return what makes a whole document of what was passed on, with the sentence in it."""
        shown = _encode(f"[{sentence}]").decode()
        if self._in_string:
            end = ("\\" if self._escaped else "") + " " + shown[1:] + (":null" if self._last == "key" else "")
        elif self._last in ("key", ":"):
            end = shown if self._last == ":" else ":" + shown
        else:
            end = "" if self._last in ("[", "{", ",") else ","
            end += f'"notice":{shown}' if self._stack[-1] == "{" else shown
        return end + "".join("]" if one == "[" else "}" for one in reversed(self._stack))
