//! Times as people write them, to microseconds since 1970: unix seconds, milli-, micro- or nanoseconds, ISO 8601.

use jiff::{Timestamp, civil};

use crate::{RowFault, TimeUnit, error::shorten};

/// Reads the times of one column, all in one unit.
pub(super) struct Times {
    column: String,
    unit: Option<TimeUnit>,
}

/// The first second of the year 2200.
const YEAR_2200: i64 = 7_258_118_400;
const MICROS: i64 = 1_000_000;

impl Times {
    pub(super) const fn new(column: String) -> Self {
        Self { column, unit: None }
    }

    /// Returns microseconds since 1970; `None` for an empty cell.
    pub(super) fn parse(&mut self, cell: &[u8]) -> Result<Option<i64>, RowFault> {
        if let Some(whole) = whole_number(cell) {
            return self.scale(whole, cell).map(Some);
        }
        let text = str::from_utf8(cell)
            .map_err(|_| RowFault::Utf8 { column: self.column.clone() })?
            .trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(number) = text.parse::<f64>() {
            return self.fraction(number, cell).map(Some);
        }
        let micros = iso(text)
            .ok_or_else(|| RowFault::Time { column: self.column.clone(), value: shorten(text) })?;
        self.in_range(micros.div_euclid(MICROS), cell)?;
        self.same_unit(TimeUnit::Seconds, cell)?;
        Ok(Some(micros))
    }

    /// Returns the unit found; seconds when there was nothing to tell.
    pub(super) fn unit(&self) -> TimeUnit {
        self.unit.unwrap_or(TimeUnit::Seconds)
    }

    fn scale(&mut self, number: i64, cell: &[u8]) -> Result<i64, RowFault> {
        // Zero fits every unit, so it does not decide.
        if number == 0 {
            return Ok(0);
        }
        let (unit, micros) = match number {
            ..0 => return Err(self.negative(cell)),
            0..=YEAR_2200 => (TimeUnit::Seconds, number * MICROS),
            100_000_000_000..=7_258_118_400_000 => (TimeUnit::Milliseconds, number * 1000),
            100_000_000_000_000..=7_258_118_400_000_000 => (TimeUnit::Microseconds, number),
            100_000_000_000_000_000..=7_258_118_400_000_000_000 => {
                (TimeUnit::Nanoseconds, number / 1000)
            }
            _ => return Err(self.absurd(cell)),
        };
        self.same_unit(unit, cell)?;
        Ok(micros)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the range is checked before"
    )]
    fn fraction(&mut self, number: f64, cell: &[u8]) -> Result<i64, RowFault> {
        if number.is_nan() {
            let value = shorten(&String::from_utf8_lossy(cell));
            return Err(RowFault::Time { column: self.column.clone(), value });
        }
        if number < 0.0 {
            return Err(self.negative(cell));
        }
        if number > YEAR_2200 as f64 {
            let whole = if number < 9e18 { number as i64 } else { i64::MAX };
            return self.scale(whole, cell);
        }
        self.same_unit(TimeUnit::Seconds, cell)?;
        Ok((number * MICROS as f64).round() as i64)
    }

    fn same_unit(&mut self, unit: TimeUnit, cell: &[u8]) -> Result<(), RowFault> {
        let before = *self.unit.get_or_insert(unit);
        if before == unit {
            return Ok(());
        }
        Err(RowFault::MixedUnits {
            column: self.column.clone(),
            value: shorten(&String::from_utf8_lossy(cell)),
            unit: name(unit),
            before: name(before),
        })
    }

    fn in_range(&self, seconds: i64, cell: &[u8]) -> Result<(), RowFault> {
        match seconds {
            ..0 => Err(self.negative(cell)),
            0..=YEAR_2200 => Ok(()),
            _ => Err(self.absurd(cell)),
        }
    }

    fn negative(&self, cell: &[u8]) -> RowFault {
        let value = shorten(&String::from_utf8_lossy(cell));
        RowFault::NegativeTime { column: self.column.clone(), value }
    }

    fn absurd(&self, cell: &[u8]) -> RowFault {
        let value = shorten(&String::from_utf8_lossy(cell));
        RowFault::AbsurdTime { column: self.column.clone(), value }
    }
}

/// Parses what is digits from end to end, with a sign perhaps; no other text.
fn whole_number(cell: &[u8]) -> Option<i64> {
    let (digits, sign) = match cell {
        [b'-', rest @ ..] => (rest, -1),
        all => (all, 1),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(sign * number)
}

/// Parses a date with or without time and zone; without a zone it is UTC.
fn iso(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    let at: civil::DateTime = text.parse().ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

const fn name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds",
        TimeUnit::Milliseconds => "milliseconds",
        TimeUnit::Microseconds => "microseconds",
        TimeUnit::Nanoseconds => "nanoseconds",
        TimeUnit::Order => "positions",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(cell: &str) -> Result<Option<i64>, RowFault> {
        Times::new("time".into()).parse(cell.as_bytes())
    }

    #[test]
    fn one_moment_in_every_notation_is_one_number() {
        // 2000-12-31T22:12:40Z = 978 300 760 s after 1970
        for cell in [
            "978300760",
            "978300760.0",
            "978300760000",
            "978300760000000",
            "978300760000000000",
            "9.7830076e8",
            "2000-12-31T22:12:40Z",
            "2000-12-31T23:12:40+01:00",
            "2000-12-31 22:12:40",
            "2000-12-31 22:12:40 UTC",
            " 978300760 ",
        ] {
            assert_eq!(parse(cell), Ok(Some(978_300_760_000_000)), "{cell}");
        }
        assert_eq!(parse("2000-12-31"), Ok(Some(978_220_800_000_000)));
        assert_eq!(parse("0.5"), Ok(Some(500_000)));
        assert_eq!(parse(" "), Ok(None));
    }

    #[test]
    fn times_nobody_can_mean_are_refused() {
        let fault = |cell| parse(cell).unwrap_err();
        assert!(matches!(fault("-5"), RowFault::NegativeTime { .. }));
        assert!(matches!(fault("-0.5"), RowFault::NegativeTime { .. }));
        assert!(matches!(fault("1950-01-01"), RowFault::NegativeTime { .. }));
        assert!(matches!(fault("99999999999"), RowFault::AbsurdTime { .. }));
        assert!(matches!(fault("2300-01-01"), RowFault::AbsurdTime { .. }));
        assert!(matches!(fault("inf"), RowFault::AbsurdTime { .. }));
        assert!(matches!(fault("99999999999999999999999"), RowFault::AbsurdTime { .. }));
        assert!(matches!(fault("NaN"), RowFault::Time { .. }));
        assert!(matches!(fault("yesterday"), RowFault::Time { .. }));
    }

    #[test]
    fn a_column_has_one_unit() {
        let mut times = Times::new("ts".into());
        assert_eq!(times.parse(b"0"), Ok(Some(0)));
        assert!(times.parse(b"1700000000000").is_ok());
        assert!(matches!(times.parse(b"1700000000"), Err(RowFault::MixedUnits { .. })));
        assert_eq!(times.unit(), TimeUnit::Milliseconds);
    }
}
