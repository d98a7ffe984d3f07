//! What the engine relies on in every origin, and in the change log of those that have one.

mod log;

use std::collections::HashSet;
use std::time::Duration;

use hotshelf_model::{
    BoxFuture, ChangeLog, DbTime, ErrorKind, Fetch, FetchRequest, FetchedDocument, Head, Id,
    NamespaceName, Origin, Parents, Variant, Version,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::odd_ids::odd_ids;
use crate::names::{id, namespace, random};

const BATCH: usize = 200;
const CHANGES: usize = 30;
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Writes to an origin as its owner does, so that the suite can see what reads make of it.
pub trait ProductWriter: Sync {
    /// Creates the product, or changes it, so that its document contains `text` (a few ASCII letters, digits and hyphens).
    /// Writing what is there already must write the same values again.
    fn put<'a>(&'a self, id: &'a Id, text: &'a str) -> BoxFuture<'a, ()>;

    /// Deletes the product.
    fn delete<'a>(&'a self, id: &'a Id) -> BoxFuture<'a, ()>;
}

/// An origin with all that the suite needs to try it.
#[expect(
    missing_debug_implementations,
    reason = "a writer is a test's own, and need not be printed"
)]
#[derive(Clone, Copy)]
pub struct OriginSubject<'a> {
    /// The origin.
    pub origin: &'a dyn Origin,
    /// Its change log, if it has one.
    pub log: Option<&'a dyn ChangeLog>,
    /// A namespace that it serves.
    pub namespace: &'a NamespaceName,
    /// A variant that this namespace has.
    pub variant: &'a Variant,
    /// Writes to that namespace.
    pub writer: &'a dyn ProductWriter,
}

/// Runs the suite. Every run uses ids that no earlier one used, besides a fixed set of odd ones.
///
/// # Panics
/// When the origin does not keep the contract of [`Origin`], or its log that of [`ChangeLog`].
pub async fn origin(subject: OriginSubject<'_>) {
    let reader = Reader {
        subject,
        newest: Mutex::new(None),
    };
    what_never_existed_is_absent_without_a_version(&reader).await;
    a_version_grows_with_every_change_and_survives_a_deletion(&reader).await;
    a_write_that_changes_nothing_keeps_the_version(&reader).await;
    a_batch_is_answered_in_its_order(&reader).await;
    odd_ids_are_told_apart(&reader).await;
    a_time_can_be_asked_for(&reader).await;
    nothing_gives_nothing(&reader).await;
    an_unknown_namespace_is_refused(&reader).await;
    version_and_document_are_of_one_snapshot(&reader).await;
    log::a_change_gets_a_position(&reader).await;
}

/// Reads from the subject, and checks with each read what holds for all reads.
struct Reader<'a> {
    subject: OriginSubject<'a>,
    newest: Mutex<Option<Head>>,
}

impl Reader<'_> {
    async fn fetch(&self, ids: &[Id]) -> Vec<FetchedDocument> {
        self.fetch_as_of(ids, None).await
    }

    #[expect(clippy::panic, reason = "a suite fails by panicking")]
    async fn fetch_as_of(&self, ids: &[Id], as_of: Option<DbTime>) -> Vec<FetchedDocument> {
        let request = FetchRequest {
            namespace: self.subject.namespace,
            variant: self.subject.variant,
            ids,
            as_of,
        };
        let Fetch {
            head,
            parents,
            documents,
        } = match self.subject.origin.fetch_many(request).await {
            Ok(fetch) => fetch,
            Err(error) => panic!("fetching {} ids: {error:?}", ids.len()),
        };
        assert_eq!(documents.len(), ids.len(), "each id has one result");
        if let Some(head) = head {
            self.check_head(head);
        }
        let documents: Result<Vec<_>, _> = documents.into_iter().collect();
        let documents = match documents {
            Ok(documents) => documents,
            Err(error) => panic!("fetching one of {} ids: {error:?}", ids.len()),
        };
        self.check_versions(ids, &parents, &documents).await;
        documents
    }

    async fn fetch_one(&self, id: &Id) -> FetchedDocument {
        self.fetch(std::slice::from_ref(id)).await.remove(0)
    }

    /// Nobody else writes while the suite compares, so versions asked for alone are those of the documents; later ones, when
    /// the suite itself writes meanwhile.
    #[expect(clippy::panic, reason = "a suite fails by panicking")]
    async fn check_versions(&self, ids: &[Id], parents: &Parents, documents: &[FetchedDocument]) {
        let versions = match self
            .subject
            .origin
            .versions(self.subject.namespace, ids)
            .await
        {
            Ok(Some(versions)) => versions,
            Ok(None) => return,
            Err(error) => panic!("reading {} versions: {error:?}", ids.len()),
        };
        self.check_head(versions.head);
        assert_eq!(
            &versions.parents, parents,
            "versions have the parents of a fetch"
        );
        assert_eq!(
            versions.versions.len(),
            ids.len(),
            "each id has one version"
        );
        for ((id, document), version) in ids.iter().zip(documents).zip(versions.versions) {
            assert!(
                version >= document.version,
                "the version of `{id}` does not go back: {version:?}"
            );
        }
    }

    /// Asks for versions alone and expects exactly those.
    async fn expect_versions(&self, ids: &[Id], expected: &[Version]) {
        let versions = self
            .subject
            .origin
            .versions(self.subject.namespace, ids)
            .await;
        if let Ok(Some(versions)) = versions {
            assert_eq!(
                versions.versions, expected,
                "versions alone are those of the documents"
            );
        }
    }

    fn check_head(&self, head: Head) {
        let mut newest = self.newest.lock();
        if let Some(newest) = *newest {
            assert_eq!(head.hist, newest.hist, "the history does not change");
            assert!(
                head.timeline >= newest.timeline,
                "the timeline does not go back"
            );
            assert!(
                head.position >= newest.position,
                "the position does not go back"
            );
        }
        *newest = Some(head);
    }

    async fn put(&self, id: &Id, text: &str) {
        self.subject.writer.put(id, text).await;
    }
}

fn contains(document: &FetchedDocument, text: &str) -> bool {
    let body = document.body.as_deref().unwrap_or_default();
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Ids with a random part, so that the suite can run again on the same database.
fn fresh_ids(count: usize) -> Vec<Id> {
    let run = random();
    (0..count)
        .map(|number| id(&format!("{run:x}-{number}")))
        .collect()
}

fn fresh_id() -> Id {
    id(&format!("{:x}", random()))
}

async fn what_never_existed_is_absent_without_a_version(reader: &Reader<'_>) {
    let document = reader.fetch_one(&fresh_id()).await;
    assert_eq!(
        document.version,
        Version::NONE,
        "what never existed has no version"
    );
    assert_eq!(document.body, None, "what never existed is absent");
}

async fn a_version_grows_with_every_change_and_survives_a_deletion(reader: &Reader<'_>) {
    let id = fresh_id();
    reader.put(&id, "first-text").await;
    let first = reader.fetch_one(&id).await;
    assert!(first.version > Version::NONE, "what exists has a version");
    assert!(
        contains(&first, "first-text"),
        "the document is what was written"
    );

    reader.put(&id, "second-text").await;
    let second = reader.fetch_one(&id).await;
    assert!(
        second.version > first.version,
        "a change makes a greater version"
    );
    assert!(
        contains(&second, "second-text"),
        "the document is what was written last"
    );

    reader.subject.writer.delete(&id).await;
    let deleted = reader.fetch_one(&id).await;
    assert_eq!(deleted.body, None, "what is deleted is absent");
    assert!(
        deleted.version > second.version,
        "a deletion makes a greater version"
    );

    reader.put(&id, "second-text").await;
    let again = reader.fetch_one(&id).await;
    assert!(
        contains(&again, "second-text"),
        "what is created again is there"
    );
    assert!(
        again.version > deleted.version,
        "a version survives the deletion and goes on from there"
    );
    reader.expect_versions(&[id], &[again.version]).await;
}

async fn a_write_that_changes_nothing_keeps_the_version(reader: &Reader<'_>) {
    let id = fresh_id();
    reader.put(&id, "same-text").await;
    let before = reader.fetch_one(&id).await;
    reader.put(&id, "same-text").await;
    let after = reader.fetch_one(&id).await;
    assert_eq!(
        after, before,
        "a write that changes nothing changes neither version nor document"
    );
    reader.subject.writer.delete(&fresh_id()).await;
}

async fn a_batch_is_answered_in_its_order(reader: &Reader<'_>) {
    let ids = fresh_ids(BATCH);
    let text = |number: usize| format!("text-{number}-");
    for (number, id) in ids.iter().enumerate().filter(|(number, _)| number % 3 < 2) {
        reader.put(id, &text(number)).await;
    }
    for (_, id) in ids.iter().enumerate().filter(|(number, _)| number % 3 == 1) {
        reader.subject.writer.delete(id).await;
    }
    let order: Vec<usize> = (0..BATCH).map(|number| number * 67 % BATCH).collect();
    let asked: Vec<Id> = order.iter().map(|&number| ids[number].clone()).collect();
    let documents = reader.fetch(&asked).await;
    for (&number, document) in order.iter().zip(&documents) {
        let expected = match number % 3 {
            0 => contains(document, &text(number)),
            1 => document.body.is_none() && document.version > Version::NONE,
            _ => document.body.is_none() && document.version == Version::NONE,
        };
        assert!(
            expected,
            "number {number} of a batch in disorder is answered with {document:?}"
        );
    }
    let versions: Vec<Version> = documents.iter().map(|document| document.version).collect();
    let different: HashSet<Version> = versions.iter().copied().collect();
    assert!(different.len() > 1, "products have versions of their own");
    reader.expect_versions(&asked, &versions).await;
}

async fn odd_ids_are_told_apart(reader: &Reader<'_>) {
    let ids: Vec<Id> = odd_ids().iter().map(|text| id(text)).collect();
    let run = random();
    let text = |number: usize| format!("odd-{run:x}-{number}-");
    for (number, id) in ids.iter().enumerate() {
        reader.put(id, &text(number)).await;
    }
    let documents = reader.fetch(&ids).await;
    for (number, (id, document)) in ids.iter().zip(&documents).enumerate() {
        assert!(
            contains(document, &text(number)),
            "the odd id `{id}` has its own document: {document:?}"
        );
    }
}

async fn a_time_can_be_asked_for(reader: &Reader<'_>) {
    let id = fresh_id();
    reader.put(&id, "timeless-text").await;
    let now = reader.fetch_one(&id).await;
    for (when, as_of) in [
        ("a past", DbTime(1)),
        ("a later", DbTime(4_000_000_000_000)),
    ] {
        let then = reader
            .fetch_as_of(std::slice::from_ref(&id), Some(as_of))
            .await
            .remove(0);
        assert!(
            contains(&then, "timeless-text"),
            "{when} time can be asked for"
        );
        assert_eq!(
            then.version, now.version,
            "{when} time has the version of now"
        );
    }
}

async fn nothing_gives_nothing(reader: &Reader<'_>) {
    assert!(reader.fetch(&[]).await.is_empty(), "no ids, no documents");
}

async fn an_unknown_namespace_is_refused(reader: &Reader<'_>) {
    let unknown = namespace("no_such_namespace");
    let request = FetchRequest {
        namespace: &unknown,
        variant: reader.subject.variant,
        ids: &[fresh_id()],
        as_of: None,
    };
    let fetch = reader.subject.origin.fetch_many(request).await;
    let kind = fetch.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::UnknownNamespace),
        "an unknown namespace is refused"
    );
}

/// Reads while the product changes. A version that is seen with two documents, or a document with two versions, was read from
/// a torn snapshot. Between two changes lie at least two reads, so that every version is met more than once.
async fn version_and_document_are_of_one_snapshot(reader: &Reader<'_>) {
    let id = fresh_id();
    reader.put(&id, "change-0-").await;
    let (reads, mut reads_done) = watch::channel(0);
    let (changes, changes_done) = watch::channel(0);
    let write = async {
        for number in 1..=CHANGES {
            let enough = *reads_done.borrow() + 2;
            reads_done.wait_for(|&reads| reads >= enough).await.ok();
            // Changes come at different moments of the read that has begun meanwhile.
            for _ in 0..number % 8 {
                tokio::task::yield_now().await;
            }
            reader.put(&id, &format!("change-{number}-")).await;
            changes.send_replace(number);
        }
    };
    let read = async {
        let mut seen = Vec::new();
        while *changes_done.borrow() < CHANGES {
            seen.push(reader.fetch_one(&id).await);
            reads.send_modify(|reads| *reads += 1);
            tokio::task::yield_now().await;
        }
        seen
    };
    let ((), mut seen) = tokio::join!(write, read);
    seen.push(reader.fetch_one(&id).await);
    let last = seen
        .last()
        .is_some_and(|last| contains(last, &format!("change-{CHANGES}-")));
    assert!(last, "the last change is there");
    for pair in seen.windows(2) {
        let (earlier, later) = (&pair[0], &pair[1]);
        assert!(
            later.version >= earlier.version,
            "the version does not go back while the product changes"
        );
        let (same_version, same_body) =
            (later.version == earlier.version, later.body == earlier.body);
        assert_eq!(
            same_version, same_body,
            "version and document change together: {earlier:?}, {later:?}"
        );
    }
}

#[cfg(test)]
mod tests;
