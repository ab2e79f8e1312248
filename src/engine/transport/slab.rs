//! Entries under small numbers, in pages that never move.
//!
//! A vector that grows copies all that it holds and needs three times its size while it does so;
//! pages grow by one page, and one whose entries have all left is given back.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// Names an entry as long as it is there.
pub(super) type Id = NonZeroU32;

/// A store of entries.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Option<Page<T>>>,
    /// Pages with room. The first of them is filled first, so that later ones empty.
    roomy: BTreeSet<u32>,
    /// Places in `pages` that hold none.
    vacant: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    entries: Vec<Option<T>>,
    /// Places in `entries` that are free again.
    free: Vec<u8>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            roomy: BTreeSet::new(),
            vacant: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    /// What one page takes up: entries, free list, and its share of the lists of pages.
    pub(super) const PAGE_BYTES: usize =
        PAGE_ENTRIES * (size_of::<Option<T>>() + 1) + 2 * size_of::<Option<Page<T>>>() + 64;

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_bytes(&self) -> usize {
        (self.pages.len() - self.vacant.len()) * Self::PAGE_BYTES
    }

    /// Whether the next entry needs another page.
    pub(super) fn is_full(&self) -> bool {
        self.roomy.is_empty()
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        let (page, place) = locate(id);
        self.pages.get(page)?.as_ref()?.entries.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let (page, place) = locate(id);
        let page = self.pages.get_mut(page)?.as_mut()?;
        page.entries.get_mut(place)?.as_mut()
    }

    /// None when there are more entries than numbers.
    pub(super) fn insert(&mut self, value: T) -> Option<Id> {
        let number = match self.roomy.first() {
            Some(number) => *number,
            None => self.add_page()?,
        };
        let page = self.pages.get_mut(number as usize)?.as_mut()?;
        let place = page.insert(value)?;
        if page.is_full() {
            self.roomy.remove(&number);
        }
        self.len += 1;
        Id::new(number * PAGE_ENTRIES as u32 + place as u32 + 1)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let (number, place) = locate(id);
        let page = self.pages.get_mut(number)?.as_mut()?;
        let value = page.entries.get_mut(place)?.take()?;
        page.free.push(place as u8);
        self.len -= 1;
        let (empty, number) = (page.is_empty(), number as u32);
        self.roomy.insert(number);
        if empty && self.roomy.len() > 1 {
            self.drop_page(number);
        }
        Some(value)
    }

    /// Every entry's number, in order.
    pub(super) fn ids(&self) -> Vec<Id> {
        let all = 0..(self.pages.len() * PAGE_ENTRIES) as u32;
        let ids = all.filter_map(|number| Id::new(number + 1));
        ids.filter(|id| self.get(*id).is_some()).collect()
    }

    fn add_page(&mut self) -> Option<u32> {
        let number = match self.vacant.pop() {
            Some(number) => number,
            None => {
                let number = u32::try_from(self.pages.len()).ok()?;
                let beyond = (number + 1).checked_mul(PAGE_ENTRIES as u32);
                beyond.filter(|last| *last < u32::MAX)?;
                self.pages.push(None);
                number
            }
        };
        *self.pages.get_mut(number as usize)? = Some(Page::new());
        self.roomy.insert(number);
        Some(number)
    }

    fn drop_page(&mut self, number: u32) {
        if let Some(page) = self.pages.get_mut(number as usize) {
            *page = None;
        }
        self.roomy.remove(&number);
        self.vacant.push(number);
    }
}

impl<T> Page<T> {
    fn new() -> Self {
        Self {
            entries: Vec::with_capacity(PAGE_ENTRIES),
            free: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.free.is_empty() && self.entries.len() == PAGE_ENTRIES
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }

    fn insert(&mut self, value: T) -> Option<usize> {
        if let Some(place) = self.free.pop() {
            *self.entries.get_mut(usize::from(place))? = Some(value);
            return Some(usize::from(place));
        }
        self.entries.push(Some(value));
        Some(self.entries.len() - 1)
    }
}

fn locate(id: Id) -> (usize, usize) {
    let number = id.get() as usize - 1;
    (number / PAGE_ENTRIES, number % PAGE_ENTRIES)
}

/// Entries of a page: few enough that a page that one entry keeps alive wastes little.
const PAGE_ENTRIES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_until_it_is_removed() {
        let mut slab = Slab::default();
        let id = slab.insert("one").unwrap();
        assert_eq!(slab.get(id), Some(&"one"));
        assert_eq!(slab.remove(id), Some("one"));
        assert_eq!(slab.get(id), None);
        assert_eq!(slab.remove(id), None);
    }

    #[test]
    fn a_free_place_is_taken_before_a_new_page() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..PAGE_ENTRIES).map(|n| slab.insert(n).unwrap()).collect();
        assert!(slab.is_full());
        slab.remove(ids[5]);
        assert_eq!(slab.insert(9), Some(ids[5]));
        assert_eq!(slab.heap_bytes(), Slab::<usize>::PAGE_BYTES);
    }

    #[test]
    fn pages_that_emptied_are_given_back() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..10 * PAGE_ENTRIES)
            .map(|n| slab.insert(n).unwrap())
            .collect();
        assert_eq!(slab.heap_bytes(), 10 * Slab::<usize>::PAGE_BYTES);
        for id in ids {
            slab.remove(id);
        }
        assert_eq!(slab.heap_bytes(), Slab::<usize>::PAGE_BYTES);
        assert_eq!(slab.len(), 0);
    }

    #[test]
    fn entries_have_numbers_of_their_own() {
        let mut slab = Slab::default();
        let mut ids: Vec<_> = (0..1000).map(|n| slab.insert(n).unwrap()).collect();
        ids.dedup();
        assert_eq!(ids, slab.ids());
        assert_eq!(ids.len(), 1000);
    }
}
