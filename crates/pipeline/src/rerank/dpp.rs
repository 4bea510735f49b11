//! The most probable list of a determinantal point process, found greedily (Chen, Zhang and Zhou 2018).
//!
//! The kernel is `L_ij = q_i c_ij q_j` with `ln q_i² = θ relevance_i`, `θ = (1 - strength) / strength`, and each item in turn is the one
//! that multiplies `det L` of the list most.

/// Below this an item adds nothing that the list does not have.
const LEAST: f32 = 1e-6;
/// The likeness of two items, so that even equal texts leave something.
const SHRINK: f32 = 0.99;

/// Fills `length` places; `cosines: [n, n]`; returns rows of it, each once. Once every item left adds nothing, those of greater
/// relevance come first.
pub(super) fn dpp(relevance: &[f32], cosines: &[f32], length: usize, strength: f32) -> Vec<usize> {
    let n = relevance.len();
    let theta = (1.0 - strength) / strength.max(1e-3);
    // What of each item's text the list does not have, squared: the square of Cholesky's diagonal.
    let mut fresh = vec![1.0f32; n];
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let mut left: Vec<usize> = (0..n).collect();
    let mut chosen = Vec::with_capacity(length.min(n));
    while chosen.len() < length && !left.is_empty() {
        let value = |&item: &usize| theta * relevance[item] + fresh[item].max(LEAST).ln();
        let best = (0..left.len()).max_by(|&a, &b| {
            value(&left[a]).total_cmp(&value(&left[b])).then(left[b].cmp(&left[a]))
        });
        let item = left.remove(best.unwrap_or(0));
        chosen.push(item);
        let diagonal = fresh[item].max(LEAST).sqrt();
        let mut row = vec![0.0f32; n];
        for &other in &left {
            let known: f32 = rows.iter().map(|row| row[item] * row[other]).sum();
            row[other] = (SHRINK * cosines[item * n + other] - known) / diagonal;
            fresh[other] -= row[other] * row[other];
        }
        rows.push(row);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosines(points: &[[f32; 3]]) -> Vec<f32> {
        let dot = |a: &[f32; 3], b: &[f32; 3]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        points.iter().flat_map(|a| points.iter().map(move |b| dot(a, b))).collect()
    }

    /// `det` of the rows and columns of `set`, by cofactors.
    fn det(matrix: &[f32], n: usize, set: &[usize]) -> f64 {
        let at = |i: usize, j: usize| {
            let cosine = f64::from(matrix[i * n + j]);
            if i == j { cosine } else { f64::from(SHRINK) * cosine }
        };
        fn expand(rows: &[usize], columns: &[usize], at: &dyn Fn(usize, usize) -> f64) -> f64 {
            let Some((&row, rows)) = rows.split_first() else { return 1.0 };
            let term = |(k, &column): (usize, &usize)| {
                let rest: Vec<usize> = columns.iter().copied().filter(|&c| c != column).collect();
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                sign * at(row, column) * expand(rows, &rest, at)
            };
            columns.iter().enumerate().map(term).sum()
        }
        expand(set, set, &at)
    }

    #[test]
    fn each_item_is_the_one_that_multiplies_the_determinant_most() {
        let points: Vec<[f32; 3]> = (0..8)
            .map(|i| {
                let (a, b) = (i as f32 * 0.9, (i * i) as f32 * 0.35);
                [a.cos() * b.cos(), a.sin() * b.cos(), b.sin()]
            })
            .collect();
        let relevance: Vec<f32> = (0..8).map(|i| 1.0 - i as f32 / 8.0).collect();
        let matrix = cosines(&points);
        let strength = 0.4f32;
        let theta = f64::from((1.0 - strength) / strength);
        let chosen = dpp(&relevance, &matrix, 3, strength);
        for place in 0..3 {
            let value = |item: usize| {
                let mut set = chosen[..place].to_vec();
                set.push(item);
                det(&matrix, 8, &set).ln() + theta * f64::from(relevance[item])
            };
            let rest = (0..8).filter(|item| !chosen[..place].contains(item));
            let best = rest.max_by(|&a, &b| value(a).total_cmp(&value(b))).unwrap();
            assert_eq!(chosen[place], best, "place {place}");
        }
    }

    #[test]
    fn twins_are_parted_and_all_items_are_listed() {
        let points = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
        let chosen = dpp(&[1.0, 0.9, 0.5, 0.8], &cosines(&points), 9, 0.5);
        assert_eq!(chosen, [0, 2, 1, 3]);
        assert_eq!(dpp(&[1.0, 0.9, 0.5, 0.8], &cosines(&points), 4, 0.0), [0, 1, 3, 2]);
    }
}
