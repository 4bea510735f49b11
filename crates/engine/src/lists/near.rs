//! Lists of large catalogues: where a model's scores are products of vectors, a graph of near neighbours finds the best items
//! without looking at most of them.
//!
//! It finds nearly all of them; what it finds has the model's own scores. Whoever the model has no vector for, and lists that a pipeline
//! makes, are scored in full.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Embed, Fault, ItemId, Progress, Request, Scored, Vectors};
use tastemaker_data::Dataset;
use tastemaker_index::{Hnsw, HnswSettings, Measure, Nearest as _, Rows, Storage};

use crate::registry::Model;
use crate::{Error, engine::MAX_N};

/// Lists read off a graph of near neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GraphSettings {
    /// Items from which on `train` makes a graph, for a single model whose scores are products of vectors (ials, bpr, mf, two-tower, sasrec
    /// and others); 0 = never.
    pub from: usize,
    /// Neighbours of an item in the graph, 2 to 256.
    pub connectivity: usize,
    /// Candidates looked at for the neighbours of an item, 1 to 10000: more take longer and find better.
    pub ef_construction: usize,
    /// Candidates looked at for a list, 1 to 10000.
    pub ef_search: usize,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self { from: 200_000, connectivity: 16, ef_construction: 128, ef_search: 256 }
    }
}

impl GraphSettings {
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.hnsw().faults()
    }

    fn hnsw(&self) -> HnswSettings {
        HnswSettings {
            connectivity: self.connectivity,
            ef_construction: self.ef_construction,
            ef_search: self.ef_search,
            storage: Storage::F32,
        }
    }
}

/// A graph over the items of a model.
pub(crate) struct Near {
    graph: Hnsw,
    /// The item of each row.
    items: Vec<ItemId>,
}

impl Near {
    /// Makes a graph where the settings want one and the model can use it.
    pub(crate) fn of(
        model: &Model,
        data: &Dataset,
        settings: &GraphSettings,
        progress: &dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let Some(embed) = model.as_embed() else { return Ok(None) };
        if settings.from == 0 || embed.n_items() < settings.from {
            return Ok(None);
        }
        progress.report("a graph of the items", 0, 1);
        let dim = embed.vector_dim();
        let (mut ids, mut items, mut flat) = (Vec::new(), Vec::new(), Vec::new());
        let mut vector = vec![0.0; dim];
        for item in (0..embed.n_items()).map(ItemId::from_index) {
            if embed.write_item_vector(item, &mut vector) {
                ids.push(data.items.ids().name(item.0).to_owned());
                items.push(item);
                flat.extend_from_slice(&vector);
            }
        }
        let Some(vectors) = Vectors::from_flat(dim, flat).filter(|vectors| vectors.rows() > 0)
        else {
            return Ok(None);
        };
        let graph = Hnsw::build(&Rows::new(ids, vectors)?, Measure::Dot, settings.hnsw())?;
        progress.report("a graph of the items", 1, 1);
        Ok(Some(Self { graph, items }))
    }

    /// Opens a graph that was saved with its model.
    pub(crate) fn open(path: &Path, model: &Model, data: &Dataset) -> Result<Self, Error> {
        let graph = Hnsw::load(path)?;
        let misfit = || Error::NotAModel {
            path: path.to_owned(),
            why: "its graph is of another model: train it again".into(),
        };
        let embed = model.as_embed().filter(|embed| embed.vector_dim() == graph.dim());
        let known = embed.ok_or_else(misfit)?.n_items();
        let item = |id: &String| data.items.ids().get(id).map(ItemId);
        let items = graph.ids().iter().map(|id| item(id).filter(|item| item.index() < known));
        let items = items.collect::<Option<Vec<_>>>().ok_or_else(misfit)?;
        Ok(Self { graph, items })
    }

    /// Returns the graph as the bytes of a file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(self.graph.to_bytes()?)
    }

    /// Lists the `n` best items; `None` where all must be scored.
    pub(crate) fn list(
        &self,
        model: &dyn Embed,
        request: &Request<'_>,
        n: usize,
    ) -> Result<Option<Vec<Scored>>, Error> {
        let seen = if request.keep_seen { &[] } else { request.history.items };
        let mut left_out: Vec<u32> =
            seen.iter().chain(request.exclude).map(|item| item.0).collect();
        left_out.sort_unstable();
        left_out.dedup();
        let asked = n + left_out.len();
        let mut user = vec![0.0; model.vector_dim()];
        let told = model.write_user_vectors(std::slice::from_ref(request), &mut user);
        if asked > MAX_N || told != [true] || asked >= self.items.len() {
            return Ok(None);
        }
        let mut list = self.graph.nearest(&user, asked)?;
        list.iter_mut().for_each(|scored| scored.item = self.items[scored.item.index()]);
        list.retain(|scored| left_out.binary_search(&scored.item.0).is_err());
        list.truncate(n);
        Ok((list.len() == n).then_some(list))
    }
}
