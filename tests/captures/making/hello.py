"""ClientHellos: read, written, and fingerprinted (JA4), apart from the program under test."""

import hashlib
import struct

GREASE = {0x0A0A + 0x1010 * step for step in range(16)}


class Hello:
    """What a ClientHello says. `message` begins with the handshake type."""

    def __init__(self, message):
        assert message[0] == 1
        self.version, = struct.unpack_from("!H", message, 4)
        place = 4 + 2 + 32
        place += 1 + message[place]
        length, = struct.unpack_from("!H", message, place)
        self.ciphers = numbers(message[place + 2:place + 2 + length])
        place += 2 + length
        place += 1 + message[place] + 2
        self.extensions = []
        while place < len(message):
            kind, length = struct.unpack_from("!HH", message, place)
            self.extensions.append((kind, message[place + 4:place + 4 + length]))
            place += 4 + length

    def body(self, kind):
        return next((body for found, body in self.extensions if found == kind), None)

    def name(self):
        body = self.body(0)
        return body[5:].decode() if body else None

    def protocols(self):
        body, names = (self.body(16) or b"")[2:], []
        while body:
            names.append(body[1:1 + body[0]])
            body = body[1 + body[0]:]
        return names

    def ja4(self, carrier="t"):
        ciphers = [one for one in self.ciphers if one not in GREASE]
        kinds = [kind for kind, _ in self.extensions if kind not in GREASE]
        versions = [one for one in numbers((self.body(43) or b"")[1:]) if one not in GREASE]
        version = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3"}[max(versions or [self.version])]
        protocol = (self.protocols() or [b"00"])[0].decode()
        signatures = [one for one in numbers((self.body(13) or b"")[2:]) if one not in GREASE]
        sorted_kinds = sorted(kind for kind in kinds if kind not in (0, 16))
        last = hexadecimal(sorted_kinds) + ("_" + hexadecimal(signatures) if signatures else "")
        return (f"{carrier}{version}{'d' if self.name() else 'i'}{len(ciphers):02}{len(kinds):02}"
                f"{protocol[0]}{protocol[-1]}_{digest(hexadecimal(sorted(ciphers)))}_{digest(last)}")


def numbers(data):
    return list(struct.unpack(f"!{len(data) // 2}H", data[:len(data) // 2 * 2]))


def hexadecimal(values):
    return ",".join(f"{value:04x}" for value in values)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def vector8(data):
    return struct.pack("!B", len(data)) + data


def vector16(data):
    return struct.pack("!H", len(data)) + data


def packed(values):
    return struct.pack(f"!{len(values)}H", *values)


def write(*, version=0x303, ciphers=(0x1301, 0xC02B), extensions=None, random=bytes(range(32))):
    """A ClientHello message; `extensions` None leaves the list out, as before TLS 1.2."""
    body = struct.pack("!H", version) + random + vector8(b"")
    body += vector16(packed(ciphers)) + vector8(b"\0")
    if extensions is not None:
        body += vector16(b"".join(packed([kind]) + vector16(data) for kind, data in extensions))
    return b"\x01" + struct.pack("!I", len(body))[1:] + body


def name(text):
    return 0, vector16(b"\0" + vector16(text.encode()))


def protocols(*names):
    return 16, vector16(b"".join(vector8(one.encode()) for one in names))


def browser(host, *more):
    """As a browser of 2025 writes it: GREASE, two keys of which one is post-quantum (1,216 bytes,
    X25519MLKEM768), h2, and room for more."""
    keys = packed([0x3A3A]) + vector16(b"\0") + packed([0x11EC]) + vector16(b"\x5a" * 1216)
    keys += packed([0x001D]) + vector16(b"\xa5" * 32)
    return write(ciphers=(0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8,
                          0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
                 extensions=((0x8A8A, b""), name(host), (23, b""), (65281, b"\0"),
                             (10, vector16(packed([0x3A3A, 0x11EC, 0x1D, 0x17, 0x18]))),
                             protocols("h2", "http/1.1"), (5, b"\1\0\0\0\0"),
                             (13, vector16(packed([0x403, 0x804, 0x401, 0x503, 0x805, 0x501, 0x806, 0x601]))),
                             (51, vector16(keys)), (45, b"\1\1"),
                             (43, vector8(packed([0x9A9A, 0x304, 0x303]))), *more, (0xDADA, b"\0")))


def records(message, size=16384, version=0x301):
    """A message in handshake records of at most `size` bytes."""
    pieces = [message[at:at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16" + struct.pack("!HH", version, len(piece)) + piece for piece in pieces)
