//! Rules as JSON: what people send and read, and what the database keeps.

use hotshelf_model::FieldProblem;
use serde_json::{Map, Value, json};

use super::{Action, RULES_MAX, RuleText, Rules, THRESHOLD};

/// Problems that are reported of one text: of many rules with one mistake each, the first ones tell enough.
const PROBLEMS_MAX: usize = 32;

impl Rules {
    /// Reads `{"threshold": 500, "rules": [{"name": ..., "namespace": ..., "id": ..., "action": ..., "threshold": ...}]}`; `threshold` is
    /// the default's, [`THRESHOLD`] when it is left out, and a rule has `namespace`, `id` and `threshold` or not.
    ///
    /// # Errors
    /// Every problem (32 at most); the field is `rules.NAME.FIELD`, with the rule's place for a name that cannot be read. A field that is not
    /// known is a problem, so a text of a newer program is refused and not read by halves.
    pub fn from_json(text: &[u8]) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Problems::default();
        let Some(mut object) = problems.object(text) else {
            return Err(problems.0);
        };
        let threshold = problems.number("threshold", object.remove("threshold"));
        let rules = problems.rules(object.remove("rules"));
        problems.rest("", &object, "`threshold` and `rules`");
        let threshold = threshold.unwrap_or(THRESHOLD);
        // What is wrong with the rules that could be read is said at once, too.
        match Rules::new(threshold, &rules) {
            Ok(rules) if problems.0.is_empty() => return Ok(rules),
            Ok(_) => {}
            Err(more) => problems.0.extend(more),
        }
        problems.0.truncate(PROBLEMS_MAX);
        Err(problems.0)
    }

    /// The rules as [`Rules::from_json`] reads them.
    pub fn to_json(&self) -> Value {
        let rules = self.texts().iter().map(RuleText::to_json);
        json!({ "threshold": self.threshold(), "rules": rules.collect::<Vec<_>>() })
    }
}

impl RuleText {
    fn to_json(&self) -> Value {
        let fields = [
            ("name", Some(json!(self.name))),
            ("namespace", self.namespace.as_ref().map(|name| json!(name))),
            ("id", self.id.as_ref().map(|id| json!(id))),
            ("action", Some(json!(self.action.as_str()))),
            (
                "threshold",
                self.action.threshold().map(|reads| json!(reads)),
            ),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect())
    }
}

#[derive(Default)]
struct Problems(Vec<FieldProblem>);

impl Problems {
    fn refuse(&mut self, field: &str, reason: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(FieldProblem::new(field, reason));
        }
    }

    fn object(&mut self, text: &[u8]) -> Option<Map<String, Value>> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => return Some(object),
            Ok(_) => self.refuse("body", "must be an object such as {\"rules\": []}"),
            Err(error) => self.refuse("body", format!("is not JSON: {error}")),
        }
        None
    }

    fn rest(&mut self, path: &str, rest: &Map<String, Value>, known: &str) {
        for name in rest.keys() {
            self.refuse(
                &format!("{path}{name}"),
                format!("is not a field here; there are {known}"),
            );
        }
    }

    fn rules(&mut self, value: Option<Value>) -> Vec<RuleText> {
        let items = match value {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= RULES_MAX => items,
            Some(Value::Array(items)) => {
                let reason = format!("there are {} rules, {RULES_MAX} at most", items.len());
                self.refuse("rules", reason);
                return Vec::new();
            }
            Some(_) => {
                self.refuse("rules", "must be a list");
                return Vec::new();
            }
        };
        let rules = items.into_iter().enumerate();
        rules.filter_map(|(at, item)| self.rule(at, item)).collect()
    }

    fn rule(&mut self, at: usize, item: Value) -> Option<RuleText> {
        let Value::Object(mut object) = item else {
            self.refuse(
                &format!("rules[{at}]"),
                "must be an object with `name` and `action`",
            );
            return None;
        };
        let name = object.remove("name");
        let path = match &name {
            Some(Value::String(name)) => format!("rules.{name}"),
            _ => format!("rules[{at}]"),
        };
        let name = self.needed(&format!("{path}.name"), name);
        let namespace = self.text(&format!("{path}.namespace"), object.remove("namespace"));
        let id = self.text(&format!("{path}.id"), object.remove("id"));
        let action = self.needed(&format!("{path}.action"), object.remove("action"));
        let given = object.remove("threshold").filter(|value| !value.is_null());
        let is_given = given.is_some();
        let threshold = self.number(&format!("{path}.threshold"), given);
        let known = "`name`, `namespace`, `id`, `action` and `threshold`";
        self.rest(&format!("{path}."), &object, known);
        if is_given && threshold.is_none() {
            return None;
        }
        let action = Action::new(&action?, threshold).unwrap_or_else(|problem| {
            self.refuse(&format!("{path}.{}", problem.field), problem.reason);
            // It stands in, so that what else is wrong with the rule is found too.
            Action::Never
        });
        Some(RuleText {
            name: name?,
            namespace,
            id,
            action,
        })
    }

    fn needed(&mut self, field: &str, value: Option<Value>) -> Option<String> {
        match value {
            None | Some(Value::Null) => {
                self.refuse(field, "is needed, and is text");
                None
            }
            value => self.text(field, value),
        }
    }

    fn text(&mut self, field: &str, value: Option<Value>) -> Option<String> {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Some(text),
            Some(_) => self.refuse(field, "must be text"),
        }
        None
    }

    fn number(&mut self, field: &str, value: Option<Value>) -> Option<u32> {
        let value = value.filter(|value| !value.is_null())?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            self.refuse(field, "must be a whole number of reads per second");
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &Value) -> Vec<(String, String)> {
        let problems = Rules::from_json(text.to_string().as_bytes()).unwrap_err();
        let parts = |problem: FieldProblem| (problem.field, problem.reason);
        problems.into_iter().map(parts).collect()
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let text = json!({ "threshold": 800, "rules": [
            { "name": "stars", "namespace": "products", "id": "TV-.*", "action": "threshold", "threshold": 100 },
            { "name": "vouchers", "action": "never" },
            { "name": "front", "namespace": "pages", "action": "always" },
        ]});
        let rules = Rules::from_json(text.to_string().as_bytes()).unwrap();
        assert_eq!(rules.to_json(), text);
        assert_eq!((rules.threshold(), rules.threshold_min()), (800, 100.0));
        let none = Rules::from_json(b"{}").unwrap();
        assert_eq!(none.to_json(), Rules::default().to_json());
    }

    #[test]
    fn every_problem_is_told_with_its_field() {
        let found = problems(&json!({ "threshold": 99, "treshold": 1, "rules": [
            { "name": "a", "action": "sometimes", "id": "[" },
            { "name": "b", "action": "threshold" },
            { "name": "c", "action": "never", "threshold": 500 },
            { "name": "d", "action": "threshold", "threshold": -1 },
            { "name": "e", "action": "never", "id": "(", "space": 1 },
            { "action": "never", "namespace": 7 },
            { "name": "", "action": "never" },
            "f",
        ]}));
        let fields: Vec<&str> = found.iter().map(|(field, _)| &**field).collect();
        let expected = [
            "rules.a.action",
            "rules.b.threshold",
            "rules.c.threshold",
            "rules.d.threshold",
            "rules.e.space",
            "rules[5].name",
            "rules[5].namespace",
            "rules[7]",
            "treshold",
            "threshold",
            "rules.a.id",
            "rules.e.id",
            "rules..name",
        ];
        assert_eq!(fields, expected, "{found:#?}");
        assert_eq!(found[0].1, "must be one of threshold, never, always");
    }

    #[test]
    fn what_is_no_list_of_rules_is_refused_whole() {
        for (text, field) in [
            ("", "body"),
            ("[]", "body"),
            ("{\"rules\": 7}", "rules"),
            ("{\"threshold\": \"x\"}", "threshold"),
            ("{\"format\": 2}", "format"),
        ] {
            let problems = Rules::from_json(text.as_bytes()).unwrap_err();
            assert_eq!((problems.len(), &*problems[0].field), (1, field), "{text}");
        }
        let many: Vec<Value> = (0..=RULES_MAX).map(|_| json!({})).collect();
        assert_eq!(problems(&json!({ "rules": many })).len(), 1);
        let bad: Vec<Value> = (0..RULES_MAX).map(|_| json!({})).collect();
        assert_eq!(problems(&json!({ "rules": bad })).len(), PROBLEMS_MAX);
    }
}
