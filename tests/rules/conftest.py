"""A small school for tests of the rules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list
from blocklists.url import canonicalise
from rules.policy import Policy, parse_policy
from rules.request import Request, TypedText
from rules.ruleset import Ruleset

STARTER = Path(__file__).resolve().parents[2] / "rules" / "starter_policy.toml"


@pytest.fixture(scope="session")
def starter_policy() -> Policy:
    return parse_policy(STARTER.read_text(encoding="utf-8"), str(STARTER))


@pytest.fixture(scope="session")
def sealed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    install_test_list(folder)
    return folder


@pytest.fixture(scope="session")
def sealed(sealed_folder: Path) -> SealedLists:
    return SealedLists.open(sealed_folder)


@pytest.fixture(scope="session")
def school(starter_policy: Policy, sealed: SealedLists) -> Ruleset:
    return Ruleset.of(starter_policy, sealed)


@pytest.fixture
def ask(school: Ruleset) -> Callable[..., Request]:
    def make(url: str, *, address: str = "10.0.0.1", user: str | None = None, group: str | None = None, **rest: object) -> Request:
        subject = school.policy.identify(address, user, group)
        typed = rest.pop("typed", ())
        if isinstance(typed, str):
            typed = (TypedText(typed),)
        return Request(url=canonicalise(url), subject=subject, at=float(rest.pop("at", 1_790_000_000.0)), typed=typed, **rest)  # type: ignore[arg-type]

    return make
