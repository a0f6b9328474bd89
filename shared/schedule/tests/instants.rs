//! Instants of expressions over changes of clocks, and what is due after an absence. Expected times are those of the time
//! zone database, written down by hand.

use nodeai_schedule::{Due, Error, Missed, Timetable, due, jitter_us};

fn us(text: &str) -> i64 {
    let at: jiff::Timestamp = text.parse().expect(text);
    at.as_microsecond()
}

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::parse(cron, zone).expect(cron)
}

/// The instants behind `from`, in UTC.
fn check(cron: &str, zone: &str, from: &str, want: &[&str]) {
    let got = table(cron, zone).next(us(from), want.len());
    let got: Vec<String> = got
        .iter()
        .map(|us| jiff::Timestamp::from_microsecond(*us).unwrap().to_string())
        .collect();
    assert_eq!(got, want, "{cron} in {zone}");
}

#[test]
fn five_fields_and_their_short_names_are_read() {
    let from = "2026-01-01T00:00:00Z";
    check(
        "*/15 9 * * *",
        "UTC",
        from,
        &["2026-01-01T09:00:00Z", "2026-01-01T09:15:00Z"],
    );
    check(
        "0 12 * * MON-FRI",
        "UTC",
        from,
        &[
            "2026-01-01T12:00:00Z",
            "2026-01-02T12:00:00Z",
            "2026-01-05T12:00:00Z",
        ],
    );
    check("@daily", "UTC", from, &["2026-01-02T00:00:00Z"]);
    check(
        "0 0 L * *",
        "UTC",
        from,
        &["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"],
    );
    check("0 0 29 2 *", "UTC", from, &["2028-02-29T00:00:00Z"]);
    // Both days are restricted: either is enough, as with vixie-cron.
    check(
        "0 0 13 * FRI",
        "UTC",
        from,
        &[
            "2026-01-02T00:00:00Z",
            "2026-01-09T00:00:00Z",
            "2026-01-13T00:00:00Z",
        ],
    );
}

#[test]
fn an_instant_is_strictly_behind() {
    check(
        "0 * * * *",
        "UTC",
        "2026-01-01T01:00:00Z",
        &["2026-01-01T02:00:00Z"],
    );
    check(
        "0 * * * *",
        "UTC",
        "2026-01-01T00:59:59.999999Z",
        &["2026-01-01T01:00:00Z"],
    );
}

/// New York: 8 March 2026, 02:00 EST becomes 03:00 EDT (07:00 UTC).
#[test]
fn a_time_that_new_york_skips_runs_once_right_after() {
    let from = "2026-03-07T12:00:00Z";
    check(
        "30 2 * * *",
        "America/New_York",
        from,
        &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    );
    check(
        "0 2 * * *",
        "America/New_York",
        from,
        &["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"],
    );
    check(
        "30 1 * * *",
        "America/New_York",
        from,
        &["2026-03-08T06:30:00Z", "2026-03-09T05:30:00Z"],
    );
}

/// New York: 1 November 2026, 02:00 EDT becomes 01:00 EST (06:00 UTC).
#[test]
fn a_time_that_new_york_repeats_runs_once() {
    let from = "2026-10-31T12:00:00Z";
    check(
        "30 1 * * *",
        "America/New_York",
        from,
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    // From between the two.
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-11-01T05:45:00Z",
        &["2026-11-02T06:30:00Z"],
    );
}

/// Berlin: 29 March 2026, 02:00 CET becomes 03:00 CEST (01:00 UTC).
#[test]
fn a_time_that_berlin_skips_runs_once_right_after() {
    let from = "2026-03-28T12:00:00Z";
    check(
        "30 2 * * *",
        "Europe/Berlin",
        from,
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
}

/// Berlin: 25 October 2026, 03:00 CEST becomes 02:00 CET (01:00 UTC).
#[test]
fn a_time_that_berlin_repeats_runs_once() {
    let from = "2026-10-24T12:00:00Z";
    check(
        "30 2 * * *",
        "Europe/Berlin",
        from,
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
}

#[test]
fn each_of_several_hours_that_are_named_is_one_of_them() {
    // 02:00 and 02:30 are skipped and 03:00 is there: one instant.
    check(
        "0,30 2,3 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &[
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z",
            "2026-03-30T00:00:00Z",
        ],
    );
    check(
        "30 2,14 * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T00:30:00Z",
            "2026-10-25T13:30:00Z",
            "2026-10-26T01:30:00Z",
        ],
    );
    check(
        "*/30 1 * * *",
        "America/New_York",
        "2026-11-01T05:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:00:00Z"],
    );
}

#[test]
fn what_comes_every_so_often_goes_by_the_clock_on_the_wall() {
    check(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z",
        ],
    );
    check(
        "*/30 * * * *",
        "America/New_York",
        "2026-03-08T06:00:00Z",
        &[
            "2026-03-08T06:30:00Z",
            "2026-03-08T07:00:00Z",
            "2026-03-08T07:30:00Z",
        ],
    );
}

#[test]
fn what_is_no_expression_is_refused() {
    let error = |cron| Timetable::parse(cron, "UTC").unwrap_err();
    for bad in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * * 13 *",
        "a b c d e",
        "0 0 * * * 2030",
    ] {
        assert!(matches!(error(bad), Error::Cron(_)), "{bad}");
    }
    assert_eq!(error("0 0 30 2 *"), Error::Never);
    for zone in [
        "",
        "Mars/Olympus",
        "EST5EDT,M3.2.0,M11.1.0",
        "../etc/passwd",
        "Europe/Berlin ",
    ] {
        let refused = Timetable::parse("* * * * *", zone).unwrap_err();
        assert_eq!(refused, Error::Zone(zone.to_owned()));
    }
}

#[test]
fn nothing_comes_outside_of_the_bounds() {
    let bounded = |starts, ends| table("0 * * * *", "UTC").within(starts, ends);
    let (a, b) = (us("2026-01-01T02:00:00Z"), us("2026-01-01T04:00:00Z"));
    let got = bounded(Some(a), Some(b)).next(us("2026-01-01T00:00:00Z"), 9);
    assert_eq!(got, [a, us("2026-01-01T03:00:00Z"), b]);
    assert_eq!(bounded(None, Some(b)).after(b), None);
}

#[test]
fn instants_are_shown_with_the_offset_of_their_moment() {
    let berlin = table("* * * * *", "Europe/Berlin");
    assert_eq!(
        berlin.local(us("2026-03-29T00:59:00Z")),
        "2026-03-29T01:59:00+01:00"
    );
    assert_eq!(
        berlin.local(us("2026-03-29T01:00:00Z")),
        "2026-03-29T03:00:00+02:00"
    );
}

fn at_noon(policy: Missed, pending: &str, now: &str) -> Due {
    let noon = table("0 12 * * *", "UTC");
    due(&noon, policy, |_| 0, us(pending), us(now))
}

#[test]
fn what_is_on_time_runs_whatever_the_policy_is() {
    for policy in [Missed::Skip, Missed::RunOnce, Missed::RunAll] {
        let got = at_noon(policy, "2026-01-02T12:00:00Z", "2026-01-02T12:04:00Z");
        assert_eq!(got.runs, [us("2026-01-02T12:00:00Z")]);
        assert_eq!(
            (got.missed, got.next),
            (0, Some(us("2026-01-03T12:00:00Z")))
        );
    }
    // Nothing has come yet.
    let early = at_noon(
        Missed::RunAll,
        "2026-01-02T12:00:00Z",
        "2026-01-02T11:59:59Z",
    );
    assert_eq!(
        (early.runs.len(), early.next),
        (0, Some(us("2026-01-02T12:00:00Z")))
    );
}

#[test]
fn what_was_missed_goes_by_the_policy() {
    let after = |policy| at_noon(policy, "2026-01-02T12:00:00Z", "2026-01-05T18:00:00Z");
    let days = ["2", "3", "4", "5"].map(|d| us(&format!("2026-01-0{d}T12:00:00Z")));
    let next = Some(us("2026-01-06T12:00:00Z"));
    let want = |runs: &[i64], missed: &[i64]| Due {
        runs: runs.to_vec(),
        missed: missed.len(),
        newest_missed: missed.last().copied(),
        next,
    };
    assert_eq!(after(Missed::Skip), want(&[], &days));
    assert_eq!(after(Missed::RunOnce), want(&days[3..], &days[..3]));
    assert_eq!(after(Missed::RunAll), want(&days, &[]));
    // The newest is on time, the others are not.
    let got = at_noon(Missed::Skip, "2026-01-04T12:00:00Z", "2026-01-05T12:01:00Z");
    assert_eq!((got.runs, got.missed), (vec![days[3]], 1));
}

#[test]
fn what_was_announced_comes_though_the_expression_is_another_one_now() {
    let got = at_noon(Missed::Skip, "2026-01-02T11:59:00Z", "2026-01-02T11:59:00Z");
    assert_eq!(got.runs, [us("2026-01-02T11:59:00Z")]);
    assert_eq!(got.next, Some(us("2026-01-02T12:00:00Z")));
}

#[test]
fn a_long_absence_is_bounded() {
    let minutes = table("* * * * *", "UTC");
    let (pending, now) = (us("2020-01-01T00:00:00Z"), us("2026-01-01T00:00:30Z"));
    let got = due(&minutes, Missed::RunAll, |_| 0, pending, now);
    assert_eq!((got.runs.len(), got.missed), (100, 900));
    assert_eq!(got.runs.last(), Some(&us("2026-01-01T00:00:00Z")));
    assert_eq!(got.next, Some(us("2026-01-01T00:01:00Z")));
    // Each minute of January, and now it is June: the newest is far back.
    let january = table("* * * 1 *", "UTC");
    let got = due(
        &january,
        Missed::RunOnce,
        |_| 0,
        us("2020-01-01T00:00:00Z"),
        us("2026-06-01T00:00:00Z"),
    );
    assert_eq!(got.runs, [us("2026-01-31T23:59:00Z")]);
}

#[test]
fn a_jitter_is_within_its_bounds_the_same_each_time_and_spread() {
    let at = us("2026-01-01T00:00:00Z");
    let of = |id: u32| jitter_us(&id.to_string(), at, 60_000);
    let all: Vec<i64> = (0..1_000).map(of).collect();
    assert!(all.iter().all(|j| (0..=60_000_000).contains(j)));
    assert_eq!(all, (0..1_000).map(of).collect::<Vec<_>>());
    let mean = all.iter().sum::<i64>() / 1_000;
    assert!((27_000_000..33_000_000).contains(&mean), "{mean}");
    assert_eq!(jitter_us("a", at, 0), 0);
    assert_ne!(of(1), jitter_us("1", at + 1, 60_000));
}

#[test]
fn an_instant_waits_for_its_jitter() {
    let noon = table("0 12 * * *", "UTC");
    let (pending, minute) = (us("2026-01-02T12:00:00Z"), 60_000_000);
    let at = |now: &str| due(&noon, Missed::Skip, |_| minute, pending, us(now));
    assert_eq!(
        (
            at("2026-01-02T12:00:59Z").runs.len(),
            at("2026-01-02T12:00:59Z").next
        ),
        (0, Some(pending))
    );
    assert_eq!(at("2026-01-02T12:01:00Z").runs, [pending]);
}
