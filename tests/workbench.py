"""What the tests of the engine share: a key nobody may see, short time limits, and one way to send."""

from __future__ import annotations

import base64
import functools
import pickle
import signal
import ssl
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import trustme

from nbfiles._client import Client
from nbfiles._config import NbFiles, Place, place
from nbfiles._credentials import Credential, Secret
from nbfiles._errors import Error
from nbfiles._payload import Payload, bytes_payload
from nbfiles._tasks import Patience, Upload
from nbfiles._transfer import TransferManager

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "sk-ant-api03-CANARY-5f1c0de5ca1ab1e"
# A hundredth of what a person gets: the rules are the same.
QUICK = Patience(
    total=3, slowest=1 << 40, answer=1, longest_wait=0.05, first_wait=0.01, most_wait=0.02, grace=0.5,
    looks=(0.0, 0.01, 0.02, 0.04), late_look=0.5,
)  # fmt: skip


def hear_ctrl_c() -> None:
    """Have Ctrl-C arrive in a job in the background too, where a shell has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def key(*, bearer: bool = False) -> Credential:
    """Return the canary as a credential."""
    return Credential(Secret(CANARY), "ANTHROPIC_API_KEY", bearer)


def where(url: str, **arguments: Any) -> Place:
    """Return the place at `url`."""
    return place(NbFiles(), base_url=url, **arguments)


def manager(url: str, *, jobs: int = 1, patience: Patience = QUICK, **arguments: Any) -> TransferManager:
    """Return an engine for the server at `url`."""
    return TransferManager(
        lambda trace: Client(where(url, **arguments), key(), trace=trace), jobs=jobs, patience=patience
    )


def client(url: str, **arguments: Any) -> Client:
    """Return a client of the server at `url`."""
    return Client(where(url, **arguments), key())


def pdf(data: bytes = b"%PDF-", name: str = "report.pdf") -> Payload:
    """Return a payload in memory."""
    return bytes_payload(data, name=name, source=name)


def big(size: int = 64 << 20) -> Payload:
    """Return a payload that is larger than what the sockets of two peers hold."""
    return Payload("big.bin", "application/octet-stream", size, partial(_Zeros, size), "big.bin", digest="blake3:0")


class _Zeros:
    """A file of zeros that takes no room."""

    def __init__(self, size: int) -> None:
        self._left = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None: ...

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return bytes(size)


class Watch:
    """An observer that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def send(url: str, *payloads: Payload, watch: Any = None, **options: Any) -> list[Any]:
    """Upload `payloads` (default: one small PDF) and return results and errors, none of which shows the key."""
    how = {name: options.pop(name) for name in ("expires", "timeout", "retry", "reuse", "account") if name in options}
    uploads = [Upload(payload, **how) for payload in payloads or (pdf(),)]
    results = manager(url, **options).run(uploads, watch or Watch())
    for result in results:
        if isinstance(result, Error):
            keeps_the_secret(result)
    return results


def keeps_the_secret(error: BaseException) -> None:
    """See that no way of showing `error` shows the key, and that it drags no exception of httpx behind it."""
    shown = [
        str(error),
        repr(error),
        repr(vars(error)),
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        pickle.dumps(error).decode("latin-1"),
    ]
    forms = (CANARY, base64.b64encode(CANARY.encode()).decode(), quote(CANARY, safe=""), CANARY[-12:])
    for text in shown:
        for form in forms:
            assert form not in text
    again = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), vars(error)) == (type(again), str(again), vars(again))
    behind = error.__context__ or error.__cause__
    while behind is not None:
        assert not type(behind).__module__.startswith(("http", "h11")), f"{behind!r} is behind {error!r}"
        behind = behind.__context__ or behind.__cause__
    assert "\n" not in str(error)


# -- certificates ----------------------------------------------------------------------------------------------------


@functools.cache
def authority() -> trustme.CA:
    """Return the authority that the servers of the tests have their certificates from."""
    return trustme.CA()


def bundle(folder: Path) -> str:
    """Write the authority's certificate into `folder`; return the file's path."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def tls(*names: str, by: trustme.CA | None = None, **options: Any) -> ssl.SSLContext:
    """Return a server's context with a certificate for `names`, by default for loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (by or authority()).issue_cert(*(names or ("127.0.0.1", "localhost")), **options).configure_cert(context)
    return context


# -- what is left afterwards -----------------------------------------------------------------------------------------


def workers() -> list[str]:
    """Return the names of the engine's threads that are alive; the loops of coroutines and widgets stay, by design."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("nbfiles-") and name not in {"nbfiles-loop", "nbfiles-widget"}]


def sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for handle in Path("/proc/self/fd").iterdir():
        try:
            count += str(handle.readlink()).startswith("socket:")
        except OSError:  # the descriptor of this very listing
            continue
    return count


def becomes(expected: Any, look: Callable[[], Any], seconds: float = 1) -> bool:
    """Wait until `look` returns `expected`."""
    until = time.monotonic() + seconds
    while look() != expected and time.monotonic() < until:
        time.sleep(0.005)
    return look() == expected
