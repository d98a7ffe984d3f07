//! Runs against a server in the same process: what is sent, when, and how it is counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod server;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hotshelf_load::generator::Ran;
use hotshelf_load::{Arrival, Generator, Ids, Order, Progress, Steady, Stops, arrivals};
use hotshelf_model::{Error, ErrorKind, NamespaceName};
use hotshelf_testkit::wait_until;
use http::{HeaderMap, HeaderValue};

use server::{Reply, Server, ok, status};

/// Longer than any run takes.
const LIMIT: Duration = Duration::from_secs(60);
const SECOND_NS: u64 = 1_000_000_000;

fn generator(servers: &[&Server], connections: usize) -> Generator {
    Generator {
        bases: servers
            .iter()
            .map(|server| server.url.parse().unwrap())
            .collect(),
        template: "/v1/{namespace}/{id}".parse().unwrap(),
        headers: HeaderMap::new(),
        connections,
        timeout: LIMIT,
        progress_interval: Duration::from_millis(5),
    }
}

fn namespace() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

fn listed(ids: &str, rate: f64) -> Steady {
    let ids = Ids::read(Cursor::new(ids.replace(' ', "\n")), &namespace()).unwrap();
    Steady::new(ids, Order::AsListed, rate, 1)
}

/// So many requests that are all due at the beginning.
fn at_once(count: usize) -> impl Iterator<Item = Arrival> + Send {
    let key = arrivals::key("A", &namespace()).unwrap();
    let due = Duration::ZERO;
    std::iter::repeat_n(Arrival { due, key }, count)
}

fn run_told(
    generator: &Generator,
    arrivals: impl Iterator<Item = Arrival> + Send + 'static,
    stops: &Stops,
    told: impl FnMut(Progress<'_>),
) -> Result<Ran, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(generator.run(arrivals, stops, told))
}

fn run(generator: &Generator, arrivals: impl Iterator<Item = Arrival> + Send + 'static) -> Ran {
    let ran = run_told(generator, arrivals, &Stops::default(), |_| {}).unwrap();
    let tally = &ran.tally;
    let failed = tally.refused + tally.broken + tally.timed_out;
    assert_eq!(tally.due, tally.sent + tally.unsent, "nothing is skipped");
    assert_eq!(tally.sent, tally.answers() + failed);
    assert_eq!(tally.abandoned, 0);
    ran
}

#[test]
fn what_is_due_is_sent_in_its_order_and_counted_by_what_the_answer_says() {
    let server = Server::start(|_, path| match path {
        "/v1/products/a" => ok("Cache-Status: hotshelf; hit; ttl=9; detail=l1\r\n"),
        "/v1/products/b" => {
            ok("Cache-Status: hotshelf; hit; ttl=-1; detail=l3\r\nHotshelf-Stale: 1\r\n")
        }
        _ => status(404),
    });
    let mut generator = generator(&[&server], 1);
    generator
        .headers
        .insert("authorization", HeaderValue::from_static("Bearer x"));
    let ran = run(&generator, listed("a b c", 3000.0).take(600));
    let paths = ["a", "b", "c"].map(|id| format!("/v1/products/{id}"));
    let expected: Vec<_> = paths.iter().cycle().take(600).cloned().collect();
    assert_eq!(server.paths(), expected);
    assert_eq!(server.connections(), 1);
    let host = server.url.trim_start_matches("http://");
    for part in [
        &format!("host: {host}\r\n"),
        "authorization: Bearer x\r\n",
        "user-agent: hotshelf-load/",
    ] {
        assert!(
            server.heads()[599].contains(part),
            "{}",
            server.heads()[599]
        );
    }
    let tally = &ran.tally;
    assert_eq!(tally.statuses, BTreeMap::from([(200, 400), (404, 200)]));
    assert_eq!(
        tally.tiers,
        BTreeMap::from([("l1".into(), 200), ("l3".into(), 200)])
    );
    assert_eq!((tally.stale, tally.bytes, tally.errors()), (200, 4000, 0));
    assert_eq!((tally.service.len(), tally.from_due.len()), (600, 600));
    // The last one was due, and no earlier sent, after 599 intervals.
    assert_eq!(ran.span, Duration::from_secs_f64(599.0 / 3000.0));
    assert!(ran.elapsed >= ran.span);
}

#[test]
fn a_server_that_stalls_is_asked_no_less_and_who_waited_is_measured() {
    const STALLED: usize = 50;
    const DURING: u64 = 400;
    let due = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&due);
    let server = Server::start(move |number, _| {
        if number == STALLED {
            // So many more were due while this one was not answered.
            let until = STALLED as u64 + DURING;
            wait_until("requests go on being due", LIMIT, || {
                seen.load(Ordering::Relaxed) >= until
            });
        }
        ok("")
    });
    let told = |progress: Progress<'_>| due.store(progress.tally.due, Ordering::Relaxed);
    let generator = generator(&[&server], 1);
    let ran = run_told(
        &generator,
        listed("a", 1000.0).take(600),
        &Stops::default(),
        told,
    )
    .unwrap();
    let tally = &ran.tally;
    assert_eq!((tally.answers(), tally.errors()), (600, 0));
    // The stall took 400 ms at least. One request was under way in it, and 300 were due in its first 300 ms.
    let slow = SECOND_NS / 10..;
    let in_service = tally.service.count_between(slow.start, u64::MAX);
    let from_due = tally.from_due.count_between(slow.start, u64::MAX);
    assert!((1..=30).contains(&in_service), "{in_service}");
    assert!(from_due >= 290, "{from_due}");
    assert!(tally.late >= 290, "{}", tally.late);
}

#[test]
fn what_cannot_be_sent_in_time_is_counted() {
    let server = Server::start(|_, _| Reply::Never);
    let mut generator = generator(&[&server], 2);
    generator.timeout = Duration::from_millis(300);
    let ran = run(&generator, at_once(200));
    let tally = &ran.tally;
    assert_eq!((tally.sent, tally.timed_out, tally.unsent), (2, 2, 198));
    assert!((tally.error_rate() - 1.0).abs() < 1e-9);
    // Those who waited in vain are in the latency, with what they waited.
    assert_eq!(tally.from_due.len(), 200);
    assert!(tally.latency(0.01).unwrap() >= Duration::from_millis(299));
}

#[test]
fn no_more_requests_are_under_way_than_there_are_connections() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (barrier, peak) = (Barrier::new(4), Arc::clone(&most));
    let server = Server::start(move |_, _| {
        peak.fetch_max(
            under_way.fetch_add(1, Ordering::Relaxed) + 1,
            Ordering::Relaxed,
        );
        // Four come, or nobody goes on.
        barrier.wait();
        under_way.fetch_sub(1, Ordering::Relaxed);
        ok("")
    });
    let ran = run(&generator(&[&server], 4), at_once(100));
    assert_eq!(ran.tally.answers(), 100);
    assert_eq!((most.load(Ordering::Relaxed), server.connections()), (4, 4));
}

#[test]
fn failures_are_told_apart() {
    let server = Server::accepting(1, |number, _| match number {
        0 => ok(""),
        1 => status(500),
        2 => status(429),
        3 => status(404),
        _ => Reply::Last("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012".to_owned()),
    });
    let ran = run(&generator(&[&server], 1), at_once(10));
    let tally = &ran.tally;
    assert_eq!(
        tally.statuses,
        BTreeMap::from([(200, 1), (404, 1), (429, 1), (500, 1)])
    );
    assert_eq!((tally.broken, tally.refused, tally.errors()), (1, 5, 8));
    assert_eq!(tally.first_failure.as_deref(), Some("A: answered 500"));
}

#[test]
fn rubbish_is_a_broken_answer() {
    let server = Server::start(|_, _| Reply::Last("SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()));
    let ran = run(&generator(&[&server], 1), at_once(3));
    assert_eq!(ran.tally.broken, 3);
}

#[test]
fn connections_that_end_are_opened_again() {
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let server = Server::start(|_, _| Reply::Last(last.to_owned()));
    let ran = run(&generator(&[&server], 1), at_once(20));
    assert_eq!(
        (ran.tally.answers(), ran.tally.errors(), ran.tally.bytes),
        (20, 0, 60)
    );
    assert_eq!(server.connections(), 20);
}

#[test]
fn several_servers_are_asked_alike() {
    let servers = [Server::start(|_, _| ok("")), Server::start(|_, _| ok(""))];
    let generator = generator(&[&servers[0], &servers[1]], 6);
    let ran = run(&generator, listed("a", 2000.0).take(200));
    assert_eq!(ran.tally.answers(), 200);
    assert_eq!(servers.each_ref().map(Server::connections), [3, 3]);
    let counts = servers.each_ref().map(|server| server.heads().len());
    assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
}

#[test]
fn a_run_that_is_ended_early_waits_for_what_was_sent_or_not() {
    let stops = Stops::default();
    let stop = stops.sending.clone();
    let server = Server::start(move |number, _| {
        if number == 20 {
            stop.cancel();
        }
        ok("")
    });
    let ran = run_told(
        &generator(&[&server], 2),
        listed("a", 1000.0),
        &stops,
        |_| {},
    )
    .unwrap();
    let tally = &ran.tally;
    assert!(ran.is_stopped);
    assert_eq!(tally.answers(), server.heads().len() as u64);
    assert!(tally.answers() >= 21 && tally.errors() == 0);
    assert_eq!(tally.due, tally.answers() + tally.abandoned);

    let stops = Stops::default();
    let stop = stops.clone();
    let server = Server::start(move |_, _| {
        stop.sending.cancel();
        stop.waiting.cancel();
        Reply::Never
    });
    let ran = run_told(&generator(&[&server], 1), at_once(9), &stops, |_| {}).unwrap();
    assert_eq!(
        (ran.tally.due, ran.tally.abandoned, ran.tally.errors()),
        (9, 9, 0)
    );
}

#[test]
fn a_run_that_cannot_begin_says_why() {
    let server = Server::accepting(0, |_, _| ok(""));
    let begin = |generator: &Generator, count| {
        run_told(generator, at_once(count), &Stops::default(), |_| {}).unwrap_err()
    };
    let mut nobody = generator(&[&server], 1);
    let error = begin(&nobody, 0);
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Invalid, "there is nothing to send")
    );
    nobody.bases = vec!["http://127.0.0.1:1/x".parse().unwrap()];
    let error = begin(&nobody, 1);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error
            .to_string()
            .contains("connecting to http://127.0.0.1:1/x"),
        "{error}"
    );
}
