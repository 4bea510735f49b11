//! A data set on disk: `manifest.json`, `events.parquet`, `items.parquet`, `users.parquet`.

mod columns;
mod events;
mod leftovers;
mod names;
mod open;
mod staging;
mod tables;
mod target;
mod vectors;

pub(crate) use names::{EVENTS, ITEMS, MANIFEST, USERS};
pub(crate) use open::open;
pub use staging::{Staging, checksum};
pub use vectors::encode_vectors;

pub(crate) use events::encode as encode_events;
pub(crate) use tables::encode as encode_table;
