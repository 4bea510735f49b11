//! Learning rates over time.

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Schedule {
    /// Stays as it is.
    #[default]
    Constant,
    /// Is multiplied with `factor` every `every` steps.
    Step {
        /// Steps between two cuts.
        every: u64,
        /// What is left after a cut.
        factor: f32,
    },
    /// Falls along half a cosine to `floor` of its height at step `total` (Loshchilov and Hutter 2017).
    Cosine {
        /// Steps until the floor.
        total: u64,
        /// Share that is left in the end.
        floor: f32,
    },
    /// Falls along a line to 0 at step `total`.
    Linear {
        /// Steps until 0.
        total: u64,
    },
}

impl Schedule {
    /// Returns the share of the learning rate in force at `step`, counted from 0, after `warm_up` rising steps.
    pub fn at(self, step: u64, warm_up: u64) -> f32 {
        if step < warm_up {
            return (step + 1) as f32 / warm_up as f32;
        }
        let gone = step - warm_up;
        let progress =
            |total: u64| (gone as f64 / total.saturating_sub(warm_up).max(1) as f64).min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => {
                factor.powi(i32::try_from(gone / every.max(1)).unwrap_or(i32::MAX))
            }
            Self::Cosine { total, floor } => {
                let wave = (1.0 + (std::f64::consts::PI * progress(total)).cos()) / 2.0;
                floor + (1.0 - floor) * wave as f32
            }
            Self::Linear { total } => 1.0 - progress(total) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn warm_up_rises_to_the_whole() {
        let rates: Vec<f32> = (0..6).map(|step| Schedule::Constant.at(step, 4)).collect();
        assert!(rates.iter().zip([0.25, 0.5, 0.75, 1.0, 1.0, 1.0]).all(|(a, b)| close(*a, b)));
    }

    #[test]
    fn falls_as_each_rule_says() {
        let cosine = Schedule::Cosine { total: 12, floor: 0.1 };
        assert!(
            close(cosine.at(2, 2), 1.0)
                && close(cosine.at(7, 2), 0.55)
                && close(cosine.at(99, 2), 0.1)
        );
        let linear = Schedule::Linear { total: 10 };
        assert!(
            close(linear.at(0, 0), 1.0)
                && close(linear.at(5, 0), 0.5)
                && close(linear.at(11, 0), 0.0)
        );
        let step = Schedule::Step { every: 3, factor: 0.5 };
        assert!(
            close(step.at(2, 0), 1.0) && close(step.at(3, 0), 0.5) && close(step.at(6, 0), 0.25)
        );
    }
}
