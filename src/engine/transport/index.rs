//! Where the flows of a key are: a table of their numbers.
//!
//! A look-up must not touch the memory of strangers, which in a flood is cold: so each number bears
//! eight bits of its flow's hash. Places come in groups; whoever finds its group full goes to the
//! next, and every group counts those that went by, so that a search ends at the first group that
//! nobody went by. Nothing is moved when one leaves.
//!
//! A large table costs memory wherever it is touched, and few flows would touch all of it: so it is
//! small at first, and made anew once, in proportion to the bound, when they are no longer few.

use crate::transport::flow_key::KeyHash;
use crate::transport::slab::Id;

/// The numbers of all flows, by their keys' hashes.
#[derive(Debug)]
pub(super) struct Index {
    /// As many as a power of two.
    groups: Box<[Group]>,
    /// Groups when flows are many.
    groups_max: usize,
    len: usize,
}

/// Three places, and how many found them taken and are in a later group. A quarter of a processor's
/// line, and plain numbers: so the system gives the memory only as it is used.
type Group = [u32; 4];

impl Index {
    /// Room for `flows`, and as many again that nobody should take.
    pub(super) fn new(flows: usize) -> Self {
        let groups = (2 * flows / PLACES).clamp(GROUPS_MIN, GROUPS_MAX);
        let groups_max = groups.next_power_of_two();
        Self {
            groups: groups_of(groups_max.min(GROUPS_AT_FIRST)),
            groups_max,
            len: 0,
        }
    }

    /// Whether flows are many by now, so that [`widen`](Self::widen) is due.
    #[inline]
    pub(super) fn is_narrow(&self) -> bool {
        self.groups.len() < self.groups_max && 2 * self.len >= PLACES * self.groups.len()
    }

    /// Makes room for as many as there may ever be; `flows` are all that are in it.
    pub(super) fn widen(&mut self, flows: impl Iterator<Item = (KeyHash, Id)>) {
        self.groups = groups_of(self.groups_max);
        self.len = 0;
        for (key, id) in flows {
            self.insert(key, id);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.groups)
    }

    /// Takes all flows out.
    pub(super) fn clear(&mut self) {
        self.groups = groups_of(self.groups.len());
        self.len = 0;
    }

    /// Reads where a search for a key begins, and says something of it.
    #[inline]
    pub(super) fn touch(&self, key: KeyHash) -> u32 {
        self.groups.get(self.home(key)).map_or(0, |group| group[0])
    }

    /// Calls `visit` for each flow that may have a key, in no order.
    #[inline]
    pub(super) fn for_each(&self, key: KeyHash, mut visit: impl FnMut(Id)) {
        let (mut at, tag) = (self.home(key), tag(key));
        for _ in 0..self.groups.len() {
            let Some([places @ .., beyond]) = self.groups.get(at) else {
                return;
            };
            for place in *places {
                // Of another tag, something is left above the number.
                match Id::new(place ^ tag) {
                    Some(id) if id.get() <= NUMBER_MAX => visit(id),
                    _ => {}
                }
            }
            if *beyond == 0 {
                return;
            }
            at = self.behind(at);
        }
    }

    /// Adds a flow; false when there is no room.
    pub(super) fn insert(&mut self, key: KeyHash, id: Id) -> bool {
        let number = tag(key) | id.get();
        let there = id.get() <= NUMBER_MAX && self.replace(key, NOBODY, number, 1);
        self.len += usize::from(there);
        there
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, key: KeyHash, id: Id) {
        let number = tag(key) | id.get();
        self.len -= usize::from(self.replace(key, number, NOBODY, -1));
    }

    /// Puts one thing in the place of another, the first one from a key's home; the groups before
    /// it have one more, or less, beyond them.
    fn replace(&mut self, key: KeyHash, old: u32, new: u32, change: i32) -> bool {
        let home = self.home(key);
        let mut at = home;
        loop {
            let Some([places @ .., _]) = self.groups.get_mut(at) else {
                return false;
            };
            if let Some(place) = places.iter_mut().find(|place| **place == old) {
                *place = new;
                break;
            }
            at = self.behind(at);
            if at == home {
                return false;
            }
        }
        let mut passed = home;
        while passed != at {
            if let Some([.., beyond]) = self.groups.get_mut(passed) {
                *beyond = beyond.saturating_add_signed(change);
            }
            passed = self.behind(passed);
        }
        true
    }

    fn home(&self, key: KeyHash) -> usize {
        (key.mixed() >> 32) as usize & (self.groups.len() - 1)
    }

    /// The group after one; the first after the last.
    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.groups.len() - 1)
    }
}

fn groups_of(count: usize) -> Box<[Group]> {
    vec![[0; 4]; count].into()
}

/// Stands above a number.
#[inline]
fn tag(key: KeyHash) -> u32 {
    ((key.mixed() >> 32) as u32) & !NUMBER_MAX
}

/// In an empty place.
const NOBODY: u32 = 0;
/// Of a group.
const PLACES: usize = 3;
const GROUPS_MIN: usize = 64;
/// 128 KiB for some 12,000 flows, which stay in a processor's own cache.
const GROUPS_AT_FIRST: usize = 1 << 13;
const GROUPS_MAX: usize = 1 << 23;
/// Sixteen million flows; more do not fit in what a user would give them.
const NUMBER_BITS: u32 = 24;
const NUMBER_MAX: u32 = (1 << NUMBER_BITS) - 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::transport::FlowKey;
    use crate::transport::flow_key::KeyHasher;

    proptest! {
        /// However crowded.
        #[test]
        fn a_flow_is_found_from_its_insertion_to_its_removal(
            steps in prop::collection::vec((0..400_u16, any::<bool>()), 1..2000)
        ) {
            let hasher = KeyHasher::new();
            let key = |number: u16| {
                // Several numbers share a key, as connections do.
                let src = ([192, 0, 2, 1], number / 4).into();
                hasher.hash(&FlowKey::between(src, ([192, 0, 2, 2], 80).into()))
            };
            let id = |number: u16| Id::new(u32::from(number) + 1).unwrap();
            let (mut index, mut there) = (Index::new(1), BTreeSet::new());
            for (number, comes) in steps {
                if comes && there.len() < GROUPS_MIN * PLACES && there.insert(number) {
                    prop_assert!(index.insert(key(number), id(number)));
                }
                if !comes && there.remove(&number) {
                    index.remove(key(number), id(number));
                }
            }
            for number in 0..400 {
                let mut found = 0;
                index.for_each(key(number), |one| found += usize::from(one == id(number)));
                prop_assert_eq!(found, usize::from(there.contains(&number)));
            }
        }
    }

    #[test]
    fn a_wide_index_knows_what_a_narrow_one_knew() {
        let hasher = KeyHasher::new();
        let flow = |number: u32| {
            let src = (number.to_be_bytes(), 50_000).into();
            let key = hasher.hash(&FlowKey::between(src, ([192, 0, 2, 2], 80).into()));
            (key, Id::new(number).unwrap())
        };
        let mut index = Index::new(1 << 20);
        let mut count = 0;
        while !index.is_narrow() {
            count += 1;
            let (key, id) = flow(count);
            assert!(index.insert(key, id));
        }
        assert_eq!(count as usize, GROUPS_AT_FIRST * PLACES / 2);
        let before = index.heap_bytes();
        index.widen((1..=count).map(flow));
        assert!(!index.is_narrow() && index.heap_bytes() > before);
        for (key, id) in (1..=count).map(flow) {
            let mut found = 0;
            index.for_each(key, |one| found += usize::from(one == id));
            assert_eq!(found, 1);
            index.remove(key, id);
        }
        assert_eq!(index.len, 0);
    }

    #[test]
    fn a_full_index_takes_no_more() {
        let hasher = KeyHasher::new();
        let key = hasher.hash(&FlowKey::FIRST);
        let mut index = Index::new(1);
        let all = (GROUPS_MIN * PLACES) as u32;
        for number in 1..=all {
            assert!(index.insert(key, Id::new(number).unwrap()));
        }
        assert!(!index.insert(key, Id::new(all + 1).unwrap()));
        let mut found = 0;
        index.for_each(key, |_| found += 1);
        assert_eq!(found, all);
    }
}
