"""A server that speaks OpenAI's protocol on loopback, and can be told to fail."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["Handler", dict[str, Any]], bool]
"""Told of each request; True: it has answered, or has seen to it that nothing does."""


def draw(prompt: str, seed: int) -> str:
    """What is drawn for a seed: a digit."""
    byte = hashlib.sha256(f"{prompt}|{seed}".encode()).digest()[0]
    return f" {byte % 10}"


class Speaking(ThreadingHTTPServer):
    """Sample j of a request with seed s is `draw(prompt, s + j)`, as vLLM counts seeds on."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[float, str, dict[str, str], dict[str, Any]]] = []
        self.faults: list[Fault | None] = []
        """For each request in turn; none once they are used up."""
        self.always: Fault | None = None
        self.most_choices: int | None = None
        self.change: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
        """Told of each answer before it goes, and of what was asked."""
        self.seconds = 0.0
        self.at_work = self.most_at_work = 0
        self.tokens = [0, 0]
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def bodies(self) -> list[dict[str, Any]]:
        return [body for *_, body in self.asked]

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Speaking

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append((time.monotonic(), self.path, dict(self.headers), body))
            server.at_work += 1
            server.most_at_work = max(server.most_at_work, server.at_work)
            fault = server.faults.pop(0) if server.faults else server.always
        try:
            if server.seconds:
                time.sleep(server.seconds)
            if fault is None or not fault(self, body):
                self.reply(200, self.answer(body))
        finally:
            with server.lock:
                server.at_work -= 1

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """What an honest server says."""
        chat = self.path.endswith("/chat/completions")
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        n = min(body["n"], self.server.most_choices or body["n"])
        choices = []
        for j in range(n):
            text = draw(str(prompt), body["seed"] + j)
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append({"index": j, "finish_reason": "length", **said})
        usage = {"prompt_tokens": len(str(prompt)), "completion_tokens": 2 * n}
        answer = {
            "id": f"reply-{time.monotonic_ns()}",
            "model": body["model"],
            "choices": choices,
            "usage": usage,
        }
        if self.server.change is not None:
            self.server.change(answer, body)
        with self.server.lock:
            self.server.tokens[0] += usage["prompt_tokens"]
            self.server.tokens[1] += usage["completion_tokens"]
        return answer

    def reply(self, status: int, data: Any, **headers: str) -> None:
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


def status(code: int, words: str = "not now", **headers: str) -> Fault:
    """An error in OpenAI's form."""

    def fault(handler: Handler, _: dict[str, Any]) -> bool:
        handler.reply(code, {"error": {"message": words, "code": None}}, **headers)
        return True

    return fault


def page(handler: Handler, _: dict[str, Any]) -> bool:
    """A proxy's page with status 200."""
    handler.reply(200, b"<html>Bad Gateway</html>")
    return True


def cut(handler: Handler, _: dict[str, Any]) -> bool:
    """The connection ends before the first byte of an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def cut_in_the_middle(handler: Handler, body: dict[str, Any]) -> bool:
    """The connection ends within the answer, all of which was drawn."""
    content = json.dumps(handler.answer(body)).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    return cut(handler, body)


def nothing(handler: Handler, _: dict[str, Any]) -> bool:
    """Choices, and none of them."""
    handler.reply(200, {"choices": []})
    return True


@contextmanager
def speaking() -> Iterator[Speaking]:
    """Such a server, at work."""
    with Speaking() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
