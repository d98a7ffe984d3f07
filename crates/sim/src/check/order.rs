//! C8: how nodes follow the log.

use std::collections::HashMap;

use super::{Bounds, Rule, Violation};
use crate::history::{History, Progress};

pub(super) fn check(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    let mut last: HashMap<(u32, u32), &Progress> = HashMap::new();
    for progress in &history.progress {
        let before = last.insert((progress.node, progress.life), progress);
        if let Some(what) = wrong(before, progress, bounds) {
            violations.push(Violation {
                rule: Rule::Progress,
                at: Some(progress.at),
                what: format!("node {}: {what}", progress.node),
            });
        }
    }
}

fn wrong(before: Option<&Progress>, after: &Progress, bounds: &Bounds) -> Option<String> {
    if after
        .proof
        .is_some_and(|proof| proof > after.at + bounds.tolerance)
    {
        return Some("it proves a moment that has not been".to_owned());
    }
    let before = before?;
    if after.timeline < before.timeline {
        return Some(format!("it went back to timeline {}", after.timeline.0));
    }
    let same = after.timeline == before.timeline && after.resyncs == before.resyncs;
    if same && after.position < before.position {
        let (from, to) = (before.position.0, after.position.0);
        return Some(format!("it went back from position {from} to {to}"));
    }
    let went_back = match (before.proof, after.proof) {
        (Some(before), Some(after)) => after + bounds.tolerance < before,
        _ => false,
    };
    (after.resyncs == before.resyncs && went_back).then(|| "its proof went back".to_owned())
}
