//! Training for use: settings chosen on each user's last event, models fitted on everything.

use std::sync::Arc;

use tastemaker_core::{Checkpoints, Clock, Progress, SystemClock, Vectors};
use tastemaker_data::{Dataset, Split, SplitKind, SplitSettings, split};
use tastemaker_pipeline::{FusionSettings, Learned};

use crate::artifact::{Folder, PartRecord, Recorder, Training};
use crate::config::{Config, Loaded};
use crate::lists::{Near, catalogue, check_shown, plan};
use crate::predictions::{features, labels};
use crate::registry::{FUSED, Kind};
use crate::texts::Reader;
use crate::workbench::{Job, Workbench};
use crate::{Engine, Error, Places};

/// A trained model with what is written beside it.
pub struct Trained {
    /// Answers requests.
    pub engine: Engine,
    /// Parts with their settings.
    pub parts: Vec<PartRecord>,
    /// Settings of the fusion.
    pub fusion: FusionSettings,
    /// Weights of the fusion and what they rest on.
    pub learned: Option<Learned>,
    /// Seed of the fit.
    pub seed: u64,
    /// What the user should know, such as parts that were left out.
    pub notes: Vec<String>,
    /// Seconds of searching and fitting.
    pub seconds: f64,
    /// How models that learn by epochs went about it.
    pub trainings: Vec<Training>,
}

/// Trains `name` (a model of the registry, or `fused`) on all events of `data`.
pub fn train(
    data: Dataset,
    loaded: &Loaded,
    name: &str,
    places: &Places,
    progress: &dyn Progress,
) -> Result<Trained, Error> {
    let checkpoints = places.checkpoints.clone().map(Folder::new);
    checkpoints.as_ref().map_or(Ok(()), Folder::check)?;
    let clock = SystemClock::default();
    let config = &loaded.config;
    let single = Kind::named(name);
    if single.is_none() && name != FUSED {
        return Err(Error::unknown_model(name));
    }
    let names = [name.to_owned()];
    let reader = match config.reads_texts(&names) {
        true => Reader::open(&data.items, &config.text, config.run.seed, places, progress)?,
        false => None,
    };
    let encoded = reader.as_ref().map(|reader| reader.encode(&data, progress)).transpose()?;
    let tokens = match &reader {
        Some(reader) => reader.tokens(&data, config, &names)?,
        None => None,
    };
    let vectors = encoded.map(|encoded| encoded.vectors);
    let labels = labels(&data, config.rerank.labels.as_deref())?;
    check_shown((vectors.is_some(), labels.is_some()), &config.rerank)?;
    check_pipeline(&data, name, vectors.as_ref(), config)?;
    let recorder = Recorder::new(progress);
    let parts = everything(&data)?;
    let n_items = data.n_items();
    let columns = match single {
        Some(kind) => kind.reads_columns(),
        None => {
            let mut kinds = config.fusion.parts.iter().filter_map(|part| Kind::named(part));
            kinds.any(Kind::reads_columns)
        }
    };
    let features = columns.then(|| features(&data));
    let job = Job {
        loaded,
        split: &parts,
        n_items,
        vectors: vectors.as_ref(),
        tokens: tokens.as_ref(),
        features: features.as_ref(),
        task: None,
        refit: true,
        clock: &clock,
        progress: &recorder,
        checkpoints: checkpoints.as_ref().map(|folder| folder as &dyn Checkpoints),
    };
    let mut bench = Workbench::new(job);
    let mut notes = Vec::new();
    let record = |bench: &mut Workbench<'_>, kind: Kind| -> Result<PartRecord, Error> {
        Ok(PartRecord { name: kind.name().into(), settings: bench.choose(kind)?.settings.clone() })
    };
    let (engine, parts, learned) = if let Some(kind) = single {
        let model = bench.fit(kind)?.model.clone();
        let parts = vec![record(&mut bench, kind)?];
        drop(bench);
        let near = Near::of(&model, &data, &config.graph, progress)?;
        let mut engine = Engine::of_single(model, data, vectors, reader);
        engine.near = near.map(Arc::new);
        (engine, parts, None)
    } else {
        let fused = bench.fuse()?;
        notes.extend(
            fused.left_out.iter().map(|(part, why)| format!("{FUSED} goes without {part}: {why}")),
        );
        let kinds: Vec<Kind> = fused.model.parts().iter().map(|part| part.model.kind()).collect();
        let parts =
            kinds.into_iter().map(|kind| record(&mut bench, kind)).collect::<Result<_, _>>()?;
        drop(bench);
        let engine = Engine::of_fused(fused.model, config.fusion.clone(), data, vectors, reader);
        (engine, parts, Some(fused.learned))
    };
    let wording = config.reasons.wording(engine.language_of_titles());
    let engine = engine.with_wording(wording).with_rerank(config.rerank.clone());
    let engine = engine.with_seed(config.run.seed);
    engine.set_pipeline(config.pipeline.clone())?;
    let (fusion, seed) = (config.fusion.clone(), config.run.seed);
    let (seconds, trainings) = (clock.seconds(), recorder.trainings());
    Ok(Trained { engine, parts, fusion, learned, seed, notes, seconds, trainings })
}

/// Refuses a pipeline that cannot be before anything is learnt.
fn check_pipeline(
    data: &Dataset,
    name: &str,
    vectors: Option<&Arc<Vectors>>,
    config: &Config,
) -> Result<(), Error> {
    if config.pipeline.is_plain() {
        return Ok(());
    }
    let parts: Vec<&str> = match Kind::named(name) {
        Some(_) => vec![name],
        None => config.fusion.parts.iter().map(String::as_str).collect(),
    };
    let counts = data.histories.item_counts(data.n_items());
    let known = catalogue(data, &counts, vectors);
    let labels = labels(data, config.rerank.labels.as_deref())?;
    let settings = (&config.pipeline, &config.rerank);
    plan(settings, &parts, known, (data, labels.as_ref()), config.run.seed).map(|_| ())
}

/// Splits so that each user's last event chooses settings and everything is learnt from in the end.
fn everything(data: &Dataset) -> Result<Split, Error> {
    let n_items = data.n_items();
    let all = || data.histories.clone();
    let last_out = split(&data.histories, n_items, &SplitSettings::new(SplitKind::LeaveOneOut));
    if let Err(tastemaker_data::Error::NothingToTest { .. }) = last_out {
        // Histories are too short to choose settings on: the defaults must do.
        let (valid, test) = Default::default();
        let cold_items = vec![false; n_items];
        return Ok(Split { train: all(), valid, refit: all(), test, warm: None, cold_items });
    }
    let last_out = last_out?;
    Ok(Split { train: last_out.refit, valid: last_out.test.clone(), refit: all(), ..last_out })
}
