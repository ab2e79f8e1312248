"""A case: a capture, what it shows, and the events that are beyond dispute."""

import datetime
import ipaddress
import json
import pathlib

from . import files
from .flow import Flow, Tape, get

CASES = {}

KEYS = ("time", "kind", "alert", "canary", "channel", "label", "match", "origin", "client", "src",
        "src_port", "dst", "dst_port", "vlan", "scheme", "method", "host", "target", "version",
        "status", "user_agent", "referer", "forwarded_for", "sni", "alpn", "ja4", "flags",
        "alterations")


class Case:
    def __init__(self, name, shows):
        self.name, self.shows = name, shows
        self.tape, self.events, self.files = Tape(), [], {}
        self.capture, self.capture_name = None, "capture.pcap"
        self.outcome = None

    def expect(self, flow, time, method="GET", target="/", host="www.example.org", *,
               version="HTTP/1.1", status=200, **more):
        """An event of `flow` whose head was complete at `time`."""
        visitor, server = flow.visitor, flow.server
        event = {
            "time": moment(time), "kind": "request", "alert": False, "origin": origin(visitor.address),
            "client": visitor.address, "src": visitor.address, "src_port": visitor.port,
            "dst": server.address, "dst_port": server.port, "scheme": "http", "method": method,
            "host": host, "target": target, "version": version, "status": status,
        }
        event.update(more)
        self.events.append({key: event[key] for key in KEYS if event.get(key) is not None})

    def visit(self, tape=None, *, target="/", status="200 OK", flow=None, **more):
        """The plainest thing there is: one connection, one GET, one answer."""
        flow = flow or Flow(tape or self.tape)
        flow.open()
        time = flow.ask(get(target))
        flow.answer(status=status)
        flow.close()
        self.expect(flow, time, target=target, status=int(status.split()[0]), **more)
        return flow

    def refuse(self, status, *words):
        """The exit status that replay ends with, and words that its message holds."""
        self.outcome = (status, words)

    def count(self, **counters):
        """What replay counts, as its summary has it."""
        self.outcome = (0, [f" {name}={count}" for name, count in counters.items()])

    def write(self, folder):
        folder = pathlib.Path(folder) / self.name
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        data = files.pcap(self.tape.frames) if self.capture is None else self.capture
        if len(data) > 20_000:
            self.capture_name += ".gz"
            data = files.gzip(data)
        (folder / self.capture_name).write_bytes(data)
        lines = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in self.events]
        (folder / "expected.jsonl").write_text("".join(line + "\n" for line in lines))
        if self.outcome:
            status, words = self.outcome
            text = "".join(line + "\n" for line in (str(status), *words))
            (folder / "expected.outcome").write_text(text)
        for name, text in self.files.items():
            (folder / name).write_text(text)

    def expected(self):
        """What is expected, in a few words, for the table."""
        words = [self.summary(event) for event in self.events]
        text = "; ".join(words[:3]) + (f"; … {len(words)} in all" if len(words) > 3 else "")
        text = text or "no event"
        if not self.outcome:
            return text
        status, words = self.outcome
        return f"{text}; exit {status}" if status else f"{text}; counted:{','.join(words)}"

    @staticmethod
    def summary(event):
        target = event.get("target", "")
        target = target if len(target) < 40 else target[:30] + "…"
        flags = f" ({', '.join(event['flags'])})" if "flags" in event else ""
        alert = "alert: " if event["alert"] else ""
        return f"{alert}`{event.get('method', 'hello')} {target}`{flags}"


def case(name, shows):
    """Registers a function that fills in a case."""

    def register(fill):
        assert name not in CASES, name
        CASES[name] = (shows, fill)
        return fill

    return register


def made(name):
    shows, fill = CASES[name]
    result = Case(name, shows)
    fill(result)
    return result


def moment(nanos):
    time = datetime.datetime.fromtimestamp(nanos // 10**9, datetime.timezone.utc)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{nanos % 10**9 // 1000:06d}Z"


def origin(address):
    home = [ipaddress.ip_network(net) for net in ("192.168.0.0/16", "10.0.0.0/8", "fc00::/7")]
    address = ipaddress.ip_address(address)
    return "inside" if any(address in net for net in home) else "outside"
