//! The fused model keeps every promise of a single one, whatever it is made of. It is tested here, on the first floor that
//! knows both the fusion and models that can be fitted.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::sync::Arc;

use tastemaker_core::{Checked, Fit, HistoriesBuilder, Recommender};
use tastemaker_models::{EaseSettings, MarkovSettings, TextKnnSettings};
use tastemaker_pipeline::{Bucket, Cold, Fused, Gate, Normalise, Part};
use tastemaker_testkit::{World, contract};

type Model = Arc<dyn Recommender>;

fn part<S: Fit>(name: &str, settings: S, world: &World) -> Part<Model>
where
    S::Model: 'static,
{
    let model = Checked::new(settings).unwrap().fit(&world.data()).unwrap();
    Part { name: name.into(), model: Arc::new(model), reads_text: name == "text-knn" }
}

/// Short histories lean on the first part, long ones on the second.
fn gate() -> Gate {
    let bucket = |up_to, weights: [f32; 2]| Bucket { up_to, weights: weights.to_vec() };
    Gate::new(vec![bucket(Some(4), [0.8, 0.2]), bucket(None, [0.3, 0.7])]).unwrap()
}

const SCALES: [Normalise; 3] = [Normalise::ZScore, Normalise::LogZScore, Normalise::Rank];

#[test]
fn two_models_of_behaviour_together_answer_as_one_model_does() {
    for scale in SCALES {
        contract::answers(|world| {
            let markov = part("markov", MarkovSettings::default(), world);
            let ease = part("ease", EaseSettings::default(), world);
            Fused::new(vec![markov, ease], world.n_items, scale, gate(), Cold::default()).unwrap()
        });
    }
}

#[test]
fn items_that_borrow_their_scores_change_none_of_the_promises() {
    for scale in SCALES {
        contract::answers(|world| {
            let markov = part("markov", MarkovSettings::default(), world);
            let text = part("text-knn", TextKnnSettings::default(), world);
            let warm: Vec<bool> = (0..world.n_items).map(|item| item % 3 != 1).collect();
            let cold = Cold::new(&world.vectors, &warm, 2, 0.85);
            Fused::new(vec![markov, text], world.n_items, scale, gate(), cold).unwrap()
        });
    }
}

#[test]
fn a_part_that_knows_fewer_items_changes_none_of_the_promises() {
    contract::answers(|world| {
        let n_items = world.n_items.div_ceil(2);
        let mut known = HistoriesBuilder::default();
        for row in world.histories.iter() {
            for (i, &item) in row.items.iter().enumerate().filter(|(_, i)| i.index() < n_items) {
                known.push(item, row.values[i], row.times[i]);
            }
            known.end_user();
        }
        let mut small = world.clone();
        (small.histories, small.n_items) = (known.build(), n_items);
        let markov = part("markov", MarkovSettings::default(), &small);
        let ease = part("ease", EaseSettings::default(), world);
        let parts = vec![markov, ease];
        Fused::new(parts, world.n_items, Normalise::ZScore, gate(), Cold::default()).unwrap()
    });
}
