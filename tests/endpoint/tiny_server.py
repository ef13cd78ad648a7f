"""llama-cpp-python's server with a model of some thousand random weights, and a proxy that lets it fail."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

CHARACTERS = [chr(byte) for byte in range(33, 127)]
WIDTH, HEADS, HIDDEN, CONTEXT = 32, 2, 64, 512


def write_model(path: Path) -> None:
    """A Llama of one layer: its tokens are printable characters, a space, a line's end, ab and an end."""
    import gguf

    tokens = [*CHARACTERS, "Ġ", "Ċ", "ab", "<end>"]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])  # without one it is not read
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    rng = np.random.default_rng(0)
    matrices = {
        "token_embd": (len(tokens), WIDTH),
        "output": (len(tokens), WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (HIDDEN, WIDTH),
        "blk.0.ffn_up": (HIDDEN, WIDTH),
        "blk.0.ffn_down": (WIDTH, HIDDEN),
    }
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", (0.2 * rng.standard_normal(shape)).astype(np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def llama_server(model: Path, log: Path) -> Iterator[int]:
    """The real server, as a process of its own; the port that it listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1"]
    more = ["--port", str(port), "--n_ctx", str(CONTEXT), "--n_threads", "1", "--model_alias", "tiny"]
    with log.open("wb") as said:
        process = subprocess.Popen([*command, *more], stdout=said, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 120
        while not _answers(port):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until, log.read_text(errors="replace")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


Fault = Callable[["Passing"], bool]
"""What a proxy does in place of passing a request on, or before; True: that was all."""


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a port, and does in turn what its faults say."""

    daemon_threads = True

    def __init__(self, port: int, faults: list[Fault | None]) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.port = port
        self.faults = faults
        self.done: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: Any) -> None:
        """A connection that was cut is no news."""


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is None or not fault(self):
            self.reply(*self.passed_on())
            with self.server.lock:
                self.server.done.append("passed")

    def passed_on(self) -> tuple[int, bytes]:
        """What the server says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def reply(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> bool:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True

    def note(self, what: str) -> None:
        with self.server.lock:
            self.server.done.append(what)


def too_many(one: Passing) -> bool:
    """429, and when to come again."""
    one.note("429")
    one.reply(429, json.dumps({"error": {"message": "slow down"}}).encode(), Retry_After="0.05")
    return True


def broken(one: Passing) -> bool:
    """500."""
    one.note("500")
    one.reply(500, b"Internal Server Error")
    return True


def cut_before(one: Passing) -> bool:
    """The connection ends before anything is drawn."""
    one.note("cut before")
    return one.cut()


def cut_within(one: Passing) -> bool:
    """The server has drawn, and half of its answer arrives."""
    status, content = one.passed_on()
    one.note("cut within")
    one.send_response(status)
    one.send_header("Content-Length", str(len(content)))
    one.end_headers()
    one.wfile.write(content[: len(content) // 2])
    one.wfile.flush()
    return one.cut()


def slow(one: Passing) -> bool:
    """An answer that takes longer than anybody waits."""
    one.note("slow")
    time.sleep(SLOW)
    return False


SLOW = 10.0
"""Seconds."""


@contextmanager
def proxy(port: int, faults: list[Fault | None]) -> Iterator[Proxy]:
    """Such a proxy, at work."""
    with Proxy(port, faults) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
