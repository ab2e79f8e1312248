"""HTTP/2 frames and HPACK blocks (RFC 9113, RFC 7541), written by hand."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST, SETTINGS, PROMISE, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

# RFC 7541 appendix A, as far as it is used.
STATIC = [(":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
          (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
          (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
          (":status", "404"), (":status", "500")]
STATIC_NAMES = {"accept": 19, "content-length": 28, "content-type": 31, "cookie": 32, "date": 33,
                "host": 38, "referer": 51, "server": 54, "user-agent": 58}
STATIC_SIZE = 61

# RFC 7541 appendix B: the code is canonical, so the symbols of each length say it all.
HUFFMAN = ((5, b"012aceiost"), (6, b" %-./3456789=A_bdfghlmnpru"),
           (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"), (8, b"&*,;XZ"), (10, b"!\"()?"), (11, b"'+|"),
           (12, b"#>"), (13, b"\0$@[]~"), (14, b"^}"), (15, b"<`{"))


def frame(kind, stream=0, payload=b"", flags=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings(*pairs):
    """Of (identifier, value)."""
    return frame(SETTINGS, payload=b"".join(i.to_bytes(2, "big") + v.to_bytes(4, "big") for i, v in pairs))


def ack():
    return frame(SETTINGS, flags=ACK)


def data(stream, body, end=True):
    return frame(DATA, stream, body, END_STREAM if end else 0)


def reset(stream, error=8):
    return frame(RST, stream, error.to_bytes(4, "big"))


def goaway(last, error=0):
    return frame(GOAWAY, 0, last.to_bytes(4, "big") + error.to_bytes(4, "big") + b"so long")


def ping():
    return frame(PING, 0, b"12345678")


def window(stream, size=1000):
    return frame(WINDOW, stream, size.to_bytes(4, "big"))


def head(stream, block, end=True, flags=0, front=b"", back=b""):
    """HEADERS that hold a whole block."""
    return frame(HEADERS, stream, front + block + back,
                 END_HEADERS | (END_STREAM if end else 0) | flags)


def pieces(stream, block, size, end=True):
    """HEADERS and CONTINUATIONs of so many bytes each, as a list."""
    cut = [block[at:at + size] for at in range(0, len(block), size)]
    frames = []
    for n, piece in enumerate(cut):
        flags = (END_STREAM if end and n == 0 else 0) | (END_HEADERS if n == len(cut) - 1 else 0)
        frames.append(frame(CONTINUATION if n else HEADERS, stream, piece, flags))
    return frames


class Hpack:
    """A sender's state. `plain` names are sent without being kept; `huffman` codes strings."""

    def __init__(self, huffman=False, plain=(":path",), keep=True):
        self.kept, self.huffman, self.plain, self.keep = Kept(), huffman, plain, keep

    def request(self, path="/", authority="www.example.org", *more, method="GET", scheme="http"):
        fields = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        return self.block(*fields, *more)

    def block(self, *fields):
        return b"".join(self.field(name, value) for name, value in fields)

    def field(self, name, value):
        if (name, value) in STATIC:
            return integer(STATIC.index((name, value)) + 1, 7, 0x80)
        if (name, value) in self.kept:
            return integer(STATIC_SIZE + 1 + self.kept.index((name, value)), 7, 0x80)
        keep = self.keep and name not in self.plain
        number = next((n + 1 for n, field in enumerate(STATIC) if field[0] == name),
                      STATIC_NAMES.get(name, 0))
        coded = integer(number, 6, 0x40) if keep else integer(number, 4, 0)
        if not number:
            coded += self.string(name)
        coded += self.string(value)
        if keep:
            self.kept.insert(0, (name, value))
        return coded

    def string(self, text):
        plain = text.encode("latin-1")
        if not self.huffman:
            return integer(len(plain), 7) + plain
        coded = huffman(plain)
        return integer(len(coded), 7, 0x80) + coded

    def resize(self, size):
        """A change of the table's size."""
        self.kept.resize(size)
        return integer(size, 5, 0x20)


class Kept(list):
    """A table, the newest first, that pushes out the oldest (RFC 7541 §4)."""

    size = 4096

    def insert(self, place, field):
        super().insert(place, field)
        self.resize(self.size)

    def resize(self, size):
        self.size = size
        while sum(len(name) + len(value) + 32 for name, value in self) > size:
            self.pop()


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    coded, value = [first | most], value - most
    while value >= 128:
        coded.append(value % 128 | 128)
        value //= 128
    return bytes([*coded, value])


def codes():
    code, before, found = 0, 0, {}
    for length, symbols in HUFFMAN:
        code <<= length - before
        before = length
        for symbol in symbols:
            found[symbol] = f"{code:0{length}b}"
            code += 1
    return found


CODES = codes()


def huffman(plain):
    bits = "".join(CODES[byte] for byte in plain)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits), 8))
