//! What the kernel knows of one interface (rtnetlink(7), `RTM_GETLINK`).

use std::io;

use super::{Netlink, attribute, push_text, u32_at, u64_at};

/// The answer, as far as it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::capture) struct LinkAnswer {
    pub(in crate::capture) index: u32,
    /// The flags of netdevice(7).
    pub(in crate::capture) flags: u32,
    /// Frames received.
    pub(in crate::capture) received: u64,
    /// Frames that came in damaged, too long, or found no room.
    pub(in crate::capture) refused: u64,
}

/// Asks for the interface called `name`.
pub(in crate::capture) fn link(netlink: &Netlink, name: &str) -> io::Result<LinkAnswer> {
    let mut body = vec![0; INTERFACE_HEADER];
    push_text(&mut body, IFLA_IFNAME, name);
    let answer = netlink.ask(RTM_GETLINK, &body)?;
    read(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn read(answer: &[u8]) -> Option<LinkAnswer> {
    let attributes = answer.get(INTERFACE_HEADER..)?;
    let statistics = attribute(attributes, IFLA_STATS64).unwrap_or_default();
    let count = |at: usize| u64_at(statistics, at * 8).unwrap_or(0);
    Some(LinkAnswer {
        index: u32_at(answer, 4)?,
        flags: u32_at(answer, 8)?,
        received: count(0),
        refused: count(4) + count(15),
    })
}

const RTM_GETLINK: u16 = 18;
/// `struct ifinfomsg`: family, type, index at byte 4, flags at byte 8.
const INTERFACE_HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;
/// `struct rtnl_link_stats64`: 64-bit counts; received stands first, receive errors fifth,
/// frames missed for want of room sixteenth.
const IFLA_STATS64: u16 = 23;

#[cfg(test)]
mod tests {
    use super::super::push_attribute;
    use super::*;

    #[test]
    fn an_answer_is_read_field_by_field() {
        let mut answer = vec![0; INTERFACE_HEADER];
        answer[4..8].copy_from_slice(&7u32.to_ne_bytes());
        answer[8..12].copy_from_slice(&0x1_1043u32.to_ne_bytes());
        push_text(&mut answer, IFLA_IFNAME, "eth1");
        let counts: Vec<u8> = (100..124u64).flat_map(u64::to_ne_bytes).collect();
        push_attribute(&mut answer, IFLA_STATS64, &counts);
        let expected = LinkAnswer {
            index: 7,
            flags: 0x1_1043,
            received: 100,
            refused: 104 + 115,
        };
        assert_eq!(read(&answer), Some(expected));
        assert_eq!(read(&answer[..15]), None);
    }

    #[test]
    fn what_is_asked_of_the_kernel_is_answered() {
        let netlink = Netlink::open(None).unwrap();
        assert_eq!(link(&netlink, "lo").unwrap().index, 1);
        let missing = link(&netlink, "canarytap-none").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(19), "{missing}"); // ENODEV
        assert_eq!(link(&netlink, "lo").unwrap().index, 1);
    }
}
