//! `[home]`

use ipnet::IpNet;

use crate::config::HomeConfig;
use crate::config::parse::values::{addresses, networks};
use crate::config::raw::{Document, Entry, Section, nearest};
use crate::engine::canary::{ProxyHeader, TrustedProxy, proxy_fields};

pub(super) fn home(section: Option<Section<'_>>, doc: &mut Document<'_>) -> HomeConfig {
    let mut config = HomeConfig {
        auto: true,
        networks: Vec::new(),
        public: Vec::new(),
        gateways: Vec::new(),
        proxies: Vec::new(),
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(texts) = section.texts("networks", doc) {
        config.auto = texts.iter().any(|(text, _)| *text == "auto");
        let named = texts.into_iter().filter(|(text, _)| *text != "auto");
        config.networks = networks("home.networks", named, doc);
    }
    config.public = addresses(&mut section, "public", doc);
    config.gateways = addresses(&mut section, "gateways", doc);
    for section in section.sections("proxy", doc) {
        let proxy = proxy(section, &config.proxies, doc);
        config.proxies.extend(proxy);
    }
    section.refuse_unknown(doc);
    config
}

fn proxy(
    mut section: Section<'_>,
    before: &[TrustedProxy],
    doc: &mut Document<'_>,
) -> Option<TrustedProxy> {
    let networks = proxy_networks(&mut section, before, doc);
    let header =
        section.required_string("header", "must name the one header that is believed", doc);
    let header = header.and_then(|(name, entry)| proxy_header(name, entry, doc));
    section.refuse_unknown(doc);
    Some(TrustedProxy {
        networks: networks?,
        header: header?,
    })
}

fn proxy_networks(
    section: &mut Section<'_>,
    before: &[TrustedProxy],
    doc: &mut Document<'_>,
) -> Option<Vec<IpNet>> {
    let key = section.path("networks");
    let texts = section.texts("networks", doc).unwrap_or_default();
    if texts.is_empty() {
        let rule = "must name the addresses that the proxy speaks from";
        doc.missing(&key, Some(section.line), rule);
        return None;
    }
    let mut good = Vec::new();
    for (text, entry) in texts {
        for network in networks(&key, [(text, entry)], doc) {
            match objection(network, before) {
                Some(rule) => doc.wrong(&key, entry, rule),
                None => good.push(network),
            }
        }
    }
    Some(good)
}

/// What speaks against trusting a network.
fn objection(network: IpNet, before: &[TrustedProxy]) -> Option<String> {
    if network.prefix_len() == 0 {
        return Some("would let everyone name himself: write the proxy's own addresses".into());
    }
    let other = before
        .iter()
        .flat_map(|proxy| &proxy.networks)
        .find(|other| other.contains(&network) || network.contains(*other))?;
    Some(format!(
        "overlaps with \"{other}\" of a [[home.proxy]] before it: each proxy has one header"
    ))
}

fn proxy_header(name: &str, entry: Entry<'_>, doc: &mut Document<'_>) -> Option<ProxyHeader> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "x-forwarded-for" => return Some(ProxyHeader::XForwardedFor),
        "forwarded" => return Some(ProxyHeader::Forwarded),
        "proxy-protocol" => return Some(ProxyHeader::ProxyProtocol),
        _ => {}
    }
    if name.is_empty() || !name.bytes().all(token) {
        let rule = "must be the name of a header field, or proxy-protocol";
        doc.wrong("home.proxy.header", entry, rule);
        return None;
    }
    let known = || proxy_fields().iter().copied().chain(["proxy-protocol"]);
    if let Some(near) = nearest(&name, known()).filter(|near| *near != name) {
        let rule = format!("is no header that proxies are known to write; did you mean {near}?");
        doc.wrong("home.proxy.header", entry, rule);
        return None;
    }
    Some(ProxyHeader::Single(name))
}
