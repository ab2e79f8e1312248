//! What a day of requests costs the card, in blocks.
//!
//! The keeper's own pace says when a commit is made, and the store itself makes it, on a card that
//! writes down what is done to it. A day passes in a moment: nobody's clock is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use canarytap::daemon::Pace;
use canarytap::engine::event::{ClockState, Detail, Event, EventId, Learned};
use canarytap::store::{Incoming, Store, StoreOptions};

use crate::card::{Card, Done};
use crate::events::{at, request};
use crate::namespaces::{figure, in_a_lab};

#[test]
fn ten_thousand_requests_a_day_write_less_than_20_mib_of_blocks() {
    in_a_lab(
        ten_thousand_requests_a_day_write_less_than_20_mib_of_blocks,
        |lab| {
            let folder = lab.folder().join("card");
            std::fs::create_dir(&folder).unwrap();
            let card = Card::over(&folder);
            let commits = a_day(&folder);
            let blocks = blocks_of(&card.done());
            let mebibytes = blocks * BLOCK / (1 << 20);
            figure(&format!(
                "10,000 requests a day: {commits} commits, {mebibytes} MiB of blocks"
            ));
            assert!(blocks * BLOCK < 20 << 20, "{mebibytes} MiB");
        },
    );
}

/// The same on a folder that somebody has mounted, to hold the model against a file system.
#[test]
#[ignore = "by hand, with CANARYTAP_WEAR_FOLDER on a loop device: see its /sys/block/loopN/stat"]
fn a_day_on_a_real_file_system() {
    let folder = env::var_os("CANARYTAP_WEAR_FOLDER").expect("CANARYTAP_WEAR_FOLDER");
    figure(&format!("{} commits", a_day(&PathBuf::from(folder))));
}

/// Makes the commits of a day; how many there were.
fn a_day(folder: &Path) -> u64 {
    let mut store = Store::open(folder, StoreOptions::default()).unwrap();
    let start = Instant::now();
    let mut day = Day {
        pace: Pace::new(start),
        pending: Vec::new(),
        due: None,
    };
    let mut commits = 0;
    for number in 0..REQUESTS {
        let now = start + DAY * number / REQUESTS;
        commits += u64::from(day.commit_if_due(&mut store, now));
        day.add_a_request(u64::from(number), now);
    }
    store.commit(&day.pending).unwrap();
    commits + 1
}

struct Day {
    pace: Pace,
    pending: Vec<Incoming>,
    due: Option<Instant>,
}

impl Day {
    fn commit_if_due(&mut self, store: &mut Store, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            store.commit(&self.pending).unwrap();
            self.pending.clear();
            self.due = None;
            self.pace.spend(false, now);
        }
        is_due
    }

    /// A request, its status a little later, and its end.
    fn add_a_request(&mut self, number: u64, now: Instant) {
        let of = EventId(number);
        let event = Event {
            clock: ClockState {
                boot: Some("eb8d83d3-1b30-478e-9d7c-b4881eba2842".into()),
                uptime_micros: Some(13_920_343_331 + number),
                synchronised: Some(true),
            },
            referer: Some("https://www.example.org/an/article/of/usual/length".into()),
            ..request(number)
        };
        let status = Detail {
            of,
            time: at(number),
            learned: Learned::Status { status: 200 },
        };
        for entry in [
            Incoming::Event(event),
            Incoming::Detail(status),
            Incoming::Settled(of),
        ] {
            let due = now + self.pace.wait_of(&entry, now);
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
            self.pending.push(entry);
        }
    }
}

/// Blocks that reach the disk: of each file those that were written between two of its syncs, and
/// what a journal adds to each sync.
fn blocks_of(done: &[Done]) -> u64 {
    let mut dirty: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut blocks = 0;
    for one in done {
        match one {
            Done::Wrote {
                node,
                offset,
                bytes,
            } => {
                let last = offset + (bytes.len() as u64).max(1) - 1;
                dirty
                    .entry(*node)
                    .or_default()
                    .extend(offset / BLOCK..=last / BLOCK);
            }
            Done::Synced { node } => {
                blocks += dirty.remove(node).map_or(0, |dirty| dirty.len() as u64) + JOURNAL;
            }
            Done::FolderSynced { .. } => blocks += JOURNAL,
            Done::Made { .. } | Done::Removed { .. } | Done::Moved { .. } | Done::Cut { .. } => {}
        }
    }
    blocks + dirty.values().map(|dirty| dirty.len() as u64).sum::<u64>()
}

const REQUESTS: u32 = 10_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const BLOCK: u64 = 4096;
/// What ext4's journal writes for each sync: a descriptor, an inode, a bitmap and the commit, and
/// the inode once more in its own place.
const JOURNAL: u64 = 5;
