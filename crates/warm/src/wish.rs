//! What somebody wants to be warm, and the ids that this comes to.

use std::collections::HashSet;

use hotshelf_model::{Error, ErrorKind, Id, NamespaceName, Selection, Variant, WarmTiers};

use crate::warmer::Warmer;

/// Where ids come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarmSource {
    /// These.
    Ids(Vec<Id>),
    /// The products of a category and below it, of hotshelf's own tables: the names from the top down.
    Category(Vec<String>),
    /// The products for which a condition in SQL holds, of hotshelf's own tables.
    Where(String),
    /// Every product of hotshelf's own tables.
    Everything,
    /// What is hot on the node that is asked.
    Hot,
}

/// What is to be warm.
#[derive(Clone, Debug)]
pub struct WarmWish {
    /// The namespace of the ids.
    pub namespace: NamespaceName,
    /// The variants of each, at least one.
    pub variants: Vec<Variant>,
    /// The ids of all these, in this order.
    pub include: Vec<WarmSource>,
    /// Without those of these.
    pub exclude: Vec<WarmSource>,
    /// The tiers to fill.
    pub tiers: WarmTiers,
    /// The names of the nodes whose own tiers are filled; all when empty.
    pub nodes: Vec<String>,
}

impl WarmWish {
    /// Where the ids come from, in words.
    pub fn words(&self) -> String {
        let words = |sources: &[WarmSource]| {
            let words: Vec<String> = sources.iter().map(WarmSource::words).collect();
            words.join(" + ")
        };
        match self.exclude.is_empty() {
            true => words(&self.include),
            false => format!("{} without {}", words(&self.include), words(&self.exclude)),
        }
    }
}

impl WarmSource {
    fn words(&self) -> String {
        match self {
            WarmSource::Ids(ids) => format!("{} ids", ids.len()),
            WarmSource::Category(path) => format!("category {}", path.join("/")),
            WarmSource::Where(condition) => format!("where {condition}"),
            WarmSource::Everything => "everything".to_owned(),
            WarmSource::Hot => "the hot set".to_owned(),
        }
    }
}

impl Warmer {
    /// The ids of a wish, each once, in the order of its sources.
    pub(crate) async fn resolve(&self, wish: &WarmWish) -> Result<Vec<Id>, Error> {
        let ids_max = self.parts().settings.ids_max;
        let mut seen: HashSet<Id> = HashSet::new();
        for source in &wish.exclude {
            seen.extend(self.ids_of(&wish.namespace, source).await?);
        }
        let mut ids = Vec::new();
        for source in &wish.include {
            for id in self.ids_of(&wish.namespace, source).await? {
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
        }
        if ids.len() > ids_max {
            return Err(too_many(ids_max));
        }
        if ids.is_empty() {
            let context = format!("{} comes to no id", wish.words());
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        Ok(ids)
    }

    async fn ids_of(
        &self,
        namespace: &NamespaceName,
        source: &WarmSource,
    ) -> Result<Vec<Id>, Error> {
        let selection = match source {
            WarmSource::Ids(ids) => return Ok(ids.clone()),
            WarmSource::Hot => {
                let hot = self.parts().cache.hot_keys().into_iter();
                let own = hot.filter(|hot| hot.key.namespace() == namespace.as_str());
                return Ok(own.filter_map(|hot| Id::new(hot.key.id()).ok()).collect());
            }
            WarmSource::Category(path) => Selection::Category(path),
            WarmSource::Where(condition) => Selection::Where(condition),
            WarmSource::Everything => Selection::Everything,
        };
        let Some(finder) = self.parts().finders.get(namespace) else {
            let context = format!(
                "only ids, files, logs and the hot set can be warmed of namespace `{namespace}`: its documents are not of hotshelf's own tables"
            );
            return Err(Error::new(ErrorKind::Invalid, context));
        };
        // One more than is allowed, to know that there are more.
        let ids_max = self.parts().settings.ids_max;
        let ids = finder.select(selection, ids_max.saturating_add(1)).await?;
        match ids.len() > ids_max {
            true => Err(too_many(ids_max)),
            false => Ok(ids),
        }
    }
}

fn too_many(ids_max: usize) -> Error {
    let context = format!("there are more than {ids_max} ids; `warm.ids_max` allows no more");
    Error::new(ErrorKind::Invalid, context)
}
