//! What all copies together come to, in words.

use std::process::ExitCode;

use serde_json::Value;

use super::{Told, database};
use crate::cluster::membership::text;
use crate::exit::{INCOMPLETE, OUTDATED};
use crate::output::span;

/// A copy in some tier of some node.
struct Copy<'a> {
    node: &'a str,
    tier: String,
    answer: &'a Value,
    copy: &'a Value,
}

impl Copy<'_> {
    fn is(&self, standing: &str) -> bool {
        self.copy["standing"] == standing
    }

    fn place(&self) -> String {
        format!("{} {}", self.node, self.tier)
    }
}

/// What all copies together come to.
pub(super) struct Verdict {
    /// Whether some node would serve as fresh what is not the database's.
    outdated: bool,
    incomplete: bool,
    unknown: bool,
    lines: Vec<String>,
}

impl Verdict {
    pub(super) fn of(told: &[Told]) -> Self {
        let copies = copies(told);
        let current = || copies.iter().filter(|copy| copy.is("current"));
        let outdated: Vec<&Copy<'_>> = current()
            .filter(|copy| copy.copy["unchanged"] == false)
            .collect();
        let unknown = database(told).is_none();
        let mut lines = Vec::new();
        for copy in &outdated {
            lines.push(format!(
                "{} would serve {} as fresh, which is not the database's: the change is younger than the node's last proof, {} ago; ask again",
                copy.place(),
                text(&copy.copy["version"]),
                span(copy.answer["proof_age_ms"].as_u64()),
            ));
        }
        if unknown {
            lines.push(
                "the database did not answer, so nothing is said of whether copies are outdated"
                    .to_owned(),
            );
        } else if outdated.is_empty() {
            lines.push(match current().count() {
                0 => "no node would serve a copy as fresh: the next read asks the database"
                    .to_owned(),
                _ => "every copy that would be served as fresh is what the database has".to_owned(),
            });
        }
        for (standing, meaning) in [
            ("suspect", "is served only after its version was checked"),
            (
                "stale",
                "is not fresh, and is served, labelled, only if nothing better is to be had",
            ),
            ("refused", "is outdated, and never served"),
            (
                "other_history",
                "belongs to another history of the database, and is never served",
            ),
        ] {
            let places: Vec<String> = copies
                .iter()
                .filter(|copy| copy.is(standing))
                .map(Copy::place)
                .collect();
            if !places.is_empty() {
                lines.push(format!("{}: {meaning}", places.join(", ")));
            }
        }
        let silent: Vec<&str> = told
            .iter()
            .filter(|told| told.answer.is_err())
            .map(|told| &*told.node.name)
            .collect();
        if !silent.is_empty() {
            lines.push(format!("of {} nothing is known", silent.join(", ")));
        }
        Verdict {
            outdated: !outdated.is_empty(),
            incomplete: !silent.is_empty(),
            unknown,
            lines,
        }
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Verdict { outdated: true, .. } => "outdated",
            Verdict {
                incomplete: true, ..
            } => "incomplete",
            Verdict { unknown: true, .. } => "unknown",
            _ => "current",
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self.code() {
            "outdated" => ExitCode::from(OUTDATED),
            "incomplete" | "unknown" => ExitCode::from(INCOMPLETE),
            _ => ExitCode::SUCCESS,
        }
    }
}

fn copies(told: &[Told]) -> Vec<Copy<'_>> {
    let mut copies = Vec::new();
    for Told { node, answer } in told {
        let Ok(answer) = answer else { continue };
        for tier in answer["tiers"].as_array().into_iter().flatten() {
            if tier["copy"].is_object() {
                copies.push(Copy {
                    node: &node.name,
                    tier: text(&tier["tier"]),
                    answer,
                    copy: &tier["copy"],
                });
            }
        }
    }
    copies
}
