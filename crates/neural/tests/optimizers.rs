//! The optimiser's settings through real models: each moves the weights as it says, and a fit that runs away says so.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use tastemaker_core::{
    Checked, Checkpoints, Fit, FitError, Judge, Persist, Recommender, Saved, TrainData,
};
use tastemaker_neural::{
    EsasrecSettings, Gru4recSettings, Loss, OptimizerDecay, OptimizerMethod, OptimizerSettings,
    Sasrec, SasrecSettings, TextUse, Times,
};
use tastemaker_testkit::{contract, tiny};

fn fit<S: Fit>(settings: S, data: &TrainData<'_>) -> Result<S::Model, FitError> {
    let Ok(checked) = Checked::new(settings) else { panic!("the settings have no faults") };
    checked.fit(data)
}

fn small(optimizer: OptimizerSettings) -> SasrecSettings {
    let (dropout, batch) = (Some(0.0), Some(64));
    SasrecSettings {
        dim: 16,
        layers: 1,
        epochs: 4,
        dropout,
        batch,
        optimizer,
        ..Default::default()
    }
}

fn weights(model: &Sasrec) -> Vec<f32> {
    let mut saved = model.save();
    let mut all = saved.take_f32("parameters").unwrap().1;
    all.extend(saved.take_f32("vectors").unwrap().1);
    all
}

/// Returns the largest difference between two models.
fn apart(a: &Sasrec, b: &Sasrec) -> f32 {
    weights(a).iter().zip(weights(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn batches_that_are_added_up_are_one_large_batch() {
    let world = tiny(1);
    let all = OptimizerSettings { warm_up: 2, ..Default::default() };
    let whole = SasrecSettings { batch: Some(1 << 20), ..small(all) };
    let parts = small(OptimizerSettings { accumulate: 1024, ..all });
    for text in [TextUse::None, TextUse::Only] {
        let of = |settings: &SasrecSettings| {
            fit(SasrecSettings { text, ..settings.clone() }, &world.data()).unwrap()
        };
        assert!(apart(&of(&whole), &of(&parts)) < 1e-4, "{text:?}");
        assert!(apart(&of(&whole), &of(&small(all))) > 1e-3, "{text:?}: more steps go further");
    }
}

#[test]
fn each_setting_changes_the_steps_and_none_of_them_depends_on_threads() {
    let world = tiny(1);
    let plain = OptimizerSettings { warm_up: 1, ..Default::default() };
    let with = |threads: usize, optimizer| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let loss = Loss::SampledSoftmax;
        pool.install(|| fit(SasrecSettings { loss, ..small(optimizer) }, &world.data()).unwrap())
    };
    let start = with(1, plain);
    for other in [
        OptimizerSettings { method: OptimizerMethod::Sgd, ..plain },
        OptimizerSettings { clip: Some(0.01), method: OptimizerMethod::Sgd, ..plain },
        OptimizerSettings { warm_up: 3, ..plain },
        OptimizerSettings { schedule: OptimizerDecay::Step, every: 1, ..plain },
        OptimizerSettings { schedule: OptimizerDecay::Cosine, ..plain },
        OptimizerSettings { schedule: OptimizerDecay::Linear, ..plain },
        OptimizerSettings { accumulate: 2, ..plain },
    ] {
        let one = with(1, other);
        assert!(one == with(2, other), "{other:?}");
        assert!(apart(&one, &start) > 0.0, "{other:?}");
    }
}

#[test]
fn descent_with_momentum_learns_too() {
    contract::learns_the_checkerboard(|| SasrecSettings {
        epochs: 150,
        learning_rate: 0.3,
        ..small(OptimizerSettings {
            method: OptimizerMethod::Sgd,
            clip: Some(1.0),
            schedule: OptimizerDecay::Cosine,
            ..Default::default()
        })
    });
}

/// Finds the second epoch best.
struct Peak(std::sync::atomic::AtomicUsize);

impl Judge for Peak {
    fn judge(&self, _model: &dyn Recommender) -> f64 {
        let epoch = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64;
        -(epoch - 1.0).abs()
    }
}

#[test]
fn a_fit_that_takes_fewer_epochs_takes_the_same_steps_along_the_schedule() {
    let world = tiny(1);
    let cosine = OptimizerSettings { schedule: OptimizerDecay::Cosine, ..Default::default() };
    let settings = SasrecSettings { epochs: 9, patience: 3, ..small(cosine) };
    let judge = Peak(std::sync::atomic::AtomicUsize::new(0));
    let data = TrainData { judge: Some(&judge), ..world.data() };
    let stopped = fit(settings.clone(), &data).unwrap();
    let settled = settings.settled(&stopped);
    assert_eq!((settled.epochs, settled.optimizer.horizon), (2, Some(9)));
    assert!(weights(&stopped) == weights(&fit(settled, &world.data()).unwrap()));
}

/// Keeps the last state in memory, and the run after it goes on from there.
#[derive(Default)]
struct Keeper(std::sync::Mutex<Vec<Saved>>);

impl Checkpoints for Keeper {
    fn load(&self, _name: &str) -> Option<Saved> {
        self.0.lock().unwrap().last().cloned()
    }

    fn save(&self, _name: &str, state: &Saved) {
        self.0.lock().unwrap().push(state.clone());
    }
}

#[test]
fn a_fit_that_goes_on_keeps_momentum_schedule_and_steps() {
    let world = tiny(1);
    let optimizer = OptimizerSettings {
        method: OptimizerMethod::Sgd,
        clip: Some(1.0),
        schedule: OptimizerDecay::Linear,
        warm_up: 3,
        accumulate: 3,
        ..Default::default()
    };
    let keeper = Keeper::default();
    let data = TrainData { checkpoints: Some(&keeper), ..world.data() };
    let whole = fit(small(optimizer), &data).unwrap();
    keeper.0.lock().unwrap().truncate(2);
    assert!(fit(small(optimizer), &data).unwrap() == whole);
    assert_eq!(keeper.0.lock().unwrap().len(), 4, "two epochs were not run again");
}

/// Fits with steps far too long; the fit must end in an error that names what to change.
fn runs_away<S: Fit>(settings: S) {
    let world = tiny(1);
    let error = fit(settings, &world.data()).err().unwrap();
    assert!(matches!(error, FitError::Diverged { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("lower `learning_rate`") && text.contains("epoch"), "{text}");
}

#[test]
fn a_loss_that_explodes_ends_in_an_error_that_says_what_to_change() {
    let (learning_rate, epochs) = (1.0, 2000);
    let times = Times::Off;
    let optimizer = OptimizerSettings { warm_up: 0, ..Default::default() };
    runs_away(SasrecSettings { learning_rate, epochs, times, ..small(optimizer) });
    runs_away(SasrecSettings {
        learning_rate,
        epochs,
        times,
        loss: Loss::Gbce,
        negatives: 8,
        ..small(optimizer)
    });
    let batch = Some(64);
    runs_away(Gru4recSettings { learning_rate, epochs, batch, optimizer, ..Default::default() });
    let layers = 1;
    runs_away(EsasrecSettings {
        learning_rate,
        epochs,
        batch,
        layers,
        optimizer,
        ..Default::default()
    });
}

#[test]
fn impossible_values_are_named_with_their_section() {
    let bad = small(OptimizerSettings { accumulate: 0, momentum: 1.5, ..Default::default() });
    let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["optimizer.momentum", "optimizer.accumulate"]);
}

#[test]
fn a_large_contrast_is_not_taken_for_a_loss_that_ran_away() {
    let world = tiny(1);
    let settings = SasrecSettings { contrast: 10.0, ..small(OptimizerSettings::default()) };
    assert!(fit(settings, &world.data()).is_ok());
}
