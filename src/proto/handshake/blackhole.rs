// SPDX-License-Identifier: GPL-2.0

//! Whether a client should ask for Multipath TCP at all: something on the path may drop SYNs that do.
//!
//! A connection whose SYNs with MP_CAPABLE got no answer, and whose first SYN without it got one, has met
//! such a black hole. Each further connection would lose seconds in it, so they all do without the option
//! for a while. When that is over one tries again:
//!
//! ```text
//!             SYNs with the option dropped            the same again
//!   NONE  ------------------------------> blocks  ---------------------> blocks twice as long
//!    ^                                       |                                   |
//!    +-------- SYN-ACK with MP_CAPABLE ------+-----------------------------------+
//! ```
//!
//! Not handled here: which connections count. Those over a loopback device prove nothing of the network.
//!
//! C counterpart: `mptcp_active_disable`, `mptcp_active_should_disable` in net/mptcp/ctrl.c.

use crate::time::{
    Duration,
    Timestamp, //
};

/// Doublings of the time, at most.
const DOUBLINGS_MAX: u64 = 6;
/// The bits that count how often the option was dropped.
const TIMES_BITS: u32 = 8;
/// See [`TIMES_BITS`].
const TIMES_MASK: u64 = (1 << TIMES_BITS) - 1;

/// What a host knows of SYNs with MP_CAPABLE that got lost.
///
/// One word, so that callers can keep it where it is read without a lock: the lowest eight bits count, up to
/// seven, how often in a row the option was dropped, the others say when that was found last, in
/// microseconds; they last two thousand years. Zero is [`Blackhole::NONE`].
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Blackhole(u64);

impl Blackhole {
    /// Nothing was dropped.
    pub const NONE: Self = Self(0);

    /// Makes it of what [`bits`](Self::bits) has returned.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns it as a word.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns how often in a row the option was dropped, at most seven.
    #[inline]
    #[must_use]
    pub const fn times(self) -> u64 {
        self.0 & TIMES_MASK
    }

    /// Tells whether a connection that begins `now` does without the option; `timeout` is for how long the
    /// first time, none for never.
    #[inline]
    #[must_use]
    pub const fn blocks(self, now: Timestamp, timeout: Duration) -> bool {
        let Some(again) = self.times().checked_sub(1) else {
            return false;
        };
        let since = Timestamp::from_micros(self.0 >> TIMES_BITS);
        let doublings = if again < DOUBLINGS_MAX {
            again
        } else {
            DOUBLINGS_MAX
        };
        let span = timeout.saturating_mul(1 << doublings);
        now.since(since).as_micros() < span.as_micros()
    }

    /// The option was dropped: the first SYN without it got the answer.
    ///
    /// While the time of the last such finding runs it changes nothing: the connection began before.
    #[must_use]
    pub const fn on_dropped(self, now: Timestamp, timeout: Duration) -> Self {
        if self.blocks(now, timeout) {
            return self;
        }
        let times = self.times();
        let times = if times > DOUBLINGS_MAX {
            times
        } else {
            times.wrapping_add(1)
        };
        Self((now.as_micros() << TIMES_BITS) | times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour, as hosts have it.
    const HOUR: Duration = Duration::from_secs(3_600);

    /// So many hours after the origin, and as many microseconds.
    fn hour(hours: u64, micros: u64) -> Timestamp {
        Timestamp::from_micros(HOUR.as_micros() * hours + micros)
    }

    #[test]
    fn nothing_dropped_blocks_nothing() {
        assert!(!Blackhole::NONE.blocks(hour(0, 0), HOUR));
        assert_eq!(Blackhole::NONE.times(), 0);
    }

    #[test]
    fn time_doubles_each_time_up_to_64_fold() {
        let mut blackhole = Blackhole::NONE;
        let mut begin = 1;
        for hours in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            blackhole = blackhole.on_dropped(hour(begin, 7), HOUR);
            assert!(blackhole.blocks(hour(begin, 7), HOUR));
            begin += hours;
            assert!(blackhole.blocks(hour(begin, 6), HOUR));
            assert!(!blackhole.blocks(hour(begin, 7), HOUR));
        }
        assert_eq!(blackhole.times(), 7);
    }

    #[test]
    fn found_by_two_at_once_counts_once() {
        let once = Blackhole::NONE.on_dropped(hour(1, 0), HOUR);
        assert_eq!(once.on_dropped(hour(1, 5), HOUR), once);
        assert_eq!(once.on_dropped(hour(2, 0), HOUR).times(), 2);
    }

    #[test]
    fn another_timeout_counts_from_now_on() {
        let blackhole = Blackhole::NONE.on_dropped(hour(1, 0), HOUR);
        assert!(!blackhole.blocks(hour(1, 0), Duration::ZERO));
        assert!(!blackhole.blocks(hour(1, 1_000), Duration::from_millis(1)));
        assert!(blackhole.blocks(hour(9, 0), Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn word_keeps_all() {
        let blackhole = Blackhole::NONE.on_dropped(hour(5, 1), HOUR);
        assert_eq!(Blackhole::from_bits(blackhole.bits()), blackhole);
        assert_eq!(Blackhole::from_bits(0), Blackhole::NONE);
    }
}
