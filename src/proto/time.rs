// SPDX-License-Identifier: GPL-2.0

//! Points in time and spans of time, in microseconds.
//!
//! The protocol has no clock: whoever calls it says what time it is. Timestamps count from a moment
//! that the caller chooses and never run backwards; 64 bits of microseconds last half a million
//! years, so nothing here wraps in practice and all arithmetic saturates.
//!
//! C counterpart: `ktime_t` and `jiffies`.

/// A span of time.
///
/// Microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Makes a span from microseconds.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Makes a span from milliseconds; saturates.
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Makes a span from seconds; saturates.
    #[inline]
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns the microseconds.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the whole milliseconds, rounded down.
    #[inline]
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns the sum; saturates.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the difference, or no time at all if `other` is longer.
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the span `factor` times over; saturates.
    #[inline]
    #[must_use]
    pub const fn saturating_mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Returns the span doubled `times` times; saturates.
    #[inline]
    #[must_use]
    pub const fn doubled(self, times: u32) -> Self {
        if times >= self.0.leading_zeros() && self.0 != 0 {
            Self(u64::MAX)
        } else {
            Self(self.0.wrapping_shl(times))
        }
    }
}

/// A point in time.
///
/// Microseconds since a moment of the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment from which time is counted.
    pub const ORIGIN: Self = Self(0);

    /// Makes a point in time from microseconds since the origin.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the origin.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the point `span` later; saturates.
    #[inline]
    #[must_use]
    pub const fn advance(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns the time that passed from `earlier` to `self`, or none if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_at_the_edges_saturates() {
        let max = Duration::from_micros(u64::MAX);
        assert_eq!(max.saturating_add(Duration::from_micros(1)), max);
        assert_eq!(Duration::ZERO.saturating_sub(max), Duration::ZERO);
        assert_eq!(Duration::from_secs(u64::MAX), max);
        assert_eq!(
            Timestamp::ORIGIN.since(Timestamp::from_micros(1)),
            Duration::ZERO
        );
        assert_eq!(
            Timestamp::from_micros(u64::MAX).advance(max).as_micros(),
            u64::MAX
        );
    }

    #[test]
    fn doubling_multiplies_or_saturates() {
        assert_eq!(Duration::from_micros(3).doubled(0).as_micros(), 3);
        assert_eq!(Duration::from_micros(3).doubled(4).as_micros(), 48);
        assert_eq!(Duration::ZERO.doubled(200), Duration::ZERO);
        assert_eq!(Duration::from_micros(1).doubled(62).as_micros(), 1 << 62);
        assert_eq!(Duration::from_micros(1).doubled(64).as_micros(), u64::MAX);
        assert_eq!(
            Duration::from_micros(u64::MAX).doubled(1).as_micros(),
            u64::MAX
        );
    }
}
