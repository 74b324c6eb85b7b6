"""The formats of other programs: what each line means, what is passed over, and what is refused with its number."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from blocklists.entries import Allowed, Entry, EntryError, HostLines, Item, Refused, Skipped
from blocklists.errors import ListError
from blocklists.formats.adblock import read_adblock
from blocklists.formats.addresses import network_entries
from blocklists.formats.digests import read_prefixes
from blocklists.formats.dnsmasq import read_dnsmasq
from blocklists.formats.e2guardian import Phrase, read_e2guardian, read_phrases
from blocklists.formats.interface import InCategory, Options
from blocklists.formats.registry import FORMATS
from blocklists.formats.services import read_exclusions
from blocklists.formats.unbound import read_unbound
from blocklists.reading import Line


def lines(text: str) -> list[Line]:
    return [Line(number, line) for number, line in enumerate(text.split("\n"), 1)]


def told(items: object) -> list[str]:
    """Each item as a short text: sign, line, kind and entry."""
    signs = {Entry: "+", Allowed: "@", Refused: "!", Skipped: "~"}
    found = []
    for item in items:  # type: ignore[attr-defined]
        rest = f" {item.kind} {item.text}" if isinstance(item, Entry | Allowed) else ""
        found.append(f"{signs[type(item)]}{item.line}{rest}")
    return found


def read(tmp_path: Path, format_: str, text: str | bytes, options: Options = Options(), name: str = "list") -> list[Item]:  # noqa: B008
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(FORMATS[format_].read(path, options))  # type: ignore[arg-type]


def test_adblock_takes_whole_hosts_and_bends_nothing_into_one() -> None:
    text = """[Adblock Plus 2.0]
! comment
||ads.test^
||ads2.test^$important
@@||good.test^
||path.test/x^
||third.test^$third-party
example.com##.banner
##.banner
example.com#@#.banner
/ads/banner.
||*.wild.test^
||prefix.test
*$removeparam=id
||com^
*
@@||com^
||8.8.8.8^
||remove.test^$badfilter
||a.test^$client=1.2.3.4
||dom.test^$document"""
    assert told(read_adblock(lines(text))) == [
        "+3 domain ads.test", "+4 domain ads2.test", "@5 domain good.test", "~6", "~7", "~8", "~9", "~10", "~11", "~12", "~13", "~14",
        "!15", "!16", "!17", "+18 domain 8.8.8.8", "~19", "~20", "+21 domain dom.test",
    ]  # fmt: skip


def test_dnsmasq_blocks_only_what_has_no_real_answer() -> None:
    text = """# c
local=/a.test/
address=/b.test/0.0.0.0
address=/c.test/d.test/#
server=/e.test/
server=/f.test/1.1.1.1
address=/g.test/1.2.3.4
address=/#/0.0.0.0
local=/com/
no-resolv
address=/h.test/ # note"""
    assert told(read_dnsmasq(lines(text))) == [
        "+2 domain a.test", "+3 domain b.test", "+4 domain c.test", "+4 domain d.test", "+5 domain e.test", "~6", "~7", "!8", "!9", "~10",
        "+11 domain h.test",
    ]  # fmt: skip


def test_unbound_blocks_by_the_type_of_the_zone() -> None:
    text = """server:
local-zone: "a.test." always_nxdomain
local-zone: "b.test" transparent
local-zone: "c.test" nodefault
local-zone: "d.test" static
local-data: "e.test A 0.0.0.0"
local-data: "f.test 60 IN A 10.1.1.1"
local-zone: "com" refuse
  local-zone: g.test redirect
verbosity: 1"""
    assert told(read_unbound(lines(text))) == [
        "+2 domain a.test", "@3 domain b.test", "~4", "+5 domain d.test", "+6 host e.test", "~7", "!8", "+9 domain g.test", "~10",
    ]  # fmt: skip


def test_a_response_policy_zone_blocks_and_passes(tmp_path: Path) -> None:
    text = """$TTL 300
$ORIGIN rpz.example.net.
@ SOA localhost. root.localhost. ( 1 2 3
  4 5 )
  NS localhost.
a.test CNAME .
*.a.test IN CNAME .
b.test 60 IN CNAME rpz-passthru.
c.test CNAME *. ; note
d.test.rpz.example.net. CNAME rpz-drop.
e.test CNAME walled.garden.test.
f.test A 0.0.0.0
g.test A 192.0.2.7
*.h.test CNAME .
24.0.2.0.192.rpz-ip CNAME .
ns.test.rpz-nsdname CNAME .
com CNAME .
"""
    items = told(read(tmp_path, "rpz", text))
    assert sorted(items) == sorted(
        [
            "+7 domain a.test", "@8 host b.test", "+9 host c.test", "+10 host d.test", "~11", "+12 host f.test", "~13", "+14 domain h.test",
            "+15 network 192.0.2.0/24", "~16", "!17",
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.test CNAME .\n$INCLUDE /etc/passwd\n", 2), ("$GENERATE 1-1000000000 a$.test CNAME .\n", 1), ("a.test CNAME (\n" * 3, 1),
        ("a.test NONSENSE .\n", 1), ("ok.test CNAME .\n\"\n", 2), (("x" * 70) + ".test CNAME .\n", 1), ("  CNAME .\n", 1),
        ("a.test CNAME \\300.\n", 1), ("a" * 9000 + "\n", 1),
    ],
)  # fmt: skip
def test_a_hostile_zone_is_an_error_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ListError, match=f"list:{line}:"):
        read(tmp_path, "rpz", text)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("10.1.2.3", [("host", "10.1.2.3")]), ("10.1.2.0/24", [("network", "10.1.2.0/24")]), ("10.1.2.9/24", [("network", "10.1.2.0/24")]),
        ("10.0.0.0/255.255.0.0", [("network", "10.0.0.0/16")]), ("10.0.0.0-10.0.0.3", [("network", "10.0.0.0/30")]),
        ("2001:DB8::/32", [("network", "2001:db8::/32")]), ("[2001:db8::1]", [("host", "[2001:db8::1]")]),
        ("::ffff:10.0.0.0/104", [("network", "10.0.0.0/8")]),
    ],
)  # fmt: skip
def test_addresses_and_networks_in_every_spelling(text: str, entries: list[tuple[str, str]]) -> None:
    assert network_entries(text) == entries


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "::/0", "10.0.0.0/33", "x", "", "1.2.3.4-1.2.3", "9.9.9.9-1.1.1.1", "::ffff:0:0/96", "1.0.0.0/7"]
)
def test_networks_that_reach_too_far_are_refused(text: str) -> None:
    with pytest.raises(EntryError):
        network_entries(text)


def test_short_prefixes_of_digests_are_refused() -> None:
    digest = "ab" * 32
    text = f"{digest}\n{digest[:16]}\n{digest[:8]}\nq6urq6urq6s=\nnot a digest!"
    assert told(read_prefixes(lines(text))) == [f"+1 hash {digest}", "+2 hash abababababababab", "!3", "+4 hash abababababababab", "!5"]


def test_e2guardian_site_and_url_lists_keep_their_categories() -> None:
    text = """#listcategory: "Games"
a.test
.Include</etc/other>
b.test/path/X
10.0.0.0/24
10.0.0.1-10.0.0.2
http://c.test/
d.test # note
.com"""
    items = [(category, *told([item])) for category, item in read_e2guardian(lines(text))]
    assert items == [
        ("Games", "+2 domain a.test"), ("Games", "~3"), ("Games", "+4 path b.test/path/X"), ("Games", "+5 network 10.0.0.0/24"),
        ("Games", "+6 host 10.0.0.1"), ("Games", "+6 host 10.0.0.2"), ("Games", "+7 domain c.test"), ("Games", "+8 domain d.test"),
        ("Games", "!9"),
    ]  # fmt: skip


def test_phrase_lists_come_out_in_a_neutral_form() -> None:
    text = '#listcategory: "Drugs"\n<weed><40>\n< pot >,<smoke><-30>\n<a>,<b>\n<x><10%>\nnonsense\n'
    assert list(read_phrases(lines(text))) == [
        Phrase(2, ("weed",), 40, False, "Drugs"), Phrase(3, (" pot ", "smoke"), -30, False, "Drugs"),
        Phrase(4, ("a", "b"), None, False, "Drugs"),
        Phrase(5, ("x",), 10, True, "Drugs"), Refused(6, "nonsense", "a phrase stands between < and >"),
    ]  # fmt: skip


def test_tables_find_their_columns(tmp_path: Path) -> None:
    text = 'id;Domain;category\n1;a.test;games\n2;"b.test";"two words"\n3;co.uk;games\n4;c.test/x;\n5;"open;x\n'
    items = read(tmp_path, "csv", text, Options("all"))
    assert told(items) == ["+2 domain a.test", "+3 domain b.test", "!4", "+5 path c.test/x", "!6"]
    items = read(tmp_path, "csv", text)
    assert [item.category for item in items if isinstance(item, InCategory)] == ["games", "two words", "games"]
    assert told(read(tmp_path, "csv", "x,y\n1,a.test\n", Options("c", None, {"y": "entry"}))) == ["+2 domain a.test"]
    assert told(read(tmp_path, "csv", "a.test,1\nb.test,2\n", Options("c"))) == ["+1 domain a.test", "+2 domain b.test"]
    with pytest.raises(ListError, match="no column 'z'"):
        read(tmp_path, "csv", "x,y\n1,a.test\n", Options("c", None, {"z": "entry"}))
    with pytest.raises(ListError, match="--column"):
        read(tmp_path, "csv", "x,y\n1,a.test\n", Options("c"))


def test_json_finds_its_fields_with_their_lines(tmp_path: Path) -> None:
    data = [{"urls": ["a.test", "*.b.test"], "ips": ["10.0.0.0/24", "2001:db8::1"], "category": "x"}, {"note": "c.test"}]
    text = json.dumps(data, indent=1)
    items = read(tmp_path, "json", text, Options("all"))
    assert told(items) == ["+4 domain a.test", "+5 domain b.test", "+8 network 10.0.0.0/24", "+9 host [2001:db8::1]"]
    assert told(read(tmp_path, "json", '["a.test", "b.test"]', Options("c"))) == ["+1 domain a.test", "+1 domain b.test"]
    assert told(read(tmp_path, "json", '{"d": "a.test"}\n{"d": "b.test"}\n', Options("c", None, {"d": "entry"}))) == [
        "+1 domain a.test", "+2 domain b.test",
    ]  # fmt: skip
    for broken in ("[1, 2", '{"a": 1}', "[" * 100_000, "1"):
        with pytest.raises(ListError):
            read(tmp_path, "json", broken, Options("c"))


def tree(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_v2fly_includes_follow_attributes_and_stop_at_circles(tmp_path: Path) -> None:
    path = tree(
        tmp_path / "v.tar.gz",
        {
            "data/one": "one.test\nfull:exact.one.test @ads\ninclude:two @ads\nkeyword:bad\nregexp:.*\n# c\n",
            "data/two": "two.test @ads\nplain.two.test\ninclude:one\n", "data/three": "include:missing\ninclude:two @-ads\n",
        },
    )  # fmt: skip
    items = [item for item in FORMATS["v2fly"].read(path, Options()) if isinstance(item, InCategory)]
    found = {(item.category, item.item.text, item.item.kind) for item in items if isinstance(item.item, Entry)}
    assert {entry for entry in found if entry[0] == "service:one"} == {
        ("service:one", "one.test", "domain"), ("service:one", "exact.one.test", "host"), ("service:one", "two.test", "domain"),
    }  # fmt: skip
    assert ("service:three", "plain.two.test", "domain") in found
    assert ("service:three", "two.test", "domain") not in found
    assert ("service:three", "exact.one.test", "host") not in found
    assert sum(isinstance(item.item, Skipped) for item in items if item.category == "service:one") == 2
    assert any(isinstance(item.item, Refused) and "missing" in item.item.reason for item in items)


def test_includes_that_would_multiply_for_ever_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocklists.formats.services.MAX_EXPANDED", 1_000)
    files = {f"data/f{n}": f"h{n}.test\n" + f"include:f{n + 1}\n" * 10 for n in range(10)}
    with pytest.raises(ListError, match="includes"):
        list(FORMATS["v2fly"].read(tree(tmp_path / "v.tar.gz", files), Options()))


def test_service_files_of_next_dns_and_ad_guard(tmp_path: Path) -> None:
    path = tree(tmp_path / "n.tar.gz", {"services/discord": "discord.com\ndiscord.gg\n", "services/roblox": "roblox.com\n"})
    items = [item for item in FORMATS["nextdns"].read(path, Options()) if isinstance(item, InCategory)]
    assert [(item.category, item.item.text) for item in items if isinstance(item.item, Entry)] == [
        ("service:discord", "discord.com"), ("service:discord", "discord.gg"), ("service:roblox", "roblox.com"),
    ]  # fmt: skip
    data = {"blocked_services": [{"id": "YouTube", "name": "YouTube", "rules": ["||youtube.com^", "||yt.test^$third-party"]}]}
    (tmp_path / "s.json").write_text(json.dumps(data))
    items = [item for item in FORMATS["adguard-services"].read(tmp_path / "s.json", Options()) if isinstance(item, InCategory)]
    assert [(item.category, type(item.item)) for item in items] == [("service:youtube", Entry), ("service:youtube", Skipped)]
    with pytest.raises(ListError):
        list(FORMATS["adguard-services"].read(path, Options()))


def test_exclusions_keep_exact_hosts_exact() -> None:
    text = '// c\n! c\na.test\n"b.test"\nc.test$app=x\nping.*.d.test\n*.e.test\n'
    assert told(read_exclusions(lines(text))) == ["+3 domain a.test", "+4 host b.test", "~5", "!6", "+7 domain e.test"]


def test_plain_lines_go_together_and_odd_ones_alone(tmp_path: Path) -> None:
    text = "# c\na.test\nB.test\nxn--bcher-kva.test\nco.uk\nfoo.ck\na b\n-x.test\nx.test\n1.2.3.4\ny.test # n\n\nlast.test"
    items = read(tmp_path, "domains", text)
    [block] = [item for item in items if isinstance(item, HostLines)]
    assert (block.data, block.numbers.tolist(), block.kind) == (b"a.test\nx.test\n", [2, 9], "domain")
    assert told(item for item in items if not isinstance(item, HostLines)) == [
        "+3 domain b.test", "+4 domain xn--bcher-kva.test", "!5", "!6", "!7", "+8 domain -x.test", "+10 domain 1.2.3.4",
        "+11 domain y.test", "+13 domain last.test",
    ]  # fmt: skip


def test_hosts_and_wildcards_by_the_block_need_their_prefix(tmp_path: Path) -> None:
    text = "0.0.0.0 a.test\nb.test\n127.0.0.1 localhost.localdomain\n127.0.0.1 c.test\n0.0.0.0 0.0.0.0\n0.0.0.0 d.test e.test\n"
    items = read(tmp_path, "hosts", text)
    [block] = [item for item in items if isinstance(item, HostLines)]
    assert (block.data, block.numbers.tolist(), block.kind) == (b"a.test\nc.test\n", [1, 4], "host")
    assert told(item for item in items if not isinstance(item, HostLines)) == ["!2", "+6 host d.test", "+6 host e.test"]
    items = read(tmp_path, "wildcard", "*.a.test\nb.test\n*.co.uk\n*.*.c.test\n")
    assert [item.data for item in items if isinstance(item, HostLines)] == [b"a.test\n"]
    assert told(item for item in items if not isinstance(item, HostLines)) == ["+2 domain b.test", "!3", "!4"]
