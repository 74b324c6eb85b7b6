"""Header fields looked up by name: the same answers as mitmproxy's own look-up, for all names and values."""

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.coretypes.multidict import MultiDict
from mitmproxy.http import Headers

from proxy import fields

_NAMES = st.sampled_from([b"Host", b"HOST", b"host", b"Via", b"Accept", b"X-\xff", b"x-\xc3\xa9", b""]) | st.binary(max_size=4)
_FIELDS = st.lists(st.tuples(_NAMES, st.binary(max_size=6)), max_size=6)


class _Theirs(Headers):
    """Headers whose look-up is mitmproxy's, whatever stands in its place."""

    def get_all(self, name: str | bytes) -> list[str]:
        """Return values as the class that `Headers` is made from does."""
        key = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
        return [value.decode("utf-8", "surrogateescape") for value in MultiDict.get_all(self, key)]


@given(_FIELDS, _NAMES)
def test_values_are_those_that_mitmproxy_finds(pairs: list[tuple[bytes, bytes]], name: bytes) -> None:
    theirs, ours = _Theirs(pairs), Headers(pairs)
    for asked in (name, name.decode("utf-8", "surrogateescape")):
        found = theirs.get_all(asked)
        assert fields.get_all(ours, asked) == found
        assert fields.contains(ours, asked) is bool(found)
        assert fields.get(ours, asked, "none") == (", ".join(found) if found else "none")


def test_what_is_no_name_is_not_there() -> None:
    assert not fields.contains(Headers(host="a.test"), 7)
