"""What is done to links on their way, and how a canary is known all the same."""

from .case import case
from .flow import Flow, get

HOSTS = '[[host]]\nname = "www.example.org"\n\n[[host]]\nname = "*.tap.example.org"\n'
WWW = "www.example.org"
OUTSIDE = "203.0.113.77"

# One with nothing unique in it, and one with a token in its path. Visitors come in the clear, as
# the links say.
PLAIN = "/Files/Annual~Report.html?User=Tb%20Test&Pass=Geheim"
TOKEN = "/Share/k7f3q2m9xw4tz/Plan%2D2.pdf?User=Tb%20Test"


def canaries(**urls):
    """A configuration with canaries by their ids."""
    tables = [f'\n[[canary]]\nid = "{id}"\nurl = "{url}"\nchannel = "mail"\n'
              for id, url in urls.items()]
    return HOSTS + "".join(tables)


def visits(test, config, *turns):
    """Turns of (target, canary or None, how it matches, alterations); further keys in a
    dictionary: `host`, `fields`, `src`, and what else is expected of the event."""
    test.files["canarytap.toml"] = config
    for number, (target, canary, match, altered, *more) in enumerate(turns):
        more = dict(*more)
        host = more.get("host", WWW)
        flow = Flow(test.tape, (more.pop("src", OUTSIDE), 40001 + number)).open()
        time = flow.ask(get(target, host, fields=more.pop("fields", ())))
        flow.answer()
        flow.close()
        if canary:
            more = {"kind": "visit", "alert": True, "canary": canary, "channel": "mail",
                    "match": match, "alterations": altered or None, **more}
        # A target is printed as text.
        text = target.encode("latin-1").decode()
        test.expect(flow, time, target=text, **{"host": host, **more})


def both(config_too=()):
    return canaries(plain=f"http://{WWW}{PLAIN}", token=f"http://{WWW}{TOKEN}", **dict(config_too))


@case("altered-not", "links as they were given away")
def _(test):
    visits(test, both(), (PLAIN, "plain", "url", []), (TOKEN, "token", "url", []))


@case("altered-lower-cased", "a whole URL in small letters, or in capitals")
def _(test):
    visits(test, both(), (PLAIN.lower(), "plain", "url", ["lower_cased"]),
           (TOKEN.lower(), "token", "url", ["lower_cased"]),
           (TOKEN.upper(), "token", "url", []))


@case("altered-percent-encoded", "characters percent-encoded that stood plainly: unreserved ones, then reserved ones too")
def _(test):
    encoded = ["percent_encoded"]
    visits(test, both(),
           ("/%46iles/Annual%7EReport.html?User=Tb%20Test&Pass=Gehei%6d", "plain", "url", encoded),
           ("/Share/k7f3q2m9xw4t%7A/Plan%2D2.pdf?User=Tb%20Test", "token", "url", encoded),
           ("/Files/Annual~Report.html?User=Tb%20Test%26Pass%3DGeheim", "plain", "path", encoded),
           ("/Files%2FAnnual~Report.html%3FUser%3DTb%2520Test", "plain", "path",
            ["percent_encoded", "cut_short"]),
           ("/Share%2Fk7f3q2m9xw4tz%2FPlan%2D2.pdf?User=Tb%20Test", "token", "token", encoded))


@case("altered-percent-decoded", "characters that stand plainly and were percent-encoded: unreserved, reserved, letters beyond ASCII")
def _(test):
    urls = canaries(plain=f"http://{WWW}/Gr%C3%BC%C3%9Fe%2Dan?To=a%2Fb%3Ac",
                    token=f"http://{WWW}{TOKEN}")
    decoded = ["percent_decoded"]
    visits(test, urls, ("/Gr%C3%BC%C3%9Fe-an?To=a%2Fb%3Ac", "plain", "url", decoded),
           ("/Gr\u00c3\u00bc\u00c3\u009fe%2Dan?To=a%2Fb%3Ac", "plain", "url", decoded),
           ("/Gr%C3%BC%C3%9Fe%2Dan?To=a/b:c", "plain", "path", decoded),
           ("/Share/k7f3q2m9xw4tz/Plan-2.pdf?User=Tb%20Test", "token", "url", decoded))


@case("altered-query", "a query dropped, changed, or with parameters added before and behind")
def _(test):
    path, query = PLAIN.split("?")
    token_path, token_query = TOKEN.split("?")
    visits(test, both(),
           (path, "plain", "path", ["query_dropped"]),
           (path + "?", "plain", "path", ["cut_short"]),
           (path + "?User=other", "plain", "path", ["query_changed"]),
           (f"{path}?{query}&utm_source=chat&fbclid=1", "plain", "path", ["parameters_added"]),
           (f"{path}?ref=1&{query}", "plain", "path", ["parameters_added"]),
           (token_path, "token", "token", ["query_dropped"]),
           (token_path + "?User=other", "token", "token", ["query_changed"]),
           (f"{token_path}?{token_query}&utm_source=chat", "token", "token", ["parameters_added"]))


@case("altered-cut-short", "a link that lost its end; what is left of it must still be the canary's own")
def _(test):
    visits(test, both(), (PLAIN[:-3], "plain", "path", ["cut_short"]),
           (TOKEN[:-3], "token", "token", ["cut_short"]),
           ("/Share/k7f3q2m9xw4tz/Pl", "token", "token", ["cut_short"]),
           ("/Share/k7f3q2m9xw4tz", "token", "token", ["cut_short", "path_prefix"]),
           ("/Share/k7f3q2m9xw4", None, None, None), ("/Files/Annual~Rep", None, None, None))


@case("altered-punctuation", "punctuation of the text around a link hangs at its end")
def _(test):
    path = "/Files/Annual~Report.html"
    punctuated = ["trailing_punctuation"]
    turns = []
    for ending in (".", ",", ")", ").", "!", "?", "%22", "%E2%80%A6", "'", "*", "]"):
        turns += [(PLAIN + ending, "plain", "path", punctuated),
                  (TOKEN + ending, "token", "token", punctuated)]
    visits(test, both(), *turns, (path + ".", "plain", "path", ["query_dropped", *punctuated]),
           ("/Share/k7f3q2m9xw4tz/Plan%2D2.pdf.", "token", "token", ["query_dropped", *punctuated]))


@case("altered-www", "www. put before the host, or taken off")
def _(test):
    urls = canaries(plain="http://a.tap.example.org/plain.html?x=1",
                    token="http://a.tap.example.org/s/k7f3q2m9xw4tz",
                    withwww="http://www.b.tap.example.org/plain.html?x=1")
    added, dropped = {"host": "www.a.tap.example.org"}, {"host": "b.tap.example.org"}
    visits(test, urls, ("/plain.html?x=1", "plain", "path", ["www_added"], added),
           ("/s/k7f3q2m9xw4tz", "token", "token", ["www_added"], added),
           ("/plain.html?x=1", "withwww", "path", ["www_dropped"], dropped),
           ("/other.html?x=1", None, None, None, added),
           ("/plain.html?x=1", None, None, None, {"host": "c.tap.example.org"}))


@case("altered-scheme", "an https link that is asked for in the clear, unless a proxy may have taken TLS off")
def _(test):
    config = canaries(secure=f"https://{WWW}/secure.html", plain=f"http://{WWW}/plain.html") + (
        '\n[[home.proxy]]\nnetworks = ["192.168.1.5/32"]\nheader = "x-forwarded-for"\n')
    named = {"src": "192.168.1.5", "fields": ["X-Forwarded-For: 203.0.113.9"],
             "client": "203.0.113.9", "origin": "outside", "forwarded_for": "203.0.113.9"}
    silent = {"src": "192.168.1.5", "origin": "unknown"}
    untrusted = {**named, "src": "192.168.1.6", "client": "192.168.1.6", "origin": "unknown"}
    forged = {"fields": ["X-Forwarded-For: 203.0.113.9"], "forwarded_for": "203.0.113.9"}
    visits(test, config, ("/secure.html", "secure", "url", ["scheme_changed"]),
           ("/secure.html", "secure", "url", ["scheme_changed"], forged),
           ("/plain.html", "plain", "url", []),
           *[("/secure.html", "secure", "url", [], how) for how in (named, silent, untrusted)])


@case("altered-in-several-ways", "several alterations at once are all named")
def _(test):
    visits(test, canaries(plain=f"https://a.tap.example.org{PLAIN}", token=f"https://{WWW}{TOKEN}"),
           (PLAIN.lower().split("?")[0], "plain", "path",
            ["lower_cased", "query_dropped", "www_added", "scheme_changed"],
            {"host": "www.a.tap.example.org"}),
           ("/share/k7f3q2m9xw4tz/plan-2.pdf", "token", "token",
            ["lower_cased", "percent_decoded", "query_dropped", "scheme_changed"]))


@case("altered-token-elsewhere", "a token that stands in host, query or Referer of something else")
def _(test):
    referer = f"http://{WWW}/Share/k7f3q2m9xw4tz/Plan-2.pdf"
    visits(test, both(), ("/", "token", "token", [], {"host": "k7f3q2m9xw4tz.tap.example.org"}),
           ("/go?to=K7F3Q2M9XW4TZ", "token", "token", []),
           ("/redirect?u=http%3A%2F%2Fwww.example.org%2FShare%2Fk7f3q2m9xw4tz", "token", "token", []),
           ("/style.css", "token", "token", [], {"fields": ["Referer: " + referer], "referer": referer}),
           ("/style.css", None, None, None, {"fields": ["Referer: http://" + WWW + PLAIN],
                                             "referer": "http://" + WWW + PLAIN}))


@case("altered-redirected", "a link that was wrapped in a redirector, whose page the Referer names")
def _(test):
    def by(referer):
        return {"fields": ["Referer: " + referer], "referer": referer}

    bearing = f"https://go.example.net/?url=http%3A%2F%2F{WWW}%2FShare%2Fk7f3q2m9xw4tz%2FPlan"
    plain = f"https://go.example.net/{WWW}/Files/Annual~Report.html"
    visits(test, both(), (TOKEN, "token", "url", ["redirected"], by(bearing)),
           (TOKEN, "token", "url", ["redirected"], by("https://l.facebook.com/")),
           (PLAIN, "plain", "url", ["redirected"], by(plain)),
           ("/style.css", "token", "token", ["redirected"], by(bearing)),
           (TOKEN, "token", "url", [], by("https://other.example.net/")),
           (TOKEN, "token", "url", [], by(f"https://{WWW}{TOKEN}")))
