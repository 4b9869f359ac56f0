"""``read_path``: what a downloaded file holds: a DataFrame, an image or a text, by its ending and its MIME type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from nbfiles._errors import InputError
from nbfiles._names import IMAGES, TYPES, ending_of, visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ENDINGS = {mime_type: ending for ending, mime_type in reversed(TYPES.items())}
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/toml", "application/sql",
                    "application/geo+json", "application/x-ipynb+json", "image/svg+xml"})  # fmt: skip


def check_readable(filename: str, mime_type: str) -> None:
    """See that a file of this name and type can be read, before it is fetched.

    Raises
    ------
    InputError
        If it is neither table nor image nor text.
    """
    if _reader(filename, mime_type) is None:
        raise InputError(
            f"{visible(filename)} is {visible(mime_type)}, neither table, image nor text",
            "Fetch it with nbfiles.download_file(id) (%files download id).",
        )


def read_path(path: Path, filename: str, mime_type: str) -> Any:
    """Return what the file at `path` holds.

    Parameters
    ----------
    path : pathlib.Path
    filename, mime_type : str
        As the server has them.

    Returns
    -------
    pandas.DataFrame, PIL.Image.Image or str

    Raises
    ------
    InputError
        If it is not what its name or type says, or what reads it is not installed.
    """
    check_readable(filename, mime_type)
    read = _reader(filename, mime_type)
    assert read is not None  # noqa: S101  # as the line above has seen
    try:
        return read(path)
    except ImportError as error:
        missing = getattr(error, "name", None) or "what reads it"
        raise InputError(f"{visible(filename)} cannot be read without {missing}", f"pip install {missing}") from None
    except (
        ValueError,
        OSError,
        SyntaxError,
        KeyError,
        BadZipFile,
    ) as error:  # pandas', pyarrow's, Pillow's, openpyxl's
        raise InputError(
            f"{visible(filename)} is not {visible(mime_type)} that can be read: {visible(str(error))[:200]}",
            "Fetch it with nbfiles.download_file(id) and look at it.",
        ) from None


def _reader(filename: str, mime_type: str) -> Callable[[Path], Any] | None:
    """Return what reads such a file: its ending says more than its type, since tables are stored as plain text."""
    bare = mime_type.partition(";")[0].strip().lower()
    ending = ending_of(filename)
    found = _TABLES.get(ending) or _TABLES.get(_ENDINGS.get(bare, ""))
    if found is not None:
        return found
    if bare in IMAGES or TYPES.get(ending) in IMAGES:
        return _image
    by_name = TYPES.get(ending, "")
    if bare.startswith("text/") or bare in _TEXTS or by_name.startswith("text/") or by_name in _TEXTS:
        return lambda path: path.read_text("utf-8-sig")
    return None


def _csv(separator: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        import pandas as pd

        return pd.read_csv(path, sep=separator)

    return read


def _with_pandas(name: str, **options: Any) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        import pandas as pd

        return getattr(pd, name)(path, **options)

    return read


def _image(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()  # now: the file goes when it has been read
            return opened.copy()
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


_TABLES: dict[str, Callable[[Path], Any]] = {
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".jsonl": _with_pandas("read_json", lines=True),
    ".ndjson": _with_pandas("read_json", lines=True),
    ".parquet": _with_pandas("read_parquet"),
    ".feather": _with_pandas("read_feather"),
    ".arrow": _with_pandas("read_feather"),
    ".xlsx": _with_pandas("read_excel"),
}
