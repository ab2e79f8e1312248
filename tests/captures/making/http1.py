"""HTTP/1: what real servers accept, and what only looks like a request."""

import datetime

from . import files, wire
from .case import case
from .flow import VISITOR, Flow, Tape, get

FAKE = b"GET /fake HTTP/1.1\r\nHost: www.example.org\r\n\r\n"


def exchange(test, *turns, server=("192.168.1.10", 80), visitor=VISITOR):
    """Turns of (request bytes, answer or status, expected event or None) on one connection."""
    flow = Flow(test.tape, visitor, server).open()
    for request, answer, event in turns:
        time = flow.ask(request)
        if isinstance(answer, bytes):
            flow.answer(answer)
        else:
            flow.answer(status=answer)
        if event is not None:
            status = {} if isinstance(answer, bytes) else {"status": int(answer.split()[0])}
            test.expect(flow, time, **{**status, **event})
    flow.close()
    return flow

CONFIG_2013 = """\
[[host]]
name = "www.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
label = "login link"
"""


@case("http1-head-skype-2013",
      "30 April 2013: a HEAD without User-Agent for a link that was only ever sent in a chat")
def _(test):
    start = datetime.datetime(2013, 4, 30, 17, 28, 32, tzinfo=datetime.timezone.utc)
    test.tape = Tape(start=int(start.timestamp()) * 10**9 + 101_512_000)
    target = "/x/login.html?user=tbtest&password=geheim"
    flow = Flow(test.tape, ("65.52.100.214", 50112), isn=(3_104_511_007, 811_960_454)).open()
    time = flow.ask(get(target, method="HEAD"))
    flow.answer(b"HTTP/1.1 200 OK\r\nDate: Tue, 30 Apr 2013 17:28:32 GMT\r\n"
                b"Content-Type: text/html\r\nContent-Length: 1406\r\n\r\n")
    flow.close()
    test.expect(flow, time, "HEAD", target, kind="visit", alert=True, canary="t72xbn2rtcste",
                channel="skype", label="login link", match="url",
                alterations=["scheme_changed"])
    test.files["canarytap.toml"] = CONFIG_2013


@case("http1-get", "GET with what browsers send")
def _(test):
    fields = ["User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: */*",
              "Referer: http://www.example.org/start", "Connection: keep-alive"]
    exchange(test, (get("/", fields=fields), "200 OK",
                    {"user_agent": fields[0][12:], "referer": fields[2][9:]}))


@case("http1-version-1.0", "HTTP/1.0, with and without Host")
def _(test):
    exchange(test, (get("/with", version="HTTP/1.0"), "200 OK",
                    {"target": "/with", "version": "HTTP/1.0"}))
    exchange(test, (get("/without", None, version="HTTP/1.0"), "200 OK",
                    {"target": "/without", "version": "HTTP/1.0", "host": None}),
             visitor=("203.0.113.77", 40002))


@case("http1-keep-alive", "five requests one after another on one connection")
def _(test):
    exchange(test, *[(get(f"/{n}"), f"{status} Whatever", {"target": f"/{n}"})
                     for n, status in enumerate((200, 301, 404, 500, 200))])


@case("http1-pipelined", "three requests in one segment, three answers in one")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/a") + get("/b", method="HEAD") + get("/c"))
    flow.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                b"HTTP/1.1 302 Found\r\nContent-Length: 99\r\n\r\n"
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    test.expect(flow, time, target="/a")
    test.expect(flow, time, "HEAD", "/b", status=302)
    test.expect(flow, time, target="/c", status=404)


@case("http1-head-cut-everywhere", "a head in two segments, cut at every byte")
def _(test):
    head = get("/cut")
    for cut in range(1, len(head)):
        flow = Flow(test.tape, ("203.0.113.77", 40000 + cut)).open()
        flow.ask(head[:cut])
        time = flow.ask(head[cut:])
        flow.answer()
        test.expect(flow, time, target="/cut")


# ── host and target ──


@case("http1-absolute-form", "the target names the host, as proxies are asked")
def _(test):
    target = "http://www.example.org/absolute"
    exchange(test, (get(target), "200 OK", {"target": target}))


@case("http1-absolute-form-differs", "target and Host disagree: the target counts (RFC 9112 §3.2.2)")
def _(test):
    target = "http://www.example.org/absolute"
    exchange(test, (get(target, "other.example.net"), "200 OK", {"target": target}))


@case("http1-host-written-oddly", "upper case, port, trailing dot, blanks and tabs around Host")
def _(test):
    hosts = ["WWW.Example.ORG", "www.example.org:80", "www.example.org.", "WWW.EXAMPLE.ORG.:80"]
    lines = [get(f"/{n}", host) for n, host in enumerate(hosts)]
    lines += [b"GET /4 HTTP/1.1\r\nhOsT:\t www.example.org \t\r\n\r\n",
              b"GET /5 HTTP/1.1\r\nHost:www.example.org\r\n\r\n"]
    exchange(test, *[(line, "200 OK", {"target": f"/{n}"}) for n, line in enumerate(lines)])


@case("http1-host-is-an-address", "an address in Host, and a port that is not 80")
def _(test):
    exchange(test, (get("/", "192.168.1.10:8080"), "200 OK", {"host": "192.168.1.10"}),
             server=("192.168.1.10", 8080))


@case("http1-target-64-kib", "a target of 64 KiB in many segments")
def _(test):
    target = "/" + "0123456789abcdef" * 4095
    head = get(target)
    flow = Flow(test.tape).open()
    times = [flow.send(flow.visitor, head[at:at + 1400], "PA") for at in range(0, len(head), 1400)]
    flow.answer()
    test.expect(flow, times[-1], target=target)


@case("http1-target-bytes-above-127", "raw UTF-8 and a byte that is none")
def _(test):
    line = b"GET /\xc3\xa4/\xff HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
    exchange(test, (line, "200 OK", {"target": "/ä/%FF"}))


@case("http1-hundred-fields", "100 header fields, Host last")
def _(test):
    fields = "".join(f"X-Field-{n}: {n * n}\r\n" for n in range(99))
    line = f"GET / HTTP/1.1\r\n{fields}Host: www.example.org\r\n\r\n".encode()
    exchange(test, (line, "200 OK", {}))


# ── lines ──


@case("http1-target-without-slash", "targets that begin with no slash: a dot, a name, a question mark, a star")
def _(test):
    exchange(test, *((get(target), "400 Bad Request", {"target": target})
                     for target in (".", "name", "?a=b", "*", "a:b", "%2e/")))


@case("http1-empty-lines-first", "empty lines before each request")
def _(test):
    exchange(test, (b"\r\n\r\n" + get("/1"), "200 OK", {"target": "/1"}),
             (b"\r\n" + get("/2"), "200 OK", {"target": "/2"}))


@case("http1-bare-line-feeds", "lines that end with a line feed alone")
def _(test):
    exchange(test, (get("/1").replace(b"\r", b""), "200 OK", {"target": "/1"}),
             (get("/2"), "200 OK", {"target": "/2"}))


@case("http1-folded-field", "a folded field whose second line looks like Host")
def _(test):
    line = (b"GET / HTTP/1.1\r\nX-Folded: first\r\n Host: evil.example.net\r\n"
            b"\tHost: evil.example.net\r\nHost: www.example.org\r\n\r\n")
    exchange(test, (line, "200 OK", {}))


# ── bodies ──


@case("http1-body-content-length", "a fake request inside a body of known length")
def _(test):
    post = get("/post", method="POST", fields=[f"Content-Length: {len(FAKE)}"]) + FAKE
    exchange(test, (post, "200 OK", None), (get("/real"), "404 No", {"target": "/real"}))


@case("http1-body-own-segment", "the same, the body in a segment of its own")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(get("/post", method="POST", fields=[f"Content-Length: {len(FAKE)}"]))
    flow.ask(FAKE)
    flow.answer()
    time = flow.ask(get("/real"))
    flow.answer()
    test.expect(flow, time, target="/real")


@case("http1-get-with-body", "a GET with a body that holds a fake request")
def _(test):
    line = get("/", fields=[f"Content-Length: {len(FAKE)}"]) + FAKE
    exchange(test, (line, "200 OK", {}), (get("/next"), "200 OK", {"target": "/next"}))


@case("http1-body-chunked", "a fake request inside chunks, with extensions and trailers")
def _(test):
    body = (b"5;name=value\r\nhello\r\n" + b'%X ; a="b"\r\n' % len(FAKE) + FAKE + b"\r\n"
            b"0\r\nX-Trailer: GET /trailer HTTP/1.1\r\n\r\n")
    post = get("/post", method="POST", fields=["Transfer-Encoding: chunked"]) + body
    exchange(test, (post, "200 OK", None), (get("/real"), "404 No", {"target": "/real"}))


@case("http1-body-chunked-bytewise", "the same body, one byte a segment")
def _(test):
    body = b"%x\r\n" % len(FAKE) + FAKE + b"\r\n0\r\nT: t\r\n\r\n"
    flow = Flow(test.tape).open()
    flow.ask(get("/post", method="POST", fields=["Transfer-Encoding: chunked"]))
    for byte in body:
        flow.send(flow.visitor, bytes([byte]), "PA")
    flow.answer()
    time = flow.ask(get("/real"))
    flow.answer()
    test.expect(flow, time, target="/real")


@case("http1-body-chunked-and-length", "chunked and Content-Length together: chunked counts")
def _(test):
    body = b"%x\r\n" % len(FAKE) + FAKE + b"\r\n0\r\n\r\n"
    post = get("/post", method="POST", fields=["Content-Length: 3", "Transfer-Encoding: chunked"])
    exchange(test, (post + body, "200 OK", None), (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-expect-continue", "Expect: 100-continue; the body follows the interim answer")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(get("/put", method="PUT", fields=["Expect: 100-continue", f"Content-Length: {len(FAKE)}"]))
    flow.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    flow.ask(FAKE)
    flow.answer(status="201 Created")
    time = flow.ask(get("/real"))
    flow.answer(status="404 Not Found")
    test.expect(flow, time, target="/real", status=404)


# ── answers ──


@case("http1-answer-to-head", "HEAD: the answer names a length and has no body")
def _(test):
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    exchange(test, (get("/h", method="HEAD"), long, {"method": "HEAD", "target": "/h"}),
             (get("/g"), "404 Not Found", {"target": "/g"}))


@case("http1-answers-interim", "1xx answers before the final one")
def _(test):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n"
    final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    exchange(test, (get("/1"), hints + hints + final, {"target": "/1", "status": 404}),
             (get("/2"), "200 OK", {"target": "/2"}))


@case("http1-answers-without-body", "204 and 304 have no body, whatever their fields say")
def _(test):
    def empty(status):
        return b"HTTP/1.1 %d Empty\r\nContent-Length: 700\r\n\r\n" % status

    exchange(test, (get("/1"), empty(304), {"target": "/1", "status": 304}),
             (get("/2"), empty(204), {"target": "/2", "status": 204}),
             (get("/3"), "404 Not Found", {"target": "/3"}))


@case("http1-answer-chunked", "a chunked answer with an answer inside")
def _(test):
    inside = b"HTTP/1.1 500 No\r\n\r\n"
    body = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(inside), inside))
    exchange(test, (get("/1"), body, {"target": "/1"}), (get("/2"), "404 No", {"target": "/2"}))


@case("http1-answer-until-close", "an answer without length lasts until the server closes")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/"))
    flow.send(flow.server, b"HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "PA")
    flow.send(flow.server, b"HTTP/1.1 500 No\r\n\r\n", "FPA")
    flow.send(flow.visitor, flags="FA")
    test.expect(flow, time)


# ── ways out of HTTP/1 ──


@case("http1-upgrade", "101: what follows is no HTTP/1")
def _(test):
    fields = ["Connection: Upgrade", "Upgrade: websocket"]
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    exchange(test, (get("/ws", fields=fields), switch, {"target": "/ws", "status": 101}),
             (FAKE, b"\x81\x02hi", None))


@case("http1-upgrade-refused", "the server stays with HTTP/1")
def _(test):
    fields = ["Connection: Upgrade", "Upgrade: websocket"]
    exchange(test, (get("/ws", fields=fields), "200 OK", {"target": "/ws"}),
             (get("/next"), "404 No", {"target": "/next"}))


@case("http1-connect", "CONNECT: what follows the 200 is no HTTP/1")
def _(test):
    connect = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n"
    exchange(test, (connect, b"HTTP/1.1 200 Connection established\r\n\r\n", None),
             (FAKE, b"\x15\x03\x01", None))


@case("http1-connect-refused", "CONNECT refused: the connection goes on")
def _(test):
    connect = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n"
    exchange(test, (connect, "405 Not Allowed", None), (get("/next"), "200 OK", {"target": "/next"}))


# ── what is no request ──


@case("http1-other-methods", "POST, PUT, DELETE, OPTIONS, PATCH and a lower-case get")
def _(test):
    methods = ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND")
    turns = [(get("/x", method=method, fields=["Content-Length: 0"]), "200 OK", None)
             for method in methods]
    exchange(test, *turns, (get("/end"), "200 OK", {"target": "/end"}))


@case("http1-other-protocols", "SSH, SMTP, FTP and noise that hold the words of a request")
def _(test):
    streams = (
        (b"SSH-2.0-OpenSSH_9.2\r\n" + FAKE, 22),
        (b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n" + FAKE + b".\r\n", 25),
        (b"RETR GET / HTTP/1.1\r\n", 21),
        (bytes(range(256)), 9999),
    )
    for number, (data, port) in enumerate(streams):
        flow = Flow(test.tape, ("203.0.113.77", 41000 + number), ("192.168.1.10", port)).open()
        flow.answer(b"220 ready\r\n")
        flow.ask(data)
        flow.close()


@case("http1-any-port", "HTTP on ports that nobody would guess")
def _(test):
    for number, port in enumerate((8123, 22, 25, 443, 65535)):
        exchange(test, (get(f"/{port}"), "200 OK", {"target": f"/{port}"}),
                 server=("192.168.1.10", port), visitor=("203.0.113.77", 41000 + number))


@case("http1-connections-interleaved", "twenty connections whose segments alternate")
def _(test):
    flows = [Flow(test.tape, ("203.0.113.77", 41000 + n), isn=(n, n)).open() for n in range(20)]
    head = get("/x", fields=["X-Filler: " + "f" * 50])
    for at in range(0, len(head), 10):
        times = [flow.send(flow.visitor, head[at:at + 10], "PA") for flow in flows]
    for flow, time in zip(flows, times):
        flow.answer()
        test.expect(flow, time, target="/x")
