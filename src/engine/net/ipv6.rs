//! IPv6 headers and their extension headers (RFC 8200 §4).

use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};

use crate::limits::IPV6_EXTENSIONS_MAX;
use crate::net::ip::{Datagram, Ending, Fragment, claimed};

/// Length of the header that every packet has.
const HEADER: usize = 40;

/// Reads an IPv6 packet; None when its headers do not hold together.
pub(super) fn parse(bytes: &[u8], ending: Ending) -> Option<Datagram<'_>> {
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    let total = match usize::from(header.payload_length()) {
        0 => 0, // a jumbogram (RFC 2675 §3)
        length => HEADER + length,
    };
    let (payload, missing) = claimed(bytes, HEADER, total, ending)?;
    let mut datagram = Datagram {
        src: IpAddr::V6(header.source_addr()),
        dst: IpAddr::V6(header.destination_addr()),
        protocol: header.next_header().0,
        payload,
        missing,
        hops: header.hop_limit(),
        fragment: None,
        checksum_is_right: true,
    };
    if IpNumber(datagram.protocol) == IpNumber::IPV6_HEADER_HOP_BY_HOP {
        skip_options(&mut datagram)?;
    }
    skip_extensions(&mut datagram)?;
    Some(datagram)
}

/// Skips extension headers up to the transport header, or up to a fragment's own data. The
/// hop-by-hop header is none of these: it stands first or nowhere (RFC 8200 §4.1).
pub(super) fn skip_extensions(datagram: &mut Datagram<'_>) -> Option<()> {
    for _ in 0..IPV6_EXTENSIONS_MAX {
        match IpNumber(datagram.protocol) {
            IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6 => skip_options(datagram)?,
            IpNumber::AUTHENTICATION_HEADER => skip_authentication(datagram)?,
            IpNumber::IPV6_FRAGMENTATION_HEADER => take_fragment_header(datagram)?,
            IpNumber::IPV6_HEADER_HOP_BY_HOP => return None,
            _ => return Some(()),
        }
        if datagram.fragment.is_some() {
            return Some(());
        }
    }
    None
}

fn skip_options(datagram: &mut Datagram<'_>) -> Option<()> {
    let header = Ipv6RawExtHeaderSlice::from_slice(datagram.payload).ok()?;
    skip(datagram, header.next_header(), header.slice().len())
}

fn skip_authentication(datagram: &mut Datagram<'_>) -> Option<()> {
    let header = IpAuthHeaderSlice::from_slice(datagram.payload).ok()?;
    skip(datagram, header.next_header(), header.slice().len())
}

/// An atomic fragment, first and last in one, is whole (RFC 6946 §4).
fn take_fragment_header(datagram: &mut Datagram<'_>) -> Option<()> {
    let header = Ipv6FragmentHeaderSlice::from_slice(datagram.payload).ok()?;
    skip(datagram, header.next_header(), header.slice().len())?;
    datagram.fragment = header.is_fragmenting_payload().then(|| Fragment {
        id: header.identification(),
        offset: usize::from(header.fragment_offset().byte_offset()),
        more: header.more_fragments(),
    });
    Some(())
}

fn skip(datagram: &mut Datagram<'_>, next: IpNumber, length: usize) -> Option<()> {
    datagram.protocol = next.0;
    datagram.payload = datagram.payload.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend([next, 60]);
        bytes.extend([0x20; 32]);
        bytes.extend(payload);
        bytes
    }

    /// An extension header of eight bytes, then what follows.
    fn extension(next: u8, rest: &[u8]) -> Vec<u8> {
        [&[next, 0, 1, 4, 0, 0, 0, 0], rest].concat()
    }

    fn parsed(next: u8, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
        let bytes = packet(next, payload);
        let datagram = parse(&bytes, Ending::Whole)?;
        Some((datagram.protocol, datagram.payload.to_vec()))
    }

    #[test]
    fn every_extension_header_is_skipped() {
        for number in [0, 43, 60, 135, 139, 140] {
            let found = parsed(number, &extension(6, b"payload"));
            assert_eq!(found, Some((6, b"payload".to_vec())), "{number}");
        }
        let auth = [&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &b"payload"[..]].concat();
        assert_eq!(parsed(51, &auth), Some((6, b"payload".to_vec())));
    }

    #[test]
    fn a_row_of_extension_headers_is_skipped() {
        let row = extension(
            60,
            &extension(43, &extension(60, &extension(6, b"payload"))),
        );
        assert_eq!(parsed(0, &row), Some((6, b"payload".to_vec())));
    }

    #[test]
    fn an_endless_row_of_extension_headers_is_refused() {
        let row = (0..200).fold(b"payload".to_vec(), |rest, _| extension(60, &rest));
        assert_eq!(parsed(60, &row), None);
    }

    #[test]
    fn a_hop_by_hop_header_that_is_not_the_first_is_refused() {
        assert_eq!(parsed(60, &extension(0, &extension(6, b"payload"))), None);
    }

    #[test]
    fn an_extension_header_that_runs_out_of_the_packet_is_refused() {
        assert_eq!(parsed(60, &[6, 200, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn an_atomic_fragment_is_whole() {
        let bytes = packet(44, &[&[6, 0, 0, 0, 0, 0, 0, 9], &b"payload"[..]].concat());
        let datagram = parse(&bytes, Ending::Whole).unwrap();
        assert_eq!(datagram.fragment, None);
        assert_eq!((datagram.protocol, datagram.payload), (6, &b"payload"[..]));
    }

    #[test]
    fn a_fragment_says_where_it_belongs() {
        let bytes = packet(
            44,
            &[&[6, 0, 0, 0x11, 0, 0, 0, 9], &b"pay-load"[..]].concat(),
        );
        let fragment = parse(&bytes, Ending::Whole).unwrap().fragment;
        assert_eq!(
            fragment,
            Some(Fragment {
                id: 9,
                offset: 16,
                more: true
            })
        );
    }

    #[test]
    fn padding_is_no_payload_and_a_short_frame_is_refused() {
        let mut bytes = packet(6, b"payload");
        assert_eq!(parse(&bytes[..46], Ending::Whole), None);
        bytes.push(0);
        assert_eq!(parse(&bytes, Ending::Whole).unwrap().payload, b"payload");
    }

    #[test]
    fn a_length_of_zero_means_all_that_is_there() {
        let mut bytes = packet(6, b"payload");
        bytes[4..6].fill(0);
        assert_eq!(parse(&bytes, Ending::Whole).unwrap().payload, b"payload");
    }
}
