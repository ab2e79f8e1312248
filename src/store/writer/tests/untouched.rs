//! Reading without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

/// Each file of a folder, byte for byte.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The files as a power cut leaves them: a writer had them open.
fn cut_off(store: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(store.path()) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    copy
}

fn last_seq(folder: &Path) -> Result<u64, StoreError> {
    StoreReader::open_untouched(folder)?.last_seq()
}

#[test]
fn a_store_that_was_closed_is_read_and_no_file_is_made() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0)), event(visit(1))]).unwrap();
    drop(store);
    let before = files(folder.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), ["events.db"]);
    assert_eq!(last_seq(folder.path()).unwrap(), 2);
    assert!(files(folder.path()) == before);
}

#[test]
fn a_store_that_was_not_closed_is_read_with_its_newest_events_and_no_byte_is_written() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0))]).unwrap();
    store.commit(&[event(visit(1))]).unwrap();
    let copy = cut_off(&folder);
    let before = files(copy.path());
    assert_eq!(before.len(), 3);
    assert_eq!(last_seq(copy.path()).unwrap(), 2);
    assert!(files(copy.path()) == before);
}

#[test]
fn a_log_without_its_index_cannot_be_read_without_a_trace() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0))]).unwrap();
    let copy = cut_off(&folder);
    fs::remove_file(copy.path().join("events.db-shm")).unwrap();
    let before = files(copy.path());
    let error = last_seq(copy.path()).unwrap_err();
    assert!(matches!(error, StoreError::Unfinished { .. }), "{error}");
    assert!(files(copy.path()) == before);
}

#[test]
fn a_folder_without_a_store_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = last_seq(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(files(folder.path()).is_empty());
}
