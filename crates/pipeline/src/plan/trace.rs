//! How a list came about: where each item came from, where it stood after each stage, how long that took.

use serde::Serialize;
use tastemaker_core::{ItemId, Scored};

/// The way of one list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The variant of the pipeline that was used, if one was.
    pub variant: Option<String>,
    /// What each source brought, best first.
    pub sources: Vec<(String, Vec<Scored>)>,
    /// What there was after each stage, best first.
    pub stages: Vec<Stage>,
    /// For each place of the list, the chance with which its item was shown there; empty without exploration.
    pub chances: Vec<f32>,
    /// What went otherwise than the settings say.
    pub notes: Vec<String>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Seconds it took.
    pub seconds: f64,
    /// What there was after it, best first.
    pub list: Vec<Scored>,
}

/// An item in what a source brought.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The source.
    pub source: String,
    /// Its place there, from 1.
    pub place: usize,
    /// Its score there.
    pub score: f32,
}

/// An item after a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The stage.
    pub stage: &'static str,
    /// Its place after it, from 1; `None` where it was left out.
    pub place: Option<usize>,
    /// Its score after it.
    pub score: Option<f32>,
}

/// The way of one item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passage {
    /// Where it came from.
    pub from: Vec<Found>,
    /// The stages that moved it, brought it or left it out.
    pub steps: Vec<Step>,
}

impl Trace {
    /// Follows one item.
    pub fn passage(&self, item: ItemId) -> Passage {
        let place_in = |list: &[Scored]| list.iter().position(|scored| scored.item == item);
        let mut from = Vec::new();
        for (source, list) in &self.sources {
            from.extend(place_in(list).map(|place| Found {
                source: source.clone(),
                place: place + 1,
                score: list[place].score,
            }));
        }
        let mut steps: Vec<Step> = Vec::new();
        for stage in &self.stages {
            let place = place_in(&stage.list);
            let score = place.map(|place| stage.list[place].score);
            let place = place.map(|place| place + 1);
            let last = steps.last().map(|step| step.place);
            if last != Some(place) && !(last.is_none() && place.is_none()) {
                steps.push(Step { stage: stage.name, place, score });
            }
        }
        Passage { from, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_followed_until_it_is_left_out() {
        let scored = |item, score| Scored { item: ItemId(item), score };
        let stage = |name, list| Stage { name, seconds: 0.0, list };
        let trace = Trace {
            sources: vec![("a".into(), vec![scored(1, 2.0)]), ("b".into(), vec![scored(3, 1.0)])],
            stages: vec![
                stage("score", vec![scored(3, 5.0), scored(1, 4.0)]),
                stage("adjust", vec![scored(3, 5.0), scored(1, 4.0)]),
                stage("rules", vec![scored(1, 4.0)]),
            ],
            ..Trace::default()
        };
        let first = trace.passage(ItemId(1));
        assert_eq!((first.from[0].source.as_str(), first.from[0].place), ("a", 1));
        let steps: Vec<_> = first.steps.iter().map(|step| (step.stage, step.place)).collect();
        assert_eq!(steps, [("score", Some(2)), ("rules", Some(1))]);
        let other = trace.passage(ItemId(3));
        let steps: Vec<_> = other.steps.iter().map(|step| (step.stage, step.place)).collect();
        assert_eq!(steps, [("score", Some(1)), ("rules", None)]);
        assert!(trace.passage(ItemId(9)).steps.is_empty());
    }
}
