//! The interface: named, there, up; what its card does to frames.

use std::net::IpAddr;

use crate::capture::{LinkState, LinkWatcher, link};
use crate::config::{Config, networks};
use crate::doctor::point::Point;

/// What was found of the configured interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// As it is named; None while the configuration names none.
    pub(super) name: Option<String>,
    /// None where there is no such interface; never there for `any`.
    pub(super) state: Option<LinkState>,
    pub(super) addresses: Vec<IpAddr>,
    /// What its card does to frames; None where the kernel does not say.
    pub(super) features: Option<Vec<String>>,
    /// The interfaces that there are.
    pub(super) others: Vec<String>,
    /// Where it is named.
    pub(super) place: String,
}

impl Interface {
    pub(super) fn look(config: &Config) -> Self {
        let name = config.capture.interface.clone();
        let watcher = name.as_deref().and_then(LinkWatcher::new);
        let state = watcher.and_then(|watcher| watcher.look());
        let there = name.as_deref().filter(|_| state.is_some());
        let line = config.capture.interface_place.line;
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        Self {
            state,
            addresses: there.map(link::addresses).unwrap_or_default(),
            features: there.and_then(link::features_on),
            others: networks::interfaces().unwrap_or_default(),
            place: format!("{}{line}", config.path.display()),
            name,
        }
    }

    pub(super) fn points(&self) -> [Point; 2] {
        let Some(name) = &self.name else {
            return [INTERFACE, OFFLOADS].map(|point| {
                Point::not_looked_at(point, "no interface is named", "see the point config")
            });
        };
        if name == ANY {
            return Self::points_of_all();
        }
        [self.interface(name), self.offloads(name)]
    }

    fn points_of_all() -> [Point; 2] {
        [
            Point::ok(
                INTERFACE,
                "any: all interfaces together; frames for other machines, as a mirror port brings \
                 them, come in only where something else has made an interface promiscuous",
            ),
            Point::not_looked_at(
                OFFLOADS,
                "any is no single interface",
                "name the interface on the mirror port under [capture]",
            ),
        ]
    }

    fn interface(&self, name: &str) -> Point {
        let Some(state) = self.state else {
            return Point::failed(
                INTERFACE,
                format!("there is no interface {name} ({})", self.place),
                format!(
                    "name one of these under [capture]: {}",
                    self.others.join(", ")
                ),
            );
        };
        if !state.enabled {
            return Point::failed(
                INTERFACE,
                format!("{name} is down"),
                format!("sudo ip link set {name} up; README, step 6, brings it up at every boot"),
            );
        }
        if !state.up {
            return Point::failed(
                INTERFACE,
                format!("{name} has no carrier: no cable, or nothing at its other end"),
                "plug the cable into the switch's mirror port, and see that the port is enabled",
            );
        }
        self.with_addresses(name)
    }

    /// A tap needs none, and with one it can be seen on the wire that it watches.
    fn with_addresses(&self, name: &str) -> Point {
        let seen_by_others = |address: &&IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        };
        let addresses = self.addresses.iter().filter(seen_by_others);
        let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
        if addresses.is_empty() {
            return Point::ok(
                INTERFACE,
                format!("{name} is up, has a carrier, and no address that others see"),
            );
        }
        Point::warning(
            INTERFACE,
            format!(
                "{name} is up, has a carrier, and the address {}: it can be seen and reached",
                addresses.join(" and ")
            ),
            format!(
                "on a mirror port take it away (nmcli connection modify mirror ipv4.method \
                 disabled ipv6.method disabled); it is right if {name} is this machine's own line"
            ),
        )
    }

    fn offloads(&self, name: &str) -> Point {
        if self.state.is_none() {
            return Point::not_looked_at(OFFLOADS, NOT_THERE, "see the point interface");
        }
        let Some(features) = &self.features else {
            return Point::not_looked_at(
                OFFLOADS,
                "the kernel does not say what the card does to frames",
                format!("ethtool -k {name}"),
            );
        };
        let on = |wanted: &[&str]| -> Vec<String> {
            let found = features
                .iter()
                .filter(|name| wanted.contains(&name.as_str()));
            found.cloned().collect()
        };
        let merging = on(&MERGING);
        if !merging.is_empty() {
            return Point::warning(
                OFFLOADS,
                format!(
                    "the card of {name} merges packets before they are seen ({}): requests are \
                     read, but packets are not as they were on the wire",
                    merging.join(", ")
                ),
                format!("sudo ethtool -K {name} lro off rx-gro-hw off"),
            );
        }
        let harmless = on(&HARMLESS);
        let found = match harmless.as_slice() {
            [] => format!("the card of {name} leaves frames as they are"),
            on => format!("nothing that loses a byte ({})", on.join(", ")),
        };
        Point::ok(OFFLOADS, found)
    }
}

const INTERFACE: &str = "interface";
const OFFLOADS: &str = "offloads";
const NOT_THERE: &str = "there is no such interface";
/// libpcap's name for all interfaces together.
const ANY: &str = "any";

/// What a card does so that the packets of a stream cannot be had back as they were.
const MERGING: [&str; 2] = ["rx-lro", "rx-gro-hw"];
/// What can be undone: the kernel joins only segments that it could cut again the same way, and
/// libpcap puts a VLAN tag back that the card has taken off.
const HARMLESS: [&str; 3] = ["rx-gro", "rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::point::State;

    fn eth1(enabled: bool, up: bool) -> Interface {
        Interface {
            name: Some("eth1".into()),
            state: Some(LinkState {
                enabled,
                up,
                ..LinkState::default()
            }),
            features: Some(vec!["rx-gro".into(), "tx-nocache-copy".into()]),
            others: vec!["eth0".into(), "eth1".into()],
            place: "canarytap.toml:2".into(),
            ..Interface::default()
        }
    }

    fn states(interface: &Interface) -> [State; 2] {
        interface.points().map(|point| point.state)
    }

    #[test]
    fn an_interface_that_is_up_without_an_address_is_as_it_should_be() {
        assert_eq!(states(&eth1(true, true)), [State::Ok, State::Ok]);
        let link_local = Interface {
            addresses: vec!["fe80::1".parse().unwrap()],
            ..eth1(true, true)
        };
        assert_eq!(states(&link_local), [State::Ok, State::Ok]);
    }

    #[test]
    fn down_and_without_a_cable_are_two_failures() {
        let [down, _] = eth1(false, false).points();
        assert_eq!(down.state, State::Failed);
        assert!(down.cure.unwrap().contains("ip link set eth1 up"));
        let [unplugged, _] = eth1(true, false).points();
        assert_eq!(unplugged.state, State::Failed);
        assert!(unplugged.found.contains("no carrier"));
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_with_place_and_with_those_that_are() {
        let gone = Interface {
            state: None,
            ..eth1(true, true)
        };
        let [point, offloads] = gone.points();
        assert_eq!(point.state, State::Failed);
        assert!(point.found.contains("canarytap.toml:2"), "{}", point.found);
        assert!(point.cure.unwrap().contains("eth0"));
        assert_eq!(offloads.state, State::NotLookedAt);
    }

    #[test]
    fn an_address_is_a_warning() {
        let seen = Interface {
            addresses: vec!["192.168.1.9".parse().unwrap()],
            ..eth1(true, true)
        };
        let [point, _] = seen.points();
        assert_eq!(point.state, State::Warning);
        assert!(point.found.contains("192.168.1.9"));
    }

    #[test]
    fn a_card_that_merges_packets_is_a_warning() {
        let merging = Interface {
            features: Some(vec!["rx-lro".into()]),
            ..eth1(true, true)
        };
        let [_, point] = merging.points();
        assert_eq!(point.state, State::Warning);
        assert!(point.cure.unwrap().contains("lro off"));
        let silent = Interface {
            features: None,
            ..eth1(true, true)
        };
        assert_eq!(states(&silent)[1], State::NotLookedAt);
    }

    #[test]
    fn without_a_name_nothing_can_be_looked_at() {
        let unnamed = Interface::default();
        assert_eq!(states(&unnamed), [State::NotLookedAt; 2]);
    }
}
