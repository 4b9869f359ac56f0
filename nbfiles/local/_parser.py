"""``UploadForm``: the multipart/form-data body of an upload, read as it arrives and never held as a whole.

python-multipart finds the parts; this module says which parts an upload may have, and how much of anything. Rules of
the form: https://platform.claude.com/docs/en/api/files-create; of multipart/form-data: RFC 7578.
"""

from __future__ import annotations

import re
from typing import Any

from nbfiles._errors import FileNameError, InputError
from nbfiles._names import OCTETS, TYPES, check_filename, check_mime_type, visible
from nbfiles.local._refusal import Refusal

MAX_FILE_SIZE = 524_288_000
# Bounds for what is not the file. Browsers, curl and SDKs stay far below; without them a small body could cost much
# (GHSA-qjxf-f2mg-c6mc, GHSA-pp6c-gr5w-3c5g, CVE-2026-40347).
MAX_PARTS = 8
MAX_HEADERS = 8
MAX_HEADER_BYTES = 8 * 1024
MAX_VALUE = 1024
MAX_PREAMBLE = MAX_EPILOGUE = 4 * 1024
# No form may be longer than its file by more than this.
MAX_OVERHEAD = MAX_PREAMBLE + MAX_EPILOGUE + MAX_PARTS * (MAX_HEADER_BYTES + MAX_VALUE + 512)

_EXPIRES = "expires_in_seconds"
_EXPIRY = range(3600, 7_776_000 + 1)
# RFC 2046, 5.1.1: 1 to 70 of these characters, no space at the end.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)\s*', re.DOTALL)


class UploadForm:
    """One upload's form.

    Parameters
    ----------
    content_type : str
        The request's Content-Type.
    expiry : bool
        Whether the form may have the field ``expires_in_seconds`` (the GA surface's).

    Raises
    ------
    Refusal
        400 or 413, from every method.
    """

    def __init__(self, content_type: str, *, expiry: bool) -> None:
        from python_multipart.multipart import MultipartParser

        boundary = _boundary_in(content_type)
        self._parser = MultipartParser(
            boundary.encode("ascii"),
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        self._fields = {_EXPIRES} if expiry else set()
        self._values: dict[str, str] = {}
        self._name = ""
        self._value = bytearray()
        self._headers: dict[str, str] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._header_count = self._header_bytes = self._parts = 0
        self._first = MAX_PREAMBLE + len(boundary) + 6
        self._epilogue = 0
        self._ended = False
        self._sent_name: str | None = None
        self._file_seen = False
        self._file_size = 0
        self._mime_type = ""
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body."""
        while data and not self._parts:
            # Before the first part only so much is looked at, however large the pieces are that arrive.
            head, data = data[: self._first], data[self._first :]
            self._first -= len(head)
            self._write(head)
            if not self._parts and not self._first:
                raise Refusal(400, f"The form does not begin within its first {MAX_PREAMBLE} bytes.")
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        from python_multipart.exceptions import FormParserError

        if self._ended:
            self._epilogue += len(data)
            if self._epilogue > MAX_EPILOGUE:
                raise Refusal(400, f"The form is followed by more than {MAX_EPILOGUE} bytes.")
            return
        try:
            self._parser.write(data)
        except FormParserError:
            raise Refusal(400, "The body is not valid multipart/form-data.") from None

    @property
    def waiting(self) -> int:
        """How many bytes of the file were read and not yet taken."""
        return len(self._pending)

    def take(self) -> bytearray:
        """Return the bytes of the file that were read since the last call."""
        taken, self._pending = self._pending, bytearray()
        return taken

    def finish(self) -> None:
        """Close the form at the end of the body."""
        if not self._ended:
            raise Refusal(400, "The body ends in the middle of the form.")
        if not self._file_seen:
            raise Refusal(400, "file: Field required")

    @property
    def filename(self) -> str:
        """The last component of the name that was sent; ``unnamed`` with the type's ending if there is none."""
        name = re.split(r"[/\\]", self._sent_name or "")[-1]
        if not name:
            return f"unnamed{_ending_for(self._mime_type)}"
        try:
            return check_filename(name)
        except FileNameError as error:
            raise Refusal(400, f"Invalid filename: {error.cause}.") from None

    @property
    def mime_type(self) -> str:
        """The type that was sent with the file."""
        return self._mime_type

    @property
    def lifetime(self) -> int | None:
        """Seconds until the file expires, or None."""
        text = self._values.get(_EXPIRES)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) not in _EXPIRY:
            raise Refusal(400, f"{_EXPIRES}: Input should be a whole number from {_EXPIRY[0]} to {_EXPIRY[-1]}")
        return int(text)

    # What python-multipart calls

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refusal(400, f"The form has more than {MAX_PARTS} parts.")
        self._name = ""
        self._value.clear()
        self._headers.clear()
        self._header_count = self._header_bytes = 0

    def _begin_header(self) -> None:
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            raise Refusal(400, f"A part of the form has more than {MAX_HEADERS} headers.")
        self._header_name.clear()
        self._header_value.clear()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise Refusal(400, f"A part of the form has more than {MAX_HEADER_BYTES} bytes of headers.")

    def _end_header(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        if name in self._headers:
            raise Refusal(400, "A part of the form has the same header twice.")
        try:
            self._headers[name] = self._header_value.decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(400, "Invalid filename: a header of a part is not UTF-8.") from None

    def _end_headers(self) -> None:
        disposition = _parameters(self._headers.get("content-disposition", ""), "form-data")
        self._name = disposition.get("name", "")
        if self._name == "file":
            self._begin_file(disposition.get("filename"))
        elif self._name not in self._fields:
            raise Refusal(400, f"{visible(self._name[:60]) or 'a part without name'}: Extra inputs are not permitted")
        elif self._name in self._values:
            raise Refusal(400, f"{self._name}: Given more than once")

    def _begin_file(self, name: str | None) -> None:
        if self._file_seen:
            raise Refusal(400, "file: Given more than once; one request uploads one file")
        self._file_seen = True
        self._sent_name = name
        try:
            self._mime_type = check_mime_type(self._headers.get("content-type", "").strip() or OCTETS)
        except InputError as error:
            raise Refusal(400, f"file: Invalid content type: {error.cause}.") from None
        # Refused now rather than after the bytes, if at all.
        _ = self.filename

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._file_size += end - start
            if self._file_size > MAX_FILE_SIZE:
                raise too_large()
            self._pending += memoryview(data)[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > MAX_VALUE:
            raise Refusal(400, f"{self._name}: Longer than {MAX_VALUE} bytes")

    def _end_part(self) -> None:
        if self._name != "file":
            self._values[self._name] = self._value.decode("utf-8", "replace")
            _ = self.lifetime

    def _end(self) -> None:
        self._ended = True


def too_large() -> Refusal:
    """Return the refusal of a file over the limit."""
    return Refusal(413, f"The file is larger than {MAX_FILE_SIZE} bytes, the most one file may have.")


def _boundary_in(content_type: str) -> str:
    """Return the boundary that `content_type` names."""
    boundary = _parameters(content_type[:MAX_VALUE], "multipart/form-data").get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise Refusal(400, "The Content-Type must be multipart/form-data with a boundary of 1 to 70 characters.")
    return boundary


def _parameters(header: str, kind: str) -> dict[str, str]:
    r"""Return the parameters of a header ``kind; name=value; name="value"``.

    ``filename*`` and its like are left out, as RFC 7578, 4.2 forbids them in forms and two readings of one name are
    an attack (PYSEC-2026-3041). In quotes ``\"`` and ``\\`` stand for the second character; ``%22`` is kept as it is.
    """
    head, separator, _ = header.partition(";")
    if head.strip().lower() != kind:
        raise Refusal(400, f"A header is not {kind}.")
    rest = header[len(head) :] if separator else ""
    found: dict[str, str] = {}
    place = 0
    while place < len(rest) and rest[place:].strip(" \t;"):
        match = _PARAMETER.match(rest, place)
        if match is None:
            raise Refusal(400, f"The parameters of a {kind} header cannot be read.")
        place = match.end()
        name, value = match[1].lower(), match[2]
        if name in found:
            raise Refusal(400, f"A {kind} header has the same parameter twice.")
        if "*" not in name:
            found[name] = re.sub(r'\\(["\\])', r"\1", value[1:-1]) if value[:1] == '"' else value
    return found


def _ending_for(mime_type: str) -> str:
    """Return the first ending that has this type, or ``""`` if none is known."""
    bare = mime_type.partition(";")[0].strip().lower()
    known: dict[str, Any] = {} if bare == OCTETS else TYPES
    return next((ending for ending, its_type in known.items() if its_type == bare), "")
