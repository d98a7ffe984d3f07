//! Tables for people: columns as wide as what is in them, times and sizes in words.

/// Lays rows out in columns; the first row is the head. Every row has as many cells as the first.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<String>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A row of a table's head.
pub(super) fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A cell; a dash for nothing.
pub(super) fn cell(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// A time in milliseconds; a dash for none.
pub(super) fn span(ms: Option<u64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms @ 0..1000) => format!("{ms} ms"),
        Some(ms @ 1000..120_000) => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        Some(ms @ 120_000..7_200_000) => format!("{} min", ms / 60_000),
        Some(ms @ 7_200_000..172_800_000) => format!("{} h", ms / 3_600_000),
        Some(ms) => format!("{} d", ms / 86_400_000),
    }
}

/// A size in bytes; a dash for none.
pub(super) fn bytes(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes @ 0..10_240) => format!("{bytes} B"),
        Some(bytes @ 10_240..10_485_760) => format!("{} KiB", bytes >> 10),
        Some(bytes) => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            head(&["node", "tier"]),
            head(&["é", "l1"]),
            head(&["shelf-1", ""]),
        ];
        assert_eq!(table(&rows), "node     tier\né        l1\nshelf-1\n");
    }

    #[test]
    fn times_and_sizes_are_in_words() {
        let spans = [
            None,
            Some(0),
            Some(1250),
            Some(600_000),
            Some(86_400_000),
            Some(345_600_000),
        ];
        assert_eq!(
            spans.map(span),
            ["-", "0 ms", "1.2 s", "10 min", "24 h", "4 d"]
        );
        assert_eq!(
            [Some(2048), Some(20 << 10), Some(30 << 20)].map(bytes),
            ["2048 B", "20 KiB", "30 MiB"]
        );
    }
}
