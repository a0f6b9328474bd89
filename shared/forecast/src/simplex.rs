//! Minimum of a function on a box: Nelder and Mead's simplex (The Computer Journal 7, 1965), with points outside of the
//! box mirrored at its edge (moved onto it, all corners could end up there), begun again from its own result until that gains nothing.

/// Reflection, expansion, contraction and shrinkage as in the paper.
const REFLECT: f64 = 1.0;
const EXPAND: f64 = 2.0;
const CONTRACT: f64 = 0.5;
const SHRINK: f64 = 0.5;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Ends a descent when best and worst corner differ by less, relatively.
    pub tolerance: f64,
    /// Most evaluations of one descent.
    pub evaluations: usize,
    /// Most descents, each begun at the end of the one before.
    pub descents: usize,
}

/// The best point found in `[0, 1]^N` from `start`, and its value. Deterministic.
pub fn minimise<const N: usize>(
    start: [f64; N],
    effort: Effort,
    mut f: impl FnMut(&[f64; N]) -> f64,
) -> ([f64; N], f64) {
    let mut best = (start, f(&start));
    for descent in 0..effort.descents {
        let step = if descent % 2 == 0 { 0.15 } else { -0.05 };
        let found = descend(best.0, step, effort, &mut f);
        let gained = best.1 - found.1;
        if found.1 < best.1 {
            best = found;
        }
        if gained <= best.1.abs() * effort.tolerance {
            break;
        }
    }
    best
}

fn descend<const N: usize>(
    start: [f64; N],
    step: f64,
    effort: Effort,
    f: &mut impl FnMut(&[f64; N]) -> f64,
) -> ([f64; N], f64) {
    let mut corners: Vec<([f64; N], f64)> = vec![(start, f(&start))];
    for axis in 0..N {
        let mut point = start;
        let moved = point[axis] + step;
        // Away from the edge: a flat simplex would never leave it.
        point[axis] = if (0.0..=1.0).contains(&moved) {
            moved
        } else {
            point[axis] - step
        };
        corners.push((point, f(&point)));
    }
    let mut left = effort.evaluations;
    while left > 0 {
        corners.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (low, high) = (corners[0].1, corners[N].1);
        if high - low <= effort.tolerance * low.abs() {
            break;
        }
        let middle: [f64; N] =
            std::array::from_fn(|i| corners[..N].iter().map(|c| c.0[i]).sum::<f64>() / N as f64);
        let worst = corners[N].0;
        let mut at = |factor: f64| {
            let point: [f64; N] =
                std::array::from_fn(|i| mirrored(middle[i] + factor * (middle[i] - worst[i])));
            (point, f(&point))
        };
        let reflected = at(REFLECT);
        left = left.saturating_sub(2);
        if reflected.1 < corners[0].1 {
            let expanded = at(EXPAND);
            corners[N] = if expanded.1 < reflected.1 {
                expanded
            } else {
                reflected
            };
        } else if reflected.1 < corners[N - 1].1 {
            corners[N] = reflected;
        } else {
            let contracted = at(if reflected.1 < high {
                CONTRACT
            } else {
                -CONTRACT
            });
            if contracted.1 < high.min(reflected.1) {
                corners[N] = contracted;
            } else {
                let lowest = corners[0].0;
                for corner in corners.iter_mut().skip(1) {
                    corner.0 =
                        std::array::from_fn(|i| lowest[i] + SHRINK * (corner.0[i] - lowest[i]));
                    corner.1 = f(&corner.0);
                }
                left = left.saturating_sub(N);
            }
        }
    }
    corners.sort_by(|a, b| a.1.total_cmp(&b.1));
    corners[0]
}

fn mirrored(v: f64) -> f64 {
    let below = if v < 0.0 { -v } else { v };
    let inside = if below > 1.0 { 2.0 - below } else { below };
    inside.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort {
        tolerance: 1e-12,
        evaluations: 2_000,
        descents: 6,
    };

    #[test]
    fn a_valley_is_followed_to_its_end() {
        // Rosenbrock's function, its minimum at (0.5, 0.25).
        let f = |p: &[f64; 2]| {
            let (x, y) = (2.0 * p[0], 4.0 * p[1]);
            (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2) + 1.0
        };
        let (at, value) = minimise([0.1, 0.9], EFFORT, f);
        let near = (at[0] - 0.5).abs() < 1e-3 && (at[1] - 0.25).abs() < 1e-3;
        assert!(near, "{at:?} {value}");
        assert!(value < 1.0 + 1e-8);
    }

    #[test]
    fn a_minimum_on_the_edge_is_found() {
        let (at, _) = minimise([0.5, 0.5], EFFORT, |p| 1.0 + p[0] + (p[1] - 2.0).powi(2));
        assert!(at[0] < 1e-6 && at[1] > 1.0 - 1e-6);
    }
}
