//! Maps whose keys are numbers that nobody on a wire can choose: counted up here, or hashes that
//! begin with a secret. To hash them once more, in a way that withstands those who choose, would
//! cost more than the look-up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Such a map.
pub(crate) type ByNumber<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

/// Spreads a number over all bits.
#[derive(Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number) * u128::from(SPREAD);
        self.0 = wide as u64 ^ (wide >> 64) as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Odd, with bits all over.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn numbers_in_a_row_and_far_apart_spread_over_buckets() {
        let hasher = ByNumber::<()>::default().hasher().clone();
        for step in [1_u64, 64, 1 << 20, 1 << 32, 1 << 40] {
            let mut used = [false; 1024];
            for number in 0..4096 {
                let place = hasher.hash_one(number * step) % 1024;
                used[place as usize] = true;
            }
            let used = used.iter().filter(|used| **used).count();
            assert!(used > 800, "{step}: {used}");
        }
    }
}
