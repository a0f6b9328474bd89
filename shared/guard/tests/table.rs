//! Two tables of URLs: those that the guard refuses by what they show, and those that it must let through. Nothing here
//! resolves a name: there is nothing to resolve it with.

use nodeai_guard::UrlGuard;
use std::collections::BTreeSet;
use url::Url;

const HOSTILE: &str = include_str!("hostile_urls.txt");
const HARMLESS: &str = include_str!("harmless_urls.txt");

fn lines(table: &str) -> impl Iterator<Item = &str> {
    let lines = table.lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Whether a user's URL would be called.
fn called(guard: &UrlGuard, text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| guard.check(&url).is_ok())
}

#[test]
fn every_hostile_url_is_refused() {
    let guard = UrlGuard::default();
    let passed: Vec<&str> = lines(HOSTILE).filter(|text| called(&guard, text)).collect();
    assert!(passed.is_empty(), "{passed:#?}");
    let different: BTreeSet<&str> = lines(HOSTILE).collect();
    assert!(different.len() >= 200, "only {}", different.len());
    assert_eq!(
        different.len(),
        lines(HOSTILE).count(),
        "some are there twice"
    );
}

#[test]
fn every_harmless_url_is_let_through() {
    let guard = UrlGuard::default();
    let refused: Vec<&str> = lines(HARMLESS)
        .filter(|text| !called(&guard, text))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn an_exception_for_one_host_opens_no_other_spelling_of_another() {
    let guard = UrlGuard::allowing(["127.0.0.1:9".into()]);
    let passed: Vec<&str> = lines(HOSTILE).filter(|text| called(&guard, text)).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}
