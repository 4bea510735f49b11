//! Values to small numbers: trees look for forks between bins instead of between values.

/// Bins a feature has at most.
const BINS: usize = 64;
/// Values the edges are read off, at most.
const SAMPLE: usize = 100_000;

/// Features as bins, column by column.
pub(super) struct Binned {
    /// `[features][rows]`.
    pub(super) columns: Vec<Vec<u8>>,
    /// `[features][bins]`, rising: the largest value of each bin; the last one takes what is larger, too.
    pub(super) edges: Vec<Vec<f32>>,
}

impl Binned {
    /// Bins `rows: [rows, width]`, so that bins hold about as many rows each.
    pub(super) fn new(rows: &[f32], width: usize) -> Self {
        use rayon::prelude::*;
        let (edges, columns) = (0..width)
            .into_par_iter()
            .map(|feature| {
                let values = || rows.iter().skip(feature).step_by(width).copied();
                let edges = edges(values());
                let bin =
                    |x: f32| edges.partition_point(|edge| *edge < x).min(edges.len() - 1) as u8;
                let column = values().map(bin).collect::<Vec<u8>>();
                (edges, column)
            })
            .unzip();
        Self { columns, edges }
    }
}

fn edges(values: impl Iterator<Item = f32> + Clone) -> Vec<f32> {
    let step = values.clone().count().div_ceil(SAMPLE).max(1);
    let mut sample: Vec<f32> = values.step_by(step).collect();
    sample.sort_unstable_by(f32::total_cmp);
    let mut distinct = sample.clone();
    distinct.dedup();
    if distinct.len() > BINS {
        let quantile = |bin: usize| sample[(bin + 1) * sample.len() / BINS - 1];
        distinct = (0..BINS).map(quantile).collect();
        distinct.dedup();
    }
    if distinct.is_empty() { vec![0.0] } else { distinct }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_many_share_theirs_evenly() {
        let rows: Vec<f32> = (0..1000).flat_map(|i| [(i % 3) as f32, i as f32]).collect();
        let binned = Binned::new(&rows, 2);
        assert_eq!(binned.edges[0], [0.0, 1.0, 2.0]);
        assert_eq!(&binned.columns[0][..4], &[0, 1, 2, 0]);
        assert_eq!(binned.edges[1].len(), BINS);
        let mut counts = [0usize; BINS];
        binned.columns[1].iter().for_each(|&bin| counts[usize::from(bin)] += 1);
        assert!(counts.iter().all(|n| (15..=16).contains(n)), "{counts:?}");
    }

    #[test]
    fn a_value_lies_in_a_bin_exactly_when_it_is_no_larger_than_its_edge() {
        let rows: Vec<f32> = (0..500).map(|i| ((i * 7919) % 500) as f32 / 3.0).collect();
        let Binned { columns, edges } = Binned::new(&rows, 1);
        for (x, &bin) in rows.iter().zip(&columns[0]) {
            for (b, edge) in edges[0].iter().enumerate() {
                assert_eq!(usize::from(bin) <= b, x <= edge || b + 1 == edges[0].len());
            }
        }
    }
}
