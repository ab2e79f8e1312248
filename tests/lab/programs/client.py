#!/usr/bin/env python3
"""A visitor that is a Python program: client.py ADDRESS PORT HOST VERSION METHOD TARGET..."""

import http.client
import socket
import ssl
import sys

address, port, host, version, method, *targets = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.maximum_version = getattr(ssl.TLSVersion, version)
connection = http.client.HTTPSConnection(host, context=context)
connection.sock = context.wrap_socket(socket.create_connection((address, int(port))), server_hostname=host)
for target in targets:
    connection.request(method, target, headers={"Host": host})
    connection.getresponse().read()
connection.close()
