//! Tables of a shop that feed a namespace: which rows make which ids, and how their changes come to be recorded.

use hotshelf_model::{FieldProblem, NamespaceName};
use xxhash_rust::xxh3::xxh3_64;

use crate::settings::Dialect;

/// What the name of every trigger on a shop's table begins with.
pub(crate) const TRIGGER_PREFIX: &str = "hotshelf_attach_";
/// What the name of every function of an attachment begins with.
pub(crate) const FUNCTION_PREFIX: &str = "attach_";

/// A table of a shop whose changes are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The table, `schema.table` in PostgreSQL; parts with other characters than letters, digits and `_` in double quotes.
    pub table: String,
    /// The namespace that it feeds.
    pub namespace: NamespaceName,
    /// SQL from a row to ids: an expression over the row's columns, or a query over `:rows`, which stands for the changed rows as
    /// they were and as they are.
    pub keys: String,
    /// The columns whose changes matter. Those of the primary key always do.
    pub columns: Vec<String>,
}

/// A table as the database knows it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// `None` in SQLite.
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) primary_key: Vec<String>,
    /// The partitions that hold rows, quoted; empty for a table that has none, as in SQLite.
    pub(crate) partitions: Vec<String>,
}

impl Table {
    pub(crate) fn quoted(&self) -> String {
        let name = quoted(&self.name);
        match &self.schema {
            Some(schema) => format!("{}.{name}", quoted(schema)),
            None => name,
        }
    }
}

/// An identifier in double quotes, whatever it holds.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Text in single quotes. Backslashes mean nothing in it on either database.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Attachment {
    /// The parts of the table's name, unquoted.
    pub(crate) fn parts(&self, dialect: Dialect) -> Result<Vec<String>, FieldProblem> {
        let parts = split_name(&self.table).ok_or_else(|| {
            let reason = "is no table's name; write `schema.table`, parts with other characters in double quotes";
            FieldProblem::new("table", reason)
        })?;
        let most = match dialect {
            Dialect::Postgres => 2,
            Dialect::Sqlite => 1,
        };
        if parts.len() > most {
            let reason = match dialect {
                Dialect::Postgres => "has more than two parts; write `schema.table`",
                Dialect::Sqlite => {
                    "has a schema; tables of the file itself can be attached, without one"
                }
            };
            return Err(FieldProblem::new("table", reason));
        }
        Ok(parts)
    }

    /// The listed columns and those of the primary key, each once and as the database spells it.
    pub(crate) fn watched(&self, table: &Table) -> Result<Vec<String>, FieldProblem> {
        let mut watched = table.primary_key.clone();
        for column in &self.columns {
            if !table.columns.contains(column) {
                let reason = format!(
                    "the table {} has no column `{column}`; it has {}",
                    self.table,
                    table.columns.join(", ")
                );
                return Err(FieldProblem::new("columns", reason));
            }
            if !watched.contains(column) {
                watched.push(column.clone());
            }
        }
        if watched.is_empty() {
            let reason = format!("is empty, and the table {} has no primary key", self.table);
            return Err(FieldProblem::new("columns", reason));
        }
        Ok(watched)
    }

    /// The query of ids over rows that go by the name `rows`.
    pub(crate) fn keys_over(&self, rows: &str) -> String {
        let keys = self.keys.trim().trim_end_matches(';');
        let is_query = ["select", "with"].iter().any(|word| {
            let start = keys.get(..word.len());
            let end = keys[word.len().min(keys.len())..].chars().next();
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
                && end.is_some_and(|end| end.is_whitespace() || end == '(')
        });
        if is_query {
            return keys.replace(":rows", rows);
        }
        format!("SELECT ({keys}) FROM {rows}")
    }
}

/// What stands for the hash in the statements that it is made of.
pub(crate) const NO_HASH: &str = "";

/// A name that no other attachment has. Other statements are another name, whether the definition has changed or this program; so are other
/// columns, because what changes with them fires no trigger.
pub(crate) fn hash(table: &Table, statements: &[String]) -> String {
    let parts = [statements, &table.columns].map(|parts| parts.join("\u{1f}"));
    format!("{:016x}", xxh3_64(parts.join("\u{1e}").as_bytes()))
}

/// Splits `a."b c"` at its dots; an unquoted part becomes lower case, as databases read it.
fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(inner) = rest.strip_prefix('"') {
            quoted_part(inner)?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            let word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
            if part.is_empty() || !part.chars().all(word) {
                return None;
            }
            (part.to_lowercase(), after)
        };
        if part.is_empty() || part.contains('\0') {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(parts),
        }
    }
}

/// Takes a part up to its closing quote; two quotes stand for one.
fn quoted_part(inner: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = inner;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(table: &str, keys: &str) -> Attachment {
        Attachment {
            table: table.to_owned(),
            namespace: NamespaceName::new("cards").unwrap(),
            keys: keys.to_owned(),
            columns: Vec::new(),
        }
    }

    #[test]
    fn names_are_taken_apart_as_databases_do() {
        for (text, parts) in [
            ("items", Some(vec!["items"])),
            ("Shop.Items", Some(vec!["shop", "items"])),
            ("\"Order \"\"x\"\" Items\"", Some(vec!["Order \"x\" Items"])),
            ("shop.\"a.b\"", Some(vec!["shop", "a.b"])),
            ("", None),
            ("a.", None),
            ("a b", None),
            ("a;drop table b", None),
            ("\"a", None),
            ("\"a\"b", None),
            ("\"\"", None),
        ] {
            assert_eq!(
                split_name(text),
                parts.map(|parts| parts.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }

    #[test]
    fn keys_are_an_expression_or_a_query() {
        let keys = |keys| attachment("items", keys).keys_over("r");
        assert_eq!(keys("item_no::text"), "SELECT (item_no::text) FROM r");
        assert_eq!(keys("selected"), "SELECT (selected) FROM r");
        assert_eq!(
            keys("Select s.shelf FROM :rows AS i JOIN shelves s USING (item_no);"),
            "Select s.shelf FROM r AS i JOIN shelves s USING (item_no)"
        );
    }

    #[test]
    fn other_statements_or_columns_are_another_attachment() {
        let table = |columns: &[&str]| Table {
            schema: None,
            name: "items".to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            primary_key: vec!["id".to_owned()],
            partitions: Vec::new(),
        };
        let hash =
            |columns: &[&str], statement: &str| hash(&table(columns), &[statement.to_owned()]);
        assert_eq!(hash(&["id"], "a"), hash(&["id"], "a"));
        assert_ne!(hash(&["id"], "a"), hash(&["id"], "b"));
        assert_ne!(hash(&["id"], "a"), hash(&["id", "name"], "a"));
    }
}
