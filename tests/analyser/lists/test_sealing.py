"""Sealed lists from their publishers: credentials, conditions, guards, a second person; and the text nowhere, whatever goes wrong."""

import base64
import gzip
import hashlib
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from analyser.casework import audit
from analyser.casework.people import GATEWAY
from analyser.lists import changes, download, sealing, sources
from analyser.lists.credentials import headers_of
from analyser.lists.download import Limits
from analyser.lists.errors import ChangeError, FetchError, SourceError
from analyser.lists.fetch import fetched_file
from analyser.lists.sealing import Place, fetch_sealed, seal_file
from analyser.lists.sources import Source
from analyser.lists.watch import refresh_conditions
from blocklists.library import Library
from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list, registered
from blocklists.url import canonicalise

SECRET = "never-to-be-shown"
BODY = "".join(f"{SECRET}-{number}.test\n" for number in range(100)).encode()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    install_test_list(tmp_path / "sealed")
    (tmp_path / "lists").mkdir()
    return Place(tmp_path / "lists", tmp_path / "sealed", frozenset({"own.school.test"}))


def write(database, ann, **settings):
    with database.session() as session:
        sources.add(session, ann, Source(**({"name": "iwf", "format": "plain", "sealed": True, "every_minutes": 720} | settings)))


def finds(place, number=7):
    return SealedLists.open(place.sealed).find(canonicalise(f"https://www.{SECRET}-{number}.test/page"))


def shown_anywhere(tmp_path, database) -> list[str]:
    """Every file and record in which a word of the list stands."""
    found = [str(path) for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    with database.reading() as session:
        found += [run.sentence for run in sources.runs(session) if SECRET in run.sentence]
        found += [str(entry) for entry in audit.entries(session) if SECRET in str(entry)]
        found += [row.preview for row in changes.changes(session) if SECRET in row.preview + row.findings + row.proposal]
    return found


def test_a_list_is_fetched_into_force_and_the_next_time_only_asked_about(publisher, database, tmp_path, ann, place):
    write(database, ann, address=publisher.offer("/list.txt", BODY))
    report, done = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    assert (report.result, report.path, done.report.entries, finds(place)) == ("fetched", "", 100, "iwf")
    assert report.sentence == "Fetched iwf: 2,590 bytes. Loaded iwf: 100 entries, 100 new, 0 gone."
    before = registered(place.sealed, "iwf")
    report, done = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    assert (report.result, done) == ("unchanged", None)
    assert publisher.asked[1][1]["if-none-match"] == '"one"'
    after = registered(place.sealed, "iwf")
    assert after.checked >= before.loaded
    assert (after.file, after.canary) == (before.file, before.canary)
    assert shown_anywhere(tmp_path, database) == []
    with database.reading() as session:
        assert [entry["action"] for entry in audit.entries(session)][-2:] == ["lists.source", "lists.load"]


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("hosts", f"0.0.0.0 {SECRET}-7.test\n".encode()), ("sha256", hashlib.sha256(f"{SECRET}-7.test/".encode()).hexdigest().encode()),
        ("plain", gzip.compress(f"https://{SECRET}-7.test/page\r\n".encode(), mtime=0)),
    ],
)  # fmt: skip
def test_every_format_of_a_publisher_is_read_packed_or_not(publisher, database, tmp_path, ann, place, format_, body):
    write(database, ann, address=publisher.offer("/l", body), format=format_)
    assert fetch_sealed(database, place, "iwf", ann)[1].report.entries == 1
    assert finds(place) == "iwf"
    assert shown_anywhere(tmp_path, database) == []


def test_credentials_come_from_a_file_and_go_to_the_publishers_server_alone(publisher, database, tmp_path, ann, place):
    other = type(publisher)()
    try:
        away = other.offer("/away?signature=abc", BODY)
        publisher.pages["/moved"] = lambda handler: publisher.send(handler, b"", 302, Location=away)
        secret = tmp_path / "iwf.toml"
        secret.write_text('user = "school"\npassword = "pa:ss"\n')
        secret.chmod(0o600)
        write(database, ann, address=publisher.url + "/moved", credentials=str(secret))
        fetch_sealed(database, place, "iwf", ann)
        wanted = "Basic " + base64.b64encode(b"school:pa:ss").decode()
        assert publisher.asked[0][1]["authorization"] == wanted
        assert "authorization" not in other.asked[0][1]
        other.pages.clear()
        with pytest.raises(FetchError, match="status 404") as caught:
            fetch_sealed(database, place, "iwf", ann)
        assert "signature" not in str(caught.value)
        secret.unlink()
        with pytest.raises(FetchError, match="credentials, can't be read"):
            fetch_sealed(database, place, "iwf", ann)
    finally:
        other.stop()
    with database.reading() as session:
        assert not any("pa:ss" in str(entry) for entry in audit.entries(session))


def test_a_publisher_that_does_not_know_us_is_named_and_the_list_stays(publisher, database, tmp_path, ann, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", ann)
    publisher.pages["/l"] = lambda handler: publisher.send(handler, b"who are you", 401)
    with pytest.raises(FetchError, match="does not know who asks"):
        fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    assert finds(place) == "iwf"
    with database.reading() as session:
        [condition] = refresh_conditions(session)
    assert "The list iwf could not be refreshed" in condition.sentence


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ('user = "a"\npassword = "secret-b"\n', 0o644, "every user of this machine"), ('user = "a"\n', 0o600, "can't be understood"),
        ("secret-b\n", 0o600, "can't be understood"), ('token = "secret-b"\nuser = "a"\npassword = "b"\n', 0o600, "can't be understood"),
        ('[headers]\n"X Key" = "secret-b"\n', 0o600, "can't be understood"), ('token = "secret-b\\n"\n', 0o600, "can't be understood"),
        ('[headers]\nX-Key = "secret-b\\r\\nHost: x"\n', 0o600, "can't be understood"), ("x" * 20_000, 0o600, "can't be understood"),
        ('tokens = "secret-b"\n', 0o600, "can't be understood"), ("\xff", 0o600, "can't be understood"),
    ],
)  # fmt: skip
def test_a_file_of_credentials_that_does_not_serve_is_one_sentence_without_its_content(database, ann, tmp_path, text, mode, words):
    path = tmp_path / "iwf.toml"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(mode)
    with pytest.raises(SourceError, match=words) as caught:
        write(database, ann, address="https://lists.example.org/x", credentials=str(path))
    assert "secret-b" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_credentials_may_be_a_token_or_headers_of_the_publishers_own(tmp_path):
    path = tmp_path / "c.toml"
    path.touch(0o600)
    path.write_text('token = "abc"\n')
    assert headers_of(str(path)) == {"Authorization": "Bearer abc"}
    path.write_text('[headers]\nX-Api-Key = "abc"\nX-Member = "12"\n')
    assert headers_of(str(path)) == {"X-Api-Key": "abc", "X-Member": "12"}
    assert headers_of("") == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "allow"}, "always blocks"), ({"category": "gambling"}, "always blocks"), ({"categories": {"a": "b"}}, "always blocks"),
        ({"format": None}, "how the sealed list is written"), ({"format": "ut1"}, "no format"), ({"plain_http": True}, "encrypted"),
        ({"address": "http://lists.example.org/x"}, "not encrypted"),
        ({"sealed": False, "plain_http": True, "format": "domains"}, "encrypted"),
    ],
)  # fmt: skip
def test_a_sealed_source_that_can_not_work_is_refused_when_it_is_written_down(database, ann, tmp_path, settings, words):
    path = tmp_path / "c.toml"
    path.touch(0o600)
    path.write_text('token = "abc"\n')
    with pytest.raises(SourceError, match=words):
        write(database, ann, **({"address": "https://lists.example.org/x", "credentials": str(path)} | settings))


def half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(BODY)
    handler.close_connection = True


def not_http(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(BODY)
    handler.close_connection = True


def no_header(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"HTTP/1.1 200 OK\r\n{SECRET} {SECRET}\r\n\r\n".encode())
    handler.close_connection = True


def packed_and_cut(handler: BaseHTTPRequestHandler) -> None:
    body = gzip.compress(BODY, mtime=0)[:-20]
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def another_page(handler: BaseHTTPRequestHandler) -> None:
    body = f"<html>{SECRET}</html>\n".encode() * 3
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(BODY[:100])
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [half, not_http, no_header, packed_and_cut, another_page, dripping])
def test_a_bad_answer_leaves_the_list_in_force_and_no_word_of_it_anywhere(publisher, database, tmp_path, ann, place, answer, capfd):
    write(database, ann, address=publisher.offer("/l", f"{SECRET}-7.test\n".encode()))
    fetch_sealed(database, place, "iwf", ann)
    publisher.pages["/l"] = answer
    with pytest.raises(FetchError) as caught:
        fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True, limits=Limits(bytes=1 << 20, seconds=1))
    assert SECRET not in str(caught.value)
    assert finds(place) == "iwf"
    with database.reading() as session:
        assert sources.runs(session, "iwf")[0].result == "failed"
    assert shown_anywhere(tmp_path, database) == []
    assert SECRET not in "".join(capfd.readouterr())


def test_what_is_fetched_meets_no_file_at_all(publisher, database, tmp_path, ann, place, monkeypatch):
    written: list[str] = []
    real = open

    def watching(file, mode="r", *arguments, **named):
        if any(letter in mode for letter in "wax+") and isinstance(file, str | Path):
            written.append(Path(file).name)
        return real(file, mode, *arguments, **named)

    monkeypatch.setattr("builtins.open", watching)
    monkeypatch.setattr(download, "download", lambda *_: pytest.fail("a sealed list must not be fetched to a file"))
    write(database, ann, address=publisher.offer("/l", BODY), checksum=publisher.offer("/sums", hashlib.sha256(BODY).hexdigest().encode()))
    report, _ = fetch_sealed(database, place, "iwf", ann)
    assert report.checked == ("sha256",)
    assert [path for path in (tmp_path / "lists").rglob("*") if path.is_file() and path.name != ".lock"] == []
    assert written == []


def test_a_forged_list_is_thrown_away(publisher, database, tmp_path, ann, place):
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    write(
        database, ann, address=publisher.offer("/l", BODY), signature=publisher.offer("/l.sig", key.sign(BODY)), public_key=public,
    )  # fmt: skip
    assert fetch_sealed(database, place, "iwf", ann)[0].checked == ("ed25519",)
    publisher.offer("/l", b"www.childline.org.uk\n", '"evil"')
    with pytest.raises(FetchError, match="not signed by its publisher"):
        fetch_sealed(database, place, "iwf", ann)
    assert finds(place) == "iwf"


def test_a_list_that_lost_a_third_waits_for_a_second_person_as_digests(publisher, database, tmp_path, ann, ben, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    fewer = b"".join(BODY.splitlines(keepends=True)[:40])
    publisher.offer("/l", fewer, '"two"')
    report, done = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    assert "waits for a second person" in report.sentence
    assert finds(place, 90) == "iwf"
    with database.reading() as session:
        [condition] = refresh_conditions(session)
        assert changes.view(changes.find(session, done.change))["preview"]["change"]["removed"] == 60
    assert "The list has 40 entries and had 100: 60% of them are gone." in condition.sentence
    loaded = registered(place.sealed, "iwf")
    assert fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)[0].result == "unchanged"
    assert registered(place.sealed, "iwf") == loaded, "what is in force is not the newest, and goes on growing old"
    assert shown_anywhere(tmp_path, database) == []
    library = Library(place.lists)
    with pytest.raises(ChangeError, match="somebody else"):
        changes.approve(database, library, place.sealed, done.change, ann)
    assert changes.approve(database, library, place.sealed, done.change, ben).entries == 40
    assert (finds(place, 7), finds(place, 90)) == ("iwf", None)
    assert SealedLists.open(place.sealed).deaf() == []
    assert fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)[0].result == "unchanged"
    assert registered(place.sealed, "iwf").checked


def test_what_somebody_refused_is_not_offered_again_by_the_clock_but_by_a_person(publisher, database, tmp_path, ann, ben, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", ann)
    publisher.offer("/l", BODY + b"www.childline.org.uk\n", '"two"')
    _, done = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    changes.refuse(database, Library(place.lists), done.change, ben)
    report, again = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    assert (report.result, again, registered(place.sealed, "iwf").checked) == ("unchanged", None, "")
    _, by_hand = fetch_sealed(database, place, "iwf", ann)
    assert by_hand.report.entries == 101, "nobody could be the second person: what is done by hand is done, and said"
    assert [one.rule for one in by_hand.found.objections] == ["vital"]


def test_a_changed_copy_of_what_waits_is_not_put_in_force(publisher, database, tmp_path, ann, ben, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", ann)
    publisher.offer("/l", BODY[:1000], '"two"')
    _, done = fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    [held] = (place.lists / ".held").rglob("iwf.digests")
    held.write_text(hashlib.sha256(b"other.test/").hexdigest() + "\n")
    with pytest.raises(ChangeError, match="changed"):
        changes.approve(database, Library(place.lists), place.sealed, done.change, ben)
    assert finds(place, 90) == "iwf"


def test_a_file_of_the_technicians_goes_the_same_way_and_is_left_to_them(database, tmp_path, ann, place):
    path = tmp_path / "members.txt"
    path.write_bytes(BODY)
    assert seal_file(database, place, "iwf", path, "plain", "os:ann").change is None
    assert finds(place) == "iwf"
    assert shown_anywhere(tmp_path, database) == [str(path)]
    path.write_text("own.school.test\nother.test\n")
    done = seal_file(database, place, "iwf", path, "plain", "os:ann")
    assert {one.rule for one in done.found.objections} == {"shrank", "own"}


def test_nobody_looks_at_what_a_sealed_source_sent(publisher, database, ann, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", ann)
    with pytest.raises(FetchError, match="sealed list"):
        fetched_file(database, "iwf")
    assert sealing.LIMITS.bytes <= 1 << 28


def test_a_list_that_is_lost_or_damaged_is_mended_by_the_next_fetch(publisher, database, ann, place):
    write(database, ann, address=publisher.offer("/l", BODY))
    fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)
    [digests] = place.sealed.glob("iwf.*.digests")
    digests.write_bytes(b"cut")
    assert fetch_sealed(database, place, "iwf", GATEWAY, scheduled=True)[0].result == "fetched"
    assert finds(place) == "iwf"
    digests.unlink()
    assert fetch_sealed(database, place, "iwf", ann)[0].result == "fetched"
    assert finds(place) == "iwf"


def test_the_server_of_a_checksum_does_not_learn_who_asks(publisher, database, tmp_path, ann, place):
    other = type(publisher)()
    try:
        secret = tmp_path / "iwf.toml"
        secret.touch(0o600)
        secret.write_text('token = "abc"\n')
        sums = hashlib.sha256(BODY).hexdigest().encode()
        write(database, ann, address=publisher.offer("/l", BODY), checksum=other.offer("/sums", sums), credentials=str(secret))
        fetch_sealed(database, place, "iwf", ann)
        assert publisher.asked[0][1]["authorization"] == "Bearer abc"
        assert "authorization" not in other.asked[0][1]
    finally:
        other.stop()
