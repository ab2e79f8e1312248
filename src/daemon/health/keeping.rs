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
