//! What writers ask of the database: products written through hotshelf, and changes that no trigger can see.

use std::fmt::Debug;

use crate::error::Error;
use crate::key::{Id, NamespaceName};
use crate::product::Price;
use crate::seams::BoxFuture;
use crate::version::Version;

/// Fields of a product as they are written; `None` leaves a field out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductFields {
    /// What the page's heading says.
    pub title: Option<String>,
    /// The brand; `Some(None)` removes it.
    pub brand: Option<Option<String>>,
    /// From the root of the tree to the leaf.
    pub category_path: Option<Vec<String>>,
    /// Running text; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Names and values shown in a table, in order.
    pub attributes: Option<Vec<(String, String)>>,
    /// Addresses of images, the main one first.
    pub images: Option<Vec<String>>,
    /// Whether the product is on sale at all.
    pub active: Option<bool>,
    /// What it costs now and later; all of its prices.
    pub prices: Option<Vec<Price>>,
    /// Pieces on hand.
    pub quantity: Option<i64>,
    /// Up to how many pieces the stock is called low.
    pub low_at: Option<i64>,
}

impl ProductFields {
    /// Up to how many pieces the stock of a product is called low when nobody said otherwise.
    pub const LOW_AT: i64 = 5;

    /// The fields of a whole product: what was left out gets its default, except the title, which has none.
    #[must_use]
    pub fn whole(self) -> Self {
        ProductFields {
            title: self.title,
            brand: self.brand.or(Some(None)),
            category_path: self.category_path.or_else(|| Some(Vec::new())),
            description: self.description.or(Some(None)),
            attributes: self.attributes.or_else(|| Some(Vec::new())),
            images: self.images.or_else(|| Some(Vec::new())),
            active: self.active.or(Some(true)),
            prices: self.prices.or_else(|| Some(Vec::new())),
            quantity: self.quantity.or(Some(0)),
            low_at: self.low_at.or(Some(Self::LOW_AT)),
        }
    }
}

/// What a write does to a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductChange {
    /// Makes the product what the fields say, and creates it if it is not there; a field left out gets its default.
    Put(ProductFields),
    /// Changes the fields that are given, of a product that is there.
    Patch(ProductFields),
    /// Deletes the product with its prices and stock.
    Delete,
}

impl ProductChange {
    /// The word in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            ProductChange::Put(_) => "put",
            ProductChange::Patch(_) => "patch",
            ProductChange::Delete => "delete",
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductWrite {
    /// The product.
    pub id: Id,
    /// What is to be done to it.
    pub change: ProductChange,
    /// Write only if this is the key's version; [`Version::NONE`] asks that there be no such product.
    pub if_version: Option<Version>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is durable.
    Written {
        /// The key's version; the one from before if the document did not change.
        version: Version,
        /// What the document has become.
        effect: WriteEffect,
    },
    /// The key's version is another one; nothing was written.
    VersionMismatch {
        /// The key's version now.
        current: Version,
    },
    /// There is no such product; nothing was written.
    NotFound {
        /// The version of that absence; [`Version::NONE`] if it never existed.
        version: Version,
    },
    /// The document would have more bytes than a document may have; nothing was written.
    TooLarge {
        /// How many it may have.
        bytes_max: usize,
    },
}

/// What a write did to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEffect {
    /// It was not there before.
    Created,
    /// It is another one now.
    Updated,
    /// It is gone.
    Deleted,
    /// It is the same, so nothing was recorded; stock may have changed within its availability class.
    Unchanged,
}

impl WriteEffect {
    /// The word in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            WriteEffect::Created => "created",
            WriteEffect::Updated => "updated",
            WriteEffect::Deleted => "deleted",
            WriteEffect::Unchanged => "unchanged",
        }
    }
}

/// Writes products of hotshelf's own schema.
pub trait ProductWriter: Send + Sync + Debug {
    /// Writes in one transaction: all of it is durable, or nothing of it is there.
    ///
    /// # Errors
    /// `Invalid` for fields that the database cannot hold; `OriginFailed` and `OriginTimeout` when nothing was written;
    /// `WriteUnknown` when the connection was lost at a moment at which nobody can say.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was written.
    fn write<'a>(&'a self, write: &'a ProductWrite) -> BoxFuture<'a, Result<WriteOutcome, Error>>;
}

/// A change that its author tells of, because no trigger sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedChange {
    /// The namespace of the document.
    pub namespace: NamespaceName,
    /// Its id.
    pub id: Id,
    /// The version that an HTTP origin gave it; `None` where the database gives versions.
    pub version: Option<Version>,
}

/// What was recorded, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Each key's version; a greater one than was given if that was recorded before.
    pub changes: Vec<Version>,
    /// Each bump's version.
    pub bumps: Vec<Version>,
}

/// Records changes that no trigger sees.
pub trait ChangeRecorder: Send + Sync + Debug {
    /// Records changes and bumps in one transaction, durably. A version that is not greater than the key's is known already and
    /// recorded nowhere.
    ///
    /// # Errors
    /// As [`ProductWriter::write`].
    fn record<'a>(
        &'a self,
        changes: &'a [PostedChange],
        bumps: &'a [NamespaceName],
    ) -> BoxFuture<'a, Result<Recorded, Error>>;
}
