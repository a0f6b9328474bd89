//! Least squares for a handful of unknowns, by Householder's triangularisation.

/// The `x` that makes `|A x - b|` smallest. `columns` are the columns of `A`; those that add nothing get 0.
pub fn least_squares(mut columns: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let unknowns = columns.len();
    let rows = b.len();
    let mut diagonal = vec![0.0; unknowns];
    for k in 0..unknowns.min(rows) {
        let (done, rest) = columns.split_at_mut(k + 1);
        let pivot = &mut done[k];
        let norm = pivot[k..].iter().map(|v| v * v).sum::<f64>().sqrt();
        let norm = if pivot[k] > 0.0 { -norm } else { norm };
        diagonal[k] = norm;
        pivot[k] -= norm;
        let square: f64 = pivot[k..].iter().map(|v| v * v).sum();
        if square <= f64::MIN_POSITIVE {
            continue;
        }
        let reflect = |column: &mut [f64]| {
            let dot: f64 = pivot[k..]
                .iter()
                .zip(&column[k..])
                .map(|(p, c)| p * c)
                .sum();
            let factor = 2.0 * dot / square;
            for (c, p) in column[k..].iter_mut().zip(&pivot[k..]) {
                *c -= factor * p;
            }
        };
        rest.iter_mut().for_each(|column| reflect(column));
        reflect(&mut b);
    }
    let largest = diagonal.iter().fold(0.0_f64, |top, d| top.max(d.abs()));
    let mut x = vec![0.0; unknowns];
    for k in (0..unknowns.min(rows)).rev() {
        if diagonal[k].abs() > largest * 1e-12 {
            let known: f64 = (k + 1..unknowns).map(|j| columns[j][k] * x[j]).sum();
            x[k] = (b[k] - known) / diagonal[k];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let ones = vec![1.0; 5];
        let steps: Vec<f64> = (0..5).map(f64::from).collect();
        let y: Vec<f64> = steps.iter().map(|x| 3.0 + 2.0 * x).collect();
        let x = least_squares(vec![ones, steps], y);
        assert!((x[0] - 3.0).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_column_that_adds_nothing_gets_nothing() {
        let x = least_squares(vec![vec![1.0; 4], vec![2.0; 4]], vec![3.0; 4]);
        assert!((x[0] + 2.0 * x[1] - 3.0).abs() < 1e-9);
    }
}
