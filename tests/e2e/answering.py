"""Runs in a pod: a server that answers its mode, tells which scheme it was told of, and knows one health path."""

import http.server
import os

MODE, HEALTH = os.environ["MODE"], os.environ["HEALTH"]
ANY_HEALTH = ("/health", "/healthz", "/v1/ready")


class Handler(http.server.BaseHTTPRequestHandler):
    """Every other health path than its own is not found."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The mode, and the scheme in a header."""
        found = self.path == HEALTH or self.path not in ANY_HEALTH
        body = MODE.encode()
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-seen-proto", str(self.headers["x-forwarded-proto"]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
