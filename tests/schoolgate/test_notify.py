"""Readiness messages."""

import os
from pathlib import Path

import pytest

from schoolgate import notify
from schoolgate.notify import NotifySocket


async def test_a_message_arrives_with_the_number_of_its_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NotifySocket(tmp_path / "notify.sock") as hear:
        monkeypatch.setenv(notify.VARIABLE, str(hear.path))
        assert notify.tell("READY=1\nSTATUS=fine")
        assert await hear.heard() == (os.getpid(), {"READY": "1", "STATUS": "fine"})
    assert not hear.path.exists()


async def test_a_state_folder_with_a_long_path_still_gets_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with NotifySocket(folder / "notify.sock") as hear:
        monkeypatch.setenv(notify.VARIABLE, str(hear.path))
        assert notify.tell("READY=1")
        assert (await hear.heard())[0] == os.getpid()
    assert not hear.path.parent.exists()


@pytest.mark.parametrize("address", ["", "/nowhere/notify.sock", "@schoolgate-nobody-listens"])
def test_telling_nobody_is_not_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(notify.VARIABLE, address)
    assert not notify.tell("READY=1")
