//! Whether a value may stand in a key: pure functions from a value to a value, or to what is wrong with it.

use std::net::SocketAddr;

use toml::Value;

use crate::key::ValueKind;
use crate::raw::{RawAttachment, RawDimension, RawHotRule, RawToken};

/// Most entries of a list, an array or a map.
const ITEMS_MAX: usize = 64;
/// The longest text, a query included.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A value that came as text (a variable, a flag) as the kind of value that its key takes. What cannot be read stays text, for
/// [`value`] to refuse.
pub(crate) fn from_text(kind: ValueKind, text: &str) -> Value {
    let plain = || Value::String(text.to_owned());
    match kind {
        ValueKind::Bool => text.parse().map_or_else(|_| plain(), Value::Boolean),
        ValueKind::Count { .. } => text
            .replace('_', "")
            .parse()
            .map_or_else(|_| plain(), Value::Integer),
        ValueKind::Urls(_) if !text.trim_start().starts_with('[') => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        ValueKind::Urls(_)
        | ValueKind::Headers
        | ValueKind::Variants
        | ValueKind::Tokens
        | ValueKind::Attachments
        | ValueKind::HotRules => toml::from_str::<toml::Table>(&format!("value = {text}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(plain),
        ValueKind::Text
        | ValueKind::Path
        | ValueKind::Address
        | ValueKind::Choice(_)
        | ValueKind::Url(_) => plain(),
    }
}

/// The value in the form that is kept, or what is wrong with it. A reason never repeats a secret.
pub(crate) fn value(kind: ValueKind, value: Value) -> Result<Value, String> {
    match (kind, value) {
        (ValueKind::Bool, value @ Value::Boolean(_)) => Ok(value),
        (ValueKind::Bool, value) => Err(wanted("true or false", &value)),
        (ValueKind::Count { min, max }, value) => count(min, max, value),
        (ValueKind::Text | ValueKind::Path, value) => text(value).map(Value::String),
        (ValueKind::Address, value) => address(value),
        (ValueKind::Choice(words), value) => choice(words, value),
        (ValueKind::Url(schemes), value) => url(schemes, value),
        (ValueKind::Urls(schemes), value) => urls(schemes, value),
        (ValueKind::Headers, value) => headers(value),
        (ValueKind::Variants, value) => variants(value),
        (ValueKind::Tokens, value) => tokens(value),
        (ValueKind::Attachments, value) => attachments(value),
        (ValueKind::HotRules, value) => hot_rules(value),
    }
}

fn wanted(what: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("must be {what}, not `{}`", clip(text)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            format!("must be {what}, not {value}")
        }
        other => format!("must be {what}, not {}", type_name(other)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Keeps what somebody wrote short in a message.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

fn count(min: u64, max: u64, value: Value) -> Result<Value, String> {
    let range = format!("a whole number from {min} to {max}");
    let Value::Integer(number) = value else {
        return Err(wanted(&range, &value));
    };
    match u64::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(value),
        Ok(_) | Err(_) => Err(wanted(&range, &value)),
    }
}

fn text(value: Value) -> Result<String, String> {
    let Value::String(text) = value else {
        return Err(format!("must be text in quotes, not {}", type_name(&value)));
    };
    if text.trim().is_empty() {
        return Err("must not be empty; leave the key out for its default".to_owned());
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!(
            "must be at most {TEXT_BYTES_MAX} bytes, not {}",
            text.len()
        ));
    }
    if text.contains('\0') {
        return Err("must not hold a NUL character".to_owned());
    }
    Ok(text)
}

fn address(value: Value) -> Result<Value, String> {
    let text = text(value)?;
    match text.parse::<SocketAddr>() {
        Ok(_) => Ok(Value::String(text)),
        Err(_) => Err(format!(
            "must be an IP address and a port such as `127.0.0.1:7400` or `[::1]:7400`, not `{}`",
            clip(&text)
        )),
    }
}

fn choice(words: &[&str], value: Value) -> Result<Value, String> {
    match &value {
        Value::String(word) if words.contains(&word.as_str()) => Ok(value),
        other => {
            let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            Err(wanted(&quoted.join(" or "), other))
        }
    }
}

fn url(schemes: &[&str], value: Value) -> Result<Value, String> {
    let text = text(value)?;
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return Err(format!("must begin with {}", schemes.join(" or ")));
    };
    if rest.is_empty() {
        return Err("ends after its scheme; say where it is".to_owned());
    }
    if text
        .chars()
        .any(|letter| letter.is_control() || letter == ' ')
    {
        return Err("must not hold blanks or control characters; write %20 for a blank".to_owned());
    }
    Ok(Value::String(text))
}

fn urls(schemes: &[&str], value: Value) -> Result<Value, String> {
    let Value::Array(items) = value else {
        return Err(format!("must be a list of URLs, not {}", type_name(&value)));
    };
    if items.len() > ITEMS_MAX {
        return Err(format!(
            "must be at most {ITEMS_MAX} URLs, not {}",
            items.len()
        ));
    }
    let checked = items.into_iter().enumerate().map(|(index, item)| {
        url(schemes, item).map_err(|reason| format!("URL {} {reason}", index + 1))
    });
    checked.collect::<Result<_, _>>().map(Value::Array)
}

fn headers(value: Value) -> Result<Value, String> {
    let Value::Table(table) = value else {
        return Err("must be a table such as { authorization = \"Bearer TOKEN\" }".to_owned());
    };
    if table.len() > ITEMS_MAX {
        return Err(format!(
            "must be at most {ITEMS_MAX} headers, not {}",
            table.len()
        ));
    }
    let checked = table.into_iter().map(|(name, value)| header(&name, value));
    checked.collect::<Result<_, _>>().map(Value::Table)
}

/// Names are kept in lower case: HTTP does not tell them apart, and so a variable can override what a file says.
fn header(name: &str, value: Value) -> Result<(String, Value), String> {
    if !is_token(name) {
        return Err(format!("`{}` is not a header's name", clip(name)));
    }
    let sendable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match value {
        Value::String(text) if sendable(&text) => {
            Ok((name.to_ascii_lowercase(), Value::String(text)))
        }
        Value::String(_) => Err(format!("the value of `{name}` must be printable ASCII")),
        other => Err(format!(
            "the value of `{name}` must be text, not {}",
            type_name(&other)
        )),
    }
}

/// A token of RFC 9110, which header names are.
pub(crate) fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(good)
}

fn variants(value: Value) -> Result<Value, String> {
    let read: Result<Vec<RawDimension>, _> = value.clone().try_into();
    match read {
        Ok(dimensions)
            if dimensions
                .iter()
                .any(|dimension| dimension.values.len() > ITEMS_MAX) =>
        {
            Err(format!("a dimension has at most {ITEMS_MAX} values"))
        }
        Ok(_) => Ok(value),
        Err(error) => Err(format!(
            "must be a list such as [{{ name = \"locale\", values = [\"en\", \"de\"] }}]: {}",
            error.message()
        )),
    }
}

fn tokens(value: Value) -> Result<Value, String> {
    let read: Result<Vec<RawToken>, _> = value.clone().try_into();
    match read {
        Ok(tokens) if tokens.len() > ITEMS_MAX => Err(format!(
            "must be at most {ITEMS_MAX} tokens, not {}",
            tokens.len()
        )),
        Ok(_) => Ok(value),
        Err(error) => Err(format!(
            "must be a list such as [{{ name = \"shop\", role = \"writer\", sha256 = \"...\" }}]: {}",
            error.message()
        )),
    }
}

fn attachments(value: Value) -> Result<Value, String> {
    let read: Result<Vec<RawAttachment>, _> = value.clone().try_into();
    match read {
        Ok(tables) if tables.len() > ITEMS_MAX => Err(format!(
            "must be at most {ITEMS_MAX} tables, not {}",
            tables.len()
        )),
        Ok(tables) => {
            let empty =
                |one: &RawAttachment| one.table.trim().is_empty() || one.keys.trim().is_empty();
            let long =
                |one: &RawAttachment| one.keys.len() > TEXT_BYTES_MAX || one.columns.len() > 1600;
            if tables.iter().any(|one| empty(one) || long(one)) {
                return Err("must say for each table its name and its `keys`".to_owned());
            }
            Ok(value)
        }
        Err(error) => Err(format!(
            "must be tables such as [[namespace.attach]] with `table`, `keys` and `columns`: {}",
            error.message()
        )),
    }
}

/// How many there may be, and what each says, is checked when all of them are known.
fn hot_rules(value: Value) -> Result<Value, String> {
    let read: Result<Vec<RawHotRule>, _> = value.clone().try_into();
    match read {
        Ok(_) => Ok(value),
        Err(error) => Err(format!(
            "must be tables such as [[hot.rule]] with `name`, `action` and, if need be, `namespace`, `id` and `threshold`: {}",
            error.message()
        )),
    }
}
