//! Items that came after the training: taken in from their texts, in place or in a copy that can be swapped in.

use std::sync::{Arc, OnceLock};

use tastemaker_core::{ItemId, Scored, Silent, UserId, Vectors, top_k};
use tastemaker_data::Expression;
use tastemaker_pipeline::ItemFacts;

use crate::config::Problem;
use crate::engine::{Answerer, Listed, MAX_N};
use crate::registry::{Kind, Model};
use crate::{Engine, Error, workbench};

/// An item by its id, with its fields.
pub type Newcomer = (String, Vec<(String, String)>);

/// An item to be placed by those who took it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldIn {
    /// Its id.
    pub item_id: String,
    /// Its fields, where it is new.
    pub fields: Vec<(String, String)>,
    /// Ids of users with the values of their events.
    pub takers: Vec<(String, f32)>,
}

impl Engine {
    /// Takes a new item in from its fields alone; it can be recommended at once.
    pub fn add_item(&mut self, id: &str, fields: &[(String, String)]) -> Result<(), Error> {
        self.take(&[(id.to_owned(), fields.to_vec())])
    }

    /// Returns an engine that knows these items too; this one goes on as it is. Fitted models are shared, not copied.
    pub fn grown(&self, items: &[Newcomer]) -> Result<Self, Error> {
        let mut grown = self.copy();
        grown.take(items)?;
        Ok(grown)
    }

    /// Returns an engine that may take items in without this one.
    fn copy(&self) -> Self {
        let mut grown =
            Self::new(self.answerer.clone(), self.data.clone(), self.vectors.clone(), None);
        grown.reader.clone_from(&self.reader);
        grown.writer.clone_from(&self.writer);
        let grown = grown
            .with_wording(self.wording.clone())
            .with_rerank(self.rerank.clone())
            .with_seed(self.seed);
        // The plan is made when it is first asked for, of the grown catalogue.
        grown.pipeline.replace(self.pipeline(), None);
        grown
    }

    /// Tells whether an item can be folded in: the model is iALS, and learnt from nobody who took the item.
    pub fn can_fold_in(&self, id: &str) -> bool {
        let is_untaken =
            |item: ItemId| self.counts.get(item.index()).is_none_or(|count| *count == 0);
        let is_ials =
            matches!(&self.answerer, Answerer::Single(model) if model.kind() == Kind::Ials);
        is_ials && self.known_item(id).is_none_or(is_untaken)
    }

    /// Returns an engine in which these items lie where those who took them have them; this one goes on as it is. Items that were folded
    /// in before get a new place, items that [cannot be](Self::can_fold_in) and takers whom the model does not know are passed over.
    /// The model's vectors are copied once.
    pub fn folded_in(&self, items: &[FoldIn]) -> Result<Self, Error> {
        let mut grown = self.copy();
        for item in items.iter().filter(|item| self.can_fold_in(&item.item_id)) {
            let taker = |(user, value): &(String, f32)| Some((self.known_user(user)?, *value));
            let takers: Vec<(UserId, f32)> = item.takers.iter().filter_map(taker).collect();
            let known = grown.known_item(&item.item_id);
            if known.is_none() {
                // Of an item that nobody took whom the model knows it would know nothing.
                if takers.is_empty() {
                    continue;
                }
                grown.data.add_item(&item.item_id, &item.fields)?;
            }
            let Answerer::Single(model) = &mut grown.answerer else { continue };
            let Model::Ials(model) = Arc::make_mut(model) else { continue };
            match known {
                Some(known) => {
                    model.refold_item(known, &takers);
                }
                None => {
                    model.add_item(&takers);
                }
            }
        }
        let n_items = grown.data.n_items();
        (grown.has_added_items, grown.labels) = (true, OnceLock::new());
        (grown.lexicon, grown.near) = (OnceLock::new(), None);
        grown.pipeline.reset();
        grown.counts.resize(n_items, 0);
        if let Some(vectors) = &mut grown.vectors {
            // Of their texts nothing is known.
            let missing = Vectors::zeros(n_items - vectors.rows().min(n_items), vectors.dim());
            Arc::make_mut(vectors).append(&missing);
        }
        Ok(grown)
    }

    /// Tells whether new items can be taken in, or why not.
    pub fn can_grow(&self) -> Result<(), Error> {
        let unable = |what, instead| Error::Unable { model: self.name().into(), what, instead };
        if !self.models().iter().any(|model| model.kind() == Kind::TextKnn) {
            return Err(unable(
                "take in a new item",
                "train text-knn, or fused with text-knn among its parts",
            ));
        }
        match self.reader() {
            Some(_) => Ok(()),
            None => Err(unable("read a new item", "train with a text encoder")),
        }
    }

    fn take(&mut self, items: &[Newcomer]) -> Result<(), Error> {
        self.can_grow()?;
        let Some(reader) = self.reader.clone() else { return Ok(()) };
        let text = |(_, fields): &Newcomer| {
            reader.template.render(|name: &str| {
                fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            })
        };
        let texts: Vec<String> = items.iter().map(text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = reader.encoder.encode(&texts, &Silent)?.vectors;
        for (id, fields) in items {
            self.data.add_item(id, fields)?;
        }
        (self.has_added_items, self.labels) = (true, OnceLock::new());
        self.lexicon = OnceLock::new();
        self.pipeline.reset();
        self.near = None;
        let mut vectors = self.vectors.as_deref().cloned().unwrap_or_default();
        vectors.append(&encoded);
        let vectors = Arc::new(vectors);
        self.counts.resize(self.data.n_items(), 0);
        match &mut self.answerer {
            Answerer::Single(model) => take_in(Arc::make_mut(model), &encoded)?,
            Answerer::Fused { model, settings } => {
                let reads = |model: &Model| model.kind() == Kind::TextKnn;
                for part in model.parts_mut().iter_mut().filter(|part| reads(&part.model)) {
                    take_in(Arc::make_mut(&mut part.model), &encoded)?;
                }
                let cold = workbench::cold(Some(&vectors), &self.counts, settings);
                let facts = ItemFacts::new(self.counts.clone(), Some(vectors.clone()));
                model.grow(self.data.n_items(), cold, facts);
            }
        }
        self.vectors = Some(vectors);
        Ok(())
    }

    /// Lists items whose texts are like a text, most alike first; `exclude` are left out, and what does not fulfil the expression `only`.
    pub fn like_text(
        &self,
        text: &str,
        (exclude, only): (&[ItemId], Option<&str>),
        n: usize,
    ) -> Result<Vec<Listed>, Error> {
        let unable = || Error::Unable {
            model: self.name().into(),
            what: "read words",
            instead: "train with a text encoder",
        };
        let reader = self.reader().ok_or_else(unable)?;
        let vectors = self.vectors().ok_or_else(unable)?;
        let asked = reader.encoder.encode(&[text], &Silent)?.vectors;
        let mut scores: Vec<f32> = (0..vectors.rows())
            .map(|row| vectors.row(row).iter().zip(asked.row(0)).map(|(x, y)| x * y).sum())
            .collect();
        for item in exclude {
            if let Some(score) = scores.get_mut(item.index()) {
                *score = f32::NEG_INFINITY;
            }
        }
        if let Some(only) = only {
            let fulfil = self.fulfil(only)?;
            for (score, _) in scores.iter_mut().zip(&fulfil).filter(|(_, fulfils)| !**fulfils) {
                *score = f32::NEG_INFINITY;
            }
        }
        let list: Vec<Scored> = top_k(&scores, n.min(MAX_N));
        Ok(self.listed(&list))
    }

    /// Tells for every item whether it fulfils an expression.
    fn fulfil(&self, expression: &str) -> Result<Vec<bool>, Error> {
        let (items, users) = (&self.data().items, &self.data().users);
        let all =
            Expression::new(expression, items, users).and_then(|it| it.all(items, users, None));
        all.map_err(|error| {
            let problem = Problem { key: "filter".into(), what: error.to_string() };
            Error::Pipeline { problems: vec![problem] }
        })
    }
}

fn take_in(model: &mut Model, vectors: &Vectors) -> Result<(), Error> {
    match model {
        Model::TextKnn(model) => {
            model.add_items(vectors).map_err(|source| Error::Fit { model: "text-knn", source })
        }
        _ => Ok(()),
    }
}
