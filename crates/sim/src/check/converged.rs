//! C5 and C6: what is left when everything has come to rest.

use std::collections::HashMap;

use super::{Rule, Violation};
use crate::history::{Expected, History, ProbeOutcome, Product};

pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    let expected: HashMap<Product, &Expected> = history
        .expected
        .iter()
        .map(|expected| (expected.product, expected))
        .collect();
    for probe in &history.probes {
        let ProbeOutcome::Servable(version) = probe.outcome else {
            continue;
        };
        let database = expected
            .get(&probe.product)
            .map(|expected| expected.version);
        if database != Some(version) {
            let (has, wants) = (version.token(), database.map(|version| version.token()));
            violations.push(Violation {
                rule: Rule::Convergence,
                at: None,
                what: format!(
                    "node {} would serve product {} as {has}, the database has {wants:?}",
                    probe.node, probe.product
                ),
            });
        }
    }
    for expected in history
        .expected
        .iter()
        .filter(|expected| !expected.cached_again)
    {
        violations.push(Violation {
            rule: Rule::Cacheable,
            at: None,
            what: format!(
                "product {} is read from the database again and again",
                expected.product
            ),
        });
    }
}
