"""A TCP connection between a visitor and the server, written frame by frame."""

from . import wire

START = 1_714_564_800_000_000_000  # 2024-05-01T12:00:00Z, in nanoseconds
STEP = 1_000_000  # from one frame to the next, in nanoseconds

VISITOR, SERVER = ("203.0.113.77", 40001), ("192.168.1.10", 80)
VISITOR6, SERVER6 = ("2001:db8::77", 40001), ("fd00:1::10", 80)


class Tape:
    """What the tap sees: frames with their times. `wrap` makes a frame of a packet."""

    def __init__(self, wrap=wire.ethernet, start=START):
        self.frames, self.wrap, self.start, self.now = [], wrap, start, start

    def put(self, packet, wrap=None, copies=1):
        """Adds a packet and returns its time."""
        time = self.now
        for _ in range(copies):
            self.frames.append((self.now, (wrap or self.wrap)(packet)))
            self.now += STEP
        return time

    def put_frame(self, frame):
        time = self.now
        self.frames.append((time, frame))
        self.now += STEP
        return time

    def wait(self, seconds):
        self.now += int(seconds * 10**9)


class Side:
    def __init__(self, name, endpoint, isn):
        self.name, (self.address, self.port), self.seq = name, endpoint, isn
        self.peer = None


class Flow:
    """Both sides of a connection. What is sent advances the sender's sequence number."""

    def __init__(self, tape, visitor=VISITOR, server=SERVER, isn=(1000, 90000), **how):
        self.tape, self.how = tape, how
        self.visitor, self.server = Side("visitor", visitor, isn[0]), Side("server", server, isn[1])
        self.visitor.peer, self.server.peer = self.server, self.visitor

    def packet(self, side, data=b"", flags="A", *, seq=None, ack=None, ip=None, **tcp):
        """A packet of `side`, not yet on the tape."""
        peer = side.peer
        segment = wire.tcp(data, side.address, peer.address, (side.port, peer.port),
                           seq=side.seq if seq is None else seq,
                           ack=(peer.seq if ack is None else ack) if "A" in flags else 0,
                           flags=flags, **tcp)
        return wire.ip(segment, side.address, peer.address, **(ip or {}))

    def send(self, side, data=b"", flags="A", **fields):
        """Puts a packet on the tape, advances, returns its time."""
        time = self.tape.put(self.packet(side, data, flags, **fields), **self.how)
        if fields.get("seq") is None:
            side.seq += len(data) + ("S" in flags) + ("F" in flags)
        return time

    def take(self, side, data=b"", flags="A", **fields):
        """Like `send`, but returns the packet for the tape to get later, or never."""
        packet = self.packet(side, data, flags, **fields)
        side.seq += len(data) + ("S" in flags) + ("F" in flags)
        return packet

    def put(self, packet, **how):
        return self.tape.put(packet, **{**self.how, **how})

    def open(self):
        self.send(self.visitor, flags="S")
        self.send(self.server, flags="SA")
        self.send(self.visitor)
        return self

    def ask(self, data, **fields):
        """The visitor sends `data`; the server acknowledges."""
        flags = "PAU" if fields.get("urgent") else "PA"
        time = self.send(self.visitor, data, flags, **fields)
        self.send(self.server)
        return time

    def ask_urgent(self, data, pointer):
        """As `ask`; `pointer` is the place behind the urgent byte."""
        return self.ask(data, urgent=pointer)

    def answer(self, data=None, status="200 OK"):
        """The server sends `data`, by default an empty answer; the visitor acknowledges."""
        data = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status.encode() if data is None else data
        time = self.send(self.server, data, "PA")
        self.send(self.visitor)
        return time

    def close(self):
        self.send(self.visitor, flags="FA")
        self.send(self.server, flags="FA")
        self.send(self.visitor)


def get(target="/", host="www.example.org", *, method="GET", version="HTTP/1.1", fields=()):
    """A request head as curl would write it."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    return "".join(line + "\r\n" for line in lines + [""]).encode("latin-1")
