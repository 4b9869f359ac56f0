"""Charts that a browser draws: plotly's figures and altair's charts, as a page, as JSON, or drawn as a picture.

A page takes its library from the web unless ``--opt`` puts it inside. Pictures need the package that draws them:
kaleido (and a Chrome) for plotly, vl-convert-python for altair.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from nbfiles._errors import Error, InputError, SourceError
from nbfiles._names import visible
from nbfiles._payload import Payloads
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._registry import named
from nbfiles.sources._table import need

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request

_PICTURE = frozenset({"width", "height", "scale"})


def matches(obj: Any) -> bool:
    """Whether `obj` is a chart of plotly or altair; imports neither."""
    return not isinstance(obj, type) and (_is_plotly(obj) or _is_altair(obj))


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the chart."""
    family = _PLOTLY if _is_plotly(obj) else _ALTAIR
    try:
        return Payloads([family.payload(obj, request)], many=False)
    except Error:
        raise
    except Exception as error:  # noqa: BLE001  a chart that cannot be drawn has an error of its library's own
        why = visible(str(error).strip().partition("\n")[0])
        raise SourceError(f"{named(request, 'the chart')} cannot be drawn: {why}", "Show it in a cell first.") from None


def _is_plotly(obj: Any) -> bool:
    return all(hasattr(type(obj), name) for name in ("to_plotly_json", "to_html", "to_image"))


def _is_altair(obj: Any) -> bool:
    altair = sys.modules.get("altair")
    return altair is not None and isinstance(obj, altair.TopLevelMixin)


# ---- plotly ----------------------------------------------------------------------------------------------------------


def _plotly_html(job: Thing, spool: Spool) -> tuple[str, ...]:
    options = {"include_plotlyjs": "cdn", "div_id": "figure", **job.options}  # else a random id: another file each time
    spool.write(job.value.to_html(**options).encode())
    return ()


def _plotly_json(job: Thing, spool: Spool) -> tuple[str, ...]:
    spool.write(job.value.to_json(**job.options).encode())
    return ()


def _plotly_picture(job: Thing, spool: Spool, format_: str) -> tuple[str, ...]:
    need("kaleido", format_)
    spool.write(job.value.to_image(format=format_, **job.options))
    return ()


_PLOTLY = Family(
    "a chart",
    Format("html", (".html", ".htm"), frozenset({"include_plotlyjs", "full_html", "div_id", "config"}), _plotly_html),
    Format("json", (".json",), frozenset({"pretty", "validate", "remove_uids"}), _plotly_json),
    *(
        Format(name, endings, _PICTURE, partial(_plotly_picture, format_=name))
        for name, endings in (
            ("png", (".png",)), ("jpg", (".jpg", ".jpeg")), ("webp", (".webp",)), ("pdf", (".pdf",)),
            ("svg", (".svg",)),
        )
    ),
)  # fmt: skip


# ---- altair ----------------------------------------------------------------------------------------------------------


def _altair_html(job: Thing, spool: Spool) -> tuple[str, ...]:
    spool.write(job.value.to_html(**_altair_options(job)).encode())
    return ()


def _altair_json(job: Thing, spool: Spool) -> tuple[str, ...]:
    spool.write(job.value.to_json(**_altair_options(job)).encode())
    return ()


def _altair_picture(job: Thing, spool: Spool, format_: str) -> tuple[str, ...]:
    need("vl_convert", f"{format_} (install vl-convert-python)")
    _altair_options(job)
    with spool.path.open("wb") as file:
        if format_ == "svg":
            import io

            text = io.StringIO()
            job.value.save(text, format=format_, **job.options)
            file.write(text.getvalue().encode())
        else:
            job.value.save(file, format=format_, **job.options)
    spool.adopt()
    return ()


def _altair_options(job: Thing) -> dict[str, Any]:
    """Return the options, after a look at how many rows the chart holds, of which altair takes 5,000 by itself."""
    import altair as alt

    try:
        job.value.to_dict()
    except alt.MaxRowsError:
        raise InputError(
            "the chart holds more rows than altair puts into one",
            "Aggregate them, or say so first: alt.data_transformers.disable_max_rows().",
        ) from None
    return job.options


_ALTAIR = Family(
    "a chart",
    Format("html", (".html", ".htm"), frozenset({"inline", "fullhtml", "embed_options"}), _altair_html),
    Format("json", (".json",), frozenset({"indent", "sort_keys"}), _altair_json),
    *(
        Format(name, (f".{name}",), frozenset({"scale_factor", "ppi"}), partial(_altair_picture, format_=name))
        for name in ("png", "pdf", "svg")
    ),
)
