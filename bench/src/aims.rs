//! What is aimed at, and whether this run reached it. Nothing fails because of it.

use std::io::Write as _;

use crate::table::{Unit, show};

/// One aim.
pub struct Aim {
    what: String,
    unit: Unit,
    measured: Option<f64>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    /// A number that should be this or more.
    pub fn at_least(what: &str, unit: Unit, measured: Option<f64>, bound: f64) -> Self {
        Self { what: what.into(), unit, measured, bound: Bound::AtLeast(bound) }
    }

    /// A number that should be this or less.
    pub fn at_most(what: &str, unit: Unit, measured: Option<f64>, bound: f64) -> Self {
        Self { what: what.into(), unit, measured, bound: Bound::AtMost(bound) }
    }

    fn verdict(&self) -> &'static str {
        let is_met = |measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        };
        match self.measured.map(is_met) {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        }
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { what, unit, measured, bound } = self;
        let (sign, bound) = match bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::AtMost(bound) => ("≤", bound),
        };
        let (measured, bound) = (show(*unit, *measured), show(*unit, Some(*bound)));
        write!(f, "{what:<58}{measured:>12}   {sign} {bound:<10} {}", self.verdict())
    }
}

/// Prints those that this run has something to say of.
pub fn print(aims: &[Aim]) -> anyhow::Result<()> {
    if aims.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{:<58}{:>12}   {:<12} ", "Aims, by this run", "measured", "aim")?;
    for aim in aims {
        writeln!(out, "{aim}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_on_its_own_side() {
        let least = |measured| Aim::at_least("a", Unit::Times, measured, 4.0);
        let most = |measured| Aim::at_most("a", Unit::Times, measured, 4.0);
        for (aim, verdict) in [
            (least(Some(4.0)), "met"),
            (least(Some(3.9)), "missed"),
            (most(Some(4.0)), "met"),
            (most(Some(4.1)), "missed"),
            (most(None), "not measured"),
        ] {
            assert_eq!(aim.verdict(), verdict, "{aim}");
        }
    }
}
