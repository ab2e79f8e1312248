#!/usr/bin/env python3
"""Records what real TLS clients and servers say to each other, for `making/tls.py`.

    tests/captures/record.py            all
    tests/captures/record.py NAME...    these

Each recording is a file in `recordings/`: the bytes of both sides in their order, the key log, and
what was said inside, with the place of the piece that completed it.
Needs openssl (3.0 or later) and gnutls-cli, gnutls-serv; speaks over loopback only. What Debian's
OpenSSL leaves out (SSL 3.0, compression, DES, IDEA) needs one that was built with `enable-ssl3
enable-ssl3-method enable-weak-ssl-ciphers enable-idea zlib`, which OLD_OPENSSL names (its legacy provider:
OPENSSL_MODULES); without it those are said to be left out. Keys are drawn
anew each time, so that what comes out differs from run to run; `make.py` never runs this.
"""

import json
import os
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = pathlib.Path(__file__).parent / "recordings"
HOST = "www.example.org"
PSK = "0123456789abcdef0123456789abcdef"
PATIENCE = 10  # seconds

CASES = {}


def request(target, method="GET", host=HOST, more=""):
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def response(status="200 OK", body=b"", head=False):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + (b"" if head else body)


PLAIN = [("C", request("/tls?q=1")), ("S", response(body=b"hello"))]


def openssl(name, server=(), client=(), script=None, **how):
    """An s_client and an s_server, that say what `script` has them say."""
    CASES[name] = ("openssl", list(server), list(client), script or PLAIN, how)


def gnutls(name, priority, **how):
    """gnutls-cli and gnutls-serv, which answers every request with a page."""
    CASES[name] = ("gnutls", priority, [], PLAIN, how)


def tls12(cipher, *more):
    return ["-tls1_2", "-cipher", cipher + ":@SECLEVEL=0", *more]


for suite in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256",
              "AES_128_CCM_SHA256", "AES_128_CCM_8_SHA256"):
    openssl(f"13-{suite.lower().replace('_', '-')}", client=["-tls1_3", "-ciphersuites", "TLS_" + suite],
            server=["-ciphersuites", "TLS_" + suite])
for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
               "DHE-RSA-AES128-GCM-SHA256", "AES256-GCM-SHA384", "DHE-RSA-AES128-CCM", "DHE-RSA-AES256-CCM",
               "DHE-RSA-AES128-CCM8", "AES256-CCM8", "ECDHE-RSA-AES128-SHA", "AES256-SHA", "AES128-SHA256",
               "DHE-RSA-AES256-SHA256", "ECDHE-RSA-AES256-SHA384", "NULL-SHA256", "NULL-MD5",
               "CAMELLIA128-SHA", "ECDHE-RSA-CAMELLIA256-SHA384"):
    openssl(f"12-{cipher.lower()}", client=tls12(cipher), server=["-cipher", cipher + ":@SECLEVEL=0"])
for cipher in ("PSK-AES128-GCM-SHA256", "DHE-PSK-AES256-CBC-SHA", "ECDHE-PSK-CHACHA20-POLY1305",
               "RSA-PSK-AES128-CBC-SHA256"):
    psk = ["-psk", PSK]
    openssl(f"12-{cipher.lower()}", client=tls12(cipher, *psk), server=["-cipher", cipher + ":@SECLEVEL=0", *psk])
for cipher in ("ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384"):
    openssl(f"12-{cipher.lower()}-mac-first", client=tls12(cipher, "-no_etm"),
            server=["-cipher", cipher + ":@SECLEVEL=0"])
for number, flag in (("10", "-tls1"), ("11", "-tls1_1")):
    for name, more in (("", []), ("-mac-first", ["-no_etm"])):
        openssl(f"{number}-aes128-sha{name}", client=[flag, "-cipher", "AES128-SHA:@SECLEVEL=0", *more],
                server=["-cipher", "AES128-SHA:@SECLEVEL=0"])

for cipher in ("ECDHE-ARIA128-GCM-SHA256", "DHE-RSA-ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"):
    openssl(f"12-{cipher.lower()}", client=tls12(cipher), server=["-cipher", cipher + ":@SECLEVEL=0"])
openssl("12-aes128-sha256-plain-master", client=tls12("AES128-SHA256"),
        server=["-cipher", "AES128-SHA256:@SECLEVEL=0"], no_ems=True)
for cipher in ("AES128-SHA", "DES-CBC3-SHA", "RC4-MD5", "NULL-SHA", "IDEA-CBC-SHA"):
    openssl(f"ssl3-{cipher.lower()}", client=["-ssl3", "-cipher", cipher + ":@SECLEVEL=0"],
            server=["-ssl3", "-cipher", cipher + ":@SECLEVEL=0"], old=True)
for cipher in ("IDEA-CBC-SHA",):
    openssl(f"10-{cipher.lower()}", client=["-tls1", "-cipher", cipher + ":@SECLEVEL=0"],
            server=["-cipher", cipher + ":@SECLEVEL=0"], old=True)

BASE = "NONE:+COMP-NULL:+CTYPE-X509:+SIGN-ALL:+GROUP-ALL:%VERIFY_ALLOW_BROKEN:%VERIFY_ALLOW_SIGN_WITH_SHA1"
for number, version in (("10", "TLS1.0"), ("11", "TLS1.1"), ("12", "TLS1.2")):
    gnutls(f"{number}-3des", f"{BASE}:+VERS-{version}:+RSA:+3DES-CBC:+SHA1")
    gnutls(f"{number}-rc4", f"{BASE}:+VERS-{version}:+RSA:+ARCFOUR-128:+SHA1")
for bits, hash in (("128", "SHA256"), ("256", "SHA384")):
    gnutls(f"12-camellia{bits}-gcm-{hash.lower()}", f"{BASE}:+VERS-TLS1.2:+RSA:+CAMELLIA-{bits}-GCM:+AEAD")
gnutls("12-rc4-md5", f"{BASE}:+VERS-TLS1.2:+RSA:+ARCFOUR-128:+MD5")
gnutls("12-3des-mac-first", f"{BASE}:+VERS-TLS1.2:+RSA:+3DES-CBC:+SHA1:%NO_ETM")

MANY = [("C", request("/1")), ("S", response("404 Not Found", b"x" * 40_000)),
        ("C", request("/2", "HEAD")), ("S", response("301 Moved", head=True)),
        ("C", request("/3") + request("/4")), ("S", response() + response("204 No Content"))]
openssl("13-many", client=["-tls1_3", "-alpn", "h2,http/1.1"], server=["-alpn", "http/1.1"], script=MANY)
openssl("12-compressed", client=["-tls1_2", "-comp"], server=["-comp"], script=MANY, old=True)
openssl("12-many", client=["-tls1_2", "-alpn", "h2,http/1.1"], server=["-alpn", "http/1.1"], script=MANY)
openssl("13-key-update", client=["-tls1_3"], script=[
    ("C", request("/1")), ("S", response()), ("C", "K"), ("C", request("/2")), ("S", response("404 Not Found")),
    ("C", "k"), ("C", request("/3")), ("S", response("204 No Content"))], commands=True)
openssl("12-renegotiation", client=tls12("ECDHE-RSA-AES128-SHA"), script=[
    ("C", request("/1")), ("S", response()), ("C", "R"), ("C", request("/2")), ("S", response("404 Not Found"))],
    server=["-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0", "-client_renegotiation"], commands=True)
openssl("13-retry", client=["-tls1_3", "-groups", "P-521:X25519"], server=["-groups", "X25519"])
openssl("13-client-certificate", client=["-tls1_3", "-cert", "CERT", "-key", "KEY"], server=["-verify", "1"])
openssl("12-client-certificate", client=["-tls1_2", "-cert", "CERT", "-key", "KEY"], server=["-verify", "1"])
openssl("13-resumed", client=["-tls1_3"], resume=True)
openssl("12-resumed-ticket", client=["-tls1_2"], resume=True)
openssl("13-early-data", client=["-tls1_3"], server=["-early_data", "-no_anti_replay"], resume=True,
        early=request("/early"), script=[("S", response()), *PLAIN])
openssl("13-early-data-refused", client=["-tls1_3"], server=["-early_data", "-no_anti_replay"], resume=True,
        early=request("/early"), refuse=True)
openssl("10-head-2013", client=["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0", "-no_etm"],
        server=["-cipher", "AES128-SHA:@SECLEVEL=0"],
        script=[("C", request("/x/login.html?user=tbtest&password=geheim", "HEAD")), ("S", response(head=True))])
openssl("13-no-name", client=["-tls1_3", "-noservername"])


class Proxy:
    """Stands between the two and writes down what passes."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.server_port, self.passed = self.listener.getsockname()[1], port, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.server_port))
        peers = {client: ("C", server), server: ("S", client)}
        while peers:
            for ready in select.select(list(peers), [], [], PATIENCE)[0] or list(peers):
                side, peer = peers[ready]
                data = ready.recv(65536)
                if data:
                    self.passed.append((side, data))
                    peer.sendall(data)
                else:
                    peers.pop(ready)
                    try:
                        peer.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass

    def close(self):
        self.listener.close()
        self.thread.join(PATIENCE)


class Party:
    """A program that says what is written to it and shows what it hears."""

    def __init__(self, *command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=env)
        self.heard = b""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.heard += data

    def say(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, text):
        until = time.monotonic() + PATIENCE
        while text not in self.heard:
            assert time.monotonic() < until, (self.process.args, text[:60], self.heard[-200:])
            time.sleep(0.01)
        self.heard = self.heard.split(text, 1)[1]

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def wait_for_port(port):
    """By asking the kernel: a connection would be taken for the first client."""
    until = time.monotonic() + PATIENCE
    while f":{port:04X} 00000000:0000 0A" not in pathlib.Path("/proc/net/tcp").read_text():
        assert time.monotonic() < until, port
        time.sleep(0.01)


def certificate(folder):
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                    "-subj", f"/CN={HOST}", "-days", "3650"], check=True, capture_output=True)
    return str(key), str(cert)


def record(name, folder):
    kind, server, client, script, how = CASES[name]
    key, cert = certificate(folder)
    named = {"CERT": cert, "KEY": key}
    keys = folder / "keys.log"
    keys.write_text("")
    if kind == "gnutls":
        return gnutls_pair(server, key, cert, keys)
    port = free_port()
    program = os.environ["OLD_OPENSSL"] if how.get("old") else "openssl"
    legacy = ["-provider", "legacy", "-provider", "default"] if how.get("old") else []
    if how.get("no_ems"):
        config = folder / "openssl.cnf"
        config.write_text(NO_EMS)
        os.environ["OPENSSL_CONF"] = str(config)
    command = [program, "s_server", "-accept", f"127.0.0.1:{port}", "-key", key, "-cert", cert, "-quiet",
               "-naccept", "3", *legacy, *[named.get(word, word) for word in server]]
    # With -quiet what is said is sent as it is; K, k and R are commands only without it.
    connect = [program, "s_client", "-keylogfile", keys, *legacy, *([] if how.get("commands") else ["-quiet"]),
               *([] if "-noservername" in client else ["-servername", HOST]),
               *[named.get(word, word) for word in client]]
    serving = Party(*command)
    wait_for_port(port)
    if how.get("resume"):
        session = folder / "session.pem"
        first = Party(*connect, "-connect", f"127.0.0.1:{port}", "-sess_out", session)
        first.say(request("/first"))
        serving.wait_for(b"/first")
        serving.say(response())
        first.wait_for(b"\r\n\r\n")
        first.close()
        connect += ["-sess_in", session]
        keys.write_text("")
    if how.get("refuse"):  # a server that has forgotten
        serving.close()
        serving = Party(*command)
        wait_for_port(port)
    if how.get("early"):
        (folder / "early").write_bytes(how["early"])
        connect += ["-early_data", folder / "early"]
    proxy = Proxy(port)
    calling = Party(*connect, "-connect", f"127.0.0.1:{proxy.port}")
    said = converse(script, calling, serving, proxy)
    if "early" in how and not how.get("refuse"):
        first = next(place for place, (side, _) in enumerate(proxy.passed) if side == "S")
        said.insert(0, ["C", how["early"].decode(), first - 1])
    calling.close()
    proxy.close()
    serving.close()
    return proxy.passed, keys.read_text(), said


def converse(script, calling, serving, proxy):
    said = []
    for side, words in script:
        speaker, listener = (calling, serving) if side == "C" else (serving, calling)
        if isinstance(words, str):
            speaker.say(words.encode() + b"\n")
            time.sleep(0.5)  # nothing shows that the other side has heard it
            continue
        speaker.say(words)
        listener.wait_for(words)
        said.append([side, words.decode(), last_piece(proxy.passed, side)])
    return said


def last_piece(passed, side):
    """The place of a side's newest piece: the other side has just heard all of it."""
    return max(place for place, (sender, _) in enumerate(passed) if sender == side)


def gnutls_pair(priority, key, cert, keys):
    port = free_port()
    serving = Party("gnutls-serv", "--http", "-p", str(port), "--x509keyfile", key, "--x509certfile", cert,
                    "--priority", priority)
    time.sleep(1)  # it listens on every address; its line in /proc has another form
    proxy = Proxy(port)
    calling = Party("gnutls-cli", "--no-ca-verification", "--sni-hostname", HOST, "--priority", priority,
                    "-p", str(proxy.port), "127.0.0.1", env={**os.environ, "SSLKEYLOGFILE": str(keys)})
    calling.wait_for(b"Simple Client Mode")
    calling.say(request("/tls?q=1"))
    calling.wait_for(b"</HTML>")
    said = [["C", request("/tls?q=1").decode(), last_piece(proxy.passed, "C")],
            ["S", "HTTP/1.0 200 OK", last_piece(proxy.passed, "S")]]
    calling.close()
    proxy.close()
    serving.close()
    return proxy.passed, keys.read_text(), said


NO_EMS = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = default
[default]
Options = -ExtendedMasterSecret
"""


def main(names):
    for name in names or CASES:
        os.environ.pop("OPENSSL_CONF", None)
        if CASES[name][4].get("old") and "OLD_OPENSSL" not in os.environ:
            print(name, "left out: OLD_OPENSSL names no program")
            continue
        with tempfile.TemporaryDirectory() as folder:
            passed, keys, said = record(name, pathlib.Path(folder))
        joined = []
        for side, data in passed:
            joined.append([side, data.hex()])
        lines = [line for line in keys.splitlines() if not line.startswith("#")]
        assert joined and lines, name
        (FOLDER / f"{name}.json").write_text(json.dumps({"passed": joined, "keys": lines, "said": said}, indent=0) + "\n")
        print(name, sum(len(data) // 2 for _, data in joined), "bytes,", len(lines), "lines of keys", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
