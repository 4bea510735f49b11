//! The tasks of tuning on a made-up world of two kinds of things: each is learnt, and threads, memory and interruptions change no bit.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

#[path = "../../text/tests/bert/tiny.rs"]
mod tiny;

use std::sync::Mutex;

use serde_json::json;
use tastemaker_core::{
    Checkpoints, FitError, Histories, HistoriesBuilder, ItemId, Judge, Progress, Recommender,
    Request, Saved, TrainData,
};
use tastemaker_neural::{
    AugmentSettings, Encoder, HeadStart, TaskData, TuneSettings, TuneTask, Tuned, What, tune,
};
use tastemaker_text::{BertHead, BertSettings, BertTokens, TunableBert};
use tempfile::TempDir;
use tiny::Sizes;

const SIZES: Sizes = Sizes { hidden: 16, layers: 2, heads: 2, inner: 24, positions: 32 };
const N_ITEMS: usize = 40;

/// Even items are red films, odd ones blue books; what else their texts say means nothing.
fn texts() -> Vec<String> {
    let of = |item: usize| {
        let start = ["a", "the", "about", "about the"][item / 2 % 4];
        let end = ["", " sea", " 电", " 影 seas", " s"][item / 2 % 5];
        let kind = if item.is_multiple_of(2) { "red film" } else { "blue book" };
        format!("{start} {kind}{end}")
    };
    (0..N_ITEMS).map(of).collect()
}

/// Users take things of one kind, rate films 5 and books 2, a little more or less.
fn histories(users: std::ops::Range<usize>, n: usize) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for user in users {
        for at in 0..n {
            let item = ((user * 7 + at * 11) % 20) * 2 + user % 2;
            let rating = if user % 2 == 0 { 5.0 } else { 2.0 };
            builder.push(ItemId::from_index(item), rating + 0.1 * (at % 3) as f32, at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

/// The share of the five best scores that are of the kind of the history.
struct SameKind;

impl Judge for SameKind {
    fn judge(&self, model: &dyn Recommender) -> f64 {
        let mut scores = vec![0.0; N_ITEMS];
        let one = |item: usize| {
            let mut builder = HistoriesBuilder::default();
            builder.push(ItemId::from_index(item), 1.0, 0);
            builder.end_user();
            let history = builder.build();
            let request = Request::new(None, history.row(0));
            model.score(&request, &mut scores);
            request.mask(&mut scores);
            let mut order: Vec<usize> = (0..N_ITEMS).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            order[..5].iter().filter(|&&other| other % 2 == item % 2).count() as f64 / 5.0
        };
        (0..N_ITEMS).map(one).sum::<f64>() / N_ITEMS as f64
    }
}

struct World {
    _folder: TempDir,
    bert: TunableBert,
    weights: Vec<f32>,
    texts: Vec<String>,
    tokens: Vec<BertTokens>,
    train: Histories,
    known: Histories,
    targets: Histories,
    labels: Vec<Option<u32>>,
}

fn world() -> World {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), SIZES, &tiny::tensors(SIZES));
    let mut tokenizer = tiny::tokenizer();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    vocabulary.remove("##side");
    vocabulary.insert("[MASK]".into(), json!(13));
    let mark = |id: &str, kind: u32| json!({ "SpecialToken": { "id": id, "type_id": kind } });
    let text = |id: &str, kind: u32| json!({ "Sequence": { "id": id, "type_id": kind } });
    tokenizer["post_processor"]["pair"] =
        json!([mark("[CLS]", 0), text("A", 0), mark("[SEP]", 0), text("B", 1), mark("[SEP]", 1)]);
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let (bert, weights) = TunableBert::open(folder.path(), &BertSettings::default()).unwrap();
    let texts = texts();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = bert.tokenise(&borrowed).unwrap();
    World {
        _folder: folder,
        bert,
        weights,
        texts,
        tokens,
        train: histories(0..60, 5),
        known: histories(60..100, 3),
        targets: histories(160..200, 1),
        labels: (0..N_ITEMS).map(|item| (item != 3).then_some((item % 2) as u32)).collect(),
    }
}

impl World {
    fn data(&self) -> TrainData<'_> {
        TrainData { judge: Some(&SameKind), seed: 1, ..TrainData::new(&self.train, N_ITEMS) }
    }

    fn tune(&self, settings: &TuneSettings, data: &TrainData<'_>) -> Result<Tuned, FitError> {
        let Self { bert, weights, tokens: texts, .. } = self;
        let extra = TaskData {
            texts: &self.texts,
            held: Some((&self.known, &self.targets)),
            labels: &self.labels,
            n_labels: 2,
            head: &[],
        };
        tune(Encoder { bert, weights, texts }, settings, (data, &extra))
    }
}

/// The tasks, that of labels with the name of a column.
const TASKS: [(TuneTask, bool); 6] = [
    (TuneTask::TwoTower, false),
    (TuneTask::MaskedWords, false),
    (TuneTask::Classify, false),
    (TuneTask::Classify, true),
    (TuneTask::Rate, false),
    (TuneTask::Sequence, false),
];

fn settings((task, labels): (TuneTask, bool)) -> TuneSettings {
    let mut settings = TuneSettings {
        task,
        labels: labels.then(|| "kind".to_owned()),
        what: What::Full,
        head: HeadStart::None,
        users: 12,
        events: 3,
        history: 2,
        batch: 16,
        negatives: 1,
        temperature: 0.2,
        learning_rate: Some(5e-3),
        steps: Some(15),
        epochs: 8,
        patience: 8,
        ..TuneSettings::default()
    };
    settings.optimizer.warm_up = 5;
    settings
}

#[test]
fn every_task_is_learnt_and_says_how_well() {
    let world = world();
    let mut faults = Vec::new();
    for task in TASKS {
        let tuned = world.tune(&settings(task), &world.data()).unwrap();
        let (before, after) = (tuned.before.unwrap(), tuned.after.unwrap());
        let good = match task {
            (TuneTask::TwoTower | TuneTask::Sequence, _) => after > 0.95,
            // Half the words follow from the kind, the others hardly.
            (TuneTask::MaskedWords, _) => after > before + 0.3,
            // Whether two texts are of one kind follows from neither alone: few steps teach a little of it.
            (TuneTask::Classify, false) => after > before + 0.05,
            (TuneTask::Classify, true) => after > 0.99,
            // All alike cost 1.5.
            (TuneTask::Rate, _) => after > -0.5,
        };
        // Of the few labelled items that are held back a head that knows nothing may be right by chance.
        let is_better = if task.1 { after >= before } else { after > before };
        if !good || !is_better {
            faults.push((task, before, after));
        }
        let losses: Vec<f64> = tuned.epochs.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[losses.len() - 1] < losses[0], "{task:?}: {losses:?}");
        let best = tuned.epochs[tuned.best - 1].validation.unwrap();
        assert!((best - after).abs() < 1e-12, "{task:?}: the best epoch is kept");
        let dim = SIZES.hidden;
        let (kind, n) = match task {
            (TuneTask::TwoTower, _) => (None, 0),
            (TuneTask::Sequence, _) => (None, 2),
            (TuneTask::MaskedWords, _) => {
                (Some(BertHead::MaskedWords), dim * dim + 3 * dim + world.bert.vocabulary())
            }
            (_, labels) => {
                let n = if labels { 2 } else { 1 };
                (Some(BertHead::Labels(n)), dim * dim + dim + n * (dim + 1))
            }
        };
        assert_eq!((tuned.task_kind, tuned.task_head.len()), (kind, n), "{task:?}");
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn masked_words_tell_loss_and_hits_of_texts_that_are_not_learnt_from() {
    let world = world();
    let tuned = world.tune(&settings(TASKS[1]), &world.data()).unwrap();
    let (before, after) = (&tuned.facts_before, &tuned.facts_after);
    assert!((after["masked loss"] + tuned.after.unwrap()).abs() < 1e-9);
    assert!(after["masked loss"] < before["masked loss"]);
    assert!((0.0..=1.0).contains(&after["masked accuracy"]));
}

/// Few steps, with everything that draws by chance.
fn short(task: (TuneTask, bool)) -> TuneSettings {
    let augment = AugmentSettings { drop: 0.2, crop: 0.2, synonyms: 0.2, neighbours: 3 };
    TuneSettings { steps: Some(3), epochs: 3, augment, adversarial: 0.2, ..settings(task) }
}

#[test]
fn threads_and_memory_change_no_bit_of_any_task() {
    let world = world();
    for task in TASKS {
        let with = |threads: usize, max_memory_mb: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let settings = TuneSettings { max_memory_mb, ..short(task) };
            let tuned = pool.install(|| world.tune(&settings, &world.data()).unwrap());
            (tuned.weights, tuned.task_head, tuned.after)
        };
        let one = with(1, 4096);
        assert!(one == with(2, 4096), "{task:?}");
        // No activations of a whole block fit into one megabyte.
        assert!(one == with(2, 1), "{task:?}");
    }
}

/// Keeps the last state, and says stop after some of them.
#[derive(Default)]
struct Keeper {
    state: Mutex<Option<Saved>>,
    saves: Mutex<usize>,
    stop_after: Option<usize>,
}

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.state.lock().unwrap().clone()
    }

    fn save(&self, _name: &str, state: &Saved) {
        *self.state.lock().unwrap() = Some(state.clone());
        *self.saves.lock().unwrap() += 1;
    }
}

impl Progress for Keeper {
    fn report(&self, _task: &str, _done: usize, _total: usize) {}

    fn is_cancelled(&self) -> bool {
        self.stop_after.is_some_and(|n| *self.saves.lock().unwrap() >= n)
    }
}

#[test]
fn a_run_of_any_task_that_was_interrupted_ends_with_the_bits_of_one_that_was_not() {
    let world = world();
    for task in TASKS {
        let (settings, data) = (short(task), world.data());
        let whole = world.tune(&settings, &data).unwrap();
        let mut keeper = Keeper { stop_after: Some(1), ..Keeper::default() };
        let stopped = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..data };
        let error = world.tune(&settings, &stopped).unwrap_err();
        assert!(matches!(error, FitError::Cancelled { epochs: 1, .. }), "{error}");
        keeper.stop_after = None;
        let resumed = world.tune(&settings, &TrainData { checkpoints: Some(&keeper), ..data });
        let resumed = resumed.unwrap();
        assert!(resumed.weights == whole.weights, "{task:?}");
        assert!(resumed.task_head == whole.task_head, "{task:?}");
        assert_eq!(resumed.after, whole.after, "{task:?}");
    }
}

#[test]
fn moved_embeddings_and_noise_change_what_is_learnt() {
    let world = world();
    let run = |settings: &TuneSettings| world.tune(settings, &world.data()).unwrap().weights;
    let plain = TuneSettings { steps: Some(2), epochs: 1, ..settings(TASKS[3]) };
    let moved = TuneSettings { adversarial: 0.5, ..plain.clone() };
    let augment = AugmentSettings { drop: 0.5, ..AugmentSettings::default() };
    let noisy = TuneSettings { augment, ..plain.clone() };
    let all = [run(&plain), run(&moved), run(&noisy)];
    assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
}

#[test]
fn what_a_task_lacks_is_told() {
    let mut world = world();
    let refused = |world: &World, task, what: &str| {
        let error = world.tune(&settings(task), &world.data()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    world.labels = vec![Some(1); N_ITEMS];
    refused(&world, TASKS[3], "name another column in `tune.labels`");
    let mut builder = HistoriesBuilder::default();
    for user in 0..5 {
        (0..3).for_each(|at| builder.push(ItemId::from_index(user + at), 1.0, 0));
        builder.end_user();
    }
    world.train = builder.build();
    refused(&world, TASKS[4], "import the data with a column of ratings");
    world.tokens.iter_mut().skip(1).for_each(|tokens| *tokens = BertTokens::default());
    refused(&world, TASKS[1], "fewer than two items have a text");
    world.texts.iter_mut().for_each(String::clear);
    refused(&world, TASKS[2], "take data with longer histories");
    refused(&world, TASKS[5], "take data with longer histories");
}
