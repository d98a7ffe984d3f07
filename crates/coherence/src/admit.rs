//! Admission: whether a copy from outside the process may be served.

use hotshelf_model::{DbTime, Entry, Hist, Parent, Parents, Version};

use crate::floors::{FloorKey, Floors};
use crate::knowledge::Knowledge;

/// What admission needs to know of the moment and of the reader.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The copy. Its key, shape and checksums have been checked by the tier that gave it.
    pub entry: &'a Entry,
    /// The history that it was looked for in, or that its fetch named. The node's may have changed since.
    pub hist: Hist,
    /// When it is no longer fresh by age.
    pub expires_at: DbTime,
    /// The least version that will do: the key's floor, and what the reader asks for.
    pub floor: Version,
    /// Whether every parent of the copy is at or above its floor ([`parents_live`]).
    pub parents_live: bool,
}

/// Whether no parent of a copy was bumped since, as far as `floors` know.
pub fn parents_live(parents: &Parents, floors: &Floors) -> bool {
    let live = |parent: &Parent| parent.version >= floors.of(FloorKey::parent(parent.name_hash));
    parents.as_slice().iter().all(live)
}

/// Why a copy cannot be served whatever else is found out about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its TTL has run out, or the moment has come at which the document changes by time alone.
    Expired,
    /// A newer version is known, or the copy belongs to another history.
    Dead,
}

/// What admission says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It reflects every change that this node knows of.
    Fresh,
    /// It was read before something changed: its version decides.
    Suspect,
    /// It has to be fetched again.
    Refused(Refusal),
}

impl Admission {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Admission::Fresh => "fresh",
            Admission::Suspect => "suspect",
            Admission::Refused(Refusal::Expired) => "expired",
            Admission::Refused(Refusal::Dead) => "dead",
        }
    }
}

/// Decides about a copy; `now` is the latest that the database's clock can show.
///
/// The same for a namespace of which the change log knows only some changes, those that were posted: the copy must reflect these.
///
/// Why `Fresh` is right: the copy reflects every record at or below its position (they were read in one snapshot), so also those at
/// or below the low mark. Of the records above the low mark that this node has applied, those of the key are in its floor; a newer
/// one than the copy would have raised the floor above it. Nothing is assumed about tiers, buses, clocks or how long a fetch took.
///
/// To be called, and the copy put to L1, while no record of the key can be applied; and with what `knowledge` says at that moment.
pub fn admit(knowledge: &Knowledge, candidate: &Candidate<'_>, now: DbTime) -> Admission {
    let entry = candidate.entry;
    let is_of_another_history = candidate.hist != knowledge.hist;
    if is_of_another_history || !candidate.parents_live || entry.stamp.version < candidate.floor {
        return Admission::Refused(Refusal::Dead);
    }
    if now >= candidate.expires_at || entry.valid_until.is_some_and(|until| now >= until) {
        return Admission::Refused(Refusal::Expired);
    }
    let read_on_this_timeline = entry.stamp.timeline == knowledge.timeline;
    if read_on_this_timeline && entry.stamp.position >= knowledge.low {
        return Admission::Fresh;
    }
    Admission::Suspect
}

/// Whether a suspect copy is still what the database has: the same version of the key and of every parent, in one snapshot.
pub fn unchanged(
    entry_version: Version,
    entry_parents: &Parents,
    version: Version,
    parents: &Parents,
) -> bool {
    entry_version == version && entry_parents == parents
}

/// The same where the change log knows only some changes, so that a copy may be newer than what is recorded: it has that version of the
/// key and of every parent, or a later one.
pub fn reflects(
    entry_version: Version,
    entry_parents: &Parents,
    recorded: Version,
    recorded_parents: &Parents,
) -> bool {
    let has = |recorded: &Parent| {
        let mut parents = entry_parents.as_slice().iter();
        parents.any(|held| held.name_hash == recorded.name_hash && held.version >= recorded.version)
    };
    entry_version >= recorded && recorded_parents.as_slice().iter().all(has)
}

/// Whether `next`, which was fetched for the moment `until`, is what a copy becomes then: the same version of the key and of every parent,
/// so that whatever is learnt of one is true of both; and a document of that moment, not one that is itself over by then, as of an origin
/// that does not look at the time that it is asked for.
///
/// `next` is to be admitted like any other copy. So the two differ by time alone, and no change that is known came between them.
pub fn follows(version: Version, parents: &Parents, until: DbTime, next: &Entry) -> bool {
    unchanged(version, parents, next.stamp.version, &next.parents)
        && next.valid_until.is_none_or(|end| end > until)
}

#[cfg(test)]
mod tests {
    use hotshelf_model::{
        Body, Head, Hist, NamespaceName, Parent, Poll, Position, Stamp, Timeline,
    };

    use super::*;

    fn knowledge(timeline: u32, low: u64) -> Knowledge {
        let head = Head {
            hist: Hist(1),
            timeline: Timeline(timeline),
            position: Position(low),
            now: DbTime(0),
            primary: true,
        };
        let poll = Poll {
            head,
            head_nonce: 0,
            known_nonce: None,
            oldest: Position(0),
            version_max: Version::NONE,
            settled: true,
            sequenced: None,
        };
        Knowledge::start(None, &poll).0
    }

    fn entry(timeline: u32, version: u64, position: u64) -> Entry {
        let stamp = Stamp {
            timeline: Timeline(timeline),
            version: Version(version),
            position: Position(position),
        };
        Entry::present(Body::default(), stamp, DbTime(100))
    }

    fn candidate(entry: &Entry) -> Candidate<'_> {
        Candidate {
            entry,
            hist: Hist(1),
            expires_at: DbTime(1000),
            floor: Version::NONE,
            parents_live: true,
        }
    }

    #[test]
    fn only_a_copy_at_or_above_the_low_mark_is_fresh() {
        let knowledge = knowledge(1, 50);
        for (position, admission) in [
            (49, Admission::Suspect),
            (50, Admission::Fresh),
            (51, Admission::Fresh),
        ] {
            let entry = entry(1, 7, position);
            assert_eq!(
                admit(&knowledge, &candidate(&entry), DbTime(200)),
                admission,
                "position {position}"
            );
        }
    }

    #[test]
    fn a_copy_of_another_timeline_is_suspect_wherever_it_was_read() {
        for timeline in [1, 3] {
            let entry = entry(timeline, 7, 999);
            assert_eq!(
                admit(&knowledge(2, 50), &candidate(&entry), DbTime(200)),
                Admission::Suspect
            );
        }
    }

    #[test]
    fn a_copy_below_the_floor_is_dead_even_if_it_is_proved() {
        let entry = entry(1, 7, 50);
        let candidate = Candidate {
            floor: Version(8),
            ..candidate(&entry)
        };
        assert_eq!(
            admit(&knowledge(1, 50), &candidate, DbTime(200)),
            Admission::Refused(Refusal::Dead)
        );
    }

    #[test]
    fn a_copy_from_before_a_bump_of_its_namespace_is_dead() {
        let namespace = NamespaceName::new("products").unwrap();
        let mut floors = Floors::new(8);
        assert_eq!(
            floors.raise(FloorKey::namespace(&namespace), Version(5), Position(60)),
            None
        );
        for (version, live) in [(4, false), (5, true), (6, true)] {
            let parents = Parents::new(&[Parent::namespace(&namespace, Version(version))]).unwrap();
            assert_eq!(parents_live(&parents, &floors), live, "version {version}");
        }
        let entry = entry(1, 7, 50);
        let candidate = Candidate {
            parents_live: false,
            ..candidate(&entry)
        };
        assert_eq!(
            admit(&knowledge(1, 50), &candidate, DbTime(200)),
            Admission::Refused(Refusal::Dead)
        );
    }

    #[test]
    fn a_copy_of_a_history_that_ended_while_it_was_looked_up_is_dead() {
        let entry = entry(1, 7, 50);
        let candidate = Candidate {
            hist: Hist(9),
            ..candidate(&entry)
        };
        assert_eq!(
            admit(&knowledge(1, 50), &candidate, DbTime(200)),
            Admission::Refused(Refusal::Dead)
        );
    }

    #[test]
    fn nothing_is_served_from_the_moment_on_at_which_it_changes() {
        let mut entry = entry(1, 7, 50);
        entry.valid_until = Some(DbTime(300));
        let knowledge = knowledge(1, 50);
        assert_eq!(
            admit(&knowledge, &candidate(&entry), DbTime(299)),
            Admission::Fresh
        );
        assert_eq!(
            admit(&knowledge, &candidate(&entry), DbTime(300)),
            Admission::Refused(Refusal::Expired)
        );
        entry.valid_until = None;
        assert_eq!(
            admit(&knowledge, &candidate(&entry), DbTime(1000)),
            Admission::Refused(Refusal::Expired)
        );
    }

    #[test]
    fn a_bump_of_a_parent_is_a_change_although_the_version_is_the_same() {
        let namespace = NamespaceName::new("products").unwrap();
        let parents =
            |version| Parents::new(&[Parent::namespace(&namespace, Version(version))]).unwrap();
        assert!(unchanged(Version(7), &parents(1), Version(7), &parents(1)));
        assert!(!unchanged(Version(7), &parents(1), Version(7), &parents(2)));
        assert!(!unchanged(Version(7), &parents(1), Version(8), &parents(1)));
        assert!(!unchanged(
            Version(7),
            &Parents::default(),
            Version(7),
            &parents(1)
        ));
    }

    #[test]
    fn what_is_newer_than_the_record_reflects_it() {
        let parents = |version| {
            let namespace = NamespaceName::new("cards").unwrap();
            Parents::new(&[Parent::namespace(&namespace, Version(version))]).unwrap()
        };
        for (version, parent, reflected) in
            [(7, 3, true), (8, 4, true), (6, 3, false), (7, 2, false)]
        {
            assert_eq!(
                reflects(Version(version), &parents(parent), Version(7), &parents(3)),
                reflected,
                "version {version} under {parent}"
            );
        }
        assert!(!reflects(
            Version(7),
            &Parents::default(),
            Version(7),
            &parents(3)
        ));
    }

    #[test]
    fn only_the_same_version_of_a_later_time_follows_a_copy() {
        let until = DbTime(500);
        let parents = |version| {
            let name = NamespaceName::new("products").unwrap();
            Parents::new(&[Parent::namespace(&name, Version(version))]).unwrap()
        };
        let next = |version, parent, valid_until| {
            let mut next = entry(1, version, 60);
            next.valid_until = valid_until;
            next.parents = parents(parent);
            next
        };
        let follows = |next: &Entry| follows(Version(7), &parents(3), until, next);
        assert!(follows(&next(7, 3, None)));
        assert!(follows(&next(7, 3, Some(DbTime(501)))));
        for other in [6, 8] {
            assert!(!follows(&next(other, 3, None)), "version {other}");
        }
        assert!(!follows(&next(7, 4, None)), "bumped in between");
        assert!(
            !follows(&next(7, 3, Some(until))),
            "the origin did not look at the time that it was asked for"
        );
    }
}
