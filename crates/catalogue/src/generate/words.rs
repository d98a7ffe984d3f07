//! The words that products are made of: a tree of categories, and for each leaf what such a thing is called, made of and said to do.

mod clothing;
mod electronics;
mod home;

/// A leaf of the tree of categories.
#[derive(Debug)]
pub(super) struct Leaf {
    /// What its ids begin with.
    pub(super) prefix: &'static str,
    /// From the root of the tree to the leaf.
    pub(super) path: &'static [&'static str],
    pub(super) brands: &'static [&'static str],
    pub(super) nouns: &'static [&'static str],
    pub(super) adjectives: &'static [&'static str],
    /// Materials or colours with what ids end in.
    pub(super) finishes: &'static [(&'static str, &'static str)],
    pub(super) features: &'static [&'static str],
    pub(super) attributes: &'static [(&'static str, &'static [&'static str])],
    /// The least and the greatest price in whole dollars.
    pub(super) price_usd: (u64, u64),
    /// The least and the greatest side in millimetres.
    pub(super) size_mm: (u64, u64),
    pub(super) sentences: &'static [&'static str],
}

pub(super) const ORIGINS: &[&str] = &[
    "Portugal", "Germany", "Sweden", "Japan", "Poland", "Türkiye", "Vietnam", "Italy",
];

pub(super) const WARRANTIES: &[&str] = &["2 years", "3 years", "5 years", "10 years on the frame"];

/// Sentences that suit everything. Their number has no factor 5, so that steps of 5 meet each one.
pub(super) const SENTENCES: &[&str] = &[
    "Each one is checked by hand before it leaves the workshop, spare parts stay available for at least ten years, and the people who repair it answer the telephone themselves.",
    "Looking after it is easy: a damp cloth is enough for every day, small marks can be polished out, and what remains after some years we would call character.",
    "We chose it because it does one thing well, because it does not ask for attention, and because the people who make it are paid properly for doing so.",
    "Customers tell us that the best part is a detail that similar products leave out to save a little money, and that nobody wants to miss after the first week.",
    "It arrives in a plain cardboard box without plastic, together with a short manual in five languages and a card with the name of whoever packed it.",
    "{brand} has made things like this since long before they were fashionable, and it shows in how the parts fit together, how it ages, and how rarely one comes back to us.",
    "If it is not what you expected, send it back within sixty days in whatever box you have; the way back costs nothing, and we do not ask for reasons.",
    "It goes well with other pieces of the same range and just as well with what you have already, which is why we photograph it in real rooms and not in a studio.",
];

/// Values that suit everything: how it is sent, how it is packed, how it is kept.
pub(super) const GENERAL: &[(&str, &[&str])] = &[
    (
        "Shipping",
        &[
            "Sent within one working day, free of charge from 50",
            "Sent within two working days by parcel service",
            "Delivered to the kerb by appointment",
        ],
    ),
    (
        "Packaging",
        &[
            "Cardboard, 100 % recycled",
            "Cardboard and paper wool",
            "Reusable cotton bag",
        ],
    ),
    (
        "Care",
        &[
            "Wipe with a soft, damp cloth; no solvents",
            "See the manual; spare parts are listed on its last page",
            "Clean with mild soap and let it dry in the air",
        ],
    ),
];

/// The tree's leaves by department; each department gets as many products as another.
pub(super) const DEPARTMENTS: &[&[Leaf]] = &[home::LEAVES, electronics::LEAVES, clothing::LEAVES];
