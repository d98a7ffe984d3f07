//! Which column feeds which field: guessed from the columns' names, or said.

mod guesses;

use std::collections::BTreeMap;

use hotshelf_model::FieldProblem;

use self::guesses::{guess, suffix_currency};
use crate::row::{Row, clip};

/// What of a product a column can feed. Columns that feed none of these become attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The id.
    Id,
    /// The title.
    Title,
    /// The brand.
    Brand,
    /// The category path: a list, or text such as `Clothing > Tops`.
    Category,
    /// The description.
    Description,
    /// Addresses of images: a list, or text with blanks or `|` between them. Several columns can hold images.
    Image,
    /// What it costs; several columns when they name different currencies, as in `price_usd`.
    Price,
    /// The lower price asked during a sale.
    SalePrice,
    /// The higher price asked before: then the price is the sale's.
    CompareAtPrice,
    /// The currency of the prices.
    Currency,
    /// Pieces on hand, or whether there are any.
    Stock,
    /// Whether it is on sale at all.
    Active,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 12] = [
        Field::Id,
        Field::Title,
        Field::Brand,
        Field::Category,
        Field::Description,
        Field::Image,
        Field::Price,
        Field::SalePrice,
        Field::CompareAtPrice,
        Field::Currency,
        Field::Stock,
        Field::Active,
    ];

    /// The word in flags and problems.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Title => "title",
            Field::Brand => "brand",
            Field::Category => "category",
            Field::Description => "description",
            Field::Image => "image",
            Field::Price => "price",
            Field::SalePrice => "sale_price",
            Field::CompareAtPrice => "compare_at_price",
            Field::Currency => "currency",
            Field::Stock => "stock",
            Field::Active => "active",
        }
    }

    /// Whether a name may end in a currency, as `price_usd` does.
    fn is_price(self) -> bool {
        matches!(
            self,
            Field::Price | Field::SalePrice | Field::CompareAtPrice
        )
    }
}

/// Which columns feed which fields, as far as somebody said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    said: BTreeMap<Field, Said>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Column(String),
    /// The name of the file that the column's address ends in.
    FileName(String),
    Nothing,
}

impl Mapping {
    /// Takes one flag's text: `title=name` (the column `name` feeds the title), `stock=` (nothing feeds the stock), `id=@image` (the id
    /// is the file name in the address in column `image`: its leading digits if there are at least four, else all of it).
    ///
    /// # Errors
    /// When there is no such field, or it is said twice.
    pub fn add(&mut self, text: &str) -> Result<(), FieldProblem> {
        let problem = |reason: String| FieldProblem::new(clip(text), reason);
        let names = || Field::ALL.map(Field::as_str).join(", ");
        let Some((name, column)) = text.split_once('=') else {
            let reason = format!("must be FIELD=COLUMN; the fields are {}", names());
            return Err(problem(reason));
        };
        let Some(field) = Field::ALL.into_iter().find(|field| field.as_str() == name) else {
            let reason = format!(
                "there is no field `{}`; the fields are {}",
                clip(name),
                names()
            );
            return Err(problem(reason));
        };
        let said = match (column, column.strip_prefix('@')) {
            ("", _) => Said::Nothing,
            (_, Some(column)) if field == Field::Id => Said::FileName(column.to_owned()),
            (_, Some(_)) => {
                return Err(problem("`@` is for the id only".to_owned()));
            }
            (column, None) => Said::Column(column.to_owned()),
        };
        match self.said.insert(field, said) {
            None => Ok(()),
            Some(_) => Err(problem(format!("`{name}` is mapped twice"))),
        }
    }

    /// The columns that somebody named and that are not among these.
    pub(crate) fn absent_columns<'a>(
        &'a self,
        columns: &'a [String],
    ) -> impl Iterator<Item = (Field, &'a str)> {
        self.said
            .iter()
            .filter_map(move |(&field, said)| match said {
                Said::Column(column) | Said::FileName(column) if !columns.contains(column) => {
                    Some((field, column.as_str()))
                }
                _ => None,
            })
    }

    /// Whether somebody said what feeds this field.
    pub(crate) fn is_said(&self, field: Field) -> bool {
        self.said.contains_key(&field)
    }

    /// Where each field of a row comes from.
    pub(crate) fn pick(&self, row: &Row) -> Picked {
        let mut picked = Picked::default();
        for (index, (column, _)) in row.cells.iter().enumerate() {
            for said in self.said.iter().filter_map(|(&field, said)| match said {
                Said::Column(said) if said == column => Some(field),
                _ => None,
            }) {
                picked.take(
                    said,
                    Pick {
                        index,
                        rank: 0,
                        currency: suffix_currency(column).1,
                    },
                );
            }
            if let Some((field, rank, currency)) = guess(column)
                && !self.is_said(field)
            {
                picked.take(
                    field,
                    Pick {
                        index,
                        rank,
                        currency,
                    },
                );
            }
        }
        if let Some(Said::FileName(column)) = self.said.get(&Field::Id) {
            picked.id_address = row.cells.iter().position(|(name, _)| name == column);
        }
        picked.sort();
        picked
    }
}

/// One column that feeds a field.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    /// Which cell of the row.
    pub(crate) index: usize,
    rank: usize,
    /// The currency that the column's name ends in.
    pub(crate) currency: Option<String>,
}

/// Where each field of one row comes from.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    fields: BTreeMap<Field, Vec<Pick>>,
    /// The cell whose address ends in the id.
    pub(crate) id_address: Option<usize>,
}

impl Picked {
    fn take(&mut self, field: Field, pick: Pick) {
        self.fields.entry(field).or_default().push(pick);
    }

    /// Puts the likeliest column first, and drops the others where one column is all that a field can have.
    fn sort(&mut self) {
        for (field, picks) in &mut self.fields {
            picks.sort_by_key(|pick| pick.rank);
            if field.is_price() {
                let mut seen = Vec::new();
                picks.retain(|pick| {
                    let new = !seen.contains(&pick.currency);
                    seen.push(pick.currency.clone());
                    new
                });
            } else if *field != Field::Image {
                picks.truncate(1);
            }
        }
    }

    pub(crate) fn all(&self, field: Field) -> &[Pick] {
        self.fields.get(&field).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn one(&self, field: Field) -> Option<usize> {
        self.all(field).first().map(|pick| pick.index)
    }

    /// Whether a field takes this cell.
    pub(crate) fn takes(&self, index: usize) -> bool {
        self.fields
            .values()
            .flatten()
            .any(|pick| pick.index == index)
    }

    /// Gives a cell back, to become an attribute.
    pub(crate) fn give_back(&mut self, field: Field) {
        self.fields.remove(&field);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::guesses::GUESSES;
    use super::*;

    #[test]
    fn common_names_are_guessed_whatever_their_spelling() {
        for (column, field) in [
            ("objectID", Field::Id),
            ("Product Id", Field::Id),
            ("Handle", Field::Id),
            ("productName", Field::Title),
            ("Vendor", Field::Brand),
            ("category_full_path", Field::Category),
            ("Body (HTML)", Field::Description),
            ("featured_image_url", Field::Image),
            ("price_min_usd", Field::Price),
            ("prices.EUR", Field::Price),
            ("in_stock_any", Field::Stock),
            ("Variant Compare At Price", Field::CompareAtPrice),
        ] {
            assert_eq!(
                guess(column).map(|(field, ..)| field),
                Some(field),
                "{column}"
            );
        }
        let guesses: usize = GUESSES.iter().map(|(_, guesses)| guesses.len()).sum();
        let distinct: BTreeSet<_> = GUESSES.iter().flat_map(|(_, guesses)| *guesses).collect();
        assert_eq!(guesses, distinct.len(), "no name suggests two fields");
        for column in ["price_max_usd", "popularity", "variant_count", "usd", ""] {
            assert_eq!(guess(column), None, "{column}");
        }
    }

    #[test]
    fn a_flag_that_cannot_be_read_says_what_could() {
        let mut mapping = Mapping::default();
        assert_eq!(mapping.add("title=name"), Ok(()));
        for (text, reason) in [
            ("title=other", "mapped twice"),
            (
                "nope=x",
                "there is no field `nope`; the fields are id, title",
            ),
            ("title", "FIELD=COLUMN"),
            ("brand=@image", "for the id only"),
        ] {
            let error = mapping.add(text).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
        }
    }
}
