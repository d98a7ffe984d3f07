//! Listeners over real sockets, with clients that misbehave.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ListenAddress;
use crate::testing::{LIMIT, Shop, recorder};
use hotshelf_testkit::wait_until_async;

mod lane;

/// A shop behind a real socket.
struct Running {
    shop: Shop,
    address: ListenAddress,
    shutdown: CancellationToken,
    task: JoinHandle<Drained>,
}

impl Running {
    async fn start(settings: HttpSettings) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), settings).await
    }

    async fn start_at(address: ListenAddress, settings: HttpSettings) -> Self {
        let shop = Shop::with_settings(settings).await;
        let listener = Listener::bind(&address, settings.backlog).unwrap();
        let address = listener.address().clone();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(
            listener,
            shop.public.clone(),
            Arc::new(Workers::start(2).unwrap()),
            shutdown.clone(),
        ));
        Running {
            shop,
            address,
            shutdown,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        let ListenAddress::Tcp(address) = self.address else {
            unreachable!()
        };
        TcpStream::connect(address).await.unwrap()
    }

    async fn stop(self) -> Drained {
        self.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap()
    }
}

/// Reads one answer: its head and as many bytes as its `Content-Length` says. Less, if the connection ends before.
async fn answer_of(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let read = async {
        let mut text = Vec::new();
        loop {
            let mut part = vec![0; 4096];
            // A connection that is refused ends with a reset when the request comes after that.
            let count = stream.read(&mut part).await.unwrap_or(0);
            text.extend_from_slice(&part[..count]);
            let answer = String::from_utf8_lossy(&text).into_owned();
            let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().unwrap())
            });
            if whole || count == 0 {
                return answer;
            }
        }
    };
    tokio::time::timeout(LIMIT, read).await.unwrap()
}

/// Waits until the server closes the connection.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest))
        .await
        .expect("the server closes the connection");
    // A reset ends a connection as well as an orderly end.
    read.ok();
    rest
}

const GET_A: &[u8] = b"GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn one_connection_carries_many_requests_also_pipelined() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(GET_A).await.unwrap();
        let answer = answer_of(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"id":"a"}"#),
            "{answer}"
        );
    }
    stream
        .write_all(
            &[
                GET_A,
                GET_A,
                b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            ]
            .concat(),
        )
        .await
        .unwrap();
    let rest = String::from_utf8(closed(&mut stream).await).unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 3, "{rest}");
    let mut stream = running.connect().await;
    stream
        .write_all(b"HEAD /v1/products/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let head = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(
        head.contains("content-length: 10\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(running.stop().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port() {
    let running = Running::start(HttpSettings::default()).await;
    let stream = running.connect().await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for method in ["GET", "GET", "HEAD"] {
        let request = Request::builder()
            .method(method)
            .uri("http://x/v1/products/a")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, http::Version::HTTP_2)
        );
        assert_eq!(answer.headers()["content-length"], "10");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            if method == "HEAD" {
                ""
            } else {
                r#"{"id":"a"}"#
            }
        );
    }
    assert_eq!(
        running.stop().await,
        Drained { cut_off: 0 },
        "an idle HTTP/2 connection does not hold the node up"
    );
    connection.await.unwrap().ok();
}

#[tokio::test]
async fn a_socket_in_the_file_system_serves_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("socket");
    let running =
        Running::start_at(ListenAddress::Unix(path.clone()), HttpSettings::default()).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(GET_A).await.unwrap();
    assert!(answer_of(&mut stream).await.ends_with(r#"{"id":"a"}"#));
    running.stop().await;
    assert!(!path.try_exists().unwrap());
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed_at_once_and_counted() {
    let running = Running::start(HttpSettings {
        connections_max: 2,
        ..HttpSettings::default()
    })
    .await;
    let mut first = running.connect().await;
    let second = running.connect().await;
    first.write_all(GET_A).await.unwrap();
    answer_of(&mut first).await;
    let mut third = running.connect().await;
    assert!(closed(&mut third).await.is_empty());
    assert!(
        recorder()
            .render()
            .contains("hotshelf_http_connections_refused_total{listener=\"public\"}")
    );
    drop(second);
    wait_until_async("a place is free again", LIMIT, async || {
        let mut stream = running.connect().await;
        stream.write_all(GET_A).await.ok();
        answer_of(&mut stream).await.starts_with("HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_its_head_byte_by_byte_is_closed() {
    let running = Running::start(HttpSettings {
        header_timeout: Duration::from_millis(200),
        ..HttpSettings::default()
    })
    .await;
    for first_request in [&b""[..], GET_A] {
        let mut stream = running.connect().await;
        if !first_request.is_empty() {
            stream.write_all(first_request).await.unwrap();
            answer_of(&mut stream).await;
        }
        let (mut reader, mut writer) = stream.into_split();
        let trickle = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1\r\nx-slow: "
                .iter()
                .chain(std::iter::repeat(&b'x'))
            {
                if writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(closed(&mut reader).await.is_empty());
        trickle.abort();
    }
    assert!(
        recorder()
            .render()
            .contains("hotshelf_http_connections_slow_total{listener=\"public\",reason=\"head\"}")
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_and_a_busy_one_is_not() {
    let running = Running::start(HttpSettings {
        idle_timeout: Duration::from_millis(300),
        ..HttpSettings::default()
    })
    .await;
    let mut silent = running.connect().await;
    let mut served = running.connect().await;
    served.write_all(GET_A).await.unwrap();
    answer_of(&mut served).await;
    let mut busy = running.connect().await;
    let keep_busy = async {
        loop {
            busy.write_all(GET_A).await.unwrap();
            assert!(answer_of(&mut busy).await.starts_with("HTTP/1.1 200"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let both = async { (closed(&mut silent).await, closed(&mut served).await) };
    tokio::select! {
        () = keep_busy => unreachable!(),
        (silent, served) = both => assert!(silent.is_empty() && served.is_empty()),
    }
    busy.write_all(GET_A).await.unwrap();
    assert!(
        answer_of(&mut busy).await.starts_with("HTTP/1.1 200"),
        "it was never idle for long"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_closed() {
    let running = Running::start(HttpSettings {
        write_timeout: Duration::from_millis(300),
        ..HttpSettings::default()
    })
    .await;
    running
        .shop
        .origin
        .put("huge", format!("\"{}\"", "x".repeat(4 << 20)));
    running.shop.get("/v1/products/huge").await;
    let mut stream = running.connect().await;
    let request = b"GET /v1/products/huge HTTP/1.1\r\nhost: x\r\n\r\n".repeat(8);
    stream.write_all(&request).await.unwrap();
    wait_until_async("the client is found too slow", LIMIT, async || {
        recorder().render().contains(
            "hotshelf_http_connections_slow_total{listener=\"public\",reason=\"reading\"} 1",
        )
    })
    .await;
    let received = closed(&mut stream).await;
    assert!(
        received.len() < 8 * (4 << 20),
        "the server gave up before it had sent everything"
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let running = Running::start(HttpSettings {
        body_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    })
    .await;
    let mut stream = running.connect().await;
    stream
        .write_all(
            b"POST /v1/products:batchGet HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        )
        .await
        .unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_431_and_a_body_413() {
    let running = Running::start(HttpSettings {
        header_bytes_max: 8 << 10,
        ..HttpSettings::default()
    })
    .await;
    let mut stream = running.connect().await;
    let head = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n",
        "x".repeat(16 << 10)
    );
    // The server may close before it has read everything.
    stream.write_all(head.as_bytes()).await.ok();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut stream = running.connect().await;
    let announced =
        b"POST /v1/products:batchGet HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(announced).await.unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"),
        "{answer}"
    );
    let mut stream = running.connect().await;
    let chunk = format!("20000\r\n{}\r\n", "x".repeat(0x20000)).repeat(3);
    let head =
        "POST /v1/products:batchGet HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream
        .write_all(format!("{head}{chunk}").as_bytes())
        .await
        .ok();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_is_answered_400_and_closed() {
    let running = Running::start(HttpSettings::default()).await;
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"nonsense\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = running.connect().await;
        stream.write_all(nonsense).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = String::from_utf8(closed(&mut stream).await).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_side_still_gets_its_answer() {
    let running = Running::start(HttpSettings::default()).await;
    running.shop.origin.requests.hold();
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    running.shop.origin.requests.arrived(1).await;
    running.shop.origin.requests.release();
    assert!(answer_of(&mut stream).await.ends_with(r#"{"id":"a"}"#));
}

#[tokio::test]
async fn requests_under_way_end_before_the_listener_does() {
    let running = Running::start(HttpSettings::default()).await;
    running.shop.origin.requests.hold();
    let mut idle = running.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    answer_of(&mut idle).await;
    let mut waiting = running.connect().await;
    waiting.write_all(GET_A).await.unwrap();
    running.shop.origin.requests.arrived(1).await;
    running.shutdown.cancel();
    assert!(
        closed(&mut idle).await.is_empty(),
        "an idle connection ends at once"
    );
    let ListenAddress::Tcp(address) = running.address else {
        unreachable!()
    };
    wait_until_async("new connections are refused", LIMIT, async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(!running.task.is_finished());
    running.shop.origin.requests.release();
    let answer = answer_of(&mut waiting).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"id":"a"}"#),
        "{answer}"
    );
    assert_eq!(
        tokio::time::timeout(LIMIT, running.task)
            .await
            .unwrap()
            .unwrap(),
        Drained { cut_off: 0 }
    );
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_after_the_drain_timeout() {
    let settings = HttpSettings {
        drain_timeout: Duration::from_millis(200),
        // Nothing but the order to close can end the connection.
        request_timeout: 10 * LIMIT,
        ..HttpSettings::default()
    };
    let running = Running::start(settings).await;
    running.shop.origin.requests.hold();
    let mut waiting = running.connect().await;
    waiting.write_all(GET_A).await.unwrap();
    running.shop.origin.requests.arrived(1).await;
    running.shutdown.cancel();
    let drained = tokio::time::timeout(LIMIT, running.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drained, Drained { cut_off: 1 });
    assert!(closed(&mut waiting).await.is_empty());
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed_however_it_began() {
    let running = Running::start(HttpSettings {
        header_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    })
    .await;
    let pipelined = [GET_A, b"G"].concat();
    for beginning in [&b"PRI "[..], b"PRI * HTTP/2.0\r\n\r\nSX", b"G", &pipelined] {
        let mut stream = running.connect().await;
        stream.write_all(beginning).await.unwrap();
        let answered = String::from_utf8(closed(&mut stream).await).unwrap();
        let answers = answered.matches("HTTP/1.1 200").count();
        assert_eq!(answers, usize::from(beginning == pipelined), "{answered}");
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let running = Running::start(HttpSettings::default()).await;
    for path in ["/v1/products/a", "/livez"] {
        for (hosts, expected) in [
            ("host: x\r\n", "HTTP/1.1 200"),
            ("", "HTTP/1.1 400"),
            ("host: x\r\nhost: x\r\n", "HTTP/1.1 400"),
        ] {
            let mut stream = running.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = answer_of(&mut stream).await;
            assert!(answer.starts_with(expected), "{request}{answer}");
            assert!(
                expected.ends_with("200") || answer.contains(r#""field":"Host""#),
                "{answer}"
            );
        }
    }
    let mut stream = running.connect().await;
    let old = b"GET /livez HTTP/1.0\r\n\r\n";
    stream.write_all(old).await.unwrap();
    assert!(answer_of(&mut stream).await.contains(" 200 OK"));
}

#[tokio::test]
async fn a_304_has_no_length_whoever_answers() {
    let running = Running::start(HttpSettings::default()).await;
    let tag = running.shop.get("/v1/products/a").await;
    let request = format!(
        "GET /v1/products/a HTTP/1.1\r\nhost: x\r\nif-none-match: {}\r\n",
        tag.header("etag")
    );
    let cache = &running.shop.state.cache;
    let key = crate::target::document_key(cache, "/v1/products/a", None).unwrap();
    for more in ["\r\n", "te: trailers\r\n\r\n"] {
        let mut stream = running.connect().await;
        for is_held in [true, false] {
            if !is_held {
                cache.remove_from_l1(&key);
            }
            stream
                .write_all(format!("{request}{more}").as_bytes())
                .await
                .unwrap();
            let answer = answer_of(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 304"), "{answer}");
            assert!(!answer.contains("content-length"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_request_without_an_answer_is_given_up() {
    let settings = HttpSettings {
        unanswered_timeout: Duration::from_millis(300),
        request_timeout: LIMIT,
        ..HttpSettings::default()
    };
    let running = Running::start(settings).await;
    running.shop.origin.requests.hold();
    let mut waiting = running.connect().await;
    waiting.write_all(GET_A).await.unwrap();
    assert!(closed(&mut waiting).await.is_empty());
}

#[tokio::test]
async fn a_stream_of_changes_outlasts_the_idle_time_and_ends_with_the_node() {
    let running = Running::start(HttpSettings {
        idle_timeout: Duration::from_millis(50),
        unanswered_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    })
    .await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /v1/changes HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    // A proof comes each half second, ten times the idle time.
    while text.matches("event: proof").count() < 3 {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(LIMIT, stream.read(&mut part)).await;
        let count = read.unwrap().unwrap();
        assert_ne!(count, 0, "closed after {text}");
        text += std::str::from_utf8(&part[..count]).unwrap();
    }
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("event: reset"), "{text}");
    running.shop.state.start_draining();
    let rest = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(running.stop().await, Drained { cut_off: 0 });
}
