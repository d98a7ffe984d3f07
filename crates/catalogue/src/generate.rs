//! Believable products, the same ones for the same seed on every machine.
//!
//! Each product follows from (seed, its number) alone, so the first thousand of a million are the first thousand of two thousand. The
//! generator of numbers is written out here, because a catalogue must not change when a library does.

use hotshelf_model::product::{Price, Product};

mod words;

use words::{DEPARTMENTS, GENERAL, Leaf, ORIGINS, SENTENCES, WARRANTIES};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// 2027-01-01T00:00:00Z.
const SALES_START_MS: u64 = 1_798_761_600_000;
/// How much of the price in dollars the price in euros is, in percent.
const EURO_PERCENT: u64 = 92;

/// `count` products; their scheduled sales begin within a month from 2027-01-01.
pub fn generate(count: u64, seed: u64) -> impl Iterator<Item = Product> {
    generate_at(count, seed, SALES_START_MS)
}

/// The same with sales that begin within a month from `now_ms`, in milliseconds since 1970.
pub fn generate_at(count: u64, seed: u64, now_ms: u64) -> impl Iterator<Item = Product> {
    (0..count).map(move |number| product(number, seed, now_ms))
}

/// SplitMix64: small, fast, and the same for ever.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64, number: u64) -> Self {
        let mut dice = Dice(seed);
        let start = dice.next() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Dice(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn index(&mut self, count: usize) -> usize {
        let below = self.below(u64::try_from(count).unwrap_or(1).max(1));
        usize::try_from(below).unwrap_or_default()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }
}

fn product(number: u64, seed: u64, now_ms: u64) -> Product {
    let mut dice = Dice::of(seed, number);
    let department = dice.pick(DEPARTMENTS);
    let leaf = &department[dice.index(department.len())];
    let (finish, code) = dice.pick(leaf.finishes);
    let chosen = Chosen {
        brand: dice.pick(leaf.brands),
        adjective: dice.pick(leaf.adjectives),
        noun: dice.pick(leaf.nouns),
        finish,
    };
    let id = format!("{}-{:05}-{code}", leaf.prefix, number + 1);
    let feature = dice.pick(leaf.features);
    Product {
        title: chosen.title(feature),
        brand: Some(chosen.brand.to_owned()),
        category_path: leaf.path.iter().map(|&name| name.to_owned()).collect(),
        description: Some(description(&mut dice, leaf, &chosen)),
        attributes: attributes(&mut dice, leaf, &chosen, &id),
        images: images(&mut dice, leaf, &id),
        active: !dice.percent(1),
        prices: prices(&mut dice, leaf, now_ms),
        stock: stock(&mut dice),
        id,
    }
}

/// The words that make one product.
struct Chosen<'a> {
    brand: &'a str,
    adjective: &'a str,
    noun: &'a str,
    finish: &'a str,
}

impl Chosen<'_> {
    fn title(&self, feature: &str) -> String {
        let Chosen {
            brand,
            adjective,
            noun,
            finish,
        } = self;
        format!("{brand} {adjective} {noun}, {finish}, {feature}")
    }

    fn fill(&self, sentence: &str) -> String {
        let article = if self.adjective.starts_with(['A', 'E', 'I', 'O', 'U']) {
            "An"
        } else {
            "A"
        };
        let filled = sentence
            .replace("A {adjective}", &format!("{article} {{adjective}}"))
            .replace("{brand}", self.brand)
            .replace("{adjective}", &lower(self.adjective))
            .replace("{noun}", &lower(self.noun))
            .replace("{finish}", &lower(self.finish));
        let mut letters = filled.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect()
    }
}

/// As it stands inside a sentence. Words such as HDMI and USB-C stay as they are.
fn lower(words: &str) -> String {
    let word = |word: &str| {
        if word.chars().nth(1).is_some_and(char::is_uppercase) {
            word.to_owned()
        } else {
            word.to_lowercase()
        }
    };
    words.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Two to five sentences, none of them twice.
fn description(dice: &mut Dice, leaf: &Leaf, chosen: &Chosen<'_>) -> String {
    let count = dice.between(1, 4);
    let mut sentences = vec![chosen.fill(dice.pick(leaf.sentences))];
    let mut at = dice.below(97);
    for _ in 0..count {
        // A step that shares no factor with the number of sentences meets each of them once.
        at += 5;
        let index = usize::try_from(at).unwrap_or_default() % SENTENCES.len();
        sentences.push(chosen.fill(SENTENCES[index]));
    }
    sentences.join(" ")
}

fn attributes(
    dice: &mut Dice,
    leaf: &Leaf,
    chosen: &Chosen<'_>,
    id: &str,
) -> Vec<(String, String)> {
    let mut attributes = vec![
        ("Finish".to_owned(), chosen.finish.to_owned()),
        (
            "Model".to_owned(),
            format!("{}{}", &id[..2], dice.between(100, 9999)),
        ),
    ];
    for (name, values) in leaf.attributes.iter().chain(GENERAL) {
        attributes.push(((*name).to_owned(), dice.pick(values).to_owned()));
    }
    let side = |dice: &mut Dice| dice.between(leaf.size_mm.0, leaf.size_mm.1);
    let (width, height, depth) = (side(dice), side(dice), side(dice));
    let size = format!("{width} x {height} x {depth} mm");
    attributes.push(("Dimensions".to_owned(), size));
    let grams = (width * height * depth / 6_000).clamp(40, 80_000);
    let weight = if grams < 1000 {
        format!("{grams} g")
    } else {
        format!("{}.{} kg", grams / 1000, grams % 1000 / 100)
    };
    attributes.push(("Weight".to_owned(), weight));
    attributes.push((
        "Country of origin".to_owned(),
        dice.pick(ORIGINS).to_owned(),
    ));
    attributes.push(("Warranty".to_owned(), dice.pick(WARRANTIES).to_owned()));
    attributes
}

fn images(dice: &mut Dice, leaf: &Leaf, id: &str) -> Vec<String> {
    const VIEWS: [&str; 6] = ["main", "side", "back", "detail", "room", "scale"];
    let host = dice.pick(&["images.example.com", "cdn.example.com"]);
    let folder = leaf.prefix.to_lowercase();
    let file = id.to_lowercase();
    let count = usize::try_from(dice.between(3, 6)).unwrap_or(3);
    let address = |view: &&str| format!("https://{host}/{folder}/{file}/{view}.jpg");
    VIEWS[..count].iter().map(address).collect()
}

/// A sale that one product has.
#[derive(Clone, Copy)]
enum Sale {
    None,
    /// It has begun and has no end.
    Running {
        percent: u64,
    },
    /// It begins and ends at a midnight to come.
    Scheduled {
        percent: u64,
        from: u64,
        to: u64,
    },
}

fn prices(dice: &mut Dice, leaf: &Leaf, now_ms: u64) -> Vec<Price> {
    let (low, high) = leaf.price_usd;
    // Squared, because there are more cheap things than dear ones.
    let share = dice.below(1000);
    let dollars = low + (high - low) * share * share / 1_000_000;
    let ending = dice.pick(&[99, 99, 99, 95, 50, 0]);
    let percent = dice.pick(&[10, 15, 20, 25, 30, 40]);
    let midnight = now_ms / DAY_MS * DAY_MS;
    let sale = match dice.below(100) {
        0..15 => Sale::Running { percent },
        15..25 => {
            let from = midnight + dice.between(1, 30) * DAY_MS;
            let to = from + dice.between(1, 10) * DAY_MS;
            Sale::Scheduled { percent, from, to }
        }
        _ => Sale::None,
    };
    let euros = (dollars * EURO_PERCENT / 100).max(1);
    let usd = in_currency("USD", dollars * 100 + ending, sale);
    let eur = in_currency("EUR", euros * 100 + ending, sale);
    [usd, eur].concat()
}

fn in_currency(currency: &str, list: u64, sale: Sale) -> Vec<Price> {
    let minor = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    let reduced = |percent: u64| minor((list * (100 - percent) / 100).max(1));
    let price = |sale_minor, valid_from, valid_to| Price {
        currency: currency.to_owned(),
        list_minor: minor(list),
        sale_minor,
        valid_from,
        valid_to,
    };
    match sale {
        Sale::None => vec![price(None, None, None)],
        Sale::Running { percent } => vec![price(Some(reduced(percent)), None, None)],
        Sale::Scheduled { percent, from, to } => vec![
            price(None, None, Some(from)),
            price(Some(reduced(percent)), Some(from), Some(to)),
            price(None, Some(to), None),
        ],
    }
}

/// Some are sold out, some nearly; most have a few dozen and some have hundreds.
fn stock(dice: &mut Dice) -> i64 {
    let pieces = match dice.below(100) {
        0..6 => 0,
        6..16 => dice.between(1, 5),
        16..85 => dice.between(6, 80),
        _ => dice.between(81, 900),
    };
    i64::try_from(pieces).unwrap_or_default()
}

#[cfg(test)]
mod tests;
