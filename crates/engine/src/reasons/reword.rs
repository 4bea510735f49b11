//! Reasons in a language model's words, where there is one: under the guard, and under a ceiling of time.

use tastemaker_core::{ItemId, Request, Scored};
use tastemaker_dialog::{self as dialog, Author, Language, Wording};

use super::explain::{Named, Reason, explain};
use crate::chat::{Ceiling, Writer};
use crate::{Engine, Listed};

/// Titles that tell the language of a catalogue.
const TITLES: usize = 1000;

impl Engine {
    /// Lets a language model word reasons and, where the pipeline says so, order lists; `seconds` is what it may take for one request. What
    /// it does not do in time, or does wrongly, is done without it, and that is said.
    #[must_use]
    pub fn with_writer(mut self, writer: Writer, seconds: f64) -> Self {
        self.writer = Some((writer, seconds));
        self.pipeline.reset();
        self
    }

    /// Returns the language that most titles are in.
    pub fn language_of_titles(&self) -> Language {
        let n = self.data().n_items().min(TITLES);
        let of = |item| Language::of(&self.title(ItemId::from_index(item)));
        let chinese = (0..n).filter(|&item| of(item) == Some(Language::Chinese)).count();
        if 2 * chinese > n { Language::Chinese } else { Language::English }
    }

    /// Says why an item is recommended, in the model's words where there is one.
    pub(crate) fn told(&self, request: &Request<'_>, item: ItemId) -> Reason {
        let reason = explain(self, request, item, (self.wording(), &[]));
        match self.writing() {
            Some((writer, ceiling)) => reworded(reason, (writer, &ceiling), self.wording()),
            None => reason,
        }
    }

    /// Adds reasons to a list.
    pub(crate) fn explain_all(
        &self,
        request: &Request<'_>,
        listed: &mut [Listed],
        list: &[Scored],
    ) {
        let items: Vec<ItemId> = list.iter().map(|scored| scored.item).collect();
        let writing = self.writing();
        let writing = writing.as_ref().map(|(writer, ceiling)| (*writer, ceiling));
        let told = self.reasons(request, &items, (self.wording(), &[]), writing);
        for (entry, reason) in listed.iter_mut().zip(told) {
            entry.reason = Some(reason);
        }
    }

    /// Says why items are recommended, in the words of a model where one is handed in.
    pub(crate) fn reasons(
        &self,
        request: &Request<'_>,
        items: &[ItemId],
        (wording, named): (&Wording, Named<'_>),
        writing: Option<(&Writer, &Ceiling)>,
    ) -> Vec<Reason> {
        let say = |item: &ItemId| {
            let reason = explain(self, request, *item, (wording, named));
            match writing {
                Some(writing) => reworded(reason, writing, wording),
                None => reason,
            }
        };
        items.iter().map(say).collect()
    }

    fn writing(&self) -> Option<(&Writer, Ceiling)> {
        self.writer.as_ref().map(|(writer, seconds)| (writer, Ceiling::new(*seconds)))
    }
}

/// Puts a reason into the model's words, as far as the guard lets them through.
fn reworded(reason: Reason, (writer, ceiling): (&Writer, &Ceiling), wording: &Wording) -> Reason {
    let plain = dialog::Reason { text: reason.text.clone(), clauses: reason.clauses.clone() };
    let said = dialog::rephrase(&plain, &reason.evidence, wording, &mut |request| {
        writer.ask(request, ceiling)
    });
    let made_up = said.dropped.len();
    let note = said.failure.or_else(|| {
        (made_up > 0 && said.author == Author::Template)
            .then(|| "the guard let nothing of what the model said through".into())
    });
    Reason {
        text: said.reason.text,
        clauses: said.reason.clauses,
        author: Some(said.author),
        note,
        ..reason
    }
}
