"""The life of a list: versions, pauses, guards, what changes, why an address is listed, and the starter lists."""

from pathlib import Path

import pytest

from blocklists.compare import diff, overlap, stats
from blocklists.errors import ListError
from blocklists.formats.interface import Options
from blocklists.guards import Finding, Limits, examine
from blocklists.history import KEPT
from blocklists.library import Library
from blocklists.parsed import parse
from blocklists.starter import do_not_decrypt, install_starter_lists, must_stay_open
from blocklists.stored import RefusedLine, Section, read_sections
from blocklists.url import canonicalise
from blocklists.why import Reason, search, why


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "lists")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def listed(library: Library, text: str) -> bool:
    library.compile()
    index = library.open_index()
    try:
        return bool(index.lookup(canonicalise(text)))
    finally:
        index.close()


def load(library: Library, tmp_path: Path, text: str, name: str = "g") -> int:
    return library.load(name, write(tmp_path / "g.txt", text), "domains", "games").version


def test_an_earlier_version_comes_back_with_its_entries(library: Library, tmp_path: Path) -> None:
    assert [load(library, tmp_path, f"v{number}.test\n") for number in range(1, 4)] == [1, 2, 3]
    assert library.rollback("g").version == 2
    assert listed(library, "http://v2.test/")
    assert not listed(library, "http://v3.test/")
    assert library.rollback("g").version == 1
    assert library.rollback("g", 3).version == 3
    assert listed(library, "http://v3.test/")
    with pytest.raises(ListError, match="kept are: 3, 2, 1"):
        library.rollback("g", 9)
    library.rollback("g", 1)
    with pytest.raises(ListError, match="before the present one; `lists remove g`"):
        library.rollback("g")
    assert load(library, tmp_path, "v4.test\n") == 4
    with pytest.raises(ListError, match="no list named"):
        library.rollback("../g")


def test_the_last_versions_are_kept_and_a_removed_list_comes_back(library: Library, tmp_path: Path) -> None:
    for number in range(1, 9):
        load(library, tmp_path, f"v{number}.test\n")
    versions = library.history.versions("g")
    assert [stored.version for stored in versions] == [8, 7, 6, 5, 4]
    assert len(versions) == KEPT
    assert len(list((library.folder / "history" / "g").iterdir())) == 3 * KEPT
    library.remove("g")
    assert not listed(library, "http://v8.test/")
    assert library.rollback("g").version == 8
    assert listed(library, "http://v8.test/")


def test_a_paused_list_blocks_nothing_until_it_is_taken_in_again(library: Library, tmp_path: Path) -> None:
    load(library, tmp_path, "a.test\n")
    library.pause("g")
    assert not listed(library, "http://a.test/")
    assert library.status()[0].paused
    library.pause("g", paused=False)
    assert listed(library, "http://a.test/")


def test_what_a_list_excepts_lifts_its_own_entries_only(library: Library, tmp_path: Path) -> None:
    rules = "||a.test^\n@@||good.a.test^\n||bad.good.a.test^\n@@||b.test^\n"
    report = library.load("ads", write(tmp_path / "ads.txt", rules), None, "ads")
    assert (report.format, report.entries, report.excepted) == ("adblock", 4, 2)
    library.load("other", write(tmp_path / "o.txt", "b.test\n"), "domains", "games")
    library.compile()
    index = library.open_index()

    def lists(text: str) -> set[str]:
        return {hit.list for hit in index.lookup(canonicalise(text))}

    assert lists("http://x.a.test/") == {"ads"}
    assert lists("http://x.good.a.test/") == set()
    # The nearer entry counts; and no list lifts what another one says.
    assert lists("http://bad.good.a.test/") == {"ads"}
    assert lists("http://b.test/") == {"other"}
    assert [hit.list for hit in index.exceptions(canonicalise("http://b.test/"))] == ["ads"]
    index.close()


def test_loaded_to_allow_only_what_a_list_allows_counts(library: Library, tmp_path: Path) -> None:
    report = library.load("ok", write(tmp_path / "ok.txt", "||a.test^\n@@||b.test^\n"), "adblock", kind="allow")
    assert (report.entries, report.skipped) == (1, 1)
    library.load("nets", write(tmp_path / "n.txt", "10.1.0.0/16\n2001:db8::/32\n"), "networks", kind="allow")
    library.compile()
    allow = library.open_allow()
    assert allow.find(canonicalise("http://b.test/")) is not None
    assert allow.find(canonicalise("http://a.test/")) is None
    assert allow.find(canonicalise("http://10.1.255.1/")) is not None
    assert allow.find(canonicalise("http://10.2.0.1/")) is None
    assert allow.find(canonicalise("http://[2001:db8::1]/")) is not None


def test_why_names_list_version_file_and_line(library: Library, tmp_path: Path) -> None:
    load(library, tmp_path, "x.test\n")
    lines = "# c\n" + "".join(f"h{number}.test\n" for number in range(500)) + "A.test\nlast.test"
    library.load("g", write(tmp_path / "g.txt", lines), "domains", "games", publisher="The Publisher")
    tree = tmp_path / "tree" / "games"
    tree.mkdir(parents=True)
    write(tree / "domains", "q.test\nh7.test\n")
    write(tree / "urls", "# u\nh7.test/p\n")
    library.load("t", tmp_path / "tree", "ut1")
    library.load("s", tree, "squidguard")
    library.load("c", write(tmp_path / "c.csv", "site,category\nh7.test,ads\n"), None)
    library.compile()
    index, allow = library.open_index(), library.open_allow()

    def places(text: str) -> set[tuple[str, str, str, int, int]]:
        return {(r.list, r.kind, r.file, r.line, r.version) for r in why(library, index, allow, canonicalise(text))}

    assert places("http://www.h7.test/p/x") == {
        ("g", "domain", "g.txt", 9, 2), ("t", "domain", "tree/games/domains", 2, 1), ("t", "path", "tree/games/urls", 2, 1),
        ("s", "domain", "games/domains", 2, 1), ("s", "path", "games/urls", 2, 1), ("c", "domain", "c.csv", 2, 1),
    }  # fmt: skip
    assert places("http://a.test/") == {("g", "domain", "g.txt", 502, 2)}
    [reason] = why(library, index, allow, canonicalise("http://last.test/"))
    assert isinstance(reason, Reason)
    assert (reason.publisher, reason.action, reason.line) == ("The Publisher", "block", 503)
    index.close()


def test_searching_overlap_and_worth(library: Library, tmp_path: Path) -> None:
    library.load("a", write(tmp_path / "a.txt", "One.test\ntwo.test\nthree.test\n"), "domains", "games")
    library.load("b", write(tmp_path / "b.txt", "two.test\nfour.test\n"), "domains", "ads")
    assert [(found.list, found.entry) for found in search(library, "ONE")] == [("a", "one.test")]
    assert len(search(library, ".test", limit=3)) == 3
    assert search(library, " ") == []
    [pair] = overlap(library)
    assert (pair.first, pair.second, pair.shared, pair.share_of_second) == ("a", "b", 1, 0.5)
    assert [(one.name, one.alone, one.share_of_hits) for one in stats(library, {"a": 3, "b": 1})] == [("a", 2, 0.75), ("b", 1, 0.25)]
    assert stats(library)[0].hits is None


def sections(tmp_path: Path, text: str, format_: str = "domains", category: str = "c") -> list[Section]:
    return parse(write(tmp_path / "list", text), format_, Options(category)).store.sections()


def test_a_change_counts_added_removed_and_moved(tmp_path: Path) -> None:
    old = sections(tmp_path, "domain,category\na.test,games\nb.test,games\nc.test,ads\n", "csv", "")
    new = sections(tmp_path, "domain,category\na.test,games\nb.test,ads\nx.d.test,ads\ny.d.test,ads\nz.e.co.uk,ads\n", "csv", "")
    change = diff(old, new)
    assert (change.before, change.after, change.added, change.removed) == (3, 5, 3, 1)
    assert change.moved == {"games -> ads": 1}
    assert change.by_category == {"ads": (4, 1), "games": (0, 1)}
    assert change.parents == (("d.test", 2), ("e.co.uk", 1))
    assert change.removed_examples == ("c.test",)
    assert diff(old, old).added == diff(old, old).removed == 0


VITAL = {"www.childline.org.uk": "help", "www.gov.uk": "government"}


def rules_of(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.entry) for finding in findings]


@pytest.mark.parametrize(
    ("text", "format_", "found"),
    [
        ("childline.org.uk\n", "domains", [("vital", "childline.org.uk")]),
        ("0.0.0.0 www.childline.org.uk\n", "hosts", [("vital", "www.childline.org.uk")]),
        ("0.0.0.0 childline.org.uk\n", "hosts", []), ("http://www.childline.org.uk/games\n", "urls", []),
        ("notchildline.org.uk\nxchildline.org.uk\n", "domains", []), ("||childline.org.uk^\n@@||www.childline.org.uk^\n", "adblock", []),
        ("school.test\n", "domains", [("own", "school.test")]), ("github.io\n", "domains", [("platform", "github.io")]),
        ("a5bd4a4d4ebb2fb0b7d9b7e3c1bd9ffb9ba1bcf5fbd08d4c4e15ef9dbc8d2e71\n", "sha256", []),
    ],
)  # fmt: skip
def test_a_list_that_would_close_what_must_stay_open_is_found_out(
    tmp_path: Path, text: str, format_: str, found: list[tuple[str, str]]
) -> None:
    assert rules_of(examine(sections(tmp_path, text, format_), (), 0, None, VITAL, ["mail.school.test"])) == found


def test_a_digest_of_a_vital_host_is_found_out(tmp_path: Path) -> None:
    import hashlib

    digest = hashlib.sha256(b"childline.org.uk/").hexdigest()
    assert rules_of(examine(sections(tmp_path, digest + "\n", "sha256"), (), 0, None, VITAL)) == [("vital", "childline.org.uk/")]


@pytest.mark.parametrize(
    ("old", "found"), [(None, []), (100, []), (130, []), (200, ["shrank"]), (30, ["grew"]), (51, []), (10_000, ["shrank"])]
)  # fmt: skip
def test_a_list_that_shrank_or_grew_too_much_is_found_out(tmp_path: Path, old: int | None, found: list[str]) -> None:
    new = sections(tmp_path, "".join(f"h{number}.test\n" for number in range(100)))
    assert [finding.rule for finding in examine(new, (), 0, old, {})] == found
    assert examine(new, (), 0, old, {}, limits=Limits(shrink=1, grow=1000)) == []


def test_many_refused_lines_and_public_suffixes_are_told(tmp_path: Path) -> None:
    new = sections(tmp_path, "".join(f"h{number}.test\n" for number in range(60)))
    refusal = RefusedLine("list", 7, "co.uk", "co.uk is a public suffix: it would match every site under it")
    findings = examine(new, (refusal,), 40, None, {})
    assert [(finding.rule, finding.blocks) for finding in findings] == [("refused", True), ("suffix", False)]


def test_the_starter_lists_load_whole_and_pass_their_own_guards(library: Library) -> None:
    reports = install_starter_lists(library, services=True)
    assert [(report.refused, report.skipped, report.duplicates) for report in reports] == [(0, 0, 0)] * 6
    assert [report.name for report in install_starter_lists(Library(library.folder / "again"))] == [
        "starter-doh", "starter-vpn", "starter-search", "starter-help", "starter-tests",
    ]  # fmt: skip
    for stored in library.all_stored():
        if stored.kind == "allow":
            continue
        findings = examine(read_sections(library.entries_path(stored), stored), (), 0, None, must_stay_open())
        assert [finding for finding in findings if finding.blocks] == []
    library.compile()
    index = library.open_index()
    for text, category in (
        ("https://pornography.category.test/", "pornography"), ("https://dns.google/dns-query?dns=A", "filter-bypass"),
        ("https://www.youtube.com/", "service:youtube"), ("https://gateway.discord.gg/", "service:discord"),
        ("https://www.roblox.com/", "service:roblox"),
    ):  # fmt: skip
        assert [hit.category for hit in index.lookup(canonicalise(text))] == [category]
    for item in do_not_decrypt():
        assert item.note
        hits = index.lookup(canonicalise(f"http://{item.host}/"))
        assert all(hit.category.startswith("service:") for hit in hits), item
    index.close()


def test_every_category_of_the_starter_policy_has_a_test_host(library: Library) -> None:
    import tomllib

    policy = tomllib.loads((Path(__file__).parents[2] / "rules" / "starter_policy.toml").read_text())
    install_starter_lists(library)
    assert set(library.stored("starter-tests").categories) == set(policy["categories"]) - {"illegal"}


def test_parsing_says_when_a_category_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="--category"):
        parse(write(tmp_path / "l.csv", "domain\na.test\n"), "csv", Options())
