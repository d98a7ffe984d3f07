//! Catalogues: products from files of others (CSV, JSON, JSON lines, plain or gzip), and believable generated ones.
//!
//! A file is read as a stream: [`read::open`] gives one [`hotshelf_model::Product`] or one [`RowProblem`] after another, and holds one
//! row at a time. A bad row costs that row. Which column feeds which field is guessed from its name, or said in a [`Mapping`].

pub mod generate;
pub mod mapping;
pub mod price;
pub mod read;
pub mod row;

mod product;

pub use generate::{generate, generate_at};
pub use mapping::{Field, Mapping};
pub use read::{Format, ReadSettings, Rows, open, read};
pub use row::RowProblem;
