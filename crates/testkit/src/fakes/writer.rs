//! A writer over the fake database: keeps titles, compares versions, and fails or waits when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotshelf_model::{
    BoxFuture, ChangeRecorder, Error, ErrorKind, Id, NamespaceName, PostedChange, ProductChange,
    ProductFields, ProductWrite, ProductWriter, Recorded, Version, WriteEffect, WriteOutcome,
};
use parking_lot::Mutex;

use super::{FakeOrigin, Gate};

#[derive(Debug, Default)]
struct State {
    /// Each product's version, and its title while it is there.
    products: BTreeMap<Id, (Version, Option<String>)>,
    writes: Vec<ProductWrite>,
    posted: Vec<PostedChange>,
    fails: Option<ErrorKind>,
}

/// A fake of the database as [`ProductWriter`] and as [`ChangeRecorder`]. Its documents are `{"id":"...","title":"..."}`.
#[derive(Debug)]
pub struct FakeWriter {
    /// Holds writes before they are made.
    pub writes: Gate,
    origin: Arc<FakeOrigin>,
    state: Mutex<State>,
}

impl FakeWriter {
    /// A writer into this database, of which it knows only what it writes itself.
    pub fn new(origin: Arc<FakeOrigin>) -> Self {
        FakeWriter {
            writes: Gate::default(),
            origin,
            state: Mutex::default(),
        }
    }

    /// Everything fails from now on.
    pub fn fail(&self, kind: ErrorKind) {
        self.state.lock().fails = Some(kind);
    }

    /// The writes that it was asked for.
    pub fn asked(&self) -> Vec<ProductWrite> {
        self.state.lock().writes.clone()
    }

    /// The changes that were posted.
    pub fn posted(&self) -> Vec<PostedChange> {
        self.state.lock().posted.clone()
    }

    fn apply(&self, write: &ProductWrite) -> Result<WriteOutcome, Error> {
        let mut state = self.state.lock();
        state.writes.push(write.clone());
        if let Some(kind) = state.fails {
            return Err(Error::new(kind, "writing as the test wants it"));
        }
        let held = state.products.get(&write.id).cloned();
        let (current, title) = held.unwrap_or((Version::NONE, None));
        let met = write.if_version.is_none_or(|wanted| match wanted {
            Version::NONE => title.is_none(),
            wanted => wanted == current,
        });
        if !met {
            return Ok(WriteOutcome::VersionMismatch { current });
        }
        let id = write.id.as_str();
        let (written, version) = match (&write.change, &title) {
            (ProductChange::Patch(_) | ProductChange::Delete, None) => {
                return Ok(WriteOutcome::NotFound { version: current });
            }
            (ProductChange::Put(fields) | ProductChange::Patch(fields), _) => {
                let written = new_title(fields, title.as_deref());
                let document = format!(r#"{{"id":"{id}","title":"{written}"}}"#);
                (Some(written), self.origin.put(id, document))
            }
            (ProductChange::Delete, Some(_)) => (None, self.origin.remove(id)),
        };
        let effect = match (&title, &written) {
            (None, _) => WriteEffect::Created,
            (Some(_), None) => WriteEffect::Deleted,
            (Some(_), Some(_)) if version == current => WriteEffect::Unchanged,
            (Some(_), Some(_)) => WriteEffect::Updated,
        };
        state.products.insert(write.id.clone(), (version, written));
        Ok(WriteOutcome::Written { version, effect })
    }
}

fn new_title(fields: &ProductFields, held: Option<&str>) -> String {
    let given = fields.title.as_deref();
    given.or(held).unwrap_or_default().to_owned()
}

impl ProductWriter for FakeWriter {
    fn write<'a>(&'a self, write: &'a ProductWrite) -> BoxFuture<'a, Result<WriteOutcome, Error>> {
        Box::pin(async {
            self.writes.pass().await;
            self.apply(write)
        })
    }
}

impl ChangeRecorder for FakeWriter {
    fn record<'a>(
        &'a self,
        changes: &'a [PostedChange],
        bumps: &'a [NamespaceName],
    ) -> BoxFuture<'a, Result<Recorded, Error>> {
        Box::pin(async {
            let mut state = self.state.lock();
            if let Some(kind) = state.fails {
                return Err(Error::new(kind, "recording as the test wants it"));
            }
            state.posted.extend_from_slice(changes);
            let given = |change: &PostedChange| change.version.unwrap_or(Version(1));
            Ok(Recorded {
                changes: changes.iter().map(given).collect(),
                bumps: bumps.iter().map(|name| self.origin.bump(name)).collect(),
            })
        })
    }
}
