//! Rows of the change log as the databases hold them, and how they become ours.

use std::collections::HashMap;

use hotshelf_model::{
    Hist, Id, LogRead, LogRow, NamespaceName, Position, Record, Timeline, Version,
};

/// Most rows of one reading.
pub(crate) const ROWS_MAX: usize = 1000;

/// A reading ends with the row that brings it to this many records, so that its size is bounded: 8 MiB with the longest ids.
pub(crate) const RECORDS_MAX: i64 = 51_200;

/// The operations of records.
const UPSERT: i64 = 1;
const DELETE: i64 = 2;
const PARENT: i64 = 3;
const TIMELINE: i64 = 4;

/// A row as it was read.
#[derive(Debug)]
pub(crate) struct RawRow {
    pub(crate) timeline: Timeline,
    pub(crate) position: Position,
    pub(crate) nonce: u64,
    pub(crate) records: Vec<RawRecord>,
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct RawRecord {
    pub(crate) namespace: i64,
    pub(crate) key: String,
    pub(crate) version: Version,
    pub(crate) operation: i64,
}

/// The namespaces by their numbers.
pub(crate) type Names = HashMap<i64, NamespaceName>;

/// The rows after a position, and how many of their records nobody can ask for.
///
/// A row whose operation is not known was written by a newer program; it counts as pruned, because what it says cannot be followed.
pub(crate) fn decode(
    hist: Hist,
    after: Position,
    names: &Names,
    rows: impl IntoIterator<Item = RawRow>,
) -> (LogRead, u64) {
    let mut skipped = 0;
    let mut decoded: Vec<LogRow> = Vec::new();
    for row in rows {
        let before = decoded.last().map_or(after, |row| row.position);
        let known = |record: &RawRecord| (UPSERT..=TIMELINE).contains(&record.operation);
        if row.position.0 != before.0 + 1 || !row.records.iter().all(known) {
            return (LogRead::Pruned, skipped);
        }
        let records = row.records.into_iter().filter_map(|record| {
            let opens = record.operation == TIMELINE;
            let record = record.decode(names);
            skipped += u64::from(record.is_none() && !opens);
            record
        });
        decoded.push(LogRow {
            hist,
            timeline: row.timeline,
            position: row.position,
            nonce: row.nonce,
            records: records.collect(),
        });
    }
    (LogRead::Rows(decoded), skipped)
}

impl RawRecord {
    /// `None` when no key of ours can name it: nobody holds a copy of such a product.
    fn decode(self, names: &Names) -> Option<Record> {
        let version = self.version;
        let namespace = names.get(&self.namespace)?.clone();
        match self.operation {
            UPSERT | DELETE => Some(Record::Key {
                namespace,
                id: Id::new(&self.key).ok()?,
                version,
            }),
            PARENT => Some(Record::Parent { namespace, version }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: u64, records: &[(i64, &str, i64)]) -> RawRow {
        let record = |&(namespace, key, operation): &(i64, &str, i64)| RawRecord {
            namespace,
            key: key.to_owned(),
            version: Version(7),
            operation,
        };
        RawRow {
            timeline: Timeline(2),
            position: Position(position),
            nonce: position * 10,
            records: records.iter().map(record).collect(),
        }
    }

    fn read(after: u64, rows: Vec<RawRow>) -> (LogRead, u64) {
        let names = Names::from([(1, NamespaceName::new("products").unwrap())]);
        decode(Hist(1), Position(after), &names, rows)
    }

    #[test]
    fn what_nobody_can_ask_for_is_left_out_and_counted() {
        let records = [
            (1, "a", 1),
            (9, "b", 1),
            (1, " ", 2),
            (1, "", 3),
            (9, "", 3),
        ];
        let (read, skipped) = read(4, vec![row(5, &records), row(6, &[(0, "", 4)])]);
        let LogRead::Rows(rows) = read else {
            panic!("{read:?}")
        };
        let namespace = NamespaceName::new("products").unwrap();
        let version = Version(7);
        let id = Id::new("a").unwrap();
        assert_eq!(
            rows[0].records,
            [
                Record::Key {
                    namespace: namespace.clone(),
                    id,
                    version
                },
                Record::Parent { namespace, version }
            ]
        );
        assert_eq!((rows[1].records.len(), rows[1].nonce), (0, 60));
        assert_eq!(skipped, 3);
    }

    #[test]
    fn a_gap_or_an_operation_of_the_future_cannot_be_followed() {
        assert_eq!(read(4, vec![row(6, &[])]).0, LogRead::Pruned);
        assert_eq!(read(4, vec![row(5, &[]), row(7, &[])]).0, LogRead::Pruned);
        assert_eq!(read(4, vec![row(5, &[(1, "a", 5)])]).0, LogRead::Pruned);
        assert_eq!(read(4, vec![]).0, LogRead::Rows(Vec::new()));
    }
}
