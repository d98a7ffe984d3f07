//! Both databases, for real: the same shop on each.

mod both;
mod follow;
mod foreign;
mod log;
mod postgres;
mod shop;
mod sqlite;
mod write;
