//! Things with a plug or a battery.

use super::Leaf;

pub(super) const LEAVES: &[Leaf] = &[
    Leaf {
        prefix: "HDPHN",
        path: &["Electronics", "Audio", "Headphones"],
        brands: &["Auralis", "Tonwerk", "Kestrel Audio", "Nimbus"],
        nouns: &[
            "Over-Ear Headphones",
            "In-Ear Headphones",
            "On-Ear Headphones",
            "Open-Back Headphones",
        ],
        adjectives: &["Wireless", "Noise-Cancelling", "Studio", "Folding"],
        finishes: &[
            ("Graphite", "GRAPHITE"),
            ("Silver", "SILVER"),
            ("Sand", "SAND"),
            ("Midnight", "MIDNIGHT"),
        ],
        features: &["30 h Battery", "With Case", "USB-C", "Multipoint"],
        attributes: &[
            ("Bluetooth", &["5.2", "5.3", "None, 3.5 mm cable"]),
            ("Battery life", &["24 h", "30 h", "40 h"]),
            ("Driver", &["30 mm", "40 mm", "50 mm"]),
        ],
        price_usd: (29, 480),
        size_mm: (60, 220),
        sentences: &[
            "The {brand} {noun} in {finish} leave the train outside and the music in.",
            "{adjective} {noun} with a balance that stays honest at low volume.",
        ],
    },
    Leaf {
        prefix: "SPKR",
        path: &["Electronics", "Audio", "Speakers"],
        brands: &["Tonwerk", "Auralis", "Kestrel Audio", "Nimbus"],
        nouns: &[
            "Bookshelf Speaker",
            "Portable Speaker",
            "Smart Speaker",
            "Soundbar",
        ],
        adjectives: &["Compact", "Waterproof", "Wireless", "Two-Way"],
        finishes: &[
            ("Walnut", "WALNUT"),
            ("Black", "BLACK"),
            ("White", "WHITE"),
            ("Olive", "OLIVE"),
        ],
        features: &["Pair", "20 h Battery", "With Stand", "60 W"],
        attributes: &[
            ("Power", &["20 W", "60 W", "120 W"]),
            (
                "Inputs",
                &["Bluetooth, 3.5 mm", "HDMI ARC, optical", "Wi-Fi, Bluetooth"],
            ),
            ("Protection", &["None", "IPX5", "IP67"]),
        ],
        price_usd: (39, 900),
        size_mm: (90, 420),
        sentences: &[
            "The {brand} {noun} in {finish} fills a room without filling a shelf.",
            "A {adjective} {noun} that starts playing within a second of being switched on.",
        ],
    },
    Leaf {
        prefix: "CABLE",
        path: &["Electronics", "Accessories", "Cables & Chargers"],
        brands: &["Nimbus", "Voltline", "Kestrel Audio"],
        nouns: &["USB-C Cable", "Wall Charger", "HDMI Cable", "Charging Dock"],
        adjectives: &["Braided", "Fast", "Slim", "Right-Angle"],
        finishes: &[
            ("Black", "BLACK"),
            ("White", "WHITE"),
            ("Coral", "CORAL"),
            ("Grey", "GREY"),
        ],
        features: &["2 m", "1 m", "65 W", "2 Pack"],
        attributes: &[
            ("Power", &["30 W", "65 W", "100 W"]),
            ("Standard", &["USB 3.2", "USB 2.0", "HDMI 2.1"]),
            ("Tested bends", &["10,000", "20,000"]),
        ],
        price_usd: (6, 70),
        size_mm: (20, 110),
        sentences: &[
            "The {brand} {noun} in {finish} ends the search for the other one.",
            "A {adjective} {noun} made for bags, sockets behind beds and hurried mornings.",
        ],
    },
];
