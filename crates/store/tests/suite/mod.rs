//! One suite for every engine of the store.

mod contract;

pub(crate) use contract::keeps_the_contract;
