//! One number for each reason that something was dropped or not understood.
//!
//! Whatever the wire brings that cannot be used ends here: never in a panic, never in a log
//! line for each packet. `status` and the summary of a replay print all that are not zero.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counts since the engine was made. Each only grows.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Calls `visit` with the name and the value of every counter, in the packet's order.
            pub fn for_each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit(stringify!($name), self.$name);)+
            }

            /// The name of every counter and what it counts, in the same order: for the manual.
            pub const DESCRIPTIONS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), concat!($($doc),+)),)+];
        }
    };
}

counters! {
    // ── link ──
    /// Frames that entered the engine.
    frames,
    /// Frames that the snap length cut short.
    frames_cut,
    /// Frames that ended inside a link or tunnel header.
    link_malformed,
    /// Frames that carry neither IPv4 nor IPv6 (ARP, LLDP, spanning tree, …).
    link_not_ip,
    /// Packets that bear a tunnel's protocol or port and do not hold together as one.
    tunnel_malformed,
    /// Packets wrapped in more tunnels than the engine unwraps.
    tunnel_too_deep,
    // ── net ──
    /// Packets whose IP header does not hold together.
    ip_malformed,
    /// Of those: packets that end before their header says, because a mirror cut them.
    ip_cut,
    /// IP packets of another protocol than TCP and UDP, unwrapped tunnels apart.
    ip_other_protocol,
    /// IPv4 header checksums that are wrong, from a sender that has shown right ones.
    ip_checksum_wrong,
    /// Fragments taken in.
    fragments,
    /// Fragments dropped: a bound of reassembly was reached, or no host would take them.
    fragments_dropped,
    /// Datagrams given up because their fragments contradict each other.
    fragments_contradictory,
    /// Datagrams given up because a fragment never came.
    fragments_expired,
    // ── transport ──
    /// TCP segments whose header does not hold together.
    tcp_malformed,
    /// TCP checksums that are wrong, in a direction that has shown right ones.
    tcp_checksum_wrong,
    /// TCP segments that acknowledge nothing, or bytes from before their connection's start: no
    /// host takes them.
    tcp_unacceptable,
    /// TCP segments on ports that are not watched.
    tcp_other_ports,
    /// TCP segments on watched ports.
    segments,
    /// Of those: segments of open connections on their way to a watched port.
    segments_to_servers,
    /// The same on their way from one.
    segments_from_servers,
    /// Segments that came once more within a moment: two ports of their way are mirrored.
    segments_doubled,
    /// Watched connections whose frames had to make room for those of others before any visit.
    recordings_evicted,
    /// Payload bytes seen before (retransmissions, duplicated frames).
    duplicate_bytes,
    /// Retransmitted bytes that differed from those delivered or waiting.
    overlap_bytes,
    /// Holes skipped: the bytes were acknowledged or never came.
    gaps,
    /// Bytes in those holes.
    gap_bytes,
    /// Holes that the receiver acknowledged: the mirror lost what was in them.
    gaps_acknowledged,
    /// Segments outside the window that a flow can use.
    out_of_window,
    /// Flows opened.
    flows_opened,
    /// Flows taken up without their start.
    flows_midstream,
    /// Flows evicted because the bound on flows or bytes was reached.
    flows_evicted,
    /// Of those: flows that held part of a watched request.
    flows_evicted_watched,
    /// Bytes behind a hole, given up: a bound was reached, their receiver lacks what comes before
    /// them, or their connection was over or forgotten.
    reorder_bytes_dropped,
    /// Payload bytes that belong to no connection that is known and open none: keep-alive probes,
    /// and what comes with a reset.
    bytes_without_flow,
    /// UDP datagrams whose header does not hold together.
    udp_malformed,
    /// UDP datagrams on ports that are not watched.
    udp_other_ports,
    /// UDP datagrams on watched ports.
    datagrams,
    // ── app ──
    /// Requests read, of any host and method.
    requests,
    /// Responses read.
    responses,
    /// Streams that turned out to be no protocol that is read.
    streams_unknown,
    /// Streams that speak TLS.
    streams_tls,
    /// Responses whose request was not seen.
    responses_unmatched,
    /// Places where a stream broke the rules of HTTP and reading went on at the next request.
    http1_malformed,
    /// Request or response heads given up because bytes of them are missing.
    http1_heads_lost,
    /// Request or response heads longer than the bound.
    http1_head_too_long,
    /// Streams that left HTTP/1 by Upgrade or CONNECT for something that is not read.
    http1_upgraded,
    /// Holes in more than the bodies of HTTP/2, header blocks beyond the bound, and connections
    /// taken up in their middle: what later headers refer to may not be known.
    http2_lost,
    /// Frames and headers that broke the rules of HTTP/2.
    http2_malformed,
    /// HTTP/2 request and response heads that were cut, or refer to what is not known.
    http2_heads_lost,
    /// HTTP/2 requests whose response is no longer waited for: too many wait on one connection.
    http2_streams_dropped,
    /// ClientHellos read.
    tls_hellos,
    /// Those for hosts that are not watched.
    tls_not_watched,
    /// TLS connections to watched hosts that no key came for.
    tls_no_key,
    /// Directions of TLS connections whose version or cipher suite is not read.
    tls_suite_unread,
    /// Directions of TLS connections given up because bytes are missing.
    tls_gaps,
    /// Directions of TLS connections that broke the rules, or that their key did not open.
    tls_malformed,
    /// TLS records that waited for a key and were dropped: too long, or too many.
    tls_records_dropped,
    /// TLS connections without a hello, to servers that had hellos for watched hosts before.
    tls_no_hello,
    /// Connections without a single byte, ended by visitors of servers that had hellos for watched
    /// hosts before.
    connections_silent,
    /// Datagrams that are no QUIC, or of no QUIC connection whose start was seen.
    quic_unknown,
    /// Of those: with short headers, to or from servers that had hellos for watched hosts before.
    quic_no_hello,
    /// QUIC packets of versions that are not read, and Version Negotiation.
    quic_other_version,
    /// First packets of QUIC clients that their keys do not open.
    quic_initials_refused,
    /// QUIC connections opened: the client's first packet was read.
    quic_connections,
    /// Those forgotten because the bound on their memory was reached.
    quic_evicted,
    /// Of those: such as held part of a watched request.
    quic_evicted_watched,
    /// ClientHellos read in QUIC; they count as `tls_hellos` too.
    quic_hellos,
    /// Retry packets of servers that want to see a client's address proved.
    quic_retries,
    /// Datagrams of known QUIC connections from or to other addresses than before.
    quic_migrations,
    /// QUIC packets that the connection's keys do not open.
    quic_not_opened,
    /// QUIC packets and handshakes that broke a rule.
    quic_malformed,
    /// QUIC packets that waited for a key and were dropped: too long, or too many.
    quic_packets_dropped,
    /// Bytes of QUIC streams that came too early and found no room to wait in.
    quic_bytes_dropped,
    /// HTTP/3 streams and heads given up: bytes are missing, or fields that they refer to.
    http3_lost,
    /// HTTP/3 streams and heads that broke a rule; the connection was read on.
    http3_malformed,
    /// HTTP/3 streams given up because there were too many at once.
    http3_streams_dropped,
    /// Secrets taken from key logs.
    secrets,
    /// Secrets dropped because too many waited for their connections.
    secrets_dropped,
    /// Secrets forgotten because their connection was not seen in time.
    secrets_expired,
    // ── canary ──
    /// Requests for hosts that are not watched.
    requests_not_watched,
    /// Events made.
    events,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_visited_by_name() {
        let counters = Counters {
            frames: 3,
            ..Counters::default()
        };
        let mut seen = Vec::new();
        counters.for_each(|name, value| seen.push((name, value)));
        assert_eq!(seen.first(), Some(&("frames", 3)));
        assert_eq!(seen.last(), Some(&("events", 0)));
    }

    #[test]
    fn every_counter_is_described() {
        let mut names = Vec::new();
        Counters::default().for_each(|name, _| names.push(name));
        let described = Counters::DESCRIPTIONS.iter().map(|(name, _)| *name);
        assert!(described.eq(names));
        for (name, text) in Counters::DESCRIPTIONS {
            assert!(text.trim_end().ends_with('.'), "{name}: {text}");
        }
    }
}
