//! Prices as exact counts of a currency's minor unit. No floating point: `0.1` has no exact one.

use hotshelf_model::product::Price;

/// How many digits a currency has after the point (ISO 4217).
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An amount with the currency that stands beside it, if one does: `12.34`, `1,234.50`, `12.34 USD`, `EUR 12`.
///
/// # Errors
/// Says what is wrong and what would be right.
pub fn parse(text: &str, currency: &str) -> Result<(i64, String), String> {
    let text = text.trim();
    let (number, currency) = match text.split_once(char::is_whitespace) {
        Some((code, number)) if Price::is_currency(code) => (number.trim(), code),
        Some((number, code)) if Price::is_currency(code.trim()) => (number, code.trim()),
        _ => (text, currency),
    };
    Ok((minor(number, minor_digits(currency))?, currency.to_owned()))
}

/// An amount in the minor unit of a currency with that many digits after the point.
///
/// # Errors
/// Says what is wrong and what would be right.
pub fn minor(text: &str, digits: u32) -> Result<i64, String> {
    let refuse = |reason: &str| Err(format!("`{}` {reason}", crate::row::clip(text)));
    if text.is_empty() {
        return refuse("is empty; write a number such as 12.34");
    }
    if text.starts_with('-') {
        return refuse("is negative; a price is 0 or more");
    }
    let allowed = |byte: u8| byte.is_ascii_digit() || byte == b',' || byte == b'.';
    if !text.bytes().all(allowed) {
        return refuse(
            "is not a plain number; write 12.34, and the currency in a column of its own or as `12.34 USD`",
        );
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.contains(['.', ',']) {
        return refuse("has digits missing or a second point; write 1,234.50");
    }
    let Some(whole) = ungrouped(whole) else {
        return refuse(
            "has a comma that does not part thousands; write 1,234.50, with a point before the cents",
        );
    };
    let Some(fraction) = scaled(fraction, digits) else {
        return refuse(&format!("has more than {digits} digits after the point"));
    };
    let unit = 10_i64.pow(digits);
    let whole: Option<i64> = whole.parse().ok();
    let total = whole
        .and_then(|whole| whole.checked_mul(unit))
        .and_then(|whole| whole.checked_add(fraction));
    match total {
        Some(total) => Ok(total),
        None => refuse("is too large"),
    }
}

/// The digits without the commas between thousands; `None` when a comma stands elsewhere.
fn ungrouped(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let grouped = whole.contains(',');
    if grouped && !(1..=3).contains(&first.len()) {
        return None;
    }
    if groups.any(|group| group.len() != 3) {
        return None;
    }
    Some(whole.replace(',', ""))
}

/// The digits after the point as a count of the minor unit; more digits than it has must be zeros.
fn scaled(fraction: &str, digits: u32) -> Option<i64> {
    let digits = usize::try_from(digits).ok()?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits {
        return None;
    }
    let padded = format!("{fraction:0<digits$}");
    if padded.is_empty() {
        Some(0)
    } else {
        padded.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, cents) in [
            ("12.34", 1234),
            ("12", 1200),
            ("12.", 1200),
            ("1,234.50", 123_450),
            ("1,234,567", 123_456_700),
            ("0.1", 10),
            ("0.29", 29),
            ("49.990000", 4999),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(minor(text, 2), Ok(cents), "{text}");
        }
        assert_eq!(minor("1200", 0), Ok(1200));
        assert_eq!(minor("1.234", 3), Ok(1234));
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (text, reason) in [
            ("", "is empty"),
            ("-1", "negative"),
            ("$12.34", "not a plain number"),
            ("1e3", "not a plain number"),
            ("12,34", "does not part thousands"),
            ("1234,567", "does not part thousands"),
            (",123", "does not part thousands"),
            ("1.234,50", "second point"),
            ("1.2.3", "second point"),
            (".5", "digits missing"),
            ("12.345", "more than 2 digits"),
            ("92233720368547758.08", "too large"),
            ("99999999999999999999999", "too large"),
        ] {
            let error = minor(text, 2).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_currency_beside_the_amount_is_taken() {
        assert_eq!(parse("12.34 EUR", "USD"), Ok((1234, "EUR".to_owned())));
        assert_eq!(parse("JPY 1,200", "USD"), Ok((1200, "JPY".to_owned())));
        assert_eq!(parse(" 5 ", "USD"), Ok((500, "USD".to_owned())));
        assert!(parse("12 34", "USD").is_err());
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_as_it_was_written(cents in 0_i64..=i64::MAX) {
            prop_assert_eq!(minor(&format!("{}.{:02}", cents / 100, cents % 100), 2), Ok(cents));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*", digits in 0_u32..4) {
            drop(minor(&text, digits));
            drop(parse(&text, "USD"));
        }
    }
}
