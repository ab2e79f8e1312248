#!/usr/bin/env python3
"""Makes the captures of the tests and the table in README.md.

    tests/captures/make.py            all
    tests/captures/make.py NAME...    these

The result is the same bytes on every machine. Needs Python 3.9, nothing else.
"""

import pathlib
import sys

sys.dont_write_bytecode = True

from making import (  # noqa: E402, F401 (each registers its cases)
    alterations,
    blocks,
    canary,
    evasion,
    fragments,
    holes,
    http1,
    http2,
    ip,
    link,
    networks,
    oddities,
    origin,
    quic,
    tcp,
    tls,
    wrapped,
)
from making.case import CASES, made  # noqa: E402

FOLDER = pathlib.Path(__file__).parent


def main(names):
    rows = []
    for name in sorted(CASES):
        test = made(name)
        rows.append(f"| `{name}` | {test.shows} | {test.expected()} |\n")
        if not names or name in names:
            test.write(FOLDER)
    readme = FOLDER / "README.md"
    text = readme.read_text().split("<!-- table -->\n")[0]
    readme.write_text(text + "<!-- table -->\n| case | shows | expected |\n|---|---|---|\n" + "".join(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
