//! `tastemaker evaluate`.

use tastemaker_engine::config::Loaded;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::registry::{FUSED, Kind};
use tastemaker_engine::texts::Reader;
use tastemaker_engine::{Evaluated, Evaluation, check_models, eval};

use super::Usage;
use crate::args::{Evaluate, Format};
use crate::context::Context;
use crate::output;
use crate::side_files::SideFiles;

pub(crate) fn run(args: &Evaluate, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &flags(args))?;
    let models = check_models(&names(&args.models))?;
    if models.is_empty() {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let known = known.join(", ");
        anyhow::bail!(Usage(format!("--models names no model: choose among {known}, {FUSED}")));
    }
    let files = SideFiles::of(args, &models)?;
    let skip_unfit = args.models.is_empty();
    let data = Dataset::open(&args.data)?;
    let wanted = Wanted { models: &models, skip_unfit, refit: !args.no_refit };
    let evaluated = evaluate(&data, &loaded, &wanted, context)?;
    // A file that cannot be written must not take the result with it.
    let written = files.write(&evaluated, &data);
    match context.format {
        Format::Json => output::line(eval::to_json(&evaluated.report)?)?,
        Format::Table => output::text(eval::to_table(&evaluated.report).trim_end())?,
    }
    written
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Names of models.
    pub(crate) models: &'a [String],
    /// Goes on without those that cannot be fitted.
    pub(crate) skip_unfit: bool,
    /// Fits on validation events too.
    pub(crate) refit: bool,
}

/// Encodes the texts where a model or a metric wants them, and evaluates.
pub(crate) fn evaluate(
    data: &Dataset,
    loaded: &Loaded,
    wanted: &Wanted<'_>,
    context: &Context,
) -> anyhow::Result<Evaluated> {
    let config = &loaded.config;
    let progress = context.progress.as_ref();
    let reads_text = |name: &String| {
        name == FUSED || Kind::named(name).is_some_and(|kind| config.models.reads_text(kind))
    };
    let &Wanted { models, skip_unfit, refit } = wanted;
    let reader = match models.iter().any(reads_text) {
        true => {
            Reader::open(&data.items, &config.text, config.run.seed, &context.places, progress)?
        }
        false => None,
    };
    let encoded = reader.as_ref().map(|reader| reader.encode(data, progress)).transpose()?;
    if let Some(encoded) = &encoded {
        tracing::info!(
            texts = encoded.with_text,
            truncated = encoded.truncated,
            from_cache = encoded.from_cache,
            "encoded the items' texts"
        );
    }
    let encoder = reader.as_ref().map(|reader| reader.choice.name()).unwrap_or_default();
    let vectors = encoded.as_ref().map(|encoded| (encoded.vectors.as_ref(), encoder.as_str()));
    let clock = SystemClock::default();
    Ok(Evaluation { data, loaded, models, vectors, refit, skip_unfit, clock: &clock, progress }
        .run()?)
}

/// What is compared when nothing is named.
pub(crate) const DEFAULT_MODELS: [&str; 7] =
    ["popularity", "markov", "item-knn", "ease", "ials", "text-knn", FUSED];

fn names(given: &[String]) -> Vec<String> {
    if given.is_empty() {
        return DEFAULT_MODELS.map(String::from).to_vec();
    }
    let every = || Kind::ALL.iter().map(|kind| kind.name().to_owned()).chain([FUSED.to_owned()]);
    let expand = |name: &String| {
        if name == "all" { every().collect() } else { vec![name.trim().to_owned()] }
    };
    given.iter().flat_map(expand).filter(|name| !name.is_empty()).collect()
}

/// Says the command's own flags as settings.
fn flags(args: &Evaluate) -> Vec<String> {
    let mut flags = Vec::new();
    flags.extend(args.split.as_ref().map(|kind| format!("split.kind=\"{kind}\"")));
    flags.extend(args.share.map(|share| format!("split.share={share}")));
    flags.extend((!args.at.is_empty()).then(|| format!("eval.cutoffs={:?}", args.at)));
    flags.extend(
        args.sampled.map(|n| format!("eval.candidates={{ sampled = {{ negatives = {n} }} }}")),
    );
    flags
}
