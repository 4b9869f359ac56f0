"""How many work at the same time, how many requests leave in a minute, and that all wait when one is asked to."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from dataclasses import replace

import pytest
from doubles import Server, answers, lists_all, lost, metadata, stored
from hypothesis import given
from hypothesis import strategies as st
from workbench import QUICK, Watch, becomes, manager, pdf, workers

from nbfiles import _bucket, _pace, _session
from nbfiles._bucket import Bucket
from nbfiles._config import NbFiles
from nbfiles._credentials import Secret
from nbfiles._errors import APIError, ConnectionFailedError, DeadlineError, RateLimitError, ServerError
from nbfiles._events import Done, Retrying
from nbfiles._gate import Gate
from nbfiles._models import FileMetadata
from nbfiles._pace import FIRST_JOBS, MOST_JOBS, NEXT_LOOK, REST, Pace
from nbfiles._session import Session
from nbfiles._tasks import Ask, Upload

BUSY = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def works(pace: Pace, clock: Clock, files: int, *, a_second: float, size: int = 0) -> None:
    """Let `files` be done, so many a second with `jobs` workers at the time."""
    for _ in range(files):
        clock.now += 1 / a_second
        pace.moved(size)
        pace.finished()


# ---- how many work ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10_000, 500_000_000])
def test_more_work_while_that_is_faster(size):
    """Where twice the workers do twice as much, 8 become 32 and no more, be the files small or large."""
    clock = Clock()
    pace = Pace(None, clock)
    seen = {pace.jobs}
    for _ in range(500):
        works(pace, clock, 1, a_second=pace.jobs * 20.0, size=size)
        seen.add(pace.jobs)
    assert {FIRST_JOBS, 16, MOST_JOBS} == seen
    assert MOST_JOBS == pace.jobs


@pytest.mark.parametrize(("full", "expected"), [(8, 8), (9, 8), (16, 16), (19, 16)])
def test_no_more_work_than_is_worth_it(full, expected):
    """Where the line is full at `full` workers, it stays with those that are worth it, and tries again after a rest."""
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(300):
        works(pace, clock, 1, a_second=min(pace.jobs, full) * 20.0)
    assert expected == pace.jobs
    tried, until = set(), clock.now + 2 * REST
    while clock.now < until:
        works(pace, clock, 1, a_second=min(pace.jobs, full) * 20.0)
        tried.add(pace.jobs)
    assert ({expected, 2 * expected}, expected) == (tried, pace.jobs)


def test_one_large_file_after_another_is_judged_by_its_bytes():
    """Bytes that leave count before a file is done, so a run of large files grows within seconds too."""
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(200):
        clock.now += 0.1
        pace.moved(pace.jobs << 20)
    assert MOST_JOBS == pace.jobs


def test_too_much_is_halved_once():
    """However many requests of one moment are refused, the number is halved once, and grows no more for a while."""
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(8):
        pace.ease(clock.now - 1)
    assert 4 == pace.jobs
    works(pace, clock, 200, a_second=1000)
    assert 4 == pace.jobs
    pace.ease(clock.now)
    assert 2 == pace.jobs
    for _ in range(9):
        clock.now += 1
        pace.ease(clock.now)
    assert 1 == pace.jobs
    clock.now += REST
    for _ in range(400):
        works(pace, clock, 1, a_second=pace.jobs * 20.0)
    assert MOST_JOBS == pace.jobs


@given(st.integers(1, 64), st.lists(st.sampled_from(["moved", "finished", "ease"])))
def test_a_number_is_kept(jobs, happened):
    """A number that somebody chose stays, whatever happens."""
    clock = Clock()
    pace = Pace(jobs, clock)
    for what in happened:
        clock.now += 1
        {"moved": lambda: pace.moved(1), "finished": pace.finished, "ease": lambda: pace.ease(clock.now)}[what]()
    assert jobs == pace.jobs


def test_a_pause_is_no_measurement():
    """A long wait that the server asked for makes what follows look no better than it is."""
    clock = Clock()
    pace = Pace(None, clock)
    works(pace, clock, 4, a_second=160)
    pace.hold(30, "busy")
    works(pace, clock, 4, a_second=160)  # what was under way
    clock.now += 30
    works(pace, clock, 200, a_second=160)
    assert FIRST_JOBS == pace.jobs


def test_who_is_too_many_looks_again():
    """No more enter than may work, and nobody while all are asked to wait."""
    clock = Clock()
    pace = Pace(2, clock)
    assert [0, 0, NEXT_LOOK] == [pace.enter() for _ in range(3)]
    pace.leave()
    pace.hold(30, "busy")
    pace.hold(10, "busy")
    assert (30, 30) == (pace.enter(), pace.held())
    clock.now += 30
    assert (0, 0, NEXT_LOOK) == (pace.held(), pace.enter(), pace.enter())


# ---- how many requests leave -----------------------------------------------------------------------------------------


def test_a_hundred_at_once_then_five_hundred_a_minute():
    """The 100 first requests leave at once, and of any number no more than 100 + 500 a minute."""
    clock = Clock()
    bucket = Bucket(_bucket.ANTHROPIC_REQUESTS, clock)
    waits = [bucket.take() for _ in range(600)]
    assert [0.0] * 100 == waits[:100]
    assert pytest.approx([60 / 500 * n for n in range(1, 501)]) == waits[100:]
    clock.now += 3600
    assert [0.0] * 100 == [bucket.take() for _ in range(100)]
    assert 0 < bucket.take()
    bucket.give_back()
    clock.now += 60 / 500
    assert pytest.approx(0, abs=1e-9) == bucket.take()


@given(st.integers(1, 5000), st.lists(st.floats(0, 10), max_size=60))
def test_no_minute_has_more(per_minute, pauses):
    """Whenever requests are asked for, no minute sees more than the rate and what may be spent at once."""
    clock = Clock()
    bucket = Bucket(per_minute, clock)
    times = []
    for pause in pauses:
        clock.now += pause
        times.append(clock.now + bucket.take())
    burst = max(1, per_minute // 5)
    for first, last in itertools.combinations(range(len(times)), 2):
        assert last - first + 1 <= burst + (times[last] - times[first]) * per_minute / 60 + 1.000001


def test_the_rate_of_a_place(monkeypatch):
    """Requests to api.anthropic.com are counted, those to other hosts only if a number is set, and 0 counts none."""
    monkeypatch.setattr(_bucket, "_buckets", {})

    def bucket(url, rate, key="k"):
        session = Session(NbFiles(requests_per_minute=rate), base_url=url, api_key=Secret(key))
        return session._bucket(*session.find())

    anthropic = bucket("https://api.anthropic.com", None)
    assert (500, None, None, 60) == (
        anthropic.per_minute, bucket("https://x.test", None), bucket("https://api.anthropic.com", 0),
        bucket("https://x.test", 60).per_minute)  # fmt: skip
    assert bucket("https://api.anthropic.com", 200) is anthropic, "all runs of one key share it"
    assert 200 == anthropic.per_minute
    assert bucket("https://api.anthropic.com", None, "other") is not anthropic
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert bucket("https://api.anthropic.com", None) is not anthropic, "a forked child has its own"


# ---- the gate of one worker ------------------------------------------------------------------------------------------


def gate(pace: Pace, bucket: Bucket | None = None, *, left: float = 60) -> Gate:
    """Return a gate of a run that nobody stops."""
    return Gate(pace, bucket, 60, stop=threading.Event(), left=lambda: left)


def test_a_token_that_was_not_spent_is_given_back():
    """A worker that enters and then asks nothing costs no request; one that asks twice costs two."""
    clock = Clock()
    bucket = Bucket(50, clock)  # ten at once
    idle, busy = gate(Pace(9), bucket), gate(Pace(9), bucket)
    for one in (idle, busy):
        assert one.enter(float("inf"), print)
        one.leave()
        assert one.enter(float("inf"), print)
    idle.close()
    busy.before()
    busy.before()
    busy.close()
    assert [0] * 8 == [bucket.take() for _ in range(8)]
    assert 0 < bucket.take()


def test_there_is_no_time_to_wait():
    """A wait that is longer than what the attempt has left ends with an error in time, and no byte leaves."""
    pace, told = Pace(1), []
    closed = gate(pace, left=0.05)
    assert closed.enter(float("inf"), lambda wait, reason: told.append((round(wait), reason)))
    pace.hold(30, "Claude is busy (429)")
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError):
        closed.before()
    closed.leave()
    assert not closed.enter(time.monotonic() + 1, lambda wait, reason: told.append((round(wait), reason)))
    assert time.monotonic() - started < 1
    assert [(30, "Claude is busy (429)")] * 2 == told


@pytest.mark.parametrize(
    ("kind", "asked", "held", "jobs"),
    [(RateLimitError, 7.0, 7, 4), (RateLimitError, 1e9, 60, 4), (RateLimitError, 0.0, 0, 4),
     (RateLimitError, None, 0, 8), (ServerError, 7.0, 7, 8), (ServerError, None, 0, 8)],
)  # fmt: skip
def test_what_a_refusal_means_for_all(kind, asked, held, jobs):
    """A time that the server asks for holds all, 60 s at most; 429 halves their number, a spending limit does not."""
    clock = Clock()
    pace = Pace(None, clock)
    gate(pace).refused(kind("busy", status=429, retry_after=asked))
    assert (held, jobs) == (round(pace.held()), pace.jobs)
    gate(pace).refused(APIError("no", status=418))
    gate(pace).refused(ConnectionFailedError("no"))
    assert (held, jobs) == (round(pace.held()), pace.jobs)


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_all_wait_when_one_is_asked_to():
    """After a 429 with a time nobody of the run sends before it is over, those with new files neither; all are told."""
    refused = threading.Event()
    times: list[float] = []
    count = itertools.count()

    def script(exchange):
        times.append(time.monotonic())
        if next(count) == 2:
            answers(429, BUSY, retry_after="1")(exchange)
            time.sleep(0.1)  # until it was heard
            times.append(time.monotonic())
            refused.set()
        else:
            refused.wait(5)  # so that the refusal is the first answer, and every other worker has sent by then
            stored(exchange)

    watch = Watch()
    payloads = [pdf(b"%PDF-" + str(n).encode(), f"{n}.pdf") for n in range(12)]
    with Server(script) as server:
        results = manager(server.url, jobs=3, patience=replace(QUICK, total=9, longest_wait=60)).run(
            [Upload(payload) for payload in payloads], watch
        )
    assert [FileMetadata] * 12 == [type(result) for result in results]
    asked = times.pop(3)
    assert 13 == len(times)
    assert all(at < asked or at >= asked + 0.85 for at in times), [round(at - asked, 3) for at in times]
    assert 3 == len({event.transfer for event in watch.of(Retrying) if event.delay > 0.5})
    assert {"127.0.0.1 is busy (429)"} == {event.reason for event in watch.of(Retrying)}


def test_a_look_counts_and_waits_too():
    """The requests that look for a lost file take their turn like any other."""
    bucket = Bucket(3000)
    with Server(lost, listing=lists_all) as server:
        engine = manager(server.url)
        engine._bucket = bucket
        (result,) = engine.run([Upload(pdf())], Watch())
    assert (FileMetadata, 2) == (type(result), len(server.exchanges))
    assert 598 <= sum(bucket.take() == 0 for _ in range(700)) < 640


@pytest.mark.parametrize("waits", ["for the rate", "for a refusal"])
def test_a_wait_is_cancelled(waits):
    """Who cancels while all wait has the prompt back at once, and no thread is left."""

    class Impatient(Watch):
        def __call__(self, event):
            super().__call__(event)
            if isinstance(event, Retrying):
                raise KeyboardInterrupt

    script = stored if waits == "for the rate" else answers(429, BUSY, retry_after="60")
    watch = Impatient()
    with Server(script) as server:
        engine = manager(server.url, jobs=2, patience=replace(QUICK, total=900, longest_wait=60))
        if waits == "for the rate":
            engine._bucket = Bucket(1)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            engine.run([Upload(pdf()) for _ in range(4)], watch)
    assert time.monotonic() - started < 1.5
    assert becomes([], workers)
    (retrying,) = watch.of(Retrying)
    assert 55 < retrying.delay <= 60
    expected = "no more than 1 requests a minute are sent" if waits == "for the rate" else "127.0.0.1 is busy (429)"
    assert expected == retrying.reason


def test_waiting_for_a_turn_is_not_the_files_time():
    """The time that a file may take begins when its first request may leave; a later request has to keep within it."""
    with Server(answers(200, metadata())) as server:
        engine = manager(server.url, jobs=2)
        engine._bucket = Bucket(240)  # 48 at once, then one each quarter of a second
        for _ in range(48):
            engine._bucket.take()
        asks = [Ask(lambda client: client.metadata("a"), timeout=0.2) for _ in range(3)]
        assert ["file_0000"] * 3 == [file.id for file in engine.run(asks, Watch())]
        twice = Ask(lambda client: (client.metadata("a"), client.metadata("b")), timeout=0.1)
        (result,) = engine.run([twice], Watch())
    assert DeadlineError is type(result)


def test_no_more_threads_than_files():
    """Workers are hired as there is work: never more than files, 8 at first, and as many as were asked for."""
    most = 0
    lock = threading.Lock()

    def script(exchange):
        nonlocal most
        with lock:
            most = max(most, len(workers()))
        time.sleep(0.02)
        stored(exchange)

    for count, jobs, expected in ((3, None, 3), (3, 64, 3), (20, 5, 5), (9, None, 8)):
        most = 0
        with Server(script) as server:
            results = manager(server.url, jobs=jobs).run([Upload(pdf()) for _ in range(count)], Watch())
        assert [FileMetadata] * count == [type(result) for result in results]
        assert expected == most
        assert becomes([], workers)
    assert [] == manager("http://127.0.0.1:1").run([], Watch())


def test_a_refusal_sends_workers_home():
    """After 429s fewer work at the same time, and everything still arrives, for who awaits as well."""
    at_once, most = 0, []
    lock = threading.Lock()
    count = itertools.count()

    def script(exchange):
        nonlocal at_once
        number = next(count)
        with lock:
            at_once += 1
            most.append((number, at_once))
        time.sleep(0.02)
        with lock:
            at_once -= 1
        (answers(429, BUSY, retry_after="0.01") if number < 8 else stored)(exchange)

    watch = Watch()
    with Server(script) as server:
        results = asyncio.run(manager(server.url, jobs=None).run_async([Upload(pdf()) for _ in range(40)], watch))
    assert [FileMetadata] * 40 == [type(result) for result in results]
    assert 40 == len(watch.of(Done))
    assert max(now for number, now in most if number > 12) <= 4


def test_a_run_may_be_told_how_many(monkeypatch):
    """``jobs`` of the call, then of the settings, then the number is found by trying."""
    made = []
    monkeypatch.setattr(_session, "TransferManager", lambda *_args, **options: made.append(options["jobs"]))
    config = NbFiles()
    session = Session(config, base_url="http://127.0.0.1:1", api_key=Secret("k"))
    session._manager(None)
    config.jobs = 5
    session._manager(None)
    session._manager(_session.How(jobs=64))
    assert [None, 5, 64] == made
    assert _pace.FIRST_JOBS == _session.DEFAULT_JOBS
