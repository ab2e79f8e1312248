"""Headers, from the wire inwards: each function wraps a payload and returns bytes."""

import ipaddress
import struct

CLIENT_MAC = bytes.fromhex("0200cb00714d")
SERVER_MAC = bytes.fromhex("0200c0a8010a")

IPV4, ARP, VLAN, IPV6, MPLS, PPPOE, QINQ = 0x0800, 0x0806, 0x8100, 0x86DD, 0x8847, 0x8864, 0x88A8
TCP, UDP, GRE = 6, 17, 47


def checksum(data):
    """The internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(text):
    return ipaddress.ip_address(text).packed


def ethertype(packet):
    return IPV6 if packet[0] >> 4 == 6 else IPV4


# ── link ──


def ethernet(packet, kind=None, *, to_server=True):
    macs = (SERVER_MAC, CLIENT_MAC) if to_server else (CLIENT_MAC, SERVER_MAC)
    return macs[0] + macs[1] + struct.pack("!H", kind or ethertype(packet)) + packet


def tags(packet, *tpid_and_id, kind=None):
    """The payload of an Ethernet frame behind tags, outermost first; returns it and its type."""
    kind = kind or ethertype(packet)
    for tpid, vlan in reversed(tpid_and_id):
        packet, kind = struct.pack("!HH", vlan, kind) + packet, tpid
    return packet, kind


def pppoe(packet, session=7):
    return pppoe_of(packet, 0x0057 if packet[0] >> 4 == 6 else 0x0021, session)


def pppoe_of(packet, protocol, session=7):
    ppp = struct.pack("!H", protocol) + packet
    return struct.pack("!BBHH", 0x11, 0, session, len(ppp)) + ppp


def mpls(packet, *labels):
    stack = b""
    for place, label in enumerate(labels):
        bottom = place == len(labels) - 1
        stack += struct.pack("!I", label << 12 | bottom << 8 | 64)
    return stack + packet


def snap(packet):
    """802.3 with LLC and SNAP: the type field holds the length."""
    body = bytes.fromhex("aaaa03000000") + struct.pack("!H", ethertype(packet)) + packet
    return body, len(body)


def sll(packet, kind=None):
    return struct.pack("!HHH8sH", 0, 1, 6, CLIENT_MAC, kind or ethertype(packet)) + packet


def sll2(packet, kind=None):
    return struct.pack("!HHIHBB8s", kind or ethertype(packet), 0, 3, 1, 0, 6, CLIENT_MAC) + packet


def null(packet, order="<"):
    """BSD loopback; 2 is AF_INET everywhere, 30 is AF_INET6 on macOS."""
    return struct.pack(order + "I", 30 if packet[0] >> 4 == 6 else 2) + packet


# ── tunnels ──


def gre(packet, kind=None, *, key=None, sequence=None, with_checksum=False):
    bits = 0x8000 * with_checksum | 0x2000 * (key is not None) | 0x1000 * (sequence is not None)
    tail = b""
    if key is not None:
        tail += struct.pack("!I", key)
    if sequence is not None:
        tail += struct.pack("!I", sequence)
    head = struct.pack("!HH", bits, kind or ethertype(packet))
    if not with_checksum:
        return head + tail + packet
    total = checksum(head + b"\0\0\0\0" + tail + packet)
    return head + struct.pack("!HH", total, 0) + tail + packet


def erspan1(frame):
    """Type I: the frame stands right behind a GRE header without a sequence number."""
    return gre(frame, 0x88BE)


def erspan2(frame, vlan=0, session=5):
    head = struct.pack("!HHI", 1 << 12 | vlan, session, 0)
    return gre(head + frame, 0x88BE, sequence=1)


def erspan3(frame, vlan=0, session=5, subheader=b""):
    """Type III; `subheader` is the platform's 8 bytes, announced by the O bit."""
    head = struct.pack("!HHIHH", 2 << 12 | vlan, session, 0, 0, bool(subheader))
    return gre(head + subheader + frame, 0x22EB, sequence=1)


def vxlan(frame, vni=42):
    return struct.pack("!II", 0x08000000, vni << 8) + frame


def geneve(payload, kind=0x6558, vni=42, options=b""):
    return struct.pack("!BBHI", len(options) // 4, 0, kind, vni << 8) + options + payload


# ── network ──


def ipv4(payload, source, target, protocol=TCP, *, identity=1, offset=0, more=False, options=b"",
         ttl=64, total=None, wrong_checksum=False):
    """`offset` in bytes; `total` overrides the total length."""
    size = 20 + len(options)
    total = size + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | size // 4, 0, total, identity,
                       more << 13 | offset // 8, ttl, protocol, 0, address(source), address(target))
    right = checksum(head + options)
    value = right ^ 0x5A5A if wrong_checksum else right
    return head[:10] + struct.pack("!H", value) + head[12:] + options + payload


def ipv6(payload, source, target, protocol=TCP, *, extensions=()):
    """`extensions` are (number, body) in order; each body starts after its next-header byte."""
    chain, following = b"", protocol
    for number, body in reversed(extensions):
        chain, following = bytes([following]) + body + chain, number
    body = chain + payload
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), following, 64,
                       address(source), address(target)) + body


def ipv6_fragment(offset, more, identity):
    """The body of a fragment header, for `extensions`."""
    return 44, struct.pack("!BHI", 0, offset | more, identity)


def ip(payload, source, target, protocol=TCP, **fields):
    make = ipv6 if ":" in source else ipv4
    return make(payload, source, target, protocol, **fields)


# ── transport ──


def pseudo(source, target, protocol, size):
    source, target = address(source), address(target)
    if len(source) == 16:
        return source + target + struct.pack("!II", size, protocol)
    return source + target + struct.pack("!HH", protocol, size)


def tcp(data, source, target, ports, *, seq, ack=0, flags="A", window=65535, options=b"",
        urgent=0, wrong_checksum=False):
    bits = sum(1 << "FSRPAUEC".index(flag) for flag in flags)
    size = 20 + len(options)
    head = struct.pack("!HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, size // 4 << 4, bits,
                       window, 0, urgent)
    segment = head + options + data
    total = checksum(pseudo(source, target, TCP, len(segment)) + segment)
    if wrong_checksum:
        total ^= 0x5A5A
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def udp(data, source, target, ports):
    head = struct.pack("!HHHH", *ports, 8 + len(data), 0)
    total = checksum(pseudo(source, target, UDP, len(head + data)) + head + data) or 0xFFFF
    return head[:6] + struct.pack("!H", total) + data


def timestamps(value, echo=0):
    """The TCP option, padded to 12 bytes."""
    return struct.pack("!BBBBII", 1, 1, 8, 10, value, echo)
