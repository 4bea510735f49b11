//! Data and settings at the edge, interrupted fits and threads: what must hold for models of the graph.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tastemaker_core::{
    Checked, Checkpoints, Fit, FitError, Histories, HistoriesBuilder, History, ItemId, Judge,
    Progress, Recommender, Request, Saved, TrainData,
};
use tastemaker_neural::{GraphLoss, LightGcn, LightGcnSettings};
use tastemaker_testkit::tiny;

const LOSSES: [GraphLoss; 3] = [GraphLoss::SampledSoftmax, GraphLoss::Bpr, GraphLoss::CrossEntropy];

/// Histories of these lengths, walking round a catalogue.
fn walks(lengths: &[usize], n_items: usize) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for (user, &len) in lengths.iter().enumerate() {
        (0..len)
            .for_each(|at| builder.push(ItemId::from_index((user + at) % n_items), 1.0, at as i64));
        builder.end_user();
    }
    builder.build()
}

fn fit(settings: LightGcnSettings, data: &TrainData<'_>) -> Result<LightGcn, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

fn small(loss: GraphLoss) -> LightGcnSettings {
    LightGcnSettings { dim: 8, epochs: 3, negatives: 8, loss: Some(loss), ..Default::default() }
}

/// Fits with every loss and asks for somebody with and without a history.
fn all_are_sane(histories: &Histories, n_items: usize) {
    for loss in LOSSES {
        let model = fit(small(loss), &TrainData::new(histories, n_items)).unwrap();
        for history in [History::default(), histories.row(0)] {
            let mut scores = vec![f32::NAN; n_items];
            model.score(&Request::new(None, history), &mut scores);
            assert!(scores.iter().all(|score| score.is_finite()), "{loss:?}");
        }
    }
}

#[test]
fn catalogues_of_one_two_and_ten_items() {
    for n_items in [1, 2, 10] {
        all_are_sane(&walks(&[5, 3, 9], n_items), n_items);
    }
}

#[test]
fn users_with_one_event_and_a_user_with_ten_thousand() {
    all_are_sane(&walks(&[1, 1, 1], 2), 2);
    all_are_sane(&walks(&[1, 10_000, 1], 50), 50);
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let histories = walks(&[0, 0], 3);
    let outcome = fit(LightGcnSettings::default(), &TrainData::new(&histories, 3));
    assert!(matches!(outcome, Err(FitError::NoEvents)));
}

#[test]
fn a_fit_that_needs_more_memory_than_it_may_take_is_refused() {
    let histories = walks(&[50; 40], 200);
    for loss in LOSSES {
        let wide = LightGcnSettings {
            dim: 4096,
            max_memory_mb: 30,
            loss: Some(loss),
            ..Default::default()
        };
        let error = fit(wide, &TrainData::new(&histories, 200)).unwrap_err();
        assert!(matches!(error, FitError::TooLarge { model: "lightgcn", .. }), "{error}");
    }
}

#[test]
fn items_nobody_took_come_after_all_others() {
    let histories = walks(&[6, 5, 7], 10);
    let model = fit(small(GraphLoss::Bpr), &TrainData::new(&histories, 60)).unwrap();
    let list = model.recommend(&Request::new(None, histories.row(0)), 60);
    let first_untaken = list.iter().position(|scored| scored.item.0 >= 10).unwrap();
    assert!(first_untaken >= 3 && list[first_untaken..].iter().all(|s| s.item.0 >= 10));
}

#[test]
fn numbers_that_run_away_are_told() {
    struct Lost;
    impl Judge for Lost {
        fn judge(&self, _model: &dyn Recommender) -> f64 {
            f64::NAN
        }
    }
    let world = tiny(1);
    let data = TrainData { judge: Some(&Lost), ..world.data() };
    let error = fit(small(GraphLoss::Bpr), &data).unwrap_err();
    assert!(matches!(error, FitError::Diverged { model: "lightgcn", .. }), "{error}");
    assert!(error.to_string().contains("lower `learning_rate`"));
}

/// Rises for two epochs and then falls.
struct Peak(AtomicUsize);

impl Judge for Peak {
    fn judge(&self, _model: &dyn Recommender) -> f64 {
        -(self.0.fetch_add(1, Ordering::Relaxed) as f64 - 1.0).abs()
    }
}

#[test]
fn the_best_epoch_and_recency_are_settled_and_a_fit_without_a_judge_ends_alike() {
    let world = tiny(1);
    let settings = LightGcnSettings { patience: 3, epochs: 50, ..small(GraphLoss::SampledSoftmax) };
    let judge = Peak(AtomicUsize::new(0));
    let data = TrainData { judge: Some(&judge), ..world.data() };
    let stopped = fit(settings.clone(), &data).unwrap();
    let settled = settings.settled(&stopped);
    assert_eq!(settled.epochs, 2);
    assert!(settled.recency.is_some() && settled.batch.is_some());
    assert!(fit(settled, &world.data()).unwrap() == stopped, "the same weights, bit for bit");
}

/// Keeps the last state in memory, and asks for an end after some epochs.
#[derive(Default)]
struct Keeper {
    state: Mutex<Option<Saved>>,
    kept: AtomicUsize,
    stop_after: usize,
}

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.state.lock().unwrap().clone()
    }

    fn save(&self, _name: &str, state: &Saved) {
        self.kept.fetch_add(1, Ordering::Relaxed);
        *self.state.lock().unwrap() = Some(state.clone());
    }
}

impl Progress for Keeper {
    fn report(&self, _task: &str, _done: usize, _total: usize) {}

    fn is_cancelled(&self) -> bool {
        self.kept.load(Ordering::Relaxed) >= self.stop_after
    }
}

#[test]
fn a_fit_that_was_cancelled_goes_on_and_ends_with_the_same_bits() {
    let world = tiny(1);
    let settings = || LightGcnSettings { epochs: 6, ..small(GraphLoss::SampledSoftmax) };
    let whole = fit(settings(), &world.data()).unwrap();
    let mut keeper = Keeper { stop_after: 2, ..Default::default() };
    let data = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..world.data() };
    let cancelled = fit(settings(), &data).unwrap_err();
    assert!(matches!(cancelled, FitError::Cancelled { epochs: 2, .. }), "{cancelled}");
    keeper.stop_after = usize::MAX;
    let data = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..world.data() };
    assert!(fit(settings(), &data).unwrap() == whole, "the same weights, bit for bit");
    assert_eq!(keeper.kept.load(Ordering::Relaxed), 6, "two epochs were not run again");
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let histories = walks(&[9, 30, 2, 14, 300, 7, 5], 40);
    for loss in LOSSES {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let settings = LightGcnSettings { batch: Some(40), ..small(loss) };
            pool.install(|| fit(settings, &TrainData::new(&histories, 40)).unwrap())
        };
        assert!(with(1) == with(2), "{loss:?}");
    }
}
