//! nginx as a reverse proxy; the tap sees the plain hop behind it.

use crate::namespaces::in_a_lab;
use crate::network::Lab;
use crate::proxy::{Judged, Proxy, assert_judged, judged, trusting, visit_at, visit_by};
use crate::tap::Tap;
use crate::web::{Visitor, Web};

/// Proxies by the last number of their address, as `proxies/nginx.conf` has them; they listen on
/// port 8000 and that number.
const NAMING: [(u8, &str); 4] = [
    (5, "x-forwarded-for"),
    (6, "forwarded"),
    (7, "x-real-ip"),
    (8, "cf-connecting-ip"),
];
/// The one that names nobody to the web server, and stands before the first in a chain.
const SILENT: (u8, &str) = (9, "x-forwarded-for");
const CHAIN_PORT: u16 = 8015;
const TLS_PORT: u16 = 8443;

const INSIDE: &str = "192.168.1.20";
const OUTSIDE: &str = "203.0.113.77";
/// nginx takes IPv4 in on a socket of IPv6, and writes it so.
const OUTSIDE_MAPPED: &str = "::ffff:203.0.113.77";

#[test]
fn a_reverse_proxy_names_each_visitor_in_its_header() {
    in_a_lab(a_reverse_proxy_names_each_visitor_in_its_header, |lab| {
        let (_web, _proxy, tap) = with_proxy(lab);
        let mut expected = Vec::new();
        for (number, header) in NAMING {
            for from in Visitor::ALL {
                visit_by(lab, from, port(number), &[]);
                let told = told(header, from);
                expected.push(by(number, from.address(), from.host(), &told));
            }
        }
        assert_judged(&tap, expected);
    });
}

#[test]
fn a_visit_by_tls_is_read_on_the_plain_hop_behind_the_proxy() {
    in_a_lab(
        a_visit_by_tls_is_read_on_the_plain_hop_behind_the_proxy,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            visit_by(lab, Visitor::Outside4, TLS_PORT, &[]);
            visit_by(lab, Visitor::Inside6, TLS_PORT, &[]);
            let expected = vec![
                by(5, OUTSIDE, "outside", OUTSIDE_MAPPED),
                by(5, "fd00:1::20", "inside", "fd00:1::20"),
            ];
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn what_a_visitor_forges_is_passed_on_by_the_proxy_and_changes_nothing() {
    in_a_lab(
        what_a_visitor_forges_is_passed_on_by_the_proxy_and_changes_nothing,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected = Vec::new();
            for (number, field, told) in FORGED {
                visit_by(lab, Visitor::Outside4, port(number), &[field]);
                expected.push(by(number, OUTSIDE, "outside", told));
            }
            assert_judged(&tap, expected);
        },
    );
}

/// Through which proxy, what the visitor writes, and what the web server reads.
const FORGED: [(u8, &str, &str); 8] = [
    // Lists: the proxy adds to what the visitor wrote.
    (
        5,
        "X-Forwarded-For: 192.168.1.20",
        "192.168.1.20, ::ffff:203.0.113.77",
    ),
    (
        5,
        "X-Forwarded-For: 192.168.1.20, 192.168.1.5",
        "192.168.1.20, 192.168.1.5, ::ffff:203.0.113.77",
    ),
    (
        6,
        "Forwarded: for=192.168.1.20",
        "for=192.168.1.20, for=\"[::ffff:203.0.113.77]\"",
    ),
    (
        6,
        "Forwarded: for=\"[fd00:1::20]\";by=192.168.1.6",
        "for=\"[fd00:1::20]\";by=192.168.1.6, for=\"[::ffff:203.0.113.77]\"",
    ),
    // One address: the proxy writes its own.
    (7, "X-Real-IP: 192.168.1.20", OUTSIDE_MAPPED),
    (8, "CF-Connecting-IP: 192.168.1.20", OUTSIDE_MAPPED),
    // Another header than the one that this proxy writes is passed on as it is.
    (
        7,
        "X-Forwarded-For: 192.168.1.20",
        "x-real-ip: ::ffff:203.0.113.77; x-forwarded-for: 192.168.1.20",
    ),
    (
        8,
        "X-Real-IP: 127.0.0.1",
        "cf-connecting-ip: ::ffff:203.0.113.77; x-real-ip: 127.0.0.1",
    ),
];

#[test]
fn what_a_visitor_forges_who_comes_by_no_proxy_is_kept_and_changes_nothing() {
    in_a_lab(
        what_a_visitor_forges_who_comes_by_no_proxy_is_kept_and_changes_nothing,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected = Vec::new();
            for (name, value) in [
                ("X-Forwarded-For", INSIDE),
                ("X-Forwarded-For", "127.0.0.1, 192.168.1.5"),
                ("Forwarded", "for=192.168.1.20;proto=https"),
                ("X-Real-IP", INSIDE),
                ("CF-Connecting-IP", INSIDE),
                ("True-Client-IP", INSIDE),
            ] {
                let field = format!("{name}: {value}");
                for (from, server, origin) in [
                    (Visitor::Outside4, "192.168.1.10:80", "outside"),
                    (Visitor::Outside6, "[fd00:1::10]:80", "outside"),
                    // A private address with such a header may be a proxy that nobody named.
                    (Visitor::Inside4, "192.168.1.10:80", "unknown"),
                ] {
                    visit_at(lab, from, server, &[&field]);
                    expected.push(judged(from.address(), from.address(), origin, value));
                }
            }
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_chain_of_proxies_is_followed_to_the_first_that_nobody_trusts() {
    in_a_lab(
        a_chain_of_proxies_is_followed_to_the_first_that_nobody_trusts,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            visit_by(lab, Visitor::Outside4, CHAIN_PORT, &[]);
            visit_by(lab, Visitor::Inside4, CHAIN_PORT, &[]);
            let forged = "X-Forwarded-For: 192.168.1.20";
            visit_by(lab, Visitor::Outside4, CHAIN_PORT, &[forged]);
            let front = "::ffff:192.168.1.9";
            let chain = |first: &str| format!("{first}, {front}");
            let expected = vec![
                by(5, OUTSIDE, "outside", &chain(OUTSIDE_MAPPED)),
                by(5, INSIDE, "inside", &chain("::ffff:192.168.1.20")),
                by(
                    5,
                    OUTSIDE,
                    "outside",
                    &chain("192.168.1.20, ::ffff:203.0.113.77"),
                ),
            ];
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_proxy_whose_word_is_missing_or_garbled_by_the_visitor_is_of_unknown_origin() {
    in_a_lab(
        a_proxy_whose_word_is_missing_or_garbled_by_the_visitor_is_of_unknown_origin,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let forged = "X-Forwarded-For: 192.168.1.20";
            visit_by(lab, Visitor::Outside4, port(SILENT.0), &[forged]);
            // A quotation mark that is never closed swallows what the proxy adds behind it.
            let open = "Forwarded: for=192.168.1.20;x=\"";
            visit_by(lab, Visitor::Outside4, port(6), &[open]);
            let garbled = "for=192.168.1.20;x=\", for=\"[::ffff:203.0.113.77]\"";
            let expected = vec![
                by(9, "192.168.1.9", "unknown", ""),
                by(6, "192.168.1.6", "unknown", garbled),
            ];
            assert_judged(&tap, expected);
        },
    );
}

fn with_proxy(lab: &Lab) -> (Web, Proxy, Tap<'_>) {
    lab.lay("proxy");
    let (web, proxy) = (Web::start(lab), Proxy::nginx(lab));
    let mut tap = Tap::configured(lab, |config| {
        trusting(&trusting(config, &NAMING), &[SILENT])
    });
    tap.start();
    (web, proxy, tap)
}

fn port(number: u8) -> u16 {
    8000 + u16::from(number)
}

fn by(number: u8, client: &str, origin: &str, told: &str) -> Judged {
    judged(&format!("192.168.1.{number}"), client, origin, told)
}

/// How nginx writes a visitor's address in a header.
fn told(header: &str, from: Visitor) -> String {
    let mapped = match from {
        Visitor::Outside4 | Visitor::Inside4 => "::ffff:",
        Visitor::Outside6 | Visitor::Inside6 => "",
    };
    let address = format!("{mapped}{}", from.address());
    match header {
        "forwarded" => format!("for=\"[{address}]\""),
        _ => address,
    }
}
