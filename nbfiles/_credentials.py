"""The API key: found where people keep it, wrapped so that it cannot be printed, and put into one header.

The first of these that is not empty: an argument, ``nbfiles.login()`` in this kernel, ``ANTHROPIC_API_KEY``,
``ANTHROPIC_AUTH_TOKEN``, the operating system's keyring (after ``login(save=True)``), Colab's secrets. The two
environment variables and their order are the official SDK's; an empty one counts as unset.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import sys
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from nbfiles._errors import CredentialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEYRING = ("nbfiles", "anthropic-api-key")
NO_KEY = (
    "No API key: set ANTHROPIC_API_KEY, call nbfiles.login(), or try everything without an account: %files use local"
)
_HIDDEN = "<hidden>"
# Keys and tokens of Anthropic, whosever they are.
_ANY_KEY = re.compile(r"sk-ant-[\w-]+", re.IGNORECASE)
# Characters. A shorter text is no secret ("x", "abc": what stands where a gateway asks for no key), and would be hidden
# in the middle of words, which the holes then spell out.
_SHORTEST = 4
_END = 12  # characters by which people, and servers that quote no more, tell one key from another


class Secret:
    """A text that does not show itself: not in ``repr``, ``vars``, a traceback with locals, a pickle or a copy.

    Parameters
    ----------
    value : str
        The text; outer white space is dropped. Only `reveal` gives it back.
    """

    __slots__ = ("reveal",)

    reveal: Callable[[], str]

    def __init__(self, value: str) -> None:
        stripped = value.strip()
        self.reveal = lambda: stripped  # in a closure: tools that print attributes find a function

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def fits_a_header(self) -> bool:
        """Whether it is one word of visible ASCII."""
        value = self.reveal()
        return value.isascii() and value.isprintable() and " " not in value

    def hide(self, text: str) -> str:
        """Return `text` without this secret, without what gives it back, and without any key of Anthropic's.

        Hidden are the text itself in whatever case (host names lose theirs), also as URLs, HTML and strings of JSON or
        Python quote it, in base64 wherever it begins there, and the last 12 characters of one that is twice as long or
        longer. A secret of less than four characters is not looked for.
        """
        value = self.reveal()
        return (_ANY_KEY if len(value) < _SHORTEST else _all_forms(value)).sub(_HIDDEN, text)

    def __repr__(self) -> str:
        return _HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled or copied")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or a token, and where it came from.

    Parameters
    ----------
    secret : Secret
        The key itself.
    source : str
        For messages: ``ANTHROPIC_API_KEY``, ``nbfiles.login()`` and so on.
    bearer : bool, default False
        True for an auth token, which goes as ``Authorization: Bearer``; a key goes as ``x-api-key``.
    """

    secret: Secret
    source: str
    bearer: bool = False

    @property
    def fingerprint(self) -> str:
        """What tells this credential from others and leads nobody back to it: keys are random, and this is one way."""
        return hashlib.sha256(b"nbfiles\0" + self.header()[1].encode()).hexdigest()[:16]

    def header(self) -> tuple[str, str]:
        """Return the one header that carries it."""
        value = self.secret.reveal()
        return ("authorization", f"Bearer {value}") if self.bearer else ("x-api-key", value)


def _all_forms(value: str) -> re.Pattern[str]:
    """Return a pattern of what would give `value` away, as the sweep of ``tests/security`` looks for it."""
    plain = [value, value[-_END:]] if len(value) >= 2 * _END else [value]
    return re.compile("|".join([*map(_quoted, plain), *_in_base64(value.encode()), _ANY_KEY.pattern]), re.IGNORECASE)


def _quoted(text: str) -> str:
    """Return a pattern of `text` in which all but letters and digits may stand as in a URL, a string or HTML."""
    return "".join(
        char if char.isalnum() else rf"\\*(?:{re.escape(char)}|%{ord(char):02X}|{re.escape(html.escape(char))})"
        for char in text
    )


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield patterns of the characters that only `raw` decides, for each of the three ways in which it may begin."""
    for before in range(3):
        coded = b64encode(bytes(before) + raw).decode()
        own = coded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]  # six bits each
        yield own.replace("+", "[+-]").replace("/", "[/_]")  # the alphabet of URLs too


_from_login: Credential | None = None


def find(api_key: Secret | None = None, auth_token: Secret | None = None) -> Credential:
    """Return the first credential that is there.

    Parameters
    ----------
    api_key, auth_token : Secret or None, default None
        What the user gave by hand; at most one.

    Raises
    ------
    CredentialError
        If there is none, if both arguments are given, or if the one found cannot stand in a header.
    """
    if api_key and auth_token:
        raise CredentialError("api_key and auth_token are both given", "Leave one of them out.")
    if api_key:
        return _checked(api_key, "the api_key argument")
    if auth_token:
        return _checked(auth_token, "the auth_token argument", bearer=True)
    if _from_login is not None:
        return _from_login
    for look, source, bearer in (
        (_environment, "ANTHROPIC_API_KEY", False),
        (_environment, "ANTHROPIC_AUTH_TOKEN", True),
        (_keyring_entry, "the keyring", False),
        (_colab_secret, "Colab's secrets", False),
    ):
        if secret := look(source):
            return _checked(secret, source, bearer=bearer)
    raise CredentialError(NO_KEY)


def login(*, save: bool = False) -> None:
    """Ask for the API key, without showing it, and keep it in this kernel's memory.

    Parameters
    ----------
    save : bool, default False
        Also store it in the operating system's keyring (the ``keyring`` package), so that later kernels find it.

    Raises
    ------
    CredentialError
        If nothing was typed, there is nobody to ask, or (with ``save=True``) there is no keyring that stores.
    """
    global _from_login  # noqa: PLW0603  # the kernel's one memory of it; never a trait, never in a file
    keyring = _keyring() if save else None
    if save and keyring is None:
        raise CredentialError("there is no keyring here to save the key in", "pip install keyring, or leave save out.")
    _from_login = _checked(_ask(), "nbfiles.login()")
    if keyring is None:
        return
    try:
        keyring.set_password(*_KEYRING, _from_login.secret.reveal())
    except Exception as error:  # noqa: BLE001  # every backend has errors of its own
        kind = type(error).__name__
    else:
        return
    raise CredentialError(f"the keyring did not take the key ({kind})", "It is kept for this kernel only.")


def _ask() -> Secret:
    from getpass import getpass

    try:
        return Secret(getpass("Anthropic API key (it stays in this kernel): "))
    except (EOFError, OSError, RuntimeError):  # no terminal; ipykernel's StdinNotImplementedError is a RuntimeError
        pass
    raise CredentialError("there is nobody here to type a key", "Set ANTHROPIC_API_KEY instead.")


def _checked(secret: Secret, source: str, *, bearer: bool = False) -> Credential:
    if not secret:
        raise CredentialError("nothing was typed", "Call nbfiles.login() again.")
    if not secret.fits_a_header():
        raise CredentialError(
            f"the key from {source} holds a character that no key has",
            "Copy it again, without quotes, spaces or line ends.",
        )
    return Credential(secret, source, bearer)


def _environment(variable: str) -> Secret:
    return Secret(os.getenv(variable, ""))


def _keyring() -> Any:
    """Return the keyring package if it is installed and has a backend that stores, else None."""
    try:
        import keyring
        from keyring.backends.fail import Keyring as Failing
    except ImportError:
        return None
    return None if isinstance(keyring.get_keyring(), Failing) else keyring


def _keyring_entry(_source: str) -> Secret:
    keyring = _keyring()
    if keyring is None:
        return Secret("")
    try:
        return Secret(keyring.get_password(*_KEYRING) or "")
    except Exception:  # noqa: BLE001  # a locked or broken keyring is the same as none
        return Secret("")


def _colab_secret(_source: str) -> Secret:
    if "google.colab" not in sys.modules:
        return Secret("")
    try:
        from google.colab import userdata

        return Secret(userdata.get("ANTHROPIC_API_KEY") or "")
    except Exception:  # noqa: BLE001  # not set, or access not granted: Colab has an error class for each
        return Secret("")
