//! Starts the real servers and does to them what tests of other crates rely on.
#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hotshelf_testkit::{
    NatsServer, PostgresServer, RedisCluster, RedisServer, TcpProxy, free_port, wait_until,
};

const LIMIT: Duration = Duration::from_secs(20);

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut reply = [0; 7];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && &reply == b"+PONG\r\n"
}

#[test]
fn redis_is_paused_resumed_killed_and_restarted_empty() {
    let redis = RedisServer::start_with(&["--maxmemory", "64mb"]).unwrap();
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}/", redis.port()));
    assert_eq!(
        redis.command(&["CONFIG", "GET", "maxmemory"]).unwrap(),
        "maxmemory\n67108864"
    );
    redis.command(&["SET", "a key", "a value"]).unwrap();
    assert_eq!(redis.command(&["GET", "a key"]).unwrap(), "a value");
    redis.pause();
    assert!(!answers(redis.port()), "paused");
    redis.resume();
    wait_until("Redis answers again", LIMIT, || answers(redis.port()));
    redis.kill();
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).is_err());
    redis.kill();
    redis.restart().unwrap();
    assert_eq!(redis.command(&["DBSIZE"]).unwrap(), "0");
    let wrong = redis.command(&["NONSENSE"]).unwrap_err();
    assert!(
        format!("{wrong:#}").contains("unknown command"),
        "{wrong:#}"
    );
}

#[test]
fn redis_that_refuses_an_option_says_so() {
    let error = RedisServer::start_with(&["--no-such-option", "1"]).unwrap_err();
    assert!(error.to_string().contains("no-such-option"), "{error}");
}

#[test]
fn a_redis_cluster_serves_every_slot_and_takes_a_restarted_node_back() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.urls().len(), 3);
    let slots = cluster.nodes()[0].command(&["CLUSTER", "INFO"]).unwrap();
    assert!(slots.contains("cluster_slots_ok:16384"), "{slots}");
    let node = &cluster.nodes()[1];
    node.restart().unwrap();
    cluster.wait_ok().unwrap();
    let own = node.command(&["CLUSTER", "NODES"]).unwrap();
    assert!(own.contains("5461-10921"), "{own}");
}

#[test]
fn postgres_is_paused_killed_and_restarted_with_its_data() {
    let postgres = PostgresServer::start().unwrap();
    let url = postgres.database("shop \"one\"").unwrap();
    assert!(url.starts_with("postgres://postgres@127.0.0.1:"), "{url}");
    let shop = postgres.database("shop").unwrap();
    assert_eq!(shop, postgres.url("shop"));
    assert!(postgres.database("shop").is_err());
    postgres
        .sql(
            "shop",
            "CREATE TABLE t (a int); INSERT INTO t VALUES (7), (8)",
        )
        .unwrap();
    assert_eq!(
        postgres.sql("shop", "SELECT a, a * 2 FROM t").unwrap(),
        "7|14\n8|16"
    );
    assert_eq!(postgres.sql("shop", "SHOW fsync").unwrap(), "off");

    postgres.pause();
    let (answer, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let postgres = &postgres;
        scope.spawn(move || answer.send(postgres.sql("shop", "SELECT count(*) FROM t").unwrap()));
        let silence = answers.recv_timeout(Duration::from_millis(300));
        assert!(silence.is_err(), "a paused server answered");
        postgres.resume();
        assert_eq!(answers.recv_timeout(LIMIT).unwrap(), "2");
    });

    postgres.kill();
    assert!(postgres.sql("shop", "SELECT 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("shop", "SELECT sum(a) FROM t").unwrap(), "15");
}

#[test]
fn a_busy_postgres_backend_dies_with_its_server() {
    let postgres = PostgresServer::start_with(&["max_connections=20"]).unwrap();
    postgres.database("busy").unwrap();
    let url = postgres.url("busy");
    let busy = std::thread::spawn(move || {
        let loops = "SELECT count(*) FROM generate_series(1, 1000000000000)";
        std::process::Command::new("psql")
            .args([&url, "-c", loops])
            .output()
    });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1000000000000)%' AND pid <> pg_backend_pid()";
    wait_until("the statement runs", LIMIT, || {
        postgres.sql("busy", running).unwrap() == "1"
    });
    postgres.kill();
    assert!(!busy.join().unwrap().unwrap().status.success());
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("busy", "SHOW max_connections").unwrap(), "20");
}

#[test]
fn the_shared_postgres_outlives_the_test_that_started_it() {
    let port = std::thread::spawn(|| PostgresServer::shared().port())
        .join()
        .unwrap();
    assert_eq!(PostgresServer::shared().port(), port);
    assert_eq!(
        PostgresServer::shared()
            .sql("postgres", "SELECT 1")
            .unwrap(),
        "1"
    );
}

#[test]
fn nats_greets_a_client_and_has_jetstream() {
    let nats = NatsServer::start().unwrap();
    let greeting = || {
        let mut stream = TcpStream::connect(("127.0.0.1", nats.port())).ok()?;
        let mut greeting = [0; 1024];
        let length = stream.read(&mut greeting).ok()?;
        Some(String::from_utf8_lossy(&greeting[..length]).into_owned())
    };
    let first = greeting().unwrap();
    assert!(
        first.starts_with("INFO ") && first.contains("\"jetstream\":true"),
        "{first}"
    );
    assert_eq!(nats.url(), format!("nats://127.0.0.1:{}", nats.port()));
    nats.kill();
    assert_eq!(greeting(), None);
    nats.restart().unwrap();
    assert!(greeting().is_some());
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let redis = RedisServer::start().unwrap();
    let folder = redis
        .command(&["CONFIG", "GET", "dir"])
        .unwrap()
        .replace("dir\n", "");
    let process = format!("/proc/{}", redis.pid().unwrap());
    assert!(std::fs::metadata(&folder).is_ok() && std::fs::metadata(&process).is_ok());
    drop(redis);
    assert!(std::fs::metadata(&folder).is_err() && std::fs::metadata(&process).is_err());
}

#[test]
fn a_proxy_delays_stalls_cuts_and_heals() {
    let redis = RedisServer::start().unwrap();
    let proxy = TcpProxy::start(redis.port()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let ping = |stream: &mut TcpStream, limit: Duration| {
        stream.set_read_timeout(Some(limit)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        let mut reply = [0; 7];
        stream.read_exact(&mut reply)
    };
    ping(&mut stream, LIMIT).unwrap();

    proxy.delay(Duration::from_millis(200));
    let begun = begin();
    ping(&mut stream, LIMIT).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    proxy.heal();

    proxy.stall();
    assert!(
        ping(&mut stream, Duration::from_millis(50)).is_err(),
        "stalled"
    );
    proxy.heal();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut held = [0; 7];
    stream.read_exact(&mut held).unwrap();

    proxy.cut();
    assert!(
        TcpStream::connect(("127.0.0.1", proxy.port())).is_err(),
        "refused"
    );
    assert!(matches!(stream.read(&mut held), Ok(0) | Err(_)), "closed");
    proxy.heal();
    assert!(answers(proxy.port()));
}

#[expect(clippy::disallowed_methods, reason = "the test measures a delay")]
fn begin() -> Instant {
    Instant::now()
}

#[test]
fn free_ports_differ() {
    assert_ne!(free_port(), free_port());
}
