"""Proxy sign-in: challenges and wrong guesses are written down, passwords never, and guessing is slow."""

import asyncio
from typing import Any

import msgspec
import pytest
from argon2 import PasswordHasher

from proxy.identity import ADDRESS_GUESSES, Credentials, Identity
from rules.policy import parse_policy
from rules.state import ProxyAccount, State

QUICK = PasswordHasher(time_cost=1, memory_cost=1024)


@pytest.fixture
def strict(running: Any, policy_text: Any) -> Any:
    """A gateway at which everybody has to sign in."""
    text = policy_text(running.origin).replace("[gateway]\n", "[gateway]\nrequire_sign_in = true\n")
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=parse_policy(text))
    running.live.state = State.of(accounts=[ProxyAccount("mrs-smith", QUICK.hash("right"), "staff")])
    running.addon.identity._hasher = QUICK
    return running


@pytest.mark.parametrize("url", ["http://allowed.test:H/x", "https://allowed.test:S/x"])
async def test_the_first_challenge_makes_one_event_and_later_ones_none(strict: Any, url: str) -> None:
    for _ in range(3):
        answer = await strict.curl(url)
        assert 407 in (answer.status, 407 if answer.exit_code == 56 else 0)
    event = await strict.event(reason="authentication")
    assert (event.action, event.status, event.user) == ("block", 407, "")
    assert len(strict.spool.events) == 1
    assert strict.origin.connections == 0


async def test_a_wrong_guess_names_only_a_known_account(strict: Any) -> None:
    assert (await strict.curl("http://allowed.test:H/x", user="mrs-smith:wrong-secret")).status == 407
    assert (await strict.curl("http://allowed.test:H/x", user="my-password-in-the-wrong-field:x")).status == 407
    assert [event.user for event in strict.spool.events] == ["mrs-smith", ""]
    assert {event.reason for event in strict.spool.events} == {"authentication"}
    assert "wrong" not in repr(strict.spool.events)
    assert (await strict.curl("http://allowed.test:H/ok", user="mrs-smith:right")).status == 200
    assert (await strict.event(path="/ok")).user == "mrs-smith"


async def test_a_wrong_guess_where_nobody_has_to_sign_in_is_written_down_too(running: Any) -> None:
    assert (await running.curl("http://allowed.test:H/x", user="nobody:wrong")).status == 200
    assert sorted(event.reason for event in running.spool.events) == ["authentication", "default"]


async def test_guesses_of_one_address_are_throttled_whatever_the_names() -> None:
    state = State.of(accounts=[ProxyAccount("ann", QUICK.hash("right"), "staff")])
    identity = Identity()
    identity._hasher = QUICK
    assert await identity.verify(Credentials("ann", "right"), "10.0.0.9", state) is not None
    await asyncio.gather(*(identity.verify(Credentials(f"name{n}", "x"), "10.0.0.9", state) for n in range(ADDRESS_GUESSES)))
    assert identity.known(Credentials("bob", "x"), "10.0.0.9", state) is False
    assert identity.known(Credentials("bob", "x"), "10.0.0.8", state) is None
    assert identity.known(Credentials("ann", "right"), "10.0.0.9", state), "who is signed in stays so"
    noted = [identity.worth_noting(Credentials(f"again{n}", "x"), "10.0.0.9") for n in range(50)]
    assert sum(noted) == 1


async def test_a_name_without_an_account_is_verified_like_any_other() -> None:
    identity = Identity()
    identity._hasher = QUICK
    assert identity.known(Credentials("nobody", "x"), "10.0.0.1", State()) is None
    assert await identity.verify(Credentials("nobody", "x"), "10.0.0.1", State()) is None
    assert identity.known(Credentials("nobody", "x"), "10.0.0.1", State()) is False
