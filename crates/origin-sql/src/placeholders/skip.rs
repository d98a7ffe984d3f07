//! Where quoted text and comments end, in the two dialects.

use super::{is_word, is_word_start};
use crate::settings::Dialect;

/// What was stepped over.
pub(super) struct Skipped {
    /// The first byte after it.
    pub(super) end: usize,
    /// Whether it is a comment, which may follow the end of a statement.
    pub(super) comment: bool,
}

/// Steps over quoted text or a comment that begins at `at`; `None` when neither does.
pub(super) fn quoted(
    sql: &[u8],
    at: usize,
    dialect: Dialect,
) -> Result<Option<Skipped>, &'static str> {
    let rest = &sql[at..];
    let sqlite = dialect == Dialect::Sqlite;
    let (end, comment) = match rest[0] {
        b'\'' if !sqlite && has_escapes(sql, at) => (escaped(sql, at), false),
        quote @ (b'\'' | b'"') => (doubled(sql, at, quote), false),
        b'`' if sqlite => (doubled(sql, at, b'`'), false),
        b'[' if sqlite => (find(sql, at + 1, b"]"), false),
        b'-' if rest.starts_with(b"--") => (find(sql, at, b"\n").or(Some(sql.len())), true),
        b'/' if rest.starts_with(b"/*") && sqlite => (find(sql, at + 2, b"*/"), true),
        b'/' if rest.starts_with(b"/*") => (nested(sql, at), true),
        b'$' if !sqlite => match dollar_tag(sql, at) {
            Some(tag) => (find(sql, at + tag.len(), tag), false),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let end = end.ok_or("has a quote or a comment that is not closed")?;
    Ok(Some(Skipped { end, comment }))
}

/// Whether the quote at `at` belongs to an `E'...'`, in which a backslash escapes.
fn has_escapes(sql: &[u8], at: usize) -> bool {
    at > 0 && matches!(sql[at - 1], b'e' | b'E') && !(at > 1 && is_word(sql[at - 2]))
}

fn escaped(sql: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 1;
    loop {
        match sql.get(next)? {
            b'\\' => next += 2,
            b'\'' if sql.get(next + 1) == Some(&b'\'') => next += 2,
            b'\'' => return Some(next + 1),
            _ => next += 1,
        }
    }
}

/// A quote that is written twice stands for itself.
fn doubled(sql: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut next = at + 1;
    loop {
        match sql.get(next)? {
            byte if *byte == quote && sql.get(next + 1) == Some(&quote) => next += 2,
            byte if *byte == quote => return Some(next + 1),
            _ => next += 1,
        }
    }
}

/// PostgreSQL's block comments nest.
fn nested(sql: &[u8], at: usize) -> Option<usize> {
    let (mut next, mut depth) = (at, 0_usize);
    loop {
        let rest = sql.get(next..)?;
        if rest.starts_with(b"/*") {
            (next, depth) = (next + 2, depth + 1);
        } else if rest.starts_with(b"*/") {
            (next, depth) = (next + 2, depth - 1);
        } else if rest.is_empty() {
            return None;
        } else {
            next += 1;
        }
        if depth == 0 {
            return Some(next);
        }
    }
}

/// The `$tag$` that begins at `at`; a dollar within a word or before a digit opens no quote.
fn dollar_tag(sql: &[u8], at: usize) -> Option<&[u8]> {
    if at > 0 && is_word(sql[at - 1]) {
        return None;
    }
    let len = sql[at + 1..].iter().position(|byte| *byte == b'$')?;
    let name = &sql[at + 1..at + 1 + len];
    let good = name.is_empty()
        || ((is_word_start(name[0]) || name[0] >= 0x80) && name.iter().all(|byte| is_word(*byte)));
    good.then(|| &sql[at..at + len + 2])
}

fn find(sql: &[u8], from: usize, end: &[u8]) -> Option<usize> {
    let rest = sql.get(from..)?;
    let found = rest.windows(end.len()).position(|window| window == end)?;
    Some(from + found + end.len())
}
