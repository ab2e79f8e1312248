//! Questions to the kernel over netlink (netlink(7)): of the network namespace that this process
//! is in, whatever `/sys` shows. Numbers are in the machine's byte order.

use std::io;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

pub(super) use rustix::net::netlink::GENERIC;

pub(super) mod ethtool;
pub(super) mod route;

/// A socket for questions of one family.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// `protocol` None is rtnetlink(7). No permission is needed, and nothing listens.
    pub(super) fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        Ok(Self { socket })
    }

    /// Asks and gives the body of the answer, which is one message.
    pub(super) fn ask(&self, kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.forget_old_answers();
        send(&self.socket, &message(kind, body), SendFlags::empty())?;
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        // The kernel has answered when `send` returns.
        let (length, _whole) = recv(&self.socket, &mut answer[..], RecvFlags::DONTWAIT)?;
        answer.truncate(length);
        body_of(&answer)
    }

    /// An answer that was not fetched, after an error, must not be taken for that of the next
    /// question.
    fn forget_old_answers(&self) {
        let mut old = [0u8; 16];
        while recv(&self.socket, &mut old[..], RecvFlags::DONTWAIT).is_ok() {}
    }
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and port: one question at a time needs neither
    message.extend(body);
    message
}

fn body_of(answer: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32_at(answer, 0).and_then(|length| usize::try_from(length).ok());
    let body = length.and_then(|length| answer.get(HEADER..length));
    let (Some(body), Some(kind)) = (body, u16_at(answer, 4)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if kind == ERROR {
        let code = body
            .first_chunk()
            .map_or(0, |code| i32::from_ne_bytes(*code));
        return Err(Errno::from_raw_os_error(code.saturating_neg()).into());
    }
    Ok(body.to_vec())
}

/// The attributes in `bytes`: number and value of each, flags of the number taken off.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & ATTRIBUTE_KIND;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of this number.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// Adds an attribute, padded as the next one needs it.
fn push_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = ATTRIBUTE_HEADER + value.len();
    message.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// A string as attributes hold it.
fn push_text(message: &mut Vec<u8>, kind: u16, text: &str) {
    push_attribute(message, kind, &[text.as_bytes(), &[0]].concat());
}

fn text_of(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value)
        .ok()
        .map(|text| text.trim_end_matches('\0'))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Bytes of a message's header, `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of an attribute's header, `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// What of an attribute's type is its number: the two highest bits are flags.
const ATTRIBUTE_KIND: u16 = 0x3fff;
/// Says that an attribute holds others (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// Longer than what the kernel says of one interface: it writes at most 32 KiB at once.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        push_text(&mut bytes, 3, "eth1");
        push_attribute(&mut bytes, 4 | NESTED, &7u32.to_ne_bytes());
        assert_eq!(bytes.len() % 4, 0);
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(3, &b"eth1\0"[..]), (4, &7u32.to_ne_bytes())]);
        assert_eq!(attribute(&bytes, 3).and_then(text_of), Some("eth1"));
        assert_eq!(attribute(&bytes, 9), None);
    }

    #[test]
    fn an_attribute_that_runs_out_of_its_message_ends_the_reading() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 1, &[0; 4]);
        let whole = bytes.len();
        push_attribute(&mut bytes, 2, &[0; 4]);
        for cut in whole..bytes.len() {
            assert_eq!(attributes(&bytes[..cut]).count(), 1, "{cut}");
        }
        let of_no_length = [0u8; 8];
        assert_eq!(attributes(&of_no_length).count(), 0);
    }

    #[test]
    fn an_error_is_told_as_what_it_is() {
        let mut body = (-19i32).to_ne_bytes().to_vec(); // ENODEV
        body.extend([0; 16]);
        let error = body_of(&message(ERROR, &body)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(19));
        assert!(body_of(b"short").is_err());
    }
}
