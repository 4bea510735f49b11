//! `tastemaker explain`.

use tastemaker_engine::{Ask, Explained, artifact};

use crate::args::Explain;
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Explain, context: &Context) -> anyhow::Result<()> {
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let ask = Ask { user: args.user.as_deref(), history: &args.history, n: 1, ..Ask::default() };
    let explained = engine.explain(&ask, &args.item)?;
    output::result(context.format, &explained, || text(&explained))
}

fn text(explained: &Explained) -> String {
    let place = match explained.rank {
        Some(rank) => format!("stands at place {rank}"),
        None => "was taken already and is not recommended again".into(),
    };
    let mut out = format!("“{}” {place}.\n{}\n", explained.title, explained.reason.text);
    if !explained.parts.is_empty() {
        let rows = explained.parts.iter().map(|part| {
            vec![part.name.clone(), format!("{:.3}", part.weight), format!("{:+.3}", part.share)]
        });
        out.push('\n');
        out.push_str(&output::table(&["part", "weight", "adds to the score"], rows, &[1, 2]));
    }
    out
}
