"""What is wrong with a file that a person wrote, said so that they can put it right."""

from typing import NamedTuple


class Problem(NamedTuple):
    """One fault in one place."""

    file: str
    line: int
    """1 for the first line; 0 when the fault belongs to the whole file."""
    message: str
    """One sentence: what is wrong and what to do."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class PolicyError(ValueError):
    """The policy or a keyword file is wrong; carries every problem that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
