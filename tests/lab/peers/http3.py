"""A server and a client that speak HTTP/3, for the lab; both are aioquic.

    http3.py serve FOLDER ADDRESS PORT [--retry] [--versions 1,2]
    http3.py ask ADDRESS PORT HOST [options] [METHOD:]TARGET...

The server has its certificate and `documents` in FOLDER, and writes there `keys.log` (as SSLKEYLOGFILE) and
`access.log`, one JSON object for each request. The client asks on one connection and prints one
status for each target.
"""

import argparse
import asyncio
import json
import mimetypes
import os
import pathlib

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import CipherSuite

VERSIONS = {"1": QuicProtocolVersion.VERSION_1, "2": QuicProtocolVersion.VERSION_2}


def versions(text):
    return [VERSIONS[one] for one in text.split(",")]


class Server(QuicConnectionProtocol):
    """Answers with a document, or the status that a target under /status/ names, 404 under /missing, else 200."""

    log = documents = None

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.http, self.heads = None, {}

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.heads[one.stream_id] = dict(one.headers)
            if isinstance(one, (HeadersReceived, DataReceived)) and one.stream_ended:
                self.answer(one.stream_id, self.heads.pop(one.stream_id))

    def answer(self, stream, head):
        target, method = head[b":path"].decode(), head[b":method"].decode()
        path = target.partition("?")[0]
        status = "404" if path.startswith("/missing") else "200"
        status = path.rpartition("/")[2] if path.startswith("/status/") else status
        document = self.documents / path.lstrip("/")
        page = document.read_bytes() if document.is_file() else b"a page\n" * 100
        body = b"" if method == "HEAD" or status == "204" else page
        kind = mimetypes.guess_type(path)[0] or "text/plain"
        fields = {":status": status, "server": "aioquic", "content-type": kind}
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields.items()],
                               end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        address, port = self._quic._network_paths[0].addr[:2]
        line = {"src": address, "src_port": str(port), "method": method, "host": head[b":authority"].decode(),
                "target": target, "version": "HTTP/3", "status": status}
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.http, self.waiting, self.statuses = H3Connection(self._quic), {}, {}

    def quic_event_received(self, event):
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.statuses[one.stream_id] = dict(one.headers)[b":status"].decode()
            if isinstance(one, (HeadersReceived, DataReceived)) and one.stream_ended:
                self.waiting.pop(one.stream_id).set_result(self.statuses[one.stream_id])

    def ask(self, method, host, target):
        stream = self._quic.get_next_available_stream_id()
        head = {":method": method, ":scheme": "https", ":authority": host, ":path": target, "user-agent": "lab"}
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in head.items()],
                               end_stream=True)
        self.transmit()
        return asyncio.wait_for(self.waiting[stream], 10)


async def run_server(args):
    folder = pathlib.Path(args.folder)
    Server.log = (folder / "access.log").open("a")
    Server.documents = folder / "documents"
    keys = open(os.open(folder / "keys.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "a", buffering=1)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"], secrets_log_file=keys,
                                      supported_versions=versions(args.versions))
    configuration.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    tickets = {}
    await serve(args.address, args.port, configuration=configuration, create_protocol=Server, retry=args.retry,
                session_ticket_fetcher=lambda name: tickets.pop(name, None),
                session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket))
    await asyncio.Event().wait()


def client_configuration(args):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], verify_mode=0, server_name=args.host,
                                      supported_versions=versions(args.versions))
    if args.large:  # as large as a hello with several post-quantum keys
        configuration.alpn_protocols += [f"protocol-{number:03}" for number in range(200)]
    if args.suite:
        configuration.cipher_suites = [CipherSuite[args.suite]]
    configuration.original_version = versions(args.versions)[0]
    return configuration


async def run_client(args):
    tickets = []
    if args.early:
        async with connect(args.address, args.port, configuration=client_configuration(args), create_protocol=Client,
                           session_ticket_handler=tickets.append) as client:
            print(await client.ask("GET", args.host, "/before"), flush=True)
    configuration = client_configuration(args)
    configuration.session_ticket = tickets[-1] if tickets else None
    async with connect(args.address, args.port, configuration=configuration, create_protocol=Client,
                       wait_connected=not args.early) as client:
        for number, words in enumerate(args.targets):
            method, _, target = words.rpartition(":")
            if number and args.update:
                client._quic.request_key_update()
            if number and args.migrate:
                await migrate(client)
            print(await client.ask(method or "GET", args.host, target), flush=True)


async def migrate(client):
    """Goes on from another port, under another of the server's names."""
    client._quic.change_connection_id()
    loop = asyncio.get_running_loop()
    client._transport, _ = await loop.create_datagram_endpoint(lambda: client, local_addr=("::", 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("folder")
    server.add_argument("--retry", action="store_true")
    client = commands.add_parser("ask")
    for command in (server, client):
        command.add_argument("address")
        command.add_argument("port", type=int)
        command.add_argument("--versions", default="1,2")
    client.add_argument("host")
    client.add_argument("targets", nargs="+")
    client.add_argument("--suite")
    for flag in ("--large", "--update", "--migrate", "--early"):
        client.add_argument(flag, action="store_true")
    args = parser.parse_args()
    asyncio.run((run_server if args.command == "serve" else run_client)(args))


if __name__ == "__main__":
    main()
