//! Rows of learnt numbers: their products, their likeness, and the row a newcomer would have.

use rand::{Rng, RngExt};
use tastemaker_core::{Histories, History, PersistError, Saved, Scored, top_k};
use tastemaker_kernels::{Layout, axpy, dot, gemm, spd_inverse};

use crate::persist::{misfit, take_vector};
use crate::scorer::Scorer;

/// Keeps the map of a fold-in small, in shares of the mean square of what it is learnt from.
const RIDGE: f32 = 0.01;
/// Users that one product takes in when a fold-in is learnt.
const USERS_AT_ONCE: usize = 1024;

/// A row-major matrix `[rows, width]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    width: usize,
    data: Vec<f32>,
    /// The rows again, where they are multiplied.
    scorer: Scorer,
}

impl Table {
    pub(super) fn new(width: usize, data: Vec<f32>) -> Self {
        Self { width, data, scorer: Scorer::default() }
    }

    /// Makes it ready to be multiplied often.
    pub(super) fn packed(self) -> Self {
        Self { scorer: Scorer::new(&self.data, self.width), ..self }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn rows(&self) -> usize {
        self.data.len() / self.width
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.width..(row + 1) * self.width]
    }

    /// Returns a row, or nothing beyond the end.
    pub(super) fn get(&self, row: usize) -> Option<&[f32]> {
        (row < self.rows()).then(|| self.row(row))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.width)
    }

    /// Multiplies rows of queries with all rows: `out` is `[queries, rows]`.
    pub(super) fn multiply(&self, queries: &[f32], out: &mut [f32]) {
        self.scorer.multiply((&self.data, self.width), queries, out);
    }

    /// Returns the `n` rows whose first `columns` numbers point most nearly the same way.
    pub(super) fn most_alike(&self, row: usize, columns: usize, n: usize) -> Vec<Scored> {
        let Some(own) = self.get(row).map(|own| &own[..columns]) else { return Vec::new() };
        let length = |x: &[f32]| dot(x, x).sqrt().max(f32::MIN_POSITIVE);
        let own_length = length(own);
        let cosine = |other: &[f32]| {
            let other = &other[..columns];
            dot(own, other) / (own_length * length(other))
        };
        let mut scores: Vec<f32> = self.iter().map(cosine).collect();
        scores[row] = f32::NEG_INFINITY;
        top_k(&scores, n)
    }

    pub(super) fn put(&self, name: &str, saved: &mut Saved) {
        saved.put_f32(name, &[self.rows(), self.width], self.data.clone());
    }

    pub(super) fn take(name: &str, width: usize, saved: &mut Saved) -> Result<Self, PersistError> {
        let (got, data) = saved.take_matrix(name)?;
        if got == width { Ok(Self::new(width, data)) } else { Err(misfit(name)) }
    }
}

/// Draws a table from `-spread..spread`.
pub(super) fn random_table(rows: usize, width: usize, spread: f32, rng: &mut impl Rng) -> Vec<f32> {
    (0..rows * width).map(|_| spread * rng.random_range(-1.0f32..1.0)).collect()
}

/// Guesses the row of a user who was not there from the items of the history: a linear map from `Σ q_i / √n` to `p_u`,
/// learnt by least squares from the users who were there. The last column of items is a bias, that of users is 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoldIn {
    /// `[factors, factors]`
    map: Vec<f32>,
}

impl FoldIn {
    pub(super) fn learn(histories: &Histories, users: &Table, items: &Table) -> Self {
        let n = items.width() - 1;
        let (mut square, mut cross) = (vec![0.0; n * n], vec![0.0; n * n]);
        let mut told = vec![0.0; USERS_AT_ONCE * n];
        let mut learnt = vec![0.0; USERS_AT_ONCE * n];
        for first in (0..histories.n_users()).step_by(USERS_AT_ONCE) {
            let n_rows = USERS_AT_ONCE.min(histories.n_users() - first);
            let rows = told.chunks_exact_mut(n).zip(learnt.chunks_exact_mut(n));
            for (user, (told, learnt)) in (first..first + n_rows).zip(rows) {
                summarise(items, histories.row(user), told);
                learnt.copy_from_slice(&users.row(user)[..n]);
            }
            let left = (&told[..n_rows * n], Layout::Transposed);
            for (right, sum) in [(&told, &mut square), (&learnt, &mut cross)] {
                gemm((n, n, n_rows), 1.0, left, (&right[..n_rows * n], Layout::Plain), 1.0, sum);
            }
        }
        let trace: f32 = square.iter().step_by(n + 1).sum();
        let ridge = (RIDGE * trace / n as f32).max(f32::MIN_POSITIVE);
        square.iter_mut().step_by(n + 1).for_each(|x| *x += ridge);
        let mut map = vec![0.0; n * n];
        if spd_inverse(n, &mut square).is_ok() {
            gemm((n, n, n), 1.0, (&square, Layout::Plain), (&cross, Layout::Plain), 0.0, &mut map);
        }
        Self { map }
    }

    /// Writes the row; only the bias speaks where the history says nothing.
    pub(super) fn write(&self, items: &Table, history: History<'_>, row: &mut [f32]) {
        let n = items.width() - 1;
        let mut told = vec![0.0; n];
        summarise(items, history, &mut told);
        row.fill(0.0);
        row[n] = 1.0;
        for (x, line) in told.iter().zip(self.map.chunks_exact(n)) {
            axpy(*x, line, &mut row[..n]);
        }
    }

    pub(super) fn put(&self, name: &str, saved: &mut Saved) {
        saved.put_f32(name, &[self.map.len()], self.map.clone());
    }

    pub(super) fn take(
        name: &str,
        factors: usize,
        saved: &mut Saved,
    ) -> Result<Self, PersistError> {
        let map = take_vector(saved, name)?;
        if map.len() == factors * factors { Ok(Self { map }) } else { Err(misfit(name)) }
    }
}

/// Writes `Σ q_i / √n` over the known items of a history.
fn summarise(items: &Table, history: History<'_>, told: &mut [f32]) {
    told.fill(0.0);
    let known = history.items.iter().filter_map(|item| items.get(item.index()));
    let mut count = 0.0f32;
    for item in known {
        axpy(1.0, &item[..told.len()], told);
        count += 1.0;
    }
    let scale = 1.0 / count.max(1.0).sqrt();
    told.iter_mut().for_each(|x| *x *= scale);
}
