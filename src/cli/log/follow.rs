//! `log --follow`: what comes, as it comes, across restarts of the daemon.
//!
//! A visit is in the store before its response is seen; its line waits a little so that the
//! status can stand in it. Lines keep the order of `seq`, so what comes after it waits too.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cli::render::EventPrinter;
use crate::cli::{CommandResult, Failure, Outcome};
use crate::store::{
    DATABASE, EventQuery, EventRecord, StoreError, StoreReader, TapStore, for_each_of,
};

/// Prints what is there, then what comes, until nobody reads any more.
pub(super) fn run<W: Write>(
    stores: Vec<TapStore>,
    query: &EventQuery,
    printer: &mut EventPrinter<W>,
) -> CommandResult {
    let printed = match stores.len() {
        1 => vec![query.after],
        _ => print_together(&stores, query, printer)?,
    };
    let followers = stores.into_iter().zip(printed).map(|(store, after)| {
        let query = EventQuery {
            after,
            ..query.clone()
        };
        Follower::new(store, query)
    });
    let mut followers = followers.collect::<Result<Vec<Follower>, StoreError>>()?;
    loop {
        for follower in &mut followers {
            follower.poll(printer)?;
        }
        printer.flush()?;
        if hung_up(POLL_EVERY)? {
            return Ok(Outcome::Done);
        }
        for follower in &mut followers {
            follower.reopen_if_replaced()?;
        }
    }
}

/// What is there of several taps, by time; gives the newest number of each.
fn print_together<W: Write>(
    stores: &[TapStore],
    query: &EventQuery,
    printer: &mut EventPrinter<W>,
) -> Result<Vec<u64>, Failure> {
    let newest = stores.iter().map(|store| store.reader.last_seq());
    let newest = newest.collect::<Result<Vec<u64>, StoreError>>()?;
    for_each_of::<Failure>(stores, query, |event| {
        let place = stores.iter().position(|store| store.tap == event.tap);
        let seen = place.and_then(|place| newest.get(place)).copied();
        // What came meanwhile comes again.
        if event.seq <= seen {
            printer.print(&event)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(newest)
}

struct Follower {
    /// Whose store it is, where there are several.
    tap: Option<String>,
    directory: PathBuf,
    reader: StoreReader,
    /// Device and inode of the database that `reader` has open.
    identity: Option<(u64, u64)>,
    /// What to look for; `after` moves on with what was printed.
    query: EventQuery,
    /// The store's counter of commits when everything was printed.
    seen_version: Option<i64>,
    patience: Patience,
}

impl Follower {
    fn new(store: TapStore, query: EventQuery) -> Result<Self, StoreError> {
        Ok(Self {
            identity: identity(&store.directory.join(DATABASE)),
            patience: Patience::beyond(store.reader.last_seq()?),
            seen_version: None,
            tap: store.tap,
            reader: store.reader,
            directory: store.directory,
            query,
        })
    }

    fn poll<W: Write>(&mut self, printer: &mut EventPrinter<W>) -> Result<(), Failure> {
        match self.print_new(printer, Instant::now()) {
            Err(Failed::Store(error)) if error.is_busy() => Ok(()),
            Err(Failed::Store(error)) => Err(error.into()),
            Err(Failed::Output(error)) => Err(error.into()),
            Ok(()) => Ok(()),
        }
    }

    fn print_new<W: Write>(
        &mut self,
        printer: &mut EventPrinter<W>,
        now: Instant,
    ) -> Result<(), Failed> {
        let version = self.reader.data_version()?;
        if self.seen_version == Some(version) {
            return Ok(());
        }
        let newest = self.reader.last_seq()?;
        self.patience.saw(newest, now);
        let (patience, query) = (&self.patience, self.query.clone());
        let (printed, tap) = (&mut self.query.after, &self.tap);
        let mut waits = false;
        self.reader.for_each::<Failed>(&query, |mut event| {
            waits = patience.waits_for(&event);
            if waits {
                return Ok(ControlFlow::Break(()));
            }
            event.tap.clone_from(tap);
            printer.print(&event)?;
            *printed = event.seq.unwrap_or(*printed);
            Ok(ControlFlow::Continue(()))
        })?;
        if !waits {
            self.query.after = self.query.after.max(newest);
            self.seen_version = Some(version);
        }
        Ok(())
    }

    /// A database that was set aside has a successor under the same name.
    fn reopen_if_replaced(&mut self) -> Result<(), Failure> {
        let found = identity(&self.directory.join(DATABASE));
        if found.is_none() || found == self.identity {
            return Ok(());
        }
        match StoreReader::open(&self.directory) {
            Ok(reader) => {
                if reader.last_seq()? < self.query.after {
                    self.query.after = 0; // it counts from the start
                }
                self.reader = reader;
                self.identity = found;
                self.seen_version = None;
                Ok(())
            }
            Err(StoreError::Missing { .. } | StoreError::Busy { .. }) => Ok(()), // being made
            Err(error) => Err(error.into()),
        }
    }
}

/// How long a visit waits for its status: counted from when it was first seen here, so that a
/// clock that steps changes nothing.
#[derive(Debug)]
struct Patience {
    /// Up to this `seq` nothing waits any more.
    over: u64,
    /// The newest `seq` at earlier looks that still count, oldest first.
    looks: Vec<(u64, Instant)>,
}

impl Patience {
    /// Nothing up to `seq` waits.
    const fn beyond(seq: u64) -> Self {
        Self {
            over: seq,
            looks: Vec::new(),
        }
    }

    fn saw(&mut self, newest: u64, now: Instant) {
        let over = &mut self.over;
        self.looks.retain(|(seq, at)| {
            let counts = now.duration_since(*at) < STATUS_WAIT;
            if !counts {
                *over = (*over).max(*seq);
            }
            counts
        });
        self.looks.push((newest, now));
    }

    fn waits_for(&self, event: &EventRecord) -> bool {
        event.is_visit() && event.status.is_none() && event.seq > Some(self.over)
    }
}

enum Failed {
    Store(StoreError),
    Output(io::Error),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn identity(database: &std::path::Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(database).ok()?;
    Some((found.dev(), found.ino()))
}

/// Waits, but not for longer than somebody reads: when the connection breaks that this writes
/// to, no event may come for days to show it.
fn hung_up(wait: Duration) -> io::Result<bool> {
    let stdout = io::stdout();
    let mut watched = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
    let wait = Timespec::try_from(wait).ok();
    match poll(&mut watched, wait.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::ERR | PollFlags::HUP;
    Ok(watched.iter().any(|one| one.revents().intersects(gone)))
}

/// How often the store is asked whether somebody wrote.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How long a visit waits for its status. Most servers answer within a second.
const STATUS_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(seq: u64, status: Option<u16>) -> EventRecord {
        let text = r#"{"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,"canary":"k7f3q2m9","origin":"outside","client":"203.0.113.7","src":"203.0.113.7","src_port":1,"dst":"192.0.2.1","dst_port":80,"scheme":"http"}"#;
        EventRecord {
            seq: Some(seq),
            status,
            ..serde_json::from_str(text).unwrap()
        }
    }

    #[test]
    fn a_visit_waits_for_its_status_and_not_for_ever() {
        let start = Instant::now();
        let mut patience = Patience::beyond(4);
        patience.saw(6, start);
        assert!(
            !patience.waits_for(&visit(4, None)),
            "it stood there before"
        );
        assert!(patience.waits_for(&visit(5, None)));
        assert!(!patience.waits_for(&visit(5, Some(200))));
        patience.saw(8, start + Duration::from_millis(1500));
        assert!(patience.waits_for(&visit(6, None)));
        patience.saw(8, start + Duration::from_millis(2000));
        assert!(!patience.waits_for(&visit(6, None)));
        assert!(patience.waits_for(&visit(7, None)));
    }

    #[test]
    fn visits_that_come_together_wait_together() {
        let start = Instant::now();
        let mut patience = Patience::beyond(0);
        patience.saw(100, start);
        patience.saw(100, start + STATUS_WAIT);
        assert!((1..=100).all(|seq| !patience.waits_for(&visit(seq, None))));
    }
}
