//! What this machine knows of its own networks: interfaces, prefixes, routers.
//!
//! Read from files of the kernel; the readers of their text are pure and tested apart.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The names of this machine's interfaces, sorted.
///
/// # Errors
/// When `/sys/class/net` cannot be read.
pub fn interfaces() -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Networks that this machine is directly connected to. What cannot be read is left out: private
/// ranges count as home in any case.
pub fn own_prefixes() -> Vec<IpNet> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut prefixes = connected_v4(&v4);
    prefixes.extend(own_v6(&v6));
    prefixes
}

/// The routers that this machine sends through.
pub fn gateways() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let mut found = gateways_v4(&v4);
    found.extend(gateways_v6(&v6));
    found.sort();
    found.dedup();
    found
}

/// One row of `/proc/net/route`: numbers are hexadecimal in the machine's byte order.
struct RouteV4 {
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    mask: Ipv4Addr,
}

fn routes_v4(text: &str) -> impl Iterator<Item = RouteV4> + '_ {
    text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| {
            let number = u32::from_str_radix(columns.get(at)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        Some(RouteV4 {
            destination: address(1)?,
            gateway: address(2)?,
            mask: address(7)?,
        })
    })
}

fn connected_v4(text: &str) -> Vec<IpNet> {
    routes_v4(text)
        .filter(|route| route.gateway.is_unspecified() && !route.mask.is_unspecified())
        .filter_map(|route| Ipv4Net::with_netmask(route.destination, route.mask).ok())
        .map(IpNet::V4)
        .collect()
}

fn gateways_v4(text: &str) -> Vec<IpAddr> {
    routes_v4(text)
        .filter(|route| !route.gateway.is_unspecified())
        .map(|route| IpAddr::V4(route.gateway))
        .collect()
}

fn address_v6(hex: &str) -> Option<Ipv6Addr> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then(|| Ipv6Addr::from(number))
}

/// `/proc/net/if_inet6`: address, interface number, prefix length, …
fn own_v6(text: &str) -> Vec<IpNet> {
    text.lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let address = address_v6(columns.next()?)?;
            let length = u8::from_str_radix(columns.nth(1)?, 16).ok()?;
            Some(IpNet::V6(Ipv6Net::new(address, length).ok()?.trunc()))
        })
        .collect()
}

/// `/proc/net/ipv6_route`: destination, its length, source, its length, next hop, …
fn gateways_v6(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| address_v6(line.split_whitespace().nth(4)?))
        .filter(|address| !address.is_unspecified())
        .map(IpAddr::V6)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn connected_networks_and_the_router_are_told_apart() {
        assert_eq!(connected_v4(ROUTE), ["192.168.1.0/24".parse().unwrap()]);
        assert_eq!(
            gateways_v4(ROUTE),
            ["192.168.1.1".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn own_ipv6_prefixes_are_cut_to_their_length() {
        let text = "20010db8000000010000000000000010 02 40 00 80     eth0\n";
        assert_eq!(own_v6(text), ["2001:db8:0:1::/64".parse().unwrap()]);
    }

    #[test]
    fn text_that_is_no_table_gives_nothing() {
        assert!(connected_v4("x\ny z\n").is_empty());
        assert!(own_v6("zz").is_empty());
        assert!(gateways_v6("").is_empty());
    }
}
