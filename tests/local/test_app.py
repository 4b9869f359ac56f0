"""The local Files API as a process: the contract over HTTP, who is let in, and what survives."""

from __future__ import annotations

import email.utils
import hashlib
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from faults.local_server import (
    FORM,
    TLS,
    client_of,
    connect,
    error_of,
    ids_of,
    peak,
    request,
    upload,
    wait_until,
)  # fmt: skip

from nbfiles.local import add_generated
from nbfiles.local.__main__ import _listen
from nbfiles.local._parser import MAX_FILE_SIZE

LEGACY = {"anthropic-beta": "files-api-2025-04-14"}
UNKNOWN = "file_local_" + "0" * 24


@pytest.fixture
def client(local_api):
    """A client of a server of its own."""
    with client_of(local_api) as client:
        yield client


@pytest.fixture(scope="module")
def guest(shared_api):
    """A client of the server that these tests share."""
    with client_of(shared_api) as client:
        yield client


BAD_REQUEST = (400, "invalid_request_error", None)
NOT_FOUND = (404, "not_found_error", None)


# The contract


def test_upload(local_api, client):
    """An upload is answered with exactly the metadata of the GA surface, and its bytes are on the disk."""
    answer = upload(client)
    stored = answer.json()
    assert 200 == answer.status_code
    assert ["id", "type", "filename", "mime_type", "size_bytes", "created_at", "downloadable", "expires_at"] == [
        *stored
    ]
    assert ("file", "a.txt", "text/plain", 5, False, None) == (
        stored["type"], stored["filename"], stored["mime_type"], stored["size_bytes"], stored["downloadable"],
        stored["expires_at"])  # fmt: skip
    assert re.fullmatch(r"file_local_[0-9A-Za-z]{24}", stored["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stored["created_at"])
    assert hashlib.sha256(b"hello").hexdigest() == local_api.stored_sha256(stored["id"])
    assert stored == client.get(f"/v1/files/{stored['id']}").json()


def test_legacy_metadata(guest):
    """The legacy surface describes a file by seven fields, and no more."""
    stored = upload(guest, headers=LEGACY, params={"beta": "true"}).json()
    assert {"id", "type", "filename", "mime_type", "size_bytes", "created_at", "downloadable"} == set(stored)
    assert stored == guest.get(f"/v1/files/{stored['id']}?beta=true", headers=LEGACY).json()


@pytest.mark.parametrize("value", ["a, files-api-2025-04-14", "files-api-2025-04-14,b"])
def test_legacy_among_other_betas(guest, value):
    """The beta may stand in a list; the query beta=true alone selects nothing."""
    assert "has_more" in guest.get("/v1/files", headers={"anthropic-beta": value}).json()
    assert "next_page" in guest.get("/v1/files?beta=true", headers={"anthropic-beta": "other"}).json()


def test_expires(guest):
    """A lifetime becomes expires_at on the GA surface, and is an unknown field on the legacy one."""
    stored = upload(guest, data={"expires_in_seconds": "3600"}).json()
    assert stored["created_at"][14:] == stored["expires_at"][14:]
    assert BAD_REQUEST == error_of(upload(guest, data={"expires_in_seconds": "3600"}, headers=LEGACY))
    assert BAD_REQUEST == error_of(upload(guest, data={"expires_in_seconds": "3599"}))


def test_expired(local_api, client):
    """After its end a file's content is 404 file_expired, while it is still listed."""
    file_id = add_generated("plot.png", b"png", dir=local_api.dir)
    index = sqlite3.connect(local_api.dir / "files.sqlite")
    index.execute("UPDATE files SET expires_at = created_at")
    index.commit()
    index.close()
    assert (404, "not_found_error", "file_expired") == error_of(client.get(f"/v1/files/{file_id}/content"))
    assert [file_id] == [file["id"] for file in client.get("/v1/files").json()["data"]]


def test_upload_is_not_downloadable(guest):
    """What was uploaded cannot be read back, as at Anthropic."""
    file_id = upload(guest).json()["id"]
    refused = (400, "invalid_request_error", "file_not_downloadable")
    assert refused == error_of(guest.get(f"/v1/files/{file_id}/content"))


def test_download(shared_api, guest):
    """A generated file comes back byte for byte, as an attachment that no browser interprets."""
    content = os.urandom(3_000_000)
    file_id = add_generated("Ünï.csv", content, dir=shared_api.dir)
    answer = guest.get(f"/v1/files/{file_id}/content")
    assert (200, content) == (answer.status_code, answer.content)
    assert ("text/csv", "attachment; filename*=UTF-8''%C3%9Cn%C3%AF.csv", "nosniff", "3000000") == (
        answer.headers["content-type"].partition(";")[0], answer.headers["content-disposition"],
        answer.headers["x-content-type-options"], answer.headers["content-length"])  # fmt: skip


def test_damaged_content(local_api, client):
    """Bytes that changed on the disk are an error, never an answer."""
    file_id = add_generated("plot.png", b"png", dir=local_api.dir)
    local_api.blob(file_id).write_bytes(b"gnp")
    assert (500, "api_error", None) == error_of(client.get(f"/v1/files/{file_id}/content"))
    assert "changed on the disk" in local_api.stop()


def test_delete(local_api, client):
    """A deleted file is gone for every verb, and so are its bytes."""
    file_id = upload(client).json()["id"]
    assert {"id": file_id, "type": "file_deleted"} == client.delete(f"/v1/files/{file_id}").json()
    for answer in (
        client.delete(f"/v1/files/{file_id}"),
        client.get(f"/v1/files/{file_id}"),
        client.get(f"/v1/files/{file_id}/content"),
    ):
        assert NOT_FOUND == error_of(answer)
    assert set() == local_api.stored_ids()


ODD_PATHS = ["/v1/files/file_1", "/v1/files/..%2F..%2Ffiles.sqlite", "/v1/files/%2e%2e", "/v1/files/file_local_%00",
             "/v1/files/" + "x" * 5000, "/v1/files/%F0%9F%92%A9", "/v1/files/", "/v1/files//content", "/", "/v1",
             "/v1/messages", "/v1/files/a/b/content", "/v1/files/%E2%80%AEx/content"]  # fmt: skip


@pytest.mark.parametrize("path", ODD_PATHS)
def test_odd_paths(guest, path):
    """A path or an id that is none of ours is 404, in the shape of the API's errors."""
    assert NOT_FOUND == error_of(guest.get(path))


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("PUT", "/v1/files", "GET, HEAD, POST"), ("PATCH", f"/v1/files/{UNKNOWN}", "DELETE, GET, HEAD"),
    ("POST", f"/v1/files/{UNKNOWN}/content", "GET, HEAD")])  # fmt: skip
def test_other_methods(guest, method, path, allowed):
    """A method that a path does not have is 405, and the answer says which it has."""
    answer = guest.request(method, path)
    assert (405, "invalid_request_error", None) == error_of(answer)
    assert allowed == ", ".join(sorted(answer.headers["allow"].split(", ")))


def test_headers(guest):
    """Every answer has a request id of its own, and the time to the second."""
    answers = [guest.get("/v1/files"), guest.get("/nowhere"), guest.get("/v1/files", headers={"x-api-key": "no"})]
    assert 3 == len({answer.headers["request-id"] for answer in answers})
    for answer in answers:
        said = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(time.time() - said) < 1.5


# Listing


@pytest.fixture(scope="module")
def lister(tmp_path_factory, start_local_api):
    """A client of a server that has 25 files and gets no more."""
    with client_of(start_local_api(tmp_path_factory.mktemp("listed") / "store")) as client:
        yield client


@pytest.fixture(scope="module")
def newest_first(lister):
    return [upload(lister, name=f"{number}.txt").json()["id"] for number in range(25)][::-1]


def test_pages(lister, newest_first):
    """The GA surface's cursor leads through all files, newest first, and ends with null."""
    query, seen = {"limit": 10}, []
    while query is not None:
        answer = lister.get("/v1/files", params=query)
        seen.append(ids_of(answer))
        cursor = answer.json()["next_page"]
        assert cursor is None or cursor.startswith("page_")
        query = cursor and {"limit": 10, "page": cursor}
    assert [newest_first[:10], newest_first[10:20], newest_first[20:]] == seen
    assert newest_first[:20] == ids_of(lister.get("/v1/files"))


def test_legacy_pages(lister, newest_first):
    """The legacy surface's ids lead through all files in both directions."""
    first = lister.get("/v1/files", params={"limit": 10}, headers=LEGACY).json()
    assert {"data", "has_more", "first_id", "last_id"} == set(first)
    assert (True, newest_first[0], newest_first[9]) == (first["has_more"], first["first_id"], first["last_id"])
    last = lister.get("/v1/files", params={"limit": 20, "after_id": newest_first[9]}, headers=LEGACY)
    assert (newest_first[10:], False) == (ids_of(last), last.json()["has_more"])
    back = lister.get("/v1/files", params={"limit": 5, "before_id": newest_first[10]}, headers=LEGACY)
    assert (newest_first[5:10], True) == (ids_of(back), back.json()["has_more"])


def test_empty(client):
    """A list of nothing has the shape of a list."""
    assert {"data": [], "next_page": None} == client.get("/v1/files").json()
    nothing = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert nothing == client.get("/v1/files", headers=LEGACY).json()


def test_ids(lister, newest_first):
    """Files are listed by id, those that do not exist left out without a word."""
    asked = [newest_first[3], newest_first[1], newest_first[3], UNKNOWN, "../x"]
    answer = lister.get("/v1/files", params={"ids[]": asked})
    assert ([newest_first[1], newest_first[3]], None) == (ids_of(answer), answer.json()["next_page"])


def test_scope(lister, newest_first):
    """There are no sessions here, so none has files."""
    assert {"data": [], "next_page": None} == lister.get("/v1/files?scope_id=session_1&limit=2").json()


BAD_QUERIES = [
    ("limit=0", {}), ("limit=1001", {}), ("limit=x", {}), ("limit=1&limit=2", {}), ("page=x", {}), ("page=page_x", {}),
    ("after_id=" + UNKNOWN, {}), ("order=asc", {}), ("ids[]=a&limit=2", {}), ("ids[]=a&page=page_x", {}),
    ("&".join(f"ids[]={n}" for n in range(101)), {}),
    ("page=page_" + "0" * 24, LEGACY), ("ids[]=a", LEGACY), ("after_id=x", LEGACY),
    (f"after_id={UNKNOWN}&before_id={UNKNOWN}", LEGACY)]  # fmt: skip


@pytest.mark.parametrize(("query", "headers"), BAD_QUERIES)
def test_bad_queries(guest, query, headers):
    """A query that the surface does not know, or a value out of its bounds, is 400."""
    assert BAD_REQUEST == error_of(guest.get(f"/v1/files?{query}", headers=headers))


def test_a_hundred_ids(lister, newest_first):
    """A hundred different ids may be asked for, however often each is repeated."""
    query = "&".join([f"ids[]={newest_first[0]}", *(f"ids[]={number}" for number in range(99))] * 2)
    assert newest_first[:1] == ids_of(lister.get(f"/v1/files?{query}"))


# Bodies


def form(size, boundary="B"):
    """Return the beginning and the end of a form whose file has `size` bytes, and its length."""
    head = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n").encode()  # fmt: skip
    tail = f"\r\n--{boundary}--\r\n".encode()
    return head, tail, len(head) + size + len(tail)


def stream(client, size, *, chunked=False):
    """Upload `size` bytes that are never held as a whole."""
    head, tail, length = form(size)
    piece = bytes(range(256)) * 4096

    def parts():
        yield head
        for start in range(0, size, len(piece)):
            yield piece[: size - start]
        yield tail

    headers = FORM if chunked else {**FORM, "content-length": str(length)}
    return client.post("/v1/files", content=parts(), headers=headers)


def test_chunked(shared_api, guest):
    """A body of unknown length is as good as any."""
    file_id = stream(guest, 3_000_001, chunked=True).json()["id"]
    expected = (bytes(range(256)) * 4096 * 3)[:3_000_001]
    assert hashlib.sha256(expected).hexdigest() == shared_api.stored_sha256(file_id)


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large(local_api, client, chunked):
    """A client that sends first and reads then sees 413 on a file over the limit, and nothing is kept."""
    answer = stream(client, MAX_FILE_SIZE + 200_000, chunked=chunked)
    assert (413, "request_too_large", None) == error_of(answer)
    assert [] == [*(local_api.dir / "incoming").glob("*-*")]
    assert 200 == upload(client).status_code


def test_refused_body(guest):
    """A guest that sends a large body with the wrong key sees 401, not a broken connection."""
    answer = guest.post("/v1/files", content=bytes(20_000_000), headers={"x-api-key": "no"})
    assert (401, "authentication_error", None) == error_of(answer)
    assert 200 == upload(guest).status_code


def test_no_form(guest):
    """A body that is no form, or holds no file, is 400."""
    assert BAD_REQUEST == error_of(guest.post("/v1/files", content=b"x"))
    assert BAD_REQUEST == error_of(guest.post("/v1/files", json={}))
    assert BAD_REQUEST == error_of(guest.post("/v1/files", data={"expires_in_seconds": "3600"}, files={"x": b""}))
    assert BAD_REQUEST == error_of(upload(guest, name="a:b.txt"))


def test_empty_file(shared_api, guest):
    """A file of no bytes is a file."""
    stored = upload(guest, b"").json()
    assert (0, b"") == (stored["size_bytes"], shared_api.stored_bytes(stored["id"]))


def test_broken_off(local_api, client):
    """An upload that breaks off in the middle leaves nothing, and the server goes on."""
    head, _, length = form(5_000_000)
    with connect(local_api) as raw:
        raw.sendall(request(local_api, f"Content-Length: {length}") + head + bytes(2_000_000))
        wait_until(lambda: [*(local_api.dir / "incoming").glob("*-*")])
    wait_until(lambda: not [*(local_api.dir / "incoming").glob("*-*")])
    assert [] == ids_of(client.get("/v1/files"))
    assert "" == local_api.stop()


def test_at_once(shared_api, guest):
    """Uploads that run side by side do not mix."""
    contents = [os.urandom(2_000_000) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        ids = [answer.json()["id"] for answer in pool.map(lambda content: upload(guest, content), contents)]
    assert contents == [shared_api.stored_bytes(file_id) for file_id in ids]


def test_memory(local_api, client):
    """The server's memory does not grow with the file: under 32 MB for 200 MB (peak, from Linux's /proc)."""

    upload(client)
    before = peak(local_api)
    assert 200 == stream(client, 200_000_000).status_code
    assert peak(local_api) - before < 32 * 1024


def test_disk_full(local_api, client):
    """Where there is no room the answer is 507, no row and no byte stays, and the next file that fits is stored."""
    keep = upload(client).json()["id"]
    resource.prlimit(local_api.process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    answer = upload(client, bytes(3_000_000))
    assert (507, "api_error", None) == error_of(answer)
    assert "false" == answer.headers["x-should-retry"]
    assert ([keep], {keep}) == (ids_of(client.get("/v1/files")), local_api.stored_ids())
    assert [] == [*(local_api.dir / "incoming").glob("*-*")]
    fits = upload(client, bytes(100_000)).json()["id"]
    resource.prlimit(local_api.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    freed = upload(client, bytes(3_000_000)).json()["id"]
    assert {keep, fits, freed} == local_api.stored_ids()
    assert 1 == local_api.stop().count("\n")


# Who is let in


HOSTILE = {
    "no key": ({"x-api-key": ""}, 401),
    "another key": ({"x-api-key": "sk-ant-api03-x"}, 401),
    "a key in latin-1": ({"x-api-key": b"\xff"}, 401),
    "half a key": (lambda key: {"x-api-key": key[:-1]}, 401),
    "another bearer": ({"x-api-key": "", "authorization": "Bearer x"}, 401),
    "the key as basic": (lambda key: {"x-api-key": "", "authorization": f"Basic {key}"}, 401),
    "a page": ({"origin": "https://evil.example"}, 401),
    "a page of this server": (lambda key: {"origin": "http://127.0.0.1"}, 401),
    "a sandboxed page": ({"origin": "null"}, 401),
    "a page without the key": ({"origin": "https://evil.example", "x-api-key": ""}, 401),
    "a rebound name": ({"host": "evil.example"}, 403),
    "another port": ({"host": "127.0.0.1:1"}, 403),
    "no port": ({"host": "127.0.0.1"}, 403),
    "a name that begins like ours": (lambda key: {"host": "localhost.evil.example"}, 403),
}


@pytest.mark.parametrize(("headers", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile(shared_api, guest, headers, status):
    """Whoever does not hold the key, and every web page, is refused by every verb, and changes nothing."""
    file_id = upload(guest).json()["id"]
    before = ids_of(guest.get("/v1/files"))
    headers = headers(shared_api.api_key) if callable(headers) else headers
    for answer in (
        upload(guest, headers=headers),
        guest.get("/v1/files", headers=headers),
        guest.options("/v1/files", headers=headers),
        guest.get(f"/v1/files/{file_id}/content", headers=headers),
        guest.delete(f"/v1/files/{file_id}", headers=headers),
    ):
        assert status == error_of(answer)[0]
        assert "access-control-allow-origin" not in answer.headers
    assert before == ids_of(guest.get("/v1/files"))


def test_cors_message(guest):
    """A web page is told by the API's own words that it is one."""
    message = guest.get("/v1/files", headers={"origin": "null"}).json()["error"]["message"]
    assert message.startswith("CORS requests are not allowed")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_bearer(shared_api, scheme):
    """The key may come as a bearer token, as the SDK sends it, and under any name of this machine."""
    port = shared_api.base_url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        headers = {"authorization": f"{scheme} {shared_api.api_key}", "host": host}
        assert (
            200
            == httpx.get(f"{shared_api.base_url}/v1/files", headers=headers, trust_env=False, verify=TLS).status_code
        )


def test_refused_before_the_body(shared_api):
    """A wrong key is refused before the body is asked for, so a guest that waits for leave sends none."""
    with connect(shared_api) as raw:
        raw.sendall(request(shared_api, "Expect: 100-continue", "Content-Length: 1000000", key="no"))
        assert raw.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_too_large_before_the_body(shared_api):
    """A body that is certainly too large is refused by its length."""
    with connect(shared_api) as raw:
        raw.sendall(request(shared_api, "Expect: 100-continue", f"Content-Length: {MAX_FILE_SIZE + 1_000_000}"))
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_garbage(local_api, client):
    """What is not HTTP at all is refused without a word in the log."""
    with connect(local_api) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert 200 == upload(client).status_code
    assert "" == local_api.stop()


def test_loopback_only(shared_api):
    """The server listens at 127.0.0.1 and nowhere else (from Linux's /proc)."""
    port = f"{int(shared_api.base_url.rpartition(':')[2]):04X}"
    with open("/proc/net/tcp") as table:  # noqa: PTH123
        places = {line.split()[1] for line in table if line.split()[3] == "0A" and line.split()[1].endswith(f":{port}")}
    assert {f"0100007F:{port}"} == places


def test_no_delay():
    """An answer in two packets is not held back until the first is acknowledged: asyncio sees to it for TCP by name."""
    with _listen(0) as listener:
        assert socket.IPPROTO_TCP == listener.proto


def test_secrets(shared_api, start_local_api):
    """The key has 256 random bits, is new at every start, and never stands in the process's arguments."""
    other = start_local_api(shared_api.dir)
    other.stop()
    assert other.api_key != shared_api.api_key
    assert 43 == len(shared_api.api_key.removeprefix("nbfiles-local-"))
    with open(f"/proc/{shared_api.process.pid}/cmdline") as arguments:  # noqa: PTH123
        assert shared_api.api_key not in arguments.read()


def test_modes(local_api, client):
    """Folders are 0700 and files 0600, whatever the umask is."""
    upload(client)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in local_api.dir.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [local_api.dir, *local_api.dir.iterdir()] if path.is_dir()}
    assert ({0o600}, {0o700}) == (modes, folders)


# Life and death


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(local_api, client, number):
    """A signal ends the server in good order: status 0, nothing on stderr, the index closed."""
    upload(client)
    local_api.process.send_signal(number)
    assert b"" == local_api.process.communicate(timeout=10)[1]
    assert 0 == local_api.process.returncode
    assert {"files.sqlite", "blobs", "incoming", "reserve", "start.lock"} == {
        path.name for path in local_api.dir.iterdir()
    }


def test_until_stdin_closes(tmp_path, start_local_api):
    """A kernel's server outlives the stop button and ends with the kernel's end of the pipe."""
    api = start_local_api(tmp_path / "store", "--until-stdin-closes")
    api.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        api.process.wait(0.4)
    assert 200 == httpx.get(f"{api.base_url}/v1/files", headers=api.headers, trust_env=False, verify=TLS).status_code
    api.process.stdin.close()
    assert 0 == api.process.wait(10)
    assert b"" == api.process.stderr.read()


def test_port_in_use(local_api, tmp_path):
    """A port that is taken is said in one line, with a way out."""
    port = local_api.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "nbfiles.local", "--port", port, "--dir", tmp_path / "other"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert "Choose another" in done.stderr


def test_two_servers(local_api, client, start_local_api):
    """Two servers on one folder show the same files, and one that starts does not harm what arrives at the other."""
    head, tail, length = form(6)
    with connect(local_api) as raw:
        raw.sendall(request(local_api, f"Content-Length: {length}", "Connection: close") + head + b"abc")
        wait_until(lambda: [*(local_api.dir / "incoming").glob("*-*")])
        other = start_local_api(local_api.dir)
        raw.sendall(b"def" + tail)
        answer = raw.makefile("rb").read()
    stored = json.loads(answer.rpartition(b"\r\n")[2])
    assert b"abcdef" == local_api.stored_bytes(stored["id"])
    here = upload(client).json()["id"]
    with client_of(other) as there:
        assert [here, stored["id"]] == ids_of(there.get("/v1/files"))
        assert 200 == there.delete(f"/v1/files/{here}").status_code
    assert NOT_FOUND == error_of(client.get(f"/v1/files/{here}"))
    assert "" == other.stop()
