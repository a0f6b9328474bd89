//! The formulas of ragas 0.4, on verdicts.

/// How claims compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Claims of the answer that are supported.
    pub tp: usize,
    /// Claims of the answer that are not.
    pub fp: usize,
    /// Claims of the expected answer that the answer lacks.
    pub fn_: usize,
}

/// F-beta of claims; 0 where there are none in common.
pub fn fbeta(counts: Counts, beta: f64) -> f64 {
    let (tp, fp, fn_) = (counts.tp as f64, counts.fp as f64, counts.fn_ as f64);
    let part = |whole: f64| if whole == 0.0 { 0.0 } else { tp / whole };
    let (precision, recall) = (part(tp + fp), part(tp + fn_));
    if precision == 0.0 && recall == 0.0 {
        return 0.0;
    }
    let square = beta * beta;
    (1.0 + square) * (precision * recall) / (square * precision + recall)
}

/// Mean of the precisions at each useful context, with the 1e-10 by which ragas keeps from dividing by nothing.
pub fn average_precision(useful: &[bool]) -> f64 {
    let all = useful.iter().filter(|useful| **useful).count();
    let mut so_far = 0;
    let mut sum = 0.0;
    for (i, useful) in useful.iter().enumerate() {
        if *useful {
            so_far += 1;
            sum += so_far as f64 / (i + 1) as f64;
        }
    }
    sum / (all as f64 + 1e-10)
}

/// Cosine of two vectors; none when they differ in length or one has none.
pub fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let lengths = length(a) * length(b);
    (a.len() == b.len() && lengths > 0.0).then(|| dot / lengths)
}

/// Which statements each context supports: `[context][statement]`.
pub type Grid = Vec<Vec<bool>>;

/// The part of the answer's statements that are wrong (`correct` says which are not) and that a context supports: one that also
/// supports the expected answer (`relevant`), or only such as do not. None of an answer without statements.
pub fn noise_sensitivity(
    expected: &Grid,
    answer: &Grid,
    correct: &[bool],
    relevant: bool,
) -> Option<f64> {
    let is_relevant = |context: usize| expected[context].iter().any(|supported| *supported);
    let by = |statement: usize, of_relevant: bool| {
        let mut contexts = answer.iter().enumerate();
        contexts.any(|(c, supports)| supports[statement] && is_relevant(c) == of_relevant)
    };
    let misled = correct.iter().enumerate().filter(|(s, correct)| {
        let faithful = match relevant {
            true => by(*s, true),
            false => by(*s, false) && !by(*s, true),
        };
        !**correct && faithful
    });
    (!correct.is_empty()).then(|| misled.count() as f64 / correct.len() as f64)
}
