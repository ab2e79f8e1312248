//! Every bound in the engine, with its unit in its name and the reason for its default.

use std::time::Duration;

/// Tunnels and tags inside each other: a mirrored VXLAN of a tagged PPPoE session needs four.
pub const ENCAPSULATION_DEPTH_MAX: usize = 8;

/// Extension headers of one IPv6 packet that are walked; real packets have one or two.
pub const IPV6_EXTENSIONS_MAX: usize = 16;
/// Directions that are remembered for having shown right IPv4 header checksums: 32 KiB.
pub const CHECKSUM_SENDERS_MAX: usize = 2048;

/// Fragments of one datagram, those that adjoin each other counted as one: 64 of the smallest
/// useful size (1,280 bytes) exceed 64 KiB.
pub const FRAGMENTS_PER_DATAGRAM_MAX: usize = 64;
/// Datagrams waiting for fragments at once.
pub const FRAGMENTED_DATAGRAMS_MAX: usize = 512;
/// Bytes of all fragments that wait: 64 of the largest datagrams.
pub const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long, in capture time, a datagram waits for its fragments (RFC 791 suggests 15 s,
/// RFC 8200 allows 60 s, Linux gives 30 s).
pub const FRAGMENT_WAIT: Duration = Duration::from_secs(30);

/// Bytes of a request or response head. Real servers stop at 8 to 64 KiB; a 64 KiB target with
/// 100 fields still fits.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Header fields of a head that are looked at.
pub const HEAD_FIELDS_MAX: usize = 512;
/// Bytes of a field's value (User-Agent, Referer) that an event keeps: more than any honest
/// client sends, little enough for a small card.
pub const FIELD_BYTES_MAX: usize = 4096;
/// Bytes of a field that says where a body ends, its folds included: real ones have under 100.
pub const FRAMING_FIELD_BYTES_MAX: usize = 1024;
/// Requests of one connection that wait for their response (pipelining).
pub const PIPELINED_REQUESTS_MAX: usize = 256;
/// Responses of one connection that came before their request (a mirror that mixes up the
/// directions does so by a few packets).
pub const EARLY_RESPONSES_MAX: usize = 8;
/// First bytes of a stream that are held to tell which protocol it speaks. The longest thing
/// that must fit is a PROXY protocol header, version 1: 107 bytes.
pub const PROBE_BYTES_MAX: usize = 128;

/// Bytes of a handshake message that is looked at, such as a ClientHello: those with several
/// post-quantum keys have under 10,000.
pub const TLS_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one side's handshake messages in TLS 1.2 and older that are kept for making a master
/// secret: chains of certificates have under 10,000.
pub const TLS_TRANSCRIPT_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a record's content (RFC 8446 §5.1, RFC 5246 §6.2.1).
pub const TLS_PLAIN_BYTES_MAX: usize = 1 << 14;
/// Bytes of one direction's TLS records that wait for their key: a request head of the largest
/// size, or a minute of a slow page.
pub const TLS_HELD_BYTES_PER_DIRECTION_MAX: usize = 256 * 1024;
/// Bytes of connections that are over and whose records wait for their keys: a thousand visits of
/// a few kilobytes.
pub const TLS_CLOSED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records of TLS 1.3 in a row that no secret opens, before a direction is given up: early data
/// that a server refuses has no more.
pub const TLS_FAILURES_MAX: u32 = 64;
/// Records that may be missing in a hole for the next one to be found again by trying.
pub const TLS_RECORDS_MISSED_MAX: u64 = 16;
/// How long, in capture time, a hello that is a visit by itself waits for its request when keys
/// are followed: longer than a log that is followed over a network lags, short for an alert.
pub const HELLO_VISIT_WAIT: Duration = Duration::from_secs(2);
/// How long, in capture time, a key log's line waits for its connection, and a connection's
/// packets for their line: logs come over slow lines and from buffered files.
pub const SECRET_WAIT: Duration = Duration::from_secs(60);
/// Servers that are remembered for watched hosts.
pub const WATCHED_SERVERS_MAX: usize = 1024;
/// Lines of key logs that wait at once: a minute of 300 connections a second with TLS 1.3, in
/// less than 24 MiB.
pub const SECRETS_WAITING_MAX: usize = 100_000;
/// Bytes of the table of fields that one direction of an HTTP/2 connection fills (RFC 7541 §4.1),
/// or one of HTTP/3. Clients and servers agree on 4 KiB, browsers let servers have 64 KiB.
pub const HPACK_TABLE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a decoded header list, 32 for each field added (RFC 9113 §6.5.2): a few bytes on the
/// wire may refer again and again to the same large field.
pub const HEADER_LIST_BYTES_MAX: usize = HEAD_BYTES_MAX;

/// Requests of one HTTP/2 or HTTP/3 connection that wait for their response: most servers allow 100 or 128
/// streams at once.
pub const STREAMS_MAX: usize = 256;

/// Bytes of a connection id of QUIC (RFC 9000 §17.2).
pub const QUIC_CONNECTION_ID_BYTES_MAX: usize = 20;
/// Names by which one side of a QUIC connection is known to be called: peers may offer each other
/// two at least, real ones offer up to eight.
pub const QUIC_NAMES_PER_SIDE_MAX: usize = 16;
/// Pairs of addresses and ports that one QUIC connection is followed to: a phone changes between
/// two networks, and whoever replays its packets from elsewhere must not fill the table.
pub const QUIC_PATHS_MAX: usize = 8;
/// Bytes of one direction's QUIC packets that wait for their keys: as for records of TLS.
pub const QUIC_HELD_BYTES_PER_DIRECTION_MAX: usize = TLS_HELD_BYTES_PER_DIRECTION_MAX;
/// Bytes of a handshake in QUIC, of one level and direction, that wait for earlier ones, with
/// [`QUIC_PIECE_OVERHEAD`] for each piece: a hello with several post-quantum keys fits, and servers'
/// chains of certificates.
pub const QUIC_CRYPTO_BYTES_MAX: usize = 64 * 1024;
/// Bytes of 0-RTT data that wait to be known as taken or refused.
pub const QUIC_EARLY_BYTES_MAX: usize = TLS_HELD_BYTES_PER_DIRECTION_MAX;
/// The part of the memory that QUIC connections may have, so that a flood of hellos from forged
/// addresses leaves the rest to TCP.
pub const QUIC_MEMORY_DIVISOR: usize = 4;
/// How long, in capture time, a silent QUIC connection is kept: clients and servers close theirs
/// after 30 s to a few minutes of silence (RFC 9000 §10.1).
pub const QUIC_IDLE: Duration = Duration::from_secs(600);
/// How long, in capture time, a QUIC connection that was closed is still read: what a mirror puts
/// after its end.
pub const QUIC_LINGER: Duration = Duration::from_secs(5);
/// Bytes of QUIC datagrams that came before the first of their connection, by a mirror that mixes
/// up the directions.
pub const QUIC_EARLY_BIRDS_BYTES_MAX: usize = 64 * 1024;
/// How long, in capture time, they wait for it.
pub const QUIC_EARLY_BIRDS_WAIT: Duration = Duration::from_secs(1);
/// Key updates of a QUIC connection that may be missed in a row: senders make one in millions of
/// packets, or a few by way of exercise.
pub const QUIC_KEY_UPDATES_MISSED_MAX: u32 = 4;
/// How often as many QUIC packets may be missed as their shortened numbers tell apart (256 for
/// the shortest), before those that follow cannot be opened.
pub const QUIC_NUMBER_WINDOWS_TRIED: u64 = 4;
/// Bytes that a piece of a stream that waits for an earlier one is counted beyond its own.
pub const QUIC_PIECE_OVERHEAD: usize = 64;

/// Bytes of one direction's streams, of one QUIC connection, that wait for earlier ones, with
/// [`QUIC_PIECE_OVERHEAD`] for each piece.
pub const QUIC_STREAM_BYTES_MAX: usize = 256 * 1024;
/// Header sections of one direction of an HTTP/3 connection that wait for the fields that they
/// refer to: browsers and servers allow 100 at most.
pub const QPACK_BLOCKED_MAX: usize = 128;
/// Bytes of those sections.
pub const QPACK_BLOCKED_BYTES_MAX: usize = HEAD_BYTES_MAX;

/// Bytes of a host name in a request: DNS has 253 and a dot at the end (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 255;
/// Places at which a request's host, target or Referer is searched for a token that is glued to
/// other letters. Tokens between marks are found wherever they stand.
pub const TOKEN_WINDOWS_MAX: usize = 16 * 1024;
/// Characters of forwarding headers that are kept: 20 hops of IPv6 addresses.
pub const FORWARDED_FOR_CHARACTERS_MAX: usize = 1024;

/// Bytes of one direction that wait for a hole to be filled: twice the largest window that a
/// home connection fills in one round trip (1 Gbit/s, 8 ms).
pub const REORDER_BYTES_PER_DIRECTION_MAX: usize = 2 * 1024 * 1024;
/// How long, in capture time, a hole is waited for when no acknowledgement passes it.
pub const HOLE_WAIT: Duration = Duration::from_secs(30);
/// How long, in capture time, a hole is waited for that the receiver has acknowledged: mirrors
/// put packets after their acknowledgement, but by milliseconds.
pub const HOLE_ACKED_WAIT: Duration = Duration::from_millis(500);
/// How long, in capture time, a reset waits to be told: what the other side had in flight, or what
/// a mirror puts after the reset, comes within round trips.
pub const RESET_WAIT: Duration = Duration::from_secs(5);
/// Connections that are kept apart under one pair of addresses and ports in one network: the
/// present one, one that a SYN seems to replace, and one more for a forged SYN.
pub const FLOWS_PER_KEY_MAX: usize = 3;
/// The same over all networks that a mirror shows: each look-up may have to pass them all.
pub const FLOWS_PER_KEY_ANYWHERE_MAX: usize = 64;
/// The part of the memory that handshakes may have, and as much again connections that are over.
/// One sixteenth of the default holds more than ten thousand, and a flood of SYNs gets no more.
pub const HOLLOW_MEMORY_DIVISOR: usize = 16;
/// The part of the memory that bytes waiting for holes may have, so that a few flows with large
/// holes cannot evict all others.
pub const REORDER_MEMORY_DIVISOR: usize = 2;
/// Flows forgotten in one tick because they were silent: no tick takes long.
pub const FLOWS_FORGOTTEN_PER_TICK_MAX: usize = 8192;
/// How long, in capture time, a flow that ended is remembered, so that late duplicates of its
/// segments are not taken for something new.
pub const FLOW_LINGER: Duration = Duration::from_secs(30);
/// How long, in capture time, a silent flow is kept.
pub const FLOW_IDLE: Duration = Duration::from_secs(3600);

/// The part of the memory in which frames of connections wait of which it is not known yet whether
/// they are watched: at the default some 18,000 small frames, the openings of as many seconds of a
/// busy home's traffic.
pub const UNDECIDED_MEMORY_DIVISOR: usize = 32;
/// The part of the memory in which frames of watched connections wait for a visit.
pub const WATCHED_MEMORY_DIVISOR: usize = 8;
/// Bytes of a connection up to which its frames are kept though nothing tells yet what it is.
pub const UNDECIDED_BYTES_PER_CONNECTION_MAX: u64 = 64 * 1024;
/// Bytes of frames that wait because they are fragments of a datagram: a dozen of the largest.
pub const FRAGMENT_FRAMES_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a watched connection's first frames: its handshake, without which nothing encrypted
/// can be read, and the first request.
pub const FIRST_FRAMES_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a watched connection's last frames, beside its first ones.
pub const LAST_FRAMES_BYTES_MAX: usize = 192 * 1024;
/// Connections whose frames are handed out at once.
pub const RECORDINGS_MAX: usize = 64;
/// How long, in capture time, a connection with a visit may be silent before what was kept of it
/// is complete.
pub const RECORDING_IDLE: Duration = Duration::from_secs(60);
/// How long, in capture time, late frames of a connection that is over are waited for.
pub const RECORDING_LINGER: Duration = Duration::from_secs(2);
/// How long, in capture time, a watched connection's frames wait for a visit that is told only
/// when its keys come.
pub const OVER_FRAMES_WAIT: Duration = Duration::from_secs(75);

/// Default bound on flows and buffers together: a Pi Zero 2 W has 512 MiB in all.
pub const MEMORY_BYTES_DEFAULT: usize = 48 * 1024 * 1024;

/// The bounds that a user may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of flows and their buffers together.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES_DEFAULT,
        }
    }
}
