"""Read a policy file: one TOML file that says who may do what when."""

from pathlib import Path

from rules.keywords.sets import KeywordSet
from rules.policy_reader import read_policy
from rules.policy_value import Policy
from rules.problems import PolicyError, Problem

__all__ = ["Policy", "PolicyError", "Problem", "load_policy", "parse_policy"]


def load_policy(path: Path) -> Policy:
    """Read and check a policy file; raises `PolicyError` with every problem found."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, f"The policy can't be read: {error.strerror or error}.")]) from None
    except ValueError:
        raise PolicyError([Problem(str(path), 0, "The policy is not UTF-8 text.")]) from None
    return parse_policy(text, str(path))


def parse_policy(text: str, file: str = "policy.toml", keyword_sets: tuple[KeywordSet, ...] | None = None) -> Policy:
    """Check a policy's text; `file` names it in errors and is where its relative paths start. Raises only `PolicyError`.

    `keyword_sets`, when given, are in force instead of what the text names: a ruleset freezes them when it is built.
    """
    return read_policy(text, file, keyword_sets)
