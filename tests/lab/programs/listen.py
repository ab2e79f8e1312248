"""Writes down what passes an interface, until it is killed: listen.py INTERFACE CAPTURE

tcpdump would become another user, of whom there is none in a namespace with one user.
"""

import socket
import struct
import sys
import time

ETH_P_ALL = 3
LINKTYPE_ETHERNET = 1


def main():
    interface, path = sys.argv[1:]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    wire.bind((interface, 0))
    with open(path, "wb", buffering=0) as capture:
        capture.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, LINKTYPE_ETHERNET))
        print("listening", flush=True)
        while True:
            frame = wire.recv(262144)
            now = time.time_ns() // 1000
            head = struct.pack("=IIII", *divmod(now, 1_000_000), len(frame), len(frame))
            capture.write(head + frame)


main()
