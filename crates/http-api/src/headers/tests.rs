//! Headers say what the RFCs want.

use super::*;

fn accepting(lists: &[&str]) -> Encoding {
    let mut wishes = Wishes::default();
    lists
        .iter()
        .for_each(|list| wishes.note_list(list.as_bytes()));
    wishes.best()
}

#[test]
fn the_heaviest_weight_wins_and_zstd_beats_gzip_when_equal() {
    use Encoding::{Gzip, Identity, Zstd};
    for (lists, best) in [
        (&[][..], Identity),
        (&[""], Identity),
        (&["gzip"], Gzip),
        (&["x-gzip"], Gzip),
        (&["gzip, deflate, br, zstd"], Zstd),
        (&["gzip", "zstd"], Zstd),
        (&["GZIP;q=1.0, ZSTD;Q=0.9"], Gzip),
        (&["zstd;q=0.5, gzip;q=0.501"], Gzip),
        (&["zstd;q=0, gzip"], Gzip),
        (&["zstd;q=0, *"], Gzip),
        (&["*"], Zstd),
        (&["*;q=0"], Identity),
        (&["gzip;q=0.5, identity"], Identity),
        (&["gzip;q=0.5, identity;q=0.5"], Gzip),
        (&["identity;q=0, gzip"], Gzip),
        (&["gzip;q=0"], Identity),
        (&["gzip;q=2"], Identity),
        (&["gzip;q=0.1234"], Identity),
        (&["gzip;q=-1"], Identity),
        (&["gzip;level=9"], Identity),
        (&["br, deflate"], Identity),
        (&[" zstd ; q=0.8 , gzip ; q=0.2 "], Zstd),
        (&[",,;,=,gzip"], Gzip),
    ] {
        assert_eq!(accepting(lists), best, "{lists:?}");
    }
}

#[test]
fn a_header_that_is_not_text_is_passed_over() {
    let mut wishes = Wishes::default();
    wishes.note_list(b"zstd\xff");
    wishes.note_list(b"gzip");
    assert_eq!(wishes.best(), Encoding::Gzip);
}

#[test]
fn if_none_match_takes_lists_stars_and_weak_tags() {
    let tag = br#""3-18447-1a2b3c4d-00000001""#;
    for (list, named) in [
        (&br#""3-18447-1a2b3c4d-00000001""#[..], true),
        (br#"W/"3-18447-1a2b3c4d-00000001""#, true),
        (br#""a", W/"b" ,"3-18447-1a2b3c4d-00000001""#, true),
        (br#"  "a""3-18447-1a2b3c4d-00000001""#, true),
        (b"*", true),
        (b" * ", true),
        (br#""*""#, false),
        (br#""3-18447-1a2b3c4d-00000001-zstd""#, false),
        (br#"3-18447-1a2b3c4d-00000001"#, false),
        (br#""3-18447"#, false),
        (br#"w/"3-18447-1a2b3c4d-00000001""#, false),
        (b"", false),
        (b",", false),
        (b"W/", false),
        (b"\"", false),
    ] {
        assert_eq!(
            names_tag(list, tag),
            named,
            "{}",
            String::from_utf8_lossy(list)
        );
    }
}

fn tag_text(tag: Tag, encoding: Encoding) -> String {
    let mut text = BytesMut::new();
    tag.put(&mut text, encoding);
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn each_encoding_has_its_own_tag() {
    let tag = Tag {
        version: Version(3 << 40 | 18447),
        shape: Shape(0x1a2b_3c4d),
        hash: 0x0e6f_7a8b,
    };
    assert_eq!(
        tag_text(tag, Encoding::Identity),
        r#""3-18447-1a2b3c4d-0e6f7a8b""#
    );
    assert_eq!(
        tag_text(tag, Encoding::Zstd),
        r#""3-18447-1a2b3c4d-0e6f7a8b-zstd""#
    );
    assert_eq!(
        tag_text(tag, Encoding::Gzip),
        r#""3-18447-1a2b3c4d-0e6f7a8b-gzip""#
    );
}

#[test]
fn other_bytes_of_the_same_version_have_another_tag() {
    let of = |hash| Tag {
        version: Version(7),
        shape: Shape(1),
        hash,
    };
    let text = |hash| tag_text(of(hash), Encoding::Identity);
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

fn headers_of(facts: Facts) -> HeaderMap {
    let mut sink = MapSink::new();
    facts.put(&mut sink);
    sink.headers
}

fn facts(tier: TierName, freshness: Freshness) -> Facts {
    Facts {
        tier,
        version: Version(3 << 40 | 18447),
        freshness,
        age_seconds: 12,
    }
}

#[test]
fn a_fresh_hit_says_how_long_it_stays_fresh() {
    let ttl = Duration::from_millis(27_900);
    let headers = headers_of(facts(TierName::L1, Freshness::Fresh { ttl }));
    assert_eq!(headers[CACHE_STATUS], "hotshelf; hit; ttl=27; detail=l1");
    assert_eq!(headers[CACHE_CONTROL], "no-cache");
    assert_eq!(headers[AGE], "12");
    assert_eq!(headers[HOTSHELF_VERSION], "3-18447");
    assert!(!headers.contains_key(HOTSHELF_STALE));
}

#[test]
fn a_stale_hit_is_labelled_and_not_to_be_kept() {
    let by = Duration::from_millis(8_200);
    let headers = headers_of(facts(TierName::L3, Freshness::Stale { by }));
    assert_eq!(headers[CACHE_STATUS], "hotshelf; hit; ttl=-9; detail=l3");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[HOTSHELF_STALE], "9");
    let headers = headers_of(facts(TierName::L1, Freshness::Stale { by: Duration::ZERO }));
    assert_eq!(
        headers[HOTSHELF_STALE], "1",
        "a stale answer is never called 0 seconds stale"
    );
}

#[test]
fn an_answer_of_the_origin_is_a_miss() {
    let ttl = Duration::from_secs(600);
    let headers = headers_of(facts(TierName::Origin, Freshness::Fresh { ttl }));
    assert_eq!(headers[CACHE_STATUS], "hotshelf; fwd=miss; detail=origin");
}

#[test]
fn numbers_are_written_as_fmt_writes_them() {
    for number in [0, 7, 10, 18_447, u64::MAX] {
        let mut text = BytesMut::new();
        put_decimal(&mut text, number);
        assert_eq!(text, number.to_string().as_bytes());
    }
    for number in [0, 0x1a2b_3c4d, u32::MAX] {
        let mut text = BytesMut::new();
        put_hex(&mut text, number);
        assert_eq!(text, format!("{number:08x}").as_bytes());
    }
}

#[test]
fn the_longest_values_fit_the_room_kept_for_them() {
    let mut text = BytesMut::with_capacity(VALUES_BYTES);
    Tag {
        version: Version(u64::MAX),
        shape: Shape(u32::MAX),
        hash: u32::MAX,
    }
    .put(&mut text, Encoding::Zstd);
    let longest = Facts {
        tier: TierName::L3,
        version: Version(u64::MAX),
        freshness: Freshness::Stale {
            by: Duration::from_secs(u32::MAX.into()),
        },
        age_seconds: u32::MAX.into(),
    };
    put_decimal(&mut text, longest.age_seconds);
    put_version(&mut text, longest.version);
    longest.put_cache_status(&mut text);
    put_decimal(&mut text, u32::MAX.into());
    assert!(text.len() <= VALUES_BYTES, "{}", text.len());
}
