//! A fitted model as a folder: manifest.json, one safetensors and one JSON file a part, item vectors, and a copy of the
//! data it speaks about. Written all or nothing, every file under a checksum.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_core::{Persist, PersistError, Recommender, Saved, Vectors};
use tastemaker_data::{Dataset, FileRecord, Staging, checksum};
use tastemaker_dialog::Wording;
use tastemaker_pipeline::{
    Fused, FusionSettings, Gate, ItemFacts, Normalise, PipelineSettings, RerankSettings,
};
use tastemaker_text::TfIdf;

use super::tensors::{from_safetensors, to_safetensors};
use crate::lists::Near;
use crate::registry::{FUSED, Kind, Model};
use crate::texts::{EncoderChoice, Reader};
use crate::{Engine, Error, Places, Trained, workbench};

/// Value of `format` in the manifest of a saved model.
pub const FORMAT: &str = "tastemaker-model";
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// Files of a data set, copied beside the model.
const DATA_FILES: [&str; 4] = [MANIFEST, "events.parquet", "items.parquet", "users.parquet"];
const VECTORS: &str = "vectors";
const TFIDF: &str = "tfidf";

/// The trees that order the head of a fused list.
const TREES: &str = "trees.json";

/// The graph that finds the best items of a large catalogue.
const GRAPH: &str = "graph.index";

/// What the manifest of a saved model says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// Version of the layout.
    pub version: u32,
    /// Name of the model: one of the registry, or `fused`.
    pub model: String,
    /// Parts with the settings they were fitted with.
    pub parts: Vec<PartRecord>,
    /// Settings of the fusion, when there is one.
    pub fusion: Option<FusionSettings>,
    /// The scale on which the parts' scores are added.
    pub normalise: Option<Normalise>,
    /// The weights of the parts.
    pub gate: Option<Gate>,
    /// Which encoder read the texts.
    pub encoder: Option<EncoderChoice>,
    /// How a text is made of fields.
    pub template: Option<String>,
    /// The words of reasons.
    pub wording: Wording,
    /// The variety of lists.
    #[serde(default)]
    pub rerank: RerankSettings,
    /// The way from candidates to a list.
    #[serde(default)]
    pub pipeline: PipelineSettings,
    /// Seed of the fit.
    pub seed: u64,
    /// Unix seconds when it was made.
    pub created: i64,
    /// Every file with its size and checksum.
    pub files: BTreeMap<String, FileRecord>,
}

/// One fitted part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartRecord {
    /// Name of the model.
    pub name: String,
    /// Its settings.
    pub settings: Value,
}

/// Writes a trained model to `out`; `data_dir` is the folder of its data set.
pub fn save(
    trained: &Trained,
    data_dir: &Path,
    out: &Path,
    created: i64,
) -> Result<Manifest, Error> {
    if trained.engine.has_added_items() {
        return Err(Error::Unable {
            model: trained.engine.name().into(),
            what: "be saved with items that were added to it",
            instead: "import them with the data and train again",
        });
    }
    let staging = Staging::open(out, FORMAT)?;
    let mut files = BTreeMap::new();
    let mut put = |name: String, bytes: &[u8]| -> Result<(), Error> {
        let record = staging.put(&name, bytes)?;
        files.insert(name, record);
        Ok(())
    };
    let engine = &trained.engine;
    for model in engine.models() {
        put_saved(&mut put, model.kind().name(), &model.save())?;
    }
    if let Some(vectors) = engine.vectors() {
        let mut saved = Saved::default();
        saved.put_f32(VECTORS, &[vectors.rows(), vectors.dim()], vectors.flat().to_vec());
        put_saved(&mut put, VECTORS, &saved)?;
    }
    if let Some(tfidf) = engine.reader().and_then(|reader| reader.tfidf.as_deref()) {
        put_saved(&mut put, TFIDF, &tfidf.save())?;
    }
    if let Some(reorder) = engine.fused().and_then(Fused::reorder) {
        let bytes = serde_json::to_vec(reorder.forest()).map_err(|e| not_a_model(out, e))?;
        put(TREES.into(), &bytes)?;
    }
    if let Some(near) = &engine.near {
        put(GRAPH.into(), &near.to_bytes()?)?;
    }
    for name in DATA_FILES {
        let path = data_dir.join(name);
        let bytes = std::fs::read(&path).map_err(Error::io(path))?;
        put(format!("data/{name}"), &bytes)?;
    }
    for (name, record) in &engine.data().manifest.files {
        if files.get(&format!("data/{name}")).is_some_and(|copied| copied != record) {
            return Err(Error::Changed { path: data_dir.join(name) });
        }
    }
    let fused = engine.fused();
    let manifest = Manifest {
        format: FORMAT.into(),
        version: VERSION,
        model: engine.name().into(),
        parts: trained.parts.clone(),
        fusion: fused.map(|_| trained.fusion.clone()),
        normalise: fused.map(Fused::normalise),
        gate: fused.map(|fused| fused.gate().clone()),
        encoder: engine.reader().map(|reader| reader.choice.clone()),
        template: engine.reader().map(|reader| reader.template_text.clone()),
        wording: engine.wording().clone(),
        rerank: engine.rerank().clone(),
        pipeline: engine.pipeline(),
        seed: trained.seed,
        created,
        files,
    };
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| not_a_model(out, e))?;
    staging.put(MANIFEST, &bytes)?;
    staging.commit()?;
    Ok(manifest)
}

/// Reads what a saved model says of itself.
pub fn manifest(dir: &Path) -> Result<Manifest, Error> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|e| not_a_model(dir, e))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| not_a_model(dir, e))?;
    if manifest.format != FORMAT || manifest.version != VERSION {
        return Err(not_a_model(
            dir,
            format!("its format is {} version {}", manifest.format, manifest.version),
        ));
    }
    Ok(manifest)
}

/// Opens a saved model, checking every file against its checksum.
pub fn open(dir: &Path, places: &Places) -> Result<(Engine, Manifest), Error> {
    let manifest = manifest(dir)?;
    for (name, record) in &manifest.files {
        let path = dir.join(name);
        if checksum(&path)? != *record {
            return Err(Error::Changed { path });
        }
    }
    let data = Dataset::open(&dir.join("data"))?;
    let mut models = Vec::new();
    for part in &manifest.parts {
        let unknown =
            || not_a_model(dir, format!("its part `{}` is no model of this version", part.name));
        let kind = Kind::named(&part.name).ok_or_else(unknown)?;
        let model = Model::load(kind, read_saved(dir, kind.name())?)?;
        if model.n_items() > data.n_items() {
            return Err(not_a_model(
                dir,
                format!("{} knows more items than its data", kind.name()),
            ));
        }
        models.push(Arc::new(model));
    }
    let vectors = match manifest.files.contains_key(&format!("{VECTORS}.safetensors")) {
        true => Some(read_vectors(dir, data.n_items())?),
        false => None,
    };
    let reader = open_reader(dir, &manifest, places)?;
    let engine = if manifest.model == FUSED {
        let (Some(settings), Some(normalise), Some(gate)) =
            (&manifest.fusion, manifest.normalise, manifest.gate.clone())
        else {
            return Err(not_a_model(dir, "its weights are missing"));
        };
        let gate = Gate::new(gate.buckets().to_vec())
            .ok_or_else(|| not_a_model(dir, "its weights do not fit"))?;
        let counts = data.histories.item_counts(data.n_items());
        let cold = workbench::cold(vectors.as_deref(), &counts, settings);
        let parts = models.into_iter().map(workbench::part).collect();
        let fused =
            Fused::new(parts, data.n_items(), normalise, gate, cold).ok_or(Error::NoParts)?;
        let fused = if manifest.files.contains_key(TREES) {
            let bytes = std::fs::read(dir.join(TREES)).map_err(|e| not_a_model(dir, e))?;
            let forest = serde_json::from_slice(&bytes).map_err(|e| not_a_model(dir, e))?;
            workbench::reordered(fused, forest, ItemFacts::new(counts, vectors.clone()), settings)
                .map_err(|_| not_a_model(dir, "its trees do not fit its parts"))?
        } else {
            fused
        };
        Engine::of_fused(fused, settings.clone(), data, vectors, reader)
    } else {
        if !matches!(&manifest.parts[..], [part] if part.name == manifest.model) {
            return Err(not_a_model(dir, "its parts are not those of its model"));
        }
        let model = models.into_iter().next().ok_or_else(|| not_a_model(dir, "it has no part"))?;
        let near = match manifest.files.contains_key(GRAPH) {
            true => Some(Arc::new(Near::open(&dir.join(GRAPH), &model, &data)?)),
            false => None,
        };
        let mut engine = Engine::of_single(model, data, vectors, reader);
        engine.near = near;
        engine
    };
    let engine = engine.with_wording(manifest.wording.clone());
    let engine = engine.with_rerank(manifest.rerank.clone()).with_seed(manifest.seed);
    engine.set_pipeline(manifest.pipeline.clone())?;
    Ok((engine, manifest))
}

fn open_reader(dir: &Path, manifest: &Manifest, places: &Places) -> Result<Option<Reader>, Error> {
    let (Some(choice), Some(template)) = (&manifest.encoder, &manifest.template) else {
        return Ok(None);
    };
    if *choice == EncoderChoice::Tfidf {
        let tfidf = TfIdf::load(read_saved(dir, TFIDF)?)
            .map_err(|source| Error::Persist { model: TFIDF, source })?;
        return Reader::with_tfidf(Arc::new(tfidf), template).map(Some);
    }
    match Reader::with_choice(choice.clone(), template, (places, true)) {
        Ok(reader) => Ok(Some(reader)),
        Err(error) => {
            // Recommending needs the vectors alone, and those are saved; only new texts need the encoder.
            tracing::warn!("new texts cannot be read: {error}");
            Ok(None)
        }
    }
}

fn read_vectors(dir: &Path, n_items: usize) -> Result<Arc<Vectors>, Error> {
    let mut saved = read_saved(dir, VECTORS)?;
    let (dim, flat) =
        saved.take_matrix(VECTORS).map_err(|source| Error::Persist { model: VECTORS, source })?;
    let vectors = Vectors::from_flat(dim, flat).filter(|v| v.rows() == n_items);
    vectors.map(Arc::new).ok_or_else(|| not_a_model(dir, "its item vectors do not fit its items"))
}

fn put_saved(
    put: &mut impl FnMut(String, &[u8]) -> Result<(), Error>,
    name: &str,
    saved: &Saved,
) -> Result<(), Error> {
    let meta =
        serde_json::to_vec_pretty(&saved.meta).map_err(|e| bad_tensors(name, &e.to_string()))?;
    put(format!("{name}.json"), &meta)?;
    let bytes = to_safetensors(saved, None).map_err(|e| bad_tensors(name, &e.to_string()))?;
    put(format!("{name}.safetensors"), &bytes)
}

fn read_saved(dir: &Path, name: &str) -> Result<Saved, Error> {
    let read = |end: &str| {
        let path = dir.join(format!("{name}.{end}"));
        std::fs::read(&path).map_err(Error::io(path))
    };
    let meta =
        serde_json::from_slice(&read("json")?).map_err(|e| bad_tensors(name, &e.to_string()))?;
    let bytes = read("safetensors")?;
    let saved = from_safetensors(&bytes).map_err(|why| bad_tensors(name, &why))?;
    Ok(Saved { meta, ..saved })
}

fn not_a_model(dir: &Path, why: impl ToString) -> Error {
    Error::NotAModel { path: dir.to_owned(), why: why.to_string() }
}

fn bad_tensors(name: &str, why: &str) -> Error {
    let name = format!("{name}: {why}");
    Error::Persist { model: "a saved part", source: PersistError::Shape { name } }
}
