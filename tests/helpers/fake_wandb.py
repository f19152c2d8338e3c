"""W&B service on loopback, from the standard library: enough for the real client's runs, artifacts, sweeps, views.

    with FakeWandb() as service:
        ...run a process with service.env(home)...
        run = service.runs["PROJECT", "RUN_ID"]
        run.history, run.summary, run.config, run.files, run.complete, service.artifacts, service.sweeps, service.views
    assert service.unknown == []

`service.fail = lambda method, path, op: ...` is called before each request is answered: a number that it returns is
the HTTP status to answer instead, a `Delay` the seconds to wait first.
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
    """The service, which answers in a thread while it is open.

    Attributes:
        ops: Count of each kind of request: `graphql UpsertBucket`, `POST /files/E/P/R/file_stream`, …
        requests: Every request: time, method, path, operation, variables.
        unknown: Requests without an answer. Tests assert that it is empty, so that an upgrade of wandb with new
            requests is noticed.
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
        """Start to answer, again at the same address after `close`."""
        if self.gone:
            self.gone, self.httpd = False, _server(self, self.httpd.server_port)
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and close the open ones."""
        self.gone = True
        self.httpd.shutdown()
        self.httpd.server_close()

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """Return the environment of a process that has an account at this service."""
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
            request = json.loads(body) if path == "/graphql" else None
            op = _operation(request) if request else None
            variables = (request.get("variables") or {}) if request else {"bytes": len(body)}
            with self.lock:
                self.ops[f"graphql {op}" if request else f"{method} {_shape(path)}"] += 1
                self.requests.append((time.time(), method, path, op, variables))
            failure = self.fail(method, path, op) if self.fail else None
            if isinstance(failure, Delay):
                time.sleep(failure)
            elif failure is not None:
                _send(http, failure, {"error": "injected"})
                return
            with self.lock:
                code, content = self._graphql(op, request) if request else self._rest(method, path, body)
            _send(http, code, content)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client hung up
        except Exception as error:  # a bug in here must be seen, not retried by the client for ever
            self.unknown.append((repr(error), path))
            _send(http, 400, {"error": repr(error)})

    def _graphql(self, op: str | None, request: dict[str, Any]) -> tuple[int, Any]:
        answer = getattr(self, f"gql_{op}", None)
        variables = request.get("variables") or {}
        if answer is None:
            self.unknown.append((op, request["query"], variables))
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
        """Return the URL to which the client uploads a file."""
        return self.url + "/blob/" + "/".join(urllib.parse.quote(str(part)) for part in key)


def account(home: Path) -> dict[str, str]:
    """Return this process's environment with another home, without a W&B account, and with a quiet wandb."""
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


def _operation(request: dict[str, Any]) -> str:
    match = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])
    return request.get("operationName") or (match[1] if match else "?")


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
