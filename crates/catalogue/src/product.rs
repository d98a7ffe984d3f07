//! From a row to a product: every field read, bounded and checked.

use hotshelf_model::Id;
use hotshelf_model::product::{Price, Product};

use crate::mapping::{Field, Mapping, Pick, Picked};
use crate::price;
use crate::read::ReadSettings;
use crate::row::{Cell, Row, RowProblem, clip};

const TITLE_BYTES_MAX: usize = 1024;
const BRAND_BYTES_MAX: usize = 256;
const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
const CATEGORIES_MAX: usize = 16;
const CATEGORY_BYTES_MAX: usize = 256;
const IMAGES_MAX: usize = 64;
const IMAGE_BYTES_MAX: usize = 2048;
const ATTRIBUTES_MAX: usize = 128;
const ATTRIBUTE_BYTES_MAX: usize = 8 * 1024;

/// Where ids come from in one file, decided on its first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdFrom {
    /// From a column; a row without it is bad.
    Column,
    /// From the file name in the address of the image, because the first row has no id; a row that has one keeps it.
    ImageName,
}

impl IdFrom {
    pub(crate) fn of(mapping: &Mapping, first: &Row) -> Self {
        let column = mapping.is_said(Field::Id) || mapping.pick(first).one(Field::Id).is_some();
        if column {
            IdFrom::Column
        } else {
            IdFrom::ImageName
        }
    }
}

/// The product that a row describes.
pub(crate) fn product(
    row: &Row,
    settings: &ReadSettings,
    id_from: IdFrom,
) -> Result<Product, RowProblem> {
    let mut picked = settings.mapping.pick(row);
    let reading = Reading { row, settings };
    let active = reading.active(&mut picked)?;
    let stock = reading.stock(&mut picked)?;
    let picked = &picked;
    let title = reading
        .text(picked, Field::Title, TITLE_BYTES_MAX)?
        .ok_or_else(|| {
            reading.problem(
                Field::Title,
                "is missing; name its column with `title=COLUMN`",
            )
        })?;
    Ok(Product {
        id: reading.id(picked, id_from)?,
        title,
        brand: reading.text(picked, Field::Brand, BRAND_BYTES_MAX)?,
        category_path: reading.category(picked)?,
        description: reading.text(picked, Field::Description, DESCRIPTION_BYTES_MAX)?,
        attributes: reading.attributes(picked)?,
        images: reading.images(picked)?,
        active,
        prices: reading.prices(picked)?,
        stock,
    })
}

/// A row that is being read.
struct Reading<'a> {
    row: &'a Row,
    settings: &'a ReadSettings,
}

impl Reading<'_> {
    fn problem(&self, field: Field, reason: impl Into<String>) -> RowProblem {
        RowProblem::new(self.row.line, field.as_str(), reason)
    }

    fn cell(&self, picked: &Picked, field: Field) -> Option<&Cell> {
        let (_, cell) = self.row.cells.get(picked.one(field)?)?;
        Some(cell)
    }

    /// Text that a database can hold, within its bound.
    fn bounded(&self, field: &str, text: String, bytes_max: usize) -> Result<String, RowProblem> {
        let problem = |reason: String| Err(RowProblem::new(self.row.line, field, reason));
        if text.len() > bytes_max {
            return problem(format!(
                "has {} bytes; at most {bytes_max} are taken",
                text.len()
            ));
        }
        if text.contains('\0') {
            return problem("holds a NUL character, which no database takes".to_owned());
        }
        Ok(text)
    }

    fn text(
        &self,
        picked: &Picked,
        field: Field,
        bytes_max: usize,
    ) -> Result<Option<String>, RowProblem> {
        let text = self.cell(picked, field).map(Cell::joined);
        text.map(|text| self.bounded(field.as_str(), text, bytes_max))
            .transpose()
    }

    fn id(&self, picked: &Picked, from: IdFrom) -> Result<String, RowProblem> {
        let given = self.cell(picked, Field::Id);
        let named = match (picked.id_address, from) {
            (Some(index), _) => self.row.cells.get(index).map(|(_, cell)| cell),
            (None, IdFrom::ImageName) if given.is_none() => self.cell(picked, Field::Image),
            (None, IdFrom::ImageName | IdFrom::Column) => None,
        };
        let first = |cell: &Cell| match cell {
            Cell::Text(text) => text.clone(),
            Cell::List(items) => items.first().cloned().unwrap_or_default(),
        };
        let id = match (named, given) {
            (Some(address), _) => file_name(&first(address)),
            (None, Some(cell)) => cell.joined(),
            (None, None) => String::new(),
        };
        if id.is_empty() {
            let reason = match from {
                IdFrom::Column => "is missing",
                IdFrom::ImageName => {
                    "is missing: the file has no column of ids; name one with `id=COLUMN`"
                }
            };
            return Err(self.problem(Field::Id, reason));
        }
        Id::new(&id).map_err(|problem| self.problem(Field::Id, problem.reason))?;
        Ok(id)
    }

    fn category(&self, picked: &Picked) -> Result<Vec<String>, RowProblem> {
        let field = Field::Category;
        let path: Vec<String> = match self.cell(picked, field) {
            None => Vec::new(),
            Some(Cell::List(items)) => items.iter().map(|item| item.trim().to_owned()).collect(),
            Some(Cell::Text(text)) => split_path(text),
        };
        if path.len() > CATEGORIES_MAX {
            let reason = format!("is {} deep; at most {CATEGORIES_MAX} are taken", path.len());
            return Err(self.problem(field, reason));
        }
        let names = path.into_iter().filter(|name| !name.is_empty());
        names
            .map(|name| self.bounded(field.as_str(), name, CATEGORY_BYTES_MAX))
            .collect()
    }

    fn images(&self, picked: &Picked) -> Result<Vec<String>, RowProblem> {
        let mut images: Vec<String> = Vec::new();
        for pick in picked.all(Field::Image) {
            let found = match self.row.cells.get(pick.index) {
                Some((_, Cell::List(items))) => items.clone(),
                Some((_, Cell::Text(text))) => split_addresses(text),
                None => Vec::new(),
            };
            for image in found {
                let image = self.bounded(Field::Image.as_str(), image, IMAGE_BYTES_MAX)?;
                if !image.is_empty() && !images.contains(&image) {
                    images.push(image);
                }
            }
        }
        if images.len() > IMAGES_MAX {
            let reason = format!(
                "has {} addresses; at most {IMAGES_MAX} are taken",
                images.len()
            );
            return Err(self.problem(Field::Image, reason));
        }
        Ok(images)
    }

    fn attributes(&self, picked: &Picked) -> Result<Vec<(String, String)>, RowProblem> {
        let mut attributes = Vec::new();
        for (index, (name, cell)) in self.row.cells.iter().enumerate() {
            if picked.takes(index) {
                continue;
            }
            let value = self.bounded(name, cell.joined(), ATTRIBUTE_BYTES_MAX)?;
            let name = self.bounded("row", name.clone(), CATEGORY_BYTES_MAX)?;
            if !value.is_empty() {
                attributes.push((name, value));
            }
        }
        if attributes.len() > ATTRIBUTES_MAX {
            let reason = format!(
                "has {} more columns; at most {ATTRIBUTES_MAX} become attributes",
                attributes.len()
            );
            return Err(RowProblem::new(self.row.line, "row", reason));
        }
        Ok(attributes)
    }

    fn prices(&self, picked: &Picked) -> Result<Vec<Price>, RowProblem> {
        let mut prices: Vec<Price> = Vec::new();
        let sales = self.amounts(picked, Field::SalePrice)?;
        let before = self.amounts(picked, Field::CompareAtPrice)?;
        for (asked, currency) in self.amounts(picked, Field::Price)? {
            if prices.iter().any(|price| price.currency == currency) {
                continue;
            }
            let in_currency = |amounts: &[(i64, String)]| {
                let found = amounts.iter().find(|(_, other)| *other == currency);
                found.map(|&(amount, _)| amount)
            };
            let (list_minor, sale) = match in_currency(&before) {
                Some(before) if before > asked => (before, Some(asked)),
                _ => (asked, in_currency(&sales)),
            };
            if sale.is_some_and(|sale| sale > list_minor) {
                let reason = "is above the price that it lowers";
                return Err(self.problem(Field::SalePrice, reason));
            }
            prices.push(Price {
                currency,
                list_minor,
                sale_minor: sale.filter(|&sale| sale < list_minor),
                valid_from: None,
                valid_to: None,
            });
        }
        Ok(prices)
    }

    /// The amounts of a field with their currencies. The name of the column tells the currency best, then the text beside the amount,
    /// then a column of currencies, then the settings.
    fn amounts(&self, picked: &Picked, field: Field) -> Result<Vec<(i64, String)>, RowProblem> {
        let column = self
            .cell(picked, Field::Currency)
            .map(|cell| cell.joined().to_ascii_uppercase());
        if let Some(currency) = column
            .as_deref()
            .filter(|currency| !Price::is_currency(currency))
        {
            let reason = format!("`{}` is not a currency's code such as EUR", clip(currency));
            return Err(self.problem(Field::Currency, reason));
        }
        let usual = column.unwrap_or_else(|| self.settings.currency.clone());
        let amount = |pick: &Pick| {
            let (_, cell) = self.row.cells.get(pick.index)?;
            let currency = pick.currency.as_ref().unwrap_or(&usual);
            let amount = price::parse(&cell.joined(), currency);
            Some(amount.map_err(|reason| self.problem(field, reason)))
        };
        picked.all(field).iter().filter_map(amount).collect()
    }

    fn stock(&self, picked: &mut Picked) -> Result<i64, RowProblem> {
        let Some(text) = self.cell(picked, Field::Stock).map(Cell::joined) else {
            return Ok(self.settings.stock_assumed);
        };
        match stock(&text, self.settings.stock_assumed) {
            Some(stock) => Ok(stock),
            None if self.settings.mapping.is_said(Field::Stock) => {
                let reason = format!(
                    "`{}` is neither a whole number nor true, false, in stock or out of stock",
                    clip(&text)
                );
                Err(self.problem(Field::Stock, reason))
            }
            None => {
                picked.give_back(Field::Stock);
                Ok(self.settings.stock_assumed)
            }
        }
    }

    fn active(&self, picked: &mut Picked) -> Result<bool, RowProblem> {
        let Some(text) = self.cell(picked, Field::Active).map(Cell::joined) else {
            return Ok(true);
        };
        match truth(&text) {
            Some(active) => Ok(active),
            None if self.settings.mapping.is_said(Field::Active) => {
                let reason = format!(
                    "`{}` is neither true nor false, active nor draft",
                    clip(&text)
                );
                Err(self.problem(Field::Active, reason))
            }
            None => {
                picked.give_back(Field::Active);
                Ok(true)
            }
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "active" | "published" | "enabled" => Some(true),
        "false" | "no" | "n" | "0" | "inactive" | "draft" | "archived" | "unpublished"
        | "disabled" => Some(false),
        _ => None,
    }
}

/// Pieces on hand. Where a file only says that there are some, it is as many as are assumed.
fn stock(text: &str, assumed: i64) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
        if fraction.bytes().all(|byte| byte == b'0') {
            whole
        } else {
            text
        }
    });
    if let Ok(count) = whole.parse() {
        return Some(count);
    }
    let words = text.to_ascii_lowercase().replace(['_', '-', ' '], "");
    match words.rsplit('/').next().unwrap_or_default() {
        "true" | "yes" | "instock" | "available" => Some(assumed),
        "false" | "no" | "outofstock" | "soldout" | "unavailable" => Some(0),
        _ => None,
    }
}

/// `Clothing > Tops`, `Clothing | Tops` and `Clothing / Tops` as a path; a `/` without blanks belongs to a name.
fn split_path(text: &str) -> Vec<String> {
    let mark = [">", "|", " / "]
        .into_iter()
        .find(|mark| text.contains(mark));
    let names: Vec<&str> = match mark {
        Some(mark) => text.split(mark).collect(),
        None => vec![text],
    };
    names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .collect()
}

/// Addresses with `|`, blanks or commas and blanks between them.
fn split_addresses(text: &str) -> Vec<String> {
    let parts = text.split(|letter: char| letter == '|' || letter.is_whitespace());
    let parts = parts.map(|part| part.trim_end_matches([',', ';']));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The file name at the end of an address, without its ending; of `4984700_sb.jpg`, where at least four digits lead, only these.
fn file_name(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).trim();
    let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
    if digits >= 4 {
        return stem[..digits].to_owned();
    }
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_a_number_or_a_word() {
        for (text, pieces) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("-2", Some(-2)),
            ("True", Some(100)),
            ("in stock", Some(100)),
            ("https://schema.org/InStock", Some(100)),
            ("Out of Stock", Some(0)),
            ("7.5", None),
            ("many", None),
        ] {
            assert_eq!(stock(text, 100), pieces, "{text}");
        }
    }

    #[test]
    fn an_address_ends_in_an_id() {
        assert_eq!(file_name("https://h/a/4984700_sb.jpg"), "4984700");
        assert_eq!(file_name("https://h/a/lamp-12.webp?v=3"), "lamp-12");
        assert_eq!(file_name("https://h/a/12_sb.jpg"), "12_sb");
        assert_eq!(file_name("https://h/"), "");
    }

    #[test]
    fn a_path_has_one_kind_of_mark() {
        assert_eq!(split_path("A & B > C/D > E"), ["A & B", "C/D", "E"]);
        assert_eq!(split_path("Black/White"), ["Black/White"]);
        assert_eq!(split_path("A / B"), ["A", "B"]);
    }
}
