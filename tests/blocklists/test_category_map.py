"""The publisher's names of categories and ours: mapped, left out, kept with the list, and told by `why`."""

from pathlib import Path

import pytest

from blocklists.errors import ListError
from blocklists.library import Library
from blocklists.url import canonicalise
from blocklists.why import why


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "blacklists"
    for category, hosts in {"jeux": ["play.test"], "porn": ["x.test", "y.test"], "child": ["kids.test", "play.test"]}.items():
        (folder / category).mkdir(parents=True)
        (folder / category / "domains").write_text("".join(f"{host}\n" for host in hosts))
        (folder / category / "usage").write_text("white\n" if category == "child" else "black\n")
    return folder


def test_entries_come_into_our_categories_and_what_is_left_out_is_counted(tmp_path: Path, tree: Path) -> None:
    library = Library(tmp_path / "lists")
    report = library.load("ut1", tree, "ut1", categories={"jeux": "games", "porn": "adult", "child": "-"})
    assert (report.categories, report.entries, report.skipped) == ({"games": 1, "adult": 2}, 3, 2)
    assert [(skip.text, skip.reason) for skip in report.skips] == [("child", "this category is left out by the list's category map")]
    library.compile()
    index = library.open_index()
    assert [hit.category for hit in index.lookup(canonicalise("http://play.test/"))] == ["games"]
    assert index.lookup(canonicalise("http://kids.test/")) == []
    assert library.stored("ut1").category_map == {"jeux": "games", "porn": "adult", "child": "-"}
    [reason] = why(library, index, library.open_allow(), canonicalise("http://play.test/"))
    assert (reason.category, Path(reason.file).parent.name, reason.line) == ("games", "jeux", 1)
    index.close()


def test_a_category_that_somebody_mapped_is_no_longer_asked_about(tmp_path: Path, tree: Path) -> None:
    library = Library(tmp_path / "lists")
    assert library.load("ut1", tree, "ut1").benign_categories == ("child",)
    assert library.load("ut1", tree, "ut1", categories={"child": "learning"}).benign_categories == ()


@pytest.mark.parametrize("categories", [{"": "x"}, {"a": ""}, {"a": "x\ny"}, {"a": "x" * 101}])
def test_names_that_can_not_be_are_refused(tmp_path: Path, tree: Path, categories: dict[str, str]) -> None:
    with pytest.raises(ListError, match="at most 100"):
        Library(tmp_path / "lists").load("ut1", tree, "ut1", categories=categories)


def test_a_map_that_leaves_nothing_is_an_error(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(ListError, match="holds no entry"):
        Library(tmp_path / "lists").load("ut1", tree, "ut1", categories={"jeux": "-", "porn": "-", "child": "-"})


def test_columns_and_services_are_mapped_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("domain,category\na.test,theirs\n")
    library = Library(tmp_path / "lists")
    assert library.load("t", tmp_path / "t.csv", "csv", categories={"theirs": "ours"}).categories == {"ours": 1}
