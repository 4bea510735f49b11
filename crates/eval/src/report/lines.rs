//! Line charts, one below the other: the course of trainings, and of searches for settings.

use super::{
    Course,
    plot::{
        Anchor, GRID, INK, MUTED, Mark, Scale, Sheet, begin, colour, draw, spread, tick_texts,
        width,
    },
};
use crate::Error;

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name, shown beside the last point.
    pub name: String,
    /// Points, left to right.
    pub points: Vec<(f64, f64)>,
    /// Draws a line through them, and not a mark at each.
    pub is_line: bool,
}

/// One chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What goes across.
    pub across: String,
    /// What goes up.
    pub up: String,
    /// What is drawn.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
/// What courses are drawn under, by which a drawing of them is known.
const COURSES: &str = "loss and validation by epoch";
const HEIGHT: f64 = 300.0;

/// Returns charts below one another as an SVG file; `words` are for those who cannot see it.
pub fn to_svg(words: &str, charts: &[Chart]) -> Result<String, Error> {
    let svg = drawn(words, charts)?;
    // Drawn in quarters of a pixel, and shown on paper: a page sets both itself.
    let (fine, size) = (WIDTH * 4.0, WIDTH);
    let height = HEIGHT * charts.len().max(1) as f64;
    let from = format!("width=\"{fine}\" height=\"{}\"", height * 4.0);
    let to = format!("width=\"{size}\" height=\"{height}\" style=\"background:#fefefd\"");
    Ok(svg.replacen(&from, &to, 1))
}

/// Returns the courses of trainings as an SVG file.
pub fn courses_svg(all: &[Course]) -> Result<String, Error> {
    to_svg(COURSES, &courses(all))
}

/// Tells whether a text is what [`courses_svg`] draws.
pub fn is_courses_svg(text: &str) -> bool {
    text.starts_with(&begin(COURSES))
}

/// Charts of loss and of validation; without the latter when nothing was judged.
pub(super) fn courses(all: &[Course]) -> Vec<Chart> {
    let chart = |up: &str, of: fn(&Course) -> Vec<Option<f64>>| {
        let series = |course: &Course| {
            let points = (1..).zip(of(course));
            let points = points.filter_map(|(epoch, y)| Some((f64::from(epoch), y?))).collect();
            Series { name: course.model.clone(), points, is_line: true }
        };
        let series: Vec<Series> = all.iter().map(series).collect();
        Chart { across: "epoch".into(), up: up.into(), series }
    };
    let loss = chart("loss", |course| course.loss.iter().copied().map(Some).collect());
    let judged = chart("ndcg@10 on validation", |course| course.validation.clone());
    [loss, judged].into_iter().filter(Chart::has_points).collect()
}

/// Draws charts below one another.
pub(super) fn drawn(words: &str, charts: &[Chart]) -> Result<String, Error> {
    draw((WIDTH, HEIGHT * charts.len().max(1) as f64), words, |sheet| {
        for (number, chart) in charts.iter().enumerate() {
            chart.paint(sheet, HEIGHT * number as f64)?;
        }
        Ok(())
    })
}

impl Chart {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let all = self.series.iter().flat_map(|series| series.points.iter().copied());
        all.filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn has_points(&self) -> bool {
        self.points().next().is_some()
    }

    fn paint(&self, sheet: &mut Sheet<'_>, top: f64) -> Result<(), Error> {
        if !self.has_points() {
            return sheet.text("nothing to draw", (WIDTH / 2.0, top + 40.0), Anchor::Middle, MUTED);
        }
        let names = self.series.iter().map(|series| width(&series.name)).fold(0.0, f64::max);
        let (left, right) = (64.0, WIDTH - names.min(200.0) - 26.0);
        let (high, low) = (top + 36.0, top + HEIGHT - 48.0);
        let ends = |of: fn((f64, f64)) -> f64| {
            let all = self.points().map(of);
            all.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)))
        };
        let ((x0, x1), (y0, y1)) = (ends(|p| p.0), ends(|p| p.1));
        let (xs, x_ticks) = Scale::around(x0, x1, (left, right));
        let (ys, y_ticks) = Scale::around(y0, y1, (low, high));
        for (tick, text) in y_ticks.iter().zip(tick_texts(&y_ticks)) {
            let y = ys.px(*tick);
            sheet.line((left, y), (right, y), GRID, 1.0)?;
            sheet.text(&text, (left - 10.0, y), Anchor::End, MUTED)?;
        }
        for (tick, text) in x_ticks.iter().zip(tick_texts(&x_ticks)) {
            sheet.text(&text, (xs.px(*tick), low + 18.0), Anchor::Middle, MUTED)?;
        }
        sheet.text(&self.up, (16.0, top + 16.0), Anchor::Start, MUTED)?;
        sheet.text(&self.across, (right, low + 36.0), Anchor::End, MUTED)?;
        self.paint_series(sheet, (&xs, &ys), (right, high, low))
    }

    fn paint_series(
        &self,
        sheet: &mut Sheet<'_>,
        (xs, ys): (&Scale, &Scale),
        (right, high, low): (f64, f64, f64),
    ) -> Result<(), Error> {
        let mut labels = Vec::new();
        for (number, series) in self.series.iter().enumerate() {
            let points: Vec<(f64, f64)> =
                series.points.iter().map(|&(x, y)| (xs.px(x), ys.px(y))).collect();
            match (series.is_line, points.len()) {
                (true, 2..) => sheet.path(&points, colour(number), 2.0)?,
                _ => {
                    for &point in &points {
                        sheet.mark(point, Mark::Ring, colour(number))?;
                    }
                }
            }
            if let Some(last) = points.last() {
                labels.push((series.name.as_str(), *last, number));
            }
        }
        let wanted: Vec<f64> = labels.iter().map(|label| label.1.1).collect();
        let heights = spread(&wanted, 16.0, (high, low));
        for ((name, last, number), y) in labels.into_iter().zip(heights) {
            let at = (right + 14.0, y);
            sheet.line((last.0 + 4.0, last.1), (at.0 - 3.0, y), colour(number), 0.5)?;
            sheet.text(name, at, Anchor::Start, INK)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_has_a_chart_of_its_loss_and_one_of_its_validation() {
        let judged = Course {
            model: "sasrec".into(),
            loss: vec![7.0, 6.0, 5.5],
            validation: vec![Some(0.1), Some(0.15), Some(0.14)],
        };
        let blind = Course { validation: vec![None; 3], ..judged.clone() };
        assert_eq!(courses(&[judged.clone(), blind.clone()]).len(), 2);
        assert_eq!(courses(std::slice::from_ref(&blind)).len(), 1);
        let svg = courses_svg(&[judged, blind]).unwrap();
        assert!(svg.starts_with("<svg role=\"img\" aria-label=\"loss and validation by epoch\""));
        assert!(is_courses_svg(&svg) && !is_courses_svg("<svg role=\"img\" "));
        assert!(svg.contains("width=\"760\" height=\"600\""), "{}", &svg[..200]);
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert!(svg.contains("sasrec") && svg.contains("ndcg@10 on validation"));
    }

    #[test]
    fn nothing_and_a_single_point_are_drawn_too() {
        assert!(to_svg("empty", &[Chart::default()]).unwrap().contains("nothing to draw"));
        let points = vec![(1.0, 0.5)];
        let series = vec![Series { name: "one".into(), points, is_line: true }];
        let svg = to_svg("one", &[Chart { series, ..Chart::default() }]).unwrap();
        assert!(svg.contains("<circle") && !svg.contains("NaN"));
    }
}
