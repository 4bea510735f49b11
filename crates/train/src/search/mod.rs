//! A search over settings as values: what may be tried, in which order, for how long, and what came of it. Knows no model.

mod candidates;
mod domain;
mod halving;
mod journal;
mod run;

pub use candidates::{Assignment, Space};
pub use domain::Domain;
pub use halving::{Rung, rungs, survivors};
pub use journal::{Journal, Trial};
pub use run::{Ask, Failure, Found, Keeper, Limits, Method, Plan, search};
