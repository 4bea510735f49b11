//! Tuning a tiny encoder: it learns what follows what, whatever is trained; threads, interruptions and memory change no bit.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

#[path = "../../text/tests/bert/tiny.rs"]
mod tiny;

use std::sync::Mutex;

use tastemaker_core::{
    Checkpoints, FitError, Histories, HistoriesBuilder, ItemId, Judge, Progress, Recommender,
    Request, Saved, TrainData,
};
use tastemaker_neural::{Encoder, HeadStart, TaskData, TuneSettings, Tuned, What, prepare, tune};
use tastemaker_text::{BertSettings, BertTokens, TunableBert};
use tempfile::TempDir;
use tiny::Sizes;

const SIZES: Sizes = Sizes { hidden: 16, layers: 2, heads: 2, inner: 24, positions: 24 };
/// Films and books by turns: who takes one takes its other next.
const TEXTS: [&str; 9] =
    ["a red film", "the sea book", "a blue film", "red", "about", "blue seas", "film 电", "影", ""];
const N_ITEMS: usize = TEXTS.len();

/// Item 2k is followed by item 2k + 1 and the other way round; item 8 has no text, some users took one thing or nothing.
fn histories() -> Histories {
    let mut builder = HistoriesBuilder::default();
    for user in 0..40 {
        let (first, n) = (user % 8, if user % 10 == 9 { 1 } else { 4 });
        for at in 0..n {
            let item = if at % 2 == 0 { first } else { first ^ 1 };
            builder.push(ItemId::from_index(item), 1.0, at);
        }
        if user % 7 == 0 {
            builder.push(ItemId::from_index(8), 1.0, 9);
        }
        builder.end_user();
    }
    builder.end_user();
    builder.build()
}

/// Asks after every item for the one that follows: the mean of one over its rank.
struct Follows;

impl Judge for Follows {
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
            1.0 / scores.iter().filter(|score| **score >= scores[item ^ 1]).count() as f64
        };
        (0..8).map(one).sum::<f64>() / 8.0
    }
}

struct Opened {
    _folder: TempDir,
    bert: TunableBert,
    weights: Vec<f32>,
    texts: Vec<BertTokens>,
}

fn open() -> Opened {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), SIZES, &tiny::tensors(SIZES));
    let settings = BertSettings { max_tokens: Some(16), ..BertSettings::default() };
    let (bert, weights) = TunableBert::open(folder.path(), &settings).unwrap();
    let texts = bert.tokenise(&TEXTS).unwrap();
    Opened { _folder: folder, bert, weights, texts }
}

impl Opened {
    /// The same with what is to be trained put in.
    fn prepared(mut self, settings: &TuneSettings) -> Self {
        let Self { bert, weights, texts, .. } = &mut self;
        prepare((bert, weights), texts, settings, 1).unwrap();
        self
    }

    fn tune(&self, settings: &TuneSettings, data: &TrainData<'_>) -> Result<Tuned, FitError> {
        let Self { bert, weights, texts, .. } = self;
        tune(Encoder { bert, weights, texts }, settings, (data, &TaskData::default()))
    }
}

fn settings() -> TuneSettings {
    let mut settings = TuneSettings {
        head: HeadStart::None,
        head_steps: 4,
        head_users: 16,
        rank: 4,
        layers: 1,
        adapter_width: 8,
        prefix_tokens: 4,
        users: 16,
        events: 3,
        history: 1,
        temperature: 0.1,
        learning_rate: Some(2e-2),
        steps: None,
        epochs: 12,
        patience: 12,
        ..TuneSettings::default()
    };
    settings.optimizer.warm_up = 3;
    settings
}

#[test]
fn whatever_is_trained_it_learns_what_follows_what() {
    let histories = histories();
    let ways = [What::Lora, What::Adapter, What::Prefix, What::Bias, What::Top, What::Full];
    for what in ways {
        let data =
            TrainData { judge: Some(&Follows), seed: 1, ..TrainData::new(&histories, N_ITEMS) };
        let rate = match what {
            What::Prefix => 1e-1,
            What::Top | What::Full => 5e-3,
            _ => 2e-2,
        };
        let settings = TuneSettings { what, learning_rate: Some(rate), ..settings() };
        let opened = open().prepared(&settings);
        let tuned = opened.tune(&settings, &data).unwrap();
        let (before, after) = (tuned.before.unwrap(), tuned.after.unwrap());
        assert!(after > before + 0.1, "{what:?}: {before} {after}");
        let losses: Vec<f64> = tuned.epochs.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[losses.len() - 1] < 0.8 * losses[0], "{what:?}: {losses:?}");
        let n = tuned.n_trained;
        assert!(n > 0 && (n < opened.weights.len() || what == What::Full));
        // What is not trained stays to the bit.
        let moved = |name: &str| {
            let tensor = opened.bert.tensors().iter().find(|tensor| tensor.name == name).unwrap();
            let range = tensor.range.clone();
            tuned.weights[range.clone()] != opened.weights[range]
        };
        let (low, words) =
            ("encoder.layer.0.output.dense.bias", "embeddings.word_embeddings.weight");
        assert_eq!(moved(low), what == What::Bias || what == What::Full);
        assert_eq!(moved(words), what == What::Full);
        let of_weights = matches!(what, What::Lora | What::Top | What::Full);
        assert_eq!(moved("encoder.layer.1.attention.self.value.weight"), of_weights);
        assert_eq!(tuned.lora.is_some(), what == What::Lora);
        assert!(tuned.head.is_none());
    }
}

#[test]
fn the_head_learns_alone_and_with_the_rest() {
    let (opened, histories) = (open(), histories());
    let data = TrainData { judge: Some(&Follows), seed: 1, ..TrainData::new(&histories, N_ITEMS) };
    let with = |what, head_steps| TuneSettings {
        what,
        head: HeadStart::Whitened,
        head_steps,
        head_rate: 5e-2,
        head_joint_rate: 1e-2,
        ..settings()
    };
    let n_head = 16 * 17;
    let alone = opened.tune(&with(What::Head, 0), &data).unwrap();
    assert!(alone.weights == opened.weights, "the encoder stays as it is");
    assert_eq!((alone.n_trained, alone.epochs.len() <= 12), (n_head, true));
    assert!(alone.after.unwrap() > alone.before.unwrap() + 0.1);
    let head = alone.head.unwrap();
    assert_eq!((head.weight.len(), head.bias.len()), (16 * 16, 16));
    let both = opened.tune(&with(What::Lora, 8), &data).unwrap();
    assert!(both.n_trained > n_head);
    assert!(both.after.unwrap() > both.before.unwrap() + 0.1);
    assert!(both.before.unwrap().to_bits() == alone.before.unwrap().to_bits());
    assert!(both.epochs.len() <= 13, "one of the head alone before twelve of both");
    // Kept as it is, it is the whitening, and the encoder learns behind it.
    let still = TuneSettings { head_joint_rate: 0.0, ..with(What::Lora, 0) };
    let still = opened.tune(&still, &data).unwrap();
    assert!(still.weights != opened.weights && still.head.unwrap() != head);
}

#[test]
fn threads_and_memory_change_no_bit() {
    let (opened, histories) = (open(), histories());
    let data = TrainData { judge: Some(&Follows), seed: 2, ..TrainData::new(&histories, N_ITEMS) };
    let head = HeadStart::Whitened;
    let short = TuneSettings { epochs: 2, correction: 1.0, dropout: 0.2, head, ..settings() };
    let with = |threads: usize, max_memory_mb: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let settings = TuneSettings { max_memory_mb, ..short.clone() };
        let tuned = pool.install(|| opened.tune(&settings, &data).unwrap());
        (tuned.weights, tuned.head)
    };
    // No activations of a whole block fit into one megabyte.
    let one = with(1, 4096);
    assert!(one == with(2, 4096) && one == with(3, 1));
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
fn a_run_that_was_interrupted_ends_with_the_bits_of_one_that_was_not() {
    let histories = histories();
    let ways = [
        (What::Lora, HeadStart::None),
        (What::Lora, HeadStart::Whitened),
        (What::Head, HeadStart::Whitened),
        (What::Adapter, HeadStart::None),
        (What::Prefix, HeadStart::Whitened),
    ];
    for (what, head) in ways {
        let (rank_budget, dropout) = (Some(1), 0.2);
        let short = TuneSettings {
            what,
            head,
            rank_budget,
            dropout,
            epochs: 4,
            steps: Some(3),
            ..settings()
        };
        let opened = open().prepared(&short);
        let data =
            TrainData { judge: Some(&Follows), seed: 3, ..TrainData::new(&histories, N_ITEMS) };
        let whole = opened.tune(&short, &data).unwrap();
        // After the first epoch the head has learnt alone, after the second something with the rest.
        for after in [1, 2] {
            let mut keeper = Keeper { stop_after: Some(after), ..Keeper::default() };
            let stopped = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..data };
            let error = opened.tune(&short, &stopped).unwrap_err();
            assert!(
                matches!(error, FitError::Cancelled { epochs, .. } if epochs == after),
                "{error}"
            );
            keeper.stop_after = None;
            let goes_on = TrainData { checkpoints: Some(&keeper), ..data };
            let resumed = opened.tune(&short, &goes_on).unwrap();
            assert!(resumed.weights == whole.weights && resumed.head == whole.head, "{what:?}");
            assert_eq!((resumed.best, resumed.epochs.len()), (whole.best, whole.epochs.len()));
        }
    }
}

#[test]
fn a_budget_leaves_the_products_that_count_most_and_the_folder_is_as_narrow() {
    let histories = histories();
    let data = TrainData { judge: Some(&Follows), seed: 3, ..TrainData::new(&histories, N_ITEMS) };
    let whole = TuneSettings { rank: 4, epochs: 3, steps: Some(8), ..settings() };
    let mut bounded = TuneSettings { rank_budget: Some(2), ..whole.clone() };
    // Two batches are left over for a step at the end of an epoch.
    bounded.optimizer.accumulate = 3;
    let [whole, bounded] = [whole, bounded].map(|settings| open().tune(&settings, &data).unwrap());
    let columns = |tuned: &tastemaker_neural::Tuned| {
        let lora = tuned.lora.clone().unwrap();
        let is_there = |pair: &tastemaker_text::LoraPair, column| {
            pair.b.iter().skip(column).step_by(lora.rank).any(|x| x.abs() > 0.0)
        };
        let all = lora
            .pairs
            .iter()
            .map(|pair| (0..lora.rank).filter(|&column| is_there(pair, column)).count());
        (all.sum::<usize>(), lora.pairs.len(), lora.rank)
    };
    let (all, pairs, rank) = columns(&whole);
    assert_eq!((all, rank), (4 * pairs, 4));
    let (all, pairs, rank) = columns(&bounded);
    assert_eq!(all, 2 * pairs);
    assert!((2..=4).contains(&rank));
    let mean = bounded.facts_after["mean rank"];
    assert!((mean - 2.0).abs() < 1e-9, "{mean}");
    assert!(bounded.weights != whole.weights);
}

#[test]
fn without_two_texts_in_a_row_there_is_nothing_to_learn() {
    let opened = open();
    let mut builder = HistoriesBuilder::default();
    for item in [8, 0, 8] {
        builder.push(ItemId::from_index(item), 1.0, 0);
    }
    builder.end_user();
    let histories = builder.build();
    let error = opened.tune(&settings(), &TrainData::new(&histories, N_ITEMS)).unwrap_err();
    assert!(error.to_string().contains("take data with longer histories"), "{error}");
}
