"""A cancelled transfer: the waiter is back within a second, wherever the worker sits, and nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from doubles import Proxy, Server, deaf, metadata, silent, stored, tls_records
from workbench import Watch, becomes, big, bundle, manager, pdf, sockets, tls, workers

from nbfiles._events import Done, Progress
from nbfiles._tasks import Patience, Upload
from nbfiles._transfer import TransferManager

PATIENT = Patience()  # the real limits: a test that needs them to end would hang


class Interrupter(Watch):
    """An observer that interrupts, as Ctrl-C does, once the server is where the test wants it."""

    def __init__(self, ready) -> None:
        super().__init__()
        self._ready = ready
        self.at = 0.0

    def __call__(self, event) -> None:
        super().__call__(event)
        self.tick()

    def tick(self) -> None:
        """Look whether it is time."""
        if self._ready(self):
            self.at = time.monotonic()
            raise KeyboardInterrupt


def sending(server: Server, count: int):
    """Whether the request number `count` has begun and its bytes do not move any more."""
    counts: list[int] = []

    def ready(watch: Interrupter) -> bool:
        counts.append(len(watch.of(Progress)))
        return len(server.exchanges) >= count and len(counts) > 3 and counts[-3] == counts[-1]

    return ready


def waiting(server: Server, count: int):
    """Whether the request number `count` has arrived whole, and the watcher has heard of those before it."""
    return lambda watch: (
        len(server.exchanges) >= count
        and server.exchanges[count - 1].arrived.is_set()
        and len(watch.of(Done)) == count - 1
    )


CASES = [
    (scheme, warm, phase)
    for scheme in ("http", "https", "https through a proxy")
    for warm in (False, True)
    for phase in ("sending", "waiting")
]


@pytest.fixture
def nothing_left():
    """See that threads and sockets are as they were."""
    before = sockets()
    yield
    assert becomes([], workers, 6)
    assert becomes(before, sockets, 6)


@pytest.mark.parametrize(("scheme", "warm", "phase"), CASES)
def test_ctrl_c(scheme, warm, phase, nothing_left, tmp_path, monkeypatch):
    """Ctrl-C is back within a second, cold or warm, sending or waiting, through TLS and a proxy; the peer sees it."""
    script, payload = (deaf, big()) if phase == "sending" else (silent, pdf())
    secure = scheme != "http"
    name = "files.test" if "proxy" in scheme else "127.0.0.1"
    with Server(*([stored] if warm else []), script, tls=tls(name) if secure else None) as server:
        url, arguments = server.url, {"ca_bundle": bundle(tmp_path)} if secure else {}
        with Proxy({"files.test": server.address}) as proxy:
            if "proxy" in scheme:
                monkeypatch.setenv("HTTPS_PROXY", proxy.url)
                url = f"https://files.test:{server.address[1]}"
            count = 2 if warm else 1
            watch = Interrupter((sending if phase == "sending" else waiting)(server, count))
            uploads = [Upload(pdf()), Upload(payload)] if warm else [Upload(payload)]
            with pytest.raises(KeyboardInterrupt):
                manager(url, patience=PATIENT, **arguments).run(uploads, watch)
            assert time.monotonic() - watch.at < 1
            assert becomes([], workers)
            server.go_on.set()
            wire = server.exchanges[-1].wire
            assert wire.ended.wait(5)
            assert (1 if warm else 0) == len(watch.of(Done))
            assert 1 == len(server.wires), "warm is the same connection"
            assert not secure or 23 in tls_records(bytes(wire.raw))
            assert ("proxy" in scheme) == bool(proxy.tunnels)


def test_ctrl_c_while_connecting(nothing_left):
    """While a connection is being made the prompt is back within a second, and the thread ends within the timeout."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        started = time.monotonic()
        watch = Interrupter(lambda _watch: time.monotonic() - started > 0.3)
        with pytest.raises(KeyboardInterrupt):
            manager(f"http://127.0.0.1:{full.getsockname()[1]}", patience=PATIENT).run([Upload(pdf())], watch)
        assert time.monotonic() - watch.at < 1
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("script", [deaf, silent])
def test_a_cancelled_task(script, nothing_left):
    """Cancelling the task that awaits a transfer does the same."""
    payload = big() if script is deaf else pdf()

    async def main(server: Server) -> float:
        task = asyncio.create_task(manager(server.url, patience=PATIENT).run_async([Upload(payload)], Watch()))
        while not server.exchanges:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    with Server(script) as server:
        assert asyncio.run(main(server)) < 1
        assert becomes([], workers)
        server.go_on.set()
        assert server.exchanges[0].wire.ended.wait(5)


def test_the_loop_goes_on_while_a_transfer_is_awaited():
    """A large upload that is awaited leaves the running loop free."""

    async def main(url: str) -> int:
        ticks = 0
        task = asyncio.create_task(manager(url, patience=PATIENT).run_async([Upload(big(200 << 20))], Watch()))
        while not task.done():
            await asyncio.sleep(0.002)
            ticks += 1
        (result,) = await task
        assert 200 << 20 == result.size_bytes
        return ticks

    def swallow(exchange) -> None:
        left = exchange.length - len(exchange.body)
        while left:
            piece = exchange.wire.read()
            left -= len(piece)
        exchange.arrived.set()
        exchange.body = bytearray(exchange.length)
        exchange.answer(200, metadata(size_bytes=200 << 20, filename="big.bin"))

    with Server(swallow) as server:
        assert asyncio.run(main(server.url)) > 10


def test_nobody_waits_for_a_thread_that_hangs():
    """A worker that cannot be woken does not keep the prompt: the call gives it half a second and goes."""
    release = threading.Event()

    def connect(_trace):
        release.wait(5)
        raise AssertionError

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        TransferManager(connect, jobs=1).run([Upload(pdf())], Interrupter(lambda _w: time.monotonic() - started > 0.1))
    assert time.monotonic() - started < 1.1
    release.set()
    assert becomes([], workers)
