//! The origin suite passes on the fake and fails on wrong origins.

use hotshelf_model::{Error, Versions};

use super::*;
use crate::FakeOrigin;
use crate::names::products;

/// What a wrong origin does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Reversed,
    ForgetsVersions,
    CountsUnchangedWrites,
    IgnoresCase,
    KeepsDeleted,
    ServesAnything,
    TornSnapshot,
    VersionsBehind,
}

#[derive(Debug)]
struct Subject {
    fault: Fault,
    inner: FakeOrigin,
    writes: Mutex<u64>,
}

impl Subject {
    fn new(fault: Fault, inner: FakeOrigin) -> Self {
        Subject {
            fault,
            inner,
            writes: Mutex::new(0),
        }
    }

    fn id(&self, id: &Id) -> String {
        match self.fault {
            Fault::IgnoresCase => id.as_str().to_lowercase(),
            _ => id.as_str().to_owned(),
        }
    }

    async fn fetch(&self, mut request: FetchRequest<'_>) -> Result<Fetch, Error> {
        let mut ids: Vec<Id> = request
            .ids
            .iter()
            .map(|id| crate::names::id(&self.id(id)))
            .collect();
        if self.fault == Fault::Reversed {
            ids.reverse();
        }
        let products = products();
        if self.fault == Fault::ServesAnything {
            request.namespace = &products;
        }
        let mut fetch = self
            .inner
            .fetch_many(FetchRequest {
                ids: &ids,
                ..request
            })
            .await?;
        if self.fault == Fault::TornSnapshot {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let later = self
                .inner
                .fetch_many(FetchRequest {
                    ids: &ids,
                    ..request
                })
                .await?;
            for (document, later) in fetch.documents.iter_mut().flatten().zip(later.documents) {
                document.body = later?.body;
            }
        }
        for document in fetch.documents.iter_mut().flatten() {
            if self.fault == Fault::ForgetsVersions && document.body.is_none() {
                document.version = Version::NONE;
            }
        }
        Ok(fetch)
    }
}

impl Origin for Subject {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        Box::pin(self.fetch(request))
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(async move {
            let mut versions = self.inner.versions(namespace, ids).await?;
            if self.fault == Fault::VersionsBehind {
                for version in versions
                    .iter_mut()
                    .flat_map(|versions| &mut versions.versions)
                {
                    version.0 = version.0.saturating_sub(1);
                }
            }
            Ok(versions)
        })
    }
}

impl ProductWriter for Subject {
    fn put<'a>(&'a self, id: &'a Id, text: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut body = format!("{{\"title\":\"{text}\"}}");
            if self.fault == Fault::CountsUnchangedWrites {
                *self.writes.lock() += 1;
                body.push_str(&self.writes.lock().to_string());
            }
            self.inner.put(&self.id(id), body);
            tokio::task::yield_now().await;
        })
    }

    fn delete<'a>(&'a self, id: &'a Id) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.fault != Fault::KeepsDeleted {
                self.inner.remove(&self.id(id));
            }
        })
    }
}

async fn run(subject: &Subject, has_log: bool) {
    let log: &dyn ChangeLog = &subject.inner;
    let checked = OriginSubject {
        origin: subject,
        log: has_log.then_some(log),
        namespace: &products(),
        variant: &Variant::default(),
        writer: subject,
    };
    origin(checked).await;
}

#[tokio::test]
async fn the_fake_origin_passes_with_and_without_a_log_and_a_second_time() {
    let subject = Subject::new(Fault::None, FakeOrigin::new());
    run(&subject, true).await;
    run(&subject, true).await;
    let logless = Subject::new(Fault::None, FakeOrigin::new().without_log());
    run(&logless, false).await;
}

#[tokio::test]
async fn every_wrong_origin_is_found_out() {
    let faults = [
        Fault::Reversed,
        Fault::ForgetsVersions,
        Fault::CountsUnchangedWrites,
        Fault::IgnoresCase,
        Fault::KeepsDeleted,
        Fault::ServesAnything,
        Fault::TornSnapshot,
        Fault::VersionsBehind,
    ];
    let here = tokio::task::LocalSet::new();
    for fault in faults {
        let subject = Subject::new(fault, FakeOrigin::new());
        let run = here.spawn_local(async move { run(&subject, true).await });
        let found = here.run_until(run).await.is_err();
        assert!(found, "{fault:?} was not found out");
    }
}
