"""Prints the requests that tshark finds in a file of kept packets, with the secrets that stand there:
a JSON array of method, host, target and ends for each."""

import json
import os
import pathlib
import sys

OWN_PYTHON = pathlib.Path(__file__).resolve().parents[2] / "target/tools/aioquic/bin/python"
try:
    import pylsqpack  # noqa: F401, comes with aioquic, which scripts/deps provides
except ImportError:
    os.execv(OWN_PYTHON, [str(OWN_PYTHON), *sys.argv])

import tshark  # noqa: E402

for found in tshark.requests(sys.argv[1], None) or ():
    print(json.dumps(found))
