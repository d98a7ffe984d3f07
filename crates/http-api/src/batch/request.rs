//! What a batch asks for, read from JSON with every problem found at its path.

use hotshelf_model::{FieldProblem, Id};
use serde_json::Value;
use utoipa::ToSchema;

use crate::json_body::{self, Problems};
use crate::target;

/// One document that is asked for.
#[derive(Debug)]
pub(crate) struct Item {
    /// The id as it was sent, repeated in the result.
    pub(crate) sent: String,
    /// The id, or what is wrong with it.
    pub(crate) id: Result<Id, FieldProblem>,
    /// The version or the entity tag of the copy that the client holds.
    pub(crate) if_version: Option<String>,
}

impl Item {
    fn new(sent: &str, if_version: Option<String>) -> Self {
        Item {
            sent: sent.to_owned(),
            id: Id::new(sent),
            if_version,
        }
    }

    /// An id of a URL, percent-encoded.
    pub(super) fn from_url(encoded: &str) -> Self {
        let id = target::document_id(encoded);
        let sent = target::decode(encoded)
            .unwrap_or(encoded.into())
            .into_owned();
        Item {
            sent,
            id,
            if_version: None,
        }
    }
}

/// What a batch asks for.
#[derive(Debug, ToSchema)]
pub(crate) struct BatchRequest {
    /// Ids, each a string or `{"id": ..., "if_version": ...}`. With `if_version` (the `version` or, exact also for documents that
    /// change by time alone, the `etag` of the copy held) the result is `unchanged`, without a document, when that copy is current.
    #[schema(value_type = Vec<serde_json::Value>, rename = "ids", example = json!(["A-1", {"id": "A-2", "if_version": "3-18447"}]))]
    pub(crate) items: Vec<Item>,
    /// Dimensions with their values; one left out takes its default.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, example = json!({"locale": "de"}))]
    pub(crate) variant: Vec<(String, String)>,
}

impl BatchRequest {
    /// Reads a body. A bad id is not an error: it belongs to its own result.
    pub(super) fn read(body: &[u8], ids_max: usize) -> Result<Self, Vec<FieldProblem>> {
        let mut object = json_body::object(body, "{\"ids\": [\"a\", \"b\"]}")?;
        let mut problems = Problems::default();
        let batch = BatchRequest {
            items: read_items(object.remove("ids"), ids_max, &mut problems),
            variant: read_variant(object.remove("variant"), &mut problems),
        };
        problems.refuse_rest("", &object, "`ids` and `variant`");
        problems.none_or(batch)
    }
}

fn read_items(ids: Option<Value>, ids_max: usize, problems: &mut Problems) -> Vec<Item> {
    let Some(Value::Array(ids)) = ids else {
        problems.refuse("ids", "is needed, and is an array of ids");
        return Vec::new();
    };
    if ids.len() > ids_max {
        let reason = format!(
            "has {} ids; at most {ids_max} can be asked for at once",
            ids.len()
        );
        problems.refuse("ids", reason);
        return Vec::new();
    }
    let item = |(index, id)| read_item(index, id, problems);
    ids.into_iter().enumerate().filter_map(item).collect()
}

fn read_item(index: usize, id: Value, problems: &mut Problems) -> Option<Item> {
    let path = format!("ids[{index}]");
    let mut object = match id {
        Value::String(id) => return Some(Item::new(&id, None)),
        Value::Object(object) => object,
        _ => {
            problems.refuse(
                &path,
                "must be a string, or an object with `id` and `if_version`",
            );
            return None;
        }
    };
    let if_version = match object.remove("if_version") {
        None | Some(Value::Null) => None,
        Some(Value::String(version)) => Some(version),
        Some(_) => {
            problems.refuse(&format!("{path}.if_version"), "must be a string");
            None
        }
    };
    let id = object.remove("id");
    problems.refuse_rest(&format!("{path}."), &object, "`id` and `if_version`");
    match id {
        Some(Value::String(id)) => Some(Item::new(&id, if_version)),
        _ => {
            problems.refuse(&format!("{path}.id"), "is needed, and is a string");
            None
        }
    }
}

fn read_variant(variant: Option<Value>, problems: &mut Problems) -> Vec<(String, String)> {
    let object = match variant {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(object)) => object,
        Some(_) => {
            problems.refuse("variant", "must be an object such as {\"locale\": \"de\"}");
            return Vec::new();
        }
    };
    let mut pairs = Vec::with_capacity(object.len());
    for (name, value) in object {
        match value {
            Value::String(value) => pairs.push((name, value)),
            _ => problems.refuse(&format!("variant.{name}"), "must be a string"),
        }
    }
    pairs
}
