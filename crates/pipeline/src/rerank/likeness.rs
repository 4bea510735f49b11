//! Candidates ordered by what somebody said they want: `1 - place/n + 1.5·near - far`, where `near` and `far` are products with a wanted and
//! an unwanted direction among the texts, each made to lie between 0 and 1 over the candidates.

use tastemaker_core::{Scored, Vectors};

/// What likeness to the wanted counts beside the place.
const NEAR: f32 = 1.5;
/// What likeness to the unwanted counts against an item.
const FAR: f32 = 1.0;

/// Orders candidates anew; an item without a text has no likeness.
pub fn by_likeness(
    list: &mut [Scored],
    vectors: &Vectors,
    (wanted, unwanted): (Option<&[f32]>, Option<&[f32]>),
) {
    let near = scaled(list, vectors, wanted);
    let far = scaled(list, vectors, unwanted);
    let n = list.len().max(1) as f32;
    for (place, scored) in list.iter_mut().enumerate() {
        scored.score = 1.0 - place as f32 / n + NEAR * near[place] - FAR * far[place];
    }
    list.sort_by(|a, b| b.score.total_cmp(&a.score));
}

fn scaled(list: &[Scored], vectors: &Vectors, direction: Option<&[f32]>) -> Vec<f32> {
    let Some(direction) = direction else { return vec![0.0; list.len()] };
    let product = |scored: &Scored| match scored.item.index() < vectors.rows() {
        true => {
            let row = vectors.row(scored.item.index());
            row.iter().zip(direction).map(|(x, y)| x * y).sum()
        }
        false => 0.0,
    };
    let raw: Vec<f32> = list.iter().map(product).collect();
    let low = raw.iter().copied().fold(f32::INFINITY, f32::min);
    let high = raw.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    raw.into_iter().map(|x| (x - low) / (high - low).max(1e-6)).collect()
}

#[cfg(test)]
mod tests {
    use tastemaker_core::ItemId;
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn the_wanted_comes_forward_and_the_unwanted_goes_back() {
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 1.0, 0.5, 0.5]).unwrap();
        let list = || -> Vec<Scored> {
            (0..4).map(|item| Scored { item: ItemId(item), score: 9.0 }).collect()
        };
        let mut near = list();
        by_likeness(&mut near, &vectors, (Some(&[0.0, 2.0]), None));
        // Products 0, 2, 1 and none: scaled 0, 1, .5, 0. Places give 1, .75, .5, .25.
        let items: Vec<u32> = near.iter().map(|scored| scored.item.0).collect();
        let scores: Vec<f32> = near.iter().map(|scored| scored.score).collect();
        assert_eq!(items, [1, 2, 0, 3]);
        assert_all_close(&scores, &[2.25, 1.25, 1.0, 0.25], 1e-6);
        let mut far = list();
        by_likeness(&mut far, &vectors, (None, Some(&[2.0, 0.0])));
        let items: Vec<u32> = far.iter().map(|scored| scored.item.0).collect();
        assert_eq!(items, [1, 3, 0, 2], ".75, .25, 1 - 1 and .5 - .5");
        by_likeness(&mut [], &vectors, (None, None));
    }
}
