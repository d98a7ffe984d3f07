//! Files of every form, good and bad.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn rows_of(bytes: impl Into<Vec<u8>>, settings: ReadSettings) -> Rows {
    read(Cursor::new(bytes.into()), settings).unwrap()
}

fn all(bytes: impl Into<Vec<u8>>) -> Vec<Result<Product, RowProblem>> {
    rows_of(bytes, ReadSettings::default()).collect()
}

/// Ids of the good rows, and `line field` of the bad ones.
fn outline(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    let outline = |row: Result<Product, RowProblem>| match row {
        Ok(product) => product.id,
        Err(problem) => format!("{} {}", problem.line, problem.field),
    };
    all(bytes).into_iter().map(outline).collect()
}

#[track_caller]
fn only_problem(bytes: impl Into<Vec<u8>>, line: u64, field: &str, reason: &str) {
    let problems: Vec<_> = all(bytes).into_iter().filter_map(Result::err).collect();
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!((problem.line, &*problem.field), (line, field), "{problem}");
    assert!(problem.reason.contains(reason), "{problem}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const CSV: &str = "sku,name,price,brand,category,images,stock,colour\n\
    A-1,Lamp,12.34,Norrvik,Home > Lamps,https://h/1.jpg https://h/2.jpg,3,red\n\
    A-2,\"Lamp, large\n\"\"XL\"\"\",\"1,234.50\",,,,0,\n";

#[test]
fn a_csv_becomes_products() {
    let products: Vec<_> = all(CSV).into_iter().map(Result::unwrap).collect();
    let [lamp, large] = products.as_slice() else {
        panic!("{products:?}")
    };
    assert_eq!(lamp.id, "A-1");
    assert_eq!(lamp.brand.as_deref(), Some("Norrvik"));
    assert_eq!(lamp.category_path, ["Home", "Lamps"]);
    assert_eq!(lamp.images, ["https://h/1.jpg", "https://h/2.jpg"]);
    assert_eq!(lamp.attributes, [("colour".to_owned(), "red".to_owned())]);
    assert_eq!(
        (lamp.prices[0].list_minor, &*lamp.prices[0].currency),
        (1234, "USD")
    );
    assert_eq!((lamp.stock, lamp.active), (3, true));
    assert_eq!(large.title, "Lamp, large\n\"XL\"");
    assert_eq!(large.prices[0].list_minor, 123_450);
    assert_eq!((large.stock, &large.brand), (0, &None));
}

#[test]
fn every_form_of_the_same_rows_gives_the_same_products() {
    let array =
        r#"[{"id": "a", "title": "A", "price": 1.10}, {"id": "b", "title": "B", "price": 2}]"#;
    let lines = "{\"id\": \"a\", \"title\": \"A\", \"price\": 1.10}\n\n{\"id\": \"b\", \"title\": \"B\", \"price\": 2}";
    let csv = "id,title,price\na,A,1.10\nb,B,2\n";
    let expected: Vec<_> = all(csv);
    assert!(expected.iter().all(Result::is_ok), "{expected:?}");
    for text in [
        array,
        lines,
        "id;title;price\r\na;A;1.10\r\nb;B;2",
        "id\ttitle\tprice\ra\tA\t1.10\rb\tB\t2\r",
    ] {
        assert_eq!(all(text), expected, "{text}");
        assert_eq!(all(gzip(text.as_bytes())), expected, "{text}");
        assert_eq!(all(format!("\u{feff}{text}")), expected, "{text}");
    }
}

#[test]
fn two_gzip_members_are_one_file() {
    let mut bytes = gzip(b"id,title\na,A\n");
    bytes.extend(gzip(b"b,B\n"));
    assert_eq!(outline(bytes), ["a", "b"]);
}

#[test]
fn a_bad_row_costs_that_row_and_names_its_first_line() {
    let csv = "id,title,price\n\
        a,A,1\n\
        ,B,1\n\
        c,\"C\n\nC\",1\n\
        d,,1\n\
        e,E,cheap\n\
        f,F\n\
        g,G,1,1\n\
        a,A again,1\n\
        h,H,1\n";
    assert_eq!(
        outline(csv),
        [
            "a", "3 id", "c", "7 title", "8 price", "9 row", "10 row", "11 id", "h"
        ]
    );
    let json = "[\n{\"id\": 1, \"title\": \"A\"},\n{\"title\": \"B\"},\n{\"id\": 2, \"title\": \"B\",},\n7,\n{\"id\": 3,\n\"title\": \"C\"}\n]";
    assert_eq!(outline(json), ["1", "3 id", "4 row", "5 row", "3"]);
    let lines = "{\"id\": 1, \"title\": \"A\"}\n{\"id\": 2\n\n{\"id\": 3, \"title\": \"C\"}\n";
    assert_eq!(outline(lines), ["1", "2 row", "3"]);
}

#[test]
fn bytes_that_are_not_utf8_cost_their_row() {
    only_problem(
        &b"id,title\na,A\nb,\xff\xfe\nc,C\n"[..],
        3,
        "title",
        "not UTF-8",
    );
    only_problem(
        &b"{\"id\": \"\xff\", \"title\": \"A\"}\n{\"id\": 2, \"title\": \"B\"}"[..],
        1,
        "row",
        "not UTF-8",
    );
    only_problem(&b"id,\xff\na,A\n"[..], 1, "file", "not UTF-8");
}

#[test]
fn an_open_quote_is_named_with_its_line() {
    assert_eq!(outline("id,title\na,A\nb,\"B\nc,C\nd,D\n"), ["a", "3 row"]);
    only_problem(
        "id,title\na,A\nb,\"B\nc,C\nd,D\n",
        3,
        "row",
        "opened on line 3 is never closed",
    );
}

#[test]
fn a_truncated_gzip_gives_the_whole_rows_and_then_says_so() {
    let text: String = (0..5000)
        .map(|number| format!("{{\"id\": {number}, \"title\": \"T{}\"}}\n", number * 7919))
        .collect();
    let bytes = gzip(text.as_bytes());
    let rows = all(&bytes[..bytes.len() / 2]);
    let (last, whole) = rows.split_last().unwrap();
    assert!(whole.len() > 1000 && whole.iter().all(Result::is_ok));
    let problem = last.as_ref().unwrap_err();
    assert_eq!(problem.field, "file");
    assert!(problem.reason.contains("gzip"), "{problem}");
    assert!(problem.line > 1000, "{problem}");
}

#[test]
fn a_huge_row_is_skipped_without_being_held() {
    let settings = || ReadSettings {
        row_bytes_max: 100,
        ..ReadSettings::default()
    };
    let long = "x".repeat(200_000);
    for text in [
        format!("id,title\na,A\nb,{long}\nc,C\n"),
        format!(
            "[{{\"id\": \"a\", \"title\": \"A\"}},\n\n{{\"id\": \"{long}\"}}, {{\"id\": \"c\", \"title\": \"C\"}}]"
        ),
        format!(
            "{{\"id\": \"a\", \"title\": \"A\"}}\n\n{{\"id\": \"{long}\"}}\n{{\"id\": \"c\", \"title\": \"C\"}}"
        ),
    ] {
        let rows: Vec<_> = rows_of(text, settings()).collect();
        let [Ok(first), Err(problem), Ok(last)] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!(
            (&*first.id, &*last.id, problem.line, &*problem.field),
            ("a", "c", 3, "row")
        );
        assert!(
            problem.reason.contains("at most 100 are taken"),
            "{problem}"
        );
    }
}

#[test]
fn what_is_no_catalogue_is_one_problem_of_the_file() {
    only_problem("", 1, "file", "is empty");
    only_problem(
        "[{\"id\": 1, \"title\": \"A\"}",
        1,
        "file",
        "in the middle of the row",
    );
    only_problem(
        "[{\"id\": 1, \"title\": \"A\"},\n",
        2,
        "file",
        "`]` is missing",
    );
    only_problem("[]\n[]", 2, "file", "goes on behind the array");
    assert_eq!(outline("[]"), [] as [&str; 0]);
    assert_eq!(outline("id,title\n"), [] as [&str; 0]);
    let rows: Vec<_> = rows_of(
        "{}",
        ReadSettings {
            format: Some(Format::JsonArray),
            ..ReadSettings::default()
        },
    )
    .collect();
    assert!(
        rows.len() == 1
            && rows[0]
                .as_ref()
                .unwrap_err()
                .reason
                .contains("must begin with `[`")
    );
}

fn mapped(flags: &[&str]) -> ReadSettings {
    let mut settings = ReadSettings::default();
    for flag in flags {
        settings.mapping.add(flag).unwrap();
    }
    settings
}

#[test]
fn columns_can_be_mapped_and_unmapped() {
    let csv = "code,label,vp,stock,status\nX,Hat,5,many,new\n";
    let rows: Vec<_> = rows_of(csv, mapped(&["id=label", "title=code", "price=vp"])).collect();
    let product = rows[0].as_ref().unwrap();
    assert_eq!(
        (&*product.id, &*product.title, product.prices[0].list_minor),
        ("Hat", "X", 500)
    );
    // A column whose name is like a field's and whose content is not stays an attribute, unless somebody said otherwise.
    let attributes: Vec<_> = product.attributes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(attributes, ["stock", "status"]);
    let rows: Vec<_> = rows_of(csv, mapped(&["id=label", "title=code", "stock=stock"])).collect();
    assert_eq!(rows[0].as_ref().unwrap_err().field, "stock");
    let rows: Vec<_> = rows_of(csv, mapped(&["id=sku"])).collect();
    assert_eq!(rows.len(), 1);
    let problem = rows[0].as_ref().unwrap_err();
    assert!(
        problem
            .reason
            .contains("no column `sku` for id; the columns are code, label"),
        "{problem}"
    );
}

#[test]
fn prices_of_several_currencies_and_sales_are_read() {
    let csv = "id,title,price_usd,price_eur,compare_at_price_usd,sale_price_eur\na,A,10,9,12.5,8\nb,B,10,9,,9.01\n";
    let rows = all(csv);
    let prices: Vec<_> = rows[0]
        .as_ref()
        .unwrap()
        .prices
        .iter()
        .map(|price| (&*price.currency, price.list_minor, price.sale_minor))
        .collect();
    assert_eq!(prices, [("USD", 1250, Some(1000)), ("EUR", 900, Some(800))]);
    assert_eq!(rows[1].as_ref().unwrap_err().field, "sale_price");
    let csv = "id,title,price,currency\na,A,10,JPY\nb,B,10.5,JPY\nc,C,10 EUR,\nd,D,10,Dollar\n";
    assert_eq!(outline(csv), ["a", "3 price", "c", "5 currency"]);
}

#[test]
fn an_image_names_only_products_without_an_id() {
    let json = r#"[{"title": "A", "image": "https://h/4984700_sb.jpg"},
        {"title": "B", "image": "https://h/1234567.jpg", "id": "B-1"}]"#;
    assert_eq!(outline(json), ["4984700", "B-1"]);
}

#[test]
fn without_a_column_of_ids_the_image_names_the_product() {
    let json = r#"[{"title": "A", "image": "https://h/4984700_sb.jpg"}, {"title": "B"}]"#;
    let mut rows = rows_of(json, ReadSettings::default());
    assert_eq!(rows.next().unwrap().unwrap().id, "4984700");
    assert_eq!(rows.columns()[0], (Field::Id, "@image".to_owned()));
    let problem = rows.next().unwrap().unwrap_err();
    assert!(problem.reason.contains("id=COLUMN"), "{problem}");
}

#[test]
fn what_a_database_refuses_is_refused_here() {
    only_problem("{\"id\": 1, \"title\": \"a\\u0000b\"}", 1, "title", "NUL");
    let long = format!("{{\"id\": 1, \"title\": \"{}\"}}", "x".repeat(2000));
    only_problem(long, 1, "title", "at most 1024");
    let id = format!("{{\"id\": \"{}\", \"title\": \"A\"}}", "x".repeat(200));
    only_problem(id, 1, "id", "1 to 128");
}

#[test]
fn progress_counts_the_bytes_of_the_file() {
    let bytes = gzip(CSV.as_bytes());
    let length = u64::try_from(bytes.len()).unwrap();
    let mut rows = rows_of(bytes, ReadSettings::default());
    assert_eq!(rows.by_ref().count(), 2);
    assert_eq!(rows.bytes_read(), length);
    assert_eq!(rows.format(), Format::Csv);
}

/// The catalogue of that name in the folder of real data, if it is on this machine.
fn real(name: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test finds its data through the environment"
    )]
    let named = std::env::var("HOTSHELF_DATA").ok().map(PathBuf::from);
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = named.unwrap_or_else(default).join("catalogues").join(name);
    let found = path.try_exists().unwrap_or(false);
    if !found {
        println!(
            "NOT TESTED: the catalogue {name}, because {} is missing; HOTSHELF_DATA names the folder",
            path.display()
        );
    }
    found.then_some(path)
}

#[test]
fn the_real_electronics_catalogue_imports_whole_without_flags() {
    let Some(path) = real("bestbuy_typesense.json.gz") else {
        return;
    };
    let mut rows = open(&path, ReadSettings::default()).unwrap();
    let products: Vec<_> = rows.by_ref().map(Result::unwrap).collect();
    assert_eq!(products.len(), 3291);
    let first = &products[0];
    assert_eq!(first.id, "4984700");
    assert!(
        first
            .title
            .starts_with("AT&T GoPhone - Samsung Galaxy Express 3")
    );
    assert_eq!(first.brand.as_deref(), Some("AT&T GoPhone"));
    assert_eq!(
        first.category_path,
        ["Cell Phones", "Prepaid Phones", "All Prepaid Phones"]
    );
    assert_eq!(first.prices[0].list_minor, 4999);
    assert_eq!(
        first.attributes,
        [("popularity".to_owned(), "21449".to_owned())]
    );
    assert!(
        products
            .iter()
            .all(|product| product.prices.len() == 1 && product.images.len() == 1)
    );
    assert_eq!(rows.bytes_read(), std::fs::metadata(&path).unwrap().len());
}

#[test]
fn the_real_fashion_catalogue_imports_whole_without_flags() {
    let Some(path) = real("livostyle_products.csv.gz") else {
        return;
    };
    let mut rows = open(&path, ReadSettings::default()).unwrap();
    let products: Vec<_> = rows.by_ref().map(Result::unwrap).collect();
    assert_eq!(products.len(), 2766);
    let first = &products[0];
    assert_eq!(first.id, "7817153052811");
    assert_eq!(first.title, "Openwork V-Neck Slit Cover-Up");
    assert_eq!(
        first.category_path,
        ["Apparel & Accessories", "Clothing", "Swimwear", "Cover Ups"]
    );
    let price = &first.prices[0];
    assert_eq!((price.list_minor, &*price.currency), (2899, "USD"));
    assert_eq!(first.images.len(), 1);
    assert_eq!(
        products.iter().filter(|product| product.stock == 0).count(),
        6
    );
    assert!(
        first
            .attributes
            .iter()
            .any(|(name, value)| name == "tags" && value.contains("beach"))
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_always_end(bytes in proptest::collection::vec(any::<u8>(), 0..600), format in 0_usize..4) {
        let format = [None, Some(Format::Csv), Some(Format::JsonArray), Some(Format::JsonLines)][format];
        let length = bytes.len();
        let rows = rows_of(bytes, ReadSettings { format, row_bytes_max: 64, ..ReadSettings::default() });
        prop_assert!(rows.count() <= length + 1);
    }

    #[test]
    fn text_that_is_nearly_a_catalogue_never_panics(text in "[\\[\\]{}\",:;\n\r\t \\\\a-c0-9.]{0,300}", damage in 0_usize..300) {
        for head in ["", "id,title,price\n", "[", "{\"id\": 1, \"title\": \"A\"}\n"] {
            drop(all(format!("{head}{text}")));
            let mut bytes = gzip(text.as_bytes());
            let at = damage % bytes.len();
            bytes[at] ^= 0x55;
            drop(all(bytes));
        }
    }

    #[test]
    fn what_a_csv_writer_writes_is_read_back(table in proptest::collection::vec(proptest::collection::vec("[a-z,\"\n\r; ]{0,12}", 3), 1..20)) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["id", "title", "x"]).unwrap();
        for (number, fields) in table.iter().enumerate() {
            writer.write_record([&number.to_string(), &format!("t{}t", fields[0]), &format!("v{}v", fields[1])]).unwrap();
        }
        let products: Vec<_> = all(writer.into_inner().unwrap()).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(products.len(), table.len());
        for (product, fields) in products.iter().zip(&table) {
            prop_assert_eq!(&product.title, &format!("t{}t", fields[0]));
            prop_assert_eq!(&product.attributes[0].1, &format!("v{}v", fields[1]));
        }
    }
}
