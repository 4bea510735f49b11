//! A small world without a network: assets made on the spot, a hub on the loopback, a pip that is a shell script.

mod hub;
mod pip;

pub(crate) use hub::{Answer, Hub};
pub(crate) use pip::{Members, fake_pip};
