//! What counters say of the mirror: one direction only, everything twice, cut, dropped, holes.

use std::time::{Duration, Instant};

use crate::daemon::health::recent::{Losses, Recent};
use crate::daemon::health::remark;
use crate::daemon::status::Remark;
use crate::daemon::tap::TapReport;
use crate::engine::counters::Counters;

/// Remembers what counters were.
#[derive(Debug)]
pub(super) struct Wire {
    drops: Losses,
    counts: Recent<4>,
    /// What the interface refused, from the first look on: it counts since the boot.
    refused: Option<Recent<1>>,
    towards: u64,
    from: u64,
    /// Segments of one direction since the last of the other, and since when.
    alone: Option<Alone>,
}

#[derive(Clone, Copy, Debug)]
struct Alone {
    towards: bool,
    segments: u64,
    since: Instant,
}

impl Wire {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            drops: Losses::default(),
            counts: Recent::new(now),
            refused: None,
            towards: 0,
            from: 0,
            alone: None,
        }
    }

    pub(super) fn judge(&mut self, tap: &TapReport, heads_only: bool, now: Instant) -> Vec<Remark> {
        let counters = &tap.counters;
        let growth = self.counts.growth(
            [
                counters.segments_to_servers + counters.segments_from_servers,
                counters.segments_doubled,
                counters.frames_cut + counters.ip_cut,
                counters.gaps_acknowledged,
            ],
            now,
        );
        let [segments, doubled, cut, holes] = growth;
        let refused = self.refused(tap, now);
        let mut faults: Vec<Remark> = Vec::new();
        faults.extend(self.dropped(tap, now));
        faults.extend((refused >= REFUSED_MIN).then(|| refused_fault(refused)));
        faults.extend((cut >= FEW).then(|| cut_fault(cut)));
        faults.extend(self.one_direction(counters, heads_only, now));
        faults.extend((doubled >= FEW && doubled * 20 >= segments).then(doubled_fault));
        // Each of the others makes holes too, and says more.
        let explained = heads_only || !faults.is_empty();
        faults.extend((holes >= HOLES_MIN && !explained).then(|| holes_fault(holes)));
        faults
    }

    fn dropped(&mut self, tap: &TapReport, now: Instant) -> Option<Remark> {
        let (kernel, interface) = (tap.stats.dropped_kernel, tap.stats.dropped_interface);
        self.drops.are_recent(kernel + interface, now).then(|| {
            remark(
                "drops",
                &format!(
                    "packets were dropped in the last minute (since the start {kernel} by the kernel, {interface} by the interface)"
                ),
                "enlarge capture.buffer, or narrow the filter with host.addresses",
            )
        })
    }

    fn refused(&mut self, tap: &TapReport, now: Instant) -> u64 {
        let Some(link) = tap.link else { return 0 };
        let counts = [link.refused];
        let recent = self
            .refused
            .get_or_insert_with(|| Recent::begin(counts, now));
        let [refused] = recent.growth(counts, now);
        refused
    }

    fn one_direction(
        &mut self,
        counters: &Counters,
        heads_only: bool,
        now: Instant,
    ) -> Option<Remark> {
        let (towards, from) = (counters.segments_to_servers, counters.segments_from_servers);
        let (came, answered) = (towards > self.towards, from > self.from);
        let new = towards.saturating_sub(self.towards) + from.saturating_sub(self.from);
        (self.towards, self.from) = (towards, from);
        match (came, answered) {
            (true, true) => self.alone = None,
            (false, false) => {}
            _ => {
                let same = self.alone.filter(|alone| alone.towards == came);
                let mut alone = same.unwrap_or(Alone {
                    towards: came,
                    segments: 0,
                    since: now,
                });
                alone.segments += new;
                self.alone = Some(alone);
            }
        }
        let alone = self.alone?;
        let is_long = now.duration_since(alone.since) >= ALONE_WAIT;
        // With heads only, the kernel lets few of the server's segments through.
        let judged = !(heads_only && alone.towards);
        (judged && is_long && alone.segments >= ALONE_MIN).then(|| direction_fault(alone.towards))
    }
}

fn direction_fault(towards: bool) -> Remark {
    let (seen, missing) = match towards {
        true => ("requests", "answers"),
        false => ("answers", "requests"),
    };
    remark(
        "one_direction",
        &format!("segments of {seen} come in and none of {missing}: {missing} are not mirrored"),
        "in the switch's menu mirror both directions of the web server's port (ingress and egress, rx and tx)",
    )
}

fn doubled_fault() -> Remark {
    remark(
        "frames_doubled",
        "frames come in twice: two ports of their way are mirrored",
        "in the switch's menu mirror one port only, that of the web server",
    )
}

fn cut_fault(cut: u64) -> Remark {
    remark(
        "frames_cut",
        &format!("{cut} frames of the last minute are cut: requests in them cannot be read"),
        "let the switch mirror whole frames (truncation or sampling off), and give the interface an MTU as large as theirs: sudo ip link set INTERFACE mtu 9000",
    )
}

fn refused_fault(refused: u64) -> Remark {
    remark(
        "frames_refused",
        &format!(
            "the interface refused {refused} frames in the last minute: damaged, too long, or no room"
        ),
        "change the cable; for long frames: sudo ip link set INTERFACE mtu 9000",
    )
}

fn holes_fault(holes: u64) -> Remark {
    remark(
        "holes",
        &format!(
            "{holes} times in the last minute data was acknowledged that never came here: the switch loses some of what it mirrors"
        ),
        "mirror fewer ports, or give the tap a faster one: both directions of a busy port do not fit through one of the same speed",
    )
}

/// So few may be anything.
const FEW: u64 = 5;
/// A bad cable does not stop there.
const REFUSED_MIN: u64 = 3;
/// A connection that was taken up in its middle may have one.
const HOLES_MIN: u64 = 3;
/// Segments of one direction without one of the other: no window is so large that a sender need
/// not wait.
const ALONE_MIN: u64 = 20;
/// Longer than the way there and back, and than a mirror keeps a direction waiting.
const ALONE_WAIT: Duration = Duration::from_secs(5);
