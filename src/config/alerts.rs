//! Where alerts go besides the light: what `[[alert]]` comes to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// `[[alert]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertConfig {
    /// What it is called; no two have the same name.
    pub name: String,
    /// Who is told.
    pub sink: SinkConfig,
    /// Certificates that a server's has to be signed by, in PEM. None: those that the system
    /// trusts.
    pub ca: Option<PathBuf>,
}

/// Who is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkConfig {
    /// A program, with the event on its standard input.
    Command {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// It is killed after this time.
        timeout: Duration,
    },
    /// A web server.
    Webhook {
        /// Where to post.
        url: String,
        /// In whose form.
        body: WebhookBody,
        /// Further header fields.
        headers: Vec<(String, String)>,
        /// What proves who posts.
        token: Option<Secret>,
    },
    /// An MQTT broker.
    Mqtt {
        /// Where it listens.
        server: Server,
        /// Who we are there.
        login: Option<Login>,
        /// First part of every topic.
        topic: String,
        /// First part of Home Assistant's discovery topics; none: it is told nothing.
        discovery: Option<String>,
    },
    /// A collector of logs (RFC 5424).
    Syslog {
        /// Where it listens.
        server: Server,
    },
    /// Mail by SMTP.
    Email {
        /// The server that takes it in.
        server: Server,
        /// Who we are there.
        login: Option<Login>,
        /// The sender.
        from: String,
        /// The recipients.
        to: Vec<String>,
    },
}

impl SinkConfig {
    /// As it is written in `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Webhook { .. } => "webhook",
            Self::Mqtt { .. } => "mqtt",
            Self::Syslog { .. } => "syslog",
            Self::Email { .. } => "email",
        }
    }

    /// Where it goes, for people; no secret is in it.
    pub fn place(&self) -> String {
        match self {
            Self::Command { command, .. } => command.join(" "),
            Self::Webhook { url, .. } => without_query(url),
            Self::Mqtt { server, topic, .. } => format!("{server} topic {topic}"),
            Self::Syslog { server } => server.to_string(),
            Self::Email { server, to, .. } => format!("{} by {server}", to.join(", ")),
        }
    }
}

/// Some services put their secret into the URL, behind the host or behind the question mark.
fn without_query(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .char_indices()
        .find(|(at, sign)| *at >= scheme && matches!(sign, '/' | '?' | '#'));
    match end {
        Some((at, _)) if at + 1 < url.len() => format!("{}/…", url.get(..at).unwrap_or(url)),
        _ => url.to_owned(),
    }
}

/// In whose form a webhook is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookBody {
    /// The event, as `log --format jsonl` prints it.
    #[default]
    Event,
    /// ntfy.sh, or an ntfy of one's own: the URL ends with the topic.
    Ntfy,
    /// Gotify: the URL ends with `/message`.
    Gotify,
    /// Slack and what takes its form (Mattermost, Discord's `/slack`): an object with `text`.
    Slack,
}

/// How bytes are carried to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// In the clear.
    Tcp,
    /// Encrypted as soon as the server says that it can be, and never in the clear.
    StartTls,
    /// Encrypted from the first byte on.
    Tls,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As it was written.
    pub url: String,
    /// How it is reached.
    pub carrier: Carrier,
    /// Name or address.
    pub host: String,
    /// TCP or UDP port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Who we are on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Where a secret lies: never in the configuration itself, which everybody may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a file that others may not read.
    File(PathBuf),
    /// In a credential of the service (`LoadCredential=`, systemd.exec(5)).
    Credential(String),
}
