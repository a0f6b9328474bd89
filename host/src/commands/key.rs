//! `nodeai key create`.
use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Days, Utc};

use super::owner;
use crate::bootstrap;
use crate::cli::KeyArgs;
use crate::keys::Mode;
use crate::project::Project;
use crate::settings::Environment;

/// Makes a key and prints it on stdout, alone on its line.
///
/// # Errors
/// When the time cannot be read or the database refuses.
pub async fn run(dir: Option<&Path>, args: &KeyArgs) -> Result<()> {
    let expires = args
        .expires
        .as_deref()
        .map(|text| parse_time(text, Utc::now()))
        .transpose()?;
    let project = Project::open(dir)?;
    let environment = Environment::load(&project.root)?;
    let owner = owner::open(&project, &environment, &args.database).await?;
    let mode = if args.test { Mode::Test } else { Mode::Live };
    let (key, _) = bootstrap::create_key(
        &owner.client,
        mode,
        &args.name,
        &args.scopes,
        expires,
        args.user,
    )
    .await?;
    println!("{}", key.expose());
    Ok(())
}

/// `30d` from `now`, or an RFC 3339 time.
fn parse_time(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let time = match text.strip_suffix('d').map(str::parse) {
        Some(Ok(days)) => now.checked_add_days(Days::new(days)).context("that many days cannot be counted")?,
        _ => DateTime::parse_from_rfc3339(text)
            .with_context(|| format!("{text:?} is neither a time such as 2030-01-31T00:00:00Z nor a number of days such as 30d"))?
            .to_utc(),
    };
    if time <= now {
        bail!("{text} is in the past");
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_rfc_3339() {
        let at = |text| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(parse_time("30d", now).unwrap(), at("2026-01-31T00:00:00Z"));
        let zoned = parse_time("2027-01-01T02:00:00+02:00", now).unwrap();
        assert_eq!(zoned, at("2027-01-01T00:00:00Z"));
        for wrong in ["soon", "2020-01-01T00:00:00Z", "-1d", "99999999999999d"] {
            assert!(parse_time(wrong, now).is_err(), "{wrong}");
        }
    }
}
