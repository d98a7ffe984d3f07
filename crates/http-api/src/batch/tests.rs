//! Batches are read and written as the API says.

use super::*;

fn read(body: &str) -> Result<BatchRequest, Vec<String>> {
    let problems =
        |problems: Vec<FieldProblem>| problems.into_iter().map(|problem| problem.field).collect();
    BatchRequest::read(body.as_bytes(), 3).map_err(problems)
}

#[test]
fn ids_are_strings_or_objects_with_the_version_held() {
    let batch = read(r#"{"ids": ["a", {"id": "b/c", "if_version": "3-1"}, {"id": " "}], "variant": {"locale": "de"}}"#).unwrap();
    let sent: Vec<_> = batch
        .items
        .iter()
        .map(|item| (item.sent.as_str(), item.if_version.as_deref()))
        .collect();
    assert_eq!(sent, [("a", None), ("b/c", Some("3-1")), (" ", None)]);
    assert!(
        batch.items[2].id.is_err(),
        "a bad id belongs to its own result"
    );
    assert_eq!(batch.variant, [("locale".to_owned(), "de".to_owned())]);
    assert!(read(r#"{"ids": []}"#).unwrap().items.is_empty());
}

#[test]
fn every_problem_of_a_body_is_found_at_its_path() {
    for (body, fields) in [
        ("", &["body"][..]),
        ("{", &["body"]),
        ("[]", &["body"]),
        ("\"a\"", &["body"]),
        ("{}", &["ids"]),
        (r#"{"ids": "a"}"#, &["ids"]),
        (r#"{"ids": ["1","2","3","4"]}"#, &["ids"]),
        (
            r#"{"ids": [1, {"id": 2}, {"if_version": 3, "x": 4}]}"#,
            &[
                "ids[0]",
                "ids[1].id",
                "ids[2].if_version",
                "ids[2].x",
                "ids[2].id",
            ],
        ),
        (
            r#"{"ids": ["a"], "variant": "de", "id": "b"}"#,
            &["variant", "id"],
        ),
        (
            r#"{"ids": ["a"], "variant": {"locale": 1}}"#,
            &["variant.locale"],
        ),
    ] {
        assert_eq!(read(body).unwrap_err(), fields, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(read(&deep).unwrap_err(), ["body"]);
    assert_eq!(
        BatchRequest::read(b"\xff\xfe", 3).unwrap_err()[0].field,
        "body"
    );
}

#[test]
fn ids_of_a_url_are_split_before_they_are_decoded() {
    let of = |uri: &str| ids_of(&uri.parse::<Uri>().unwrap(), 3);
    let (items, rest) = of("/v1/products?locale=de&ids=a%2Cb,c%2Fd,%FF&currency=EUR").unwrap();
    let sent: Vec<_> = items.iter().map(|item| item.sent.as_str()).collect();
    assert_eq!(sent, ["a,b", "c/d", "%FF"]);
    assert!(items[0].id.is_ok() && items[1].id.is_ok() && items[2].id.is_err());
    assert_eq!(rest, "locale=de&currency=EUR");
    assert!(of("/v1/products?ids=").unwrap().0.is_empty());
    for bad in [
        "/v1/products",
        "/v1/products?ids=a&ids=b",
        "/v1/products?ids=a,b,c,d",
    ] {
        assert!(of(bad).is_err(), "{bad}");
    }
}
