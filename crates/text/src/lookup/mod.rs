//! Static encoders: a text is the weighted mean of its tokens' vectors, looked up in a table.

mod distill;
mod encoder;

pub use distill::{DistillSettings, Distilled, distill};
pub use encoder::StaticEncoder;
pub(crate) use encoder::is_static;
