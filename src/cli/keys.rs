//! `canarytap keys`: lines of a TLS key log from standard input to the daemon.
//!
//! `tail -F keys.log | ssh pi canarytap keys` brings a web server's secrets to a tap that has no
//! open port.

use std::io::{self, Read, stdin};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell};
use crate::daemon::keys::{FifoWriter, Lines};
use crate::engine::app::tls::keylog::{KeyLogEntry, KeyLogError};
use crate::engine::limits::SECRET_WAIT;

/// How often a daemon that starts again is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command, until standard input ends.
pub fn run(globals: &Globals) -> CommandResult {
    let run_directory = globals.load_config()?.run_directory();
    let mut hand = Hand::open(run_directory).map_err(Failure::Bad)?;
    hand.read_to_the_end(stdin().lock())
        .map_err(|error| Failure::Bad(format!("cannot read standard input: {error}")))?;
    hand.complaints().iter().for_each(|text| tell(text));
    Ok(hand.outcome())
}

/// Standard input in one hand, the daemon's pipe in the other.
struct Hand {
    run_directory: PathBuf,
    pipe: FifoWriter,
    /// Since when nobody has taken anything.
    gone: Option<Instant>,
    handed: u64,
    dropped: u64,
    malformed: u64,
}

impl Hand {
    /// Who begins while no daemon runs is told so at once.
    fn open(run_directory: PathBuf) -> Result<Self, String> {
        let pipe =
            FifoWriter::open(&run_directory).map_err(|error| refused(&run_directory, &error))?;
        Ok(Self {
            run_directory,
            pipe,
            gone: None,
            handed: 0,
            dropped: 0,
            malformed: 0,
        })
    }

    fn read_to_the_end(&mut self, mut input: impl Read) -> io::Result<()> {
        let mut lines = Lines::default();
        let mut bytes = [0; 8192];
        loop {
            let count = match input.read(&mut bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match bytes.get(..count).filter(|new| !new.is_empty()) {
                Some(new) => lines.push(new, &mut |line| self.take(line)),
                None => {
                    lines.end(&mut |line| self.take(line));
                    self.malformed += lines.overlong();
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        match KeyLogEntry::parse(line) {
            Ok(_) if self.hand_in(line) => self.handed += 1,
            Ok(_) => self.dropped += 1,
            Err(KeyLogError::Malformed) => self.malformed += 1,
            Err(KeyLogError::Empty | KeyLogError::Unused) => {}
        }
    }

    /// Whether the daemon has it. One that starts again is waited for, as long as the secret is of
    /// use; what comes while it stays away is tried once each.
    fn hand_in(&mut self, line: &[u8]) -> bool {
        let line = [line, b"\n"].concat();
        loop {
            let Err(error) = self.write(&line) else {
                if self.gone.take().is_some() {
                    tell("canarytap: the daemon is back");
                }
                return true;
            };
            if self.gone.is_none() {
                let trouble = refused(&self.run_directory, &error);
                tell(&format!("canarytap: {trouble}; waiting for it"));
            }
            let gone = self.gone.get_or_insert_with(Instant::now);
            if gone.elapsed() >= SECRET_WAIT {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    /// To the daemon that was there before, else to the one that runs now.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.pipe.write(line).or_else(|_gone| {
            self.pipe = FifoWriter::open(&self.run_directory)?;
            self.pipe.write(line)
        })
    }

    /// What was not handed over, and why.
    fn complaints(&self) -> Vec<String> {
        let malformed = (self.malformed > 0).then(|| {
            format!(
                "canarytap: {} no line of a key log; is this the file that SSLKEYLOGFILE names?",
                counted(self.malformed, "line was", "lines were")
            )
        });
        let dropped = (self.dropped > 0).then(|| {
            format!(
                "canarytap: {} dropped while the daemon did not run",
                counted(self.dropped, "secret was", "secrets were")
            )
        });
        malformed.into_iter().chain(dropped).collect()
    }

    fn outcome(&self) -> Outcome {
        let is_no_log = self.handed == 0 && self.malformed > 0;
        match self.dropped > 0 || is_no_log {
            true => Outcome::Bad,
            false => Outcome::Done,
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn refused(run_directory: &Path, error: &io::Error) -> String {
    let pipe = run_directory.join("keys");
    let pipe = pipe.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "no permission to hand anything to {pipe}: members of group canarytap have it; \
             `sudo adduser USER canarytap`, then log in again"
        ),
        io::ErrorKind::NotFound | io::ErrorKind::BrokenPipe => format!(
            "the daemon is not running (nobody reads {pipe}); start it: \
             sudo systemctl start canarytap"
        ),
        _ => format!("cannot hand anything to {pipe}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::keys::Fifo;

    fn line(random: u8) -> String {
        let random = format!("{random:02x}").repeat(32);
        format!("CLIENT_RANDOM {random} {}\n", "07".repeat(48))
    }

    fn came(fifo: &mut Fifo) -> Vec<String> {
        let mut lines = Vec::new();
        fifo.look(&mut |line| lines.push(format!("{}\n", String::from_utf8_lossy(line))));
        lines
    }

    fn hand(folder: &tempfile::TempDir) -> Hand {
        Hand::open(folder.path().to_owned()).unwrap()
    }

    #[test]
    fn lines_that_bring_a_secret_are_handed_over_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = Fifo::make(folder.path()).unwrap();
        let mut hand = hand(&folder);
        let unused = line(2).replace("CLIENT_RANDOM", "EXPORTER_SECRET");
        let input = ["# comment\n", &line(1), &unused, "\n", line(3).trim_end()].concat();
        hand.read_to_the_end(input.as_bytes()).unwrap();
        assert_eq!(came(&mut fifo), [line(1), line(3)]);
        assert!(hand.complaints().is_empty());
        assert_eq!(hand.outcome(), Outcome::Done);
    }

    #[test]
    fn what_is_no_key_log_is_said_and_is_a_bad_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = Fifo::make(folder.path()).unwrap();
        let mut hand = hand(&folder);
        let long = "x".repeat(100_000);
        let input = format!("-----BEGIN CERTIFICATE-----\n{long}\n");
        hand.read_to_the_end(input.as_bytes()).unwrap();
        assert!(came(&mut fifo).is_empty());
        assert!(hand.complaints()[0].contains("2 lines were no line of a key log"));
        assert_eq!(hand.outcome(), Outcome::Bad);
        hand.read_to_the_end(line(1).as_bytes()).unwrap();
        assert_eq!(hand.outcome(), Outcome::Done);
    }

    #[test]
    fn a_daemon_that_starts_again_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let first = Fifo::make(folder.path()).unwrap();
        let mut hand = hand(&folder);
        drop(first);
        let mut second = Fifo::make(folder.path()).unwrap();
        hand.read_to_the_end(line(1).as_bytes()).unwrap();
        assert_eq!(came(&mut second), [line(1)]);
        assert_eq!(hand.outcome(), Outcome::Done);
    }

    #[test]
    fn what_comes_long_after_the_daemon_went_is_dropped_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut hand = {
            let _gone = Fifo::make(folder.path()).unwrap();
            hand(&folder)
        };
        hand.gone = Instant::now().checked_sub(SECRET_WAIT);
        hand.read_to_the_end((line(1) + &line(2)).as_bytes())
            .unwrap();
        let mut fifo = Fifo::make(folder.path()).unwrap();
        hand.read_to_the_end(line(3).as_bytes()).unwrap();
        assert_eq!(came(&mut fifo), [line(3)]);
        assert!(hand.complaints()[0].contains("2 secrets were dropped"));
        assert_eq!(hand.outcome(), Outcome::Bad);
    }
}
