//! Lines as nginx and Envoy write them, and lines that nobody should have written.

use proptest::prelude::*;

use super::*;
use crate::samples::{key, own_paths, record};

const AT: u64 = 1_795_275_563_000;

const COMBINED: &str = r#"203.0.113.9 - - [21/Nov/2026:15:39:23 +0000] "GET /v1/products/LAMP-1?locale=de HTTP/1.1" 200 1233 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)""#;
const ENVOY: &str = r#"[2026-11-21T15:39:23.000Z] "GET /v1/products/LAMP-1 HTTP/2" 200 - 0 1233 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "shop" "tcp://10.0.2.1:80""#;
const NGINX_JSON: &str = r#"{"time_iso8601":"2026-11-21T15:39:23+00:00","request_method":"GET","request_uri":"/v1/products/LAMP-1","status":200,"upstream":{"a":[1]},"x":null}"#;
const ENVOY_JSON: &str = r#"{"start_time":"2026-11-21T15:39:23.000Z","method":"GET","path":"/v1/products/LAMP-1","response_code":200,"x_envoy_original_path":null}"#;

thread_local! {
    /// Made once, because proptest asks for them often.
    static PARSERS: std::cell::RefCell<[Parser; 5]> = std::cell::RefCell::new(Format::ALL.map(parser));
}

fn parser(format: Format) -> Parser {
    Parser::new(format, own_paths())
}

fn own_line() -> String {
    let key = key("LAMP-1");
    let mut text = Vec::new();
    let record = crate::AccessRecord {
        at_ms: AT,
        reads: 8,
        ..record(&key)
    };
    crate::json::push_line(&record, &mut text);
    String::from_utf8(text).unwrap()
}

fn parse(format: Format, line: &str) -> Result<Option<(u64, String)>, Malformed> {
    let event = parser(format).parse(line.as_bytes())?;
    Ok(event.map(|event| (event.at_ms, event.key.to_string())))
}

#[test]
fn each_format_gives_time_and_key() {
    let wanted = Ok(Some((AT, "products//LAMP-1".to_owned())));
    for (format, line) in [
        (Format::Nginx, COMBINED),
        (Format::Envoy, ENVOY),
        (Format::NginxJson, NGINX_JSON),
        (Format::EnvoyJson, ENVOY_JSON),
    ] {
        assert_eq!(parse(format, line), wanted, "{format:?}");
    }
    let own = parser(Format::Hotshelf).parse(own_line().as_bytes());
    let own = own.unwrap().unwrap();
    assert_eq!((own.at_ms, own.key, own.reads), (AT, key("LAMP-1"), 8));
}

#[test]
fn the_common_log_format_and_odd_users_are_nginx_too() {
    let wanted = Ok(Some((AT, "products//A".to_owned())));
    for line in [
        r#"::1 - - [21/Nov/2026:15:39:23 +0000] "GET /v1/products/A HTTP/1.1" 304 0"#,
        r#"::1 - [x] "y [21/Nov/2026:15:39:23 +0000] "HEAD /v1/products/A HTTP/2.0" 200 0 "-" "-""#,
        r#"::1 - a [b c [21/Nov/2026:16:39:23 +0100] "GET http://h/v1/products/A HTTP/1.1" 200 0 "-" "x" 0.003"#,
    ] {
        assert_eq!(parse(Format::Nginx, line), wanted, "{line}");
    }
    // Envoy writes a path as it came.
    let quote = r#"[2026-11-21T15:39:23.000Z] "GET /v1/products/a" 7b HTTP/1.1" 200 - 0 3"#;
    let key = parse(Format::Envoy, quote).unwrap().unwrap().1;
    assert_eq!(key, "products//a\" 7b");
}

#[test]
fn fields_of_json_may_be_named_and_written_in_several_ways() {
    let wanted = Ok(Some((AT, "products//A".to_owned())));
    for (format, line) in [
        (
            Format::NginxJson,
            r#"{"msec":1795275563.000,"request":"GET /v1/products/A HTTP/1.1"}"#,
        ),
        (
            Format::NginxJson,
            r#"{"msec":"1795275563.000","method":"GET","uri":"/v1/products/A"}"#,
        ),
        (
            Format::NginxJson,
            r#"{"time_local":"21/Nov/2026:15:39:23 +0000","request":"GET \/v1\/products\/A HTTP/1.1"}"#,
        ),
        (
            Format::EnvoyJson,
            r#"{"start_time":"2026-11-21T15:39:23Z","method":"GET","path":"/x","x_envoy_original_path":"/v1/products/A"}"#,
        ),
        (
            Format::EnvoyJson,
            r#"{"start_time":"2026-11-21T15:39:23Z","method":"GET","path":"/v1/products/A","x_envoy_original_path":"-"}"#,
        ),
    ] {
        assert_eq!(parse(format, line), wanted, "{line}");
    }
}

#[test]
fn requests_that_are_no_reads_of_a_key_are_no_events_and_no_problems() {
    for (from, to) in [
        ("GET", "POST"),
        ("/v1/products/LAMP-1?locale=de", "/healthz"),
        ("GET /v1/products/LAMP-1?locale=de HTTP/1.1", "-"),
        ("GET /v1/products/LAMP-1?locale=de HTTP/1.1", ""),
        (
            "GET /v1/products/LAMP-1?locale=de HTTP/1.1",
            r"\x16\x03\x01",
        ),
    ] {
        let line = COMBINED.replace(from, to);
        assert_eq!(parse(Format::Nginx, &line), Ok(None), "{line}");
    }
    let line = r#"{"msec":1,"request":"\u0016"}"#;
    assert_eq!(parse(Format::NginxJson, line), Ok(None));
}

#[test]
fn a_malformed_line_says_why() {
    for (format, line, word) in [
        (Format::Nginx, "", "no time"),
        (Format::Nginx, ENVOY, "no time"),
        (Format::Nginx, &COMBINED[..80], "no status"),
        (
            Format::Nginx,
            &COMBINED.replace("200 ", "2000 "),
            "no status",
        ),
        (Format::Envoy, COMBINED, "no time"),
        (Format::NginxJson, "{", "JSON"),
        (Format::NginxJson, "[]", "JSON"),
        (
            Format::NginxJson,
            r#"{"request":"GET / HTTP/1.1"}"#,
            "no time",
        ),
        (
            Format::NginxJson,
            r#"{"msec":"today","request":"GET / HTTP/1.1"}"#,
            "cannot be read",
        ),
        (
            Format::EnvoyJson,
            r#"{"start_time":"2026-11-21T15:39:23Z"}"#,
            "method and path",
        ),
        (Format::Hotshelf, ENVOY_JSON, "access record"),
    ] {
        let problem = parse(format, line).unwrap_err();
        assert!(problem.0.contains(word), "{line}: {problem}");
    }
}

#[test]
fn the_format_of_a_file_is_guessed_from_its_beginning() {
    for (format, line) in [
        (Format::Nginx, COMBINED),
        (Format::Nginx, &COMBINED.replace("Mozilla", "HSal")),
        (Format::Envoy, ENVOY),
        (Format::NginxJson, NGINX_JSON),
        (Format::EnvoyJson, ENVOY_JSON),
        (Format::Hotshelf, own_line().trim()),
        (Format::Hotshelf, "HSal\0"),
    ] {
        for text in [line.to_owned(), format!("torn\n{line}\n{line}\n{{\"a")] {
            assert_eq!(Format::guess(text.as_bytes()), Some(format), "{text}");
        }
    }
    for text in ["", "\n\n", "a,b\n1,2\n"] {
        assert_eq!(Format::guess(text.as_bytes()), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_a_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        PARSERS.with_borrow_mut(|parsers| {
            for parser in parsers {
                parser.parse(&line).ok();
            }
        });
    }

    #[test]
    fn no_change_of_a_line_makes_a_parser_panic(at: prop::sample::Index, to in proptest::collection::vec(any::<u8>(), 0..4), cut: prop::sample::Index) {
        for line in [COMBINED, ENVOY, NGINX_JSON, ENVOY_JSON] {
            let mut line = line.as_bytes().to_vec();
            let start = at.index(line.len());
            let end = (start + 2).min(line.len());
            line.splice(start..end, to.iter().copied());
            line.truncate(cut.index(line.len() + 1));
            PARSERS.with_borrow_mut(|parsers| {
                for parser in parsers {
                    parser.parse(&line).ok();
                }
            });
        }
    }
}
