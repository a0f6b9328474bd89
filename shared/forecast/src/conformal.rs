//! Split-conformal intervals (Lei et al., Journal of the American Statistical Association 113, 2018): the radius is the
//! `ceil((n + 1) (1 - α))`-th smallest of `n` errors that a forecast made on days which it had not seen.

use crate::stats::sorted;

/// Chances that an interval is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// 80 %: four errors at least.
    P80,
    /// 95 %: nineteen errors at least.
    P95,
}

impl Level {
    /// `(numerator, denominator)` of the chance.
    fn ratio(self) -> (usize, usize) {
        match self {
            Self::P80 => (4, 5),
            Self::P95 => (19, 20),
        }
    }

    /// The smallest number of errors for which the rank exists.
    pub fn needs(self) -> usize {
        self.ratio().1 - 1
    }
}

/// The rank, counted from 1, among `n` errors; `None` where there is none.
pub fn rank(n: usize, level: Level) -> Option<usize> {
    let (numerator, denominator) = level.ratio();
    let rank = ((n + 1) * numerator).div_ceil(denominator);
    (rank <= n).then_some(rank)
}

/// Half of the interval's width, from the newest errors: as many of them as make the rank whole, so that the chance is met
/// and not exceeded. `None` where there are too few.
pub fn radius(errors: &[f64], level: Level) -> Option<f64> {
    let step = level.ratio().1;
    let n = ((errors.len() + 1) / step * step).checked_sub(1)?;
    let newest: Vec<f64> = errors[errors.len() - n..].iter().map(|e| e.abs()).collect();
    let rank = rank(n, level)?;
    Some(sorted(&newest)[rank - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_exists_from_the_first_number_on_that_allows_it() {
        assert_eq!((rank(3, Level::P80), rank(4, Level::P80)), (None, Some(4)));
        assert_eq!(
            (rank(18, Level::P95), rank(19, Level::P95)),
            (None, Some(19))
        );
        assert_eq!(rank(99, Level::P95), Some(95));
        assert_eq!((Level::P80.needs(), Level::P95.needs()), (4, 19));
    }

    #[test]
    fn the_radius_is_the_error_at_the_rank_whatever_its_sign() {
        let errors: Vec<f64> = (1..=19)
            .map(|e| {
                if e % 2 == 0 {
                    -f64::from(e)
                } else {
                    f64::from(e)
                }
            })
            .collect();
        assert_eq!(radius(&errors, Level::P95), Some(19.0));
        assert_eq!(radius(&errors, Level::P80), Some(16.0));
        assert_eq!(radius(&errors[..18], Level::P95), None);
        assert_eq!(radius(&[], Level::P80), None);
    }
}
