"""The peers that replays are measured beside: how each is called, and which requests it told of.

All of them come from Debian by apt; Suricata is in some releases only (Debian 11 and 13, and the
backports of 12).
"""

import json
import re
from collections import Counter
from pathlib import Path

# Each is called with the capture and with an empty folder. None has a filter that would cost it
# requests: the words `tcp port 80` do not see behind a VLAN tag.
HTTPRY_FORMAT = "direction,method,host,request-uri"
REQUEST = re.compile(rb"^(GET|HEAD) (\S+) HTTP/1\.1\r?\n((?:[^\r\n]+\r?\n)*?)[Hh]ost: *(\S+?)\r?\n", re.M)


class Peer:
    def __init__(self, package, command, read, kinds=("mix", "small", "flows"), why=""):
        self.package, self.command, self.read = package, command, read
        self.kinds, self.why = kinds, why
        self.name = package


def in_bytes(data):
    """Requests in what a client sent, or in a text that shows it."""
    found = Counter()
    for method, target, _, host in REQUEST.findall(data):
        found[" ".join(part.decode("ascii", "replace") for part in (method, host, target))] += 1
    return found


def from_httpry(output, _folder):
    found = Counter()
    for line in Path(output).read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split("\t")
        if len(fields) == 4 and fields[0] == ">":
            found[" ".join(fields[1:])] += 1
    return found


def from_ngrep(output, _folder):
    # Line ends are shown as "." and a line feed.
    return in_bytes(re.sub(rb"\.\n", b"\n", Path(output).read_bytes()))


def from_tcpflow(_output, folder):
    """A file for each direction of each connection."""
    found = Counter()
    for path in Path(folder).iterdir():
        if ".00080" in path.name.partition("-")[2]:
            found += in_bytes(path.read_bytes())
    return found


def from_suricata(_output, folder):
    found = Counter()
    for line in open(Path(folder) / "eve.json", encoding="utf-8", errors="replace"):
        http = json.loads(line).get("http", {})
        if "http_method" in http:
            found[f'{http["http_method"]} {http.get("hostname", "")} {http.get("url", "")}'] += 1
    return found


def from_tshark(output, _folder):
    found = Counter()
    for line in open(output, encoding="utf-8", errors="replace"):
        fields = line.rstrip("\n").split("\t")
        # Several requests in one frame share a line.
        for request in zip(*(field.split("|") for field in fields)):
            found[" ".join(request)] += 1
    return found


PEERS = [
    Peer("httpry", lambda capture, _: [
        "httpry", "-q", "-r", capture, "-m", "GET,HEAD", "-f", HTTPRY_FORMAT, "tcp or ip6 or vlan",
    ], from_httpry),
    Peer("ngrep", lambda capture, _: [
        "ngrep", "-q", "-t", "-W", "byline", "-I", capture, "^(GET|HEAD) ",
    ], from_ngrep),
    Peer("tcpflow", lambda capture, folder: [
        "tcpflow", "-q", "-r", capture, "-o", folder, "-x", "http",
    ], from_tcpflow, kinds=("mix", "small"), why="it would make a file for each of a million flows"),
    Peer("suricata", lambda capture, folder: [
        "suricata", "-r", capture, "-l", folder, "--runmode", "single", "-k", "none",
    ], from_suricata),
    Peer("tshark", lambda capture, _: [
        "tshark", "-n", "-r", capture, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "http.request",
        "-T", "fields", "-E", "aggregator=|", "-e", "http.request.method", "-e", "http.host", "-e", "http.request.uri",
    ], from_tshark),
]
