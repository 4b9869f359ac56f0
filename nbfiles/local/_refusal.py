"""``Refusal``: a request that the local Files API answers with an error, in the shape of the API's errors.

The shape and the types are those of https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

from typing import Any

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
}


class Refusal(Exception):  # noqa: N818  # it is an answer; the client makes it an error
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        The HTTP status; it decides ``error.type``.
    message : str
        What is wrong, as the API words it.
    code : str or None, default None
        ``error.details.error_code``, such as ``"file_not_downloadable"``.
    headers : dict of str to str or None, default None
        Further headers of the answer.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the JSON object that says it."""
        error: dict[str, Any] = {"type": TYPES.get(self.status, "api_error"), "message": self.message}
        if self.code is not None:
            error["details"] = {"error_code": self.code}
        return {"type": "error", "error": error, "request_id": request_id}
