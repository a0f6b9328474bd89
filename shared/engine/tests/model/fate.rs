//! What happens to each attempt and each wait: a function of the seed and the node's way, so
//! that neither time nor crashes change it. World and reference both ask here.

use nodeai_engine::NodeError;

/// The fates of one run.
#[derive(Clone, Copy)]
pub struct Fate {
    pub seed: u64,
    /// In percent.
    pub failures: u64,
}

/// How a person answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Approves,
    Rejects,
    Never,
}

impl Fate {
    /// FNV-1a over the way, mixed by SplitMix64's finaliser.
    fn number(&self, way: &str, salt: u64) -> u64 {
        let start = 0xcbf2_9ce4_8422_2325 ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut x = way.bytes().fold(start, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        x ^= salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// How the `count`th attempt fails that was not lost in a crash; none when it does not.
    pub fn failure(&self, way: &str, kind: &str, count: u64) -> Option<NodeError> {
        let acts = !matches!(kind, "input" | "output");
        let fails = acts && self.number(way, count) % 100 < self.failures;
        let flaky = self.number(way, count + 1_000) % 3 > 0;
        let (kind, retryable) = if flaky {
            ("flaky", true)
        } else {
            ("broken", false)
        };
        fails.then(|| NodeError::new(kind, "as fate wills", retryable))
    }

    /// How somebody answers a node that waits.
    pub fn answer(&self, way: &str, may_expire: bool) -> Answer {
        match self.number(way, 7_777) % 3 {
            0 => Answer::Approves,
            1 => Answer::Rejects,
            _ if may_expire => Answer::Never,
            _ => Answer::Approves,
        }
    }
}
