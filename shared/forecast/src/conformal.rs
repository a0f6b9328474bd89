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

/// How many of `errors` sums over `span` days do not overlap: neighbours share days and know little more than one of them.
pub fn independent(errors: usize, span: usize) -> usize {
    match errors {
        0 => 0,
        n => (n + span - 1) / span.max(1),
    }
}

/// Half of the interval's width for a sum over `span` days (1: a day), from the newest errors of such sums, a day apart: as
/// many as make the rank whole, so that the chance is met and not exceeded. The rank is that of the sums which do not overlap,
/// its quantile is taken over all of them. `None` where there are too few.
pub fn radius(errors: &[f64], span: usize, level: Level) -> Option<f64> {
    let step = level.ratio().1;
    let whole = ((independent(errors.len(), span) + 1) / step * step).checked_sub(1)?;
    let rank = rank(whole, level)?;
    let n = (whole * span).min(errors.len());
    let newest: Vec<f64> = errors[errors.len() - n..].iter().map(|e| e.abs()).collect();
    Some(sorted(&newest)[(rank * n).div_ceil(whole) - 1])
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
        assert_eq!(radius(&errors, 1, Level::P95), Some(19.0));
        assert_eq!(radius(&errors, 1, Level::P80), Some(16.0));
        assert_eq!(radius(&errors[..18], 1, Level::P95), None);
        assert_eq!(radius(&[], 1, Level::P80), None);
    }

    #[test]
    fn sums_that_overlap_count_once() {
        let errors: Vec<f64> = (1..=95).map(f64::from).collect();
        assert_eq!(
            (independent(95, 5), independent(91, 5), independent(90, 5)),
            (19, 19, 18)
        );
        assert_eq!(radius(&errors, 5, Level::P95), Some(95.0));
        assert_eq!(radius(&errors, 5, Level::P80), Some(80.0));
        assert_eq!(radius(&errors[..90], 5, Level::P95), None);
        assert_eq!(radius(&errors[..15], 5, Level::P80), None);
    }
}
