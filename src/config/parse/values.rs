//! Values that more than one table has.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::raw::{Document, Entry, Section};
use crate::config::units::{parse_bytes, parse_words};

pub(super) const MIB: u64 = 1 << 20;
const ABSOLUTE: &str = "must be an absolute path, beginning with /";

/// A size with its unit, from `min` to `max` bytes.
pub(super) fn bytes(
    section: &mut Section<'_>,
    key: &'static str,
    (min, max): (u64, u64),
    doc: &mut Document<'_>,
) -> Option<u64> {
    let entry = section.take(key)?;
    let found = match entry.value.get_ref() {
        DeValue::String(text) => parse_bytes(text),
        _ => None,
    };
    let found = found.filter(|bytes| (min..=max).contains(bytes));
    if found.is_none() {
        let rule = format!(
            "must be a size in quotes from {}MiB to {}MiB, such as \"16MiB\"",
            min / MIB,
            max / MIB
        );
        doc.wrong(&section.path(key), entry, rule);
    }
    found
}

/// One of several names.
pub(super) fn choice<T: Copy>(
    section: &mut Section<'_>,
    key: &'static str,
    choices: &[(&str, T)],
    doc: &mut Document<'_>,
) -> Option<T> {
    let (text, entry) = section.string(key, doc)?;
    let found = choices.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let rule = format!("must be one of: {}", names.join(", "));
        doc.wrong(&section.path(key), entry, rule);
    }
    found.map(|(_, value)| *value)
}

/// Networks in CIDR notation.
pub(super) fn networks<'a>(
    key: &str,
    texts: impl IntoIterator<Item = (&'a str, Entry<'a>)>,
    doc: &mut Document<'_>,
) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (text, entry) in texts {
        match network(text) {
            Ok(network) => networks.push(network),
            Err(rule) => doc.wrong(key, entry, rule),
        }
    }
    networks
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let host = IpNet::from(address);
        return Err(format!(
            "must say how long its prefix is: \"{host}\" for this address alone"
        ));
    }
    let network: IpNet = text.parse().map_err(|_| {
        "must be a network such as \"192.168.1.0/24\" or \"2001:db8::/48\"".to_owned()
    })?;
    if network != network.trunc() {
        let right = network.trunc();
        return Err(format!(
            "has bits set behind its prefix: the network is \"{right}\""
        ));
    }
    Ok(network)
}

/// A list of addresses; empty when the key is not there.
pub(super) fn addresses(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Vec<IpAddr> {
    let path = section.path(key);
    let mut addresses = Vec::new();
    for (text, entry) in section.texts(key, doc).unwrap_or_default() {
        match text.parse::<IpAddr>() {
            Ok(address) => addresses.push(address.to_canonical()),
            Err(_) => doc.wrong(&path, entry, "must be an IPv4 or IPv6 address"),
        }
    }
    addresses
}

/// A file or directory by its absolute path.
pub(super) fn path(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Option<PathBuf> {
    let (text, entry) = section.string(key, doc)?;
    if !text.starts_with('/') {
        doc.wrong(&section.path(key), entry, ABSOLUTE);
        return None;
    }
    Some(PathBuf::from(text))
}

/// A list of absolute paths, each named once; empty when the key is not there.
pub(super) fn paths(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Vec<PathBuf> {
    let name = section.path(key);
    let mut paths: Vec<PathBuf> = Vec::new();
    for (text, entry) in section.texts(key, doc).unwrap_or_default() {
        let path = PathBuf::from(text);
        if !path.is_absolute() {
            doc.wrong(&name, entry, ABSOLUTE);
        } else if paths.contains(&path) {
            doc.wrong(&name, entry, "is named twice: leave one of the two");
        } else {
            paths.push(path);
        }
    }
    paths
}

/// Words of the owner's: something, on one line.
pub(super) fn words(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Option<String> {
    let (text, entry) = section.string(key, doc)?;
    parse_words(text)
        .map_err(|rule| doc.wrong(&section.path(key), entry, rule))
        .ok()
}
