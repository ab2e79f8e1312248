//! Flows in the order in which they are forgotten.
//!
//! One queue for each class, oldest first. A segment only notes its second in its flow: to move the
//! flow at once would touch two strangers' memory for each packet. A flow that was active since it
//! queued goes to the end when its turn comes.

use crate::transport::Interest;
use crate::transport::flow::Flow;
use crate::transport::slab::{Id, Slab};

/// How much it would cost to forget a flow, with what the table itself knows of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The connection is over.
    Over,
    /// No byte was seen yet.
    #[default]
    Handshake,
    /// As [`Interest::Idle`].
    Idle,
    /// As [`Interest::Undecided`].
    Undecided,
    /// As [`Interest::Watched`].
    Watched,
}

impl Class {
    /// In the order in which flows are evicted.
    pub(super) const ALL: [Self; 5] = [
        Self::Over,
        Self::Handshake,
        Self::Idle,
        Self::Undecided,
        Self::Watched,
    ];
    /// Those of flows without bytes.
    pub(super) const HOLLOW: [Self; 2] = [Self::Over, Self::Handshake];
}

impl From<Interest> for Class {
    fn from(interest: Interest) -> Self {
        match interest {
            Interest::Idle => Self::Idle,
            Interest::Undecided => Self::Undecided,
            Interest::Watched => Self::Watched,
        }
    }
}

/// A flow's place in its queue.
#[derive(Debug, Default)]
pub(super) struct Links {
    older: Option<Id>,
    newer: Option<Id>,
    /// The second in which it queued.
    queued: u32,
    /// The second of its last segment.
    pub(super) last_seen: u32,
}

/// One queue.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    oldest: Option<Id>,
    newest: Option<Id>,
    len: usize,
}

/// The queues of all classes.
#[derive(Debug, Default)]
pub(super) struct Queues {
    over: Queue,
    handshake: Queue,
    idle: Queue,
    undecided: Queue,
    watched: Queue,
}

impl Queues {
    fn queue(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Over => &mut self.over,
            Class::Handshake => &mut self.handshake,
            Class::Idle => &mut self.idle,
            Class::Undecided => &mut self.undecided,
            Class::Watched => &mut self.watched,
        }
    }

    fn queue_of(&self, class: Class) -> &Queue {
        match class {
            Class::Over => &self.over,
            Class::Handshake => &self.handshake,
            Class::Idle => &self.idle,
            Class::Undecided => &self.undecided,
            Class::Watched => &self.watched,
        }
    }

    /// Calls `visit` for about so many flows that are the next to be forgotten.
    pub(super) fn for_least<S>(
        &self,
        flows: &Slab<Flow<S>>,
        count: usize,
        mut visit: impl FnMut(&Flow<S>),
    ) {
        let mut left = count;
        for class in Class::ALL {
            let mut next = self.queue_of(class).oldest;
            while let Some(flow) = next.filter(|_| left > 0).and_then(|id| flows.get(id)) {
                left -= 1;
                next = flow.links.newer;
                visit(flow);
            }
        }
    }

    /// How many flows a class has.
    pub(super) fn len(&self, class: Class) -> usize {
        self.queue_of(class).len
    }

    /// Puts a flow at the end of its class.
    pub(super) fn push<S>(&mut self, flows: &mut Slab<Flow<S>>, id: Id) {
        let Some(flow) = flows.get_mut(id) else {
            return;
        };
        let queue = self.queue(flow.class);
        let older = queue.newest.replace(id);
        queue.oldest.get_or_insert(id);
        queue.len += 1;
        flow.links.older = older;
        flow.links.newer = None;
        flow.links.queued = flow.links.last_seen;
        if let Some(older) = older.and_then(|id| flows.get_mut(id)) {
            older.links.newer = Some(id);
        }
    }

    /// Takes a flow out of its queue.
    pub(super) fn unlink<S>(&mut self, flows: &mut Slab<Flow<S>>, id: Id) {
        let Some(flow) = flows.get_mut(id) else {
            return;
        };
        let (older, newer) = (flow.links.older.take(), flow.links.newer.take());
        let queue = self.queue(flow.class);
        queue.len -= 1;
        match older.and_then(|id| flows.get_mut(id)) {
            Some(older) => older.links.newer = newer,
            None => queue.oldest = newer,
        }
        match newer.and_then(|id| flows.get_mut(id)) {
            Some(newer) => newer.links.older = older,
            None => queue.newest = older,
        }
    }

    /// Moves a flow to the end of another class.
    pub(super) fn reclass<S>(&mut self, flows: &mut Slab<Flow<S>>, id: Id, class: Class) {
        self.unlink(flows, id);
        if let Some(flow) = flows.get_mut(id) {
            flow.class = class;
        }
        self.push(flows, id);
    }

    /// The flow of a class that was silent longest, as far as a look at its first few tells.
    pub(super) fn oldest<S>(&mut self, flows: &mut Slab<Flow<S>>, class: Class) -> Option<Id> {
        for _ in 0..SECOND_CHANCES {
            let id = self.queue(class).oldest?;
            let links = &flows.get(id)?.links;
            if links.last_seen <= links.queued {
                return Some(id);
            }
            self.unlink(flows, id);
            self.push(flows, id);
        }
        self.queue(class).oldest
    }

    /// The flow to forget first.
    pub(super) fn least<S>(&mut self, flows: &mut Slab<Flow<S>>) -> Option<Id> {
        Class::ALL
            .into_iter()
            .find_map(|class| self.oldest(flows, class))
    }
}

/// Active flows passed over in search of a silent one, so that no segment pays for all of them.
const SECOND_CHANCES: usize = 32;
