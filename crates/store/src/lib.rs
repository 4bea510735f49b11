//! What outlives the process: events, catalogue, users, lists that were shown, keys. One schema on two engines: SQLite in a
//! file, or Postgres behind a URL. Everything is written by one task that commits what waits at once; a change is
//! acknowledged after its commit and not before.
#![warn(missing_docs)]

mod browse;
mod change;
mod error;
mod experiments;
mod id;
mod keys;
mod open;
mod read;
mod records;
mod schema;
mod upkeep;
mod writer;

pub use change::{Applied, Change, Repeat};
pub use error::Error;
pub use experiments::{Experiment, Participant, Participants};
pub use id::{event_key, event_key_at, is_id, is_tenant, new_id};
pub use keys::{KeyRecord, NewKey, Scope};
pub use open::Store;
pub use read::{EventFilter, Page};
pub use records::{Event, Item, Shown, User};
pub use upkeep::{
    Act, Backup, Outside, Promotion, Rows, back_up, must_be_there, private_file, restore,
};

/// Longest id, in bytes.
pub const MAX_ID: usize = 512;
/// The kind of events that say an item was shown; they are no part of what a user did.
pub const IMPRESSION: &str = "impression";
