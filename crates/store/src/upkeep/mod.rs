//! What keeps a store in good hands: rows in bulk, copies of it, word of what other processes wrote, and who changed what.

mod audit;
mod backup;
mod file;
mod import;
pub(crate) mod outside;
mod promotion;
mod restore;

pub use audit::Act;
pub(crate) use audit::{forget as forget_acts, put as put_act};
pub use backup::{Backup, back_up};
pub use file::{must_be_there, private_file};
pub use import::Rows;
pub(crate) use import::{living_events, living_users};
pub use outside::Outside;
pub use promotion::Promotion;
pub(crate) use promotion::put as put_promotion;
pub use restore::restore;
