"""HTTP/2 in clear text: with prior knowledge, after an Upgrade, with holes, and made to do harm."""

from . import files, wire
from .case import case
from .flow import VISITOR, Flow, get
from .frames2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PREFACE,
                      PRIORITY, PROMISE, WITH_PRIORITY, Hpack, ack, data, frame, goaway, head,
                      pieces, ping, reset, settings, window)

FAKE = b"\r\nGET /fake HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
BROWSER = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")
UPGRADE = get("/1", fields=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                            "HTTP2-Settings: AAMAAABkAAQAAP__"])
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class Talk:
    """A connection with both sides' header compression."""

    def __init__(self, test, visitor=VISITOR, server=("192.168.1.10", 80), open=True, **hpack):
        self.test = test
        self.flow = Flow(test.tape, visitor, server)
        if open:
            self.flow.open()
        self.asks, self.tells = Hpack(**hpack), Hpack(**hpack)

    def start(self, *more, table=4096):
        """Both prefaces; more frames of the client's go with its own. `table` is what the server
        allows the client's table to have."""
        time = self.flow.ask(PREFACE + settings((3, 100), (4, 65535)) + window(0) + b"".join(more))
        self.flow.answer(settings((3, 128), (1, table)) + ack())
        self.flow.ask(ack())
        return time

    def get(self, stream, path, *fields, **more):
        return head(stream, self.asks.request(path, "www.example.org", *fields, **more))

    def status(self, stream, status, *fields, end=True):
        return head(stream, self.tells.block((":status", str(status)), ("server", "made"), *fields), end)

    def expect(self, time, target, status=200, **more):
        self.test.expect(self.flow, time, target=target, status=status, version="HTTP/2", **more)

    def visit(self, stream, path, status=200):
        """One request and its answer, each in a segment of its own."""
        time = self.flow.ask(self.get(stream, path))
        self.flow.answer(self.status(stream, status))
        self.expect(time, path, status)


# ── requests and answers ──


@case("http2-prior-knowledge", "a client that begins in HTTP/2, as curl --http2-prior-knowledge does")
def _(test):
    talk = Talk(test, huffman=True)
    talk.start()
    time = talk.flow.ask(talk.get(1, "/", BROWSER, ("accept", "*/*"), ("referer", "http://www.example.org/start")))
    talk.flow.answer(talk.status(1, 200, ("content-type", "text/html"), end=False) + data(1, b"hello"))
    talk.expect(time, "/", user_agent=BROWSER[1], referer="http://www.example.org/start")
    talk.flow.close()


@case("http2-request-with-the-preface", "the request comes in the segment of the preface, the server's settings before both")
def _(test):
    talk = Talk(test)
    talk.flow.answer(settings((3, 128)))
    time = talk.flow.ask(PREFACE + settings() + ack() + talk.get(1, "/at-once"))
    talk.flow.answer(ack() + talk.status(1, 404))
    talk.expect(time, "/at-once", 404)


@case("http2-any-port", "the preface is known on any port")
def _(test):
    for n, port in enumerate((8123, 50051, 22)):
        talk = Talk(test, ("203.0.113.77", 40001 + n), ("192.168.1.10", port))
        talk.start()
        talk.visit(1, f"/{port}")


@case("http2-streams", "many streams on one connection, answered in another order, bodies mixed")
def _(test):
    talk = Talk(test)
    talk.start()
    paths = [f"/{n}" for n in range(12)]
    streams = [2 * n + 1 for n in range(12)]
    time = talk.flow.ask(b"".join(talk.get(s, p, BROWSER) for s, p in zip(streams, paths)))
    statuses = [(200, 301, 404)[n % 3] for n in range(12)]
    for n in (5, 0, 11, 3, 2, 1, 4, 10, 9, 8, 7, 6):
        talk.flow.answer(talk.status(streams[n], statuses[n], end=False)
                         + data(streams[n], b"x" * 10 * n, end=False))
    talk.flow.answer(b"".join(data(stream, b"the rest") for stream in streams))
    for path, status in zip(paths, statuses):
        talk.expect(time, path, status, user_agent=BROWSER[1])


@case("http2-head-method", "HEAD, which has no code of its own, and methods that are not told")
def _(test):
    talk = Talk(test)
    talk.start()
    for stream, method in ((1, "HEAD"), (3, "POST"), (5, "OPTIONS"), (7, "GET")):
        time = talk.flow.ask(talk.get(stream, f"/{method}", method=method))
        talk.flow.answer(talk.status(stream, 200))
        if method in ("HEAD", "GET"):
            talk.expect(time, f"/{method}", method=method)
    connect = talk.asks.block((":method", "CONNECT"), (":authority", "www.example.org:443"))
    talk.flow.ask(head(9, connect, end=False))
    talk.flow.answer(talk.status(9, 200, end=False))


@case("http2-host-field", "host instead of :authority, beside it, and neither")
def _(test):
    talk = Talk(test)
    talk.start()
    plain = [(":method", "GET"), (":scheme", "http")]
    for stream, fields, host in (
            (1, [(":path", "/1"), ("host", "www.example.org")], "www.example.org"),
            (3, [(":authority", "www.example.org"), (":path", "/2"), ("host", "other.example.net")], "www.example.org"),
            (5, [(":authority", "WWW.Example.ORG:8080"), (":path", "/3")], "www.example.org"),
            (7, [(":path", "/4")], None)):
        time = talk.flow.ask(head(stream, talk.asks.block(*plain, *fields)))
        talk.flow.answer(talk.status(stream, 200))
        talk.expect(time, f"/{stream // 2 + 1}", host=host)


@case("http2-not-watched", "one connection for several hosts, one of them watched")
def _(test):
    talk = Talk(test)
    talk.start()
    talk.flow.ask(head(1, talk.asks.request("/other", "other.example.net", BROWSER)))
    time = talk.flow.ask(talk.get(3, "/watched", BROWSER))
    talk.flow.answer(talk.status(3, 200) + talk.status(1, 404))
    talk.expect(time, "/watched", user_agent=BROWSER[1])
    test.files["canarytap.toml"] = '[[host]]\nname = "www.example.org"\n'


@case("http2-canary", "a canary, by HEAD, from who has spoken of something else before")
def _(test):
    talk = Talk(test, huffman=True)
    talk.start()
    talk.visit(1, "/")
    target = "/x/login.html?user=tbtest&password=geheim"
    time = talk.flow.ask(talk.get(3, target, method="HEAD"))
    talk.flow.answer(talk.status(3, 200))
    talk.expect(time, target, method="HEAD", kind="visit", alert=True, canary="t72xbn2rtcste",
                channel="skype", label="login link", match="url",
                alterations=["scheme_changed"])
    test.files["canarytap.toml"] = """\
[[host]]
name = "www.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
label = "login link"
"""


# ── frames ──


@case("http2-bytewise", "everything one byte a segment")
def _(test):
    talk = Talk(test)
    asked = PREFACE + settings((3, 100)) + talk.get(1, "/bytewise", BROWSER)
    times = [talk.flow.ask(bytes([byte])) for byte in asked]
    told = settings() + ack() + talk.status(1, 200, end=False) + data(1, b"hello")
    for byte in told:
        talk.flow.answer(bytes([byte]))
    talk.expect(times[-1], "/bytewise", user_agent=BROWSER[1])


@case("http2-cut-everywhere", "preface and request in two segments, cut at every byte")
def _(test):
    for cut in range(1, 100):
        talk = Talk(test, ("203.0.113.77", 40000 + cut))
        asked = PREFACE + settings() + talk.get(1, "/cut", ("accept", "*/*"))
        if cut >= len(asked):
            break
        talk.flow.ask(asked[:cut])
        time = talk.flow.ask(asked[cut:])
        talk.flow.answer(settings() + talk.status(1, 200))
        talk.expect(time, "/cut")


@case("http2-continuation", "heads in many frames: a few bytes each, empty ones, in segments of their own")
def _(test):
    talk = Talk(test)
    talk.start()
    block = talk.asks.request("/a/path/that/is/cut", "www.example.org", BROWSER)
    time = talk.flow.ask(b"".join(pieces(1, block, 5)))
    talk.expect(time, "/a/path/that/is/cut", user_agent=BROWSER[1])
    block = talk.asks.request("/empty", "www.example.org", BROWSER)
    time = talk.flow.ask(frame(HEADERS, 3, b"", END_STREAM) + frame(CONTINUATION, 3)
                         + frame(CONTINUATION, 3, block) + frame(CONTINUATION, 3, b"", END_HEADERS))
    talk.expect(time, "/empty", user_agent=BROWSER[1])
    times = [talk.flow.ask(piece) for piece in pieces(5, talk.asks.request("/segments"), 2)]
    talk.expect(times[-1], "/segments")
    answers = [pieces(stream, talk.tells.block((":status", "200"), ("server", "made")), 1) for stream in (1, 3, 5)]
    talk.flow.answer(b"".join(b"".join(answer) for answer in answers))


@case("http2-padding-and-priority", "padding, priorities, and both in one frame")
def _(test):
    talk = Talk(test)
    talk.start(frame(PRIORITY, 3, b"\0\0\0\0\xc8"))
    weights = b"\x80\0\0\x03\x0f"
    for stream, flags, front, back in ((5, PADDED, b"\x05", b"\0" * 5), (7, WITH_PRIORITY, weights, b""),
                                       (9, PADDED | WITH_PRIORITY, b"\xff" + weights, b"\0" * 255),
                                       (11, PADDED, b"\0", b"")):
        block = talk.asks.request(f"/{stream}")
        time = talk.flow.ask(head(stream, block, flags=flags, front=front, back=back)
                             + frame(PRIORITY, stream, weights))
        block = talk.tells.block((":status", "204"))
        talk.flow.answer(head(stream, block, flags=PADDED, front=b"\x02", back=b"\0\0"))
        talk.expect(time, f"/{stream}", 204)


@case("http2-bodies", "fake requests in bodies, as text and as frames; padded, empty and large DATA")
def _(test):
    talk = Talk(test)
    talk.start()
    fake = Hpack(keep=False).request("/fake")
    body = FAKE + head(3, fake) + b"x" * 3000
    block = talk.asks.request("/upload", method="POST")
    frames = (head(1, block, end=False) + data(1, body, False) + data(1, b"", False)
              + frame(DATA, 1, b"\x10" + FAKE + b"\0" * 16, PADDED) + data(1, b"x" * 16000))
    sent = [frames[at:at + 1400] for at in range(0, len(frames), 1400)]
    for piece in sent:
        talk.flow.ask(piece)
    answer = talk.status(1, 200, end=False) + data(1, b"HTTP/1.1 404 Not Found\r\n\r\n" + FAKE)
    talk.flow.answer(answer)
    talk.visit(5, "/real", 403)


@case("http2-body-own-segment", "the same fakes, each at the start of a segment")
def _(test):
    talk = Talk(test)
    talk.start()
    body = FAKE[2:] + head(3, Hpack(keep=False).request("/fake")) + FAKE[2:]
    block = talk.asks.request("/upload", method="POST")
    talk.flow.ask(head(1, block, end=False) + frame(DATA, 1, body, END_STREAM)[:9])
    talk.flow.ask(FAKE[2:])
    talk.flow.ask(head(3, Hpack(keep=False).request("/fake")))
    talk.flow.ask(FAKE[2:])
    talk.flow.answer(talk.status(1, 200))
    talk.visit(5, "/real")


@case("http2-other-frames", "frames of unknown types, pings and windows between all others")
def _(test):
    talk = Talk(test)
    other = frame(0x10, 0, b"\0\0\0\1u=3") + frame(0xaa, 7, FAKE, 0xff) + ping() + window(0)
    talk.start(other)
    time = talk.flow.ask(other + talk.get(1, "/between") + other)
    talk.flow.answer(other + talk.status(1, 200) + other)
    talk.expect(time, "/between")


@case("http2-trailers", "trailers of requests and answers, as gRPC sends them")
def _(test):
    talk = Talk(test)
    talk.start()
    for stream in (1, 3):
        block = talk.asks.request("/call", "www.example.org", ("te", "trailers"))
        time = talk.flow.ask(head(stream, block, end=False) + data(stream, b"\0\0\0\0\0", False)
                             + head(stream, talk.asks.block(("checksum", "12"))))
        talk.flow.answer(talk.status(stream, 200, end=False) + data(stream, b"\0\0\0\0\0", False)
                         + head(stream, talk.tells.block(("grpc-status", "5"), ("grpc-message", "none"))))
        talk.expect(time, "/call")


@case("http2-answers-interim", "100 and 103 before the final answer")
def _(test):
    talk = Talk(test)
    talk.start()
    time = talk.flow.ask(talk.get(1, "/"))
    hints = talk.tells.block((":status", "103"), ("link", "</style.css>"))
    talk.flow.answer(head(1, talk.tells.block((":status", "100")), end=False) + head(1, hints, end=False))
    talk.flow.answer(talk.status(1, 404))
    talk.expect(time, "/", 404)


@case("http2-push", "what the server promises is no visit; its fields are kept all the same")
def _(test):
    talk = Talk(test)
    talk.start()
    time = talk.flow.ask(talk.get(1, "/"))
    promise = talk.tells.request("/style.css", "www.example.org", ("accept", "text/css"))
    talk.flow.answer(frame(PROMISE, 1, b"\0\0\0\2" + promise, END_HEADERS) + talk.status(1, 301))
    talk.flow.answer(talk.status(2, 200, end=False) + data(2, b"p {}"))
    talk.expect(time, "/", 301)
    talk.visit(3, "/next", 301)


@case("http2-reset-and-goaway", "streams that the server resets or leaves behind have no answer; a client that gives up may have one")
def _(test):
    talk = Talk(test)
    talk.start()
    times = [talk.flow.ask(talk.get(stream, f"/{stream}")) for stream in (1, 3, 5, 7)]
    talk.flow.answer(reset(1))
    talk.flow.ask(reset(3))
    talk.flow.answer(talk.status(3, 200) + goaway(5))
    talk.flow.answer(talk.status(5, 204))
    for stream, time, status in zip((1, 3, 5, 7), times, (None, 200, 204, None)):
        talk.expect(time, f"/{stream}", status)
    talk.flow.close()


# ── header compression ──


@case("http2-table", "fields kept by both sides and used again, until they are pushed out")
def _(test):
    talk = Talk(test, huffman=True, plain=())
    talk.start()
    for n in range(120):
        path = f"/page/{n % 7}/{'long' * (n % 11)}"
        time = talk.flow.ask(talk.get(2 * n + 1, path, BROWSER, ("x-number", str(n * n))))
        status = 200 + n % 50
        talk.flow.answer(talk.status(2 * n + 1, status, ("x-answer", str(n))))
        talk.expect(time, path, status, user_agent=BROWSER[1])


@case("http2-table-resized", "tables made empty, small and large by their senders")
def _(test):
    talk = Talk(test)
    talk.start(table=65536)
    talk.visit(1, "/1")
    for stream, sizes in ((3, (0,)), (5, (4096,)), (7, (0, 100)), (9, (65536,)), (11, (0, 4096))):
        update = b"".join(talk.asks.resize(size) for size in sizes)
        time = talk.flow.ask(head(stream, update + talk.asks.request(f"/{stream}", "www.example.org", BROWSER)))
        talk.flow.answer(talk.status(stream, 200))
        talk.expect(time, f"/{stream}", user_agent=BROWSER[1])


@case("http2-never-kept", "literals that are never kept, by a client that keeps nothing")
def _(test):
    talk = Talk(test, keep=False, huffman=True)
    talk.start()
    for stream in (1, 3, 5):
        secret = b"\x10" + talk.asks.string("cookie-like") + talk.asks.string("secret")
        time = talk.flow.ask(head(stream, talk.asks.request(f"/{stream}") + secret))
        talk.flow.answer(talk.status(stream, 200))
        talk.expect(time, f"/{stream}")


# ── what was not seen ──


@case("http2-visitor-only", "only the visitor's side is mirrored")
def _(test):
    talk = Talk(test, open=False)
    send = lambda *bytes_, flags="PA": talk.flow.send(talk.flow.visitor, b"".join(bytes_), flags)
    send(flags="S")
    talk.flow.server.seq += 1
    send(flags="A")
    send(PREFACE, settings())
    for stream in (1, 3):
        time = send(talk.get(stream, f"/{stream}"))
        talk.expect(time, f"/{stream}", None)


@case("http2-server-only", "only the server's side is mirrored: no event")
def _(test):
    talk = Talk(test, open=False)
    send = lambda *bytes_, flags="PA": talk.flow.send(talk.flow.server, b"".join(bytes_), flags)
    talk.flow.visitor.seq += 1
    send(flags="SA")
    send(settings(), ack())
    promise = talk.tells.request("/pushed")
    send(frame(PROMISE, 1, b"\0\0\0\2" + promise, END_HEADERS), talk.status(1, 200), talk.status(2, 200))


@case("http2-midstream", "the tap begins in the middle: requests that say all of themselves are told")
def _(test):
    talk = Talk(test, open=False, keep=False)
    talk.flow.ask(b"...the rest of a body that nobody saw begin")
    talk.flow.answer(data(17, b"x" * 500, False))
    for stream in (21, 23):
        time = talk.flow.ask(talk.get(stream, f"/{stream}"))
        talk.flow.answer(talk.status(stream, 404))
        talk.expect(time, f"/{stream}", 404, flags=["midstream"])


@case("http2-midstream-host-unknown", "the tap begins in the middle, and the host was said before")
def _(test):
    talk = Talk(test, open=False)
    talk.get(1, "/unseen")
    talk.status(1, 200)
    time = talk.flow.ask(talk.get(3, "/seen"))
    talk.flow.answer(talk.status(3, 200))
    talk.expect(time, "/seen", host=None, flags=["midstream"])
    block = talk.asks.request("/other", "other.example.org")
    time = talk.flow.ask(head(5, block))
    talk.flow.answer(talk.status(5, 204))
    talk.expect(time, "/other", 204, host="other.example.org", flags=["midstream"])


@case("http2-midstream-canary", "the same with one host watched: told only where a canary's token stands in it")
def _(test):
    talk = Talk(test, open=False)
    talk.get(1, "/unseen")
    talk.status(1, 200)
    talk.flow.ask(talk.get(3, "/whose-host-is-unknown"))
    talk.flow.answer(talk.status(3, 200))
    time = talk.flow.ask(talk.get(5, "/s/k7f3q2m9xw4tz", method="HEAD"))
    talk.flow.answer(talk.status(5, 404))
    talk.expect(time, "/s/k7f3q2m9xw4tz", 404, method="HEAD", host=None, kind="visit", alert=True,
                canary="k7f3q2m9xw4tz", channel="mail", match="token", flags=["midstream"])
    test.files["canarytap.toml"] = """\
[[host]]
name = "www.example.org"

[[canary]]
id = "k7f3q2m9xw4tz"
url = "http://www.example.org/s/k7f3q2m9xw4tz"
channel = "mail"
"""


@case("http2-syn-unseen", "the handshake was not seen, the preface was")
def _(test):
    talk = Talk(test, open=False)
    talk.start()
    for stream in (1, 3):
        time = talk.flow.ask(talk.get(stream, f"/{stream}"))
        talk.flow.answer(talk.status(stream, 200))
        talk.expect(time, f"/{stream}", flags=["midstream"])


@case("http2-hole-in-a-body", "a segment of an upload is missing: nothing else is lost")
def _(test):
    talk = Talk(test)
    talk.start()
    block = talk.asks.request("/upload", method="POST")
    body = head(1, block, end=False) + data(1, b"x" * 4000)
    talk.flow.ask(body[:1000])
    talk.flow.take(talk.flow.visitor, body[1000:2000], "PA")
    talk.flow.ask(body[2000:])
    talk.flow.answer(talk.status(1, 200))
    test.tape.wait(2)
    talk.visit(3, "/after")


@case("http2-hole-in-heads", "a request is missing: what later ones refer to is not known, the rest is told")
def _(test):
    talk = Talk(test)
    talk.start()
    talk.visit(1, "/before")
    talk.flow.take(talk.flow.visitor, talk.get(3, "/missing", BROWSER), "PA")
    test.tape.wait(1)
    talk.flow.send(talk.flow.server)  # acknowledges it
    test.tape.wait(1)
    time = talk.flow.ask(talk.get(5, "/host-unknown"))
    test.tape.wait(1)
    # By now nobody waits for the missing one any more.
    talk.flow.answer(talk.status(3, 204) + talk.status(5, 200))
    talk.expect(time, "/host-unknown", host=None, flags=["gap"])
    block = talk.asks.request("/host-said", "www.example.com")
    time = talk.flow.ask(head(7, block))
    talk.flow.answer(talk.status(7, 404))
    talk.expect(time, "/host-said", 404, host="www.example.com")


@case("http2-snap-length", "frames cut at 150 bytes: what they hold of a head is told")
def _(test):
    talk = Talk(test, keep=False)
    talk.start()
    fields = [("x-filler", "x" * 200)]
    time = talk.flow.ask(talk.get(1, "/cut", *fields))
    talk.flow.answer(talk.status(1, 200))
    talk.expect(time, "/cut", flags=["gap", "truncated"])
    time = talk.flow.ask(talk.get(3, "/whole"))
    talk.flow.answer(talk.status(3, 204))
    talk.expect(time, "/whole", 204, flags=["gap"])
    test.capture = files.pcap(test.tape.frames, snap=150)


# ── upgrade ──


@case("http2-upgrade", "Upgrade: h2c: the first request is HTTP/1, its answer comes on stream 1")
def _(test):
    talk = Talk(test)
    time = talk.flow.ask(UPGRADE)
    talk.flow.answer(SWITCH + settings((3, 100)))
    talk.flow.ask(PREFACE + settings() + ack())
    talk.flow.answer(ack() + talk.status(1, 404, end=False) + data(1, b"no"))
    test.expect(talk.flow, time, target="/1", status=404)
    talk.visit(3, "/3")
    talk.visit(5, "/5", 204)


@case("http2-upgrade-at-once", "the answer comes with the 101, before the client's preface")
def _(test):
    talk = Talk(test)
    time = talk.flow.ask(UPGRADE)
    talk.flow.answer(SWITCH + settings() + talk.status(1, 200))
    test.expect(talk.flow, time, target="/1")
    time = talk.flow.ask(PREFACE + settings() + ack() + talk.get(3, "/3"))
    talk.flow.answer(ack() + talk.status(3, 301))
    talk.expect(time, "/3", 301)


@case("http2-upgrade-refused", "Upgrade: h2c of a server that goes on in HTTP/1")
def _(test):
    flow = Flow(test.tape).open()
    for n, status in enumerate((200, 404)):
        time = flow.ask(UPGRADE.replace(b"/1 ", b"/%d " % n))
        flow.answer(status=f"{status} Whatever")
        test.expect(flow, time, target=f"/{n}", status=status)


@case("http2-upgrade-visitor-only", "an Upgrade of which only the visitor's side is mirrored")
def _(test):
    talk = Talk(test, open=False)
    send = lambda *bytes_, flags="PA": talk.flow.send(talk.flow.visitor, b"".join(bytes_), flags)
    send(flags="S")
    talk.flow.server.seq += 1
    send(flags="A")
    time = send(UPGRADE)
    test.expect(talk.flow, time, target="/1", status=None)
    send(PREFACE, settings())
    time = send(talk.get(3, "/3"))
    talk.expect(time, "/3", None)


# ── what was made to do harm ──


@case("http2-bomb", "one large field, referred to by tens of thousands of bytes")
def _(test):
    talk = Talk(test)
    talk.start()
    block = talk.asks.request("/bomb", "www.example.org", ("x", "x" * 4000))
    bomb = head(1, block + b"\xbe" * 16000)
    times = [talk.flow.ask(bomb[at:at + 1400]) for at in range(0, len(bomb), 1400)]
    talk.expect(times[-1], "/bomb", 431, flags=["truncated"])
    talk.flow.answer(talk.status(1, 431))
    talk.visit(3, "/after")


@case("http2-continuation-flood", "a head without end: told as far as the bound, the next one is read")
def _(test):
    talk = Talk(test, keep=False)
    talk.start()
    block = talk.asks.request("/flood", "www.example.org") + b"\x00\x01x\x7f\xff\xff\xff\x0f"
    talk.flow.ask(frame(HEADERS, 1, block, END_STREAM))
    held, more = len(block), frame(CONTINUATION, 1, b"x" * 16000)
    while held <= 256 * 1024:
        held += 16000
        time = talk.flow.ask(more)
    talk.expect(time, "/flood", None, flags=["truncated"])
    for _ in range(5):
        talk.flow.ask(more)
    talk.flow.ask(frame(CONTINUATION, 1, b"", END_HEADERS))
    talk.visit(3, "/after")


@case("http2-streams-without-answer", "three hundred requests that nobody answers, and one that somebody does")
def _(test):
    talk = Talk(test)
    talk.start()
    for n in range(300):
        time = talk.flow.ask(talk.get(2 * n + 1, f"/{n}"))
        talk.expect(time, f"/{n}", None)
        talk.flow.ask(reset(2 * n + 1))
    talk.visit(601, "/answered")


@case("http2-empty-frames", "thousands of frames with nothing in them")
def _(test):
    talk = Talk(test)
    talk.start()
    block = talk.asks.request("/1", method="POST")
    talk.flow.ask(head(1, block, end=False))
    for _ in range(10):
        talk.flow.ask(data(1, b"", False) * 150)
        talk.flow.answer(settings() * 150)
    talk.flow.ask(data(1, b""))
    talk.flow.answer(talk.status(1, 200))
    talk.visit(3, "/after")


@case("http2-malformed-heads", "heads that contradict themselves are counted, not told; the connection goes on")
def _(test):
    talk = Talk(test)
    talk.start()
    method, path = (":method", "GET"), (":path", "/malformed")
    wrong = [[method], [path], [method, path, (":path", "/again")], [method, ("a", "b"), path],
             [method, path, (":odd", "x")], [(":method", "no token"), path], [method, (":path", "")]]
    for n, fields in enumerate(wrong):
        talk.flow.ask(head(2 * n + 1, talk.asks.block((":scheme", "http"), *fields)))
        talk.flow.answer(reset(2 * n + 1, 1))
    talk.visit(101, "/after")


@case("http2-not-after-all", "what only begins like HTTP/2, or is answered in HTTP/1")
def _(test):
    flow = Flow(test.tape, ("203.0.113.77", 40001)).open()
    flow.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\nGET / HTTP/1.1\r\n\r\n")
    flow = Flow(test.tape, ("203.0.113.77", 40002)).open()
    flow.answer(settings((3, 100)))
    flow.ask(b"SSH-2.0-nothing\r\n")
    talk = Talk(test, ("203.0.113.77", 40003))
    time = talk.flow.ask(PREFACE + settings() + talk.get(1, "/to-a-server-of-http1"))
    talk.flow.answer(status="400 Bad Request")
    talk.expect(time, "/to-a-server-of-http1", None)
