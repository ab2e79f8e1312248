"""Makes a month out of a capture of a minute.

    stretch.py CAPTURE PLAN MONTH

Each connection of CAPTURE, known by the visitor's address and port, is moved as a whole to the time
that PLAN names for it; the time between its packets stays what it was. A connection may come back
in steps, as a monitor's does. Nothing but time stamps is changed. PLAN has a JSON object a line:

    {"client": "203.0.113.77", "port": 40123, "at": 1366156800.5}
    {"client": "203.0.113.77", "port": 40000, "at": 1366156800, "until": 1368748800, "every": 60,
     "not": [1367366400, 1367474400]}

Ends with 3 while the end of a connection is not in CAPTURE yet.
"""

import json
import socket
import struct
import sys

FIN, RST = 1, 4


def main():
    capture, plan, month = sys.argv[1:]
    header, frames = read(capture)
    connections = {}
    for time, frame in frames:
        key, flags = visitor_of(frame)
        if key:
            connections.setdefault(key, []).append((time, frame, flags))
    played = []
    with open(plan) as lines:
        for line in map(json.loads, lines):
            connection = connections.get((line["client"], line["port"]), [])
            if not is_whole(connection):
                sys.exit(3)
            played += moved(connection, line)
    played.sort(key=lambda one: one[0])
    write(month, header, played)


def moved(connection, line):
    first = connection[0][0]
    for start in starts(line):
        for time, frame, _ in connection:
            yield int(start * 1_000_000) + time - first, frame


def starts(line):
    start = line["at"]
    pause = line.get("not", [0, 0])
    while True:
        if not pause[0] <= start < pause[1]:
            yield start
        start += line.get("every", 0)
        if not line.get("every") or start >= line["until"]:
            return


def is_whole(connection):
    flags = [flags for _, _, flags in connection]
    return any(one & RST for one in flags) or sum(one & FIN for one in flags) >= 2


def visitor_of(frame):
    """Address and port of the side that is not the server, and TCP's flags."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None, 0
    tcp = 14 + (frame[14] & 15) * 4
    source, target = (socket.inet_ntoa(frame[at : at + 4]) for at in (26, 30))
    ports = struct.unpack_from("!HH", frame, tcp)
    key = (source, ports[0]) if target == SERVER else (target, ports[1])
    return key, frame[tcp + 13]


def read(path):
    """Header and frames of a capture with microseconds of this machine's byte order."""
    with open(path, "rb") as file:
        data = file.read()
    header, frames, at = data[:24], [], 24
    if struct.unpack_from("=I", header.ljust(4))[0] != 0xA1B2C3D4:
        sys.exit(3)
    while at + 16 <= len(data):
        seconds, micros, length, _ = struct.unpack_from("=IIII", data, at)
        if at + 16 + length > len(data):
            break
        frames.append((seconds * 1_000_000 + micros, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return header, frames


def write(path, header, frames):
    with open(path, "wb") as file:
        file.write(header)
        for time, frame in frames:
            file.write(struct.pack("=IIII", *divmod(time, 1_000_000), len(frame), len(frame)))
            file.write(frame)


SERVER = "192.168.1.10"

main()
