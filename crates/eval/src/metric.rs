//! Metric: a number per user first, the mean after; and the one name each metric has, whatever others call it.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use tastemaker_core::{ItemId, Scored};

use crate::Error;

/// What one user's ranking looks like to a metric.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// Positions of the targets from 0, best first; infinite where a target was no candidate.
    ///
    /// Ties count half: a position is the mean over all orders of equally scored items.
    pub ranks: &'a [f64],
    /// Candidates, targets among them.
    pub n_candidates: usize,
    /// The items shown, best first.
    pub list: &'a [Scored],
    /// What the user took before.
    pub history: &'a [ItemId],
}

/// Judges one user's ranking.
pub trait Metric: Send + Sync {
    /// Returns its canonical name.
    fn name(&self) -> Name;

    /// Returns this user's number; finite, whatever the ranking.
    fn of(&self, ranked: &Ranked<'_>) -> f64;
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Share of users with a target in the list.
    Hit,
    /// Share of a user's targets in the list.
    Recall,
    /// Share of the list that are targets.
    Precision,
    /// Normalised discounted cumulative gain.
    Ndcg,
    /// Mean average precision.
    Map,
    /// Mean reciprocal rank of the first target.
    Mrr,
    /// Chance that a target is ranked above another candidate.
    Auc,
    /// Root of the mean squared error of ratings.
    Rmse,
    /// Mean absolute error of ratings.
    Mae,
    /// Share of the catalogue that is in anybody's list.
    Coverage,
    /// Inequality of exposure among items: 0 all equal, 1 one item alone.
    Gini,
    /// Mean self-information of the items shown, in bits.
    Novelty,
    /// One minus the mean cosine between the texts of a list's items.
    Diversity,
    /// How far the mixture of labels in the list lies from that of what the user took: their divergence, in nats.
    Miscalibration,
    /// Mean popularity percentile of the items shown: 1 the most popular.
    Popularity,
    /// Mean training events of the items shown.
    Arp,
}

/// Whether a metric is cut at a list length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Needed,
    Optional,
    None,
}

/// Kind, canonical word, cut, and other people's words (`RecBole`, `trec_eval`, `ranx`, `ir_measures`).
const WORDS: &[(Kind, &str, Cut, &[&str])] = &[
    (Kind::Hit, "hit", Cut::Needed, &["hr", "hits", "hit_rate", "hitrate", "hit_ratio", "success"]),
    (Kind::Recall, "recall", Cut::Needed, &["r"]),
    (Kind::Precision, "precision", Cut::Needed, &["p", "prec"]),
    (Kind::Ndcg, "ndcg", Cut::Optional, &[]),
    (Kind::Map, "map", Cut::Optional, &["ap", "mean_average_precision"]),
    (Kind::Mrr, "mrr", Cut::Optional, &["rr", "recip_rank", "reciprocal_rank"]),
    (Kind::Auc, "auc", Cut::None, &["gauc"]),
    (Kind::Rmse, "rmse", Cut::None, &[]),
    (Kind::Mae, "mae", Cut::None, &[]),
    (
        Kind::Coverage,
        "coverage",
        Cut::Needed,
        &["itemcoverage", "item_coverage", "catalog_coverage"],
    ),
    (Kind::Gini, "gini", Cut::Needed, &["giniindex", "gini_index"]),
    (Kind::Novelty, "novelty", Cut::Needed, &["self_information"]),
    (Kind::Diversity, "diversity", Cut::Needed, &["ild", "intra_list_diversity"]),
    (Kind::Miscalibration, "miscalibration", Cut::Needed, &["ckl", "calibration_kl"]),
    (Kind::Popularity, "popularity", Cut::Needed, &["popularity_percentile"]),
    (Kind::Arp, "arp", Cut::Needed, &["averagepopularity", "average_popularity"]),
];

impl Kind {
    fn row(self) -> (&'static str, Cut) {
        WORDS
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map(|(_, word, cut, _)| (*word, *cut))
            .expect("every kind has its row in the table of words")
    }

    /// Tells whether a larger number is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(
            self,
            Self::Rmse
                | Self::Mae
                | Self::Gini
                | Self::Miscalibration
                | Self::Popularity
                | Self::Arp
        )
    }
}

/// Canonical name of a metric, `ndcg@10`; parses other programs' names too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What is measured.
    pub kind: Kind,
    /// In lists of this length; `None` for the whole ranking.
    pub at: Option<usize>,
}

impl Name {
    /// Names `kind` cut at `k`.
    pub const fn at(kind: Kind, k: usize) -> Self {
        Self { kind, at: Some(k) }
    }

    /// Names `kind` over the whole ranking.
    pub const fn whole(kind: Kind) -> Self {
        Self { kind, at: None }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, _) = self.kind.row();
        match self.at {
            Some(k) => write!(f, "{word}@{k}"),
            None => f.write_str(word),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        let lower = given.trim().to_lowercase().replace([' ', '-'], "_");
        let (stem, at) = split(&lower);
        let word =
            WORDS.iter().find(|(_, word, _, others)| *word == stem || others.contains(&stem));
        match (word, at) {
            (Some((kind, _, Cut::Needed | Cut::Optional, _)), Cutoff::At(k)) => {
                Ok(Self::at(*kind, k))
            }
            (Some((kind, _, Cut::None | Cut::Optional, _)), Cutoff::Absent) => {
                Ok(Self::whole(*kind))
            }
            _ => Err(Error::UnknownMetric { given: given.to_owned(), nearest: nearest(stem, at) }),
        }
    }
}

#[derive(Clone, Copy)]
enum Cutoff {
    Absent,
    At(usize),
    Wrong,
}

/// Splits `ndcg@10`, `ndcg_cut_10`, `ndcg_cut.10` or `recall_100` into word and cutoff.
fn split(name: &str) -> (&str, Cutoff) {
    let parsed = |digits: &str| match digits.parse() {
        Ok(k) if k > 0 => Cutoff::At(k),
        _ => Cutoff::Wrong,
    };
    if let Some((stem, digits)) = name.split_once('@') {
        return (stem.trim_end_matches('_'), parsed(digits));
    }
    match name.rsplit_once(['_', '.']) {
        Some((stem, digits))
            if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() =>
        {
            (stem.strip_suffix("_cut").unwrap_or(stem), parsed(digits))
        }
        _ => (name, Cutoff::Absent),
    }
}

/// Returns the valid name closest to a wrong one.
fn nearest(stem: &str, at: Cutoff) -> String {
    let closeness = |word: &&str| strsim::jaro_winkler(stem, word);
    let best = WORDS.iter().rev().max_by(|a, b| {
        let of = |row: &(Kind, &'static str, Cut, &'static [&'static str])| {
            std::iter::once(&row.1).chain(row.3).map(closeness).fold(0.0, f64::max)
        };
        of(a).total_cmp(&of(b))
    });
    let (kind, _, cut, _) = best.unwrap_or(&WORDS[0]);
    match (cut, at) {
        (Cut::None, _) | (Cut::Optional, Cutoff::Absent) => Name::whole(*kind).to_string(),
        (_, Cutoff::At(k)) => Name::at(*kind, k).to_string(),
        _ => Name::at(*kind, 10).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str) -> String {
        name.parse::<Name>().unwrap().to_string()
    }

    #[test]
    fn other_programs_names_mean_the_canonical_ones() {
        for (theirs, ours) in [
            ("NDCG@10", "ndcg@10"),
            ("Hit@10", "hit@10"),
            ("HR@5", "hit@5"),
            ("hit_rate@10", "hit@10"),
            ("ndcg_cut_10", "ndcg@10"),
            ("ndcg_cut.20", "ndcg@20"),
            ("map_cut_30", "map@30"),
            ("recip_rank", "mrr"),
            ("RR@10", "mrr@10"),
            ("map", "map"),
            ("P_10", "precision@10"),
            ("recall_100", "recall@100"),
            ("success_1", "hit@1"),
            ("GAUC", "auc"),
            ("ItemCoverage@10", "coverage@10"),
            ("AveragePopularity@10", "arp@10"),
            ("GiniIndex@10", "gini@10"),
            ("RMSE", "rmse"),
        ] {
            assert_eq!(canonical(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn every_canonical_name_means_itself() {
        for (kind, _, cut, _) in WORDS {
            let name = if *cut == Cut::None { Name::whole(*kind) } else { Name::at(*kind, 7) };
            assert_eq!(canonical(&name.to_string()), name.to_string());
        }
    }

    #[test]
    fn an_unknown_metric_is_answered_with_the_nearest_valid_one() {
        for (wrong, near) in [
            ("ndgc@10", "ndcg@10"),
            ("hit", "hit@10"),
            ("auc@5", "auc"),
            ("ndcg@0", "ndcg@10"),
            ("ndcg@ten", "ndcg@10"),
            ("precison_5", "precision@5"),
            ("", "hit@10"),
        ] {
            let message = wrong.parse::<Name>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{near}`")), "{wrong}: {message}");
        }
    }
}
