"""``Usage``: how much is stored, by type, age and owner, against the limit; as a frame, in words and as a figure.

The API has no such question, so every page of the list is fetched and added up here.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nbfiles import _receipt, _render
from nbfiles._config import STORAGE_LIMIT
from nbfiles._receipt import Note
from nbfiles._render import Column
from nbfiles._results import origin

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd

    from nbfiles._models import FileMetadata
    from nbfiles._render import Piece
    from nbfiles._rounds import Found
    from nbfiles._session import Session

# The oldest first in the figure, since old is what one cleans up.
AGES = ("under a day", "under a week", "under 30 days", "older")
_UNTIL = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
_MOST_TYPES = 12  # in the figure; the others are one bar
_SHADES = (0.25, 0.45, 0.7, 1.0)  # of one colour: older is stronger


@dataclass(frozen=True, slots=True, repr=False)
class Usage:
    """What is stored in the workspace.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``mime_type``, ``age``, ``origin``, ``files``, ``size_bytes``: one row for each that occurs together.
    limit : int
        Bytes that the organisation may store.
    limit_from : str
        What says so.
    requests : int
        How many the answer took.
    expired : int, default 0
        Files that have expired: they are listed for up to 30 days and take no room.
    local : bool, default False
        Whether these are the files of the local Files API.

    Examples
    --------
    >>> usage = nbfiles.get_usage()
    >>> usage.table.groupby("origin").size_bytes.sum()
    >>> usage.figure().savefig("usage.svg")
    """

    table: pd.DataFrame
    limit: int
    limit_from: str
    requests: int
    expired: int = 0
    local: bool = False

    @property
    def files(self) -> int:
        """How many files there are that take room."""
        return int(self.table["files"].sum())

    @property
    def size_bytes(self) -> int:
        """Their bytes."""
        return int(self.table["size_bytes"].sum())

    def by(self, column: str) -> pd.DataFrame:
        """Return ``files`` and ``size_bytes`` by ``"mime_type"``, ``"age"`` or ``"origin"``, the largest first."""
        return (
            self.table.groupby(column, observed=True)[["files", "size_bytes"]]
            .sum()
            .sort_values("size_bytes", ascending=False, kind="stable")
        )

    def figure(self) -> Any:
        """Draw it with matplotlib, in the style that the notebook has set.

        Returns
        -------
        matplotlib.figure.Figure
            The limit, and one bar a type, by age: older is stronger.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from matplotlib import rcParams
        from matplotlib.figure import Figure  # not pyplot: no window, and nothing that the notebook's figures know of

        colour = rcParams["axes.prop_cycle"].by_key().get("color", ["C0"])[0]
        types = self._types()
        made = Figure(figsize=(7.2, 2.1 + 0.32 * max(len(types), 1)), layout="constrained")
        whole, parts = made.subplots(2, 1, height_ratios=[1, max(len(types), 1) + 1])
        whole.barh([0], [self.size_bytes], color=colour)
        whole.set(xlim=(0, max(self.limit, self.size_bytes)), yticks=[], xlabel="", title=self._title())
        whole.title.set(horizontalalignment="left", x=0)
        whole.xaxis.set_major_formatter(_as_size)
        left = [0] * len(types)
        names = [_short(name) for name, _ in types]
        for age, shade in zip(AGES, _SHADES, strict=True):
            sizes = [by_age.get(age, 0) for _, by_age in types]
            parts.barh(names, sizes, left=left, color=colour, alpha=shade, label=age)
            left = [before + size for before, size in zip(left, sizes, strict=True)]
        parts.invert_yaxis()
        parts.xaxis.set_major_formatter(_as_size)
        for text in (*parts.get_yticklabels(), whole.title):
            text.set_parse_math(False)  # a dollar in a name begins no formula
        parts.set_xlim(0, max(left, default=0) * 1.05 or 1)
        if self.size_bytes > self.limit:
            whole.axvline(self.limit, color=rcParams["text.color"])
        made.legend(*parts.get_legend_handles_labels(), title="uploaded", loc="outside lower center", ncols=len(AGES))
        return made

    def _title(self) -> str:
        return f"{self._of_limit()}, {_render.counted(self.files, 'file')}".replace(_render.NO_BREAK, " ")

    def _of_limit(self) -> str:
        share = 100 * self.size_bytes / self.limit
        percent = f"{share:.0f} %" if share >= 10 or not share else f"{share:.1f} %" if share >= 0.1 else "under 0.1 %"
        return f"{_render.size(self.size_bytes)} of {_render.size(self.limit)} ({percent})"

    def _types(self) -> list[tuple[str, dict[str, int]]]:
        """Return the types, the largest first, with their bytes by age; the smallest are put together."""
        found = dict[str, dict[str, int]]()
        largest = list(self.by("mime_type").index)
        for mime_type, age, size in self.table[["mime_type", "age", "size_bytes"]].itertuples(index=False):
            name = mime_type if mime_type in largest[:_MOST_TYPES] else f"{len(largest) - _MOST_TYPES} other types"
            by_age = found.setdefault(name, {})
            by_age[age] = by_age.get(age, 0) + int(size)
        return sorted(found.items(), key=lambda item: (item[0] not in largest, -sum(item[1].values())))

    def __repr__(self) -> str:
        return self._drawn("").text

    def _repr_html_(self) -> str:
        return self._drawn(self._picture()).html

    def _picture(self) -> str:
        """Return the figure as the address of an image, or ``""`` where there is no matplotlib."""
        try:
            made = self.figure()
        except ImportError:
            return ""
        png = io.BytesIO()
        made.savefig(png, format="png", dpi=100)
        return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"

    def _drawn(self, picture: str) -> Piece:
        parts: list[Piece | str] = [_render.element("b", self._of_limit()), _render.counted(self.files, "file")]
        for owner, files, size in self.by("origin").itertuples():
            parts.append(
                f"{_OWNERS.get(owner, owner)} {_render.size(int(size))} in {_render.counted(int(files), 'file')}"
            )
        # The words below say the same, so the image needs none of its own.
        image = _render.element("img", src=picture, alt="", width="720") if picture else _render.NOTHING
        return _render.output(
            _render.element("p", _render.dotted(parts), cls="nbf-head"),
            image,
            self._grid() if self.files else _render.NOTHING,
            *_receipt.drawn(self._notes()),
        )

    def _grid(self) -> Piece:
        columns = [Column("mime_type", "mime"), *(Column(name, figures=True) for name in ("files", "size", *AGES))]
        rows = []
        counts = dict(self.by("mime_type")["files"])
        for name, by_age in self._types():
            count = counts.get(name, sum(counts.values()) - sum(counts.get(other, 0) for other, _ in self._types()))
            cells = [_render.sized(by_age[age]) if age in by_age else _render.nothing() for age in AGES]
            rows.append([_render.word(name), _render.piece(f"{count:,}"), _render.sized(sum(by_age.values())), *cells])
        return _render.grid(columns, rows, "Storage by type and age")

    def _notes(self) -> list[Note]:
        whose = "Of this machine only; the limit is" if self.local else (
            "Of this workspace; the limit is the whole organisation's,"
        )  # fmt: skip
        notes = [Note(f"{whose} from {self.limit_from}")]
        if self.expired:
            notes.append(Note(f"{_render.counted(self.expired, 'expired file')} not counted: they take no room"))
        return [*notes, Note(f"Cost: {_render.counted(self.requests, 'request')}")]


_OWNERS = {"here": "uploaded here", "elsewhere": "uploaded elsewhere", "code execution": "made by code execution"}


def usage(
    files: Sequence[FileMetadata],
    ours: Collection[str],
    *,
    limit: int,
    limit_from: str,
    requests: int,
    local: bool = False,
    now: datetime | None = None,
) -> Usage:
    """Add up `files`.

    Parameters
    ----------
    files : sequence of FileMetadata
    ours : collection of str
        Ids of those that were uploaded from here.
    limit, limit_from, requests, local
        As in `Usage`.
    now : datetime.datetime or None, default None
        The time, for a test; None is the clock's.
    """
    import pandas as pd

    when = now or datetime.now(UTC)
    alive = [file for file in files if file.expires_at is None or file.expires_at > when]
    sums = dict[tuple[str, str, str], list[int]]()
    for file in alive:
        entry = sums.setdefault((file.mime_type, _age(when - file.created_at), origin(file, ours)), [0, 0])
        entry[0] += 1
        entry[1] += file.size_bytes
    keys = list(zip(*sums, strict=True)) or [(), (), ()]
    table = pd.DataFrame({
        "mime_type": pd.Series(keys[0], dtype=object),
        "age": pd.Categorical(keys[1], categories=AGES, ordered=True),
        "origin": pd.Series(keys[2], dtype=object),
        "files": pd.array([count for count, _ in sums.values()], dtype="Int64"),
        "size_bytes": pd.array([size for _, size in sums.values()], dtype="Int64"),
    })  # fmt: skip
    table = table.sort_values("size_bytes", ascending=False, kind="stable", ignore_index=True)
    return Usage(table, limit, limit_from, requests, len(files) - len(alive), local)


def usage_of(session: Session, found: Found, *, mine: bool = False) -> Usage:
    """Add up what was found at the place of `session`."""
    ours = session.account().taken(file.id for file in found.files)
    set_here = session.config.storage_limit != STORAGE_LIMIT
    return usage(
        [file for file in found.files if file.id in ours] if mine else found.files,
        ours,
        limit=session.config.storage_limit,
        limit_from="NbFiles.storage_limit" if set_here else "Anthropic's documentation (NbFiles.storage_limit sets it)",
        requests=found.requests,
        local=session.local,
    )


def _age(age: timedelta) -> str:
    return next((name for name, until in zip(AGES, _UNTIL, strict=False) if age < until), AGES[-1])


def _short(name: str) -> str:
    """Return a MIME type for the figure's edge: at most 32 columns, nothing hidden in it."""
    return _render.word(name).text


def _as_size(value: float, _position: int) -> str:
    """Write a number on an axis; matplotlib calls it for each tick."""
    return _render.size(max(int(value), 0)).replace(_render.NO_BREAK, " ")
