//! `[capture]`

use toml::de::DeValue;

use crate::config::parse::values::{MIB, bytes, choice};
use crate::config::raw::{Document, Entry, Section, integer};
use crate::config::{CaptureConfig, Place, Responses};
use crate::engine::canary::PortSet;
use crate::engine::limits::MEMORY_BYTES_DEFAULT;

const RESPONSES: [(&str, Responses); 2] = [("all", Responses::All), ("heads", Responses::Heads)];

pub(super) fn capture(section: Option<Section<'_>>, doc: &mut Document<'_>) -> CaptureConfig {
    let mut config = CaptureConfig {
        interface: None,
        interface_place: Place::default(),
        ports: PortSet::Some(vec![80, 443, 8080]),
        buffer_bytes: 16 << 20,
        memory_bytes: MEMORY_BYTES_DEFAULT,
        responses: Responses::All,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some((name, place)) = interface(&mut section, doc) {
        config.interface = Some(name);
        config.interface_place = place;
    }
    if let Some(ports) = ports(&mut section, doc) {
        config.ports = ports;
    }
    if let Some(size) = memory(&mut section, "buffer", 1024 * MIB, doc) {
        config.buffer_bytes = size;
    }
    if let Some(size) = memory(&mut section, "memory", 2048 * MIB, doc) {
        config.memory_bytes = size;
    }
    if let Some(choice) = choice(&mut section, "responses", &RESPONSES, doc) {
        config.responses = choice;
    }
    section.refuse_unknown(doc);
    config
}

/// The name of an interface; whether there is one is asked when it matters.
fn interface(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<(String, Place)> {
    let (name, entry) = section.string("interface", doc)?;
    // IFNAMSIZ is 16 with its final zero
    let good = (1..16).contains(&name.len())
        && !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if !good {
        let rule = "must be the name of a network interface, as `ip link` shows it";
        doc.wrong("capture.interface", entry, rule);
        return None;
    }
    Some((name.to_owned(), doc.place_of(entry)))
}

fn memory(
    section: &mut Section<'_>,
    key: &'static str,
    max: u64,
    doc: &mut Document<'_>,
) -> Option<usize> {
    let bytes = bytes(section, key, (MIB, max), doc)?;
    usize::try_from(bytes).ok()
}

fn ports(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<PortSet> {
    let entry = section.take("ports")?;
    match entry.value.get_ref() {
        DeValue::String(text) if &**text == "all" => Some(PortSet::All),
        DeValue::Array(array) if !array.is_empty() => {
            let ports = array.iter().filter_map(|value| port(Entry { value }, doc));
            let mut ports: Vec<u16> = ports.collect();
            ports.sort_unstable();
            ports.dedup();
            Some(PortSet::Some(ports))
        }
        _ => {
            doc.wrong("capture.ports", entry, PORTS_RULE);
            None
        }
    }
}

fn port(entry: Entry<'_>, doc: &mut Document<'_>) -> Option<u16> {
    let port = integer(entry).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port > 0);
    if port.is_none() {
        doc.wrong("capture.ports", entry, PORTS_RULE);
    }
    port
}

const PORTS_RULE: &str = "must be a list of ports from 1 to 65535, or \"all\"";
