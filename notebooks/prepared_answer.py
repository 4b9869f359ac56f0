"""A Messages API on this machine that gives one prepared answer, for a notebook that has no account.

The answer is not Claude's: it was written by hand in the form of the API's documentation, and `serve` fills in the ids
of two files that it puts into the local Files API as code execution would.
"""

import json
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

from nbfiles.local import add_generated

MASSES = {"Adelie": 3701, "Chinstrap": 3733, "Gentoo": 5076}  # grams, the means of penguins.csv


def chart(masses):
    """Return a bar chart of `masses` as PNG, drawn without any library."""
    width, height = 90 * len(masses), 200
    pixels = [bytearray(b"\xff\xff\xff" * width) for _ in range(height)]
    for number, mass in enumerate(masses.values()):
        for row in range(height - mass // 30, height):
            pixels[row][(90 * number + 20) * 3 : (90 * number + 70) * 3] = b"\x19\x76\xd2" * 50
    packed = zlib.compress(b"".join(b"\0" + bytes(row) for row in pixels))

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", packed) + part(b"IEND", b"")


def answer(file_ids):
    """Return a message in which code execution made the files `file_ids`."""
    outputs = [{"type": "bash_code_execution_output", "file_id": file_id} for file_id in file_ids]
    return {
        "id": "msg_prepared",
        "type": "message",
        "role": "assistant",
        "model": "prepared-answer",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "content": [
            {
                "type": "server_tool_use",
                "id": "srvtoolu_1",
                "name": "bash_code_execution",
                "input": {"command": "python means.py"},
            },
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": {
                    "type": "bash_code_execution_result",
                    "stdout": "",
                    "stderr": "",
                    "return_code": 0,
                    "content": outputs,
                },
            },
            {
                "type": "text",
                "text": "Gentoo penguins are the heaviest by far. The means are in mean-mass.csv, drawn in mean-mass.png.",
            },
        ],
    }


def serve():
    """Start the API; return its address. It ends with the notebook."""
    rows = "".join(f"{species},{mass}\n" for species, mass in MASSES.items())
    made = [
        add_generated("mean-mass.csv", f"species,body_mass_g\n{rows}".encode()),
        add_generated("mean-mass.png", chart(MASSES)),
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            used = {block["type"] for message in asked["messages"] for block in message["content"]}
            tools = {tool["name"] for tool in asked.get("tools", [])}
            if "container_upload" in used and "code_execution" not in tools:  # as the real one
                return self.reply(
                    400,
                    {
                        "type": "error",
                        "error": {
                            "type": "invalid_request_error",
                            "message": "container_upload needs the code execution tool",
                        },
                    },
                )
            return self.reply(200, answer(made))

        def reply(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
