//! Ranking models from outside: the contracts, what columns and calibration change, and data at the edge.
#![expect(clippy::panic, reason = "a test may stop at what it did not expect")]

use tastemaker_core::{
    Checked, Checkpoints, Fault, Feature, FeatureValues, Features, Fit, FitError, Histories,
    HistoriesBuilder, History, ItemId, Judge, Outcome, Persist, Predict, Progress, Recommender,
    Request, Saved, Tokens, TrainData, UserId, Vectors,
};
use tastemaker_neural::{
    CrossParts, DcnSettings, DeepFmParts, DeepFmSettings, DeepParts, FmParts, FmSettings,
    Interaction, LinearParts, LinearSettings, Objective, RankerSettings, TextCnnParts,
    TextCnnSettings,
};
use tastemaker_testkit::{contract, tiny};

fn small<V: Interaction>() -> RankerSettings<V> {
    let usual = RankerSettings::<V>::default();
    RankerSettings {
        dim: if V::NAME == "linear" { usual.dim } else { 4 },
        hidden: if ["linear", "fm"].contains(&V::NAME) { usual.hidden } else { vec![8, 5] },
        token_dim: 5,
        filters: 4,
        filter_widths: vec![1, 2],
        epochs: 2,
        batch: Some(64),
        ..Default::default()
    }
}

fn fit<S: Fit>(settings: S, data: &TrainData<'_>) -> Result<S::Model, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

/// A column of each kind for both sides of the tiny world.
fn columns(n_users: usize, n_items: usize) -> Features {
    let labels = |n: usize| FeatureValues::Labels {
        n_labels: 4,
        rows: (0..n)
            .map(|row| if row % 7 == 0 { vec![] } else { vec![(row % 4) as u32] })
            .collect(),
    };
    let numbers = |n: usize| {
        FeatureValues::Numbers((0..n).map(|row| (row % 5 > 0).then_some(row as f32)).collect())
    };
    let side = |n| {
        let column = |name: &str, values| Feature { name: name.into(), values };
        vec![column("kind", labels(n)), column("size", numbers(n))]
    };
    Features { users: side(n_users), items: side(n_items) }
}

#[test]
fn every_architecture_keeps_the_contracts() {
    contract::recommender(small::<LinearParts>);
    contract::recommender(small::<FmParts>);
    contract::recommender(small::<DeepParts>);
    contract::recommender(small::<DeepFmParts>);
    contract::recommender(small::<CrossParts>);
    contract::recommender(small::<TextCnnParts>);
}

#[test]
fn convolutions_keep_the_contracts_beside_any_interaction_without_a_history_and_with_fixed_vectors()
{
    contract::recommender(|| RankerSettings { tokens: 3, ..small::<LinearParts>() });
    contract::recommender(|| RankerSettings { tokens: 2, ..small::<CrossParts>() });
    contract::recommender(|| RankerSettings {
        history: 0,
        text_dim: 0,
        train_tokens: false,
        ..small::<TextCnnParts>()
    });
}

#[test]
fn every_objective_keeps_the_contracts_with_and_without_texts_and_history() {
    for objective in [Objective::Like, Objective::Rating, Objective::Levels] {
        contract::recommender(|| RankerSettings { objective, ..small::<DeepFmParts>() });
    }
    contract::recommender(|| RankerSettings { history: 0, text_dim: 0, ..small::<CrossParts>() });
    contract::recommender(|| RankerSettings { hash_buckets: Some(7), ..small::<DeepFmParts>() });
}

#[test]
fn columns_are_learnt_from_saved_and_known_of_items_nobody_took() {
    let world = tiny(1);
    let features = columns(world.histories.n_users(), world.n_items);
    let data = TrainData { features: Some(&features), vectors: None, ..world.data() };
    let model = fit(RankerSettings { epochs: 20, ..small::<DeepFmParts>() }, &data).unwrap();
    let again = Persist::load(model.save()).unwrap();
    assert!(model == again);
    let mut scores = vec![0.0; world.n_items];
    model.score(&world.request(3), &mut scores);
    // Items 38 and 39 were taken by nobody, and differ in their columns alone.
    assert!((scores[38] - scores[39]).abs() > 1e-4);
    let mut some = [0.0; 2];
    model.score_items(&world.request(3), &[ItemId(39), ItemId(2)], &mut some);
    assert!((some[0] - scores[39]).abs() < 1e-5 && (some[1] - scores[2]).abs() < 1e-5);
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let world = tiny(1);
    let features = columns(world.histories.n_users(), world.n_items);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let data = TrainData { features: Some(&features), ..world.data() };
        pool.install(|| {
            let deepfm = fit(small::<DeepFmParts>(), &data).unwrap();
            let text_cnn = fit(small::<TextCnnParts>(), &data).unwrap();
            (deepfm, fit(small::<CrossParts>(), &data).unwrap(), text_cnn)
        })
    };
    assert!(with(1) == with(2));
}

/// Keeps the last state and stops the fit after an epoch, once.
#[derive(Default)]
struct Keeper {
    kept: std::sync::Mutex<Option<Saved>>,
    stop: std::sync::atomic::AtomicBool,
}

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.kept.lock().expect("no thread died").clone()
    }

    fn save(&self, _name: &str, state: &Saved) {
        *self.kept.lock().expect("no thread died") = Some(state.clone());
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Progress for Keeper {
    fn report(&self, _stage: &str, _done: usize, _total: usize) {}

    fn is_cancelled(&self) -> bool {
        self.stop.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn a_stopped_fit_with_convolutions_goes_on_to_the_same_bits() {
    let world = tiny(1);
    let settings = || TextCnnSettings { epochs: 4, ..small() };
    let whole = fit(settings(), &world.data()).unwrap();
    let keeper = Keeper::default();
    let data = TrainData { checkpoints: Some(&keeper), progress: &keeper, ..world.data() };
    assert!(matches!(fit(settings(), &data), Err(FitError::Cancelled { .. })));
    let data = TrainData { checkpoints: Some(&keeper), ..world.data() };
    assert!(fit(settings(), &data).unwrap() == whole);
}

#[test]
fn the_order_of_tokens_tells_of_items_nobody_took() {
    // Ten items: even ones say 0 1, odd ones 1 0; users like one sort each. Items 8 and 9 were taken by nobody.
    let rows = |item: usize| if item.is_multiple_of(2) { vec![0, 1] } else { vec![1, 0] };
    let tokens = Tokens::new((0..10).map(rows).collect(), 2, None).unwrap();
    let mut builder = HistoriesBuilder::default();
    for user in 0..40 {
        for at in 0..3 {
            let item = (user / 2 + at) % 4 * 2 + user % 2;
            builder.push(ItemId::from_index(item), 1.0, at as i64);
        }
        builder.end_user();
    }
    let histories = builder.build();
    let data = TrainData { tokens: Some(&tokens), ..TrainData::new(&histories, 10) };
    // Only the order of the tokens tells the sorts apart.
    let settings = TextCnnSettings { epochs: 60, learning_rate: 1e-2, dropout: 0.0, ..small() };
    let model = fit(settings, &data).unwrap();
    for user in 0..4 {
        let mut scores = [0.0; 10];
        let request = Request::new(Some(UserId::from_index(user)), histories.row(user));
        model.score(&request, &mut scores);
        assert!(scores[8 + user % 2] > scores[9 - user % 2] + 0.5, "user {user}: {scores:?}");
    }
}

#[test]
fn convolutions_without_texts_are_refused() {
    let world = tiny(1);
    let data = TrainData { tokens: None, ..world.data() };
    assert!(matches!(fit(small::<TextCnnParts>(), &data), Err(FitError::NoVectors)));
    let few = Tokens::new(vec![vec![0]], 1, None).unwrap();
    let data = TrainData { tokens: Some(&few), ..world.data() };
    let error = fit(small::<TextCnnParts>(), &data).unwrap_err();
    assert!(matches!(error, FitError::WrongVectors { rows: 1, n_items: 40 }), "{error}");
    // None of the texts holds a token: all items look alike, and the rest is learnt.
    let none = Tokens::new(vec![vec![]; 40], 0, None).unwrap();
    let data = TrainData { tokens: Some(&none), ..world.data() };
    assert!(fit(small::<TextCnnParts>(), &data).is_ok());
}

#[test]
fn likes_of_ones_own_group_are_told_from_others() {
    // In the tiny world users rate items of their group 3 to 5 and others 1 to 3.
    let world = tiny(1);
    let settings = RankerSettings {
        objective: Objective::Like,
        epochs: 60,
        learning_rate: 1e-2,
        ..small::<CrossParts>()
    };
    let model = fit(settings, &world.data()).unwrap();
    let (mut own, mut other) = ((0.0, 0.0), (0.0, 0.0));
    for row in 2..world.histories.n_users() {
        let items: Vec<ItemId> = (0..38).map(ItemId).collect();
        for (item, p) in items.iter().zip(model.predict(&world.request(row), &items)) {
            let sum = if item.index() % 4 == row % 4 { &mut own } else { &mut other };
            (sum.0, sum.1) = (sum.0 + p.probability.unwrap(), sum.1 + 1.0);
            assert_eq!(p.rating, None);
        }
    }
    assert!(own.0 / own.1 > other.0 / other.1 + 0.1, "{own:?} {other:?}");
}

#[test]
fn ratings_are_predicted_within_the_scale() {
    let world = tiny(1);
    for objective in [Objective::Rating, Objective::Levels] {
        let settings =
            RankerSettings { objective, epochs: 60, learning_rate: 1e-2, ..small::<DeepFmParts>() };
        let model = fit(settings, &world.data()).unwrap();
        let (mut error, mut n) = (0.0, 0.0);
        let all = world.histories.events().values;
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / all.len() as f32;
        for row in 2..world.histories.n_users() {
            let history = world.histories.row(row);
            let request = world.request(row);
            for (p, value) in model.predict(&request, history.items).iter().zip(history.values) {
                let rating = p.rating.unwrap();
                assert!((1.0..=5.0).contains(&rating));
                assert_eq!(p.probability.is_some(), objective == Objective::Levels);
                (error, n) = (error + (rating - value).powi(2), n + 1.0);
            }
        }
        assert!(error / n < 0.7 * variance, "{objective:?}: {} of {variance}", error / n);
    }
}

/// Judges every epoch worse than the one before, and calibrates by fixed numbers.
struct Falling(std::sync::atomic::AtomicU32);

impl Judge for Falling {
    fn judge(&self, _model: &dyn Recommender) -> f64 {
        -f64::from(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    fn calibrate(&self, _model: &dyn Recommender, outcome: Outcome) -> Option<[f32; 2]> {
        assert_eq!(outcome, Outcome::Taken { negatives: 3 });
        Some([0.5, 2.0])
    }
}

#[test]
fn early_stopping_and_calibration_are_settled_and_a_second_fit_ends_alike() {
    let world = tiny(1);
    let settings = DcnSettings { epochs: 9, patience: 2, negatives: 3, ..small() };
    let judge = Falling(0.into());
    let stopped =
        fit(settings.clone(), &TrainData { judge: Some(&judge), ..world.data() }).unwrap();
    assert_eq!(judge.0.load(std::sync::atomic::Ordering::Relaxed), 3);
    let settled = settings.settled(&stopped);
    assert_eq!((settled.epochs, settled.calibration), (1, Some([0.5, 2.0])));
    assert!(fit(settled, &world.data()).unwrap() == stopped);
}

#[test]
fn a_click_is_as_likely_as_drawing_allows() {
    let world = tiny(1);
    let calibration = Some([0.0, 0.0]);
    let settings = LinearSettings { negatives: 4, calibration, ..small() };
    let model = fit(settings, &world.data()).unwrap();
    // Odds 1 against 4 drawn items are odds 4 / 40 against all 40 of somebody who took none.
    let p = model.predict(&Request::default(), &[ItemId(5)])[0].probability.unwrap();
    assert!((p - 0.1 / 1.1).abs() < 1e-6, "{p}");
}

fn walks(lengths: &[usize], n_items: usize, value: impl Fn(usize) -> f32) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for (user, &len) in lengths.iter().enumerate() {
        for at in 0..len {
            builder.push(ItemId::from_index((user + at) % n_items), value(at), at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

#[test]
fn one_user_one_item_and_equal_labels_give_finite_scores() {
    for (lengths, n_items) in [(&[1][..], 1), (&[5], 5), (&[3, 3], 2), (&[9, 1, 0], 4)] {
        let histories = walks(lengths, n_items, |_| 4.0);
        let data = TrainData::new(&histories, n_items);
        for objective in [Objective::Click, Objective::Like, Objective::Rating, Objective::Levels] {
            let settings = DeepFmSettings { objective, ..small() };
            let model = fit(settings, &data).unwrap();
            let items: Vec<ItemId> = (0..n_items).map(ItemId::from_index).collect();
            for history in [History::default(), histories.row(0)] {
                let predicted = model.predict(&Request::new(None, history), &items);
                for p in predicted {
                    assert!(p.rating.or(p.probability).unwrap().is_finite(), "{objective:?}");
                    assert!(p.probability.is_none_or(|p| (0.0..=1.0).contains(&p)));
                }
            }
        }
    }
}

#[test]
fn numbers_that_are_none_are_refused_with_their_place() {
    let world = tiny(1);
    let mut features = columns(60, 40);
    features.items[1].values = FeatureValues::Numbers(vec![Some(1.0), None, Some(f32::INFINITY)]);
    let data = TrainData { features: Some(&features), ..world.data() };
    let error = fit(small::<LinearParts>(), &data).unwrap_err().to_string();
    assert!(error.contains("column `size` of item number 2 is inf"), "{error}");

    let histories = walks(&[4], 4, |at| if at == 2 { f32::NAN } else { 1.0 });
    let settings = LinearSettings { objective: Objective::Rating, ..small() };
    let error = fit(settings, &TrainData::new(&histories, 4)).unwrap_err().to_string();
    assert!(error.contains("rating"), "{error}");

    let mut vectors = Vectors::zeros(40, 3);
    vectors.row_mut(2)[1] = f32::NAN;
    let data = TrainData { vectors: Some(&vectors), ..world.data() };
    let error = fit(small::<LinearParts>(), &data).unwrap_err().to_string();
    assert!(error.contains("text vector of item number 2 is NaN"), "{error}");
}

#[test]
fn more_rating_levels_than_can_be_told_apart_are_refused() {
    let histories = walks(&[150], 150, |at| at as f32);
    let settings = LinearSettings { objective: Objective::Levels, ..small() };
    let error = fit(settings, &TrainData::new(&histories, 150)).unwrap_err().to_string();
    assert!(error.contains("150 different ratings"), "{error}");
}

#[test]
fn a_fit_beyond_its_memory_is_refused() {
    let histories = walks(&[3], 900_000, |_| 1.0);
    let settings = DeepFmSettings { max_memory_mb: 50, ..small() };
    let error = fit(settings, &TrainData::new(&histories, 900_000)).unwrap_err();
    assert!(matches!(error, FitError::TooLarge { .. }), "{error}");
}

#[test]
fn settings_of_parts_a_model_does_not_have_are_refused() {
    let fields = |faults: Vec<Fault>| faults.iter().map(|fault| fault.field).collect::<Vec<_>>();
    let linear = LinearSettings {
        dim: 8,
        hidden: vec![9],
        cross_layers: 3,
        dropout: 0.1,
        ..Default::default()
    };
    assert_eq!(fields(linear.faults()), ["dim", "hidden", "cross_layers", "dropout"]);
    // Convolutions over tokens drop values too.
    assert_eq!(
        fields(LinearSettings { tokens: 4, ..linear }.faults()),
        ["dim", "hidden", "cross_layers"]
    );
    let fm = FmSettings { dim: 8, hidden: vec![9], ..Default::default() };
    assert_eq!(fields(fm.faults()), ["hidden"]);
    let dcn = DcnSettings {
        dim: 8,
        hidden: vec![9],
        cross_layers: 3,
        dropout: 0.1,
        ..Default::default()
    };
    assert_eq!(fields(dcn.faults()), Vec::<&str>::new());
}

#[test]
fn every_impossible_setting_is_named() {
    let settings = DcnSettings {
        dim: 0,
        hidden: vec![],
        negatives: 0,
        dropout: 1.0,
        learning_rate: 0.0,
        positive_at: f32::NAN,
        text_dim: 999,
        tokens: 513,
        token_dim: 0,
        filters: 0,
        filter_widths: vec![0],
        ..Default::default()
    };
    let fields: Vec<&str> = settings.faults().iter().map(|fault| fault.field).collect();
    for field in [
        "dim",
        "hidden",
        "negatives",
        "dropout",
        "learning_rate",
        "positive_at",
        "text_dim",
        "tokens",
        "token_dim",
        "filters",
        "filter_widths",
    ] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
}
