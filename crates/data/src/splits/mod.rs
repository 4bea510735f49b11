//! The ways to split, one file each.

mod by_time;
mod cold;
mod per_user;

pub(crate) use by_time::by_time;
pub(crate) use cold::{cold_items, cold_users};
pub(crate) use per_user::{last_out, last_share, random_share};
