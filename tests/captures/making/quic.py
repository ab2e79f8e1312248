"""QUIC and HTTP/3: what the hello says by itself, and what a key log opens.

The conversations are those of real clients and servers, see `record_quic.py`; how they come by on
the wire, and what of them does not, is written here.
"""

import json
import pathlib
import struct

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


def expect(test, one, recording, times, *, only=None, status=True, agent=AGENT, **more):
    for asked in recording.said:
        if (only is None or asked["target"] in only) and asked["method"] in ("GET", "HEAD"):
            _, path, _ = recording.datagrams[asked["place"]]
            one.visitor = one.on_path(path)
            event = {"user_agent": asked.get("user_agent", agent), "referer": asked.get("referer"), "version": "HTTP/3", **recording.facts(), **more}
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
plain("chromium", "a headless Chromium: post-quantum hello in shuffled pieces, no names on its side")


@case("quic-visitor-only", "only the visitor's packets: the suite is found by trying, the server's names are the visitor's word")
def _(test):
    names = ("aes-256-gcm-sha384", "chacha20-poly1305-sha256", "many", "retry", "upgraded", "key-update", "early-data")
    for number, name in enumerate(names):
        recording = Recording(name)
        one = Talk(test, (VISITOR[0], VISITOR[1] + number))
        times = play(one, recording, sides="C")
        expect(test, one, recording, times, status=False)
        test.files["keys.log"] = test.files.get("keys.log", "") + recording.keys


@case("quic-server-only", "only the server's packets: nothing can be read")
def _(test):
    recording = Recording("v1")
    play(Talk(test), recording, sides="S")
    test.files["keys.log"] = recording.keys


@case("quic-no-keys", "without keys the hello is all there is; one for each connection, whatever came between")
def _(test):
    for number, name in enumerate(("v1", "v2", "retry", "retry-v2", "negotiation", "upgraded", "large-hello", "migration")):
        recording = Recording(name)
        one = Talk(test, (VISITOR[0], VISITOR[1] + number))
        # A hello that a Retry sends back is known all the same.
        times = play(one, recording)
        told(test, one, recording, times, place=0 if name.startswith(("retry", "negotiation")) else None)


@case("quic-hello-ech", "a Chromium without keys: what it makes up in place of an encrypted hello is flagged")
def _(test):
    recording = Recording("chromium")
    one = Talk(test)
    # The server acknowledges the hello's first datagram before the second comes.
    told(test, one, recording, play(one, recording), place=2, flags=["ech"])


@case("quic-no-hello", "packets without a hello to a server that had one for a watched host are counted")
def _(test):
    test.files["canarytap.toml"] = WATCHED
    recording = Recording("v1")
    one = Talk(test)
    told(test, one, recording, play(one, recording, order=range(recording.hello_place() + 1)))
    goes_on, lost = Recording("many"), range(12)
    play(Talk(test, (VISITOR[0], VISITOR[1] + 1)), goes_on, lost=lost)
    short = [data for _, _, data in goes_on.datagrams[len(lost):] if not data[0] & 0x80]
    test.count(quic_no_hello=len(short))


@case("quic-other-keys", "a key log of other connections: the hello is told when this one ends")
def _(test):
    recording = Recording("v1")
    one = Talk(test)
    told(test, one, recording, play(one, recording))
    test.files["keys.log"] = Recording("v2").keys


@case("quic-some-keys", "only the secrets that requests and answers need")
def _(test):
    recording = Recording("many")
    one = Talk(test)
    expect(test, one, recording, play(one, recording))
    lines = recording.keys.splitlines(keepends=True)
    test.files["keys.log"] = "".join(line for line in lines if "TRAFFIC_SECRET_0" in line)


@case("quic-not-watched", "a host that is not watched: nothing is opened, although the keys are there")
def _(test):
    test.files["canarytap.toml"] = WATCHED.replace("www", "other")
    recording = Recording("v1")
    play(Talk(test), recording)
    test.files["keys.log"] = recording.keys


@case("quic-not-http3", "QUIC that carries something else: the hello is told")
def _(test):
    recording = Recording("not-http3")
    one = Talk(test)
    test.files["keys.log"] = recording.keys
    told(test, one, recording, play(one, recording))


@case("quic-no-name", "no server name; the request names the host")
def _(test):
    recording = Recording("no-name")
    one = Talk(test)
    test.files["keys.log"] = recording.keys
    expect(test, one, recording, play(one, recording))


@case("quic-ports", "other ports than those of HTTPS, IPv6")
def _(test):
    for number, server in enumerate((("192.168.1.10", 4433), ("192.168.1.10", 53), ("fd00:1::10", 443))):
        visitor = ("2001:db8::77" if ":" in server[0] else VISITOR[0], VISITOR[1] + number)
        recording = Recording(("v1", "v2", "2013")[number])
        one = Talk(test, visitor, server)
        times = play(one, recording)
        expect(test, one, recording, times)
        test.files["keys.log"] = test.files.get("keys.log", "") + recording.keys


@case("quic-shuffled", "each datagram before the one that it followed, both sides mixed up")
def _(test):
    for number, name in enumerate(("v1", "many", "large-hello", "key-update")):
        recording = Recording(name)
        one = Talk(test, (VISITOR[0], VISITOR[1] + number))
        places = list(range(len(recording.datagrams)))
        first = recording.hello_place() + 1 if name == "large-hello" else 0
        order = places[:first]
        for at in range(first, len(places), 2):
            order += reversed(places[at:at + 2])
        times = play(one, recording, order=order)
        expect(test, one, recording, times)
        test.files["keys.log"] = test.files.get("keys.log", "") + recording.keys


@case("quic-hello-shuffled", "the packets of a long hello in every order, and twice")
def _(test):
    recording = Recording("large-hello")
    places = list(range(recording.hello_place() + 1))
    orders = [places[::-1], places[1:] + places[:1], places[:1] + places[:0:-1], places[::-1] + places]
    for number, order in enumerate(orders):
        one = Talk(test, (VISITOR[0], VISITOR[1] + number))
        times = play(one, recording, order=order)
        last = order[len(places) - 1]
        told(test, one, recording, times, place=last)


@case("quic-hello-cut", "a packet of a long hello is missing: nothing is known")
def _(test):
    recording = Recording("large-hello")
    play(Talk(test), recording, lost=[0])
    test.files["keys.log"] = recording.keys


@case("quic-duplicated", "each datagram three times: each request once")
def _(test):
    recording = Recording("many")
    one = Talk(test)
    expect(test, one, recording, play(one, recording, copies=3))
    test.files["keys.log"] = recording.keys


@case("quic-request-lost", "a datagram with a request never came by; all others are read")
def _(test):
    recording = Recording("key-update")
    gone = recording.said[2]
    one = Talk(test)
    times = play(one, recording, lost=[gone["place"]])
    expect(test, one, recording, times, only=[asked["target"] for asked in recording.said if asked != gone])
    test.files["keys.log"] = recording.keys


@case("quic-midstream", "a connection from its middle: no hello, so that no key is known by name")
def _(test):
    recording = Recording("v1")
    play(Talk(test), recording, lost=range(5))
    test.files["keys.log"] = recording.keys


@case("quic-port-again", "connections one after the other, and at once, between the same addresses and ports")
def _(test):
    one = Talk(test)
    recordings = [Recording(name) for name in ("v1", "aes-128-gcm-sha256", "v2")]
    expect(test, one, recordings[0], play(one, recordings[0]))
    times = [{}, {}]
    for place in range(max(len(recording.datagrams) for recording in recordings[1:])):
        for number, recording in enumerate(recordings[1:]):
            if place < len(recording.datagrams):
                times[number].update(play(one, recording, order=[place]))
    for number, recording in enumerate(recordings[1:]):
        expect(test, one, recording, times[number])
    test.files["keys.log"] = "".join(recording.keys for recording in recordings)


@case("quic-hostile", "datagrams that are none, cut, changed, forged, between those of a connection that is read all the same")
def _(test):
    recording = Recording("many")
    one = Talk(test)
    first = recording.datagrams[0][2]
    junk = [b"", b"\0", b"\0" * 1200, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1200, b"\x40" * 30, first[:30], first[:700],
            first[:5] + b"\x15" + first[6:], first[:5] + b"\xff" + first[6:], first[:1] + b"\0\0\0\0" + first[5:],
            first[:1] + b"\x0a\x1a\x2a\x3a" + first[5:], first[:-600] + bytes(600)[:599] + b"\1",
            first[:600] + bytes([first[600] ^ 1]) + first[601:] if first[600] else first[:300] + b"\1" + first[301:],
            bytes([first[0] ^ 0x30]) + first[1:], first + first, first[::-1]]
    times = {}
    for place, (side, path, data) in enumerate(recording.datagrams):
        noise = junk[place % len(junk)]
        if place:
            one.put("CS"[place % 2], 0, noise)
            time = one.put("C", 1, noise)
            if noise.startswith(first.rstrip(b"\0")) and not test.events:
                one.visitor = one.on_path(1)  # a hello that is whole is one, whoever sent it
                test.expect(one, time, None, None, kind="hello", version=None, status=None,
                            host=recording.hello.name(), **recording.facts())
        times[place] = one.put(side, path, data)
        one.put(side, 0, data[:-1])
        one.put(side, 0, data[:20] + bytes([data[20] ^ 0x40]) + data[21:])
    expect(test, one, recording, times)
    test.files["keys.log"] = recording.keys


def with_secrets(test, recording, *, before=False, wait=0):
    """A pcapng that brings its keys along, ahead of the packets or behind them."""
    if wait:
        test.tape.wait(wait)
        Talk(test, ("203.0.113.9", 40099)).put("C", 0, b"no QUIC")
    data = files.pcapng(test.tape.frames)
    lines = recording.keys.encode()
    secrets = files.block("<", 10, struct.pack("<II", 0x544C534B, len(lines)) + lines)
    size = struct.unpack_from("<I", data, 4)[0]
    size += struct.unpack_from("<I", data, size + 4)[0]
    test.capture = data[:size] + secrets + data[size:] if before else data + secrets
    test.capture_name = "capture.pcapng"


@case("quic-secrets-block", "a pcapng with a block of secrets ahead of the packets")
def _(test):
    recording = Recording("v1")
    one = Talk(test)
    expect(test, one, recording, play(one, recording))
    with_secrets(test, recording, before=True)


@case("quic-late-keys", "keys that come after the connection's end: the same requests, flagged")
def _(test):
    recording = Recording("key-update")
    one = Talk(test)
    expect(test, one, recording, play(one, recording), flags=["late_key"])
    with_secrets(test, recording)


@case("quic-keys-too-late", "keys that come more than a minute after the packets: the hello was told")
def _(test):
    recording = Recording("v1")
    one = Talk(test)
    told(test, one, recording, play(one, recording))
    with_secrets(test, recording, wait=62)


CANARY = """\
[[host]]
name = "*.example.org"

[[canary]]
url = "https://www.example.org/"
id = "k7f3q2m9"
channel = "mail"
"""
VISIT = {"kind": "visit", "alert": True, "canary": "k7f3q2m9", "channel": "mail", "match": "token"}


@case("quic-canary-host", "a canary on a host name of its own: the name in the hello is the visit")
def _(test):
    test.files["canarytap.toml"] = CANARY
    recording = Recording("large-hello")
    one = Talk(test)
    told(test, one, recording, play(one, recording), **VISIT)
    inside = Talk(test, ("192.168.1.20", 40004))
    told(test, inside, recording, play(inside, recording), **{**VISIT, "alert": False})


@case("quic-canary-host-late-keys", "a visit known by its hello, joined by its request when the keys come: one line")
def _(test):
    test.files["canarytap.toml"] = CANARY
    recording = Recording("2013")
    one = Talk(test)
    times = play(one, recording)
    asked = recording.said[0]
    event = {**recording.facts(), **VISIT, "flags": ["late_key"], "version": "HTTP/3", "user_agent": AGENT}
    test.expect(one, times[recording.hello_place()], asked["method"], asked["target"], status=asked["status"], **event)
    with_secrets(test, recording, wait=5)


@case("quic-canary-path", "a canary's path under QUIC: seen with the keys, and only then")
def _(test):
    test.files["canarytap.toml"] = WATCHED + """
[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
id = "httpslink"
channel = "skype"
"""
    recording = Recording("2013")
    one = Talk(test, ("65.52.100.214", 40001))
    expect(test, one, recording, play(one, recording), kind="visit", alert=True, canary="httpslink",
           channel="skype", match="url")
    other = Talk(test, ("203.0.113.77", 40002))
    told(test, other, Recording("v1"), play(other, Recording("v1")))
    test.files["keys.log"] = recording.keys
