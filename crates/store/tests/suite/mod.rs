//! One suite for every engine of the store.

mod contract;
mod upkeep;

pub(crate) use contract::keeps_the_contract;
