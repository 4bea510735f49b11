//! The slopes that `LambdaMART` follows, and what they are after.

use super::grow::Slope;

/// Places that count.
const CUTOFF: usize = 10;

/// What a place in a list is worth: `1 / log2(place + 2)`, and nothing from the cutoff on.
fn worth(place: usize) -> f64 {
    if place < CUTOFF { 1.0 / ((place + 2) as f64).log2() } else { 0.0 }
}

/// Lists row numbers from the highest margin to the lowest; of equals the earlier first.
fn order(margins: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..margins.len()).collect();
    order.sort_by(|&a, &b| margins[b].total_cmp(&margins[a]));
    order
}

/// NDCG@10 of a list in which `target` alone is wanted; ties count half.
pub(super) fn ndcg(margins: &[f32], target: usize) -> f64 {
    let own = margins[target];
    let above = margins.iter().filter(|margin| **margin > own).count() as f64;
    let level = margins.iter().filter(|margin| margin.total_cmp(&own).is_eq()).count() as f64;
    let rank = above + (level - 1.0) / 2.0;
    if rank < CUTOFF as f64 { 1.0 / (rank + 2.0).log2() } else { 0.0 }
}

/// Writes slopes and curvatures of `-Σ_j |ΔNDCG@10| ln σ(s_target - s_j)`, where ΔNDCG is what swapping the two places changes
/// (Burges 2010): a target below the cutoff is compared with the rows above it alone.
pub(super) fn slopes(margins: &[f32], target: usize, slopes: &mut [Slope]) {
    slopes.fill([0.0; 2]);
    let order = order(margins);
    let mut place_of = vec![0; margins.len()];
    order.iter().enumerate().for_each(|(place, &row)| place_of[row] = place);
    let at = place_of[target];
    for (place, &row) in order.iter().enumerate() {
        let change = (worth(at) - worth(place)).abs();
        if row == target || change <= 0.0 {
            continue;
        }
        let gap = f64::from(margins[target]) - f64::from(margins[row]);
        let wrong = 1.0 / (1.0 + gap.exp());
        let (slope, curve) = (change * wrong, change * wrong * (1.0 - wrong));
        slopes[target][0] -= slope as f32;
        slopes[row][0] += slope as f32;
        slopes[target][1] += curve as f32;
        slopes[row][1] += curve as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_worth_what_its_target_stands_for() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(ndcg(&[3.0, 1.0, 2.0], 0), 1.0);
        near(ndcg(&[3.0, 1.0, 2.0], 2), 1.0 / 3f64.log2());
        near(ndcg(&[1.0, 1.0, 1.0], 1), 1.0 / 3f64.log2());
        near(ndcg(&[9.0; 40], 1), 0.0);
    }

    #[test]
    fn slopes_pull_the_target_up_by_what_each_swap_is_worth() {
        let mut out = [[0.0; 2]; 3];
        slopes(&[2.0, 1.0, 0.0], 1, &mut out);
        let swap = |a: usize, b: usize| (worth(a) - worth(b)).abs();
        let with_first = swap(0, 1) / (1.0 + (-1.0f64).exp());
        let with_last = swap(1, 2) / (1.0 + 1.0f64.exp());
        let want = [with_first, -with_first - with_last, with_last];
        for (slope, want) in out.iter().zip(want) {
            assert!((f64::from(slope[0]) - want).abs() < 1e-6 && slope[1] > 0.0, "{out:?}");
        }
    }

    #[test]
    fn rows_below_the_cutoff_neither_push_nor_are_pushed() {
        let margins: Vec<f32> = (0..30).map(|i| -(i as f32)).collect();
        let mut out = [[0.0; 2]; 30];
        slopes(&margins, 20, &mut out);
        assert!(out[9][0] > 0.0 && out[20][0] < 0.0);
        assert!(out[10..20].iter().chain(&out[21..]).all(|slope| slope[0].abs() < 1e-12));
    }
}
