//! Data and settings at the edge: a clear error or a sane result, for every sequence model.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use tastemaker_core::{
    Checked, Checkpoints, Fit, FitError, Histories, HistoriesBuilder, History, ItemId, Judge,
    Persist, Progress, Recommender, Request, Saved, TrainData, Vectors,
};
use tastemaker_neural::{
    Bert4recSettings, CaserSettings, EsasrecSettings, Gru4recSettings, Loss, LstmSettings,
    NextMlpSettings, Sasrec, SasrecSettings, TextUse, Times,
};
use tastemaker_testkit::tiny;

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

fn fit<S: Fit>(settings: S, data: &TrainData<'_>) -> Result<S::Model, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

/// Fits every kind of model and asks it for somebody with and without a history.
fn all_are_sane(histories: &Histories, n_items: usize) {
    let data = TrainData::new(histories, n_items);
    let ask = |model: &dyn Recommender| {
        for history in [History::default(), histories.row(0)] {
            let mut scores = vec![f32::NAN; n_items];
            model.score(&Request::new(None, history), &mut scores);
            assert!(scores.iter().all(|score| score.is_finite()));
        }
    };
    let (dim, epochs) = (32, 2);
    ask(&fit(SasrecSettings { dim, epochs, ..Default::default() }, &data).unwrap());
    ask(&fit(EsasrecSettings { dim, epochs, ..Default::default() }, &data).unwrap());
    ask(&fit(Gru4recSettings { dim, epochs, hidden: 8, ..Default::default() }, &data).unwrap());
    ask(&fit(LstmSettings { dim, epochs, hidden: 8, ..Default::default() }, &data).unwrap());
    ask(&fit(Bert4recSettings { dim, epochs, ..Default::default() }, &data).unwrap());
    ask(&fit(CaserSettings { dim, epochs, ..Default::default() }, &data).unwrap());
    ask(&fit(NextMlpSettings { dim, epochs, hidden: 8, ..Default::default() }, &data).unwrap());
    let (augment, contrast) = (0.5, 0.5);
    let settings = SasrecSettings { dim, epochs, augment, contrast, ..Default::default() };
    ask(&fit(settings, &data).unwrap());
    let loss = Loss::SampledSoftmax;
    ask(&fit(Bert4recSettings { dim, epochs, loss, ..Default::default() }, &data).unwrap());
    ask(&fit(SasrecSettings { dim, epochs, loss, ..Default::default() }, &data).unwrap());
    let times = Times::Auto;
    ask(&fit(EsasrecSettings { dim, epochs, times, ..Default::default() }, &data).unwrap());
}

#[test]
fn catalogues_of_one_two_and_ten_items() {
    for n_items in [1, 2, 10] {
        all_are_sane(&walks(&[5, 3, 9], n_items), n_items);
    }
}

#[test]
fn a_sequence_of_ten_thousand_events() {
    all_are_sane(&walks(&[10_000], 50), 50);
}

#[test]
fn users_with_one_event_leave_popularity_to_answer() {
    let histories = walks(&[1, 1, 1], 2);
    all_are_sane(&histories, 2);
    let model = fit(SasrecSettings::default(), &TrainData::new(&histories, 2)).unwrap();
    let best = model.recommend(&Request::default(), 2);
    assert_eq!(best[0].item, ItemId(0), "taken twice, the other once");
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let histories = walks(&[0, 0], 3);
    let outcome = fit(SasrecSettings::default(), &TrainData::new(&histories, 3));
    assert!(matches!(outcome, Err(FitError::NoEvents)));
}

#[test]
fn texts_that_are_not_there_are_an_error_that_says_what_to_do() {
    let histories = walks(&[5, 5], 3);
    let blank = Vectors::zeros(3, 4);
    for text in [TextUse::Init, TextUse::Sum, TextUse::Only, TextUse::Concat] {
        for vectors in [None, Some(&blank)] {
            let settings = SasrecSettings { text, ..Default::default() };
            let data = TrainData { vectors, ..TrainData::new(&histories, 3) };
            let error = fit(settings, &data).unwrap_err();
            assert!(error.to_string().contains("leave this model out"));
        }
    }
}

#[test]
fn items_without_a_text_live_beside_items_with_one() {
    let histories = walks(&[6, 5, 7], 10);
    // Of twelve items three have a text; the last two were not taken, and one of them has a text.
    let mut vectors = Vectors::zeros(12, 3);
    for (item, x) in [(1, 1.0), (4, -0.5), (11, 0.7)] {
        vectors.row_mut(item).copy_from_slice(&[x, 1.0, -x]);
    }
    let data = TrainData { vectors: Some(&vectors), ..TrainData::new(&histories, 12) };
    for (text, experts, align) in [
        (TextUse::Sum, 3, 1.0),
        (TextUse::Concat, 2, 1.0),
        (TextUse::Concat, 1, 0.0),
        (TextUse::Only, 2, 0.0),
    ] {
        for loss in [Loss::CrossEntropy, Loss::SampledSoftmax] {
            let settings = SasrecSettings {
                dim: 16,
                epochs: 3,
                text,
                experts,
                align,
                loss,
                ..Default::default()
            };
            let model = fit(settings, &data).unwrap();
            let list = model.recommend(&Request::new(None, histories.row(0)), 12);
            assert!(list.iter().all(|scored| scored.score.is_finite()), "{list:?}");
            assert_eq!(list.last().map(|scored| scored.item), Some(ItemId(10)), "nothing known");
            assert!(Sasrec::load(model.save()).unwrap() == model);
        }
    }
}

#[test]
fn a_fit_that_needs_more_memory_than_it_may_take_is_refused() {
    let histories = walks(&[50, 50], 30);
    let data = TrainData::new(&histories, 30);
    let wide = SasrecSettings {
        max_length: Some(4096),
        heads: 64,
        max_memory_mb: 1000,
        ..Default::default()
    };
    let error = fit(wide, &data).unwrap_err();
    assert!(matches!(error, FitError::TooLarge { model: "sasrec", .. }), "{error}");
    let batch = Some(1 << 20);
    let long = Gru4recSettings { batch, hidden: 4096, max_memory_mb: 1000, ..Default::default() };
    assert!(matches!(fit(long, &data), Err(FitError::TooLarge { .. })));
}

#[test]
fn items_nobody_took_come_after_all_others() {
    let histories = walks(&[6, 5, 7], 10);
    let model = fit(
        SasrecSettings { dim: 16, epochs: 3, ..Default::default() },
        &TrainData::new(&histories, 60),
    )
    .unwrap();
    let list = model.recommend(&Request::new(None, histories.row(0)), 60);
    let first_untaken = list.iter().position(|scored| scored.item.0 >= 10).unwrap();
    assert!(list[first_untaken..].iter().all(|scored| scored.item.0 >= 10), "{list:?}");
    assert!(list[..first_untaken].len() >= 3);
}

#[test]
fn a_fit_does_not_go_on_from_one_on_other_events() {
    let (first, second) = (walks(&[9, 9, 9], 12), walks(&[9, 8, 10], 12));
    let settings = || SasrecSettings { dim: 16, epochs: 3, ..Default::default() };
    let keeper = Keeper { stop_after: 2, ..Default::default() };
    let cut =
        TrainData { checkpoints: Some(&keeper), progress: &keeper, ..TrainData::new(&first, 12) };
    assert!(fit(settings(), &cut).is_err());
    let other = TrainData { checkpoints: Some(&keeper), ..TrainData::new(&second, 12) };
    let fresh = fit(settings(), &TrainData::new(&second, 12)).unwrap();
    assert!(fit(settings(), &other).unwrap() == fresh);
}

#[test]
fn numbers_that_run_away_are_told() {
    let world = tiny(1);
    // A judge that finds no number is one way for a run to have no sense; the loss itself is another (see `train`).
    struct Lost;
    impl Judge for Lost {
        fn judge(&self, _model: &dyn Recommender) -> f64 {
            f64::NAN
        }
    }
    let data = TrainData { judge: Some(&Lost), ..world.data() };
    let error = fit(SasrecSettings { dim: 8, ..Default::default() }, &data).unwrap_err();
    assert!(matches!(error, FitError::Diverged { model: "sasrec", .. }), "{error}");
    assert!(error.to_string().contains("lower `learning_rate`"));
}

/// Rises for two epochs and then falls.
struct Peak(std::sync::atomic::AtomicUsize);

impl Judge for Peak {
    fn judge(&self, _model: &dyn Recommender) -> f64 {
        let epoch = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64;
        -(epoch - 1.0).abs()
    }
}

#[test]
fn the_best_epoch_is_settled_and_a_fit_without_a_judge_ends_alike() {
    let world = tiny(1);
    let settings = SasrecSettings { dim: 8, patience: 3, ..Default::default() };
    let judge = Peak(std::sync::atomic::AtomicUsize::new(0));
    let stopped =
        fit(settings.clone(), &TrainData { judge: Some(&judge), ..world.data() }).unwrap();
    let settled = settings.settled(&stopped);
    assert_eq!(settled.epochs, 2);
    let again = fit(settled, &world.data()).unwrap();
    let scores = |model: &dyn Recommender| {
        let mut scores = vec![0.0; world.n_items];
        model.score(&world.request(3), &mut scores);
        scores
    };
    assert_eq!(scores(&stopped), scores(&again), "the same weights, bit for bit");
}

/// Keeps the last state in memory, and asks for an end after some epochs.
#[derive(Default)]
struct Keeper {
    state: std::sync::Mutex<Option<Saved>>,
    kept: std::sync::atomic::AtomicUsize,
    stop_after: usize,
}

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.state.lock().unwrap().clone()
    }

    fn save(&self, _name: &str, state: &Saved) {
        self.kept.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        *self.state.lock().unwrap() = Some(state.clone());
    }
}

impl Progress for Keeper {
    fn report(&self, _task: &str, _done: usize, _total: usize) {}

    fn is_cancelled(&self) -> bool {
        self.kept.load(std::sync::atomic::Ordering::Relaxed) >= self.stop_after
    }
}

/// Stops a fit of six epochs after two and goes on.
fn goes_on<S: Fit + Clone>(settings: &S)
where
    S::Model: PartialEq + std::fmt::Debug,
{
    let world = tiny(1);
    let settings = || settings.clone();
    let whole = fit(settings(), &world.data()).unwrap();
    let mut keeper = Keeper { stop_after: 2, ..Default::default() };
    let data = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..world.data() };
    let cancelled = fit(settings(), &data).unwrap_err();
    assert!(matches!(cancelled, FitError::Cancelled { epochs: 2, .. }), "{cancelled}");
    keeper.stop_after = usize::MAX;
    let data = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..world.data() };
    let resumed = fit(settings(), &data).unwrap();
    assert!(resumed == whole, "the same weights, bit for bit");
    assert_eq!(
        keeper.kept.load(std::sync::atomic::Ordering::Relaxed),
        6,
        "two epochs were not run again"
    );
}

#[test]
fn a_fit_that_was_cancelled_goes_on_and_ends_with_the_same_bits() {
    let (dim, epochs) = (32, 6);
    goes_on(&EsasrecSettings { dim, epochs, ..Default::default() });
    let contrast = 0.5;
    goes_on(&SasrecSettings { dim, epochs, contrast, ..Default::default() });
    goes_on(&SasrecSettings { dim, epochs, times: Times::On, ..Default::default() });
    goes_on(&Bert4recSettings { dim, epochs, ..Default::default() });
    let (text, experts, align) = (TextUse::Concat, 2, 0.5);
    goes_on(&SasrecSettings { dim, epochs, text, experts, align, ..Default::default() });
    goes_on(&CaserSettings { dim, epochs, ..Default::default() });
    goes_on(&NextMlpSettings { dim, epochs, ..Default::default() });
}

/// Fits with one thread and with two.
fn threads_do_not_matter<S: Fit + Clone + Send + Sync>(settings: &S)
where
    S::Model: PartialEq + Send,
{
    let world = tiny(1);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(settings.clone(), &world.data()).unwrap())
    };
    assert!(with(1) == with(2));
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let (dim, epochs, text) = (32, 3, TextUse::Sum);
    for loss in [Loss::CrossEntropy, Loss::SampledSoftmax, Loss::Gbce] {
        let settings = SasrecSettings { dim, epochs, loss, text, ..Default::default() };
        threads_do_not_matter(&settings);
        let settings = Bert4recSettings { dim, epochs, loss, text, ..Default::default() };
        threads_do_not_matter(&settings);
    }
    let (text, experts, align) = (TextUse::Concat, 3, 0.5);
    for loss in [Loss::CrossEntropy, Loss::SampledSoftmax] {
        let settings =
            SasrecSettings { dim, epochs, loss, text, experts, align, ..Default::default() };
        threads_do_not_matter(&settings);
    }
    let (augment, contrast) = (0.5, 0.5);
    let settings = SasrecSettings { dim, epochs, augment, contrast, ..Default::default() };
    threads_do_not_matter(&settings);
    threads_do_not_matter(&CaserSettings { dim, epochs, ..Default::default() });
    threads_do_not_matter(&NextMlpSettings { dim, epochs, ..Default::default() });
}
