//! Chooses what goes, the least of it first, and hands out the folder without it.

use std::path::Path;

use serde::Serialize;
use tastemaker_core::Progress;

use super::cut::cut;
use super::measure::{Head, Sample};
use super::plan::Plan;
use crate::bert::config::{BertSettings, Description, Precision};
use crate::bert::encoder::BertEncoder;
use crate::bert::extras::ExtraTensors;
use crate::bert::tokenise::Tokens;
use crate::{Aside, Error};

/// Heads are measured anew after each such part of those that go, as one may stand in for another.
const ROUNDS: usize = 4;

/// What is to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// So many heads.
    Heads(usize),
    /// This share of the heads, above 0 and below 1.
    Share(f64),
    /// So many layers.
    Layers(usize),
}

/// A layer and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrunedLayer {
    /// Its number in the model that was read, from 0.
    pub layer: usize,
    /// Whether it is still there.
    pub kept: bool,
    /// Heads it had in the model that was read.
    pub heads_before: usize,
    /// Heads it has.
    pub heads: usize,
    /// Heads that were taken now, by their numbers in the model as it was trained.
    pub taken: Vec<usize>,
}

/// A model without what was to go, ready to be saved.
#[derive(Debug)]
pub struct Pruned {
    layers: Vec<PrunedLayer>,
    files: Vec<(String, Vec<u8>)>,
}

impl Pruned {
    /// Lists the layers of the model that was read.
    pub fn layers(&self) -> &[PrunedLayer] {
        &self.layers
    }

    /// Writes the files of the Hugging Face folder.
    pub fn write(&self, aside: &Aside) -> Result<(), Error> {
        self.files.iter().try_for_each(|(name, bytes)| aside.write(name, bytes))
    }
}

/// Finds what counts least for the vectors of `texts` and takes it from the model in `folder`. Every layer keeps a head, and the model a
/// layer.
///
/// # Errors
/// When more is to go than can, no text has content, or the folder is no encoder.
pub fn prune(
    folder: &Path,
    settings: &BertSettings,
    target: Cut,
    texts: &[&str],
    progress: &dyn Progress,
) -> Result<Pruned, Error> {
    let settings = BertSettings { precision: Precision::F32, ..*settings };
    let description = Description::read(folder, &settings)?;
    refuse_extras(folder, &description)?;
    let heads: Vec<usize> = description.config.heads.iter().map(Vec::len).collect();
    let target = Target::of(target, &heads)?;
    let encoder = BertEncoder::open(folder, &settings)?;
    let windows = encoder.tokeniser.tokenise_windows(texts)?;
    let tokens: Vec<Tokens> = windows.into_iter().flatten().filter(|t| !t.is_empty()).collect();
    if tokens.is_empty() {
        return Err(Error::setting("texts", "hold no words to judge by"));
    }
    let sample = Sample::new(&encoder, (heads.len(), description.config.head_width()), &tokens);
    let plan = match target {
        Target::Heads(n) => heads_to_go(&sample, &heads, n, progress),
        Target::Layers(n) => layers_to_go(&sample, &heads, n, progress),
    };
    let names = &description.config.heads;
    let layer = |(layer, &heads_before): (usize, &usize)| {
        let kept = plan.has_layer(layer);
        PrunedLayer {
            layer,
            kept,
            heads_before,
            heads: if kept { plan.heads(layer).len() } else { 0 },
            taken: plan.taken(layer).map(|(head, _)| names[layer][head]).collect(),
        }
    };
    let layers = heads.iter().enumerate().map(layer).collect();
    Ok(Pruned { layers, files: cut(folder, &description, &plan)? })
}

/// Adapters and a prefix were learnt with all heads and layers.
fn refuse_extras(folder: &Path, description: &Description) -> Result<(), Error> {
    let extras = ExtraTensors::read(folder, &description.config)?;
    let (field, n) = match (extras.adapters, extras.prefix) {
        (0, 0) => return Ok(()),
        (0, tokens) => ("prefix", tokens),
        (width, _) => ("adapters", width),
    };
    let (path, found) = (folder.to_owned(), format!("{n}"));
    Err(Error::Unsupported { path, field, found, supported: "plain encoders, for pruning," })
}

enum Target {
    Heads(usize),
    Layers(usize),
}

impl Target {
    /// Checks that so much can go.
    fn of(cut: Cut, heads: &[usize]) -> Result<Self, Error> {
        let (all, layers) = (heads.iter().sum::<usize>(), heads.len());
        let within = |field, n: usize, most: usize, why: String| {
            if (1..=most).contains(&n) {
                return Ok(n);
            }
            let problem = match most {
                0 => format!("finds nothing to take: {why}"),
                _ => format!("must be between 1 and {most}, is {n}: {why}"),
            };
            Err(Error::setting(field, problem))
        };
        let one_left = format!("each of {layers} layers keeps one of all {all} heads");
        match cut {
            Cut::Heads(n) => within("heads", n, all - layers, one_left).map(Self::Heads),
            Cut::Share(share) if share > 0.0 && share < 1.0 => {
                let n = (share * all as f64).round() as usize;
                let why = format!("{share} of the heads; {one_left}");
                within("share", n, all - layers, why).map(Self::Heads)
            }
            Cut::Share(share) => {
                Err(Error::setting("share", format!("must be above 0 and below 1, is {share}")))
            }
            Cut::Layers(n) => {
                let why = format!("the model has {layers} and keeps one");
                within("layers", n, layers - 1, why).map(Self::Layers)
            }
        }
    }
}

/// Takes `n` heads in rounds.
fn heads_to_go(sample: &Sample<'_>, heads: &[usize], n: usize, progress: &dyn Progress) -> Plan {
    let mut plan = Plan::new(heads);
    let exact = sample.vectors(&plan);
    let (mut left, rounds) = (n, ROUNDS.min(n));
    for round in 0..rounds {
        let means = sample.means(&plan);
        let there: Vec<Head> = plan
            .layers()
            .into_iter()
            .filter(|&layer| plan.heads(layer).len() > 1)
            .flat_map(|layer| plan.heads(layer).into_iter().map(move |head| (layer, head)))
            .collect();
        let told = |done: usize, all: usize| {
            progress.report("measuring heads", round * all + done, rounds * all);
        };
        let losses = sample.without_heads((&plan, &means), &there, &exact, &told);
        let mut order: Vec<usize> = (0..there.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]).then(a.cmp(&b)));
        let mut to_go = left.div_ceil(rounds - round);
        for (layer, head) in order.into_iter().map(|at| there[at]) {
            if to_go > 0 && plan.heads(layer).len() > 1 {
                let width = means[layer].len() / heads[layer];
                let mean = means[layer][head * width..(head + 1) * width].to_vec();
                plan.take_head((layer, head), mean);
                (to_go, left) = (to_go - 1, left - 1);
            }
        }
    }
    plan
}

/// Takes `n` layers, one after the other.
fn layers_to_go(sample: &Sample<'_>, heads: &[usize], n: usize, progress: &dyn Progress) -> Plan {
    let mut plan = Plan::new(heads);
    let exact = sample.vectors(&plan);
    for round in 0..n {
        let told = |done: usize, all: usize| {
            progress.report("measuring layers", round * all + done, n * all);
        };
        let losses = sample.without_layers(&plan, &exact, &told);
        let least = losses.iter().zip(plan.layers()).min_by(|(a, _), (b, _)| a.total_cmp(b));
        plan.take_layer(least.expect("a layer is left").1);
    }
    plan
}
