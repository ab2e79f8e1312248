"""Where a visitor stands: inside, outside or unknown, and who may speak for whom."""

import ipaddress
import struct

from .canary import HEADER as HTTPS, ID, INSIDE, OUTSIDE, TARGET
from .case import case
from .flow import SERVER, SERVER6, Flow, get

HEADER = HTTPS.replace("https://", "http://")  # visitors come in the clear: nothing is altered
PROXY, GATEWAY = "192.168.1.5", "192.168.1.1"
OUTSIDE6, INSIDE6 = "2001:db8::77", "fd00:1::20"


def home(**keys):
    """A configuration whose section [home] has these keys."""
    lines = [f"{key} = {value}\n" for key, value in keys.items()]
    return HEADER + "\n[home]\n" + "".join(lines)


def proxies(**headers):
    """Trusted proxies by the last number of their address: `at5="forwarded"`."""
    tables = [f'\n[[home.proxy]]\nnetworks = ["192.168.1.{at[2:]}/32"]\nheader = "{header}"\n'
              for at, header in headers.items()]
    return HEADER + "".join(tables)


class Visit:
    """A GET of the canary, and how it must be judged."""

    def __init__(self, src, origin, client=None, *, fields=(), ahead=b"", told=None):
        self.src, self.origin, self.client = src, origin, client or src
        self.fields, self.ahead, self.told = fields, ahead, told

    def play(self, test, port):
        server = SERVER6 if ":" in self.src else SERVER
        flow = Flow(test.tape, (self.src, port), server).open()
        time = flow.ask(self.ahead + get(TARGET, fields=self.fields))
        flow.answer()
        flow.close()
        self.expect(test, flow, time)

    def expect(self, test, flow, time, **more):
        test.expect(flow, time, kind="visit", alert=self.origin != "inside", canary=ID,
                    channel="skype", label="login link", match="url", origin=self.origin,
                    client=self.client, target=TARGET, forwarded_for=self.told, **more)


def play(test, config, *visits):
    test.files["canarytap.toml"] = config
    for number, visit in enumerate(visits):
        visit.play(test, 40001 + number)


def told(name, value, src, origin, client=None):
    """A visit with one header that names somebody."""
    return Visit(src, origin, client, fields=[f"{name}: {value}"], told=value)


def v1(*words):
    """A PROXY header of version 1."""
    return " ".join(("PROXY",) + words).encode() + b"\r\n"


def v2(src, dst="192.168.1.10", *, command=1, extra=b""):
    """A PROXY header of version 2, with `extra` behind its addresses."""
    family = 0x21 if ":" in src else 0x11
    body = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    body += struct.pack("!HH", 50000, 80) + extra
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


# ── by the address alone ──


@case("origin-inside", "visits from home are written down, and are no alerts")
def _(test):
    config = home(networks='["auto", "198.51.100.0/24", "2001:db8:1::/56"]')
    inside = (INSIDE, "10.1.2.3", "172.16.9.9", "100.64.0.9", "169.254.7.7", "198.51.100.7",
              INSIDE6, "fe80::1", "2001:db8:1:ff::9")
    play(test, config, *[Visit(src, "inside") for src in inside])


@case("origin-outside", "addresses just beyond the home's networks are outside")
def _(test):
    config = home(networks='["auto", "198.51.100.0/25", "2001:db8:1::/56"]')
    outside = (OUTSIDE, OUTSIDE6, "11.0.0.1", "172.32.0.1", "192.169.0.1", "100.128.0.1",
               "198.51.100.128", "2001:db8:1:100::1", "fe00::1")
    play(test, config, *[Visit(src, "outside") for src in outside])


@case("origin-named-networks", "without auto only what is named is inside, private or not")
def _(test):
    play(test, home(networks='["192.168.1.0/24"]'), Visit(INSIDE, "inside"),
         Visit("192.168.2.20", "outside"), Visit("10.1.2.3", "outside"), Visit(INSIDE6, "outside"))


@case("origin-hairpin", "the home's own public addresses are inside, their neighbours are not")
def _(test):
    config = home(public='["203.0.113.5", "2001:db8:5::1"]')
    play(test, config, Visit("203.0.113.5", "inside"), Visit("2001:db8:5::1", "inside"),
         Visit("203.0.113.6", "outside"), Visit("2001:db8:5::2", "outside"))


@case("origin-gateway", "a router that translates source addresses says little about the visitor")
def _(test):
    config = home(gateways='["192.168.1.1", "fd00:1::1"]')
    play(test, config, Visit(GATEWAY, "unknown"), Visit("fd00:1::1", "unknown"),
         Visit("192.168.1.2", "inside"))


@case("origin-container", "networks of containers say little, unless the home is named as narrowly")
def _(test):
    config = home(networks='["auto", "172.20.5.0/24"]')
    unknown = ("172.17.0.1", "172.18.0.5", "172.23.255.254", "10.88.0.1", "172.24.0.1", "172.31.0.1")
    inside = ("172.20.5.9", "172.16.0.1", "172.24.0.2", "10.89.0.1")
    play(test, config, *[Visit(src, "unknown") for src in unknown],
         *[Visit(src, "inside") for src in inside])


@case("origin-ipv4-mapped", "an IPv4 address written as an IPv6 one is the IPv4 one, on the wire and in headers")
def _(test):
    play(test, proxies(at5="x-forwarded-for", at6="forwarded", at7="cf-connecting-ip"),
         Visit("::ffff:192.168.1.20", "inside", INSIDE),
         Visit("::ffff:203.0.113.77", "outside", OUTSIDE),
         told("X-Forwarded-For", "::ffff:203.0.113.9", PROXY, "outside", "203.0.113.9"),
         told("X-Forwarded-For", "[::FFFF:192.168.1.20]:4711", PROXY, "inside", INSIDE),
         told("X-Forwarded-For", "::ffff:203.0.113.9", "::ffff:192.168.1.5", "outside", "203.0.113.9"),
         told("Forwarded", 'for="[::ffff:c0a8:114]"', "192.168.1.6", "inside", INSIDE),
         told("CF-Connecting-IP", "::ffff:203.0.113.9", "192.168.1.7", "outside", "203.0.113.9"))


# ── headers of those who are no trusted proxy ──

CLAIMS = (
    ("X-Forwarded-For", INSIDE), ("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", PROXY),
    ("X-Forwarded-For", "192.168.1.20, 192.168.1.5"), ("Forwarded", "for=192.168.1.20;proto=https"),
    ("Forwarded", 'for="[fd00:1::20]:80"'), ("X-Real-IP", INSIDE), ("CF-Connecting-IP", INSIDE),
    ("CF-Connecting-IPv6", INSIDE6), ("True-Client-IP", "203.0.113.5"), ("X-Client-IP", INSIDE),
    ("Client-IP", INSIDE), ("X-Cluster-Client-IP", INSIDE), ("Fastly-Client-IP", INSIDE),
    ("Fly-Client-IP", INSIDE), ("DO-Connecting-IP", INSIDE), ("X-Azure-ClientIP", INSIDE),
    ("X-Envoy-External-Address", INSIDE),
)


@case("origin-claimed", "a visitor outside who claims an address inside is not believed, in whichever header")
def _(test):
    config = (proxies(at5="x-forwarded-for", at6="forwarded", at7="cf-connecting-ip",
                      at8="proxy-protocol") + '\n[home]\npublic = ["203.0.113.5"]\n')
    play(test, config, *[told(name, value, OUTSIDE, "outside") for name, value in CLAIMS],
         told("X-Forwarded-For", INSIDE, OUTSIDE6, "outside"),
         Visit(OUTSIDE, "outside", ahead=v1("TCP4", INSIDE, "192.168.1.10", "50000", "80"), told=INSIDE),
         Visit(OUTSIDE, "outside", ahead=v2(INSIDE), told=INSIDE),
         Visit(OUTSIDE6, "outside", ahead=v2(INSIDE6, "fd00:1::10"), told=INSIDE6))


@case("origin-claimed-by-several", "several forged headers: all are kept, none is believed")
def _(test):
    fields = ["X-Forwarded-For: 192.168.1.20", "X-Forwarded-For: 10.0.0.1",
              "Forwarded: for=192.168.1.20", "X-Real-IP: 127.0.0.1"]
    kept = "x-forwarded-for: 192.168.1.20, 10.0.0.1; forwarded: for=192.168.1.20; x-real-ip: 127.0.0.1"
    play(test, proxies(at5="x-forwarded-for"),
         Visit(OUTSIDE, "outside", fields=fields, told=kept),
         Visit(OUTSIDE, "outside", fields=fields, told=f"proxy-protocol: {INSIDE}; {kept}",
               ahead=v1("TCP4", INSIDE, "192.168.1.10", "50000", "80")))


@case("origin-unknown", "a private address that forwards for somebody, and is no trusted proxy")
def _(test):
    visits = [told(name, value, INSIDE, "unknown") for name, value in CLAIMS]
    play(test, proxies(at5="x-forwarded-for"), *visits,
         told("X-Forwarded-For", "203.0.113.9", INSIDE, "unknown"),
         told("X-Forwarded-For", "203.0.113.9", INSIDE6, "unknown"),
         Visit(INSIDE, "unknown", fields=["X-Forwarded-Proto: https"]),
         Visit(INSIDE, "unknown", ahead=v1("TCP4", "203.0.113.9", "192.168.1.10", "50000", "80"),
               told="203.0.113.9"),
         Visit(INSIDE, "unknown", ahead=v2("203.0.113.9"), told="203.0.113.9"))


# ── trusted proxies ──


@case("origin-trusted-proxy", "a proxy of the home names the visitor in its one header")
def _(test):
    config = proxies(at5="x-forwarded-for", at6="forwarded", at7="cf-connecting-ip", at8="x-real-ip",
                     at9="true-client-ip")
    visits = []
    for visitor, origin in ((OUTSIDE, "outside"), (INSIDE, "inside"), (OUTSIDE6, "outside"),
                            (INSIDE6, "inside")):
        rfc7239 = f'"[{visitor}]"' if ":" in visitor else visitor
        visits += [
            told("X-Forwarded-For", visitor, "192.168.1.5", origin, visitor),
            told("Forwarded", f"for={rfc7239};proto=https;by=_home", "192.168.1.6", origin, visitor),
            told("CF-Connecting-IP", visitor, "192.168.1.7", origin, visitor),
            told("X-Real-IP", visitor, "192.168.1.8", origin, visitor),
            told("True-Client-IP", visitor, "192.168.1.9", origin, visitor),
        ]
    play(test, config, *visits)


@case("origin-proxy-forged-part", "what a visitor wrote before the proxy added its part is not believed")
def _(test):
    named = (PROXY, "outside", "203.0.113.9")
    lists = ("192.168.1.20, 203.0.113.9", "127.0.0.1,192.168.1.5, 203.0.113.9", "unknown, 203.0.113.9",
             ", 203.0.113.9", "192.168.1.20, 203.0.113.9:4711")
    forwarded = ("for=192.168.1.20, for=203.0.113.9", 'for="[fd00:1::20]", for="203.0.113.9:4711"',
                 "for=192.168.1.20;by=192.168.1.5, proto=https;for=203.0.113.9")
    two_lines = ["Forwarded: for=192.168.1.20;x=\"", "Forwarded: for=203.0.113.9"]
    play(test, proxies(at5="x-forwarded-for", at6="forwarded"),
         *[told("X-Forwarded-For", value, *named) for value in lists],
         *[told("Forwarded", value, "192.168.1.6", *named[1:]) for value in forwarded],
         Visit("192.168.1.6", *named[1:], fields=two_lines, told='for=192.168.1.20;x=", for=203.0.113.9'))


@case("origin-proxy-chain", "trusted proxies one behind the other: the last address that is none of them counts")
def _(test):
    chain = "192.168.1.20, 203.0.113.9, 192.168.1.6"
    all_own = "192.168.1.20, 192.168.1.6, 192.168.1.6"
    across = ["X-Forwarded-For: 192.168.1.20, 192.168.1.7", "CF-Connecting-IP: 203.0.113.9"]
    play(test, proxies(at5="x-forwarded-for", at6="x-forwarded-for", at7="cf-connecting-ip"),
         told("X-Forwarded-For", chain, PROXY, "outside", "203.0.113.9"),
         told("X-Forwarded-For", all_own, PROXY, "inside", INSIDE),
         Visit(PROXY, "outside", "203.0.113.9", fields=across,
               told="x-forwarded-for: 192.168.1.20, 192.168.1.7; cf-connecting-ip: 203.0.113.9"))


@case("origin-proxy-other-header", "a trusted proxy is believed in its one header only")
def _(test):
    fields = ["X-Forwarded-For: 192.168.1.20", "CF-Connecting-IP: 192.168.1.20", "X-Real-IP: 203.0.113.9"]
    kept = "x-forwarded-for: 192.168.1.20; cf-connecting-ip: 192.168.1.20; x-real-ip: 203.0.113.9"
    play(test, proxies(at5="x-real-ip", at6="forwarded", at8="proxy-protocol"),
         Visit(PROXY, "outside", "203.0.113.9", fields=fields, told=kept),
         Visit("192.168.1.6", "unknown", fields=fields, told=kept),
         Visit("192.168.1.8", "unknown", fields=fields, told=kept),
         Visit("192.168.1.6", "unknown", ahead=v2(INSIDE), told=INSIDE))


@case("origin-proxy-silent", "a trusted proxy that names nobody: its own address says little")
def _(test):
    silent = ("unknown", "192.168.1.20, _hidden", "192.168.1.20, 203.0.113.256", PROXY)
    play(test, proxies(at5="x-forwarded-for", at6="forwarded", at7="cf-connecting-ip",
                       at8="proxy-protocol"),
         Visit(PROXY, "unknown"),
         *[told("X-Forwarded-For", value, PROXY, "unknown") for value in silent],
         told("Forwarded", 'for=192.168.1.20;x=", for=203.0.113.9', "192.168.1.6", "unknown"),
         told("CF-Connecting-IP", "192.168.1.20, 192.168.1.20", "192.168.1.7", "unknown"),
         Visit("192.168.1.8", "unknown"),
         Visit("192.168.1.8", "unknown", ahead=v1("UNKNOWN")),
         Visit("192.168.1.8", "unknown", ahead=v2(INSIDE, command=0)))


@case("origin-head-too-long", "a head with more than can be read of it: behind its end a proxy may have named somebody else")
def _(test):
    many = [f"X-{number}: y" for number in range(600)]
    test.files["canarytap.toml"] = proxies(at5="x-forwarded-for", at6="forwarded", at7="x-real-ip")
    for number, (src, name, forged, added, origin) in enumerate((
            (PROXY, "X-Forwarded-For", INSIDE, "203.0.113.9", "unknown"),
            ("192.168.1.6", "Forwarded", "for=192.168.1.20", "for=203.0.113.9", "unknown"),
            ("192.168.1.7", "X-Real-IP", INSIDE, "203.0.113.9", "unknown"),
            (INSIDE, "X-Forwarded-For", None, "203.0.113.9", "unknown"),
            (OUTSIDE, "X-Forwarded-For", INSIDE, "203.0.113.9", "outside"))):
        flow = Flow(test.tape, (src, 40001 + number)).open()
        fields = ([f"{name}: {forged}"] if forged else []) + many + [f"{name}: {added}"]
        time = flow.ask(get(TARGET, fields=fields))
        flow.answer()
        flow.close()
        Visit(src, origin, told=forged).expect(test, flow, time, flags=["truncated"])


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2 (RFC 9113 §4.1)."""
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def h2_get(stream, target, **fields):
    """A GET in one HEADERS frame, its fields literal (RFC 7541 §6.2.2)."""
    text = lambda value: bytes([len(value)]) + value.encode()
    block = b"\x82\x86\x04" + text(target) + b"\x01" + text("www.example.org")
    for name, value in fields.items():
        block += b"\0" + text(name.replace("_", "-")) + text(value)
    return frame(1, 0x05, stream, block)


@case("origin-proxy-upgrade", "behind an Upgrade that a proxy passes on, its header is the visitor's own word")
def _(test):
    test.files["canarytap.toml"] = proxies(at5="x-forwarded-for")
    ok, settings = lambda stream: frame(1, 0x05, stream, b"\x88"), frame(4, 0, 0)
    for number, (src, client, origin) in enumerate(((PROXY, OUTSIDE, "outside"),
                                                    (INSIDE, INSIDE, "inside"))):
        named = {"forwarded_for": client} if src == PROXY else {}
        fields = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: "]
        fields += [f"X-Forwarded-For: {client}"] if named else []
        flow = Flow(test.tape, (src, 40001 + number)).open()
        time = flow.ask(get("/", fields=fields))
        flow.answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                    + settings)
        test.expect(flow, time, origin=origin, client=client, **named)
        flow.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
        flow.answer(ok(1))
        forged = {"x_forwarded_for": INSIDE} if named else {}
        time = flow.ask(h2_get(3, TARGET, **forged))
        flow.answer(ok(3))
        flow.close()
        visit = Visit(src, "unknown" if named else "inside", told=INSIDE if named else None)
        visit.expect(test, flow, time, version="HTTP/2")


@case("origin-proxy-names-gateway", "a trusted proxy that names the gateway or a container says little too")
def _(test):
    config = proxies(at5="x-forwarded-for") + '\n[home]\ngateways = ["192.168.1.1"]\n'
    play(test, config, *[told("X-Forwarded-For", named, PROXY, "unknown", named)
                         for named in (GATEWAY, "172.17.0.1")])


@case("origin-proxy-protocol", "the PROXY protocol ahead of the request, versions 1 and 2, with and without additions")
def _(test):
    named = lambda ahead, origin, visitor: Visit("192.168.1.8", origin, visitor, ahead=ahead, told=visitor)
    crc = struct.pack("!BHI", 3, 4, 0x1234)  # PP2_TYPE_CRC32C; nobody checks it here
    mapped = v1("TCP6", "::ffff:203.0.113.9", "::ffff:192.168.1.10", "50000", "80")
    play(test, proxies(at8="proxy-protocol"),
         named(v1("TCP4", OUTSIDE, "192.168.1.10", "50000", "80"), "outside", OUTSIDE),
         named(v1("TCP4", INSIDE, "192.168.1.10", "50000", "80"), "inside", INSIDE),
         named(v1("TCP6", OUTSIDE6, "fd00:1::10", "50000", "80"), "outside", OUTSIDE6),
         named(mapped, "outside", "203.0.113.9"),
         named(v2(OUTSIDE), "outside", OUTSIDE), named(v2(INSIDE), "inside", INSIDE),
         named(v2(OUTSIDE6, "fd00:1::10"), "outside", OUTSIDE6),
         named(v2(OUTSIDE, extra=crc * 20), "outside", OUTSIDE),
         named(v2("::ffff:203.0.113.9", "::ffff:192.168.1.10"), "outside", "203.0.113.9"))


@case("origin-proxy-protocol-keep-alive", "a PROXY header speaks for every request of its connection, also cut into bytes")
def _(test):
    test.files["canarytap.toml"] = proxies(at8="proxy-protocol")
    for number, header in enumerate((v1("TCP4", OUTSIDE, "192.168.1.10", "50000", "80"), v2(OUTSIDE))):
        flow = Flow(test.tape, ("192.168.1.8", 40001 + number)).open()
        for at in range(len(header)):
            flow.ask(header[at:at + 1])
        for fields in ((), ["X-Forwarded-For: 192.168.1.20"]):
            time = flow.ask(get(TARGET, fields=fields))
            flow.answer()
            kept = f"proxy-protocol: {OUTSIDE}; x-forwarded-for: 192.168.1.20" if fields else OUTSIDE
            Visit("192.168.1.8", "outside", OUTSIDE, told=kept).expect(test, flow, time)
        flow.close()


@case("origin-proxy-protocol-twice", "a PROXY header that the visitor wrote, behind that of the proxy: the first counts")
def _(test):
    first, forged = v1("TCP4", OUTSIDE, "192.168.1.10", "50000", "80"), v2(INSIDE)
    named = lambda ahead: Visit("192.168.1.8", "outside", OUTSIDE, ahead=ahead, told=OUTSIDE)
    local = v2(OUTSIDE, command=0)
    play(test, proxies(at8="proxy-protocol"), named(first + forged), named(first + first + forged),
         named(v2(OUTSIDE) + v1("TCP4", INSIDE, "192.168.1.10", "50000", "80")),
         Visit("192.168.1.8", "unknown", ahead=local + forged))


@case("origin-requests-of-several", "one connection of a trusted proxy carries requests of several visitors: each is judged by itself")
def _(test):
    test.files["canarytap.toml"] = proxies(at5="x-forwarded-for")
    flow = Flow(test.tape, (PROXY, 40001)).open()
    for visitor, origin in ((OUTSIDE, "outside"), (INSIDE, "inside"), (OUTSIDE6, "outside")):
        time = flow.ask(get(TARGET, fields=[f"X-Forwarded-For: {visitor}"]))
        flow.answer()
        Visit(PROXY, origin, visitor, told=visitor).expect(test, flow, time)
    time = flow.ask(get(TARGET))
    flow.answer()
    Visit(PROXY, "unknown").expect(test, flow, time)
    flow.close()
