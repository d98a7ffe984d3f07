//! Turns the named placeholders of a configured query into the numbered ones of the wire, by a scan that knows what is not SQL text: quotes,
//! comments, `::` casts and dollar quoting.

mod skip;
#[cfg(test)]
mod tests;

use std::ops::Range;

use hotshelf_model::VariantSchema;

use crate::settings::Dialect;

/// Parameters that every statement has, before those of the dimensions: ids, time, namespace, largest document.
const FIXED: usize = 4;

/// A query with numbered placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    /// The query, without a final semicolon.
    pub(crate) sql: String,
    /// The names of the dimensions bound after the fixed parameters, in their order.
    pub(crate) dimensions: Vec<String>,
}

/// Translates a query, or says what is wrong with it and the way out.
pub(crate) fn translate(
    sql: &str,
    dialect: Dialect,
    variants: &VariantSchema,
) -> Result<Translated, String> {
    let scanned = scan(sql, dialect)?;
    let mut out = Translated {
        sql: String::with_capacity(sql.len() + 64),
        dimensions: Vec::new(),
    };
    let (mut copied, mut ids) = (0, false);
    for range in scanned.placeholders {
        out.sql.push_str(&sql[copied..range.start]);
        copied = range.end;
        let name = &sql[range.start + 1..range.end];
        match name {
            "ids" => {
                ids = true;
                out.sql.push_str(match dialect {
                    Dialect::Postgres => "$1::text[]",
                    Dialect::Sqlite => "?1",
                });
            }
            "as_of" => out.sql.push_str(match dialect {
                Dialect::Postgres => {
                    "greatest(statement_timestamp(), to_timestamp($2::bigint / 1000.0))"
                }
                Dialect::Sqlite => "(SELECT as_of FROM hotshelf_clock)",
            }),
            _ => push_dimension(&mut out, name, dialect, variants)?,
        }
    }
    out.sql.push_str(&sql[copied..scanned.end]);
    if ids {
        return Ok(out);
    }
    Err(match dialect {
        Dialect::Postgres => "does not say which ids it answers for: add `WHERE id = ANY(:ids)`",
        Dialect::Sqlite => {
            "does not say which ids it answers for: add `WHERE id IN (SELECT value FROM json_each(:ids))`"
        }
    }
    .to_owned())
}

fn push_dimension(
    out: &mut Translated,
    name: &str,
    dialect: Dialect,
    variants: &VariantSchema,
) -> Result<(), String> {
    let placeholder = |dimension: &str| dimension.replace(['-', '.'], "_");
    let declared = variants.dimensions();
    let Some(dimension) = declared
        .iter()
        .find(|dimension| placeholder(dimension.name()) == name)
    else {
        let mut known = vec![":ids".to_owned(), ":as_of".to_owned()];
        known.extend(
            declared
                .iter()
                .map(|dimension| format!(":{}", placeholder(dimension.name()))),
        );
        return Err(format!(
            "names the unknown placeholder `:{name}`; known are {}; declare it as a dimension, or put a blank after a colon that is none",
            known.join(", ")
        ));
    };
    let bound = out
        .dimensions
        .iter()
        .position(|bound| bound == dimension.name());
    let index = bound.unwrap_or_else(|| {
        out.dimensions.push(dimension.name().to_owned());
        out.dimensions.len() - 1
    });
    let number = FIXED + 1 + index;
    out.sql.push_str(&match dialect {
        Dialect::Postgres => format!("${number}::text"),
        Dialect::Sqlite => format!("?{number}"),
    });
    Ok(())
}

/// Where the placeholders are, colon included, and where the query ends.
struct Scanned {
    placeholders: Vec<Range<usize>>,
    end: usize,
}

fn scan(sql: &str, dialect: Dialect) -> Result<Scanned, String> {
    let bytes = sql.as_bytes();
    let (mut at, mut depth, mut end) = (0, 0_usize, None);
    let mut placeholders = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        if let Some(skipped) = skip::quoted(bytes, at, dialect)? {
            if end.is_some() && !skipped.comment {
                return Err(ONE_STATEMENT.to_owned());
            }
            at = skipped.end;
            continue;
        }
        if end.is_some() && !byte.is_ascii_whitespace() && byte != b';' {
            return Err(ONE_STATEMENT.to_owned());
        }
        let next = bytes.get(at + 1).copied().unwrap_or_default();
        let mut width = 1;
        match byte {
            b';' => end = end.or(Some(at)),
            b'(' => depth += 1,
            b')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or("closes a `)` that was not opened")?
            }
            b':' if next == b':' || next == b'=' => width = 2,
            b':' if is_word_start(next) => {
                width = 1 + word_len(&bytes[at + 1..]);
                placeholders.push(at..at + width);
            }
            _ => refuse_foreign(bytes, at, next, dialect)?,
        }
        at += width;
    }
    if depth > 0 {
        return Err("opens a `(` that is not closed".to_owned());
    }
    let end = end.unwrap_or(sql.len());
    if sql[..end].trim().is_empty() {
        return Err("is empty; it must give the columns `id` and `document`".to_owned());
    }
    Ok(Scanned { placeholders, end })
}

const ONE_STATEMENT: &str = "holds more than one statement; a namespace has one `SELECT`";

/// Placeholders in the database's own notation would collide with the numbers that are given here.
fn refuse_foreign(bytes: &[u8], at: usize, next: u8, dialect: Dialect) -> Result<(), String> {
    let after_word = at > 0 && is_word(bytes[at - 1]);
    let foreign = match (dialect, bytes[at]) {
        (Dialect::Postgres, b'$') => !after_word && next.is_ascii_digit(),
        (Dialect::Sqlite, b'?') => true,
        (Dialect::Sqlite, b'@' | b'$') => !after_word && is_word_start(next),
        _ => false,
    };
    if !foreign {
        return Ok(());
    }
    let shown = char::from(bytes[at]);
    Err(format!(
        "holds a placeholder that begins with `{shown}`; use the named ones `:ids`, `:as_of` and `:dimension`"
    ))
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Bytes beyond ASCII belong to words: both databases take them in identifiers.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn word_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count()
}
