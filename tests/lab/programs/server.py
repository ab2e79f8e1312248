#!/usr/bin/env python3
"""A web server of Python's own, with HTTPS and a TLS key log: server.py FOLDER PORT.

Logs what it served as JSON lines, in FOLDER/access.log.
"""

import http.server
import json
import os
import ssl
import sys

folder, port = sys.argv[1], int(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status = 404 if self.path.startswith("/missing") else 200
        body = b"hello\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_request(self, code="-", size="-"):
        facts = {"src": self.client_address[0], "src_port": str(self.client_address[1]), "method": self.command,
                 "host": self.headers["Host"], "target": self.path, "version": self.request_version,
                 "status": str(int(code))}
        with open(f"{folder}/access.log", "a") as log:
            log.write(json.dumps(facts) + "\n")


os.umask(0o077)  # nobody else may read the keys
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
context.keylog_filename = f"{folder}/keys.log"
server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
