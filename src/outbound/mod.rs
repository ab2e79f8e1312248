//! Alerts leave the box, if somebody asked for it: a process of its own reads them from the store
//! and hands each to every `[[alert]]` of the configuration.
//!
//! The queue of a sink is the store itself, from the last alert that it took on: nothing is
//! copied, nothing is lost over a restart, and no sink waits for another. What the network
//! brings back touches neither capture nor light.

use std::fmt;
use std::time::Duration;

use crate::config::{AlertConfig, SinkConfig};
use crate::daemon::status::Status;

pub use message::Message;
pub use runner::{Running, run};

mod command;
mod email;
mod message;
mod mqtt;
mod runner;
mod secrets;
mod syslog;
mod tls;
mod webhook;

/// Who is told of alerts, over a wire or by a program.
pub trait Sink: Send {
    /// Tells of one alert, and returns when it was taken.
    ///
    /// # Errors
    /// Why it was not, and whether trying again may help.
    fn send(&mut self, message: &Message) -> Result<(), SendError>;

    /// How long after [`send`](Self::send) an alert counts as taken. Zero where the other side
    /// says that it has it; where it says nothing, for as long as it may be lost on the way.
    fn settles_after(&self) -> Duration {
        Duration::ZERO
    }

    /// Called every few seconds while there is nothing to tell: for what keeps a connection, or
    /// shows the daemon's state.
    ///
    /// # Errors
    /// Why the connection is gone; it is made anew with the next alert.
    fn idle(&mut self, _status: Option<&Status>) -> Result<(), SendError> {
        Ok(())
    }
}

/// Why an alert was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Not now: it is tried again for as long as it takes.
    Later(String),
    /// Not this one: it is tried a few times more, then counted and passed over.
    Refused(String),
}

impl SendError {
    fn later(error: impl fmt::Display) -> Self {
        Self::Later(error.to_string())
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

impl std::error::Error for SendError {}

/// Makes a sink ready; nothing is connected yet.
pub fn build(config: &AlertConfig) -> Box<dyn Sink> {
    let ca = config.ca.clone();
    match &config.sink {
        SinkConfig::Command { command, timeout } => {
            Box::new(command::CommandSink::new(command.clone(), *timeout))
        }
        SinkConfig::Webhook {
            url,
            body,
            headers,
            token,
        } => Box::new(webhook::Webhook::new(
            url.clone(),
            *body,
            headers.clone(),
            token.clone(),
            ca,
        )),
        SinkConfig::Mqtt {
            server,
            login,
            topic,
            discovery,
        } => Box::new(mqtt::Mqtt::new(
            server.clone(),
            login.clone(),
            topic.clone(),
            discovery.clone(),
            ca,
        )),
        SinkConfig::Syslog { server } => Box::new(syslog::Syslog::new(server.clone(), ca)),
        SinkConfig::Email {
            server,
            login,
            from,
            to,
        } => Box::new(email::Email::new(
            server.clone(),
            login.clone(),
            from.clone(),
            to.clone(),
            ca,
        )),
    }
}

/// Where the state of sinks is kept, in the data directory: what talks to the network writes
/// there and nowhere else.
pub const FOLDER: &str = "alert";

/// This machine's name, for those who have more than one tap.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let plain: String = name
        .trim()
        .chars()
        .map(|sign| match sign {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => sign,
            _ => '-',
        })
        .take(64)
        .collect();
    if plain.is_empty() {
        "tap".into()
    } else {
        plain
    }
}
