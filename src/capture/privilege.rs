//! What this process may do beyond an ordinary one: only while an interface is opened.
//!
//! Capabilities belong to a thread, and a new thread has those of the one that made it.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A packet socket needs the first, promiscuous mode the second.
const NEEDED: CapabilitySet = CapabilitySet::NET_RAW.union(CapabilitySet::NET_ADMIN);

/// Keeps both permitted and makes neither effective, for this thread and those that it makes from
/// now on; what they start inherits nothing.
///
/// # Errors
/// When the kernel refuses, which it does only to a filter of system calls that is too narrow.
pub fn put_away() -> io::Result<()> {
    let now = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: now.effective.difference(NEEDED),
            inheritable: CapabilitySet::empty(),
            ..now
        },
    )?;
    Ok(())
}

/// While this lives, what is permitted of both is effective for the thread that made it.
#[derive(Debug)]
pub struct Raised {
    before: Option<CapabilitySets>,
}

impl Raised {
    /// Nothing changes where nothing is permitted: opening an interface then says what is missing.
    pub fn now() -> Self {
        Self {
            before: raise().ok(),
        }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Less is never refused.
            let _never = set_capabilities(None, before);
        }
    }
}

/// What was before.
fn raise() -> io::Result<CapabilitySets> {
    let before = capabilities(None)?;
    let effective = before.effective | (before.permitted & NEEDED);
    set_capabilities(
        None,
        CapabilitySets {
            effective,
            ..before
        },
    )?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn effective() -> CapabilitySet {
        capabilities(None).unwrap().effective & NEEDED
    }

    #[test]
    fn what_is_permitted_is_effective_only_while_it_is_raised() {
        let own_thread = thread::spawn(|| {
            put_away().unwrap();
            let permitted = capabilities(None).unwrap().permitted & NEEDED;
            assert_eq!(effective(), CapabilitySet::empty());
            let raised = Raised::now();
            assert_eq!(effective(), permitted);
            drop(raised);
            assert_eq!(effective(), CapabilitySet::empty());
            assert_eq!(capabilities(None).unwrap().permitted & NEEDED, permitted);
        });
        own_thread.join().unwrap();
    }
}
