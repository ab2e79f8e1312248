//! Look-ups whose cost does not grow with what is looked through.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::canary::Canary;
use crate::canary::host::HostPattern;
use crate::canary::url::NormalizedUrl;

/// The watched hosts.
#[derive(Debug)]
pub(super) struct HostIndex {
    exact: HashSet<Box<[u8]>>,
    /// Which of them there may be.
    sieve: Sieve,
    /// Names whose subdomains are watched.
    parents: HashSet<Box<[u8]>>,
}

impl HostIndex {
    pub(super) fn new(patterns: &[HostPattern]) -> Self {
        let mut index = Self {
            exact: HashSet::new(),
            sieve: Sieve::default(),
            parents: HashSet::new(),
        };
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => {
                    index.sieve.add(name.as_bytes());
                    index.exact.insert(name.as_bytes().into())
                }
                HostPattern::Subdomains(name) => index.parents.insert(name.as_bytes().into()),
            };
        }
        index
    }

    /// Whether `host`, in its normal form, is watched.
    pub(super) fn contains(&self, host: impl AsRef<[u8]>) -> bool {
        let host = host.as_ref();
        (self.sieve.may_have(host) && self.exact.contains(host)) || self.is_below_a_parent(host)
    }

    /// Whether `host` itself is named, and not only as one below another name.
    pub(super) fn names(&self, host: &str) -> bool {
        self.exact.contains(host.as_bytes())
    }

    fn is_below_a_parent(&self, host: &[u8]) -> bool {
        !self.parents.is_empty()
            && memchr::memchr_iter(b'.', host)
                .filter(|dot| *dot > 0)
                .filter_map(|dot| host.get(dot + 1..))
                .any(|parent| self.parents.contains(parent))
    }
}

/// Tells most names that are not watched from those that are without a hash that withstands those
/// who choose names: by their length, their first and their last bytes.
#[derive(Debug, Default)]
struct Sieve([u64; SIEVE_WORDS]);

impl Sieve {
    fn add(&mut self, name: &[u8]) {
        let (word, bit) = Self::place(name);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_have(&self, name: &[u8]) -> bool {
        let (word, bit) = Self::place(name);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(name: &[u8]) -> (usize, u64) {
        let first = name
            .first_chunk()
            .map_or(0, |first| u64::from_ne_bytes(*first));
        let last = name
            .last_chunk()
            .map_or(0, |last| u64::from_ne_bytes(*last));
        let mixed = (first ^ last.rotate_left(32) ^ name.len() as u64).wrapping_mul(SPREAD);
        let place = mixed >> 53;
        ((place >> 6) as usize, 1 << (place & 63))
    }
}

/// What canaries are looked up by: their URL, or their host and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// A path on a host.
    pub(super) const fn path_of(host: &'a str, path: &'a str) -> Self {
        Self {
            host,
            path,
            query: None,
        }
    }
}

/// All of a URL.
pub(super) fn whole(url: &NormalizedUrl) -> Wanted<'_> {
    Wanted {
        query: url.query.as_deref(),
        ..host_and_path(url)
    }
}

/// Its host and path.
pub(super) fn host_and_path(url: &NormalizedUrl) -> Wanted<'_> {
    Wanted::path_of(&url.host, &url.path)
}

/// Numbers of canaries by the hash of what they are looked up by; the first of equals. The text
/// stays in the canaries, so that 100,000 of them cost no more than some 2 MiB here.
pub(super) struct UrlIndex {
    key: fn(&NormalizedUrl) -> Wanted<'_>,
    hasher: RandomState,
    slots: HashMap<u64, u32>,
}

impl UrlIndex {
    pub(super) fn new(key: fn(&NormalizedUrl) -> Wanted<'_>, capacity: usize) -> Self {
        Self {
            key,
            hasher: RandomState::new(),
            slots: HashMap::with_capacity(capacity),
        }
    }

    /// Adds the canary `number`, unless one before it has the same key.
    pub(super) fn insert(&mut self, number: u32, canaries: &[Arc<Canary>]) {
        let Some(canary) = at(canaries, number) else {
            return;
        };
        if let Err(free) = self.search(&(self.key)(&canary.url), canaries) {
            self.slots.insert(free, number);
        }
    }

    /// The first canary with this key.
    pub(super) fn get(&self, wanted: &Wanted<'_>, canaries: &[Arc<Canary>]) -> Option<u32> {
        self.search(wanted, canaries).ok()
    }

    /// The number, or the slot that is free for it: keys whose hashes meet take the next slot.
    fn search(&self, wanted: &Wanted<'_>, canaries: &[Arc<Canary>]) -> Result<u32, u64> {
        let mut slot = self.hasher.hash_one(wanted);
        while let Some(number) = self.slots.get(&slot) {
            let canary = at(canaries, *number);
            if canary.is_some_and(|canary| (self.key)(&canary.url) == *wanted) {
                return Ok(*number);
            }
            slot = slot.wrapping_add(1);
        }
        Err(slot)
    }
}

impl fmt::Debug for UrlIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UrlIndex({})", self.slots.len())
    }
}

/// The canary with this number.
pub(super) fn at(canaries: &[Arc<Canary>], number: u32) -> Option<&Arc<Canary>> {
    canaries.get(usize::try_from(number).ok()?)
}

/// 2,048 bits.
const SIEVE_WORDS: usize = 32;
/// An odd number that spreads bits to the high ones.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::tests::canary;

    #[test]
    fn a_sieve_lets_all_its_names_through_and_hardly_any_other() {
        let names = |of: &str| -> Vec<Vec<u8>> {
            let numbers = 0..200;
            numbers
                .map(|number| format!("h{number}.{of}").into_bytes())
                .collect()
        };
        let mut sieve = Sieve::default();
        let (ours, others) = (names("example.org"), names("example.net"));
        ours.iter().for_each(|name| sieve.add(name));
        sieve.add(b"a.b");
        assert!(ours.iter().all(|name| sieve.may_have(name)));
        assert!(sieve.may_have(b"a.b"));
        let passed = others.iter().filter(|name| sieve.may_have(name)).count();
        assert!(passed < 100, "{passed}");
    }

    #[test]
    fn the_first_of_equal_urls_is_found() {
        let canaries = [
            canary("a", "http://a.org/x?1"),
            canary("b", "http://a.org/x?2"),
            canary("c", "http://a.org/x?2"),
        ];
        let mut urls = UrlIndex::new(whole, 3);
        let mut paths = UrlIndex::new(host_and_path, 3);
        for number in 0..3 {
            urls.insert(number, &canaries);
            paths.insert(number, &canaries);
        }
        let second = NormalizedUrl::parse("http://a.org/x?2").unwrap();
        assert_eq!(urls.get(&whole(&second), &canaries), Some(1));
        assert_eq!(paths.get(&host_and_path(&second), &canaries), Some(0));
        let none = NormalizedUrl::parse("http://a.org/y").unwrap();
        assert_eq!(urls.get(&whole(&none), &canaries), None);
    }

    #[test]
    fn hosts_are_exact_or_below_a_parent() {
        let patterns = [
            HostPattern::Exact("www.a.org".into()),
            HostPattern::Subdomains("b.org".into()),
        ];
        let hosts = HostIndex::new(&patterns);
        for (host, watched) in [
            ("www.a.org", true),
            ("a.org", false),
            ("x.www.a.org", false),
            ("x.b.org", true),
            ("x.y.b.org", true),
            ("b.org", false),
            ("xb.org", false),
            (".b.org", false),
        ] {
            assert_eq!(hosts.contains(host), watched, "{host}");
        }
    }
}
