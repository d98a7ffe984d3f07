//! From rules for hot keys as they are written to rules that are compiled; what is wrong with one is said with its name.

use hotshelf_hotkeys::{Action, RuleText, Rules};
use hotshelf_model::FieldProblem;

use crate::check::clip;
use crate::raw::{RawHot, RawHotRule};
use crate::resolve::Resolver;

const RULE: &str = "hot.rule";

impl Resolver {
    /// Compiles every rule; without problems, all of them hold.
    pub(crate) fn hot_rules(&mut self, raw: &RawHot) -> Rules {
        let mut texts = Vec::new();
        for one in raw.rule.as_deref().unwrap_or_default() {
            match rule(one) {
                Ok(text) => texts.push(text),
                Err(problem) => {
                    let reason = format!(
                        "`{}`: `{}` {}",
                        clip(&one.name),
                        problem.field,
                        problem.reason
                    );
                    self.refuse(RULE, reason);
                }
            }
        }
        // One out of its range has been refused, and its default stands in for it.
        Rules::new(raw.threshold(), &texts).unwrap_or_else(|problems| {
            for problem in problems {
                self.refuse(RULE, format!("`{}` {}", problem.field, problem.reason));
            }
            Rules::default()
        })
    }
}

fn rule(raw: &RawHotRule) -> Result<RuleText, FieldProblem> {
    Ok(RuleText {
        name: raw.name.clone(),
        namespace: raw.namespace.clone(),
        id: raw.id.clone(),
        action: Action::new(&raw.action, raw.threshold)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Sources};

    fn load(flags: &[(&str, &str)]) -> Result<Config, String> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let sources = Sources {
            flags: flags.iter().map(owned).collect(),
            ..Sources::default()
        };
        let loaded = Config::load(&sources).map_err(|problems| problems.to_string());
        loaded.map(|(config, _)| config)
    }

    #[test]
    fn rules_of_a_file_are_compiled_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hotshelf.toml");
        let text = "[hot]\nthreshold = 800\nlead_s = 60\n\
            [[hot.rule]]\nname = 'stars'\nnamespace = 'products'\nid = 'TV-.*'\naction = 'threshold'\nthreshold = 200\n\
            [[hot.rule]]\nname = 'vouchers'\naction = 'never'\n";
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        let (config, _) = Config::load(&sources).unwrap();
        let hot = config.hot();
        assert_eq!(
            (hot.enabled, hot.lead.as_secs(), hot.rules.threshold()),
            (true, 60, 800)
        );
        let expected = [
            RuleText {
                name: "stars".to_owned(),
                namespace: Some("products".to_owned()),
                id: Some("TV-.*".to_owned()),
                action: Action::Threshold(200),
            },
            RuleText {
                name: "vouchers".to_owned(),
                namespace: None,
                id: None,
                action: Action::Never,
            },
        ];
        assert_eq!(hot.rules.texts(), expected);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said_with_its_name_and_its_field() {
        for (rules, reason) in [
            (
                r#"[{ name = "a", action = "sometimes" }]"#,
                "`a`: `action` must be one of",
            ),
            (
                r#"[{ name = "a", action = "threshold" }]"#,
                "`a`: `threshold` is needed",
            ),
            (
                r#"[{ name = "a", action = "never", id = "(" }]"#,
                "`rules.a.id` ",
            ),
            (
                r#"[{ name = "a", action = "threshold", threshold = 7 }]"#,
                "`rules.a.threshold` is 7",
            ),
            (
                r#"[{ name = "a", action = "never", key = "x" }]"#,
                "unknown field `key`",
            ),
            (r#"[{ name = "a" }]"#, "missing field `action`"),
        ] {
            let problems = load(&[("hot.rule", rules)]).unwrap_err();
            assert!(
                problems.contains(reason) && problems.contains("hot.rule"),
                "{problems}"
            );
            assert_eq!(problems.matches("`hot.rule`").count(), 1, "{problems}");
        }
        let problems = load(&[("hot.threshold", "99")]).unwrap_err();
        assert!(
            problems.contains("hot.threshold") && !problems.contains("hot.rule"),
            "{problems}"
        );
    }
}
