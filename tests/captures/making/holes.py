"""Holes: what the mirror lost, whose answer is whose behind it, and bytes that differ."""

from . import files
from .case import case
from .flow import Flow, get


def lose(flow, data):
    """The visitor sends bytes that the mirror loses."""
    flow.take(flow.visitor, data, "PA")


@case("tcp-hole-acknowledged", "a request is missing; its answer, which acknowledges it, is nobody's")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.answer()
    lose(flow, get("/lost"))
    flow.answer(status="404 Not Found")
    third = flow.ask(get("/third"))
    flow.answer(status="403 Forbidden")
    flow.close()
    test.expect(flow, first, target="/first")
    test.expect(flow, third, target="/third", status=403, flags=["gap"])


@case("tcp-hole-given-up-before-the-next", "the same, and the next request comes seconds later")
def _(test):
    flow = Flow(test.tape).open()
    lose(flow, get("/lost"))
    flow.answer(status="404 Not Found")
    flow.tape.wait(5)
    second = flow.ask(get("/second"))
    flow.answer(status="403 Forbidden")
    flow.close()
    test.expect(flow, second, target="/second", status=403, flags=["gap"])


@case("tcp-holes-with-their-answers", "every second request is missing, its answer is not")
def _(test):
    flow = Flow(test.tape).open()
    for number in range(3):
        lose(flow, get(f"/lost/{number}"))
        flow.answer(status="404 Not Found")
        time = flow.ask(get(f"/{number}"))
        flow.answer(status=f"50{number} Error")
        test.expect(flow, time, target=f"/{number}", status=500 + number, flags=["gap"])
    flow.close()


@case("tcp-hole-and-the-answer-to-it", "a request and its answer are missing: the next one's answer is its own")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.answer()
    lose(flow, get("/lost"))
    flow.take(flow.server, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "PA")
    third = flow.ask(get("/third"))
    flow.answer(status="403 Forbidden")
    flow.tape.wait(5)
    flow.close()
    test.expect(flow, first, target="/first")
    test.expect(flow, third, target="/third", status=403, flags=["gap"])


@case("tcp-hole-pipelined", "of two requests sent at once the first is missing: which answer is whose is not sure")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.answer()
    lose(flow, get("/lost"))
    third = flow.ask(get("/third"))
    flow.answer(status="404 Not Found")
    flow.answer(status="403 Forbidden")
    flow.close()
    test.expect(flow, first, target="/first")
    test.expect(flow, third, target="/third", status=None, flags=["gap"])


@case("tcp-hole-in-a-head", "the middle of a head is missing: that request is not told, the next is")
def _(test):
    flow = Flow(test.tape).open()
    head = get("/broken", fields=["X-Fill: " + "x" * 99])
    flow.send(flow.visitor, head[:60], "PA")
    lose(flow, head[60:90])
    flow.ask(head[90:])
    flow.answer(status="404 Not Found")
    time = flow.ask(get("/next"))
    flow.answer(status="403 Forbidden")
    flow.close()
    test.expect(flow, time, target="/next", status=403, flags=["gap"])


@case("tcp-hole-nobody-acknowledges", "the visitor's side alone: a hole is waited for, then skipped")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S")
    first = flow.send(flow.visitor, get("/first"), "PA")
    lose(flow, get("/lost"))
    third = flow.send(flow.visitor, get("/third"), "PA")
    flow.tape.wait(60)
    last = flow.send(flow.visitor, get("/last"), "PA")
    test.expect(flow, first, target="/first", status=None)
    test.expect(flow, third, target="/third", status=None, flags=["gap"])
    test.expect(flow, last, target="/last", status=None)


@case("tcp-hole-beyond-the-bound-in-bytes", "more waits behind a hole than is kept: it is skipped at once")
def _(test):
    flow = Flow(test.tape)
    flow.send(flow.visitor, flags="S")
    lose(flow, get("/lost"))
    size = 2_200_000
    time = flow.send(flow.visitor, get("/upload", method="GET", fields=[f"Content-Length: {size}"]), "PA")
    for start in range(0, size, 50_000):
        flow.send(flow.visitor, b"x" * min(50_000, size - start))
    after = flow.send(flow.visitor, get("/after"), "PA")
    test.expect(flow, time, target="/upload", status=None, flags=["gap"])
    test.expect(flow, after, target="/after", status=None)


@case("tcp-hole-in-an-answers-head", "an answer's first line is missing: no status, the next answer counts")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/first"))
    flow.take(flow.server, b"HTTP/1.1 200 OK\r\nContent-Len", "PA")
    flow.answer(b"gth: 0\r\n\r\n")
    flow.tape.wait(2)
    second = flow.ask(get("/second"))
    flow.answer(status="404 Not Found")
    flow.close()
    test.expect(flow, first, target="/first", status=None)
    test.expect(flow, second, target="/second", status=404)


@case("tcp-hole-filled-late", "a segment is sent again after a second: the head is complete with it")
def _(test):
    flow = Flow(test.tape).open()
    head = get("/late")
    first = flow.take(flow.visitor, head[:30], "PA")
    flow.send(flow.visitor, head[30:], "PA")
    flow.send(flow.server, ack=flow.visitor.seq - len(head))
    flow.tape.wait(1)
    time = flow.put(first)
    flow.send(flow.server)
    flow.answer()
    test.expect(flow, time, target="/late")


@case("tcp-answer-overtakes-its-request", "the mirror puts the answer before the request")
def _(test):
    flow = Flow(test.tape).open()
    request = flow.take(flow.visitor, get("/"), "PA")
    answer = flow.take(flow.server, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "PA")
    flow.put(answer)
    time = flow.put(request)
    test.expect(flow, time, status=404)


@case("tcp-midstream-answer-in-flight", "the capture begins while an earlier request's answer is under way")
def _(test):
    flow = Flow(test.tape)
    before = flow.visitor.seq
    time = flow.send(flow.visitor, get("/first"), "PA")
    flow.send(flow.server, b"HTTP/1.1 500 Earlier\r\nContent-Length: 0\r\n\r\n", "PA", ack=before)
    flow.send(flow.visitor)
    flow.answer(status="404 Not Found")
    test.expect(flow, time, target="/first", status=404, flags=["midstream"])


# ── bytes that differ ──


@case("tcp-overlap-delivered", "a retransmission of half a head that differs: what was delivered stays")
def _(test):
    flow = Flow(test.tape).open()
    start, head = flow.visitor.seq, get("/first-come")
    flow.send(flow.visitor, head[:30], "PA")
    flow.send(flow.visitor, get("/late-comer")[:30], "PA", seq=start)
    time = flow.ask(head[30:])
    flow.answer()
    again = flow.ask(get("/next"))
    flow.answer()
    test.expect(flow, time, target="/first-come", flags=["overlap"])
    test.expect(flow, again, target="/next")


@case("tcp-overlap-delivered-in-part", "a segment repeats delivered bytes that differ and goes on with new ones")
def _(test):
    flow = Flow(test.tape).open()
    start, head = flow.visitor.seq, get("/first-come")
    flow.send(flow.visitor, head[:12], "PA")
    time = flow.send(flow.visitor, b"X" * 8 + head[12:], "PA", seq=start + 4)
    flow.visitor.seq = start + len(head)
    flow.answer()
    test.expect(flow, time, target="/first-come", flags=["overlap"])


@case("tcp-overlap-in-order", "bytes that are next beat those that wait")
def _(test):
    flow = Flow(test.tape).open()
    start, head = flow.visitor.seq, get("/" + "-" * 30)
    flow.send(flow.visitor, head[15:].replace(b"-", b"a"), "PA", seq=start + 15)
    time = flow.send(flow.visitor, head[:25].replace(b"-", b"b"), "PA", seq=start)
    flow.visitor.seq = start + len(head)
    flow.answer()
    test.expect(flow, time, target="/" + "b" * 20 + "a" * 10, flags=["overlap"])


# ── frames cut by the snap length ──


def cut(test, flow, snap):
    """The flow's frames, cut at `snap` bytes."""
    test.capture = files.pcap(flow.tape.frames, snap=snap)


@case("file-snap-length-in-a-head", "a head cut behind its Host: what was read of it is told, the next too")
def _(test):
    flow = Flow(test.tape).open()
    first = flow.ask(get("/cut", fields=["User-Agent: probe/1", "Cookie: " + "c" * 99]))
    flow.answer(status="404 Not Found")
    second = flow.ask(get("/c", host="h"))
    flow.answer()
    flow.close()
    # 14 + 20 + 20 bytes of headers, and 66 of what they carry.
    cut(test, flow, 120)
    test.expect(flow, first, target="/cut", status=404, user_agent="probe/1", flags=["truncated"])
    test.expect(flow, second, target="/c", host="h", flags=["gap"])


@case("file-snap-length-in-a-first-line", "heads cut behind their targets: without Host, with all hosts they are told")
def _(test):
    for number, target in enumerate(("/fourteen", "/seven")):
        flow = Flow(test.tape, ("203.0.113.77", 40001 + number)).open()
        time = flow.ask(get(target))
        flow.answer()
        flow.close()
        test.expect(flow, time, target=target, host=None, flags=["truncated"])
    # 54 bytes of headers; of the first line `GET /fourteen HTTP/1` and `GET /seven HTTP/1.1\r`.
    cut(test, flow, 74)


@case("file-snap-length-in-a-target", "heads cut inside their targets cannot be told")
def _(test):
    flow = Flow(test.tape).open()
    flow.ask(get("/a-long-target"))
    flow.answer()
    flow.close()
    cut(test, flow, 64)
