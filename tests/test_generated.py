"""The files that Claude made for a response: found where the SDK's types have them, and fetched."""

from __future__ import annotations

import asyncio
import io

import pandas as pd
import pytest
from anthropic.types import Message
from anthropic.types.beta import BetaMessage
from PIL import Image

import nbfiles
from nbfiles import FileId, InputError, NotDownloadableError, generated
from nbfiles._files import Files
from nbfiles._ids import ids_of
from nbfiles.local import add_generated

RESPONSE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
    "content": [
        {"type": "text", "text": "I drew file_not_this one."},
        {"type": "server_tool_use", "id": "s1", "name": "bash_code_execution", "input": {"command": "file_nor_this"}},
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s1",
            "content": {
                "type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0,
                "content": [
                    {"type": "bash_code_execution_output", "file_id": "file_chart"},
                    {"type": "bash_code_execution_output", "file_id": "file_table"},
                ],
            },
        },
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s2",
            "content": {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"},
        },
        {
            "type": "text_editor_code_execution_tool_result",
            "tool_use_id": "s3",
            "content": {"type": "text_editor_code_execution_create_result", "is_file_update": False},
        },
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s4",
            "content": {
                "type": "code_execution_result", "stdout": "", "stderr": "", "return_code": 0,
                "content": [
                    {"type": "code_execution_output", "file_id": "file_table"},
                    {"type": "code_execution_output", "file_id": "file_old_tool"},
                ],
            },
        },
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s5",
            "content": {
                "type": "encrypted_code_execution_result", "encrypted_stdout": "x", "stderr": "", "return_code": 0,
                "content": [{"type": "code_execution_output", "file_id": "file_secret"}],
            },
        },
        {"type": "container_upload", "file_id": "file_that_was_put_in"},
    ],
}  # fmt: skip
MADE = ["file_chart", "file_table", "file_old_tool", "file_secret"]
ASKED = {"role": "user", "content": [{"type": "container_upload", "file_id": "file_sent"}]}


@pytest.mark.parametrize(
    "response",
    [
        RESPONSE,
        RESPONSE["content"],
        Message.model_validate(RESPONSE),
        BetaMessage.model_validate(RESPONSE),
        Message.model_validate(RESPONSE).content,
        [ASKED, RESPONSE],
        [ASKED, {"role": "assistant", "content": Message.model_validate(RESPONSE).content}],
        (Message.model_validate(RESPONSE), RESPONSE),
    ],
    ids=["dict", "content", "model", "beta model", "model's content", "conversation", "mixed", "two"],
)
def test_every_file_that_was_made_is_found(response) -> None:
    """Outputs of every code execution tool count, each once and in order; what was sent along does not."""
    found = generated(response)
    assert MADE == found
    assert {FileId} == {type(one) for one in found}
    assert MADE == ids_of(response)


@pytest.mark.parametrize("response", [{"role": "assistant", "content": "Hello"}, {"content": []}, [], [ASKED]])
def test_a_response_without_files(response) -> None:
    """A response that made none gives none."""
    assert [] == generated(response)


@pytest.mark.parametrize("value", ["file_chart", 7, None, {"id": 1}, [1], pd.DataFrame({"id": ["a"]})])
def test_what_is_no_response(value) -> None:
    """Anything else is refused in one line, so that no typo looks like a response without files."""
    with pytest.raises(InputError, match="is no response of the Messages API"):
        generated(value)


@pytest.mark.parametrize("rubbish", [{"file_id": 3}, {"file_id": ""}, {}, None, "x"])
def test_rubbish_where_an_id_should_be(rubbish) -> None:
    """What is no id is left out."""
    output = {"type": "code_execution_output"} | rubbish if isinstance(rubbish, dict) else rubbish
    result = {"type": "code_execution_result", "content": [output]}
    assert [] == generated([{"type": "code_execution_tool_result", "content": result}])


# ---- fetching ------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(shared_api):
    return Files(base_url=shared_api.base_url, api_key=shared_api.api_key)


@pytest.fixture
def make(shared_api):
    return lambda name, data, **more: FileId(add_generated(name, data, dir=shared_api.dir, **more))


FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})


def parquet() -> bytes:
    return FRAME.to_parquet(None)


def feather() -> bytes:
    data = io.BytesIO()
    FRAME.to_feather(data)
    return data.getvalue()


def xlsx() -> bytes:
    data = io.BytesIO()
    FRAME.to_excel(data, index=False)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "mime_type"),
    [
        ("t.csv", FRAME.to_csv(index=False).encode(), None),
        ("t.csv", FRAME.to_csv(index=False).encode(), "text/plain"),
        ("t.tsv", FRAME.to_csv(index=False, sep="\t").encode(), None),
        ("t.jsonl", FRAME.to_json(orient="records", lines=True).encode(), None),
        ("t.parquet", parquet(), None),
        ("t.parquet", parquet(), "application/octet-stream"),
        ("t.feather", feather(), None),
        ("t.xlsx", xlsx(), None),
        ("table", FRAME.to_csv(index=False).encode(), "text/csv"),
    ],
)
def test_a_table_is_read_as_a_frame(files, make, name, data, mime_type) -> None:
    """Tables come back as the frame they were, by their ending, else by their type."""
    pd.testing.assert_frame_equal(FRAME, files.read(make(name, data, mime_type=mime_type)), check_dtype=False)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
def test_a_picture_is_read_as_an_image(files, make, kind) -> None:
    """Pictures come back as images, which a notebook shows."""
    data = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(data, kind)
    assert (3, 2) == files.read(make(f"p.{kind}", data.getvalue())).size


@pytest.mark.parametrize("name", ["n.txt", "n.md", "n.json", "n.py", "n.html", "n.svg", "notes"])
def test_a_text_is_read_as_text(files, make, name) -> None:
    """Texts come back as text, JSON among them, without a byte order mark."""
    mime_type = "text/plain" if name == "notes" else None
    assert "für {}\n" == files.read(make(name, "\ufefffür {}\n".encode(), mime_type=mime_type))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("r.pdf", b"%PDF-", "r.pdf is application/pdf, neither table, image nor text"),
        ("r.bin", b"\x00", "r.bin is application/octet-stream, neither table, image nor text"),
        ("r.png", b"\x89PNG\r\n\x1a\nno", "r.png is not image/png that can be read: "),
        ("r.parquet", b"PAR1no", "r.parquet is not application/vnd.apache.parquet that can be read: "),
        ("r.xlsx", b"PK\x03\x04no", "r.xlsx is not "),
        ("r.csv", b"", "r.csv is not text/csv that can be read: "),
        ("r.txt", b"\xff\xfe\x00", "r.txt is not text/plain that can be read: "),
    ],
)
def test_what_cannot_be_read(files, make, name, data, message, tmp_path, monkeypatch) -> None:
    """What is no table, image or text is refused before it is fetched, and rubbish in one line; nothing is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError) as caught:
        files.read(make(name, data))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [] == list(tmp_path.iterdir())


def test_what_was_uploaded_cannot_be_read(files) -> None:
    """The server's own reason is given, whatever the type."""
    for name in ("a.txt", "a.pdf"):
        with pytest.raises(NotDownloadableError):
            files.read(files.upload(nbfiles.text("x", name="a.txt"), name=name, fresh=True))


def test_many_are_fetched_at_once(files, make, tmp_path) -> None:
    """Files of a response lie in a folder; where some fail, the others are there and the error says which failed."""
    one, two = make("one.csv", b"1"), make("two.csv", b"2")
    outputs = [{"type": "code_execution_output", "file_id": str(each)} for each in (one, two)]
    response = [
        {"type": "code_execution_tool_result", "content": {"type": "code_execution_result", "content": outputs}}
    ]
    to = tmp_path / "new"
    assert [to / "one.csv", to / "two.csv"] == files.download_files(response, to)
    with pytest.raises(nbfiles.PartialError, match="1 of 2 files could not be fetched: ") as caught:
        files.download_files([one, make("three.csv", b"3")], to)
    assert ["failed", "downloaded"] == caught.value.table["status"].tolist()
    assert {"one.csv", "two.csv", "three.csv"} == {path.name for path in to.iterdir()}


def test_the_awaited_twins(files, make, tmp_path) -> None:
    """The twins read and fetch in a running loop."""

    async def main():
        return await files.read_async(make("a.txt", b"x")), await files.download_files_async(
            [make("b.txt", b"y")], tmp_path
        )

    assert ("x", [tmp_path / "b.txt"]) == asyncio.run(main())
