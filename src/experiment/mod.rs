//! The experiment: what was sent where and when, what was sent nowhere, and what that says about
//! who opened it.
//!
//! Plans and sendings are records of the chain, so that they can be pulled, checked and exported
//! like visits, and nobody can say later that something else had been planned.
//!
//! | file | what happens there |
//! |---|---|
//! | `ledger` | plans and sendings, read back from the store |
//! | `delay` | the time from sending to visit, in classes |
//! | `facts` | what is known of the visits to one canary |
//! | `exact` | Fisher's exact test, Holm's correction |
//! | `answers` | for each canary and channel: visited or not, and how sure that is |
//! | `words` | the same in words |

pub use answers::{Answers, CanaryAnswer, ChannelAnswer, SELFTEST, Sent, SureOf, Surer};
pub use delay::Delay;
pub use exact::Group;
pub use facts::{Facts, FirstVisit};
pub use ledger::{EXPERIMENT, Ledger, Member, Plan, Role, SENDING, Sending};
pub use watching::{Watched, Watching};

mod answers;
mod delay;
mod exact;
mod facts;
mod ledger;
mod watching;
pub mod words;

use crate::engine::frame::Timestamp;

/// The moment that an RFC 3339 text of the store names.
pub fn moment(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanos = u64::try_from(time.as_nanosecond()).ok()?;
    Some(Timestamp::from_nanos(nanos))
}
