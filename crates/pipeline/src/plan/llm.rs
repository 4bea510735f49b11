//! A language model that orders the head of a list: for whom it is asked, and how its order is mixed with the one before. The list goes out
//! without it where it fails.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, History, Scored};

/// How a language model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LlmWay {
    /// Not at all.
    #[default]
    Off,
    /// How likely each title is to come next, given the newest titles, beside how likely it is without them. Models of this machine alone.
    Point,
    /// Which of the titles it would choose, place by place; it can choose nothing else.
    List,
}

/// Settings of a language model in the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LlmSettings {
    /// `off`, `point` (by log-probability of each title) or `list` (by constrained choice). The model is named where lists are asked for.
    pub way: LlmWay,
    /// Items at the head that may change places, 2 to 50.
    pub top: usize,
    /// Newest titles of the history that it reads, 0 to 100; 0 = it judges without a history.
    pub history: usize,
    /// What its order counts beside the one before, 0 to 1.
    pub weight: f32,
    /// For `list`: places that it chooses, 1 to 10; those behind keep their order.
    pub places: usize,
    /// Shortest and longest histories for which it is asked: where behaviour is known well, it does harm.
    pub lengths: [usize; 2],
    /// Seconds it may take for one list.
    pub seconds: f64,
}

impl Default for LlmSettings {
    fn default() -> Self {
        Self {
            way: LlmWay::Off,
            top: 20,
            history: 10,
            weight: 0.3,
            places: 3,
            lengths: [1, 20],
            seconds: 5.0,
        }
    }
}

impl LlmSettings {
    /// Lists every impossible value, with the name of its key.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let within = |key: &str, value: usize, [least, most]: [usize; 2]| {
            Fault::unless((least..=most).contains(&value), "llm", || {
                format!("{key} must be {least} to {most}, is {value}")
            })
        };
        [
            within("top", self.top, [2, 50]),
            within("history", self.history, [0, 100]),
            within("places", self.places, [1, 10]),
            Fault::unless((0.0..=1.0).contains(&self.weight), "llm", || {
                format!("weight must be 0 to 1, is {}", self.weight)
            }),
            Fault::unless(self.lengths[0] <= self.lengths[1], "llm", || {
                format!("lengths must rise, are {:?}", self.lengths)
            }),
            Fault::unless(self.seconds > 0.0 && self.seconds <= 3600.0, "llm", || {
                format!("seconds must be above 0, up to 3600, is {}", self.seconds)
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Tells whether it is asked for a history of this length.
    pub(super) fn is_asked(&self, length: usize) -> bool {
        self.way != LlmWay::Off && (self.lengths[0]..=self.lengths[1]).contains(&length)
    }
}

/// Orders the head of a list; a language model behind it.
pub trait Arbiter: Send + Sync + Debug {
    /// Returns the places of `head`, best first, or says why it cannot.
    fn order(
        &self,
        settings: &LlmSettings,
        history: History<'_>,
        head: &[Scored],
    ) -> Result<Vec<usize>, String>;
}

/// Orders the head of a list by its places and by the arbiter's; says why it stays as it is where it does.
pub(super) fn reorder(
    arbiter: Option<&dyn Arbiter>,
    settings: &LlmSettings,
    history: History<'_>,
    list: &mut [Scored],
) -> Result<(), String> {
    let n = settings.top.min(list.len());
    let arbiter = arbiter.ok_or("no language model is at hand: name one (--chat-model)")?;
    let head = list[..n].to_vec();
    let order = arbiter.order(settings, history, &head)?;
    let mut placed = vec![usize::MAX; n];
    for (place, &at) in order.iter().enumerate() {
        match placed.get_mut(at) {
            Some(known) if *known == usize::MAX => *known = place,
            _ => return Err("it named an item that is not there".into()),
        }
    }
    if order.len() != n {
        return Err("it left items out".into());
    }
    let value = |at: usize| {
        let (own, other) = (at as f32, placed[at] as f32);
        (1.0 - settings.weight) * own + settings.weight * other
    };
    let mut places: Vec<usize> = (0..n).collect();
    places.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    for (place, from) in places.into_iter().enumerate() {
        list[place] = head[from];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tastemaker_core::ItemId;

    use super::*;

    #[derive(Debug)]
    struct Says(Result<Vec<usize>, String>);

    impl Arbiter for Says {
        fn order(
            &self,
            _: &LlmSettings,
            _: History<'_>,
            _: &[Scored],
        ) -> Result<Vec<usize>, String> {
            self.0.clone()
        }
    }

    fn ordered(says: Result<Vec<usize>, String>, weight: f32) -> Result<Vec<u32>, String> {
        let settings = LlmSettings { top: 3, weight, ..LlmSettings::default() };
        let mut list: Vec<Scored> =
            (0..4).map(|item| Scored { item: ItemId(item), score: 4.0 - item as f32 }).collect();
        let done = reorder(Some(&Says(says)), &settings, History::default(), &mut list);
        let items: Vec<u32> = list.iter().map(|scored| scored.item.0).collect();
        assert!(done.is_ok() || items == [0, 1, 2, 3], "a list that fails stays as it is");
        done.map(|()| items)
    }

    #[test]
    fn the_arbiters_order_counts_by_its_weight() {
        assert_eq!(ordered(Ok(vec![2, 1, 0]), 1.0).unwrap(), [2, 1, 0, 3]);
        assert_eq!(ordered(Ok(vec![2, 1, 0]), 0.0).unwrap(), [0, 1, 2, 3]);
        // Of item 2: .6 · 2 + .4 · 0 = 1.2; of 0: .4 · 1 = .4; of 1: .6 + .8 = 1.4.
        assert_eq!(ordered(Ok(vec![2, 0, 1]), 0.4).unwrap(), [0, 2, 1, 3]);
    }

    #[test]
    fn an_order_that_is_none_is_refused() {
        for says in [Ok(vec![0, 1]), Ok(vec![0, 0, 1]), Ok(vec![0, 1, 7]), Err("late".into())] {
            assert!(ordered(says, 1.0).is_err());
        }
        let settings = LlmSettings::default();
        assert!(
            reorder(None, &settings, History::default(), &mut [])
                .unwrap_err()
                .contains("--chat-model")
        );
    }
}
