//! Lists for a user, a session, or a taste described in words.

mod answer;
mod make;
mod types;
mod work;

pub(crate) use answer::{by_address, by_body};
pub(super) use make::known;
pub(crate) use make::{Past, make, make_again};
pub(super) use types::MAX_WORDS;
pub(crate) use types::{N, RecommendAnswer, RecommendRequest, RecommendedItem, Source};
pub(crate) use work::ListJob;
pub(super) use work::newer;
