//! What is exported of a saved model, and how well an index finds it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use tastemaker_core::{Clock, Embed, ItemId, Progress, Request, UserId, Vectors};
use tastemaker_index::{Flat, Hnsw, HnswSettings, Measure, Rows, compare};

use super::files::{VectorFormat, write};
use super::storage::VectorStorage;
use crate::artifact::write_whole;
use crate::{Engine, Error};

/// Users whose vectors are made at once.
const BLOCK: usize = 256;
/// Users whose vectors an index is measured with, spread evenly.
const QUERIES: usize = 1000;
/// Items that are asked for when an index is measured.
const K: usize = 10;

/// What to export, and where to.
pub struct Export<'a> {
    /// The model, with the data it speaks about.
    pub engine: &'a Engine,
    /// File for the vectors of items.
    pub items: &'a Path,
    /// File for the vectors of users.
    pub users: Option<&'a Path>,
    /// File for an index of the items.
    pub index: Option<&'a Path>,
    /// How the index is built.
    pub settings: HnswSettings,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told how far the work has come.
    pub progress: &'a dyn Progress,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// Name of the model.
    pub model: String,
    /// Items with a vector.
    pub items: usize,
    /// Items of which the model knows nothing; they are in no file.
    pub items_without_vector: usize,
    /// Users with a vector, when they were asked for.
    pub users: Option<usize>,
    /// Users of whom the model knows nothing; they are in no file.
    pub users_without_vector: Option<usize>,
    /// Numbers of a vector.
    pub dims: usize,
    /// How a user's and an item's vector give the model's score.
    pub measure: &'static str,
    /// The files, in the order in which they were written.
    pub files: Vec<Written>,
    /// What was found out of the index.
    pub index: Option<BuiltIndex>,
}

/// A file and its size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// An index beside exact search, over the vectors of some users.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuiltIndex {
    /// Seconds to build it.
    pub seconds: f64,
    /// Users asked for.
    pub queries: usize,
    /// Items asked for.
    pub k: usize,
    /// Share of the exact answers that it found; none without users to ask for.
    pub recall: Option<f64>,
    /// Questions it answered in a second.
    pub per_second: Option<f64>,
    /// Questions that exact search answered in a second.
    pub exact_per_second: Option<f64>,
}

impl Export<'_> {
    /// Writes what is wanted, each file all or nothing.
    pub fn run(&self) -> Result<Exported, Error> {
        for path in [Some(self.items), self.users].into_iter().flatten() {
            VectorFormat::of(path)?;
        }
        let faults = self.settings.faults();
        if !faults.is_empty() {
            return Err(tastemaker_index::Error::Settings(faults).into());
        }
        let model = self.model()?;
        let (items, items_without_vector) = self.item_vectors(model)?;
        // Built before anything is written: settings that do not suit the vectors show here.
        let built =
            self.index.map(|path| Ok::<_, Error>((path, self.build(&items)?))).transpose()?;
        let mut files =
            write(self.items, "item_id", items.ids(), (items.vectors(), VectorStorage::F32))?;
        let all: Vec<usize> = (0..self.engine.data().n_users()).collect();
        let mut exported = Exported {
            model: self.engine.name().into(),
            items: items.ids().len(),
            items_without_vector,
            users: None,
            users_without_vector: None,
            dims: model.vector_dim(),
            measure: Measure::Dot.name(),
            files: Vec::new(),
            index: None,
        };
        if let Some(path) = self.users {
            let (ids, vectors) = self.user_vectors(model, &all);
            exported.users = Some(ids.len());
            exported.users_without_vector = Some(all.len() - ids.len());
            files.extend(write(path, "user_id", &ids, (&vectors, VectorStorage::F32))?);
        }
        if let Some((path, built)) = built {
            let step = all.len().div_ceil(QUERIES).max(1);
            let some: Vec<usize> = all.into_iter().step_by(step).collect();
            let (_, queries) = self.user_vectors(model, &some);
            exported.index = Some(self.put(path, (built, items), &queries)?);
            files.push(path.to_owned());
        }
        exported.files = files.into_iter().map(written).collect::<Result<_, _>>()?;
        Ok(exported)
    }

    fn model(&self) -> Result<&dyn Embed, Error> {
        let single = self.engine.models().into_iter().next();
        let embed = single.filter(|_| self.engine.fused().is_none()).and_then(|m| m.as_embed());
        embed.ok_or_else(|| Error::Unable {
            model: self.engine.name().into(),
            what: "be exported as vectors",
            instead: "train one whose scores are products of vectors: ials, bpr, item2vec, mf, lightgcn, two-tower, or one that reads the \
                      history in order, such as sasrec",
        })
    }

    /// Returns the vectors of all items that have one, and the number of those that have none.
    fn item_vectors(&self, model: &dyn Embed) -> Result<(Rows, usize), Error> {
        let dim = model.vector_dim();
        let (mut ids, mut flat) = (Vec::new(), Vec::new());
        let mut vector = vec![0.0; dim];
        for item in (0..model.n_items()).map(ItemId::from_index) {
            if model.write_item_vector(item, &mut vector) {
                ids.push(self.engine.item_name(item).to_owned());
                flat.extend_from_slice(&vector);
            }
        }
        let without = model.n_items() - ids.len();
        let vectors = Vectors::from_flat(dim, flat).unwrap_or_default();
        Ok((Rows::new(ids, vectors)?, without))
    }

    /// Returns the vectors of those `users` that have one.
    fn user_vectors(&self, model: &dyn Embed, users: &[usize]) -> (Vec<String>, Vectors) {
        let dim = model.vector_dim();
        let histories = &self.engine.data().histories;
        let (done, all) = (AtomicUsize::new(0), users.len());
        let blocks: Vec<(Vec<String>, Vec<f32>)> = users
            .par_chunks(BLOCK)
            .map(|users| {
                let request = |&user: &usize| {
                    Request::new(Some(UserId::from_index(user)), histories.row(user))
                };
                let requests: Vec<Request<'_>> = users.iter().map(request).collect();
                let mut vectors = vec![0.0; users.len() * dim];
                let told = model.write_user_vectors(&requests, &mut vectors);
                let (mut ids, mut flat) = (Vec::new(), Vec::new());
                let rows = users.iter().zip(vectors.chunks_exact(dim)).zip(told);
                for ((&user, vector), _) in rows.filter(|(_, told)| *told) {
                    ids.push(self.engine.user_name(UserId::from_index(user)).to_owned());
                    flat.extend_from_slice(vector);
                }
                let before = done.fetch_add(users.len(), Ordering::Relaxed);
                self.progress.report("vectors of users", before + users.len(), all);
                (ids, flat)
            })
            .collect();
        let (mut ids, mut flat) = (Vec::new(), Vec::new());
        for (more_ids, more) in blocks {
            ids.extend(more_ids);
            flat.extend(more);
        }
        (ids, Vectors::from_flat(dim, flat).unwrap_or_default())
    }

    /// Builds the index; returns the seconds it took, too.
    fn build(&self, items: &Rows) -> Result<(Hnsw, f64), Error> {
        self.progress.report("building the index", 0, 1);
        let start = self.clock.seconds();
        let built = Hnsw::build(items, Measure::Dot, self.settings)?;
        let seconds = self.clock.seconds() - start;
        self.progress.report("building the index", 1, 1);
        Ok((built, seconds))
    }

    /// Writes the index, and measures what was written.
    fn put(
        &self,
        path: &Path,
        ((built, seconds), items): ((Hnsw, f64), Rows),
        queries: &Vectors,
    ) -> Result<BuiltIndex, Error> {
        write_whole(path, built.to_bytes()?)?;
        drop(built);
        let index = Hnsw::load(path)?;
        let mut told = BuiltIndex {
            seconds,
            queries: queries.rows(),
            k: K.min(items.ids().len()),
            recall: None,
            per_second: None,
            exact_per_second: None,
        };
        if told.queries > 0 {
            let exact = Flat::new(items, Measure::Dot);
            let compared = compare(&index, &exact, queries, told.k, self.clock)?;
            told.recall = Some(compared.recall);
            told.per_second = Some(compared.index_per_second);
            told.exact_per_second = Some(compared.exact_per_second);
        }
        Ok(told)
    }
}

pub(super) fn written(path: PathBuf) -> Result<Written, Error> {
    let bytes = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
    Ok(Written { path, bytes })
}
