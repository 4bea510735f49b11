//! Exact search: all products, by blocks of queries against tiles of rows. The yardstick for the rest.

use rayon::prelude::*;
use tastemaker_core::{Scored, Vectors, top_k};
use tastemaker_kernels::{Layout, gemm};

use crate::{Error, Measure, Nearest, Rows};

/// Queries of one product.
const BLOCK: usize = 32;
/// Rows of one product: what it makes fits into the cache of a core.
const TILE: usize = 4096;

/// All vectors, side by side.
#[derive(Clone, Debug)]
pub struct Flat {
    measure: Measure,
    ids: Vec<String>,
    /// Of length 1 or 0 for cosines.
    vectors: Vectors,
}

impl Flat {
    /// Takes the vectors to be searched.
    pub fn new(rows: Rows, measure: Measure) -> Self {
        let (ids, mut vectors) = rows.into_parts();
        if measure == Measure::Cosine {
            vectors.normalise();
        }
        Self { measure, ids, vectors }
    }

    /// Returns how vectors are compared.
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// Searches for a block of queries on this core.
    fn search_block(&self, queries: &[f32], k: usize) -> Vec<Vec<Scored>> {
        let dim = self.vectors.dim();
        let n = queries.len() / dim;
        let mut best: Vec<Vec<Scored>> = vec![Vec::new(); n];
        let mut scores = Vec::new();
        for (tile, rows) in self.vectors.flat().chunks(TILE * dim).enumerate() {
            let width = rows.len() / dim;
            scores.resize(n * width, 0.0);
            let (left, right) = ((queries, Layout::Plain), (rows, Layout::Transposed));
            gemm((n, width, dim), 1.0, left, right, 0.0, &mut scores);
            // The two zeros are one score, whose ties go by row.
            scores.iter_mut().for_each(|score| *score += 0.0);
            let first = u32::try_from(tile * TILE).expect("rows are numbered by 32 bits");
            for (best, scores) in best.iter_mut().zip(scores.chunks_exact(width)) {
                let found = top_k(scores, k).into_iter();
                best.extend(found.map(|mut scored| {
                    scored.item.0 += first;
                    scored
                }));
                best.sort_unstable_by(Scored::better_first);
                best.truncate(k);
            }
        }
        best
    }
}

impl Nearest for Flat {
    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn dim(&self) -> usize {
        self.vectors.dim()
    }

    fn search(&self, queries: &Vectors, k: usize) -> Result<Vec<Vec<Scored>>, Error> {
        self.check(queries)?;
        let normalised = (self.measure == Measure::Cosine).then(|| {
            let mut queries = queries.clone();
            queries.normalise();
            queries
        });
        let queries = normalised.as_ref().unwrap_or(queries);
        let blocks = queries.flat().par_chunks(BLOCK * self.dim());
        Ok(blocks.flat_map_iter(|block| self.search_block(block, k)).collect())
    }
}
