//! Things to wear and to take outside.

use super::Leaf;

pub(super) const LEAVES: &[Leaf] = &[
    Leaf {
        prefix: "JACKT",
        path: &["Clothing", "Outerwear", "Jackets"],
        brands: &["Fjellrev", "Harbour & Loch", "Cedarline", "Ostwind"],
        nouns: &[
            "Rain Jacket",
            "Down Jacket",
            "Field Jacket",
            "Softshell Jacket",
            "Parka",
        ],
        adjectives: &["Lightweight", "Insulated", "Waterproof", "Waxed"],
        finishes: &[
            ("Forest Green", "FOREST"),
            ("Navy", "NAVY"),
            ("Rust", "RUST"),
            ("Slate", "SLATE"),
        ],
        features: &["Women", "Men", "With Hood", "Packable"],
        attributes: &[
            ("Size", &["XS", "S", "M", "L", "XL"]),
            (
                "Shell",
                &["100 % recycled polyester", "65 % cotton, 35 % polyester"],
            ),
            ("Water column", &["5,000 mm", "10,000 mm", "20,000 mm"]),
        ],
        price_usd: (59, 520),
        size_mm: (250, 760),
        sentences: &[
            "The {brand} {noun} in {finish} keeps out what the forecast forgot to mention.",
            "A {adjective} {noun} cut long enough to sit on.",
        ],
    },
    Leaf {
        prefix: "SHOE",
        path: &["Clothing", "Footwear", "Trainers"],
        brands: &["Ostwind", "Cedarline", "Pasolargo", "Fjellrev"],
        nouns: &["Running Shoe", "Trail Shoe", "Trainer", "Walking Shoe"],
        adjectives: &["Cushioned", "Breathable", "Light", "Grippy"],
        finishes: &[
            ("White", "WHITE"),
            ("Black", "BLACK"),
            ("Blue Teal", "TEAL"),
            ("Clay", "CLAY"),
        ],
        features: &["Wide Fit", "Vegan", "Women", "Men"],
        attributes: &[
            ("Size", &["38", "40", "42", "44"]),
            ("Drop", &["4 mm", "8 mm", "10 mm"]),
            ("Upper", &["Recycled mesh", "Suede", "Knit"]),
        ],
        price_usd: (49, 220),
        size_mm: (100, 330),
        sentences: &[
            "The {brand} {noun} in {finish} feels broken in on the first kilometre.",
            "A {adjective} {noun} for wet pavements and dry hills.",
        ],
    },
    Leaf {
        prefix: "BAG",
        path: &["Clothing", "Accessories", "Bags & Backpacks"],
        brands: &["Harbour & Loch", "Cedarline", "Ateljé 9", "Pasolargo"],
        nouns: &["Backpack", "Tote", "Messenger Bag", "Weekender"],
        adjectives: &["Roll-Top", "Waxed", "Slim", "Padded"],
        finishes: &[
            ("Tan Leather", "TAN"),
            ("Black Canvas", "BLACK"),
            ("Moss", "MOSS"),
            ("Stone", "STONE"),
        ],
        features: &["20 l", "With Laptop Sleeve", "35 l", "Cabin Size"],
        attributes: &[
            ("Volume", &["12 l", "20 l", "35 l"]),
            ("Laptop", &["13 inch", "15 inch", "None"]),
            ("Water", &["Repellent", "Proof", "Keep dry"]),
        ],
        price_usd: (35, 390),
        size_mm: (150, 560),
        sentences: &[
            "The {brand} {noun} in {finish} has a place for everything and one pocket for nothing in particular.",
            "A {adjective} {noun} that stands up by itself.",
        ],
    },
    Leaf {
        prefix: "TENT",
        path: &["Outdoor", "Camping", "Tents"],
        brands: &["Fjellrev", "Summit Row", "Ostwind"],
        nouns: &["Two-Person Tent", "Family Tent", "Tunnel Tent", "Tarp"],
        adjectives: &["Ultralight", "Four-Season", "Freestanding", "Roomy"],
        finishes: &[("Olive", "OLIVE"), ("Orange", "ORANGE"), ("Sand", "SAND")],
        features: &["With Footprint", "2.1 kg", "2 Doors", "With Porch"],
        attributes: &[
            ("Water column", &["3,000 mm", "5,000 mm"]),
            ("Poles", &["Aluminium 7001", "Carbon", "Fibreglass"]),
            ("Season", &["3", "4"]),
        ],
        price_usd: (79, 890),
        size_mm: (150, 640),
        sentences: &[
            "The {brand} {noun} in {finish} is up before the kettle boils.",
            "A {adjective} {noun} that shrugs at wind from any side.",
        ],
    },
    Leaf {
        prefix: "BOTTL",
        path: &["Outdoor", "Camping", "Bottles & Flasks"],
        brands: &["Summit Row", "Tern Pottery", "Cedarline"],
        nouns: &["Insulated Bottle", "Flask", "Water Bottle", "Food Jar"],
        adjectives: &["Vacuum", "Wide-Mouth", "Leakproof", "Slim"],
        finishes: &[
            ("Steel", "STEEL"),
            ("Powder Blue", "BLUE"),
            ("Black", "BLACK"),
            ("Moss", "MOSS"),
        ],
        features: &["750 ml", "500 ml", "With Straw", "1 l"],
        attributes: &[
            ("Volume", &["500 ml", "750 ml", "1 l"]),
            ("Keeps hot", &["8 h", "12 h", "18 h"]),
            ("Keeps cold", &["16 h", "24 h"]),
        ],
        price_usd: (12, 58),
        size_mm: (70, 320),
        sentences: &[
            "The {brand} {noun} in {finish} is still warm when you have forgotten about it.",
            "A {adjective} {noun} that does not drip into a bag.",
        ],
    },
];
