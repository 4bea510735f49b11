//! A sheet to draw on and the scales of its axes: thin words over the SVG backend of plotters.
//!
//! Colours are tokens; the page's style sheet gives each its shade for light and dark.

use plotters::{
    backend::{DrawingBackend, SVGBackend},
    style::{
        Color, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::Error;

/// Text that carries the meaning.
pub(crate) const INK: RGBColor = RGBColor(0x1f, 0x24, 0x28);
/// Text that explains.
pub(crate) const MUTED: RGBColor = RGBColor(0x66, 0x6e, 0x76);
/// Lines behind the data.
pub(crate) const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xdf);
/// The page, inside rings.
pub(crate) const PAPER: RGBColor = RGBColor(0xfe, 0xfe, 0xfd);
/// One colour per model, told apart by the colour-blind as well; then they begin again.
pub(crate) const SERIES: [RGBColor; 10] = [
    RGBColor(0x2f, 0x6d, 0xb5),
    RGBColor(0xc2, 0x5b, 0x22),
    RGBColor(0x2e, 0x8b, 0x63),
    RGBColor(0x8b, 0x5a, 0xab),
    RGBColor(0xa8, 0x83, 0x0f),
    RGBColor(0x1f, 0x8f, 0xa3),
    RGBColor(0xb8, 0x42, 0x6c),
    RGBColor(0x6a, 0x77, 0x88),
    RGBColor(0x80, 0x5a, 0x3b),
    RGBColor(0x5e, 0x80, 0x28),
];

/// Returns the colour of model number `model`.
pub(crate) fn colour(model: usize) -> RGBColor {
    SERIES[model % SERIES.len()]
}

/// Where a text's point lies in it.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    /// The text begins there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// How a point is drawn.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    /// A filled disc.
    Disc,
    /// An empty ring.
    Ring,
    /// A filled diamond.
    Diamond,
}

/// A point on the sheet, in pixels from the upper left corner.
pub(crate) type Point = (f64, f64);

/// An SVG drawing in the making. Drawn in quarters of a pixel.
pub(crate) struct Sheet<'a> {
    backend: SVGBackend<'a>,
}

/// Drawing units per pixel.
const FINE: f64 = 4.0;

fn at((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

/// Returns the SVG that `paint` draws on a sheet of this size, with words for those who cannot see it.
pub(crate) fn draw(
    size: (f64, f64),
    words: &str,
    paint: impl FnOnce(&mut Sheet<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut svg = String::new();
    let (width, height) = at(size);
    let mut sheet =
        Sheet { backend: SVGBackend::with_string(&mut svg, (width as u32, height as u32)) };
    paint(&mut sheet)?;
    sheet.backend.present().map_err(failed)?;
    drop(sheet);
    Ok(svg.replacen("<svg ", &begin(words), 1))
}

/// Returns how the SVG that is described by `words` begins.
pub(crate) fn begin(words: &str) -> String {
    format!("<svg role=\"img\" aria-label=\"{}\" ", super::html::escaped(words))
}

impl Sheet<'_> {
    /// Draws a straight line.
    pub(crate) fn line(
        &mut self,
        from: Point,
        to: Point,
        ink: RGBColor,
        px: f64,
    ) -> Result<(), Error> {
        let style = ShapeStyle::from(&ink).stroke_width((px * FINE).round() as u32);
        self.backend.draw_line(at(from), at(to), &style).map_err(failed)
    }

    /// Draws a line through several points.
    pub(crate) fn path(&mut self, points: &[Point], ink: RGBColor, px: f64) -> Result<(), Error> {
        let style = ShapeStyle::from(&ink).stroke_width((px * FINE).round() as u32);
        self.backend.draw_path(points.iter().copied().map(at), &style).map_err(failed)
    }

    /// Draws a point.
    pub(crate) fn mark(&mut self, centre: Point, mark: Mark, ink: RGBColor) -> Result<(), Error> {
        let radius = |px: f64| (px * FINE).round() as u32;
        match mark {
            Mark::Disc => self.backend.draw_circle(at(centre), radius(5.0), &ink.filled(), true),
            Mark::Ring => {
                let line = ShapeStyle::from(&ink).stroke_width(radius(2.0));
                self.backend
                    .draw_circle(at(centre), radius(4.25), &PAPER.filled(), true)
                    .and_then(|()| self.backend.draw_circle(at(centre), radius(4.25), &line, false))
            }
            Mark::Diamond => {
                let (x, y) = centre;
                let corners = [(x, y - 6.0), (x + 6.0, y), (x, y + 6.0), (x - 6.0, y)];
                self.backend.fill_polygon(corners.map(at), &ink)
            }
        }
        .map_err(failed)
    }

    /// Writes a text at the height of its middle.
    pub(crate) fn text(
        &mut self,
        text: &str,
        point: Point,
        anchor: Anchor,
        ink: RGBColor,
    ) -> Result<(), Error> {
        let across = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend divides sizes by 1.24.
        let style = TextStyle::from(("sans-serif", 13.0 * FINE * 1.24))
            .color(&ink)
            .pos(Pos::new(across, VPos::Center));
        self.backend.draw_text(text, &style, at(point)).map_err(failed)
    }
}

/// Returns about how wide a text is, in pixels.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 7.2 } else { 13.0 }).sum()
}

/// Maps values to pixels.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
    is_log: bool,
}

impl Scale {
    /// A straight scale from 0 to a round number at or above `highest`, with its ticks.
    pub(crate) fn from_zero(highest: f64, pixels: (f64, f64)) -> (Self, Vec<f64>) {
        let highest = if highest > 0.0 && highest.is_finite() { highest } else { 1.0 };
        let rough = highest / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|unit| unit * power)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let n = (highest / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=n as usize).map(|j| j as f64 * step).collect();
        (Self { values: (0.0, n * step), pixels, is_log: false }, ticks)
    }

    /// A straight scale between round numbers around these values, with its ticks.
    pub(crate) fn around(lowest: f64, highest: f64, pixels: (f64, f64)) -> (Self, Vec<f64>) {
        let span = highest - lowest;
        let span = if span > 0.0 && span.is_finite() { span } else { lowest.abs().max(1.0) };
        let (_, steps) = Self::from_zero(span, pixels);
        let step = steps[1];
        let from = (lowest / step + 1e-9).floor();
        let to = (highest / step - 1e-9).ceil().max(from + 1.0);
        let ticks = (0..=(to - from) as usize).map(|j| (from + j as f64) * step).collect();
        (Self { values: (from * step, to * step), pixels, is_log: false }, ticks)
    }

    /// A scale of powers of ten around these values, with a tick at each power.
    pub(crate) fn powers(lowest: f64, highest: f64, pixels: (f64, f64)) -> (Self, Vec<f64>) {
        let from = lowest.log10().floor();
        let to = highest.log10().ceil().max(from + 1.0);
        let ticks = (from as i32..=to as i32).map(|power| 10f64.powi(power)).collect();
        (Self { values: (from, to), pixels, is_log: true }, ticks)
    }

    /// Returns the pixel of a value.
    pub(crate) fn px(&self, value: f64) -> f64 {
        let value = if self.is_log { value.log10() } else { value };
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }
}

/// Returns ticks as text, all with the digits that the finest needs.
pub(crate) fn tick_texts(ticks: &[f64]) -> Vec<String> {
    let digits = (0..6).find(|digits| {
        let unit = 10f64.powi(*digits);
        ticks.iter().all(|tick| ((tick * unit).round() - tick * unit).abs() < 1e-6)
    });
    let digits = digits.unwrap_or(6) as usize;
    ticks.iter().map(|tick| format!("{tick:.digits$}")).collect()
}

/// Moves label heights apart until neighbours are `gap` away, as little as possible and within `range`.
pub(crate) fn spread(wanted: &[f64], gap: f64, range: (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
    // Labels that touch form a block, which stands around the mean of what its members want.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let top = |block: &(f64, usize)| {
        let half = (block.1 - 1) as f64 * gap / 2.0;
        (block.0 / block.1 as f64).clamp(range.0 + half, (range.1 - half).max(range.0 + half))
            - half
    };
    for &label in &order {
        let mut block = (wanted[label], 1);
        while let Some(above) = blocks.last() {
            if top(above) + above.1 as f64 * gap <= top(&block) {
                break;
            }
            block = (block.0 + above.0, block.1 + above.1);
            blocks.pop();
        }
        blocks.push(block);
    }
    let heights = blocks.iter().flat_map(|b| (0..b.1).map(move |j| top(b) + j as f64 * gap));
    let mut moved = vec![0.0; wanted.len()];
    for (label, height) in order.iter().zip(heights) {
        moved[*label] = height;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_highest_value() {
        let (scale, ticks) = Scale::from_zero(0.183, (0.0, 100.0));
        assert_eq!(tick_texts(&ticks), ["0.00", "0.05", "0.10", "0.15", "0.20"]);
        assert!((scale.px(0.1) - 50.0).abs() < 1e-9);
        let (scale, ticks) = Scale::powers(0.02, 30.0, (0.0, 100.0));
        assert_eq!(tick_texts(&ticks), ["0.01", "0.10", "1.00", "10.00", "100.00"]);
        assert!((scale.px(1.0) - 50.0).abs() < 1e-9);
        let (scale, ticks) = Scale::around(6.1, 7.4, (0.0, 100.0));
        assert_eq!(tick_texts(&ticks), ["6.0", "6.5", "7.0", "7.5"]);
        assert!((scale.px(6.75) - 50.0).abs() < 1e-9);
        assert_eq!(Scale::around(2.0, 2.0, (0.0, 1.0)).1.len(), 2, "a flat line has a scale too");
        assert_eq!(Scale::from_zero(f64::NAN, (0.0, 1.0)).1.len(), 5);
    }

    #[test]
    fn labels_that_touch_move_apart_and_stay_on_the_sheet() {
        let moved = spread(&[50.0, 52.0, 90.0], 10.0, (0.0, 100.0));
        assert!((moved[0] - 46.0).abs() < 1e-9 && (moved[1] - 56.0).abs() < 1e-9);
        assert!((moved[2] - 90.0).abs() < 1e-9);
        let crowded = spread(&[99.0; 4], 10.0, (0.0, 100.0));
        assert!(crowded.iter().all(|y| (0.0..=100.0).contains(y)), "{crowded:?}");
    }
}
