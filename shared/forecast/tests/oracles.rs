//! The methods against `statsmodels` and `statsforecast`: `oracle/make.py` made the numbers.

use nodeai_forecast::decompose::Form;
use nodeai_forecast::holt_winters::{HoltWinters, Smoothing, States};
use nodeai_forecast::naive::seasonal_naive;
use nodeai_forecast::theta::Theta;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    m: usize,
    y: Vec<f64>,
    seasonal_naive: Vec<f64>,
    holt_winters: OracleHoltWinters,
    theta: Vec<OracleTheta>,
}

#[derive(Deserialize)]
struct OracleHoltWinters {
    alpha: f64,
    beta: f64,
    gamma: f64,
    phi: f64,
    level: f64,
    trend: f64,
    season: Vec<f64>,
    sse: f64,
    forecast: Vec<f64>,
}

#[derive(Deserialize)]
struct OracleTheta {
    form: String,
    alpha: f64,
    initial: f64,
    sse: f64,
    forecast: Vec<f64>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("oracle/fixture.json")).unwrap()
}

/// Equal to 1e-6 of the largest value.
fn assert_close(ours: &[f64], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(1e-9_f64, |top, v| top.max(v.abs()));
    for (step, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let close = (a - b).abs() <= 1e-6 * scale;
        assert!(close, "{what}, step {step}: {a} and {b}");
    }
}

#[test]
fn seasonal_naive_is_theirs() {
    for case in cases() {
        let ours = seasonal_naive(&case.y, case.m, case.seasonal_naive.len());
        assert_close(&ours, &case.seasonal_naive, &case.name);
    }
}

#[test]
fn holt_winters_with_their_parameters_is_theirs() {
    for case in cases() {
        let oracle = case.holt_winters;
        let smoothing = Smoothing {
            alpha: oracle.alpha,
            beta: oracle.beta,
            gamma: oracle.gamma,
            phi: oracle.phi,
        };
        let initial = States {
            level: oracle.level,
            trend: oracle.trend,
            season: oracle.season,
        };
        let ours = HoltWinters::run(&case.y, smoothing, initial);
        let mut forecast = ours.forecast(oracle.forecast.len());
        // The reference forecasts the place of the last value with the season from before that value. Ours takes the last
        // value in, as the recursion says; without it both are the same.
        let unseen = oracle.gamma * ours.errors[case.y.len() - 1];
        for step in (case.m - 1..forecast.len()).step_by(case.m) {
            forecast[step] -= unseen;
        }
        assert_close(&forecast, &oracle.forecast, &case.name);
        assert_close(&[ours.sse()], &[oracle.sse], &case.name);
    }
}

#[test]
fn the_fit_of_holt_winters_is_at_least_as_good_as_theirs() {
    for case in cases() {
        let ours = HoltWinters::fit(&case.y, case.m, None);
        let (mine, theirs) = (ours.sse(), case.holt_winters.sse);
        assert!(
            mine <= theirs * (1.0 + 1e-6),
            "{}: {mine} and {theirs}",
            case.name
        );
    }
}

fn form(oracle: &OracleTheta) -> Form {
    match oracle.form.as_str() {
        "additive" => Form::Additive,
        _ => Form::Multiplicative,
    }
}

#[test]
fn theta_with_their_parameters_is_theirs() {
    for case in cases() {
        for oracle in &case.theta {
            let what = format!("{}, {}", case.name, oracle.form);
            let (alpha, initial) = (oracle.alpha, Some(oracle.initial));
            let ours = Theta::with(&case.y, case.m, form(oracle), alpha, initial);
            let forecast = ours.forecast(oracle.forecast.len());
            assert_close(&forecast, &oracle.forecast, &what);
            assert_close(&[ours.sse], &[oracle.sse], &what);
        }
    }
}

#[test]
fn the_fit_of_theta_is_at_least_as_good_as_theirs() {
    for case in cases() {
        for oracle in &case.theta {
            let ours = Theta::fit(&case.y, case.m, form(oracle));
            let fits = ours.sse <= oracle.sse * (1.0 + 1e-6);
            assert!(fits, "{}: {} and {}", case.name, ours.sse, oracle.sse);
        }
    }
}
