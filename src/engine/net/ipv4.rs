//! IPv4 headers with their options (RFC 791 §3.1).

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice};

use crate::net::ip::{Datagram, Ending, Fragment, claimed};

/// Reads an IPv4 packet; None when its header does not hold together.
pub(super) fn parse(bytes: &[u8], ending: Ending) -> Option<Datagram<'_>> {
    let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
    let (total, length) = (usize::from(header.total_len()), header.slice().len());
    if !options_hold_together(header.options()) {
        return None;
    }
    let (payload, missing) = claimed(bytes, length, total, ending)?;
    let mut datagram = Datagram {
        src: IpAddr::V4(header.source_addr()),
        dst: IpAddr::V4(header.destination_addr()),
        protocol: header.protocol().0,
        payload,
        missing,
        hops: header.ttl(),
        fragment: fragment(&header),
        checksum_is_right: checksum_is_right(header.slice()),
    };
    if datagram.fragment.is_none() {
        skip_authentication(&mut datagram)?;
    }
    Some(datagram)
}

/// Takes an authentication header (RFC 4302) off a whole datagram.
pub(super) fn skip_authentication(datagram: &mut Datagram<'_>) -> Option<()> {
    if IpNumber(datagram.protocol) == IpNumber::AUTHENTICATION_HEADER {
        let header = IpAuthHeaderSlice::from_slice(datagram.payload).ok()?;
        datagram.protocol = header.next_header().0;
        datagram.payload = datagram.payload.get(header.slice().len()..)?;
    }
    Some(())
}

fn fragment(header: &Ipv4HeaderSlice<'_>) -> Option<Fragment> {
    header.is_fragmenting_payload().then(|| Fragment {
        id: u32::from(header.identification()),
        offset: usize::from(header.fragments_offset().byte_offset()),
        more: header.more_fragments(),
    })
}

/// Hosts drop a packet with an option that is shorter than its own header or runs out of the
/// packet's (RFC 1122 §3.2.1.8; Linux and BSD answer with a parameter problem).
fn options_hold_together(mut options: &[u8]) -> bool {
    loop {
        match options {
            [] | [0, ..] => return true, // end of the list
            [1, rest @ ..] => options = rest,
            [_, length @ 2..=u8::MAX, ..] => match options.get(usize::from(*length)..) {
                Some(rest) => options = rest,
                None => return false,
            },
            _ => return false,
        }
    }
}

/// RFC 1071 §1: the sum over a header and its own checksum has all bits set.
fn checksum_is_right(header: &[u8]) -> bool {
    Sum16BitWords::new().add_slice(header).ones_complement() == 0
}

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4Header, Ipv4Options};

    use super::*;

    fn packet(options: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u16;
        let mut header =
            Ipv4Header::new(length, 60, IpNumber::TCP, [192, 0, 2, 1], [192, 0, 2, 2]).unwrap();
        header.options = Ipv4Options::try_from(options).unwrap();
        header.total_len = (header.header_len() + payload.len()) as u16;
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn options_are_no_payload() {
        let bytes = packet(&[7, 7, 4, 0, 0, 0, 0, 1], b"payload");
        let datagram = parse(&bytes, Ending::Whole).unwrap();
        assert_eq!(datagram.payload, b"payload");
        assert!(datagram.checksum_is_right);
    }

    #[test]
    fn an_option_that_runs_out_of_the_header_is_refused() {
        assert_eq!(parse(&packet(&[7, 9, 4, 0], b""), Ending::Whole), None);
    }

    #[test]
    fn an_option_shorter_than_its_own_header_is_refused() {
        assert_eq!(parse(&packet(&[7, 1, 0, 0], b""), Ending::Whole), None);
        assert_eq!(parse(&packet(&[1, 1, 1, 7], b""), Ending::Whole), None);
    }

    #[test]
    fn bytes_after_the_end_of_the_options_do_not_count() {
        assert!(parse(&packet(&[0, 9, 9, 9], b""), Ending::Whole).is_some());
    }

    #[test]
    fn padding_behind_the_total_length_is_no_payload() {
        let mut bytes = packet(&[], b"payload");
        bytes.extend([0; 9]);
        assert_eq!(parse(&bytes, Ending::Whole).unwrap().payload, b"payload");
    }

    #[test]
    fn a_total_length_of_zero_means_all_that_is_there() {
        let mut bytes = packet(&[], b"payload");
        bytes[2..4].fill(0);
        let datagram = parse(&bytes, Ending::Whole).unwrap();
        assert_eq!((datagram.payload, datagram.missing), (&b"payload"[..], 0));
    }

    #[test]
    fn a_total_length_shorter_than_the_header_is_refused() {
        let mut bytes = packet(&[], b"payload");
        bytes[3] = 19;
        assert_eq!(parse(&bytes, Ending::Whole), None);
    }

    #[test]
    fn a_packet_longer_than_its_whole_frame_is_refused() {
        let bytes = packet(&[], b"payload");
        let short = &bytes[..bytes.len() - 1];
        assert_eq!(parse(short, Ending::Whole), None);
    }

    #[test]
    fn a_packet_in_a_cut_frame_gives_what_it_holds() {
        let bytes = packet(&[], b"payload");
        let short = &bytes[..bytes.len() - 3];
        let datagram = parse(short, Ending::MayBeCut(3)).unwrap();
        assert_eq!((datagram.payload, datagram.missing), (&b"payl"[..], 3));
    }

    #[test]
    fn an_authentication_header_is_skipped() {
        let mut auth = vec![6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        auth.extend(b"payload");
        let mut bytes = packet(&[], &auth);
        bytes[9] = 51;
        let datagram = parse(&bytes, Ending::Whole).unwrap();
        assert_eq!((datagram.protocol, datagram.payload), (6, &b"payload"[..]));
    }

    #[test]
    fn one_bit_off_is_a_wrong_checksum() {
        let mut bytes = packet(&[], b"");
        bytes[8] ^= 1;
        assert!(!parse(&bytes, Ending::Whole).unwrap().checksum_is_right);
    }
}
