//! An origin in memory with a change log: a database that a test writes to, holds up, slows and breaks.

mod counts;
mod database;
mod leases;
mod log;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{
    BootClock, BoxFuture, ChangeLog, Clock, DbTime, Error, ErrorKind, Fetch, FetchRequest, Head,
    Hist, Id, LogRead, LogRow, NamespaceName, Origin, Poll, Position, Version, Versions,
};
use parking_lot::Mutex;

use self::counts::Counts;
use self::database::{Database, Span};
use self::log::Sequencing;
use super::Gate;
use crate::names::{fresh_hist, id, products};

/// What the database's clock shows when the machine's shows zero: some day in 2023.
const BOOT: DbTime = DbTime(1_700_000_000_000);

/// What a test has told the origin to do.
#[derive(Debug, Default)]
struct Knobs {
    delay: Duration,
    fetches_fail: Option<ErrorKind>,
    polls_fail: Option<ErrorKind>,
    failing_ids: Vec<(Id, ErrorKind)>,
    panic_once: bool,
    replica: bool,
    unsettled: bool,
}

/// A fake of the database, as [`Origin`] and as [`ChangeLog`].
///
/// A fetch is counted, passes the gate `requests`, takes its snapshot, waits for the delay, passes the gate `answers`, and only
/// then fails or panics if it is told to. So a test can change a product between a fetch's snapshot and its answer.
///
/// Writes go to the namespace `products` unless another is named. The text `{variant}` in a document is replaced with the
/// variant that is asked for. A change of what is there gets the next version and position; a write that changes nothing does not.
#[derive(Debug)]
pub struct FakeOrigin {
    /// Holds fetches before their snapshot.
    pub requests: Gate,
    /// Holds fetches between their snapshot and their answer.
    pub answers: Gate,
    clock: Arc<dyn Clock>,
    has_log: bool,
    database: Mutex<Database>,
    knobs: Mutex<Knobs>,
    counts: Counts,
    leases: Mutex<leases::Holders>,
}

impl Default for FakeOrigin {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeOrigin {
    /// An empty database with the namespace `products`, on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(BootClock))
    }

    /// The same; its clock moves with `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let origin = FakeOrigin {
            requests: Gate::default(),
            answers: Gate::default(),
            clock,
            has_log: true,
            database: Mutex::new(Database::new(fresh_hist())),
            knobs: Mutex::default(),
            counts: Counts::default(),
            leases: Mutex::default(),
        };
        origin.add_namespace(&products());
        origin
    }

    /// The same without a change log: fetches have no head, and versions cannot be asked for alone. As an HTTP origin.
    #[must_use]
    pub fn without_log(self) -> Self {
        FakeOrigin {
            has_log: false,
            ..self
        }
    }

    /// Serves a further namespace from now on.
    pub fn add_namespace(&self, namespace: &NamespaceName) {
        self.database.lock().add_namespace(namespace);
    }

    /// Creates or changes a product; answers its version.
    ///
    /// # Panics
    /// When `product` is no id.
    pub fn put(&self, product: &str, body: impl Into<Bytes>) -> Version {
        self.put_in(&products(), product, body)
    }

    /// The same in a namespace.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn put_in(
        &self,
        namespace: &NamespaceName,
        product: &str,
        body: impl Into<Bytes>,
    ) -> Version {
        let course = vec![Span::always(body.into())];
        self.database.lock().change(namespace, &id(product), course)
    }

    /// Creates or changes a product whose document says that it changes at `valid_until`, and then does not.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn put_until(&self, product: &str, body: impl Into<Bytes>, valid_until: DbTime) -> Version {
        let span = Span {
            until: Some(valid_until),
            ..Span::always(body.into())
        };
        self.database
            .lock()
            .change(&products(), &id(product), vec![span])
    }

    /// Gives a product one document after another, each from its time on, without further writes. Before the first there is
    /// none; each is valid until the next.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn schedule(&self, product: &str, course: &[(DbTime, &str)]) -> Version {
        let mut course: Vec<Span> = course
            .iter()
            .map(|&(from, body)| Span {
                from,
                ..Span::always(Bytes::copy_from_slice(body.as_bytes()))
            })
            .collect();
        course.sort_by_key(|span| span.from);
        self.database
            .lock()
            .change(&products(), &id(product), course)
    }

    /// Deletes a product; answers its version, which has grown if it was there.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn remove(&self, product: &str) -> Version {
        self.remove_in(&products(), product)
    }

    /// The same in a namespace.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn remove_in(&self, namespace: &NamespaceName, product: &str) -> Version {
        self.database
            .lock()
            .change(namespace, &id(product), Vec::new())
    }

    /// Bumps a namespace as the parent of its documents; answers the parent's version.
    pub fn bump(&self, namespace: &NamespaceName) -> Version {
        self.database.lock().bump(namespace)
    }

    /// Moves to the next timeline, as a failover does.
    pub fn fail_over(&self) {
        self.database.lock().fail_over(None);
    }

    /// The same to a standby that lagged: the last `rows` rows of the change log are lost with what they record, and so is what
    /// had no position yet. Later rows take the positions again, with other nonces.
    pub fn fail_over_losing(&self, rows: usize) {
        self.database.lock().fail_over(Some(rows));
    }

    /// Puts a backup back that lacks the last `rows` rows and what they record, and writes something since; it still calls itself by
    /// the same history.
    pub fn restore(&self, rows: usize) {
        self.database.lock().restore_and_write(rows);
    }

    /// The same by the book: it has become another history before anybody is let in, and nobody has written since.
    pub fn restore_by_the_book(&self, rows: usize) {
        self.database.lock().restore_as(fresh_hist(), rows);
    }

    /// Removes the rows of the change log below a position; its head stays.
    pub fn prune(&self, below: Position) {
        self.database.lock().log.prune(below);
    }

    /// Changes get their positions as they are written, as if another node were quick. It begins so.
    pub fn sequence_at_once(&self) {
        let mut database = self.database.lock();
        database.log.sequencing = Sequencing::ByPolls;
        database.log.sequence();
        database.log.sequencing = Sequencing::AtOnce;
    }

    /// Changes wait for the next poll, or call of [`ChangeLog::sequence`], to give them positions.
    pub fn sequence_by_polls(&self) {
        self.database.lock().log.sequencing = Sequencing::ByPolls;
    }

    /// Changes stay without positions, and polls unsettled while there are any.
    pub fn leave_unsequenced(&self) {
        self.database.lock().log.sequencing = Sequencing::Held;
    }

    /// Becomes another history, as after a restore.
    pub fn renew_hist(&self) -> Hist {
        let hist = fresh_hist();
        self.database.lock().hist = hist;
        hist
    }

    /// The version of a product; [`Version::NONE`] if it never existed.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn version_of(&self, namespace: &NamespaceName, product: &str) -> Version {
        let versions = self.database.lock().versions(namespace, &[id(product)]);
        versions.map_or(Version::NONE, |(_, versions)| versions[0])
    }

    /// The head of the change log.
    pub fn head(&self) -> Head {
        self.database
            .lock()
            .head(self.now(), !self.knobs.lock().replica)
    }

    /// The database's clock.
    pub fn now(&self) -> DbTime {
        BOOT.plus(Duration::from_nanos(self.clock.now().0))
    }

    /// Every answer takes this long from now on.
    pub fn delay(&self, delay: Duration) {
        self.knobs.lock().delay = delay;
    }

    /// Everything fails from now on, until [`FakeOrigin::recover`].
    pub fn fail(&self, kind: ErrorKind) {
        self.fail_fetches(kind);
        self.fail_polls(kind);
    }

    /// Fetches and reads of versions fail, polls do not.
    pub fn fail_fetches(&self, kind: ErrorKind) {
        self.knobs.lock().fetches_fail = Some(kind);
    }

    /// Polls and readings of the change log fail, fetches do not.
    pub fn fail_polls(&self, kind: ErrorKind) {
        self.knobs.lock().polls_fail = Some(kind);
    }

    /// This id fails, the others of its fetch do not.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn fail_id(&self, product: &str, kind: ErrorKind) {
        self.knobs.lock().failing_ids.push((id(product), kind));
    }

    /// The next fetch panics.
    pub fn panic_once(&self) {
        self.knobs.lock().panic_once = true;
    }

    /// Ends every failure and delay. Gates stay as they are.
    pub fn recover(&self) {
        let mut knobs = self.knobs.lock();
        let (replica, unsettled) = (knobs.replica, knobs.unsettled);
        *knobs = Knobs {
            replica,
            unsettled,
            ..Knobs::default()
        };
    }

    /// Whether heads say that they come from a replica.
    pub fn answer_as_replica(&self, replica: bool) {
        self.knobs.lock().replica = replica;
    }

    /// Whether polls say that committed changes have no position yet.
    pub fn leave_unsettled(&self, unsettled: bool) {
        self.knobs.lock().unsettled = unsettled;
    }

    /// How many fetches were begun: statements, not documents.
    pub fn fetches(&self) -> u64 {
        self.counts.fetches()
    }

    /// How many documents were asked for.
    pub fn documents(&self) -> u64 {
        self.counts.documents()
    }

    /// How often this id was asked for.
    ///
    /// # Panics
    /// As [`FakeOrigin::put`].
    pub fn fetches_of(&self, product: &str) -> u64 {
        self.counts.fetches_of(&id(product))
    }

    /// How many fetches ran at the same time at most.
    pub fn fetching_max(&self) -> u64 {
        self.counts.fetching_max()
    }

    /// How often versions were asked for without documents.
    pub fn versions_calls(&self) -> u64 {
        self.counts.versions_calls()
    }

    /// How often the change log was polled.
    pub fn polls(&self) -> u64 {
        self.counts.polls()
    }

    /// How often the change log was read.
    pub fn reads(&self) -> u64 {
        self.counts.reads()
    }

    fn poll_now(&self, known: Position) -> Poll {
        let (replica, unsettled, failing) = {
            let knobs = self.knobs.lock();
            (knobs.replica, knobs.unsettled, knobs.polls_fail.is_some())
        };
        let mut database = self.database.lock();
        let sequenced = (!failing).then(|| database.log.sequence()).flatten();
        let (.., head_nonce) = database.log.head();
        Poll {
            head: database.head(self.now(), !replica),
            head_nonce,
            known_nonce: database.log.nonce_at(known),
            oldest: database.log.oldest(),
            version_max: database.version_max(),
            settled: !unsettled && database.log.is_settled(),
            sequenced,
        }
    }

    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetch, Error> {
        let _fetching = self.counts.begin_fetch(request.ids);
        self.requests.pass().await;
        let head = self.head();
        let fetch = self.database.lock().fetch(request, self.now());
        self.answer().await?;
        let (parents, mut documents) = fetch?;
        for (document, id) in documents.iter_mut().zip(request.ids) {
            if let Some(error) = self.fail_one(id) {
                *document = Err(error);
            }
        }
        Ok(Fetch {
            head: self.has_log.then_some(head),
            parents,
            documents,
        })
    }

    async fn read_versions(
        &self,
        namespace: &NamespaceName,
        ids: &[Id],
    ) -> Result<Option<Versions>, Error> {
        self.counts.count_versions_call();
        self.requests.pass().await;
        let head = self.head();
        let versions = self.database.lock().versions(namespace, ids);
        self.answer().await?;
        let (parents, versions) = versions?;
        Ok(self.has_log.then_some(Versions {
            head,
            parents,
            versions,
        }))
    }

    /// What lies between a snapshot and its answer.
    #[expect(clippy::panic, reason = "a test asked for it")]
    async fn answer(&self) -> Result<(), Error> {
        self.take_time().await;
        self.answers.pass().await;
        let mut knobs = self.knobs.lock();
        if std::mem::take(&mut knobs.panic_once) {
            drop(knobs);
            panic!("the fake origin was told to panic");
        }
        fail(knobs.fetches_fail)
    }

    async fn take_time(&self) {
        let delay = self.knobs.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn fail_one(&self, id: &Id) -> Option<Error> {
        let knobs = self.knobs.lock();
        let failing = knobs.failing_ids.iter().find(|(failing, _)| failing == id);
        failing.map(|&(_, kind)| Error::new(kind, format!("fetching {id} as told by the test")))
    }
}

fn fail(kind: Option<ErrorKind>) -> Result<(), Error> {
    let context = "asking the fake origin as told by the test";
    kind.map_or(Ok(()), |kind| Err(Error::new(kind, context)))
}

impl Origin for FakeOrigin {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        Box::pin(self.fetch(request))
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(self.read_versions(namespace, ids))
    }
}

impl ChangeLog for FakeOrigin {
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        Box::pin(async move { Ok(self.poll_many(&[known]).await?[0]) })
    }

    fn poll_many<'a>(&'a self, known: &'a [Position]) -> BoxFuture<'a, Result<Vec<Poll>, Error>> {
        Box::pin(async move {
            self.counts.count_poll();
            let polls = known.iter().map(|&known| self.poll_now(known)).collect();
            self.take_time().await;
            fail(self.knobs.lock().polls_fail)?;
            Ok(polls)
        })
    }

    fn sequence(&self) -> BoxFuture<'_, Result<Vec<LogRow>, Error>> {
        Box::pin(async move {
            fail(self.knobs.lock().polls_fail)?;
            let mut database = self.database.lock();
            let hist = database.hist;
            let given = database.log.sequence();
            Ok(given.map_or_else(Vec::new, |range| database.log.rows(hist, range)))
        })
    }

    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        Box::pin(async move {
            self.counts.count_read();
            let read = {
                let database = self.database.lock();
                database.log.read(database.hist, position, rows_max)
            };
            self.take_time().await;
            fail(self.knobs.lock().polls_fail)?;
            Ok(read)
        })
    }

    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            fail(self.knobs.lock().polls_fail)?;
            if self.head().hist == known {
                self.renew_hist();
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
