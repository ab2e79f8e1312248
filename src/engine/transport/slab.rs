//! Entries under small numbers, in pages that never move.
//!
//! A vector that grows copies all that it holds and needs three times its size while it does so;
//! pages grow by one page, and one whose entries have all left is given back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;

/// Names an entry as long as it is there.
pub(super) type Id = NonZeroU32;

/// A store of entries.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Option<Page<T>>>,
    /// Pages that had room when they were listed. The first of them is filled first, so that later
    /// ones empty.
    roomy: BinaryHeap<Reverse<u32>>,
    /// Places in `pages` that hold none.
    vacant: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    entries: Vec<Option<T>>,
    /// Places in `entries` that are free again.
    free: Vec<u8>,
    /// Whether it is among those with room, or was when that was last looked at.
    listed: bool,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            roomy: BinaryHeap::new(),
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
        self.live_pages() * Self::PAGE_BYTES
    }

    /// Whether the next entry needs another page.
    pub(super) fn is_full(&self) -> bool {
        self.free_places() == 0
    }

    fn live_pages(&self) -> usize {
        self.pages.len() - self.vacant.len()
    }

    fn free_places(&self) -> usize {
        self.live_pages() * PAGE_ENTRIES - self.len
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
        let number = match self.first_with_room() {
            Some(number) => number,
            None => self.add_page()?,
        };
        let page = self.pages.get_mut(number as usize)?.as_mut()?;
        let place = page.insert(value)?;
        self.len += 1;
        Id::new(number * PAGE_ENTRIES as u32 + place as u32 + 1)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let (number, place) = locate(id);
        let page = self.pages.get_mut(number)?.as_mut()?;
        let value = page.entries.get_mut(place)?.take()?;
        page.free.push(place as u8);
        let (listed, empty) = (std::mem::replace(&mut page.listed, true), page.is_empty());
        self.len -= 1;
        if !listed {
            self.roomy.push(Reverse(number as u32));
        }
        if empty && self.free_places() > PAGE_ENTRIES {
            self.drop_page(number as u32);
        }
        Some(value)
    }

    /// The first page with room. Those that have none any more are struck off the list on the way.
    fn first_with_room(&mut self) -> Option<u32> {
        loop {
            let Reverse(number) = *self.roomy.peek()?;
            match self.pages.get_mut(number as usize)? {
                Some(page) if !page.is_full() => return Some(number),
                Some(page) => page.listed = false,
                None => {}
            }
            self.roomy.pop();
        }
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
        self.roomy.push(Reverse(number));
        Some(number)
    }

    fn drop_page(&mut self, number: u32) {
        if let Some(page) = self.pages.get_mut(number as usize) {
            *page = None;
        }
        self.vacant.push(number);
    }
}

impl<T> Page<T> {
    fn new() -> Self {
        Self {
            entries: Vec::with_capacity(PAGE_ENTRIES),
            free: Vec::new(),
            listed: true,
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
