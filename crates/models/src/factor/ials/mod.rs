//! iALS: a vector for each user and item; every pair counts, what was taken with more confidence.
//!
//! Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; conjugate gradients after
//! Takács, Pilászy, Tikk (2011); the penalty's growth with the row after Rendle, Krichene, Zhang, Koren (2022).
//! Objective: `min Σ_ui c_ui (p_ui − x_u·y_i)² + Σ_u λ_u‖x_u‖² + Σ_i λ_i‖y_i‖²`. Shapes: `X: [n_users, d]`, `Y: [n_items, d]`.

mod fit;
mod model;
mod settings;
#[cfg(test)]
mod tests;

pub use model::Ials;
pub use settings::{IalsSettings, Solver};
