//! What can be chosen of iALS, and which choices are worth trying.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, Shape, TrainData};

use super::Ials;
use super::fit::fit;

/// Largest data for which several settings are tried: a matter of seconds for each.
const SEARCHED_EVENTS: usize = 5_000_000;
const SEARCHED_ROWS: usize = 300_000;

/// How the system of a user or an item is solved in the fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Solver {
    /// A few steps towards the solution, from that of the iteration before.
    ConjugateGradient {
        /// Steps for each user and item in each iteration.
        steps: usize,
    },
    /// To the end; slower by the number of factors.
    Cholesky,
}

/// Settings of [`Ials`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IalsSettings {
    /// Length of the vectors.
    pub factors: usize,
    /// Times that all users and then all items are solved.
    pub iterations: usize,
    /// What an event adds to the confidence, 1, that every pair of user and item has.
    pub alpha: f32,
    /// Penalty on the size of the vectors.
    pub regularisation: f32,
    /// Growth of the penalty with the confidence of a user's or an item's pairs: `regularisation · (Σ c)^exponent`.
    pub exponent: f32,
    /// Multiplies `alpha` by the value of the event (rating, count, strength); otherwise all events weigh the same.
    pub use_values: bool,
    /// How fast an event of the history loses weight as newer ones follow, when a user's vector is made for an
    /// answer: its weight is `(1 + age)^-recency`, with age 0 for the newest. 0: all count the same.
    pub recency: f32,
    /// How the systems are solved in the fit.
    pub solver: Solver,
}

impl Default for IalsSettings {
    fn default() -> Self {
        Self {
            factors: 64,
            iterations: 15,
            alpha: 10.0,
            regularisation: 0.001,
            exponent: 1.0,
            use_values: false,
            recency: 0.7,
            solver: Solver::ConjugateGradient { steps: 3 },
        }
    }
}

impl Fit for IalsSettings {
    type Model = Ials;

    fn faults(&self) -> Vec<Fault> {
        let within = |field, value: f32, least: f32, most: f32| {
            Fault::unless((least..=most).contains(&value), field, || {
                format!("must be from {least} to {most}, is {value}")
            })
        };
        let count = |field, value: usize, most: usize| {
            Fault::unless((1..=most).contains(&value), field, || {
                format!("must be from 1 to {most}, is {value}")
            })
        };
        let steps = match self.solver {
            Solver::ConjugateGradient { steps } => count("solver", steps, 1000),
            Solver::Cholesky => None,
        };
        [
            count("factors", self.factors, 4096),
            count("iterations", self.iterations, 10_000),
            within("alpha", self.alpha, 0.0, 1e6),
            within("regularisation", self.regularisation, 1e-9, 1e9),
            within("exponent", self.exponent, 0.0, 2.0),
            within("recency", self.recency, 0.0, 100.0),
            steps,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn grid(&self, shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        if shape.n_events <= SEARCHED_EVENTS && shape.n_users + shape.n_items <= SEARCHED_ROWS {
            // From dense film data to sparse product data; the last for lists whose order says nothing.
            let tries = [
                (64, 4.0, 0.01, 0.5),
                (256, 4.0, 0.005, 0.7),
                (256, 10.0, 0.01, 0.7),
                (256, 20.0, 0.001, 0.7),
                (256, 4.0, 0.005, 0.0),
            ];
            all.extend(tries.map(|(factors, alpha, regularisation, recency)| Self {
                factors,
                alpha,
                regularisation,
                recency,
                exponent: 1.0,
                ..self.clone()
            }));
        }
        all
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Ials, FitError> {
        fit(settings, data)
    }
}

impl IalsSettings {
    /// Returns what an item's events add to the confidence of its pair, from the sum of their values.
    pub(super) fn added(&self, value: f32) -> f32 {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1e6) };
        if self.use_values { self.alpha * value } else { self.alpha }
    }

    /// Returns the penalty of a row of `n_pairs` pairs, to which events have added `added` confidence.
    pub(super) fn penalty(&self, n_pairs: usize, added: f32) -> f32 {
        self.regularisation * (n_pairs as f32 + added).powf(self.exponent)
    }
}
