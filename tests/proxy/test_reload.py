"""Rulesets that were replaced leave nothing behind."""

import asyncio
import gc
from typing import Any

from blocklists.sealed import SealedLists
from rules.keywords import KeywordMatcher
from rules.policy import parse_policy
from rules.policy_value import Policy
from rules.ruleset import Ruleset


async def test_after_30_swaps_under_traffic_no_more_than_three_of_each_part_live(running: Any, policy_text: Any, tmp_path: Any) -> None:
    sealed = SealedLists.open(tmp_path / "sealed")
    connections = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(10)]
    head = f"GET http://allowed.test:{running.origin.http}/page HTTP/1.1\r\nHost: allowed.test\r\nSec-Fetch-Dest: document\r\n\r\n"
    gc.collect()
    before = parts_alive()
    # Nothing may wait for the collector: in a worker it comes round to old things once in many minutes.
    gc.disable()
    for number in range(30):
        text = policy_text(running.origin).replace("Canal Road", f"Canal Road {number}")
        running.live.ruleset = Ruleset.of(parse_policy(text), sealed)
        # Some connections go on, others fall silent for good after a while.
        for reader, writer in connections[number // 5 :]:
            writer.write(head.encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(answer.partition("content-length:")[2].split()[0]))
    after = parts_alive()
    gc.enable()
    for _, writer in connections:
        writer.close()
    assert max(after[kind] - before[kind] for kind in after) <= 2, (before, after)


def parts_alive() -> dict[str, int]:
    """How many rulesets, and large parts of one, are in memory."""
    things = gc.get_objects()
    return {kind.__name__: sum(isinstance(thing, kind) for thing in things) for kind in (Policy, KeywordMatcher, Ruleset)}
