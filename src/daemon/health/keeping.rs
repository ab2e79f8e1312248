//! What the keeper reports.

use std::time::Instant;

use crate::daemon::health::recent::Losses;
use crate::daemon::health::remark;
use crate::daemon::keeper::KeeperReport;
use crate::daemon::status::Remark;

pub(super) fn dropped_events(
    losses: &mut Losses,
    keeper: &KeeperReport,
    now: Instant,
) -> Option<Remark> {
    let dropped = keeper.dropped;
    losses.are_recent(dropped.total(), now).then(|| {
        remark(
            "events_dropped",
            &format!(
                "events were dropped in the last minute (since the start {} requests, {} visits, {} statuses): the disk was too slow for them",
                dropped.requests, dropped.visits, dropped.details
            ),
            "a flood of requests passes by itself; else give the data directory a faster disk",
        )
    })
}

pub(super) fn store_fault(fault: &str) -> Remark {
    remark(
        "store_failing",
        fault,
        "check the disk (df, dmesg); visits are held in memory and written when it works again",
    )
}

/// Told by the armed light for an hour, since records or canaries may be lost.
pub(super) fn salvage_fault(keeper: &KeeperReport, now: Instant) -> Option<Remark> {
    let (_, text) = keeper.set_aside.news.as_ref()?;
    keeper
        .set_aside
        .is_new(now)
        .then(|| remark("store_salvaged", text, CURE_OF_DAMAGE))
}

/// Told as long as it lies there.
pub(super) fn set_aside_warning(keeper: &KeeperReport) -> Option<Remark> {
    let file = keeper.set_aside.files.last()?;
    let text = format!(
        "a damaged database was set aside: {}; `canarytap canaries` shows which canaries are left",
        file.display()
    );
    Some(remark("store_set_aside", &text, CURE_OF_DAMAGE))
}

const CURE_OF_DAMAGE: &str = "cards wear out: look at dmesg, and think of another; then move the \
    file to where you keep evidence, and this ends with the next start";

/// Told from four fifths of the cap on, while there is room to do something about it.
pub(super) fn visits_fault(keeper: &KeeperReport) -> Option<Remark> {
    let (bytes, max) = (keeper.visits_bytes, keeper.visits_max_bytes);
    (max > 0 && bytes >= max / 5 * 4).then(|| {
        remark(
            "visits_cap",
            &format!(
                "visits take up {} of {} MiB; beyond that they are only counted",
                bytes >> 20,
                max >> 20
            ),
            "raise store.visits_max and restart; no visit was or will be deleted",
        )
    })
}
