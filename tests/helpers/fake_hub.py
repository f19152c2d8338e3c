"""Hugging Face Hub on loopback, from the standard library: enough for the real client to push and fetch a model.

with FakeHub() as hub:
    ...run the client with HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET=1...
    hub.repos["USER/REPO"]["main"]["model.safetensors"]
assert hub.unknown == []
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_" + "x" * 34


class FakeHub:
    """The service; a thread of its own answers while it is open.

    Attributes:
        repos: Files of every revision of every repository.
        private: Names of those that are made private.
        requests: Method and path of all requests.
        unknown: Those that it has no answer to.
        fail: HTTP status to answer everything with, if there is one.
    """

    def __init__(self):
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.unknown: list[tuple[str, str]] = []
        self.fail: int | None = None
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"

    def __enter__(self):
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """A commit that adds files to `main`; returns its name."""
        revisions = self.repos.setdefault(repo, {"main": {}})
        revisions["main"] = {**revisions["main"], **files}
        sha = _sha(revisions["main"])
        revisions[sha] = revisions["main"]
        return sha

    def answer(self, method: str, path: str, body: bytes, token: str | None):
        """Status, headers and body of the answer to a request."""
        self.requests.append((method, path))
        if self.fail:
            return self.fail, {}, b"{}"
        for pattern, handle in (
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", lambda body, token: _json({"errors": [], "warnings": []})),
            (r"/api/models/([^/]+/[^/]+)/preupload/main", self._preupload),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            # what the client puts into its user agent
            (r"/api/agent-harnesses", lambda body, token: _error(404, "Not found")),
            (r"/blobs/(\w+)", self._blob),
            (r"/api/models/([^/]+/[^/]+)/commit/main", self._commit),
            (r"/api/models/([^/]+/[^/]+)", self._info),
            (r"/api/models/([^/]+/[^/]+)/revision/(.+)", self._info),
            (r"/api/models/([^/]+/[^/]+)/tree/(\w+)", self._tree),
            (r"/([^/]+/[^/]+)/resolve/(\w+)/(.+)", self._resolve),
        ):
            if match := re.fullmatch(pattern, path.partition("?")[0]):
                return handle(*map(urllib.parse.unquote, match.groups()), body, token)
        self.unknown.append((method, path))
        return 500, {}, b""

    def _create(self, body, token):
        request = json.loads(body)
        repo = f"{request.get('organization') or 'somebody'}/{request['name']}"
        if token != TOKEN:
            return _error(401, "Invalid username or password.")
        if repo in self.repos:
            return _json({"error": "You already created this model repo", "url": f"{self.url}/{repo}"}, 409)
        self.commit(repo, {})
        if request.get("private") or request.get("visibility") == "private":
            self.private.add(repo)
        return _json({"url": f"{self.url}/{repo}", "name": repo, "id": "1"})

    def _preupload(self, repo, body, token):
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return _json({"files": modes})

    def _batch(self, repo, body, token):
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.url}/blobs/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        return _json({"transfer": "basic", "objects": objects})

    def _blob(self, oid, body, token):
        self.blobs[oid] = body
        return 200, {}, b""

    def _commit(self, repo, body, token):
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
        sha = self.commit(repo, files)
        return _json({"success": True, "commitOid": sha, "commitUrl": f"{self.url}/{repo}/commit/{sha}"})

    def _info(self, repo, *rest):
        *revision, _body, token = rest
        if repo not in self.repos or (repo in self.private and token != TOKEN):
            return _error(401 if token is None else 404, "Repository not found", "RepoNotFound")
        files = self.repos[repo].get((revision or ["main"])[0])
        if files is None:
            return _error(404, "Invalid rev id", "RevisionNotFound")
        return _json({"id": repo, "sha": _sha(files), "siblings": [{"rfilename": name} for name in files]})

    def _tree(self, repo, sha, body, token):
        return _json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.repos[repo][sha].items()
            ]
        )

    def _resolve(self, repo, sha, name, body, token):
        content = self.repos[repo][sha].get(name)
        if content is None:
            return _error(404, "Entry not found", "EntryNotFound")
        return 200, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content


def _sha(files: dict[str, bytes]) -> str:
    content = b"".join(name.encode() + hashlib.sha1(content).digest() for name, content in sorted(files.items()))
    return hashlib.sha1(content).hexdigest()


def _json(content, status=200):
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _error(status, message, code=None):
    return status, {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}, b"{}"


def _handler(hub: FakeHub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            body = self._body()
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            status, headers, content = hub.answer(self.command, self.path, body, token)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _body(self):
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler
