r"""File names and types as data: what the Files API takes, what a variable's file is called, which MIME it gets.

Pure functions on strings, and on the first bytes of a file. Nothing here opens a file or knows a notebook.

The rules for names are those of https://platform.claude.com/docs/en/build-with-claude/files: 1 to 255 characters,
none of ``< > : " | ? * \ /`` and no control character. The MIME type is fixed at upload and decides which content
block a Messages request may put the file into, so it comes from a table of our own and not from the operating
system's, which differs from machine to machine.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

from nbfiles._errors import FileNameError, InputError

Purpose = Literal["auto", "document", "container", "image"]
Block = Literal["document", "image", "container_upload"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
BLOCKS: tuple[str, ...] = get_args(Block)

MAX_NAME = 255
FORBIDDEN = '<>:"|?*\\/'
OCTETS = "application/octet-stream"
HEAD = 512  # bytes looked at to tell a type

# What an ending is, whatever the operating system thinks. Measured guesses of the standard library call .parquet,
# .ipynb and .jsonl octet-stream on one machine and something else on the next.
TYPES: dict[str, str] = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".rst": "text/x-rst",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".geojson": "application/geo+json",
    ".ipynb": "application/x-ipynb+json",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".html": "text/html",
    ".htm": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".tex": "text/x-tex",
    ".py": "text/x-python",
    ".r": "text/x-r",
    ".sql": "application/sql",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".heic": "image/heic",
    ".parquet": "application/vnd.apache.parquet",
    ".feather": "application/vnd.apache.arrow.file",
    ".arrow": "application/vnd.apache.arrow.file",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xls": "application/vnd.ms-excel",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".doc": "application/msword",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".tar": "application/x-tar",
    ".npy": OCTETS,
    ".npz": OCTETS,
    ".nc": "application/x-netcdf",
    ".bin": OCTETS,
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}

# Text that Claude reads as a document when it is stored as text/plain; as text/csv and so on only a container can.
AS_PLAIN_TEXT = frozenset({".csv", ".tsv", ".md", ".json", ".jsonl", ".py", ".log", ".txt", ".xml", ".yaml"})
# Data that code reads better than a model does: the container is the first choice, whatever the MIME type.
DATA = frozenset({".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet", ".feather"})
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
DOCUMENTS = frozenset({"application/pdf", "text/plain"})
# A text this long fills a context window by itself, so code should read it (bytes; about 100,000 tokens).
LONG_TEXT = 400_000

# First bytes by which a file is known that has no telling ending.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PAR1", TYPES[".parquet"]),
    (b"ARROW1\x00\x00", TYPES[".feather"]),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)

# RFC 7231 media type; parameters are tokens or quoted strings. Anything else could forge a header line.
_MIME = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w.+-]+=(?:[\w.+-]+|\"[\w .+-]*\"))*", re.ASCII)

# File names that nobody refuses.
_PLAIN = re.compile(r"\w[\w .+-]{0,254}", re.ASCII)


def check_filename(name: str) -> str:
    """Return `name` if the Files API takes it as it stands.

    Parameters
    ----------
    name : str
        A file name without folders.

    Returns
    -------
    str
        The same name, never altered: what is sent is what was asked for.

    Raises
    ------
    FileNameError
        If it is empty, longer than 255 characters, ``.`` or ``..``, or holds a forbidden or control character or a
        half of a surrogate pair (which no UTF-8 header can carry).
    """
    if _PLAIN.fullmatch(name):  # most are, and the rest takes ten times as long
        return name
    if not name:
        raise FileNameError("the file name is empty", "Give it one: --name report.pdf (name= in Python).")
    shown = visible(name if len(name) <= 60 else f"{name[:40]}…{name[-16:]}")
    if len(name) > MAX_NAME:
        raise FileNameError(
            f"the file name {shown} has {len(name)} characters, and the Files API takes {MAX_NAME}",
            "Shorten it with --name (name= in Python).",
        )
    if name in {".", ".."}:
        raise FileNameError(f"{name} is a folder, not a file name", "Give another with --name (name= in Python).")
    for char in name:
        if char in FORBIDDEN or unicodedata.category(char) in {"Cc", "Cs"}:
            raise FileNameError(
                f"the file name {shown} holds {_spell(char)}, which the Files API refuses",
                "Give another with --name (name= in Python).",
            )
    return name


def filename_for(variable: str, ending: str) -> str:
    """Return the file name for what the expression `variable` holds, such as ``sales.csv`` for ``sales``.

    Parameters
    ----------
    variable : str
        The Python expression as it was written, or ``""``.
    ending : str
        The ending with its dot.
    """
    stem = re.sub(r"\W+", "_", variable).strip("_")[:60]
    return f"{stem or 'data'}{ending}"


def ending_of(name: str) -> str:
    """Return the ending of `name` in small letters with its dot, or ``""``; ``.bashrc`` has none."""
    stem, dot, tail = name.rpartition(".")
    return f".{tail.lower()}" if dot and stem else ""


def check_mime_type(mime_type: str) -> str:
    """Return `mime_type` if it is one and can stand in a header.

    Raises
    ------
    InputError
        If it is not ``type/subtype`` with optional parameters, or longer than 255 characters.
    """
    if len(mime_type) > 255 or not _MIME.fullmatch(mime_type):
        raise InputError(
            f"{visible(mime_type[:60])} is not a MIME type", "Write it like text/plain or application/pdf."
        )
    return mime_type


def mime_type_for(name: str, *, head: bytes = b"", asked: str | None = None, purpose: str = "auto") -> str:
    """Choose the MIME type that a file is stored with.

    Parameters
    ----------
    name : str
        The file name; its ending decides.
    head : bytes, default b""
        The first bytes (512 are plenty), looked at only if the ending says nothing, and to refuse ``text/*`` for
        what is not text.
    asked : str or None, default None
        What the user wants it to be (``--type``). It wins.
    purpose : {"auto", "document", "container", "image"}, default "auto"
        What the file is for (``--for``). With ``"auto"`` and ``"document"`` text is stored as ``text/plain``, which
        Claude can read both as a document and in a container; with ``"container"`` it keeps its own type.

    Returns
    -------
    str
        A MIME type that is safe in a header.

    Raises
    ------
    InputError
        If `asked` is no MIME type or calls binary data text, or the file cannot serve `purpose`.

    Notes
    -----
    Which type fits which block: https://platform.claude.com/docs/en/build-with-claude/files, "File types and content
    blocks".
    """
    ending = ending_of(name)
    if asked is not None:
        check_mime_type(asked)
        if asked.lower().startswith("text/") and _is_binary(ending, head):
            raise InputError(
                f"{visible(name)} is not text, and {asked} would make Claude read it as text",
                "Leave --type out, or name its real type.",
            )
        chosen = asked
    else:
        chosen = TYPES.get(ending) or _sniff(head)
        if purpose in {"auto", "document"} and (ending in AS_PLAIN_TEXT or _reads_as_text(chosen, purpose)):
            chosen = "text/plain" if not _is_binary(ending, head) else chosen
    if purpose == "document" and _bare(chosen) not in DOCUMENTS:
        raise InputError(
            f"{visible(name)} is {chosen}, and a document must be a PDF or plain text",
            "Convert it, or use --for container (for_='container').",
        )
    if purpose == "image" and _bare(chosen) not in IMAGES:
        raise InputError(
            f"{visible(name)} is {chosen}, and an image must be a JPEG, PNG, GIF or WebP",
            "Convert it, or use --for container (for_='container').",
        )
    return chosen


def became_text(name: str, mime_type: str) -> bool:
    """Whether a file whose ending means another type is stored as plain text, which a person may not expect."""
    return _bare(mime_type) == "text/plain" and TYPES.get(ending_of(name), "text/plain") != "text/plain"


def blocks_for(name: str, mime_type: str, size: int) -> tuple[Block, ...]:
    """Return the content blocks a file can stand in, the best first.

    Parameters
    ----------
    name : str
        The file name.
    mime_type : str
        The stored MIME type.
    size : int
        Bytes.

    Returns
    -------
    tuple of str
        From ``"document"``, ``"image"`` and ``"container_upload"``; the last is always possible. Data and long text
        go to the container first (design rule: code reads them better than a model does).
    """
    bare = _bare(mime_type)
    if bare in IMAGES:
        return ("image", "container_upload")
    if bare not in DOCUMENTS:
        return ("container_upload",)
    long_text = bare == "text/plain" and size > LONG_TEXT
    if ending_of(name) in DATA or long_text:
        return ("container_upload", "document")
    return ("document", "container_upload")


def visible(text: str) -> str:
    """Return `text` with every control, direction, zero-width and surrogate character written as ``<U+202E>``.

    For any place where a person reads: a table, a message, a log line. A stored name cannot hold ``<``, so no name
    can forge the mark. Line and paragraph separators count as controls.
    """
    if text.isprintable():  # none of these is; and hardly a name is not
        return text
    return "".join(mark(char) if is_hidden(char) else char for char in text)


def is_hidden(char: str) -> bool:
    """Whether `char` is not seen, or moves what is seen (Unicode Cc, Cf, Cs, Zl, Zp)."""
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def mark(char: str) -> str:
    """Write `char` as its code point: ``<U+202E>``."""
    return f"<U+{ord(char):04X}>"


def _spell(char: str) -> str:
    """Name `char` so that it can be found in the text: itself, or its code point if it cannot be seen."""
    return mark(char) if is_hidden(char) else char


def _bare(mime_type: str) -> str:
    """Return the type without its parameters, in small letters."""
    return mime_type.partition(";")[0].strip().lower()


def _sniff(head: bytes) -> str:
    """Tell a type from the first bytes; ``application/octet-stream`` where they say nothing."""
    for signature, mime_type in _SIGNATURES:
        if head.startswith(signature):
            return mime_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head and not _is_binary("", head) and _is_utf8(head):
        return "text/plain"
    return OCTETS


def _is_utf8(head: bytes) -> bool:
    """Whether `head` can be the beginning of UTF-8; its last character may be cut."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start > HEAD - 4 and error.reason == "unexpected end of data"
    return True


def _is_binary(ending: str, head: bytes) -> bool:
    """Whether the bytes cannot be text: a known signature or a NUL, or, nothing seen, an ending not of text."""
    if not head:
        mime_type = TYPES.get(ending, "text/plain")
        return not (_reads_as_text(mime_type, "document") or ending in AS_PLAIN_TEXT)
    if b"\x00" in head:
        return True
    return any(head.startswith(signature) for signature, _ in _SIGNATURES)


def _reads_as_text(mime_type: str, purpose: str) -> bool:
    """Whether `mime_type` is a kind of text that ``--for document`` may store as ``text/plain``."""
    if purpose != "document":
        return False
    bare = _bare(mime_type)
    return (
        bare.startswith("text/")
        or bare.endswith(("+json", "+xml"))
        or bare in {"application/json", "application/jsonl", "application/xml", "application/yaml", "application/toml",
                    "application/sql"}
    )  # fmt: skip
