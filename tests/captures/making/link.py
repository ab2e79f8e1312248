"""What lies around an IP packet: link layers, tunnels, and the files that hold them."""

import functools

from . import files, wire
from .case import case
from .flow import SERVER, SERVER6, START, VISITOR, VISITOR6, Flow, Tape, get


def framed(test, wrap, link=files.ETHERNET, **event):
    """One visit over IPv4, every packet wrapped by `wrap`."""
    tape = Tape(wrap)
    test.visit(tape, **event)
    test.capture = files.pcap(tape.frames, link)


def both_families(test, wrap, link=files.ETHERNET, **event):
    """One visit over IPv4, then one over IPv6."""
    tape = Tape(wrap)
    test.visit(tape, target="/four", **event)
    test.visit(target="/six", flow=Flow(tape, VISITOR6, SERVER6), **event)
    test.capture = files.pcap(tape.frames, link)


def tagged(*tags):
    def wrap(packet):
        body, kind = wire.tags(packet, *tags)
        return wire.ethernet(body, kind)

    return wrap


# ── link layers ──


@case("link-ethernet", "Ethernet II, IPv4 and IPv6")
def _(test):
    both_families(test, wire.ethernet)


@case("link-vlan", "one 802.1Q tag")
def _(test):
    both_families(test, tagged((wire.VLAN, 10)), vlan=10)


@case("link-qinq", "802.1ad outside, 802.1Q inside: the inner id is told")
def _(test):
    both_families(test, tagged((wire.QINQ, 100), (wire.VLAN, 10)), vlan=10)


@case("link-qinq-8100-twice", "two tags that both say 0x8100")
def _(test):
    both_families(test, tagged((wire.VLAN, 100), (wire.VLAN, 10)), vlan=10)


@case("link-pppoe", "a PPPoE session")
def _(test):
    both_families(test, lambda packet: wire.ethernet(wire.pppoe(packet), wire.PPPOE))


@case("link-pppoe-in-vlan", "a PPPoE session behind a tag, as providers carry it")
def _(test):
    def wrap(packet):
        body, kind = wire.tags(wire.pppoe(packet), (wire.VLAN, 7), kind=wire.PPPOE)
        return wire.ethernet(body, kind)

    framed(test, wrap, vlan=7)


@case("link-pppoe-compressed-protocol", "PPP's protocol field in one byte")
def _(test):
    def wrap(packet):
        session = wire.pppoe(packet)
        length = int.from_bytes(session[4:6], "big") - 1
        body = session[:4] + length.to_bytes(2, "big") + session[7:]
        return wire.ethernet(body, wire.PPPOE)

    framed(test, wrap)


@case("link-mpls", "one MPLS label, then three")
def _(test):
    tape = Tape(lambda packet: wire.ethernet(wire.mpls(packet, 16), wire.MPLS))
    test.visit(tape, target="/one")
    tape.wrap = lambda packet: wire.ethernet(wire.mpls(packet, 16, 17, 18), wire.MPLS)
    test.visit(target="/three", flow=Flow(tape, ("203.0.113.77", 40002)))
    test.tape = tape


@case("link-snap", "802.3 frames with LLC and SNAP")
def _(test):
    framed(test, lambda packet: wire.ethernet(*wire.snap(packet)))


@case("link-cooked", "Linux cooked capture v1, as the interface `any` gives")
def _(test):
    both_families(test, wire.sll, files.SLL)


@case("link-cooked-v2", "Linux cooked capture v2")
def _(test):
    both_families(test, wire.sll2, files.SLL2)


@case("link-cooked-vlan", "a tag inside Linux cooked capture")
def _(test):
    def wrap(packet):
        body, kind = wire.tags(packet, (wire.VLAN, 10))
        return wire.sll(body, kind)

    framed(test, wrap, files.SLL, vlan=10)


@case("link-raw-ip", "packets without any link header")
def _(test):
    both_families(test, bytes, files.RAW)


@case("link-raw-ipv4", "packets without link header, IPv4 by the file's header")
def _(test):
    framed(test, bytes, files.IPV4)


@case("link-null-little-endian", "BSD loopback from a little-endian machine")
def _(test):
    both_families(test, wire.null, files.NULL)


@case("link-null-big-endian", "BSD loopback from a big-endian machine, in a file of its byte order")
def _(test):
    tape = Tape(functools.partial(wire.null, order=">"))
    test.visit(tape)
    test.capture = files.pcap(tape.frames, files.NULL, order=">")


@case("link-loop", "OpenBSD loopback")
def _(test):
    both_families(test, functools.partial(wire.null, order=">"), files.LOOP)


@case("link-unread", "a link type that is not read (105, IEEE 802.11) is refused by its number and name")
def _(test):
    test.capture = files.pcap([(START, b"\x80\0" + bytes(30))], 105)
    test.refuse(1, "105", "IEEE802_11")


@case("link-other-protocols", "ARP, LLDP, spanning tree and a torn frame between the packets")
def _(test):
    flow = Flow(test.tape)
    flow.open()
    noise = (
        wire.ethernet(bytes.fromhex("0001080006040001") + bytes(20), wire.ARP),
        wire.ethernet(b"\x02\x07\x04" + bytes(40), 0x88CC),
        wire.ethernet(b"\x42\x42\x03" + bytes(35), 38),
        wire.ethernet(b"\x45\0", wire.IPV4),
        b"\x01\x02\x03",
    )
    for frame in noise:
        test.tape.put_frame(frame)
    time = flow.ask(get("/"))
    flow.answer()
    test.expect(flow, time)


# ── tunnels: what a mirror on another switch sends ──

PROBE, COLLECTOR = "198.51.100.1", "198.51.100.2"
PROBE6, COLLECTOR6 = "2001:db8:ffff::1", "2001:db8:ffff::2"


def outer(payload, protocol):
    return wire.ethernet(wire.ipv4(payload, PROBE, COLLECTOR, protocol))


def over_udp(payload, port):
    return outer(wire.udp(payload, PROBE, COLLECTOR, (55555, port)), wire.UDP)


@case("tunnel-gre", "IP in GRE: bare, with key, with sequence number, with checksum")
def _(test):
    kinds = ({}, {"key": 9}, {"sequence": 3}, {"key": 9, "sequence": 3, "with_checksum": True})
    for number, fields in enumerate(kinds):
        test.tape.wrap = lambda packet, fields=fields: outer(wire.gre(packet, **fields), wire.GRE)
        flow = Flow(test.tape, ("203.0.113.77", 40001 + number))
        test.visit(flow=flow, target=f"/{number}")


@case("tunnel-gre-ethernet", "Ethernet in GRE (transparent bridging)")
def _(test):
    both_families(test, lambda packet: outer(wire.gre(wire.ethernet(packet), 0x6558), wire.GRE))


@case("tunnel-gre-over-ipv6", "GRE carried by IPv6")
def _(test):
    framed(test, lambda packet: wire.ethernet(
        wire.ipv6(wire.gre(packet), PROBE6, COLLECTOR6, wire.GRE)))


@case("tunnel-erspan-1", "ERSPAN type I")
def _(test):
    framed(test, lambda packet: outer(wire.erspan1(wire.ethernet(packet)), wire.GRE))


@case("tunnel-erspan-2", "ERSPAN type II")
def _(test):
    both_families(test, lambda packet: outer(wire.erspan2(wire.ethernet(packet)), wire.GRE))


@case("tunnel-erspan-3", "ERSPAN type III, without and with the platform's subheader")
def _(test):
    test.tape.wrap = lambda packet: outer(wire.erspan3(wire.ethernet(packet)), wire.GRE)
    test.visit(target="/plain")
    test.tape.wrap = lambda packet: outer(
        wire.erspan3(wire.ethernet(packet), subheader=bytes(8)), wire.GRE)
    test.visit(target="/subheader", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-vxlan", "VXLAN")
def _(test):
    both_families(test, lambda packet: over_udp(wire.vxlan(wire.ethernet(packet)), 4789))


@case("tunnel-vxlan-vlan", "a tagged frame inside VXLAN")
def _(test):
    framed(test, lambda packet: over_udp(wire.vxlan(tagged((wire.VLAN, 10))(packet)), 4789), vlan=10)


@case("tunnel-geneve", "Geneve: Ethernet inside, then IP inside, with options")
def _(test):
    test.tape.wrap = lambda packet: over_udp(wire.geneve(wire.ethernet(packet)), 6081)
    test.visit(target="/ethernet")
    option = bytes.fromhex("0102800100000001")
    test.tape.wrap = lambda packet: over_udp(
        wire.geneve(packet, wire.ethertype(packet), options=option), 6081)
    test.visit(target="/ip", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-ip-in-ip", "IPv4 in IPv4, IPv6 in IPv4, IPv4 in IPv6")
def _(test):
    test.tape.wrap = lambda packet: outer(packet, 4)
    test.visit(target="/4in4")
    test.tape.wrap = lambda packet: outer(packet, 41)
    test.visit(target="/6in4", flow=Flow(test.tape, VISITOR6, SERVER6))
    test.tape.wrap = lambda packet: wire.ethernet(wire.ipv6(packet, PROBE6, COLLECTOR6, 4))
    test.visit(target="/4in6", flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-in-tunnel", "IP in GRE in VXLAN")
def _(test):
    def wrap(packet):
        inside = wire.ethernet(wire.ipv4(wire.gre(packet), "10.1.0.1", "10.1.0.2", wire.GRE))
        return over_udp(wire.vxlan(inside), 4789)

    framed(test, wrap)


@case("tunnel-too-deep", "forty IP headers inside each other cost nothing; the visit behind is read")
def _(test):
    packet = Flow(test.tape).packet(Flow(test.tape).visitor, get("/deep"), "PA")
    for _ in range(40):
        packet = wire.ipv4(packet, PROBE, COLLECTOR, 4)
    test.tape.put(packet)
    test.visit(flow=Flow(test.tape, ("203.0.113.77", 40002)))


@case("tunnel-fragments", "VXLAN packets that the outer network fragmented")
def _(test):
    def fragments(packet):
        udp = wire.udp(wire.vxlan(wire.ethernet(packet)), PROBE, COLLECTOR, (55555, 4789))
        number = test.tape.now // 1_000_000 % 60000
        cut = 48
        return [wire.ipv4(part, PROBE, COLLECTOR, wire.UDP, identity=number, offset=offset, more=more)
                for part, offset, more in ((udp[:cut], 0, True), (udp[cut:], cut, False))]

    flow = Flow(test.tape)

    def put(side, data=b"", flags="A"):
        times = [test.tape.put(part) for part in fragments(flow.take(side, data, flags))]
        return times[-1]

    put(flow.visitor, flags="S")
    put(flow.server, flags="SA")
    put(flow.visitor)
    time = put(flow.visitor, get("/"), "PA")
    put(flow.server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "PA")
    test.expect(flow, time)


# ── files ──


@case("file-pcap-big-endian", "pcap with microseconds, big-endian")
def _(test):
    test.visit()
    test.capture = files.pcap(test.tape.frames, order=">")


@case("file-pcap-nanoseconds", "pcap with nanoseconds, little-endian; six decimals are told")
def _(test):
    test.tape.now += 123_456_789
    test.visit()
    test.capture = files.pcap(test.tape.frames, nanos=True)


@case("file-pcap-nanoseconds-big-endian", "pcap with nanoseconds, big-endian")
def _(test):
    test.tape.now += 123_456_789
    test.visit()
    test.capture = files.pcap(test.tape.frames, nanos=True, order=">")


@case("file-pcapng", "pcapng")
def _(test):
    test.visit()
    test.capture, test.capture_name = files.pcapng(test.tape.frames), "capture.pcapng"


@case("file-pcapng-big-endian", "pcapng, big-endian, time stamps in nanoseconds")
def _(test):
    test.tape.now += 123_456_789
    test.visit()
    test.capture = files.pcapng(test.tape.frames, ((files.ETHERNET, 9),), order=">")
    test.capture_name = "capture.pcapng"


@case("file-pcapng-two-interfaces", "one file, two interfaces, two link types, two clocks: one flow")
def _(test):
    flow = Flow(test.tape)
    test.visit(flow=flow)
    visitor = wire.address(flow.visitor.address)
    frames = [(time, frame, 0) if frame[26:30] == visitor else (time, frame[14:], 1)
              for time, frame in test.tape.frames]
    test.capture = files.pcapng(frames, ((files.ETHERNET, 6), (files.RAW, 9)))
    test.capture_name = "capture.pcapng"


@case("file-gzip", "a gzipped capture is seen through")
def _(test):
    test.visit()
    test.capture = files.gzip(files.pcap(test.tape.frames))
    test.capture_name = "capture.pcap.gz"


@case("file-cut", "a capture cut in the middle of a frame: what stands before the cut, exit 1")
def _(test):
    test.visit(target="/before")
    whole = files.pcap(test.tape.frames)
    Flow(test.tape, ("203.0.113.77", 40002)).open().ask(get("/behind"))
    test.capture = files.pcap(test.tape.frames)[:len(whole) + 50]
    test.refuse(1, "capture.pcap")


@case("file-empty", "a capture without frames")
def _(test):
    test.capture = files.pcap([])


@case("file-snap-length", "frames cut at 200 bytes: heads are whole, the cut is in an answer's body")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/"))
    flow.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    flow.close()
    test.expect(flow, time)
    test.capture = files.pcap(test.tape.frames, snap=200)
