//! Describes a user in words.

use serde_json::json;
use tastemaker_engine::chat::Ceiling;
use tastemaker_engine::talk::ProfileFile;
use tastemaker_engine::{Ask, artifact};

use super::ProfileArgs;
use crate::args::{ConfigArgs, Format};
use crate::context::Context;
use crate::output;

pub(crate) fn profile(args: &ProfileArgs, context: &Context) -> anyhow::Result<()> {
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let loaded = context.settings(&ConfigArgs::default(), &args.writing.model.flags())?;
    let writer = args.writing.open(&loaded, context)?;
    let wording = engine.wording().clone();
    let wording = match args.writing.lang {
        Some(lang) => wording.in_language(lang.into()),
        None => wording,
    };
    let ask = Ask { user: args.user.as_deref(), history: &args.history, n: 1, ..Ask::default() };
    let ceiling = Ceiling::new(args.writing.seconds);
    let writing = writer.as_ref().map(|(writer, _)| (writer, &ceiling));
    let profile = engine.profile(&ask, &wording, writing)?;
    let kept = args.out.as_ref().map(|path| profile.keep(path, args.over)).transpose()?;
    if context.format == Format::Table {
        if let Some(note) = &profile.note {
            output::note(format!("the profile is in the words of a template: {note}"));
        }
        if let (Some(path), Some(kept)) = (&args.out, kept) {
            let what = match kept {
                ProfileFile::Written => "written",
                ProfileFile::Unchanged => "unchanged: the user did nothing new",
                ProfileFile::Edited => {
                    "left alone, since somebody has edited it; --over writes it anew"
                }
            };
            output::note(format!("{}: {what}", path.display()));
        }
    }
    let value = json!({ "user": args.user, "profile": profile, "file": kept });
    output::result(context.format, &value, || match profile.text.is_empty() {
        true => "Nothing is known of them yet.".into(),
        false => profile.text.clone(),
    })
}
