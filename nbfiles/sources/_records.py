"""Records: a dict, a pydantic model or a dataclass as one JSON document, a list of them as one JSON file.

A list of records can also become every format of a frame. Values keep what JSON has a form for and are refused
otherwise, as those of a frame are; NaN is null.
"""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError, LossError
from nbfiles._payload import Payloads
from nbfiles.sources import _frames
from nbfiles.sources._columns import shown
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._json import LINES_OPTIONS, OPTIONS, Values
from nbfiles.sources._registry import kind_of, named, naming
from nbfiles.sources._rows import chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is a record or a list of nothing but records."""
    if isinstance(obj, list | tuple):
        return bool(obj) and _are_records(obj)
    return _is_one(obj)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the record or records."""
    with naming(request):
        try:
            return Payloads([_payload(obj, request)], many=False)
        except UnicodeEncodeError:
            raise LossError(
                "a text holds half of a surrogate pair, which UTF-8 cannot write",
                "Escape all but ASCII: --opt ensure_ascii=True.",
            ) from None
        except RecursionError:
            raise InputError(
                f"{named(request, 'this')} holds itself, or is too deep for JSON", "Upload a part of it."
            ) from None


def _payload(obj: Any, request: Request) -> Any:
    if not isinstance(obj, list | tuple):
        return _DOCUMENT.payload(obj, request)
    places, notes = chosen(len(obj), request)
    records = obj if places is None else [obj[place] for place in places]
    if _RECORDS.has(request) or not FRAMES.has(request):
        return _RECORDS.payload(records, request, notes)
    import pandas as pd

    # Not inferred: a whole number would become a float where another record lacks the key.
    frame = pd.DataFrame([_plain(record) for record in records], dtype=object)
    return _frames.frame_payload(frame, dataclasses.replace(request, max_rows=None, sample=None), notes)


def _is_one(obj: Any) -> bool:
    if isinstance(obj, dict):
        return not _frames.matches(obj)
    return not isinstance(obj, type) and (dataclasses.is_dataclass(obj) or _is_model(obj))


def _is_model(obj: Any) -> bool:
    return hasattr(type(obj), "__pydantic_core_schema__") and hasattr(type(obj), "model_dump")


def _are_records(members: list[Any] | tuple[Any, ...]) -> bool:
    """Whether every member would be a record if it stood alone; another kind may know the same dataclass better."""
    known: dict[type, bool] = {}
    for member in members:
        if isinstance(member, dict):
            if _frames.matches(member):
                return False
            continue
        if type(member) not in known:
            known[type(member)] = _is_one(member) and getattr(kind_of(member), "__name__", "") == __name__
        if not known[type(member)]:
            return False
    return True


def _plain(value: Any) -> Any:
    """Return models and dataclasses inside `value` as dicts; a model's secrets and aliases are its own affair."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, type):
        return value
    if _is_model(value):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


class _Encoder:
    """Encodes record after record; each field has its own `Values`, which knows how messages call it."""

    def __init__(self, job: Thing, format_: str, *, tabular: bool) -> None:
        options: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, **job.options}
        if options.get("indent") is None:
            options["separators"] = (",", ":")
        self._encode = json.JSONEncoder(**options).encode
        self._values = partial(Values, format_=format_, lossy=job.lossy, tabular=tabular)
        self._whole = self._values("the record")
        self._fields: dict[Any, Values] = {}

    def text(self, record: Any) -> str:
        """Return `record` as JSON."""
        plain = _plain(record)
        if not isinstance(plain, dict):  # a model of a list
            return self._encode(self._whole.one(plain))
        names = self._whole.names(plain)
        return self._encode(
            {name: self._of(name).one(value) for name, value in zip(names, plain.values(), strict=True)}
        )

    def _of(self, name: str) -> Values:
        if name not in self._fields:
            self._fields[name] = self._values(f"field {shown(name)}")
        return self._fields[name]


def _write_document(job: Thing, spool: Spool) -> tuple[str, ...]:
    spool.write(f"{_Encoder(job, 'json', tabular=False).text(job.value)}\n".encode())
    return ()


def _write_line(job: Thing, spool: Spool) -> tuple[str, ...]:
    spool.write(f"{_Encoder(job, 'jsonl', tabular=False).text(job.value)}\n".encode())
    return ()


def _write_array(job: Thing, spool: Spool) -> tuple[str, ...]:
    before = "[\n"
    for text in _texts(job, "json"):
        spool.write(f"{before}{text}".encode())
        before = ",\n"
    spool.write(b"\n]\n")
    return ()


def _write_lines(job: Thing, spool: Spool) -> tuple[str, ...]:
    for text in _texts(job, "jsonl"):
        spool.write(f"{text}\n".encode())
    return ()


def _texts(job: Thing, format_: str) -> Iterator[str]:
    encoder = _Encoder(job, format_, tabular=True)
    return map(encoder.text, job.value)


_DOCUMENT = Family(
    "a record",
    Format("json", (".json",), OPTIONS, _write_document),
    Format("jsonl", (".jsonl", ".ndjson"), LINES_OPTIONS, _write_line),
)
_RECORDS = Family(
    "records",
    Format("json", (".json",), OPTIONS, _write_array),
    Format("jsonl", (".jsonl", ".ndjson"), LINES_OPTIONS, _write_lines),
)
