use proptest::prelude::*;

use super::*;
use crate::canary::{container_ranges, private_ranges};

const VISITOR: &str = "203.0.113.9";
const LAPTOP: &str = "192.168.1.50";
const PROXY: &str = "192.168.1.5";
const GATEWAY: &str = "192.168.1.1";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn proxy(network: &str, header: ProxyHeader) -> TrustedProxy {
    TrustedProxy {
        networks: vec![network.parse().unwrap()],
        header,
    }
}

/// Private ranges, a public IPv6 prefix, a hairpin address, a gateway, no proxies.
fn home() -> Home {
    let mut networks = private_ranges();
    networks.push("2001:db8:1::/56".parse().unwrap());
    Home {
        networks,
        public: vec![address("198.51.100.7")],
        proxies: Vec::new(),
        gateways: vec![address(GATEWAY)],
        containers: container_ranges(),
    }
}

fn behind(header: ProxyHeader) -> Home {
    Home {
        proxies: vec![proxy("192.168.1.5/32", header)],
        ..home()
    }
}

fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<HeaderField<'a>> {
    lines
        .iter()
        .map(|(name, value)| HeaderField {
            name: name.as_bytes(),
            value: value.as_bytes().into(),
        })
        .collect()
}

fn judge(home: &Home, src: &str, lines: &[(&str, &str)]) -> Judgement {
    claiming(home, src, lines, true)
}

/// The same for a head whose end was not read.
fn judge_unread(home: &Home, src: &str, lines: &[(&str, &str)]) -> Judgement {
    claiming(home, src, lines, false)
}

fn claiming(home: &Home, src: &str, lines: &[(&str, &str)], complete: bool) -> Judgement {
    let claims = Claims {
        proxied_for: None,
        fields: &fields(lines),
        complete,
        tunnelled: false,
    };
    home.judge(address(src), &claims)
}

/// Behind a PROXY header.
fn judge_proxied(home: &Home, src: &str, visitor: &str) -> Judgement {
    let claims = Claims {
        proxied_for: Some(address(visitor)),
        fields: &[],
        complete: true,
        tunnelled: false,
    };
    home.judge(address(src), &claims)
}

/// Origin and client.
fn judged(home: &Home, src: &str, lines: &[(&str, &str)]) -> (Origin, String) {
    let judgement = judge(home, src, lines);
    (judgement.origin, judgement.client.to_string())
}

#[test]
fn addresses_of_the_home_are_inside_and_others_outside() {
    for (src, origin) in [
        (LAPTOP, Origin::Inside),
        ("10.1.2.3", Origin::Inside),
        ("100.64.0.9", Origin::Inside),
        ("127.0.0.1", Origin::Inside),
        ("fe80::1", Origin::Inside),
        ("fd00::1", Origin::Inside),
        ("2001:db8:1:ff::9", Origin::Inside),
        (VISITOR, Origin::Outside),
        ("2001:db8:2::9", Origin::Outside),
        ("172.32.0.1", Origin::Outside),
    ] {
        assert_eq!(judged(&home(), src, &[]), (origin, src.into()), "{src}");
    }
}

#[test]
fn an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address() {
    let mapped = "::ffff:192.168.1.50";
    assert_eq!(
        judged(&home(), mapped, &[]),
        (Origin::Inside, LAPTOP.into())
    );
    let outside = judged(&home(), "::ffff:203.0.113.9", &[]);
    assert_eq!(outside, (Origin::Outside, VISITOR.into()));
}

#[test]
fn the_homes_own_public_address_is_inside() {
    let hairpin = judged(&home(), "198.51.100.7", &[]);
    assert_eq!(hairpin, (Origin::Inside, "198.51.100.7".into()));
}

#[test]
fn the_gateway_and_containers_say_little() {
    for (src, doubt) in [
        (GATEWAY, Doubt::Gateway),
        ("172.17.0.1", Doubt::Container),
        ("172.23.255.254", Doubt::Container),
        ("172.31.0.1", Doubt::Container),
        ("10.88.0.1", Doubt::Container),
    ] {
        let judgement = judge(&home(), src, &[]);
        assert_eq!(judgement.origin, Origin::Unknown, "{src}");
        assert_eq!(judgement.doubt, Some(doubt), "{src}");
    }
    for src in ["172.16.0.1", "172.31.255.254"] {
        assert_eq!(judge(&home(), src, &[]).origin, Origin::Inside, "{src}");
    }
}

#[test]
fn a_home_network_as_narrow_as_a_container_range_is_the_home() {
    let mut home = home();
    home.networks.push("172.20.5.0/24".parse().unwrap());
    assert_eq!(judge(&home, "172.20.5.9", &[]).origin, Origin::Inside);
    assert_eq!(judge(&home, "172.20.6.9", &[]).origin, Origin::Unknown);
}

#[test]
fn a_private_address_that_bears_forwarding_headers_is_unknown_unless_trusted() {
    for line in [
        ("X-Forwarded-For", VISITOR),
        ("Forwarded", "for=192.168.1.50"),
        ("X-Real-IP", LAPTOP),
        ("CF-Connecting-IP", "rubbish"),
        ("X-Forwarded-Proto", "https"),
    ] {
        let judgement = judge(&home(), LAPTOP, &[line]);
        assert_eq!(judgement.origin, Origin::Unknown, "{line:?}");
        assert_eq!(judgement.doubt, Some(Doubt::UntrustedProxy));
        assert_eq!(judgement.client, address(LAPTOP));
    }
    let proxied = judge_proxied(&home(), LAPTOP, VISITOR);
    assert_eq!(proxied.origin, Origin::Unknown);
    assert_eq!(proxied.forwarded_for.as_deref(), Some(VISITOR));
}

#[test]
fn a_forged_header_from_outside_changes_nothing_and_is_kept() {
    for line in [
        ("X-Forwarded-For", LAPTOP),
        ("Forwarded", "for=192.168.1.50"),
        ("X-Real-IP", "127.0.0.1"),
        ("True-Client-IP", "198.51.100.7"),
    ] {
        let judgement = judge(&home(), VISITOR, &[line]);
        assert_eq!(judgement.origin, Origin::Outside, "{line:?}");
        assert_eq!(judgement.client, address(VISITOR));
        assert_eq!(judgement.forwarded_for.as_deref(), Some(line.1));
    }
    let proxied = judge_proxied(&home(), VISITOR, LAPTOP);
    assert_eq!(proxied.origin, Origin::Outside);
}

#[test]
fn a_trusted_proxy_names_the_visitor_in_each_kind_of_header() {
    for (header, line) in [
        (ProxyHeader::XForwardedFor, ("X-Forwarded-For", VISITOR)),
        (
            ProxyHeader::Forwarded,
            ("Forwarded", "for=203.0.113.9;proto=https"),
        ),
        (
            ProxyHeader::Single("cf-connecting-ip".into()),
            ("CF-Connecting-IP", VISITOR),
        ),
    ] {
        let judged = judged(&behind(header), PROXY, &[line]);
        assert_eq!(judged, (Origin::Outside, VISITOR.into()), "{line:?}");
    }
    let home = behind(ProxyHeader::ProxyProtocol);
    let proxied = judge_proxied(&home, PROXY, VISITOR);
    assert_eq!(proxied.origin, Origin::Outside);
    assert_eq!(proxied.client, address(VISITOR));
}

#[test]
fn a_trusted_proxy_that_names_someone_inside_is_believed() {
    let home = behind(ProxyHeader::XForwardedFor);
    let named = judged(&home, PROXY, &[("X-Forwarded-For", LAPTOP)]);
    assert_eq!(named, (Origin::Inside, LAPTOP.into()));
}

#[test]
fn what_a_visitor_wrote_before_the_proxy_added_its_part_is_not_believed() {
    let home = behind(ProxyHeader::XForwardedFor);
    for forged in [
        "192.168.1.50, 203.0.113.9",
        "127.0.0.1,192.168.1.5, 203.0.113.9",
        "unknown, 203.0.113.9",
        ", 203.0.113.9",
    ] {
        let judged = judged(&home, PROXY, &[("X-Forwarded-For", forged)]);
        assert_eq!(judged, (Origin::Outside, VISITOR.into()), "{forged}");
    }
    let home = behind(ProxyHeader::Forwarded);
    let forged = "for=192.168.1.50, for=203.0.113.9";
    let judged = judged(&home, PROXY, &[("Forwarded", forged)]);
    assert_eq!(judged, (Origin::Outside, VISITOR.into()));
}

#[test]
fn headers_other_than_the_one_that_a_proxy_writes_are_not_believed() {
    let home = behind(ProxyHeader::Single("x-real-ip".into()));
    let lines = [
        ("X-Forwarded-For", LAPTOP),
        ("CF-Connecting-IP", LAPTOP),
        ("X-Real-IP", VISITOR),
    ];
    assert_eq!(
        judged(&home, PROXY, &lines),
        (Origin::Outside, VISITOR.into())
    );
}

#[test]
fn a_chain_of_trusted_proxies_is_followed_to_the_first_other_address() {
    let mut home = behind(ProxyHeader::XForwardedFor);
    home.proxies
        .push(proxy("192.168.1.6/32", ProxyHeader::XForwardedFor));
    let chain = [("X-Forwarded-For", "192.168.1.50, 203.0.113.9, 192.168.1.6")];
    assert_eq!(
        judged(&home, PROXY, &chain),
        (Origin::Outside, VISITOR.into())
    );
}

#[test]
fn each_proxy_of_a_chain_is_believed_in_its_own_header_only() {
    let mut home = behind(ProxyHeader::XForwardedFor);
    let front = ProxyHeader::Single("cf-connecting-ip".into());
    home.proxies.push(proxy("198.51.100.0/28", front));
    let lines = [
        ("X-Forwarded-For", "192.168.1.50, 198.51.100.3"),
        ("CF-Connecting-IP", VISITOR),
    ];
    assert_eq!(
        judged(&home, PROXY, &lines),
        (Origin::Outside, VISITOR.into())
    );
    // The front proxy writes no X-Forwarded-For: what stands before it there is the visitor's.
    let silent = judge(&home, PROXY, &lines[..1]);
    assert_eq!(silent.client, address("198.51.100.3"));
    assert_eq!(silent.origin, Origin::Outside);
}

#[test]
fn a_trusted_proxy_that_names_nobody_is_unknown() {
    let home = behind(ProxyHeader::XForwardedFor);
    for lines in [
        &[][..],
        &[("X-Forwarded-For", "")],
        &[("X-Forwarded-For", "unknown")],
        &[("X-Forwarded-For", "192.168.1.50, _hidden")],
        &[("X-Forwarded-For", PROXY)],
        &[("X-Real-IP", LAPTOP)],
    ] {
        let judgement = judge(&home, PROXY, lines);
        assert_eq!(judgement.origin, Origin::Unknown, "{lines:?}");
        assert_eq!(judgement.doubt, Some(Doubt::SilentProxy), "{lines:?}");
        assert_eq!(judgement.client, address(PROXY), "{lines:?}");
    }
}

#[test]
fn in_a_head_that_was_not_read_to_its_end_no_field_is_believed() {
    for (header, line) in [
        (ProxyHeader::XForwardedFor, ("X-Forwarded-For", LAPTOP)),
        (ProxyHeader::Forwarded, ("Forwarded", "for=192.168.1.50")),
        (
            ProxyHeader::Single("x-real-ip".into()),
            ("X-Real-IP", LAPTOP),
        ),
    ] {
        let judgement = judge_unread(&behind(header), PROXY, &[line]);
        assert_eq!(judgement.origin, Origin::Unknown, "{line:?}");
        assert_eq!(judgement.doubt, Some(Doubt::Unread), "{line:?}");
        assert_eq!(judgement.client, address(PROXY), "{line:?}");
        assert_eq!(judgement.forwarded_for.as_deref(), Some(line.1));
    }
}

#[test]
fn a_private_address_whose_head_was_not_read_to_its_end_is_unknown() {
    let judgement = judge_unread(&home(), LAPTOP, &[]);
    assert_eq!(judgement.origin, Origin::Unknown);
    assert_eq!(judgement.doubt, Some(Doubt::Unread));
    let doubt = judge_unread(&home(), GATEWAY, &[]).doubt;
    assert_eq!(doubt, Some(Doubt::Gateway));
    let origin = judge_unread(&home(), VISITOR, &[]).origin;
    assert_eq!(origin, Origin::Outside);
}

#[test]
fn what_a_proxy_passes_on_behind_an_upgrade_is_the_visitors_own_word() {
    let home = behind(ProxyHeader::XForwardedFor);
    let claims = Claims {
        proxied_for: None,
        fields: &fields(&[("X-Forwarded-For", LAPTOP)]),
        complete: true,
        tunnelled: true,
    };
    let judgement = home.judge(address(PROXY), &claims);
    assert_eq!(judgement.origin, Origin::Unknown);
    assert_eq!(judgement.doubt, Some(Doubt::SilentProxy));
    let direct = Claims {
        fields: &[],
        ..claims
    };
    assert_eq!(home.judge(address(LAPTOP), &direct).origin, Origin::Inside);
}

#[test]
fn a_proxy_header_stands_ahead_of_the_head_and_is_believed_however_that_ends() {
    let claims = Claims {
        proxied_for: Some(address(LAPTOP)),
        fields: &[],
        complete: false,
        tunnelled: false,
    };
    let home = behind(ProxyHeader::ProxyProtocol);
    let judgement = home.judge(address(PROXY), &claims);
    assert_eq!(judgement.origin, Origin::Inside);
}

#[test]
fn a_gateway_or_container_that_a_trusted_proxy_names_is_unknown() {
    let home = behind(ProxyHeader::XForwardedFor);
    for named in [GATEWAY, "172.17.0.1"] {
        let judged = judged(&home, PROXY, &[("X-Forwarded-For", named)]);
        assert_eq!(judged, (Origin::Unknown, named.into()));
    }
}

#[test]
fn a_proxy_is_known_by_its_ipv4_address_mapped_into_ipv6_too() {
    let home = behind(ProxyHeader::XForwardedFor);
    let lines = [("X-Forwarded-For", "::ffff:203.0.113.9")];
    let judged = judged(&home, "::ffff:192.168.1.5", &lines);
    assert_eq!(judged, (Origin::Outside, VISITOR.into()));
}

#[test]
fn a_private_address_outside_the_named_networks_is_outside() {
    let home = Home {
        networks: vec!["192.168.1.0/24".parse().unwrap()],
        ..Home::default()
    };
    assert_eq!(judge(&home, "192.168.2.9", &[]).origin, Origin::Outside);
}

#[test]
fn the_header_that_a_home_trusts_is_kept_whatever_its_name() {
    let home = behind(ProxyHeader::Single("x-visitor".into()));
    let judgement = judge(&home, PROXY, &[("X-Visitor", VISITOR)]);
    assert_eq!(judgement.forwarded_for.as_deref(), Some(VISITOR));
}

prop_compose! {
    /// What a visitor may write: addresses that would help, marks, rubbish.
    fn forged()(parts in proptest::collection::vec(
        prop_oneof![
            Just("192.168.1.50".to_owned()), Just(PROXY.to_owned()), Just("127.0.0.1".to_owned()),
            Just("for=".to_owned()), Just("\"".to_owned()), Just("\\".to_owned()),
            Just(",".to_owned()), Just(";".to_owned()), Just("x=".to_owned()), "[ -~]{0,4}",
        ], 0..10)) -> String { parts.concat() }
}

proptest! {
    #[test]
    fn nothing_that_a_visitor_writes_makes_him_inside(
        forged in forged(),
        name in prop_oneof![Just("X-Forwarded-For"), Just("Forwarded"), Just("X-Real-IP")],
    ) {
        let judgement = judge(&home(), VISITOR, &[(name, &forged)]);
        prop_assert_eq!(judgement.origin, Origin::Outside);

        let list = format!("{forged}, {VISITOR}");
        let home = behind(ProxyHeader::XForwardedFor);
        let judgement = judge(&home, PROXY, &[("X-Forwarded-For", &list)]);
        prop_assert_ne!(judgement.origin, Origin::Inside);

        let home = behind(ProxyHeader::Forwarded);
        for added in ["for=203.0.113.9", "for=\"[2001:db8:2::9]:80\"", "for=\"203.0.113.9\";by=\"_x\""] {
            let one_line = format!("{forged}, {added}");
            let judgement = judge(&home, PROXY, &[("Forwarded", &one_line)]);
            prop_assert_ne!(judgement.origin, Origin::Inside, "{}", one_line);
            let judgement = judge(&home, PROXY, &[("Forwarded", &forged), ("Forwarded", added)]);
            prop_assert_eq!(judgement.origin, Origin::Outside);
        }
    }
}
