//! JSON lines of nginx and of Envoy.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Dissected, Malformed, time};

/// Names of fields, the one that is trusted most first.
struct Names {
    time: &'static [&'static str],
    target: &'static [&'static str],
    method: &'static [&'static str],
    request: &'static [&'static str],
}

const NGINX: Names = Names {
    time: &[
        "msec",
        "time_iso8601",
        "time_local",
        "@timestamp",
        "timestamp",
        "time",
    ],
    target: &["request_uri", "uri"],
    method: &["request_method", "method"],
    request: &["request"],
};

const ENVOY: Names = Names {
    time: &["start_time", "timestamp"],
    target: &["x_envoy_original_path", "x-envoy-original-path", "path"],
    method: &["method"],
    request: &[],
};

pub(super) fn nginx(line: &[u8]) -> Result<Dissected<'_>, Malformed> {
    dissect(line, &NGINX)
}

pub(super) fn envoy(line: &[u8]) -> Result<Dissected<'_>, Malformed> {
    dissect(line, &ENVOY)
}

fn dissect<'a>(line: &'a [u8], names: &Names) -> Result<Dissected<'a>, Malformed> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let fields = Wanted(names).deserialize(&mut json);
    let mut fields = fields
        .and_then(|fields| json.end().map(|()| fields))
        .map_err(|_| Malformed("is not JSON"))?;
    let time = fields.take(names.time).ok_or(Malformed("has no time"))?;
    let at_ms = [time::seconds, time::iso, time::local]
        .iter()
        .find_map(|read| read(time.as_bytes()))
        .ok_or(Malformed("has a time that cannot be read"))?;
    if let (Some(method), Some(target)) = (fields.take(names.method), fields.take(names.target)) {
        return Ok(Dissected::Fields {
            at_ms,
            method,
            target,
        });
    }
    let request = fields.take(names.request);
    let line = request.ok_or(Malformed("has no method and path"))?;
    Ok(Dissected::Line { at_ms, line })
}

/// The fields of a line that are wanted, and are text or numbers.
struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// The value of the first name that has one; `-` and `null` are none.
    fn take(&mut self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().find_map(|name| {
            let mut fields = self.0.iter_mut();
            let (_, value) = fields.find(|(held, _)| held == name)?;
            (!matches!(&**value, "" | "-")).then(|| std::mem::take(value))
        })
    }
}

/// Reads an object and keeps the fields of these names.
struct Wanted<'n>(&'n Names);

impl Wanted<'_> {
    fn is(&self, name: &str) -> bool {
        let Names {
            time,
            target,
            method,
            request,
        } = self.0;
        [time, target, method, request]
            .iter()
            .any(|names| names.contains(&name))
    }
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(Text(Some(name))) = map.next_key()? {
            if !self.is(&name) {
                map.next_value::<IgnoredAny>()?;
            } else if let Text(Some(value)) = map.next_value()? {
                fields.push((name, value));
            }
        }
        Ok(Fields(fields))
    }
}

/// A text or a number as text; `None` of anything else.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(text.to_owned().into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
