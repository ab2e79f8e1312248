//! A collector of logs: syslog by RFC 5424, in datagrams (RFC 5426), over TCP (RFC 6587, octet
//! counting) or TLS (RFC 5425).

use std::collections::VecDeque;
use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::config::{Carrier, Server};
use crate::daemon::status::Status;
use crate::outbound::{Message, SendError, Sink, host_name, tls};

/// Sends each alert as one message.
pub(super) struct Syslog {
    server: Server,
    ca: Option<PathBuf>,
    host: String,
    wire: Option<Wire>,
    /// What was lately written to the connection. A collector says nothing of what it has: what
    /// it had not read when it went down is lost, and so is told once more to the next.
    lately: VecDeque<(Instant, String)>,
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Syslog {
    pub(super) fn new(server: Server, ca: Option<PathBuf>) -> Self {
        Self {
            server,
            ca,
            host: host_name(),
            wire: None,
            lately: VecDeque::new(),
        }
    }

    /// A new connection, which is told first what may have been lost with the last.
    fn begin(&mut self) -> Result<Wire, SendError> {
        let mut wire = self.connect()?;
        if self.server.carrier != Carrier::Udp {
            for (_, line) in &self.lately {
                wire.write(line).map_err(SendError::later)?;
            }
        }
        Ok(wire)
    }

    /// While the connection holds, what was written long ago has been read.
    fn forget(&mut self) {
        let old = |(at, _): &(Instant, String)| at.elapsed() > LATELY;
        while self.lately.len() > LATELY_MAX
            || (self.wire.is_some() && self.lately.front().is_some_and(old))
        {
            self.lately.pop_front();
        }
    }

    fn connect(&self) -> Result<Wire, SendError> {
        let place = (self.server.host.as_str(), self.server.port);
        let addresses = place.to_socket_addrs().map_err(SendError::later)?;
        if self.server.carrier == Carrier::Udp {
            return first_of(addresses, datagrams_to).map(Wire::Udp);
        }
        let stream = first_of(addresses, |address| {
            TcpStream::connect_timeout(&address, PATIENCE)
        })?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .map_err(SendError::later)?;
        if self.server.carrier == Carrier::Tcp {
            return Ok(Wire::Tcp(stream));
        }
        let name = ServerName::try_from(self.server.host.clone()).map_err(SendError::later)?;
        let client = tls::client(self.ca.as_ref())?;
        let connection = ClientConnection::new(client, name).map_err(SendError::later)?;
        let mut stream = StreamOwned::new(connection, stream);
        // The handshake, so that a certificate that is not believed is told as such.
        stream.flush().map_err(SendError::later)?;
        Ok(Wire::Tls(Box::new(stream)))
    }
}

impl Sink for Syslog {
    fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let mut wire = match self.wire.take() {
            Some(wire) if wire.is_alive() => wire,
            _ => self.begin()?,
        };
        let line = line(message, &self.host);
        wire.write(&line).map_err(SendError::later)?;
        self.wire = Some(wire);
        self.lately.push_back((Instant::now(), line));
        self.forget();
        Ok(())
    }

    fn settles_after(&self) -> Duration {
        match self.server.carrier {
            Carrier::Udp => Duration::ZERO, // nobody will ever know
            _ => LATELY,
        }
    }

    fn idle(&mut self, _status: Option<&Status>) -> Result<(), SendError> {
        let broken = self.wire.as_ref().is_some_and(|wire| !wire.is_alive());
        if broken {
            self.wire = None;
        }
        self.forget();
        if self.wire.is_none() && !self.lately.is_empty() {
            self.wire = Some(self.begin()?);
        }
        Ok(())
    }
}

/// What the first of these addresses gives that gives anything: a name may have one for each
/// version of IP, and its collector listen on one of them only.
fn first_of<T>(
    addresses: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<T, SendError> {
    let mut why = SendError::Later("its name has no address".into());
    for address in addresses {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(error) => why = SendError::later(error),
        }
    }
    Err(why)
}

fn datagrams_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(address)?;
    Ok(socket)
}

impl Wire {
    fn write(&mut self, line: &str) -> io::Result<()> {
        let framed = format!("{} {line}", line.len());
        match self {
            Self::Udp(socket) => socket.send(line.as_bytes()).map(drop),
            Self::Tcp(stream) => stream.write_all(framed.as_bytes()),
            Self::Tls(stream) => {
                stream.write_all(framed.as_bytes())?;
                stream.flush()
            }
        }
    }

    /// A collector says nothing. If it has closed, what is written goes nowhere, and no error
    /// comes before the next: so it is looked at first.
    fn is_alive(&self) -> bool {
        let mut stream = match self {
            Self::Udp(_) => return true,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        };
        if stream.set_nonblocking(true).is_err() {
            return false;
        }
        let waits = match self {
            // What TLS sends behind a handshake waits to be read; its end is an end.
            Self::Tls(_) => {
                matches!(stream.peek(&mut [0]), Ok(1..)) || would_block(stream.peek(&mut [0]).err())
            }
            _ => would_block(stream.read(&mut [0]).err()),
        };
        stream.set_nonblocking(false).is_ok() && waits
    }
}

fn would_block(error: Option<io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] MSG` (§6).
fn line(message: &Message, host: &str) -> String {
    let kind = if message.test { "test" } else { "alert" };
    format!(
        "<{PRIORITY}>1 {} {host} canarytap {} {kind} [canarytap@32473 seq=\"{}\" text=\"{}\"] \u{feff}{}",
        message.time,
        std::process::id(),
        message.seq,
        parameter(&message.text),
        message.json
    )
}

/// A value of structured data: three signs are escaped (§6.3.3).
fn parameter(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        if matches!(sign, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(sign);
    }
    escaped
}

/// Facility 13 (log alert), severity 4 (warning), §6.2.1.
const PRIORITY: u8 = 13 * 8 + 4;
const PATIENCE: Duration = Duration::from_secs(20);
/// What was written is read within this time, while the connection holds.
const LATELY: Duration = Duration::from_secs(10);
/// Alerts that are told once more after a break, at most.
const LATELY_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::outbound::message::tests::event;

    #[test]
    fn each_address_of_a_name_is_tried() {
        let [silent, open] = [0, 0].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let places = [&silent, &open].map(|one| one.local_addr().unwrap());
        drop(silent);
        let connect = |address| TcpStream::connect_timeout(&address, PATIENCE);
        let connected = first_of(places.into_iter(), connect).unwrap();
        assert_eq!(connected.peer_addr().unwrap(), places[1]);
        drop(open);
        assert!(first_of(places.into_iter(), connect).is_err());
        assert!(first_of([].into_iter(), connect).is_err());
    }

    #[test]
    fn a_message_has_the_parts_of_rfc_5424_and_no_visitor_can_add_one() {
        let mut hostile = event(41);
        hostile.target = Some("/\"] <0>1 x\r\n\\".into());
        let line = line(&Message::of(&hostile), "pi");
        assert!(
            line.starts_with("<108>1 2013-04-30T17:28:32.104512Z pi canarytap "),
            "{line}"
        );
        assert!(
            line.contains(" alert [canarytap@32473 seq=\"41\" text=\"alert 41: "),
            "{line}"
        );
        assert!(line.contains(r#"/\"\] <0>1 x\\r\\n\\ from"#), "{line}");
        assert!(!line.contains(['\r', '\n']));
        let json = line.split_once('\u{feff}').unwrap().1;
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["seq"], 41);
    }
}
