"""``Sieve``: which files of a folder are meant; what is hidden or holds a key stays where it is unless it is named."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

from nbfiles._errors import SourceError
from nbfiles._names import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbfiles.sources._request import Request

# Names that are never swept up with a folder: secrets, and what tools keep for themselves. Anything with a dot in
# front is hidden anyway.
KEY_FILES = (
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.kdbx", "*.ppk", "credentials*.json", "client_secret*.json", "service[-_]account*.json", "kubeconfig",
    "__pycache__",
)  # fmt: skip
# Passed over without a word: nobody means these when they name a folder.
TOOLS = frozenset({".git", ".ipynb_checkpoints", "__pycache__", ".DS_Store", ".venv", ".mypy_cache", ".pytest_cache"})


class Sieve:
    """Lets through what the request and the pattern mean, and remembers what it kept back.

    Parameters
    ----------
    request : Request
        Its `include` and `exclude`.
    pattern : tuple of str
        The parts of the glob; one that is itself hidden or a key file's lets such files through.

    Attributes
    ----------
    left_out : set of str
        What was kept back as hidden or a key, as relative paths.
    """

    def __init__(self, request: Request, pattern: tuple[str, ...]) -> None:
        self._request, self._pattern = request, pattern
        self.left_out: set[str] = set()

    def wants(self, parts: tuple[str, ...]) -> bool:
        """Whether ``--include`` and ``--exclude`` let a file through; `parts` are its relative path."""
        included = not self._request.include or any(_fits(parts, glob) for glob in self._request.include)
        return included and not any(_fits(parts, glob) for glob in self._request.exclude)

    def hides(self, parts: tuple[str, ...]) -> bool:
        """Whether the last part is private and nothing names it; notes it if so."""
        if not is_private(parts[-1]):
            return False
        named_in_pattern = any(is_private(pattern) and fnmatch(parts[-1], pattern) for pattern in self._pattern)
        named_by_option = any(
            is_private(pattern) and fnmatch(parts[-1], pattern)
            for glob in self._request.include
            for pattern in glob.split("/")
        )
        if named_in_pattern or named_by_option:
            return False
        if parts[-1] not in TOOLS:
            self.left_out.add("/".join(parts))
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What the receipt should say of what was kept back."""
        return (f"{self._kept_back()} --include sends them.",) if self.left_out else ()

    def error(self, nothing: str) -> SourceError:
        """Return the error for a folder or glob of which nothing is left: `nothing` says so."""
        way_out = "Look at the spelling, and at the folder you are in."
        return SourceError(nothing, f"{self._kept_back()} Name them, or use --include." if self.left_out else way_out)

    def _kept_back(self) -> str:
        return f"Left out as hidden or a key: {some_of(self.left_out)}."


def some_of(names: Iterable[str]) -> str:
    """Return the first three of `names` in their order, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(visible(name) for name in ordered[:3]) + more


def is_private(name: str) -> bool:
    """Whether `name`, or what the pattern `name` is made for, is hidden or a key file."""
    return name.startswith(".") or any(fnmatch(name.lower(), key) for key in KEY_FILES)


def _fits(parts: tuple[str, ...], glob: str) -> bool:
    """Whether an --include or --exclude glob matches the relative path or the file name; ``**/`` may be nothing."""
    path = "/".join(parts)
    return fnmatch(path, glob) or fnmatch(parts[-1], glob) or fnmatch(f"/{path}", glob)
