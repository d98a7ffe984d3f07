//! Warm-ups over HTTP: who may, what is malformed, and what is answered.

use hotshelf_model::{FieldProblem, WarmTiers};
use hotshelf_warm::WarmSource;

use super::wish::{read, who};
use crate::testing::Shop;

async fn refused(body: &str) -> Vec<String> {
    let shop = Shop::open().await;
    let problems = read(body.as_bytes(), &shop.state).err().unwrap();
    let text = |problem: FieldProblem| format!("{} {}", problem.field, problem.reason);
    problems.into_iter().map(text).collect()
}

#[tokio::test]
async fn a_wish_is_read_with_its_defaults() {
    let shop = Shop::open().await;
    let body = r#"{"include": [{"ids": ["a", "b"]}, {"category": ["Home", "Mugs"]}, {"where": "id > 'a'"}, {"hot": true}],
        "exclude": [{"everything": true}], "variants": [{"locale": "de"}, {"locale": "de"}, {}], "who": " ops ", "tiers": ["l1"]}"#;
    let (wish, who) = read(body.as_bytes(), &shop.state).unwrap();
    assert_eq!((wish.namespace.as_str(), &*who), ("products", "ops"));
    let variants: Vec<&str> = wish.variants.iter().map(|one| one.as_str()).collect();
    assert_eq!(variants, ["locale=de", "locale=en"]);
    assert_eq!(wish.include.len(), 4);
    let category = ["Home".to_owned(), "Mugs".to_owned()];
    assert_eq!(wish.include[1], WarmSource::Category(category.to_vec()));
    assert_eq!(wish.exclude, [WarmSource::Everything]);
    let l1 = WarmTiers {
        l1: true,
        ..WarmTiers::default()
    };
    assert_eq!(wish.tiers, l1);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_wish_is_said_at_its_place() {
    let problems = refused(
        r#"{"include": [{"ids": ["a", ""]}, {"ids": ["a"], "hot": true}, {"hot": false}, 7, {"where": 1}, {"nonsense": 1}],
        "variants": [{"locale": "xx"}, 1], "tiers": ["l4"], "nodes": [1], "namespace": "nowhere", "who": "", "more": 1}"#,
    )
    .await;
    let fields: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem.split(' ').next())
        .collect();
    let expected = [
        "namespace",
        "include[0].ids[1]",
        "include[1]",
        "include[2].hot",
        "include[3]",
        "include[4].where",
        "include[5]",
        "tiers",
        "nodes[0]",
        "who",
        "more",
    ];
    assert_eq!(fields, expected, "{problems:?}");
    let variants = refused(r#"{"include": [{"hot": true}], "variants": [{"locale": "xx"}, 1]}"#);
    assert_eq!(variants.await.len(), 2);
    let empty = refused(r#"{"tiers": ["l2"]}"#).await;
    assert!(empty[0].starts_with("include is empty"), "{empty:?}");
    assert!(refused("[]").await[0].contains("must be an object"));
}

#[test]
fn who_wishes_has_a_name_of_some_length() {
    assert_eq!(who(None), Ok("somebody".to_owned()));
    assert_eq!(who(Some(" ops ")), Ok("ops".to_owned()));
    for bad in ["", " ", "a\nb", &"x".repeat(101)] {
        who(Some(bad)).unwrap_err();
    }
}
