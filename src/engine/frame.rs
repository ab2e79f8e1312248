//! What enters the engine: one captured frame, its time stamp and its link type.

use std::fmt;
use std::time::Duration;

mod names;

/// Nanoseconds since 1970-01-01T00:00:00Z, as the capture stamped them.
///
/// The engine has no clock: this is its only notion of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time stamp from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time stamp from whole seconds and nanoseconds; saturates.
    pub const fn from_secs_nanos(secs: u64, nanos: u32) -> Self {
        Self(
            secs.saturating_mul(1_000_000_000)
                .saturating_add(nanos as u64),
        )
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`; zero when `earlier` is the later one
    /// (capture clocks step backwards).
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`; saturates.
    pub const fn plus(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        if nanos > u64::MAX as u128 {
            return Self(u64::MAX);
        }
        Self(self.0.saturating_add(nanos as u64))
    }
}

/// RFC 3339 in UTC with six decimals, as in the event log: `2013-04-30T17:28:32.104512Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => f.write_str("9999-12-30T22:00:00.000000Z"), // beyond what the format can say
        }
    }
}

/// The framing of a captured frame: what libpcap calls its data link type.
///
/// Numbers: <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback, address family in host byte order (`LINKTYPE_NULL`, 0).
    Null,
    /// Ethernet II and IEEE 802.3 (`LINKTYPE_ETHERNET`, 1).
    Ethernet,
    /// A bare IPv4 or IPv6 packet (`LINKTYPE_RAW`, 101, and the DLT numbers 12 and 14;
    /// `LINKTYPE_IPV4`, 228; `LINKTYPE_IPV6`, 229).
    RawIp,
    /// OpenBSD loopback, address family in network byte order (`LINKTYPE_LOOP`, 108).
    Loop,
    /// Linux cooked capture v1 (`LINKTYPE_LINUX_SLL`, 113).
    LinuxSll,
    /// Linux cooked capture v2 (`LINKTYPE_LINUX_SLL2`, 276).
    LinuxSll2,
    /// PPP, with or without the framing of HDLC (`LINKTYPE_PPP`, 9; `LINKTYPE_PPP_HDLC`, 50).
    Ppp,
    /// A PPPoE session without its Ethernet header (`LINKTYPE_PPP_ETHER`, 51).
    PppEther,
    /// Cisco's HDLC, which announces what it carries by an Ethernet type (`LINKTYPE_C_HDLC`, 104).
    CiscoHdlc,
    /// What netfilter logged (`LINKTYPE_NFLOG`, 239).
    Nflog,
}

impl LinkType {
    /// The link type behind a number from libpcap or a capture file.
    ///
    /// # Errors
    /// [`UnreadLinkType`] for a link type that the engine does not read.
    pub const fn from_number(number: u16) -> Result<Self, UnreadLinkType> {
        match number {
            0 => Ok(Self::Null),
            1 => Ok(Self::Ethernet),
            9 | 50 => Ok(Self::Ppp),
            51 => Ok(Self::PppEther),
            104 => Ok(Self::CiscoHdlc),
            12 | 14 | 101 | 228 | 229 => Ok(Self::RawIp),
            108 => Ok(Self::Loop),
            113 => Ok(Self::LinuxSll),
            239 => Ok(Self::Nflog),
            276 => Ok(Self::LinuxSll2),
            _ => Err(UnreadLinkType { number }),
        }
    }
}

/// A captured frame, borrowed from the capture's ring.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the capture saw it.
    pub time: Timestamp,
    /// How `bytes` begin.
    pub link: LinkType,
    /// Length on the wire in bytes; more than `bytes.len()` when the snap length cut it.
    pub wire_len: u32,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
}

/// A link type that the engine does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadLinkType {
    /// Its number in libpcap's list.
    pub number: u16,
}

impl fmt::Display for UnreadLinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "link type {} ({name}) is not read", self.number),
            None => write!(f, "link type {} is not read", self.number),
        }
    }
}

impl UnreadLinkType {
    /// Its name in libpcap's list, less `LINKTYPE_`.
    pub fn name(self) -> Option<&'static str> {
        names::name_of(self.number)
    }
}

impl std::error::Error for UnreadLinkType {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_prints_six_decimals_in_utc() {
        let time = Timestamp::from_secs_nanos(1_367_342_912, 104_512_999);
        assert_eq!(time.to_string(), "2013-04-30T17:28:32.104512Z");
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_time_passed() {
        let early = Timestamp::from_nanos(5);
        assert_eq!(
            early.since(Timestamp::from_nanos(9)),
            std::time::Duration::ZERO
        );
    }

    #[test]
    fn an_unread_link_type_is_refused_with_its_number_and_name() {
        let refused = LinkType::from_number(105).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "link type 105 (IEEE802_11) is not read"
        );
        let nameless = LinkType::from_number(60_000).unwrap_err();
        assert_eq!(nameless.to_string(), "link type 60000 is not read");
    }
}
