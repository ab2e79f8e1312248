//! A walk along the chain, link by link: by whoever verifies a store, or copies one.

use serde::Deserialize;
use serde_json::Value;

use crate::store::canonical::{self, Fields};
use crate::store::{Broken, Head, chain};

/// Where a walk has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Links that hold.
    pub(super) records: u64,
    /// The last of them.
    pub(super) head: Option<Head>,
    /// Places where a damaged database lost links, as records in their place say.
    pub(super) lost: Vec<Lost>,
    /// What the last link says of the next one, and the link before both.
    declared: Option<(Next, Option<u64>)>,
}

/// Links that a damaged database lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last link before them; none: the chain's beginning was lost.
    pub after: Option<u64>,
    /// The record that stands in their place.
    pub record: u64,
    /// The first link after them.
    pub before: u64,
}

/// What a record in the place of lost links says of the first that was not lost: its number, and
/// the hash that it names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Next {
    seq: u64,
    prev: String,
}

impl Walk {
    /// One that goes on after `head`.
    pub(super) fn after(head: Option<Head>) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    /// Recalls what the link where the walk begins says of the next one; `before` is the number
    /// of the one before it.
    pub(super) fn recall(&mut self, record: &str, before: Option<u64>) {
        let fields = canonical_fields(record);
        self.declared = fields.and_then(|fields| Some((declared(&fields)?, before)));
    }

    /// Takes the next link, if it holds.
    pub(super) fn step(&mut self, seq: u64, record: &str, hash: &str) -> Result<(), Broken> {
        if chain::sha256_hex(record.as_bytes()) != hash {
            return Err(Broken::Hash { seq });
        }
        let fields = canonical_fields(record).ok_or(Broken::Form { seq })?;
        if fields.get("seq").and_then(Value::as_u64) != Some(seq) || seq <= self.seq() {
            return Err(Broken::Number { seq });
        }
        self.follow(seq, &fields)?;
        let before = self.head.as_ref().map(|head| head.seq);
        self.declared = declared(&fields).map(|next| (next, before));
        self.records += 1;
        self.head = Some(Head {
            seq,
            hash: hash.to_owned(),
        });
        Ok(())
    }

    fn follow(&mut self, seq: u64, fields: &Fields) -> Result<(), Broken> {
        let named = fields.get("prev").and_then(Value::as_str);
        let before = self.head.as_ref();
        let hash = before.map_or(chain::GENESIS, |before| before.hash.as_str());
        if named == Some(hash) {
            return Ok(());
        }
        let declared = self.declared.take();
        let holds = |(next, _): &(Next, _)| next.seq == seq && Some(next.prev.as_str()) == named;
        let Some((_, after)) = declared.filter(holds) else {
            return Err(Broken::Link {
                seq,
                before: before.map(|before| before.seq),
            });
        };
        if self.lost.len() < LOST_MAX {
            self.lost.push(Lost {
                after,
                record: self.seq(),
                before: seq,
            });
        }
        Ok(())
    }

    fn seq(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.seq)
    }
}

fn canonical_fields(record: &str) -> Option<Fields> {
    serde_json::from_str::<Fields>(record)
        .ok()
        .filter(|fields| canonical::write(fields).is_ok_and(|text| text == record))
}

fn declared(fields: &Fields) -> Option<Next> {
    let is_salvage = fields.get("kind").and_then(Value::as_str) == Some(SALVAGE);
    let next = fields.get("next").filter(|_| is_salvage)?;
    Next::deserialize(next).ok()
}

/// Kind of the records that tell of a damaged database.
pub(super) const SALVAGE: &str = "salvage";

/// Places that are named; a store with more is beyond naming them.
const LOST_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::chain::{Link, link};

    /// A link with this number after one with this hash.
    fn linked(seq: u64, prev: &str, more: &Value) -> Link {
        let mut fields = canonical::fields(more).unwrap();
        fields.insert("seq".into(), seq.into());
        link(fields, prev).unwrap()
    }

    /// Walks over links with their numbers.
    fn walk(links: &[(u64, &Link)]) -> Result<Walk, Broken> {
        let mut walk = Walk::default();
        for (seq, link) in links {
            walk.step(*seq, &link.record, &link.hash)?;
        }
        Ok(walk)
    }

    #[test]
    fn links_that_name_each_other_hold() {
        let one = linked(1, chain::GENESIS, &json!({"kind": "visit"}));
        let two = linked(5, &one.hash, &json!({"kind": "visit"}));
        let walk = walk(&[(1, &one), (5, &two)]).unwrap();
        let head = Head {
            seq: 5,
            hash: two.hash,
        };
        assert_eq!((walk.records, walk.head), (2, Some(head)));
    }

    #[test]
    fn a_number_that_does_not_grow_is_caught() {
        let one = linked(3, chain::GENESIS, &json!({}));
        let two = linked(3, &one.hash, &json!({}));
        let broken = walk(&[(3, &one), (3, &two)]).unwrap_err();
        assert_eq!(broken, Broken::Number { seq: 3 });
    }

    #[test]
    fn lost_links_are_passed_over_where_a_record_stands_in_their_place() {
        let one = linked(1, chain::GENESIS, &json!({}));
        let lost = linked(2, &one.hash, &json!({}));
        let three = linked(3, &lost.hash, &json!({}));
        let next = json!({"kind": "salvage", "next": {"seq": 3, "prev": lost.hash}});
        let stands_in = linked(2, &one.hash, &next);
        let walk_over = walk(&[(1, &one), (2, &stands_in), (3, &three)]).unwrap();
        let place = Lost {
            after: Some(1),
            record: 2,
            before: 3,
        };
        assert_eq!(walk_over.lost, [place]);

        let broken = Broken::Link {
            seq: 3,
            before: Some(1),
        };
        assert_eq!(walk(&[(1, &one), (3, &three)]).unwrap_err(), broken);
    }

    #[test]
    fn a_record_in_the_place_of_lost_ones_speaks_for_the_next_link_only() {
        let three = linked(3, "f", &json!({}));
        for next in [
            json!({"kind": "salvage", "next": {"seq": 4, "prev": "f"}}),
            json!({"kind": "salvage", "next": {"seq": 3, "prev": "e"}}),
            json!({"kind": "visit", "next": {"seq": 3, "prev": "f"}}),
            json!({"kind": "salvage", "next": 3}),
        ] {
            let stands_in = linked(2, chain::GENESIS, &next);
            let broken = walk(&[(2, &stands_in), (3, &three)]).unwrap_err();
            assert!(matches!(broken, Broken::Link { seq: 3, .. }), "{next}");
        }
    }
}
