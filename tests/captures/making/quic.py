"""QUIC and HTTP/3: what the hello says by itself, and what a key log opens.

The conversations are those of real clients and servers, see `record_quic.py`; how they come by on
the wire, and what of them does not, is written here.
"""

import json
import pathlib

from . import files, hello, wire
from .case import case
from .flow import Side

RECORDINGS = pathlib.Path(__file__).parent.parent / "recordings"
SERVER = ("192.168.1.10", 443)
VISITOR = ("203.0.113.77", 40001)
WATCHED = '[[host]]\nname = "www.example.org"\n'
AGENT = "canarytap-tests"


class Recording:
    def __init__(self, name):
        data = json.loads((RECORDINGS / f"quic-{name}.json").read_text())
        self.datagrams = [(side, path, bytes.fromhex(text)) for side, path, text in data["passed"]]
        self.keys = "".join(line + "\n" for line in data["keys"])
        self.said = data["said"]
        self.hello = hello.Hello(bytes.fromhex(data["hello"]))

    def facts(self):
        offered = [one.decode() for one in self.hello.protocols()]
        return {"scheme": "https", "sni": self.hello.name(), "ja4": "q" + self.hello.ja4()[1:],
                "alpn": offered[0] if offered else None}

    def hello_place(self):
        """The datagram that completed the client's hello: the last before the server's first
        answer other than Retry and Version Negotiation."""
        first = next(place for place, (side, _, data) in enumerate(self.datagrams)
                     if side == "S" and not is_retry(data))
        return max(place for place in range(first) if self.datagrams[place][0] == "C")


def is_retry(data):
    """Retry or Version Negotiation."""
    version, kind = data[1:5], data[0] >> 4 & 3
    return version == bytes(4) or (version == bytes.fromhex("00000001") and kind == 3) or (
        version == bytes.fromhex("6b3343cf") and kind == 0)


class Talk:
    """A visitor and a server that speak UDP. The visitor's address may change."""

    def __init__(self, test, visitor=VISITOR, server=SERVER):
        self.tape = test.tape
        self.address, self.port = visitor
        self.server = Side("server", server, 0)
        self.visitor = self.on_path(0)

    def on_path(self, path):
        """Another path is another port, and from the third on another network too."""
        address = self.address if path < 2 else f"198.51.100.{path}"
        return Side("visitor", (address, self.port + 100 * path), 0)

    def packet(self, side, path, data):
        visitor = self.on_path(path)
        ends = (visitor, self.server) if side == "C" else (self.server, visitor)
        addresses = [end.address for end in ends]
        udp = wire.udp(data, *addresses, [end.port for end in ends])
        return wire.ip(udp, *addresses, wire.UDP)

    def put(self, side, path, data, **how):
        return self.tape.put(self.packet(side, path, data), **how)


def play(one, recording, *, order=None, sides="CS", lost=(), copies=1, paths=True):
    """Puts a recording on the wire; the times at which its datagrams came, by their places."""
    times = {}
    for place in order or range(len(recording.datagrams)):
        side, path, data = recording.datagrams[place]
        if side in sides and place not in lost:
            time = one.put(side, path if paths else 0, data, copies=copies)
            times.setdefault(place, time)
    return times


def expect(test, one, recording, times, *, only=None, status=True, **more):
    for asked in recording.said:
        if (only is None or asked["target"] in only) and asked["method"] in ("GET", "HEAD"):
            _, path, _ = recording.datagrams[asked["place"]]
            one.visitor = one.on_path(path)
            event = {"user_agent": AGENT, "version": "HTTP/3", **recording.facts(), **more}
            test.expect(one, times[asked["place"]], asked["method"], asked["target"], host=asked["host"],
                        status=asked["status"] if status else None, **event)


def told(test, one, recording, times, *, place=None, **more):
    """The hello is all that is known."""
    place = recording.hello_place() if place is None else place
    event = {"kind": "hello", "version": None, "status": None, "host": recording.hello.name(), **recording.facts()}
    test.expect(one, times[place], None, None, **{**event, **more})


def plain(name, shows, **how):
    """A case that plays a recording whole, with its key log."""

    @case(f"quic-{name}", shows)
    def _(test):
        recording = Recording(name)
        one = Talk(test)
        test.files["keys.log"] = recording.keys
        expect(test, one, recording, play(one, recording), **how)


plain("v1", "QUIC version 1: GET and HEAD over HTTP/3")
plain("v2", "QUIC version 2")
for suite in ("aes-128-gcm-sha256", "aes-256-gcm-sha384", "chacha20-poly1305-sha256"):
    plain(suite, f"QUIC, {suite}")
plain("many", "many requests at once and one after the other, headers by the dynamic table, a long answer, a POST")
plain("retry", "the server wants the address proved: a Retry, and other keys for the second hello")
plain("retry-v2", "the same in version 2")
plain("negotiation", "the server speaks another version only")
plain("upgraded", "begun in version 1, both sides go on in version 2")
plain("key-update", "both sides change their keys, several times")
plain("early-data", "a request in 0-RTT packets, and one after the handshake")
plain("early-data-refused", "0-RTT that the server refuses: the request comes again, and is told once")
plain("rebinding", "the client's port changes in the middle, under the same names")
plain("migration", "the client moves to another address, each time under a new name")
plain("large-hello", "a hello in several Initial packets")
plain("2013", "HEAD alone")
