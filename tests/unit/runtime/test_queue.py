"""The queue's contract, as a hypothesis machine and as single stories."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_operator.runtime.queue import Key, Lane, ShutDown, WorkQueue

pytestmark = pytest.mark.unit

KEYS = [Key("ns", name) for name in "abc"]


async def taken(queue: WorkQueue) -> Key:
    return await asyncio.wait_for(queue.get(), 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "resync", "get", "done"]), st.sampled_from(KEYS)),
        max_size=60,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_change_is_lost_and_no_key_is_in_two_hands(steps: list[tuple[str, Key]]) -> None:
    """For any order of adds, gets and dones: a key added after its last get is handed out again."""

    async def play() -> None:
        queue = WorkQueue()
        held: set[Key] = set()
        owed: set[Key] = set()
        for step, key in steps:
            if step == "add":
                queue.add(key)
                owed.add(key)
            elif step == "resync":
                queue.add(key, lane=Lane.RESYNC)
                owed.add(key)
            elif step == "get" and len(queue):
                got = await taken(queue)
                assert got not in held
                assert got in owed
                held.add(got)
                owed.discard(got)
            elif step == "done" and key in held:
                held.discard(key)
                queue.done(key)
        for key in sorted(held):
            queue.done(key)
        while len(queue):
            got = await taken(queue)
            owed.discard(got)
            queue.done(got)
        assert owed == set()

    asyncio.run(play())


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(list(Lane))), max_size=30))
@settings(max_examples=200, deadline=None)
def test_fresh_changes_go_before_resyncs(adds: list[tuple[Key, Lane]]) -> None:
    async def play() -> None:
        queue = WorkQueue()
        fresh = set()
        for key, lane in adds:
            queue.add(key, lane=lane)
            if lane is Lane.FRESH:
                fresh.add(key)
        order = []
        while len(queue):
            order.append(await taken(queue))
        assert set(order[: len(fresh)]) == fresh
        assert Counter(order) == Counter({key for key, _ in adds})

    asyncio.run(play())


async def test_an_add_while_a_worker_holds_the_key_brings_it_back_once() -> None:
    queue = WorkQueue()
    queue.add(KEYS[0])
    key = await taken(queue)
    queue.add(key)
    queue.add(key)
    assert len(queue) == 0
    queue.done(key)
    assert await taken(queue) == key
    queue.done(key)
    assert len(queue) == 0


async def test_parallel_workers_never_hold_one_key_twice() -> None:
    queue = WorkQueue()
    held: Counter[Key] = Counter()
    seen: Counter[Key] = Counter()

    async def work() -> None:
        while True:
            try:
                key = await queue.get()
            except ShutDown:
                return
            held[key] += 1
            assert held[key] == 1
            seen[key] += 1
            await asyncio.sleep(0.001)
            held[key] -= 1
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(16)]
    for _ in range(20):
        for key in KEYS:
            queue.add(key)
        await asyncio.sleep(0.0005)
    await asyncio.sleep(0.02)
    queue.shut_down()
    await asyncio.gather(*workers)
    assert set(seen) == set(KEYS)


async def test_backoff_doubles_from_5_ms_to_the_cap_and_forget_ends_it() -> None:
    queue = WorkQueue()
    delays = [queue.add_rate_limited(KEYS[0]) for _ in range(20)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 300.0
    assert queue.failures(KEYS[0]) == 20
    queue.forget(KEYS[0])
    assert queue.add_rate_limited(KEYS[0]) == 0.005
    assert queue.add_rate_limited(KEYS[1], at_least=7.0) == 7.0


async def test_the_earliest_of_several_timers_counts() -> None:
    queue = WorkQueue()
    queue.add_after(KEYS[0], 60)
    queue.add_after(KEYS[0], 0.01)
    queue.add_after(KEYS[0], 30)
    assert await taken(queue) == KEYS[0]
    queue.done(KEYS[0])
    assert len(queue) == 0


async def test_shut_down_hands_out_nothing_and_waits_for_what_is_held() -> None:
    queue = WorkQueue()
    queue.add(KEYS[0])
    queue.add(KEYS[1])
    held = await taken(queue)
    waiting = asyncio.create_task(queue.drained())
    queue.shut_down()
    with pytest.raises(ShutDown):
        await queue.get()
    queue.add(KEYS[2])
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(held)
    await asyncio.wait_for(waiting, 1)


async def test_a_fresh_change_lifts_a_key_out_of_the_resync_lane() -> None:
    queue = WorkQueue()
    for key in KEYS:
        queue.add(key, lane=Lane.RESYNC)
    queue.add(KEYS[2])
    assert [await taken(queue) for _ in KEYS] == [KEYS[2], KEYS[0], KEYS[1]]
