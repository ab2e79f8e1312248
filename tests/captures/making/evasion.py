"""Segments that a server never takes, sent so that a tap reads something else; and what it does take."""

import struct

from . import wire
from .case import case
from .flow import Flow, get

TAKEN = get("/taken")
DECOY = get("/decoy")


def decoyed(test, **fields):
    """A decoy at the place of the request, then the request itself."""
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, DECOY, seq=flow.visitor.seq, **fields)
    time = flow.ask(TAKEN)
    flow.answer()
    flow.close()
    return flow, time


@case("tcp-decoy-without-ack", "a segment without the ACK flag, which no host reads (RFC 9293 §3.10.7.4)")
def _(test):
    flow, time = decoyed(test, flags="P")
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-without-flags", "the same without any flag at all")
def _(test):
    flow, time = decoyed(test, flags="")
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-acks-before-the-start", "a segment that acknowledges bytes from before the connection's start")
def _(test):
    flow, time = decoyed(test, flags="PA", ack=90000 - 50_000)
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-syn-within", "a SYN with data in the middle of a connection opens nothing in it")
def _(test):
    flow, time = decoyed(test, flags="SA")
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-beyond-the-window", "bytes far ahead of the window, then what they pretend to follow")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, DECOY, "PA", seq=flow.visitor.seq + 2**28)
    flow.send(flow.server)
    time = flow.ask(TAKEN)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-before-the-window", "bytes from before the connection's first, and some that reach into it")
def _(test):
    flow = Flow(test.tape).open()
    start = flow.visitor.seq
    flow.send(flow.visitor, DECOY, "PA", seq=start - len(DECOY))
    flow.send(flow.visitor, DECOY, "PA", seq=start - 1000)
    time = flow.ask(TAKEN)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-fin", "a FIN with a wrong checksum, and one with a number that was never reached")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(TAKEN[:20])
    flow.send(flow.visitor, flags="FA", seq=flow.visitor.seq, wrong_checksum=True)
    flow.send(flow.visitor, flags="FA", seq=flow.visitor.seq + 5)
    time = flow.ask(TAKEN[20:])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-rst", "resets with a wrong checksum, without effect by their number, or inside the window")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(TAKEN[:20])
    flow.send(flow.visitor, flags="R", seq=flow.visitor.seq, wrong_checksum=True)
    flow.send(flow.server, flags="R", seq=flow.server.seq, wrong_checksum=True)
    flow.send(flow.visitor, flags="R", seq=flow.visitor.seq - 1)
    flow.send(flow.visitor, flags="R", seq=flow.visitor.seq + 3000)
    flow.send(flow.server, flags="RA", seq=flow.server.seq + 3000)
    flow.send(flow.server)
    time = flow.ask(TAKEN[20:])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-header-length", "segments whose header is said to be longer than they are, or too short")
def _(test):
    flow = Flow(test.tape).open()
    for words in (15, 4):
        packet = bytearray(flow.packet(flow.visitor, DECOY[:30], "PA"))
        packet[20 + 12] = words << 4
        flow.put(bytes(packet))
    time = flow.ask(TAKEN)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-ip-lengths", "packets that say that they are longer than their frame, or shorter than their header")
def _(test):
    flow = Flow(test.tape).open()
    for total in (1400, 12):
        flow.send(flow.visitor, DECOY, "PA", seq=flow.visitor.seq, ip={"total": total})
    time = flow.ask(TAKEN)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-from-another-port", "the same bytes and numbers from the port beside it: another connection")
def _(test):
    other = Flow(test.tape, ("203.0.113.77", 40002))
    flow = Flow(test.tape).open()
    other.visitor.seq, other.server.seq = flow.visitor.seq, flow.server.seq
    decoy = other.send(other.visitor, DECOY, "PA")
    time = flow.ask(TAKEN)
    flow.answer()
    test.expect(other, decoy, target="/decoy", status=None, flags=["midstream"])
    test.expect(flow, time, target="/taken")


# ── urgent data ──


@case("tcp-urgent", "the urgent byte is no part of what a server reads (Linux; RFC 6093 §2)")
def _(test):
    flow = Flow(test.tape).open()
    head = get("/taken")
    dirty = head[:8] + b"!" + head[8:]
    time = flow.ask_urgent(dirty, 9)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-urgent-alone", "an urgent byte in a segment of its own, between two halves of a head")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(TAKEN[:10])
    flow.ask_urgent(b"!", 1)
    time = flow.ask(TAKEN[10:])
    flow.answer()
    second = flow.ask(get("/second"))
    flow.answer()
    test.expect(flow, time, target="/taken")
    test.expect(flow, second, target="/second")


@case("tcp-urgent-out-of-order", "a segment with an urgent byte that waits, and comes twice")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.take(flow.visitor, TAKEN[:8], "PA")
    urgent = flow.take(flow.visitor, b"!" + TAKEN[8:20], "PAU", urgent=1)
    last = flow.take(flow.visitor, TAKEN[20:], "PA")
    for packet in (urgent, first, urgent):
        flow.put(packet)
    time = flow.put(last)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-urgent-later", "the pointer comes before its byte, which is in a later segment")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, TAKEN[:5], "PAU", urgent=11)
    time = flow.ask(TAKEN[5:10] + b"!" + TAKEN[10:])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-urgent-means-nothing", "an urgent pointer without its flag")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, TAKEN[:20], "PA", urgent=7)
    time = flow.ask(TAKEN[20:])
    flow.answer()
    test.expect(flow, time, target="/taken")


# ── what a server does take ──


@case("tcp-flags-of-all-kinds", "ECN bits, no push, urgent pointer noise and reserved bits change nothing")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="SEC")
    flow.send(flow.server, flags="SAE")
    flow.send(flow.visitor)
    flow.send(flow.visitor, TAKEN[:20], "AC")
    packet = bytearray(flow.take(flow.visitor, TAKEN[20:30], "A"))
    time = flow.tape.put(bytes(packet))
    time = flow.ask(TAKEN[30:])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-options-of-all-kinds", "options of 40 bytes: time stamps, SACK, an experiment, padding")
def _(test):
    sack = struct.pack("!BBBBIIII", 1, 1, 5, 18, 1, 2, 3, 4)
    options = wire.timestamps(1) + sack[:20] + bytes.fromhex("fe040001") + b"\x01\x01\x00\x00"
    flow = Flow(test.tape).open()
    time = flow.send(flow.visitor, TAKEN, "PA", options=options[:40])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-data-with-the-handshakes-end", "the request rides on the third segment of the handshake")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S")
    flow.send(flow.server, flags="SA")
    time = flow.send(flow.visitor, TAKEN, "PA")
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-fast-open-in-part", "of the data in the SYN the server took a part; the rest comes again")
def _(test):
    flow = Flow(test.tape)
    start = flow.visitor.seq
    flow.send(flow.visitor, TAKEN[:30], "S")
    flow.send(flow.server, flags="SA", ack=start + 1 + 10)
    time = flow.send(flow.visitor, TAKEN[10:], "PA", seq=start + 11)
    flow.visitor.seq = start + 1 + len(TAKEN)
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-half-closed", "the visitor closes its side with the request, the answer comes much later")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.send(flow.visitor, TAKEN, "FPA")
    flow.send(flow.server)
    flow.tape.wait(25)
    flow.answer(status="404 Not Found")
    flow.send(flow.server, flags="FA")
    test.expect(flow, time, target="/taken", status=404)


@case("tcp-fin-first", "both FINs are seen before the data that they close")
def _(test):
    flow = Flow(test.tape).open()
    request = flow.take(flow.visitor, TAKEN, "PA")
    answer = flow.take(flow.server, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "PA")
    ends = [flow.take(flow.visitor, flags="FA"), flow.take(flow.server, flags="FA")]
    for packet in ends:
        flow.put(packet)
    time = flow.put(request)
    flow.put(answer)
    test.expect(flow, time, target="/taken", status=404)


@case("tcp-fin-again", "FINs that are sent again, and keep-alives of a connection that is over")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(TAKEN)
    flow.answer()
    for _ in range(3):
        flow.send(flow.visitor, flags="FA", seq=flow.visitor.seq)
    flow.close()
    flow.send(flow.visitor, TAKEN, "PA", seq=1001)
    flow.send(flow.server, flags="FA", seq=flow.server.seq - 1)
    test.expect(flow, time, target="/taken")


@case("tcp-half-open", "a connection that one side has forgotten, opened anew with the same ports")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.answer()
    flow.tape.wait(20)
    again = Flow(test.tape, isn=(flow.visitor.seq + 10, 400_000))
    again.send(again.visitor, flags="S")
    flow.send(flow.server)  # the server still thinks of the old one
    again.send(again.visitor, flags="R", seq=flow.visitor.seq)
    again.visitor.seq = flow.visitor.seq + 10
    again.open()
    second = again.ask(get("/second"))
    again.answer()
    test.expect(flow, first, target="/first")
    test.expect(again, second, target="/second")


@case("tcp-reuse-numbers-overlap", "the same ports again, with numbers within and just behind the old ones")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first", fields=["X-Fill: " + "f" * 500]))
    flow.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    test.expect(flow, first, target="/first")
    for number, (visitor, server) in enumerate(((1100, 91000), (1700, 95100), (1300, 89000))):
        flow.tape.wait(3)
        again = Flow(test.tape, isn=(visitor, server)).open()
        again.ask(TAKEN[:10])
        time = again.ask(TAKEN[10:])
        again.answer(status=f"40{number} No")
        again.close()
        test.expect(again, time, target="/taken", status=400 + number)


@case("tcp-reuse-of-equal-numbers", "the same ports and the same numbers, a while after the end of the first")
def _(test):
    for target, status in (("/first", 200), ("/second", 404)):
        flow = Flow(test.tape).open()
        time = flow.ask(get(target))
        flow.answer(status=f"{status} Whatever")
        flow.close()
        flow.tape.wait(3)
        test.expect(flow, time, target=target, status=status)


@case("tcp-many-segments-out-of-order", "a head of 300 segments, in pairs, backwards, and from both ends")
def _(test):
    head = get("/", fields=["X-Fill: " + "f" * 3000])
    size = -(-len(head) // 300)
    count = -(-len(head) // size)
    places = range(count)
    orders = ([place ^ 1 if place ^ 1 < count else place for place in places], places[::-1],
              [place for pair in zip(places, places[::-1]) for place in pair][:count])
    for number, order in enumerate(orders):
        flow = Flow(test.tape, ("203.0.113.77", 40001 + number)).open()
        packets = [flow.take(flow.visitor, head[at:at + size], "PA") for at in range(0, len(head), size)]
        times = [flow.put(packets[place]) for place in order]
        flow.answer()
        test.expect(flow, times[-1])


@case("tcp-mirrored-three-times", "every frame thrice, the copies later than what follows them")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(TAKEN)
    flow.answer()
    flow.close()
    copies = [(at + shift, frame) for shift in (0, 2_500_000, 7_500_000) for at, frame in test.tape.frames]
    test.tape.frames = sorted(copies)
    test.expect(flow, time, target="/taken")


@case("tcp-clock-steps-back", "time stamps of frames that run backwards by an hour")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(TAKEN[:20])
    flow.tape.wait(-3600)
    time = flow.ask(TAKEN[20:])
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-syn-with-data", "a SYN with data on the ports of a connection that lives")
def _(test):
    flow, time = decoyed(test, flags="S")
    test.expect(flow, time, target="/taken")


@case("tcp-decoy-syn-ack", "the visitor answers with SYN and ACK in the middle; the server's answers stay where they belong")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.answer()
    flow.send(flow.visitor, flags="SA", seq=flow.visitor.seq)
    flow.send(flow.visitor, flags="S", seq=flow.visitor.seq + 500)
    time = flow.ask(TAKEN)
    flow.answer(status="404 Not Found")
    flow.close()
    test.expect(flow, first, target="/first")
    test.expect(flow, time, target="/taken", status=404)


@case("tcp-decoy-handshake", "answers to the SYN with wrong numbers, before and behind the right one")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S")
    flow.send(flow.server, flags="SA", seq=4_000_000_000)
    flow.send(flow.server, flags="SA")
    flow.send(flow.server, flags="SA", seq=2_000_000_000)
    flow.send(flow.visitor)
    time = flow.ask(TAKEN)
    flow.answer(status="404 Not Found")
    second = flow.ask(get("/second"))
    flow.answer()
    flow.close()
    test.expect(flow, time, target="/taken", status=404)
    test.expect(flow, second, target="/second")
