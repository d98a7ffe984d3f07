//! Namespaces: each kind needs its keys and refuses those of the others; the shape follows from what makes the documents.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotshelf_model::{Dimension, FreshnessPolicy, Namespace, NamespaceName, Shape, VariantSchema};

use crate::check::{TEXT_BYTES_MAX, clip, is_token};
use crate::config::{HttpSource, NamespaceConfig, NamespaceSource};
use crate::key::{self, NAMESPACE};
use crate::provenance::Source;
use crate::raw::{KINDS, RawDimension, RawNamespace};
use crate::resolve::Resolver;
use crate::secret::SecretUrl;
use crate::supplied::read_bounded;

/// Part of every shape: raised when hotshelf itself makes other documents of the same source.
const DOCUMENT_FORMAT: &str = "1";

/// The namespace of hotshelf's own tables.
pub(crate) const CATALOGUE_NAME: &str = "products";

/// The keys that only one kind has.
const KIND_KEYS: [(&str, &[&str]); 2] = [
    ("sql", &["sql", "sql_file", "tracked", "attach"]),
    (
        "http",
        &[
            "url",
            "batch_url",
            "version_header",
            "version_pointer",
            "id_pointer",
            "batch_ids_max",
            "valid_until_header",
            "valid_until_pointer",
            "absent_pointer",
            "headers",
            "timeout_ms",
            "requests_max",
        ],
    ),
];

/// Whether a namespace of that kind has that key.
pub(crate) fn applies(key: &str, kind: Option<&str>) -> bool {
    owner(key).is_none_or(|owner| Some(owner) == kind)
}

/// The one kind that has this key; `None` for a key of every kind.
fn owner(key: &str) -> Option<&'static str> {
    let (kind, _) = KIND_KEYS.iter().find(|(_, keys)| keys.contains(&key))?;
    Some(kind)
}

impl Resolver {
    /// Resolves every namespace; one that is refused is left out.
    pub(crate) fn namespaces(&mut self, raw: &[RawNamespace]) -> Vec<NamespaceConfig> {
        let mut resolved: Vec<NamespaceConfig> = Vec::new();
        for one in raw {
            let name = clip(one.name.as_deref().unwrap_or_default());
            let config = self.namespace(one, &format!("{NAMESPACE}.{name}"));
            resolved.extend(config);
        }
        resolved
    }

    fn namespace(&mut self, raw: &RawNamespace, at: &str) -> Option<NamespaceConfig> {
        let name = self.namespace_name(raw, at);
        let variants = self.variants(raw.variants.as_deref().unwrap_or_default(), at);
        let policy = self.policy(raw, at);
        let source = self.source(raw, at, &variants);
        let (name, source) = (name?, source?);
        let namespace = Namespace {
            name,
            shape: shape(&source, &variants),
            variants,
            policy,
            tracked: match &source {
                NamespaceSource::Catalogue => true,
                NamespaceSource::Sql { tracked, .. } => *tracked,
                NamespaceSource::Http(_) => false,
            },
            document_bytes_max: raw.document_bytes_max(),
        };
        Some(NamespaceConfig { namespace, source })
    }

    fn namespace_name(&mut self, raw: &RawNamespace, at: &str) -> Option<NamespaceName> {
        let path = format!("{at}.name");
        let name = raw.name.as_deref().unwrap_or_default();
        if self.is_refused(&path) {
            return None;
        }
        if name.starts_with('#') {
            self.refuse(&path, "is missing; give the namespace a name");
            return None;
        }
        NamespaceName::new(name)
            .map_err(|problem| self.refuse(&path, problem.reason))
            .ok()
    }

    fn variants(&mut self, raw: &[RawDimension], at: &str) -> VariantSchema {
        let path = format!("{at}.variants");
        let mut dimensions = Vec::new();
        for one in raw {
            match Dimension::new(&one.name, &one.values) {
                Ok(dimension) => dimensions.push(dimension),
                Err(problem) => self.refuse(&path, problem.to_string()),
            }
        }
        VariantSchema::new(dimensions).unwrap_or_else(|problem| {
            self.refuse(&path, problem.to_string());
            VariantSchema::default()
        })
    }

    fn policy(&mut self, raw: &RawNamespace, at: &str) -> FreshnessPolicy {
        let (soft, hard) = (raw.ttl_soft_s(), raw.ttl_hard_s());
        self.relate(
            soft <= hard,
            &format!("{at}.ttl_soft_s"),
            &format!("{at}.ttl_hard_s"),
            "a refresh must begin before the copy is no longer fresh",
        );
        FreshnessPolicy {
            ttl_soft: Duration::from_secs(soft),
            ttl_hard: Duration::from_secs(hard),
            stale_cap: Duration::from_secs(raw.stale_cap_s()),
            ttl_absent: Duration::from_secs(raw.ttl_absent_s()),
            jitter_percent: raw.jitter_percent(),
        }
    }

    fn source(
        &mut self,
        raw: &RawNamespace,
        at: &str,
        variants: &VariantSchema,
    ) -> Option<NamespaceSource> {
        let Some(kind) = raw.kind.as_deref() else {
            self.missing(
                &format!("{at}.kind"),
                &format!("say one of {}", KINDS.join(", ")),
            );
            return None;
        };
        self.foreign_keys(kind, at);
        match kind {
            "sql" => self.sql(raw, at),
            "http" => self
                .http(raw, at, variants)
                .map(|http| NamespaceSource::Http(Box::new(http))),
            _ => self.catalogue(raw, at),
        }
    }

    /// Refuses the absence of a key, unless its value was refused already.
    fn missing(&mut self, path: &str, reason: &str) {
        if !self.is_refused(path) {
            self.refuse(path, format!("is missing; {reason}"));
        }
    }

    fn foreign_keys(&mut self, kind: &str, at: &str) {
        let keys = key::section(NAMESPACE).map(|section| section.keys.as_slice());
        for key in keys.unwrap_or_default() {
            let Some(owner) = owner(key.name).filter(|&owner| owner != kind) else {
                continue;
            };
            let path = format!("{at}.{}", key.name);
            if self.provenance.is_given(&path) || self.provenance.any_below(&path) {
                let reason = format!(
                    "only kind `{owner}` has this key, and `kind` is `{kind}`; remove one of the two"
                );
                self.refuse(&path, reason);
            }
        }
    }

    /// The triggers on hotshelf's own tables record their changes under one name; under another, nothing would be invalidated.
    fn catalogue(&mut self, raw: &RawNamespace, at: &str) -> Option<NamespaceSource> {
        if raw.name.as_deref() != Some(CATALOGUE_NAME) {
            let reason = format!(
                "must be `{CATALOGUE_NAME}` for kind `catalogue`: hotshelf's own tables record their changes under that name"
            );
            let path = format!("{at}.name");
            if !self.is_refused(&path) {
                self.refuse(&path, reason);
            }
            return None;
        }
        Some(NamespaceSource::Catalogue)
    }

    fn sql(&mut self, raw: &RawNamespace, at: &str) -> Option<NamespaceSource> {
        let (sql_path, file_path) = (format!("{at}.sql"), format!("{at}.sql_file"));
        let sql = match (&raw.sql, &raw.sql_file) {
            (Some(_), Some(_)) => {
                self.refuse(
                    &sql_path,
                    "`sql_file` is given as well; remove one of the two",
                );
                return None;
            }
            (Some(sql), None) => sql.clone(),
            (None, Some(file)) => self.sql_file(file, &file_path)?,
            (None, None) => {
                if !self.is_refused(&file_path) {
                    self.missing(&sql_path, "kind `sql` needs `sql` or `sql_file`");
                }
                return None;
            }
        };
        let sql = sql.trim().to_owned();
        if !sql.contains(":ids") {
            let path = if raw.sql.is_some() {
                &sql_path
            } else {
                &file_path
            };
            let reason = "must say which ids it answers for: `WHERE id = ANY(:ids)` in PostgreSQL, `WHERE id IN (SELECT value FROM \
                          json_each(:ids))` in SQLite";
            self.refuse(path, reason);
        }
        let tracked = raw.tracked();
        let attachments = raw.attach.clone().unwrap_or_default();
        if !tracked && !attachments.is_empty() {
            let reason = "needs `tracked = true`; without it, versions are the time of the fetch and no change is looked for";
            self.refuse(&format!("{at}.attach"), reason);
        }
        Some(NamespaceSource::Sql {
            sql,
            tracked,
            attachments,
        })
    }

    fn sql_file(&mut self, file: &Path, path: &str) -> Option<String> {
        let file = self.beside_configuration(file, path);
        let bytes_max = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX);
        let text = read_bounded(&file, bytes_max).and_then(|text| {
            let empty = text.trim().is_empty();
            if empty {
                Err("is empty".to_owned())
            } else {
                Ok(text)
            }
        });
        text.map_err(|reason| self.refuse(path, format!("{} {reason}", file.display())))
            .ok()
    }

    /// A path that stands in a file is relative to that file's folder.
    pub(crate) fn beside_configuration(&self, file: &Path, path: &str) -> PathBuf {
        let source = self.provenance.get(path).map(|setting| &setting.source);
        let folder = match source {
            Some(Source::File { path, .. }) => path.parent(),
            _ => None,
        };
        folder.map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }

    fn http(
        &mut self,
        raw: &RawNamespace,
        at: &str,
        variants: &VariantSchema,
    ) -> Option<HttpSource> {
        let path = |key: &str| format!("{at}.{key}");
        self.http_places(raw, at);
        self.http_version(raw, at);
        if let Some(url) = &raw.batch_url {
            self.template(url.expose(), "ids", &path("batch_url"), variants);
        }
        let Some(url) = raw.url.clone() else {
            self.missing(&path("url"), "kind `http` needs it");
            return None;
        };
        self.template(url.expose(), "id", &path("url"), variants);
        let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_ascii_lowercase());
        Some(HttpSource {
            url,
            batch_url: raw.batch_url.clone(),
            version_header: lower(&raw.version_header),
            version_pointer: raw.version_pointer.clone(),
            id_pointer: raw.id_pointer.clone(),
            batch_ids_max: raw.batch_ids_max(),
            valid_until_header: lower(&raw.valid_until_header),
            valid_until_pointer: raw.valid_until_pointer.clone(),
            absent_pointer: raw.absent_pointer.clone(),
            headers: raw
                .headers
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            timeout: Duration::from_millis(raw.timeout_ms()),
            requests_max: raw.requests_max(),
        })
    }

    fn http_version(&mut self, raw: &RawNamespace, at: &str) {
        let (header, pointer) = (
            format!("{at}.version_header"),
            format!("{at}.version_pointer"),
        );
        let neither = raw.version_header.is_none() && raw.version_pointer.is_none();
        if neither && !self.is_refused(&pointer) {
            let reason = "kind `http` needs `version_header` or `version_pointer`, to tell old documents from new ones";
            self.missing(&header, reason);
        } else if raw.batch_url.is_some() && raw.version_pointer.is_none() {
            let reason = "`batch_url` needs it, because the answer to a batch has one header for many documents";
            self.missing(&pointer, reason);
        }
    }

    /// Checks where things are looked for in an answer.
    fn http_places(&mut self, raw: &RawNamespace, at: &str) {
        let headers = [
            ("version_header", &raw.version_header),
            ("valid_until_header", &raw.valid_until_header),
        ];
        for (key, name) in headers {
            if name.as_deref().is_some_and(|name| !is_token(name)) {
                self.refuse(&format!("{at}.{key}"), "is not a header's name");
            }
        }
        let pointers = [
            ("version_pointer", &raw.version_pointer),
            ("id_pointer", &raw.id_pointer),
            ("valid_until_pointer", &raw.valid_until_pointer),
            ("absent_pointer", &raw.absent_pointer),
        ];
        for (key, pointer) in pointers {
            if pointer
                .as_deref()
                .is_some_and(|pointer| !pointer.starts_with('/'))
            {
                let reason = "must be a JSON pointer, which begins with `/`";
                self.refuse(&format!("{at}.{key}"), reason);
            }
        }
    }

    /// Checks a URL with placeholders: all that it needs, none that nothing fills in, none in the host.
    fn template(&mut self, url: &str, ids: &str, path: &str, variants: &VariantSchema) {
        if let Err(reason) = check_host(url) {
            return self.refuse(path, reason);
        }
        let Some(names) = placeholders(url) else {
            return self.refuse(path, "has a `{` or a `}` without its other half");
        };
        let dimensions = variants.dimensions().iter().map(Dimension::name);
        let needed: Vec<&str> = std::iter::once(ids).chain(dimensions).collect();
        for name in &needed {
            if !names.contains(name) {
                let reason = format!(
                    "must hold `{{{name}}}`; without it, different documents would have one URL"
                );
                return self.refuse(path, reason);
            }
        }
        let strange = |name: &&&str| !needed.contains(name) && **name != "as_of";
        if let Some(name) = names.iter().find(strange) {
            let name = clip(name);
            let reason =
                format!("`{{{name}}}` is no dimension of this namespace; declare it in `variants`");
            self.refuse(path, reason);
        }
    }
}

/// Ids come from anybody, so they must not choose the host; passwords belong into headers, which are masked as a whole.
fn check_host(url: &str) -> Result<(), &'static str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '\\']).next().unwrap_or_default();
    if host.contains(['{', '}']) {
        return Err("must not have a placeholder in its host");
    }
    if host.contains('@') {
        return Err(
            "must not hold a user or a password; give `headers = { authorization = ... }` instead",
        );
    }
    if url.contains('#') {
        return Err("must not hold a `#`: what follows it is not sent");
    }
    Ok(())
}

/// The names between braces; `None` when the braces do not match.
fn placeholders(url: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = url;
    while let Some(open) = rest.find(['{', '}']) {
        let inner = rest[open..].strip_prefix('{')?;
        let (name, after) = inner.split_once('}')?;
        if name.contains('{') {
            return None;
        }
        names.push(name);
        rest = after;
    }
    Some(names)
}

/// What makes the documents, and how an answer is read. The allowed values of a dimension are left out: they are part of each key, and allowing one more must
/// not make every copy useless. Headers are left out as well, because a renewed token changes no document.
fn shape(source: &NamespaceSource, variants: &VariantSchema) -> Shape {
    let mut parts = vec![DOCUMENT_FORMAT];
    match source {
        NamespaceSource::Catalogue => parts.push("catalogue"),
        NamespaceSource::Sql { sql, .. } => parts.extend(["sql", sql]),
        NamespaceSource::Http(http) => {
            let batch_url = http.batch_url.as_ref().map(SecretUrl::expose);
            parts.extend(["http", http.url.expose(), batch_url.unwrap_or_default()]);
            let read_from = [
                &http.version_header,
                &http.version_pointer,
                &http.id_pointer,
                &http.valid_until_header,
                &http.valid_until_pointer,
                &http.absent_pointer,
            ];
            parts.extend(read_from.map(|text| text.as_deref().unwrap_or_default()));
        }
    }
    parts.extend(variants.dimensions().iter().map(Dimension::name));
    Shape::of(&parts)
}
