"""HTTP/1 as clients, proxies and attackers write it beyond the textbook, read as servers do."""

from .case import case
from .flow import Flow, get
from .http1 import FAKE, exchange


def post(*fields, target="/post"):
    return get(target, method="POST", fields=fields)


@case("http1-host-twice", "two Host fields: the first that names something counts")
def _(test):
    line = b"GET /1 HTTP/1.1\r\nHost: www.example.org\r\nHost: other.example.net\r\n\r\n"
    empty = b"GET /2 HTTP/1.1\r\nHost:\r\nHost: www.example.org\r\n\r\n"
    exchange(test, (line, "200 OK", {"target": "/1"}), (empty, "200 OK", {"target": "/2"}))


@case("http1-host-empty", "Host is there and empty")
def _(test):
    exchange(test, (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 Bad Request", {"host": None}),
             (b"GET /2 HTTP/1.1\r\nHost: \t \r\n\r\n", "400 Bad Request", {"host": None, "target": "/2"}))


@case("http1-host-idna", "a host watched by its Unicode name, asked for by its ASCII one, and the other way round")
def _(test):
    test.files["canarytap.toml"] = ('[[host]]\nname = "bücher.example"\n\n'
                                    '[[host]]\nname = "xn--mnchen-3ya.example"\n')
    ascii_name, other = "xn--bcher-kva.example", "xn--mnchen-3ya.example"
    raw = "BÜCHER.example".lower().encode()
    exchange(test, (get("/1", ascii_name), "200 OK", {"target": "/1", "host": ascii_name}),
             (b"GET /2 HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n", "200 OK", {"target": "/2", "host": ascii_name}),
             (get("/3", other.upper()), "200 OK", {"target": "/3", "host": other}),
             (get("/4", "bucher.example"), "404 No", None))


@case("http1-host-literals", "addresses as hosts, IPv6 in brackets, with and without a port")
def _(test):
    exchange(test, (get("/1", "[2001:db8::10]"), "200 OK", {"target": "/1", "host": "[2001:db8::10]"}),
             (get("/2", "[2001:DB8::10]:8080"), "200 OK", {"target": "/2", "host": "[2001:db8::10]"}),
             (get("/3", "192.168.1.10:80"), "200 OK", {"target": "/3", "host": "192.168.1.10"}))


@case("http1-absolute-form-oddly", "absolute targets in capitals, with user, port and dot, without path")
def _(test):
    targets = ("HTTP://WWW.Example.ORG:80/1", "http://user:word@www.example.org/2", "http://www.example.org.?3",
               "http://www.example.org", "https://www.example.org/5")
    exchange(test, *[(get(target, "other.example.net"), "200 OK", {"target": target}) for target in targets])


@case("http1-version-0.9", "the simple request of HTTP/0.9 has no fields, its answer no head; told as the oldest version that has a name")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(b"GET /old\r\n")
    flow.answer(b"<html>HTTP/1.1 500 No\r\n</html>")
    flow.close()
    test.expect(flow, time, target="/old", host=None, version="HTTP/1.0", status=None)


@case("http1-versions", "versions above 1.1 that a server of HTTP/1 answers as 1.1")
def _(test):
    line = "GET /{0} {0}\r\nHost: www.example.org\r\n\r\n"
    exchange(test, *[(line.format(version).encode(), "200 OK", {"target": f"/{version}"})
                     for version in ("HTTP/1.1", "HTTP/1.2", "HTTP/1.9")])


@case("http1-request-line-blanks", "blanks and tabs between the words of a request line, and behind it")
def _(test):
    host = b"Host: www.example.org\r\n\r\n"
    exchange(test, (b"GET  /1  HTTP/1.1\r\n" + host, "200 OK", {"target": "/1"}),
             (b"GET\t/2\tHTTP/1.1\r\n" + host, "200 OK", {"target": "/2"}),
             (b"GET /3 HTTP/1.1 \t\r\n" + host, "200 OK", {"target": "/3"}))


@case("http1-fields-oddly", "fields without value, without colon, with odd names, a blank before the colon")
def _(test):
    head = (b"GET / HTTP/1.1\r\nX-Empty:\r\nno colon here\r\nX_Under.score!: 1\r\n: no name\r\n"
            b"X-High: \xff\xfe\r\nHost : www.example.org\r\nX-Last: 1\r\n\r\n")
    exchange(test, (head, "200 OK", {}))


@case("http1-folded-host", "the value of Host stands on a folded line")
def _(test):
    exchange(test, (b"GET / HTTP/1.1\r\nHost:\r\n www.example.org\r\n\r\n", "200 OK", {}))


@case("http1-fields-many", "2,000 fields, of which Host is the last: told, flagged")
def _(test):
    fields = "".join(f"X-{n}: {n}\r\n" for n in range(2000))
    head = f"GET / HTTP/1.1\r\n{fields}Host: www.example.org\r\n\r\n".encode()
    flow = Flow(test.tape).open()
    times = [flow.send(flow.visitor, head[at:at + 1400], "PA") for at in range(0, len(head), 1400)]
    flow.answer()
    test.expect(flow, times[-1], flags=["truncated"])


@case("http1-method-looks-alike", "methods that begin or end like GET and HEAD are others")
def _(test):
    lines = [get(f"/{method}", method=method) for method in ("GETX", "XGET", "HEADER", "GE", "HEADX", "get", "Head")]
    exchange(test, *[(line, "501 Not Implemented", None) for line in lines],
             (get("/end"), "200 OK", {"target": "/end"}))


@case("http1-body-lengths-equal", "Content-Length twice, and as a list, with the same number")
def _(test):
    size = f"Content-Length: {len(FAKE)}"
    exchange(test, (post(size, size) + FAKE, "200 OK", None),
             (post(f"{size}, {len(FAKE)}") + FAKE, "200 OK", None),
             (post(f"Content-Length:\t 000{len(FAKE)} ") + FAKE, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-length-in-capitals", "CONTENT-LENGTH, and a transfer coding in capitals")
def _(test):
    chunks = b"%X\r\n" % len(FAKE) + FAKE + b"\r\n0\r\n\r\n"
    exchange(test, (post(f"CONTENT-LENGTH: {len(FAKE)}") + FAKE, "200 OK", None),
             (post("TRANSFER-ENCODING: Chunked") + chunks, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-length-folded", "a Content-Length whose number stands on a folded line")
def _(test):
    exchange(test, (post(f"Content-Length:\r\n {len(FAKE)}") + FAKE, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-looks-like-a-length", "fields whose names only look like Content-Length")
def _(test):
    fields = ("X-Content-Length: 40", "Content-Lengths: 40", "Content_Length: 40", "Content-Length-: 40")
    exchange(test, (get("/1", fields=fields), "200 OK", {"target": "/1"}),
             (get("/2"), "200 OK", {"target": "/2"}))


@case("http1-body-gzip-chunked", "two codings, the last of them chunked, in one field and in two")
def _(test):
    chunks = b"%x\r\n" % len(FAKE) + FAKE + b"\r\n0\r\n\r\n"
    exchange(test, (post("Transfer-Encoding: gzip, chunked") + chunks, "200 OK", None),
             (post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked") + chunks, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-chunks-oddly", "sizes with zeros before them, in both cases, many small chunks, a long extension")
def _(test):
    small = b"".join(b"1\r\n%c\r\n" % byte for byte in FAKE)
    body = (b"0000000000%x\r\n" % len(FAKE) + FAKE + b"\r\n" + small
            + b"%X;%s\r\n" % (len(FAKE), b"x" * 3000) + FAKE + b"\r\n"
            + b'%x;q="\\";GET /fake HTTP/1.1"\r\n' % len(FAKE) + FAKE + b"\r\n"
            + b"00000;last\r\nX-Trailer: 1\r\nGET /fake HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
    exchange(test, (post("Transfer-Encoding: chunked") + body, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-chunks-with-line-feeds", "chunks whose lines end with a line feed alone")
def _(test):
    body = b"%x\n" % len(FAKE) + FAKE + b"\n0\n\n"
    exchange(test, (post("Transfer-Encoding: chunked") + body, "200 OK", None),
             (get("/real"), "200 OK", {"target": "/real"}))


@case("http1-body-cut-everywhere", "a chunked body with a fake request, in two segments cut at every byte")
def _(test):
    body = b"%x;a\r\n" % len(FAKE) + FAKE + b"\r\n0\r\nT: 1\r\n\r\n"
    whole = post("Transfer-Encoding: chunked") + body
    for cut in range(len(whole) - len(body), len(whole)):
        flow = Flow(test.tape, ("203.0.113.77", 40000 + cut)).open()
        flow.ask(whole[:cut])
        flow.ask(whole[cut:])
        flow.answer()
        time = flow.ask(get("/real"))
        flow.answer()
        test.expect(flow, time, target="/real")


@case("http1-body-large", "an upload of 3 MB full of fake requests, each at the start of a segment")
def _(test):
    part = (FAKE * 40)[:1400]
    flow = Flow(test.tape).open()
    flow.ask(post(f"Content-Length: {2200 * len(part)}"))
    for _ in range(2200):
        flow.send(flow.visitor, part)
    flow.answer()
    time = flow.ask(get("/real"))
    flow.answer(status="404 Not Found")
    test.expect(flow, time, target="/real", status=404)


@case("http1-pipelined-with-bodies", "uploads and requests in one segment, answered in order")
def _(test):
    upload = post(f"Content-Length: {len(FAKE)}") + FAKE
    chunked = post("Transfer-Encoding: chunked") + b"%x\r\n" % len(FAKE) + FAKE + b"\r\n0\r\n\r\n"
    flow = Flow(test.tape).open()
    time = flow.ask(upload + get("/1") + chunked + get("/2", method="HEAD") + upload + get("/3"))
    flow.answer(b"".join(b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s" % answer for answer in (
        (201, 2, b"ok"), (200, 3, b"one"), (202, 0, b""), (302, 500, b""), (203, 0, b""), (404, 4, b"lost"))))
    test.expect(flow, time, target="/1")
    test.expect(flow, time, "HEAD", "/2", status=302)
    test.expect(flow, time, target="/3", status=404)


@case("http1-pipelined-deep", "a hundred requests at once, their answers one by one")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(b"".join(get(f"/{n}", method="HEAD" if n % 3 == 0 else "GET") for n in range(100)))
    for n in range(100):
        flow.answer(b"HTTP/1.1 %d Whatever\r\nContent-Length: 5\r\n\r\n%s"
                    % (200 + n, b"" if n % 3 == 0 or n == 4 else b"12345"))
        test.expect(flow, time, "HEAD" if n % 3 == 0 else "GET", f"/{n}", status=200 + n)


@case("http1-answers-interim-storm", "fifty interim answers, in pieces, before the final one")
def _(test):
    flow = Flow(test.tape).open()
    time = flow.ask(get("/1"))
    storm = b"".join(b"HTTP/1.1 10%d Wait\r\nX-N: %d\r\n\r\n" % (0 if n % 3 == 1 else 2 + n % 3 // 2, n) for n in range(50))
    for at in range(0, len(storm), 77):
        flow.answer(storm[at:at + 77])
    flow.answer(status="404 Not Found")
    second = flow.ask(get("/2"))
    flow.answer()
    test.expect(flow, time, target="/1", status=404)
    test.expect(flow, second, target="/2")


@case("http1-answer-before-the-body", "the server refuses an upload before it was sent; the body follows all the same")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(post("Expect: 100-continue", f"Content-Length: {len(FAKE)}"))
    flow.answer(status="413 Too Large")
    flow.ask(FAKE)
    time = flow.ask(get("/real"))
    flow.answer(status="404 Not Found")
    test.expect(flow, time, target="/real", status=404)


@case("http1-answers-oddly", "answers of HTTP/1.0 that stay open, without reason, with bare line feeds, with odd bodies")
def _(test):
    answers = (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
               b"HTTP/1.1 404\r\nContent-Length: 1\r\n\r\nx",
               b"HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\n\n",
               b"HTTP/1.1 301 Moved\nContent-Length: 2\n\nok",
               b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")
    for number, (answer, status) in enumerate(zip(answers, (200, 404, 500, 301, 200))):
        flow = flow if number else Flow(test.tape).open()
        time = flow.ask(get(f"/{number}"))
        flow.answer(answer)
        test.expect(flow, time, target=f"/{number}", status=status)
    flow.close()


@case("http1-upgrade-then-fakes", "after an Upgrade to WebSocket both sides send what looks like HTTP")
def _(test):
    fields = ["Connection: Upgrade", "Upgrade: websocket"]
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    flow = Flow(test.tape).open()
    time = flow.ask(get("/ws", fields=fields))
    flow.answer(switch + b"HTTP/1.1 500 No\r\n\r\n")
    for _ in range(3):
        flow.ask(FAKE)
        flow.answer(b"\x81\x7e\x00\xc8HTTP/1.1 404 No\r\n\r\n")
    flow.close()
    test.expect(flow, time, target="/ws", status=101)


@case("http1-connect-asked-twice", "CONNECT refused with 407, then accepted; what looks like HTTP in the tunnel is none")
def _(test):
    connect = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n"
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno!!"
    exchange(test, (connect, refused, None), (get("/between"), "200 OK", {"target": "/between"}),
             (connect, b"HTTP/1.1 200 Connection established\r\nContent-Length: 44\r\n\r\n", None),
             (FAKE, b"HTTP/1.1 500 No\r\n\r\n", None))


@case("http1-smuggled-in-a-field", "what looks like a request within a field, a query and a Referer")
def _(test):
    fields = ["X-Smuggle: GET /fake HTTP/1.1", "Referer: GET /fake HTTP/1.1", "User-Agent: HTTP/1.1 500 No"]
    target = "/?q=GET+/fake+HTTP/1.1"
    exchange(test, (get(target, fields=fields), "200 OK",
                    {"target": target, "referer": fields[1][9:], "user_agent": fields[2][12:]}))


@case("http1-empty-lines-everywhere", "twenty empty lines, of both kinds, before and between requests, in segments of their own")
def _(test):
    flow = Flow(test.tape).open()
    for number in range(3):
        for _ in range(10):
            flow.ask(b"\r\n")
            flow.ask(b"\n")
        time = flow.ask(get(f"/{number}"))
        flow.answer()
        test.expect(flow, time, target=f"/{number}")


@case("http1-target-oddly", "targets with fragments, quotes, braces, double slashes, an empty query, half a percent sign")
def _(test):
    targets = ('/a#b', '/"quoted"', "/{a}|b^`c", "//double//slash", "/?", "/%", "/%zz%0", "/a\\b", "/;x=1", "/..//./")
    exchange(test, *[(get(target), "200 OK", {"target": target}) for target in targets])


@case("http1-first-bytes-one-by-one", "the first request comes byte by byte, the server speaks before it")
def _(test):
    flow = Flow(test.tape).open()
    for byte in get("/1"):
        time = flow.send(flow.visitor, bytes([byte]), "PA")
    flow.answer()
    test.expect(flow, time, target="/1")
