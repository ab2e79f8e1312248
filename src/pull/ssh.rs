//! The user's own ssh, with the user's configuration, agent and known hosts.

use std::ffi::OsString;
use std::io;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// How the tap is reached.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The program and its first arguments.
    command: Vec<OsString>,
    host: String,
}

impl Ssh {
    /// `host` as ssh takes it, by a command line that is split at blanks; empty: `ssh`.
    ///
    /// # Errors
    /// A host that ssh would take for something else.
    pub fn to(host: &str, command: &str) -> Result<Self, String> {
        let plain = !host.is_empty()
            && !host.starts_with('-')
            && !host.split('@').next_back().is_some_and(|name| {
                name.is_empty() || name.starts_with('-') // `user@-option`
            })
            && !host.chars().any(|c| c.is_whitespace() || c.is_control());
        if !plain {
            return Err(format!(
                "{host:?} is no host: give [user@]host, as ssh takes it"
            ));
        }
        let mut words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
        if words.is_empty() {
            words.push("ssh".into());
        }
        Ok(Self {
            command: words,
            host: host.to_owned(),
        })
    }

    /// Starts it: what it says is `canarytap serve-pull` on the tap, whether a forced command
    /// says so or not. Nothing is forwarded, and no terminal is asked for.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(&self) -> io::Result<Connection> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "--"])
            .arg(&self.host)
            .args(["canarytap", "serve-pull"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot start {}: {error}", program.to_string_lossy()),
                )
            })?;
        let missing = || io::Error::other("no pipe");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Connection {
            input: input.ok_or_else(missing)?,
            output: output.ok_or_else(missing)?,
            child,
        })
    }
}

/// A running ssh.
#[derive(Debug)]
pub struct Connection {
    /// What the tap hears.
    pub input: ChildStdin,
    /// What it says.
    pub output: ChildStdout,
    child: Child,
}

impl Connection {
    /// Lets go of both ends and waits for the end of ssh.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(mut self) -> io::Result<ExitStatus> {
        drop(self.input);
        drop(self.output);
        self.child.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::Ssh;

    #[test]
    fn what_ssh_would_take_for_an_option_is_no_host() {
        for host in [
            "",
            "-oProxyCommand=x",
            "pi@-oProxyCommand=x",
            "pi@",
            "a b",
            "a\nb",
        ] {
            assert!(Ssh::to(host, "").is_err(), "{host:?}");
        }
        for host in [
            "pi",
            "pi@tap",
            "pi@192.168.1.2",
            "fe80::1%eth0",
            "ssh://pi@tap:22",
        ] {
            assert!(Ssh::to(host, "").is_ok(), "{host:?}");
        }
    }
}
