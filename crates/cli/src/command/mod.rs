//! One file a command.

mod assets;
pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod compare;
mod config;
mod demo;
pub(crate) mod describe;
mod evaluate;
mod export;
mod import;
mod inspect;
pub(crate) mod recommend;
pub(crate) mod retrain;
mod run;
mod search;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod talk;
mod train;
mod tune;
pub(crate) mod weights;
pub(crate) mod writing;

pub(crate) use run::{Usage, run};
