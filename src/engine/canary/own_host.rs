//! Canaries that have a host name to themselves: `https://k7f3q2m9.canary.example.org/`.
//!
//! Whoever connects to such a host visits the canary, whatever is asked for there, so that a TLS
//! hello is enough to know of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::canary::Canary;
use crate::canary::index::HostIndex;
use crate::canary::token::is_drawn_at_random;

/// The host names that belong to one canary each, in their normal form.
///
/// A canary has a host to itself when its URL is nothing but that host, no other canary lies
/// there, and the name is no one's way to the site: it is watched as one of many below a name, or
/// looks drawn at random.
pub(super) fn own_hosts(canaries: &[Arc<Canary>], watched: &HostIndex) -> HashMap<Box<str>, u32> {
    let mut tenants: HashMap<&str, u32> = HashMap::new();
    for canary in canaries {
        *tenants.entry(&canary.url.host).or_default() += 1;
    }
    (0..)
        .zip(canaries)
        .filter(|(_, canary)| tenants.get(&*canary.url.host) == Some(&1))
        .filter(|(_, canary)| canary.url.path == "/" && canary.url.query.is_none())
        .filter(|(_, canary)| {
            let host = &canary.url.host;
            let is_one_of_many = watched.contains(host) && !watched.names(host);
            is_one_of_many || host.split('.').any(is_drawn_at_random)
        })
        .map(|(number, canary)| (canary.url.host.as_str().into(), number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::HostPattern;
    use crate::canary::tests::canary;

    fn own(urls: &[&str], hosts: &[&str]) -> Vec<String> {
        let canaries: Vec<_> = urls.iter().map(|url| canary("c", url)).collect();
        let patterns: Vec<_> = hosts
            .iter()
            .map(|host| HostPattern::parse(host).unwrap())
            .collect();
        let found = own_hosts(&canaries, &HostIndex::new(&patterns));
        let mut names: Vec<_> = found.into_keys().map(String::from).collect();
        names.sort();
        names
    }

    #[test]
    fn a_host_of_its_own_is_below_a_star_or_looks_drawn_at_random() {
        let star = ["*.canary.example.org"];
        assert_eq!(
            own(&["https://menu.canary.example.org/"], &star),
            ["menu.canary.example.org"]
        );
        let random = "k7f3q2m9.example.org";
        assert_eq!(own(&["https://k7f3q2m9.example.org"], &[random]), [random]);
        assert!(own(&["https://www.example.org/"], &["www.example.org"]).is_empty());
    }

    #[test]
    fn a_host_with_more_than_one_page_or_canary_is_nobodys_own() {
        let star = ["*.canary.example.org"];
        assert!(own(&["https://a.canary.example.org/x"], &star).is_empty());
        assert!(own(&["https://a.canary.example.org/?x"], &star).is_empty());
        let two = [
            "https://a.canary.example.org/",
            "https://a.canary.example.org/x",
        ];
        assert!(own(&two, &star).is_empty());
    }
}
