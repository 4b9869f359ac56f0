"""Values: what the arguments of options may be. AGE, SIZE, file names, choices, ``key=value``.

Each reader takes the option as it is written (for its messages) and the text, and returns the checked value or raises
`InputError` with the way to write it.
"""

from __future__ import annotations

import ast
import re
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import check_filename, check_mime_type
from nbfiles._words import near, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# KB is 1000 and KiB 1024 (IEC 80000-13), in any case.
BYTES = {"b": 1}
BYTES |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}
BYTES |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
# What a frame can become, and what a figure can. The family of sources is open, so other endings pass too.
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "feather", "xlsx", "html", "md", "txt",
           "png", "jpg", "jpeg", "webp", "gif", "svg", "pdf", "npy", "npz")  # fmt: skip
SORTS = ("created", "name", "size", "type", "expires")
# A century: longer ages overflow dates, and nobody means them.
MAX_AGE = 36_500 * SECONDS["d"]


def read_filename(flag: str, text: str) -> str:
    if any(char in text for char in "/\\"):
        raise InputError(f"{flag} must be a file name without folders")
    try:
        return check_filename(text)
    except InputError as error:
        raise InputError(f"{flag}: {error.cause}") from None


def read_mime_type(flag: str, text: str) -> str:
    try:
        return check_mime_type(text)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from None


def read_mime_glob(flag: str, text: str) -> str:
    """Read what types are to match: ``image/png``, or with stars, ``image/*``."""
    if "*" not in text:
        return read_mime_type(flag, text)
    if not re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", text, re.ASCII):
        raise InputError(f"{flag}: {shown(text)} is not a MIME type. Write it like image/png or image/*.")
    return text


def read_choice(choices: Sequence[str]) -> Callable[[str, str], str]:
    """Make the reader of an option that takes one of `choices`."""

    def read(flag: str, text: str) -> str:
        if text in choices:
            return text
        meant = near(text, choices)
        ending = f"; did you mean {meant}?" if meant else ""
        raise InputError(f"{flag} takes {', '.join(choices[:-1])} or {choices[-1]}{ending}")

    return read


def read_format(flag: str, text: str) -> str:
    """Read a format. Unknown endings pass (sources are an open family) unless a known one was probably meant."""
    if text in FORMATS:
        return text
    meant = near(text.lstrip("."), FORMATS)
    if meant:
        raise InputError(f"{flag} does not know {shown(text)}; did you mean {meant}?")
    if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", text):
        raise InputError(f"{flag} takes a file ending without its dot: csv, parquet, xlsx")
    return text


def read_count(most: int | None = None) -> Callable[[str, str], int]:
    """Make the reader of a whole number from 1, to `most` if there is one."""

    def read(flag: str, text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0
        if number < 1 or (most is not None and number > most):
            raise InputError(f"{flag} takes a whole number from 1{f' to {most}' if most else ''}")
        return number

    return read


# How people write lengths of time elsewhere; a month and a year have no unit here, so they become days.
_LONG_UNITS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs"), (1, "s")),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), (1, "m")),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), (1, "h")),
    **dict.fromkeys(("day", "days"), (1, "d")),
    **dict.fromkeys(("week", "weeks", "wk", "wks"), (1, "w")),
    **dict.fromkeys(("month", "months", "mo"), (30, "d")),
    **dict.fromkeys(("year", "years", "y", "yr"), (365, "d")),
}
_DATE = re.compile(r"[0-9]{4}[-/.][0-9]{1,2}.*|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}")


def _lengths(units: str, examples: str) -> Callable[[str, str], int]:
    """Make the reader of a length of time in one of `units`; it gives seconds."""

    def read(flag: str, text: str) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([a-z])", text)
        if found and found[2] in units:
            seconds = int(found[1]) * SECONDS[found[2]]
            if seconds > MAX_AGE:
                raise InputError(f"{flag} takes at most {MAX_AGE // SECONDS['d']} days")
            return seconds
        raise InputError(_wrong_age(flag, text, units, examples))

    return read


def _wrong_age(flag: str, text: str, units: str, examples: str) -> str:
    """Say what is wrong with the length of time `text`."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        ages = [f"{text}{unit}" for unit in units]
        return f"{flag}: say the unit: {', '.join(ages[:-1])} or {ages[-1]}"
    if _DATE.fullmatch(text):
        return f"{flag} takes a length of time, not a date: {examples}"
    found = re.fullmatch(r"([0-9]{1,9}) ?([A-Za-z]+)", text)
    if found:
        factor, unit = _LONG_UNITS.get(found[2].lower(), (1, found[2].lower()))
        if unit in units:
            return f"{flag}: write {int(found[1]) * factor}{unit}"
    return f"{flag} takes a whole number and one unit: {examples}"


read_age = _lengths("mhdw", "7d, 36h, 2w")


def read_expires(flag: str, text: str) -> int | None:
    """Read ``--expires``: the bounds are the Files API's, 3600 to 7,776,000 seconds; ``never`` is None."""
    if text == "never":
        return None
    if text.lower() in {"never", "none", "no"}:
        raise InputError(f"{flag}: write never")
    seconds = read_age(flag, text)
    if not SECONDS["h"] <= seconds <= 90 * SECONDS["d"]:
        minutes = " (m is minutes; a month is 30d)" if text.endswith("m") else ""
        raise InputError(f"{flag} must be from 1h to 90d{minutes}")
    return seconds


def read_timeout(flag: str, text: str) -> int:
    seconds = _lengths("sm", "90s, 10m")(flag, text)
    if not seconds:
        raise InputError(f"{flag} must be at least 1s")
    return seconds


def read_size(flag: str, text: str) -> int:
    """Read a number of bytes; a fraction of a byte is dropped."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]*)", text)
    unit = found[2].lower() if found else ""
    if found and unit in BYTES:
        return int(Fraction(found[1]) * BYTES[unit])
    if found and not unit:
        raise InputError(f"{flag}: say the unit: {text}KB, {text}MB or {text}GB")
    if found and f"{unit}b" in BYTES:
        letter = found[2][0].upper()
        raise InputError(f"{flag}: write {found[1]}{letter}B (or {found[1]}{letter}iB for powers of 1024)")
    raise InputError(f"{flag} takes a number and a unit: 500KB, 64MB, 1.5GB")


def read_part_size(flag: str, text: str) -> int:
    size = read_size(flag, text)
    if not size:
        raise InputError(f"{flag} must be at least 1B")
    return size


def read_key_value(flag: str, text: str) -> tuple[str, Any]:
    """Read ``key=value``; the value is a Python literal, else text."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise InputError(f'{flag} takes key=value: {flag} sep=";"')
    if not value:
        raise InputError(f'{flag} has nothing after {key}=; put the value in quotes: {key}=";"')
    return key, _literal(value)


def _literal(text: str) -> Any:
    """Return the literal that `text` is, or `text` where it is none, or one that does not spell itself (``1e999``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = ast.literal_eval(text)
            if ast.literal_eval(repr(value)) == value:
                return value
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    return text
