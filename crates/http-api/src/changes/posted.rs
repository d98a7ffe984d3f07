//! What is posted, read from JSON with every problem found at its path.

use hotshelf_model::{FieldProblem, Id, Namespace, NamespaceName, PostedChange, Version};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json_body::{self, Problems};
use crate::state::ApiState;

/// Most bumps: more than there can be namespaces.
const BUMPS_MAX: usize = 64;
/// What a database's number can hold.
const VERSION_MAX: u64 = i64::MAX as u64;

/// Changes, bumps, or both.
#[derive(ToSchema)]
#[schema(as = Changes)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct ChangesBody {
    /// What has changed; at most 10,000 unless configured otherwise.
    #[schema(example = json!([{"namespace": "cards", "id": "A-1", "version": 17}]))]
    changes: Option<Vec<ChangeBody>>,
    /// Namespaces of which every document has changed.
    bump: Option<Vec<String>>,
}

/// One change.
#[derive(ToSchema)]
#[schema(as = Change)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct ChangeBody {
    /// The namespace.
    namespace: String,
    /// The document's id.
    id: String,
    /// The document's version, in namespaces of kind `http` only and always: the number that the service gives, which grows with
    /// each change of the document.
    version: Option<u64>,
}

/// What is posted.
pub(crate) struct Posted {
    pub(super) changes: Vec<PostedChange>,
    pub(super) bumps: Vec<NamespaceName>,
}

impl Posted {
    pub(super) fn read(
        body: &[u8],
        changes_max: usize,
        state: &ApiState,
    ) -> Result<Self, Vec<FieldProblem>> {
        let example =
            "{\"changes\": [{\"namespace\": \"cards\", \"id\": \"A-1\", \"version\": 17}]}";
        let mut object = json_body::object(body, example)?;
        let mut reader = Reader {
            state,
            problems: Problems::default(),
        };
        let posted = Posted {
            changes: reader.changes(object.remove("changes"), changes_max),
            bumps: reader.bumps(object.remove("bump")),
        };
        let Reader { mut problems, .. } = reader;
        problems.refuse_rest("", &object, "`changes` and `bump`");
        if posted.changes.is_empty() && posted.bumps.is_empty() && problems.is_empty() {
            let reason = "is empty, and so is `bump`; say what has changed";
            problems.refuse("changes", reason);
        }
        problems.none_or(posted)
    }
}

struct Reader<'a> {
    state: &'a ApiState,
    problems: Problems,
}

impl Reader<'_> {
    fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        self.problems.refuse(path, reason);
    }

    fn items(&mut self, path: &str, value: Option<Value>, items_max: usize) -> Vec<Value> {
        let items = self
            .problems
            .items(path, value.unwrap_or_default(), items_max);
        items.unwrap_or_default()
    }

    fn changes(&mut self, value: Option<Value>, changes_max: usize) -> Vec<PostedChange> {
        let items = self.items("changes", value, changes_max);
        let mut changes = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("changes[{index}]");
            match item {
                Value::Object(object) => changes.extend(self.change(&path, object)),
                _ => self.refuse(&path, "must be an object with `namespace` and `id`"),
            }
        }
        changes
    }

    fn change(&mut self, path: &str, mut object: Map<String, Value>) -> Option<PostedChange> {
        let namespace = object.remove("namespace").unwrap_or_default();
        let namespace = self.namespace(&format!("{path}.namespace"), &namespace);
        let id = self.id(&format!("{path}.id"), object.remove("id"));
        let version = object
            .remove("version")
            .filter(|version| !version.is_null());
        let known = "`namespace`, `id` and `version`";
        self.problems
            .refuse_rest(&format!("{path}."), &object, known);
        let (namespace, id) = (namespace?, id?);
        let version = self.version(&format!("{path}.version"), &namespace, version)?;
        Some(PostedChange {
            namespace: namespace.name.clone(),
            id,
            version,
        })
    }

    fn namespace(&mut self, path: &str, value: &Value) -> Option<std::sync::Arc<Namespace>> {
        let name = value.as_str().unwrap_or_default();
        match self.state.cache.namespace(name) {
            Some(namespace) => return Some(std::sync::Arc::clone(namespace)),
            None => self.refuse(path, "is not the name of a namespace"),
        }
        None
    }

    fn id(&mut self, path: &str, value: Option<Value>) -> Option<Id> {
        let Some(Value::String(id)) = value else {
            self.refuse(path, "is needed, and is text");
            return None;
        };
        Id::new(&id)
            .map_err(|problem| self.refuse(path, problem.reason))
            .ok()
    }

    /// Who gives a namespace's versions decides whether a change has one.
    #[expect(
        clippy::option_option,
        reason = "a problem, no version, and a version are three things"
    )]
    fn version(
        &mut self,
        path: &str,
        namespace: &Namespace,
        value: Option<Value>,
    ) -> Option<Option<Version>> {
        let outside = self
            .state
            .writing
            .versioned_outside
            .contains(&namespace.name);
        match value {
            None if outside => {
                self.refuse(
                    path,
                    "is needed: the namespace's service gives its versions",
                );
            }
            None if !namespace.tracked => {
                let reason =
                    "no change of this namespace is recorded; set its `tracked = true`, or bump it";
                self.refuse(path, reason);
            }
            None => return Some(None),
            Some(_) if !outside => {
                self.refuse(
                    path,
                    "is given by the database in this namespace; leave it out",
                );
            }
            Some(version) => match version.as_u64().filter(|version| *version <= VERSION_MAX) {
                Some(version) => return Some(Some(Version(version))),
                None => self.refuse(
                    path,
                    format!("must be a whole number from 0 to {VERSION_MAX}"),
                ),
            },
        }
        None
    }

    fn bumps(&mut self, value: Option<Value>) -> Vec<NamespaceName> {
        let items = self.items("bump", value, BUMPS_MAX);
        let mut bumps = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let namespace = self.namespace(&format!("bump[{index}]"), item);
            bumps.extend(namespace.map(|namespace| namespace.name.clone()));
        }
        bumps
    }
}
