"""``Fit``: how much of a model's context a file takes, and what the API will not take it for; found before it is sent.

Read from headers and sizes, never from whole pictures. Tokens are estimates, by these rules:

====== =============================================================================================================
text   a token for 3.5 characters, here bytes (https://platform.claude.com/docs/en/about-claude/glossary, "Tokens")
image  width x height / 750, after it was scaled down to 1,568 px and 1,600 tokens; models that read 2,576 px take
       up to 4,784 (https://platform.claude.com/docs/en/build-with-claude/vision)
PDF    3,000 a page, the upper end of what a page's text takes
       (https://platform.claude.com/docs/en/build-with-claude/pdf-support)
====== =============================================================================================================

What only a container reads takes none until its code prints something.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from nbfiles._names import IMAGES, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbfiles._payload import Payload

PER_TOKEN = 3.5  # bytes of text
PIXELS_PER_TOKEN = 750
LONG_EDGE, MOST_IMAGE_TOKENS = 1568, 1600
PER_PAGE = 3000  # tokens
MOST_PIXELS = 8000  # on a side; larger images are refused
MOST_PAGES, FEW_PAGES = 600, 100  # of a request; the second where the context is under 1M tokens
CONTEXT = 200_000  # tokens, the smallest context window of the models that there are

_PDF = "application/pdf"
LOOKS = 200  # files of one call that are opened for this; of a folder of thousands the rest goes by size alone
_SCAN = 1 << 22  # bytes of a PDF that are looked through: at the start and at the end, where page trees are
RULE = (
    "tokens are estimates: text, one for 3.5 bytes; an image, width x height / 750, 1,600 at most (4,784 for models "
    "that read 2,576 px); a PDF, 3,000 a page"
)


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known of one file before it is sent.

    Parameters
    ----------
    tokens : int or None, default None
        About how many it takes as a document or image; None if it is neither, or nothing can be told.
    warnings : tuple of str, default ()
        What it cannot be used for, each a sentence without its full stop.
    """

    tokens: int | None = None
    warnings: tuple[str, ...] = ()


def fits(payloads: Sequence[Payload], purpose: str = "auto") -> list[Fit]:
    """Return the `Fit` of every payload.

    Parameters
    ----------
    payloads : sequence of Payload
    purpose : {"auto", "document", "container", "image"}, default "auto"
        What the files are for (``--for``); a container takes everything.
    """
    return [fit(payload, purpose, look=number < LOOKS) for number, payload in enumerate(payloads)]


def fit(payload: Payload, purpose: str = "auto", *, look: bool = True) -> Fit:
    """Return the `Fit` of one payload; it is opened only if `look`, and if it lies on this machine."""
    bare = payload.mime_type.partition(";")[0].strip().lower()
    name = visible(payload.name)
    if bare == "text/plain":
        return _text(name, payload.size, purpose)
    if bare not in {*IMAGES, _PDF} or purpose == "container" or not look or not _is_near(payload):
        return Fit()
    try:
        with payload.open() as file:
            return _pdf(name, file, payload.size) if bare == _PDF else _image(name, image_size(file))
    except Exception:  # noqa: BLE001  it is only an estimate: what is wrong with the file is said when it is sent
        return Fit()


def _is_near(payload: Payload) -> bool:
    """Whether to open it costs nothing: it lies in memory or in a temporary file (then it is hashed), or on disk."""
    return payload.digest is not None or os.path.isfile(payload.source)  # noqa: PTH113  a URL is no Path


def _text(name: str, size: int, purpose: str) -> Fit:
    tokens = round(size / PER_TOKEN)
    if purpose != "document" or tokens <= CONTEXT:
        return Fit(tokens)
    much = f"{name} has about {tokens:,} tokens, more than the {CONTEXT:,} of a model's smallest context window"
    return Fit(tokens, (much,))


# ---- images ----------------------------------------------------------------------------------------------------------


def _image(name: str, size: tuple[int, int] | None) -> Fit:
    if size is None:
        return Fit()
    width, height = size
    if max(size) > MOST_PIXELS:
        large = f"{name} is {width:,} x {height:,} pixels, and as an image Claude takes {MOST_PIXELS:,} on a side"
        return Fit(warnings=(large,))
    scale = min(1.0, LONG_EDGE / max(width, height, 1))
    return Fit(min(MOST_IMAGE_TOKENS, max(1, round(width * height * scale * scale / PIXELS_PER_TOKEN))))


def image_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return width and height in pixels from the header of a PNG, GIF, WebP or JPEG; None if it is none of these.

    Parameters
    ----------
    file : binary file
        At its start, and seekable. A few dozen bytes are read.
    """
    head = file.read(30)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return _big(head[16:20]), _big(head[20:24])
    if head[:6] in {b"GIF87a", b"GIF89a"} and len(head) >= 10:
        return _little(head[6:8]), _little(head[8:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_size(head)
    return _jpeg_size(file) if head.startswith(b"\xff\xd8\xff") else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """https://developers.google.com/speed/webp/docs/riff_container: lossy, lossless and extended files."""
    if len(head) < 30:
        return None
    if head[12:16] == b"VP8 ":
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    if head[12:16] == b"VP8L":
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return (_little(head[24:27]) + 1, _little(head[27:30]) + 1) if head[12:16] == b"VP8X" else None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Go from segment to segment up to the one that begins a frame (ITU T.81, table B.1)."""
    file.seek(2)
    while (marker := file.read(2)) and len(marker) == 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # a fill byte
            file.seek(-1, os.SEEK_CUR)
            continue
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in {0xC4, 0xC8, 0xCC}:
            frame = file.read(7)
            return (_big(frame[5:7]), _big(frame[3:5])) if len(frame) == 7 else None
        length = _big(file.read(2))
        if length < 2:
            return None
        file.seek(length - 2, os.SEEK_CUR)
    return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


# ---- PDF -------------------------------------------------------------------------------------------------------------

# A node of the page tree says how many pages are below it; the root's number is the largest (ISO 32000-1, 7.7.3).
_TREE = re.compile(rb"/Type\s*/Pages\b")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})\b")
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_LINEAR = re.compile(rb"/Linearized\b[^>]*?/N\s+(\d{1,6})\b")
_PACKED = re.compile(rb"/Type\s*/ObjStm\b")
_ENCRYPTED = re.compile(rb"/Encrypt\s+\d+\s+\d+\s+R")


def _pdf(name: str, file: BinaryIO, size: int) -> Fit:
    data = _ends(file, size)
    warnings = []
    if _ENCRYPTED.search(data):
        warnings.append(f"{name} is encrypted, and Claude takes PDFs without a password only")
    pages = _pages(data)
    if pages is None:
        return Fit(None, tuple(warnings))
    if pages > MOST_PAGES:
        few = f"{FEW_PAGES} where the context is under 1M tokens"
        warnings.append(f"{name} has about {pages:,} pages, and a request takes {MOST_PAGES} ({few})")
    elif pages > FEW_PAGES:
        warnings.append(f"{name} has about {pages} pages, and models with a context under 1M tokens take {FEW_PAGES}")
    return Fit(pages * PER_PAGE, tuple(warnings))


def _ends(file: BinaryIO, size: int) -> bytes:
    """Return what is looked through: all of a small file, the start and the end of a large one."""
    if size <= _SCAN:
        return file.read(_SCAN)
    start = file.read(_SCAN // 2)
    file.seek(size - _SCAN // 2)
    return start + b"\n" + file.read(_SCAN // 2)


def _pages(data: bytes) -> int | None:
    """Return about how many pages a PDF has, or None if nothing tells."""
    linear = _LINEAR.search(data[:2048])
    if linear:
        return int(linear[1])
    plain = [data, *_unpacked(data)]
    roots = [int(count) for text in plain for count in _counts(text)]
    if roots:
        return max(roots)
    return sum(len(_PAGE.findall(text)) for text in plain) or None


def _counts(text: bytes) -> Iterable[bytes]:
    """Yield the count of every node of the page tree; it stands in the same dictionary, before or after its type."""
    for node in _TREE.finditer(text):
        start = text.rfind(b"<<", 0, node.start())
        end = text.find(b">>", node.end())
        yield from _COUNT.findall(text, max(start, 0), end if end >= 0 else len(text))


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what is in the object streams: since PDF 1.5 the page tree may be compressed."""
    for found in _PACKED.finditer(data):
        start = data.find(b"stream", found.end())
        if start < 0:
            return
        start += len(b"stream")
        start += 2 if data[start : start + 2] == b"\r\n" else 1
        try:
            yield zlib.decompressobj().decompress(data[start : start + _SCAN], _SCAN)
        except zlib.error:  # encrypted, or packed in another way
            continue
