"""``NbFiles``: every setting, as traits for ``%config NbFiles``, and where each value came from.

A value comes from the first of: an argument, a trait that was set, the environment, the default. A key is not a
setting: `_credentials.py` finds it, and no trait ever holds it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from traitlets import Bool, Enum, Float, Int, List, Unicode
from traitlets.config import Configurable

from nbfiles._errors import InputError
from nbfiles._names import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

ANTHROPIC = "https://api.anthropic.com"
SURFACES = ("beta", "ga")
# The documentation says 500 MB and leaves open whether that is 10^6 or 2^20: from the smaller number on we warn, above
# the larger one we refuse, and between the two the server decides.
MAX_FILE_SIZE = 524_288_000
LARGE_FILE_SIZE = 500_000_000
# An organisation's, since August 2026: https://platform.claude.com/docs/en/build-with-claude/files, "Storage limits".
STORAGE_LIMIT = 1_000_000_000_000
CONNECT_TIMEOUT = 5.0  # seconds to a connection, TLS included
STALL_TIMEOUT = 60.0  # seconds in which the socket takes no byte
ANSWER_TIMEOUT = 120.0  # seconds without a byte of the answer
SHORTEST_EXPIRY, LONGEST_EXPIRY = 3_600, 7_776_000  # seconds: 1 hour to 90 days


class NbFiles(Configurable):
    """The settings of nbfiles. ``%config NbFiles`` lists them, ``%config NbFiles.jobs = 4`` sets one."""

    base_url = Unicode(
        "", help="Where the Files API is; empty: ANTHROPIC_BASE_URL, else https://api.anthropic.com."
    ).tag(config=True)
    surface = Enum(
        SURFACES,
        "beta",
        help="'beta' sends the dated beta header and /v1/files?beta=true; 'ga' plain /v1/files.",
    ).tag(config=True)
    betas = List(Unicode(), help="Further values of the anthropic-beta header.").tag(config=True)
    workspace_id = Unicode("", help="Sent as anthropic-workspace-id when set.").tag(config=True)
    ca_bundle = Unicode("", help="A PEM file of certificates to trust beside the system's.").tag(config=True)
    jobs = Int(
        None,
        allow_none=True,
        min=1,
        max=64,
        help="Files sent at the same time, 1 to 64; None: 8, and up to 32 as long as that is faster.",
    ).tag(config=True)
    requests_per_minute = Int(
        None,
        allow_none=True,
        min=0,
        help="Requests of this process that one place and key get in a minute, a fifth of them at once; "
        "None: 500 for api.anthropic.com, which takes about as many, and any number elsewhere; 0: any number.",
    ).tag(config=True)
    timeout = Float(
        None,
        allow_none=True,
        min=0.001,
        help="Seconds one file may take in all; None: 120 plus one second for each 32 KiB.",
    ).tag(config=True)
    expires = Int(
        None,
        allow_none=True,
        min=SHORTEST_EXPIRY,
        max=LONGEST_EXPIRY,
        help="Seconds after which an uploaded file ends, 3600 to 7776000; None: never.",
    ).tag(config=True)
    reuse = Bool(
        default_value=True,
        help="Whether an upload from here that is the same is taken again; needs the ledger.",
    ).tag(config=True)
    ledger = Bool(
        default_value=True,
        help="Whether names, sizes and hashes of uploads are kept on this machine; if not, they end with the kernel.",
    ).tag(config=True)
    storage_limit = Int(
        STORAGE_LIMIT, min=1, help="Bytes that the organisation may store, for %files usage; the API does not tell."
    ).tag(config=True)
    max_file_size = Int(MAX_FILE_SIZE, min=0, help="Bytes; a larger file is refused before anything is sent.").tag(
        config=True
    )


_shared: NbFiles | None = None


def settings() -> NbFiles:
    """Return the settings that everything uses which was not given its own."""
    return adopt(NbFiles()) if _shared is None else _shared


def adopt(config: NbFiles) -> NbFiles:
    """Make `config` the shared settings: the extension does so with those that know the shell's configuration."""
    global _shared  # noqa: PLW0603  # there is one notebook, and so one set of settings
    _shared = config
    return config


@dataclass(frozen=True, slots=True)
class Place:
    """Where the Files API is, and how it is spoken to. Holds no key.

    Parameters
    ----------
    base_url : str
        Without a trailing slash.
    came_from : str
        What said so: ``"argument"``, ``"NbFiles.base_url"``, ``"ANTHROPIC_BASE_URL"``, ``"default"`` or ``"local"``.
    surface : {"beta", "ga"}, default "beta"
    betas : tuple of str, default ()
        Further values of the ``anthropic-beta`` header.
    workspace_id : str, default ""
    ca_bundle : str, default ""
        A PEM file.
    """

    base_url: str
    came_from: str
    surface: str = "beta"
    betas: tuple[str, ...] = ()
    workspace_id: str = ""
    ca_bundle: str = ""

    @property
    def local(self) -> bool:
        """Whether this is the local Files API."""
        return self.came_from == "local"

    @property
    def who(self) -> str:
        """Whom a message should name: Claude, the local Files API, or the host somebody configured."""
        if self.local:
            return "the local Files API"
        return "Claude" if self.base_url == ANTHROPIC else (urlsplit(self.base_url).hostname or self.base_url)


def place(  # one argument for each setting that can be given
    config: NbFiles,
    *,
    base_url: str | None = None,
    surface: str | None = None,
    betas: Sequence[str] | None = None,
    workspace_id: str | None = None,
    ca_bundle: str | None = None,
    local: bool = False,
) -> Place:
    """Return where to send, from arguments, traits, the environment and the defaults, in this order.

    Raises
    ------
    InputError
        If the URL is not https (http only for loopback), carries a user name, a query or a fragment, or the surface
        or a beta is not one.

    Notes
    -----
    ``ANTHROPIC_WORKSPACE_ID`` is read by the official SDK for profiles and federation only and not sent with a plain
    key, so it is not sent here either.
    """
    if base_url is not None:
        url, came_from = base_url, "local" if local else "argument"
    elif config.base_url:
        url, came_from = config.base_url, "NbFiles.base_url"
    elif os.getenv("ANTHROPIC_BASE_URL", "").strip():
        url, came_from = os.getenv("ANTHROPIC_BASE_URL", "").strip(), "ANTHROPIC_BASE_URL"
    else:
        url, came_from = ANTHROPIC, "default"
    chosen = surface or config.surface
    if chosen not in SURFACES:
        raise InputError(f"there is no surface {chosen!r}", "There are 'beta' and 'ga'.")
    return Place(
        base_url=_check_url(url, came_from),
        came_from=came_from,
        surface=chosen,
        betas=check_betas(config.betas if betas is None else betas),
        workspace_id=_check_header(workspace_id or config.workspace_id, "workspace id"),
        ca_bundle=ca_bundle or config.ca_bundle,
    )


def check_betas(betas: Sequence[str]) -> tuple[str, ...]:
    """Return `betas` if they can stand in the ``anthropic-beta`` header; an empty one counts as unset.

    Raises
    ------
    InputError
        If one holds a space, a comma or a control character, or a single text was given for the list.
    """
    if isinstance(betas, str):
        raise InputError("betas is one text, not a list", f"Write betas=[{visible(betas)!r}].")
    return tuple(_check_header(beta, "beta") for beta in betas if beta)


def expiry(seconds: Any) -> int | None:
    """Return `seconds` if the Files API takes it as ``expires_in_seconds``; None stays None.

    Raises
    ------
    InputError
        If it is not a whole number from 3600 (1 hour) to 7776000 (90 days).
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not SHORTEST_EXPIRY <= seconds <= LONGEST_EXPIRY:
        raise InputError(
            f"expires must be from 1h to 90d, not {seconds!r}",
            "Write '7d', '36h', a timedelta, or seconds from 3600 to 7776000.",
        )
    return seconds


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine: ``localhost`` or a loopback address."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+")  # a name, or an IPv6 address without its brackets


def _check_url(url: str, came_from: str) -> str:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # a port out of range is found only when asked for
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    host = parts.hostname or ""
    said = f"the address from {came_from}"
    if "@" in parts.netloc:
        raise InputError(f"{said} carries a user name or a password", "Leave them out; keys go in ANTHROPIC_API_KEY.")
    # httpx reads addresses by rules of its own: what it could read as another host is refused.
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or visible(url) != url:
        raise InputError(f"{said} is not a web address", "Write it like https://api.anthropic.com.")
    if "?" in url or "#" in url:
        raise InputError(f"{said} carries a query or a fragment", "Leave out what follows ? or #.")
    if parts.scheme == "http" and not is_loopback(host):
        raise InputError(
            f"{said} is http://, which would send the key and the files in the clear to {visible(host)}",
            "Use https://; http:// is for this machine only.",
        )
    return url.strip().rstrip("/")


def _check_header(value: str, what: str) -> str:
    if not value.isascii() or not all(char.isprintable() and char not in ", " for char in value):
        raise InputError(f"{visible(value)!r} is not a {what}", "It may not hold spaces, commas or control characters.")
    return value
