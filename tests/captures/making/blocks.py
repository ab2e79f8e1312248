"""Capture files beyond the plain ones: what pcapng allows, and what older writers wrote."""

import struct

from . import files, wire
from .case import case
from .flow import START, Flow, Tape, get


def section(order="<", length=-1, options=b""):
    return files.block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length) + options)


def interface(link=files.ETHERNET, *options, snap=262144, order="<"):
    body = struct.pack(order + "HHI", link, 0, snap)
    for code, value in options:
        body += struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)
    return files.block(order, 1, body + (bytes(4) if options else b""))


def enhanced(ticks, data, number=0, *, options=b"", order="<", whole=None):
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks % 2**32, len(data), whole or len(data))
    return files.block(order, 6, head + data + b"\0" * (-len(data) % 4) + options)


def pcapng(test, blocks):
    test.capture, test.capture_name = b"".join(blocks), "capture.pcapng"


@case("file-pcapng-time-units", "time stamps in units of 2^-20 s, of seconds, of 10^-10 s, and with an offset")
def _(test):
    units = ((b"\x94", 2**20, 0), (b"\0", 1, 0), (b"\x0a", 10**10, 0), (b"\6", 10**6, 1_000_000_000))
    blocks = [section()]
    for number, (unit, per_second, shift) in enumerate(units):
        tape = Tape(start=START + number * 3_600_000_000_000)
        flow = Flow(tape, ("203.0.113.77", 40001 + number))
        flow.open()
        tape.now = tape.start if number == 1 else tape.now
        time = flow.ask(get(f"/{number}"))
        flow.answer()
        told = ticks_of(time, per_second) * 10**9 // per_second
        test.expect(flow, told, target=f"/{number}")
        options = [(9, unit)] + ([(14, struct.pack("<q", shift))] if shift else [])
        blocks.append(interface(files.ETHERNET, *options))
        blocks += [enhanced(ticks_of(at - shift * 10**9, per_second), frame, number) for at, frame in tape.frames]
    pcapng(test, blocks)


def ticks_of(nanos, per_second):
    return nanos * per_second // 10**9


@case("file-pcapng-simple-packets", "simple packet blocks, which bear neither time nor interface")
def _(test):
    flow = test.visit()
    test.events[0]["time"] = "1970-01-01T00:00:00.000000Z"
    blocks = [section(), interface()]
    for _, frame in flow.tape.frames:
        blocks.append(files.block("<", 3, struct.pack("<I", len(frame)) + frame))
    pcapng(test, blocks)


@case("file-pcapng-simple-packets-cut", "simple packet blocks cut by the interface's snap length")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/", fields=["Cookie: " + "c" * 200]))
    flow.answer()
    test.expect(flow, time, flags=["truncated"])
    test.events[0]["time"] = "1970-01-01T00:00:00.000000Z"
    blocks = [section(), interface(snap=150)]
    for _, frame in flow.tape.frames:
        blocks.append(files.block("<", 3, struct.pack("<I", len(frame)) + frame[:150]))
    pcapng(test, blocks)


@case("file-pcapng-old-packets", "packet blocks of the kind that was given up")
def _(test):
    test.visit()
    blocks = [section(), interface()]
    for time, frame in test.tape.frames:
        ticks = time // 1000
        head = struct.pack("<HHIIII", 0, 0xFFFF, ticks >> 32, ticks % 2**32, len(frame), len(frame))
        blocks.append(files.block("<", 2, head + frame))
    pcapng(test, blocks)


@case("file-pcapng-other-blocks", "names, statistics, custom and unknown blocks, and options everywhere")
def _(test):
    test.visit()
    comment = struct.pack("<HH8s", 1, 5, b"hello") + bytes(4)
    blocks = [section(options=comment), interface(files.ETHERNET, (2, b"eth0"), (9, b"\6"), (1, b"a tap"))]
    others = (files.block("<", 4, bytes(4)), files.block("<", 5, struct.pack("<III", 0, 0, 0)),
              files.block("<", 0xBAD, struct.pack("<I", 32473) + b"GET "), files.block("<", 0x80000001, b"x" * 40),
              files.block("<", 9, b"journal: no JSON"))
    for number, (time, frame) in enumerate(test.tape.frames):
        blocks += [others[number % len(others)], enhanced(time // 1000, frame, options=comment)]
    pcapng(test, blocks)


@case("file-pcapng-two-sections", "two sections in one file, of the other byte order and link type")
def _(test):
    test.visit(target="/first")
    blocks = [section(), interface()]
    blocks += [enhanced(time // 1000, frame) for time, frame in test.tape.frames]
    tape = Tape(bytes, test.tape.now)
    test.visit(target="/second", flow=Flow(tape, ("203.0.113.77", 40002)))
    blocks += [section(">"), interface(files.RAW, order=">")]
    blocks += [enhanced(time // 1000, frame, order=">") for time, frame in tape.frames]
    pcapng(test, blocks)


@case("file-pcapng-interface-later", "interfaces that are described between packets")
def _(test):
    flow = Flow(test.tape)
    test.visit(flow=flow)
    visitor = wire.address(flow.visitor.address)
    blocks, number = [section(), interface(files.RAW)], 0
    for place, (time, frame) in enumerate(test.tape.frames):
        if place == 1:
            blocks.append(interface(files.ETHERNET, (9, b"\x09")))
        number = int(frame[26:30] != visitor)
        blocks.append(enhanced(time if number else time // 1000, frame if number else frame[14:], number))
    pcapng(test, blocks)


@case("file-pcapng-cut", "a pcapng cut in the middle of a block: what stands before the cut, exit 1")
def _(test):
    test.visit()
    whole = files.pcapng(test.tape.frames)
    test.capture, test.capture_name = whole + whole[28:100], "capture.pcapng"
    test.refuse(1, "capture.pcapng")


@case("file-pcap-modified", "pcap with longer packet headers, as patched libraries wrote it")
def _(test):
    test.visit()
    out = [struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, files.ETHERNET)]
    for time, data in test.tape.frames:
        out.append(struct.pack("<IIIIIHBx", time // 10**9, time % 10**9 // 1000, len(data), len(data), 2, 8, 0))
        out.append(data)
    test.capture = b"".join(out)


@case("file-pcap-old-lengths", "pcap of version 2.2, whose two lengths stand the other way round")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/"))
    flow.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    flow.close()
    test.expect(flow, time)
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 200, files.ETHERNET)]
    for at, data in test.tape.frames:
        out.append(struct.pack("<IIII", at // 10**9, at % 10**9 // 1000, len(data), len(data[:200])) + data[:200])
    test.capture = b"".join(out)


@case("file-no-capture", "a file that is none is refused")
def _(test):
    test.capture, test.capture_name = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "capture.txt"
    test.refuse(1, "capture.txt")


@case("file-gzip-in-parts", "a gzipped file of several members, as appending makes it")
def _(test):
    test.visit()
    whole = files.pcap(test.tape.frames)
    test.capture = files.gzip(whole[:300]) + files.gzip(whole[300:])
    test.capture_name = "capture.pcap.gz"


@case("file-pcapng-link-unread", "a link type that is not read beside one that is: refused by number and name, the rest is read")
def _(test):
    test.visit()
    blocks = [section(), interface(), interface(105)]
    for number, (time, frame) in enumerate(test.tape.frames):
        if number == 2:
            blocks.append(enhanced(time // 1000, b"\x80\0" + bytes(30), 1))
        blocks.append(enhanced(time // 1000, frame))
    pcapng(test, blocks)
    test.refuse(1, "105", "IEEE802_11")
