//! Attention: of whole texts for encoding, and of ragged sequences with a backward pass.

mod encode;
mod half;
mod pairs;
mod ragged;

pub use encode::{AttentionScratch, attention};
pub use half::{HalfAttentionScratch, half_attention, half_attention_serves};
pub use pairs::PairBias;
pub use ragged::{SelfAttention, SelfAttentionScratch};
