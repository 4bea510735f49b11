//! Items or users nobody has learnt from: a seeded share is withheld altogether.

use rand::seq::SliceRandom as _;
use tastemaker_core::{Histories, seed};

use super::per_user::FEWEST;
use crate::split::{Builder, HeldBuilder, Side, Split, SplitSettings};

/// Withholds a share of all items from training and from histories.
///
/// Test: users whose last event is a withheld item, and who have a warm history before it. `warm`: the same for users
/// whose last event is warm. Validation: the last warm event before that. The last event of every user with three
/// events or more is in no training part, be it warm or cold.
pub(crate) fn cold_items(histories: &Histories, n_items: usize, settings: &SplitSettings) -> Split {
    let candidates: Vec<usize> = (0..n_items).collect();
    let cold = choose(candidates, n_items, settings, "split-cold-items");
    let mut parts = Builder::default();
    let mut warm_cases = HeldBuilder::default();
    for (user, all) in histories.iter().enumerate() {
        let is_warm = |i: usize| !cold[all.items[i].index()];
        let side = |i| if is_warm(i) { Side::Train } else { Side::Nowhere };
        let mut sides: Vec<Side> = (0..all.len()).map(side).collect();
        if all.len() < FEWEST {
            parts.learn(all, &sides);
            continue;
        }
        let last = all.len() - 1;
        sides[last] = Side::Nowhere;
        let known = sides.clone();
        let cases = if is_warm(last) { &mut warm_cases } else { &mut parts.test };
        cases.case(user, all, |i| known[i] == Side::Train, |i| i == last);
        let warm = || (0..last).filter(|&i| known[i] == Side::Train);
        if let (Some(asked), true) = (warm().next_back(), warm().count() > 1) {
            sides[asked] = Side::Valid;
            parts.valid.case(user, all, |i| sides[i] == Side::Train, |i| i == asked);
        }
        parts.learn(all, &sides);
    }
    let mut split = parts.build();
    split.warm = Some(warm_cases.build());
    split.cold_items = cold;
    split
}

/// Withholds a share of the users with three events or more; they are asked for their last event.
///
/// Their rows are empty in `train` and `refit`. A share of the others is withheld from `train` alone, for validation.
pub(crate) fn cold_users(histories: &Histories, settings: &SplitSettings) -> Split {
    let n = histories.n_users();
    let enough = |&u: &usize| histories.row(u).len() >= FEWEST;
    let test = choose((0..n).filter(enough).collect(), n, settings, "split-cold-users");
    let rest = (0..n).filter(enough).filter(|&u| !test[u]).collect();
    let valid = choose(rest, n, settings, "split-cold-users-valid");
    let mut parts = Builder::default();
    for (user, all) in histories.iter().enumerate() {
        let side = match user {
            _ if test[user] => Side::Nowhere,
            _ if valid[user] => Side::Valid,
            _ => Side::Train,
        };
        parts.learn(all, &vec![side; all.len()]);
        let cases = match side {
            Side::Nowhere => &mut parts.test,
            Side::Valid => &mut parts.valid,
            Side::Train | Side::Test => continue,
        };
        cases.case(user, all, |i| i + 1 < all.len(), |i| i + 1 == all.len());
    }
    parts.build()
}

/// Draws `share` of the candidates, at least one and not all, as a mask over `0..n`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count is a smaller count"
)]
fn choose(mut candidates: Vec<usize>, n: usize, settings: &SplitSettings, name: &str) -> Vec<bool> {
    let mut chosen = vec![false; n];
    let wanted = (candidates.len() as f64 * settings.share).round() as usize;
    let count = wanted.max(1).min(candidates.len().saturating_sub(1));
    let mut rng = seed::stream(settings.seed, name);
    for &i in candidates.partial_shuffle(&mut rng, count).0.iter() {
        chosen[i] = true;
    }
    chosen
}
