"""Where each key and list item of a TOML file stands: tomllib reads values but tells no line numbers."""

import contextlib
import re

type Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\s#]+(?: [0-9][^,\]}\s#]*)?")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL)


class LineMap:
    """Line numbers by path of keys, for a text that tomllib has read without an error.

    Paths are tuples of keys and, inside arrays, indexes: `("groups", "staff", "timed", 0, "days")`.
    """

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._counted = 0
        self._counts: dict[Path, int] = {}
        self._lines: dict[Path, int] = {(): 1}
        # A form that this scanner doesn't know: the lines found so far still help.
        with contextlib.suppress(IndexError, RecursionError):
            self._document()

    def line_of(self, path: Path) -> int:
        """Return the line of the path, or of the nearest thing around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                self._at += 2
                name = self._resolve(self._key())
                index = self._counts.get(name, 0)
                self._counts[name] = index + 1
                table = (*name, index)
                self._note(name)
                self._note(table)
                self._at += 2
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._resolve(self._key())
                self._note(table)
                self._at += 1
            else:
                self._pair(table)

    def _resolve(self, keys: Path) -> Path:
        """A header inside an array of tables means its last item."""
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return (*path, keys[-1])

    def _key(self) -> Path:
        keys: list[str | int] = []
        while True:
            self._skip(_SPACE)
            char = self._text[self._at]
            pattern = _BASIC if char == '"' else _LITERAL if char == "'" else _BARE
            keys.append(self._take(pattern).strip(char if char in "\"'" else ""))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return tuple(keys)
            self._at += 1

    def _pair(self, table: Path) -> None:
        path = (*table, *self._key())
        self._note(path)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        char = self._text[self._at]
        if char == "[":
            self._at += 1
            index = 0
            while self._more("]"):
                self._note((*path, index))
                self._value((*path, index))
                index += 1
        elif char == "{":
            self._at += 1
            while self._more("}"):
                self._pair(path)
        elif char == '"':
            self._take(_LONG_BASIC if self._text.startswith('"""', self._at) else _BASIC)
        elif char == "'":
            self._take(_LONG_LITERAL if self._text.startswith("'''", self._at) else _LITERAL)
        else:
            self._take(_SCALAR)

    def _more(self, end: str) -> bool:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        for length in range(len(path), 0, -1):
            if self._lines.setdefault(path[:length], self._line) != self._line:
                break

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise IndexError(self._at)
        self._at = match.end()
        return match[0]
