"""Requests of HTTP/3 in what tshark opens of QUIC.

tshark of Debian 12 opens QUIC with a key log and cannot read QPACK, so that it is given here to
pylsqpack.
"""

import collections

import pylsqpack

import tshark

# What aioquic's servers, and so all in the captures, let clients have.
TABLE_BYTES = 4096


class Connections:
    """What clients send, by tshark's number of the connection."""

    def __init__(self):
        self.connections, self.numbers = collections.defaultdict(Connection), {}

    def add(self, layer, ends):
        """One packet of QUIC, from the client or from the server."""
        if ends[1] < ends[3]:
            return  # the server's
        # Not every packet says which connection it is of.
        number = tshark.field(layer, "quic.connection.number") or self.numbers.get(ends[1])
        self.numbers[ends[1]] = number
        for frame in layer.iter("field"):
            stream = frame.get("name") == "quic.frame" and tshark.field(frame, "quic.stream.stream_id")
            data = stream and tshark.field(frame, "quic.stream_data", "value")
            if data:
                offset = int(tshark.field(frame, "quic.stream.offset") or 0)
                self.connections[number].add(int(stream), offset, bytes.fromhex(data), tuple(ends))

    def requests(self):
        for connection in self.connections.values():
            yield from connection.requests()


class Connection:
    """What a client sends: its streams put together, its fields decoded."""

    def __init__(self):
        self.pieces, self.ends = collections.defaultdict(dict), {}

    def add(self, stream, offset, data, ends):
        self.pieces[stream].setdefault(offset, data)
        self.ends.setdefault(stream, ends)

    def stream(self, number):
        whole = b""
        for offset, data in sorted(self.pieces[number].items()):
            whole += data[max(0, len(whole) - offset):] if offset <= len(whole) else b""
        return whole

    def requests(self):
        decoder = pylsqpack.Decoder(TABLE_BYTES, 1000)
        for number in self.pieces:
            if number & 3 == 2 and self.stream(number)[:1] == b"\x02":
                decoder.feed_encoder(self.stream(number)[1:])
        for number in sorted(self.pieces):
            if number & 3:
                continue
            for section in headers(self.stream(number)):
                try:
                    _, fields = decoder.feed_header(number, section)
                except (pylsqpack.StreamBlocked, pylsqpack.DecompressionFailed):
                    continue
                head = dict(fields)
                if head.get(b":method") in (b"GET", b"HEAD"):
                    host = tshark.host_of(head[b":authority"].decode())
                    target = tshark.wire_text(head[b":path"])
                    yield (head[b":method"].decode(), host, target, *self.ends[number])
                break


def headers(data):
    """The payloads of HEADERS frames (RFC 9114 §7.2.2)."""
    while data:
        kind, data = integer(data)
        length, data = integer(data)
        if kind == 1 and len(data) >= length:
            yield data[:length]
        data = data[length:]


def integer(data):
    size = 1 << (data[:1] or b"\0")[0] // 64
    value = int.from_bytes(data[:size], "big") & ((1 << 8 * size - 2) - 1)
    return value, data[size:]
