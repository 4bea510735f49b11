//! Draws a token: the most likely one, or by probability from the smallest set that holds enough of it.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tastemaker_core::seed;
use tastemaker_kernels::exp;

use crate::ReplySettings;

/// Tokens sorted at first; most sets are smaller.
const SORTED: usize = 64;

/// Draws tokens, by a stream of its own.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f64,
    stream: ChaCha8Rng,
}

impl Sampler {
    pub(super) fn new(settings: &ReplySettings) -> Self {
        Self {
            temperature: settings.temperature,
            top_p: f64::from(settings.top_p),
            stream: seed::stream(settings.seed, "reply"),
        }
    }

    /// Returns the place of the logit that was drawn; those of minus infinity are never. `None` where all are.
    pub(super) fn draw(&mut self, logits: &[f32]) -> Option<usize> {
        let best = greatest(logits)?;
        // So near to 0 nothing but the greatest is ever drawn.
        if self.temperature < 1e-3 {
            return Some(best);
        }
        let mut weights: Vec<f32> =
            logits.iter().map(|x| (x - logits[best]) / self.temperature).collect();
        exp(&mut weights);
        for (weight, logit) in weights.iter_mut().zip(logits) {
            // The exponential kernel ends above 0.
            if *logit == f32::NEG_INFINITY {
                *weight = 0.0;
            }
        }
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let share = (self.stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        if self.top_p >= 1.0 {
            return Some(walk(weights.iter().copied().enumerate(), share * total).unwrap_or(best));
        }
        let (set, held) = nucleus(&weights, self.top_p * total);
        let each = set.into_iter().map(|at| (at, weights[at]));
        Some(walk(each, share * held).unwrap_or(best))
    }
}

/// Returns the first of the greatest numbers; `None` where all are minus infinity.
pub(super) fn greatest(logits: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (at, logit) in logits.iter().enumerate() {
        if *logit > best.map_or(f32::NEG_INFINITY, |best| logits[best]) {
            best = Some(at);
        }
    }
    best
}

/// Returns where the sum of the weights first goes beyond `target`.
fn walk(weights: impl Iterator<Item = (usize, f32)>, target: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut last = None;
    for (at, weight) in weights.filter(|(_, weight)| *weight > 0.0) {
        sum += f64::from(weight);
        last = Some(at);
        if sum > target {
            break;
        }
    }
    last
}

/// Returns the fewest places that hold this much weight, the heaviest first, and how much they hold.
fn nucleus(weights: &[f32], wanted: f64) -> (Vec<usize>, f64) {
    let heavier = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
    let mut places: Vec<usize> = (0..weights.len()).collect();
    let mut sorted = SORTED;
    loop {
        let count = sorted.min(places.len());
        if count < places.len() {
            places.select_nth_unstable_by(count, heavier);
        }
        places[..count].sort_unstable_by(heavier);
        let mut held = 0.0;
        for at in 0..count {
            held += f64::from(weights[places[at]]);
            if held >= wanted || at + 1 == places.len() {
                places.truncate(at + 1);
                return (places, held);
            }
        }
        sorted *= 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(settings: &ReplySettings, logits: &[f32]) -> Vec<f64> {
        let mut sampler = Sampler::new(settings);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampler.draw(logits).unwrap()] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn draws_are_as_frequent_as_they_are_likely() {
        // Odds 1 : 2 : 4, and at temperature 2 their roots, 1 : 1.41 : 2; the masked one never.
        let logits = [0.0, 2f32.ln(), 4f32.ln(), f32::NEG_INFINITY];
        for (temperature, want) in
            [(1.0, [0.1429, 0.2857, 0.5714, 0.0]), (2.0, [0.2265, 0.3204, 0.4531, 0.0])]
        {
            let settings = ReplySettings { temperature, ..ReplySettings::default() };
            for (got, want) in shares(&settings, &logits).iter().zip(want) {
                assert!((got - want).abs() < 0.012, "{got} {want}");
            }
        }
    }

    #[test]
    fn the_nucleus_is_the_smallest_set_that_holds_enough() {
        // Shares .1 .2 .3 .4: two of them hold .7, and share it 3 : 4.
        let logits: Vec<f32> = [0.1f32, 0.2, 0.3, 0.4].iter().map(|x| x.ln()).collect();
        let settings = ReplySettings { temperature: 1.0, top_p: 0.69, ..ReplySettings::default() };
        for (got, want) in shares(&settings, &logits).iter().zip([0.0, 0.0, 0.4286, 0.5714]) {
            assert!((got - want).abs() < 0.012, "{got} {want}");
        }
        let weights: Vec<f32> = (0..1000).map(|i| ((i * 37 % 1000) as f32).sqrt()).collect();
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let (set, held) = nucleus(&weights, 0.9 * total);
        let least = set.iter().map(|&at| weights[at]).fold(f32::INFINITY, f32::min);
        assert!(held >= 0.9 * total && held - f64::from(least) < 0.9 * total);
        assert!((0..1000).filter(|at| !set.contains(at)).all(|at| weights[at] <= least));
    }

    #[test]
    fn without_temperature_the_first_of_the_greatest_is_taken() {
        let mut sampler = Sampler::new(&ReplySettings::default());
        assert_eq!(sampler.draw(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(sampler.draw(&[f32::NEG_INFINITY; 3]), None);
    }
}
