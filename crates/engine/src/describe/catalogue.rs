//! The items that have something to say: their texts, and what their tags may be.

use tastemaker_data::{Dataset, Table, Values};
use tastemaker_text::{KeyTerms, Phrased, Template, count_words};

use crate::config::TextSettings;
use crate::texts::{is_title, template, texts};
use crate::{Error, describe::DescribeSettings};

/// Texts of a catalogue, with what makes terms of them.
pub(super) struct Catalogue {
    pub(super) texts: Vec<String>,
    template: Template,
    labels: Vec<Vec<String>>,
    terms: KeyTerms,
}

impl Catalogue {
    /// Makes the texts by the template and counts their terms.
    pub(super) fn read(data: &Dataset, settings: &TextSettings) -> Result<Self, Error> {
        let (template, _) = template(&data.items, settings)?.ok_or(Error::NothingToDescribe)?;
        let texts = texts(&data.items, &template);
        if texts.iter().all(String::is_empty) {
            return Err(Error::NothingToDescribe);
        }
        let labels: Vec<Vec<String>> =
            (0..texts.len()).map(|row| labels(&data.items, &template, row)).collect();
        let phrased: Vec<Phrased<'_>> =
            texts.iter().zip(&labels).map(|(text, phrases)| Phrased { text, phrases }).collect();
        let terms = KeyTerms::fit(&phrased);
        Ok(Self { texts, template, labels, terms })
    }

    /// Returns what an item's text says in sentences: titles and labels stand in columns of their own. All of the text where it has no other.
    pub(super) fn prose(&self, items: &Table, row: usize) -> String {
        let prose = self.template.render(|field| {
            let column = items.column(field)?;
            let is_prose = matches!(column.values, Values::Text(_)) && !is_title(column);
            is_prose.then(|| column.values.render(row))?
        });
        if count_words(&prose) > 0 { prose } else { self.texts[row].clone() }
    }

    /// Returns what tags of an item may be, the best first.
    pub(super) fn candidates(&self, row: usize, most: usize) -> Vec<String> {
        let text = Phrased { text: &self.texts[row], phrases: &self.labels[row] };
        self.terms.of(text, most).into_iter().map(|(term, _)| term).collect()
    }

    /// Returns the rows that are asked for and have a text, in the order of the catalogue, beside the number of those that have none.
    pub(super) fn wanted(
        &self,
        data: &Dataset,
        settings: &DescribeSettings,
    ) -> Result<(Vec<usize>, usize), Error> {
        let ids = data.items.ids();
        let row = |id: &String| {
            ids.get(id).map(|number| number as usize).ok_or_else(|| Error::UnknownItem {
                id: id.clone(),
                near: ids.nearest(id).map(Into::into),
            })
        };
        let mut rows: Vec<usize> = match settings.items.is_empty() {
            true => (0..self.texts.len()).collect(),
            false => settings.items.iter().map(row).collect::<Result<_, _>>()?,
        };
        rows.sort_unstable();
        rows.dedup();
        let all = rows.len();
        rows.retain(|row| !self.texts[*row].is_empty());
        let without = all - rows.len();
        Ok((rows, without))
    }
}

/// Returns the labels of an item in the columns that its text is made of.
fn labels(items: &Table, template: &Template, row: usize) -> Vec<String> {
    let lists = template.fields().filter_map(|field| match &items.column(field)?.values {
        Values::Categories(lists) => lists.get(row),
        Values::Text(_) | Values::Number(_) => None,
    });
    lists.flatten().cloned().collect()
}
