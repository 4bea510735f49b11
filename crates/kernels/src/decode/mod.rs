//! What models that write token by token need: layers spread over all cores, attention over what was read before.

mod attention;
mod wide;

pub use attention::{CachedAttention, Span};
pub use wide::WideLinear;
