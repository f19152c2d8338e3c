"""A W&B service on loopback, of the standard library: enough for the real client's runs, artifacts, sweeps, views.

    with FakeWandb() as service:
        ...run a process with service.env(home)...
        run = service.runs["PROJECT", "RUN_ID"]
        run.history, run.summary, run.config, run.files, run.complete, service.artifacts, service.sweeps, service.views
    assert service.unknown == []

`service.fail = lambda method, path, op: ...` is asked before each request is answered: a number that it returns is the
HTTP status to answer instead, a `Delay` how long to wait first.
"""

import collections
import gzip
import json
import os
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.fake_wandb_graphql import Artifacts, Runs
from tests.helpers.fake_wandb_sweeps import Sweeps, Views

KEY = "x" * 40


class Delay(float):
    """Seconds to wait before an answer."""


class FakeWandb(Runs, Artifacts, Sweeps, Views):
    """The service; a thread of its own answers while it is open.

    Attributes:
        ops: How often each kind of request came: `graphql UpsertBucket`, `POST /files/E/P/R/file_stream`, …
        requests: All of them: time, method, path, operation, variables.
        unknown: What it has no answer to. Tests must see that it is empty: then an upgrade of wandb that asks for
            something new is noticed.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.blobs: dict[str, bytes] = {}
        self.ops: collections.Counter[str] = collections.Counter()
        self.requests: list[tuple[float, str, str, str | None, dict[str, Any]]] = []
        self.unknown: list[tuple[Any, ...]] = []
        self.fail: Callable[[str, str, str | None], int | Delay | None] | None = None
        self.gone = False
        self.httpd = _server(self, port)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"

    def __enter__(self) -> "FakeWandb":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Begin to answer, or to do so again at the same address."""
        if self.gone:
            self.gone, self.httpd = False, _server(self, self.httpd.server_port)
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Be gone: from now on connections are refused, and those that are open are closed."""
        self.gone = True
        self.httpd.shutdown()
        self.httpd.server_close()

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a process that has an account here, and nothing of the person who runs the tests."""
        return {**account(home), "WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, **more}

    # ---- HTTP --------------------------------------------------------------------------------------------------------

    def handle(self, http: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request."""
        if self.gone:
            http.close_connection = True
            return
        size = int(http.headers.get("Content-Length") or 0)
        body = http.rfile.read(size) if size else b""
        if http.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        path = urllib.parse.unquote(urllib.parse.urlsplit(http.path).path)
        try:
            asked = json.loads(body) if path == "/graphql" else None
            op = _operation(asked) if asked else None
            variables = (asked.get("variables") or {}) if asked else {"bytes": len(body)}
            with self.lock:
                self.ops[f"graphql {op}" if asked else f"{method} {_shape(path)}"] += 1
                self.requests.append((time.time(), method, path, op, variables))
            said = self.fail(method, path, op) if self.fail else None
            if isinstance(said, Delay):
                time.sleep(said)
            elif said is not None:
                _send(http, said, {"error": "injected"})
                return
            with self.lock:
                code, content = self._graphql(op, asked) if asked else self._rest(method, path, body)
            _send(http, code, content)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client hung up
        except Exception as error:  # a bug in here must be seen, not retried by the client for ever
            self.unknown.append((repr(error), path))
            _send(http, 400, {"error": repr(error)})

    def _graphql(self, op: str | None, asked: dict[str, Any]) -> tuple[int, Any]:
        answer = getattr(self, f"gql_{op}", None)
        variables = asked.get("variables") or {}
        if answer is None:
            self.unknown.append((op, asked["query"], variables))
            return 200, {"data": None, "errors": [{"message": f"fake: no operation {op}"}]}
        return 200, {"data": answer(variables)}

    def _rest(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if match := re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", path):
            return 200, self.file_stream((match[2], match[3]), json.loads(body))
        if path.startswith("/blob/"):
            key = path.removeprefix("/blob/")
            if method == "PUT":
                self.blobs[key] = body
                if match := re.match(r"run/([^/]+)/([^/]+)/(.*)", key):
                    self.runs[match[1], match[2]].files[match[3]] = body
                return 200, {}
            return (200, self.blobs[key]) if key in self.blobs else (404, {})
        if path.startswith("/sdk/otel/"):  # the client's own telemetry
            return 200, {}
        self.unknown.append((method, path, len(body)))
        return 404, {"error": "not found"}

    def upload_url(self, *key: str) -> str:
        """Where the client is to put a file."""
        return self.url + "/blob/" + "/".join(urllib.parse.quote(str(part)) for part in key)


def account(home: Path) -> dict[str, str]:
    """This process's environment without its W&B account and home; wandb is told to be quiet."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    return {**clean, "HOME": str(home), "WANDB_CONSOLE": "off", "WANDB_X_DISABLE_STATS": "true"}


def _server(service: FakeWandb, port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(service))
    server.daemon_threads = True
    # clients that reset a kept-alive connection
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    return server


def _handler(service: FakeWandb) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            service.handle(self, "GET")

        def do_POST(self) -> None:
            service.handle(self, "POST")

        def do_PUT(self) -> None:
            service.handle(self, "PUT")

        def do_HEAD(self) -> None:
            service.handle(self, "HEAD")

    return Handler


def _operation(asked: dict[str, Any]) -> str:
    match = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
    return asked.get("operationName") or (match[1] if match else "?")


def _shape(path: str) -> str:
    if path.endswith("/file_stream"):
        return "/files/E/P/R/file_stream"
    return "/blob/run/R/FILE" if path.startswith("/blob/run/") else "/blob/KIND" if path.startswith("/blob/") else path


def _send(http: BaseHTTPRequestHandler, code: int, content: Any) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    http.send_response(code)
    http.send_header("Content-Type", "application/json")
    http.send_header("Content-Length", str(len(data)))
    http.end_headers()
    if http.command != "HEAD":
        http.wfile.write(data)
