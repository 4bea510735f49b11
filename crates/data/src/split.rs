//! Split: what is learnt from, and what is held back to be guessed.
//!
//! Every kind keeps these rules: an event is never both learnt from and asked for; no history holds an event
//! that is asked for; `refit` is `train` plus the validation events.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, Histories, HistoriesBuilder, History, UserId};

use crate::{Error, intern, splits};

/// Names the ways to split.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// The last event of every user is the test, the one before the validation.
    #[default]
    LeaveOneOut,
    /// One point in time for all: what comes after is the test.
    Time,
    /// The last share of every user's events.
    Ratio,
    /// A random share of every user's events.
    Random,
    /// A share of items is withheld altogether.
    ColdItems,
    /// A share of users is withheld altogether.
    ColdUsers,
}

impl SplitKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::LeaveOneOut,
        Self::Time,
        Self::Ratio,
        Self::Random,
        Self::ColdItems,
        Self::ColdUsers,
    ];

    /// Returns the name used in settings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaveOneOut => "leave-one-out",
            Self::Time => "time",
            Self::Ratio => "ratio",
            Self::Random => "random",
            Self::ColdItems => "cold-items",
            Self::ColdUsers => "cold-users",
        }
    }

    /// Returns the share withheld when none is given.
    pub const fn default_share(self) -> f64 {
        match self {
            Self::ColdItems | Self::ColdUsers => 0.15,
            Self::LeaveOneOut | Self::Time | Self::Ratio | Self::Random => 0.2,
        }
    }
}

impl fmt::Display for SplitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SplitKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name);
            Error::Unknown {
                what: "split",
                given: name.into(),
                nearest: intern::nearest(name, known).map(Into::into),
                known: known.to_vec(),
            }
        })
    }
}

/// Chooses a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
pub struct SplitSettings {
    /// The way to split.
    pub kind: SplitKind,
    /// Share of events, items or users that is the test; the validation gets the same share of the rest.
    pub share: f64,
    /// Root of the random choice, where there is one.
    pub seed: u64,
}

/// Settings as they are written: a share left out is the kind's own.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename = "SplitSettings")]
struct Written {
    /// The way to split.
    kind: SplitKind,
    /// Share of events, items or users that is the test; left out: 0.15 for cold items and users, 0.2 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    /// Root of the random choice, where there is one.
    seed: u64,
}

impl Default for Written {
    fn default() -> Self {
        SplitSettings::default().into()
    }
}

impl From<Written> for SplitSettings {
    fn from(written: Written) -> Self {
        let share = written.share.unwrap_or(written.kind.default_share());
        Self { kind: written.kind, share, seed: written.seed }
    }
}

impl From<SplitSettings> for Written {
    fn from(settings: SplitSettings) -> Self {
        let usual = settings.share.to_bits() == settings.kind.default_share().to_bits();
        Self { kind: settings.kind, share: (!usual).then_some(settings.share), seed: settings.seed }
    }
}

impl Default for SplitSettings {
    fn default() -> Self {
        Self::new(SplitKind::default())
    }
}

impl SplitSettings {
    /// Chooses a kind with its usual share.
    pub const fn new(kind: SplitKind) -> Self {
        Self { kind, share: kind.default_share(), seed: 0 }
    }

    /// Lists every impossible value; empty when all is well.
    pub fn faults(&self) -> Vec<Fault> {
        let holds = self.share > 0.0 && self.share < 1.0;
        let problem = || format!("must lie between 0 and 1, is {}", self.share);
        Fault::unless(holds, "share", problem).into_iter().collect()
    }
}

/// The parts of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What models learn from while settings are searched on `valid`; a row for every user.
    pub train: Histories,
    /// Cases for the search of settings.
    pub valid: Held,
    /// Everything before the test: training and validation events; a row for every user.
    pub refit: Histories,
    /// Cases for the final figures.
    pub test: Held,
    /// Cases whose target is warm, asked under the same conditions (cold items only).
    pub warm: Option<Held>,
    /// One per item; true when it is withheld from training altogether.
    pub cold_items: Vec<bool>,
}

/// Cases: who is asked for, what is known when asked, what should be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// The user of each case.
    pub users: Vec<UserId>,
    /// What is known when asked; a row per case.
    pub histories: Histories,
    /// What happened then; a row per case, never empty.
    pub targets: Histories,
}

impl Held {
    /// Counts the cases.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Tells whether there are no cases.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// Splits `histories`. Deterministic in its arguments.
pub fn split(
    histories: &Histories,
    n_items: usize,
    settings: &SplitSettings,
) -> Result<Split, Error> {
    if let Some(fault) = settings.faults().into_iter().next() {
        return Err(Error::Setting { field: fault.field, problem: fault.problem });
    }
    let mut parts = match settings.kind {
        SplitKind::LeaveOneOut => splits::last_out(histories),
        SplitKind::Time => splits::by_time(histories, settings.share),
        SplitKind::Ratio => splits::last_share(histories, settings.share),
        SplitKind::Random => splits::random_share(histories, settings),
        SplitKind::ColdItems => splits::cold_items(histories, n_items, settings),
        SplitKind::ColdUsers => splits::cold_users(histories, settings),
    };
    parts.cold_items.resize(n_items, false);
    if parts.test.is_empty() {
        let why = match settings.kind {
            SplitKind::Time => {
                "too few users act both before and after the cut: import real timestamps, or use another split"
            }
            SplitKind::ColdItems => {
                "no user's last event is a withheld item: raise the share, or import more events"
            }
            _ => "no user has three events: import more events",
        };
        return Err(Error::NothingToTest { kind: settings.kind.name(), why });
    }
    Ok(parts)
}

/// Where an event of a user goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Train,
    Valid,
    Test,
    /// Into no part.
    Nowhere,
}

/// Collects the parts of a split user by user.
#[derive(Default)]
pub(crate) struct Builder {
    train: HistoriesBuilder,
    refit: HistoriesBuilder,
    pub(crate) valid: HeldBuilder,
    pub(crate) test: HeldBuilder,
}

/// Collects cases.
#[derive(Default)]
pub(crate) struct HeldBuilder {
    users: Vec<UserId>,
    histories: HistoriesBuilder,
    targets: HistoriesBuilder,
}

impl HeldBuilder {
    /// Adds a case of the events for which `known` and `asked` hold, unless nothing is known or nothing asked.
    pub(crate) fn case(
        &mut self,
        user: usize,
        all: History<'_>,
        known: impl Fn(usize) -> bool,
        asked: impl Fn(usize) -> bool,
    ) {
        if (0..all.len()).any(&known) && (0..all.len()).any(&asked) {
            self.users.push(UserId::from_index(user));
            push(&mut self.histories, all, known);
            push(&mut self.targets, all, asked);
        }
    }

    pub(crate) fn build(self) -> Held {
        let (histories, targets) = (self.histories.build(), self.targets.build());
        Held { users: self.users, histories, targets }
    }
}

impl Builder {
    /// Adds a user's events to the parts they learn from, without any case.
    pub(crate) fn learn(&mut self, all: History<'_>, sides: &[Side]) {
        push(&mut self.train, all, |i| sides[i] == Side::Train);
        push(&mut self.refit, all, |i| matches!(sides[i], Side::Train | Side::Valid));
    }

    /// Adds a user whose events lie on `sides`, with the cases that follow from them.
    pub(crate) fn user(&mut self, user: usize, all: History<'_>, sides: &[Side]) {
        self.learn(all, sides);
        let train = |i: usize| sides[i] == Side::Train;
        self.valid.case(user, all, train, |i| sides[i] == Side::Valid);
        let before = |i: usize| matches!(sides[i], Side::Train | Side::Valid);
        self.test.case(user, all, before, |i| sides[i] == Side::Test);
    }

    pub(crate) fn build(self) -> Split {
        Split {
            train: self.train.build(),
            valid: self.valid.build(),
            refit: self.refit.build(),
            test: self.test.build(),
            warm: None,
            cold_items: Vec::new(),
        }
    }
}

fn push(rows: &mut HistoriesBuilder, all: History<'_>, keep: impl Fn(usize) -> bool) {
    for i in (0..all.len()).filter(|&i| keep(i)) {
        rows.push(all.items[i], all.values[i], all.times[i]);
    }
    rows.end_user();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_left_out_is_the_kinds_own() {
        let read = |json: &str| serde_json::from_str::<SplitSettings>(json);
        assert_eq!(
            read(r#"{"kind": "cold-items"}"#).unwrap(),
            SplitSettings::new(SplitKind::ColdItems)
        );
        let own = SplitSettings { kind: SplitKind::Ratio, share: 0.3, seed: 7 };
        assert_eq!(read(&serde_json::to_string(&own).unwrap()).unwrap(), own);
        assert_eq!(
            serde_json::to_string(&SplitSettings::default()).unwrap(),
            r#"{"kind":"leave-one-out","seed":0}"#
        );
        assert!(read(r#"{"kinds": "time"}"#).unwrap_err().to_string().contains("kinds"));
    }

    #[test]
    fn impossible_shares_and_unknown_kinds_are_refused() {
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(SplitSettings { share, ..Default::default() }.faults().len(), 1);
        }
        assert_eq!("cold-users".parse::<SplitKind>().unwrap(), SplitKind::ColdUsers);
        let error = "cold-item".parse::<SplitKind>().unwrap_err().to_string();
        assert!(error.contains("did you mean `cold-items`"), "{error}");
    }
}
