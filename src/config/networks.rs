//! What this machine knows of its own networks: interfaces, prefixes, routers.
//!
//! Read from tables of the kernel, of the network namespace that this process is in. What cannot
//! be read is left out: then fewer addresses are inside, and an alert too many comes rather than
//! one too few.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The names of this machine's interfaces, sorted.
///
/// # Errors
/// When `/proc/net/dev` cannot be read.
pub fn interfaces() -> io::Result<Vec<String>> {
    let mut names = interface_names(&fs::read_to_string("/proc/net/dev")?);
    names.sort();
    Ok(names)
}

/// This machine's place in its networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNetworks {
    /// Its own addresses and the networks that they lie in.
    pub home: Vec<IpNet>,
    /// Those of them that belong to containers.
    pub containers: Vec<IpNet>,
    /// The routers that it sends through.
    pub gateways: Vec<IpAddr>,
}

impl OwnNetworks {
    /// Reads the kernel's tables.
    pub fn read() -> Self {
        let table = |path| fs::read_to_string(path).unwrap_or_default();
        Self::of(&Tables {
            route: table("/proc/net/route"),
            fib_trie: table("/proc/net/fib_trie"),
            if_inet6: table("/proc/net/if_inet6"),
            ipv6_route: table("/proc/net/ipv6_route"),
        })
    }

    fn of(tables: &Tables) -> Self {
        let v4 = routes_v4(&tables.route);
        let v6 = routes_v6(&tables.ipv6_route);
        let own = tables.own_addresses();
        let mut networks = Self::default();
        for route in v4.iter().chain(&v6) {
            match route.gateway {
                Some(gateway) => networks.gateways.push(gateway),
                None if route.is_of_a_home(&own) => networks.add(route.network, &route.interface),
                None => {}
            }
        }
        for own in &own {
            let interface = match own.interface.as_str() {
                "" => interface_of(own.address, &v4),
                known => known,
            };
            networks.add(IpNet::from(own.address), interface);
        }
        networks.sort();
        networks
    }

    fn add(&mut self, network: IpNet, interface: &str) {
        if is_of_containers(interface) {
            self.containers.push(network);
        } else {
            self.home.push(network);
        }
    }

    fn sort(&mut self) {
        self.home = IpNet::aggregate(&self.home);
        self.containers = IpNet::aggregate(&self.containers);
        self.gateways.sort();
        self.gateways.dedup();
    }
}

/// The text of the kernel's tables.
#[derive(Default)]
struct Tables {
    route: String,
    fib_trie: String,
    if_inet6: String,
    ipv6_route: String,
}

impl Tables {
    fn own_addresses(&self) -> Vec<OwnAddress> {
        let mut own = addresses_v6(&self.if_inet6);
        own.extend(addresses_v4(&self.fib_trie));
        own.retain(|own| !own.address.is_loopback());
        own
    }
}

/// An address of this machine.
struct OwnAddress {
    address: IpAddr,
    /// Its interface; empty where the table does not say.
    interface: String,
}

/// A row of a routing table.
struct Route {
    interface: String,
    network: IpNet,
    /// None: the network is on the link.
    gateway: Option<IpAddr>,
}

impl Route {
    /// A network on the link is this machine's own when one of its addresses lies there. Tunnels
    /// put half the internet on theirs: what is so wide is nobody's home.
    fn is_of_a_home(&self, own: &[OwnAddress]) -> bool {
        let narrow = match self.network {
            IpNet::V4(network) => network.prefix_len() >= V4_PREFIX_MIN,
            IpNet::V6(network) => network.prefix_len() >= V6_PREFIX_MIN,
        };
        narrow && own.iter().any(|own| self.network.contains(&own.address))
    }
}

/// The interface on whose link an address lies; empty when none is known.
fn interface_of(address: IpAddr, routes: &[Route]) -> &str {
    routes
        .iter()
        .filter(|route| route.gateway.is_none() && route.network.contains(&address))
        .max_by_key(|route| route.network.prefix_len())
        .map_or("", |route| &route.interface)
}

const V4_PREFIX_MIN: u8 = 16;
/// The widest that providers hand to a home (RFC 6177).
const V6_PREFIX_MIN: u8 = 48;

/// Whether an interface leads to containers of this machine, by the names that their engines give.
fn is_of_containers(interface: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "docker", "veth", "podman", "cni", "flannel", "cali", "lxcbr", "lxdbr",
    ];
    let bridge = interface.strip_prefix("br-").is_some_and(|id| {
        id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) // Docker's own networks
    });
    bridge || PREFIXES.iter().any(|prefix| interface.starts_with(prefix))
}

/// `/proc/net/dev`: two lines of headings, then `name: numbers`.
fn interface_names(text: &str) -> Vec<String> {
    text.lines()
        .skip(2)
        .filter_map(|line| Some(line.rsplit_once(':')?.0.trim().to_owned()))
        .collect()
}

/// `/proc/net/route`: interface, destination, gateway, …, mask in column 7; numbers are
/// hexadecimal in the machine's byte order.
fn routes_v4(text: &str) -> Vec<Route> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| {
            let number = u32::from_str_radix(columns.get(at)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let gateway = address(2)?;
        Some(Route {
            interface: (*columns.first()?).to_owned(),
            network: Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?.into(),
            gateway: (!gateway.is_unspecified()).then_some(gateway.into()),
        })
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// `/proc/net/ipv6_route`: destination, its length, source, its length, next hop, …, interface
/// last.
fn routes_v6(text: &str) -> Vec<Route> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let length = u8::from_str_radix(columns.get(1)?, 16).ok()?;
        let gateway = address_v6(columns.get(4)?)?;
        let destination = address_v6(columns.first()?)?;
        Some(Route {
            interface: (*columns.last()?).to_owned(),
            network: Ipv6Net::new(destination, length).ok()?.into(),
            gateway: (!gateway.is_unspecified()).then_some(gateway.into()),
        })
    };
    text.lines().filter_map(row).collect()
}

/// `/proc/net/fib_trie`: `|-- address`, and below it `/32 host LOCAL` when it is this machine's.
fn addresses_v4(text: &str) -> Vec<OwnAddress> {
    let mut leaf: Option<IpAddr> = None;
    let mut own: Vec<IpAddr> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            own.extend(leaf);
        }
    }
    own.sort();
    own.dedup(); // each table of the kernel lists it
    own.into_iter()
        .map(|address| OwnAddress {
            address,
            interface: String::new(),
        })
        .collect()
}

/// `/proc/net/if_inet6`: address, interface number, prefix length, …, interface.
fn addresses_v6(text: &str) -> Vec<OwnAddress> {
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        Some(OwnAddress {
            address: address_v6(columns.next()?)?.into(),
            interface: columns.last()?.to_owned(),
        })
    };
    text.lines().filter_map(row).collect()
}

fn address_v6(hex: &str) -> Option<Ipv6Addr> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then(|| Ipv6Addr::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
        wg0\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    const FIB_TRIE: &str = "Local:\n  +-- 0.0.0.0/0 3 0 5\n\
        \x20    |-- 127.0.0.1\n        /32 host LOCAL\n\
        \x20    |-- 192.168.1.9\n        /32 host LOCAL\n\
        \x20    |-- 172.17.0.1\n        /32 host LOCAL\n\
        \x20    |-- 192.168.1.255\n        /32 link BROADCAST\n";

    const IF_INET6: &str = "\
        20010db8000000010000000000000010 02 40 00 80     eth0\n\
        fe800000000000000000000000000001 02 40 20 80     eth0\n\
        00000000000000000000000000000001 01 80 10 80       lo\n";

    const IPV6_ROUTE: &str = "\
        20010db8000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
        20010db8000000020000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     wg0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe8000000000000000000000000000fe 00000400 00000002 00000000 00000003     eth0\n";

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn own_networks_containers_and_routers_are_told_apart() {
        let own = OwnNetworks::of(&Tables {
            route: ROUTE.into(),
            fib_trie: FIB_TRIE.into(),
            ..Tables::default()
        });
        assert_eq!(own.home, networks(&["192.168.1.0/24"]));
        assert_eq!(own.containers, networks(&["172.17.0.0/16"]));
        assert_eq!(own.gateways, ["192.168.1.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_a_tunnel_puts_on_its_link_is_no_home() {
        let own = OwnNetworks::of(&Tables {
            route: ROUTE.into(),
            fib_trie: FIB_TRIE.into(),
            ..Tables::default()
        });
        let visitor: IpAddr = "203.0.113.9".parse().unwrap();
        let half: IpAddr = "8.8.8.8".parse().unwrap();
        for network in own.home {
            assert!(!network.contains(&visitor), "{network}");
            assert!(!network.contains(&half), "{network}");
        }
    }

    #[test]
    fn an_own_ipv6_prefix_is_the_route_that_an_own_address_lies_in() {
        let own = OwnNetworks::of(&Tables {
            if_inet6: IF_INET6.into(),
            ipv6_route: IPV6_ROUTE.into(),
            ..Tables::default()
        });
        assert_eq!(own.home, networks(&["2001:db8:0:1::/64", "fe80::1/128"]));
        assert_eq!(own.gateways, ["fe80::fe".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn interfaces_are_read_from_the_table_of_this_namespace() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0: 3 4\neth0:1: 5 6\n";
        assert_eq!(interface_names(text), ["lo", "eth0", "eth0:1"]);
    }

    #[test]
    fn bridges_of_container_engines_are_known_by_name() {
        for name in ["docker0", "br-0123456789ab", "veth12ab", "podman0", "cni0"] {
            assert!(is_of_containers(name), "{name}");
        }
        for name in ["eth0", "br-lan", "br0", "wlan0", "br-0123456789zz", ""] {
            assert!(!is_of_containers(name), "{name}");
        }
    }

    #[test]
    fn text_that_is_no_table_gives_nothing() {
        let rubbish = "x\ny z\n|-- q\n/32 host LOCAL\nzz 40\n";
        let own = OwnNetworks::of(&Tables {
            route: rubbish.into(),
            fib_trie: rubbish.into(),
            if_inet6: rubbish.into(),
            ipv6_route: rubbish.into(),
        });
        assert_eq!(own, OwnNetworks::default());
    }
}
