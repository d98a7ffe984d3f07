//! Every key in force with the place that its value came from, as `config show` prints it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use figment::value::{Dict, Value as FigmentValue};
use figment::{Figment, Profile, Provider};
use serde::Deserialize;

use crate::key::{NAMESPACE, sections};
use crate::namespace::{CATALOGUE_NAME, applies};
use crate::problem::Problem;
use crate::raw::RawConfig;
use crate::supplied::Supplied;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Nobody gave it.
    Default,
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, if it is known.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Env(String),
    /// A flag.
    Flag(String),
    /// A program that embeds hotshelf.
    Code,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line: None } => write!(f, "{}", path.display()),
            Source::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Source::Env(name) => write!(f, "environment {name}"),
            Source::Flag(path) => write!(f, "flag {path}"),
            Source::Code => f.write_str("given in code"),
        }
    }
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `l2.deadline_ms` or `namespace.products.ttl_soft_s`.
    pub path: String,
    /// The value as TOML, secrets masked.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Every key in force, in the order of the reference. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    settings: Vec<Setting>,
}

impl Provenance {
    /// The settings.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// One of them.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.path == path)
    }

    /// Whether somebody gave this key a value.
    pub(crate) fn is_given(&self, path: &str) -> bool {
        self.get(path)
            .is_some_and(|setting| setting.source != Source::Default)
    }

    /// Whether somebody gave one of the settings below this path.
    pub(crate) fn any_below(&self, path: &str) -> bool {
        let below = |setting: &Setting| {
            setting
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.settings.iter().any(below)
    }

    /// Shows the value of a key whose default follows from other keys, where nobody gave it.
    pub(crate) fn put_derived(&mut self, path: &str, value: String) {
        let unset =
            |setting: &&mut Setting| setting.path == path && setting.source == Source::Default;
        if let Some(setting) = self.settings.iter_mut().find(unset) {
            setting.value = value;
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |setting: &Setting| setting.path.len() + setting.value.len() + 3;
        let column = self
            .settings
            .iter()
            .map(width)
            .filter(|&width| width <= 60)
            .max();
        for setting in &self.settings {
            let line = format!("{} = {}", setting.path, setting.value);
            writeln!(
                f,
                "{line:<column$}  # {}",
                setting.source,
                column = column.unwrap_or_default()
            )?;
        }
        Ok(())
    }
}

/// The sources laid over one another.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) raw: RawConfig,
    pub(crate) provenance: Provenance,
    pub(crate) problems: Vec<Problem>,
}

/// Lays the sources over one another, later ones above, and remembers which one gave each value.
pub(crate) fn merge(mut supplied: Vec<Supplied>) -> Merged {
    if supplied
        .iter()
        .all(|supplied| supplied.namespaces.is_empty())
    {
        supplied.insert(0, default_namespace());
    }
    let mut figment = Figment::new();
    for one in &supplied {
        figment = figment.merge(one);
    }
    let mut root = figment
        .data()
        .ok()
        .and_then(|mut data| data.remove(&Profile::Default))
        .unwrap_or_default();

    let mut found = BTreeMap::new();
    find_settings(&figment, &supplied, "", &root, &mut found);
    let namespaces = flatten_namespaces(&mut root, &supplied);
    let mut problems: Vec<_> = supplied
        .into_iter()
        .flat_map(|supplied| supplied.problems)
        .collect();
    let raw = RawConfig::deserialize(&FigmentValue::from(root)).unwrap_or_else(|error| {
        // Every value was checked against the same table that made the type, so this is a fault of hotshelf's.
        problems.push(Problem::new(
            error.path.join("."),
            Source::Default,
            error.kind.to_string(),
        ));
        RawConfig::default()
    });
    let provenance = provenance(&found, &namespaces);
    Merged {
        raw,
        provenance,
        problems,
    }
}

fn default_namespace() -> Supplied {
    let mut supplied = Supplied::new("default");
    supplied.namespaces.push(CATALOGUE_NAME.to_owned());
    for (name, value) in [("name", CATALOGUE_NAME), ("kind", "catalogue")] {
        if let Some(key) = crate::key::key(NAMESPACE, name) {
            let segments = [NAMESPACE, CATALOGUE_NAME, name];
            supplied.take(key, &segments, toml::Value::from(value), Source::Default);
        }
    }
    supplied
}

/// Finds for every value in force the setting of the source that figment says it came from.
fn find_settings(
    figment: &Figment,
    supplied: &[Supplied],
    above: &str,
    dict: &Dict,
    found: &mut BTreeMap<String, Setting>,
) {
    for (name, value) in dict {
        let path = format!("{above}{name}");
        if let FigmentValue::Dict(_, inner) = value {
            find_settings(figment, supplied, &format!("{path}."), inner, found);
            continue;
        }
        let source = figment.get_metadata(value.tag());
        let setting = source
            .and_then(|source| supplied.iter().find(|one| one.name() == source.name))
            .and_then(|one| one.settings.get(&path));
        if let Some(setting) = setting {
            found.insert(path, setting.clone());
        }
    }
}

/// Turns the table of namespaces by name, in which sources overlap, back into the list that a person writes. Gives their names.
fn flatten_namespaces(root: &mut Dict, supplied: &[Supplied]) -> Vec<String> {
    let Some(FigmentValue::Dict(_, mut by_name)) = root.remove(NAMESPACE) else {
        return Vec::new();
    };
    let declared = supplied.iter().flat_map(|supplied| &supplied.namespaces);
    let mut names: Vec<String> = declared.cloned().collect();
    let others = by_name.keys().filter(|name| !names.contains(name)).cloned();
    names.extend(others.collect::<Vec<_>>());
    let list = names.iter().map(|name| {
        let mut keys = match by_name.remove(name) {
            Some(FigmentValue::Dict(_, keys)) => keys,
            _ => Dict::new(),
        };
        keys.entry("name".to_owned())
            .or_insert_with(|| FigmentValue::from(name.as_str()));
        FigmentValue::from(keys)
    });
    let list = list.collect::<Vec<_>>();
    root.insert(NAMESPACE.to_owned(), FigmentValue::from(list));
    names
}

fn provenance(found: &BTreeMap<String, Setting>, namespaces: &[String]) -> Provenance {
    let mut settings = Vec::new();
    let keyed = sections()
        .iter()
        .filter(|section| section.name != NAMESPACE);
    for key in keyed.flat_map(|section| &section.keys) {
        let path = key.path();
        let default = || Setting {
            path: path.clone(),
            value: key.default.clone().unwrap_or_else(|| "\"\"".to_owned()),
            source: Source::Default,
        };
        let unset = key.default.is_none() && !key.is_derived();
        match found.get(&path) {
            Some(setting) => settings.push(setting.clone()),
            None if unset => {}
            None => settings.push(default()),
        }
    }
    for name in namespaces {
        add_namespace(found, name, &mut settings);
    }
    Provenance { settings }
}

fn add_namespace(found: &BTreeMap<String, Setting>, name: &str, settings: &mut Vec<Setting>) {
    let at = format!("{NAMESPACE}.{name}.");
    let kind = found
        .get(&format!("{at}kind"))
        .map(|setting| setting.value.trim_matches('"'));
    let keys = sections()
        .iter()
        .filter(|section| section.name == NAMESPACE);
    for key in keys.flat_map(|section| &section.keys) {
        let path = format!("{at}{}", key.name);
        let headers = format!("{path}.");
        let given = found
            .range(path.clone()..)
            .take_while(|(found, _)| found.starts_with(&path))
            .filter(|(found, _)| **found == path || found.starts_with(&headers));
        let before = settings.len();
        settings.extend(given.map(|(_, setting)| setting.clone()));
        let absent = settings.len() == before;
        if let (true, Some(default)) = (absent && applies(key.name, kind), &key.default) {
            settings.push(Setting {
                path,
                value: default.clone(),
                source: Source::Default,
            });
        }
    }
}
