// SPDX-License-Identifier: GPL-2.0

//! The rate at which a path delivers, from samples that say too little.
//!
//! A sample is what was acknowledged in a round trip. Where TCP had too little to send it says how
//! much that was, not how much the path can carry, and where ACKs came late it says nothing good
//! either. So the greatest sample of the last two periods counts, and a sample that was limited by
//! what there was to send neither lowers the estimate nor ends a period.
//!
//! C counterpart: `net/ipv4/tcp_rate.c`, `net/ipv4/tcp_bbr.c` (`bbr_update_bw`).

use crate::time::{
    Duration,
    Timestamp, //
};

/// The round trips in a period.
const PERIOD_ROUNDS: u64 = 10;

/// The shortest period.
const PERIOD_MIN: Duration = Duration::from_secs(1);

/// What limited a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The path: its congestion window was full.
    Path,
    /// What there was to send.
    Application,
}

/// The rate at which a path delivers; kept with the subflow.
///
/// Bytes per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeliveryRate {
    /// The greatest sample of this period.
    current: u64,
    /// The greatest sample of the period before.
    previous: u64,
    /// When this period ends, if there was a sample.
    period_end: Option<Timestamp>,
}

impl DeliveryRate {
    /// Makes an estimate that knows nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            current: 0,
            previous: 0,
            period_end: None,
        }
    }

    /// Returns the rate, or zero if it is not known.
    ///
    /// Bytes per second.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.current.max(self.previous)
    }

    /// Takes in a sample in bytes per second; `srtt` is the smoothed RTT.
    ///
    /// The same sample may come again.
    pub fn on_sample(&mut self, now: Timestamp, rate: u64, limit: Limit, srtt: Duration) {
        if rate == 0 || (limit == Limit::Application && rate <= self.get()) {
            return;
        }
        if self.period_end.is_none_or(|end| now >= end) {
            self.previous = self.current;
            self.current = 0;
            let period = srtt.saturating_mul(PERIOD_ROUNDS).max(PERIOD_MIN);
            self.period_end = Some(now.advance(period));
        }
        self.current = self.current.max(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a point in time.
    fn at(millis: u64) -> Timestamp {
        Timestamp::ORIGIN.advance(Duration::from_millis(millis))
    }

    #[test]
    fn greatest_sample_counts_for_one_to_two_periods() {
        let srtt = Duration::from_millis(150);
        let mut rate = DeliveryRate::new();
        assert_eq!(rate.get(), 0);
        for (now, sample, expected) in [
            (0, 0, 0),
            (0, 500, 500),
            (100, 900, 900),
            (200, 400, 900),
            (1_500, 400, 900),
            (2_999, 300, 900),
            (3_000, 300, 400),
            (4_500, 200, 300),
        ] {
            rate.on_sample(at(now), sample, Limit::Path, srtt);
            assert_eq!(rate.get(), expected, "at {now}");
        }
    }

    #[test]
    fn limited_sample_only_raises() {
        let srtt = Duration::from_millis(20);
        let mut rate = DeliveryRate::new();
        rate.on_sample(at(0), 100, Limit::Application, srtt);
        rate.on_sample(at(10_000), 50, Limit::Application, srtt);
        assert_eq!(rate.get(), 100);
        rate.on_sample(at(20_000), 200, Limit::Application, srtt);
        assert_eq!(rate.get(), 200);
        rate.on_sample(at(30_000), 10, Limit::Path, srtt);
        rate.on_sample(at(31_000), 10, Limit::Path, srtt);
        assert_eq!(rate.get(), 10);
    }
}
