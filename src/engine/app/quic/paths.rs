//! Which connections are seen between two addresses and ports.

use crate::transport::{ByNumber, FlowKey, KeyHasher};

/// Numbers of connections by where they are seen, the oldest first.
#[derive(Debug)]
pub(super) struct Paths {
    hasher: KeyHasher,
    numbers: ByNumber<Vec<u64>>,
}

impl Paths {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            hasher: KeyHasher::new(),
            numbers: ByNumber::default(),
        }
    }

    /// Those between two ends.
    pub(super) fn between(&self, key: &FlowKey) -> &[u64] {
        let numbers = self.numbers.get(&self.hasher.hash(key).get());
        numbers.map_or(&[], Vec::as_slice)
    }

    /// One more is seen there.
    pub(super) fn add(&mut self, key: &FlowKey, number: u64) {
        let key = self.hasher.hash(key).get();
        self.numbers.entry(key).or_default().push(number);
    }

    /// One is seen there no more.
    pub(super) fn leave(&mut self, key: &FlowKey, number: u64) {
        let key = self.hasher.hash(key).get();
        if let Some(numbers) = self.numbers.get_mut(&key) {
            numbers.retain(|one| *one != number);
            if numbers.is_empty() {
                self.numbers.remove(&key);
            }
        }
    }
}
