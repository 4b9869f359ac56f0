"""Pictures in memory, those of Pillow: PNG, which keeps every pixel, or what is asked for."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from nbfiles._payload import Payloads
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._loss import refusal
from nbfiles.sources._registry import naming

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request

# The modes whose pixels a file gives back (each was tried, with Pillow 13); a JPEG has none, but comes near.
_KEEPS = {
    "png": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"},
    "jpg": {"1", "L", "RGB", "CMYK", "YCbCr"},
    "webp": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "gif": {"1", "L", "P"},
    "tiff": {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16", "F", "CMYK", "YCbCr", "LAB"},
}
_NAMES = {"jpg": "JPEG", "tiff": "TIFF"}


def matches(obj: Any) -> bool:
    """Whether `obj` is a picture; never imports Pillow."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(obj, image.Image)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the picture."""
    with naming(request):
        return Payloads([_FAMILY.payload(obj, request)], many=False)


def _write(job: Thing, spool: Spool, format_: str) -> tuple[str, ...]:
    image = job.value
    notes: tuple[str, ...] = ()
    frames = getattr(image, "n_frames", 1)
    if image.mode not in _KEEPS[format_]:
        can = tuple(name for name in ("png", "tiff") if image.mode in _KEEPS[name] and name != format_)
        if not job.lossy:
            raise refusal("the picture", f"pixels of mode {image.mode}", format_, "has no form for", can)
        image = image.convert("P" if format_ == "gif" else "RGB")
        notes = (f"pixels of mode {job.value.mode} are written as {image.mode}",)
    if format_ == "jpg":
        if frames > 1 and not job.lossy:
            raise refusal("the picture", f"{frames} frames", format_, "has one of", ("png", "webp"))
        notes += ("a JPEG keeps no pixel exactly; png does",)
    moving = {"save_all": True} if frames > 1 and format_ != "jpg" and image is job.value else {}
    # exact: the colours of pixels that cannot be seen are kept too
    defaults = {"lossless": "quality" not in job.options, "exact": True} if format_ == "webp" else {}
    with spool.path.open("w+b") as file:  # TIFF reads what it wrote
        image.save(file, format=_NAMES.get(format_, format_.upper()), **moving, **defaults, **job.options)
    spool.adopt()
    return notes


_FAMILY = Family(
    "a picture",
    Format("png", (".png",), frozenset({"optimize", "compress_level", "dpi"}), partial(_write, format_="png")),
    Format(
        "jpg",
        (".jpg", ".jpeg"),
        frozenset({"quality", "optimize", "progressive", "dpi", "subsampling"}),
        partial(_write, format_="jpg"),
    ),
    Format("webp", (".webp",), frozenset({"quality", "lossless", "method"}), partial(_write, format_="webp")),
    Format("gif", (".gif",), frozenset({"optimize", "loop", "duration"}), partial(_write, format_="gif")),
    Format("tiff", (".tif", ".tiff"), frozenset({"compression", "dpi"}), partial(_write, format_="tiff")),
)
