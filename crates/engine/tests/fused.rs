//! The fused model keeps every promise of a single one, whatever it is made of. It is tested here, on the first floor that
//! knows both the fusion and models that can be fitted.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::sync::Arc;

use serde_json::json;
use tastemaker_core::{Checked, Fit, HistoriesBuilder, Recommender};
use tastemaker_models::{EaseSettings, MarkovSettings, TextKnnSettings};
use tastemaker_pipeline::{
    Bucket, Cold, Fused, Gate, ItemFacts, Normalise, Part, Reorder, features,
};
use tastemaker_testkit::{World, contract};

type Model = Arc<dyn Recommender>;

fn part<S: Fit>(name: &str, settings: S, world: &World) -> Part<Model>
where
    S::Model: 'static,
{
    let model = Checked::new(settings).unwrap().fit(&world.data()).unwrap();
    Part {
        name: name.into(),
        model: Arc::new(model),
        reads_text: name == "text-knn",
        ignores_order: false,
    }
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

/// Trees that turn the head of a list by popularity and by places, as if they had been grown.
fn reorder(names: &[(&str, bool)], facts: ItemFacts) -> Reorder {
    let names = features(names, &facts);
    let place = |name: &str| names.iter().position(|other| other == name).unwrap();
    let fork = |name: &str, threshold: f32, next: [i32; 2]| json!({ "feature": place(name), "threshold": threshold, "next": next });
    let forks = [
        fork("popularity", 1.5, [1, !0]),
        fork("ease by the newest 3: place", 0.9, [!1, !2]),
        fork("text: nearest event", 0.4, [!0, !1]),
    ];
    let forest = json!({
        "features": names,
        "start": 0.5,
        "trees": [
            { "forks": forks[..2], "leaves": [0.7, -0.4, 1.1] },
            { "forks": forks[2..], "leaves": [0.2, -0.9] },
        ],
        "importance": vec![0.0; names.len()],
    });
    let parts = [("markov", false), ("ease", true)];
    Reorder::new(serde_json::from_value(forest).unwrap(), &parts, facts, 5).unwrap()
}

#[test]
fn trees_that_order_the_head_anew_change_none_of_the_promises() {
    contract::answers(|world| {
        let markov = part("markov", MarkovSettings::default(), world);
        let ease = Part { ignores_order: true, ..part("ease", EaseSettings::default(), world) };
        let parts = vec![markov, ease];
        let cold = Cold::default();
        let fused = Fused::new(parts, world.n_items, Normalise::ZScore, gate(), cold).unwrap();
        let counts = world.histories.item_counts(world.n_items);
        let facts = ItemFacts::new(counts, Some(Arc::new(world.vectors.clone())));
        let reorder = reorder(&fused.names(), facts);
        fused.with_reorder(Some(reorder))
    });
}
