"""Compares what canarytap finds in captures with what tshark finds: HEAD and GET requests.

    python3 tests/differential [--canarytap FILE] [--expected] PATH...

PATH: captures, or folders of them. A `keys.log` beside a capture is given to both. For each file:
how many requests both found, recall and precision of canarytap by tshark's measure, and each
difference. tshark is a measure, no judge: `differences.toml` names where it is known to differ, by
how many requests at most, and why. With --expected the `expected.jsonl` beside a capture takes
canarytap's place, and so tshark checks what the tests expect. Exit 1 if anything differs that has no reason there.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OWN_PYTHON = ROOT / "target/tools/aioquic/bin/python"
try:
    import pylsqpack  # comes with aioquic, which scripts/deps provides
except ImportError:
    if pathlib.Path(sys.executable) == OWN_PYTHON or not OWN_PYTHON.exists():
        raise
    os.execv(OWN_PYTHON, [str(OWN_PYTHON), *sys.argv])

import tshark  # noqa: E402

SUFFIXES = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz", ".cap.gz")


def main():
    options = arguments()
    known = Known.read(pathlib.Path(__file__).parent / "differences.toml")
    total, wrong = collections.Counter(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for capture, ours, theirs in pool.map(lambda file: (file, *both(file, options)), captures(options.path)):
            if ours is None and options.expected:
                continue
            if ours is None or theirs is None:
                print(f"{capture}: not readable by {'canarytap' if ours is None else 'tshark'}")
                wrong += not known.reason(capture, ours, theirs)
                continue
            total.update(both=(ours & theirs).total(), ours=ours.total(), theirs=theirs.total())
            wrong += not report(capture, ours, theirs, known)
    print(f"in all: {shares(total['both'], total['ours'], total['theirs'])}; "
          f"{known.used} captures differ for a reason, {wrong} for none")
    return 1 if wrong else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--canarytap", default=ROOT / "target/release/canarytap")
    parser.add_argument("--expected", action="store_true")
    parser.add_argument("path", nargs="+", type=pathlib.Path)
    return parser.parse_args()


def captures(paths):
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if not path.is_dir() or file.name.endswith(SUFFIXES))


def both(capture, options):
    keys = capture.parent / "keys.log"
    keys = keys if keys.exists() else None
    ours = expected(capture) if options.expected else by_canarytap(capture, keys, options.canarytap)
    return ours, tshark.requests(capture, keys)


def by_canarytap(capture, keys, program):
    command = [program, "replay", "--all-hosts", "--format", "jsonl", *(["--keys", keys] if keys else []), capture]
    run = subprocess.run(command, capture_output=True, check=False)
    if run.returncode not in (0, 1):
        return None
    return events(run.stdout.decode())


def expected(capture):
    """None where there is nothing to compare with: a configuration chooses among requests."""
    file = capture.parent / "expected.jsonl"
    chosen = (capture.parent / "canarytap.toml").exists()
    return events(file.read_text()) if file.exists() and not chosen else None


def events(lines):
    found = collections.Counter()
    for line in lines.splitlines():
        event = json.loads(line)
        if event.get("method") in ("GET", "HEAD"):
            ends = (event["src"], event["src_port"], event["dst"], event["dst_port"])
            found[(event["method"], event.get("host", ""), event["target"], *ends)] += 1
    return found


class Known:
    """Where tshark is known to differ, and why."""

    def __init__(self, entries):
        self.entries, self.used = entries, 0

    @classmethod
    def read(cls, file):
        return cls(tomllib.loads(file.read_text())["difference"])

    def reason(self, capture, ours, theirs):
        """Why they differ; None when that is not known, or not by so much."""
        for entry in self.entries:
            if not any(fnmatch.fnmatch(capture.parent.name, name) for name in entry["captures"]):
                continue
            unread = ours is None or theirs is None
            within = unread and entry.get("unread") or not unread and (
                (theirs - ours).total() <= entry.get("tshark_more", 0)
                and (ours - theirs).total() <= entry.get("tshark_fewer", 0))
            if within:
                self.used += 1
                return entry["why"]
        return None


def report(capture, ours, theirs, known):
    """Whether they agree, or differ for a known reason."""
    missed, extra = theirs - ours, ours - theirs
    why = known.reason(capture, ours, theirs) if missed or extra else None
    print(f"{capture}: {shares((ours & theirs).total(), ours.total(), theirs.total())}{f' ({why})' if why else ''}")
    for sign, requests in (("-", missed), ("+", extra)) if not why else ():
        for (method, host, target, *ends), count in sorted(requests.items(), key=str):
            times = f" ({count} times)" if count > 1 else ""
            print(f"  {sign} {method} {host} {target[:100]} from {ends[0]}:{ends[1]} to {ends[2]}:{ends[3]}{times}")
    return bool(why) or not (missed or extra)


def shares(both, ours, theirs):
    recall = 100 * both / theirs if theirs else 100
    precision = 100 * both / ours if ours else 100
    return f"{both} in both, recall {recall:.1f} %, precision {precision:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
