//! What is wished of a warm-up, read from JSON with every problem found at its path.

use std::collections::HashMap;

use hotshelf_model::{FieldProblem, Id, Namespace, Variant, WarmTiers};
use hotshelf_warm::{WarmSource, WarmWish};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json_body::{self, Problems};
use crate::state::ApiState;

/// Sources, variants and nodes that one wish may name.
const ITEMS_MAX: usize = 1000;
/// Characters of a name, or of a condition.
const TEXT_MAX: usize = 10_000;
const WHO_MAX: usize = 100;
const NOBODY: &str = "somebody";

/// What is to be warm.
#[derive(ToSchema)]
#[schema(as = WarmWish)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct WishBody {
    /// The namespace; `products` by default.
    namespace: Option<String>,
    /// The variants of each id, by their dimensions; the default variant if none is given.
    #[schema(example = json!([{"currency": "EUR"}]))]
    variants: Option<Vec<HashMap<String, String>>>,
    /// The ids of all these.
    include: Vec<SourceBody>,
    /// Without those of these.
    exclude: Option<Vec<SourceBody>>,
    /// The tiers to fill; what the node has of `l2` and `l3` by default.
    #[schema(example = json!(["l1", "l2"]))]
    tiers: Option<Vec<String>>,
    /// The names of the nodes whose `l1` and `l3` are filled; all by default.
    nodes: Option<Vec<String>>,
    /// Who wishes it, to be kept with the job.
    who: Option<String>,
}

/// One source of ids: exactly one of the fields.
#[derive(ToSchema)]
#[schema(as = WarmSource)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct SourceBody {
    /// These.
    ids: Option<Vec<String>>,
    /// The products of a category of hotshelf's own tables and below it: the names from the top down.
    category: Option<Vec<String>>,
    /// The products of hotshelf's own tables for which this condition in SQL holds, over the columns of `product p`.
    r#where: Option<String>,
    /// Every product of hotshelf's own tables.
    everything: Option<bool>,
    /// What is hot on the node that is asked.
    hot: Option<bool>,
}

/// Who wishes it.
pub(super) fn who(given: Option<&str>) -> Result<String, FieldProblem> {
    let given = given.map_or(NOBODY, str::trim);
    let is_good = given.chars().count() <= WHO_MAX && !given.chars().any(char::is_control);
    match is_good && !given.is_empty() {
        true => Ok(given.to_owned()),
        false => {
            let reason = format!("has 1 to {WHO_MAX} characters, none of them a control character");
            Err(FieldProblem::new("who", reason))
        }
    }
}

pub(super) fn read(body: &[u8], state: &ApiState) -> Result<(WarmWish, String), Vec<FieldProblem>> {
    let example = "{\"include\": [{\"category\": [\"Home\"]}], \"tiers\": [\"l2\"]}";
    let mut object = json_body::object(body, example)?;
    let mut reader = Reader(Problems::default());
    let namespace = reader.namespace(object.remove("namespace").as_ref(), state);
    let include = reader.sources("include", object.remove("include"));
    let exclude = reader.sources("exclude", object.remove("exclude"));
    let tiers = reader.tiers(object.remove("tiers"), state);
    let nodes = reader.texts("nodes", object.remove("nodes").unwrap_or_default());
    let variants = object.remove("variants");
    let variants = namespace
        .as_deref()
        .map(|namespace| reader.variants(variants, namespace));
    let named = object.remove("who");
    let who = who(named.as_ref().map(|who| who.as_str().unwrap_or_default()));
    let who = who.map_err(|problem| reader.refuse(&problem.field, problem.reason));
    let known = "`namespace`, `variants`, `include`, `exclude`, `tiers`, `nodes` and `who`";
    reader.0.refuse_rest("", &object, known);
    if include.is_empty() && reader.0.is_empty() {
        reader.refuse("include", "is empty; say what is to be warm");
    }
    let (Some(namespace), Some(variants), Ok(who)) = (namespace, variants, who) else {
        return reader.0.none_or(()).and(Err(Vec::new()));
    };
    let wish = WarmWish {
        namespace: namespace.name.clone(),
        variants,
        include,
        exclude,
        tiers,
        nodes,
    };
    reader.0.none_or((wish, who))
}

struct Reader(Problems);

impl Reader {
    fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        self.0.refuse(path, reason);
    }

    fn namespace(
        &mut self,
        value: Option<&Value>,
        state: &ApiState,
    ) -> Option<std::sync::Arc<Namespace>> {
        let name = match value {
            None | Some(Value::Null) => "products",
            Some(name) => name.as_str().unwrap_or_default(),
        };
        let namespace = state.cache.namespace(name).cloned();
        if namespace.is_none() {
            self.refuse("namespace", "is not the name of a namespace");
        }
        namespace
    }

    fn texts(&mut self, path: &str, value: Value) -> Vec<String> {
        let items = self.0.items(path, value, ITEMS_MAX).unwrap_or_default();
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) if !text.is_empty() && text.len() <= TEXT_MAX => {
                    texts.push(text);
                }
                _ => self.refuse(&format!("{path}[{index}]"), "is a text that is not empty"),
            }
        }
        texts
    }

    /// By default what the nodes share, and where there is no such tier, the disk.
    fn tiers(&mut self, value: Option<Value>, state: &ApiState) -> WarmTiers {
        let words = self.texts("tiers", value.unwrap_or_default());
        let mut tiers = WarmTiers::default();
        for word in &words {
            if !tiers.add(word) {
                self.refuse("tiers", format!("`{word}` is not `l1`, `l2` or `l3`"));
            }
        }
        if words.is_empty() {
            let has = state.cache.tiers();
            tiers = WarmTiers { l1: false, ..has };
        }
        tiers
    }

    fn variants(&mut self, value: Option<Value>, namespace: &Namespace) -> Vec<Variant> {
        let items = self
            .0
            .items("variants", value.unwrap_or_default(), ITEMS_MAX);
        let items = items.unwrap_or_default();
        if items.is_empty() {
            return vec![namespace.variants.default_variant().clone()];
        }
        let mut variants = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("variants[{index}]");
            let pairs = item.as_object().map(|object| {
                let pairs = object.iter();
                pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            });
            let Some(pairs) = pairs else {
                self.refuse(&path, "is an object such as {\"currency\": \"EUR\"}");
                continue;
            };
            match namespace.variants.resolve(pairs) {
                Ok(variant) if variants.contains(&variant) => {}
                Ok(variant) => variants.push(variant),
                Err(problems) => {
                    for problem in problems {
                        self.refuse(&format!("{path}.{}", problem.field), problem.reason);
                    }
                }
            }
        }
        variants
    }

    fn sources(&mut self, path: &str, value: Option<Value>) -> Vec<WarmSource> {
        let items = self.0.items(path, value.unwrap_or_default(), ITEMS_MAX);
        let mut sources = Vec::new();
        for (index, item) in items.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                Value::Object(object) => sources.extend(self.source(&path, object)),
                _ => self.refuse(&path, "is an object such as {\"ids\": [\"A-1\"]}"),
            }
        }
        sources
    }

    fn source(&mut self, path: &str, object: Map<String, Value>) -> Option<WarmSource> {
        let known = "has exactly one of `ids`, `category`, `where`, `everything` and `hot`";
        let mut fields = object.into_iter();
        let (Some((name, value)), None) = (fields.next(), fields.next()) else {
            self.refuse(path, known);
            return None;
        };
        let at = format!("{path}.{name}");
        match (&*name, value) {
            ("ids", value) => Some(WarmSource::Ids(self.ids(&at, value))),
            ("category", value) => {
                let names = self.texts(&at, value);
                if names.is_empty() {
                    self.refuse(&at, "is empty; name the category from the top down");
                }
                Some(WarmSource::Category(names))
            }
            ("where", Value::String(condition)) if condition.len() <= TEXT_MAX => {
                Some(WarmSource::Where(condition))
            }
            ("everything", Value::Bool(true)) => Some(WarmSource::Everything),
            ("hot", Value::Bool(true)) => Some(WarmSource::Hot),
            ("everything" | "hot", _) => {
                self.refuse(&at, "is `true`, or left out");
                None
            }
            ("where", _) => {
                let reason = format!("is a condition of at most {TEXT_MAX} bytes");
                self.refuse(&at, reason);
                None
            }
            _ => {
                self.refuse(path, known);
                None
            }
        }
    }

    fn ids(&mut self, path: &str, value: Value) -> Vec<Id> {
        let items = self.0.items(path, value, usize::MAX).unwrap_or_default();
        let mut ids = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match Id::new(item.as_str().unwrap_or_default()) {
                Ok(id) => ids.push(id),
                Err(problem) => self.refuse(&format!("{path}[{index}]"), problem.reason),
            }
        }
        ids
    }
}
