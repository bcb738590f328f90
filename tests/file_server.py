"""A web server on this machine that can be told to fail."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """Files of the server, its behaviour, and the requests that it received."""

    files: dict[str, bytes] = field(default_factory=dict)
    address: str = ""
    ranges: bool = True  # whether it answers requests for a Range
    tags: bool = True  # whether it identifies versions by ETag
    drops: list[int] = field(default_factory=list)  # bytes after which the connection breaks off, one per request
    ranges_asked: list[str | None] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)  # number of bytes, one per request
    agents: list[str | None] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            site.ranges_asked.append(wanted)
            site.agents.append(self.headers["User-Agent"])
            body = site.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            start = 0
            if wanted and site.ranges and self.headers["If-Range"] in (None, tag):
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start and start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if site.tags:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            stop = start + site.drops.pop(0) if site.drops else len(body)
            site.sent.append(len(body[start:stop]))  # before the client can have received everything
            self.wfile.write(body[start:stop])
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
