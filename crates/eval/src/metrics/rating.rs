//! How far predicted ratings are from given ones: RMSE and MAE.

use serde::Serialize;
use tastemaker_core::Rate;

use crate::{Cases, Error, Settings, Stat, significance::resampled_sums};

/// Errors of predicted ratings. The headline numbers pool all ratings, as published figures do; per user beside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratings {
    /// Root of the mean squared error over all ratings, with its interval over users.
    pub rmse: Stat,
    /// Mean absolute error over all ratings, with its interval over users.
    pub mae: Stat,
    /// Ratings predicted.
    pub n_ratings: usize,
    /// Root of the mean squared error of each user.
    pub rmse_per_user: Vec<f64>,
    /// Mean absolute error of each user.
    pub mae_per_user: Vec<f64>,
}

/// Predicts every target's rating and measures the errors.
pub fn ratings(model: &dyn Rate, cases: &Cases<'_>, settings: &Settings) -> Result<Ratings, Error> {
    cases.check(usize::MAX)?;
    let (mut squares, mut sizes, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (user, targets) in cases.users.iter().zip(cases.targets.iter()) {
        let (mut square, mut size) = (0.0, 0.0);
        for (item, value) in targets.items.iter().zip(targets.values) {
            let predicted = model.rate(Some(*user), *item);
            if !predicted.is_finite() {
                let item = item.index();
                return Err(Error::NotFinite { user: user.0, item, score: predicted });
            }
            let error = f64::from(predicted) - f64::from(*value);
            square += error * error;
            size += error.abs();
        }
        squares.push(square);
        sizes.push(size);
        counts.push(targets.len() as f64);
    }
    let n: f64 = counts.iter().sum();
    let sums = resampled_sums(&[&squares, &sizes, &counts], settings.bootstrap, settings.seed);
    let rmse = sums.iter().map(|s| (s[0] / s[2]).sqrt()).collect();
    let mae = sums.iter().map(|s| s[1] / s[2]).collect();
    let per_user = |sums: &[f64]| sums.iter().zip(&counts).map(|(s, n)| s / n).collect::<Vec<_>>();
    Ok(Ratings {
        rmse: Stat::around((squares.iter().sum::<f64>() / n).sqrt(), rmse),
        mae: Stat::around(sizes.iter().sum::<f64>() / n, mae),
        n_ratings: n as usize,
        rmse_per_user: per_user(&squares).into_iter().map(f64::sqrt).collect(),
        mae_per_user: per_user(&sizes),
    })
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{Histories, HistoriesBuilder, ItemId, UserId};

    use super::*;

    struct Three;

    impl Rate for Three {
        fn rate(&self, _user: Option<UserId>, _item: ItemId) -> f32 {
            3.0
        }
    }

    fn rated(values: &[&[f32]]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for user in values {
            user.iter().for_each(|value| builder.push(ItemId(0), *value, 0));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn errors_are_pooled_over_ratings_and_kept_per_user() {
        let (targets, histories) = (rated(&[&[5.0, 3.0, 4.0], &[1.0]]), rated(&[&[], &[]]));
        let cases =
            Cases { users: &[UserId(0), UserId(1)], histories: &histories, targets: &targets };
        let got = ratings(&Three, &cases, &Settings::default()).unwrap();
        // errors -2, 0, -1 | 2
        assert!((got.rmse.mean - (9f64 / 4.0).sqrt()).abs() < 1e-12);
        assert!((got.mae.mean - 5.0 / 4.0).abs() < 1e-12);
        assert!((got.rmse_per_user[0] - (5f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((got.mae_per_user[1] - 2.0).abs() < 1e-12);
        assert!(got.rmse.low <= got.rmse.mean && got.rmse.mean <= got.rmse.high);
    }
}
