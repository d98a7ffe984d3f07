//! The database as one node sees it: over a line, and with the node's fetches on record.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{
    BoxFuture, ChangeLog, ClusterLeases, Error, ErrorKind, Fetch as Fetched, FetchRequest, Hist,
    Id, LeaseToken, LogRead, LogRow, NamespaceName, Origin, Poll, Position, Versions,
};
use hotshelf_sim::Fetch;
use hotshelf_testkit::FakeOrigin;

use crate::document;
use crate::line::{Broken, Line};
use crate::plan::Rule;
use crate::record::Record;

/// With the rule that skips records, every so many rows have lost theirs.
const SKIPPED: u64 = 20;

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) origin: Arc<FakeOrigin>,
    pub(crate) line: Arc<Line>,
    pub(crate) record: Arc<Record>,
    pub(crate) node: u32,
    pub(crate) broken: Option<Rule>,
}

impl Database {
    /// The way there, the answer, and the way back.
    async fn ask<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let lost = |Broken| Error::new(ErrorKind::OriginFailed, "the line to the database is cut");
        self.line.pass().await.map_err(lost)?;
        let answer = answer.await?;
        self.line.pass().await.map_err(lost)?;
        Ok(answer)
    }

    fn shown(&self, mut row: LogRow) -> LogRow {
        if self.broken == Some(Rule::EveryRecordIsRead) && row.position.0.is_multiple_of(SKIPPED) {
            row.records.clear();
        }
        row
    }

    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetched, Error> {
        let ids = request.ids;
        let variant = document::variant_of(request.variant);
        self.ask(async {
            let fetch = self.origin.fetch_many(request).await?;
            for (id, fetched) in ids.iter().zip(&fetch.documents) {
                if let (Some(product), Ok(fetched)) = (document::product_of(id), fetched) {
                    self.record.fetched(Fetch {
                        product,
                        variant,
                        version: fetched.version,
                        node: self.node,
                    });
                }
            }
            Ok(fetch)
        })
        .await
        .inspect(|_answered| self.note_answer(ids))
    }

    fn note_answer(&self, ids: &[Id]) {
        let products = ids.iter().filter_map(document::product_of);
        products.for_each(|product| self.record.answered(self.node, product));
    }
}

impl Origin for Database {
    fn fetch_many<'a>(
        &'a self,
        request: FetchRequest<'a>,
    ) -> BoxFuture<'a, Result<Fetched, Error>> {
        Box::pin(self.fetch(request))
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(async {
            let versions = self.ask(self.origin.versions(namespace, ids)).await;
            versions.inspect(|_answered| self.note_answer(ids))
        })
    }
}

impl ChangeLog for Database {
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        Box::pin(async move {
            let mut poll = self.ask(self.origin.poll(known)).await?;
            poll.settled |= self.broken == Some(Rule::UnsequencedIsUnsettled);
            Ok(poll)
        })
    }

    fn poll_many<'a>(&'a self, known: &'a [Position]) -> BoxFuture<'a, Result<Vec<Poll>, Error>> {
        Box::pin(async move {
            let mut polls = self.ask(self.origin.poll_many(known)).await?;
            for poll in &mut polls {
                poll.settled |= self.broken == Some(Rule::UnsequencedIsUnsettled);
            }
            Ok(polls)
        })
    }

    fn sequence(&self) -> BoxFuture<'_, Result<Vec<LogRow>, Error>> {
        Box::pin(async move {
            let rows = self.ask(self.origin.sequence()).await?;
            Ok(rows.into_iter().map(|row| self.shown(row)).collect())
        })
    }

    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        Box::pin(async move {
            Ok(
                match self.ask(self.origin.read(position, rows_max)).await? {
                    LogRead::Rows(rows) => {
                        LogRead::Rows(rows.into_iter().map(|row| self.shown(row)).collect())
                    }
                    LogRead::Pruned => LogRead::Pruned,
                },
            )
        })
    }

    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.ask(ChangeLog::renew_hist(&*self.origin, known)))
    }
}

impl ClusterLeases for Database {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseToken>, Error>> {
        Box::pin(self.ask(self.origin.acquire(name, ttl)))
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        token: LeaseToken,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.ask(self.origin.renew(name, token, ttl)))
    }

    fn release<'a>(&'a self, name: &'a str, token: LeaseToken) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.ask(ClusterLeases::release(&*self.origin, name, token)))
    }
}
