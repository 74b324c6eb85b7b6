"""`schoolgate classify`: texts in, what the gateway would make of them out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schoolgate import firstrun
from schoolgate.paths import StatePaths

type Classify = Callable[..., tuple[list[dict[str, Any]], str, int]]


@pytest.fixture
def classify(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Classify:
    monkeypatch.chdir(tmp_path)

    def judge(lines: list[object], *options: str) -> tuple[list[dict[str, Any]], str, int]:
        data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        done = run("classify", *options, text=data)
        return [json.loads(line) for line in done.out.splitlines()], done.err, done.code

    return judge


def test_each_line_gets_an_answer_in_the_same_order(classify: Classify) -> None:
    answers, _, code = classify(
        [{"id": "a", "text": "i want to kill myself"}, {"id": 2, "text": "what is photosynthesis"}, {"text": "hello"}]
    )
    assert code == 0
    assert [answer["id"] for answer in answers] == ["a", 2, None]
    assert answers[0]["level"] == 5
    assert "suicide" in answers[0]["themes"]
    first = answers[0]["matches"][0]
    assert "kill myself" in "i want to kill myself"[first["start"] : first["end"]]
    assert answers[1] == {"id": 2, "level": 0, "action": "allow", "themes": [], "matches": []}


def test_a_bad_line_gets_an_error_and_the_run_goes_on(classify: Classify) -> None:
    lines = [b"no json", {"id": 1}, {"id": 2, "text": "hello", "context": "dream"}, {"id": 3, "text": "x", "url": "http://[bad"},
             b"\xff\xfe",             {"id": [1], "text": "x"}, {"id": 4, "text": "hello"}]  # fmt: skip
    answers, said, code = classify(lines)
    assert code == 0
    assert [bool(answer.get("error")) for answer in answers] == [True] * 6 + [False]
    assert [answers[place]["id"] for place in (1, 2, 3)] == [1, 2, 3]
    assert "6 lines" in said


def test_the_group_and_the_context_decide(classify: Classify) -> None:
    line = {"id": 1, "text": "porn videos", "context": "search"}
    assert classify([line])[0][0]["action"] == "block"
    assert classify([line], "--group", "guest")[0][0]["action"] == classify([line])[0][0]["action"]
    swearing = {"id": 1, "text": "oh shit"}
    assert classify([swearing], "--group", "staff")[0][0]["level"] == 0
    assert classify([swearing], "--context", "search")[0][0]["level"] >= 1


def test_a_page_of_a_private_host_is_not_read(classify: Classify) -> None:
    text = "free porn videos, xxx videos, pornhub, hentai, naked girls, sex tape, blowjob, milf, gangbang. " * 10
    assert classify([{"id": 1, "text": text, "context": "page"}])[0][0]["level"] > 0
    assert classify([{"id": 1, "text": text, "context": "page", "url": "https://www.nhs.uk/x"}])[0][0]["level"] == 0


def test_an_unknown_group_is_a_sentence(classify: Classify) -> None:
    answers, said, code = classify([{"text": "x"}], "--group", "year 99")
    assert (answers, code) == ([], 2)
    assert 'no group "year 99"' in said


def test_the_policy_of_an_installation_counts(classify: Classify, tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    policy = paths.policy.read_text() + '\n[[keyword_sets]]\ncategory = "bullying"\nlevel = 4\nweight = 100\nwords = ["snoodle wump"]\n'
    paths.policy.write_text(policy)
    from rules.build import build

    build(paths.policy, paths.lists, paths.sealed, paths.rulesets)
    answers, _, _ = classify([{"id": 1, "text": "you snoodle wump"}], "--state", str(paths.root))
    assert answers[0]["level"] == 4
