//! Products for a warm-up: every selection, and conditions that are none.

use hotshelf_model::{ErrorKind, Id, ProductFinder, Selection};

use super::shop::{Shop, id, product, shops};

impl Shop {
    async fn found(&self, selection: Selection<'_>) -> Vec<String> {
        let ids = self.origin.select(selection, 100).await.unwrap();
        ids.iter().map(|id| id.as_str().to_owned()).collect()
    }

    async fn refused(&self, condition: &str) -> String {
        let refused = self.origin.select(Selection::Where(condition), 100).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{condition}: {error:?}");
        error.to_string()
    }

    async fn fill(&self) {
        let mut products: Vec<_> = ["a", "b", "c", "hidden"]
            .into_iter()
            .map(|id| product(id, id))
            .collect();
        products[1].category_path = vec!["Home".to_owned()];
        products[2].category_path = vec!["Homer".to_owned(), "Kitchen".to_owned()];
        products[3].active = false;
        self.upsert(&products).await;
    }
}

#[tokio::test]
async fn products_are_found_by_what_they_are() {
    for shop in shops("find").await {
        shop.fill().await;
        let path = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let (home, kitchen) = (path(&["Home"]), path(&["Home", "Kitchen"]));
        assert_eq!(shop.found(Selection::Everything).await, ["a", "b", "c"]);
        assert_eq!(shop.found(Selection::Category(&home)).await, ["a", "b"]);
        assert_eq!(shop.found(Selection::Category(&kitchen)).await, ["a"]);
        let below = path(&["Home", "Kitchen", "Mugs"]);
        assert_eq!(shop.found(Selection::Category(&below)).await, [""; 0]);
        for condition in [
            "title > 'a'",
            "title > 'a' -- a comment",
            "p.id IN ('b', 'c', 'hidden')",
        ] {
            let found = shop.found(Selection::Where(condition)).await;
            assert_eq!(found, ["b", "c"], "{condition}");
        }
        let prices = "EXISTS (SELECT 1 FROM price WHERE product_id = p.id AND list_minor > 1)";
        assert_eq!(shop.found(Selection::Where(prices)).await, ["a", "b", "c"]);
        let two = shop.origin.select(Selection::Everything, 2).await.unwrap();
        assert_eq!(two, [id("a"), id("b")]);
        let asked: Vec<Id> = ["c", "hidden", "nobody", "a"].map(id).into();
        let exist = shop.origin.exist(&asked).await.unwrap();
        assert_eq!(exist, [true, false, false, true]);
    }
}

#[tokio::test]
async fn a_condition_reads_one_expression_and_writes_nothing() {
    for shop in shops("find_refused").await {
        shop.fill().await;
        let unknown = shop.refused("nonsense = 1").await;
        assert!(unknown.contains("nonsense"), "{unknown}");
        shop.refused("").await;
        shop.refused("title =").await;
        shop.refused("TRUE); DELETE FROM product; SELECT (1").await;
        shop.refused("id IN (DELETE FROM product RETURNING id)")
            .await;
        assert_eq!(shop.number("SELECT count(*) FROM product").await, 4);
    }
}

#[tokio::test]
async fn a_function_that_writes_is_refused_by_the_transaction() {
    let [shop, _] = shops("find_writes").await;
    shop.fill().await;
    let said = shop.refused("nextval('version_seq') > 0").await;
    assert!(said.contains("read-only"), "{said}");
}

#[tokio::test]
async fn more_than_a_page_is_found() {
    for shop in shops("find_pages").await {
        let many: Vec<_> = (0..10_003)
            .map(|at| product(&format!("p{at:05}"), "P"))
            .collect();
        shop.upsert(&many).await;
        let found = shop.origin.select(Selection::Everything, 20_000).await;
        let found = found.unwrap();
        assert_eq!(found.len(), 10_003);
        assert_eq!(found[10_002], id("p10002"));
        let some = shop.origin.select(Selection::Everything, 10_001).await;
        assert_eq!(some.unwrap().len(), 10_001);
    }
}
