//! The sequencer, and the poll that proves what the log contains.
//!
//! A poll reads the head and the outbox's greatest id; sequences what is there; and reads again. When no outbox row up to that id remains, every
//! change that had committed when the poll was sent lies at or below the second head. Sequencing is one statement in a transaction that the server
//! begins and ends by itself, so a node that stops in the middle keeps nobody waiting; two that meet take the same position, and the later one
//! starts again. Deliberately absent: a row that says who sequences, and locks on the session.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf_model::{Error, ErrorKind, Hist, Poll, Position, Version};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

use super::{Postgres, state};
use crate::failure::{failed, is_conflict, is_timeout};
use crate::lent::{Lent, within};
use crate::snapshot::{State, nonce, signed, unsigned};

const SEQUENCE: &str = include_str!("../../sql/postgres/sequence.sql");
const OPEN_TIMELINE: SqlStr =
    SqlStr::from_static(include_str!("../../sql/postgres/open_timeline.sql"));

/// Rounds of sequencing in one poll: enough for 340,000 records, or to meet another sequencer a few times.
const ROUNDS_MAX: u32 = 8;

/// Records of one statement: at most 100 rows of the log, at least one.
const LIMIT_MAX: u32 = 51_200;
const LIMIT_MIN: u32 = 512;

/// How many records one statement sequences. One that its timeout ends has done nothing, and would do nothing for ever on a
/// server that is slow enough; so the next one takes a quarter, and each that is full lets its successor take twice as many.
#[derive(Debug)]
pub(super) struct BatchLimit(AtomicU32);

impl Default for BatchLimit {
    fn default() -> Self {
        BatchLimit(AtomicU32::new(LIMIT_MAX / 4))
    }
}

impl BatchLimit {
    // Relaxed throughout: the number is a guess, and a lost update costs one more guess.
    fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn learn(&self, used: u32, progress: Progress) {
        let next = match progress {
            Progress::Done(given) if given.records >= u64::from(used) => {
                used.saturating_mul(2).min(LIMIT_MAX)
            }
            Progress::Done(_) | Progress::Conflict => used,
            Progress::TooSlow => (used / 4).max(LIMIT_MIN),
        };
        self.0.store(next, Ordering::Relaxed);
    }
}

/// What the poll's statement reads.
struct Reading {
    state: State,
    /// `None` on a standby.
    server_timeline: Option<u64>,
    head_nonce: u64,
    /// One for each position that was asked about.
    known_nonces: Vec<Option<u64>>,
    oldest: Position,
    oldest_age: Duration,
    version: u64,
    /// The last id that the outbox gave out.
    id_given: i64,
    newest: Option<i64>,
    remaining: bool,
}

impl Reading {
    fn polls(&self, settled: bool, sequenced: Option<(Position, Position)>) -> Vec<Poll> {
        let timeline = self
            .server_timeline
            .unwrap_or(u64::from(self.state.timeline.0));
        // A new primary proves nothing before its timeline is in the log: it would confirm a tail that the old one lost.
        let same = timeline == u64::from(self.state.timeline.0);
        let known_nonces = self.known_nonces.iter();
        let poll = |&known_nonce: &Option<u64>| Poll {
            head: self.state.head(),
            head_nonce: self.head_nonce,
            known_nonce,
            oldest: self.oldest,
            version_max: Version(timeline << 40 | self.version),
            settled: settled && same && self.state.primary,
            sequenced,
        };
        known_nonces.map(poll).collect()
    }
}

impl Postgres {
    pub(crate) async fn poll(&self, known: Position) -> Result<Poll, Error> {
        let polls = self.poll_many(&[known]).await?;
        let context = "the poll of the change log has no answer";
        let first = polls.into_iter().next();
        first.ok_or_else(|| Error::new(ErrorKind::OriginFailed, context))
    }

    pub(crate) async fn poll_many(&self, known: &[Position]) -> Result<Vec<Poll>, Error> {
        let known: Vec<i64> = known.iter().map(|position| signed(position.0)).collect();
        let known = &known[..];
        let (last, settled, given) = self.settle(known).await?;
        self.low.polled(last.id_given);
        self.note_sequenced(given.records);
        let (head, oldest) = (last.state.position, last.oldest);
        if self.retention.is_exceeded(last.oldest_age, oldest, head) {
            self.prune().await;
        }
        Ok(last.polls(settled, given.positions))
    }

    /// Sequences until everything that had committed at the first reading has its position; answers the last reading, and whether it got there.
    async fn settle(&self, known: &[i64]) -> Result<(Reading, bool, Given), Error> {
        let mut last = self.read_head(None, known).await?;
        let Some(server) = last.server_timeline else {
            return Ok((last, false, Given::default()));
        };
        let logged = u64::from(last.state.timeline.0);
        if server < logged {
            let context = format!(
                "the database is on timeline {server}, below the {logged} of its change log: it was copied; run SELECT hotshelf.renew_hist()"
            );
            return Err(Error::new(ErrorKind::OriginFailed, context));
        }
        let mut given = Given::default();
        if server > logged {
            let opened = self
                .run("opening a timeline in the change log", OPEN_TIMELINE)
                .await?;
            given.add(opened.given());
            last = self.read_head(None, known).await?;
        }
        let Some(newest) = last.newest else {
            return Ok((last, true, given));
        };
        for _ in 0..ROUNDS_MAX {
            let limit = self.batch_limit.now();
            let script = SEQUENCE.replace("{limit}", &limit.to_string());
            let script = AssertSqlSafe(script).into_sql_str();
            let progress = self.run("sequencing changes", script).await?;
            self.batch_limit.learn(limit, progress);
            given.add(progress.given());
            last = self.read_head(Some(newest), known).await?;
            if !last.remaining {
                return Ok((last, true, given));
            }
        }
        Ok((last, false, given))
    }

    /// Two nodes that find out at the same moment may both renew it, which is once more than needed and no harm.
    pub(crate) async fn renew_history_if(&self, known: Hist) -> Result<(), Error> {
        if self.read_head(None, &[]).await?.state.hist == known {
            self.renew_history().await?;
        }
        Ok(())
    }

    async fn read_head(&self, newest: Option<i64>, known: &[i64]) -> Result<Reading, Error> {
        let build = || sqlx::query(self.poll.clone()).bind(newest).bind(known);
        let rows = self.read(&self.log, build).await;
        rows.and_then(|rows| reading(rows.first().ok_or(sqlx::Error::RowNotFound)?))
            .map_err(|error| failed("reading the head of the change log", error))
    }

    /// Runs a script of the sequencer in one message, which is one transaction.
    async fn run(&self, what: &str, script: SqlStr) -> Result<Progress, Error> {
        let rows = match self.run_once(script).await {
            Ok(rows) => rows,
            Err(error) if is_conflict(&error) => {
                self.conflicts.increment(1);
                return Ok(Progress::Conflict);
            }
            Err(error) if error.as_database_error().is_some() && is_timeout(&error) => {
                return Ok(Progress::TooSlow);
            }
            Err(error) => return Err(failed(what, error)),
        };
        let mut given = Given::default();
        for row in &rows {
            // A script's other statements give rows too, without these columns.
            if let (Ok(position), Ok(records)) = (row.try_get("pos"), row.try_get("records")) {
                given.add(Given::one(position, records));
            }
        }
        Ok(Progress::Done(given))
    }

    async fn run_once(&self, script: SqlStr) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.log).await?;
        let statement = sqlx::raw_sql(script).fetch_all(lent.connection());
        let outcome = within(self.limit, statement).await;
        lent.end(outcome)
    }
}

/// Positions that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Given {
    records: u64,
    /// The first and the last.
    positions: Option<(Position, Position)>,
}

impl Given {
    fn one(position: i64, records: i32) -> Self {
        let position = Position(unsigned(position));
        Given {
            records: unsigned(records.into()),
            positions: Some((position, position)),
        }
    }

    fn add(&mut self, more: Given) {
        self.records += more.records;
        self.positions = match (self.positions, more.positions) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (held, new) => held.or(new),
        };
    }
}

/// What became of a script of the sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Done(Given),
    /// Another node took the position first.
    Conflict,
    /// The statement's own timeout ended it.
    TooSlow,
}

impl Progress {
    fn given(self) -> Given {
        match self {
            Progress::Done(given) => given,
            Progress::Conflict | Progress::TooSlow => Given::default(),
        }
    }
}

fn reading(row: &PgRow) -> Result<Reading, sqlx::Error> {
    let server_timeline: Option<i64> = row.try_get("server_tl")?;
    let known_nonces: Vec<Option<i64>> = row.try_get("known_nonces")?;
    Ok(Reading {
        state: state(row)?,
        server_timeline: server_timeline.map(unsigned),
        head_nonce: nonce(row.try_get("head_nonce")?),
        known_nonces: known_nonces
            .into_iter()
            .map(|known_nonce| known_nonce.map(nonce))
            .collect(),
        oldest: Position(unsigned(row.try_get("oldest")?)),
        oldest_age: Duration::from_micros(unsigned(row.try_get("oldest_age_us")?)),
        version: unsigned(row.try_get("version")?),
        id_given: row.try_get("id_given")?,
        newest: row.try_get("newest")?,
        remaining: row.try_get("remaining")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_is_too_slow_shrinks_until_it_is_not() {
        let limit = BatchLimit::default();
        let mut taken = Vec::new();
        for progress in [
            Progress::TooSlow,
            Progress::TooSlow,
            Progress::TooSlow,
            Progress::Conflict,
            Progress::Done(Given::one(1, 511)),
        ] {
            taken.push(limit.now());
            limit.learn(limit.now(), progress);
        }
        assert_eq!(taken, [12_800, 3200, 800, 512, 512]);
        for _ in 0..10 {
            limit.learn(limit.now(), Progress::Done(Given::one(1, 60_000)));
        }
        assert_eq!(limit.now(), LIMIT_MAX);
    }
}
