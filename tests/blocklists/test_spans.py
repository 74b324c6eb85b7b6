"""Keys of many texts at once are those of one text at a time."""

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from blocklists.layout import hash_bytes
from blocklists.spans import distinct, host_keys, line_keys, padded, span_keys


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


names = st.lists(st.text("ab1-_", min_size=1, max_size=4), min_size=1, max_size=6).map(".".join)
addresses = st.ip_addresses().map(lambda address: str(address) if address.version == 4 else f"[{address}]")


@given(st.lists(names | addresses, max_size=20))
def test_hosts_have_the_keys_of_their_parents_down_to_two_labels(hosts: list[str]) -> None:
    keys, parents = host_keys("".join(host + "\n" for host in hosts).encode())
    assert keys.tolist() == [hash_bytes(host.encode()) for host in hosts]
    named = [host.split(".") for host in hosts if not re.search(r"(^|\.)[0-9]{1,3}$", host)]
    wanted = {".".join(labels[level:]) for labels in named for level in range(1, len(labels) - 1)}
    assert parents.tolist() == sorted({hash_bytes(name.encode()) for name in wanted})


def test_distinct_keys_stand_in_order() -> None:
    assert distinct(np.array([3, 1, 3, 2], np.uint64)).tolist() == [1, 2, 3]
    assert distinct(np.zeros(0, np.uint64)).tolist() == []
