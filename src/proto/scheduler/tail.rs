// SPDX-License-Identifier: GPL-2.0

//! The end of a transfer: the fast path helps the slow one.
//!
//! Nothing waits any more, a fast path is idle, and a slow one still has data on its way, perhaps for
//! seconds. How much that would be could not be foreseen: nobody knew that the stream ends here.
//!
//! ```text
//!   slow path:  [ gets there first anyway ][ copied to the fast path ........]
//!               |<---- skip ------------->|
//!   skip = rate_slow * (round_trip_fast + max(rttvar))
//! ```
//!
//! The fast path has nothing else to do, so it carries the same data once more, without a penalty for
//! the slow one. It stops when there is new data.
//!
//! Not handled here: data behind the oldest one that waits for window or buffer, see
//! [`Rescue`](super::Rescue).

use super::{
    eligible,
    Demand,
    Path,
    BURST_MAX, //
};
use crate::seq::DataSeq;

/// Data to be carried by another path as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relief {
    /// The [`Path::index`] of the subflow that has it.
    pub from: u8,
    /// How many bytes that this subflow has in flight, the oldest, are left out.
    pub skip: u64,
    /// The [`Path::index`] of the subflow that is to carry what follows.
    pub to: u8,
    /// How many bytes at most; 1 or more.
    pub bytes: u32,
}

/// Decides what to copy at the end; kept with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tail {
    /// Whether something was copied since data waited last.
    copies: bool,
    /// The DSN behind the last data that was copied.
    copied: Option<DataSeq>,
}

impl Tail {
    /// Makes the state of a connection that has just begun.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            copies: false,
            copied: None,
        }
    }

    /// Returns `dsn`, or where the data begins that was not copied yet if that is later.
    #[inline]
    #[must_use]
    pub fn not_copied(&self, dsn: DataSeq) -> DataSeq {
        self.copied.map_or(dsn, |end| end.later(dsn))
    }

    /// Notes that what is before `end` has been copied.
    #[inline]
    pub fn on_copied(&mut self, end: DataSeq) {
        self.copied = Some(end);
    }

    /// Notes that data waits: the end is not here, and a fast path has to be idle again before it helps.
    #[inline]
    pub fn on_waiting(&mut self) {
        self.copies = false;
    }

    /// Decides what to do when the scheduler has nothing more to say.
    pub fn decide(&mut self, paths: &[Path], demand: &Demand) -> Option<Relief> {
        if demand.waiting > 0 || demand.in_flight == 0 {
            self.on_waiting();
            return None;
        }
        let busy = paths
            .iter()
            .filter(|path| path.answers() && path.queued() > 0);
        let slow = busy.max_by_key(|path| path.round_trip(0))?;
        let idle = eligible(paths)
            .filter(|path| path.index != slow.index && path.room() > 0)
            .filter(|path| self.copies || path.queued() == 0);
        let fast = idle.min_by_key(|path| path.round_trip(path.segment()))?;
        let arrival = fast.round_trip(fast.segment());
        let skip = slow.carried_in(arrival.saturating_add(fast.deviation_beside(slow)));
        if skip >= u64::from(slow.queued()) {
            return None;
        }
        self.copies = true;
        Some(Relief {
            from: slow.index,
            skip,
            to: fast.index,
            bytes: fast.room().min(BURST_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        demand,
        full,
        path, //
    };
    use super::*;

    /// A slow path of 100 kB/s that has 50 kB in flight, and an idle fast one.
    fn paths() -> [Path; 2] {
        let mut paths = [full(path(0, 150, 50_000)), path(1, 20, 10_000)];
        for (path, rate) in paths.iter_mut().zip([100_000, 1_000_000]) {
            path.delivery_rate = rate;
        }
        paths
    }

    /// Nothing waits, all is on its way.
    fn sent() -> Demand {
        Demand {
            in_flight: 50_000,
            ..demand(0)
        }
    }

    #[test]
    fn idle_path_copies_what_it_delivers_earlier() {
        let copy = Tail::new().decide(&paths(), &sent());
        let expected = Relief {
            from: 0,
            // What 100 kB/s carry in the 20 ms of the fast path.
            skip: 2_000,
            to: 1,
            bytes: 10_000,
        };
        assert_eq!(copy, Some(expected));
        let [mut slow, fast] = paths();
        slow.in_flight = 2_000;
        assert_eq!(Tail::new().decide(&[slow, fast], &sent()), None);
    }

    #[test]
    fn path_that_has_begun_to_copy_goes_on_until_data_waits() {
        let [slow, fast] = paths();
        let busy = Path {
            in_flight: 4_000,
            ..fast
        };
        let mut tail = Tail::new();
        assert_eq!(tail.decide(&[slow, busy], &sent()), None);
        assert!(tail.decide(&[slow, fast], &sent()).is_some());
        assert!(tail.decide(&[slow, busy], &sent()).is_some());
        assert_eq!(tail.decide(&[slow, busy], &demand(1_000)), None);
        assert_eq!(tail.decide(&[slow, busy], &sent()), None);
    }

    #[test]
    fn what_was_copied_is_not_copied_again() {
        let mut tail = Tail::new();
        let dsn = DataSeq::new(u64::MAX);
        assert_eq!(tail.not_copied(dsn), dsn);
        tail.on_copied(dsn.advance(10));
        assert_eq!(tail.not_copied(dsn), dsn.advance(10));
        assert_eq!(tail.not_copied(dsn.advance(11)), dsn.advance(11));
    }

    #[test]
    fn nobody_faster_with_room_copies_nothing() {
        let [slow, fast] = paths();
        let decide = |paths: &[Path]| Tail::new().decide(paths, &sent());
        assert_eq!(decide(&[slow]), None);
        assert_eq!(decide(&[slow, full(fast)]), None);
        let backup = Path {
            backup: true,
            ..fast
        };
        assert_eq!(decide(&[slow, backup]), None);
        let stale = Path {
            stale: true,
            ..slow
        };
        assert_eq!(decide(&[stale, fast]), None);
    }
}
