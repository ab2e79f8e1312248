//! One store, or the copies of several taps' stores in one directory, read together.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::store::{
    EventQuery, EventRecord, StoreError, StoreReader, StoredCanary, Unreadable, exists,
};

/// A store, and whose it is.
#[derive(Debug)]
pub struct TapStore {
    /// The tap's name; none: the one store of its directory.
    pub tap: Option<String>,
    /// Its data directory.
    pub directory: PathBuf,
    /// Reads it.
    pub reader: StoreReader,
}

/// What set-aside copies bear in their names: they are no part of the present ones.
pub const ASIDE: &str = ".before-";

/// Names of the taps whose copies lie in `directory`, in order.
pub fn taps(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.contains(ASIDE) && exists(&directory.join(name)))
        .collect();
    names.sort();
    names
}

impl TapStore {
    /// The store in `directory`, or those of all taps whose copies lie there.
    ///
    /// # Errors
    /// As [`StoreReader::open`].
    pub fn open_all(directory: &Path) -> Result<Vec<Self>, StoreError> {
        let names = match exists(directory) {
            true => Vec::new(),
            false => taps(directory),
        };
        if names.is_empty() {
            return Ok(vec![Self {
                tap: None,
                directory: directory.to_path_buf(),
                reader: StoreReader::open(directory)?,
            }]);
        }
        let open = |name: String| {
            let directory = directory.join(&name);
            Ok(Self {
                tap: Some(name),
                reader: StoreReader::open(&directory)?,
                directory,
            })
        };
        names.into_iter().map(open).collect()
    }

    fn sign(&self, mut event: EventRecord) -> EventRecord {
        event.tap.clone_from(&self.tap);
        event
    }
}

/// Gives `visit` each event of these stores that `query` asks for, until it breaks: those of one
/// store in the order of `seq`, and of several always the earliest that is next in its own.
///
/// # Errors
/// A database cannot be read, or `visit` failed.
pub fn for_each_of<E: From<StoreError>>(
    stores: &[TapStore],
    query: &EventQuery,
    mut visit: impl FnMut(EventRecord) -> Result<ControlFlow<()>, E>,
) -> Result<Unreadable, E> {
    if let [store] = stores {
        return store
            .reader
            .for_each(query, |event| visit(store.sign(event)));
    }
    let mut streams: Vec<Stream<'_>> = stores
        .iter()
        .map(|store| Stream::new(store, query))
        .collect();
    loop {
        for stream in &mut streams {
            stream.fill()?;
        }
        let next = streams
            .iter_mut()
            .filter(|stream| !stream.waiting.is_empty())
            .min_by(|one, other| one.time().cmp(&other.time()));
        let Some(event) = next.and_then(|stream| stream.waiting.pop_front()) else {
            break;
        };
        if visit(event)?.is_break() {
            break;
        }
    }
    let mut unreadable = Unreadable::default();
    for stream in &streams {
        unreadable.count += stream.unreadable.count;
        unreadable.first = unreadable.first.max(stream.unreadable.first);
    }
    Ok(unreadable)
}

/// Folds of these stores that may still grow, by the time of their last visit.
///
/// # Errors
/// A database cannot be read.
pub fn open_folds_of(
    stores: &[TapStore],
    query: &EventQuery,
) -> Result<Vec<EventRecord>, StoreError> {
    let mut folds = Vec::new();
    for store in stores {
        let open = store.reader.open_folds(query)?;
        folds.extend(open.into_iter().map(|fold| store.sign(fold)));
    }
    folds.sort_by(|one, other| one.time.cmp(&other.time));
    Ok(folds)
}

/// The canaries that were minted, on whichever tap; each once.
///
/// # Errors
/// A database cannot be read.
pub fn canaries_of(stores: &[TapStore]) -> Result<Vec<StoredCanary>, StoreError> {
    let mut canaries: Vec<StoredCanary> = Vec::new();
    let mut known = HashSet::new();
    for store in stores {
        let minted = store.reader.canaries()?.into_iter();
        canaries.extend(minted.filter(|canary| known.insert(canary.id.clone())));
    }
    Ok(canaries)
}

/// The events of one store, some ahead.
struct Stream<'a> {
    store: &'a TapStore,
    /// What to look for; `after` moves on.
    query: EventQuery,
    waiting: VecDeque<EventRecord>,
    ended: bool,
    unreadable: Unreadable,
}

impl<'a> Stream<'a> {
    fn new(store: &'a TapStore, query: &EventQuery) -> Self {
        Self {
            store,
            query: query.clone(),
            waiting: VecDeque::new(),
            ended: false,
            unreadable: Unreadable::default(),
        }
    }

    fn time(&self) -> Option<&str> {
        self.waiting.front().map(|event| event.time.as_str())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        if self.ended || !self.waiting.is_empty() {
            return Ok(());
        }
        let (store, waiting, query) = (self.store, &mut self.waiting, &mut self.query);
        let asked = query.clone();
        let unreadable = store.reader.for_each::<StoreError>(&asked, |event| {
            query.after = event.seq.unwrap_or(query.after);
            waiting.push_back(store.sign(event));
            Ok(match waiting.len() < AHEAD {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        self.ended = self.waiting.len() < AHEAD;
        if self.unreadable.count == 0 {
            self.unreadable.first = unreadable.first;
        }
        self.unreadable.count += unreadable.count;
        Ok(())
    }
}

/// Events of one store that are read at once.
const AHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn a_directory_without_a_store_is_one_that_misses_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let missing = TapStore::open_all(folder.path()).unwrap_err();
        assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    }

    #[test]
    fn copies_are_known_by_their_names_and_what_was_set_aside_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pi", "attic", "pi.before-2013"] {
            Store::open(&folder.path().join(name), StoreOptions::default()).unwrap();
        }
        fs::write(folder.path().join("pi.head"), "").unwrap();
        assert_eq!(taps(folder.path()), ["attic", "pi"]);
        let stores = TapStore::open_all(folder.path()).unwrap();
        assert_eq!(stores[1].tap.as_deref(), Some("pi"));
        let alone = TapStore::open_all(&folder.path().join("pi")).unwrap();
        assert_eq!((alone.len(), &alone[0].tap), (1, &None));
        let several = StoreReader::open(folder.path()).unwrap_err().to_string();
        assert!(several.contains("attic, pi"), "{several}");
    }
}
