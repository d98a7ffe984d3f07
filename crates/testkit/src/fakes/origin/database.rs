//! The state of a fake origin: products with versions, parents, and the change log.

use std::collections::HashMap;

use bytes::Bytes;
use hotshelf_model::{
    DbTime, Error, ErrorKind, FetchRequest, FetchedDocument, Head, Hist, Id, NamespaceName, Parent,
    Parents, Record, Variant, Version,
};

use super::log::{Change, Log};
use crate::names::{id, products};

const VERSIONS_MAX: usize = 512;
const SEQUENCE_BITS: u32 = 40;

/// A document and the time for which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: DbTime,
    pub(super) until: Option<DbTime>,
    pub(super) body: Bytes,
}

impl Span {
    pub(super) fn always(body: Bytes) -> Self {
        Span {
            from: DbTime(0),
            until: None,
            body,
        }
    }
}

/// A product that exists or did exist. Its course is in the order of time, and empty when it was deleted.
#[derive(Debug)]
pub(super) struct Product {
    version: Version,
    course: Vec<Span>,
}

impl Product {
    fn document(&self, at: DbTime, variant: &Variant) -> FetchedDocument {
        let begun = self.course.partition_point(|span| span.from <= at);
        let span = begun.checked_sub(1).map(|index| &self.course[index]);
        let next = self.course.get(begun).map(|span| span.from);
        let until = span.and_then(|span| span.until).filter(|&until| until > at);
        FetchedDocument {
            version: self.version,
            body: span.map(|span| with_variant(&span.body, variant)),
            valid_until: [next, until].into_iter().flatten().min(),
        }
    }
}

fn with_variant(body: &Bytes, variant: &Variant) -> Bytes {
    match std::str::from_utf8(body) {
        Ok(text) if text.contains("{variant}") => {
            text.replace("{variant}", variant.as_str()).into()
        }
        Ok(_) | Err(_) => body.clone(),
    }
}

/// What was there before a change.
#[derive(Debug)]
pub(super) enum Undo {
    Product((NamespaceName, Id), Option<Product>),
    Parent(NamespaceName, Version),
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) hist: Hist,
    pub(super) log: Log,
    sequence: u64,
    parents: HashMap<NamespaceName, Version>,
    products: HashMap<(NamespaceName, Id), Product>,
}

impl Database {
    pub(super) fn new(hist: Hist) -> Self {
        Database {
            hist,
            log: Log::default(),
            sequence: 0,
            parents: HashMap::new(),
            products: HashMap::new(),
        }
    }

    pub(super) fn add_namespace(&mut self, namespace: &NamespaceName) {
        self.parents.entry(namespace.clone()).or_default();
    }

    /// Gives a product its course from now on.
    pub(super) fn change(
        &mut self,
        namespace: &NamespaceName,
        id: &Id,
        course: Vec<Span>,
    ) -> Version {
        let slot = (namespace.clone(), id.clone());
        match self.products.get(&slot) {
            Some(product) if product.course == course => return product.version,
            None if course.is_empty() => return Version::NONE,
            Some(_) | None => {}
        }
        let version = self.next_version();
        let product = Product { version, course };
        let before = self.products.insert(slot.clone(), product);
        let record = Record::Key {
            namespace: namespace.clone(),
            id: id.clone(),
            version,
        };
        let undo = Undo::Product(slot, before);
        self.log.commit(Change { record, undo });
        version
    }

    pub(super) fn bump(&mut self, namespace: &NamespaceName) -> Version {
        let version = self.next_version();
        let before = self.parents.insert(namespace.clone(), version);
        let record = Record::Parent {
            namespace: namespace.clone(),
            version,
        };
        let undo = Undo::Parent(namespace.clone(), before.unwrap_or_default());
        self.log.commit(Change { record, undo });
        version
    }

    /// Moves to the next timeline. `losing` rows of the log are lost, with the changes that they record.
    pub(super) fn fail_over(&mut self, losing: Option<usize>) {
        if let Some(rows) = losing {
            self.restore(rows);
        }
        self.log.open_timeline();
    }

    /// Takes back the last rows of the log, and what has no position.
    pub(super) fn restore(&mut self, rows: usize) {
        for undo in self.log.lose(rows) {
            match undo {
                Undo::Product(slot, Some(product)) => {
                    self.products.insert(slot, product);
                }
                Undo::Product(slot, None) => {
                    self.products.remove(&slot);
                }
                Undo::Parent(namespace, version) => {
                    self.parents.insert(namespace, version);
                }
            }
        }
    }

    /// Takes them back, and writes more than there was.
    pub(super) fn restore_and_write(&mut self, rows: usize) {
        self.restore(rows);
        for write in 0..=rows {
            let course = vec![Span::always(format!("since the restore {write}").into())];
            self.change(&products(), &id("written since the restore"), course);
        }
    }

    /// Takes them back, and becomes another history.
    pub(super) fn restore_as(&mut self, hist: Hist, rows: usize) {
        self.restore(rows);
        self.hist = hist;
    }

    pub(super) fn head(&self, now: DbTime, primary: bool) -> Head {
        let (timeline, position, _) = self.log.head();
        Head {
            hist: self.hist,
            timeline,
            position,
            now,
            primary,
        }
    }

    pub(super) fn version_max(&self) -> Version {
        let (timeline, ..) = self.log.head();
        Version(u64::from(timeline.0) << SEQUENCE_BITS | self.sequence)
    }

    pub(super) fn fetch(
        &self,
        request: FetchRequest<'_>,
        now: DbTime,
    ) -> Result<(Parents, Vec<Result<FetchedDocument, Error>>), Error> {
        let parents = self.parents(request.namespace)?;
        let at = request.as_of.map_or(now, |as_of| as_of.max(now));
        let never = FetchedDocument {
            version: Version::NONE,
            body: None,
            valid_until: None,
        };
        let document = |id: &Id| {
            let product = self.products.get(&(request.namespace.clone(), id.clone()));
            product.map_or_else(
                || never.clone(),
                |product| product.document(at, request.variant),
            )
        };
        Ok((parents, request.ids.iter().map(document).map(Ok).collect()))
    }

    pub(super) fn versions(
        &self,
        namespace: &NamespaceName,
        ids: &[Id],
    ) -> Result<(Parents, Vec<Version>), Error> {
        let parents = self.parents(namespace)?;
        if ids.len() > VERSIONS_MAX {
            let context = format!(
                "reading versions of {} ids; at most {VERSIONS_MAX} at once",
                ids.len()
            );
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        let version = |id: &Id| {
            let product = self.products.get(&(namespace.clone(), id.clone()));
            product.map_or(Version::NONE, |product| product.version)
        };
        Ok((parents, ids.iter().map(version).collect()))
    }

    fn parents(&self, namespace: &NamespaceName) -> Result<Parents, Error> {
        let unknown = || {
            let context = format!(
                "fetching from namespace `{namespace}`, which the fake origin does not serve"
            );
            Error::new(ErrorKind::UnknownNamespace, context)
        };
        let version = self.parents.get(namespace).copied().ok_or_else(unknown)?;
        Ok(Parents::new(&[Parent::namespace(namespace, version)]).unwrap_or_default())
    }

    fn next_version(&mut self) -> Version {
        self.sequence += 1;
        self.version_max()
    }
}
