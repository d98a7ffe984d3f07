//! Which heads are ordinary, and that no others are.

use hotshelf_model::Encoding;

use super::*;

const LINE: &str = "GET /v1/products/a HTTP/1.1\r\n";

fn parsed_as(head: &str) -> &'static str {
    match look(head.as_bytes()) {
        Parsed::Partial => "partial",
        Parsed::Ordinary(length, _) => {
            assert_eq!(length, head.len());
            "ordinary"
        }
        Parsed::Foreign => "foreign",
    }
}

#[test]
fn a_plain_read_is_ordinary() {
    for head in [
        "GET /v1/products/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /v1/products/a%2Fb?locale=de HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/products/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
        "GET /v1/products?ids=a,b HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\naccept-encoding: zstd\r\n\r\n",
    ] {
        assert_eq!(parsed_as(head), "ordinary", "{head}");
        for length in 0..head.len() {
            assert_eq!(parsed_as(&head[..length]), "partial", "{length} of {head}");
        }
    }
}

#[test]
fn what_is_about_a_body_or_the_connection_is_foreign() {
    for line in [
        "Content-Length: 0",
        "content-length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 0x10",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "TRANSFER-ENCODING: xchunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Connection: close",
        "Connection: keep-alive, close",
        "Connection: Upgrade, HTTP2-Settings",
        "Connection: keep-alive\r\nConnection: close",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Expect: 100-continue",
        "TE: trailers",
        "Trailer: x",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
    ] {
        let head = format!("{LINE}Host: x\r\n{line}\r\n\r\n");
        assert_eq!(parsed_as(&head), "foreign", "{line}");
    }
}

#[test]
fn other_methods_versions_and_targets_are_foreign() {
    for line in [
        "POST /v1/products:batchGet HTTP/1.1",
        "get /v1/products/a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT x:80 HTTP/1.1",
        "GET http://x/v1/products/a HTTP/1.1",
        "GET /v1/products/a HTTP/1.0",
        "GET /v1/products/a HTTP/2.0",
        "PRI * HTTP/2.0",
        "GET /v1/products/a",
        "GET /v1/products/a#b HTTP/1.1",
        "GET /v1/products/a{b HTTP/1.1",
        "GET /v1/products/a\"b HTTP/1.1",
        "GET /v1/products/\u{e4} HTTP/1.1",
        "GET  /v1/products/a HTTP/1.1",
    ] {
        let head = format!("{line}\r\nHost: x\r\n\r\n");
        assert_eq!(parsed_as(&head), "foreign", "{line}");
    }
}

#[test]
fn what_parsers_disagree_about_is_foreign() {
    for line in [
        "Accept: a\r\n b",
        " Accept: a",
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "no colon",
        ": no name",
        "Acc\u{0}ept: a",
        "Accept: a\u{0}b",
        "Accept: a\rb",
        "Accept: a\nTransfer-Encoding: chunked",
        "Accept: a\n",
    ] {
        let head = format!("{LINE}Host: x\r\n{line}\r\n\r\n");
        assert_eq!(parsed_as(&head), "foreign", "{line:?}");
    }
    assert_eq!(parsed_as("GET /v1/products/a HTTP/1.1\n\n"), "foreign");
    assert_eq!(parsed_as(&format!("{LINE}Host: x\r\n\n")), "foreign");
    assert_eq!(parsed_as(&format!("\r\n{LINE}\r\n")), "foreign");
    let many = format!("{LINE}{}\r\n", "X: y\r\n".repeat(LINES_MAX + 1));
    assert_eq!(parsed_as(&many), "foreign");
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"\0", b"\xff\xff"] {
        assert!(matches!(look(bytes), Parsed::Foreign));
    }
}

#[test]
fn a_head_that_does_not_name_one_host_is_foreign() {
    for hosts in ["", "Host: x\r\nHost: x\r\n", "Host: x\r\nHOST: y\r\n"] {
        let head = format!("{LINE}{hosts}\r\n");
        assert_eq!(parsed_as(&head), "foreign", "{hosts}");
    }
}

#[test]
fn what_follows_a_head_is_not_part_of_it() {
    let head = format!("{LINE}Host: x\r\n\r\n");
    let both = format!("{head}{head}");
    let Parsed::Ordinary(length, ordinary) = look(both.as_bytes()) else {
        panic!("it is ordinary")
    };
    assert_eq!((length, ordinary.path), (head.len(), "/v1/products/a"));
}

#[test]
fn a_request_for_the_router_says_what_the_head_said() {
    let head = "HEAD /v1/products/a?locale=de HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\naccept-encoding: zstd\r\n\r\n";
    let request = request(head.as_bytes()).unwrap();
    assert_eq!(request.method(), Method::HEAD);
    assert_eq!(request.uri(), "/v1/products/a?locale=de");
    let encodings = request.headers().get_all("accept-encoding");
    assert_eq!(encodings.iter().collect::<Vec<_>>(), ["gzip", "zstd"]);
    assert_eq!(request.headers()["host"], "x");
    let Parsed::Ordinary(_, ordinary) = look(head.as_bytes()) else {
        panic!("it is ordinary")
    };
    assert!(ordinary.asked.is_head);
    assert_eq!(ordinary.asked.encoding(), Encoding::Zstd);
    assert_eq!(
        (ordinary.path, ordinary.query),
        ("/v1/products/a", Some("locale=de"))
    );
}
