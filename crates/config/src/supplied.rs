//! What one source supplies: the file, the environment, the flags; each read and checked as a whole before it is laid over the others.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value as FigmentValue};
use figment::{Metadata, Profile, Provider};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::check;
use crate::key::{
    self, ENV_PREFIX, Key, NAMESPACE, ValueKind, section_suggestion, sections, suggestion,
};
use crate::problem::Problem;
use crate::provenance::{Setting, Source};
use crate::secret::masked_url;

/// Where a configuration comes from; later ones win: file, environment, flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one; else the one that `HOTSHELF_CONFIG` names.
    pub file: Option<PathBuf>,
    /// Variables with their values, as from [`environment`]; those that do not begin with `HOTSHELF_` are passed over.
    pub env: Vec<(String, String)>,
    /// Keys with their values: `("l2.deadline_ms", "20")`, `("namespace.products.ttl_soft_s", "60")`.
    pub flags: Vec<(String, String)>,
}

/// The process's variables that begin with `HOTSHELF_`. The only place where hotshelf reads its environment.
pub fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .collect()
}

/// Names the file when no flag does.
const FILE_VARIABLE: &str = "HOTSHELF_CONFIG";
/// Variables that begin with the prefix and are no keys: the file's name, two that only tests read, and an operator's token.
const NO_KEYS: [&str; 4] = [
    FILE_VARIABLE,
    "HOTSHELF_BLESS",
    "HOTSHELF_DATA",
    "HOTSHELF_TOKEN",
];
/// The largest file.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most namespaces.
const NAMESPACES_MAX: usize = 64;

/// The good values of one source, and the problems of the others.
#[derive(Debug)]
pub(crate) struct Supplied {
    /// Tells the sources apart in figment's metadata.
    name: &'static str,
    values: Dict,
    pub(crate) settings: BTreeMap<String, Setting>,
    pub(crate) problems: Vec<Problem>,
    /// The namespaces in the order in which they were declared.
    pub(crate) namespaces: Vec<String>,
}

impl Provider for Supplied {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Reads every source, in the order in which they are laid over one another.
pub(crate) fn read_all(sources: &Sources) -> Vec<Supplied> {
    let variable = || {
        let named = sources.env.iter().find(|(name, _)| name == FILE_VARIABLE);
        named.map(|(_, path)| PathBuf::from(path))
    };
    let file = sources.file.clone().or_else(variable);
    vec![
        file.map_or_else(|| Supplied::new("file"), |path| from_file(&path)),
        from_env(&sources.env),
        from_flags(&sources.flags),
    ]
}

impl Supplied {
    pub(crate) fn new(name: &'static str) -> Self {
        Supplied {
            name,
            values: Dict::new(),
            settings: BTreeMap::new(),
            problems: Vec::new(),
            namespaces: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn refuse(&mut self, path: impl Into<String>, from: Source, reason: impl Into<String>) {
        self.problems.push(Problem::new(path, from, reason));
    }

    /// Takes a value that stands at `segments`, if it may.
    pub(crate) fn take(&mut self, key: &Key, segments: &[&str], value: Value, from: Source) {
        let path = segments.join(".");
        let value = match check::value(key.kind, value) {
            Ok(value) => value,
            Err(reason) => return self.refuse(path, from, reason),
        };
        // A header is a setting of its own, so that one of them can come from the environment.
        if let (ValueKind::Headers, Value::Table(headers)) = (key.kind, &value) {
            for name in headers.keys() {
                self.record(format!("{path}.{name}"), "\"***\"".to_owned(), from.clone());
            }
        } else {
            self.record(path.clone(), shown(key, &value), from.clone());
        }
        match FigmentValue::serialize(&value) {
            Ok(value) => nest(&mut self.values, segments, value),
            Err(error) => self.refuse(path, from, error.to_string()),
        }
    }

    fn record(&mut self, path: String, value: String, source: Source) {
        let setting = Setting {
            path: path.clone(),
            value,
            source,
        };
        self.settings.insert(path, setting);
    }

    /// Takes a value that came as text, under a path that came as text.
    fn take_text(&mut self, segments: &[&str], text: &str, from: Source) {
        let path = segments.join(".");
        let (key, header) = match *segments {
            [NAMESPACE, _, "headers", header] => (key::key(NAMESPACE, "headers"), Some(header)),
            [NAMESPACE, _, name] => (key::key(NAMESPACE, name), None),
            [section, name] if section != NAMESPACE => (key::key(section, name), None),
            _ => (None, None),
        };
        match (key, header) {
            (Some(key), None) => self.take(key, segments, check::from_text(key.kind, text), from),
            (Some(key), Some(header)) => {
                let one = Table::from_iter([(header.to_owned(), Value::String(text.to_owned()))]);
                self.take(key, &segments[..3], Value::Table(one), from);
            }
            (None, _) => {
                let reason = unknown_path(segments, &from);
                self.refuse(path, from, reason);
            }
        }
    }
}

/// The value as `config show` prints it: as TOML, secrets masked.
fn shown(key: &Key, value: &Value) -> String {
    let masked = |value: &Value| match value {
        Value::String(url) => Value::String(masked_url(url)),
        other => other.clone(),
    };
    match value {
        Value::Array(urls) if key.is_secret() => {
            Value::Array(urls.iter().map(masked).collect()).to_string()
        }
        value if key.is_secret() => masked(value).to_string(),
        value => value.to_string(),
    }
}

fn nest(dict: &mut Dict, segments: &[&str], value: FigmentValue) {
    let Some((first, rest)) = segments.split_first() else {
        return;
    };
    if rest.is_empty() {
        match (dict.get_mut(*first), value) {
            (Some(FigmentValue::Dict(_, old)), FigmentValue::Dict(_, new)) => old.extend(new),
            (_, value) => {
                dict.insert((*first).to_owned(), value);
            }
        }
        return;
    }
    let inner = dict
        .entry((*first).to_owned())
        .or_insert_with(|| FigmentValue::from(Dict::new()));
    if let FigmentValue::Dict(_, inner) = inner {
        nest(inner, rest, value);
    }
}

fn unknown_path(segments: &[&str], from: &Source) -> String {
    let form = match from {
        Source::Env(_) => "HOTSHELF_<SECTION>__<KEY>, such as HOTSHELF_L2__URLS",
        _ => "<section>.<key>, such as l2.urls",
    };
    match *segments {
        [NAMESPACE, _] | [NAMESPACE] => {
            "a namespace's key needs the namespace's name: namespace.<name>.<key>".to_owned()
        }
        [NAMESPACE, _, name] => suggestion(NAMESPACE, name),
        [section, name] if key::section(section).is_some() => suggestion(section, name),
        [section, _] => section_suggestion(section),
        [joined] => joined_suggestion(joined)
            .unwrap_or_else(|| format!("there is no such key; keys have the form {form}")),
        _ => format!("there is no such key; keys have the form {form}"),
    }
}

/// For `HOTSHELF_L2_URLS`, where one underscore is missing.
fn joined_suggestion(joined: &str) -> Option<String> {
    let key = sections()
        .iter()
        .flat_map(|section| &section.keys)
        .find(|key| joined == format!("{}_{}", key.section, key.name))?;
    Some(format!(
        "two underscores follow the section: {}",
        key.variable()
    ))
}

fn from_env(env: &[(String, String)]) -> Supplied {
    let mut supplied = Supplied::new("environment");
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        if NO_KEYS.contains(&name.as_str()) {
            continue;
        }
        let lower = rest.to_lowercase();
        let mut segments: Vec<_> = lower.split("__").collect();
        // Shells allow no `-` in a variable's name, and HTTP's header names have no `_`.
        let header = match segments.as_slice() {
            [NAMESPACE, _, "headers", header] => header.replace('_', "-"),
            _ => String::new(),
        };
        if !header.is_empty() {
            segments[3] = &header;
        }
        supplied.take_text(&segments, text, Source::Env(name.clone()));
    }
    supplied
}

fn from_flags(flags: &[(String, String)]) -> Supplied {
    let mut supplied = Supplied::new("flag");
    for (path, text) in flags {
        let segments: Vec<_> = path.split('.').collect();
        supplied.take_text(&segments, text, Source::Flag(path.clone()));
    }
    supplied
}

fn from_file(path: &Path) -> Supplied {
    let mut supplied = Supplied::new("file");
    let file = |line| Source::File {
        path: path.to_owned(),
        line,
    };
    let text = match read_bounded(path, FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(reason) => {
            supplied.refuse("the file", file(None), reason);
            return supplied;
        }
    };
    match toml::from_str::<Table>(&text) {
        Ok(table) => {
            let lines = Lines::of(&text);
            supplied.take_file(table, &|at| file(lines.at(at)));
        }
        // Only the message: the error's own display quotes the line, which may hold a password.
        Err(error) => {
            let line = error.span().map(|span| line_of(&text, span.start));
            supplied.refuse(
                "the file",
                file(line),
                format!("is not TOML: {}", error.message()),
            );
        }
    }
    supplied
}

/// A whole text file, if it is not larger than it may be.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut text = String::new();
    let read = file.take(bytes_max + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(format!("is larger than {bytes_max} bytes"));
    }
    Ok(text)
}

impl Supplied {
    /// Takes a whole file. `source` says where in it a path stands.
    pub(crate) fn take_file(&mut self, table: Table, source: &dyn Fn(&str) -> Source) {
        for (name, value) in table {
            match (key::section(&name), value) {
                (Some(_), Value::Array(items)) if name == NAMESPACE => {
                    self.take_namespaces(items, source);
                }
                (Some(_), _) if name == NAMESPACE => {
                    let reason = "is repeated: begin each one with [[namespace]]";
                    self.refuse(NAMESPACE, source(NAMESPACE), reason);
                }
                (Some(_), Value::Table(keys)) => self.take_section(&name, &name, keys, source),
                (Some(_), _) => {
                    self.refuse(
                        &*name,
                        source(&name),
                        format!("is a section: write [{name}]"),
                    );
                }
                (None, _) => self.refuse(&*name, source(&name), section_suggestion(&name)),
            }
        }
    }

    /// Takes the keys below `at`. They stand below `place` in the file, which for a namespace has a number and no name.
    fn take_section(
        &mut self,
        at: &str,
        place: &str,
        keys: Table,
        source: &dyn Fn(&str) -> Source,
    ) {
        let (section, namespace) = match at.split_once('.') {
            Some((section, namespace)) => (section, Some(namespace)),
            None => (at, None),
        };
        for (name, value) in keys {
            let from = source(&format!("{place}.{name}"));
            match key::key(section, &name) {
                Some(key) => {
                    let segments: Vec<_> = [Some(section), namespace, Some(&*name)]
                        .into_iter()
                        .flatten()
                        .collect();
                    self.take(key, &segments, value, from);
                }
                None => self.refuse(format!("{at}.{name}"), from, suggestion(section, &name)),
            }
        }
    }

    fn take_namespaces(&mut self, items: Vec<Value>, source: &dyn Fn(&str) -> Source) {
        if items.len() > NAMESPACES_MAX {
            let reason = format!("there can be {NAMESPACES_MAX} at most, not {}", items.len());
            self.refuse(NAMESPACE, source(NAMESPACE), reason);
        }
        for (index, item) in items.into_iter().take(NAMESPACES_MAX).enumerate() {
            let place = format!("{NAMESPACE}.{index}");
            let Value::Table(keys) = item else {
                self.refuse(NAMESPACE, source(&place), "must be tables: [[namespace]]");
                continue;
            };
            let name = match keys.get("name") {
                Some(Value::String(name)) => check::clip(name),
                _ => format!("#{}", index + 1),
            };
            let at = format!("{NAMESPACE}.{name}");
            if self.namespaces.contains(&name) {
                let reason = "is declared twice; give one of the two another name";
                self.refuse(
                    format!("{at}.name"),
                    source(&format!("{place}.name")),
                    reason,
                );
                continue;
            }
            self.namespaces.push(name);
            self.take_section(&at, &place, keys, source);
        }
    }
}

/// On which line each key of a file stands.
#[derive(Default)]
struct Lines(BTreeMap<String, usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let mut lines = Lines::default();
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        if let Ok(table) = DeTable::parse(text) {
            lines.add("", table.get_ref(), &ends);
        }
        lines
    }

    fn add(&mut self, above: &str, table: &DeTable<'_>, ends: &[usize]) {
        for (name, value) in table.iter() {
            let path = format!("{above}{}", name.get_ref());
            let line = |at: usize| ends.partition_point(|&end| end < at) + 1;
            self.0.insert(path.clone(), line(name.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => self.add(&format!("{path}."), inner, ends),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let place = format!("{path}.{index}");
                        self.0.insert(place.clone(), line(item.span().start));
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.add(&format!("{place}."), inner, ends);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn at(&self, path: &str) -> Option<usize> {
        self.0.get(path).copied()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}
