"""Catches what is posted and mailed: catchers.py web|mail|starttls|smtps PORT FILE [CERTIFICATE KEY]

The last two take mail under TLS only, and only of the user "tap" with the password "hush".
Each body or mail becomes one line of FILE, flushed before it is answered."""

import asyncio
import http.server
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
caught = open(path, "a", buffering=1)


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        caught.write(json.dumps({"path": self.path, "token": self.headers["Authorization"], "body": body}) + "\n")
        caught.flush()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Mail:
    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode()
        caught.write(json.dumps({"to": envelope.rcpt_tos, "mail": text}) + "\n")
        caught.flush()
        return "250 taken"


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    return context


def knows(server, session, envelope, mechanism, data):
    known = data.login == b"tap" and data.password == b"hush"
    return AuthResult(success=known, handled=False)


LOGIN = {"authenticator": knows, "auth_required": True}
MAIL = {
    "mail": lambda: {},
    "starttls": lambda: {"tls_context": tls(), "require_starttls": True, **LOGIN},
    # What it does not know of is that all of the connection is under TLS.
    "smtps": lambda: {"ssl_context": tls(), "auth_require_tls": False, **LOGIN},
}

if kind == "web":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Web)
    server.socket = tls().wrap_socket(server.socket, server_side=True)
    server.serve_forever()
else:
    Controller(Mail(), hostname="127.0.0.1", port=port, **MAIL[kind]()).start()
    asyncio.new_event_loop().run_forever()
