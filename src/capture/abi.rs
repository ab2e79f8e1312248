//! Whether libpcap hands packets over in the form that this program was built for.
//!
//! Their header begins with a `timeval`, which has 8 bytes on a 32-bit system and, since Debian 13,
//! 16. If the two sides differ, lengths are read where there are none.

use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;

use pcap::Capture;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::capture::CaptureError;

/// Has libpcap read a packet of known length, once for this process.
///
/// # Errors
/// [`CaptureError::Times`] when the forms differ.
pub(super) fn check() -> Result<(), CaptureError> {
    static LENGTH: OnceLock<Option<u32>> = OnceLock::new();
    match LENGTH.get_or_init(length_of_a_packet) {
        Some(length) if *length != PACKET_BYTES => Err(CaptureError::Times),
        // Where no file could be made nothing is known, and nothing is refused.
        _ => Ok(()),
    }
}

/// What libpcap says of a packet of known length. In the wrong form the length is read from the
/// microseconds, which are fewer than the packet's bytes.
fn length_of_a_packet() -> Option<u32> {
    let file = memfd_create("canarytap", MemfdFlags::CLOEXEC).ok()?;
    rustix::io::write(&file, &savefile()).ok()?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut capture = Capture::from_file(path).ok()?;
    let packet = capture.next_packet().ok()?;
    Some(packet.header.caplen)
}

/// A capture file with one packet, in this machine's byte order (draft-ietf-opsawg-pcap).
fn savefile() -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_ne_bytes());
    file.extend([2u16, 4].into_iter().flat_map(u16::to_ne_bytes));
    for word in [0, 0, 65_535, 1, 1, MICROS, PACKET_BYTES, PACKET_BYTES] {
        file.extend(word.to_ne_bytes());
    }
    file.extend([0; PACKET_BYTES as usize]);
    file
}

const PACKET_BYTES: u32 = 60;
const MICROS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpcap_and_this_program_agree() {
        assert_eq!(length_of_a_packet(), Some(PACKET_BYTES));
        assert!(check().is_ok());
    }
}
