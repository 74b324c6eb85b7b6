import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from analyser.casework import accounts, audit, signins
from analyser.casework.columns import CaseworkKeyError
from analyser.casework.database import CaseworkDatabase, CaseworkError
from analyser.casework.models import Base
from analyser.casework.people import Actor

KEY = bytes(range(32))
PASSWORD = "correct horse battery"


def edit(database, *statements):
    with sqlite3.connect(database.path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def fill(database, count=5):
    for number in range(count):
        with database.session() as session:
            audit.append(session, "ann", "test.step", f"thing:{number}", {"number": number})


def make_account(database, admin, name="Ms Example", role="dsl", group=None):
    with database.session() as session:
        account = accounts.add(session, admin, name, role=role, group=group)
        accounts.set_password(session, admin, account, PASSWORD)
        return account


def test_migrations_make_what_the_models_say(database):
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata) == []


def test_a_database_of_a_newer_version_is_refused(database):
    edit(database, "update alembic_version set version_num = '9999'")
    with pytest.raises(CaseworkError, match="newer Schoolgate"):
        CaseworkDatabase(database.path, KEY)


def test_a_wrong_key_is_refused_at_opening(database):
    with pytest.raises(CaseworkKeyError, match=r"keys/casework\.key"):
        CaseworkDatabase(database.path, bytes(32))


def test_file_and_log_hold_no_name(database, admin):
    make_account(database, admin, "planted.name")
    with database.session() as session:
        audit.append(session, "planted.actor", "test", "planted.object", {"who": "planted.detail"})
    data = b"".join(path.read_bytes() for path in database.path.parent.glob("casework.db*"))
    assert len(data) > 10_000
    assert b"planted" not in data


def test_files_are_for_their_owner_alone(database):
    fill(database, 1)
    for path in database.path.parent.glob("casework.db*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_whole_chain_verifies(database):
    fill(database)
    result = database.verify_audit()
    assert (result.ok, result.entries) == (True, 6)


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("update audit set action = 'other' where number = 3", 3),
        ("update audit set time = time + 1 where number = 3", 3),
        ("update audit set detail = (select detail from audit where number = 2) where number = 3", 3),
        ("update audit set actor = x'00112233445566778899aabbccddeeff00112233445566778899' where number = 3", 3),
        ("update audit set actor = 'readable' where number = 3", 3),
        ("update audit set detail = 7 where number = 3", 3),
        ("update audit set digest = 'text' where number = 3", 3),
        ("update audit set detail_digest = 'text' where number = 3", 3),
        ("update audit set time = 'noon' where number = 3", 3),
        ("update audit_head set digest = 'text'", None),
        ("delete from audit where number = 3", 3),
        ("update audit set number = 99 where number = 6", 6),
        ("delete from audit where number = 6", None),
    ],
)
def test_edits_and_removals_are_found(database, statement, first_bad):
    fill(database)
    edit(database, statement)
    result = database.verify_audit()
    assert not result.ok
    assert result.first_bad == first_bad


def test_a_cut_end_with_its_head_put_back_is_found_by_the_file_beside(database):
    fill(database)
    edit(
        database, "delete from audit where number = 6",
        "update audit_head set number = 5, digest = (select digest from audit where number = 5)",
    )  # fmt: skip
    result = database.verify_audit()
    assert not result.ok
    assert "older copy" in result.sentence


def test_an_entry_stands_only_with_its_work(database):
    fill(database, 1)

    class GoneWrongError(Exception):
        pass

    def go_wrong():
        with database.session() as session:
            audit.append(session, "ann", "test", "x")
            raise GoneWrongError

    with pytest.raises(GoneWrongError):
        go_wrong()
    assert database.verify_audit().entries == 2
    assert database.verify_audit().ok


APPEND = """
import sys
from pathlib import Path
from analyser.casework import audit
from analyser.casework.database import CaseworkDatabase
database = CaseworkDatabase(Path(sys.argv[1]), bytes(range(32)))
for number in range(25):
    with database.session() as session:
        audit.append(session, sys.argv[2], "test", str(number))
database.close()
"""


def test_two_processes_append_to_one_chain(database):
    root = Path(__file__).parents[2]
    started = [subprocess.Popen([sys.executable, "-c", APPEND, str(database.path), name], cwd=root) for name in ("a", "b")]
    assert [process.wait(60) for process in started] == [0, 0]
    result = database.verify_audit()
    assert (result.ok, result.entries) == (True, 51)


def test_threads_append_to_one_chain(database):
    threads = [threading.Thread(target=fill, args=(database, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = database.verify_audit()
    assert (result.ok, result.entries) == (True, 41)


def test_ten_wrong_guesses_lock_for_a_quarter_of_an_hour(database, admin):
    make_account(database, admin)
    for _ in range(9):
        assert accounts.sign_in(database, "ms example", "wrong", now=1000).account is None
    assert accounts.sign_in(database, "MS EXAMPLE", PASSWORD, now=1000).account is not None
    for _ in range(10):
        accounts.sign_in(database, "Ms Example", "wrong", now=1000)
    locked = accounts.sign_in(database, "Ms Example", PASSWORD, now=1001)
    assert locked.account is None
    assert locked.locked_until == 1000 + 900
    assert accounts.sign_in(database, "Ms Example", PASSWORD, now=1901).account is not None
    with database.reading() as session:
        assert [entry["action"] for entry in audit.entries(session)].count("account.lock") == 1


def test_guesses_at_the_same_moment_stay_within_the_limit(database, admin):
    make_account(database, admin)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(accounts.sign_in(database, "Ms Example", "wrong"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("Too many" in answer.sentence for answer in answers) >= 10


def test_unknown_disabled_and_passwordless_accounts_get_the_same_answer(database, admin):
    account = make_account(database, admin)
    with database.session() as session:
        accounts.add(session, admin, "new", role="teacher")
        accounts.change(session, admin, accounts.find(session, account.name), role="dsl", group=None, disabled=True)
    answers = {accounts.sign_in(database, name, PASSWORD).sentence for name in ("nobody", "new", "Ms Example")}
    assert answers == {"The name or the password is wrong."}


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaa", "ms example", "x" * 2000])
def test_weak_passwords_are_refused(database, admin, password):
    make_account(database, admin)
    with pytest.raises(accounts.AccountError), database.session() as session:
        accounts.set_password(session, admin, accounts.find(session, "Ms Example"), password)


def test_names_are_one_whatever_their_case(database, admin):
    make_account(database, admin)
    with pytest.raises(accounts.AccountError, match="already"):
        make_account(database, admin, " MS EXAMPLE ")


def test_a_link_works_once_and_ends_every_session(database, admin):
    account = make_account(database, admin)
    with database.session() as session:
        cookie = signins.open_session(session, account, now=1000)
        old = signins.make_link(session, admin, account, now=1000)
        secret = signins.make_link(session, admin, account, now=1000)
    assert signins.session_account(database, cookie, now=1001) is not None
    with pytest.raises(accounts.AccountError), database.session() as session:
        signins.use_link(session, old, "another good password", now=1001)
    with pytest.raises(accounts.AccountError, match="at least"), database.session() as session:
        signins.use_link(session, secret, "short", now=1001)
    with database.session() as session:
        signins.use_link(session, secret, "another good password", now=1001)
    with pytest.raises(accounts.AccountError, match="used"), database.session() as session:
        signins.use_link(session, secret, "yet another password", now=1001)
    assert signins.session_account(database, cookie, now=1002) is None
    assert accounts.sign_in(database, "Ms Example", "another good password").account is not None


def test_links_grow_old(database, admin):
    account = make_account(database, admin)
    with database.session() as session:
        secret = signins.make_link(session, admin, account, now=1000)
        assert signins.link_account(session, secret, now=1000 + signins.LINK_SECONDS) is None


def test_sessions_end_when_idle_and_at_last(database, admin):
    account = make_account(database, admin)
    with database.session() as session:
        idle, busy = signins.open_session(session, account, now=0), signins.open_session(session, account, now=0)
    for minute in range(0, 12 * 60, 20):
        assert signins.session_account(database, busy, now=minute * 60) is not None
    assert signins.session_account(database, idle, now=31 * 60) is None
    assert signins.session_account(database, busy, now=12 * 3600 + 1) is None


def test_tokens_can_be_revoked_and_are_kept_as_digests(database, admin):
    with database.session() as session:
        secret = signins.create_token(session, admin, "dashboard", "dsl")
    with database.session() as session:
        assert signins.token_for(session, secret).name == "dashboard"
        assert signins.token_for(session, secret + "x") is None
        signins.revoke_token(session, admin, "dashboard")
        assert signins.token_for(session, secret) is None
    assert secret.encode() not in b"".join(path.read_bytes() for path in database.path.parent.glob("casework.db*"))


def test_gateway_accounts_are_those_with_group_and_password(database, admin):
    make_account(database, admin, "pupil", role=None, group="ks2")
    make_account(database, admin, "console only")
    with database.session() as session:
        accounts.add(session, admin, "no password", group="ks2")
    with database.reading() as session:
        found = accounts.proxy_accounts(session)
    assert [(account.name, account.group) for account in found] == [("pupil", "ks2")]
    assert accounts.verify_hash(found[0].password_hash, PASSWORD)


def test_a_token_and_its_maker_are_one_person():
    assert Actor("token", "t", maker="Ann").persons & Actor("user", "ANN").persons
    assert not Actor("token", "t", maker="os:root").persons & Actor("token", "u", maker="os:root").persons


def test_a_lock_that_was_not_written_down_ends_too(database, admin):
    make_account(database, admin)
    with database.session() as session:  # as a console leaves it that is killed after the tenth guess
        accounts.find(session, "Ms Example").wrong_guesses = 10
    assert accounts.sign_in(database, "Ms Example", PASSWORD, now=1000).locked_until == 1900
    assert accounts.sign_in(database, "Ms Example", PASSWORD, now=1901).account is not None
