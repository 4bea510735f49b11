//! The only place that knows every model by name: one line a model, one tagged enum, one `match` per question.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_core::{
    Checked, Embed, Evidence, Fault, Fit, ItemId, Persist, Predict, Rate, Recommender, Request,
    Saved, Shape, Similar, TrainData,
};
use tastemaker_models as models;
use tastemaker_neural as neural;

use crate::Error;

/// Says whether a model keeps a further contract.
macro_rules! ability {
    ($model:ident, $wanted:ident, []) => { { let _ = $model; None } };
    ($model:ident, similar, [similar $($rest:ident)*]) => { Some($model as &dyn Similar) };
    ($model:ident, evidence, [evidence $($rest:ident)*]) => { Some($model as &dyn Evidence) };
    ($model:ident, rate, [rate $($rest:ident)*]) => { Some($model as &dyn Rate) };
    ($model:ident, predict, [predict $($rest:ident)*]) => { Some($model as &dyn Predict) };
    ($model:ident, embed, [embed $($rest:ident)*]) => { Some($model as &dyn Embed) };
    ($model:ident, $wanted:ident, [$other:ident $($rest:ident)*]) => { ability!($model, $wanted, [$($rest)*]) };
}

/// Says at compile time whether abilities hold one.
macro_rules! holds {
    ($wanted:ident, []) => { false };
    (predict, [predict $($rest:ident)*]) => { true };
    (rate, [rate $($rest:ident)*]) => { true };
    ($wanted:ident, [$other:ident $($rest:ident)*]) => { holds!($wanted, [$($rest)*]) };
}

macro_rules! registry {
    ($($(#[doc = $about:literal])+ $name:literal $field:ident $home:ident $kind:ident $settings:ident $abilities:tt;)+) => {
        /// Names a model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $about])+ $kind,)+
        }

        impl Kind {
            /// Every model, in the order in which tables show them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Returns the name used on the command line and in files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// Tells whether the fit itself settles some settings on validation events; see [`Fit::SETTLES`].
            pub const fn settles(self) -> bool {
                match self { $(Self::$kind => <$home::$settings as Fit>::SETTLES),+ }
            }

            /// Returns what a search tries of each key; see [`Fit::SPACE`].
            pub const fn space(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$kind => <$home::$settings as Fit>::SPACE),+ }
            }

            /// Tells whether the model reads columns of users and items; see [`Fit::READS_COLUMNS`].
            pub const fn reads_columns(self) -> bool {
                match self { $(Self::$kind => <$home::$settings as Fit>::READS_COLUMNS),+ }
            }

            /// Tells whether the model predicts clicks or ratings.
            pub const fn predicts(self) -> bool {
                match self { $(Self::$kind => holds!(predict, $abilities)),+ }
            }

            /// Tells whether the model predicts ratings whatever its settings say.
            pub const fn rates(self) -> bool {
                match self { $(Self::$kind => holds!(rate, $abilities)),+ }
            }

            /// Says in one line what the model does.
            pub fn about(self) -> &'static str {
                match self { $(Self::$kind => concat!($($about),+).trim()),+ }
            }
        }

        /// Settings of every model.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Models {
            $($(#[doc = $about])+ #[serde(rename = $name)] pub $field: $home::$settings,)+
        }

        impl Models {
            /// Lists every impossible value with the name of its model.
            pub fn faults(&self) -> Vec<(&'static str, Fault)> {
                let mut all = Vec::new();
                $(all.extend(self.$field.faults().into_iter().map(|fault| ($name, fault)));)+
                all
            }

            /// Tells whether a model reads texts with the settings given to it.
            pub fn reads_text(&self, kind: Kind) -> bool {
                match kind { $(Kind::$kind => self.$field.reads_text()),+ }
            }

            /// Tells whether a model reads the tokens of item texts with the settings given to it.
            pub fn reads_tokens(&self, kind: Kind) -> bool {
                match kind { $(Kind::$kind => self.$field.reads_tokens()),+ }
            }

            /// Returns the settings of one model as JSON.
            pub fn of(&self, kind: Kind) -> Value {
                match kind { $(Kind::$kind => plain(&self.$field)),+ }
            }
        }

        /// A fitted model of any kind.
        #[derive(Clone, Debug)]
        pub enum Model {
            $($(#[doc = $about])+ $kind($home::$kind),)+
        }

        impl Model {
            /// Fits a model of this kind with these settings.
            pub fn fit(kind: Kind, settings: &Value, data: &TrainData<'_>) -> Result<Self, Error> {
                match kind {
                    $(Kind::$kind => {
                        let settings: $home::$settings = parse(kind, settings)?;
                        let checked = Checked::new(settings).map_err(|faults| Error::settings(kind.name(), &faults))?;
                        let fitted = checked.fit(data).map_err(|source| Error::Fit { model: $name, source })?;
                        Ok(Self::$kind(fitted))
                    })+
                }
            }

            /// Returns the settings with what the fit settled; see [`Fit::settled`].
            pub fn settled(&self, settings: &Value) -> Result<Value, Error> {
                match self {
                    $(Self::$kind(model) => {
                        let settings: $home::$settings = parse(Kind::$kind, settings)?;
                        Ok(plain(&settings.settled(model)))
                    })+
                }
            }

            /// Lists the settings worth trying on data of this shape, `settings` first.
            pub fn grid(kind: Kind, settings: &Value, shape: &Shape) -> Result<Vec<Value>, Error> {
                match kind {
                    $(Kind::$kind => {
                        let settings: $home::$settings = parse(kind, settings)?;
                        Ok(settings.grid(shape).iter().map(plain).collect())
                    })+
                }
            }

            /// Returns the kind of the model.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind),+ }
            }

            /// Takes the model apart; see [`Persist`].
            pub fn save(&self) -> Saved {
                match self { $(Self::$kind(model) => model.save()),+ }
            }

            /// Puts a model of this kind together; see [`Persist`].
            pub fn load(kind: Kind, saved: Saved) -> Result<Self, Error> {
                match kind {
                    $(Kind::$kind => $home::$kind::load(saved).map(Self::$kind)
                        .map_err(|source| Error::Persist { model: $name, source }),)+
                }
            }

            /// Returns the model as one that finds similar items, if it can.
            pub fn as_similar(&self) -> Option<&dyn Similar> {
                match self { $(Self::$kind(model) => ability!(model, similar, $abilities)),+ }
            }

            /// Returns the model as one that names its evidence, if it can.
            pub fn as_evidence(&self) -> Option<&dyn Evidence> {
                match self { $(Self::$kind(model) => ability!(model, evidence, $abilities)),+ }
            }

            /// Returns the model as one that predicts ratings, if it can.
            pub fn as_rate(&self) -> Option<&dyn Rate> {
                match self { $(Self::$kind(model) => ability!(model, rate, $abilities)),+ }
            }

            /// Returns the model as one that predicts clicks or ratings, if it can.
            pub fn as_predict(&self) -> Option<&dyn Predict> {
                match self { $(Self::$kind(model) => ability!(model, predict, $abilities)),+ }
            }

            /// Returns the model as one whose scores are products of vectors, if they are.
            pub fn as_embed(&self) -> Option<&dyn Embed> {
                match self { $(Self::$kind(model) => ability!(model, embed, $abilities)),+ }
            }

            fn inner(&self) -> &dyn Recommender {
                match self { $(Self::$kind(model) => model),+ }
            }
        }
    };
}

registry! {
    /// What most people take, plain or with old events fading.
    "popularity" popularity models Popularity PopularitySettings [];
    /// What people take right after the last few items (decayed Markov chain).
    "markov" markov models Markov MarkovSettings [similar evidence];
    /// Items taken by the same people (cosine, Pearson, Jaccard, BM25, TF-IDF).
    "item-knn" item_knn models ItemKnn ItemKnnSettings [similar evidence];
    /// What people with a like taste take.
    "user-knn" user_knn models UserKnn UserKnnSettings [];
    /// Linear item-item weights in closed form (EASE).
    "ease" ease models Ease EaseSettings [similar evidence];
    /// Implicit matrix factorisation by alternating least squares (iALS).
    "ials" ials models Ials IalsSettings [similar evidence embed];
    /// Matrix factorisation by Bayesian personalised ranking (BPR).
    "bpr" bpr models Bpr BprSettings [similar embed];
    /// Items that stand near each other in histories (skip-gram with negative sampling, item2vec).
    "item2vec" item2vec models Item2vec Item2vecSettings [similar embed];
    /// Biased matrix factorisation for ratings.
    "mf" mf models Mf MfSettings [similar rate embed];
    /// Items whose texts resemble what the user took; knows items nobody has touched.
    "text-knn" text_knn models TextKnn TextKnnSettings [similar evidence];
    /// What a transformer expects next after the history in order (SASRec).
    "sasrec" sasrec neural Sasrec SasrecSettings [similar embed];
    /// The same with gated blocks (eSASRec).
    "esasrec" esasrec neural Esasrec EsasrecSettings [similar embed];
    /// What a transformer that sees both ways expects behind a mask (BERT4Rec).
    "bert4rec" bert4rec neural Bert4rec Bert4recSettings [similar embed];
    /// What a gated recurrent network expects next (GRU4Rec).
    "gru4rec" gru4rec neural Gru4rec Gru4recSettings [similar embed];
    /// What a long short-term memory expects next.
    "lstm" lstm neural LstmRec LstmSettings [similar embed];
    /// What convolutions over the last few items expect next (Caser).
    "caser" caser neural Caser CaserSettings [similar embed];
    /// What hidden layers over the last few items expect next.
    "next-mlp" next_mlp neural NextMlp NextMlpSettings [similar embed];
    /// Vectors of users and items passed on along the graph of who took what (LightGCN).
    "lightgcn" lightgcn neural LightGcn LightGcnSettings [similar evidence embed];
    /// A vector of the user against one of the item, each of ids, columns, texts and history (two-tower retrieval).
    "two-tower" two_tower neural TwoTower TwoTowerSettings [similar embed];
    /// Probability of a click or a rating from first-order weights of ids, columns, texts and history (logistic regression).
    "linear" linear neural LinearRanker LinearSettings [predict];
    /// The same from a multi-layer perceptron (DNN).
    "dnn" dnn neural DnnRanker DnnSettings [predict];
    /// The same from products of pairs (factorisation machine).
    "fm" fm neural FmRanker FmSettings [predict];
    /// The same from a factorisation machine and a perceptron together.
    "deepfm" deepfm neural DeepFmRanker DeepFmSettings [predict];
    /// The same from cross layers and a perceptron (DCN-v2).
    "dcn" dcn neural DcnRanker DcnSettings [predict];
    /// The same from `deepfm` with convolutions over the tokens of item texts.
    "text-cnn" text_cnn neural TextCnnRanker TextCnnSettings [predict];
}

/// The name of the fused model, which is made of the others.
pub const FUSED: &str = "fused";

fn parse<S: serde::de::DeserializeOwned>(kind: Kind, settings: &Value) -> Result<S, Error> {
    serde_json::from_value(settings.clone()).map_err(|source| Error::Settings {
        model: kind.name().into(),
        problems: vec![source.to_string()],
    })
}

/// Writes settings as people do: through text, so that an `f32` of 0.7 stays 0.7 and is not widened.
pub(crate) fn plain(settings: &impl Serialize) -> Value {
    serde_json::to_string(settings).and_then(|text| serde_json::from_str(&text)).unwrap_or_default()
}

impl Kind {
    /// Finds a model by name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Recommender for Model {
    fn n_items(&self) -> usize {
        self.inner().n_items()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.inner().score(request, scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        self.inner().score_batch(requests, scores);
    }

    fn score_items(&self, request: &Request<'_>, items: &[ItemId], scores: &mut [f32]) {
        self.inner().score_items(request, items, scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_found_by_its_name_and_has_settings() {
        let models = Models::default();
        for &kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert!(models.of(kind).is_object(), "{}", kind.name());
            assert!(!kind.about().is_empty());
        }
        assert!(models.faults().is_empty());
        assert_eq!(Kind::named("nonsense"), None);
    }
}
