"""One connection in several networks, and several connections under the same addresses."""

from . import wire
from .case import case
from .flow import Flow, get


def tagged(vlan, to_server=True):
    def wrap(packet):
        body, kind = wire.tags(packet, (wire.VLAN, vlan))
        return wire.ethernet(body, kind, to_server=to_server)

    return wrap


class TwoWays(Flow):
    """Each side's packets in frames of its own kind."""

    wraps = {}

    def send(self, side, data=b"", flags="A", **fields):
        self.how = {"wrap": self.wraps[side.name]}
        return super().send(side, data, flags, **fields)


@case("tcp-vlan-one-way", "the visitor's frames are tagged, the server's are not")
def _(test):
    flow = TwoWays(test.tape)
    flow.wraps = {"visitor": tagged(10), "server": wire.ethernet}
    test.visit(flow=flow, target="/one-way", status="404 Not Found", vlan=10)


@case("tcp-vlan-each-way", "a router on a stick: the two directions are seen in two VLANs")
def _(test):
    flow = TwoWays(test.tape)
    flow.wraps = {"visitor": tagged(10), "server": tagged(20)}
    test.visit(flow=flow, target="/each-way", status="404 Not Found", vlan=10)


@case("tcp-tunnel-each-way", "the two directions are seen in two VXLAN networks")
def _(test):
    def inside(vni):
        return lambda packet: wire.ethernet(wire.ip(
            wire.udp(wire.vxlan(wire.ethernet(packet), vni), "10.9.9.1", "10.9.9.2", (50000, 4789)),
            "10.9.9.1", "10.9.9.2", wire.UDP))

    flow = TwoWays(test.tape)
    flow.wraps = {"visitor": inside(5001), "server": inside(5002)}
    test.visit(flow=flow, target="/each-way", status="404 Not Found")


class Twice(Flow):
    """Each packet is seen twice: by `first`, then by `second`, which makes frames of packets."""

    def send(self, side, data=b"", flags="A", **fields):
        packet = self.packet(side, data, flags, **fields)
        time = self.put(packet, wrap=self.first)
        self.put(self.routed(side, data, flags, fields), wrap=self.second)
        side.seq += len(data) + ("S" in flags) + ("F" in flags)
        return time

    def routed(self, side, data, flags, fields):
        return self.packet(side, data, flags, ip={"ttl": 64 - self.hops}, **fields)


@case("tcp-vlan-routed", "each packet is seen in two VLANs, before and behind a router: one request")
def _(test):
    flow = Twice(test.tape)
    flow.first, flow.second, flow.hops = tagged(10), tagged(20, to_server=False), 1
    flow.open()
    first = flow.ask(get("/routed"))
    flow.answer(status="404 Not Found")
    second = flow.ask(get("/again"))
    flow.answer()
    flow.close()
    test.expect(flow, first, target="/routed", status=404, vlan=10)
    test.expect(flow, second, target="/again", vlan=10)


@case("tcp-vlan-trunk-and-access", "each packet is seen with its tag and without: one request")
def _(test):
    flow = Twice(test.tape)
    flow.first, flow.second, flow.hops = tagged(10), wire.ethernet, 0
    test.visit(flow=flow, target="/both", vlan=10)


@case("tcp-vlan-equal-addresses", "two VLANs with the same addresses, ports and numbers: two requests")
def _(test):
    flows = [Flow(test.tape, wrap=tagged(vlan)) for vlan in (10, 20)]
    for step in range(3):
        for flow in flows:
            side, flags = ((flow.visitor, "S"), (flow.server, "SA"), (flow.visitor, "A"))[step]
            flow.send(side, flags=flags)
    times = [flow.ask(get(f"/vlan/{number}")) for number, flow in enumerate(flows)]
    for number, (flow, time) in enumerate(zip(flows, times)):
        flow.answer(status=f"40{number} Error")
        test.expect(flow, time, target=f"/vlan/{number}", status=400 + number, vlan=(10, 20)[number])


@case("tcp-vlan-equal-addresses-midstream", "the same from the middle, one after the other")
def _(test):
    for number, vlan in enumerate((10, 20)):
        flow = Flow(test.tape, wrap=tagged(vlan), isn=(1000 + 2**28 * number, 90000 + 2**28 * number))
        time = flow.ask(get(f"/vlan/{number}"))
        flow.answer(status=f"40{number} Error")
        test.expect(flow, time, target=f"/vlan/{number}", status=400 + number, vlan=vlan, flags=["midstream"])
