//! Maximal marginal relevance (Carbonell and Goldstein 1998).

/// Fills `length` places, one after the other, with the item of the greatest `(1 - strength) relevance - strength max cosine`, the
/// maximum over the items before it; of equals the earlier. `cosines: [n, n]`; returns rows of it, each once.
pub(super) fn mmr(relevance: &[f32], cosines: &[f32], length: usize, strength: f32) -> Vec<usize> {
    let n = relevance.len();
    let mut nearest = vec![0.0f32; n];
    let mut left: Vec<usize> = (0..n).collect();
    let mut chosen = Vec::with_capacity(length.min(n));
    while chosen.len() < length && !left.is_empty() {
        let value = |&item: &usize| (1.0 - strength) * relevance[item] - strength * nearest[item];
        let best = (0..left.len()).max_by(|&a, &b| {
            value(&left[a]).total_cmp(&value(&left[b])).then(left[b].cmp(&left[a]))
        });
        let item = left.remove(best.unwrap_or(0));
        chosen.push(item);
        for &other in &left {
            let cosine = cosines[item * n + other];
            nearest[other] = if chosen.len() == 1 { cosine } else { nearest[other].max(cosine) };
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_gives_way_to_something_else() {
        let relevance = [1.0, 0.9, 0.5];
        let cosines = [1.0, 0.95, 0.0, 0.95, 1.0, 0.1, 0.0, 0.1, 1.0];
        assert_eq!(mmr(&relevance, &cosines, 3, 0.0), [0, 1, 2]);
        // second place: .5 * .9 - .5 * .95 < .5 * .5
        assert_eq!(mmr(&relevance, &cosines, 3, 0.5), [0, 2, 1]);
        assert_eq!(mmr(&relevance, &cosines, 1, 0.5), [0]);
        assert!(mmr(&[], &[], 3, 0.5).is_empty());
    }

    #[test]
    fn an_opposite_is_better_than_a_stranger() {
        let cosines = [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0];
        assert_eq!(mmr(&[1.0, 0.5, 0.5], &cosines, 2, 1.0), [0, 2]);
    }
}
