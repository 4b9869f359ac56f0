"""A coroutine or another awaitable, waited for and then taken for what it gives.

::

    coroutine, object with __await__     runs on a private loop in a thread of its own
    Task, Future    done                 its result
                    of another thread    waited for over there
                    of a loop at rest    that loop runs until it is done
                    of this thread's running loop
                                         nest-asyncio re-enters it where that is safe; elsewhere: await it first

`nest_asyncio.apply` loses queued cells on ipykernel 7.1 and later (measured: 7.1.0, 7.2.0, 7.4.0), so it is applied in
one function, only when it is needed, and never there.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from nbfiles._errors import InputError
from nbfiles._loop import LoopThread
from nbfiles.sources._registry import payloads as payloads_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from nbfiles._payload import Payloads
    from nbfiles.sources._request import Request

T = TypeVar("T")

CLEAN_UP = 0.5  # seconds that a cancelled coroutine gets; Ctrl-C must be back within 1 s
POLL = 0.1  # seconds; a wait without an end cannot be interrupted on Windows
FIRST_UNSAFE_IPYKERNEL = (7, 1)

_PRIVATE = LoopThread("nbfiles-loop")


def matches(obj: Any) -> bool:
    """Whether `obj` can be awaited."""
    return inspect.isawaitable(obj)


def payloads(obj: Awaitable[Any], request: Request) -> Payloads:
    """Return the payloads of what `obj` gives."""
    return payloads_of(await_(obj), request)


def await_(awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` from synchronous code, whatever loop is running, and return its result.

    Parameters
    ----------
    awaitable : awaitable
        A coroutine, an object with ``__await__``, or a Task or Future of any loop.

    Raises
    ------
    InputError
        If it belongs to this thread's running loop and that cannot be re-entered safely, or if it was cancelled.
    KeyboardInterrupt
        On Ctrl-C; the coroutine is cancelled and gets half a second for its clean-up.
    """
    try:
        if asyncio.isfuture(awaitable):
            result: T = _await_future(awaitable)
            return result
        return _await_privately(awaitable)
    except asyncio.CancelledError:
        raise InputError("what was awaited has been cancelled", "Run it again.") from None
    except RuntimeError as error:
        if "attached to a different loop" in str(error) or "bound to a different event loop" in str(error):
            raise _await_it_first() from None
        raise


def _await_it_first() -> InputError:
    return InputError(
        "this awaitable belongs to the loop that runs the notebook",
        "Await it in the cell first: x = await task, then upload x.",
    )


def _await_future(future: asyncio.Future[T]) -> T:
    loop = future.get_loop()
    if future.done():
        return future.result()
    if loop is _running_loop():
        return _reenter(loop, future)
    if loop.is_running():
        return _await_on(loop, future)
    if _running_loop() is None:
        return loop.run_until_complete(future)
    raise _await_it_first()


def _await_privately(awaitable: Awaitable[T]) -> T:
    loop = _PRIVATE.get()
    if loop is _running_loop():
        raise InputError(
            "a coroutine cannot be waited for by the loop that should run it",
            "Await it first, or use the _async verb.",
        )
    return _await_on(loop, awaitable)


def _await_on(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` on the running `loop` of another thread; cancel it there if the wait is interrupted."""
    futures: list[asyncio.Future[T]] = []
    finished = threading.Event()

    def start() -> None:
        future = asyncio.ensure_future(awaitable)
        futures.append(future)
        future.add_done_callback(lambda _: finished.set())

    loop.call_soon_threadsafe(start)
    try:
        while not finished.wait(POLL):
            pass
    except BaseException:
        loop.call_soon_threadsafe(lambda: [future.cancel() for future in futures])
        if finished.wait(CLEAN_UP) and not futures[0].cancelled():
            futures[0].exception()  # looked at, so that asyncio does not report it in a later cell
        raise
    return futures[0].result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _reenter(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> T:
    """Run this thread's running loop until `future` is done. The only place where nest-asyncio is used."""
    if not _may_reenter():
        raise _await_it_first()
    import nest_asyncio

    try:
        nest_asyncio.apply(loop)
    except ValueError:  # uvloop and other loops that are not asyncio's own
        raise _await_it_first() from None
    try:
        return loop.run_until_complete(future)
    except BaseException:
        if not future.done():  # an interrupt: nest-asyncio would leave the coroutine running
            future.cancel()
            loop.run_until_complete(asyncio.wait([future], timeout=CLEAN_UP))
        raise


def _may_reenter() -> bool:
    """Whether this host survives a re-entered loop: an ipykernel before 7.1, or no ipykernel at all."""
    kernelapp = sys.modules.get("ipykernel.kernelapp")
    if kernelapp is None or not kernelapp.IPKernelApp.initialized():
        return True
    return tuple(sys.modules["ipykernel"].version_info[:2]) < FIRST_UNSAFE_IPYKERNEL
