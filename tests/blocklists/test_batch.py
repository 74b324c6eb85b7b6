"""Many look-ups at once answer as one at a time."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.batch import BatchLookup, UrlBatch
from blocklists.compiler import Compiler
from blocklists.index import ListIndex
from blocklists.layout import Label
from blocklists.url import CanonicalUrl, canonicalise


def plain_index(extra: Callable[[Compiler], None] = lambda _: None) -> ListIndex:
    compiler = Compiler()
    compiler.add(Label("a", "games", "domain"), [b"example.com", b"b.test", b"10.1.2.3", b"www.c.test"])
    compiler.add(Label("b", "ads", "host"), [b"example.com", b"www.b.test"])
    compiler.add(Label("b", "ads", "domain"), [b"example.com"])
    compiler.add(Label("a", "games", "path"), [b"p.test/a/b", b"p.test/", b"example.com/x", b"b.test/a/b/c/d"])
    compiler.add(Label("a", "games", "url"), [b"p.test/q?id=1"])
    extra(compiler)
    return ListIndex.of(compiler.to_bytes(), "test")


def special(compiler: Compiler) -> None:
    compiler.add_lines(Label("n", "vpn", "network"), b"10.1.0.0/16\n2001:db8::/32\n")
    compiler.add_exceptions("a", "domain", [b"good.example.com", b"far.down.example.com"])
    compiler.add_exceptions("b", "host", [b"example.com"])


def digests(compiler: Compiler) -> None:
    compiler.add_hashes(Label("h", "malware", "hash"), [hashlib.sha256(b"p.test/a/").digest()])


INDEXES = [plain_index(), plain_index(special), plain_index(digests)]
hosts = st.sampled_from(
    [
        "example.com", "www.example.com", "good.example.com", "x.good.example.com", "b.test", "www.b.test", "p.test", "www7.p.test",
        "c.test",
        "www.c.test", "a.b.c.d.e.example.com", "10.1.2.3", "10.1.9.9", "[2001:db8::5]", "other.net", "com", "ftp.p.test", "webmail.p.test",
        "x.far.down.example.com", "down.example.com",
    ]
)  # fmt: skip
paths = st.sampled_from(["/", "/a", "/a/b", "/a/b/", "/a/b/c/d/e", "/a/bc", "/q?id=1", "/q?id=2", "/x/y?a/b.c", "/q", "/?q", "/x"])
urls = st.builds(lambda host, path: canonicalise(f"http://{host}{path}"), hosts, paths)


@pytest.mark.parametrize("index", INDEXES, ids=["plain", "networks and exceptions", "digests"])
@given(asked=st.lists(urls, max_size=12))
def test_batches_find_what_single_look_ups_find(index: ListIndex, asked: list[CanonicalUrl]) -> None:
    hits = BatchLookup(index).find(UrlBatch.of([url.host + url.path_and_query for url in asked]))
    labels = index.meta.labels
    found = {(int(row), labels[number].list, labels[number].category) for row, number in zip(hits.rows, hits.labels, strict=True)}
    assert found == {(row, hit.list, hit.category) for row, url in enumerate(asked) for hit in index.lookup(url)}


def test_a_batch_of_many_parts_keeps_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocklists.batch.ROWS_AT_ONCE", 7)
    texts = [f"{'x.example.com' if row % 3 == 0 else 'fine.test'}/p{row}" for row in range(100)]
    batch = UrlBatch.of(texts)
    assert batch[99] == texts[99]
    assert np.flatnonzero(BatchLookup(INDEXES[0]).find(batch).any(100)).tolist() == list(range(0, 100, 3))
