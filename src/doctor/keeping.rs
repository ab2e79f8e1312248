//! The store and the daemon, looked at without a trace.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::{HEARTBEAT, Status};
use crate::doctor::point::{Point, counted};
use crate::engine::canary::{Canary, HostPattern};
use crate::engine::frame::Timestamp;
use crate::store::{EventQuery, EventRecord, GROUP, StoreError, StoreReader, StoredCanary};

/// What the store holds, as far as it matters here.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) last_seq: u64,
    pub(super) minted: Vec<Canary>,
    /// Events of the last week whose origin is unknown.
    pub(super) unknown: Vec<EventRecord>,
    /// Hosts of the last week's events, with the time of the newest.
    pub(super) hosts: BTreeMap<String, String>,
    /// The same of requests that came encrypted and were read.
    pub(super) opened: BTreeMap<String, String>,
}

impl Kept {
    pub(super) fn look(directory: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let reader = StoreReader::open_untouched(directory)?;
        let last_seq = reader.last_seq()?;
        let minted = reader.canaries()?;
        let mut kept = Self {
            last_seq,
            minted: minted.iter().filter_map(usable).collect(),
            unknown: Vec::new(),
            hosts: BTreeMap::new(),
            opened: BTreeMap::new(),
        };
        let query = EventQuery {
            since: Some(Timestamp::from_nanos(
                now.as_nanos().saturating_sub(nanos(LATELY)),
            )),
            after: last_seq.saturating_sub(EVENTS_MAX),
            ..EventQuery::default()
        };
        reader.for_each(&query, |record| {
            kept.note(record);
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
        Ok(kept)
    }

    /// When an encrypted request for a host of this pattern was last read.
    pub(super) fn newest_opened(&self, pattern: &HostPattern) -> Option<&str> {
        let hosts = self.opened.iter().filter(|(host, _)| pattern.covers(host));
        hosts.map(|(_, time)| time.as_str()).max()
    }

    fn note(&mut self, record: EventRecord) {
        if let Some(host) = record.host.as_ref().or(record.sni.as_ref()) {
            note_time(&mut self.hosts, host, &record.time);
            let is_encrypted = record.scheme.as_deref() == Some("https");
            if is_encrypted && record.method.is_some() {
                note_time(&mut self.opened, host, &record.time);
            }
        }
        let is_unknown = record.origin.as_deref() == Some("unknown");
        if is_unknown && self.unknown.len() < UNKNOWN_MAX {
            self.unknown.push(record);
        }
    }
}

fn note_time(times: &mut BTreeMap<String, String>, host: &str, time: &str) {
    if times.len() < HOSTS_MAX || times.contains_key(host) {
        times.insert(host.to_owned(), time.to_owned());
    }
}

fn usable(stored: &StoredCanary) -> Option<Canary> {
    stored.to_canary().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The store's point.
pub(super) fn store(kept: &Result<Kept, StoreError>, directory: &Path) -> Point {
    match kept {
        Ok(kept) => Point::ok(
            STORE,
            format!(
                "{} opens, its tables are known, newest number {}",
                directory.display(),
                kept.last_seq
            ),
        ),
        Err(StoreError::Missing { .. }) => Point::ok(
            STORE,
            format!(
                "there is none in {} yet: `canarytap run` makes it",
                directory.display()
            ),
        ),
        Err(error) => store_error(error),
    }
}

fn store_error(error: &StoreError) -> Point {
    let found = error.to_string();
    match error {
        StoreError::Forbidden { .. } => Point::not_looked_at(STORE, found, join_the_group()),
        StoreError::Unfinished { path } => Point::not_looked_at(
            STORE,
            format!(
                "{} was not closed, and nothing but a writer reads it",
                path.display()
            ),
            "start the daemon: sudo systemctl start canarytap",
        ),
        StoreError::Busy { .. } => Point::not_looked_at(STORE, found, "look again in a moment"),
        StoreError::Newer { .. } => Point::failed(STORE, found, "install the newer canarytap"),
        StoreError::Damaged { path, .. } => Point::failed(
            STORE,
            found,
            format!(
                "stop the daemon, move {} aside and keep it; the next start makes a new one",
                path.display()
            ),
        ),
        _ => Point::failed(STORE, found, "check the disk: df, dmesg"),
    }
}

fn join_the_group() -> String {
    format!("sudo adduser $USER {GROUP}, then log in again; or sudo canarytap doctor")
}

/// The daemon, as far as it can be seen from outside.
#[derive(Debug)]
pub(super) enum Daemon {
    /// Nobody holds its lock.
    Away,
    /// It runs; its process and what it says of itself, if it does.
    Runs(Option<u32>, Option<Box<Status>>),
    /// Nobody may look.
    Hidden(PathBuf, io::Error),
}

impl Daemon {
    pub(super) fn look(config: &Config) -> Self {
        let directory = config.run_directory();
        match DaemonLock::is_held(&directory) {
            Ok(false) => Self::Away,
            Ok(true) => {
                let status = Status::read(&directory).ok().map(Box::new);
                Self::Runs(DaemonLock::holder(&directory), status)
            }
            Err(error) => Self::Hidden(directory, error),
        }
    }

    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Runs(_, status) => status.as_deref(),
            _ => None,
        }
    }

    /// Whether it captures on `interface` now.
    pub(super) fn captures(&self, interface: &str) -> bool {
        self.status().is_some_and(|status| {
            let lost = |fault: &crate::daemon::status::Remark| fault.name == "capture_lost";
            status.capture.interface == interface && !status.faults.iter().any(lost)
        })
    }

    /// Requests and responses that it has read since it started.
    pub(super) fn read(&self) -> Option<(u64, u64)> {
        let counters = &self.status()?.counters;
        let counter = |name| counters.get(name).copied().unwrap_or(0);
        Some((counter("requests"), counter("responses")))
    }

    /// Secrets of TLS connections that came to it.
    pub(super) fn secrets(&self) -> u64 {
        self.status().map_or(0, |status| status.keys.secrets)
    }

    pub(super) fn point(&self, now: Timestamp) -> Point {
        let (pid, status) = match self {
            Self::Away => {
                return Point::warning(
                    DAEMON,
                    "it is not running",
                    "sudo systemctl enable --now canarytap",
                );
            }
            Self::Hidden(directory, error) => {
                return Point::not_looked_at(
                    DAEMON,
                    format!("cannot look into {}: {error}", directory.display()),
                    join_the_group(),
                );
            }
            Self::Runs(pid, status) => (pid, status),
        };
        let pid = pid.map_or("unknown".into(), |pid| pid.to_string());
        let Some(status) = status else {
            return Point::warning(
                DAEMON,
                format!("process {pid} runs and says nothing of itself yet"),
                "look again in a moment",
            );
        };
        let age = status.age(now, clock::uptime());
        if age.is_none_or(|age| age > 3 * HEARTBEAT) {
            return Point::failed(
                DAEMON,
                format!("process {pid} last said something at {}", status.updated),
                "sudo systemctl restart canarytap",
            );
        }
        well_or_not(&pid, status)
    }
}

fn well_or_not(pid: &str, status: &Status) -> Point {
    if status.faults.is_empty() {
        return Point::ok(
            DAEMON,
            format!(
                "process {pid} runs since {} and is well; {}",
                status.started,
                confined(&status.landlock)
            ),
        );
    }
    let list = |part: fn(&crate::daemon::status::Remark) -> &String| {
        let parts: Vec<&str> = status.faults.iter().map(|one| part(one).as_str()).collect();
        parts.join("; ")
    };
    Point::failed(
        DAEMON,
        format!(
            "process {pid} runs with {}: {}",
            counted(status.faults.len() as u64, "fault"),
            list(|fault| &fault.text)
        ),
        list(|fault| &fault.cure),
    )
}

/// What Landlock does is up to the kernel; there is no cure but another one.
fn confined(state: &str) -> &'static str {
    match state {
        "full" => "Landlock keeps it to its files",
        "partial" => "Landlock keeps it to its files as far as this kernel knows how to",
        _ => "nothing but its unit confines it, since this kernel has no Landlock",
    }
}

const STORE: &str = "store";
const DAEMON: &str = "daemon";
/// How far back the store is looked at, in time and in events.
pub(super) const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);
const EVENTS_MAX: u64 = 20_000;
/// Few reasons are behind many events.
const UNKNOWN_MAX: usize = 1000;
/// Hosts that are told apart.
const HOSTS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::Remark;
    use crate::doctor::point::State;

    const NOW: Timestamp = Timestamp::from_secs_nanos(1_367_342_912, 0);

    fn running(status: Status) -> Daemon {
        Daemon::Runs(Some(77), Some(Box::new(status)))
    }

    fn well() -> Status {
        Status {
            updated: NOW.to_string(),
            started: NOW.to_string(),
            healthy: true,
            ..Status::default()
        }
    }

    fn with_fault(name: &str) -> Status {
        Status {
            faults: vec![Remark {
                name: name.into(),
                text: "the disk is full".into(),
                cure: "make room".into(),
            }],
            ..well()
        }
    }

    #[test]
    fn a_daemon_that_does_not_run_is_no_failure() {
        assert_eq!(Daemon::Away.point(NOW).state, State::Warning);
    }

    #[test]
    fn a_daemon_that_is_well_has_its_process_named() {
        let point = running(well()).point(NOW);
        assert_eq!(point.state, State::Ok);
        assert!(point.found.contains("77"), "{point:?}");
    }

    #[test]
    fn how_far_the_kernel_confines_a_daemon_is_said_in_words() {
        for (state, words) in [
            ("full", "; Landlock keeps it to its files"),
            ("partial", "as far as this kernel knows how to"),
            ("none", "nothing but its unit confines it"),
        ] {
            let mut status = well();
            status.landlock = state.into();
            let point = running(status).point(NOW);
            assert_eq!(point.state, State::Ok);
            assert!(point.found.contains(words), "{state}: {point:?}");
        }
    }

    #[test]
    fn a_daemons_faults_come_with_their_cures() {
        let point = running(with_fault("store_failing")).point(NOW);
        assert_eq!(point.state, State::Failed);
        assert!(
            point.found.contains("1 fault: the disk is full"),
            "{point:?}"
        );
        assert_eq!(point.cure.as_deref(), Some("make room"));
    }

    #[test]
    fn a_daemon_that_says_nothing_for_a_while_hangs() {
        let later = NOW.plus(4 * HEARTBEAT);
        assert_eq!(running(well()).point(later).state, State::Failed);
        assert_eq!(Daemon::Runs(None, None).point(NOW).state, State::Warning);
    }

    #[test]
    fn a_directory_that_nobody_may_look_into_is_not_looked_at() {
        let error = io::ErrorKind::PermissionDenied.into();
        let point = Daemon::Hidden("/run/canarytap".into(), error).point(NOW);
        assert_eq!(point.state, State::NotLookedAt);
        assert!(point.cure.unwrap().contains("adduser"));
    }

    #[test]
    fn a_daemon_captures_unless_it_says_otherwise() {
        let mut status = well();
        status.capture.interface = "eth1".into();
        assert!(running(status).captures("eth1"));
        assert!(!running(well()).captures("eth1"));
        let mut lost = with_fault("capture_lost");
        lost.capture.interface = "eth1".into();
        assert!(!running(lost).captures("eth1"));
    }

    #[test]
    fn each_kind_of_broken_store_has_its_state() {
        let path = PathBuf::from("/data/events.db");
        for (error, state) in [
            (
                StoreError::Missing {
                    directory: "/data".into(),
                },
                State::Ok,
            ),
            (
                StoreError::Forbidden { path: path.clone() },
                State::NotLookedAt,
            ),
            (
                StoreError::Unfinished { path: path.clone() },
                State::NotLookedAt,
            ),
            (
                StoreError::Newer {
                    path: path.clone(),
                    found: 9,
                    known: 1,
                },
                State::Failed,
            ),
            (
                StoreError::Damaged {
                    path,
                    reason: "not a database".into(),
                },
                State::Failed,
            ),
        ] {
            let text = error.to_string();
            assert_eq!(
                store(&Err(error), Path::new("/data")).state,
                state,
                "{text}"
            );
        }
    }
}
