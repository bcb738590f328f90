"""Translate over HTTP, with the server of the standard library.

    python examples/serve.py runs/quickstart --port 8000
    curl -d '{"text": "The teacher buys a book."}' localhost:8000     {"translations": ["Der Lehrer kauft ein Buch."]}
    curl -d '{"text": ["One sentence.", "Two."]}' localhost:8000      one translation for each

Threads may share one `Translator`. In float32, a sentence gets the same translation whether or not other sentences are
translated at the same time. The first request of a kind builds a graph, and other requests of that kind wait for it;
later requests run in parallel and share the cores, so two at once take about as long as two in turn. On a GPU, models
that are used at the same time must have the same precision.

This server has no authentication and no limit on requests, and accepts connections from this machine only. To open it
to others, put a proxy in front of it.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from seq2seq import Seq2SeqError, Translator

EXPECTED = 'expected a POST of {"text": "A sentence."}, or of a list of sentences: {"text": ["One.", "Two."]}'


class Handler(BaseHTTPRequestHandler):
    """Answer POST requests with `{"text": ...}`, a sentence or a list of sentences; errors are JSON, too."""

    def do_POST(self):
        try:
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            found = self.server.translator.translate([text] if isinstance(text, str) else list(text), attention=False)
            self.answer(200, {"translations": [translation.text for translation in found]})
        except (KeyError, TypeError, ValueError):
            self.send_error(400)
        except Seq2SeqError as error:
            self.answer(400, {"error": str(error)})

    def send_error(self, code, message=None, explain=None):
        """Answer with an error as JSON, where the base class sends HTML, e.g. for a GET request."""
        self.answer(code, {"error": EXPECTED})

    def answer(self, status, values):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(values, ensure_ascii=False).encode())


def make_server(translator, port):
    """Make a server on a port of this machine; 0 stands for any free port, see `server_port`."""
    server = ThreadingHTTPServer(("localhost", port), Handler)
    server.translator = translator
    return server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="model directory")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    server = make_server(Translator.load(given.model), given.port)
    print(f"http://localhost:{server.server_port}  Ctrl-C to stop")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
