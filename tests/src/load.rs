//! Readers in the background that count what they get.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hotshelf_testkit::wait_until;
use parking_lot::Mutex;

use crate::client::{Address, Connection, Reply};
use crate::node::Node;
use crate::time::{pause, stopwatch};

/// The pace of one reader: several of them keep a node busy without taking the machine from the servers.
const PACE: Duration = Duration::from_millis(2);
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// What readers got so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// 200 with the document of the id, labelled fresh.
    pub fresh: u64,
    /// 200 with the document of the id, labelled stale.
    pub stale: u64,
    /// 404.
    pub absent: u64,
    /// 503.
    pub unavailable: u64,
    /// 504.
    pub timeout: u64,
    /// Any other status.
    pub other: u64,
    /// No whole answer: refused, reset or cut short. A kept connection that ends before the first byte of an answer is tried once
    /// more on a new one, as every client does.
    pub broken: u64,
    /// Those of `broken` that ended after the first byte of an answer.
    pub cut: u64,
    /// 200 with a document of another id.
    pub wrong: u64,
    /// The longest time to an answer.
    pub slowest: Duration,
    /// The first failure, for the message of a test that fails.
    pub first_failure: Option<String>,
}

impl Counts {
    /// All answers and failures.
    pub fn reads(&self) -> u64 {
        self.served() + self.failed()
    }

    /// Answers with the right document.
    pub fn served(&self) -> u64 {
        self.fresh + self.stale
    }

    /// Everything else; every id is one that exists.
    pub fn failed(&self) -> u64 {
        self.absent + self.unavailable + self.timeout + self.other + self.broken + self.wrong
    }

    fn add(&mut self, id: &str, outcome: io::Result<Reply>, took: Duration) {
        self.slowest = self.slowest.max(took);
        let is_cut = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            )
        };
        self.cut += u64::from(outcome.as_ref().is_err_and(is_cut));
        let counter = match &outcome {
            Ok(reply) => self.counter(id, reply),
            Err(_) => &mut self.broken,
        };
        *counter += 1;
        let failed = self.failed() > 0;
        if failed && self.first_failure.is_none() {
            self.first_failure = Some(match outcome {
                Ok(reply) => format!("{id}: {reply}"),
                Err(error) => format!("{id}: {error}"),
            });
        }
    }

    fn counter(&mut self, id: &str, reply: &Reply) -> &mut u64 {
        match reply.status {
            200 if !belongs(reply, id) => &mut self.wrong,
            200 if reply.is_stale() => &mut self.stale,
            200 => &mut self.fresh,
            404 => &mut self.absent,
            503 => &mut self.unavailable,
            504 => &mut self.timeout,
            _ => &mut self.other,
        }
    }
}

/// Whether a document is the one of this id.
pub fn belongs(reply: &Reply, id: &str) -> bool {
    let document: Result<serde_json::Value, _> = serde_json::from_slice(&reply.body);
    document.is_ok_and(|document| document["id"] == id)
}

/// Readers in the background; they end when dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<Counts>>,
    readers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts readers, one after the other on each node; each keeps a connection and reads ids at random, the first ones more often.
    pub fn start(nodes: &[&Node], ids: &[String], readers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Mutex::new(Counts::default()));
        let reader = |number: usize| {
            let reader = Reader {
                address: nodes[number % nodes.len()].address(),
                ids: ids.to_vec(),
                seed: number as u64,
                connection: None,
                stop: Arc::clone(&stop),
                counts: Arc::clone(&counts),
            };
            std::thread::spawn(move || reader.run())
        };
        let readers = (0..readers).map(reader).collect();
        Load {
            stop,
            counts,
            readers,
        }
    }

    /// What they got so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }

    /// Waits until they have made that many reads from now on.
    ///
    /// # Panics
    /// When they do not within a minute.
    #[track_caller]
    pub fn wait_reads(&self, reads: u64) {
        let until = self.counts().reads() + reads;
        wait_until("the readers make progress", WAIT_LIMIT, || {
            self.counts().reads() >= until
        });
    }

    /// Ends the readers; gives what they got.
    pub fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

struct Reader {
    address: Address,
    ids: Vec<String>,
    seed: u64,
    connection: Option<Connection>,
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<Counts>>,
}

impl Reader {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let id = self.pick();
            let began = stopwatch();
            let outcome = self.read(&id);
            self.counts.lock().add(&id, outcome, began.elapsed());
            pause(PACE);
        }
    }

    /// By the cube of a uniform number: half of the reads go to an eighth of the ids.
    fn pick(&mut self) -> String {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // 20 random bits, so that the cube has 60.
        let cube = u128::from(random >> 44).pow(3);
        let at = (cube * self.ids.len() as u128) >> 60;
        self.ids[usize::try_from(at).unwrap()].clone()
    }

    fn read(&mut self, id: &str) -> io::Result<Reply> {
        let kept = self.connection.is_some();
        match self.read_once(id) {
            Err(error) if kept && ended_idle(&error) => self.read_once(id),
            outcome => outcome,
        }
    }

    fn read_once(&mut self, id: &str) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address)?,
        };
        connection.send("GET", &format!("/v1/products/{id}"), &[], b"")?;
        let reply = connection.read_reply("GET")?;
        let closes = reply
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.connection = Some(connection);
        }
        Ok(reply)
    }
}

/// The connection was closed before the server saw the request.
fn ended_idle(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}
