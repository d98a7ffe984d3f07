//! One row of a file as columns with text, whatever the format was, and what is wrong with a row.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is wrong with one row, and the way out. The other rows are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {reason}")]
pub struct RowProblem {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The field of the product, or `row` or `file`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl RowProblem {
    pub(crate) fn new(line: u64, field: impl Into<String>, reason: impl Into<String>) -> Self {
        RowProblem {
            line,
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// What stands in one column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Text; numbers and truth values of JSON as they were written.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Cell {
    /// The text, or the texts of the list joined.
    pub(crate) fn joined(&self) -> String {
        match self {
            Cell::Text(text) => text.trim().to_owned(),
            Cell::List(items) => items.join(", "),
        }
    }
}

/// One row: its columns in the order of the file. Columns without a value are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) cells: Vec<(String, Cell)>,
}

impl Row {
    /// A row of text columns.
    pub(crate) fn from_texts<'a>(
        line: u64,
        texts: impl Iterator<Item = (&'a str, String)>,
    ) -> Self {
        let given = texts.filter(|(_, text)| !text.trim().is_empty());
        let cells = given.map(|(name, text)| (name.to_owned(), Cell::Text(text)));
        Row {
            line,
            cells: cells.collect(),
        }
    }

    /// A row from a JSON object. An object inside it becomes columns `outer.inner`.
    pub(crate) fn from_json(line: u64, bytes: &[u8]) -> Result<Self, RowProblem> {
        let mut row = Row {
            line,
            cells: Vec::new(),
        };
        let problem = |reason: String| RowProblem::new(line, "row", reason);
        let text = std::str::from_utf8(bytes).map_err(|_| problem("is not UTF-8".to_owned()))?;
        let members: Members<'_> = serde_json::from_str(text)
            .map_err(|error| problem(format!("is not a JSON object: {error}")))?;
        row.add_members("", members, 0).map_err(problem)?;
        Ok(row)
    }

    fn add_members(
        &mut self,
        above: &str,
        members: Members<'_>,
        depth: usize,
    ) -> Result<(), String> {
        for (name, value) in members.0 {
            let name = format!("{above}{name}");
            self.add(name, value.get(), depth)?;
            if self.cells.len() > CELLS_MAX {
                return Err(format!("has more than {CELLS_MAX} columns"));
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, value: &str, depth: usize) -> Result<(), String> {
        let cell = match value.as_bytes().first() {
            Some(b'{') if depth < DEPTH_MAX => {
                return self.add_members(&format!("{name}."), parsed(&name, value)?, depth + 1);
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = parsed(&name, value)?;
                let items = items.into_iter().filter_map(|item| item_text(item.get()));
                Cell::List(items.collect())
            }
            Some(b'{') | None => return Ok(()),
            Some(_) => match scalar(value) {
                Some(text) => Cell::Text(text),
                None => return Ok(()),
            },
        };
        let empty = match &cell {
            Cell::Text(text) => text.trim().is_empty(),
            Cell::List(items) => items.is_empty(),
        };
        if !empty {
            self.cells.push((name, cell));
        }
        Ok(())
    }
}

/// Most columns of a row.
pub(crate) const CELLS_MAX: usize = 512;
/// How deep objects are unfolded into columns.
const DEPTH_MAX: usize = 4;

fn parsed<'a, T: Deserialize<'a>>(name: &str, value: &'a str) -> Result<T, String> {
    serde_json::from_str(value).map_err(|error| format!("`{}` cannot be read: {error}", clip(name)))
}

/// Text as it is, numbers and truth values as they are written; `null` is no value.
fn scalar(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'n' => None,
        _ => Some(value.to_owned()),
    }
}

/// An item of a list: a scalar, or what an object names itself by, as in `{"src": "https://..."}`.
fn item_text(value: &str) -> Option<String> {
    if !value.starts_with('{') {
        let nested = value.starts_with('[');
        return if nested { None } else { scalar(value) };
    }
    let members: Members<'_> = serde_json::from_str(value).ok()?;
    let named = |wanted: &str| members.0.iter().find(|(name, _)| name == wanted);
    let (_, value) = ["src", "url", "name", "title", "value"]
        .into_iter()
        .find_map(named)?;
    scalar(value.get())
}

/// An object's members in order, values unread: a number keeps every digit that it was written with.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the product's fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Keeps what stands in a file short in a message.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(64).collect();
    if clipped.len() < text.len() {
        clipped.push_str("...");
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_columns_and_numbers_keep_their_digits() {
        let text = r#"{"id": 7, "price": 49.90, "on": true, "none": null, "tags": ["a", 2, null],
            "images": [{"src": "https://x"}, {"alt": 1}], "stock": {"berlin": {"count": 3}}, "empty": ""}"#;
        let row = Row::from_json(3, text.as_bytes()).unwrap();
        let shown: Vec<_> = row
            .cells
            .iter()
            .map(|(name, cell)| format!("{name}={}", cell.joined()))
            .collect();
        assert_eq!(
            shown,
            [
                "id=7",
                "price=49.90",
                "on=true",
                "tags=a, 2",
                "images=https://x",
                "stock.berlin.count=3"
            ]
        );
        assert_eq!(row.line, 3);
    }

    #[test]
    fn what_is_no_object_is_a_problem() {
        for text in ["[1]", "1", "{", "{\"a\": 1,}", ""] {
            let problem = Row::from_json(9, text.as_bytes()).unwrap_err();
            assert_eq!((problem.line, &*problem.field), (9, "row"), "{text}");
        }
        assert_eq!(
            Row::from_json(1, b"{\"a\": \"\xff\"}").unwrap_err().reason,
            "is not UTF-8"
        );
    }
}
