#!/usr/bin/env python3
"""Records what real QUIC clients and servers say to each other, for `making/quic.py`.

    tests/captures/record_quic.py            all
    tests/captures/record_quic.py NAME...    these

Each recording is a file in `recordings/`: the datagrams of both sides in their order, each with the
number of the client's address, the key log, the client's first hello, and the requests, each with
the place of the datagram that completed its head. Both sides are aioquic, but for one
client: Chromium (Debian's package). Run this with the Python that has aioquic (`scripts/deps` makes one: target/tools/aioquic/bin/python). Speaks over loopback only.
Keys are drawn anew each time; `make.py` never runs this.
"""

import asyncio
import asyncio.selector_events
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile

from aioquic import tls
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import CipherSuite

FOLDER = pathlib.Path(__file__).parent / "recordings"
HOST = "www.example.org"
V1, V2 = QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2
PATIENCE = 10  # seconds

CASES = {}


@dataclasses.dataclass
class Talk:
    """One conversation: how both sides are set up, and what the client does."""

    steps: list
    client: dict = dataclasses.field(default_factory=dict)
    server: dict = dataclasses.field(default_factory=dict)
    retry: bool = False
    early: bool = False
    refuse: bool = False


def talk(name, *steps, **how):
    CASES[name] = Talk(list(steps), **how)


def get(target, method="GET", host=HOST, more=(), body=b""):
    return ("ask", method, host, target, list(more), body)


UPDATE, SERVER_UPDATE, REBIND, MIGRATE = ("update",), ("server update",), ("rebind",), ("migrate",)
PLAIN = [get("/quic?q=1"), get("/status/404", "HEAD")]
MANY = [get(f"/many/{number}", more=[("x-note", f"the same long value {number % 3}")]) for number in range(12)]

talk("v1", *PLAIN)
talk("v2", *PLAIN, client={"original_version": V2, "supported_versions": [V2]}, server={"supported_versions": [V2]})
for suite in (CipherSuite.AES_128_GCM_SHA256, CipherSuite.AES_256_GCM_SHA384, CipherSuite.CHACHA20_POLY1305_SHA256):
    talk(suite.name.lower().replace("_", "-"), *PLAIN, client={"cipher_suites": [suite]},
         server={"cipher_suites": [suite]})
talk("many", *MANY, get("/status/204"), get("/large"), get("/post", "POST", body=b"x" * 5000), get("/status/500"))
talk("retry", *PLAIN, retry=True)
talk("retry-v2", *PLAIN, retry=True, client={"original_version": V2, "supported_versions": [V2]},
     server={"supported_versions": [V2]})
talk("negotiation", *PLAIN, client={"original_version": V1, "supported_versions": [V2, V1]},
     server={"supported_versions": [V2]})
talk("upgraded", *PLAIN, client={"original_version": V1, "supported_versions": [V2, V1]},
     server={"supported_versions": [V2, V1]})
talk("key-update", get("/1"), UPDATE, get("/2"), SERVER_UPDATE, get("/3"), UPDATE, UPDATE, get("/4"), UPDATE,
     get("/5"))
talk("early-data", get("/early"), get("/later"), early=True)
talk("early-data-refused", get("/early"), get("/later"), early=True, refuse=True)
talk("rebinding", get("/1"), REBIND, get("/2"), REBIND, get("/3"))
talk("migration", get("/1"), MIGRATE, get("/2"), MIGRATE, get("/3"), MIGRATE, get("/4"))
# Two hundred protocols that nobody speaks: a hello as large as one with several post-quantum keys.
talk("large-hello", *PLAIN, client={"alpn_protocols": ["h3"] + [f"protocol-{number:03}" for number in range(200)]})
talk("no-name", *PLAIN, client={"server_name": None})
talk("not-http3", ("wait",), client={"alpn_protocols": ["doq"]}, server={"alpn_protocols": ["doq"]})
talk("2013", get("/x/login.html?user=tbtest&password=geheim", "HEAD"))


class Tape:
    """Writes down each datagram as it is sent."""

    def __init__(self, is_alone=False):
        self.is_alone = is_alone  # without the client, which is another program
        self.passed, self.server, self.clients = [], None, []
        self.heard, self.places = 0, {}  # datagrams that reached the server, where requests were complete
        self.heads = {}

    def note(self, transport, data):
        port = transport.get_extra_info("sockname")[1]
        if port == self.server:
            # to which of the client's addresses: asyncio was told by `sendto`
            self.passed.append(["S", self.path(self.target), data.hex()])
        else:
            self.passed.append(["C", self.path(port), data.hex()])

    def note_request(self, head):
        """The last datagram that reached the server completed a request."""
        places = [place for place, (side, *_) in enumerate(self.passed) if side == "C"]
        self.places[head[b":path"].decode()] = places[self.heard - 1]
        self.heads[head[b":path"].decode()] = head

    def path(self, port):
        if port not in self.clients:
            self.clients.append(port)
        return self.clients.index(port)


TAPE = None
plain_sendto = asyncio.selector_events._SelectorDatagramTransport.sendto


def sendto(self, data, addr=None):
    if TAPE is not None:
        TAPE.target = addr[1] if addr else None
        TAPE.note(self, bytes(data))
    return plain_sendto(self, data, addr)


asyncio.selector_events._SelectorDatagramTransport.sendto = sendto
plain_received = QuicServer.datagram_received


def datagram_received(self, data, addr):
    if TAPE is not None:
        TAPE.heard += 1
        if TAPE.is_alone:
            TAPE.passed.append(["C", TAPE.path(addr[1]), data.hex()])
    plain_received(self, data, addr)


QuicServer.datagram_received = datagram_received
plain_pull = tls.pull_client_hello
HELLOS = []


def pull_client_hello(buf):
    start = buf.tell()
    hello = plain_pull(buf)
    HELLOS.append(buf.data_slice(start, buf.tell()))
    return hello


tls.pull_client_hello = pull_client_hello


class Server(QuicConnectionProtocol):
    """Answers each request with the status that its path names, or 200."""

    all = []

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.http, self.heads = None, {}
        self.all.append(self)

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.heads[one.stream_id] = dict(one.headers)
                if TAPE is not None:
                    TAPE.note_request(self.heads[one.stream_id])
            if isinstance(one, (HeadersReceived, DataReceived)) and one.stream_ended:
                self.answer(one.stream_id, self.heads[one.stream_id])

    def answer(self, stream, head):
        path = head[b":path"].decode()
        status = path.rpartition("/")[2] if path.startswith("/status/") else "200"
        body = b"" if head[b":method"] == b"HEAD" or status == "204" else b"a page\n"
        body = b"large\n" * 6_000 if path == "/large" else body
        fields = [(b":status", status.encode()), (b"server", b"aioquic"), (b"content-type", b"text/plain")]
        self.http.send_headers(stream, fields, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()


class Client(QuicConnectionProtocol):
    """Asks, and waits for the status."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.waiting, self.statuses = {}, {}
        is_http3 = self._quic.configuration.alpn_protocols[0] == "h3"
        self.http = H3Connection(self._quic) if is_http3 else None

    def quic_event_received(self, event):
        if self.http is None:
            return
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.statuses[one.stream_id] = int(dict(one.headers)[b":status"])
            if isinstance(one, (HeadersReceived, DataReceived)) and one.stream_ended:
                self.waiting.pop(one.stream_id).set_result(self.statuses[one.stream_id])

    def ask(self, method, host, target, more, body):
        stream = self._quic.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", host), (":path", target),
                  ("user-agent", "canarytap-tests"), *more]
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields],
                               end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return self.waiting[stream]


def configuration(is_client, **how):
    how = {"alpn_protocols": ["h3"], "server_name": HOST if is_client else None, **how}
    original = how.pop("original_version", None)
    made = QuicConfiguration(is_client=is_client, verify_mode=0 if is_client else None, **how)
    if original:
        made.original_version = original
    return made


async def rebind(client):
    """The client's packets come from another port from now on."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Rebound(client), local_addr=client.local)
    client._transport = transport
    client.opened.append(transport)


class Rebound(asyncio.DatagramProtocol):
    def __init__(self, client):
        self.client = client

    def datagram_received(self, data, addr):
        self.client.datagram_received(data, addr)


async def browse(folder):
    """A headless Chromium, which speaks QUIC at once and believes the server."""
    global TAPE
    cert, key, keys = folder / "cert.pem", folder / "key.pem", folder / "keys.log"
    make_certificate(cert, key)
    script = f"openssl x509 -in {cert} -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary"
    der = subprocess.run(["sh", "-c", script + " | base64"], check=True, capture_output=True, text=True).stdout.strip()
    serving = configuration(False, secrets_log_file=keys.open("w"))
    serving.load_cert_chain(cert, key)
    server = await serve("127.0.0.1", 0, configuration=serving, create_protocol=Server)
    port = server._transport.get_extra_info("sockname")[1]
    TAPE = Tape(is_alone=True)
    TAPE.server = port
    HELLOS.clear()
    browser = await asyncio.create_subprocess_exec(
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
        f"--origin-to-force-quic-on={HOST}:{port}", f"--ignore-certificate-errors-spki-list={der}",
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1", "--dump-dom", f"https://{HOST}:{port}/browser",
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    page, _ = await asyncio.wait_for(browser.communicate(), 60)
    assert b"a page" in page, page
    await settle()
    said = [{"method": head[b":method"].decode(), "host": HOST, "target": target, "status": 200,
             "place": TAPE.places[target], "user_agent": head[b"user-agent"].decode(),
             **({"referer": head[b"referer"].decode()} if b"referer" in head else {})}
            for target, head in TAPE.heads.items()]
    passed, TAPE = TAPE.passed, None
    server.close()
    serving.secrets_log_file.close()
    return passed, keys.read_text(), said, HELLOS[0].hex()


async def settle():
    await asyncio.sleep(0.15)


def make_certificate(cert, key):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}", "-days", "9",
                    "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)


async def run(case, folder):
    global TAPE
    cert, key = folder / "cert.pem", folder / "key.pem"
    make_certificate(cert, key)
    tickets, kept, keys = {}, [], folder / "keys.log"
    serving = configuration(False, **case.server)
    serving.load_cert_chain(cert, key)
    fetch = {"session_ticket_fetcher": lambda name: tickets.pop(name, None),
             "session_ticket_handler": lambda ticket: tickets.__setitem__(ticket.ticket, ticket)}
    server = await serve("127.0.0.1", 0, configuration=serving, create_protocol=Server, retry=case.retry, **fetch)
    port = server._transport.get_extra_info("sockname")[1]
    if case.early:
        warm = configuration(True)
        async with connect("127.0.0.1", port, configuration=warm, create_protocol=Client,
                           session_ticket_handler=kept.append) as client:
            await client.ask("GET", HOST, "/before", [], b"")
            await settle()
    TAPE = Tape()
    TAPE.server = port
    HELLOS.clear()
    Server.all.clear()
    with keys.open("w") as log:
        calling = configuration(True, secrets_log_file=log, **case.client)
        if case.early:
            calling.session_ticket = kept[-1]
        if case.refuse:
            tickets.clear()
        said = await speak(case, calling, port)
    passed, TAPE = TAPE.passed, None
    server.close()
    return passed, keys.read_text(), said, HELLOS[0].hex()


async def speak(case, calling, port):
    said = []
    async with connect("127.0.0.1", port, configuration=calling, create_protocol=Client,
                       wait_connected=not case.early, local_port=0) as client:
        client.local = ("::", 0)
        client.opened = []
        for step in case.steps:
            await take(step, client, said)
            await settle()
    for transport in client.opened:
        transport.close()
    return said


async def take(step, client, said):
    match step:
        case ("ask", method, host, target, more, body):
            answer = client.ask(method, host, target, more, body)
            status = await asyncio.wait_for(answer, PATIENCE)
            said.append({"method": method, "host": host, "target": target, "status": status,
                         "place": TAPE.places[target]})
        case ("update",):
            client._quic.request_key_update()
            await client.ping()
        case ("server update",):
            Server.all[-1]._quic.request_key_update()
            Server.all[-1].transmit()
            await client.ping()
        case ("rebind",):
            await rebind(client)
        case ("migrate",):
            client._quic.change_connection_id()
            await rebind(client)


def main(names):
    for name in names or [*CASES, "chromium"]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            folder = pathlib.Path(folder)
            recorded = browse(folder) if name == "chromium" else run(CASES[name], folder)
            passed, keys, said, hello = asyncio.run(recorded)
        lines = [line for line in keys.splitlines() if line]
        assert passed and lines, name
        assert name == "chromium" or len(said) == sum(step[0] == "ask" for step in CASES[name].steps), name
        data = {"passed": passed, "keys": lines, "said": said, "hello": hello}
        (FOLDER / f"quic-{name}.json").write_text(json.dumps(data, indent=0) + "\n")
        print(name, len(passed), "datagrams,", sum(len(one[2]) // 2 for one in passed), "bytes,", len(lines),
              "lines of keys", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
