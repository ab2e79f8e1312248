//! What the kernel says of the clock, by way of systemd-timedated.
//!
//! adjtimex(2) says whether the clock is synchronised, whichever program keeps it, and needs a call
//! for which there is no safe wrapper. systemd-timedated makes it for whoever asks for its property
//! `NTPSynchronized`: true while the error that the kernel reckons with stays below 16 s. It is
//! started by the message bus when it is asked and ends by itself.
//!
//! One question over D-Bus is small enough to be written out; the crates for it bring an event loop
//! of their own. Nothing is run and no file is opened, so it works in the daemon's sandbox.

use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

/// Where the system's message bus listens (D-Bus Specification, "Well-known Message Bus Instances").
pub const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Whether the kernel takes the clock for synchronised; gives up after `patience`.
///
/// # Errors
/// When there is no bus, nobody on it who knows, or no answer in time.
pub fn ask(bus: &Path, patience: Duration) -> io::Result<bool> {
    let mut stream = Patient {
        stream: UnixStream::connect(bus)?,
        until: Instant::now() + patience,
    };
    stream.stream.set_write_timeout(Some(patience))?;
    stream.stream.write_all(greeting().as_bytes())?;
    expect_welcome(&mut stream)?;
    stream.stream.write_all(&question())?;
    answer(&mut stream)
}

/// Reads until a moment, not for a while each time.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        // No time at all would mean for ever.
        self.stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        self.stream.read(buffer)
    }
}

/// "Authentication Protocol": who this is, is said by the socket; the name is the user's number.
fn greeting() -> String {
    let user = geteuid().as_raw().to_string();
    let name: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
    format!("\0AUTH EXTERNAL {name}\r\n")
}

fn expect_welcome(stream: &mut impl Read) -> io::Result<()> {
    let mut line = Vec::new();
    while line.len() < LINE_MAX && !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    if line.starts_with(b"OK ") && line.ends_with(b"\r\n") {
        return Ok(());
    }
    Err(odd("the message bus does not let us in"))
}

/// The end of authentication, the greeting that a bus wants first, and what is asked.
fn question() -> Vec<u8> {
    let hello = Message::call(1, &BUS, &[]);
    let get = Message::call(2, &TIMEDATED, &[TIMEDATED_NAME, "NTPSynchronized"]);
    [b"BEGIN\r\n".to_vec(), hello, get].concat()
}

/// Whom a call goes to: name, object, interface and method.
struct Callee([&'static str; 4]);

const BUS: Callee = Callee([
    "org.freedesktop.DBus",
    "/org/freedesktop/DBus",
    "org.freedesktop.DBus",
    "Hello",
]);
const TIMEDATED_NAME: &str = "org.freedesktop.timedate1";
const TIMEDATED: Callee = Callee([
    TIMEDATED_NAME,
    "/org/freedesktop/timedate1",
    "org.freedesktop.DBus.Properties",
    "Get",
]);

/// A message as it is being written ("Marshaling (Wire Format)"), little-endian.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// A method call whose arguments are strings.
    fn call(serial: u32, callee: &Callee, arguments: &[&str]) -> Vec<u8> {
        let Callee([name, object, interface, method]) = callee;
        let mut body = Self::default();
        for argument in arguments {
            body.string(argument);
        }
        let mut fields = Self::default();
        for (code, kind, value) in [
            (PATH, b'o', object),
            (INTERFACE, b's', interface),
            (MEMBER, b's', method),
            (DESTINATION, b's', name),
        ] {
            fields.align(8);
            fields.0.extend([code, 1, kind, 0]);
            fields.string(value);
        }
        if !arguments.is_empty() {
            fields.align(8);
            fields.0.extend([SIGNATURE, 1, b'g', 0]);
            fields.short("s".repeat(arguments.len()).as_bytes());
        }
        let mut message = Self(vec![b'l', METHOD_CALL, 0, VERSION]);
        message.number(body.0.len());
        message.0.extend(serial.to_le_bytes());
        message.number(fields.0.len());
        message.0.extend(fields.0);
        message.align(8);
        message.0.extend(body.0);
        message.0
    }

    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// What is written here is a few hundred bytes long.
    fn number(&mut self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.0.extend(number.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.align(4);
        self.number(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn short(&mut self, text: &[u8]) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text);
        self.0.push(0);
    }
}

/// The body of the second reply, which is the one to the second call: a variant that holds a boolean.
fn answer(stream: &mut impl Read) -> io::Result<bool> {
    let mut replies = 0;
    for _ in 0..MESSAGES_MAX {
        let (kind, body) = message(stream)?;
        replies += u32::from(kind != SIGNAL);
        match (kind, replies, body.as_slice()) {
            (METHOD_RETURN, 2, [1, b'b', 0, 0, value @ ..]) if value.len() == 4 => {
                return Ok(value.iter().any(|byte| *byte != 0));
            }
            (METHOD_RETURN, 1, _) | (SIGNAL, ..) => {}
            _ => return Err(odd("nobody on the message bus says how the clock is")),
        }
    }
    Err(odd("the message bus does not come to the point"))
}

/// The next message: its type and its body.
fn message(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let [
        order,
        kind,
        _,
        _,
        b0,
        b1,
        b2,
        b3,
        _,
        _,
        _,
        _,
        f0,
        f1,
        f2,
        f3,
    ] = head;
    let number = match order {
        b'l' => u32::from_le_bytes,
        b'B' => u32::from_be_bytes,
        _ => return Err(odd("this is no message bus")),
    };
    let (body, fields) = (number([b0, b1, b2, b3]), number([f0, f1, f2, f3]));
    if body > MESSAGE_MAX || fields > MESSAGE_MAX {
        return Err(odd("the message bus has too much to say"));
    }
    part(stream, fields.next_multiple_of(8))?;
    Ok((kind, part(stream, body)?))
}

fn part(stream: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = stream.take(length.into()).read_to_end(&mut bytes)?;
    match u32::try_from(read) {
        Ok(read) if read == length => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::other(what)
}

/// Types of messages, and codes of header fields ("Message Format").
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const SIGNAL: u8 = 4;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;
const VERSION: u8 = 1;

/// A line of authentication is about 40 bytes long.
const LINE_MAX: usize = 256;
/// The replies, and the signal that a name was acquired.
const MESSAGES_MAX: usize = 8;
const MESSAGE_MAX: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO_REPLY: &[u8] = b"l\x02\x01\x01\x09\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01u\0\x01\0\0\0\
        \x04\0\0\0:1.7\0";
    const ACQUIRED: &[u8] = b"l\x04\x01\x01\x09\0\0\0\x02\0\0\0\x08\0\0\0\x08\x01g\0\x01s\0\0\
        \x04\0\0\0:1.7\0";

    fn reply(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        let head = [
            b'l', kind, 1, 1, length, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 5, 1, b'u', 0, 2, 0, 0, 0,
        ];
        [&head, body].concat()
    }

    fn answered(replies: &[&[u8]]) -> Option<bool> {
        answer(&mut replies.concat().as_slice()).ok()
    }

    #[test]
    fn the_second_reply_says_yes_or_no() {
        for (value, said) in [(1, true), (0, false)] {
            let reply = reply(METHOD_RETURN, &[1, b'b', 0, 0, value, 0, 0, 0]);
            assert_eq!(answered(&[HELLO_REPLY, ACQUIRED, &reply]), Some(said));
            assert_eq!(answered(&[HELLO_REPLY, &reply]), Some(said));
        }
    }

    #[test]
    fn an_error_another_type_and_a_bus_that_breaks_off_say_nothing() {
        let yes = [1, b'b', 0, 0, 1, 0, 0, 0];
        assert_eq!(answered(&[HELLO_REPLY, &reply(3, &yes)]), None);
        assert_eq!(answered(&[&reply(3, b""), &reply(2, &yes)]), None);
        assert_eq!(answered(&[HELLO_REPLY, &reply(2, &[1, b's', 0, 0])]), None);
        let whole = [HELLO_REPLY, &reply(2, &yes)].concat();
        for length in 0..whole.len() {
            assert!(answer(&mut &whole[..length]).is_err(), "{length}");
        }
        let forever = ACQUIRED.repeat(100);
        assert_eq!(answered(&[&forever]), None);
        assert_eq!(answered(&[b"HTTP/1.1 400 Bad Request\r\n"]), None);
        let huge = b"l\x02\x01\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff";
        assert_eq!(answered(&[huge]), None);
    }

    #[test]
    fn a_bus_that_is_silent_is_not_waited_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let bus = folder.path().join("bus");
        assert!(ask(&bus, Duration::from_millis(20)).is_err());
        let _listener = std::os::unix::net::UnixListener::bind(&bus).unwrap();
        assert!(ask(&bus, Duration::from_millis(20)).is_err());
    }

    /// As busctl sends it, but for names and numbers of its own.
    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let call = Message::call(2, &TIMEDATED, &["ab", "c"]);
        assert_eq!(call[..8], [b'l', 1, 0, 1, 14, 0, 0, 0]);
        assert_eq!(call[call.len() - 14..], *b"\x02\0\0\0ab\0\0\x01\0\0\0c\0");
        assert_eq!((call.len() - 14) % 8, 0);
    }
}
