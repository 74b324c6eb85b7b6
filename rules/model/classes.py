"""Classes of words: which class a word belongs to, and the hash that stands for the class in n-grams."""

import hashlib
import tomllib
from importlib.resources import files

CLASS_OF: dict[str, str] = {}
"""Class by word."""
for _name, _words in tomllib.loads((files("rules.model") / "classes.toml").read_text(encoding="utf-8")).items():
    for _word in _words.split():
        CLASS_OF.setdefault(_word, _name)

CLASS_HASHES: dict[str, int] = {
    word: int.from_bytes(hashlib.blake2b(f"class {name}".encode(), digest_size=8).digest(), "little") | 1 for word, name in CLASS_OF.items()
}
"""Hash of a word's class, never 0."""
