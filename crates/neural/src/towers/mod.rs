//! Two towers: a user's and an item's vector, each made of all that is known of one side, and compared by their product.

mod fit;
mod inputs;
mod learner;
mod model;
mod pairs;
mod settings;
mod tower;

pub use model::TwoTower;
pub use settings::TwoTowerSettings;
