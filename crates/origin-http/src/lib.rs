//! A service that answers over HTTP as the origin of documents, as [`HttpOrigin`].
//!
//! The service says a version with each document, a number that grows with every change of its id. There is no change log: what
//! changed is told to hotshelf by other means. A document's bytes are kept as they came.
//!
//! Deliberately absent: redirects, proxies, cookies and retries. Whom to ask is the template's to say, and when to ask again the
//! engine's.

mod document;
mod origin;
mod route;
mod settings;
mod template;

pub use origin::HttpOrigin;
pub use settings::{HttpBatch, HttpNamespace, HttpOriginSettings};
