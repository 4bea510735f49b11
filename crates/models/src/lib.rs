//! Models that need no tensor library: popularity, sequences, neighbours, linear models and factors.
//! Each is a file: its settings ([`tastemaker_core::Fit`]), then the fitted model ([`tastemaker_core::Recommender`]).
//! Knows nothing of files, texts (vectors come in ready-made) or configuration.

mod distinct;
mod factor;
mod interactions;
mod linear;
mod neighbor;
mod persist;
mod popular;
mod recent;
mod scorer;
mod sequence;
mod sparse;

use distinct::distinct;

pub use factor::{
    Bpr, BprSettings, Ials, IalsSettings, Item2vec, Item2vecSettings, Mf, MfSettings, Negatives,
    Solver,
};
pub use linear::{Ease, EaseSettings};
pub use neighbor::{
    ItemKnn, ItemKnnSettings, Measure, Pooling, TextKnn, TextKnnSettings, UserKnn, UserKnnSettings,
    Whiten,
};
pub use popular::{Popularity, PopularitySettings};
pub use sequence::{Markov, MarkovSettings};
