// SPDX-License-Identifier: GPL-2.0

//! The order of the data of a connection: where a range of bytes that arrived belongs.
//!
//! Subflows deliver ranges of data sequence numbers in any order and sometimes twice. What begins at
//! the next expected DSN goes to the reader, what comes later waits in a store ordered by DSN, what
//! is there already is dropped. The bytes stay where they are, in the hands of the caller: this is
//! the arithmetic that says how many of them to skip and how many to take.
//!
//! ```text
//!                rcv_nxt                          window_end
//!   ----------------|--------------------------------|---------------
//!     Duplicate     | InOrder    OutOfOrder          |  BeyondWindow
//! ```
//!
//! Not handled here: DATA_FIN (see the module `connection`); accounting of memory.
//!
//! RFC 8684, Sections 3.3.1 and 3.3.4.
//!
//! C counterpart: `net/mptcp/protocol.c` (`__mptcp_move_skb`, `mptcp_data_queue_ofo`).

use crate::ring::{
    kept_in_ring,
    Full,
    Ring, //
};
use crate::seq::DataSeq;

/// Where a range of data belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// It continues what the reader has: drop the first `skip` bytes, deliver the next `take`, at
    /// least one. What remains lies beyond the window.
    InOrder {
        /// Bytes at the front that were received before.
        skip: u32,
        /// Bytes to deliver.
        take: u32,
    },
    /// Something is missing before it: keep the first `take` bytes, at least one. What remains lies
    /// beyond the window.
    OutOfOrder {
        /// Bytes to keep.
        take: u32,
    },
    /// All of it was delivered before.
    Duplicate,
    /// None of it was promised room.
    BeyondWindow,
}

/// Decides where `len` bytes that begin at `dsn` belong.
///
/// `rcv_nxt` is the next DSN that the reader waits for, `window_end` the first one that the peer
/// may not send.
///
/// RFC 8684, Section 3.3.4.
#[inline]
#[must_use]
pub fn place(rcv_nxt: DataSeq, window_end: DataSeq, dsn: DataSeq, len: u32) -> Placement {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.4
    //# The receiver will use the data sequence
    //# number to tell if a packet should be accepted at the connection
    //# level.
    if dsn == rcv_nxt && len > 0 {
        return match up_to(rcv_nxt, window_end, len) {
            0 => Placement::BeyondWindow,
            take => Placement::InOrder { skip: 0, take },
        };
    }
    if dsn.after(rcv_nxt) {
        return match up_to(dsn, window_end, len) {
            0 if len == 0 => Placement::Duplicate,
            0 => Placement::BeyondWindow,
            take => Placement::OutOfOrder { take },
        };
    }
    let old = rcv_nxt.distance_from(dsn);
    match u32::try_from(old) {
        Ok(skip) if skip < len => match up_to(rcv_nxt, window_end, len.wrapping_sub(skip)) {
            0 => Placement::BeyondWindow,
            take => Placement::InOrder { skip, take },
        },
        _ => Placement::Duplicate,
    }
}

/// How a range fits between two ranges of an ordered store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// Drop the first `skip` bytes and put the next `take`, at least one, between the neighbours.
    /// The last `rest` bytes begin where the later neighbour does: fit them again behind it, or drop
    /// them if that neighbour reaches as far.
    Keep {
        /// Bytes at the front that the earlier neighbour has.
        skip: u32,
        /// Bytes that neither neighbour has.
        take: u32,
        /// Bytes at the back that begin with the later neighbour.
        rest: u32,
    },
    /// No byte goes between the neighbours. The last `rest` bytes begin where the later neighbour
    /// does: fit them again behind it.
    Covered {
        /// Bytes at the back that begin with the later neighbour; zero if there are none.
        rest: u32,
    },
}

/// Decides how `len` bytes that begin at `dsn` fit into an ordered store of ranges.
///
/// `previous_end` is the end of the last range that begins at or before `dsn`, `next_start` the
/// beginning of the first range that begins after `dsn`; what was stored first stays.
///
/// RFC 8684, Section 3.3.1.
#[inline]
#[must_use]
pub fn fit(
    previous_end: Option<DataSeq>,
    next_start: Option<DataSeq>,
    dsn: DataSeq,
    len: u32,
) -> Fit {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
    //# an implementation
    //# SHOULD treat the first data that is received at a subflow for the
    //# data sequence space as the data that should be delivered to the
    //# application, and any subsequent data for that sequence space SHOULD
    //# be ignored.
    let skip = match previous_end {
        Some(end) => up_to(dsn, end, len),
        None => 0,
    };
    let before_next = match next_start {
        Some(start) => up_to(dsn, start, len),
        None => len,
    };
    let rest = len.wrapping_sub(before_next);
    if skip < before_next {
        Fit::Keep {
            skip,
            take: before_next.wrapping_sub(skip),
            rest,
        }
    } else {
        Fit::Covered { rest }
    }
}

/// Returns how many of the `len` bytes that begin at `start` lie before `end`.
#[inline]
fn up_to(start: DataSeq, end: DataSeq, len: u32) -> u32 {
    if !end.after(start) {
        return 0;
    }
    match u32::try_from(end.distance_from(start)) {
        Ok(room) => room.min(len),
        Err(_) => len,
    }
}

/// Data from `start` up to, but not including, `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first DSN.
    start: DataSeq,
    /// The DSN after the last.
    end: DataSeq,
}

impl Range {
    /// A range of no bytes, to fill storage with.
    pub const EMPTY: Self = Self {
        start: DataSeq::new(0),
        end: DataSeq::new(0),
    };

    /// Makes a range of `len` bytes.
    #[inline]
    #[must_use]
    pub fn new(start: DataSeq, len: u32) -> Self {
        Self {
            start,
            end: start.advance(u64::from(len)),
        }
    }

    /// Returns the first DSN.
    #[inline]
    #[must_use]
    pub const fn start(self) -> DataSeq {
        self.start
    }

    /// Returns the DSN after the last.
    #[inline]
    #[must_use]
    pub const fn end(self) -> DataSeq {
        self.end
    }
}

/// The set of ranges has no room for another one. It is as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// A set of data sequence numbers as ordered ranges that neither overlap nor touch.
///
/// Says which bytes wait out of order when the bytes themselves are kept elsewhere.
#[derive(Debug)]
pub struct Ranges<S> {
    /// The ranges.
    ring: Ring<S, Range>,
}

impl<S> Ranges<S>
where
    S: AsRef<[Range]> + AsMut<[Range]>,
{
    kept_in_ring!("ranges");

    /// Returns the first range.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Range> {
        self.ring.first()
    }

    /// Returns the ranges in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.ring.iter()
    }

    /// Adds a range and returns how many of its bytes were not in the set.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if it needs an entry of its own and none is free.
    pub fn insert(&mut self, range: Range) -> Result<u64, NoRoom> {
        if !range.end.after(range.start) {
            return Ok(0);
        }
        // The first range that the new one overlaps or touches.
        let index = self
            .ring
            .partition_point(|other| other.end.before(range.start));
        let Some(touched) = self
            .ring
            .get(index)
            .filter(|other| other.start.at_or_before(range.end))
        else {
            return match self.ring.insert(index, range) {
                Ok(()) => Ok(range.end.distance_from(range.start)),
                Err(Full) => Err(NoRoom),
            };
        };
        let mut had = touched.end.distance_from(touched.start);
        let mut union = joined(touched, range);
        let next = index.wrapping_add(1);
        while let Some(other) = self.ring.get(next) {
            if other.start.after(union.end) {
                break;
            }
            had = had.wrapping_add(other.end.distance_from(other.start));
            union = joined(union, other);
            self.ring.remove(next);
        }
        self.ring.set(index, union);
        Ok(union.end.distance_from(union.start).wrapping_sub(had))
    }

    /// Removes what comes before `before`.
    pub fn prune(&mut self, before: DataSeq) {
        while let Some(first) = self.ring.first() {
            if first.start.at_or_after(before) {
                return;
            }
            if first.end.after(before) {
                self.ring.set(
                    0,
                    Range {
                        start: before,
                        end: first.end,
                    },
                );
                return;
            }
            self.ring.pop_first();
        }
    }

    /// Removes the range that covers `rcv_nxt`, with everything before it, and returns its end: how
    /// far the reader can go on once `rcv_nxt` is reached. `None` if `rcv_nxt` is missing.
    pub fn take_in_order(&mut self, rcv_nxt: DataSeq) -> Option<DataSeq> {
        self.prune(rcv_nxt);
        let first = self.ring.first()?;
        if first.start != rcv_nxt {
            return None;
        }
        self.ring.pop_first();
        Some(first.end)
    }
}

/// Returns the range from the earlier of both beginnings to the later of both ends.
#[inline]
fn joined(a: Range, b: Range) -> Range {
    Range {
        start: a.start.earlier(b.start),
        end: a.end.later(b.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a number.
    fn dsn(value: u64) -> DataSeq {
        DataSeq::new(value)
    }

    #[test]
    fn placement_around_the_window() {
        let at = |start: u64, len| place(dsn(100), dsn(200), dsn(start), len);
        assert_eq!(at(100, 10), Placement::InOrder { skip: 0, take: 10 });
        assert_eq!(at(90, 20), Placement::InOrder { skip: 10, take: 10 });
        assert_eq!(
            at(90, 500),
            Placement::InOrder {
                skip: 10,
                take: 100
            }
        );
        assert_eq!(at(90, 10), Placement::Duplicate);
        assert_eq!(at(100, 0), Placement::Duplicate);
        assert_eq!(at(150, 0), Placement::Duplicate);
        assert_eq!(at(101, 10), Placement::OutOfOrder { take: 10 });
        assert_eq!(at(190, 20), Placement::OutOfOrder { take: 10 });
        assert_eq!(at(200, 1), Placement::BeyondWindow);
        assert_eq!(
            place(dsn(100), dsn(100), dsn(100), 1),
            Placement::BeyondWindow
        );
        assert_eq!(
            place(dsn(100), dsn(90), dsn(99), 2),
            Placement::BeyondWindow
        );
        let wrapped = place(dsn(u64::MAX), dsn(5), dsn(u64::MAX - 1), 50);
        assert_eq!(wrapped, Placement::InOrder { skip: 1, take: 6 });
        assert_eq!(
            place(dsn(1 << 40), dsn(1 << 41), dsn(0), u32::MAX),
            Placement::Duplicate
        );
    }

    #[test]
    fn fit_trims_what_neighbours_have() {
        let between = |start: u64, len| fit(Some(dsn(100)), Some(dsn(200)), dsn(start), len);
        let keep = |skip, take, rest| Fit::Keep { skip, take, rest };
        assert_eq!(between(100, 100), keep(0, 100, 0));
        assert_eq!(between(90, 50), keep(10, 40, 0));
        assert_eq!(between(90, 150), keep(10, 100, 40));
        assert_eq!(between(90, 10), Fit::Covered { rest: 0 });
        assert_eq!(
            fit(Some(dsn(200)), Some(dsn(200)), dsn(90), 150),
            Fit::Covered { rest: 40 }
        );
        assert_eq!(fit(None, None, dsn(5), 7), keep(0, 7, 0));
        assert_eq!(fit(None, None, dsn(5), 0), Fit::Covered { rest: 0 });
    }

    #[test]
    fn ranges_join_and_release() {
        let mut ranges = Ranges::new([Range::EMPTY; 2]);
        assert_eq!(ranges.insert(Range::new(dsn(10), 10)), Ok(10));
        assert_eq!(ranges.insert(Range::new(dsn(40), 10)), Ok(10));
        assert_eq!(ranges.insert(Range::new(dsn(60), 10)), Err(NoRoom));
        assert_eq!(ranges.insert(Range::new(dsn(50), 5)), Ok(5));
        assert_eq!(ranges.insert(Range::new(dsn(12), 3)), Ok(0));
        assert_eq!(ranges.insert(Range::new(dsn(5), 45)), Ok(25));
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges.take_in_order(dsn(4)), None);
        assert_eq!(ranges.take_in_order(dsn(20)), Some(dsn(55)));
        assert!(ranges.is_empty());
        assert_eq!(ranges.insert(Range::new(dsn(0), 0)), Ok(0));
        assert!(ranges.is_empty());
    }
}
