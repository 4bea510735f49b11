//! The report's tables, as cells of text: built once, then written as Markdown and as HTML.

use super::{ColdRow, ColdTable, ModelRow, Report};
use crate::{Bucket, Comparison, Kind, Name, Stat, buckets::FEW};

/// A table to be written.
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// How to read it; may be empty.
    pub(crate) note: String,
    /// Its columns, of equal length.
    pub(crate) columns: Vec<Column>,
}

/// A column of cells.
pub(crate) struct Column {
    /// Its heading.
    pub(crate) head: String,
    /// One text per row.
    pub(crate) cells: Vec<String>,
    /// Marks the best cells; none where better has no meaning.
    pub(crate) best: Vec<bool>,
    /// Tells whether the cells are numbers, to stand flush right.
    pub(crate) is_number: bool,
}

const ABSENT: &str = "–";

impl Column {
    fn words(head: &str, cells: impl Iterator<Item = String>) -> Self {
        let cells: Vec<String> = cells.collect();
        Self { head: head.into(), best: vec![false; cells.len()], cells, is_number: false }
    }

    fn plain(head: &str, cells: impl Iterator<Item = String>) -> Self {
        Self { is_number: true, ..Self::words(head, cells) }
    }

    /// A column of a metric, its best cells marked when there are several to choose from.
    fn metric(name: &str, head: &str, stats: &[Option<Stat>]) -> Self {
        let kind = name.parse::<Name>().map_or(Kind::Ndcg, |name| name.kind);
        let sign = if kind.higher_is_better() { 1.0 } else { -1.0 };
        let means = || stats.iter().flatten().map(|stat| sign * stat.mean);
        let best = number(kind, sign * means().fold(f64::NEG_INFINITY, f64::max));
        let cell = |stat: &Option<Stat>| stat.map_or(ABSENT.into(), |stat| number(kind, stat.mean));
        let cells: Vec<String> = stats.iter().map(cell).collect();
        // Where all are alike, nobody is best.
        let is_contest = cells.iter().any(|cell| *cell != best && cell != ABSENT);
        Self {
            head: format!("{head}{}", if kind.higher_is_better() { "" } else { " ↓" }),
            best: cells.iter().map(|cell| is_contest && *cell == best).collect(),
            cells,
            is_number: true,
        }
    }
}

/// Returns all tables that the report has something for.
pub(crate) fn tables(report: &Report) -> Vec<Table> {
    let history = |row: &ModelRow| row.by_history.clone();
    let popularity = |row: &ModelRow| row.by_popularity.clone();
    let mut all = vec![Some(quality(report)), tests("Paired tests", &report.tests), lists(report)];
    all.push(buckets(report, "events in the user's history", history));
    all.push(buckets(report, "training events of the target (0: a cold item)", popularity));
    if let Some(table) = &report.cold {
        all.push(Some(cold(report, table)));
        all.push(tests("Paired tests on cold items", &table.tests));
    }
    all.push(Some(cost(report)));
    all.push((!report.stages.is_empty()).then(|| stages(report)));
    all.into_iter().flatten().filter(|table| table.columns.len() > 1).collect()
}

fn stages(report: &Report) -> Table {
    let rows = || report.stages.iter();
    let columns = vec![
        Column::words("pipeline", rows().map(|row| row.pipeline.clone())),
        Column::words("stage", rows().map(|row| row.stage.clone())),
        Column::plain("median ms", rows().map(|row| format!("{:.3}", row.median_ms))),
        Column::plain("99 % below, ms", rows().map(|row| format!("{:.3}", row.p99_ms))),
    ];
    let note = "One request after the other, on one thread.";
    Table { caption: "Stages of pipelines".into(), note: note.into(), columns }
}

fn names(report: &Report) -> Column {
    Column::words("model", report.models.iter().map(|row| row.name.clone()))
}

/// Adds the columns of those metrics that any model has.
fn add_metrics(columns: &mut Vec<Column>, report: &Report, names: &[String]) {
    for name in names {
        let stats: Vec<Option<Stat>> =
            report.models.iter().map(|row| row.metrics.get(name).copied()).collect();
        if stats.iter().any(Option::is_some) {
            columns.push(Column::metric(name, name, &stats));
        }
    }
}

fn quality(report: &Report) -> Table {
    let mut columns = vec![names(report)];
    for (j, k) in report.cutoffs().into_iter().enumerate() {
        let lead = format!("ndcg@{k}");
        add_metrics(&mut columns, report, std::slice::from_ref(&lead));
        if j == 0 {
            let stats = report.models.iter().map(|row| row.metrics.get(&lead));
            let cells = stats.map(|stat| stat.map_or(ABSENT.into(), interval));
            columns.push(Column::plain("95 % interval", cells));
        }
        let mut rest = vec![format!("hit@{k}")];
        if has_many_targets(report, k) {
            rest.extend([format!("recall@{k}"), format!("precision@{k}"), format!("map@{k}")]);
        }
        rest.push(format!("mrr@{k}"));
        add_metrics(&mut columns, report, &rest);
    }
    add_metrics(&mut columns, report, &["auc".into(), "rmse".into(), "mae".into()]);
    let note =
        "Means over users; bold is the best of a column, ↓ marks columns where less is better.";
    Table { caption: "Quality".into(), note: note.into(), columns }
}

fn has_many_targets(report: &Report, k: usize) -> bool {
    let mean = |row: &ModelRow, word: &str| Some(row.metrics.get(&format!("{word}@{k}"))?.mean);
    report.models.iter().any(|row| match (mean(row, "hit"), mean(row, "recall")) {
        (Some(hit), Some(recall)) => (hit - recall).abs() > 1e-9,
        _ => false,
    })
}

fn lists(report: &Report) -> Option<Table> {
    let k = report.cutoffs().first().copied()?;
    let mut columns = vec![names(report)];
    let words = ["coverage", "gini", "novelty", "diversity", "miscalibration", "popularity", "arp"];
    add_metrics(&mut columns, report, &words.map(|word| format!("{word}@{k}")));
    let note = "coverage: share of the catalogue shown to anybody; gini: inequality of exposure; novelty: bits of \
                surprise; diversity: 1 − mean cosine of the texts in a list; miscalibration: divergence of \
                its labels from those of the history; popularity: mean percentile of the items \
                shown; arp: their mean training events.";
    Some(Table { caption: "Lists".into(), note: note.into(), columns })
}

fn tests(caption: &str, tests: &[Comparison]) -> Option<Table> {
    let first = tests.first()?;
    let text = |of: fn(&Comparison) -> String| tests.iter().map(of);
    let columns = vec![
        Column::words("model", text(|t| t.model.clone())),
        Column::plain("difference", text(|t| signed(t.difference))),
        Column::plain(
            "95 % interval",
            text(|t| format!("{} to {}", signed(t.low), signed(t.high))),
        ),
        Column::plain("users up / down", text(|t| format!("{} / {}", t.higher, t.lower))),
        Column::plain("p", text(|t| probability(t.p))),
        Column::plain("p (Holm)", text(|t| probability(t.p_holm))),
        Column::words("verdict", text(|t| verdict(t).to_owned())),
    ];
    let note = format!(
        "Difference in {} from {}, user by user ({} users); sign-flip test, p corrected for the {} of this table by Holm.",
        first.metric,
        first.against,
        first.users,
        if tests.len() == 1 {
            "1 comparison".into()
        } else {
            format!("{} comparisons", tests.len())
        }
    );
    Some(Table { caption: caption.into(), note, columns })
}

pub(crate) fn verdict(test: &Comparison) -> &'static str {
    let higher = test.metric.parse::<Name>().is_ok_and(|name| name.kind.higher_is_better());
    match (test.significant, (test.difference > 0.0) == higher) {
        (false, _) => "no clear difference",
        (true, true) => "better",
        (true, false) => "worse",
    }
}

/// Returns the ranges that occur in any model's buckets, rising, with their cases.
pub(crate) fn ranges(
    report: &Report,
    of: impl Fn(&ModelRow) -> Vec<Bucket>,
) -> Vec<(usize, String, usize)> {
    let all = report.models.iter().flat_map(of);
    let mut ranges: Vec<_> = all.map(|b| (b.from, b.label, b.cases)).collect();
    ranges.sort();
    ranges.dedup_by_key(|range| range.0);
    ranges
}

fn buckets(report: &Report, by: &str, of: impl Fn(&ModelRow) -> Vec<Bucket>) -> Option<Table> {
    let lead = report.lead()?;
    let mut columns = vec![names(report)];
    for (from, label, cases) in ranges(report, &of) {
        let stat = |row: &ModelRow| -> Option<Stat> {
            of(row).iter().find(|b| b.from == from)?.metrics.get(&lead).copied()
        };
        let stats: Vec<Option<Stat>> = report.models.iter().map(stat).collect();
        let few = if cases < FEW { " few" } else { "" };
        columns.push(Column::metric(&lead, &format!("{label} (n={cases}{few})"), &stats));
    }
    let caption = format!("{lead} by {by}");
    Some(Table { caption, note: String::new(), columns })
}

fn cold(report: &Report, table: &ColdTable) -> Table {
    let mut columns = vec![Column::words("model", table.rows.iter().map(|row| row.name.clone()))];
    let k = report.cutoffs().first().copied().unwrap_or(10);
    type Part = fn(&ColdRow) -> &std::collections::BTreeMap<String, Stat>;
    let parts: [(&str, Part); 3] = [
        ("cold", |row| &row.cold),
        ("cold among cold", |row| &row.cold_among_cold),
        ("warm", |row| &row.warm),
    ];
    for (part, of) in parts {
        for name in [format!("ndcg@{k}"), format!("hit@{k}")] {
            let stats: Vec<Option<Stat>> =
                table.rows.iter().map(|row| of(row).get(&name).copied()).collect();
            if stats.iter().any(Option::is_some) {
                columns.push(Column::metric(&name, &format!("{part} {name}"), &stats));
            }
        }
    }
    let note = format!(
        "{} items ({:.0} %) were withheld from training; {} users have one of them as target.",
        table.items,
        100.0 * table.share,
        table.cases
    );
    Table { caption: "Cold items".into(), note, columns }
}

fn cost(report: &Report) -> Table {
    let text = |of: fn(&ModelRow) -> String| report.models.iter().map(of);
    let mut columns = vec![names(report)];
    if report.models.iter().any(|row| row.search_seconds > 0.0) {
        columns.push(Column::plain("search", text(|row| seconds(row.search_seconds))));
    }
    columns.push(Column::plain("fit", text(|row| seconds(row.fit_seconds))));
    columns.push(Column::plain("score and rank", text(|row| seconds(row.score_seconds))));
    columns.push(Column::plain("peak memory", text(|row| megabytes(row.peak_memory_bytes))));
    Table { caption: "Time and memory".into(), note: String::new(), columns }
}

/// Writes a metric's value: shares to four digits, bits and events to fewer.
pub(crate) fn number(kind: Kind, value: f64) -> String {
    match kind {
        Kind::Novelty => format!("{value:.2}"),
        Kind::Arp => format!("{value:.1}"),
        Kind::Diversity | Kind::Miscalibration | Kind::Gini | Kind::Coverage | Kind::Popularity => {
            format!("{value:.3}")
        }
        _ => format!("{value:.4}"),
    }
}

fn interval(stat: &Stat) -> String {
    format!("{:.4} to {:.4}", stat.low, stat.high)
}

pub(crate) fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "−")
}

pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

pub(crate) fn seconds(value: f64) -> String {
    match value {
        v if v <= 0.0 => ABSENT.into(),
        v if v < 0.1 => format!("{:.0} ms", (v * 1000.0).max(1.0)),
        v if v < 10.0 => format!("{v:.2} s"),
        v if v < 100.0 => format!("{v:.1} s"),
        v => format!("{v:.0} s"),
    }
}

fn megabytes(bytes: u64) -> String {
    if bytes == 0 { ABSENT.into() } else { format!("{} MB", bytes.div_ceil(1 << 20)) }
}
