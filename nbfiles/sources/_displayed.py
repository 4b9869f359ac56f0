"""What shows itself in a notebook: the best that its ``_repr_*_`` methods give, a picture before a page before text.

https://ipython.readthedocs.io/en/stable/config/integrating.html; asked last, since tables and figures have these too.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbfiles._errors import SourceError
from nbfiles._payload import Payloads
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._registry import named, type_name

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request


@dataclass(frozen=True, slots=True)
class _Form:
    """One way in which an object may show itself."""

    mime_type: str
    method: str
    format: str
    ending: str


# The best first. A GIF or WebP comes only in a bundle: IPython has no method for it.
_FORMS = (
    _Form("image/png", "_repr_png_", "png", ".png"),
    _Form("image/jpeg", "_repr_jpeg_", "jpg", ".jpg"),
    _Form("image/gif", "", "gif", ".gif"),
    _Form("image/webp", "", "webp", ".webp"),
    _Form("application/pdf", "_repr_pdf_", "pdf", ".pdf"),
    _Form("image/svg+xml", "_repr_svg_", "svg", ".svg"),
    _Form("application/geo+json", "", "geojson", ".geojson"),
    _Form("text/html", "_repr_html_", "html", ".html"),
    _Form("text/markdown", "_repr_markdown_", "md", ".md"),
    _Form("application/json", "_repr_json_", "json", ".json"),
    _Form("text/latex", "_repr_latex_", "tex", ".tex"),
    _Form("application/javascript", "_repr_javascript_", "js", ".js"),
)
_BINARY = frozenset({"png", "jpg", "gif", "webp", "pdf"})
_BUNDLE = "_repr_mimebundle_"


def matches(obj: Any) -> bool:
    """Whether `obj` can show itself; nothing is drawn for the answer."""
    if isinstance(obj, type):
        return False
    return any(callable(getattr(type(obj), name, None)) for name in (_BUNDLE, *(f.method for f in _FORMS if f.method)))


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the best, or of the asked, form in which `obj` shows itself."""
    found = _shown(obj)
    if not found:
        raise SourceError(
            f"{named(request, 'this')} is {type_name(obj)}, which shows nothing that could be a file",
            "Save it with its own library, and upload that file.",
        )
    family = Family("what it shows", *(_format(form) for form in _FORMS if form in found))
    chosen = family.choose(request)
    (value,) = (value for form, value in found.items() if form.format == chosen.name)
    return Payloads([family.payload(value, request)], many=False)


def _shown(obj: Any) -> dict[_Form, Any]:
    """Return every form that `obj` gives, with what it gives."""
    bundle = _call(obj, _BUNDLE)
    if isinstance(bundle, tuple):  # with metadata, such as the size of a picture
        bundle = bundle[0]
    found = {}
    for form in _FORMS:
        value = (bundle or {}).get(form.mime_type)
        if value is None and form.method:
            value = _call(obj, form.method)
            value = value[0] if isinstance(value, tuple) else value
        if value is not None:
            found[form] = value
    return found


def _call(obj: Any, method: str) -> Any:
    if not callable(getattr(type(obj), method, None)):
        return None
    try:
        return getattr(obj, method)()
    except Exception:  # noqa: BLE001  IPython shows the other forms then, and so do we
        return None


def _format(form: _Form) -> Format:
    endings = {"jpg": (".jpg", ".jpeg"), "html": (".html", ".htm")}.get(form.format, (form.ending,))
    return Format(form.format, endings, frozenset(), _write_bytes if form.format in _BINARY else _write_text)


def _write_bytes(job: Thing, spool: Spool) -> tuple[str, ...]:
    # A text is Base64, as a notebook's file holds it.
    spool.write(base64.b64decode(job.value) if isinstance(job.value, str) else bytes(job.value))
    return ()


def _write_text(job: Thing, spool: Spool) -> tuple[str, ...]:
    text = job.value if isinstance(job.value, str) else json.dumps(job.value, ensure_ascii=False)
    spool.write(text.encode())
    return ()
