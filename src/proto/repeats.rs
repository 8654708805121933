// SPDX-License-Identifier: GPL-2.0

//! Data that has to be sent again, in data sequence order.
//!
//! A subflow that ends, or makes no progress, leaves data behind that no other subflow carries. The
//! ranges wait here until they are handed over once more, or a Data ACK passes them. There is room
//! for a fixed number of ranges; beyond, the two with the smallest gap become one, and what lies
//! between them is sent again for nothing.
//!
//! RFC 8684, Section 3.3.6.
//!
//! C counterpart: `__mptcp_retransmit_pending_data` in `net/mptcp/protocol.c`.

use crate::seq::DataSeq;

/// Ranges kept apart.
const RANGES: usize = 8;

/// A run of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The DSN of its first byte.
    pub start: DataSeq,
    /// The DSN behind its last byte.
    pub end: DataSeq,
}

impl Range {
    /// Returns how many bytes there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u64 {
        if self.start.before(self.end) {
            self.end.distance_from(self.start)
        } else {
            0
        }
    }

    /// Tells whether there are no bytes.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Data that has to be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeats {
    /// The ranges in order, neither overlapping nor touching; behind them `None`.
    ranges: [Option<Range>; RANGES],
}

impl Repeats {
    /// Nothing has to be sent again.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ranges: [None; RANGES],
        }
    }

    /// Tells whether nothing has to be sent again.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// Returns the oldest range.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Range> {
        self.ranges.first().copied().flatten()
    }

    /// Returns how many bytes have to be sent again.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let all = self.ranges.iter().flatten();
        all.fold(0, |sum, range| sum.saturating_add(range.len()))
    }

    /// Adds a range.
    pub fn add(&mut self, range: Range) {
        if range.is_empty() {
            return;
        }
        // One place more than there are ranges, to make the surplus visible before it is merged.
        let mut all = [None; RANGES + 1];
        for (place, old) in all.iter_mut().zip(self.ranges) {
            *place = old;
        }
        let [.., last] = &mut all;
        *last = Some(range);
        sort(&mut all);
        merge(&mut all);
        for (place, new) in self.ranges.iter_mut().zip(all) {
            *place = new;
        }
    }

    /// Removes what lies before `una`: the peer has it.
    pub fn prune(&mut self, una: DataSeq) {
        let mut kept = [None; RANGES];
        let rest = self.ranges.iter().flatten();
        let rest = rest.filter(|range| range.end.after(una));
        for (place, range) in kept.iter_mut().zip(rest) {
            let start = range.start.later(una);
            *place = Some(Range { start, ..*range });
        }
        self.ranges = kept;
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

/// Sorts ranges by their beginning; empty places come last. They are few and nearly sorted.
fn sort(all: &mut [Option<Range>; RANGES + 1]) {
    for _ in 0..=RANGES {
        let mut rest = &mut all[..];
        while let [one, behind @ ..] = rest {
            if let Some(next) = behind.first_mut() {
                if !is_in_order(one, next) {
                    core::mem::swap(one, next);
                }
            }
            rest = behind;
        }
    }
}

/// Tells whether `one` belongs before `next`.
fn is_in_order(one: &Option<Range>, next: &Option<Range>) -> bool {
    match (one, next) {
        (Some(one), Some(next)) => one.start.at_or_before(next.start),
        (None, Some(_)) => false,
        (_, None) => true,
    }
}

/// Returns how much lies between two ranges; zero if they overlap or touch.
fn gap(one: &Option<Range>, next: &Option<Range>) -> Option<u64> {
    let (one, next) = ((*one)?, (*next)?);
    Some(if next.start.after(one.end) {
        next.start.distance_from(one.end)
    } else {
        0
    })
}

/// Joins ranges that overlap or touch and, if all places are taken, the two with the smallest gap.
fn merge(all: &mut [Option<Range>; RANGES + 1]) {
    for _ in 0..=RANGES {
        let is_full = all.iter().all(Option::is_some);
        let smallest = all.windows(2).filter_map(|pair| match pair {
            [one, next] => gap(one, next),
            _ => None,
        });
        let smallest = smallest.min();
        let Some(smallest) = smallest.filter(|gap| *gap == 0 || is_full) else {
            return;
        };
        join_first(all, smallest);
        sort(all);
    }
}

/// Joins the first two neighbours with `wanted` bytes between them.
fn join_first(all: &mut [Option<Range>], wanted: u64) {
    let mut rest = all;
    while let [one, behind @ ..] = rest {
        if let Some(next) = behind.first_mut() {
            if gap(one, next) == Some(wanted) {
                if let (Some(one), Some(next)) = (one.as_mut(), next.take()) {
                    one.end = one.end.later(next.end);
                }
                return;
            }
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a range.
    fn range(start: u64, end: u64) -> Range {
        Range {
            start: DataSeq::new(start),
            end: DataSeq::new(end),
        }
    }

    /// Returns the ranges as pairs of numbers.
    fn pairs(repeats: &Repeats) -> Vec<(u64, u64)> {
        let all = repeats.ranges.iter().flatten();
        all.map(|range| (range.start.get(), range.end.get()))
            .collect()
    }

    #[test]
    fn ranges_are_ordered_and_joined_where_they_touch() {
        let mut repeats = Repeats::new();
        assert!(repeats.is_empty());
        for (start, end) in [(50, 60), (10, 20), (30, 40), (40, 50), (15, 18), (5, 5)] {
            repeats.add(range(start, end));
        }
        assert_eq!(pairs(&repeats), [(10, 20), (30, 60)]);
        assert_eq!(repeats.bytes(), 40);
        repeats.add(range(0, 100));
        assert_eq!(pairs(&repeats), [(0, 100)]);
    }

    #[test]
    fn acknowledged_data_is_not_sent_again() {
        let mut repeats = Repeats::new();
        repeats.add(range(10, 20));
        repeats.add(range(30, 40));
        repeats.prune(DataSeq::new(15));
        assert_eq!(repeats.first(), Some(range(15, 20)));
        repeats.prune(DataSeq::new(35));
        assert_eq!(pairs(&repeats), [(35, 40)]);
        repeats.prune(DataSeq::new(40));
        assert!(repeats.is_empty());
    }

    #[test]
    fn more_ranges_than_places_are_joined_over_the_smallest_gap() {
        let mut repeats = Repeats::new();
        for n in 0..8 {
            repeats.add(range(n * 100, n * 100 + 50 - n));
        }
        repeats.add(range(1_000, 1_010));
        let expected = [
            (0, 150 - 1),
            (200, 248),
            (300, 347),
            (400, 446),
            (500, 545),
            (600, 644),
            (700, 743),
            (1_000, 1_010),
        ];
        assert_eq!(pairs(&repeats), expected);
    }

    #[test]
    fn numbers_that_wrap_are_in_order() {
        let mut repeats = Repeats::new();
        repeats.add(range(5, 10));
        repeats.add(range(u64::MAX - 5, 2));
        assert_eq!(pairs(&repeats), [(u64::MAX - 5, 2), (5, 10)]);
        assert_eq!(repeats.bytes(), 13);
        repeats.prune(DataSeq::new(6));
        assert_eq!(pairs(&repeats), [(6, 10)]);
        repeats.clear();
        assert!(repeats.is_empty());
    }
}
