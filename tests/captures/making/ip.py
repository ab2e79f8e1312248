"""IP: options, extension headers, fragments, checksums."""

from . import wire
from .case import case
from .flow import SERVER, SERVER6, VISITOR, VISITOR6, Flow, get

HEAD = get("/", fields=["X-Filler: " + "f" * 200])


def fragments(packet, size, identity=77):
    """IPv4 fragments of a packet, `size` bytes of payload each."""
    body = packet[20:]
    return [wire.ipv4(body[at:at + size], VISITOR[0], SERVER[0], identity=identity, offset=at,
                      more=at + size < len(body)) for at in range(0, len(body), size)]


def fragments6(packet, size, identity=77):
    body = packet[40:]
    return [wire.ipv6(body[at:at + size], VISITOR6[0], SERVER6[0],
                      extensions=[wire.ipv6_fragment(at, at + size < len(body), identity)])
            for at in range(0, len(body), size)]


def fragmented(test, arrange, six=False, size=64, **event):
    """The request comes in fragments, in the order that `arrange` gives them; the head is
    complete at the fragment whose place `arrange` returns second."""
    flow = Flow(test.tape, VISITOR6, SERVER6) if six else Flow(test.tape)
    flow.open()
    packet = flow.take(flow.visitor, HEAD, "PA")
    parts, last = arrange((fragments6 if six else fragments)(packet, size))
    times = [test.tape.put(part) for part in parts]
    flow.answer()
    test.expect(flow, times[last], **event)


ORDERS = {
    "in-order": ("in order", lambda parts: (parts, -1)),
    "reversed": ("last first", lambda parts: (parts[::-1], -1)),
    "shuffled": ("out of order", lambda parts: (parts[1::2] + parts[::2], -1)),
    "duplicated": ("each twice", lambda parts: ([p for part in parts for p in (part, part)], -2)),
}

for name, (words, arrange) in ORDERS.items():
    for six, family in ((False, "4"), (True, "6")):
        case(f"ip{family}-fragments-{name}", f"IPv{family} fragments, {words}")(
            lambda test, arrange=arrange, six=six: fragmented(test, arrange, six))


@case("ip4-fragments-overlapping", "IPv4 fragments that overlap and agree")
def _(test):
    flow = Flow(test.tape).open()
    body = flow.take(flow.visitor, HEAD, "PA")[20:]
    cuts = ((0, 96), (64, 160), (128, len(body)))
    for start, end in cuts:
        time = test.tape.put(wire.ipv4(body[start:end], VISITOR[0], SERVER[0], identity=77,
                                       offset=start, more=end < len(body)))
    flow.answer()
    test.expect(flow, time)


@case("ip4-fragments-tiny", "fragments of 8 bytes: the TCP header itself is torn")
def _(test):
    flow = Flow(test.tape).open()
    packet = flow.take(flow.visitor, get("/tiny"), "PA")
    times = [test.tape.put(part) for part in fragments(packet, 8)]
    flow.answer()
    test.expect(flow, times[-1], target="/tiny")


@case("ip4-fragments-same-id-two-vlans", "the same datagram number in two VLANs, fragments mixed")
def _(test):
    flows = [Flow(test.tape, isn=(1000 * n, 9000 * n), wrap=tagged(n)) for n in (10, 20)]
    for flow in flows:
        flow.open()
    parts = [fragments(flow.take(flow.visitor, get(f"/vlan-{n}", fields=["X: " + "f" * 99]), "PA"), 64)
             for n, flow in zip((10, 20), flows)]
    times = [[flow.put(part) for flow, part in zip(flows, pair)] for pair in zip(*parts)][-1]
    for n, flow, time in zip((10, 20), flows, times):
        flow.answer()
        test.expect(flow, time, target=f"/vlan-{n}", vlan=n)


def tagged(vlan):
    def wrap(packet):
        body, kind = wire.tags(packet, (wire.VLAN, vlan))
        return wire.ethernet(body, kind)

    return wrap


@case("ip4-fragments-never-finished", "600 datagrams that stay unfinished, then a fragmented request")
def _(test):
    for identity in range(600):
        test.tape.put(wire.ipv4(bytes(64), "198.51.100.9", SERVER[0], identity=identity, more=True))
    fragmented(test, lambda parts: (parts, -1))


@case("ip4-fragments-same-id-later", "a number used again, 40 s after a datagram that was never finished")
def _(test):
    flow = Flow(test.tape).open()
    packet = flow.packet(flow.visitor, get("/never" + "x" * 300), "PA")
    test.tape.put(fragments(packet, 64)[0])
    test.tape.wait(40)
    time = [flow.put(part) for part in fragments(flow.take(flow.visitor, HEAD, "PA"), 64)][-1]
    flow.answer()
    test.expect(flow, time)


@case("ip4-options", "IPv4 header with options (record route, padding)")
def _(test):
    options = bytes.fromhex("070b04000000000000000000")
    flow = Flow(test.tape)
    flow.open()
    time = flow.ask(HEAD, ip={"options": options})
    flow.answer()
    test.expect(flow, time)


EXTENSIONS = {
    "hop-by-hop": (0, bytes.fromhex("00010400000000")),
    "destination": (60, bytes.fromhex("00010400000000")),
    "routing": (43, bytes.fromhex("02040000000000") + wire.address("2001:db8::1")),
    "authentication": (51, bytes.fromhex("040000") + bytes(20)),
}

for name, extension in EXTENSIONS.items():

    def with_extension(test, extension=extension):
        flow = Flow(test.tape, VISITOR6, SERVER6).open()
        time = flow.ask(HEAD, ip={"extensions": [extension]})
        flow.answer()
        test.expect(flow, time)

    case(f"ip6-{name}", f"IPv6 extension header: {name}")(with_extension)


@case("ip6-all-extensions", "hop-by-hop, destination, routing, fragment (whole), destination in a row")
def _(test):
    chain = [EXTENSIONS["hop-by-hop"], EXTENSIONS["destination"], EXTENSIONS["routing"],
             wire.ipv6_fragment(0, False, 5), EXTENSIONS["destination"]]
    flow = Flow(test.tape, VISITOR6, SERVER6).open()
    time = flow.ask(HEAD, ip={"extensions": chain})
    flow.answer()
    test.expect(flow, time)


@case("ip6-atomic-fragment", "an IPv6 fragment header on a whole packet")
def _(test):
    flow = Flow(test.tape, VISITOR6, SERVER6).open()
    time = flow.ask(HEAD, ip={"extensions": [wire.ipv6_fragment(0, False, 5)]})
    flow.answer()
    test.expect(flow, time)


@case("ip4-padding", "short frames padded to 60 bytes: the padding is no data")
def _(test):
    def padded(packet):
        frame = wire.ethernet(packet)
        return frame + b"G" * (60 - len(frame))

    flow = Flow(test.tape, wrap=padded)
    flow.open()
    flow.send(flow.visitor, b"GE", "PA")
    flow.send(flow.visitor, b"T / ", "PA")
    time = flow.ask(get("/")[6:])
    flow.answer()
    flow.close()
    test.expect(flow, time)


@case("ip4-trailer", "bytes behind the packet's end (a switch's trailer) are no data")
def _(test):
    flow = Flow(test.tape, wrap=lambda packet: wire.ethernet(packet) + b"GET /no HTTP/1.1\r\n\r\n")
    test.visit(flow=flow)


@case("ip4-length-zero", "total length 0, as the kernel leaves it for segments larger than 64 KiB")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(HEAD, ip={"total": 0})
    flow.answer()
    test.expect(flow, time)


@case("ip4-checksums-all-wrong", "every IP checksum of both sides is wrong: offload, all is read")
def _(test):
    flow = Flow(test.tape)
    send = flow.send
    flow.send = lambda *args, **fields: send(*args, **{**fields, "ip": {"wrong_checksum": True}})
    test.visit(flow=flow)


@case("tcp-checksum-decoy", "segments with a wrong TCP checksum, from a sender that has shown right ones")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, get("/decoy"), "PA", seq=flow.visitor.seq, wrong_checksum=True)
    time = flow.ask(get("/taken"))
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("ip4-checksum-decoy", "packets with a wrong IP header checksum, from a sender that has shown right ones")
def _(test):
    flow = Flow(test.tape).open()
    flow.send(flow.visitor, get("/decoy"), "PA", seq=flow.visitor.seq, ip={"wrong_checksum": True})
    time = flow.ask(get("/taken"))
    flow.answer()
    test.expect(flow, time, target="/taken")


@case("tcp-checksums-all-wrong", "every TCP checksum is wrong: offload, all is read")
def _(test):
    flow = Flow(test.tape)
    send = flow.send
    flow.send = lambda *args, **fields: send(*args, **{**fields, "wrong_checksum": True})
    test.visit(flow=flow)


@case("tcp-checksums-wrong-one-side", "the visitor's checksums are right, the server's all wrong (offload)")
def _(test):
    flow = Flow(test.tape)
    send = flow.send
    flow.send = lambda side, *args, **fields: send(
        side, *args, **{**fields, "wrong_checksum": side is flow.server})
    test.visit(flow=flow)
