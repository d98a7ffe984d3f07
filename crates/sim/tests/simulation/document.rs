//! Documents that tell which write they are of, in every part, so that a mixed or torn one shows.

use hotshelf_model::{Id, Key, Variant};
use hotshelf_sim::Seen;
use hotshelf_testkit::names::{self, products};

const VARIANTS: [&str; 2] = ["locale=de", "locale=en"];

pub(crate) fn id(product: u32) -> String {
    format!("p-{product}")
}

pub(crate) fn product_of(id: &Id) -> Option<u32> {
    id.as_str().strip_prefix("p-")?.parse().ok()
}

/// How many variants there are.
pub(crate) fn variants() -> u32 {
    u32::try_from(VARIANTS.len()).unwrap()
}

fn variant(at: u32) -> Variant {
    names::variant(VARIANTS[at as usize])
}

pub(crate) fn variant_of(variant: &Variant) -> u32 {
    let at = VARIANTS.iter().position(|known| *known == variant.as_str());
    u32::try_from(at.unwrap()).unwrap()
}

pub(crate) fn key(product: u32, at: u32) -> Key {
    Key::new(&products(), &names::id(&id(product)), &variant(at))
}

/// The document of a write; the database puts the variant in.
pub(crate) fn body(product: u32, number: u64) -> String {
    let words = 1 + usize::try_from(number % 7).unwrap_or_default();
    let parts = format!("{product}.{number} ").repeat(words);
    format!("{product} {number} {{variant}} {parts}")
}

/// What bytes that were read in a variant show.
pub(crate) fn seen(bytes: &[u8], variant: u32) -> Seen {
    whole(bytes, variant).unwrap_or(Seen::Torn)
}

fn whole(bytes: &[u8], variant: u32) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split(' ');
    let (product, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let whole = body(product, number).replace("{variant}", VARIANTS[variant as usize]);
    (whole == text).then_some(Seen::Document { product, number })
}

#[test]
fn a_mixed_document_is_torn() {
    let shown = |number: u64| body(7, number).replace("{variant}", VARIANTS[1]);
    let number = 12;
    assert_eq!(
        seen(shown(number).as_bytes(), 1),
        Seen::Document { product: 7, number }
    );
    assert_eq!(seen(shown(number).as_bytes(), 0), Seen::Torn);
    let mixed = format!("{}{}", &shown(12)[..20], &shown(19)[20..]);
    assert_eq!(seen(mixed.as_bytes(), 1), Seen::Torn);
    assert_eq!(seen(b"", 0), Seen::Torn);
}
