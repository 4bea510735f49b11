//! What came of a load.

use serde::Serialize;

/// Ends of the bars of a histogram, in milliseconds; the last bar has no end.
const ENDS: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 1000.0];

/// What came of a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests, all kinds together.
    pub requests: usize,
    /// Requests that got another answer than 200, or none.
    pub failed: usize,
    /// Answers a second, all kinds together.
    pub per_second: f64,
    /// By kind of request.
    pub kinds: Vec<Latencies>,
}

/// Milliseconds that answers took, for one kind of request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latencies {
    /// The kind: `recommend`, `events`.
    pub kind: &'static str,
    /// Answers.
    pub n: usize,
    /// Half of them took at most so long.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// All of them.
    pub most: f64,
    /// How many took at most so many milliseconds and longer than the bar before; the last has no end.
    pub histogram: Vec<(Option<f64>, usize)>,
}

impl Latencies {
    /// Sums up the milliseconds of a kind; `None` where there was no answer.
    pub(super) fn new(kind: &'static str, mut millis: Vec<f32>) -> Option<Self> {
        millis.sort_by(f32::total_cmp);
        let last = millis.len().checked_sub(1)?;
        // The least value that so many do not exceed.
        let at = |share: f64| {
            let place = (millis.len() as f64 * share).ceil() as usize;
            f64::from(millis[place.saturating_sub(1).min(last)])
        };
        let mut histogram = Vec::new();
        let mut below = 0;
        for end in ENDS.map(Some).into_iter().chain([None]) {
            let reached = match end {
                Some(end) => millis.partition_point(|ms| f64::from(*ms) <= end),
                None => millis.len(),
            };
            histogram.push((end, reached - below));
            below = reached;
        }
        let (p50, p90, p99, p999, most) = (at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
        Some(Self { kind, n: millis.len(), p50, p90, p99, p999, most, histogram })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_bars_count_every_answer() {
        let millis: Vec<f32> = (1..=100).rev().map(|ms| ms as f32).collect();
        let told = Latencies::new("recommend", millis).unwrap();
        let got = [told.p50, told.p90, told.p99, told.p999, told.most];
        assert!(
            got.iter().zip([50.0, 90.0, 99.0, 100.0, 100.0]).all(|(a, b)| (a - b).abs() < 1e-9)
        );
        assert_eq!(told.histogram.iter().map(|(_, n)| n).sum::<usize>(), 100);
        let bar =
            |end: f64| told.histogram.iter().find(|(e, _)| e.is_some_and(|e| e >= end)).unwrap().1;
        assert_eq!((bar(1.0), bar(10.0), bar(20.0)), (1, 5, 10));
        assert_eq!(Latencies::new("recommend", Vec::new()), None);
    }
}
