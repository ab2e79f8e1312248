//! The home's router: what it hides of visitors, and visits that leave the home and come back.

use std::fs;

use crate::lights::first_on;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text};
use crate::proxy::{assert_judged, judged, visit_at};
use crate::tap::{Tap, now};
use crate::web::{Visitor, Web};

/// The router, towards the internet and at home.
const PUBLIC: &str = "198.51.100.7";
const GATEWAY: &str = "192.168.1.1";
/// A visitor out there, and one at home.
const OUTSIDE: &str = "198.51.100.77";
const INSIDE: &str = "192.168.1.20";

#[test]
fn behind_a_router_that_hides_addresses_visits_are_unknown_and_raise_alerts() {
    in_a_lab(
        behind_a_router_that_hides_addresses_visits_are_unknown_and_raise_alerts,
        |lab| {
            // The tap knows the router from its own default route.
            let (_web, tap) = with_router(lab, &hiding_everyone(), "networks = [\"auto\"]");
            let before = now();
            visit_public(lab, Visitor::Outside4, &[]);
            visit_public(lab, Visitor::Outside4, &["X-Forwarded-For: 192.168.1.20"]);
            visit_public(lab, Visitor::Inside4, &[]);
            visit_at(lab, Visitor::Inside4, "192.168.1.10:80", &[]);
            let hidden = |told| judged(GATEWAY, GATEWAY, "unknown", told);
            let expected = vec![
                hidden(""),
                hidden(INSIDE),
                hidden(""),
                judged(INSIDE, INSIDE, "inside", ""),
            ];
            assert_judged(&tap, expected);
            assert!(first_on(&tap.lights(), "alert", before).is_some());
        },
    );
}

#[test]
fn a_router_that_the_tap_does_not_use_is_named_and_hides_visitors_too() {
    in_a_lab(
        a_router_that_the_tap_does_not_use_is_named_and_hides_visitors_too,
        |lab| {
            lab.lay("router");
            rule(lab, &hiding_everyone());
            let home = "networks = [\"192.168.1.0/24\"]\ngateways = [\"192.168.1.1\"]";
            let (_web, tap) = watching(lab, home);
            visit_public(lab, Visitor::Outside4, &[]);
            assert_judged(&tap, vec![judged(GATEWAY, GATEWAY, "unknown", "")]);
        },
    );
}

#[test]
fn a_visit_from_home_through_the_homes_public_address_is_inside() {
    in_a_lab(
        a_visit_from_home_through_the_homes_public_address_is_inside,
        |lab| {
            let home = "networks = [\"auto\"]\npublic = [\"198.51.100.7\"]";
            let (_web, tap) = with_router(lab, &hairpin(), home);
            visit_public(lab, Visitor::Inside4, &[]);
            visit_public(lab, Visitor::Outside4, &[]);
            let expected = vec![
                judged(PUBLIC, PUBLIC, "inside", ""),
                judged(OUTSIDE, OUTSIDE, "outside", ""),
            ];
            assert_judged(&tap, expected);
        },
    );
}

#[test]
fn who_has_an_address_of_the_taps_own_prefix_is_inside() {
    in_a_lab(who_has_an_address_of_the_taps_own_prefix_is_inside, |lab| {
        lab.lay("home");
        let (_web, tap) = watching(lab, "networks = [\"auto\"]");
        for from in [Visitor::Inside6, Visitor::Outside6] {
            visit_at(lab, from, "[2001:db8:1::10]:80", &[]);
        }
        let expected = vec![
            judged("2001:db8:1::20", "2001:db8:1::20", "inside", ""),
            judged("2001:db8::77", "2001:db8::77", "outside", ""),
        ];
        assert_judged(&tap, expected);
        let shown = text(tap.command(&["check"]).output().unwrap());
        for part in ["2001:db8:1::/64", "gateway   192.168.1.1"] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
    });
}

/// A tap at home, whose router follows these rules.
fn with_router<'lab>(lab: &'lab Lab, rules: &str, home: &str) -> (Web, Tap<'lab>) {
    lab.lay("router");
    lab.lay("home");
    rule(lab, rules);
    watching(lab, home)
}

/// A web server, and a tap with these lines under `[home]`.
fn watching<'lab>(lab: &'lab Lab, home: &str) -> (Web, Tap<'lab>) {
    let web = Web::start(lab);
    let mut tap = Tap::configured(lab, |config| {
        let (before, section) = config.split_once("[home]\n").unwrap();
        let (_networks, after) = section.split_once('\n').unwrap();
        format!("{before}[home]\n{home}\n{after}")
    });
    tap.start();
    (web, tap)
}

fn visit_public(lab: &Lab, from: Visitor, fields: &[&str]) {
    visit_at(lab, from, &format!("{PUBLIC}:80"), fields);
}

fn rule(lab: &Lab, rules: &str) {
    let file = lab.folder().join("rules.nft");
    fs::write(&file, rules).unwrap();
    text(
        lab.on("router", "nft")
            .arg("-f")
            .arg(file)
            .output()
            .unwrap(),
    );
}

/// Every visit seems to come from the router.
fn hiding_everyone() -> String {
    forwarding("ip daddr 192.168.1.10 masquerade")
}

/// Only who leaves the home and comes back does, with the address that the home has out there.
fn hairpin() -> String {
    forwarding("ip saddr 192.168.1.0/24 ip daddr 192.168.1.10 snat to 198.51.100.7")
}

/// The web server's port is forwarded; `translation` of the sources comes after that.
fn forwarding(translation: &str) -> String {
    format!(
        "table ip nat {{
            chain before {{
                type nat hook prerouting priority dstnat
                ip daddr 198.51.100.7 tcp dport 80 dnat to 192.168.1.10
            }}
            chain after {{
                type nat hook postrouting priority srcnat
                {translation}
            }}
        }}\n"
    )
}
