"""The state folder: made on the first run, checked on every other.

Each step makes what is missing and leaves what is there, so that a first run that was cut short is finished by the next. A secret
that is missing beside the data that it opens is never made anew: that would lose the data, or change the authority that
every device of the school trusts.
"""

import os
import platform
import secrets
from collections.abc import Callable
from pathlib import Path

from schoolgate import wiring
from schoolgate.errors import Problem, files_explained
from schoolgate.paths import STATE_FORMAT, StatePaths

type Say = Callable[[str], None]


def check_folder(paths: StatePaths) -> bool:
    """Say whether the folder holds an installation; raises `Problem` for one that is not ours or belongs to a newer version."""
    root = paths.root
    with files_explained("read the state folder", root):
        if not root.exists():
            return False
        if not root.is_dir():
            raise Problem(f"{root} is not a folder; name another one with --state.")
        if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
            raise Problem(f"This user may not use the state folder {root}; run as its owner, or name another one with --state.")
        if not paths.format.exists():
            # A policy may be put in place before the first run, by hand or by whatever sets up machines.
            # The lock of a first run that was cut short lies in the run folder.
            if any(entry not in (paths.policy, paths.run) for entry in root.iterdir()):
                raise Problem(f"{root} is neither empty nor a state folder of Schoolgate; name another one with --state.")
            return False
        text = paths.format.read_text(errors="replace").strip()
    if not (text.isascii() and text.isdigit()):
        raise Problem(f"{paths.format} does not hold a version number but {text[:20]!r}; restore the state folder from a backup.")
    if int(text) > STATE_FORMAT:
        raise Problem(
            f"The state folder {root} was made by a newer Schoolgate (format {text}, this one knows {STATE_FORMAT}); "
            "install that version, or name another folder with --state."
        )
    return True


def existing(paths: StatePaths) -> StatePaths:
    """Return the paths when there is an installation; raises `Problem` otherwise."""
    if not check_folder(paths):
        raise Problem(f"There is no installation in {paths.root}; `schoolgate up` makes one, or name its folder with --state.")
    return paths


def prepare(paths: StatePaths, config: Path, say: Say, warn: Say) -> None:
    """Make or complete the state folder: keys, authority, policy, lists, ruleset; both databases are made by the console.

    Raises `Problem`; what was made until then stays and the next call goes on from there.
    """
    known = check_folder(paths)
    if not known:
        say(f"First run: making the state folder {paths.root}")
    with files_explained("write to the state folder", paths.root):
        _make_folders(paths, warn)
        if not known:
            write_private(paths.format, f"{STATE_FORMAT}\n")
        _make_keys(paths)
    _make_authority(paths, say)
    _make_policy(paths, config, say)
    wiring.install_starter_lists(paths, say)
    wiring.first_ruleset(paths, config, warn)


def note_config(paths: StatePaths, config: Path) -> None:
    """Remember which policy this installation uses, so that `lists load` and `explain` use the same one."""
    if config == paths.policy:
        paths.config_note.unlink(missing_ok=True)
    else:
        write_private(paths.config_note, f"{config}\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, so that it is there whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_key(path: Path) -> bytes:
    """Return one of the installation's keys: 32 bytes; raises `Problem`."""
    with files_explained("read the key", path):
        text = path.read_text(errors="replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Problem(f"{path} does not hold a key of 64 hexadecimal digits; restore it from a backup.")
    return key


def _make_folders(paths: StatePaths, warn: Say) -> None:
    for folder in paths.folders:
        folder.mkdir(mode=0o700, parents=folder == paths.root, exist_ok=True)
    if paths.root.stat().st_mode & 0o077:
        paths.root.chmod(0o700)  # names of pupils and the authority's key lie inside
        if paths.ca_key.exists():
            warn(f"Others could look into the state folder {paths.root}; it is closed to them again. Find out who opened it.")


def _make_keys(paths: StatePaths) -> None:
    opens = {paths.events_key: paths.events, paths.casework_key: paths.casework}
    for path in paths.secret_keys:
        if path.exists():
            read_key(path)
            continue
        data = opens.get(path)
        if data is not None and data.exists():
            raise Problem(f"{path} is missing, and only it opens {data.name}: restore it from a backup, or move {data} away.")
        write_private(path, secrets.token_hex(32) + "\n")


def _make_authority(paths: StatePaths, say: Say) -> None:
    key, certificate = paths.ca_key.exists(), paths.ca_certificate.exists()
    if key and certificate:
        mode = paths.ca_key.stat().st_mode
        if mode & 0o077:
            raise Problem(f"Others may read the authority's key {paths.ca_key}; run `chmod 600 {paths.ca_key}` and find out who did.")
        return
    if key != certificate:
        missing, there = (paths.ca_certificate, paths.ca_key) if key else (paths.ca_key, paths.ca_certificate)
        raise Problem(f"{missing} is missing beside {there.name}: restore it from a backup, or move {there} away for a new authority.")
    wiring.create_authority(paths, platform.node())
    say(f"Made the certificate authority that the school's devices must trust: {paths.ca_certificate}")


def _make_policy(paths: StatePaths, config: Path, say: Say) -> None:
    if config.exists():
        return
    if config != paths.policy:
        raise Problem(f"There is no policy file {config}; write one, or leave --config out for the starter policy.")
    write_private(config, wiring.starter_policy())
    say(f"Wrote the starter policy: {config}")


def forget_last_run(paths: StatePaths) -> None:
    """Take away what processes of an earlier run left, so that health does not miss workers that nobody started."""
    for file in (*paths.run.glob("worker-*.json"), paths.console_file, paths.operator_token):
        file.unlink(missing_ok=True)
