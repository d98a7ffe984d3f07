//! The first rule that matches speaks; a bad rule says which it is.

use hotshelf_model::{Id, Variant};

use super::*;

fn key(namespace: &str, id: &str) -> Key {
    let namespace = NamespaceName::new(namespace).unwrap();
    Key::new(&namespace, &Id::new(id).unwrap(), &Variant::default())
}

fn rule(name: &str, namespace: Option<&str>, id: Option<&str>, action: Action) -> RuleText {
    RuleText {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        id: id.map(str::to_owned),
        action,
    }
}

fn problems(rules: &[RuleText]) -> Vec<(String, String)> {
    let problems = Rules::new(THRESHOLD, rules).unwrap_err();
    let parts = |problem: FieldProblem| (problem.field, problem.reason);
    problems.into_iter().map(parts).collect()
}

#[test]
fn the_first_rule_that_matches_speaks_of_a_key() {
    let rules = Rules::new(
        800,
        &[
            rule(
                "voucher",
                Some("products"),
                Some("VOUCHER-.*"),
                Action::Never,
            ),
            rule(
                "stars",
                Some("products"),
                Some("(TV|NEWS)-[0-9]+"),
                Action::Threshold(100),
            ),
            rule("front", Some("pages"), None, Action::Always),
            rule("late", None, Some("TV-1"), Action::Never),
        ],
    )
    .unwrap();
    let named = |namespace, id| rules.rule_of(&key(namespace, id)).map(str::to_owned);
    assert_eq!(named("products", "VOUCHER-9").as_deref(), Some("voucher"));
    assert_eq!(named("products", "TV-1").as_deref(), Some("stars"));
    assert_eq!(named("cards", "TV-1").as_deref(), Some("late"));
    assert_eq!(named("pages", "x").as_deref(), Some("front"));
    assert_eq!(
        named("products", "MY-TV-1"),
        None,
        "the whole id matches, or none of it"
    );
    assert_eq!(named("products", "TV-1a"), None);
    let verdict = |id| rules.at(rules.find(&key("products", id)));
    assert!(matches!(verdict("TV-7"), Verdict::Threshold(triggers) if triggers.threshold == 100.0));
    assert!(matches!(verdict("A"), Verdict::Threshold(triggers) if triggers.threshold == 800.0));
    assert!(matches!(verdict("VOUCHER-"), Verdict::Never));
    assert_eq!(rules.threshold_min(), 100.0);
}

#[test]
fn a_bad_rule_is_named_with_its_field_and_what_is_wrong() {
    let found = problems(&[
        rule("open", None, Some("TV-("), Action::Never),
        rule("twice", Some("Products"), None, Action::Threshold(3)),
        rule("twice", None, Some("a)(b"), Action::Always),
        rule("long", None, Some(&"a".repeat(513)), Action::Always),
        rule(
            "huge",
            None,
            Some("(((a{99}){99}){99}){99}"),
            Action::Always,
        ),
    ]);
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    let expected = [
        "rules.open.id",
        "rules.twice.namespace",
        "rules.twice.threshold",
        "rules.twice.id",
        "rules.long.id",
        "rules.huge.id",
    ];
    assert_eq!(fields, expected);
    assert_eq!(
        found[0].1,
        "`TV-(` is no regular expression: unclosed group"
    );
    assert!(found[2].1.contains("100 to 100000000"), "{}", found[2].1);
    assert!(found[5].1.contains("size limit"), "{}", found[5].1);
}

#[test]
fn two_rules_of_one_name_and_too_many_rules_are_refused() {
    let same = [
        rule("a", None, None, Action::Never),
        rule("a", None, None, Action::Never),
    ];
    assert_eq!(problems(&same)[0].0, "rules.a.name");
    let many: Vec<RuleText> = (0..=RULES_MAX)
        .map(|at| rule(&at.to_string(), None, None, Action::Never))
        .collect();
    assert!(
        problems(&many)[0].1.contains("257 rules"),
        "{:?}",
        problems(&many)
    );
    assert_eq!(Rules::new(1, &[]).unwrap_err()[0].field, "threshold");
}
