//! The instants of a cron expression in a time zone.
//!
//! Where clocks change, vixie-cron's rules hold: an expression that names hours (`30 2 * * *`, `*/10 1-3 * * *`) runs once
//! at the first instant after a gap for what the gap skips, and once for what is repeated; one whose hours are `*` or `*/n`
//! goes by the clock on the wall: nothing of the gap runs, what is repeated runs twice.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

/// Longest expression, characters.
pub const LONGEST: usize = 200;

/// An expression or a zone that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a cron expression of five fields.
    #[error("not a cron expression of five fields: {0}")]
    Cron(String),
    /// Such as the 30th of February.
    #[error("the expression names a time that never comes")]
    Never,
    /// Not in the time zone database.
    #[error("there is no time zone {0:?}; name one of the IANA database, such as Europe/Berlin")]
    Zone(String),
}

/// An expression in a zone, within bounds.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    /// Whether it names hours, rather than going by the clock on the wall.
    names_hours: bool,
    starts_us: i64,
    ends_us: i64,
}

impl Timetable {
    /// Reads five fields (minute, hour, day of month, month, day of week; or `@daily` and the like) and a zone's name.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn parse(cron: &str, zone: &str) -> Result<Self, Error> {
        if cron.len() > LONGEST {
            return Err(Error::Cron("it is too long".to_owned()));
        }
        let zone = match zone_named(zone) {
            Some(found) => found,
            None => return Err(Error::Zone(zone.to_owned())),
        };
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let parsed = parser.parse(cron);
        let table = Self {
            cron: parsed.map_err(|error| Error::Cron(error.to_string()))?,
            zone,
            names_hours: names_hours(cron),
            starts_us: i64::MIN,
            ends_us: i64::MAX,
        };
        // 1 January 2024, UTC: whatever comes at all comes after it.
        match table.after(1_704_067_200_000_000) {
            Some(_) => Ok(table),
            None => Err(Error::Never),
        }
    }

    /// The same with the first and the last instant that count, both inclusive.
    pub fn within(self, starts_us: Option<i64>, ends_us: Option<i64>) -> Self {
        Self {
            starts_us: starts_us.unwrap_or(i64::MIN),
            ends_us: ends_us.unwrap_or(i64::MAX),
            ..self
        }
    }

    /// The first instant behind `us`; none when there is no other.
    pub fn after(&self, us: i64) -> Option<i64> {
        let from = us.max(self.starts_us.saturating_sub(1));
        let at = Timestamp::from_microsecond(from).ok()?;
        let next = match self.names_hours {
            true => self.named_after(at)?,
            false => {
                let at = Zoned::new(at, self.zone.clone());
                self.cron.find_next_occurrence(&at, false).ok()?.timestamp()
            }
        };
        let next = next.as_microsecond();
        // A walk that does not go on must end.
        (next > us && next <= self.ends_us).then_some(next)
    }

    /// Walks over the local times that the expression names. What they become never goes back, so the first that is behind
    /// `at` is the next one; before it there may be those of a gap, or of a repeated hour.
    fn named_after(&self, at: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(at);
        loop {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let instant = self.instant_of(local)?;
            if instant > at {
                return Some(instant);
            }
        }
    }

    /// The instant of a local time: the earlier one when it is repeated, the end of the gap when it is skipped.
    fn instant_of(&self, local: DateTime) -> Option<Timestamp> {
        let offset = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { before, .. } => {
                let inside = before.to_timestamp(local).ok()?;
                // As far behind the gap's end as the local time is behind its beginning, or at the end itself.
                let later = inside.as_nanosecond().checked_add(1)?;
                let later = Timestamp::from_nanosecond(later).ok()?;
                return Some(self.zone.preceding(later).next()?.timestamp());
            }
        };
        offset.to_timestamp(local).ok()
    }

    /// The next `most` instants behind `us`.
    pub fn next(&self, us: i64, most: usize) -> Vec<i64> {
        let first = self.after(us);
        std::iter::successors(first, |last| self.after(*last))
            .take(most)
            .collect()
    }

    /// The expression in words.
    pub fn describe(&self) -> String {
        self.cron.describe()
    }

    /// An instant as the zone's clocks show it, RFC 3339 with the offset of that moment.
    pub fn local(&self, us: i64) -> String {
        let Ok(at) = Timestamp::from_microsecond(us) else {
            return String::new();
        };
        let offset = self.zone.to_offset(at);
        at.display_with_offset(offset).to_string()
    }
}

/// A zone of the bundled database. What is no name of it, such as a POSIX string, is none.
fn zone_named(name: &str) -> Option<TimeZone> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return None;
    }
    jiff::tz::db().get(name).ok()
}

fn names_hours(cron: &str) -> bool {
    match cron.split_whitespace().nth(1) {
        Some(hours) => !hours.starts_with('*'),
        None => !cron.trim().eq_ignore_ascii_case("@hourly"),
    }
}
