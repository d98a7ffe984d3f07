//! Bodies of products: what is taken, and every problem by its path.

use super::*;
use crate::json_body::PROBLEMS_MAX;

fn problems(body: &str, whole: bool) -> Vec<String> {
    let problems = read(body.as_bytes(), "a", whole).unwrap_err();
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn a_whole_product_is_taken_field_by_field() {
    let body = r#"{"id":"a","title":"Lamp","brand":null,"category_path":["Home","Lamps"],"description":"Bright",
        "attributes":[["Colour","red"]],"images":["https://x"],"status":"hidden",
        "prices":[{"currency":"EUR","list_minor":1999,"sale_minor":null,"valid_from":1,"valid_to":2}],
        "stock":{"quantity":-3,"low_at":7}}"#;
    let fields = read(body.as_bytes(), "a", true).unwrap();
    let price = Price {
        currency: "EUR".to_owned(),
        list_minor: 1999,
        sale_minor: None,
        valid_from: Some(1),
        valid_to: Some(2),
    };
    let expected = ProductFields {
        title: Some("Lamp".to_owned()),
        brand: Some(None),
        category_path: Some(vec!["Home".to_owned(), "Lamps".to_owned()]),
        description: Some(Some("Bright".to_owned())),
        attributes: Some(vec![("Colour".to_owned(), "red".to_owned())]),
        images: Some(vec!["https://x".to_owned()]),
        active: Some(false),
        prices: Some(vec![price]),
        quantity: Some(-3),
        low_at: Some(7),
    };
    assert_eq!(fields, expected);
}

#[test]
fn null_removes_and_what_is_not_named_is_left() {
    let body = r#"{"brand":null,"images":null,"status":null,"stock":{"low_at":null}}"#;
    let fields = read(body.as_bytes(), "a", false).unwrap();
    let expected = ProductFields {
        brand: Some(None),
        images: Some(Vec::new()),
        active: Some(true),
        low_at: Some(5),
        ..ProductFields::default()
    };
    assert_eq!(fields, expected);
    assert_eq!(read(b"{}", "a", false).unwrap(), ProductFields::default());
}

#[test]
fn every_problem_is_named_at_once() {
    let body = r#"{"id":"b","title":"","brand":7,"category_path":["x",""],"attributes":[["a"],["b",1],"c"],"images":"x",
        "status":"gone","price":{},"availability":"in_stock","colour":"red","stock":{"quantity":1.5,"low_at":-1,"all":1},
        "prices":[{"currency":"eur","list_minor":-1,"sale_minor":"1","valid_from":5,"valid_to":5,"tax":1},{"currency":"EUR"},3]}"#;
    let mut expected = [
        "attributes[0]",
        "attributes[1][1]",
        "attributes[2]",
        "availability",
        "brand",
        "category_path[1]",
        "colour",
        "id",
        "images",
        "price",
        "prices[0].currency",
        "prices[0].list_minor",
        "prices[0].sale_minor",
        "prices[0].tax",
        "prices[0].valid_to",
        "prices[1].list_minor",
        "prices[2]",
        "status",
        "stock.all",
        "stock.low_at",
        "stock.quantity",
        "title",
    ];
    let mut found = problems(body, true);
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_product_is_refused() {
    for (body, field) in [
        ("", "body"),
        ("[1]", "body"),
        ("{\"title\":", "body"),
        ("\u{feff}{}", "body"),
        ("{}", "title"),
        (r#"{"title":null}"#, "title"),
        (r#"{"title":"a\u0000b"}"#, "title"),
        (r#"{"title":"a","stock":7}"#, "stock"),
        (
            r#"{"title":"a","prices":[{"currency":"EUR","list_minor":1e3}]}"#,
            "prices[0].list_minor",
        ),
        (
            r#"{"title":"a","prices":[{"currency":"EUR","list_minor":99999999999999999999}]}"#,
            "prices[0].list_minor",
        ),
        (
            r#"{"title":"a","prices":[{"currency":"EUR","list_minor":1,"valid_to":999999999999999}]}"#,
            "prices[0].valid_to",
        ),
    ] {
        assert_eq!(problems(body, true), [field], "{body}");
    }
    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(1025));
    assert_eq!(problems(&long, false), ["title"]);
    let many = format!(
        r#"{{"title":"a","images":[{}]}}"#,
        vec!["\"x\""; 201].join(",")
    );
    assert_eq!(problems(&many, true), ["images"]);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(problems(&format!("{{\"title\":{deep}}}"), true), ["body"]);
    let wrong: Vec<String> = (0..100).map(|number| format!("\"f{number}\":1")).collect();
    assert_eq!(
        problems(&format!("{{{}}}", wrong.join(",")), false).len(),
        PROBLEMS_MAX
    );
}
