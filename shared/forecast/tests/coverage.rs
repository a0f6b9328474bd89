//! Intervals hold as often as they say: 500 generated series of spend with a week, a trend and noise.

use nodeai_forecast::outlook::{Interval, Outlook};

/// Days that are known, and days that are to be forecast. Each series ends on another day of the week: workdays vary more
/// than weekends, so an interval that holds over all of them holds less often on some.
const KNOWN: usize = 160;
const AHEAD: usize = 14;
/// Days of the sums.
const SUMMED: usize = 5;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

fn spend(seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let level = 20.0 + 200.0 * random.uniform();
    let slope = level * (random.uniform() - 0.3) / 200.0;
    let noise = 0.05 + 0.25 * random.uniform();
    let weekend = 0.3 + 0.6 * random.uniform();
    (0..KNOWN + AHEAD)
        .map(|day| {
            let week = if day % 7 >= 5 { weekend } else { 1.0 };
            ((level + slope * day as f64) * week * (1.0 + noise * random.normal())).max(0.0)
        })
        .collect()
}

#[derive(Default)]
struct Held {
    p80: usize,
    p95: usize,
    all: usize,
}

impl Held {
    fn count(&mut self, interval: &Interval, value: f64) {
        let inside = |ends: Option<(f64, f64)>| {
            let (low, high) = ends.expect("an interval");
            usize::from((low..=high).contains(&value))
        };
        self.p80 += inside(interval.p80);
        self.p95 += inside(interval.p95);
        self.all += 1;
    }

    fn assert(&self, what: &str) {
        let share = |n: usize| 100.0 * n as f64 / self.all as f64;
        let (p80, p95) = (share(self.p80), share(self.p95));
        println!("{what}: {p80:.1} % and {p95:.1} % of {}", self.all);
        assert!((p80 - 80.0).abs() <= 3.0, "{what}: {p80:.1} %");
        assert!((p95 - 95.0).abs() <= 3.0, "{what}: {p95:.1} %");
    }
}

#[test]
fn intervals_hold_as_often_as_they_say() {
    let (mut days, mut sums) = (Held::default(), Held::default());
    for seed in 1..=500 {
        let y = spend(seed);
        let (known, ahead) = y.split_at(KNOWN - (seed % 7) as usize);
        let outlook = Outlook::of(known, AHEAD).unwrap();
        for (day, value) in outlook.days.iter().zip(ahead) {
            days.count(day, *value);
        }
        let sum = ahead[..SUMMED].iter().sum();
        sums.count(&outlook.sum(SUMMED), sum);
        if seed == 1 {
            assert!(outlook.coverage().p95.is_some());
        }
    }
    days.assert("days");
    sums.assert("sums");
}
