"""``Text``: a string that is the content of a file; a bare string would be a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import filename_for
from nbfiles._payload import Payloads, bytes_payload
from nbfiles.sources._registry import named

if TYPE_CHECKING:
    from nbfiles.sources._request import Request


@dataclass(frozen=True, slots=True)
class Text:
    """A string that uploads as a UTF-8 text file.

    Parameters
    ----------
    content : str
        What the file will hold.
    name : str or None, default None
        Its file name; None makes one from the variable.
    """

    content: str
    name: str | None = None


def text(content: str, name: str | None = None) -> Text:
    """Return `content` as something that uploads as the text file `name`.

    Examples
    --------
    >>> text("# Results", name="results.md")
    Text(content='# Results', name='results.md')
    """
    if not isinstance(content, str):
        raise InputError("text() takes a string", "Bytes upload as they are, without text().")
    return Text(content, name)


def matches(obj: Any) -> bool:
    """Whether `obj` is a `Text`."""
    return isinstance(obj, Text)


def payloads(obj: Text, request: Request) -> Payloads:
    """Return the one payload of the text."""
    name = request.name or obj.name or filename_for(request.label, ".txt")
    try:
        data = obj.content.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the text holds half of a surrogate pair at {error.start}, which UTF-8 cannot write",
            "Mend it: text.encode('utf-8', 'replace').decode().",
        ) from None
    return Payloads([bytes_payload(data, name=name, source=named(request, "<text>"), **request.mime)], many=False)
