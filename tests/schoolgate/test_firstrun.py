"""The state folder: made on the first run, checked on every other."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from schoolgate import firstrun, wiring
from schoolgate.errors import Problem
from schoolgate.paths import StatePaths


def prepare(paths: StatePaths, config: Path | None = None) -> list[str]:
    said: list[str] = []
    firstrun.prepare(paths, config or paths.policy, said.append, said.append)
    return said


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_run_makes_a_whole_installation_that_only_its_owner_can_read(paths: StatePaths) -> None:
    prepare(paths)
    assert mode(paths.root) == 0o700
    assert mode(paths.ca_key) == 0o600
    for key in paths.secret_keys:
        assert mode(key) == 0o600
        assert len(firstrun.read_key(key)) == 32
    assert len({key.read_text() for key in paths.secret_keys}) == 3
    certificate = x509.load_pem_x509_certificate(paths.ca_certificate.read_bytes())
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert paths.policy.read_text() == wiring.starter_policy()
    assert paths.current_ruleset.is_symlink()
    assert [one.name for one in wiring.sealed_lists(paths)] == ["sealed-test"]
    assert firstrun.check_folder(paths)


def test_the_next_run_changes_no_key_and_no_certificate(paths: StatePaths) -> None:
    prepare(paths)
    secrets = {path: path.read_bytes() for path in (*paths.secret_keys, paths.ca_key, paths.ca_certificate, paths.policy)}
    assert prepare(paths) == []
    assert {path: path.read_bytes() for path in secrets} == secrets


def test_a_start_without_a_change_builds_nothing_and_a_change_of_policy_or_sealed_lists_does(paths: StatePaths) -> None:
    prepare(paths)
    first = paths.current_ruleset.readlink()
    prepare(paths)
    assert paths.current_ruleset.readlink() == first
    paths.policy.write_text(paths.policy.read_text() + "\n")
    prepare(paths)
    second = paths.current_ruleset.readlink()
    assert second != first
    (paths.sealed / "registry.json").touch()
    prepare(paths)
    assert paths.current_ruleset.readlink() != second


def test_a_ruleset_that_lost_a_file_is_built_again(paths: StatePaths) -> None:
    prepare(paths)
    first = paths.current_ruleset.readlink()
    (paths.current_ruleset / "keywords.json").unlink()
    prepare(paths)
    assert paths.current_ruleset.readlink() != first


def test_a_state_folder_that_others_could_read_is_closed_and_said(paths: StatePaths) -> None:
    prepare(paths)
    paths.root.chmod(0o755)
    assert "Others could look into" in prepare(paths)[0]
    assert mode(paths.root) == 0o700


def test_a_first_run_that_was_cut_short_is_finished(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(wiring, "create_authority", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(paths)
    prepare(paths)
    assert paths.ca_key.exists()
    assert paths.current_ruleset.is_symlink()


def test_a_policy_may_be_put_in_place_before_the_first_run(paths: StatePaths) -> None:
    paths.root.mkdir()
    text = wiring.starter_policy().replace('"Our school"', '"Hilltop"')
    paths.policy.write_text(text)
    prepare(paths)
    assert paths.policy.read_text() == text


@pytest.mark.parametrize(("text", "sentence"), [("2", "newer Schoolgate"), ("99", "newer Schoolgate"), ("what", "does not hold a version")])
def test_a_folder_of_another_version_is_refused_and_left_alone(paths: StatePaths, text: str, sentence: str) -> None:
    paths.root.mkdir()
    paths.format.write_text(text)
    with pytest.raises(Problem, match=sentence):
        prepare(paths)
    assert list(paths.root.iterdir()) == [paths.format]


def test_a_folder_that_holds_something_else_is_refused(paths: StatePaths) -> None:
    paths.root.mkdir()
    (paths.root / "homework.odt").write_text("mine")
    with pytest.raises(Problem, match="neither empty nor a state folder"):
        prepare(paths)


@pytest.mark.parametrize("name", ["events_key", "casework_key"])
def test_a_lost_key_is_never_replaced_while_its_data_is_there(paths: StatePaths, name: str) -> None:
    prepare(paths)
    for data in (paths.events, paths.casework):
        data.write_bytes(b"closed")
    key: Path = getattr(paths, name)
    key.unlink()
    with pytest.raises(Problem, match=r"is missing, and only it opens"):
        prepare(paths)
    assert not key.exists()


@pytest.mark.parametrize("name", ["ca_key", "ca_certificate"])
def test_half_an_authority_is_never_completed_with_a_new_one(paths: StatePaths, name: str) -> None:
    prepare(paths)
    lost: Path = getattr(paths, name)
    lost.unlink()
    with pytest.raises(Problem, match="is missing beside"):
        prepare(paths)
    assert not lost.exists()


def test_a_key_that_others_may_read_is_refused(paths: StatePaths) -> None:
    prepare(paths)
    paths.ca_key.chmod(0o644)
    with pytest.raises(Problem, match="Others may read"):
        prepare(paths)


def test_lost_sealed_lists_are_not_replaced_by_the_test_list_and_the_start_goes_on_to_say_so(paths: StatePaths) -> None:
    prepare(paths)
    for file in paths.sealed.iterdir():
        file.unlink()
    said = prepare(paths)
    assert any("sealed" in line and "Starting all the same" in line for line in said)
    assert not list(paths.sealed.glob("*.digests"))


def test_a_wrong_policy_keeps_the_last_ruleset_and_names_file_and_line(paths: StatePaths) -> None:
    prepare(paths)
    before = paths.current_ruleset.readlink()
    paths.policy.write_text(wiring.starter_policy().replace("timezone =", "timezoom ="))
    with pytest.raises(ValueError, match=r"policy\.toml:\d+:.*timezoom"):
        prepare(paths)
    assert paths.current_ruleset.readlink() == before


def test_a_policy_named_elsewhere_must_exist(paths: StatePaths) -> None:
    with pytest.raises(Problem, match="There is no policy file"):
        prepare(paths, paths.root.parent / "other.toml")


def test_the_administrators_link_is_new_each_time_until_a_password_is_set(paths: StatePaths) -> None:
    from analyser.casework import signins

    prepare(paths)
    console = "http://127.0.0.1:8081"
    first, second = wiring.first_administrator_link(paths, console), wiring.first_administrator_link(paths, console)
    assert first is not None
    assert second is not None
    assert first != second
    with wiring.casework_open(paths) as database, database.session() as session:
        assert signins.link_account(session, first.rsplit("/", 1)[1]) is None
        signins.use_link(session, second.rsplit("/", 1)[1], "purple kettle marathon")
    assert wiring.first_administrator_link(paths, console) is None
