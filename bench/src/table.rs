//! What all tables have in common: numbers for people, medians, and under which circumstances.

use crate::usage::load_average;

/// What a number of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    PerSecond,
    Percent,
    Mebibytes,
    Kibibytes,
    Count,
    Times,
}

/// Stands where a number is not known or makes no sense.
pub const NOTHING: &str = "-";

/// The number for people.
pub fn show(unit: Unit, value: Option<f64>) -> String {
    let Some(value) = value else { return NOTHING.into() };
    match unit {
        Unit::Seconds => format!("{value:.2} s"),
        Unit::Milliseconds => format!("{:.1} ms", value * 1e3),
        Unit::Microseconds => format!("{:.0} µs", value * 1e6),
        Unit::PerSecond | Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{:.0} %", value * 100.0),
        Unit::Mebibytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        Unit::Kibibytes => format!("{:.0} KiB", value / 1024.0),
        Unit::Times => format!("{value:.2} ×"),
    }
}

/// The ratio for people.
pub fn ratio(number: Option<f64>, to: Option<f64>) -> String {
    let ratio = quotient(number, to);
    ratio.map_or_else(|| NOTHING.into(), |ratio| format!("{ratio:.2}"))
}

/// One number by another, where both are known and the second is more than nothing.
pub fn quotient(number: Option<f64>, by: Option<f64>) -> Option<f64> {
    let (number, by) = number.zip(by)?;
    (by > 0.0).then(|| number / by)
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Where and under what load the numbers came about.
pub fn circumstances() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = load_average().unwrap_or_else(|| "unknown".into());
    format!("{cores} cores, load average at the end {load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0], Some(2.5)),
        ] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn what_is_not_known_has_no_ratio() {
        assert_eq!(ratio(Some(9.0), Some(3.0)), "3.00");
        for (number, to) in [(Some(9.0), None), (None, Some(9.0)), (Some(9.0), Some(0.0))] {
            assert_eq!(ratio(number, to), NOTHING);
        }
    }
}
