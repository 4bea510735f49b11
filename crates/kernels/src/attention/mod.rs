//! Attention: of whole texts for encoding, and of ragged sequences with a backward pass.

mod encode;
mod pairs;
mod ragged;

pub use encode::{AttentionScratch, attention};
pub use pairs::PairBias;
pub use ragged::{SelfAttention, SelfAttentionScratch};
