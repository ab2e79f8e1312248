//! A configuration that changes while the daemon runs.

use canarytap::store::{Store, StoreOptions, StoredCanary};

use crate::namespaces::in_a_lab;
use crate::network::wait_for;
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn a_canary_that_is_added_is_watched_after_a_hangup_and_nothing_before_is_lost() {
    in_a_lab(
        a_canary_that_is_added_is_watched_after_a_hangup_and_nothing_before_is_lost,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            visit(lab, Visitor::Outside4, &[&url(HOST, CANARY)]);
            tap.rewrite(|config| {
                format!(
                    "{config}\n[[canary]]\nurl = \"http://{HOST}/second\"\nchannel = \"mail\"\n"
                )
            });
            wait_for("the configuration", || {
                tap.messages().contains("read again").then_some(())
            });
            wait_for("an alert for the second canary", || {
                visit(lab, Visitor::Outside4, &["--head", &url(HOST, "/second")]);
                let alerts = tap.log(&["--channel", "mail"]);
                (!alerts.is_empty()).then_some(())
            });
            assert_eq!(tap.log(&["--alerts", "--channel", "skype"]).len(), 1);
        },
    );
}

#[test]
fn a_configuration_that_is_not_valid_changes_nothing_and_says_why() {
    in_a_lab(
        a_configuration_that_is_not_valid_changes_nothing_and_says_why,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let wrong = "\n[capture2]\nports = 80\n";
            tap.rewrite(|config| format!("{config}{wrong}"));
            wait_for("a complaint", || {
                tap.messages().contains("the old one stays").then_some(())
            });
            assert!(tap.messages().contains("capture2"), "{}", tap.messages());
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            // The commands read the file too: they would refuse it.
            tap.rewrite(|config| config.replace(wrong, ""));
            wait_for("an alert", || {
                (!tap.log(&["--alerts"]).is_empty()).then_some(())
            });
            assert_eq!(tap.status().0, Some(0));
        },
    );
}

#[test]
fn a_canary_that_somebody_adds_to_the_store_is_watched_without_a_hangup() {
    in_a_lab(
        a_canary_that_somebody_adds_to_the_store_is_watched_without_a_hangup,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let options = StoreOptions {
                requests_max_bytes: 1 << 20,
                ..StoreOptions::default()
            };
            let mut store = Store::open_existing(&tap.data(), options).unwrap();
            let minted = StoredCanary {
                id: "k7f3q2m9".into(),
                url: url(HOST, "/third"),
                channel: "letter".into(),
                label: None,
                token: None,
                control: false,
                created: "2013-04-30T17:28:32Z".into(),
            };
            store.add_canaries(&[minted]).unwrap();
            wait_for("an alert for the minted canary", || {
                visit(lab, Visitor::Outside4, &["--head", &url(HOST, "/third")]);
                let alerts = tap.log(&["--channel", "letter"]);
                (!alerts.is_empty()).then_some(())
            });
        },
    );
}
