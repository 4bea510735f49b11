//! A graph of near neighbours in layers (Malkov and Yashunin, “Efficient and robust approximate nearest neighbor search using
//! hierarchical navigable small world graphs”, `TPAMI` 2020), by the library usearch.
//!
//! The graph knows cosines alone. For products, vectors are brought to one length by a number at their end,
//! `v' = (v, √(M² − |v|²))` with M the length of the longest, and queries get a 0: then cosines rank as products do (Bachrach et al.,
//! `RecSys` 2014). Where all have one length already, nothing is added. What the graph finds is scored again by the vectors it keeps.
//! The graph is built on one core, as its shape follows the order in which vectors come: same vectors, same bits.

use std::borrow::Cow;

use rayon::prelude::*;
use tastemaker_core::{Fault, ItemId, Scored, Vectors};
use tastemaker_kernels::dot;
use usearch::Index;
use usearch::ffi::{IndexOptions, MetricKind, ScalarKind};

use crate::{Error, Measure, Nearest, Rows};

/// Lengths whose fourth powers neither overflow nor vanish.
const LENGTHS: (f64, f64) = (1e-7, 1e7);
/// Lengths that differ by less, in shares, are the same.
const SAME_LENGTH: f64 = 1e-5;
/// Searches that can be under way at once.
const SEARCHES: usize = 256;

/// How the graph keeps a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// 4 bytes, as it was given.
    #[default]
    F32,
    /// 2 bytes: 8 bits of precision.
    Bf16,
    /// 1 byte: a share of the vector's length.
    I8,
}

impl Storage {
    pub(crate) const fn kind(self) -> ScalarKind {
        match self {
            Self::F32 => ScalarKind::F32,
            Self::Bf16 => ScalarKind::BF16,
            Self::I8 => ScalarKind::I8,
        }
    }
}

/// Settings of [`Hnsw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HnswSettings {
    /// Neighbours of a vector in the graph, 2 to 256; the lowest layer has twice as many.
    pub connectivity: usize,
    /// Candidates looked at for the neighbours of a new vector, 1 to 10,000.
    pub ef_construction: usize,
    /// Candidates looked at for a query, 1 to 10,000; at least as many as are asked for.
    pub ef_search: usize,
    /// How the graph keeps a number.
    pub storage: Storage,
}

impl Default for HnswSettings {
    fn default() -> Self {
        Self { connectivity: 16, ef_construction: 128, ef_search: 128, storage: Storage::F32 }
    }
}

impl HnswSettings {
    /// Lists every impossible value; empty when all is well.
    pub fn faults(&self) -> Vec<Fault> {
        let within = |field, n: usize, least: usize, most: usize| {
            Fault::unless((least..=most).contains(&n), field, || {
                format!("must be {least} to {most}, is {n}")
            })
        };
        [
            within("connectivity", self.connectivity, 2, 256),
            within("ef_construction", self.ef_construction, 1, 10_000),
            within("ef_search", self.ef_search, 1, 10_000),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What the graph was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) measure: Measure,
    pub(crate) settings: HnswSettings,
    /// Numbers of a vector as it was given.
    pub(crate) dim: usize,
    /// A number was added to every vector.
    pub(crate) is_extended: bool,
    /// M.
    pub(crate) length: f32,
}

impl Shape {
    /// Returns the width of the vectors in the graph.
    pub(crate) fn width(&self) -> usize {
        self.dim + usize::from(self.is_extended)
    }
}

/// Finds nearly all of the nearest, without looking at most; see the head of the file.
pub struct Hnsw {
    pub(crate) shape: Shape,
    pub(crate) ids: Vec<String>,
    pub(crate) graph: Index,
}

impl Hnsw {
    /// Builds the graph.
    pub fn build(rows: &Rows, measure: Measure, settings: HnswSettings) -> Result<Self, Error> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(Error::Settings(faults));
        }
        let mut vectors = Cow::Borrowed(rows.vectors());
        if measure == Measure::Cosine {
            vectors.to_mut().normalise();
        }
        let squares: Vec<f64> = (0..vectors.rows()).map(|row| square(vectors.row(row))).collect();
        let most = squares.iter().copied().fold(0.0, f64::max);
        let least = squares.iter().copied().fold(f64::INFINITY, f64::min);
        let length = most.sqrt();
        if most > 0.0 && !(LENGTHS.0..=LENGTHS.1).contains(&length) {
            return Err(Error::Scale { length, least: LENGTHS.0, most: LENGTHS.1 });
        }
        let is_extended = measure == Measure::Dot && least.sqrt() < length * (1.0 - SAME_LENGTH);
        let dim = vectors.dim();
        let shape = Shape { measure, settings, dim, is_extended, length: length as f32 };
        let graph = empty(&shape)?;
        // With one place for who works on the graph its layers follow from the order alone.
        graph.reserve_capacity_and_threads(vectors.rows(), 1).map_err(failed)?;
        let mut row = vec![0.0; shape.width()];
        for (key, square) in squares.iter().enumerate() {
            row[..dim].copy_from_slice(vectors.row(key));
            row[dim..].fill((most - square).max(0.0).sqrt() as f32);
            graph.add(key as u64, &row).map_err(failed)?;
        }
        Self::assemble(shape, rows.ids().to_vec(), graph)
    }

    /// Makes the graph ready to be asked.
    pub(crate) fn assemble(shape: Shape, ids: Vec<String>, graph: Index) -> Result<Self, Error> {
        graph.reserve_capacity_and_threads(ids.len(), SEARCHES).map_err(failed)?;
        Ok(Self { shape, ids, graph })
    }

    /// Returns how vectors are compared.
    pub const fn measure(&self) -> Measure {
        self.shape.measure
    }

    /// Returns the settings it was built with.
    pub const fn settings(&self) -> HnswSettings {
        self.shape.settings
    }

    /// Returns the width of the vectors in the graph: one more than that of queries when they had different lengths.
    pub fn width(&self) -> usize {
        self.shape.width()
    }

    fn search_one(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, Error> {
        let Shape { measure, dim, length, settings, .. } = self.shape;
        let own = square(query).sqrt();
        let mut row = vec![0.0; self.width()];
        if own > 0.0 {
            row.iter_mut().zip(query).for_each(|(x, q)| *x = (f64::from(*q) / own) as f32);
        }
        let unit = row[..dim].to_vec();
        let k = k.min(self.ids.len());
        let found = self.graph.search(&row, k).map_err(failed)?;
        let mut best = Vec::with_capacity(found.keys.len());
        for key in found.keys {
            self.graph.get(key, &mut row).map_err(failed)?;
            let vector = &row[..dim];
            let score = match measure {
                // A byte keeps shares of the length alone, which is M for all.
                Measure::Dot if settings.storage == Storage::I8 => length * dot(query, vector),
                Measure::Dot => dot(query, vector),
                Measure::Cosine => {
                    let other = square(vector).sqrt();
                    if other > 0.0 { (f64::from(dot(&unit, vector)) / other) as f32 } else { 0.0 }
                }
            };
            let item = u32::try_from(key).expect("rows are numbered by 32 bits");
            // The two zeros are one score, whose ties go by row.
            best.push(Scored { item: ItemId(item), score: score + 0.0 });
        }
        best.sort_unstable_by(Scored::better_first);
        Ok(best)
    }
}

impl Nearest for Hnsw {
    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn dim(&self) -> usize {
        self.shape.dim
    }

    fn search(&self, queries: &Vectors, k: usize) -> Result<Vec<Vec<Scored>>, Error> {
        self.check(queries)?;
        if k == 0 {
            return Ok(vec![Vec::new(); queries.rows()]);
        }
        queries.flat().par_chunks(self.dim()).map(|query| self.search_one(query, k)).collect()
    }
}

/// Makes a graph without vectors.
pub(crate) fn empty(shape: &Shape) -> Result<Index, Error> {
    let HnswSettings { connectivity, ef_construction, ef_search, storage } = shape.settings;
    let options = IndexOptions {
        dimensions: shape.width(),
        metric: MetricKind::Cos,
        quantization: storage.kind(),
        connectivity,
        expansion_add: ef_construction,
        expansion_search: ef_search,
        multi: false,
    };
    Index::new(&options).map_err(failed)
}

pub(crate) fn failed(error: impl ToString) -> Error {
    Error::Graph(error.to_string())
}

fn square(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}
