//! The figures of the report: what each shows, drawn on sheets.

use super::{
    Mix, MixRange, ModelRow, Report,
    lines::{courses, drawn},
    plot::{Anchor, GRID, INK, MUTED, Mark, Scale, colour, draw, tick_texts, width},
    ranges::{Frame, Line, by_range},
    tables::{ranges, seconds},
};
use crate::{Bucket, Error, Stat};

/// A drawing with its words.
pub(crate) struct Figure {
    /// Heading.
    pub(crate) title: String,
    /// What to see in it.
    pub(crate) caption: String,
    /// The drawing.
    pub(crate) svg: String,
}

pub(crate) const WIDTH: f64 = 760.0;
const ROW: f64 = 30.0;
/// Features of trees that are shown.
const FEATURES: usize = 15;

/// One row of a dot plot.
struct Dots {
    name: String,
    model: usize,
    /// Mark and value with an interval, if any.
    dots: Vec<(Mark, Stat)>,
    /// Text at the right margin.
    value: String,
}

/// Draws every figure that the report has numbers for.
pub(crate) fn figures(report: &Report) -> Result<Vec<Figure>, Error> {
    let all = [
        quality(report)?,
        spread_of_lists(report)?,
        history(report)?,
        cold(report)?,
        time(report)?,
        training(report)?,
    ];
    let mut all: Vec<Figure> = all.into_iter().flatten().collect();
    for mix in &report.mixes {
        all.extend([weights(mix)?, features(mix)?].into_iter().flatten());
    }
    Ok(all)
}

fn training(report: &Report) -> Result<Option<Figure>, Error> {
    if report.courses.is_empty() {
        return Ok(None);
    }
    let svg = drawn("training by epoch", &courses(&report.courses))?;
    let caption = "Mean loss of a sample and NDCG@10 on validation events after every epoch.";
    Ok(Some(Figure { title: "How training went".into(), caption: caption.into(), svg }))
}

fn number_of(report: &Report, name: &str) -> usize {
    report.models.iter().position(|row| row.name == name).unwrap_or(report.models.len())
}

fn quality(report: &Report) -> Result<Option<Figure>, Error> {
    let Some(lead) = report.lead() else { return Ok(None) };
    let mut rows: Vec<(usize, &ModelRow, Stat)> = report
        .models
        .iter()
        .enumerate()
        .filter_map(|(model, row)| Some((model, row, *row.metrics.get(&lead)?)))
        .collect();
    rows.sort_by(|a, b| b.2.mean.total_cmp(&a.2.mean));
    let rows: Vec<Dots> = rows
        .into_iter()
        .map(|(model, row, stat)| Dots {
            name: row.name.clone(),
            model,
            dots: vec![(Mark::Disc, stat)],
            value: format!("{:.4}", stat.mean),
        })
        .collect();
    let highest = rows.iter().flat_map(|row| &row.dots).map(|dot| dot.1.high).fold(0.0, f64::max);
    let svg = dot_plot(&rows, &format!("{lead} by model, with intervals"), &[], |pixels| {
        let (scale, ticks) = Scale::from_zero(highest, pixels);
        let texts = tick_texts(&ticks);
        (scale, ticks, texts)
    })?;
    let caption = format!("{lead}, mean over users with its 95 % bootstrap interval; best first.");
    Ok(Some(Figure { title: "How good".into(), caption, svg }))
}

fn cold(report: &Report) -> Result<Option<Figure>, Error> {
    let (Some(lead), Some(table)) = (report.lead(), &report.cold) else { return Ok(None) };
    let rows: Vec<Dots> = table
        .rows
        .iter()
        .map(|row| {
            let warm = row.warm.get(&lead).map(|stat| (Mark::Ring, *stat));
            let cold = row.cold.get(&lead).map(|stat| (Mark::Disc, *stat));
            Dots {
                name: row.name.clone(),
                model: number_of(report, &row.name),
                value: cold.map_or(String::new(), |dot| format!("{:.4}", dot.1.mean)),
                dots: warm.into_iter().chain(cold).collect(),
            }
        })
        .collect();
    let highest = rows.iter().flat_map(|row| &row.dots).map(|dot| dot.1.high).fold(0.0, f64::max);
    let legend = [(Mark::Disc, "cold targets"), (Mark::Ring, "warm targets")];
    let svg =
        dot_plot(&rows, &format!("{lead} on cold and warm targets by model"), &legend, |pixels| {
            let (scale, ticks) = Scale::from_zero(highest, pixels);
            let texts = tick_texts(&ticks);
            (scale, ticks, texts)
        })?;
    let caption = format!(
        "{lead} where the target was withheld from training (disc; number at the right) and where it was not (ring)."
    );
    Ok(Some(Figure { title: "Items nobody has touched".into(), caption, svg }))
}

fn time(report: &Report) -> Result<Option<Figure>, Error> {
    const FLOOR: f64 = 0.001;
    let point = |mark: Mark, value: f64| {
        let mean = value.max(FLOOR);
        (value > 0.0).then_some((mark, Stat { mean, low: mean, high: mean }))
    };
    let rows: Vec<Dots> = report
        .models
        .iter()
        .enumerate()
        .map(|(model, row)| Dots {
            name: row.name.clone(),
            model,
            dots: [
                point(Mark::Diamond, row.search_seconds),
                point(Mark::Ring, row.score_seconds),
                point(Mark::Disc, row.fit_seconds),
            ]
            .into_iter()
            .flatten()
            .collect(),
            value: seconds(row.fit_seconds),
        })
        .collect();
    let values = || rows.iter().flat_map(|row| &row.dots).map(|dot| dot.1.mean);
    if values().count() == 0 {
        return Ok(None);
    }
    let (lowest, highest) = (values().fold(f64::MAX, f64::min), values().fold(FLOOR, f64::max));
    let legend =
        [(Mark::Disc, "fit"), (Mark::Diamond, "search"), (Mark::Ring, "score and rank all users")];
    let svg = dot_plot(&rows, "seconds to search, fit and score by model", &legend, |pixels| {
        let (scale, ticks) = Scale::powers(lowest, highest, pixels);
        let texts = ticks.iter().map(|tick| format!("{tick} s")).collect();
        (scale, ticks, texts)
    })?;
    let caption =
        "Wall-clock seconds on a scale of powers of ten; the number at the right is the fit.";
    Ok(Some(Figure { title: "How long".into(), caption: caption.into(), svg }))
}

/// Draws names at the left, marks along one axis, values at the right.
fn dot_plot(
    rows: &[Dots],
    words: &str,
    legend: &[(Mark, &str)],
    scale: impl FnOnce((f64, f64)) -> (Scale, Vec<f64>, Vec<String>),
) -> Result<String, Error> {
    let longest = |of: fn(&Dots) -> &str| rows.iter().map(|row| width(of(row))).fold(0.0, f64::max);
    let left = longest(|row| &row.name).min(240.0) + 20.0;
    let right = WIDTH - longest(|row| &row.value) - 22.0;
    let top = if legend.is_empty() { 10.0 } else { 40.0 };
    let bottom = top + ROW * rows.len() as f64;
    let (scale, ticks, texts) = scale((left, right));
    draw((WIDTH, bottom + 30.0), words, |sheet| {
        let mut x = left;
        for (mark, text) in legend {
            sheet.mark((x + 5.0, 14.0), *mark, MUTED)?;
            sheet.text(text, (x + 17.0, 14.0), Anchor::Start, MUTED)?;
            x += width(text) + 44.0;
        }
        for (tick, text) in ticks.iter().zip(&texts) {
            let x = scale.px(*tick);
            sheet.line((x, top), (x, bottom), GRID, 1.0)?;
            sheet.text(text, (x, bottom + 16.0), Anchor::Middle, MUTED)?;
        }
        for (j, row) in rows.iter().enumerate() {
            let y = top + ROW * (j as f64 + 0.5);
            let ink = colour(row.model);
            sheet.text(&row.name, (left - 14.0, y), Anchor::End, INK)?;
            for (mark, stat) in &row.dots {
                if stat.high > stat.low {
                    sheet.line((scale.px(stat.low), y), (scale.px(stat.high), y), ink, 2.0)?;
                }
                sheet.mark((scale.px(stat.mean), y), *mark, ink)?;
            }
            sheet.text(&row.value, (WIDTH - 4.0, y), Anchor::End, INK)?;
        }
        Ok(())
    })
}

/// Draws accuracy against coverage.
fn spread_of_lists(report: &Report) -> Result<Option<Figure>, Error> {
    let Some(lead) = report.lead() else { return Ok(None) };
    let coverage = lead.replace("ndcg", "coverage");
    let points: Vec<(usize, &str, f64, f64)> = report
        .models
        .iter()
        .enumerate()
        .filter_map(|(model, row)| {
            let (x, y) = (row.metrics.get(&coverage)?.mean, row.metrics.get(&lead)?.mean);
            Some((model, row.name.as_str(), x, y))
        })
        .collect();
    if points.is_empty() {
        return Ok(None);
    }
    let frame = Frame { left: 54.0, right: WIDTH - 24.0, top: 36.0, bottom: 356.0 };
    let highest =
        |of: fn(&(usize, &str, f64, f64)) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (xs, x_ticks) = Scale::from_zero(highest(|p| p.2), (frame.left, frame.right));
    let (ys, y_ticks) = Scale::from_zero(highest(|p| p.3), (frame.bottom, frame.top));
    let svg = draw((WIDTH, 410.0), &format!("{lead} against {coverage} by model"), |sheet| {
        frame.heights(sheet, &ys, &y_ticks, &lead)?;
        for (tick, text) in x_ticks.iter().zip(tick_texts(&x_ticks)) {
            sheet.line((xs.px(*tick), frame.top), (xs.px(*tick), frame.bottom), GRID, 1.0)?;
            sheet.text(&text, (xs.px(*tick), frame.bottom + 18.0), Anchor::Middle, MUTED)?;
        }
        let title = format!("{coverage}: share of the catalogue in anybody's list");
        sheet.text(&title, (frame.right, frame.bottom + 40.0), Anchor::End, MUTED)?;
        for label in place(
            &points.iter().map(|p| (p.1, (xs.px(p.2), ys.px(p.3)))).collect::<Vec<_>>(),
            &frame,
        ) {
            let (model, name, x, y) = points[label.point];
            let centre = (xs.px(x), ys.px(y));
            if (label.at.1 - centre.1).abs() > 9.0 {
                sheet.line(centre, label.at, colour(model), 1.0)?;
            }
            sheet.mark(centre, Mark::Disc, colour(model))?;
            sheet.text(name, label.at, label.anchor, INK)?;
        }
        Ok(())
    })?;
    let caption = format!(
        "{lead} against the share of the catalogue that lists reach: up and to the right is better."
    );
    Ok(Some(Figure { title: "How good, for how much of the catalogue".into(), caption, svg }))
}

/// Where the name of a point stands.
struct Label {
    point: usize,
    at: (f64, f64),
    anchor: Anchor,
}

/// Puts each name right or left of its point, or a little above or below, where it covers no point and no name.
fn place(points: &[(&str, (f64, f64))], frame: &Frame) -> Vec<Label> {
    const HALF: f64 = 8.0;
    // Boxes as left, top, right, bottom.
    let mut taken: Vec<[f64; 4]> =
        points.iter().map(|(_, (x, y))| [x - 6.0, y - 6.0, x + 6.0, y + 6.0]).collect();
    let mut labels = Vec::new();
    for (point, (name, (x, y))) in points.iter().enumerate() {
        let long = width(name);
        let steps = (0..14).flat_map(|step| {
            let off = f64::from((step + 1) / 2) * if step % 2 == 0 { 6.0 } else { -6.0 };
            [(off, true), (off, false)]
        });
        let candidates: Vec<([f64; 4], Label)> = steps
            .map(|(off, is_right)| {
                let start = if is_right { x + 11.0 } else { x - 11.0 - long };
                let anchor = if is_right { Anchor::Start } else { Anchor::End };
                let at = (if is_right { start } else { x - 11.0 }, y + off);
                ([start, y + off - HALF, start + long, y + off + HALF], Label { point, at, anchor })
            })
            .collect();
        let overlap = |area: &[f64; 4]| -> f64 {
            let outside = (area[2] - frame.right).max(0.0)
                + (frame.left - area[0]).max(0.0)
                + (area[3] - frame.bottom).max(0.0);
            let shared = |t: &[f64; 4]| {
                (area[2].min(t[2]) - area[0].max(t[0])).max(0.0)
                    * (area[3].min(t[3]) - area[1].max(t[1])).max(0.0)
            };
            taken.iter().map(shared).sum::<f64>() + 100.0 * outside
        };
        let best = candidates.into_iter().min_by(|a, b| overlap(&a.0).total_cmp(&overlap(&b.0)));
        if let Some((area, label)) = best {
            taken.push(area);
            labels.push(label);
        }
    }
    labels
}

fn history(report: &Report) -> Result<Option<Figure>, Error> {
    let of = |row: &ModelRow| -> Vec<Bucket> { row.by_history.clone() };
    let (Some(lead), ranges) = (report.lead(), ranges(report, of)) else { return Ok(None) };
    if ranges.len() < 2 {
        return Ok(None);
    }
    let line = |row: &ModelRow| {
        let one = |(j, range): (usize, &(usize, String, usize))| {
            let bucket = row.by_history.iter().find(|b| b.from == range.0)?;
            Some((j, bucket.metrics.get(&lead)?.mean, bucket.few))
        };
        let points = ranges.iter().enumerate().filter_map(one).collect();
        Line { name: row.name.clone(), points }
    };
    let lines: Vec<Line> = report.models.iter().map(line).collect();
    let named = |(_, label, cases): &(usize, String, usize)| (label.clone(), format!("n={cases}"));
    let ranges: Vec<(String, String)> = ranges.iter().map(named).collect();
    let svg = by_range(
        &format!("{lead} by length of history, a line per model"),
        &lead,
        &ranges,
        &lines,
    )?;
    let caption = format!(
        "{lead} by how much is known of the user; rings are means over fewer than 30 users."
    );
    Ok(Some(Figure { title: "For whom".into(), caption, svg }))
}

/// Draws the weights of a fused model.
fn weights(mix: &Mix) -> Result<Option<Figure>, Error> {
    let line = |(part, name): (usize, &String)| {
        let weight = |(j, range): (usize, &MixRange)| Some((j, *range.weights.get(part)?, false));
        let points = mix.ranges.iter().enumerate().filter_map(weight).collect();
        Line { name: name.clone(), points }
    };
    let lines: Vec<Line> = mix.parts.iter().enumerate().map(line).collect();
    let ranges: Vec<(String, String)> =
        mix.ranges.iter().map(|range| (range.label.clone(), String::new())).collect();
    if lines.is_empty() || ranges.is_empty() {
        return Ok(None);
    }
    let words = format!("weights of the parts of {} by length of history", mix.model);
    let svg = by_range(&words, "weight", &ranges, &lines)?;
    let caption = "The weight of each part in the sum, by how much is known of the user; the weights of a range sum to 1. They were learnt on validation events.";
    Ok(Some(Figure {
        title: format!("Whom {} listens to", mix.model),
        caption: caption.into(),
        svg,
    }))
}

/// Draws what the trees of a fused model look at.
fn features(mix: &Mix) -> Result<Option<Figure>, Error> {
    if mix.features.is_empty() {
        return Ok(None);
    }
    let row = |(name, share): &(String, f64)| Dots {
        name: name.clone(),
        model: 0,
        dots: vec![(Mark::Disc, Stat { mean: *share, low: *share, high: *share })],
        value: format!("{:.1} %", share * 100.0),
    };
    let rows: Vec<Dots> = mix.features.iter().take(FEATURES).map(row).collect();
    let highest = mix.features.iter().map(|(_, share)| *share).fold(0.0, f64::max);
    let words = format!("features of the trees of {} by importance", mix.model);
    let svg = dot_plot(&rows, &words, &[], |pixels| {
        let (scale, ticks) = Scale::from_zero(highest, pixels);
        let texts = tick_texts(&ticks);
        (scale, ticks, texts)
    })?;
    let caption = format!(
        "Share of each feature in all by which forks of the {} trees lowered the loss on validation lists; the {} greatest.",
        mix.trees,
        rows.len()
    );
    Ok(Some(Figure { title: format!("What the trees of {} look at", mix.model), caption, svg }))
}
