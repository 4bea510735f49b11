//! Save and load: the same lists come back, and damaged parts are refused without a panic.

use tastemaker_core::{Persist, Recommender, Saved, TensorData};

use super::recommender::{bits, with_requests};
use crate::World;

pub(super) fn comes_back<M: Recommender + Persist>(world: &World, model: &M) {
    let again = M::load(model.save()).expect("what was saved can be loaded");
    assert_eq!(again.n_items(), model.n_items());
    assert_eq!(again.save(), model.save(), "saving again gives the same");
    with_requests(world, |requests| {
        for request in requests {
            let mut rows = [vec![0.0; model.n_items()], vec![0.0; model.n_items()]];
            model.score(request, &mut rows[0]);
            again.score(request, &mut rows[1]);
            assert_eq!(bits(&rows[0]), bits(&rows[1]), "same scores after loading");
            assert_eq!(model.recommend(request, 10), again.recommend(request, 10));
        }
    });
    damage_is_refused::<M>(&model.save());
}

fn damage_is_refused<M: Persist>(saved: &Saved) {
    assert!(M::load(Saved::default()).is_err(), "an empty save is refused");
    for name in saved.tensors.keys() {
        let mut without = saved.clone();
        without.tensors.remove(name);
        assert!(M::load(without).is_err(), "a save without `{name}` is refused");

        let mut shorter = saved.clone();
        let tensor = shorter.tensors.get_mut(name).expect("the name was just listed");
        let cut = match &mut tensor.data {
            TensorData::F32(x) => x.pop().is_some(),
            TensorData::U32(x) => x.pop().is_some(),
            TensorData::I64(x) => x.pop().is_some(),
        };
        assert!(!cut || M::load(shorter).is_err(), "a save with `{name}` cut short is refused");
    }
}
