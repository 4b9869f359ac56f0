"""The table of files: what it holds, and how it is shown."""

from __future__ import annotations

import pickle
import re
from datetime import UTC, datetime, timedelta

import html5lib
import pandas as pd
import pytest
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape

from nbfiles._models import FileMetadata
from nbfiles._table import COLUMNS, LISTED, FileTable, Row, _drawn, file_table

NOW = datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC)
DTYPES = {
    **dict.fromkeys(COLUMNS, "object"),
    "size_bytes": "Int64",
    "created_at": "datetime64[us, UTC]",
    "downloadable": "boolean",
    "expires_at": "datetime64[us, UTC]",
}


def metadata(name: str = "north.csv", mime_type: str = "text/plain", size: int = 412_077, **more) -> FileMetadata:
    fields = {"id": "file_011CPq2mWbYxTz7LkE5d9RsA", "type": "file", "created_at": NOW - timedelta(minutes=3), **more}
    return FileMetadata(filename=name, mime_type=mime_type, size_bytes=size, **fields)


def uploaded(name: str = "north.csv", **more: str) -> Row:
    return Row.of(metadata(name), **{"variable": "csv_ids[0]", "status": "uploaded", **more})


def failed(error: str = "Claude is busy.") -> Row:
    return Row(
        metadata=None, filename="b.pdf", mime_type="application/pdf", size_bytes=None, status="failed", error=error
    )


def hostile(text: str, error: str = "") -> FileTable:
    """Return a table with `text` in every place that a person or a server fills; two columns give way to an error."""
    file = FileMetadata(text, text, text, text, 96, NOW, None, NOW + timedelta(days=1))
    row = Row.of(file, variable=text, status=text, origin=text, source=text, digest=text, error=error)
    return file_table([row], headline=text, shown=COLUMNS)


def test_the_columns_are_frozen() -> None:
    """The table has the same columns in the same order with the same dtypes for no row and for many."""
    tables = [file_table([]), file_table([uploaded()]), file_table([failed(), uploaded()])]
    assert [list(DTYPES.items())] * 3 == [list(table.dtypes.astype(str).items()) for table in tables]


def test_a_row_says_what_the_server_said() -> None:
    """Every field of the metadata stands in its column, and every field of ours."""
    ends = NOW + timedelta(days=7)
    row = Row.of(metadata(downloadable=False, expires_at=ends), variable="a", status="uploaded", origin="here",
                 source="df", digest="blake3:00")  # fmt: skip
    expected = ["file_011CPq2mWbYxTz7LkE5d9RsA", "north.csv", "text/plain", 412_077, NOW - timedelta(minutes=3), "file",
                False, ends, "a", "container_upload, document", "uploaded", "here", "df", "blake3:00", ""]  # fmt: skip
    assert expected == file_table([row]).iloc[0].tolist()


def test_a_file_that_did_not_arrive_has_no_id() -> None:
    """A failed row keeps its name and reason; what only a server can know is empty, NA or NaT."""
    row = file_table([failed()]).iloc[0]
    assert ["", "b.pdf", "failed", "Claude is busy."] == [row[name] for name in ("id", "filename", "status", "error")]
    assert row[["size_bytes", "created_at", "downloadable", "expires_at"]].isna().all()


def test_an_id_is_a_plain_string() -> None:
    """The id column holds str, so that a frame of ids is like any other."""
    assert {str} == {type(value) for value in file_table([uploaded(), failed()])["id"]}


def test_what_no_encoding_can_write_can_be_kept() -> None:
    """Half of a surrogate pair in a name, which Arrow refuses, does not stop a listing."""
    table = file_table([uploaded("a\ud800.csv")])
    assert "a\ud800.csv" == table["filename"][0]
    assert "a<U+D800>.csv" in repr(table)


def test_times_of_any_zone_are_utc() -> None:
    """A time with another zone is the same moment in the frame."""
    local = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert NOW == file_table([Row.of(metadata(created_at=local))])["created_at"][0]


@pytest.mark.parametrize(
    "derive",
    [lambda table: table.copy(), lambda table: table[table["size_bytes"] > 1], lambda table: table.head(1),
     lambda table: table.sort_values("filename"), lambda table: table[["id", "filename"]],
     lambda table: pd.concat([table, table])],
    ids=["copy", "filter", "head", "sort", "columns", "concat"],
)  # fmt: skip
def test_what_is_derived_is_an_ordinary_frame(derive) -> None:
    """A frame made from a table is a plain DataFrame and shows itself as one."""
    assert pd.DataFrame is type(derive(file_table([uploaded()])))


def test_a_table_survives_a_pickle() -> None:
    """A pickled table comes back with its data and its look."""
    table = file_table([uploaded()], headline="1 file", shown=LISTED)
    again = pickle.loads(pickle.dumps(table))
    assert _drawn(table, table._look, NOW) == _drawn(again, again._look, NOW)


def test_text_of_an_upload() -> None:
    """In a terminal an upload is aligned columns with whole ids, and a line that says what else the frame holds."""
    report = Row.of(metadata("report.pdf", "application/pdf", 24_118_204), variable="report_id", status="uploaded")
    expected = """\
variable    filename    size_bytes  mime_type        block                       id                             status
report_id   report.pdf     24.1 MB  application/pdf  document, container_upload  file_011CPq2mWbYxTz7LkE5d9RsA  uploaded
csv_ids[0]  north.csv       412 kB  text/plain       container_upload, document  file_011CPq2mWbYxTz7LkE5d9RsA  uploaded
2 rows. Also in the frame: created_at, type, downloadable, expires_at, origin, source, digest, error"""
    assert expected == repr(file_table([report, uploaded()])).replace("\u00a0", " ")


def test_text_of_a_listing() -> None:
    """A listing says when files came and when they end, where they are from, and what has no variable."""
    rows = [
        Row.of(metadata(expires_at=NOW + timedelta(hours=3)), variable="a", origin="here"),
        Row.of(metadata(created_at=NOW - timedelta(days=42)), origin="elsewhere"),
    ]
    table = file_table(rows, headline="2 files · 824 kB", shown=(*LISTED[:-1], "downloadable"))
    expected = """\
2 files · 824 kB
variable  filename   size_bytes  block                       created_at  expires_at  origin     downloadable
a         north.csv      412 kB  container_upload, document  3 min ago   in 3 hours  here       –
–         north.csv      412 kB  container_upload, document  12 Oct      –           elsewhere  –
2 rows. Also in the frame: id, mime_type, type, status, source, digest, error"""
    assert expected == _drawn(table, table._look, NOW).text.replace("\u00a0", " ")


def test_a_long_table_shows_twenty_rows() -> None:
    """Of many rows 20 are shown, and the footer says so."""
    table = file_table([uploaded(f"{number}.csv") for number in range(214)])
    assert 20 == table._repr_html_().count('<td class="name">')
    assert "20 of 214 rows. The frame holds all of them. Also in the frame: created_at" in repr(table)


def test_a_failure_far_down_is_shown() -> None:
    """A file that failed is among the rows shown wherever it stands, with its reason instead of its type and block."""
    table = file_table([*(uploaded() for _ in range(150)), failed(), *(uploaded() for _ in range(9))])
    lines = repr(table).splitlines()
    assert ["variable", "filename", "size_bytes", "id", "status", "error"] == lines[0].split()
    assert lines[-2].endswith("Claude is busy.")
    assert lines[-1].startswith("20 of 160 rows, those that failed among them. The frame holds all of them.")


def test_more_failures_than_rows() -> None:
    """Where more failed than can be shown, the first 20 of them are, and the footer says so."""
    lines = repr(file_table([uploaded(), *(failed(f"no {number}") for number in range(100))])).splitlines()
    assert [f"no {number}" for number in range(20)] == [re.search(r"no \d+", line)[0] for line in lines[1:-1]]
    assert lines[-1].startswith("20 of 101 rows, the first of 100 that failed. The frame holds all of them.")


def test_an_empty_table_says_so() -> None:
    """A table without rows shows its columns and that there are none."""
    lines = repr(file_table([], shown=("filename", "id"))).splitlines()
    assert ["filename  id", "No rows."] == [lines[0], lines[1][:8]]


def test_a_local_table_says_where_the_files_are() -> None:
    """A table of the local Files API says that its files are on this machine only."""
    table = file_table([uploaded()], local=True)
    assert "1 row, on this machine only." in repr(table)
    assert 'aria-label="Files on this machine"' in table._repr_html_()


def test_a_variable_without_its_file_is_struck_through() -> None:
    """The name of a variable whose file has expired or gone is struck through, and no other."""
    rows = [
        Row.of(metadata(expires_at=NOW - timedelta(days=1)), variable="old"),
        Row.of(metadata(), variable="gone", status="deleted"),
        Row.of(metadata(expires_at=NOW + timedelta(days=1)), variable="live"),
    ]
    table = file_table(rows, shown=LISTED)
    html = _drawn(table, table._look, NOW).html
    assert ["old", "gone"] == re.findall(r"<s><code[^>]*><bdi>(\w+)</bdi></code></s>", html)


def test_the_page_reads_without_styles() -> None:
    """Where styles and classes are stripped, a real table with headers, right-aligned figures and whole ids is left."""
    html = file_table([uploaded()])._repr_html_()
    page = html5lib.parseFragment(re.sub(r"<style>.*</style>", "", html), namespaceHTMLElements=False)
    heads = list(page.iter("th"))
    assert ["variable", "filename", "size_bytes", "mime_type", "block", "id", "status"] == [head.text for head in heads]
    assert {"col"} == {head.get("scope") for head in heads}
    cells = {head.text: cell for head, cell in zip(heads, page.iter("td"), strict=True)}
    assert ["size_bytes"] == [name for name, cell in cells.items() if cell.get("align") == "right"]
    assert "file_011CPq2mWbYxTz7LkE5d9RsA" == "".join(cells["id"].itertext())
    assert "north.csv" == "".join(cells["filename"].itertext())
    assert "412\u00a0kB" == "".join(cells["size_bytes"].itertext())


@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload: str, error: bool) -> None:
    """A text in any column or the headline adds no element and no attribute to the table."""
    plain = harmless(payload)
    expected = shape(hostile(plain, plain * error)._repr_html_())
    assert expected == shape(hostile(payload, payload * error)._repr_html_())


@pytest.mark.parametrize("error", [False, True])
def test_no_hidden_character_is_shown_raw(error: bool) -> None:
    """No character that is not seen reaches the page or the terminal from any column; lines are the table's own."""
    for char in HIDDEN:
        table = hostile(text := f"a{char}b.pdf", text * error)
        assert set() == raw_hidden(table._repr_html_()), f"U+{ord(char):04X}"
        text = repr(table)
        assert 3 == text.count("\n"), f"U+{ord(char):04X}"
        assert [] == [each for each in text.replace("\n", "") if each in HIDDEN], f"U+{ord(char):04X}"


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.pop("filename"),
        lambda table: setattr(table, "columns", ["id", "<b>", *COLUMNS[2:]]),
        lambda table: table.insert(0, "mine", [["a", "list"]]),
        lambda table: table.__setitem__("size_bytes", "many"),
        lambda table: table.__setitem__("size_bytes", 1.5),
        lambda table: table.__setitem__("created_at", "soon"),
        lambda table: table.__setitem__("expires_at", pd.Timestamp("2026-01-01")),
        lambda table: table.__setitem__("error", [["not", "text"]]),
        lambda table: table.__setitem__("filename", None),
        lambda table: setattr(table, "columns", range(15)),
        lambda table: setattr(table, "columns", ["<b>"] * 15),
        lambda table: [table.pop(name) for name in COLUMNS],
        lambda table: setattr(table, "index", ["<b>"]),
    ],
)
def test_a_changed_table_can_still_be_shown(change) -> None:
    """However the frame was changed in place, it is shown, and safely."""
    table = file_table([uploaded()], shown=LISTED)
    change(table)
    assert FileTable is type(table)
    assert 0 == shape(table._repr_html_())["b", ()]
    assert "row" in repr(table)
