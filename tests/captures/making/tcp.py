"""TCP: order, retransmission, overlap, holes, and the ways in which connections begin and end."""

from . import wire
from .case import case
from .flow import Flow, get

HEAD = get("/", fields=["User-Agent: probe/1"])
AGENT = {"user_agent": "probe/1"}


def parts(data, *cuts):
    edges = (0, *cuts, len(data))
    return [data[start:end] for start, end in zip(edges, edges[1:])]


def arranged(test, cuts, order, last=-1, isn=(1000, 90000), **event):
    """The head, cut at `cuts`, in `order`; complete at the segment in place `last`."""
    flow = Flow(test.tape, isn=isn).open()
    packets = [flow.take(flow.visitor, part, "PA") for part in parts(HEAD, *cuts)]
    times = [flow.put(packets[number]) for number in order]
    flow.answer()
    flow.close()
    test.expect(flow, times[last], **AGENT, **event)
    return flow


@case("tcp-in-order", "a head in three segments")
def _(test):
    arranged(test, (10, 30), (0, 1, 2))


@case("tcp-one-byte-segments", "one byte a segment")
def _(test):
    arranged(test, range(1, len(HEAD)), range(len(HEAD)))


@case("tcp-out-of-order", "the second segment comes last")
def _(test):
    arranged(test, (10, 30), (0, 2, 1))


@case("tcp-reversed", "eight segments, last first")
def _(test):
    arranged(test, range(8, 64, 8), range(7, -1, -1))


@case("tcp-one-byte-reversed", "one byte a segment, last first")
def _(test):
    arranged(test, range(1, len(HEAD)), range(len(HEAD) - 1, -1, -1))


@case("tcp-retransmitted", "every segment twice, in order")
def _(test):
    arranged(test, (10, 30), (0, 0, 1, 1, 2, 2), last=-2)


@case("tcp-retransmitted-late", "the first segment again, behind the last")
def _(test):
    arranged(test, (10, 30), (0, 1, 2, 0, 1), last=2)


@case("tcp-out-of-order-and-again", "out of order, with repetitions")
def _(test):
    arranged(test, (10, 20, 30), (3, 1, 1, 3, 2, 0, 0), last=-2)


@case("tcp-sequence-wrap", "sequence numbers pass 2^32 inside the head, in order and reversed")
def _(test):
    arranged(test, (10, 30), (0, 1, 2), isn=(2**32 - 20, 2**32 - 1))
    second = Flow(test.tape, ("203.0.113.77", 40002), isn=(2**32 - 20, 2**32 - 1)).open()
    packets = [second.take(second.visitor, part, "PA") for part in parts(HEAD, 10, 30)]
    time = [second.put(packet) for packet in packets[::-1]][-1]
    second.answer()
    test.expect(second, time, **AGENT)


@case("tcp-repacketised", "a retransmission with other borders")
def _(test):
    flow = Flow(test.tape).open()
    start = flow.visitor.seq
    flow.send(flow.visitor, HEAD[:10], "PA")
    flow.take(flow.visitor, HEAD[10:30], "PA")
    flow.send(flow.visitor, HEAD[30:40], "PA")
    time = flow.send(flow.visitor, HEAD[5:], "PA", seq=start + 5)
    flow.visitor.seq = start + len(HEAD)
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-duplicate-frames", "every frame twice, as when both ports of the way are mirrored")
def _(test):
    flow = Flow(test.tape, copies=2).open()
    time = flow.ask(HEAD)
    flow.answer()
    second = flow.ask(get("/second"))
    flow.answer()
    flow.close()
    test.expect(flow, time, **AGENT)
    test.expect(flow, second, target="/second")


# ── bytes that differ ──


def overlapping(test, waiting, newer, target):
    """A hole at the start; two segments beyond it, given as (from, to, letter), that differ."""
    flow = Flow(test.tape).open()
    start, head = flow.visitor.seq, get("/" + "-" * 30)

    def put(first, last, letter):
        data = head[first:last].replace(b"-", letter)
        return flow.send(flow.visitor, data, "PA", seq=start + first)

    put(*waiting)
    put(*newer)
    put(35, len(head), b"-")
    time = put(0, 5, b"-")
    flow.visitor.seq = start + len(head)
    flow.answer()
    test.expect(flow, time, target=target, flags=["overlap"])


@case("tcp-overlap-waiting-covered", "a waiting segment that a newer one covers wholly is replaced")
def _(test):
    overlapping(test, (15, 25, b"a"), (5, 35, b"b"), "/" + "b" * 30)


@case("tcp-overlap-waiting-same-start", "the newer one starts where the waiting one does and is longer")
def _(test):
    overlapping(test, (5, 25, b"a"), (5, 35, b"b"), "/" + "b" * 30)


@case("tcp-overlap-waiting-tail", "the newer one starts inside the waiting one: the waiting bytes stay")
def _(test):
    overlapping(test, (5, 25, b"a"), (15, 35, b"b"), "/" + "a" * 20 + "b" * 10)


@case("tcp-overlap-waiting-head", "the newer one starts before the waiting one: the newer bytes count")
def _(test):
    overlapping(test, (15, 35, b"a"), (5, 25, b"b"), "/" + "b" * 20 + "a" * 10)


@case("tcp-overlap-waiting-inside", "the newer one lies inside the waiting one: nothing changes")
def _(test):
    overlapping(test, (5, 35, b"a"), (15, 25, b"b"), "/" + "a" * 30)


# ── probes ──


@case("tcp-keep-alive-byte", "keep-alive probes with a garbage byte one before the next")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(HEAD)
    flow.answer()
    flow.tape.wait(45)
    for _ in range(3):
        flow.send(flow.visitor, b"\0", seq=flow.visitor.seq - 1)
        flow.send(flow.server)
    second = flow.ask(get("/second"))
    flow.answer()
    test.expect(flow, time, **AGENT)
    test.expect(flow, second, target="/second")


@case("tcp-keep-alive-byte-in-head", "a keep-alive probe between two halves of a head")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    flow.send(flow.visitor, b"G", seq=flow.visitor.seq - 1)
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-zero-window", "a window of zero, probed with one byte that is sent again later")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, HEAD[:20], "PA")
    flow.send(flow.server, window=0)
    flow.tape.wait(1)
    flow.send(flow.visitor, HEAD[20:21], seq=flow.visitor.seq)
    flow.send(flow.server, window=0)
    flow.tape.wait(1)
    flow.send(flow.server)
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-old-time-stamps", "TCP time stamps that run backwards are no reason to drop anything")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S", options=wire.timestamps(5000))
    flow.send(flow.server, flags="SA", options=wire.timestamps(9000, 5000))
    flow.send(flow.visitor, options=wire.timestamps(5001, 9000))
    flow.send(flow.visitor, HEAD[:20], "PA", options=wire.timestamps(5002, 9000))
    time = flow.send(flow.visitor, HEAD[20:], "PA", options=wire.timestamps(7, 9000))
    flow.answer()
    test.expect(flow, time, **AGENT)


# ── beginnings ──


@case("tcp-midstream", "the capture begins behind the handshake, with a request")
def _(test):
    flow = Flow(test.tape)
    time = flow.ask(HEAD)
    flow.answer()
    test.expect(flow, time, **AGENT, flags=["midstream"])


@case("tcp-midstream-in-a-body", "the capture begins inside a request's body")
def _(test):
    flow = Flow(test.tape)
    flow.ask(b"the last words of a long body, GET nothing\r\n")
    flow.answer()
    time = flow.ask(get("/next"))
    flow.answer(status="404 Not Found")
    test.expect(flow, time, target="/next", status=404, flags=["midstream"])


@case("tcp-syn-unseen", "only the SYN is missing: the server's answer to it shows the start")
def _(test):
    flow = Flow(test.tape)
    flow.take(flow.visitor, flags="S")
    flow.send(flow.server, flags="SA")
    flow.send(flow.visitor)
    time = flow.ask(HEAD)
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-handshake-out-of-order", "the request comes before the handshake's frames")
def _(test):
    flow = Flow(test.tape)
    packets = [flow.take(flow.visitor, flags="S"), flow.take(flow.server, flags="SA"),
               flow.take(flow.visitor), flow.take(flow.visitor, HEAD[:20], "PA")]
    for number in (0, 3, 1, 2):
        flow.put(packets[number])
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-simultaneous-open", "both sides send SYN")
def _(test):
    flow = Flow(test.tape)
    packets = [flow.take(flow.visitor, flags="S"), flow.take(flow.server, flags="S")]
    for packet in packets:
        flow.put(packet)
    for side in (flow.visitor, flow.server):
        flow.send(side, flags="SA", seq=side.seq - 1)
    time = flow.ask(HEAD)
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-fast-open", "the request lies in the SYN")
def _(test):
    flow = Flow(test.tape)
    time = flow.send(flow.visitor, HEAD, "S")
    flow.send(flow.server, flags="SA")
    flow.send(flow.visitor)
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-fast-open-refused", "data in the SYN that the server did not take is sent again")
def _(test):
    flow = Flow(test.tape)
    start = flow.visitor.seq
    flow.send(flow.visitor, HEAD, "S")
    flow.send(flow.server, flags="SA", ack=start + 1)
    read = flow.send(flow.visitor, HEAD, "PA", seq=start + 1)
    flow.answer()
    test.expect(flow, read, **AGENT)


@case("tcp-syn-again", "the SYN is retransmitted, on both sides")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S", seq=flow.visitor.seq)
    flow.send(flow.visitor, flags="S")
    flow.send(flow.server, flags="SA", seq=flow.server.seq)
    flow.send(flow.server, flags="SA")
    flow.send(flow.visitor)
    time = flow.ask(HEAD)
    flow.answer()
    test.expect(flow, time, **AGENT)


# ── one direction ──


def only(test, keep):
    """The frames of one side of a visit."""
    flow = Flow(test.tape).open()
    time = flow.ask(HEAD)
    flow.answer()
    flow.close()
    source = wire.address(keep(flow).address)
    test.tape.frames = [frame for frame in test.tape.frames if frame[1][26:30] == source]
    return flow, time


@case("tcp-visitor-only", "the mirror shows the visitor's side only: no status")
def _(test):
    flow, time = only(test, lambda flow: flow.visitor)
    test.expect(flow, time, **AGENT, status=None)


@case("tcp-server-only", "the mirror shows the server's side only: nothing to tell")
def _(test):
    only(test, lambda flow: flow.server)


# ── endings ──


@case("tcp-fin-before-last-data", "the FIN is seen before the last segment")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.take(flow.visitor, HEAD[:20], "PA")
    second = flow.take(flow.visitor, HEAD[20:], "PA")
    fin = flow.take(flow.visitor, flags="FA")
    flow.put(first)
    flow.put(fin)
    time = flow.put(second)
    flow.answer()
    flow.send(flow.server, flags="FA")
    test.expect(flow, time, **AGENT)


@case("tcp-fin-with-data", "the FIN travels with the request's last bytes")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    time = flow.send(flow.visitor, HEAD[20:], "FPA")
    flow.answer()
    flow.send(flow.server, flags="FA")
    test.expect(flow, time, **AGENT)


@case("tcp-rst-after", "the visitor resets as soon as it has its answer")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(HEAD)
    flow.answer()
    flow.send(flow.visitor, flags="RA")
    test.expect(flow, time, **AGENT)


@case("tcp-rst-before-the-answer", "the visitor resets without waiting: no status")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(HEAD)
    flow.send(flow.visitor, flags="R")
    test.expect(flow, time, **AGENT, status=None)


@case("tcp-rst-out-of-window", "a forged RST far out of the window ends nothing")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    flow.send(flow.visitor, flags="R", seq=flow.visitor.seq + 2**30)
    flow.send(flow.server, flags="R", seq=flow.server.seq - 2**30)
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-rst-in-the-middle", "a RST ends the connection inside a head: no request")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    flow.send(flow.server, flags="R")


def reuse(test, end):
    """The same ports again, after the first connection ended by `end`."""
    flow = Flow(test.tape).open()
    first = flow.ask(HEAD)
    flow.answer()
    end(flow)
    flow.tape.wait(2)
    again = Flow(test.tape, isn=(500_000, 700_000)).open()
    second = again.ask(get("/again"))
    again.answer(status="404 Not Found")
    again.close()
    test.expect(flow, first, **AGENT)
    test.expect(again, second, target="/again", status=404)


@case("tcp-reuse-after-fin", "the same ports again, after FIN")
def _(test):
    reuse(test, Flow.close)


@case("tcp-reuse-after-rst", "the same ports again, after RST")
def _(test):
    reuse(test, lambda flow: flow.send(flow.visitor, flags="R"))


@case("tcp-reuse-without-end", "the same ports again; how the first connection ended was not seen")
def _(test):
    reuse(test, lambda flow: None)


@case("tcp-reuse-within-a-head", "the same ports again while half a head waits")
def _(test):
    reuse(test, lambda flow: flow.ask(b"GET /half HTTP/1.1\r\nHos"))


# ── holes ──


@case("tcp-hole-in-an-answer", "part of an answer's body is missing: the next status is still read")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(HEAD)
    flow.send(flow.server, b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 1000, "PA")
    flow.take(flow.server, b"x" * 1000, "PA")
    flow.send(flow.server, b"x" * 1000, "PA")
    flow.send(flow.visitor)
    second = flow.ask(get("/second"))
    flow.answer(status="404 Not Found")
    test.expect(flow, first, **AGENT)
    test.expect(flow, second, target="/second", status=404)


@case("tcp-syn-flood", "5,000 SYNs that nobody answers, half a request on either side of them")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    for number in range(5000):
        source = (f"198.51.{number // 250}.{number % 250 + 1}", 1024 + number)
        syn = Flow(test.tape, source, isn=(number * 7919, 0))
        syn.send(syn.visitor, flags="S")
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)


@case("tcp-idle-an-hour-less", "a connection that was silent for 50 minutes")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(HEAD[:20])
    flow.tape.wait(3000)
    time = flow.ask(HEAD[20:])
    flow.answer()
    test.expect(flow, time, **AGENT)
