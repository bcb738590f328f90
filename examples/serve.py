"""Translate over HTTP with the standard library alone.

    python examples/serve.py runs/quickstart --port 8000
    curl -d '{"text": "The teacher buys a book."}' localhost:8000     {"translations": ["Der Lehrer kauft ein Buch."]}
    curl -d '{"text": ["One sentence.", "Two."]}' localhost:8000      one translation for each

What is promised about threads: all of them may share one `Translator`. A sentence gets the translation that it gets
alone, whatever else is translated at the same time (in float32). The first request of a kind makes a graph, which
others of that kind wait for; from then on requests are computed side by side and share the cores, so that two at once
take about as long as one after the other. On a GPU, models that are used at the same time are to have one precision.

What this is not: it has no password and no limit on requests. It listens to this machine alone; put a proxy in front.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from seq2seq import Seq2SeqError, Translator


class Handler(BaseHTTPRequestHandler):
    """Answers POST with `{"text": ...}`, a sentence or a list of them; the server has the translator."""

    def do_POST(self):
        try:
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            found = self.server.translator.translate([text] if isinstance(text, str) else list(text), attention=False)
            self.answer(200, {"translations": [translation.text for translation in found]})
        except (AttributeError, KeyError, TypeError, ValueError, Seq2SeqError) as error:
            self.answer(400, {"error": f'expected {{"text": "A sentence."}} or a list of sentences: {error!r}'})

    def answer(self, status, values):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(values, ensure_ascii=False).encode())


def make_server(translator, port):
    """A server of this machine on a port; 0: a free one, which `server_port` tells."""
    server = ThreadingHTTPServer(("localhost", port), Handler)
    server.translator = translator
    return server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="model directory")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    server = make_server(Translator.load(given.model), given.port)
    print(f"http://localhost:{server.server_port}  Ctrl-C ends it")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
