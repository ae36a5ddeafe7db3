"""A hub on this machine: one model, spoken of and handed out as the real one does, or with faults."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "c" * 40


@dataclass
class Hub:
    """files: by name. cut: bytes after which a connection breaks, once for each file. asked: every request."""

    files: dict[str, bytes]
    url: str = ""
    cut: int = 0
    hold: int = 0
    """Bytes after which an answer waits for `go_on`."""
    go_on: Event = field(default_factory=Event)
    lie: str = ""
    """A file whose content is not the one announced."""
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    """What files are called in the listing, where that is not their name."""

    def info(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            one: dict[str, Any] = {"rfilename": self.names.get(name, name), "size": len(data), "blobId": blob}
            if name.endswith((".safetensors", ".bin")):
                sha256 = hashlib.sha256(data).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(one)
        return {"_id": "1", "id": "owner/fox", "modelId": "owner/fox", "sha": COMMIT, "siblings": siblings, "tags": []}


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    """The hub, while the block runs."""
    hub = Hub(files)
    cut: set[str] = set()

    class Answer(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path)
            hub.asked.append((path, self.headers.get("Range", "")))
            hub.tokens.add(self.headers.get("Authorization", ""))
            if hub.status != 200:
                return self._send(hub.status, b"{}", **({"X-Error-Code": "GatedRepo"} if hub.status == 403 else {}))
            if path in ("/api/models/owner/fox", "/api/models/owner/fox/revision/main"):
                return self._send(200, json.dumps(hub.info()).encode())
            if path.startswith("/api/"):
                code = "RevisionNotFound" if path.startswith("/api/models/owner/fox/") else "RepoNotFound"
                return self._send(404, b"{}", **{"X-Error-Code": code})
            name = path.removeprefix(f"/owner/fox/resolve/{COMMIT}/")
            if name not in hub.files:
                return self._send(404, b"")
            data = hub.files[name] if name != hub.lie else bytes(len(hub.files[name]))
            first = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers.get("Range") else 0
            rest = data[first:]
            if hub.cut and name not in cut and len(rest) > hub.cut:
                cut.add(name)
                return self._send(206 if first else 200, rest[: hub.cut], length=len(rest))
            return self._send(206 if first else 200, rest)

        def _send(self, status: int, data: bytes, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            at = hub.hold if 0 < hub.hold < len(data) else len(data)
            self.wfile.write(data[:at])
            if at < len(data) and hub.go_on.wait(60):
                with suppress(OSError):  # whoever asked may be gone
                    self.wfile.write(data[at:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
