//! How much variety lists have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

/// How the items of a list are made to differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variety {
    /// They are not: the best score comes first.
    #[default]
    Off,
    /// Maximal marginal relevance (Carbonell and Goldstein 1998): each item is weighed against the one it is most like.
    Mmr,
    /// The most probable set of a determinantal point process (Chen et al. 2018): each item against all before it.
    Dpp,
}

/// Settings of the order in which a list is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RerankSettings {
    /// `off`, `mmr` or `dpp`. Items are compared by their texts, so there must be some.
    pub variety: Variety,
    /// How much variety counts beside the score: 0 nothing, 1 nothing else.
    pub strength: f32,
    /// How much it counts that the labels of a list are mixed as in what the user took (Steck 2018): 0 nothing, 1 nothing else. Not for
    /// `variety = "dpp"`.
    pub calibration: f32,
    /// The column of labels; left out: the first column of categories.
    pub labels: Option<String>,
    /// Items at the head that may change places, 2 to 1000.
    pub depth: usize,
    /// Places that are filled with variety, 1 to 1000; items behind them keep their order.
    pub length: usize,
}

impl Default for RerankSettings {
    fn default() -> Self {
        Self {
            variety: Variety::Off,
            strength: 0.3,
            calibration: 0.0,
            labels: None,
            depth: 100,
            length: 50,
        }
    }
}

impl RerankSettings {
    /// Tells whether lists stay as they are.
    pub fn is_off(&self) -> bool {
        self.variety == Variety::Off && self.calibration <= 0.0
    }

    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let within = |field, value: usize, least: usize| {
            Fault::unless((least..=1000).contains(&value), field, || {
                format!("must be {least} to 1000, is {value}")
            })
        };
        [
            Fault::unless((0.0..=1.0).contains(&self.strength), "strength", || {
                format!("must be 0 to 1, is {}", self.strength)
            }),
            Fault::unless((0.0..=1.0).contains(&self.calibration), "calibration", || {
                format!("must be 0 to 1, is {}", self.calibration)
            }),
            Fault::unless(
                self.variety != Variety::Dpp || self.calibration <= 0.0,
                "calibration",
                || "does not go with `variety = \"dpp\"`: take mmr, or off".into(),
            ),
            within("depth", self.depth, 2),
            within("length", self.length, 1),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
