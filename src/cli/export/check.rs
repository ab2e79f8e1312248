//! README.txt: how to check a bundle with tools that are not ours. Each line that begins with `$`
//! runs as it stands, in a shell, in the folder of the unpacked bundle.

use crate::cli::export::Export;
use crate::cli::export::bundle::Chain;
use crate::store::Evidence;

pub(super) fn text(export: &Export, chain: &Chain, evidence: Option<&Evidence>) -> String {
    let seq = export.seq;
    let mut text = format!(
        "An event that canarytap saw, and what shows it
==============================================

index.html    the event, for a person to read
event.json    the same as `canarytap log --format jsonl` prints it
chain.jsonl   records of the log, one a line, as they were written: each names the SHA-256 of the
              one before it, under the key `prev`. The event is the one whose `seq` is {seq}; what
              was learned of it later are those whose `of` is {seq}
around.jsonl  what the tap noted of itself within a day: faults, minutes that it saw, its clock
about.json    which program made this, from which configuration and tap, and the ends of the chain
SHA256SUMS    digests of these files

The commands below need no canarytap. They are those of Debian: coreutils, diffutils, jq, tshark.

1. The files are those that were packed:

  $ sha256sum --check SHA256SUMS

2. The chain holds: the digest of each record (the line without its end) is what the next one names.
   No difference is printed.

  $ while IFS= read -r record; do printf %s \"$record\" | sha256sum | cut -d' ' -f1; done <chain.jsonl >digests
  $ jq -r .prev chain.jsonl | tail -n +2 >named; head -n -1 digests | diff - named && echo the chain holds

   Its last record has this digest:

  $ test \"$(tail -n 1 digests)\" = {last} && echo and ends as it says

   Compare it with a link that somebody remembered: the owner's laptop with `canarytap pull`, or you,
   if you were told one earlier. {remembered}

3. The event, and what was learned of it, are in that chain:

  $ jq 'select(.seq == {seq} or .of == {seq})' chain.jsonl
",
        last = chain.last.hash,
        remembered = remembered(export),
    );
    text.push_str(&match evidence {
        Some(evidence) => packets(seq, evidence),
        None => NO_PACKETS.to_owned(),
    });
    text.push_str(CAUTION);
    text
}

fn remembered(export: &Export) -> String {
    match &export.remembered {
        Some(head) => format!("The copy that this was made from remembers\n   {head}."),
        None => "None was remembered where this was made.".into(),
    }
}

fn packets(seq: u64, evidence: &Evidence) -> String {
    let file = &evidence.file;
    format!(
        "
4. The packets are those that were kept: the chain has the digest of their file.

  $ jq -r 'select(.of == {seq}) | .evidence.sha256 // empty' chain.jsonl | tail -n 1 >kept
  $ sha256sum evidence/{file} | cut -d' ' -f1 | diff - kept && echo the packets are those

5. What they say. Wireshark opens the file, and its comments name the event. On a terminal:

  $ TZ=UTC0 tshark -n -r evidence/{file} -Y 'http.request || http2.headers.method || tls.handshake.type == 1 || quic' -T fields -e frame.time -e ip.src -e ipv6.src -e ip.dst -e ipv6.dst -e http.request.method -e http.host -e http.request.uri -e http2.headers.method -e http2.headers.path -e tls.handshake.extensions_server_name
"
    )
}

const NO_PACKETS: &str = "
4. Packets of this event are not in the bundle: none were kept, or they were deleted for want of room.
   The record of the chain whose key `evidence` says so, if there is one, is shown by 3.
";

const CAUTION: &str = "
What this shows: that these records stood in this order when the last link was remembered, and that
none was changed since by somebody who does not hold the whole machine. It does not show that what
came over the wire was true: who holds a network can make packets. A time is that of the tap's clock:
`synchronised` says whether it was set, and records of kind `clock` what has to be added to
`uptime_micros` to know the time where it was set later only.
";
