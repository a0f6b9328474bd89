//! Days of the civil calendar, UTC, without a clock.

/// µs in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01 of a time in µs since the epoch.
pub fn day_of_us(us: i64) -> i64 {
    us.div_euclid(MICROS_PER_DAY)
}

/// Minute of the UTC day of a time in µs.
pub(crate) fn minute_of_us(us: i64) -> i64 {
    us.rem_euclid(MICROS_PER_DAY) / 60_000_000
}

/// Days since 1970-01-01 of `YYYY-MM-DD`; none for anything else.
///
/// The algorithm is Howard Hinnant's `days_from_civil`.
pub fn day_of_date(text: &str) -> Option<i64> {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (date_of_day(days) == text).then_some(days)
}

/// `YYYY-MM-DD` of a day since 1970-01-01 (Hinnant's `civil_from_days`).
pub fn date_of_day(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let day = of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_each_others_inverse() {
        for day in (-200_000..200_000).step_by(37) {
            let date = date_of_day(day);
            if date.len() == 10 {
                assert_eq!(day_of_date(&date), Some(day), "{date}");
            }
        }
        assert_eq!(day_of_date("1970-01-01"), Some(0));
        assert_eq!(day_of_date("2024-02-29"), Some(19_782));
        for wrong in [
            "2023-02-29",
            "2023-13-01",
            "2023-1-01",
            "",
            "2023-00-10",
            "2023-01-00",
        ] {
            assert_eq!(day_of_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_time_of_day_is_utcs() {
        assert_eq!(day_of_us(-1), -1);
        assert_eq!(minute_of_us(-60_000_000), 23 * 60 + 59);
        assert_eq!(minute_of_us(MICROS_PER_DAY + 61_000_000), 1);
    }
}
