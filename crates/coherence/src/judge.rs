//! Whether a copy that L1 holds may be served: the only part of the protocol on the hot path.

use std::time::Duration;

use hotshelf_model::{Boot, DbTime};

use crate::knowledge::Generation;

/// What L1 knows of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The generation in which it was admitted.
    pub generation: Generation,
    /// The last moment at which this copy itself was proved current: before the statement that read or checked it on a primary, or
    /// the node's proof at its admission.
    pub as_of: Boot,
    /// When a refresh is due.
    pub soft_at: Boot,
    /// When it is no longer fresh by age.
    pub hard_at: Boot,
    /// When the document changes by time alone.
    pub valid_until: Option<DbTime>,
    /// Whether the change log knows of every change of its namespace.
    pub tracked: bool,
}

/// What the node knows at the moment of a hit.
#[derive(Clone, Copy, Debug)]
pub struct HitContext {
    /// The current generation.
    pub generation: Generation,
    /// The moment of the last proof that this node knew every change.
    pub proof: Boot,
    /// Now.
    pub now: Boot,
    /// The latest that the database's clock can show now.
    pub db_now: DbTime,
    /// How long after its last proof a node may still call an answer fresh.
    pub staleness_bound: Duration,
}

/// What may be done with a copy in L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Fresh,
    /// Serve it, and refresh it in the background.
    RefreshDue,
    /// Serve it labelled: nothing newer is known, but the node's proof is late.
    Unproven,
    /// Something has changed since: its version decides.
    Suspect,
    /// Its time is over: it has to be fetched again.
    Expired,
}

/// Judges a copy in L1.
#[inline]
pub fn judge(held: &Held, context: &HitContext) -> Verdict {
    if held.generation != context.generation {
        return Verdict::Suspect;
    }
    if is_expired(held, context) {
        return Verdict::Expired;
    }
    if held.tracked && context.now.since(context.proof.max(held.as_of)) > context.staleness_bound {
        return Verdict::Unproven;
    }
    if context.now >= held.soft_at {
        return Verdict::RefreshDue;
    }
    Verdict::Fresh
}

/// Whether a copy's time is over, by age or because the document has changed by time alone.
#[inline]
pub fn is_expired(held: &Held, context: &HitContext) -> bool {
    context.now >= held.hard_at || has_flipped(held, context)
}

/// Whether the moment has come at which a copy's document changes by time alone. From then on the copy that was fetched for that moment
/// is the one to judge, if there is one; before, it is nobody's answer.
#[inline]
pub fn has_flipped(held: &Held, context: &HitContext) -> bool {
    held.valid_until
        .is_some_and(|until| context.db_now >= until)
}

/// Whether a copy that was found for a read needs nobody else to prove it: it was itself proved within the staleness bound. So
/// what a fetch brings is fresh for its readers although the change log has moved, or although its TTL is zero.
pub fn proves_itself(held: &Held, context: &HitContext) -> bool {
    context.now.since(held.as_of) <= context.staleness_bound && !has_flipped(held, context)
}

/// How old a labelled answer must be called: nothing that was committed before `now` minus this is missing from it, and it has been
/// past its TTL no longer than this.
///
/// `proved_at` is the last moment at which the copy was proved current.
pub fn stale_age(held: &Held, proved_at: Boot, context: &HitContext) -> Duration {
    context.now.since(proved_at).max(overdue(held, context))
}

/// How long a copy has been held beyond what was promised; the stale cap bounds it.
///
/// Without a change log copies are allowed to be as old as their TTL, so only what lies beyond it counts.
pub fn over_age(held: &Held, proved_at: Boot, context: &HitContext) -> Duration {
    if held.tracked {
        stale_age(held, proved_at, context)
    } else {
        overdue(held, context)
    }
}

fn overdue(held: &Held, context: &HitContext) -> Duration {
    let since_flip = held
        .valid_until
        .map_or(Duration::ZERO, |until| context.db_now.since(until));
    context.now.since(held.hard_at).max(since_flip)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn held() -> Held {
        Held {
            generation: Generation(3),
            as_of: Boot(10 * SECOND),
            soft_at: Boot(60 * SECOND),
            hard_at: Boot(100 * SECOND),
            valid_until: Some(DbTime(90_000)),
            tracked: true,
        }
    }

    fn at(seconds: u64) -> HitContext {
        HitContext {
            generation: Generation(3),
            proof: Boot(seconds * SECOND),
            now: Boot(seconds * SECOND),
            db_now: DbTime(seconds * 1000),
            staleness_bound: Duration::from_secs(2),
        }
    }

    #[test]
    fn a_copy_lives_from_fresh_over_refresh_to_expired() {
        for (seconds, verdict) in [
            (20, Verdict::Fresh),
            (60, Verdict::RefreshDue),
            (90, Verdict::Expired),
            (100, Verdict::Expired),
        ] {
            assert_eq!(judge(&held(), &at(seconds)), verdict, "after {seconds} s");
        }
    }

    #[test]
    fn a_late_proof_makes_the_node_unproven_and_not_the_copy_a_miss() {
        let late = HitContext {
            proof: Boot(17 * SECOND),
            ..at(20)
        };
        assert_eq!(judge(&held(), &late), Verdict::Unproven);
        let just_read = Held {
            as_of: Boot(19 * SECOND),
            ..held()
        };
        assert_eq!(
            judge(&just_read, &late),
            Verdict::Fresh,
            "a copy read after the proof carries its own"
        );
    }

    #[test]
    fn another_generation_is_suspect_before_anything_else() {
        let moved = HitContext {
            generation: Generation(4),
            ..at(95)
        };
        assert_eq!(judge(&held(), &moved), Verdict::Suspect);
        let untracked = Held {
            tracked: false,
            ..held()
        };
        assert_eq!(
            judge(&untracked, &moved),
            Verdict::Suspect,
            "what was posted meanwhile may not have been applied"
        );
    }

    #[test]
    fn the_label_counts_from_the_last_proof_the_ttl_or_the_flip_whichever_is_longest() {
        for (proved_at, now, age) in [(80, 85, 5), (94, 95, 5), (129, 130, 40)] {
            assert_eq!(
                stale_age(&held(), Boot(proved_at * SECOND), &at(now)),
                Duration::from_secs(age),
                "after {now} s"
            );
        }
        let unscheduled = Held {
            valid_until: None,
            ..held()
        };
        assert_eq!(
            stale_age(&unscheduled, Boot(129 * SECOND), &at(130)),
            Duration::from_secs(30),
            "the node's proofs do not make a copy younger than its TTL allows"
        );
    }

    #[test]
    fn without_a_change_log_the_label_counts_from_the_read_and_the_cap_from_the_ttl() {
        let untracked = Held {
            tracked: false,
            valid_until: None,
            ..held()
        };
        let read_at = Boot(10 * SECOND);
        assert_eq!(
            stale_age(&untracked, read_at, &at(130)),
            Duration::from_secs(120)
        );
        assert_eq!(
            over_age(&untracked, read_at, &at(130)),
            Duration::from_secs(30)
        );
        assert_eq!(
            over_age(&held(), read_at, &at(130)),
            Duration::from_secs(120)
        );
    }

    #[test]
    fn a_document_that_was_fetched_ahead_is_nobodys_answer_before_its_moment() {
        assert!(!has_flipped(&held(), &at(89)));
        assert!(has_flipped(&held(), &at(90)));
        let unscheduled = Held {
            valid_until: None,
            ..held()
        };
        assert!(!has_flipped(&unscheduled, &at(90)));
    }

    #[test]
    fn a_copy_proves_itself_for_the_bound_but_never_past_its_flip() {
        let just_read = |as_of| Held {
            generation: Generation(1),
            as_of: Boot(as_of * SECOND),
            hard_at: Boot(0),
            ..held()
        };
        assert!(proves_itself(&just_read(87), &at(89)));
        assert!(!proves_itself(&just_read(86), &at(89)));
        assert!(!proves_itself(&just_read(89), &at(90)));
    }
}
