//! C1 to C4 and C7: what single answers show.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_model::Version;

use super::{Bounds, Commit, Commits, Rule, Violation};
use crate::history::{Flag, History, Moment, Node, Product, Read, Seen};

pub(super) fn check(
    history: &History,
    bounds: &Bounds,
    commits: &Commits,
    violations: &mut Vec<Violation>,
) {
    let excuses = excuses(history, bounds);
    for read in &history.reads {
        let found = [
            provenance(read, bounds, commits),
            capped(read, bounds, history),
            bounded(read, bounds, commits),
            labelled(read, &excuses),
            demanded(read, commits),
        ];
        violations.extend(found.into_iter().flatten());
    }
    own_writes(history, violations);
    sessions(history, commits, violations);
}

fn violation(rule: Rule, read: &Read, what: &str) -> Violation {
    Violation {
        rule,
        at: Some(read.begun),
        what: format!(
            "node {} answered product {} with version {} ({:?}, {:?}): {what}",
            read.node,
            read.product,
            read.version.token(),
            read.seen,
            read.flag
        ),
    }
}

/// C1. An absent answer is judged by its version alone: it shows no number.
fn provenance(read: &Read, bounds: &Bounds, commits: &Commits) -> Option<Violation> {
    let wrong = |what: &str| Some(violation(Rule::Provenance, read, what));
    let number = match read.seen {
        Seen::Torn => return wrong("no write made these bytes"),
        Seen::Document { product, .. } if product != read.product => {
            return wrong("the document is of another product");
        }
        Seen::Document { number, .. } => number,
        Seen::Absent => return absent_provenance(read, commits),
    };
    let Some(commit) = commits.numbered(number) else {
        return wrong("nobody wrote this");
    };
    if commit.write.deleted {
        return wrong("a delete has no document");
    }
    if commit.version != Some(read.version) {
        return wrong("the document belongs to another version");
    }
    if commit.write.begun > read.ended + bounds.tolerance {
        return wrong("the write had not begun");
    }
    None
}

fn absent_provenance(read: &Read, commits: &Commits) -> Option<Violation> {
    if read.version == Version::NONE {
        return None;
    }
    let mut known = commits.of_product(read.product).iter();
    let present = known.any(|commit| commit.version == Some(read.version) && !commit.write.deleted);
    present.then(|| {
        let what = "this version is a document and no delete";
        violation(Rule::Provenance, read, what)
    })
}

/// C2: beyond the cap a copy is no better than none. A database that answers and proves nothing, as a standby does, may still give what it
/// has, and the label says how little that means.
fn capped(read: &Read, bounds: &Bounds, history: &History) -> Option<Violation> {
    let Flag::Stale(age) = read.flag else {
        return None;
    };
    if age <= bounds.stale_cap + bounds.tolerance {
        return None;
    }
    let asked_from = read.begun.saturating_sub(bounds.tolerance);
    let mut answers = history.origin_answers.iter();
    let was_asked = answers.any(|answer| {
        (answer.product, answer.node) == (read.product, read.node)
            && (asked_from..=read.ended).contains(&answer.at)
    });
    let what = "the label is above the cap, and the database was not asked";
    (!was_asked).then(|| violation(Rule::Bounded, read, what))
}

/// C2 and C7.
fn bounded(read: &Read, bounds: &Bounds, commits: &Commits) -> Option<Violation> {
    let age = match read.flag {
        Flag::Fresh => bounds.staleness,
        Flag::Stale(age) => age,
    };
    let since = read.begun.checked_sub(age + bounds.tolerance)?;
    if let Some(violation) = lost_long_ago(read, since, commits) {
        return Some(violation);
    }
    let due = commits.due(read.product, since, read.ended)?;
    if due.version < Some(read.version) {
        return None;
    }
    let (rule, what) = if due.version == Some(read.version) {
        let number = match read.seen {
            Seen::Document { number, .. } => Some(number),
            Seen::Absent | Seen::Torn => None,
        };
        let shown = number.and_then(|number| commits.numbered(number))?;
        if shown.write.begun >= due.write.begun {
            return None;
        }
        (Rule::Bounded, "it had changed by time alone")
    } else if due.write.deleted && read.seen != Seen::Absent {
        (Rule::Resurrection, "it had been deleted")
    } else {
        (Rule::Bounded, "a newer version had been committed")
    };
    let late = read.begun.saturating_sub(due.write.acknowledged?);
    Some(violation(
        rule,
        read,
        &format!("{what} {:.3} s before", late.as_secs_f64()),
    ))
}

/// From when to when an answer may be labelled: as long as reads may fail, and until the staleness bound has passed after that.
fn excuses(history: &History, bounds: &Bounds) -> Vec<(Moment, Moment)> {
    let faults = history.faults.iter();
    let harmful = faults.filter(|fault| bounds.share(fault.kind) > 0.0);
    let margin = bounds.staleness + bounds.tolerance;
    harmful
        .map(|fault| (fault.from, fault.to + margin))
        .collect()
}

/// C2: a label is for an answer that could not be had otherwise.
fn labelled(read: &Read, excuses: &[(Moment, Moment)]) -> Option<Violation> {
    let mut excuses = excuses.iter();
    let excused = excuses.any(|&(from, to)| from <= read.ended && read.begun <= to);
    (read.flag != Flag::Fresh && !excused).then(|| {
        let what = "it is labelled while nothing was broken";
        violation(Rule::Bounded, read, what)
    })
}

/// What a failover lost must not be shown for longer than any other old copy.
fn lost_long_ago(read: &Read, since: Duration, commits: &Commits) -> Option<Violation> {
    let Seen::Document { number, .. } = read.seen else {
        return None;
    };
    let lost = commits.numbered(number)?.lost?;
    (lost <= since).then(|| violation(Rule::Bounded, read, "the database had lost this commit"))
}

/// C3, for readers with a token.
fn demanded(read: &Read, commits: &Commits) -> Option<Violation> {
    let demanded = read.min_version?;
    // A token of an older timeline is satisfied by any proven answer of a newer one.
    let newer_timeline = read.version.timeline() > demanded.timeline() && read.flag == Flag::Fresh;
    let lost = commits.lost_by(read.product, demanded, read.ended) && read.flag == Flag::Fresh;
    (read.version < demanded && !newer_timeline && !lost).then(|| {
        let what = format!("the reader demanded {}", demanded.token());
        violation(Rule::ReadYourWrites, read, &what)
    })
}

/// C3, for readers of the node that wrote.
fn own_writes(history: &History, violations: &mut Vec<Violation>) {
    let lost: Vec<u64> = history.losses.iter().map(|loss| loss.number).collect();
    let mut own: HashMap<(Node, Product), Vec<Commit>> = HashMap::new();
    for &write in &history.writes {
        let kept = !lost.contains(&write.number);
        if let (Some(node), Some(_), Some(_), true) =
            (write.node, write.acknowledged, write.version, kept)
        {
            own.entry((node, write.product)).or_default().push(Commit {
                write,
                version: write.version,
                lost: None,
            });
        }
    }
    for read in &history.reads {
        let Some(written) = own.get(&(read.node, read.product)) else {
            continue;
        };
        let missing = written
            .iter()
            .filter(|commit| commit.binds(read.begun, read.ended))
            .find(|commit| commit.version > Some(read.version));
        if missing.is_some() && read.flag == Flag::Fresh {
            let what = "this node had acknowledged a newer write";
            violations.push(violation(Rule::ReadYourWrites, read, what));
        }
    }
}

/// C4: reads of one session follow one another, each demanding what the one before showed.
fn sessions(history: &History, commits: &Commits, violations: &mut Vec<Violation>) {
    let mut reads: Vec<&Read> = history.reads.iter().collect();
    reads.sort_by_key(|read| (read.session, read.product, read.begun));
    for pair in reads.windows(2) {
        let [before, after] = pair else { continue };
        let follows = before.session.is_some()
            && (before.session, before.product) == (after.session, after.product)
            && before.ended <= after.begun
            && after.min_version.is_some();
        let newer_timeline = after.version.timeline() > before.version.timeline();
        let lost = commits.lost_by(before.product, before.version, after.ended);
        if follows && after.version < before.version && !newer_timeline && !lost {
            let what = format!("the session had seen {}", before.version.token());
            violations.push(violation(Rule::Monotonic, after, &what));
        }
    }
}
