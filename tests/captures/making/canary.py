"""Which request is a visit."""

from .case import case
from .flow import Flow, get

HEADER = """\
[[host]]
name = "www.example.org"

[[host]]
name = "*.tap.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
label = "login link"
"""
ID = "t72xbn2rtcste"  # made from the URL
TARGET = "/x/login.html?user=tbtest&password=geheim"
OUTSIDE, INSIDE = "203.0.113.77", "192.168.1.20"


def visits(test, *turns, config=HEADER):
    """Turns of (visitor, request bytes, how it matches or None, what else is expected)."""
    test.files["canarytap.toml"] = config
    for number, (visitor, request, match, more) in enumerate(turns):
        flow = Flow(test.tape, (visitor, 40001 + number)).open()
        time = flow.ask(request)
        flow.answer()
        flow.close()
        if more is None:
            continue
        words = request.split(b"\r\n")[0].decode().split(" ")
        event = {"method": words[0], "target": words[1], **more}
        if match:
            event = {"kind": "visit", "canary": ID, "channel": "skype", "label": "login link",
                     "match": match, "alert": True, **altered(event), **event}
        test.expect(flow, time, **event)


def altered(event):
    """The canary is an https link and these visitors come in the clear; by which scheme a
    visitor came that a proxy speaks for is not known."""
    return {} if "client" in event else {"alterations": ["scheme_changed"]}


@case("canary-url", "the canary's URL, whatever its scheme, port, case and percent-encoding")
def _(test):
    encoded = {"alterations": ["percent_encoded", "scheme_changed"]}
    visits(test, (OUTSIDE, get(TARGET), "url", {}),
           (OUTSIDE, get(TARGET.upper(), "WWW.EXAMPLE.ORG."), "url", {}),
           (OUTSIDE, get(TARGET, "www.example.org:80"), "url", {}),
           (OUTSIDE, get("/x/./y/../l%6Fgin.html?user=tbtest&p%61ssword=geheim"), "url", encoded),
           (OUTSIDE, get("http://www.example.org" + TARGET), "url", {}))


@case("canary-path", "the canary's path with another query, or without one")
def _(test):
    visits(test, (OUTSIDE, get("/x/login.html"), "path",
                  {"alterations": ["query_dropped", "scheme_changed"]}),
           (OUTSIDE, get("/x/login.html?user=other"), "path",
            {"alterations": ["query_changed", "scheme_changed"]}))


@case("canary-methods", "any method on a canary is a visit")
def _(test):
    methods = ("HEAD", "GET", "POST", "OPTIONS", "PROPFIND", "DELETE")
    fields = ["Content-Length: 0"]
    visits(test, *[(OUTSIDE, get(TARGET, method=method, fields=fields), "url", {})
                   for method in methods])


@case("canary-near-misses", "what only looks like the canary is a request, or nothing")
def _(test):
    visits(test, (OUTSIDE, get("/x/login.htm"), None, {}),
           (OUTSIDE, get("/y" + TARGET), None, {}),
           (OUTSIDE, get("/x/login.html/"), None, {}),
           (OUTSIDE, get(TARGET, "other.example.net"), None, None),
           (OUTSIDE, get(TARGET, "example.org"), None, None),
           (OUTSIDE, get("/a", method="POST", fields=["Content-Length: 0"]), None, None))


@case("canary-subdomains", "a host with a star watches every name below it, and not the name itself")
def _(test):
    visits(test, (OUTSIDE, get("/a", "k7.tap.example.org"), None, {"host": "k7.tap.example.org"}),
           (OUTSIDE, get("/b", "a.b.tap.example.org"), None, {"host": "a.b.tap.example.org"}),
           (OUTSIDE, get("/c", "tap.example.org"), None, None),
           (OUTSIDE, get("/d", "nottap.example.org"), None, None))
