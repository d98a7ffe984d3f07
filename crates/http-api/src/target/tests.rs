//! Paths and queries are read as they were meant, or refused.

use super::*;

#[test]
fn an_id_may_hold_an_encoded_slash_and_any_script() {
    for (sent, id) in [
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("100%25", "100%"),
        ("%E6%97%A5%E6%9C%AC", "日本"),
        ("a+b", "a+b"),
        ("a:b,c", "a:b,c"),
        ("%2E%2e%2E", "..."),
    ] {
        assert_eq!(document_id(sent).unwrap().as_str(), id, "{sent}");
    }
}

#[test]
fn a_bad_id_says_what_is_wrong_with_it() {
    let long = "x".repeat(129);
    for (sent, word) in [
        ("", "empty"),
        (long.as_str(), "too long"),
        ("%", "hexadecimal"),
        ("%4", "hexadecimal"),
        ("%zz", "hexadecimal"),
        ("a%2", "hexadecimal"),
        ("%é0", "hexadecimal"),
        ("%FF%FE", "UTF-8"),
        ("%C3", "UTF-8"),
        ("%00", "control"),
        ("%0A", "control"),
        ("%20a", "blank"),
        ("%2E%2E", "`..`"),
        (".", "`.`"),
    ] {
        let problem = document_id(sent).unwrap_err();
        assert_eq!(problem.field, "id");
        assert!(problem.reason.contains(word), "{sent}: {}", problem.reason);
    }
}

#[test]
fn only_two_segments_after_v1_name_a_document() {
    assert_eq!(document_path("/v1/products/a"), Some(("products", "a")));
    assert_eq!(document_path("/v1/products/"), Some(("products", "")));
    assert_eq!(
        document_path("/v1/products/a%2Fb"),
        Some(("products", "a%2Fb"))
    );
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/products",
        "//v1/products/a",
        "/v1//a",
        "/v1/products//a",
        "/v1/products/a/",
        "/v2/products/a",
    ] {
        assert_eq!(document_path(path), None, "{path}");
    }
    assert_eq!(namespace_path("/v1/products"), Some("products"));
    for path in ["/v1", "/v1/", "/v1/products/", "/v1//products"] {
        assert_eq!(namespace_path(path), None, "{path}");
    }
}

#[test]
fn parameters_are_decoded_in_order_and_bounded() {
    let parameters_of = |query| {
        let pairs = parameters(query).unwrap();
        pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        parameters_of("locale=de&currency=%45UR&&flag"),
        ["locale=de", "currency=EUR", "flag="]
    );
    assert!(parameters("locale=%GG").is_err());
    assert!(parameters("locale=%FF").is_err());
    assert!(parameters(&"a=b&".repeat(PARAMETERS_MAX)).is_ok());
    assert!(parameters(&"a=b&".repeat(PARAMETERS_MAX + 1)).is_err());
}
