//! Values by ranges side by side, a line each, with their names at the right.

use super::{
    figures::WIDTH,
    plot::{Anchor, GRID, INK, MUTED, Mark, Scale, Sheet, colour, draw, spread, tick_texts, width},
};
use crate::Error;

/// A frame with two axes.
pub(crate) struct Frame {
    /// Pixels of its left side.
    pub(crate) left: f64,
    /// Of its right side.
    pub(crate) right: f64,
    /// Of its upper side.
    pub(crate) top: f64,
    /// Of its lower side.
    pub(crate) bottom: f64,
}

impl Frame {
    /// Draws the lines across and what they stand for.
    pub(crate) fn heights(
        &self,
        sheet: &mut Sheet<'_>,
        scale: &Scale,
        ticks: &[f64],
        title: &str,
    ) -> Result<(), Error> {
        for (tick, text) in ticks.iter().zip(tick_texts(ticks)) {
            let y = scale.px(*tick);
            sheet.line((self.left, y), (self.right, y), GRID, 1.0)?;
            sheet.text(&text, (self.left - 10.0, y), Anchor::End, MUTED)?;
        }
        sheet.text(title, (self.left - 44.0, self.top - 20.0), Anchor::Start, MUTED)
    }
}

/// A line through ranges.
pub(crate) struct Line {
    /// What it is of.
    pub(crate) name: String,
    /// Number of the range, value, and whether it rests on little.
    pub(crate) points: Vec<(usize, f64, bool)>,
}

/// Draws lines by length of history; a range has a name, and more below it.
pub(crate) fn by_range(
    words: &str,
    of: &str,
    ranges: &[(String, String)],
    lines: &[Line],
) -> Result<String, Error> {
    let longest = lines.iter().map(|line| width(&line.name)).fold(0.0, f64::max);
    let frame =
        Frame { left: 54.0, right: WIDTH - longest.min(240.0) - 26.0, top: 36.0, bottom: 356.0 };
    let across = |j: usize| {
        let step = (frame.right - frame.left) / ranges.len() as f64;
        frame.left + step * (j as f64 + 0.5)
    };
    let highest =
        lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let (ys, ticks) = Scale::from_zero(highest, (frame.bottom, frame.top));
    let end = |line: &Line| line.points.last().map_or(frame.bottom, |p| ys.px(p.1));
    let ends: Vec<f64> = lines.iter().map(end).collect();
    let heights = spread(&ends, 17.0, (frame.top, frame.bottom));
    draw((WIDTH, 430.0), words, |sheet| {
        frame.heights(sheet, &ys, &ticks, of)?;
        for (j, (label, more)) in ranges.iter().enumerate() {
            sheet.text(label, (across(j), frame.bottom + 18.0), Anchor::Middle, INK)?;
            sheet.text(more, (across(j), frame.bottom + 36.0), Anchor::Middle, MUTED)?;
        }
        let below = (f64::midpoint(frame.left, frame.right), frame.bottom + 60.0);
        sheet.text("events in the user's history", below, Anchor::Middle, MUTED)?;
        for (number, line) in lines.iter().enumerate() {
            let points: Vec<(f64, f64)> =
                line.points.iter().map(|p| (across(p.0), ys.px(p.1))).collect();
            sheet.path(&points, colour(number), 1.75)?;
            for (point, (_, _, few)) in points.iter().zip(&line.points) {
                let mark = if *few { Mark::Ring } else { Mark::Disc };
                sheet.mark(*point, mark, colour(number))?;
            }
            if let Some(end) = points.last() {
                let (x, y) = (frame.right + 6.0, heights[number]);
                sheet.line((end.0 + 7.0, end.1), (x, y), colour(number), 1.0)?;
                sheet.text(&line.name, (x + 6.0, y), Anchor::Start, INK)?;
            }
        }
        Ok(())
    })
}
