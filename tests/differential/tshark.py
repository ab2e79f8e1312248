"""The HEAD and GET requests that tshark finds in a capture."""

import collections
import subprocess
import xml.etree.ElementTree as xml

import http3

COMMAND = ["tshark", "-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "ip.defragment:TRUE",
           "-o", "tcp.desegment_tcp_streams:TRUE", "-o", "http.desegment_headers:TRUE",
           "-Y", "http.request.method in {\"GET\",\"HEAD\"} || http2.headers.method in {\"GET\",\"HEAD\"} || quic",
           "-T", "pdml"]
PUSH_PROMISE = "5"


def requests(capture, keys):
    """Counts by method, host, target and ends; None when it cannot be read."""
    options = ["-o", f"tls.keylog_file:{keys}"] if keys else []
    run = subprocess.run([*COMMAND, *options, "-r", capture], capture_output=True, check=False)
    try:
        packets = xml.fromstring(run.stdout)
    except xml.ParseError:
        return None
    found, datagrams = collections.Counter(), http3.Connections()
    for packet in packets.iter("packet"):
        found.update(of_packet(packet, datagrams))
    found.update(datagrams.requests())
    return found


def of_packet(packet, datagrams):
    """The requests of one packet; of tunnels the innermost addresses count."""
    ends = [None] * 4
    for layer in packet.iter("proto"):
        name = layer.get("name")
        if name in ("ip", "ipv6"):
            ends[0], ends[2] = field(layer, f"{name}.src"), field(layer, f"{name}.dst")
        elif name in ("tcp", "udp"):
            ends[1], ends[3] = int(field(layer, f"{name}.srcport")), int(field(layer, f"{name}.dstport"))
        elif name == "http" and field(layer, "http.request.method") in ("GET", "HEAD"):
            target = bytes.fromhex(field(layer, "http.request.uri", "value") or "")
            host = host_of(field(layer, "http.host"))
            yield (field(layer, "http.request.method"), host, wire_text(target), *ends)
        elif name == "http2":
            yield from ((*head, *ends) for head in streams(layer))
        elif name == "quic":
            datagrams.add(layer, ends)


def streams(layer):
    """Method, host and target of each request head among the frames of HTTP/2."""
    for frame in layer.iter("field"):
        if frame.get("name") != "http2.stream" or field(frame, "http2.type") == PUSH_PROMISE:
            continue
        method = field(frame, "http2.headers.method")
        if method in ("GET", "HEAD"):
            target = bytes.fromhex(field(frame, "http2.headers.path", "value") or "")
            host = field(frame, "http2.headers.authority") or field(frame, "http2.headers.host")
            yield method, host_of(host), wire_text(target)


def host_of(authority):
    """As canarytap writes a host: lower case, without port and trailing dot."""
    host = (authority or "").lower()
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).removesuffix(".")


def field(layer, name, attribute="show"):
    found = (element for element in layer.iter("field") if element.get("name") == name)
    element = next(found, None)
    return None if element is None else element.get(attribute)


def wire_text(data):
    """As canarytap writes a target: control bytes and what is no UTF-8 percent-encoded."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(escaped(character) for character in text)


def escaped(character):
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    if code < 0x20 or 0x7F <= code < 0xA0:
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character
