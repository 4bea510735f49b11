//! What one setting may be: values that are listed, or a range, straight or logarithmic.

use rand::{Rng, RngExt};
use serde::Serialize;
use serde_json::{Value, json};

/// What one setting may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// One of these.
    Choice(Vec<Value>),
    /// A number between two ends, both included.
    Range {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// Is drawn so that each power of ten is as likely as another.
        is_log: bool,
        /// Whole numbers alone.
        is_whole: bool,
        /// Values that a grid takes of it.
        points: usize,
    },
}

/// Values that a grid takes of a range, unless it says otherwise.
const POINTS: usize = 3;
/// How a domain is written.
const SYNTAX: &str = "list values as in 32,64,128, or give a range as in uniform(0, 0.5), log(1e-4, 1e-2), int(1, 4) or log-int(16, 256)";

impl Domain {
    /// Reads `32,64,128`, `uniform(0, 0.5)`, `log(1e-4, 1e-2)`, `int(1, 4)` or `log-int(16, 256)`; a third number says how
    /// many values a grid takes. The error ends a sentence that begins with the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some((name, inside)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
            let kind = match name.trim() {
                "uniform" => (false, false),
                "log" => (true, false),
                "int" => (false, true),
                "log-int" => (true, true),
                other => return Err(format!("has no range called `{other}`: {SYNTAX}")),
            };
            return Self::range(kind, inside);
        }
        let values: Vec<Value> = match serde_json::from_str(&format!("[{text}]")) {
            Ok(values) => values,
            Err(_) => text.split(',').map(|part| scalar(part.trim())).collect(),
        };
        Self::choice(values)
    }

    /// Reads a domain from a settings file: a list of values, or a text as in [`parse`](Self::parse).
    pub fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(values) => Self::choice(values.clone()),
            Value::String(text) => Self::parse(text),
            other => Self::choice(vec![other.clone()]),
        }
    }

    fn choice(values: Vec<Value>) -> Result<Self, String> {
        let mut distinct: Vec<Value> = Vec::new();
        for value in values {
            if value.as_str() == Some("") {
                return Err(format!("has an empty value: {SYNTAX}"));
            }
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        if distinct.is_empty() {
            Err(format!("has no value: {SYNTAX}"))
        } else {
            Ok(Self::Choice(distinct))
        }
    }

    fn range((is_log, is_whole): (bool, bool), inside: &str) -> Result<Self, String> {
        let wrong = || format!("has a range `({inside})` that is not two numbers: {SYNTAX}");
        let numbers: Option<Vec<f64>> = inside
            .split(',')
            .map(|part| part.trim().parse().ok().filter(|x: &f64| x.is_finite()))
            .collect();
        let (low, high, points) = match numbers.as_deref() {
            Some(&[low, high]) => (low, high, POINTS),
            Some(&[low, high, points]) if (1.0..=1000.0).contains(&points) => {
                (low, high, points as usize)
            }
            _ => return Err(wrong()),
        };
        if low >= high {
            return Err(format!(
                "has a range from {low} to {high}: the first must be the lower one"
            ));
        }
        if is_log && low <= 0.0 {
            return Err(format!("has a logarithmic range that begins at {low}: begin above 0"));
        }
        let is_odd = is_whole && (low.fract() != 0.0 || high.fract() != 0.0);
        if is_odd {
            return Err(format!(
                "has a range of whole numbers from {low} to {high}: give whole ends"
            ));
        }
        Ok(Self::Range { low, high, is_log, is_whole, points })
    }

    /// Lists the values that a grid takes: all of a choice, evenly spaced ones of a range, its ends among them.
    pub fn grid(&self) -> Vec<Value> {
        match self {
            Self::Choice(values) => values.clone(),
            Self::Range { points, .. } => {
                let last = (points - 1).max(1) as f64;
                let mut values: Vec<Value> =
                    (0..*points).map(|at| self.at(at as f64 / last)).collect();
                values.dedup();
                values
            }
        }
    }

    /// Draws a value.
    pub fn draw(&self, rng: &mut impl Rng) -> Value {
        let share = rng.random::<f64>();
        match self {
            Self::Choice(values) => {
                values[((share * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Self::Range { .. } => self.at(share),
        }
    }

    /// Returns values that are possible if all are: every choice, and the ends of a range.
    pub fn extremes(&self) -> Vec<Value> {
        match self {
            Self::Choice(values) => values.clone(),
            Self::Range { .. } => vec![self.at(0.0), self.at(1.0)],
        }
    }

    /// Tells whether a value is one of these. Numbers count as equal when they are so as `f32`, which settings often are.
    pub fn holds(&self, value: &Value) -> bool {
        let narrow = |value: &Value| value.as_f64().map(|x| x as f32);
        match *self {
            Self::Choice(ref values) => values.iter().any(|other| {
                other == value || narrow(other).is_some_and(|x| narrow(value) == Some(x))
            }),
            Self::Range { low, high, is_whole, .. } => narrow(value).is_some_and(|x| {
                (low as f32..=high as f32).contains(&x) && (!is_whole || x.fract() == 0.0)
            }),
        }
    }

    /// Counts the values; `None` for a range of broken numbers.
    pub fn size(&self) -> Option<usize> {
        match *self {
            Self::Choice(ref values) => Some(values.len()),
            Self::Range { low, high, is_whole, .. } => is_whole.then(|| (high - low) as usize + 1),
        }
    }

    /// Returns the value of a range that lies at a share of it from its lower end.
    fn at(&self, share: f64) -> Value {
        let Self::Range { low, high, is_log, is_whole, .. } = *self else { return Value::Null };
        // Each whole number has as much of the range as another.
        let (from, to) = if is_whole { (low - 0.5, high + 0.5) } else { (low, high) };
        let x = if is_log {
            (from.ln() + share * (to.ln() - from.ln())).exp()
        } else {
            from + share * (to - from)
        };
        if is_whole {
            return json!(x.round().clamp(low, high) as i64);
        }
        // Four digits are enough, and what is written is what was tried.
        let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
        json!(rounded.clamp(low, high))
    }
}

/// Reads a value as JSON would, and as a plain text when it is none.
fn scalar(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.trim_matches('\'').to_owned()))
}

#[cfg(test)]
mod tests {
    use tastemaker_core::seed;

    use super::*;

    fn of(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn lists_are_read_as_values() {
        assert_eq!(of("32, 64,32").grid(), [json!(32), json!(64)]);
        assert_eq!(of("none,'sum'").grid(), [json!("none"), json!("sum")]);
        assert_eq!(of("true,1e-3").grid(), [json!(true), json!(1e-3)]);
        assert_eq!(of(r#"{"kind":"cholesky"},[1,2]"#).size(), Some(2));
        assert_eq!(Domain::from_value(&json!([1, 2])), Ok(of("1,2")));
        assert_eq!(Domain::from_value(&json!("int(1, 3)")), Ok(of("int(1,3)")));
        assert_eq!(Domain::from_value(&json!(0.5)), Ok(of("0.5")));
    }

    #[test]
    fn grids_of_ranges_by_hand() {
        assert_eq!(of("uniform(0, 0.5)").grid(), [json!(0.0), json!(0.25), json!(0.5)]);
        // Evenly spaced powers of ten.
        assert_eq!(of("log(1e-4, 1e-2)").grid(), [json!(1e-4), json!(1e-3), json!(1e-2)]);
        assert_eq!(of("int(1, 5, 5)").grid(), [1, 2, 3, 4, 5].map(|n| json!(n)));
        assert_eq!(of("log-int(16, 256)").grid(), [json!(16), json!(63), json!(256)]);
        assert_eq!(of("uniform(0, 1, 1)").grid(), [json!(0.0)]);
    }

    #[test]
    fn what_a_domain_holds_by_hand() {
        let single = json!(0.003f32);
        assert!(of("log(3e-4, 3e-3)").holds(&single) && of("0.003,0.01").holds(&single));
        assert!(of("int(1, 4)").holds(&json!(4)) && of("1,2").holds(&json!(1.0)));
        assert!(of("a,b").holds(&json!("b")) && of("null,1").holds(&Value::Null));
        for (text, value) in [
            ("uniform(0, 1)", json!(1.1)),
            ("int(1, 4)", json!(2.5)),
            ("uniform(0, 1)", Value::Null),
            ("1,2", Value::Null),
            ("a,b", json!("c")),
        ] {
            assert!(!of(text).holds(&value), "{text} {value}");
        }
    }

    #[test]
    fn draws_stay_within_and_reach_everywhere() {
        let mut rng = seed::stream(1, "test");
        let drawn: Vec<f64> =
            (0..4000).map(|_| of("log(1e-4, 1e-2)").draw(&mut rng).as_f64().unwrap()).collect();
        assert!(drawn.iter().all(|x| (1e-4..=1e-2).contains(x)));
        let below = drawn.iter().filter(|x| **x < 1e-3).count();
        assert!(below.abs_diff(2000) < 150, "half lies below the middle power: {below}");
        let whole: Vec<i64> =
            (0..4000).map(|_| of("int(1, 4)").draw(&mut rng).as_i64().unwrap()).collect();
        for n in 1..=4 {
            assert!(whole.iter().filter(|x| **x == n).count().abs_diff(1000) < 150, "{n}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        for (text, part) in [
            ("", "has no value"),
            ("1,,2", "empty value"),
            ("normal(0, 1)", "no range called `normal`"),
            ("log(0, 1)", "begin above 0"),
            ("uniform(1, 0)", "the first must be the lower"),
            ("uniform(1)", "not two numbers"),
            ("int(0.5, 2)", "whole ends"),
        ] {
            let error = Domain::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
