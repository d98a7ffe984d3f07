//! Both databases, for real: the same shop on each.

mod attach;
mod both;
mod find;
mod follow;
mod foreign;
mod log;
mod node;
mod partitions;
mod postgres;
mod record;
mod setting;
mod shop;
mod sqlite;
mod warm;
mod write;
