//! What transformers make of the time between events, and of data and requests that have none.
#![expect(clippy::panic, reason = "a test may stop at what it did not expect")]

use tastemaker_core::{
    Checked, Fit, FitError, Histories, HistoriesBuilder, History, ItemId, Persist, Recommender,
    Request, TrainData,
};
use tastemaker_neural::{EsasrecSettings, Sasrec, SasrecSettings, Times};
use tastemaker_testkit::tiny;

const NOW: i64 = 1_700_000_000;
const N_ITEMS: usize = 20;

fn fit<S: Fit>(settings: S, data: &TrainData<'_>) -> Result<S::Model, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

fn small(times: Times) -> SasrecSettings {
    let (batch, dropout) = (Some(64), Some(0.0));
    let (dim, layers, learning_rate) = (32, 1, 1e-2);
    SasrecSettings {
        times,
        dim,
        layers,
        batch,
        dropout,
        learning_rate,
        epochs: 60,
        ..Default::default()
    }
}

/// Two events: items 0 to 4, then 5 to 9; within a minute the first one says what follows, after a month the second one.
fn pair(number: usize) -> ([ItemId; 2], [i64; 2], ItemId) {
    let (a, b, is_long) = (number % 5, number / 5 % 5, number / 25 % 2 == 1);
    let gap = if is_long { 3_000_000 } else { 60 } + number as i64 % 7;
    let next = if is_long { 15 + b } else { 10 + a };
    let items = [ItemId::from_index(a), ItemId::from_index(5 + b)];
    (items, [NOW, NOW + gap], ItemId::from_index(next))
}

fn pairs() -> Histories {
    let mut builder = HistoriesBuilder::default();
    for number in 0..200 {
        let (items, times, next) = pair(number);
        items.into_iter().zip(times).for_each(|(item, time)| builder.push(item, 1.0, time));
        builder.push(next, 1.0, times[1] + 60);
        builder.end_user();
    }
    builder.build()
}

/// Counts how often what follows comes first, of 50.
fn hits(model: &Sasrec) -> usize {
    let is_first = |number: &usize| {
        let (items, times, next) = pair(*number);
        let history = History { items: &items, values: &[1.0; 2], times: &times };
        model.recommend(&Request::new(None, history), 1)[0].item == next
    };
    (0..50).filter(is_first).count()
}

#[test]
fn what_follows_from_the_gap_is_learnt_with_times_alone() {
    let histories = pairs();
    let data = TrainData::new(&histories, N_ITEMS);
    let with = hits(&fit(small(Times::On), &data).unwrap());
    let without = hits(&fit(small(Times::Off), &data).unwrap());
    assert!(with >= 45 && without <= 30, "{with} {without} of 50");
}

#[test]
fn positions_in_place_of_times_change_nothing_unless_times_are_demanded() {
    let mut builder = HistoriesBuilder::default();
    for user in 0..30_u32 {
        (0..9).for_each(|at| builder.push(ItemId((user + at * at) % 20), 1.0, i64::from(at * at)));
        builder.end_user();
    }
    let histories = builder.build();
    let data = TrainData::new(&histories, N_ITEMS);
    let settings = |times| SasrecSettings { epochs: 3, ..small(times) };
    let auto = fit(settings(Times::Auto), &data).unwrap();
    assert!(auto == fit(settings(Times::Off), &data).unwrap(), "the same bits");
    assert_eq!(settings(Times::Auto).settled(&auto).times, Times::Off);
    let error = fit(settings(Times::On), &data).unwrap_err();
    assert!(matches!(error, FitError::NoTimes { model: "sasrec" }), "{error}");
}

#[test]
fn a_request_without_times_is_read_at_the_usual_gap() {
    let world = tiny(1);
    let data = world.data();
    let model = fit(SasrecSettings { epochs: 3, ..small(Times::Auto) }, &data).unwrap();
    assert_eq!(small(Times::Auto).settled(&model).times, Times::On);
    let mut gaps: Vec<i64> = data
        .histories
        .iter()
        .flat_map(|history| history.times.windows(2).map(|t| t[1] - t[0]))
        .collect();
    gaps.sort_unstable();
    let usual = gaps[gaps.len() / 2];
    let items = [ItemId(3), ItemId(1), ItemId(8)];
    let ask = |times: &[i64]| {
        let mut scores = vec![f32::NAN; world.n_items];
        let history = History { items: &items, values: &[1.0; 3], times };
        model.score(&Request::new(None, history), &mut scores);
        assert!(scores.iter().all(|score| score.is_finite()));
        scores
    };
    let dated = ask(&[NOW, NOW + usual, NOW + 2 * usual]);
    for none in [[0; 3], [1, 2, 3]] {
        assert!(ask(&none) == dated, "positions are not taken for seconds");
    }
    assert!(ask(&[NOW, NOW + 1, NOW + 1]) != dated, "dates count");
    assert!(ask(&[NOW, 0, NOW + 1]) == ask(&[NOW, NOW, NOW + 1]), "one date is missing");
    ask(&[i64::MAX, 0, i64::MIN]);
    let loaded = Sasrec::load(model.save()).unwrap();
    assert!(loaded == model && small(Times::Auto).settled(&loaded).times == Times::On);
}

#[test]
fn one_thread_and_two_give_the_same_bits_with_times() {
    let world = tiny(1);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (times, contrast, augment) = (Times::On, 0.5, 0.5);
        let settings =
            EsasrecSettings { times, contrast, augment, dim: 32, epochs: 3, ..Default::default() };
        pool.install(|| fit(settings, &world.data()).unwrap())
    };
    assert!(with(1) == with(2));
}
