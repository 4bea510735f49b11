//! The fitted form of all ranking models, and the way from settings to it.
//!
//! What the first layers make of every item is computed once for all users, what they make of a user once for all items.
//! Items nobody has taken are known by their columns and texts, and by what training has learnt of hidden ids.

use serde_json::json;
use tastemaker_core::{
    FitError, ItemId, Judge, Outcome, Persist, PersistError, Predict, Prediction, Recommender,
    Request, Saved, Tokens, TrainData, seed,
};
use tastemaker_kernels::sigmoid;
use tastemaker_train::{Plan, run};

use super::head::Scale;
use super::inputs::Inputs;
use super::learner::{Body, RankerLearner};
use super::network::State;
use super::settings::{Interaction, Objective, RankerSettings};
use super::vocabulary::Entries;
use crate::layers::{Dropout, Linear};

/// Items scored together; fixed, so that nothing depends on what is asked for beside an item.
const CHUNK: usize = 256;
const NOTHING_DROPPED: Dropout = Dropout { rate: 0.0, key: 0 };

/// Scores by what is known of user and item; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker<V: Interaction> {
    settings: RankerSettings<V>,
    inputs: Inputs,
    body: Body,
    /// The items' parts of `x`, of the first-order weights and of the first layers.
    items: Half,
}

/// What is computed of users or items apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Half {
    x: Vec<f32>,
    w: Vec<f32>,
    first: [Vec<f32>; 2],
}

/// Trains by epochs until validation is no longer better.
pub(super) fn fit<V: Interaction>(
    settings: &RankerSettings<V>,
    data: &TrainData<'_>,
) -> Result<Ranker<V>, FitError> {
    data.require_events()?;
    let mut learner = RankerLearner::new(data, settings)?;
    let fingerprint = json!({
        "format": 1,
        "settings": settings,
        "seed": data.seed,
        "items": data.n_items,
        "data": fingerprint(data),
        "judge": data.judge.map(Judge::identity),
    });
    let plan = Plan {
        name: V::NAME,
        epochs: settings.epochs,
        patience: settings.patience,
        progress: data.progress,
        checkpoints: data.checkpoints,
        fingerprint: &fingerprint,
    };
    let diverged = |why| FitError::Diverged { model: V::NAME, why };
    let course = run(&mut learner, &plan).map_err(|failed| diverged(failed.to_string()))?;
    if course.cancelled {
        let epochs = course.curve.epochs.len();
        return Err(FitError::Cancelled { model: V::NAME, epochs });
    }
    let mut model = learner.model();
    if !model.body.parameters.iter().chain(&model.body.table).all(|x| x.is_finite()) {
        return Err(diverged("its numbers ran away: lower `learning_rate`".into()));
    }
    model.settings.epochs = course.curve.best().max(1);
    if model.body.head.scale == Scale::Binary && settings.calibration.is_none() {
        let outcome = match settings.objective {
            Objective::Click => Outcome::Taken { negatives: settings.negatives },
            Objective::Like | Objective::Rating | Objective::Levels => {
                Outcome::Rated { at_least: settings.positive_at }
            }
        };
        model.settings.calibration = data.judge.and_then(|judge| judge.calibrate(&model, outcome));
    }
    Ok(model)
}

/// Stands for everything that is learnt from.
pub(crate) fn fingerprint(data: &TrainData<'_>) -> u64 {
    let ends = data.histories.offsets().iter().map(|&end| end as u64);
    let events = data.histories.events();
    let items = events.items.iter().map(|item| u64::from(item.0));
    let values = events.values.iter().map(|x| u64::from(x.to_bits()));
    let texts = data.vectors.map(|vectors| vectors.flat()).unwrap_or_default();
    let tokens = data.tokens.map(|tokens| seed::mix(token_numbers(tokens)));
    let columns = data.features.map(|features| format!("{features:?}")).unwrap_or_default();
    let texts = texts.iter().map(|x| u64::from(x.to_bits()));
    let columns = columns.bytes().map(u64::from);
    seed::mix(ends.chain(items).chain(values).chain(texts).chain(tokens).chain(columns))
}

fn token_numbers(tokens: &Tokens) -> impl Iterator<Item = u64> {
    let rows = tokens.rows().iter().flat_map(|row| row.iter().copied().chain([u32::MAX]));
    let vectors = tokens.vectors().map(|vectors| vectors.flat()).unwrap_or_default();
    rows.chain(vectors.iter().map(|x| x.to_bits())).map(u64::from)
}

impl<V: Interaction> Ranker<V> {
    pub(super) fn assemble(settings: RankerSettings<V>, inputs: Inputs, body: Body) -> Self {
        let mut model = Self { settings, inputs, body, items: Half::default() };
        model.items = model.item_half();
        model
    }

    pub(super) const fn settings(&self) -> &RankerSettings<V> {
        &self.settings
    }

    /// Computes the items' half of everything.
    fn item_half(&self) -> Half {
        let Self { inputs, body, .. } = self;
        let (width, split) = (body.network.width(), inputs.user_fields() * body.dim);
        let (mut half, mut entries) = (Half::default(), Entries::default());
        let (mut x, mut state) = (Vec::new(), body.network.state());
        for from in (0..inputs.n_items()).step_by(CHUNK) {
            let items = from..(from + CHUNK).min(inputs.n_items());
            x.clear();
            x.resize(items.len() * width, 0.0);
            for (place, item) in items.enumerate() {
                entries.clear();
                inputs.item(item, false, &mut entries);
                let x = &mut x[place * width + split..(place + 1) * width];
                half.w.push(body.gather(&entries, 0..inputs.item_fields(), x));
                half.x.extend_from_slice(x);
            }
            self.read(&x, &mut state, |layer, first, at| {
                // The users' half brings the bias.
                let bias = layer.bias(&body.parameters);
                let rows = first.chunks_exact(layer.output());
                half.first[at]
                    .extend(rows.flat_map(|row| row.iter().zip(bias).map(|(x, b)| x - b)));
            });
        }
        half
    }

    /// Runs the first layers and hands what they make to `keep`, with their number.
    fn read(&self, x: &[f32], state: &mut State, mut keep: impl FnMut(Linear, &[f32], usize)) {
        self.body.network.read(&self.body.parameters, x, state);
        let made = [state.deep.first(), state.cross.first()];
        for (at, (layer, made)) in self.body.network.first().into_iter().zip(made).enumerate() {
            if let (Some(layer), Some(made)) = (layer, made) {
                keep(layer, made, at);
            }
        }
    }

    /// Computes the half of one user with a history.
    fn user_half(&self, request: &Request<'_>) -> Half {
        let Self { inputs, body, .. } = self;
        let (fields, mut entries) = (inputs.user_fields(), Entries::default());
        inputs.user(request.user, false, (request.history, None), &mut entries);
        let mut x = vec![0.0; body.network.width()];
        let split = fields * body.dim;
        let w = body.gather(&entries, 0..fields, &mut x[..split]);
        let mut half = Half { w: vec![w], ..Half::default() };
        self.read(&x, &mut body.network.state(), |_, made, at| half.first[at] = made.to_vec());
        x.truncate(split);
        half.x = x;
        half
    }

    /// Writes the network's scores of `items`.
    fn raw(&self, request: &Request<'_>, items: impl Iterator<Item = usize>, scores: &mut [f32]) {
        let Self { inputs, body, .. } = self;
        let user = self.user_half(request);
        let (width, split) = (body.network.width(), inputs.user_fields() * body.dim);
        let of_item = width - split;
        let mut state = body.network.state();
        let (mut x, mut w) = (Vec::new(), Vec::new());
        let items: Vec<usize> = items.collect();
        for (items, out) in items.chunks(CHUNK).zip(scores.chunks_mut(CHUNK)) {
            x.clear();
            w.clear();
            let into = [state.deep.first_mut(), state.cross.first_mut()];
            for (at, (layer, into)) in body.network.first().into_iter().zip(into).enumerate() {
                let (Some(layer), Some(into)) = (layer, into) else { continue };
                into.clear();
                for &item in items {
                    let first = &self.items.first[at][item * layer.output()..][..layer.output()];
                    into.extend(first.iter().zip(&user.first[at]).map(|(a, b)| a + b));
                }
            }
            for &item in items {
                x.extend_from_slice(&user.x);
                x.extend_from_slice(&self.items.x[item * of_item..][..of_item]);
                w.push(user.w[0] + self.items.w[item]);
            }
            let state = (&mut state, NOTHING_DROPPED);
            body.network.score(&body.parameters, (&x, &w), state, out);
        }
    }

    /// Turns a score into a probability: calibrated, and corrected for the items that were drawn instead of all.
    fn probability(&self, score: f32, n_left: usize) -> f32 {
        let [slope, shift] = self.settings.calibration.unwrap_or([1.0, 0.0]);
        let mut odds = slope * score + shift;
        if self.settings.objective == Objective::Click {
            odds += (self.settings.negatives as f32 / n_left.max(1) as f32).ln();
        }
        let mut p = [odds];
        sigmoid(&mut p);
        p[0].clamp(0.0, 1.0)
    }
}

impl<V: Interaction> Recommender for Ranker<V> {
    fn n_items(&self) -> usize {
        self.inputs.n_items()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.raw(request, 0..self.n_items(), scores);
        self.body.head.rank(&self.body.parameters, scores);
    }

    fn score_items(&self, request: &Request<'_>, items: &[ItemId], scores: &mut [f32]) {
        self.raw(request, items.iter().map(|item| item.index()), scores);
        self.body.head.rank(&self.body.parameters, scores);
    }
}

impl<V: Interaction> Predict for Ranker<V> {
    fn predict(&self, request: &Request<'_>, items: &[ItemId]) -> Vec<Prediction> {
        let mut scores = vec![0.0; items.len()];
        self.raw(request, items.iter().map(|item| item.index()), &mut scores);
        let reaches = self.body.head.reaches(&self.body.parameters, &scores);
        let mut taken: Vec<ItemId> = request.history.items.to_vec();
        taken.retain(|item| item.index() < self.n_items());
        taken.sort_unstable();
        taken.dedup();
        let n_left = self.n_items() - taken.len();
        let is_binary = self.body.head.scale == Scale::Binary;
        let odds = is_binary.then(|| scores.clone());
        self.body.head.rank(&self.body.parameters, &mut scores);
        let one = |(at, rank): (usize, &f32)| Prediction {
            probability: match (&odds, &reaches) {
                (Some(odds), _) => Some(self.probability(odds[at], n_left)),
                (None, Some(reaches)) => Some(reaches[at]),
                (None, None) => None,
            },
            rating: self.body.head.rating(*rank),
        };
        scores.iter().enumerate().map(one).collect()
    }
}

impl<V: Interaction> Persist for Ranker<V> {
    fn save(&self) -> Saved {
        let meta = json!({ "settings": self.settings, "scale": self.body.head.scale });
        let mut saved = Saved { meta, ..Saved::default() };
        let Body { parameters, table, width, .. } = &self.body;
        saved.put_f32("parameters", &[parameters.len()], parameters.clone());
        saved.put_f32("table", &[table.len() / width, *width], table.clone());
        self.inputs.save(&mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let mut part =
            |name| saved.meta.get_mut(name).map(serde_json::Value::take).unwrap_or_default();
        let settings: RankerSettings<V> = serde_json::from_value(part("settings"))?;
        let scale: Scale = serde_json::from_value(part("scale"))?;
        if !tastemaker_core::Fit::faults(&settings).is_empty() || settings.batch.is_none() {
            return Err(misfit("settings"));
        }
        let inputs = Inputs::load(&mut saved, settings.tokens > 0)?;
        let (mut body, layout) = Body::new(&settings, &inputs, scale);
        let (_, parameters) = saved.take_f32("parameters")?;
        let (width, table) = saved.take_matrix("table")?;
        let fits = parameters.len() == layout.len()
            && width == body.width
            && table.len() == inputs.n_rows() * width
            && parameters.iter().chain(&table).all(|x| x.is_finite());
        if !fits {
            return Err(misfit("parameters"));
        }
        (body.parameters, body.table) = (parameters, table);
        Ok(Self::assemble(settings, inputs, body))
    }
}
