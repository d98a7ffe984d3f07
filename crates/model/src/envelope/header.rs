//! The fixed prefix, the parents and the header check.

use xxhash_rust::xxh3::xxh3_64;

use crate::clock::DbTime;
use crate::entry::{Entry, Kind, Parent, Parents};
use crate::lookup::MissReason;
use crate::version::{Position, Stamp, Timeline, Version};

const FORMAT: u32 = 1;
/// Length of the part whose layout never depends on its content.
pub const PREFIX_BYTES: usize = 56;
const PARENT_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;
const NO_PARENT: Parent = Parent {
    name_hash: 0,
    version: Version::NONE,
};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    pub(super) fetched_at: DbTime,
    pub(super) valid_until: Option<DbTime>,
    pub(super) body_check: u64,
    pub(super) parents: Parents,
}

impl Header {
    pub(super) fn of(entry: &Entry, body_check: u64) -> Self {
        Header {
            kind: entry.kind(),
            stamp: entry.stamp,
            fetched_at: entry.fetched_at,
            valid_until: entry.valid_until,
            body_check,
            parents: entry.parents.clone(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let parents = self.parents.as_slice();
        assert!(
            parents.len() <= Parents::MAX,
            "an entry has at most 8 parents"
        );
        let mut bytes =
            Vec::with_capacity(PREFIX_BYTES + parents.len() * PARENT_BYTES + CHECK_BYTES);
        bytes.extend(FORMAT.to_be_bytes());
        bytes.extend(kind_number(self.kind).to_be_bytes());
        bytes.extend(self.stamp.timeline.0.to_be_bytes());
        bytes.extend(self.stamp.version.0.to_be_bytes());
        bytes.extend(self.stamp.position.0.to_be_bytes());
        bytes.extend(self.fetched_at.0.to_be_bytes());
        bytes.extend(self.valid_until.map_or(0, |until| until.0).to_be_bytes());
        bytes.extend(self.body_check.to_be_bytes());
        bytes.extend(
            u32::try_from(parents.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        debug_assert_eq!(bytes.len(), PREFIX_BYTES);
        for parent in parents {
            bytes.extend(parent.name_hash.to_be_bytes());
            bytes.extend(parent.version.0.to_be_bytes());
        }
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// Reads and checks a header; also says where it ends.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), MissReason> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.u32()? != FORMAT {
            return Err(MissReason::UnknownFormat);
        }
        let kind = kind_from(reader.u32()?)?;
        let stamp = Stamp {
            timeline: Timeline(reader.u32()?),
            version: Version(reader.u64()?),
            position: Position(reader.u64()?),
        };
        let fetched_at = DbTime(reader.u64()?);
        let valid_until = Some(reader.u64()?).filter(|&until| until != 0).map(DbTime);
        let body_check = reader.u64()?;
        let count = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let mut parents = [NO_PARENT; Parents::MAX];
        let parents = parents.get_mut(..count).ok_or(MissReason::Damaged)?;
        for parent in &mut *parents {
            *parent = Parent {
                name_hash: reader.u64()?,
                version: Version(reader.u64()?),
            };
        }
        let parents = Parents::new(parents).ok_or(MissReason::Damaged)?;
        let checked = &bytes[..reader.at];
        if reader.u64()? != xxh3_64(checked) {
            return Err(MissReason::Damaged);
        }
        Ok((
            Header {
                kind,
                stamp,
                fetched_at,
                valid_until,
                body_check,
                parents,
            },
            reader.at,
        ))
    }
}

fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::Present => 1,
        Kind::Absent => 2,
    }
}

fn kind_from(number: u32) -> Result<Kind, MissReason> {
    match number {
        1 => Ok(Kind::Present),
        2 => Ok(Kind::Absent),
        _ => Err(MissReason::Damaged),
    }
}

/// Takes big-endian numbers off the front; running out of bytes is damage.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MissReason> {
        let taken = self
            .bytes
            .get(self.at..self.at + N)
            .and_then(|slice| slice.try_into().ok());
        self.at += N;
        taken.ok_or(MissReason::Damaged)
    }

    fn u32(&mut self) -> Result<u32, MissReason> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, MissReason> {
        self.take().map(u64::from_be_bytes)
    }
}
