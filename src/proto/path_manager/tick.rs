// SPDX-License-Identifier: GPL-2.0

//! Points in time as the path manager stores them: coarse, so that they fit into four bytes.

use crate::time::{
    Duration,
    Timestamp, //
};

/// How many low bits of a time in microseconds a tick leaves out: a tick is 0.13 s.
const BITS: u32 = 17;

/// A point in time, in units of 2^17 microseconds since the origin of the timestamps.
///
/// Saturates after 17 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Tick(u32);

impl Tick {
    /// The origin of the timestamps.
    pub(super) const ORIGIN: Self = Self(0);

    /// Returns the last tick that is not after `now`.
    #[inline]
    pub(super) fn at(now: Timestamp) -> Self {
        Self(u32::try_from(now.as_micros().wrapping_shr(BITS)).unwrap_or(u32::MAX))
    }

    /// Returns the first tick that is not before `now` and `span` more.
    #[inline]
    pub(super) fn after(now: Timestamp, span: Duration) -> Self {
        let round_up = Duration::from_micros((1 << BITS) - 1);
        Self::at(now.advance(span).advance(round_up))
    }

    /// Returns when the tick begins.
    #[inline]
    pub(super) fn begin(self) -> Timestamp {
        Timestamp::from_micros(u64::from(self.0).wrapping_shl(BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_after_a_span_begins_at_its_end_or_up_to_a_tick_later() {
        for micros in [0, 1, 131_071, 131_072, 131_073, 60_000_000] {
            let now = Timestamp::from_micros(micros);
            let due = Tick::after(now, Duration::from_secs(1)).begin();
            assert!(due >= now.advance(Duration::from_secs(1)));
            assert!(due < now.advance(Duration::from_micros(1_131_072)));
            assert!(Tick::at(now).begin() <= now);
        }
        let late = Timestamp::from_micros(u64::MAX);
        assert_eq!(Tick::at(late), Tick(u32::MAX));
        assert_eq!(Tick::after(late, Duration::from_secs(9)), Tick(u32::MAX));
    }
}
