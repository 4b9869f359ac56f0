"""curl, written as the API's documentation writes it, is a client of the local Files API."""

from __future__ import annotations

import dataclasses
import json
import subprocess

import pytest

from nbfiles.local import add_generated

BETA = ["-H", "anthropic-version: 2023-06-01", "-H", "anthropic-beta: files-api-2025-04-14"]


def curl(api, path, *options):
    """Run curl; return the status and the body."""
    command = ["curl", "-q", "-sS", "--noproxy", "*", f"{api.base_url}{path}", "-H", f"x-api-key: {api.api_key}",
               "-w", "\n%{http_code}", *options]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def curl_json(api, path, *options):
    status, body = curl(api, path, *options)
    return status, json.loads(body)


@pytest.mark.parametrize(("path", "options"), [("/v1/files", []), ("/v1/files?beta=true", BETA)])
def test_verbs(shared_api, tmp_path, path, options):
    """Upload, describe, list and delete, on both surfaces."""
    source = tmp_path / "report.txt"
    source.write_bytes(b"hello\n" * 300_000)
    status, stored = curl_json(shared_api, path, "-F", f"file=@{source}", *options)
    assert (200, "report.txt", "text/plain", 1_800_000) == (
        status, stored["filename"], stored["mime_type"], stored["size_bytes"])  # fmt: skip
    assert source.read_bytes() == shared_api.stored_bytes(stored["id"])
    one = path.replace("/v1/files", f"/v1/files/{stored['id']}")
    assert (200, stored) == curl_json(shared_api, one, *options)
    assert stored == curl_json(shared_api, path, *options)[1]["data"][0]
    assert (200, {"id": stored["id"], "type": "file_deleted"}) == curl_json(shared_api, one, "-X", "DELETE", *options)
    assert 404 == curl_json(shared_api, one, *options)[0]


def test_type_and_name(shared_api, tmp_path):
    """curl's ;type= and ;filename= decide, and its own escape of a quote is kept as it came."""
    source = tmp_path / "data.csv"
    source.write_bytes(b"a,b\n")
    stored = curl_json(shared_api, "/v1/files", "-F", f"file=@{source};type=text/plain;filename=x y.csv")[1]
    assert ("text/plain", "x y.csv") == (stored["mime_type"], stored["filename"])
    quoted = curl_json(shared_api, "/v1/files", "-F", f'file=@{source};filename="a\\"b.csv"')[1]
    assert "a%22b.csv" == quoted["filename"]


def test_expiry(shared_api, tmp_path):
    """A field beside the file, after it as well as before it."""
    source = tmp_path / "a.txt"
    source.touch()
    form = ["-F", f"file=@{source}", "-F", "expires_in_seconds=3600"]
    status, stored = curl_json(shared_api, "/v1/files", *form)
    assert (200, 0) == (status, stored["size_bytes"])
    assert stored["expires_at"] > stored["created_at"]


def test_stream(shared_api):
    """A file that curl reads from a pipe."""
    command = ["curl", "-q", "-sS", "--noproxy", "*", "-H", f"x-api-key: {shared_api.api_key}",
               "-F", "file=@-;filename=piped.bin", f"{shared_api.base_url}/v1/files"]  # fmt: skip
    done = subprocess.run(command, input=b"x" * 300_000, capture_output=True, timeout=60, check=True)
    assert ("piped.bin", 300_000) == tuple(json.loads(done.stdout)[key] for key in ("filename", "size_bytes"))


def test_download(shared_api, tmp_path):
    """A generated file comes with its name; an uploaded one does not come at all."""
    generated = add_generated("plot.png", b"png", dir=shared_api.dir)
    assert (200, b"png") == curl(shared_api, f"/v1/files/{generated}/content")
    source = tmp_path / "a.txt"
    source.write_bytes(b"x")
    uploaded = curl_json(shared_api, "/v1/files", "-F", f"file=@{source}")[1]["id"]
    status, error = curl_json(shared_api, f"/v1/files/{uploaded}/content")
    assert (400, "file_not_downloadable") == (status, error["error"]["details"]["error_code"])


LARGE = {"asking first": [], "not asking": ["-H", "Expect:"], "chunked": ["-H", "Transfer-Encoding: chunked"]}


@pytest.mark.parametrize("options", LARGE.values(), ids=LARGE.keys())
def test_too_large(shared_api, tmp_path, options):
    """curl sees 413 on a file over the limit, whether or not it asks before it sends."""
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate(530_000_000)
    status, error = curl_json(shared_api, "/v1/files", "-F", f"file=@{source}", *options)
    assert (413, "request_too_large") == (status, error["error"]["type"])


def test_wrong_key(shared_api, tmp_path):
    """curl sees 401 when it sends a large file with a wrong key."""
    source = tmp_path / "a.bin"
    source.write_bytes(bytes(5_000_000))
    stranger = dataclasses.replace(shared_api, api_key="no")
    status, error = curl_json(stranger, "/v1/files", "-F", f"file=@{source}", "-H", "Expect:")
    assert (401, "authentication_error") == (status, error["error"]["type"])
