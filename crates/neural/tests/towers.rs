//! Two towers from outside: the contracts, what texts and columns change, and data at the edge.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use std::sync::Mutex;

use tastemaker_core::{
    Checked, Checkpoints, Feature, FeatureValues, Features, Fit, FitError, Histories,
    HistoriesBuilder, History, ItemId, Judge, Persist, Recommender, Request, Saved, Similar,
    TrainData, UserId,
};
use tastemaker_neural::{TwoTower, TwoTowerSettings};
use tastemaker_testkit::{contract, tiny};

fn small() -> TwoTowerSettings {
    TwoTowerSettings {
        dim: 16,
        learning_rate: 2e-2,
        batch: Some(64),
        epochs: 30,
        ..TwoTowerSettings::default()
    }
}

fn fit(settings: TwoTowerSettings, data: &TrainData<'_>) -> Result<TwoTower, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

/// One column of labels for users and one for items, by their number modulo 4.
fn columns(n_users: usize, n_items: usize) -> Features {
    let column = |n: usize| {
        let rows = (0..n).map(|row| vec![(row % 4) as u32]).collect();
        let values = FeatureValues::Labels { n_labels: 4, rows };
        vec![Feature { name: "group".into(), values }]
    };
    Features { users: column(n_users), items: column(n_items) }
}

fn scores(model: &TwoTower, request: &Request<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; model.n_items()];
    model.score(request, &mut scores);
    scores
}

#[test]
fn keeps_the_contracts_and_learns_the_checkerboard() {
    let deep = || TwoTowerSettings { hidden: vec![24], ..small() };
    let raw = || TwoTowerSettings { normalise: false, temperature: 1.0, text_dim: 0, ..small() };
    contract::recommender(small);
    contract::recommender(deep);
    contract::recommender(raw);
    contract::similar(small);
    contract::similar(deep);
    contract::embed(small);
    contract::embed(deep);
    contract::learns_the_checkerboard(small);
    contract::learns_the_checkerboard(deep);
}

#[test]
fn one_thread_and_two_give_the_same_bits_with_columns_too() {
    let world = tiny(1);
    let features = columns(world.histories.n_users(), world.n_items);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let data = TrainData { features: Some(&features), ..world.data() };
        pool.install(|| fit(TwoTowerSettings { hidden: vec![8], ..small() }, &data).unwrap())
    };
    assert!(with(1) == with(2));
}

#[test]
fn an_item_nobody_took_is_found_by_its_text() {
    // Item 38 was taken by nobody; its text is that of group 2.
    let world = tiny(1);
    let model = fit(small(), &world.data()).unwrap();
    let first = model.similar(ItemId(38), 1)[0].item;
    assert_eq!(first.0 % 4, 2);
    // Item 39 has neither events nor text: it comes last, and is like nothing.
    let all = model.recommend(&world.request(3), 40);
    assert_eq!(all.last().map(|s| s.item), Some(ItemId(39)));
    assert!(model.similar(ItemId(39), 3).is_empty());
}

#[test]
fn columns_serve_people_without_a_history_and_items_nobody_took() {
    let world = tiny(1);
    let features = columns(world.histories.n_users(), world.n_items);
    let data = TrainData { features: Some(&features), vectors: None, ..world.data() };
    let model = fit(TwoTowerSettings { correction: 0.0, ..small() }, &data).unwrap();
    for user in 4..12 {
        let blank = Request::new(Some(UserId(user)), History::default());
        let first = model.recommend(&blank, 3);
        let own = first.iter().filter(|s| s.item.0 % 4 == user % 4).count();
        assert!(own >= 2, "user {user}: {first:?}");
    }
    // Items 38 and 39 are of groups 2 and 3.
    assert_eq!(model.similar(ItemId(38), 1)[0].item.0 % 4, 2);
    assert_eq!(model.similar(ItemId(39), 1)[0].item.0 % 4, 3);
    let again = TwoTower::load(model.save()).unwrap();
    assert!(again == model);
}

fn walks(lengths: &[usize], n_items: usize) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for (user, &len) in lengths.iter().enumerate() {
        (0..len)
            .for_each(|at| builder.push(ItemId::from_index((user + at) % n_items), 1.0, at as i64));
        builder.end_user();
    }
    builder.build()
}

#[test]
fn small_catalogues_and_users_with_one_event_give_finite_scores() {
    let cases =
        [(&[1][..], 1), (&[5, 3], 1), (&[5, 3], 2), (&[9, 1, 0], 10), (&[1, 1, 1], 3), (&[900], 9)];
    for (lengths, n_items) in cases {
        let histories = walks(lengths, n_items);
        let features = columns(lengths.len(), n_items);
        for features in [None, Some(&features)] {
            let data = TrainData { features, ..TrainData::new(&histories, n_items) };
            for hidden in [vec![], vec![8]] {
                let model = fit(TwoTowerSettings { hidden, epochs: 2, ..small() }, &data).unwrap();
                for history in [History::default(), histories.row(0)] {
                    let scores = scores(&model, &Request::new(None, history));
                    assert!(scores.iter().all(|x| x.is_finite()), "{lengths:?} {n_items}");
                }
                assert!(TwoTower::load(model.save()).unwrap() == model);
            }
        }
    }
}

/// Judges the third epoch best, and keeps checkpoints in memory.
#[derive(Default)]
struct Keeper {
    epochs: Mutex<u32>,
    kept: Mutex<Option<Saved>>,
}

impl Judge for Keeper {
    fn judge(&self, _model: &dyn Recommender) -> f64 {
        let mut epochs = self.epochs.lock().unwrap();
        *epochs += 1;
        -(f64::from(*epochs) - 3.0).abs()
    }
}

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.kept.lock().unwrap().clone()
    }

    fn save(&self, _name: &str, state: &Saved) {
        *self.kept.lock().unwrap() = Some(state.clone());
    }
}

#[test]
fn training_stops_early_is_settled_and_ends_alike_from_a_checkpoint() {
    let world = tiny(1);
    let keeper = Keeper::default();
    let settings = TwoTowerSettings { patience: 2, ..small() };
    let data = TrainData { judge: Some(&keeper), ..world.data() };
    let stopped = fit(settings.clone(), &data).unwrap();
    assert_eq!(*keeper.epochs.lock().unwrap(), 5);
    let settled = settings.settled(&stopped);
    assert_eq!((settled.epochs, settled.batch), (3, Some(64)));
    assert!(fit(settled.clone(), &world.data()).unwrap() == stopped);
    let data = TrainData { checkpoints: Some(&keeper), ..world.data() };
    fit(settled.clone(), &data).unwrap();
    assert!(fit(settled, &data).unwrap() == stopped);
}

#[test]
fn a_fit_beyond_its_memory_is_refused() {
    let histories = walks(&[3], 900_000);
    let settings = TwoTowerSettings { max_memory_mb: 50, ..small() };
    let error = fit(settings, &TrainData::new(&histories, 900_000)).unwrap_err();
    assert!(matches!(error, FitError::TooLarge { .. }), "{error}");
}

#[test]
fn every_impossible_setting_is_named() {
    let bad = TwoTowerSettings {
        dim: 0,
        hidden: vec![0],
        history: 0,
        recency: -1.0,
        text_dim: 257,
        temperature: 0.0,
        correction: 1.5,
        unknown: 1.0,
        dropout: f32::NAN,
        learning_rate: 0.0,
        weight_decay: -1.0,
        batch: Some(0),
        epochs: 0,
        patience: 0,
        max_memory_mb: 0,
        normalise: true,
    };
    let fields: Vec<&str> = bad.faults().iter().map(|fault| fault.field).collect();
    let all = [
        "dim",
        "hidden",
        "history",
        "recency",
        "text_dim",
        "temperature",
        "correction",
        "unknown",
        "dropout",
        "learning_rate",
        "weight_decay",
        "batch",
        "epochs",
        "patience",
        "max_memory_mb",
    ];
    assert_eq!(fields, all);
}
