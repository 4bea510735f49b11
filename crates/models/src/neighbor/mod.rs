//! Models that ask the most similar items or users.

mod item_knn;
mod search;
mod similarity;
mod text_knn;
mod user_knn;
mod whiten;

pub use item_knn::{ItemKnn, ItemKnnSettings};
pub use similarity::Measure;
pub use text_knn::{Pooling, TextKnn, TextKnnSettings};
pub use user_knn::{UserKnn, UserKnnSettings};
pub use whiten::Whiten;
