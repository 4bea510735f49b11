//! One suite for every engine of the store.

mod contract;
mod experiments;
mod upkeep;

pub(crate) use contract::keeps_the_contract;
