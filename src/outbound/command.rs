//! A program of the owner's, with the event on its standard input.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::outbound::{Message, SendError, Sink};

/// Runs a program for each alert, one after the other.
pub(super) struct CommandSink {
    command: Vec<String>,
    timeout: Duration,
}

impl CommandSink {
    pub(super) fn new(command: Vec<String>, timeout: Duration) -> Self {
        Self { command, timeout }
    }
}

impl Sink for CommandSink {
    fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| SendError::Later("no program is named".into()))?;
        let failed = |error: io::Error| SendError::Later(format!("{program}: {error}"));
        let mut child = Command::new(program)
            .args(arguments)
            .env("CANARYTAP_SEQ", message.seq.to_string())
            .env("CANARYTAP_TEST", if message.test { "1" } else { "0" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        hand_in(&mut child, &message.json);
        let complaint = child.stderr.take().map(listen);
        let ended = wait(&mut child, self.timeout).map_err(failed)?;
        let said = match ended {
            // One that it left behind may hold its standard error open.
            None => String::new(),
            Some(_) => complaint.map(heard).unwrap_or_default(),
        };
        judge(program, ended, self.timeout, &said)
    }
}

/// From a thread of its own: a program that does not read must not hold us up.
fn hand_in(child: &mut Child, json: &str) {
    let Some(mut stdin) = child.stdin.take() else {
        return;
    };
    let line = format!("{json}\n");
    let written = thread::Builder::new().spawn(move || {
        // A program need not read: its exit status says whether it is content.
        let _unread = stdin.write_all(line.as_bytes());
    });
    drop(written);
}

fn listen(stderr: ChildStderr) -> std::sync::mpsc::Receiver<String> {
    let (said, heard) = std::sync::mpsc::channel();
    let listening = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let _cut = stderr.take(COMPLAINT_MAX).read_to_end(&mut bytes);
        let _gone = said.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    drop(listening);
    heard
}

fn heard(complaint: std::sync::mpsc::Receiver<String>) -> String {
    complaint.recv_timeout(GRACE).unwrap_or_default()
}

/// None: it took too long, and was killed.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    while began.elapsed() < timeout {
        if let Some(ended) = child.try_wait()? {
            return Ok(Some(ended));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn judge(
    program: &str,
    ended: Option<ExitStatus>,
    timeout: Duration,
    said: &str,
) -> Result<(), SendError> {
    let Some(ended) = ended else {
        let seconds = timeout.as_secs();
        return Err(SendError::Later(format!(
            "{program} was not done after {seconds} s and was killed; timeout = {seconds} in the configuration bounds it"
        )));
    };
    let why = format!("{program}: {ended} {}", one_line(said));
    match ended.code() {
        Some(0) => Ok(()),
        Some(REFUSAL) => Err(SendError::Refused(why)),
        _ => Err(SendError::Later(why)),
    }
}

fn one_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.chars().filter(|sign| !sign.is_control()).collect()
}

/// EX_DATAERR of sysexits.h: this event will never do.
const REFUSAL: i32 = 65;
const COMPLAINT_MAX: u64 = 4096;
const GRACE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::message::tests::event;

    fn told(script: &str, seconds: u64) -> Result<(), SendError> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut sink = CommandSink::new(command, Duration::from_secs(seconds));
        sink.send(&Message::of(&event(7)))
    }

    #[test]
    fn a_program_gets_the_event_as_one_line_of_json() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("event");
        let script = format!("cat > {} && [ $CANARYTAP_SEQ = 7 ]", file.display());
        told(&script, 10).unwrap();
        let line = std::fs::read_to_string(file).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["seq"].as_u64(), line.lines().count()), (Some(7), 1));
    }

    #[test]
    fn a_program_that_fails_is_tried_again_and_its_complaint_is_told() {
        let error = told("echo no room >&2; exit 3", 10).unwrap_err();
        assert!(
            matches!(&error, SendError::Later(why) if why.contains("no room")),
            "{error}"
        );
        let error = told("exit 65", 10).unwrap_err();
        assert!(matches!(error, SendError::Refused(_)), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = told("exec sleep 60", 1).unwrap_err();
        assert!(error.to_string().contains("was killed"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_read_is_none_the_worse() {
        told("exec true", 10).unwrap();
        let mut sink = CommandSink::new(vec!["/none".into()], Duration::from_secs(1));
        let error = sink.send(&Message::of(&event(1))).unwrap_err();
        assert!(error.to_string().contains("/none"), "{error}");
    }
}
