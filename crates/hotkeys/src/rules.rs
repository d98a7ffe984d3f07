//! Which keys may become hot, and from how many reads per second on.

use hotshelf_model::{FieldProblem, Key, NamespaceName};
use regex::{Regex, RegexBuilder};

use crate::poisson::Triggers;

mod text;

/// Rules that may be given.
pub const RULES_MAX: usize = 256;

/// The least threshold, in reads per second over all nodes. Below it, two seconds of reads at 1.2 times the threshold cannot be told from
/// two seconds at 0.8 times with some luck.
pub const THRESHOLD_MIN: u32 = 100;

/// The greatest threshold, in reads per second over all nodes.
pub const THRESHOLD_MAX: u32 = 100_000_000;

/// The threshold of keys that no rule names, unless another is given: 500 reads per second over all nodes.
///
/// A shop with 5,000 product reads per second on a busy evening sees one product pass it when it takes a tenth of them, which is what
/// a product on television or in a newsletter does; on a quiet day nothing is hot. A shop with ten times that has a few dozen hot keys.
/// A key below it costs a node some tens of reads per second, which L1 serves as well.
pub const THRESHOLD: u32 = 500;

/// The longest name of a rule, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 512;

/// Bytes that a compiled pattern may take; a pattern that wants more repeats repetitions.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// What becomes of the keys that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They are hot from so many reads per second on, over all nodes: [`THRESHOLD_MIN`] to [`THRESHOLD_MAX`].
    Threshold(u32),
    /// They are never hot, whatever they are read.
    Never,
    /// They are hot as soon and as long as they are read at a tenth of the least threshold of all rules.
    Always,
}

impl Action {
    /// The words for actions, as people write them.
    pub const WORDS: [&str; 3] = ["threshold", "never", "always"];

    /// The action of that word; a threshold goes with `threshold` alone.
    ///
    /// # Errors
    /// The problem of the field `action` or `threshold`. Whether a threshold is in its range is for [`Rules::new`] to say.
    pub fn new(word: &str, threshold: Option<u32>) -> Result<Self, FieldProblem> {
        match (word, threshold) {
            ("threshold", Some(threshold)) => Ok(Action::Threshold(threshold)),
            ("threshold", None) => {
                let reason =
                    "is needed for the action `threshold`, in reads per second over all nodes";
                Err(FieldProblem::new("threshold", reason))
            }
            ("never", None) => Ok(Action::Never),
            ("always", None) => Ok(Action::Always),
            ("never" | "always", Some(_)) => {
                let reason = format!("has no meaning for the action `{word}`; leave it out");
                Err(FieldProblem::new("threshold", reason))
            }
            _ => {
                let reason = format!("must be one of {}", Self::WORDS.join(", "));
                Err(FieldProblem::new("action", reason))
            }
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Threshold(_) => "threshold",
            Action::Never => "never",
            Action::Always => "always",
        }
    }

    /// Its threshold, if it has one.
    pub fn threshold(self) -> Option<u32> {
        match self {
            Action::Threshold(threshold) => Some(threshold),
            Action::Never | Action::Always => None,
        }
    }
}

/// A rule as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// What messages call it.
    pub name: String,
    /// The namespace whose keys it is about; all, when there is none.
    pub namespace: Option<String>,
    /// A regular expression that the whole id matches; all do, when there is none.
    pub id: Option<String>,
    /// What becomes of them.
    pub action: Action,
}

/// Rules in force. Made whole or not at all, so that a bad rule leaves the old ones where they are.
#[derive(Clone, Debug)]
pub struct Rules {
    threshold: u32,
    texts: Vec<RuleText>,
    rules: Vec<Rule>,
    default: Triggers,
    threshold_min: f64,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    namespace: Option<NamespaceName>,
    id: Option<Regex>,
    verdict: RuleVerdict,
}

#[derive(Clone, Debug)]
enum RuleVerdict {
    Threshold(Triggers),
    Never,
    Always,
}

/// What the rules say of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    Threshold(&'a Triggers),
    Never,
    Always,
}

/// Which rule spoke of a key, so that its pattern is tried once. Good for the rules that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleAt(Option<usize>);

impl Default for Rules {
    /// No rules, and [`THRESHOLD`] for all keys.
    fn default() -> Self {
        Rules {
            threshold: THRESHOLD,
            texts: Vec::new(),
            rules: Vec::new(),
            default: Triggers::new(f64::from(THRESHOLD)),
            threshold_min: f64::from(THRESHOLD),
        }
    }
}

impl Rules {
    /// Compiles rules; the first that matches a key speaks of it, and `threshold` (reads per second over all nodes) of the others.
    ///
    /// # Errors
    /// Every problem of every rule; the field is `rules.NAME.FIELD`.
    pub fn new(threshold: u32, texts: &[RuleText]) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        if let Err(reason) = check_threshold(threshold) {
            problems.push(FieldProblem::new("threshold", reason));
        }
        if texts.len() > RULES_MAX {
            let reason = format!("there are {} rules, {RULES_MAX} at most", texts.len());
            problems.push(FieldProblem::new("rules", reason));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for text in texts.iter().take(RULES_MAX) {
            if rules.iter().any(|rule| rule.name == text.name) {
                let field = format!("rules.{}.name", text.name);
                problems.push(FieldProblem::new(field, "another rule has this name"));
            }
            rules.extend(Rule::read(text, &mut problems));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let thresholds = rules.iter().filter_map(|rule| match &rule.verdict {
            RuleVerdict::Threshold(triggers) => Some(triggers.threshold),
            RuleVerdict::Never | RuleVerdict::Always => None,
        });
        let default = Triggers::new(f64::from(threshold));
        let threshold_min = thresholds.fold(default.threshold, f64::min);
        Ok(Rules {
            threshold,
            texts: texts.to_vec(),
            rules,
            default,
            threshold_min,
        })
    }

    /// The threshold of keys that no rule names, in reads per second over all nodes.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The rules as they were given, in their order.
    pub fn texts(&self) -> &[RuleText] {
        &self.texts
    }

    /// The name of the rule that speaks of a key; none for the default.
    pub fn rule_of(&self, key: &Key) -> Option<&str> {
        let at = self.find(key).0?;
        Some(&self.rules[at].name)
    }

    /// Whether a rule says that a key is never hot.
    pub fn forbids(&self, key: &Key) -> bool {
        matches!(self.at(self.find(key)), Verdict::Never)
    }

    /// The least threshold of all, in reads per second.
    pub fn threshold_min(&self) -> f64 {
        self.threshold_min
    }

    pub(crate) fn find(&self, key: &Key) -> RuleAt {
        RuleAt(self.rules.iter().position(|rule| rule.matches(key)))
    }

    pub(crate) fn at(&self, rule: RuleAt) -> Verdict<'_> {
        let rule = rule.0.and_then(|at| self.rules.get(at));
        match rule.map(|rule| &rule.verdict) {
            None => Verdict::Threshold(&self.default),
            Some(RuleVerdict::Threshold(triggers)) => Verdict::Threshold(triggers),
            Some(RuleVerdict::Never) => Verdict::Never,
            Some(RuleVerdict::Always) => Verdict::Always,
        }
    }
}

impl Rule {
    /// None when something is wrong with it, which `problems` then say.
    fn read(text: &RuleText, problems: &mut Vec<FieldProblem>) -> Option<Self> {
        let mut problem = |field: &str, reason: String| {
            let field = format!("rules.{}.{field}", text.name);
            problems.push(FieldProblem::new(field, reason));
        };
        let good_name = |name: &str| {
            (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
        };
        if !good_name(&text.name) {
            let reason = format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters");
            problem("name", reason);
        }
        let namespace = text.namespace.as_deref().map(NamespaceName::new);
        if let Some(Err(wrong)) = &namespace {
            problem("namespace", wrong.reason.clone());
        }
        let id = text.id.as_deref().map(compile);
        if let Some(Err(reason)) = &id {
            problem("id", reason.clone());
        }
        let verdict = match text.action {
            Action::Never => RuleVerdict::Never,
            Action::Always => RuleVerdict::Always,
            Action::Threshold(threshold) => {
                if let Err(reason) = check_threshold(threshold) {
                    problem("threshold", reason);
                }
                RuleVerdict::Threshold(Triggers::new(f64::from(threshold.max(THRESHOLD_MIN))))
            }
        };
        Some(Rule {
            name: text.name.clone(),
            namespace: namespace.transpose().ok()?,
            id: id.transpose().ok()?,
            verdict,
        })
    }

    fn matches(&self, key: &Key) -> bool {
        let of_namespace = self.namespace.as_ref();
        of_namespace.is_none_or(|namespace| namespace.as_str() == key.namespace())
            && self.id.as_ref().is_none_or(|id| id.is_match(key.id()))
    }
}

fn check_threshold(threshold: u32) -> Result<(), String> {
    if (THRESHOLD_MIN..=THRESHOLD_MAX).contains(&threshold) {
        return Ok(());
    }
    Err(format!(
        "is {threshold} reads per second; {THRESHOLD_MIN} to {THRESHOLD_MAX} are possible"
    ))
}

/// A pattern for the whole id.
fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    // By itself first: `a)(b` is no pattern, though it would be one between brackets.
    let check = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(PATTERN_SIZE_MAX)
            .build()
    };
    check(pattern)
        .and_then(|_| check(&format!("^(?:{pattern})$")))
        .map_err(|error| {
            format!(
                "`{pattern}` is no regular expression: {}",
                last_line(&error)
            )
        })
}

/// What is wrong, without the drawing above it.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests;
