"""More of what lies around IP packets: stacks of tags, labels, sessions and tunnels."""

import struct

from . import files, wire
from .case import case
from .flow import SERVER, SERVER6, VISITOR, VISITOR6, Flow, Tape, get
from .link import COLLECTOR6, PROBE6, both_families, framed, outer, over_udp, tagged


@case("link-vlan-priority", "a tag that bears a priority only names no VLAN")
def _(test):
    both_families(test, tagged((wire.VLAN, 7 << 13)))


@case("link-vlan-priority-and-id", "priority and drop bits of a tag are no part of its number")
def _(test):
    both_families(test, tagged((wire.VLAN, 7 << 13 | 1 << 12 | 10)), vlan=10)


@case("link-vlan-three", "three tags, of the vendors' kinds too")
def _(test):
    both_families(test, tagged((0x9100, 300), (wire.QINQ, 200), (wire.VLAN, 10)), vlan=10)


@case("link-vlan-snap", "a tag, then 802.3 with LLC and SNAP")
def _(test):
    def wrap(packet):
        body, length = wire.snap(packet)
        body, kind = wire.tags(body, (wire.VLAN, 10), kind=length)
        return wire.ethernet(body, kind)

    framed(test, wrap, vlan=10)


@case("link-vlan-mpls-pppoe", "labels behind a tag, and IP in MPLS in PPPoE")
def _(test):
    def labelled(packet):
        body, kind = wire.tags(wire.mpls(packet, 16, 17), (wire.VLAN, 10), kind=wire.MPLS)
        return wire.ethernet(body, kind)

    test.tape.wrap = labelled
    test.visit(target="/labels", vlan=10)
    test.tape.wrap = lambda packet: wire.ethernet(wire.pppoe_of(wire.mpls(packet, 16), 0x0281), wire.PPPOE)
    test.visit(target="/session", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("link-mpls-pseudo-wire", "an Ethernet frame under labels, with and without a control word")
def _(test):
    test.tape.wrap = lambda packet: wire.ethernet(wire.mpls(wire.ethernet(packet), 16, 17), wire.MPLS)
    test.visit(target="/bare")
    test.tape.wrap = lambda packet: wire.ethernet(wire.mpls(b"\0\0\0\x07" + wire.ethernet(packet), 16), wire.MPLS)
    test.visit(target="/control", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("link-fcs", "frames with their check sequence at the end")
def _(test):
    both_families(test, lambda packet: wire.ethernet(packet) + b"\xde\xad\xbe\xef")


@case("link-fcs-in-header", "a file whose header says that frames carry check sequences")
def _(test):
    both_families(test, lambda packet: wire.ethernet(packet) + b"GET ", 0x1400_0000 | files.ETHERNET)


@case("link-raw-ipv6", "packets without link header, IPv6 by the file's header")
def _(test):
    tape = Tape(bytes)
    test.visit(flow=Flow(tape, VISITOR6, SERVER6))
    test.capture = files.pcap(tape.frames, 229)


@case("link-raw-dlt", "packets without link header, by the numbers that BSD systems give it")
def _(test):
    both_families(test, bytes, 12)


@case("link-null-families", "BSD loopback with the numbers of IPv6 on other systems")
def _(test):
    for number, family in enumerate((24, 28, 30, 10)):
        tape = Tape(lambda packet, family=family: struct.pack("<I", family) + packet, test.tape.now)
        test.visit(target=f"/{family}", flow=Flow(tape, (VISITOR6[0], 40001 + number), SERVER6))
        test.tape.frames += tape.frames
        test.tape.now = tape.now
    test.capture = files.pcap(test.tape.frames, files.NULL)


@case("link-ppp", "PPP without PPPoE, with the framing of HDLC and without")
def _(test):
    for number, start in enumerate((b"\xff\x03\0\x21", b"\0\x21", b"\x21")):
        test.tape.wrap = lambda packet, start=start: start + packet
        test.visit(target=f"/{number}", flow=Flow(test.tape, ("203.0.113.77", 40001 + number)))
    test.capture = files.pcap(test.tape.frames, 9)


# ── tunnels ──


@case("tunnel-gre-ppp", "PPP in GRE, version 1, as PPTP carries it")
def _(test):
    def wrap(packet):
        ppp = b"\xff\x03\0\x21" + packet
        head = struct.pack("!HHHHII", 0x3081, 0x880B, len(ppp), 5, 9, 4)
        return outer(head + ppp, wire.GRE)

    framed(test, wrap)


@case("tunnel-gre-of-everything", "in GRE: a tagged frame, labels, and IPv6 with a key")
def _(test):
    test.tape.wrap = lambda packet: outer(wire.gre(tagged((wire.VLAN, 10))(packet), 0x6558), wire.GRE)
    test.visit(target="/tagged", vlan=10)
    test.tape.wrap = lambda packet: outer(wire.gre(wire.mpls(packet, 16), wire.MPLS), wire.GRE)
    test.visit(target="/labels", flow=Flow(test.tape, ("203.0.113.77", 40002)))
    test.tape.wrap = lambda packet: outer(wire.gre(packet, key=7), wire.GRE)
    test.visit(target="/six", flow=Flow(test.tape, VISITOR6, SERVER6))


@case("tunnel-erspan-vlan", "ERSPAN of types I, II and III with tagged frames, and over IPv6")
def _(test):
    frame = tagged((wire.VLAN, 10))
    wraps = (lambda packet: outer(wire.erspan1(frame(packet)), wire.GRE),
             lambda packet: outer(wire.erspan2(frame(packet), vlan=10), wire.GRE),
             lambda packet: outer(wire.erspan3(frame(packet), vlan=10), wire.GRE),
             lambda packet: wire.ethernet(wire.ipv6(wire.erspan2(frame(packet)), PROBE6, COLLECTOR6, wire.GRE)))
    for number, wrap in enumerate(wraps):
        test.tape.wrap = wrap
        test.visit(target=f"/{number}", vlan=10, flow=Flow(test.tape, ("203.0.113.77", 40001 + number)))


@case("tunnel-erspan-fcs", "ERSPAN whose frames carry their check sequence")
def _(test):
    framed(test, lambda packet: outer(wire.erspan2(wire.ethernet(packet) + b"GET "), wire.GRE))


@case("tunnel-erspan-padded", "ERSPAN with padding behind the outer packet")
def _(test):
    framed(test, lambda packet: outer(wire.erspan2(wire.ethernet(packet)), wire.GRE) + bytes(9))


@case("tunnel-vxlan-over-ipv6", "VXLAN over IPv6, its outer UDP checksum left out (RFC 6935)")
def _(test):
    def wrap(packet):
        payload = wire.vxlan(wire.ethernet(packet))
        udp = struct.pack("!HHHH", 55555, 4789, 8 + len(payload), 0) + payload
        return wire.ethernet(wire.ipv6(udp, PROBE6, COLLECTOR6, wire.UDP))

    both_families(test, wrap)


@case("tunnel-vxlan-linux-port", "VXLAN on the port that Linux had before 4789 was given")
def _(test):
    framed(test, lambda packet: over_udp(wire.vxlan(wire.ethernet(packet)), 8472))


@case("tunnel-vxlan-generic", "VXLAN's generic extension: IPv4, IPv6 and Ethernet inside")
def _(test):
    def wrap(packet, kind):
        return over_udp(struct.pack("!BBBBI", 0x0C, 0, 0, kind, 42 << 8) + packet, 4790)

    test.tape.wrap = lambda packet: wrap(packet, 1)
    test.visit(target="/four")
    test.tape.wrap = lambda packet: wrap(packet, 2)
    test.visit(target="/six", flow=Flow(test.tape, VISITOR6, SERVER6))
    test.tape.wrap = lambda packet: wrap(wire.ethernet(packet), 3)
    test.visit(target="/ethernet", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-geneve-options", "Geneve with 252 bytes of options, and with a tagged frame")
def _(test):
    option = struct.pack("!HBB", 0x0102, 0x80, 30) + bytes(120)
    test.tape.wrap = lambda packet: over_udp(
        wire.geneve(wire.ethernet(packet), options=option * 2 + b"\1\2\0\0"), 6081)
    test.visit(target="/options")
    test.tape.wrap = lambda packet: over_udp(wire.geneve(tagged((wire.VLAN, 10))(packet)), 6081)
    test.visit(target="/tagged", vlan=10, flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-six-in-six", "IPv6 in IPv6, with extension headers outside and inside")
def _(test):
    extension = (60, bytes.fromhex("00010400000000"))

    def wrap(packet):
        return wire.ethernet(wire.ipv6(packet, PROBE6, COLLECTOR6, 41, extensions=[extension]))

    tape = Tape(wrap)
    test.visit(flow=Flow(tape, VISITOR6, SERVER6))
    test.tape = tape


@case("tunnel-eight-deep", "eight tunnels inside each other, as many as are unwrapped")
def _(test):
    def wrap(packet):
        for _ in range(8):
            packet = wire.ipv4(packet, "10.1.0.1", "10.1.0.2", 4)
        return wire.ethernet(packet)

    framed(test, wrap)


@case("tunnel-mixed", "a tagged PPPoE session in VXLAN in a tagged frame; ERSPAN in GRE over IPv6 over VXLAN")
def _(test):
    def session(packet):
        body, kind = wire.tags(wire.pppoe(packet), (wire.QINQ, 100), (wire.VLAN, 10), kind=wire.PPPOE)
        udp = over_udp(wire.vxlan(wire.ethernet(body, kind)), 4789)
        body, kind = wire.tags(udp[14:], (wire.VLAN, 99))
        return wire.ethernet(body, kind)

    def mirrored(packet):
        erspan = wire.ipv6(wire.erspan2(wire.ethernet(packet)), PROBE6, COLLECTOR6, wire.GRE)
        return over_udp(wire.vxlan(wire.ethernet(erspan)), 4789)

    test.tape.wrap = session
    test.visit(target="/session", vlan=10)
    test.tape.wrap = mirrored
    test.visit(target="/mirrored", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-fragments-inside", "fragments inside VXLAN, with equal numbers in two networks")
def _(test):
    flows = [Flow(test.tape, isn=(1000 * n, 9000 * n), wrap=in_network(n)) for n in (10, 20)]
    for flow in flows:
        flow.open()
    parts = [cut(flow.take(flow.visitor, get(f"/{n}", fields=["X: " + "f" * 99]), "PA"))
             for n, flow in zip((10, 20), flows)]
    times = [[flow.put(part) for flow, part in zip(flows, pair)] for pair in zip(*parts)][-1]
    for n, flow, time in zip((10, 20), flows, times):
        flow.answer()
        test.expect(flow, time, target=f"/{n}")


def in_network(vni):
    return lambda packet: over_udp(wire.vxlan(wire.ethernet(packet), vni=vni), 4789)


def cut(packet, size=64):
    body = packet[20:]
    return [wire.ipv4(body[at:at + size], VISITOR[0], SERVER[0], identity=77, offset=at,
                      more=at + size < len(body)) for at in range(0, len(body), size)]


@case("tunnel-port-only", "HTTP on the ports of tunnels, and UDP noise there, are what they are")
def _(test):
    for number, port in enumerate((4789, 6081, 2152)):
        test.tape.put_frame(over_udp(b"GET /fake HTTP/1.1\r\nHost: www.example.org\r\n\r\n", port))
        flow = Flow(test.tape, ("203.0.113.77", 40001 + number), ("192.168.1.10", port))
        test.visit(flow=flow, target=f"/{port}")


@case("tunnel-l2tp", "PPP in L2TP, with every optional field and with none, from and to its port")
def _(test):
    def wrap(packet, numbers):
        flags, fields = numbers
        ppp = b"\xff\x03\0\x21" + packet
        length = struct.pack("!H", 6 + len(fields) + len(ppp) + 2) if flags & 0x4000 else b""
        return over_udp(struct.pack("!H", flags) + length + struct.pack("!HH", 7, 9) + fields + ppp, 1701)

    kinds = ((0x0002, b""), (0x4002, b""), (0x4a02, struct.pack("!HHH", 1, 0, 3) + b"xyz"))
    for number, numbers in enumerate(kinds):
        test.tape.wrap = lambda packet, numbers=numbers: wrap(packet, numbers)
        test.visit(target=f"/{number}", flow=Flow(test.tape, ("203.0.113.77", 40001 + number)))


@case("tunnel-teredo", "IPv6 in Teredo: bare, with an origin indication, with authentication")
def _(test):
    origin = bytes.fromhex("0000f227 34fe8efe")
    authentication = bytes.fromhex("0001 0000 0102030405060708 00")
    for number, start in enumerate((b"", origin, authentication, authentication + origin)):
        test.tape.wrap = lambda packet, start=start: over_udp(start + packet, 3544)
        test.visit(target=f"/{number}", flow=Flow(test.tape, (VISITOR6[0], 40001 + number), SERVER6))
