//! Experiments: who gets what, what counts, and what another policy would have been worth.

mod arms;
mod off_policy;
mod results;
mod scene;
