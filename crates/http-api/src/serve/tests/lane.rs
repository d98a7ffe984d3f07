//! The lane over real sockets: answers are those of hyper, and what is not ordinary gets to hyper unharmed.

use super::*;

/// What stays the same between two answers of one document.
fn comparable(answer: &str) -> Vec<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let varies = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !matches!(name, "age" | "date" | "cache-status" | "connection")
    };
    let mut lines: Vec<&str> = head.split("\r\n").filter(varies).collect();
    lines.sort_unstable();
    lines.push(body);
    lines
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let is_head = request.starts_with("HEAD");
    let read = async {
        let mut text = Vec::new();
        loop {
            let mut part = vec![0; 64 << 10];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "the connection ended after {request:?}");
            text.extend_from_slice(&part[..count]);
            let answer = String::from_utf8_lossy(&text).into_owned();
            let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                is_head || body.len() == length.map_or(0, |length| length.parse().unwrap())
            });
            if whole {
                return answer;
            }
        }
    };
    tokio::time::timeout(LIMIT, read).await.unwrap()
}

#[tokio::test]
async fn an_answer_is_the_same_with_and_without_the_lane() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    let first = ask(
        &mut stream,
        "GET /v1/products/long HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    let tag = first
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let conditional = format!("if-none-match: \"x\", {tag}\r\n");
    ask(
        &mut stream,
        "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    for (method, path, lines, status) in [
        ("GET", "/v1/products/long", "", 200),
        ("HEAD", "/v1/products/long", "", 200),
        ("GET", "/v1/products/long?locale=de", "", 200),
        ("GET", "/v1/products/a%2Fb", "", 200),
        ("GET", "/v1/products/long", "x-request-id: r-1\r\n", 200),
        ("GET", "/v1/products/long", "x-request-id: \u{e4}\r\n", 200),
        ("GET", "/v1/products/long", conditional.as_str(), 304),
        ("HEAD", "/v1/products/long", conditional.as_str(), 304),
        ("GET", "/v1/products/gone", "x-request-id: r-2\r\n", 404),
        ("HEAD", "/v1/products/gone", "x-request-id: r-2\r\n", 404),
        ("GET", "/v1/products/%zz", "x-request-id: r-3\r\n", 400),
        (
            "GET",
            "/v1/products/long?colour=red",
            "x-request-id: r-4\r\n",
            400,
        ),
        (
            "GET",
            "/v1/products/long",
            "hotshelf-min-version: no\r\nx-request-id: r-5\r\n",
            400,
        ),
        ("GET", "/v1/products/", "x-request-id: r-6\r\n", 400),
        ("GET", "/v1/products?ids=a", "", 200),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        // From L1 from the second time on, which leaves no route in between.
        for _ in 0..2 {
            let in_lane = ask(&mut stream, &request).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(in_lane.starts_with(&expected), "{request}{in_lane}");
            // An answer to this goes through hyper.
            let closing = request.replacen("host: x", "host: x\r\nconnection: close", 1);
            let mut other = running.connect().await;
            other.write_all(closing.as_bytes()).await.unwrap();
            let by_hyper = String::from_utf8(closed(&mut other).await).unwrap();
            assert_eq!(comparable(&in_lane), comparable(&by_hyper), "{request}");
            assert!(in_lane.contains("\r\ndate: "), "{in_lane}");
        }
    }
}

#[tokio::test]
async fn encodings_are_served_in_the_lane_also_those_of_large_documents() {
    let running = Running::start(HttpSettings::default()).await;
    running
        .shop
        .origin
        .put("large", format!("\"{}\"", "large ".repeat(100_000)));
    let mut stream = running.connect().await;
    for id in ["long", "large"] {
        for encoding in ["zstd", "gzip"] {
            for _ in 0..3 {
                stream
                    .write_all(
                        format!("GET /v1/products/{id} HTTP/1.1\r\nhost: x\r\naccept-encoding: {encoding}\r\n\r\n")
                            .as_bytes(),
                    )
                    .await
                    .unwrap();
                let head = head_of(&mut stream).await;
                assert!(
                    head.contains(&format!("\r\ncontent-encoding: {encoding}\r\n")),
                    "{head}"
                );
            }
        }
    }
}

/// Reads one answer whose body is no text, and gives its head.
async fn head_of(stream: &mut TcpStream) -> String {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        head
    };
    tokio::time::timeout(LIMIT, read).await.unwrap()
}

#[tokio::test]
async fn a_head_may_come_in_any_pieces() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    ask(
        &mut stream,
        "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    for at in 1..GET_A.len() {
        let (first, second) = GET_A.split_at(at);
        stream.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        let second = std::str::from_utf8(second).unwrap();
        assert!(ask(&mut stream, second).await.ends_with(r#"{"id":"a"}"#));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_across_misses_and_into_hyper() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    running.shop.origin.put("b", r#"{"id":"b"}"#);
    let get = |id: &str| format!("GET /v1/products/{id} HTTP/1.1\r\nhost: x\r\n\r\n");
    let body = r#"{"ids":["a"]}"#;
    let requests = [
        get("a"),
        get("b"),
        get("a"),
        get("gone"),
        get("b"),
        format!(
            "POST /v1/products:batchGet HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        get("b"),
        "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
    ]
    .concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = String::from_utf8(closed(&mut stream).await).unwrap();
    let found = answers.matches("HTTP/1.1 ").count();
    assert_eq!(found, 8, "{answers}");
    let mut at = 0;
    for part in [
        r#"{"id":"a"}"#,
        r#"{"id":"b"}"#,
        r#"{"id":"a"}"#,
        "HTTP/1.1 404",
        r#"{"id":"b"}"#,
        "results",
        r#"{"id":"b"}"#,
        "HTTP/1.1 200",
    ] {
        at += answers[at..]
            .find(part)
            .unwrap_or_else(|| panic!("{part} in {answers}"))
            + part.len();
    }
}

#[tokio::test]
async fn a_body_is_never_taken_for_a_request() {
    let running = Running::start(HttpSettings::default()).await;
    let mut warm = running.connect().await;
    ask(&mut warm, "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let hidden = std::str::from_utf8(GET_A).unwrap();
    for (lines, body) in [
        (
            format!("content-length: {}", hidden.len()),
            hidden.to_owned(),
        ),
        (
            "transfer-encoding: chunked".to_owned(),
            format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        ),
        (
            format!(
                "Transfer-Encoding: chunked\r\nContent-Length: {}",
                hidden.len()
            ),
            format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        ),
    ] {
        let mut stream = running.connect().await;
        let request = format!("GET /v1/products/a HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = String::from_utf8(closed(&mut stream).await).unwrap();
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            1,
            "{lines}: {answers}"
        );
    }
    for lines in [
        "content-length: 1\r\ncontent-length: 2",
        "content-length: +1",
        "content-length: -1",
        "content-length: 0x1",
        "content-length: 1, 2",
        "transfer-encoding: chunked, identity",
        "content-length : 1",
        "x: a\r\n b: c",
        "x\r\ny: z",
    ] {
        let mut stream = running.connect().await;
        let request = format!("GET /v1/products/a HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n{hidden}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = String::from_utf8(closed(&mut stream).await).unwrap();
        assert!(
            answers.starts_with("HTTP/1.1 400") && answers.matches("HTTP/1.1 ").count() == 1,
            "{lines}: {answers}"
        );
    }
}

#[tokio::test]
async fn http_1_0_and_expectations_are_answered_by_hyper() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /v1/products/a HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let answer = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let mut stream = running.connect().await;
    ask(
        &mut stream,
        "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    let expecting = "POST /v1/products:batchGet HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n";
    let answer = ask(&mut stream, expecting).await;
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    let answer = ask(&mut stream, r#"{"ids":["a"]}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_in_the_lane_ends_when_the_listener_does_and_one_at_work_after_its_answer()
 {
    let running = Running::start(HttpSettings::default()).await;
    let mut idle = running.connect().await;
    ask(&mut idle, "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n").await;
    running.shop.origin.requests.hold();
    let mut waiting = running.connect().await;
    waiting
        .write_all(b"GET /v1/products/long HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    running.shop.origin.requests.arrived(1).await;
    let mut begun = running.connect().await;
    begun.write_all(&GET_A[..20]).await.unwrap();
    running.shutdown.cancel();
    assert!(closed(&mut idle).await.is_empty());
    running.shop.origin.requests.release();
    let answer = String::from_utf8(closed(&mut waiting).await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    drop(begun);
    let drained = tokio::time::timeout(LIMIT, running.task).await.unwrap();
    assert_eq!(drained.unwrap(), Drained { cut_off: 0 });
}

#[tokio::test]
async fn answers_of_the_lane_are_counted() {
    let running = Running::start(HttpSettings::default()).await;
    let count = || {
        let text = recorder().render();
        let line = "hotshelf_http_requests_total{listener=\"public\",status=\"304\"} ";
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0, |value| value.parse::<u64>().unwrap())
    };
    let mut stream = running.connect().await;
    ask(
        &mut stream,
        "GET /v1/products/a HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    let before = count();
    let conditional = "GET /v1/products/a HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\n\r\n";
    for _ in 0..10 {
        assert!(
            ask(&mut stream, conditional)
                .await
                .starts_with("HTTP/1.1 304")
        );
    }
    assert!(count() >= before + 10);
}

#[tokio::test]
async fn the_lane_tells_who_asked_and_refuses_a_class_that_there_is_not() {
    let running = Running::start(HttpSettings::default()).await;
    let mut stream = running.connect().await;
    let request = |headers: &str| {
        format!("GET /v1/products/a HTTP/1.1\r\nhost: x\r\nhotshelf-caller: pages\r\n{headers}\r\n")
    };
    for (headers, told) in [
        ("", "a /pages"),
        ("x-request-id: r-1\r\n", "a r-1/pages"),
        ("hotshelf-class: background\r\n", "a /pages uncounted"),
    ] {
        let answer = ask(&mut stream, &request(headers)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert_eq!(running.shop.ears.take(), [told]);
    }
    let answer = ask(&mut stream, &request("hotshelf-class: bulk\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(running.shop.ears.take(), [""; 0]);
    running.stop().await;
}
