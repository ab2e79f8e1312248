//! haproxy, which names visitors in the PROXY protocol ahead of the request.

use std::fs;

use crate::namespaces::in_a_lab;
use crate::network::{Lab, text};
use crate::proxy::{Judged, Proxy, assert_judged, judged, trusting, visit_by};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Visitor, Web};

const INSIDE: &str = "192.168.1.20";
const OUTSIDE: &str = "203.0.113.77";
/// Where the web server expects the PROXY protocol.
const SERVER: (&str, u16) = ("192.168.1.10", 8080);
/// haproxy with the PROXY protocol of version 1, 2, and 2 with additions and health checks: port,
/// and address towards the web server.
const TRUSTED: [(u16, &str); 3] = [
    (8105, "192.168.1.6"),
    (8106, "192.168.1.5"),
    (8108, "192.168.1.8"),
];
/// One that names visitors in X-Forwarded-For.
const WITH_HEADER: (u16, &str) = (8109, "192.168.1.9");
/// One that nobody trusts.
const STRANGER: (u16, &str) = (8107, "192.168.1.7");

#[test]
fn the_proxy_protocol_names_each_visitor_in_both_versions() {
    in_a_lab(
        the_proxy_protocol_names_each_visitor_in_both_versions,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected = Vec::new();
            for from in Visitor::ALL {
                for (port, proxy) in TRUSTED {
                    visit_by(lab, from, port, &[]);
                    let named = from.address();
                    expected.push(judged(proxy, named, from.host(), named));
                }
            }
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_header_of_the_visitors_own_is_not_believed_beside_the_proxy_protocol() {
    in_a_lab(
        a_header_of_the_visitors_own_is_not_believed_beside_the_proxy_protocol,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected = Vec::new();
            for (port, proxy) in TRUSTED {
                let forged = "X-Forwarded-For: 192.168.1.20";
                visit_by(lab, Visitor::Outside4, port, &[forged]);
                let told = "proxy-protocol: 203.0.113.77; x-forwarded-for: 192.168.1.20";
                expected.push(judged(proxy, OUTSIDE, "outside", told));
            }
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_header_that_the_proxy_adds_at_the_end_is_the_one_that_counts_or_the_origin_is_unknown() {
    in_a_lab(
        a_header_that_the_proxy_adds_at_the_end_is_the_one_that_counts_or_the_origin_is_unknown,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let (port, proxy) = WITH_HEADER;
            let forged = "X-Forwarded-For: 192.168.1.20";
            visit_by(lab, Visitor::Outside4, port, &[]);
            visit_by(lab, Visitor::Inside4, port, &[]);
            visit_by(lab, Visitor::Outside4, port, &[forged]);
            // So many fields that the tap does not read as far as the proxy's own.
            let many: Vec<String> = (0..600).map(|number| format!("X-{number}: y")).collect();
            let fields: Vec<&str> = [forged]
                .into_iter()
                .chain(many.iter().map(String::as_str))
                .collect();
            visit_by(lab, Visitor::Outside4, port, &fields);
            let expected = vec![
                judged(proxy, OUTSIDE, "outside", "::ffff:203.0.113.77"),
                judged(proxy, INSIDE, "inside", "::ffff:192.168.1.20"),
                judged(
                    proxy,
                    OUTSIDE,
                    "outside",
                    "192.168.1.20, ::ffff:203.0.113.77",
                ),
                judged(proxy, proxy, "unknown", INSIDE),
            ];
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_proxy_header_of_the_visitors_own_is_not_believed_behind_that_of_the_proxy() {
    in_a_lab(
        a_proxy_header_of_the_visitors_own_is_not_believed_behind_that_of_the_proxy,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected = Vec::new();
            for header in forged() {
                for (port, proxy) in TRUSTED {
                    send(lab, Visitor::Outside4, ("192.168.1.5", port), &header);
                    expected.push(judged(proxy, OUTSIDE, "outside", OUTSIDE));
                }
            }
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn a_proxy_header_from_someone_who_is_no_trusted_proxy_is_kept_and_changes_nothing() {
    in_a_lab(
        a_proxy_header_from_someone_who_is_no_trusted_proxy_is_kept_and_changes_nothing,
        |lab| {
            let (_web, _proxy, tap) = with_proxy(lab);
            let mut expected: Vec<Judged> = Vec::new();
            for header in forged() {
                send(lab, Visitor::Outside4, SERVER, &header);
                expected.push(judged(OUTSIDE, OUTSIDE, "outside", INSIDE));
                // A private address with such a header may be a proxy that nobody named.
                send(lab, Visitor::Inside4, SERVER, &header);
                expected.push(judged(INSIDE, INSIDE, "unknown", INSIDE));
            }
            let (port, stranger) = STRANGER;
            for from in [Visitor::Outside4, Visitor::Inside4] {
                visit_by(lab, from, port, &[]);
                expected.push(judged(stranger, stranger, "unknown", from.address()));
            }
            assert_judged(&tap, expected);
        },
    );
}

fn with_proxy(lab: &Lab) -> (Web, Proxy, Tap<'_>) {
    lab.lay("proxy");
    let (web, proxy) = (Web::start(lab), Proxy::haproxy(lab));
    let trusted = [5, 6, 8].map(|number| (number, "proxy-protocol"));
    let with_header = [(9, "x-forwarded-for")];
    let mut tap = Tap::configured(lab, |config| {
        trusting(&trusting(config, &trusted), &with_header)
    });
    tap.start();
    (web, proxy, tap)
}

/// PROXY headers, versions 1 and 2, that name somebody inside.
fn forged() -> [Vec<u8>; 2] {
    let version_1 = b"PROXY TCP4 192.168.1.20 192.168.1.10 50000 80\r\n".to_vec();
    let addresses = [192, 168, 1, 20, 192, 168, 1, 10, 0xc3, 0x50, 0, 80];
    let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [version_1, [&signature[..], &addresses].concat()]
}

/// Asks for the canary with `ahead` ahead of the request; the server may refuse.
fn send(lab: &Lab, from: Visitor, (server, port): (&str, u16), ahead: &[u8]) {
    let request = format!("GET {CANARY} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let bytes = lab.folder().join("request");
    fs::write(&bytes, [ahead, request.as_bytes()].concat()).unwrap();
    let speak = "exec 3<>/dev/tcp/$0/$1 && cat \"$2\" >&3 && timeout 20 cat <&3";
    let mut bash = lab.on(from.host(), "bash");
    bash.args(["-c", speak, server, &port.to_string()]);
    text(bash.arg(bytes).output().unwrap());
}
