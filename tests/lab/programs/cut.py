"""Carries what ssh says to HOST PORT and back, and ends after so many bytes have come back.

The number stands in the file LIMIT; how many came is written to the file CARRIED.
"""

import pathlib
import signal
import socket
import sys
import threading

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # how ssh ends it
host, port, limit, carried = sys.argv[1:]
tap = socket.create_connection((host, int(port)))


def there():
    while data := sys.stdin.buffer.read1(65536):
        tap.sendall(data)
    tap.shutdown(socket.SHUT_WR)


threading.Thread(target=there, daemon=True).start()
left, came = int(pathlib.Path(limit).read_text()), 0
try:
    while came < left and (data := tap.recv(min(65536, left - came))):
        came += len(data)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
except BrokenPipeError:
    pass  # ssh has ended before
pathlib.Path(carried).write_text(str(came))
