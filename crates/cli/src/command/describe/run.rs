//! From the arguments of `describe` to files, and words about them.

use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::describe::{DescribeReport, DescribeSettings, Describing};

use super::Describe;
use crate::command::train::end_with_a_checkpoint;
use crate::command::writing::ModelArg;
use crate::context::Context;
use crate::output::{self, thousands};
use crate::side_files::check_files;

pub(crate) fn run(args: &Describe, context: &Context) -> anyhow::Result<()> {
    let model = ModelArg { chat_model: args.chat_model.clone() };
    let loaded = context.settings(&args.settings, &model.flags())?;
    let files: Vec<_> =
        [Some(&args.out), args.items_out.as_ref()].into_iter().flatten().cloned().collect();
    check_files(&files)?;
    let settings = DescribeSettings {
        words: args.words as usize,
        tags: args.tags as usize,
        items: args.items.clone(),
        limit: args.limit,
        is_continued: args.is_continued,
    };
    let data = Dataset::open(&args.data)?;
    let writer = model.open(&loaded, context)?;
    end_with_a_checkpoint(context)?;
    let report = Describing {
        data: &data,
        text: &loaded.config.text,
        settings: &settings,
        writing: writer.as_ref().map(|writer| (writer, args.ceiling_s)),
        out: &args.out,
        items_out: args.items_out.as_deref(),
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    output::result(context.format, &report, || words(&report))
}

fn words(report: &DescribeReport) -> String {
    let mut rows = vec![("items described", thousands(report.items))];
    if report.kept > 0 {
        rows.push(("kept of before", thousands(report.kept)));
    }
    if report.without_text > 0 {
        rows.push(("items without a text", thousands(report.without_text)));
    }
    if let Some(model) = &report.chat_model {
        rows.extend([
            ("model", model.clone()),
            ("in the model's words", thousands(report.by_model)),
            ("tags or summary of the model", thousands(report.by_both)),
            ("without the model", thousands(report.by_template)),
            ("summaries the guard dropped", thousands(report.dropped)),
            ("no answer of use", thousands(report.failed)),
        ]);
    }
    rows.push(("seconds", format!("{:.1}", report.seconds)));
    let facts = rows.into_iter().map(|(what, value)| vec![what.into(), value]);
    let facts = output::table(&["what", "value"], facts, &[]);
    let first = report.first.iter().map(|one| {
        vec![one.item_id.clone(), one.summary.clone(), one.tags.join(", "), author(one.author)]
    });
    let first = output::table(&["item", "summary", "tags", "by"], first, &[]);
    let also = report.items_out.as_ref().map(|path| {
        let path = path.display();
        format!("\nitems with summary and tags in {path}; next: tastemaker import --interactions EVENTS --items {path} --out DIR")
    });
    format!(
        "{first}\n\n{facts}\n\ndescriptions in {}{}",
        report.out.display(),
        also.unwrap_or_default()
    )
}

fn author(author: tastemaker_engine::dialog::Author) -> String {
    use tastemaker_engine::dialog::Author::{Both, Model, Template};
    match author {
        Template => "template",
        Model => "model",
        Both => "both",
    }
    .into()
}
