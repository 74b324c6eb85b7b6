"""Fetching: whole, checked, asked for once, at the right hours; and everything that a bad publisher or disk can do."""

import base64
import errno
import hashlib
import os
import signal
import ssl
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from analyser.casework import audit
from analyser.lists import download as download_module
from analyser.lists import sources
from analyser.lists.download import Limits
from analyser.lists.errors import FetchError, SourceError
from analyser.lists.fetch import fetch, fetched_file, next_after
from analyser.lists.schedule import due
from analyser.lists.sources import Hours, Source

BODY = b"".join(b"bad%d.example.org\n" % n for n in range(1000))


def write(database, ann, **settings):
    with database.session() as session:
        sources.add(session, ann, Source(**({"name": "ut1", "format": "domains", "category": "gambling"} | settings)))


def run(database, tmp_path, ann, **more):
    return fetch(database, tmp_path / "lists", "ut1", ann, **more)


def last_run(database):
    with database.reading() as session:
        return sources.runs(session, "ut1")[0]


def test_a_list_is_fetched_whole_and_kept_and_the_next_time_only_asked_about(publisher, database, tmp_path, ann):
    write(database, ann, address=publisher.offer("/list.txt", BODY))
    report = run(database, tmp_path, ann)
    assert (report.result, report.bytes, report.sha256) == ("fetched", len(BODY), hashlib.sha256(BODY).hexdigest())
    _, path = fetched_file(database, "ut1")
    assert path.read_bytes() == BODY
    assert run(database, tmp_path, ann).result == "unchanged"
    assert publisher.asked[1][1]["if-none-match"] == '"one"'
    publisher.offer("/list.txt", BODY + b"more.example.org\n", '"two"')
    assert run(database, tmp_path, ann).result == "fetched"
    assert [p for p in path.parent.iterdir() if not p.name.startswith(".")] == [fetched_file(database, "ut1")[1]]


def test_adding_fetching_and_removing_a_source_stand_in_audit_and_reports(publisher, database, tmp_path, ann):
    write(database, ann, address=publisher.offer("/list.txt", BODY))
    run(database, tmp_path, ann)
    assert last_run(database).result == "fetched"
    with database.session() as session:
        sources.remove(session, ann, "ut1")
    with database.reading() as session:
        assert [e["action"] for e in audit.entries(session)][-2:] == ["lists.source", "lists.source-remove"]
    with pytest.raises(SourceError, match="no source named"):
        run(database, tmp_path, ann)


def half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[:500])
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def unmeasured(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(BODY)
    handler.close_connection = True


def turning(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/bad")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def leading_away(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://lists.example.org/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (half, "can't be fetched|broke off"), (endless, "sends more than"), (unmeasured, "how long"), (turning, "more than 5 times"),
        (leading_away, "not encrypted"), (lambda h: h.server and h.send_error(500), "status 500"),
    ],
)  # fmt: skip
def test_a_bad_answer_leaves_what_was_fetched_before_and_no_rubbish(publisher, database, tmp_path, ann, answer, words):
    address = publisher.offer("/bad", BODY)
    write(database, ann, address=address)
    run(database, tmp_path, ann)
    _, path = fetched_file(database, "ut1")
    publisher.pages["/bad"] = answer
    with pytest.raises(FetchError, match=words):
        run(database, tmp_path, ann, limits=Limits(bytes=1 << 20, seconds=5))
    assert path.read_bytes() == BODY
    assert not list(path.parent.glob("*.part"))
    assert last_run(database).result == "failed"


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(publisher, database, tmp_path, ann, monkeypatch):
    write(database, ann, address=publisher.offer("/list.txt", BODY))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download_module.os, "fsync", full)
    with pytest.raises(FetchError, match="No space left"):
        run(database, tmp_path, ann)
    assert not list((tmp_path / "lists" / "fetched" / "ut1").glob("*.part"))


def test_a_fetch_that_is_killed_half_way_leaves_the_old_file_and_the_next_one_succeeds(publisher, database, tmp_path, ann):
    write(database, ann, address=publisher.offer("/list.txt", BODY))
    run(database, tmp_path, ann)
    _, path = fetched_file(database, "ut1")

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(b"a" * 100_000)
        handler.wfile.flush()
        time.sleep(30)

    publisher.pages["/list.txt"] = slow
    code = (
        "import sys; from pathlib import Path; from analyser.casework.database import CaseworkDatabase; "
        "from analyser.casework.people import Actor; from analyser.lists.fetch import fetch; "
        "fetch(CaseworkDatabase(Path(sys.argv[1]), bytes(range(32))), Path(sys.argv[2]), 'ut1', Actor('os', 'ann'))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "casework.db"), str(tmp_path / "lists")])
    until = time.monotonic() + 30
    while not list(path.parent.glob("*.part")) and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert list(path.parent.glob("*.part"))
    assert fetched_file(database, "ut1")[1].read_bytes() == BODY
    publisher.offer("/list.txt", BODY + b"new.example.org\n", '"new"')
    assert run(database, tmp_path, ann).result == "fetched"
    assert not list(path.parent.glob("*.part"))


def test_checksum_and_signature_are_asked_for_and_a_forged_list_is_thrown_away(publisher, database, tmp_path, ann):
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    sums = f"{hashlib.md5(b'x').hexdigest()}  other.txt\n{hashlib.sha256(BODY).hexdigest()} *list.txt\n".encode()
    write(
        database, ann, address=publisher.offer("/list.txt", BODY), checksum=publisher.offer("/sums", sums),
        signature=publisher.offer("/list.sig", key.sign(BODY)), public_key=public,
    )  # fmt: skip
    assert run(database, tmp_path, ann).checked == ("sha256", "ed25519")
    publisher.offer("/list.txt", BODY + b"google.com\n", '"evil"')
    with pytest.raises(FetchError, match="SHA256 differs"):
        run(database, tmp_path, ann)
    publisher.offer("/sums", hashlib.sha256(BODY + b"google.com\n").hexdigest().encode(), '"evil"')
    with pytest.raises(FetchError, match="not signed by its publisher"):
        run(database, tmp_path, ann)
    assert fetched_file(database, "ut1")[1].read_bytes() == BODY


def test_minisign_files_are_read_too(publisher, database, tmp_path, ann):
    key = Ed25519PrivateKey.generate()
    number = b"12345678"
    public = base64.b64encode(b"Ed" + number + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    raw = base64.b64encode(b"ED" + number + key.sign(hashlib.blake2b(BODY).digest()))
    minisig = b"untrusted comment: x\n" + raw + b"\ntrusted comment: y\n"
    write(
        database, ann, address=publisher.offer("/l", BODY), signature=publisher.offer("/l.minisig", minisig), public_key=public,
    )  # fmt: skip
    assert run(database, tmp_path, ann).checked == ("ed25519",)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"address": "http://lists.example.org/x"}, "not encrypted"), ({"address": "ftp://lists.example.org/x"}, "https"),
        ({"address": "https://user:secret@example.org/x"}, "password"), ({"address": "/nowhere/at/all"}, "no file or folder"),
        ({"address": "https://e.org/x", "every_minutes": 1}, "minutes"), ({"address": "https://e.org/x", "format": "odd"}, "no format"),
        ({"address": "https://e.org/x", "public_key": "abc", "signature": "https://e.org/s"}, "not an Ed25519 key"),
        ({"address": "https://e.org/x", "public_key": "ab" * 32}, "both or neither"),
    ],
)  # fmt: skip
def test_a_source_that_can_not_work_is_refused_when_it_is_written_down(database, ann, settings, words):
    with pytest.raises(SourceError, match=words):
        write(database, ann, **settings)


def test_the_publishers_hours_are_kept_unless_somebody_insists(publisher, database, tmp_path, ann):
    write(database, ann, address=publisher.offer("/list.txt", BODY), not_between=Hours(8, 19), every_minutes=1440)
    noon = 1_795_000_000.0 // 86_400 * 86_400 + 12 * 3600
    with pytest.raises(FetchError, match="8-19"):
        run(database, tmp_path, ann, now=noon)
    assert publisher.asked == []
    assert run(database, tmp_path, ann, now=noon, any_hour=True).result == "fetched"
    with database.session() as session:
        sources.find(session, "ut1").next_fetch = noon
    assert due(database, noon, lambda: 0.5) == []
    assert due(database, noon + 7 * 3600 + 901, lambda: 0.5) == ["ut1"]
    assert due(database, noon + 7 * 3600 + 902, lambda: 0.5) == []


def test_refreshes_are_spread_back_off_after_failures_and_never_fall_into_the_closed_hours():
    source = Source("a", "https://e.org/x", every_minutes=60)
    assert next_after(source, 0, 0.0, 0.0) == 3600
    assert next_after(source, 0, 0.0, 1.0) == pytest.approx(3960)
    daily = Source("a", "https://e.org/x", every_minutes=1440)
    assert next_after(daily, 1, 0.0, 0.0) == 3600
    assert next_after(daily, 2, 0.0, 0.0) == 7200
    assert next_after(daily, 20, 0.0, 0.0) == 86_400
    night = Source("a", "https://e.org/x", every_minutes=600, not_between=Hours(8, 19))
    assert next_after(night, 0, 0.0, 0.0) == 19 * 3600
    over_midnight = Hours(22, 6)
    assert over_midnight.hold(23 * 3600)
    assert over_midnight.hold(5 * 3600)
    assert not over_midnight.hold(12 * 3600)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"a" * 10)
        handler.wfile.flush()
        time.sleep(0.05)


def test_a_publisher_that_drips_is_broken_off_after_the_time_limit(publisher, database, tmp_path, ann):
    publisher.pages["/slow"] = dripping
    write(database, ann, address=publisher.url + "/slow")
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"took longer than 1 s|timed out"):
        run(database, tmp_path, ann, limits=Limits(seconds=1))
    assert time.monotonic() - began < 8


def test_a_publisher_without_etag_is_asked_by_date(publisher, database, tmp_path, ann):
    changed = "Mon, 16 Nov 2026 08:00:00 GMT"

    def answer(handler):
        if handler.headers.get("If-Modified-Since") == changed:
            handler.send_response(304)
            handler.end_headers()
        else:
            publisher.send(handler, BODY, Last_Modified=changed)

    publisher.pages["/dated"] = answer
    write(database, ann, address=publisher.url + "/dated")
    assert [run(database, tmp_path, ann).result for _ in range(2)] == ["fetched", "unchanged"]


def test_a_busy_publisher_says_when_to_come_again_and_that_stands_in_the_report(publisher, database, tmp_path, ann):
    publisher.pages["/busy"] = lambda handler: publisher.send(handler, b"", 503, Retry_After="3600")
    write(database, ann, address=publisher.url + "/busy")
    with pytest.raises(FetchError, match=r"status 503 and asks to wait \(3600\)"):
        run(database, tmp_path, ann)
    assert "asks to wait" in last_run(database).sentence


def test_only_a_publisher_whose_authority_is_trusted_is_believed(publisher, database, tmp_path, ann):
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    publisher.server.socket = context.wrap_socket(publisher.server.socket, server_side=True)
    publisher.server.handle_error = lambda *_: None
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    address = publisher.offer("/list.txt", BODY).replace("http:", "https:")
    write(database, ann, address=address)
    with pytest.raises(FetchError, match="certificate"):
        run(database, tmp_path, ann)
    assert run(database, tmp_path, ann, trusted=trusted).result == "fetched"
    (tmp_path / "broken.pem").write_text("nothing")
    with pytest.raises(FetchError, match=r"gateway\.trusted_ca"):
        run(database, tmp_path, ann, trusted=tmp_path / "broken.pem")
