//! A store pulled by a client from a server, over pipes: what arrives, what is refused, and that
//! neither side can be harmed by the other. `tests/lab/pull.rs` does it over a real sshd.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may assert in the plainest way"
)]

use std::fs;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use canarytap::pull::{Client, CopyHome, PullError, Pulled, serve};
use canarytap::store::{
    Acknowledge, Broken, EventQuery, EventRecord, Incoming, Store, StoreCopy, StoreError,
    StoreOptions, StoreReader, StoredCanary, Verification,
};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

mod common;
#[path = "common/rewrite.rs"]
mod rewriting;

use common::{at, request, status, visit};
use rewriting::{rewrite, sha256};

/// A tap's store, and a place for its copy.
struct Desk {
    folder: TempDir,
    store: Store,
    next: u64,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("tap"), StoreOptions::default()).unwrap();
        Self {
            folder,
            store,
            next: 0,
        }
    }

    /// One whose tap has seen something.
    fn filled() -> Self {
        let mut desk = Self::new();
        desk.see(30);
        desk
    }

    /// So many visits, each with a request and its status.
    fn see(&mut self, visits: u64) {
        for _ in 0..visits {
            let id = self.next;
            self.next += 2;
            let batch = [
                Incoming::Event(visit(id)),
                Incoming::Event(request(id + 1)),
                status(id, 200),
            ];
            self.store.commit(&batch).unwrap();
        }
    }

    fn tap(&self) -> PathBuf {
        self.folder.path().join("tap")
    }

    fn copies(&self) -> PathBuf {
        self.folder.path().join("copies")
    }

    fn copy(&self) -> PathBuf {
        self.copies().join("pi")
    }

    fn home(&self) -> CopyHome {
        CopyHome::open(&self.copies(), "pi").unwrap()
    }

    fn verified(&self) -> Verification {
        let reader = StoreReader::open(&self.copy()).unwrap();
        reader.verify(&[]).unwrap()
    }

    fn pull(&self) -> Result<Pulled, PullError> {
        pull_from(&self.tap(), &self.home(), u64::MAX, LIMIT)
    }

    /// Changes the tap behind its store's back.
    fn touch(&self, statements: &str) {
        let database = Connection::open(self.tap().join("events.db")).unwrap();
        database.execute_batch(statements).unwrap();
    }

    /// Makes the chain anew from the link `first` on, as somebody does who holds the tap.
    fn rewrite(&self, first: u64) {
        rewrite(&self.tap().join("events.db"), first);
    }

    /// Keeps packets of the visit `of`, and says so in the chain.
    fn keep(&mut self, of: u64, bytes: &[u8]) -> String {
        let name = format!("{of}.pcapng");
        fs::create_dir_all(self.tap().join("evidence")).unwrap();
        fs::write(self.tap().join("evidence").join(&name), bytes).unwrap();
        let evidence =
            json!({"file": name, "bytes": bytes.len(), "sha256": sha256(bytes), "state": "kept"});
        let detail = json!({"of": of, "time": at(of).to_string(), "evidence": evidence});
        self.store.add_records("detail", &[detail]).unwrap();
        name
    }
}

/// Pulls from a server that says no more than so many bytes before the connection breaks.
fn pull_from(tap: &Path, home: &CopyHome, bytes: u64, limit: u64) -> Result<Pulled, PullError> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let tap = tap.to_path_buf();
    let server = thread::spawn(move || {
        let mut from = BufReader::new(theirs.try_clone().unwrap());
        serve(&tap, vec![configured()], &mut from, &mut &theirs)
    });
    let from = BufReader::new(ours.try_clone().unwrap().take(bytes));
    let pulled = Client::new(home, from, &ours, limit).pull();
    drop(ours.shutdown(std::net::Shutdown::Both));
    let _broken_off = server.join().unwrap();
    pulled
}

/// Pulls from somebody who answers with these lines, one after the other, whatever is asked.
fn pull_from_liar(home: &CopyHome, answers: &[u8]) -> PullError {
    let all = [HELLO.as_bytes(), answers].concat();
    Client::new(home, &all[..], io::sink(), LIMIT)
        .pull()
        .unwrap_err()
}

fn events(directory: &Path) -> Vec<EventRecord> {
    let reader = StoreReader::open(directory).unwrap();
    let mut events = Vec::new();
    reader
        .for_each::<StoreError>(&EventQuery::default(), |event| {
            events.push(event);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    events
}

fn configured() -> StoredCanary {
    StoredCanary {
        id: "k7f3q2m9".into(),
        url: "https://www.example.org/x/login.html".into(),
        channel: "skype".into(),
        label: None,
        token: None,
        control: false,
        created: String::new(),
    }
}

fn minted(id: &str) -> StoredCanary {
    StoredCanary {
        id: id.into(),
        created: "2013-04-30T17:28:32Z".into(),
        ..configured()
    }
}

const HELLO: &str = "{\"hello\":{\"protocol\":1,\"program\":\"0.1.0\"}}\n";
const LIMIT: u64 = 1 << 30;

#[test]
fn the_first_pull_brings_all_and_the_next_only_what_is_new() {
    let mut desk = Desk::filled();
    desk.store
        .add_canaries(&[minted("one"), minted("two")])
        .unwrap();
    let pulled = desk.pull().unwrap();
    assert_eq!(
        (pulled.links, pulled.requests, pulled.canaries),
        (60, 30, 2)
    );
    assert_eq!(events(&desk.copy()), events(&desk.tap()));

    desk.see(2);
    desk.store.add_canaries(&[minted("three")]).unwrap();
    let pulled = desk.pull().unwrap();
    assert_eq!((pulled.links, pulled.requests, pulled.canaries), (4, 2, 1));
    assert_eq!(events(&desk.copy()), events(&desk.tap()));
    let reader = StoreReader::open(&desk.copy()).unwrap();
    assert!(
        reader
            .verify(&[pulled.head.unwrap()])
            .unwrap()
            .broken
            .is_none()
    );
    let ids: Vec<_> = reader
        .canaries()
        .unwrap()
        .into_iter()
        .map(|canary| canary.id)
        .collect();
    assert_eq!(ids, ["one", "two", "three", "k7f3q2m9"]);

    let pulled = desk.pull().unwrap();
    assert_eq!((pulled.links, pulled.requests, pulled.canaries), (0, 0, 0));
}

#[test]
fn many_pages_arrive_whole() {
    let mut desk = Desk::new();
    for _ in 0..5 {
        let batch: Vec<_> = (0..700)
            .map(|id| Incoming::Event(request(desk.next + id)))
            .collect();
        desk.store.commit(&batch).unwrap();
        desk.next += 700;
        desk.see(20);
    }
    let pulled = desk.pull().unwrap();
    assert_eq!((pulled.links, pulled.requests), (200, 3600));
    assert_eq!(events(&desk.copy()), events(&desk.tap()));
    let late = EventQuery {
        since: Some(at(3000)),
        ..EventQuery::default()
    };
    let count = |directory: &Path| {
        let mut count = 0;
        StoreReader::open(directory)
            .unwrap()
            .for_each::<StoreError>(&late, |_| {
                count += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        count
    };
    assert_eq!(count(&desk.copy()), count(&desk.tap()));
}

#[test]
fn a_connection_that_breaks_anywhere_costs_nothing_but_another_pull() {
    let mut desk = Desk::filled();
    desk.keep(1, &vec![7; 700_000]);
    desk.see(400);
    let mut bytes = 1;
    let mut broken = 0;
    while let Err(error) = pull_from(&desk.tap(), &desk.home(), bytes, LIMIT) {
        assert!(matches!(error, PullError::Connection(_)), "{error}");
        if desk.copy().join("events.db").exists() {
            assert_eq!(desk.verified().broken, None);
        }
        bytes = bytes * 5 / 4 + 97;
        broken += 1;
    }
    assert!(broken > 30, "{broken}");
    assert_eq!(events(&desk.copy()), events(&desk.tap()));
    let kept = fs::read(desk.copy().join("evidence/1.pcapng")).unwrap();
    assert_eq!(kept, vec![7; 700_000]);
    let verified = desk.verified();
    assert_eq!((verified.files, verified.files_awaited), (1, 0));
    assert_eq!(
        fs::read_dir(desk.copy().join("evidence")).unwrap().count(),
        1
    );
    fs::remove_file(desk.copy().join("evidence/1.pcapng")).unwrap();
    let broken = desk.verified().broken;
    assert!(
        matches!(broken, Some(Broken::FileMissing { of: 1, .. })),
        "{broken:?}"
    );
}

#[test]
fn packets_that_a_pull_did_not_come_to_are_waited_for_and_not_missing() {
    let mut desk = Desk::filled();
    desk.pull().unwrap();
    desk.keep(1, &vec![7; 700_000]);
    pull_from(&desk.tap(), &desk.home(), 100_000, LIMIT).unwrap_err();
    let verified = desk.verified();
    assert_eq!(verified.broken, None);
    assert_eq!((verified.files, verified.files_awaited), (0, 1));
    desk.pull().unwrap();
    let verified = desk.verified();
    assert_eq!((verified.files, verified.files_awaited), (1, 0));
}

#[test]
fn a_status_that_came_after_the_pull_comes_with_the_next() {
    let mut desk = Desk::new();
    desk.store.commit(&[Incoming::Event(request(1))]).unwrap();
    desk.pull().unwrap();
    assert_eq!(events(&desk.copy())[0].status, None);
    desk.store.commit(&[status(1, 404)]).unwrap();
    desk.pull().unwrap();
    assert_eq!(events(&desk.copy())[0].status, Some(404));
}

#[test]
fn what_was_acknowledged_on_the_tap_is_so_in_the_copy() {
    let mut desk = Desk::filled();
    let waiting = |desk: &Desk| {
        let reader = StoreReader::open(&desk.copy()).unwrap();
        reader
            .unacknowledged()
            .unwrap()
            .map_or(0, |waiting| waiting.count)
    };
    desk.pull().unwrap();
    assert_eq!(waiting(&desk), 30);
    desk.store
        .acknowledge(&Acknowledge::Seqs(vec![1]), at(0))
        .unwrap();
    desk.pull().unwrap();
    assert_eq!(waiting(&desk), 29);
    desk.store.acknowledge(&Acknowledge::All, at(0)).unwrap();
    desk.pull().unwrap();
    assert_eq!(waiting(&desk), 0);
}

#[test]
fn a_flood_that_still_folds_is_shown_by_the_copy() {
    let mut desk = Desk::new();
    let visits: Vec<_> = (0..110).map(|id| Incoming::Event(visit(id))).collect();
    desk.store.commit(&visits).unwrap();
    desk.pull().unwrap();
    let folds = |directory: &Path| {
        let reader = StoreReader::open(directory).unwrap();
        reader.open_folds(&EventQuery::default()).unwrap()
    };
    assert_eq!(folds(&desk.copy())[0].count, Some(10));
    assert_eq!(folds(&desk.copy()), folds(&desk.tap()));
}

#[test]
fn a_rewritten_history_is_refused_with_the_first_record_that_differs() {
    for changed in [1, 40, 88] {
        let mut desk = Desk::filled();
        desk.pull().unwrap();
        let before = events(&desk.copy());
        desk.rewrite(changed);
        let holds = StoreReader::open(&desk.tap()).unwrap().verify(&[]).unwrap();
        assert!(holds.broken.is_none(), "{:?}", holds.broken);
        desk.see(3);
        let error = desk.pull().unwrap_err();
        let PullError::Rewritten { first, kept, shown } = &error else {
            panic!("{error}");
        };
        assert_eq!(*first, changed);
        assert_ne!(kept.as_ref().unwrap().hash, shown.as_ref().unwrap().hash);
        assert!(error.to_string().starts_with("REFUSED"), "{error}");
        assert_eq!(events(&desk.copy()), before);
    }
}

#[test]
fn a_shortened_history_is_refused_though_new_records_take_the_place_of_the_old() {
    let desk = Desk::filled();
    let pulled = desk.pull().unwrap();
    desk.touch("DELETE FROM visits WHERE seq > 80");
    let error = desk.pull().unwrap_err();
    assert!(
        matches!(&error, PullError::Shortened { remembered, shown: Some(shown) }
            if Some(remembered) == pulled.head.as_ref() && shown.seq == 79),
        "{error}"
    );
    desk.touch("DELETE FROM visits");
    assert!(matches!(
        desk.pull().unwrap_err(),
        PullError::Shortened { shown: None, .. }
    ));
    assert_eq!(events(&desk.copy()).len(), 60);
}

#[test]
fn one_record_that_was_deleted_or_changed_is_refused_as_it_comes() {
    for (statement, words) in [
        ("DELETE FROM visits WHERE seq = 40", "does not follow"),
        (
            "UPDATE visits SET record = replace(record, 'HEAD', 'GET') WHERE seq = 40",
            "was changed",
        ),
        (
            "UPDATE visits SET record = x'ff00' WHERE seq = 40",
            "was changed",
        ),
        (
            "UPDATE visits SET seq = 1000000 WHERE seq = 90",
            "another number",
        ),
    ] {
        let desk = Desk::filled();
        desk.touch(statement);
        let error = desk.pull().unwrap_err().to_string();
        assert!(error.contains(words), "{statement}: {error}");
    }
}

#[test]
fn a_copy_that_was_lost_must_come_by_what_is_remembered() {
    let mut desk = Desk::filled();
    desk.pull().unwrap();
    fs::remove_dir_all(desk.copy()).unwrap();
    desk.see(1);
    assert_eq!(desk.pull().unwrap().links, 62);

    fs::remove_dir_all(desk.copy()).unwrap();
    desk.rewrite(40);
    let error = desk.pull().unwrap_err();
    assert!(
        matches!(error, PullError::Rewritten { first: 93, .. }),
        "{error}"
    );
}

#[test]
fn a_copy_that_was_changed_here_is_not_gone_on_with() {
    let desk = Desk::filled();
    desk.pull().unwrap();
    let database = Connection::open(desk.copy().join("events.db")).unwrap();
    database
        .execute_batch("UPDATE visits SET hash = 'f' WHERE seq = (SELECT max(seq) FROM visits)")
        .unwrap();
    let error = desk.pull().unwrap_err();
    assert!(matches!(error, PullError::CopyChanged { .. }), "{error}");
}

#[test]
fn nobody_else_writes_to_a_copy_and_a_taps_own_store_becomes_none() {
    let desk = Desk::filled();
    desk.pull().unwrap();
    let refused = Store::open(&desk.copy(), StoreOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Copy { .. }), "{refused}");
    let refused = StoreCopy::open(&desk.tap(), LIMIT).unwrap_err();
    assert!(matches!(refused, StoreError::NoCopy { .. }), "{refused}");
}

#[test]
fn kept_packets_come_once_the_chain_says_what_they_are() {
    let mut desk = Desk::filled();
    desk.keep(1, b"packets");
    fs::write(desk.tap().join("evidence/4.pcapng"), b"still grow").unwrap();
    fs::write(desk.tap().join("evidence/notes"), b"of somebody").unwrap();
    symlink("/etc/hostname", desk.tap().join("evidence/7.pcapng")).unwrap();
    let pulled = desk.pull().unwrap();
    assert_eq!((pulled.files, pulled.refused.len()), (1, 0));
    let folder = desk.copy().join("evidence");
    assert_eq!(fs::read(folder.join("1.pcapng")).unwrap(), b"packets");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    desk.keep(4, b"still grow");
    assert_eq!(desk.pull().unwrap().files, 1);
}

#[test]
fn packets_that_are_not_what_the_chain_says_are_not_taken() {
    let mut desk = Desk::filled();
    let name = desk.keep(1, b"packets");
    desk.keep(4, b"others");
    fs::write(desk.tap().join("evidence").join(&name), b"forged!").unwrap();
    let pulled = desk.pull().unwrap();
    assert_eq!((pulled.files, pulled.refused.len()), (1, 1));
    assert!(
        pulled.refused[0].starts_with("1.pcapng: "),
        "{:?}",
        pulled.refused
    );
    assert!(!desk.copy().join("evidence/1.pcapng").exists());
    // Half a file of an earlier pull, of which nobody knows what it is.
    fs::write(desk.tap().join("evidence").join(&name), b"packets").unwrap();
    fs::write(desk.copy().join("evidence/1.pcapng.part"), b"pa??").unwrap();
    assert_eq!(desk.pull().unwrap().files, 1);
}

#[test]
fn a_copy_grows_no_larger_than_it_may() {
    let mut desk = Desk::new();
    desk.see(2000);
    let error = pull_from(&desk.tap(), &desk.home(), u64::MAX, 1 << 20).unwrap_err();
    assert!(matches!(error, PullError::TooLarge { .. }), "{error}");
}

#[test]
fn a_liar_is_told_from_a_tap_and_harms_nothing() {
    let desk = Desk::filled();
    desk.pull().unwrap();
    fs::remove_file(desk.copies().join("pi.head")).unwrap();
    fs::remove_dir_all(desk.copy()).unwrap();
    let long = vec![b'x'; (16 << 20) + 10];
    let page = format!(
        "{{\"rows\":[{}]}}\n",
        vec!["{\"request\":{\"seq\":1,\"time\":1,\"status\":null,\"record\":\"\"}}"; 1001]
            .join(",")
    );
    let huge = "{\"rows\":[{\"request\":{\"seq\":18446744073709551615,\"time\":1,\"status\":null,\"record\":\"\"}}]}\n";
    let forged = "{\"rows\":[{\"visit\":{\"seq\":1,\"record\":\"{}\",\"hash\":\"0\"}}]}\n";
    let backwards = "{\"rows\":[{\"request\":{\"seq\":5,\"time\":1,\"status\":null,\"record\":\"\"}},{\"request\":{\"seq\":4,\"time\":1,\"status\":null,\"record\":\"\"}}]}\n";
    let to_files = "{\"rows\":[]}\n{\"canaries\":[]}\n{\"acks\":[]}\n{\"present\":{\"configured\":[],\"floods\":[]}}\n";
    let path = format!("{to_files}{{\"files\":[{{\"name\":\"../../x.pcapng\",\"size\":1}}]}}\n");
    let round = format!(
        "{to_files}{0}{0}",
        "{\"files\":[{\"name\":\"1.pcapng\",\"size\":1}]}\n"
    );
    for (answers, words) in [
        (&long[..], "longer than"),
        (b"Welcome to tap!\n", "does not speak"),
        (b"\xff\xfe\n", "does not speak"),
        (b"{\"link\":null}\n", "is no answer"),
        (page.as_bytes(), "too long"),
        (huge.as_bytes(), "out of order"),
        (backwards.as_bytes(), "out of order"),
        (forged.as_bytes(), "was changed"),
        (path.as_bytes(), "no name of a kept file"),
        (round.as_bytes(), "goes round"),
        (b"", "broke off"),
        (b"{\"refused\":\"no store\"}\n", "no store"),
    ] {
        let error = pull_from_liar(&desk.home(), answers).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(events(&desk.copy()).is_empty());
    assert!(!desk.folder.path().join("x.pcapng").exists());
}

#[test]
fn one_who_speaks_another_version_is_told_so_before_anything_is_made() {
    let desk = Desk::new();
    let hello = b"{\"hello\":{\"protocol\":2,\"program\":\"9\"}}\n";
    let home = desk.home();
    let error = Client::new(&home, &hello[..], io::sink(), LIMIT)
        .pull()
        .unwrap_err();
    assert!(matches!(error, PullError::Version(2)), "{error}");
    assert!(!desk.copy().exists());
}

/// What a server says to these lines.
fn served(tap: &Path, questions: &[u8]) -> (io::Result<()>, String) {
    let mut answers = Vec::new();
    let ended = serve(tap, Vec::new(), &mut &questions[..], &mut answers);
    (ended, String::from_utf8_lossy(&answers).into_owned())
}

#[test]
fn a_server_gives_no_file_but_those_it_keeps() {
    let mut desk = Desk::filled();
    desk.keep(1, b"packets");
    fs::write(desk.tap().join("secret"), b"secret").unwrap();
    symlink("../secret", desk.tap().join("evidence/7.pcapng")).unwrap();
    for name in [
        "../secret",
        "/etc/passwd",
        "7.pcapng",
        "9.pcapng",
        "",
        ".",
        "1.pcapng/../../secret",
    ] {
        let question = format!("{}\n", json!({"get": "piece", "name": name, "offset": 0}));
        let (ended, answer) = served(&desk.tap(), question.as_bytes());
        ended.unwrap();
        assert!(answer.starts_with("{\"refused\":"), "{name}: {answer}");
        assert!(!answer.contains("secret\n"), "{name}: {answer}");
    }
    let question = b"{\"get\":\"piece\",\"name\":\"1.pcapng\",\"offset\":3}\n";
    let (_, answer) = served(&desk.tap(), question);
    assert_eq!(answer, "{\"piece\":{\"bytes\":4,\"size\":7}}\nkets");
    let question = b"{\"get\":\"piece\",\"name\":\"1.pcapng\",\"offset\":18446744073709551615}\n";
    let (ended, answer) = served(&desk.tap(), question);
    ended.unwrap();
    assert!(answer.starts_with("{\"refused\":"), "{answer}");
}

#[test]
fn a_server_ends_at_what_is_no_question_and_changes_nothing() {
    let desk = Desk::filled();
    let before = fs::read(desk.tap().join("events.db")).unwrap();
    for question in [
        &b"rm -rf /\n"[..],
        b"\x00\xff\n",
        b"{\"get\":\"everything\"}\n",
        b"{\"get\":\"rows\"}\n",
        b"{\"get\":\"hello\"",
        &[b'x'; 5000],
    ] {
        let (ended, answer) = served(&desk.tap(), question);
        assert!(ended.is_err() && answer.is_empty(), "{answer}");
    }
    let largest = u64::MAX;
    let questions = [
        json!({"get": "rows", "link": largest, "request": largest}),
        json!({"get": "link", "up_to": largest}),
        json!({"get": "statuses", "first": largest, "last": largest}),
        json!({"get": "canaries", "from": largest}),
        json!({"get": "acks", "after": largest}),
        json!({"get": "files", "after": "zzz"}),
    ];
    for question in questions {
        let (ended, answer) = served(&desk.tap(), format!("{question}\n").as_bytes());
        ended.unwrap();
        assert!(!answer.contains("refused"), "{question}: {answer}");
    }
    assert_eq!(fs::read(desk.tap().join("events.db")).unwrap(), before);
    let (_, answer) = served(
        &desk.folder.path().join("nowhere"),
        b"{\"get\":\"present\"}\n",
    );
    assert!(answer.contains("there is no event store"), "{answer}");
}
