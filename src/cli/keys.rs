//! `canarytap keys`: lines of a TLS key log from standard input to the daemon.
//!
//! `tail -F keys.log | ssh pi canarytap keys` brings a web server's secrets to a tap that has no
//! open port.

use std::io::{self, Read as _, stdin};
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
    let pipe = FifoWriter::open(&run_directory).map_err(|error| refused(&run_directory, &error))?;
    let mut hand = Hand {
        run_directory,
        pipe,
        handed: 0,
        malformed: 0,
        failure: None,
    };
    hand.read_to_the_end()?;
    if hand.malformed > 0 {
        tell(&format!(
            "canarytap: {} lines were none of a key log, the first of them perhaps because this \
             is another file: give what SSLKEYLOGFILE names",
            hand.malformed
        ));
    }
    Ok(match (hand.handed, hand.malformed) {
        (0, 1..) => Outcome::Bad,
        _ => Outcome::Done,
    })
}

/// Standard input in one hand, the daemon's pipe in the other.
struct Hand {
    run_directory: PathBuf,
    pipe: FifoWriter,
    handed: u64,
    malformed: u64,
    failure: Option<Failure>,
}

impl Hand {
    fn read_to_the_end(&mut self) -> Result<(), Failure> {
        let mut lines = Lines::default();
        let mut bytes = [0; 8192];
        loop {
            let count = match stdin().lock().read(&mut bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::Bad(format!("cannot read standard input: {error}")));
                }
            };
            match bytes.get(..count).filter(|new| !new.is_empty()) {
                Some(new) => lines.push(new, &mut |line| self.take(line)),
                None => lines.end(&mut |line| self.take(line)),
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if count == 0 {
                self.malformed += lines.overlong();
                return Ok(());
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        match KeyLogEntry::parse(line) {
            Ok(_) if self.failure.is_none() => match self.hand_in(line) {
                Ok(()) => self.handed += 1,
                Err(failure) => self.failure = Some(failure),
            },
            Err(KeyLogError::Malformed) => self.malformed += 1,
            Ok(_) | Err(KeyLogError::Empty | KeyLogError::Unused) => {}
        }
    }

    /// A daemon that starts again is waited for, as long as the secret is of use.
    fn hand_in(&mut self, line: &[u8]) -> Result<(), Failure> {
        let line = [line, b"\n"].concat();
        let began = Instant::now();
        let mut told = false;
        loop {
            let Err(error) = self.pipe.write(&line) else {
                return Ok(());
            };
            if began.elapsed() >= SECRET_WAIT {
                return Err(refused(&self.run_directory, &error));
            }
            if !std::mem::replace(&mut told, true) {
                tell("canarytap: the daemon has gone; waiting for it to start again");
            }
            thread::sleep(LOOK);
            if let Ok(pipe) = FifoWriter::open(&self.run_directory) {
                self.pipe = pipe;
            }
        }
    }
}

fn refused(run_directory: &Path, error: &io::Error) -> Failure {
    Failure::Bad(match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "no permission to hand anything to {}/keys: members of group canarytap have it; \
             `sudo adduser USER canarytap`, then log in again",
            run_directory.display()
        ),
        io::ErrorKind::NotFound | io::ErrorKind::BrokenPipe => format!(
            "the daemon is not running (nobody reads {}/keys); start it: \
             sudo systemctl start canarytap",
            run_directory.display()
        ),
        _ => format!(
            "cannot hand anything to {}/keys: {error}",
            run_directory.display()
        ),
    })
}
