//! Epochs one after another: validation, early stopping, checkpoints, progress.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tastemaker_core::{Checkpoints, Clock, Progress, Saved, SystemClock};

use crate::{Curve, Epoch, Learner};

/// How a run is to go.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// What is trained, for people and for checkpoints.
    pub name: &'a str,
    /// Epochs at most.
    pub epochs: usize,
    /// Epochs without a better validation after which the run ends; without a judge all epochs are run.
    pub patience: usize,
    /// Is told how far the run has come, and says when to stop.
    pub progress: &'a dyn Progress,
    /// Keeps the state after every epoch.
    pub checkpoints: Option<&'a dyn Checkpoints>,
    /// What the run depends on: a checkpoint of another run is not gone on with.
    pub fingerprint: &'a Value,
}

impl Plan<'_> {
    /// Returns the name of the checkpoint: a fit on other data or with other settings has another one.
    fn key(&self) -> String {
        let text = self.fingerprint.to_string();
        // FNV-1a, as for random streams.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{}-{hash:016x}", self.name)
    }
}

/// What came of a run. The learner holds the weights of the best epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Loss and validation of all epochs.
    pub curve: Curve,
    /// Was ended by the user before it was done.
    pub cancelled: bool,
}

/// Says that the numbers ran away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failed {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// The loss.
    pub loss: f64,
    /// What the judge said, where the loss was a number and this was none.
    pub validation: Option<f64>,
    /// What guessing costs, where the loss was far above it.
    pub guessing: Option<f64>,
}

/// A loss that many times what guessing costs has run away.
const RUN_AWAY: f64 = 4.0;
/// What to do about it.
const REMEDY: &str = "lower `learning_rate`, or cut long gradients with `optimizer.clip`";

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, loss, validation, guessing } = self;
        match (validation, guessing) {
            (Some(value), _) => write!(f, "validation gave {value} in epoch {epoch}: {REMEDY}"),
            (None, Some(guessing)) => write!(
                f,
                "the loss ran away to {loss:.1} in epoch {epoch}, where guessing costs {guessing:.1}: {REMEDY}"
            ),
            (None, None) => write!(f, "the loss was {loss} in epoch {epoch}: {REMEDY}"),
        }
    }
}

/// The part of a checkpoint that is not numbers. Numbers that decide are kept as bits: JSON may round them.
#[derive(Serialize, Deserialize)]
struct Header {
    fingerprint: String,
}

/// Name of the curve among the tensors: `[epochs, 5]`, every number as its bits.
const CURVE: &str = "curve";

fn to_bits(curve: &Curve) -> Vec<i64> {
    let row = |epoch: &Epoch| {
        let judged = epoch.validation.unwrap_or_default();
        let numbers = [epoch.loss, judged, epoch.seconds].map(|x| x.to_bits().cast_signed());
        let samples = i64::try_from(epoch.samples).unwrap_or(i64::MAX);
        [numbers[0], i64::from(epoch.validation.is_some()), numbers[1], samples, numbers[2]]
    };
    curve.epochs.iter().flat_map(row).collect()
}

fn from_bits(bits: &[i64]) -> Option<Curve> {
    let number = |bits: i64| f64::from_bits(bits.cast_unsigned());
    let epoch = |row: &[i64; 5]| {
        Some(Epoch {
            loss: number(row[0]),
            validation: (row[1] != 0).then(|| number(row[2])),
            samples: usize::try_from(row[3]).ok()?,
            seconds: number(row[4]),
        })
    };
    bits.as_chunks::<5>().0.iter().map(epoch).collect::<Option<_>>().map(|epochs| Curve { epochs })
}

/// Trains until the plan or early stopping says so, and restores the best weights.
///
/// A run that was interrupted goes on from its checkpoint and ends with the same bits as if it had not been.
pub fn run(learner: &mut dyn Learner, plan: &Plan<'_>) -> Result<Outcome, Failed> {
    let clock = SystemClock::default();
    let (mut curve, mut best) = resume(learner, plan).unwrap_or_default();
    for (number, epoch) in curve.epochs.iter().enumerate() {
        plan.progress.epoch(plan.name, number, epoch);
    }
    let mut cancelled = false;
    while curve.epochs.len() < plan.epochs {
        if curve.since_best() >= plan.patience.max(1) && curve.best() > 0 {
            break;
        }
        let number = curve.epochs.len();
        plan.progress.report(plan.name, number, plan.epochs);
        let start = clock.seconds();
        let step = learner.epoch(number);
        let seconds = clock.seconds() - start;
        // An epoch that was broken off counts for nothing: the checkpoint before it is what the next run begins with.
        if plan.progress.is_cancelled() {
            cancelled = true;
            break;
        }
        check_loss(learner, number + 1, step.loss)?;
        let validation = learner.validate();
        if validation.is_some_and(f64::is_nan) {
            let (epoch, loss) = (number + 1, step.loss);
            return Err(Failed { epoch, loss, validation, guessing: None });
        }
        curve.epochs.push(Epoch { loss: step.loss, validation, samples: step.samples, seconds });
        if validation.is_some() && curve.best() == curve.epochs.len() {
            best = Some(learner.weights());
        }
        tell(plan, &curve);
        save(learner, plan, &curve, best.as_ref());
    }
    if !cancelled {
        plan.progress.report(plan.name, plan.epochs, plan.epochs);
    }
    if let Some(best) = best
        && curve.since_best() > 0
    {
        learner.set_weights(best).expect("a learner takes its own weights back");
    }
    Ok(Outcome { curve, cancelled })
}

/// Refuses a loss that is no number, or far above that of guessing.
fn check_loss(learner: &dyn Learner, epoch: usize, loss: f64) -> Result<(), Failed> {
    let failed = |guessing| Err(Failed { epoch, loss, validation: None, guessing });
    if !loss.is_finite() {
        return failed(None);
    }
    match learner.guessing() {
        Some(guessing) if loss > RUN_AWAY * guessing.max(1.0) => failed(Some(guessing)),
        _ => Ok(()),
    }
}

fn tell(plan: &Plan<'_>, curve: &Curve) {
    let Some(last) = curve.epochs.last() else { return };
    let speed = curve.samples_per_second();
    let judged = last.validation.map_or(String::new(), |x| format!(", validation {x:.4}"));
    let note = format!("loss {:.4}{judged}, {speed:.0} samples/s", last.loss);
    tracing::debug!(name = plan.name, epoch = curve.epochs.len(), seconds = last.seconds, "{note}");
    plan.progress.note(plan.name, &note);
    plan.progress.epoch(plan.name, curve.epochs.len() - 1, last);
}

/// Names the parts of a checkpoint in one set of tensors.
const PARTS: [&str; 3] = ["weights", "momentum", "best"];

fn save(learner: &dyn Learner, plan: &Plan<'_>, curve: &Curve, best: Option<&Saved>) {
    let Some(checkpoints) = plan.checkpoints else { return };
    let mut state = Saved {
        meta: json!(Header { fingerprint: plan.fingerprint.to_string() }),
        ..Saved::default()
    };
    state.put_i64(CURVE, &[curve.epochs.len(), 5], to_bits(curve));
    let parts = [Some(learner.weights()), Some(learner.momentum()), best.cloned()];
    for (name, part) in PARTS.into_iter().zip(parts) {
        let tensors = part.into_iter().flat_map(|part| part.tensors);
        state.tensors.extend(tensors.map(|(key, tensor)| (format!("{name}/{key}"), tensor)));
    }
    checkpoints.save(&plan.key(), &state);
}

fn resume(learner: &mut dyn Learner, plan: &Plan<'_>) -> Option<(Curve, Option<Saved>)> {
    let mut state = plan.checkpoints?.load(&plan.key())?;
    let Header { fingerprint } = serde_json::from_value(state.meta.take()).ok()?;
    let wanted = plan.fingerprint.to_string();
    if fingerprint != wanted {
        return None;
    }
    let curve = from_bits(&state.take_i64(CURVE).ok()?.1)?;
    let mut parts = [const { Vec::new() }; PARTS.len()];
    for (key, tensor) in state.tensors {
        let (part, key) = key.split_once('/')?;
        let at = PARTS.iter().position(|name| *name == part)?;
        parts[at].push((key.to_owned(), tensor));
    }
    let [weights, momentum, best] =
        parts.map(|tensors| Saved { tensors: tensors.into_iter().collect(), ..Saved::default() });
    let before = (learner.weights(), learner.momentum());
    if learner.set_weights(weights).and_then(|()| learner.set_momentum(momentum)).is_err() {
        learner.set_weights(before.0).expect("a learner takes its own weights back");
        learner.set_momentum(before.1).expect("a learner takes its own momentum back");
        return None;
    }
    let best = (!best.tensors.is_empty()).then_some(best);
    tracing::info!(name = plan.name, epochs = curve.epochs.len(), "goes on from a checkpoint");
    Some((curve, best))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tastemaker_core::{PersistError, Silent};

    use super::*;
    use crate::Step;

    /// Adds up; is judged best after the third epoch.
    #[derive(Clone, Default, Debug, PartialEq)]
    struct Adder {
        sum: f32,
        speed: f32,
        blows_up_at: Option<usize>,
        rises_by: f64,
    }

    fn one(name: &str, x: f32) -> Saved {
        let mut saved = Saved::default();
        saved.put_f32(name, &[1], vec![x]);
        saved
    }

    impl Learner for Adder {
        fn epoch(&mut self, epoch: usize) -> Step {
            self.speed += 1.0 + epoch as f32;
            self.sum += self.speed;
            let blown = self.blows_up_at == Some(epoch);
            Step {
                loss: if blown { f64::NAN } else { 1.0 + self.rises_by * epoch as f64 },
                samples: 1,
            }
        }

        fn validate(&self) -> Option<f64> {
            // Sums are 1, 4, 10, 20, 35, …
            Some(-f64::from((self.sum - 10.0).abs()))
        }

        fn guessing(&self) -> Option<f64> {
            Some(2.0)
        }

        fn weights(&self) -> Saved {
            one("sum", self.sum)
        }

        fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
            self.sum = weights.take_f32("sum")?.1[0];
            Ok(())
        }

        fn momentum(&self) -> Saved {
            one("speed", self.speed)
        }

        fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
            self.speed = momentum.take_f32("speed")?.1[0];
            Ok(())
        }
    }

    #[derive(Default)]
    struct Memory(Mutex<Option<Saved>>);

    impl Checkpoints for Memory {
        fn load(&self, _name: &str) -> Option<Saved> {
            self.0.lock().unwrap().clone()
        }

        fn save(&self, _name: &str, state: &Saved) {
            *self.0.lock().unwrap() = Some(state.clone());
        }
    }

    fn plan(epochs: usize) -> Plan<'static> {
        Plan {
            name: "adder",
            epochs,
            patience: 2,
            progress: &Silent,
            checkpoints: None,
            fingerprint: &Value::Null,
        }
    }

    #[test]
    fn stops_after_patience_and_restores_the_best_weights() {
        let mut adder = Adder::default();
        let outcome = run(&mut adder, &plan(100)).unwrap();
        assert_eq!((outcome.curve.epochs.len(), outcome.curve.best()), (5, 3));
        assert!((adder.sum - 10.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_in_two_parts_ends_like_one_in_one() {
        let (mut whole, kept) = (Adder::default(), Memory::default());
        let all = run(&mut whole, &plan(100)).unwrap();
        let mut first = Adder::default();
        run(&mut first, &Plan { checkpoints: Some(&kept), ..plan(2) }).unwrap();
        let mut second = Adder::default();
        let outcome = run(&mut second, &Plan { checkpoints: Some(&kept), ..plan(100) }).unwrap();
        assert_eq!(outcome.curve.best(), all.curve.best());
        assert_eq!(outcome.curve.epochs.len(), all.curve.epochs.len());
        assert_eq!(second, whole);
    }

    #[test]
    fn a_checkpoint_of_another_run_is_left_alone() {
        let kept = Memory::default();
        run(&mut Adder::default(), &Plan { checkpoints: Some(&kept), ..plan(2) }).unwrap();
        let other = json!({ "seed": 2 });
        let plan = Plan { checkpoints: Some(&kept), fingerprint: &other, ..plan(1) };
        assert_eq!(run(&mut Adder::default(), &plan).unwrap().curve.epochs.len(), 1);
    }

    #[test]
    fn a_loss_that_runs_away_is_told_with_its_epoch() {
        let mut adder = Adder { blows_up_at: Some(1), ..Adder::default() };
        let failed = run(&mut adder, &plan(9)).unwrap_err();
        assert_eq!(failed.epoch, 2);
        assert!(failed.to_string().contains("lower `learning_rate`"));
    }

    #[test]
    fn a_loss_far_above_that_of_guessing_has_run_away() {
        // 1, 4, 7, 10: the last is above 4 times 2.
        let mut adder = Adder { rises_by: 3.0, ..Adder::default() };
        let failed = run(&mut adder, &Plan { patience: 9, ..plan(9) }).unwrap_err();
        assert_eq!((failed.epoch, failed.guessing), (4, Some(2.0)));
        let text = failed.to_string();
        assert!(text.contains("ran away to 10.0") && text.contains("`optimizer.clip`"), "{text}");
    }
}
