//! The program that the kernel runs on every frame: only what may matter reaches us.

use std::net::IpAddr;

use crate::config::Responses;
use crate::engine::canary::PortSet;

/// Frames that hide their IP packet behind a tag or session pass whole: the words `vlan` and
/// `pppoes` would shift every later offset, or make the kernel refuse the program. Of a tag that
/// the kernel took off before the program runs, as Linux does with the outermost, nothing is seen.
const TAGGED: &str = "ether proto 0x8100";
const WRAPPED: &str = "ether proto 0x88a8 or ether proto 0x9100 \
                       or ether proto 0x8864 or ether proto 0x8847";
/// Fragments: only the first holds the ports.
const FRAGMENTS: &str = "ip[6:2] & 0x3fff != 0 or ip6[6] == 44";
/// Mirrors that come wrapped in IP.
const TUNNELS: &str = "ip proto 4 or ip proto 41 or ip proto 47 or ip6 proto 4 or ip6 proto 41 \
                       or ip6 proto 47 or udp dst port 4789 or udp dst port 8472 or udp dst port 6081";
/// IPv6 packets that begin with an extension header: the words `tcp` and `udp` do not see behind it.
const EXTENDED: &str = "ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 60 or ip6[6] == 51";

/// SYN, over either version of IP.
const OPENINGS: &str = "tcp[13] & 2 != 0 or (ip6 and ip6[6] == 6 and ip6[53] & 2 != 0)";

/// What passes of a server's side with `responses = "heads"`: SYN, FIN, RST, and payloads that
/// begin like an HTTP status line (`H`) or a TLS handshake record (0x16). One byte is compared:
/// reading beyond a short payload would refuse the packet. The word `tcp` finds no payload
/// behind an IPv6 header, so its offsets are spelled out.
const HEADS: &str = "tcp[13] & 7 != 0 or tcp[((tcp[12] & 0xf0) >> 2)] = 0x48 \
                     or tcp[((tcp[12] & 0xf0) >> 2)] = 0x16 \
                     or (ip6 and (ip6[53] & 7 != 0 \
                     or ip6[40 + ((ip6[52] & 0xf0) >> 2)] = 0x48 \
                     or ip6[40 + ((ip6[52] & 0xf0) >> 2)] = 0x16))";

/// What passes of a client's side: SYN, FIN, RST, and whatever bears a byte. A length of 0 is that of
/// a packet too large for its field. Bare acknowledgements say how far a client has read what is
/// not looked at here; the next request says so too.
const ASKING: &str = "tcp[13] & 7 != 0 or ip[2:2] = 0 \
                      or ip[2:2] > ((ip[0] & 0xf) << 2) + ((tcp[12] & 0xf0) >> 2) \
                      or (ip6 and (ip6[53] & 7 != 0 or ip6[4:2] = 0 \
                      or ip6[4:2] > ((ip6[52] & 0xf0) >> 2)))";

/// The same for QUIC: packets with long headers, of which a server sends a handful for each
/// connection. Where TCP has a status line, QUIC has nothing that the kernel could tell apart.
const LONG_HEADERS: &str = "udp[8] & 0x80 != 0 or (ip6 and ip6[48] & 0x80 != 0)";

/// The filter for TCP and UDP on `ports`; `addresses`, when there are any, are the watched
/// servers'.
///
/// With [`Responses::Heads`] a server's bulk data stay out, and acknowledgements that bear nothing,
/// where the filter can tell it: plain and behind one VLAN tag, but not behind several, nor in
/// sessions and tunnels, and not with every port, when nothing tells the server's side.
pub fn expression(ports: &PortSet, addresses: &[IpAddr], responses: Responses) -> String {
    let mut plain = match (ports, responses) {
        (PortSet::All, _) => "tcp or udp".to_owned(),
        (PortSet::Some(ports), Responses::All) => {
            format!("(tcp or udp) and ({})", alternatives(ports, "port"))
        }
        (PortSet::Some(ports), Responses::Heads) => {
            let to_server = alternatives(ports, "dst port");
            let to_client = alternatives(ports, "src port");
            format!(
                "(tcp and ((({to_server}) and ({ASKING})) or (({to_client}) and ({HEADS})))) \
                 or (udp and ({to_server} or (({to_client}) and ({LONG_HEADERS}))))"
            )
        }
    };
    if !addresses.is_empty() {
        plain = format!("({plain}) and ({})", alternatives(addresses, "host"));
    }
    let tagged = match (ports, responses) {
        (PortSet::Some(ports), Responses::Heads) => {
            format!("({TAGGED} and not ({}))", tagged_bulk(ports))
        }
        _ => TAGGED.to_owned(),
    };
    format!("({plain}) or {tagged} or {WRAPPED} or {FRAGMENTS} or {EXTENDED} or {TUNNELS}")
}

/// The same and what tells how a mirror is set up: frames for everybody, which a switch floods
/// without any mirror, and the beginnings of connections on other ports. Ethernet only.
pub fn with_surroundings(expression: &str) -> String {
    format!("{expression} or ether multicast or {OPENINGS}")
}

/// What stays out of Ethernet frames with one tag: all offsets count from the frame's start.
fn tagged_bulk(ports: &[u16]) -> String {
    let four = Headers {
        tcp: "18 + ((ether[18] & 0xf) << 2)",
        protocol: "ether[27]",
        length: "ether[20:2]",
        before_tcp: "((ether[18] & 0xf) << 2)",
    };
    let six = Headers {
        tcp: "58",
        protocol: "ether[24]",
        length: "ether[22:2]",
        before_tcp: "0",
    };
    let (four, six) = (four.bulk(ports), six.bulk(ports));
    format!(
        "ether[12:2] = 0x8100 and \
         ((ether[16:2] = 0x0800 and ether[24:2] & 0x3fff = 0 and {four}) or \
         (ether[16:2] = 0x86dd and {six}))"
    )
}

/// Where things are behind a tag.
struct Headers {
    /// Where TCP's header begins.
    tcp: &'static str,
    protocol: &'static str,
    /// The length that IP's header states, and how much of it stands before TCP's.
    length: &'static str,
    before_tcp: &'static str,
}

impl Headers {
    /// What [`HEADS`], [`LONG_HEADERS`] and [`ASKING`] would not let pass.
    fn bulk(&self, ports: &[u16]) -> String {
        let Self {
            tcp,
            protocol,
            length,
            before_tcp,
        } = self;
        let from = alternatives(ports, &format!("ether[{tcp}:2] ="));
        let to = alternatives(ports, &format!("ether[{tcp} + 2:2] ="));
        let no_sign = format!("ether[{tcp} + 13] & 7 = 0");
        let tcp_length = format!("((ether[{tcp} + 12] & 0xf0) >> 2)");
        let first = format!("ether[{tcp} + {tcp_length}]");
        let empty = format!("{length} != 0 and {length} <= {before_tcp} + {tcp_length}");
        format!(
            "(({protocol} = 6 and {no_sign} and ((({from}) and {first} != 0x48 and {first} != 0x16) \
             or (({to}) and {empty}))) \
             or ({protocol} = 17 and ({from}) and ether[{tcp} + 8] & 0x80 = 0))"
        )
    }
}

fn alternatives<T: ToString>(values: &[T], word: &str) -> String {
    let words: Vec<String> = values
        .iter()
        .map(|value| format!("{word} {}", value.to_string()))
        .collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader, TcpOptionElement};
    use pcap::{BpfProgram, Capture, Linktype};

    use super::*;

    type Segment = PacketBuilderStep<TcpHeader>;

    fn compiled(ports: &PortSet, addresses: &[IpAddr], link: Linktype) -> BpfProgram {
        Capture::dead(link)
            .unwrap()
            .compile(&expression(ports, addresses, Responses::All), true)
            .unwrap()
    }

    fn web() -> PortSet {
        PortSet::Some(vec![80, 443])
    }

    fn frame(port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([203, 0, 113, 9], [192, 168, 1, 10], 60)
            .tcp(50_000, port, 1, 1000)
            .write(&mut bytes, b"x")
            .unwrap();
        bytes
    }

    fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
        let mut bytes = frame[..12].to_vec();
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend([0, 10]);
        }
        bytes.extend(&frame[12..]);
        bytes
    }

    #[test]
    fn it_compiles_on_every_link_type_that_is_read() {
        for number in [0, 1, 12, 108, 113, 276] {
            compiled(&web(), &["192.168.1.10".parse().unwrap()], Linktype(number));
            compiled(&PortSet::All, &[], Linktype(number));
        }
    }

    #[test]
    fn plain_tagged_twice_tagged_and_session_frames_pass() {
        let program = compiled(&web(), &[], Linktype::ETHERNET);
        let plain = frame(80);
        let mut session = plain[..12].to_vec();
        session.extend([0x88, 0x64, 0x11, 0, 0, 1, 0, 50, 0, 0x21]);
        session.extend(&plain[14..]);
        assert!(program.filter(&plain));
        assert!(program.filter(&tagged(&plain, &[0x8100])));
        assert!(program.filter(&tagged(&plain, &[0x88a8, 0x8100])));
        assert!(program.filter(&session));
    }

    #[test]
    fn other_ports_stay_out() {
        let program = compiled(&web(), &[], Linktype::ETHERNET);
        assert!(!program.filter(&frame(8081)));
        assert!(compiled(&PortSet::All, &[], Linktype::ETHERNET).filter(&frame(8081)));
    }

    #[test]
    fn fragments_pass_whatever_their_ports() {
        let program = compiled(&web(), &[], Linktype::ETHERNET);
        let mut fragment = frame(9);
        fragment[20] = 0x20;
        assert!(program.filter(&fragment));
    }

    fn answer(six: bool, payload: &[u8]) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = if six {
            link.ipv6([1; 16], [2; 16], 60)
        } else {
            link.ipv4([192, 168, 1, 10], [203, 0, 113, 9], 60)
        };
        let mut bytes = Vec::new();
        ip.tcp(80, 50_000, 1, 1000)
            .ack(1)
            .write(&mut bytes, payload)
            .unwrap();
        bytes
    }

    #[test]
    fn with_heads_only_a_servers_bulk_data_stay_out() {
        let program = Capture::dead(Linktype::ETHERNET)
            .unwrap()
            .compile(&expression(&web(), &[], Responses::Heads), true)
            .unwrap();
        assert!(program.filter(&frame(80)));
        for six in [false, true] {
            assert!(program.filter(&answer(six, b"HTTP/1.1 200 OK")), "{six}");
            assert!(program.filter(&answer(six, b"\x16\x03\x03")), "{six}");
            assert!(!program.filter(&answer(six, b"bulk data")), "{six}");
            assert!(!program.filter(&answer(six, b"")), "{six}");
        }
    }

    /// A client's segment without a byte, or with one.
    fn bare(six: bool, sign: impl Fn(Segment) -> Segment, payload: &[u8]) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = if six {
            link.ipv6([2; 16], [1; 16], 60)
        } else {
            link.ipv4([203, 0, 113, 9], [192, 168, 1, 10], 60)
        };
        let options = [TcpOptionElement::Timestamp(1, 2)];
        let segment = ip.tcp(50_000, 80, 1, 1000).ack(1);
        let segment = sign(segment.options(&options).unwrap());
        let mut bytes = Vec::new();
        segment.write(&mut bytes, payload).unwrap();
        bytes.resize(bytes.len().max(60), 0); // Ethernet pads
        bytes
    }

    #[test]
    fn with_heads_only_a_clients_bare_acknowledgements_stay_out() {
        let program = Capture::dead(Linktype::ETHERNET)
            .unwrap()
            .compile(&expression(&web(), &[], Responses::Heads), true)
            .unwrap();
        let passes = |frame: &[u8]| {
            let both = [
                program.filter(frame),
                program.filter(&tagged(frame, &[0x8100])),
            ];
            assert_eq!(both[0], both[1]);
            both[0]
        };
        for six in [false, true] {
            assert!(!passes(&bare(six, |one| one, b"")), "{six}");
            assert!(passes(&bare(six, |one| one, b"x")), "{six}");
            assert!(passes(&bare(six, |one| one.fin(), b"")), "{six}");
            assert!(passes(&bare(six, |one| one.rst(), b"")), "{six}");
            assert!(passes(&bare(six, |one| one.syn(), b"")), "{six}");
            let mut large = bare(six, |one| one, b"");
            let length = if six { 18..20 } else { 16..18 };
            large[length].fill(0);
            assert!(passes(&large), "{six}");
        }
        let everything = compiled(&web(), &[], Linktype::ETHERNET);
        assert!(everything.filter(&bare(false, |one| one, b"")));
    }

    #[test]
    fn with_heads_only_bulk_data_behind_one_tag_stay_out_and_behind_two_they_pass() {
        let ports = PortSet::Some((1..=64).chain([80, 443]).collect());
        let program = Capture::dead(Linktype::ETHERNET)
            .unwrap()
            .compile(&expression(&ports, &[], Responses::Heads), true)
            .unwrap();
        // BPF_MAXINSNS of linux/bpf_common.h
        assert!(program.get_instructions().len() <= 4096);
        let once = |frame: &[u8]| tagged(frame, &[0x8100]);
        assert!(program.filter(&once(&frame(80))));
        assert!(program.filter(&once(&datagram(false, (443, 50_000), &[0xc0; 30]))));
        for six in [false, true] {
            assert!(
                program.filter(&once(&answer(six, b"HTTP/1.1 200"))),
                "{six}"
            );
            assert!(
                program.filter(&once(&answer(six, b"\x16\x03\x03"))),
                "{six}"
            );
            assert!(!program.filter(&once(&answer(six, b"bulk data"))), "{six}");
            let short = datagram(six, (443, 50_000), &[0x40; 30]);
            assert!(!program.filter(&once(&short)), "{six}");
            let asked = datagram(six, (50_000, 443), &[0x40; 30]);
            assert!(program.filter(&once(&asked)), "{six}");
            let twice = tagged(&answer(six, b"bulk data"), &[0x8100, 0x8100]);
            assert!(program.filter(&twice), "{six}");
        }
        let mut fragment = once(&answer(false, b"bulk data"));
        fragment[24] = 0x20;
        assert!(program.filter(&fragment));
    }

    #[test]
    fn with_heads_only_the_program_compiles_on_every_link_type() {
        for number in [0, 1, 12, 108, 113, 276] {
            let filter = expression(&web(), &[], Responses::Heads);
            Capture::dead(Linktype(number))
                .unwrap()
                .compile(&filter, true)
                .unwrap();
        }
    }

    fn datagram(six: bool, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = if six {
            link.ipv6([1; 16], [2; 16], 60)
        } else {
            link.ipv4([192, 168, 1, 10], [203, 0, 113, 9], 60)
        };
        let mut bytes = Vec::new();
        ip.udp(ports.0, ports.1).write(&mut bytes, payload).unwrap();
        bytes
    }

    #[test]
    fn datagrams_pass_by_their_ports_and_with_heads_only_as_long_headers() {
        let program = |ports: &PortSet, responses| {
            Capture::dead(Linktype::ETHERNET)
                .unwrap()
                .compile(&expression(ports, &[], responses), true)
                .unwrap()
        };
        let all = program(&web(), Responses::All);
        let heads = program(&web(), Responses::Heads);
        let any = program(&PortSet::All, Responses::All);
        let (up, down, other) = ((50_000, 443), (443, 50_000), (50_000, 53));
        for six in [false, true] {
            for (ports, first, passes) in [
                (up, 0x40, [true, true]),
                (up, 0xc0, [true, true]),
                (down, 0xc0, [true, true]),
                (down, 0x40, [true, false]),
                (other, 0xc0, [false, false]),
            ] {
                let frame = datagram(six, ports, &[first; 30]);
                let found = [all.filter(&frame), heads.filter(&frame)];
                assert_eq!(found, passes, "{six} {ports:?} {first:x}");
                assert!(any.filter(&frame));
            }
        }
    }

    #[test]
    fn addresses_narrow_what_passes() {
        let other = ["192.168.1.11".parse().unwrap()];
        let this = ["192.168.1.10".parse().unwrap()];
        assert!(!compiled(&web(), &other, Linktype::ETHERNET).filter(&frame(80)));
        assert!(compiled(&web(), &this, Linktype::ETHERNET).filter(&frame(80)));
    }

    /// The frame's IP packet behind another link header.
    fn behind(header: &[u8], frame: &[u8]) -> Vec<u8> {
        [header, &frame[14..]].concat()
    }

    #[test]
    fn on_other_link_types_the_same_packets_pass() {
        let cooked = |protocol: [u8; 2]| [[0; 14].as_slice(), &protocol].concat();
        let cooked2 = |protocol: [u8; 2]| [protocol.as_slice(), &[0; 18]].concat();
        let plain = [0x08, 0x00];
        for (link, header) in [
            (Linktype(12), Vec::new()),
            (Linktype(0), vec![2, 0, 0, 0]),
            (Linktype(108), vec![0, 0, 0, 2]),
            (Linktype(113), cooked(plain)),
            (Linktype(276), cooked2(plain)),
        ] {
            let program = compiled(&web(), &[], link);
            assert!(program.filter(&behind(&header, &frame(80))), "{link:?}");
            assert!(!program.filter(&behind(&header, &frame(8081))), "{link:?}");
            let mut fragment = frame(9);
            fragment[21] = 1;
            assert!(program.filter(&behind(&header, &fragment)), "{link:?}");
        }
        for (link, header) in [
            (Linktype(113), cooked([0x81, 0])),
            (Linktype(276), cooked2([0x81, 0])),
        ] {
            let tagged = [&header[..], &[0, 10, 8, 0], &frame(80)[14..]].concat();
            assert!(compiled(&web(), &[], link).filter(&tagged), "{link:?}");
        }
    }

    #[test]
    fn a_long_list_of_addresses_and_ports_is_still_a_program_that_the_kernel_takes() {
        let ports = PortSet::Some((1..=64).collect());
        let addresses: Vec<IpAddr> = (0..128u8)
            .flat_map(|last| {
                [
                    IpAddr::from([192, 0, 2, last]),
                    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)]),
                ]
            })
            .collect();
        let program = compiled(&ports, &addresses, Linktype::ETHERNET);
        // BPF_MAXINSNS of linux/bpf_common.h
        assert!(program.get_instructions().len() <= 4096);
        assert!(!program.filter(&frame(80)));
    }
}
