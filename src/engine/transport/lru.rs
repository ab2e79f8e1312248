//! Slots in three lists by interest, each in the order in which its slots were last touched.

use crate::engine::transport::Interest;

/// Names an entry as long as it is there.
pub(super) type Slot = u32;

const NONE: Slot = Slot::MAX;
const CLASSES: usize = 3;

#[derive(Debug)]
pub(super) struct Lru<T> {
    entries: Vec<Entry<T>>,
    free: Slot,
    lists: [List; CLASSES],
}

#[derive(Clone, Copy, Debug)]
struct List {
    oldest: Slot,
    newest: Slot,
}

#[derive(Debug)]
struct Entry<T> {
    value: Option<T>,
    class: u8,
    older: Slot,
    newer: Slot,
}

impl<T> Default for Lru<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            lists: [List {
                oldest: NONE,
                newest: NONE,
            }; CLASSES],
        }
    }
}

impl<T> Lru<T> {
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(slot as usize)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.value.as_mut()
    }

    /// What one entry takes up.
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry<T>>();

    pub(super) fn insert(&mut self, value: T) -> Slot {
        let slot = self.take_free();
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.value = Some(value);
        }
        self.link(slot, class_of(Interest::Undecided));
        slot
    }

    fn take_free(&mut self) -> Slot {
        if self.free != NONE {
            let slot = self.free;
            self.free = self
                .entries
                .get(slot as usize)
                .map_or(NONE, |entry| entry.newer);
            return slot;
        }
        self.entries.push(Entry {
            value: None,
            class: 0,
            older: NONE,
            newer: NONE,
        });
        (self.entries.len() - 1) as Slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let value = self.entries.get_mut(slot as usize)?.value.take()?;
        self.unlink(slot);
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.newer = self.free;
        }
        self.free = slot;
        Some(value)
    }

    /// Makes an entry the newest of its interest.
    pub(super) fn touch(&mut self, slot: Slot, interest: Interest) {
        let class = class_of(interest);
        let same = self
            .entries
            .get(slot as usize)
            .is_some_and(|entry| entry.class == class && entry.newer == NONE);
        if !same {
            self.unlink(slot);
            self.link(slot, class);
        }
    }

    /// The entry that says least: of the lowest interest, the one touched longest ago.
    pub(super) fn least(&self) -> Option<(Slot, Interest)> {
        let interests = [Interest::Idle, Interest::Undecided, Interest::Watched];
        self.lists
            .iter()
            .zip(interests)
            .find(|(list, _)| list.oldest != NONE)
            .map(|(list, interest)| (list.oldest, interest))
    }

    pub(super) fn slots_where(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<Slot> {
        (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.value.as_ref().is_some_and(&mut wanted))
            .map(|(slot, _)| slot)
            .collect()
    }

    fn link(&mut self, slot: Slot, class: u8) {
        let newest = self.list(class).newest;
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.class = class;
            entry.older = newest;
            entry.newer = NONE;
        }
        match self.entries.get_mut(newest as usize) {
            Some(before) => before.newer = slot,
            None => self.list(class).oldest = slot,
        }
        self.list(class).newest = slot;
    }

    fn unlink(&mut self, slot: Slot) {
        let Some(entry) = self.entries.get(slot as usize) else {
            return;
        };
        let (class, older, newer) = (entry.class, entry.older, entry.newer);
        match self.entries.get_mut(older as usize) {
            Some(before) => before.newer = newer,
            None => self.list(class).oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(after) => after.older = older,
            None => self.list(class).newest = older,
        }
    }

    fn list(&mut self, class: u8) -> &mut List {
        let [idle, undecided, watched] = &mut self.lists;
        match class {
            0 => idle,
            1 => undecided,
            _ => watched,
        }
    }
}

const fn class_of(interest: Interest) -> u8 {
    match interest {
        Interest::Idle => 0,
        Interest::Undecided => 1,
        Interest::Watched => 2,
    }
}
