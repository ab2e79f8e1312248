#!/usr/bin/env python3
"""Writes the corpora that fuzzing starts from: fuzz/corpus/TARGET/seed-*.

    fuzz/seeds.py

What targets read is described in fuzz/src; here it is made of the captures of the tests, of the
example configuration, and of what is written down below. Files without `seed-` in their names
are findings, and stay.
"""

import gzip
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"
CAPTURES = ROOT / "tests" / "captures"
# As LINKS and STEPS in fuzz/src/frames.rs.
LINKS = (1, 0, 108, 113, 276, 101, 228, 229, 9, 50, 51, 104, 239, 12, 14)
STEPS = (0, 0.001, 0.2, 0.9, 6, 31, 61, 3700)
CUT, KEY_LOG, TICK, FOLLOW = 0x40, 0xFE, 0xFF, 0xFD
# As in fuzz/src/quic.rs.
SERVER, INITIAL, SHORT, HANDSHAKE, EARLY, KEYS, WAIT, NEXT = 0x80, 1, 2, 3, 4, 5, 6, 7
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def main():
    for old in CORPUS.glob("*/seed-*"):
        old.unlink()
    for folder in sorted(CAPTURES.iterdir()):
        if (folder / "expected.jsonl").exists():
            of_case(folder)
    for folder in CAPTURES.iterdir():
        for file in folder.glob("canarytap.toml"):
            seed("config", folder.name, file.read_bytes())
    seed("config", "example", (ROOT / "config" / "canarytap.toml").read_bytes())
    for number, line in enumerate(KEY_LOG_LINES):
        seed("key_log", str(number), line)
    for number, data in enumerate(SEGMENTS):
        seed("segments", str(number), data)
    for number, data in enumerate(HPACK):
        seed("hpack", str(number), data)
    for number, data in enumerate(QUIC):
        seed("quic", str(number), data)
    for number, body in enumerate(HELLOS):
        seed("tls_hello", str(number), body)
    for number, lines in enumerate(URLS):
        seed("url", str(number), "\n".join(lines).encode())


def seed(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def of_case(folder):
    """The seeds that one capture gives."""
    name = folder.name
    capture = next(folder.glob("capture.*"))
    frames = list(read(capture))
    pieces = b"".join(as_pieces(frames))
    keys = b"".join(key_log_pieces(folder))
    if 0 < len(pieces) + len(keys) < 4096 and not name.startswith(("http1-", "origin-", "canary-")):
        seed("frames", name, keys + pieces)
    talk = [piece for piece in map(payload, frames) if piece]
    said = b"".join(data for _, data in talk)
    if PREFACE in said or name.startswith("http2-"):
        if len(said) < 4096:
            seed("http2", name, b"\0" + as_http2(talk))
        blocks = b"".join(b"\0" + struct.pack("!H", len(block)) + block
                          for block in header_blocks(talk))
        if 0 < len(blocks) < 4096:
            seed("hpack", name, b"\0" + blocks)
    elif name.startswith("http1-") and len(said) < 4096:
        seed("http1", name, b"\x07" + as_text(talk))
    if name in ("quic-v1", "quic-upgraded", "quic-retry"):
        seed("quic", name, as_datagrams(frames))
    for number, body in enumerate(hellos(talk)):
        seed("tls_hello", f"{name}-{number}", body)
    lines = (folder / "expected.jsonl").read_text().splitlines()
    if name.startswith(("altered-", "canary-")):
        for number, event in enumerate(map(json.loads, lines[:2])):
            parts = (event.get("host", ""), event.get("target", ""), event.get("referer", ""))
            seed("url", f"{name}-{number}", "\n".join(parts).encode())


# ── captures ──


def read(path):
    """Frames of a pcap or pcapng file: link type, seconds, length on the wire, bytes."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    magic = data[:4]
    if magic == b"\n\r\r\n" or len(data) < 24:
        return
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1e-6 if b"\xc3" in magic or b"\xb2\xc3" in magic else 1e-9
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, wire = struct.unpack(order + "IIII", data[at:at + 16])
        yield link, seconds + fraction * unit, wire, data[at + 16:at + 16 + length]
        at += 16 + length


def as_pieces(frames):
    last = None
    for link, time, wire, data in frames:
        if link not in LINKS:
            continue
        passed = 0 if last is None else time - last
        step = max(place for place, length in enumerate(STEPS) if length <= max(passed, 0))
        kind = LINKS.index(link) | (CUT if wire > len(data) else 0)
        yield struct.pack("!BBH", kind, step, len(data)) + data
        last = time


def as_datagrams(frames):
    """As they are, those of the server marked."""
    pieces = b""
    for _, _, _, data in frames:
        is_server = data[34:36] == b"\x01\xbb"
        pieces += struct.pack("!BBH", SERVER if is_server else 0, 1, len(data) - 42) + data[42:]
    return pieces


def key_log_pieces(folder):
    for file in sorted(folder.glob("*keys*")):
        for line in file.read_bytes().splitlines():
            if line and not line.startswith(b"#"):
                yield struct.pack("!BBH", KEY_LOG, 0, len(line)) + line


def payload(frame):
    """Whether it comes from the server, and what it says; None unless it is TCP over IPv4 over
    Ethernet with something to say."""
    link, _, _, data = frame
    if link != 1 or data[12:14] != b"\x08\x00" or data[23:24] != b"\x06":
        return None
    packet = data[14:14 + int.from_bytes(data[16:18], "big")]
    segment = packet[(data[14] & 15) * 4:]
    if len(segment) < 20:
        return None
    said = segment[(segment[12] >> 4) * 4:]
    is_server = int.from_bytes(segment[:2], "big") < int.from_bytes(segment[2:4], "big")
    return (is_server, said) if said else None


# ── formats of the targets ──


def as_text(talk):
    """For http1."""
    text, before = b"", False
    for is_server, said in talk:
        if is_server != before:
            text += b"\0<" if is_server else b"\0>"
        text += said.replace(b"\0", b"\x000")
        before = is_server
    return text


def as_http2(talk):
    """For http2, as whole frames where there are some."""
    text = b""
    for is_server, said in talk:
        said = said.removeprefix(PREFACE)
        while len(said) >= 9 and int.from_bytes(said[:3], "big") <= len(said) - 9:
            length = int.from_bytes(said[:3], "big")
            kind, flags, stream, body = said[3], said[4], said[8], said[9:9 + length]
            if kind > 15 or said[5:8] != b"\0\0\0":
                break
            text += struct.pack("!BHBB", 0x20 | kind << 1 | is_server, length, flags, stream) + body
            said = said[9 + length:]
        if said:
            text += struct.pack("!BH", is_server, len(said)) + said
    return text


def header_blocks(talk):
    """Those of the client, where they are plain."""
    for is_server, said in talk:
        said = b"" if is_server else said.removeprefix(PREFACE)
        while len(said) >= 9 and int.from_bytes(said[:3], "big") <= len(said) - 9:
            length = int.from_bytes(said[:3], "big")
            if said[3] == 1 and not said[4] & 0x28:
                yield said[9:9 + length]
            said = said[9 + length:]


def hellos(talk):
    """Bodies of hellos that stand at the start of a piece, in a record of their own."""
    for _, said in talk:
        if said[:2] == b"\x16\x03" and said[5:6] in (b"\x01", b"\x02"):
            yield said[9:9 + int.from_bytes(said[6:9], "big")]


# ── written down ──

RANDOM = "ab" * 32
KEY_LOG_LINES = [
    f"CLIENT_RANDOM {RANDOM} {'0F' * 48}\r\n".encode(),
    f"CLIENT_EARLY_TRAFFIC_SECRET {RANDOM} {'0F' * 32}".encode(),
    f"CLIENT_HANDSHAKE_TRAFFIC_SECRET {RANDOM} {'0F' * 48}".encode(),
    f"SERVER_HANDSHAKE_TRAFFIC_SECRET {RANDOM} {'0F' * 32}".encode(),
    f"CLIENT_TRAFFIC_SECRET_0 {RANDOM} {'0F' * 32}".encode(),
    f"QUIC_SERVER_TRAFFIC_SECRET_0 {RANDOM} {'0F' * 32}".encode(),
    f"EXPORTER_SECRET {RANDOM} {'0F' * 32}".encode(),
    b"# a comment\n",
    f"PMS_CLIENT_RANDOM {RANDOM} {'0F' * 32}".encode(),
    f"RSA {RANDOM[:16]} {'0F' * 48}".encode(),
    f"RSA Session-ID:{RANDOM} Master-Key:{'0F' * 48}".encode(),
]
SEGMENTS = [
    # Two streams of 300 bytes, one from just below the wrap of its numbers; pieces backwards.
    b"\0" + struct.pack("!IHIH", 2**32 - 100, 300, 7, 300)
    + b"".join(struct.pack("!BHB", 1 << 4, at, 50) + struct.pack("!BHB", 1, at, 60)
               for at in range(250, -1, -50)),
    # An open connection, a segment beyond a hole, a reset.
    b"\1" + b"".join(struct.pack("!BBBHHH", *one) for one in (
        (0, 0x02, 0, 1000, 0, 0), (1, 0x12, 0, 2000, 1001, 0), (0, 0x10, 1, 1001, 2001, 100),
        (0, 0x18, 1, 1301, 2001, 100), (1, 0x10, 200, 2001, 1401, 0), (0, 0x04, 1, 1401, 2001, 0))),
]
HPACK = [
    # The first request of RFC 7541 appendix C.4, then the second.
    b"\0\0\0\x11" + bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")
    + b"\0\0\x0c" + bytes.fromhex("828684be5886a8eb10649cbf"),
    # A table made small and large again.
    b"\0\0\0\6" + bytes.fromhex("203fe11f8284"),
    # Fields for the naive sender: of each form.
    b"\1" + b"\x03" + b"\0\4name\5value" + b"\1\4name\5value" + b"\2\1a\1b" + b"\2\x80\0\x03\0\2cd",
]


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def hello(lists, *extensions):
    """The body of a hello: what stands before its extensions, then those as (number, body)."""
    body = b"".join(struct.pack("!H", kind) + vector(2, data) for kind, data in extensions)
    return b"\x03\x03" + bytes(range(32)) + lists + vector(2, body)


CLIENT_LISTS = vector(1, b"s" * 32) + vector(2, bytes.fromhex("0a0a130113021303c02bcca9")) + b"\1\0"
HELLOS = [
    hello(CLIENT_LISTS,
          (0x0A0A, b""),
          (0, vector(2, b"\0" + vector(2, b"www.example.org"))),
          (16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1"))),
          (43, vector(1, bytes.fromhex("3a3a03040303"))),
          (13, vector(2, bytes.fromhex("04030804"))),
          (42, b""),
          (0xFE0D, bytes.fromhex("0000010001") + b"c" * 20)),
    hello(CLIENT_LISTS),
    hello(vector(1, b"s" * 32) + bytes.fromhex("130100"), (43, b"\x03\x04"), (51, b"\0\x1d")),
    hello(vector(1, b"") + bytes.fromhex("c02f00"), (16, vector(2, vector(1, b"h2"))), (22, b""),
          (23, b"")),
]
URLS = [
    ("www.example.org", "/x/login.html?user=tbtest&password=geheim", ""),
    ("WWW.Example.org.:8080", "/a/./b/../c%2F%7e//d?x=%C3%A4#f", "http://a/?b"),
    ("b\u00fccher.example", "http://b\u00fccher.example/%zz", ""),
    ("xn--bcher-kva.example", "https://user@[::1]:443/../..", ""),
    ("[2001:db8::1]:80", "*", ""),
]

def quic_piece(kind, body=b"", step=0):
    return struct.pack("!BBH", kind, step, len(body)) + body


# A hello in two pieces out of order, a request and its answer in every place that they may have.
QUIC_HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010"
    "000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000"
    "003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
    "0d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000"
    "ffff0801100104800075300901100f088394c8f03e51570806048000ffff")
QUIC_FIRST = b"\x06\x00" + struct.pack("!H", 0x4000 | len(QUIC_HELLO)) + QUIC_HELLO
QUIC_PARTS = (b"\x06\x40\x64" + struct.pack("!H", 0x4000 | len(QUIC_HELLO) - 100) + QUIC_HELLO[100:]
              + b"\x06\x00\x40\x64" + QUIC_HELLO[:100])
QUIC_GET = b"\x09\x00\x01\x16\0\0\xd1\xd7\x50\x0bexample.com\x51\x02/x"
QUIC_ANSWER = b"\x09\x00\x01\x03\0\0\xd9"
QUIC = [
    quic_piece(KEYS) + quic_piece(INITIAL, QUIC_FIRST) + quic_piece(SHORT, QUIC_GET)
    + quic_piece(SHORT | SERVER, QUIC_ANSWER),
    quic_piece(INITIAL, QUIC_PARTS) + quic_piece(EARLY, QUIC_GET) + quic_piece(KEYS)
    + quic_piece(HANDSHAKE | SERVER, b"\x06\x00\x08\x08\0\0\x04\0\x02\0\0") + quic_piece(SHORT | SERVER, QUIC_ANSWER)
    + quic_piece(WAIT, step=6),
    quic_piece(KEYS) + quic_piece(INITIAL, QUIC_FIRST) + quic_piece(NEXT) + quic_piece(INITIAL, QUIC_FIRST)
    + quic_piece(SHORT | SERVER, b"\x18\1\0\6" + b"\5" * 6 + bytes(16)) + quic_piece(SHORT, b"\x1d\0\0")
    + quic_piece(WAIT, step=4),
    quic_piece(KEYS) + quic_piece(INITIAL, QUIC_FIRST) + quic_piece(SHORT, b"\x0e\x02\x05\x03\x02\x3f\xe1")
    + quic_piece(SHORT, b"\x0a\x02\x01\x02") + quic_piece(SHORT, QUIC_GET) + quic_piece(SHORT | SERVER, b"\x04\0\0\0"),
]


if __name__ == "__main__":
    main()
