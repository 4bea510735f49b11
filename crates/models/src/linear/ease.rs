//! EASE: every item's taking is foretold from all others by ridge regression in closed form.
//!
//! Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
//! Objective: `min ‖X − X·B‖² + λ‖B‖²` with `diag B = 0`; then `P = (XᵀX + λI)⁻¹` and `B = I − P·diag(1 / diag P)`.
//! Shapes: `X: [n_users, n_items]`, 1 where a user took an item; `B: [n_items, n_items]`; score `x·B`.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Contribution, Evidence, Fault, Fit, FitError, ItemId, Persist, PersistError,
    Recommender, Request, Saved, Scored, Shape, Similar, TrainData, top_k,
};
use tastemaker_kernels::{NotPositiveDefinite, Real, WeightedRows, spd_inverse};

use crate::interactions::{Known, interactions};
use crate::persist::{misfit, take_settings, with_settings};
use crate::recent::contributions;
use crate::sparse::Csr;

const NAME: &str = "ease";
/// Rows of the Gram matrix made by one task.
const ROWS_PER_TASK: usize = 16;
/// Largest catalogue for which several settings are tried.
const SEARCHED_ITEMS: usize = 5000;

/// Settings of [`Ease`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EaseSettings {
    /// Penalty on the size of the weights; without it, 25 times the square root of the events per item.
    pub lambda: Option<f32>,
    /// How fast an event of the history loses weight as newer ones follow: its weight is `(1 + age)^-recency`, with
    /// age 0 for the newest. 0: all count the same.
    pub recency: f32,
    /// Memory that the fit may use; it takes four bytes for each pair of items.
    pub max_memory_mb: usize,
}

impl Default for EaseSettings {
    fn default() -> Self {
        Self { lambda: None, recency: 0.7, max_memory_mb: 4096 }
    }
}

impl Fit for EaseSettings {
    type Model = Ease;

    fn faults(&self) -> Vec<Fault> {
        let lambda = self.lambda.unwrap_or(1.0);
        [
            Fault::unless(lambda > 0.0 && lambda.is_finite(), "lambda", || {
                format!("must be above 0, is {lambda}")
            }),
            Fault::unless((0.0..=100.0).contains(&self.recency), "recency", || {
                format!("must be from 0 to 100, is {}", self.recency)
            }),
            Fault::unless(self.max_memory_mb > 0, "max_memory_mb", || {
                "must be above 0, is 0".to_owned()
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn grid(&self, shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        // A fit takes time with the cube of the catalogue; past this the rule for lambda has to do.
        if shape.n_items <= SEARCHED_ITEMS {
            let usual = usual_lambda(shape.n_events, shape.n_items);
            let tries = [(1.0, 0.7), (1.0, 0.5), (1.0, 0.9), (2.0, 0.7), (2.0, 0.9), (0.5, 0.0)];
            all.extend(tries.map(|(times, recency)| Self {
                lambda: Some(times * usual),
                recency,
                ..self.clone()
            }));
            all.retain(|tried| tried.faults().is_empty());
            all.dedup_by(|next, first| {
                let lambda = |s: &Self| s.lambda.unwrap_or(usual);
                lambda(next).to_bits() == lambda(first).to_bits()
                    && next.recency.to_bits() == first.recency.to_bits()
            });
        }
        all
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Ease, FitError> {
        data.require_events()?;
        let n_items = data.n_items;
        require_memory::<f32>(n_items, settings.max_memory_mb)?;
        let users = interactions(data.histories, n_items, |_| 1.0);
        let lambda = settings.lambda.unwrap_or_else(|| usual_lambda(users.n_entries(), n_items));
        let inverse = match inverse::<f32>(&users, lambda) {
            Ok(inverse) => inverse,
            // A tiny penalty leaves the matrix near singular: more digits help, in twice the memory.
            Err(_) => {
                require_memory::<f64>(n_items, settings.max_memory_mb)?;
                let inverse = inverse::<f64>(&users, lambda).map_err(|_| FitError::Diverged {
                    model: NAME,
                    why: format!("items are too much alike for lambda {lambda}: raise it"),
                })?;
                inverse.into_iter().map(|x| x as f32).collect()
            }
        };
        data.progress.report(NAME, 1, 1);
        let settings = Self { lambda: Some(lambda), ..Self::clone(settings) };
        Ok(Ease { settings, n_items, weights: to_weights(n_items, inverse) })
    }
}

fn require_memory<T>(n_items: usize, limit_mb: usize) -> Result<(), FitError> {
    // The matrix, two panels of it, and the events.
    let numbers = n_items.saturating_mul(n_items.saturating_add(1024));
    let needed_mb = numbers.saturating_mul(size_of::<T>()) >> 20;
    if needed_mb <= limit_mb {
        Ok(())
    } else {
        Err(FitError::TooLarge { model: NAME, needed_mb, limit_mb, n_items })
    }
}

/// A rule that came within reach of the best on validation of dense film and sparse product data.
fn usual_lambda(n_events: usize, n_items: usize) -> f32 {
    (25.0 * (n_events as f32 / n_items.max(1) as f32).sqrt()).max(1.0)
}

/// Returns `(XᵀX + λI)⁻¹`.
fn inverse<T: Real>(users: &Csr, lambda: f32) -> Result<Vec<T>, NotPositiveDefinite> {
    let n = users.n_columns();
    let items = users.transpose();
    let mut gram = vec![T::ZERO; n * n];
    gram.par_chunks_mut((ROWS_PER_TASK * n).max(1)).enumerate().for_each(|(task, rows)| {
        for (row, i) in rows.chunks_exact_mut(n).zip(task * ROWS_PER_TASK..) {
            for &user in items.row(i).0 {
                let (others, _) = users.row(user as usize);
                // The lower triangle is enough.
                let below = others.partition_point(|j| (*j as usize) <= i);
                for &j in &others[..below] {
                    row[j as usize] = row[j as usize] + T::ONE;
                }
            }
            row[i] = row[i] + T::from_f64(f64::from(lambda));
        }
    });
    spd_inverse(n, &mut gram)?;
    Ok(gram)
}

/// Makes `B` of `P`, in place.
fn to_weights(n: usize, mut p: Vec<f32>) -> Vec<f32> {
    let scale: Vec<f32> = (0..n).map(|j| -1.0 / p[j * n + j]).collect();
    p.par_chunks_mut(n.max(1)).enumerate().for_each(|(i, row)| {
        for (x, scale) in row.iter_mut().zip(&scale) {
            *x *= scale;
        }
        row[i] = 0.0;
    });
    p
}

/// A weight for every pair of items; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ease {
    settings: EaseSettings,
    n_items: usize,
    /// `[n_items, n_items]`: row = taken, column = foretold.
    weights: Vec<f32>,
}

impl Ease {
    fn known(&self, request: &Request<'_>) -> Known {
        Known::new(request.history, self.n_items, self.settings.recency)
    }

    fn row(&self, item: u32) -> &[f32] {
        &self.weights[item as usize * self.n_items..][..self.n_items]
    }
}

impl Recommender for Ease {
    fn n_items(&self) -> usize {
        self.n_items
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        scores.fill(0.0);
        let known = self.known(request);
        WeightedRows {
            matrix: &self.weights,
            dim: self.n_items,
            ids: &known.items,
            weights: &known.shares,
        }
        .add_to(scores);
    }
}

impl Similar for Ease {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        if item.index() >= self.n_items {
            return Vec::new();
        }
        let mut weights = self.row(item.0).to_vec();
        weights[item.index()] = f32::NEG_INFINITY;
        top_k(&weights, n)
    }
}

impl Evidence for Ease {
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        if item.index() >= self.n_items {
            return Vec::new();
        }
        let known = self.known(request);
        let shares = known.items.iter().zip(&known.shares);
        contributions(shares.map(|(&i, share)| (ItemId(i), share * self.row(i)[item.index()])))
    }
}

impl Persist for Ease {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.put_f32("weights", &[self.n_items, self.n_items], self.weights.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings = take_settings(&mut saved)?;
        let (n_items, weights) = saved.take_matrix("weights")?;
        let finite = weights.iter().all(|x| x.is_finite());
        if finite && n_items.checked_mul(n_items) == Some(weights.len()) {
            Ok(Self { settings, n_items, weights })
        } else {
            Err(misfit("weights"))
        }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{Histories, HistoriesBuilder};
    use tastemaker_testkit::{assert_all_close, contract};

    use super::*;

    fn histories(rows: &[&[u32]]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for row in rows {
            row.iter().for_each(|item| builder.push(ItemId(*item), 1.0, 0));
            builder.end_user();
        }
        builder.build()
    }

    fn fit(settings: EaseSettings, rows: &[&[u32]], n_items: usize) -> Result<Ease, FitError> {
        let histories = histories(rows);
        let data = TrainData::new(&histories, n_items);
        Checked::new(settings).unwrap().fit(&data)
    }

    #[test]
    fn keeps_the_contracts() {
        contract::recommender(EaseSettings::default);
        contract::learns_the_checkerboard(EaseSettings::default);
        contract::similar(EaseSettings::default);
        contract::evidence(EaseSettings::default);
    }

    #[test]
    fn two_items_by_hand() {
        // Two users took both, one took item 0 alone: G = (3 2; 2 2), and with λ = 1 (4 2; 2 3).
        // P = (3 -2; -2 4) / 8, so B_01 = -P_01 / P_11 = 2/4 and B_10 = -P_10 / P_00 = 2/3.
        let settings = EaseSettings { lambda: Some(1.0), ..EaseSettings::default() };
        let model = fit(settings, &[&[0, 1], &[1, 0, 1], &[0]], 2).unwrap();
        assert_all_close(&model.weights, &[0.0, 0.5, 2.0 / 3.0, 0.0], 1e-6);
    }

    #[test]
    fn recent_events_count_more() {
        let model = Ease {
            settings: EaseSettings { recency: 1.0, ..EaseSettings::default() },
            n_items: 3,
            weights: vec![0.0, 0.0, 0.8, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0],
        };
        let items = [ItemId(0), ItemId(1)];
        let history = tastemaker_core::History { items: &items, values: &[1.0; 2], times: &[0; 2] };
        let request = Request::new(None, history);
        let mut scores = [f32::NAN; 3];
        model.score(&request, &mut scores);
        // 0.8 / 2 + 0.6
        assert_all_close(&scores, &[0.0, 0.0, 1.0], 1e-6);
        let reasons = model.evidence(&request, ItemId(2));
        assert_eq!(reasons.iter().map(|r| r.because.0).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn more_digits_help_where_items_are_alike() {
        // Items 0 and 1 are always taken together: the Gram matrix is singular, and λ vanishes beside it in `f32`.
        let rows: Vec<&[u32]> = vec![&[0, 1]; 3000];
        let settings = EaseSettings { lambda: Some(1e-4), ..EaseSettings::default() };
        let model = fit(settings, &rows, 2).unwrap();
        assert_all_close(&model.weights, &[0.0, 1.0, 1.0, 0.0], 1e-3);
        let settings = EaseSettings { lambda: Some(1e-20), ..EaseSettings::default() };
        assert!(matches!(fit(settings, &rows, 2), Err(FitError::Diverged { .. })));
    }

    #[test]
    fn a_catalogue_beyond_the_memory_is_refused() {
        let settings = EaseSettings { max_memory_mb: 1, ..EaseSettings::default() };
        let error = fit(settings, &[&[0]], 2000).unwrap_err();
        assert!(matches!(error, FitError::TooLarge { needed_mb: 23, limit_mb: 1, .. }), "{error}");
    }

    #[test]
    fn impossible_settings_are_faults_and_the_grid_has_none() {
        for lambda in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let settings = EaseSettings { lambda: Some(lambda), ..EaseSettings::default() };
            assert_eq!(settings.faults().len(), 1);
        }
        let settings =
            EaseSettings { recency: f32::NAN, max_memory_mb: 0, ..EaseSettings::default() };
        assert_eq!(settings.faults().len(), 2);
        let shape = |n_items| Shape { n_users: 10, n_items, n_events: 100 };
        let grid = EaseSettings::default().grid(&shape(50));
        assert!(grid.len() > 3 && grid.iter().all(|s| s.faults().is_empty()));
        assert_eq!(grid[0], EaseSettings::default());
        assert_eq!(EaseSettings::default().grid(&shape(100_000)).len(), 1);
    }
}
