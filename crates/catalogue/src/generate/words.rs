//! The words that products are made of: a tree of categories, and for each leaf what such a thing is called, made of and said to do.

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
    "Every {noun} is checked by hand before it leaves the workshop, spare parts stay available for at least ten years, and the people who repair it answer the telephone themselves.",
    "The {finish} finish is easy to look after: a damp cloth is enough for every day, small marks can be polished out, and what remains after some years we would call character.",
    "We chose it because it does one thing well, because it does not ask for attention, and because the people who make it are paid properly for doing so.",
    "Customers tell us that the best part is a detail, {feature}, which similar products leave out to save a little money and which nobody wants to miss after the first week.",
    "It arrives in a plain cardboard box without plastic, together with a short manual in five languages and the two tools that you might not have at home.",
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

/// The tree's leaves.
pub(super) const LEAVES: &[Leaf] = &[
    Leaf {
        prefix: "LAMP",
        path: &["Home & Living", "Lighting", "Table Lamps"],
        brands: &[
            "Norrvik",
            "Halden & Roe",
            "Lumière",
            "Brightwell",
            "Casa Fiorente",
        ],
        nouns: &[
            "Table Lamp",
            "Desk Lamp",
            "Bedside Lamp",
            "Reading Lamp",
            "Banker's Lamp",
        ],
        adjectives: &["Slender", "Classic", "Adjustable", "Compact", "Sculptural"],
        finishes: &[
            ("Brass", "BRASS"),
            ("Matt Black", "BLACK"),
            ("Oak", "OAK"),
            ("White Opal", "OPAL"),
            ("Copper", "COPPER"),
        ],
        features: &[
            "Dimmable",
            "With USB Port",
            "Touch Control",
            "Linen Shade",
            "E27",
        ],
        attributes: &[
            (
                "Bulb",
                &[
                    "E27, not included",
                    "E14, not included",
                    "LED 7 W, built in",
                ],
            ),
            ("Voltage", &["220-240 V", "100-240 V"]),
            ("Cable length", &["1.5 m", "1.8 m", "2.2 m"]),
        ],
        price_usd: (19, 240),
        size_mm: (120, 480),
        sentences: &[
            "The {brand} {noun} in {finish} gives a warm light where you read, write or simply sit.",
            "A {adjective} {noun} whose {finish} base is turned from one piece and finished by hand.",
        ],
    },
    Leaf {
        prefix: "SOFA",
        path: &["Home & Living", "Furniture", "Sofas"],
        brands: &["Halden & Roe", "Casa Fiorente", "Nordhem", "Willow & Finch"],
        nouns: &[
            "Two-Seat Sofa",
            "Three-Seat Sofa",
            "Corner Sofa",
            "Sofa Bed",
        ],
        adjectives: &["Deep", "Low-Back", "Modular", "Upright", "Generous"],
        finishes: &[
            ("Sage Linen", "SAGE"),
            ("Charcoal Wool", "CHARCOAL"),
            ("Cognac Leather", "COGNAC"),
            ("Sand Bouclé", "SAND"),
        ],
        features: &[
            "Removable Covers",
            "Oak Legs",
            "With Storage",
            "Feather-Filled",
        ],
        attributes: &[
            ("Frame", &["Kiln-dried beech", "Solid pine and plywood"]),
            ("Filling", &["Foam and feather", "Cold-cure foam"]),
            ("Assembly", &["Legs only", "Two people, 30 minutes"]),
        ],
        price_usd: (390, 2900),
        size_mm: (700, 2400),
        sentences: &[
            "The {brand} {noun} in {finish} has room for an evening with friends and a Sunday alone.",
            "A {adjective} {noun} with a seat that keeps its shape after years of use.",
        ],
    },
    Leaf {
        prefix: "CHAIR",
        path: &["Home & Living", "Furniture", "Dining Chairs"],
        brands: &["Nordhem", "Willow & Finch", "Halden & Roe", "Ateljé 9"],
        nouns: &[
            "Dining Chair",
            "Spindle Chair",
            "Armchair",
            "Stacking Chair",
        ],
        adjectives: &["Curved", "Light", "Sturdy", "Classic", "Low-Arm"],
        finishes: &[
            ("Oak", "OAK"),
            ("Walnut", "WALNUT"),
            ("Black Ash", "BLACKASH"),
            ("White Beech", "WHITE"),
        ],
        features: &["Set of 2", "With Cushion", "Stackable", "Paper Cord Seat"],
        attributes: &[
            ("Seat height", &["44 cm", "45 cm", "46 cm"]),
            ("Load", &["110 kg", "130 kg", "150 kg"]),
            ("Assembly", &["None", "Four screws"]),
        ],
        price_usd: (49, 420),
        size_mm: (400, 900),
        sentences: &[
            "The {brand} {noun} in {finish} is light enough to lift with one hand and made to be lent to neighbours.",
            "A {adjective} {noun} with a back that follows yours.",
        ],
    },
    Leaf {
        prefix: "KNIFE",
        path: &["Kitchen", "Cutlery", "Kitchen Knives"],
        brands: &["Sakai Forge", "Brüder Klinge", "Atelier Morel", "Keen & Co"],
        nouns: &[
            "Chef's Knife",
            "Paring Knife",
            "Bread Knife",
            "Santoku Knife",
            "Filleting Knife",
        ],
        adjectives: &["Forged", "Hand-Ground", "Balanced", "Full-Tang"],
        finishes: &[
            ("Walnut Handle", "WALNUT"),
            ("Olive Wood Handle", "OLIVE"),
            ("Black Resin Handle", "RESIN"),
        ],
        features: &["20 cm", "16 cm", "With Sheath", "Gift Box"],
        attributes: &[
            ("Steel", &["VG-10", "X50CrMoV15", "1.4116"]),
            ("Hardness", &["56 HRC", "58 HRC", "60 HRC"]),
            ("Dishwasher", &["No"]),
        ],
        price_usd: (18, 260),
        size_mm: (20, 340),
        sentences: &[
            "The {brand} {noun} with its {finish} cuts a ripe tomato without pressing.",
            "A {adjective} {noun} that takes an edge quickly and holds it for weeks.",
        ],
    },
    Leaf {
        prefix: "POT",
        path: &["Kitchen", "Cookware", "Pots & Casseroles"],
        brands: &["Fonderie Duval", "Keen & Co", "Nordhem", "Brüder Klinge"],
        nouns: &[
            "Casserole",
            "Saucepan",
            "Stock Pot",
            "Braising Pan",
            "Milk Pan",
        ],
        adjectives: &["Enamelled", "Cast-Iron", "Three-Ply", "Copper-Core"],
        finishes: &[
            ("Cherry Red", "RED"),
            ("Midnight Blue", "BLUE"),
            ("Brushed Steel", "STEEL"),
            ("Cream", "CREAM"),
        ],
        features: &["4.2 l", "2 l", "6 l", "With Lid"],
        attributes: &[
            (
                "Hobs",
                &["All, induction included", "Gas, electric, ceramic"],
            ),
            ("Oven", &["Up to 260 °C", "Up to 220 °C"]),
            ("Dishwasher", &["Yes", "By hand is better"]),
        ],
        price_usd: (25, 340),
        size_mm: (140, 360),
        sentences: &[
            "The {brand} {noun} in {finish} goes from the hob to the oven and then to the table.",
            "A {adjective} {noun} that spreads heat evenly up to its rim.",
        ],
    },
    Leaf {
        prefix: "MUG",
        path: &["Kitchen", "Tableware", "Mugs & Cups"],
        brands: &[
            "Tern Pottery",
            "Ateljé 9",
            "Willow & Finch",
            "Casa Fiorente",
        ],
        nouns: &["Mug", "Espresso Cup", "Latte Bowl", "Tumbler"],
        adjectives: &["Hand-Thrown", "Speckled", "Stackable", "Double-Walled"],
        finishes: &[
            ("Oatmeal Glaze", "OAT"),
            ("Sea Green Glaze", "SEAGREEN"),
            ("Ink Blue Glaze", "INK"),
            ("Raw Clay", "CLAY"),
        ],
        features: &["Set of 4", "Set of 2", "350 ml", "Single"],
        attributes: &[
            ("Volume", &["80 ml", "250 ml", "350 ml", "400 ml"]),
            ("Microwave", &["Yes", "No"]),
            ("Dishwasher", &["Yes"]),
        ],
        price_usd: (8, 64),
        size_mm: (70, 130),
        sentences: &[
            "The {brand} {noun} in {finish} sits well in the hand, and no two are quite alike.",
            "A {adjective} {noun} for the first coffee of the day.",
        ],
    },
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
    Leaf {
        prefix: "DOLL",
        path: &["Toys", "Pretend Play", "Dolls & Soft Toys"],
        brands: &["Kleine Welt", "Button & Bear", "Hazel Toys"],
        nouns: &["Soft Bear", "Rag Doll", "Sleepy Rabbit", "Knitted Fox"],
        adjectives: &["Huggable", "Hand-Sewn", "Washable", "Small"],
        finishes: &[
            ("Honey", "HONEY"),
            ("Grey", "GREY"),
            ("Rose", "ROSE"),
            ("Cream", "CREAM"),
        ],
        features: &["30 cm", "With Blanket", "Organic Cotton", "22 cm"],
        attributes: &[
            ("Age", &["From birth", "From 12 months", "From 3 years"]),
            ("Filling", &["Recycled polyester", "Wool"]),
            ("Washing", &["30 °C", "By hand"]),
        ],
        price_usd: (12, 79),
        size_mm: (120, 420),
        sentences: &[
            "The {brand} {noun} in {finish} has ears that are just long enough to hold on to.",
            "A {adjective} {noun} that survives the washing machine and a good deal of love.",
        ],
    },
    Leaf {
        prefix: "GAME",
        path: &["Toys", "Games", "Board Games"],
        brands: &["Hazel Toys", "Oak Table Games", "Kleine Welt"],
        nouns: &[
            "Board Game",
            "Card Game",
            "Puzzle, 1000 Pieces",
            "Dice Game",
        ],
        adjectives: &["Cooperative", "Quick", "Clever", "Illustrated"],
        finishes: &[
            ("Second Edition", "ED2"),
            ("Travel Size", "TRAVEL"),
            ("Anniversary Box", "BOX"),
        ],
        features: &[
            "2 to 4 Players",
            "From 8 Years",
            "45 Minutes",
            "In German and English",
        ],
        attributes: &[
            ("Players", &["1 to 4", "2 to 4", "2 to 6"]),
            ("Age", &["From 6", "From 8", "From 12"]),
            ("Playing time", &["20 min", "45 min", "90 min"]),
        ],
        price_usd: (9, 75),
        size_mm: (50, 320),
        sentences: &[
            "This {adjective} {noun} by {brand} is explained in five minutes and argued about for years.",
            "A {adjective} {noun} that grandparents win as often as their grandchildren.",
        ],
    },
];
