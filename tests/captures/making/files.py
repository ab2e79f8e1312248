"""Capture files: pcap in its four flavours, and pcapng."""

import struct
import zlib

ETHERNET, RAW, LOOP, SLL, IPV4, SLL2, NULL = 1, 101, 108, 113, 228, 276, 0


def pcap(frames, link=ETHERNET, *, order="<", nanos=False, snap=262144):
    """`frames` are (nanoseconds, bytes); what exceeds `snap` is cut."""
    magic = 0xA1B23C4D if nanos else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link)]
    for time, data in frames:
        part = time % 10**9 if nanos else time % 10**9 // 1000
        kept = data[:snap]
        out.append(struct.pack(order + "IIII", time // 10**9, part, len(kept), len(data)) + kept)
    return b"".join(out)


def pcapng(frames, interfaces=((ETHERNET, 6),), *, order="<"):
    """`frames` are (nanoseconds, bytes) or (nanoseconds, bytes, interface); `interfaces` are
    (link type, decimal digits of the time stamps)."""
    out = [block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for link, digits in interfaces:
        option = struct.pack(order + "HHB3xHH", 9, 1, digits, 0, 0)
        out.append(block(order, 1, struct.pack(order + "HHI", link, 0, 262144) + option))
    for time, data, *interface in frames:
        number = interface[0] if interface else 0
        ticks = time // 10 ** (9 - interfaces[number][1])
        head = struct.pack(order + "IIIII", number, ticks >> 32, ticks % 2**32, len(data), len(data))
        out.append(block(order, 6, head + data))
    return b"".join(out)


def block(order, kind, body):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def gzip(data):
    """The same bytes on every machine: no time, no name, no system in the header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    return (bytes.fromhex("1f8b08000000000002ff") + packed
            + struct.pack("<II", zlib.crc32(data), len(data) % 2**32))
