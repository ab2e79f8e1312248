"""Fragments that contradict each other, come late, or come in floods."""

from . import wire
from .case import case
from .flow import SERVER, SERVER6, VISITOR, VISITOR6, Flow, get
from .ip import EXTENSIONS, HEAD, fragments, fragments6


def again(test, spoil, six=False):
    """The request in fragments that no host puts together, then sent again whole."""
    flow = Flow(test.tape, VISITOR6, SERVER6) if six else Flow(test.tape)
    flow.open()
    packet = flow.packet(flow.visitor, get("/spoilt", fields=["X-Filler: " + "f" * 200]), "PA")
    for part in spoil((fragments6 if six else fragments)(packet, 64)):
        test.tape.put(part)
    time = flow.ask(HEAD)
    flow.answer()
    test.expect(flow, time)


def piece(data, offset, more, **fields):
    return wire.ipv4(data, VISITOR[0], SERVER[0], identity=77, offset=offset, more=more, **fields)


@case("ip4-fragments-that-differ", "IPv4 fragments that overlap and differ: the datagram is nobody's (Linux), the next is read")
def _(test):
    again(test, lambda parts: [*parts[:2], piece(b"?" * 64, 96, True), *parts[2:]])


@case("ip6-fragments-overlapping", "IPv6 fragments that overlap: the datagram is nobody's (RFC 8200 §4.5)")
def _(test):
    def spoil(parts):
        overlap = wire.ipv6(parts[1][48:56] + parts[2][48:], VISITOR6[0], SERVER6[0],
                            extensions=[wire.ipv6_fragment(120, True, 77)])
        return [*parts[:2], overlap, *parts[2:]]

    again(test, spoil, six=True)


@case("ip4-fragments-two-ends", "fragments that disagree about where the datagram ends")
def _(test):
    again(test, lambda parts: [parts[0], piece(b"?" * 20, 64, False), *parts[1:]])


@case("ip4-fragments-too-large", "fragments that reach beyond 65,535 bytes")
def _(test):
    again(test, lambda parts: [*parts[:-1], piece(b"?" * 64, 65528, False)])


@case("ip4-fragments-decoy", "fragments with a wrong header checksum, each before the right one")
def _(test):
    flow = Flow(test.tape).open()
    parts = fragments(flow.take(flow.visitor, HEAD, "PA"), 64)
    for at, part in enumerate(parts):
        more = at + 1 < len(parts)
        test.tape.put(piece(b"?" * len(part[20:]), 64 * at, more, wrong_checksum=True))
        time = test.tape.put(part)
    flow.answer()
    test.expect(flow, time)


@case("ip4-fragments-scattered", "more holes in one datagram than are kept: it is given up, the next is read")
def _(test):
    def spoil(parts):
        body = b"".join(part[20:] for part in parts) + b"?" * 2000
        cells = [piece(body[at:at + 8], at, True) for at in range(0, 2000, 8)]
        return cells[::2] + cells[1::2]

    again(test, spoil)


@case("ip4-fragments-late", "the last fragment comes after 29 s, within the time that hosts wait")
def _(test):
    flow = Flow(test.tape).open()
    parts = fragments(flow.take(flow.visitor, HEAD, "PA"), 64)
    for part in parts[:-1]:
        test.tape.put(part)
    test.tape.wait(29)
    time = test.tape.put(parts[-1])
    flow.answer()
    test.expect(flow, time)


@case("ip4-fragments-too-late", "the last fragment comes after 31 s: no host waits so long; it is sent again")
def _(test):
    def spoil(parts):
        yield from parts[:-1]
        test.tape.wait(31)
        yield parts[-1]

    again(test, spoil)


@case("ip4-fragments-of-many", "five hundred datagrams at once, each in two fragments, first parts first")
def _(test):
    first, last, flows = [], [], []
    for number in range(500):
        flow = Flow(test.tape, ("203.0.113.77", 40001 + number))
        flow.open()
        head, tail = fragments(flow.take(flow.visitor, get(f"/{number}", fields=["X: " + "f" * 40]), "PA"), 72, number)
        first.append(head)
        last.append(tail)
        flows.append(flow)
    for part in first:
        test.tape.put(part)
    for number, (flow, part) in enumerate(zip(flows, last)):
        test.expect(flow, test.tape.put(part), target=f"/{number}", status=None)


@case("ip4-fragments-endless", "a datagram of ten thousand fragments without end, between those of a request")
def _(test):
    flow = Flow(test.tape).open()
    parts = fragments(flow.take(flow.visitor, HEAD, "PA"), 64)
    for part in parts[:-1]:
        test.tape.put(part)
    for at in range(10_000):
        test.tape.put(wire.ipv4(b"?" * 8, "198.51.100.9", SERVER[0], identity=9, offset=8 * (at % 8000), more=True))
    time = test.tape.put(parts[-1])
    flow.answer()
    test.expect(flow, time)


@case("ip6-fragments-with-extensions", "extension headers before and inside the part that is fragmented")
def _(test):
    flow = Flow(test.tape, VISITOR6, SERVER6).open()
    number, options = EXTENSIONS["destination"]
    body = bytes([wire.TCP]) + options + flow.take(flow.visitor, HEAD, "PA")[40:]
    for at in range(0, len(body), 64):
        extensions = [EXTENSIONS["hop-by-hop"], wire.ipv6_fragment(at, at + 64 < len(body), 5)]
        time = test.tape.put(wire.ipv6(body[at:at + 64], VISITOR6[0], SERVER6[0], number, extensions=extensions))
    flow.answer()
    test.expect(flow, time)


@case("ip6-jumbo", "a payload length of 0 with the option of a jumbogram (RFC 2675)")
def _(test):
    flow = Flow(test.tape, VISITOR6, SERVER6).open()
    segment = flow.take(flow.visitor, HEAD, "PA")[40:]
    option = bytes([0]) + bytes.fromhex("c204") + (8 + len(segment)).to_bytes(4, "big")
    packet = bytearray(wire.ipv6(segment, VISITOR6[0], SERVER6[0], extensions=[(0, option)]))
    packet[4:6] = b"\0\0"
    time = test.tape.put(bytes(packet))
    flow.answer()
    test.expect(flow, time)


@case("ip4-authentication", "an authentication header between IPv4 and TCP (RFC 4302)")
def _(test):
    flow = Flow(test.tape).open()
    segment = flow.take(flow.visitor, HEAD, "PA")[20:]
    header = bytes([wire.TCP, 4, 0, 0]) + bytes(8) + bytes(12)
    time = test.tape.put(wire.ipv4(header + segment, VISITOR[0], SERVER[0], 51))
    flow.answer()
    test.expect(flow, time)
