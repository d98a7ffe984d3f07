//! Single products as they are written through hotshelf, and changes that are posted: what is the same for both databases.

use hotshelf_model::{
    Error, ErrorKind, FieldProblem, NamespaceName, PostedChange, ProductChange, ProductFields,
    ProductWrite, Recorded, Version, WriteEffect, WriteOutcome,
};
use serde_json::{Map, Value, json};

use crate::failure::{failed, is_lost};
use crate::snapshot::signed;
use crate::upsert::{check_price, check_text, price_json};

/// What a document holds beside the columns of its product: the price in force and the availability class.
const DOCUMENT_BYTES_BESIDE: usize = 256;

/// A write in the form that is sent to a database.
#[derive(Clone, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) id: &'a str,
    /// The fields as a JSON object; `None` for a deletion.
    pub(crate) fields: Option<String>,
    /// Whether a product that is not there is left so.
    pub(crate) must_exist: bool,
    pub(crate) if_version: Option<i64>,
    pub(crate) document_bytes_max: usize,
}

impl<'a> Written<'a> {
    /// Checks a write and brings it into its form.
    pub(crate) fn new(
        write: &'a ProductWrite,
        document_bytes_max: usize,
    ) -> Result<Self, FieldProblem> {
        let (fields, must_exist) = match &write.change {
            ProductChange::Put(fields) => (Some(checked(fields.clone().whole(), true)?), false),
            ProductChange::Patch(fields) => (Some(checked(fields.clone(), false)?), true),
            ProductChange::Delete => (None, true),
        };
        Ok(Written {
            id: write.id.as_str(),
            fields,
            must_exist,
            if_version: write.if_version.map(|version| signed(version.0)),
            document_bytes_max,
        })
    }

    /// Bytes that the product's own columns may have.
    pub(crate) fn row_bytes_max(&self) -> i64 {
        let bytes = self
            .document_bytes_max
            .saturating_sub(DOCUMENT_BYTES_BESIDE);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// The outcome that a database names by a word.
    pub(crate) fn outcome(&self, word: &str, version: Version) -> Option<WriteOutcome> {
        let written = |effect| Some(WriteOutcome::Written { version, effect });
        match word {
            "created" => written(WriteEffect::Created),
            "updated" => written(WriteEffect::Updated),
            "unchanged" => written(WriteEffect::Unchanged),
            "deleted" => written(WriteEffect::Deleted),
            "mismatch" => Some(WriteOutcome::VersionMismatch { current: version }),
            "absent" => Some(WriteOutcome::NotFound { version }),
            "too_large" => Some(WriteOutcome::TooLarge {
                bytes_max: self.document_bytes_max,
            }),
            _ => None,
        }
    }
}

fn checked(fields: ProductFields, whole: bool) -> Result<String, FieldProblem> {
    if whole && fields.title.is_none() {
        return Err(FieldProblem::new("title", "is needed"));
    }
    check_text("title", &fields.title)?;
    check_text("brand", fields.brand.iter().flatten())?;
    check_text("description", fields.description.iter().flatten())?;
    check_text("category_path", fields.category_path.iter().flatten())?;
    check_text("images", fields.images.iter().flatten())?;
    for (name, value) in fields.attributes.iter().flatten() {
        check_text("attributes", [name, value])?;
    }
    fields.prices.iter().flatten().try_for_each(check_price)?;
    Ok(fields_json(fields).to_string())
}

/// The given fields under the names of their columns.
fn fields_json(fields: ProductFields) -> Value {
    let status = |active: bool| if active { "active" } else { "hidden" };
    let columns = [
        ("title", fields.title.map(Value::from)),
        ("brand", fields.brand.map(Value::from)),
        ("category_path", fields.category_path.map(Value::from)),
        ("description", fields.description.map(Value::from)),
        (
            "attributes",
            fields.attributes.map(|attributes| json!(attributes)),
        ),
        ("images", fields.images.map(Value::from)),
        (
            "status",
            fields.active.map(|active| Value::from(status(active))),
        ),
        (
            "prices",
            fields
                .prices
                .map(|prices| prices.iter().map(price_json).collect()),
        ),
        ("quantity", fields.quantity.map(Value::from)),
        ("low_at", fields.low_at.map(Value::from)),
    ];
    let given = columns
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

/// Changes and bumps in the form that is sent to a database.
#[derive(Clone, Debug)]
pub(crate) struct Posted<'a> {
    pub(crate) namespaces: Vec<&'a str>,
    pub(crate) ids: Vec<&'a str>,
    pub(crate) versions: Vec<Option<i64>>,
    pub(crate) bumps: Vec<&'a str>,
}

impl<'a> Posted<'a> {
    pub(crate) fn new(changes: &'a [PostedChange], bumps: &'a [NamespaceName]) -> Self {
        let version = |change: &PostedChange| change.version.map(|version| signed(version.0));
        Posted {
            namespaces: changes
                .iter()
                .map(|change| change.namespace.as_str())
                .collect(),
            ids: changes.iter().map(|change| change.id.as_str()).collect(),
            versions: changes.iter().map(version).collect(),
            bumps: bumps.iter().map(NamespaceName::as_str).collect(),
        }
    }

    /// What was recorded; `None` when the database answered about other keys.
    pub(crate) fn recorded(&self, changes: Vec<Version>, bumps: Vec<Version>) -> Option<Recorded> {
        let whole = changes.len() == self.ids.len() && bumps.len() == self.bumps.len();
        whole.then_some(Recorded { changes, bumps })
    }
}

/// A write that failed, and whether the database may have committed it.
#[derive(Debug)]
pub(crate) enum WriteFailure {
    /// No statement was sent.
    Unsent(sqlx::Error),
    /// The statement was sent. What the database itself refuses it has rolled back; everything else leaves the outcome open.
    Sent(sqlx::Error),
}

impl WriteFailure {
    /// The database's own error, of a transaction that is rolled back.
    pub(crate) fn refused(&self) -> Option<&sqlx::Error> {
        match self {
            WriteFailure::Sent(error) if error.as_database_error().is_some() && !is_lost(error) => {
                Some(error)
            }
            WriteFailure::Sent(_) | WriteFailure::Unsent(_) => None,
        }
    }

    /// Our error, for a write that was to do `what`.
    pub(crate) fn error(self, what: &str) -> Error {
        let open = matches!(self, WriteFailure::Sent(_)) && self.refused().is_none();
        let (WriteFailure::Unsent(error) | WriteFailure::Sent(error)) = self;
        if !open {
            return failed(what, error);
        }
        let context = format!(
            "{what}: the database's answer never came, so it may have been written or not; read it, or send it again"
        );
        Error::new(ErrorKind::WriteUnknown, context).with_source(error)
    }
}
