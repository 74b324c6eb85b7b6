"""Keyword sets: the phrases that Schoolgate watches for, one TOML file a theme, and what weighs a text by them."""

from rules.keywords.matcher import KeywordMatcher, Verdict

__all__ = ["KeywordMatcher", "Verdict"]
