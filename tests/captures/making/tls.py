"""HTTPS: what the hello says by itself, and what a key log opens.

The conversations are those of real clients and servers, see `record.py`; how they come by on the
wire is written here.
"""

import json
import pathlib
import re
import struct

from . import files, hello
from .case import case
from .flow import Flow

RECORDINGS = pathlib.Path(__file__).parent.parent / "recordings"
VISITOR = ("203.0.113.77", 40001)
SERVER = ("192.168.1.10", 443)
OTHER_SERVER = ("192.168.1.11", 443)
WATCHED = '[[host]]\nname = "www.example.org"\n'


class Recording:
    def __init__(self, name):
        data = json.loads((RECORDINGS / f"{name}.json").read_text())
        self.pieces = [(side, bytes.fromhex(text)) for side, text in data["passed"]]
        self.keys = "".join(line + "\n" for line in data["keys"])
        self.said = data["said"]
        self.hello = hello.Hello(first_message(self.pieces[0][1]))

    def facts(self, alpn=None):
        offered = [one.decode() for one in self.hello.protocols()]
        return {"scheme": "https", "sni": self.hello.name(), "ja4": self.hello.ja4(),
                "alpn": alpn or (offered[0] if offered else None)}

    def requests(self):
        """Method, target, place of the piece that completed it, status."""
        asked, answers = [], []
        for side, words, place in self.said:
            if side == "C":
                asked += [(method, target, place)
                          for method, target in re.findall(r"^(\w+) (\S+) HTTP/1.1\r$", words, re.M)]
            else:
                answers += re.findall(r"^HTTP/1.[01] (\d+)", words, re.M)
        return [(*one, int(status)) for one, status in zip(asked, answers)]


def first_message(data):
    length, = struct.unpack_from("!H", data, 3)
    return data[5:5 + length]


def flow(test, visitor=VISITOR):
    return Flow(test.tape, visitor, SERVER)


def play(one, recording, *, size=1400, sides="CS", lost=(), close=True):
    """Puts a recording on the wire; the times at which its pieces were complete."""
    times = []
    one.open()
    for number, (side, data) in enumerate(recording.pieces):
        speaker = one.visitor if side == "C" else one.server
        for at in range(0, len(data), size):
            part = data[at:at + size]
            if side in sides and (number, at // size) not in lost:
                time = one.send(speaker, part, "PA")
                one.send(speaker.peer)
            else:
                speaker.seq += len(part)
                time = one.send(speaker.peer)
        times.append(time)
    if close:
        one.close()
    return times


def expect(test, one, recording, times, *, alpn=None, only=None, status=True, **more):
    for method, target, place, code in recording.requests():
        if only is None or target in only:
            test.expect(one, times[place], method, target, status=code if status else None,
                        **{**recording.facts(alpn), **more})


def plain(name, shows, recorded=None, **how):
    """A case that plays a recording whole, with its key log."""

    @case(f"tls-{name}", shows)
    def _(test):
        recording = Recording(recorded or name)
        one = flow(test)
        times = play(one, recording)
        test.files["keys.log"] = recording.keys
        expect(test, one, recording, times, **how)


for suite in ("aes-128-gcm-sha256", "aes-256-gcm-sha384", "chacha20-poly1305-sha256", "aes-128-ccm-sha256",
              "aes-128-ccm-8-sha256"):
    plain(f"13-{suite}", f"TLS 1.3, {suite}")
for suite in ("ecdhe-rsa-aes128-gcm-sha256", "ecdhe-rsa-aes256-gcm-sha384", "ecdhe-rsa-chacha20-poly1305",
              "dhe-rsa-aes128-gcm-sha256", "aes256-gcm-sha384", "dhe-rsa-aes128-ccm", "dhe-rsa-aes256-ccm",
              "dhe-rsa-aes128-ccm8", "aes256-ccm8", "ecdhe-rsa-aes128-sha", "aes256-sha", "aes128-sha256",
              "dhe-rsa-aes256-sha256", "ecdhe-rsa-aes256-sha384", "null-sha256", "null-md5",
              "camellia128-sha", "ecdhe-rsa-camellia256-sha384",
              "psk-aes128-gcm-sha256", "dhe-psk-aes256-cbc-sha", "ecdhe-psk-chacha20-poly1305",
              "rsa-psk-aes128-cbc-sha256"):
    plain(f"12-{suite}", f"TLS 1.2, {suite}")
for number, version in (("10", "1.0"), ("11", "1.1"), ("12", "1.2")):
    plain(f"{number}-3des", f"TLS {version}, 3DES (GnuTLS)")
    plain(f"{number}-rc4", f"TLS {version}, RC4 (GnuTLS)")
for number, version in (("10", "1.0"), ("11", "1.1")):
    plain(f"{number}-aes128-sha", f"TLS {version}, AES-CBC, encrypt-then-MAC")
    plain(f"{number}-aes128-sha-mac-first", f"TLS {version}, AES-CBC")
plain("12-ecdhe-rsa-aes128-sha-mac-first", "TLS 1.2, AES-CBC with SHA-1, the MAC first")
plain("12-ecdhe-rsa-aes256-sha384-mac-first", "TLS 1.2, AES-CBC with SHA-384, the MAC first")
for suite in ("ecdhe-aria128-gcm-sha256", "dhe-rsa-aria256-gcm-sha384", "aria128-gcm-sha256"):
    plain(f"12-{suite}", f"TLS 1.2, {suite}")
for suite in ("camellia128-gcm-sha256", "camellia256-gcm-sha384"):
    plain(f"12-{suite}", f"TLS 1.2, {suite} (GnuTLS)")
for suite in ("aes128-sha", "des-cbc3-sha", "rc4-md5", "null-sha", "idea-cbc-sha"):
    plain(f"ssl3-{suite}", f"SSL 3.0, {suite}")
plain("10-idea-cbc-sha", "TLS 1.0, IDEA")
plain("12-compressed", "TLS 1.2: records that are compressed (DEFLATE)")
plain("12-rc4-md5", "TLS 1.2, RC4 with MD5 (GnuTLS)")
plain("12-3des-mac-first", "TLS 1.2, 3DES, the MAC first (GnuTLS)")
plain("13-many", "TLS 1.3: requests one after the other and at once, a long answer, HEAD", alpn="http/1.1")
plain("12-many", "the same in TLS 1.2", alpn="http/1.1")
plain("13-key-update", "TLS 1.3: both sides change their keys, alone and together")
plain("12-renegotiation", "TLS 1.2: a second handshake inside the first")
plain("13-retry", "TLS 1.3: HelloRetryRequest, two hellos")
plain("13-client-certificate", "TLS 1.3: the client has a certificate, so that its handshake is long")
plain("12-client-certificate", "the same in TLS 1.2")
plain("13-resumed", "TLS 1.3: a resumed session")
plain("12-resumed-ticket", "TLS 1.2: a session resumed by its ticket")
plain("13-early-data", "TLS 1.3: a request as early data, and one after it")
plain("13-early-data-refused", "TLS 1.3: early data that the server refuses")
plain("13-no-name", "TLS 1.3: no server name; the Host field names the host")


def other_lines(name, shows, recordings, line):
    """A case whose key log has another line in the place of that with the master secret."""

    @case(name, shows)
    def _(test):
        for number, recorded in enumerate(recordings):
            recording = Recording(recorded)
            one = flow(test, ("203.0.113.77", 40001 + number))
            expect(test, one, recording, play(one, recording))
            words = {first: rest for first, rest in (row.split(" ", 1) for row in recording.keys.splitlines())}
            test.files["keys.log"] = test.files.get("keys.log", "") + line(words, recording) + "\n"


def pre_master(words, _):
    random, secret = words["CLIENT_RANDOM"].split()[0], words["RSA"].split()[1]
    return f"PMS_CLIENT_RANDOM {random} {secret}"


def of_session(words, recording):
    """As `openssl s_client` shows it."""
    hello = next(data for side, data in recording.pieces if side == "S")
    session = hello[44:44 + hello[43]]
    return f"RSA Session-ID:{session.hex().upper()} Master-Key:{words['CLIENT_RANDOM'].split()[1].upper()}"


RSA = ("12-aes128-sha256", "12-aes256-gcm-sha384", "12-aes128-sha256-plain-master", "11-aes128-sha", "10-aes128-sha",
       "ssl3-aes128-sha")
other_lines("tls-key-log-rsa", "a key log of what clients encrypt to servers, with and without its binding to the "
            "handshake, TLS 1.2 to SSL 3.0", RSA, lambda words, _: "RSA " + words["RSA"])
other_lines("tls-key-log-pre-master", "the same by the hello's random bytes", RSA, pre_master)
other_lines("tls-key-log-session", "a master secret by its session's id", ["12-resumed-ticket", "12-camellia128-gcm-sha256"], of_session)


@case("tls-key-log-rsa-late", "what the client encrypted is in the key log when the connection is over: flagged")
def _(test):
    recording = Recording("12-aes128-sha256")
    recording.keys = "".join(line + "\n" for line in recording.keys.splitlines() if line.startswith("RSA"))
    one = flow(test)
    expect(test, one, recording, play(one, recording), flags=["late_key"])
    with_secrets(test, recording)


@case("tls-null-no-keys", "suites that do not encrypt, without a key log: requests and answers are read all the same")
def _(test):
    for number, recorded in enumerate(("12-null-sha256", "12-null-md5", "ssl3-null-sha")):
        recording = Recording(recorded)
        one = flow(test, ("203.0.113.77", 40001 + number))
        expect(test, one, recording, play(one, recording))


@case("tls-13-bytewise", "TLS 1.3 in segments of one byte")
def _(test):
    recording = Recording("13-resumed")
    one = flow(test)
    expect(test, one, recording, play(one, recording, size=1))
    test.files["keys.log"] = recording.keys


@case("tls-13-visitor-only", "TLS 1.3, only the visitor's packets: the suite is found by trying")
def _(test):
    for number, name in enumerate(("13-aes-256-gcm-sha384", "13-many", "13-chacha20-poly1305-sha256")):
        recording = Recording(name)
        one = flow(test, ("203.0.113.77", 40001 + number))
        times = play(one, recording, sides="C")
        alpn = "http/1.1" if name == "13-many" else None
        expect(test, one, recording, times, status=False, alpn=alpn)
        test.files["keys.log"] = test.files.get("keys.log", "") + recording.keys


@case("tls-12-visitor-only", "TLS 1.2, only the visitor's packets: half of what the keys come from is missing")
def _(test):
    recording = Recording("12-aes128-sha256")
    one = flow(test)
    times = play(one, recording, sides="C")
    test.files["keys.log"] = recording.keys
    told(test, one, recording, times)


@case("tls-server-only", "only the server's packets: nothing can be read")
def _(test):
    play(flow(test), Recording("13-resumed"), sides="S")
    test.files["keys.log"] = Recording("13-resumed").keys


def told(test, one, recording, times, *, kind="hello", place=0, **more):
    """The hello is all that is known."""
    test.expect(one, times[place], None, None, kind=kind, version=None, status=None,
                host=recording.hello.name(), **{**recording.facts(), **more})


@case("tls-no-keys", "without keys the hello is all there is")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    told(test, one, recording, play(one, recording))


@case("tls-other-keys", "a key log of other connections: the hello is told when this one ends")
def _(test):
    recording = Recording("13-resumed")
    one = flow(test)
    told(test, one, recording, play(one, recording))
    test.files["keys.log"] = Recording("13-many").keys + "# and what is no line at all\nCLIENT_RANDOM 12\n"


@case("tls-some-keys", "of TLS 1.3 only the secrets that requests and answers need")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    # The server's choice of protocol is not opened; what the client speaks shows it.
    expect(test, one, recording, play(one, recording), alpn="http/1.1")
    lines = recording.keys.splitlines(keepends=True)
    test.files["keys.log"] = "".join(line for line in lines if "TRAFFIC_SECRET_0" in line)


@case("tls-not-watched", "a host that is not watched: nothing is opened, although the keys are there")
def _(test):
    test.files["canarytap.toml"] = WATCHED.replace("www", "other")
    recording = Recording("13-resumed")
    play(flow(test), recording)
    test.files["keys.log"] = recording.keys


def with_secrets(test, recording, *, before=False, wait=0):
    """A pcapng that brings its keys along, ahead of the packets or behind them."""
    data = files.pcapng(test.tape.frames)
    lines = recording.keys.encode()
    secrets = files.block("<", 10, struct.pack("<II", 0x544C534B, len(lines)) + lines)
    size = struct.unpack_from("<I", data, 4)[0]
    size += struct.unpack_from("<I", data, size + 4)[0]
    test.capture = data[:size] + secrets + data[size:] if before else data + secrets
    if wait:
        test.tape.wait(wait)
        play(flow(test, ("203.0.113.9", 40099)), Recording("13-resumed"), sides="")
        more = files.pcapng(test.tape.frames)
        test.capture = more[:len(more)] + secrets
    test.capture_name = "capture.pcapng"


@case("tls-secrets-block", "a pcapng with a block of secrets ahead of the packets")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    expect(test, one, recording, play(one, recording), alpn="http/1.1")
    with_secrets(test, recording, before=True)


@case("tls-late-keys", "keys that come after the connection's end: the same requests, flagged")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    expect(test, one, recording, play(one, recording), alpn="http/1.1", flags=["late_key"])
    with_secrets(test, recording)


@case("tls-late-keys-12", "the same with TLS 1.2")
def _(test):
    recording = Recording("12-many")
    one = flow(test)
    expect(test, one, recording, play(one, recording), alpn="http/1.1", flags=["late_key"])
    with_secrets(test, recording)


@case("tls-keys-too-late", "keys that come more than a minute after the packets: the hello was told")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    told(test, one, recording, play(one, recording))
    with_secrets(test, recording, wait=62)


@case("tls-record-damaged", "bytes of a long answer are missing: what follows it is read")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    place = [number for number, (side, data) in enumerate(recording.pieces) if len(data) > 9000][1]
    times = play(one, recording, lost=[(place, 3), (place, 4)])
    expect(test, one, recording, times, alpn="http/1.1")
    test.files["keys.log"] = recording.keys


@case("tls-request-lost", "a segment with a whole request is missing: the next one is read")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    place = next(place for _, target, place, _ in recording.requests() if target == "/2")
    times = play(one, recording, lost=[(place, 0)])
    expect(test, one, recording, times, alpn="http/1.1", only=["/1"])
    expect(test, one, recording, times, alpn="http/1.1", only=["/3"], flags=["gap"], status=False)
    expect(test, one, recording, times, alpn="http/1.1", only=["/4"], status=False)
    test.files["keys.log"] = recording.keys


@case("tls-midstream", "a connection from its middle: no hello, so that no key is known by name")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    play(one, recording)
    test.tape.frames = test.tape.frames[12:]
    test.files["keys.log"] = recording.keys


@case("tls-syn-unseen", "a capture that begins with the hellos, one of them cut within its first bytes: read, flagged")
def _(test):
    for number, (name, size) in enumerate((("13-resumed", 1400), ("12-aes128-sha256", 1400), ("13-retry", 3))):
        recording = Recording(name)
        one = flow(test, ("203.0.113.77", 40001 + number))
        start = len(test.tape.frames)
        times = play(one, recording, size=size)
        del test.tape.frames[start:start + 3]
        expect(test, one, recording, times, flags=["midstream"])
        test.files["keys.log"] = test.files.get("keys.log", "") + recording.keys


@case("tls-syn-unseen-no-keys", "the same without keys: the hellos, flagged; a server's hello comes first")
def _(test):
    recording = Recording("13-many")
    one = flow(test)
    one.visitor.seq += 1
    one.server.seq += 1
    client, server = recording.pieces[0][1], recording.pieces[1][1]
    early = one.take(one.visitor, client, "PA")
    one.send(one.server, server[:1400], "PA")
    time = one.put(early)
    told(test, one, recording, [time], flags=["midstream"])


def alone(test, message, *, one=None, pieces=1400, sizes=16384, version=0x301, watched=True, **more):
    """A connection of which only the hello is sent."""
    one = one or flow(test)
    one.open()
    data = hello.records(message, sizes, version)
    for at in range(0, len(data), pieces):
        time = one.ask(data[at:at + pieces])
    one.close()
    if not watched:
        return
    read = hello.Hello(message)
    offered = [name.decode() for name in read.protocols()] or [None]
    event = {"kind": "hello", "version": None, "status": None, "scheme": "https", "sni": read.name(),
             "host": read.name(), "alpn": offered[0], "ja4": read.ja4(), **more}
    test.expect(one, time, None, None, **event)


@case("tls-hello-browser", "a browser's hello: GREASE, a post-quantum key, two segments")
def _(test):
    alone(test, hello.browser("www.example.org"))


@case("tls-hello-in-pieces", "a hello in records of 100 bytes, in segments of 70")
def _(test):
    alone(test, hello.browser("www.example.org"), pieces=70, sizes=100)


@case("tls-hello-large", "a hello of 40 kB, in three records")
def _(test):
    alone(test, hello.browser("www.example.org", (0xFF00, bytes(40_000))))


@case("tls-hello-old", "hellos of TLS 1.0 and 1.1, with and without a name, and of one without extensions")
def _(test):
    for number, (version, extensions) in enumerate(((0x301, [hello.name("www.example.org")]), (0x302, []), (0x301, None))):
        message = hello.write(version=version, ciphers=(0x2F, 0x35, 0x0A), extensions=extensions)
        alone(test, message, one=flow(test, ("203.0.113.77", 40001 + number)))


@case("tls-hello-ech", "Encrypted Client Hello: the outer name, flagged")
def _(test):
    outer = b"\0\0\1\0\1" + b"\x2a" + hello.vector16(b"\1" * 32) + hello.vector16(b"\2" * 200)
    alone(test, hello.browser("www.example.org", (0xFE0D, outer)), flags=["ech"])


@case("tls-no-hello", "connections without a hello are no events; to servers that had one for a watched host they are counted")
def _(test):
    test.files["canarytap.toml"] = WATCHED
    alone(test, hello.browser("www.example.org"))
    alone(test, hello.browser("other.example.net"), one=Flow(test.tape, VISITOR, OTHER_SERVER), watched=False)
    for number in range(2):
        flow(test, ("203.0.113.77", 40010 + number)).open().close()
        Flow(test.tape, ("203.0.113.77", 40010 + number), OTHER_SERVER).open().close()
    knocks = flow(test, ("203.0.113.77", 40020)).open()
    knocks.send(knocks.visitor, flags="RA")
    refused = flow(test, ("203.0.113.77", 40021))
    refused.send(refused.visitor, flags="S")
    refused.send(refused.server, flags="RA")
    goes_on = flow(test, ("203.0.113.77", 40030))
    start = len(test.tape.frames)
    play(goes_on, Recording("13-many"))
    del test.tape.frames[start:start + 12]
    test.count(tls_no_hello=1, connections_silent=3)


@case("tls-hello-hostile", "hellos that are none: cut, contradicting themselves, endless")
def _(test):
    whole = hello.browser("www.example.org")
    odd = [
        hello.records(whole[:1] + b"\xff\xff\xff" + whole[4:]),  # longer than anything
        hello.records(b"\x01\0\0\x05" + whole[4:9]),  # cut in its random bytes
        b"\x16\x03\x01\xff\xff" + whole,  # a record longer than records are
        b"\x16\x03\x01\0\0" * 500 + hello.records(whole)[:700],  # empty records, then half a hello
        hello.records(whole[:1000]) + b"\x17\x03\x03\0\x05hello",  # data in the middle of it
        hello.records(b"\x01\0\0\0"),
    ]
    for number, data in enumerate(odd):
        one = flow(test, ("203.0.113.77", 40001 + number)).open()
        for at in range(0, len(data), 1400):
            one.ask(data[at:at + 1400])
        one.close()


CANARY = """\
[[host]]
name = "*.canary.example.org"

[[host]]
name = "www.example.org"

[[canary]]
url = "https://k7f3q2m9.canary.example.org/"
id = "k7f3q2m9"
channel = "mail"
"""
VISIT = {"kind": "visit", "alert": True, "canary": "k7f3q2m9", "channel": "mail", "match": "token"}


@case("tls-canary-host", "a canary on a host name of its own: the name in the hello is the visit")
def _(test):
    test.files["canarytap.toml"] = CANARY
    alone(test, hello.browser("K7F3Q2M9.canary.example.org"), host="k7f3q2m9.canary.example.org", **VISIT)
    alone(test, hello.browser("other.canary.example.org"), one=flow(test, ("203.0.113.77", 40002)))
    alone(test, hello.browser("www.example.org"), one=flow(test, ("203.0.113.77", 40003)))
    inside = flow(test, ("192.168.1.20", 40004))
    alone(test, hello.browser("k7f3q2m9.canary.example.org"), one=inside, **{**VISIT, "alert": False})


@case("tls-canary-path", "a canary's path under TLS: seen with the keys, and only then")
def _(test):
    test.files["canarytap.toml"] = WATCHED + """
[[canary]]
url = "https://www.example.org/3"
id = "abcdefgh"
channel = "chat"
"""
    recording = Recording("13-many")
    one = flow(test)
    times = play(one, recording)
    expect(test, one, recording, times, alpn="http/1.1", only=["/1", "/2", "/4"])
    expect(test, one, recording, times, alpn="http/1.1", only=["/3"], kind="visit", alert=True,
           canary="abcdefgh", channel="chat", match="url")
    other = Recording("12-many")
    two = flow(test, ("203.0.113.77", 40002))
    told(test, two, other, play(two, other), alpn="http/1.1")  # the server said so in the clear
    test.files["keys.log"] = recording.keys


@case("tls-canary-host-late-keys", "a visit known by its hello, joined by its request when the keys come: one line")
def _(test):
    test.files["canarytap.toml"] = CANARY.replace("k7f3q2m9.canary", "www").replace('name = "www.', 'name = "*.')
    recording = Recording("13-resumed")
    one = flow(test)
    times = play(one, recording)
    method, target, _, status = recording.requests()[0]
    event = {**recording.facts(), **VISIT, "host": "www.example.org", "flags": ["late_key"]}
    test.expect(one, times[0], method, target, status=status, **event)
    with_secrets(test, recording, wait=5)


@case("tls-head-2013", "the visit of 2013 made over: of a pair of links only the https one is opened, with HEAD")
def _(test):
    test.files["canarytap.toml"] = WATCHED + """
[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
id = "httpslink"
channel = "skype"

[[canary]]
url = "http://www.example.org/x/twin.html?user=tbtest&password=geheim"
id = "httplink"
channel = "skype"
"""
    recording = Recording("10-head-2013")
    one = flow(test, ("65.52.100.214", 40001))
    times = play(one, recording)
    expect(test, one, recording, times, kind="visit", alert=True, canary="httpslink", channel="skype", match="url")
    test.files["keys.log"] = recording.keys
