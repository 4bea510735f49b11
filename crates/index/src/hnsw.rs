//! A graph of near neighbours in layers (Malkov and Yashunin, “Efficient and robust approximate nearest neighbor search using
//! hierarchical navigable small world graphs”, `TPAMI` 2020), by the library usearch.
//!
//! Where all vectors have one length, cosines rank as products do, and the graph compares those. Elsewhere it compares products themselves:
//! bringing vectors to one length by a further number (Bachrach et al., `RecSys` 2014) finds a third of what this finds when lengths
//! differ much. What the graph finds is scored again by the vectors it keeps.
//! It is built on one core, as its shape follows the order in which vectors come: same vectors, same bits.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use rayon::prelude::*;
use tastemaker_core::{Fault, ItemId, Scored, Vectors};
use tastemaker_kernels::dot;
use usearch::Index;
use usearch::ffi::{IndexOptions, MetricKind, ScalarKind};

use crate::{Error, Measure, Nearest, Rows};

/// Lengths of the longest vector at which vectors are kept as they are. The graph keeps 1 minus a product, in which small products are
/// lost; others are multiplied by a power of two, which rounds nothing.
const LENGTHS: RangeInclusive<f64> = 0.25..=1024.0;
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
    /// 1 byte: a share of the vector's length, which must be the same for all unless cosines are asked for.
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
    /// Numbers of a vector.
    pub(crate) dim: usize,
    /// The graph compares cosines, not products.
    pub(crate) by_cosine: bool,
    /// What vectors were multiplied by.
    pub(crate) scale: f32,
    /// Length of the longest vector as it was given.
    pub(crate) length: f32,
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
        let lengths = (0..vectors.rows()).map(|row| length(vectors.row(row)));
        let (least, most) =
            lengths.fold((f64::INFINITY, 0.0f64), |(least, most), x| (least.min(x), most.max(x)));
        let by_cosine = measure == Measure::Cosine || least >= most * (1.0 - SAME_LENGTH);
        if settings.storage == Storage::I8 && !by_cosine {
            let problem = "must be `f32` or `bf16` for vectors of different lengths, is `i8`";
            let fault = Fault { field: "storage", problem: problem.into() };
            return Err(Error::Settings(vec![fault]));
        }
        let dim = vectors.dim();
        let (scale, length) = (scale(most), most as f32);
        let shape = Shape { measure, settings, dim, by_cosine, scale, length };
        let graph = empty(&shape)?;
        // With one place for who works on the graph its layers follow from the order alone.
        graph.reserve_capacity_and_threads(vectors.rows(), 1).map_err(failed)?;
        for key in 0..vectors.rows() {
            let scaled: Vec<f32> = vectors.row(key).iter().map(|x| scale * x).collect();
            graph.add(key as u64, &scaled).map_err(failed)?;
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

    /// Returns up to `k` rows for one query, nearest first, ties by row, on this core; [`Scored::item`] is the row.
    pub fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, Error> {
        if query.len() != self.shape.dim {
            return Err(Error::Dim { got: query.len(), want: self.shape.dim });
        }
        if query.iter().any(|x| !x.is_finite()) {
            return Err(Error::NotFinite { row: 0 });
        }
        if k == 0 { Ok(Vec::new()) } else { self.search_one(query, k) }
    }

    fn search_one(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, Error> {
        let Shape { measure, length: longest, scale, settings, .. } = self.shape;
        let own = length(query);
        let one = |x: &f32| if own > 0.0 { (f64::from(*x) / own) as f32 } else { 0.0 };
        let direction: Vec<f32> = query.iter().map(one).collect();
        let found = self.graph.search(&direction, k.min(self.ids.len())).map_err(failed)?;
        let mut vector = vec![0.0; query.len()];
        let mut best = Vec::with_capacity(found.keys.len());
        for key in found.keys {
            self.graph.get(key, &mut vector).map_err(failed)?;
            let score = match (measure, length(&vector)) {
                // A byte keeps shares of the length alone.
                (Measure::Dot, _) if settings.storage == Storage::I8 => {
                    longest * dot(query, &vector)
                }
                (Measure::Dot, _) => dot(query, &vector) / scale,
                (Measure::Cosine, other) if other > 0.0 => {
                    (f64::from(dot(&direction, &vector)) / other) as f32
                }
                (Measure::Cosine, _) => 0.0,
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
        dimensions: shape.dim,
        metric: metric(shape),
        quantization: storage.kind(),
        connectivity,
        expansion_add: ef_construction,
        expansion_search: ef_search,
        multi: false,
    };
    Index::new(&options).map_err(failed)
}

/// Returns what the graph compares.
pub(crate) const fn metric(shape: &Shape) -> MetricKind {
    if shape.by_cosine { MetricKind::Cos } else { MetricKind::IP }
}

pub(crate) fn failed(error: impl ToString) -> Error {
    Error::Graph(error.to_string())
}

/// Returns the power of two that brings the longest vector near 1, or 1 where that is not needed.
fn scale(longest: f64) -> f32 {
    if longest > 0.0 && !LENGTHS.contains(&longest) {
        (-longest.log2().floor()).clamp(-126.0, 126.0).exp2() as f32
    } else {
        1.0
    }
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}
