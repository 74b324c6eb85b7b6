"""Keys of many texts at once are those of one text at a time."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from blocklists.layout import hash_bytes
from blocklists.spans import line_keys, padded, span_keys


@given(st.lists(st.binary(max_size=150), max_size=30))
@example([b"x" * length for length in range(150)])
def test_spans_have_the_keys_of_their_texts(texts: list[bytes]) -> None:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    keys = span_keys(padded(b"".join(texts)), np.cumsum(lengths) - lengths, lengths)
    assert keys.tolist() == [hash_bytes(text) for text in texts]


def test_long_blocks_and_lines_have_their_keys() -> None:
    texts = [b"%x.example.test" % (number * 7919) for number in range(20_000)]
    assert line_keys(b"\n".join(texts) + b"\n").tolist() == [hash_bytes(text) for text in texts]
    assert line_keys(b"").tolist() == []
