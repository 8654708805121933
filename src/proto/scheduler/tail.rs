// SPDX-License-Identifier: GPL-2.0

//! The end of a transfer: the fast path helps the slow one.
//!
//! Nothing waits any more, a fast path is idle, and a slow one still has data on its way, perhaps for
//! seconds. How much that would be could not be foreseen: nobody knew that the stream ends here.
//!
//! ```text
//!   slow path:  [ gets there first anyway ][ delivered ->   <- copied to the fast path ]
//!               |<---- skip ------------->|
//!   skip = rate_slow * (round_trip_fast + max(rttvar))
//! ```
//!
//! The fast path has nothing else to do, so it carries the same data once more, without a penalty for
//! the slow one. It begins with the newest, so that both meet on the way: what the slow path delivers
//! meanwhile was not carried twice. It stops when there is new data.
//!
//! Not handled here: data behind the oldest one that waits for window or buffer, see
//! [`Rescue`](super::Rescue).

use super::{
    eligible,
    Demand,
    Path,
    BURST_MAX, //
};
use crate::mapping::Mapping;
use crate::repeats::Range;
use crate::seq::DataSeq;

/// Data to be carried by another path as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relief {
    /// The [`Path::index`] of the subflow that has it.
    pub from: u8,
    /// How many bytes that this subflow has in flight, the oldest, are left out.
    pub skip: u64,
    /// The [`Path::index`] of the subflow that is to carry the rest, the newest first.
    pub to: u8,
    /// How many bytes at most; 1 or more.
    pub bytes: u32,
}

/// Decides what to copy at the end; kept with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tail {
    /// From the oldest to the newest data that was copied since data waited last, if any was.
    copied: Option<Range>,
    /// The DSN behind what was copied before that: the end did not come there.
    floor: Option<DataSeq>,
}

impl Tail {
    /// Makes the state of a connection that has just begun.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            copied: None,
            floor: None,
        }
    }

    /// Takes at most `bytes` bytes to be copied next: the newest of `on_slow` that were not yet. The peer
    /// has what is before `una`.
    pub fn take(
        &mut self,
        una: DataSeq,
        on_slow: impl Iterator<Item = Mapping>,
        bytes: u32,
    ) -> Option<Range> {
        let copied = self.copied;
        let floor = self.floor.map_or(una, |floor| floor.later(una));
        let ranges = on_slow.map(|mapping| Range {
            start: mapping.dsn().later(floor),
            end: copied.map_or(mapping.end_dsn(), |done| {
                done.start.earlier(mapping.end_dsn())
            }),
        });
        let newest = ranges
            .filter(|range| !range.is_empty())
            .reduce(|one, next| if next.end.after(one.end) { next } else { one })?;
        let start = newest.start.later(newest.end.retreat(bytes.into()));
        self.copied = Some(Range {
            start,
            end: copied.map_or(newest.end, |done| done.end),
        });
        Some(Range { start, ..newest })
    }

    /// Notes that data waits: the end is not here, and a fast path has to be idle again before it helps.
    #[inline]
    pub fn on_waiting(&mut self) {
        if let Some(copied) = self.copied.take() {
            self.floor = Some(copied.end);
        }
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
            .filter(|path| self.copied.is_some() || path.queued() == 0);
        let fast = idle.min_by_key(|path| path.round_trip(path.segment()))?;
        let arrival = fast.round_trip(fast.segment());
        let skip = slow.carried_in(arrival.saturating_add(fast.deviation_beside(slow)));
        if skip >= u64::from(slow.queued()) {
            return None;
        }
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
    use crate::seq::SubflowSeq;

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

    /// What a slow path carries: bytes of the connection from one number to another, each run.
    fn on_slow(runs: &[(u64, u64)]) -> impl Iterator<Item = Mapping> + '_ {
        runs.iter().map(|&(start, end)| {
            Mapping::new(
                SubflowSeq::new(1),
                DataSeq::new(start),
                end.wrapping_sub(start) as u32,
            )
        })
    }

    /// What is taken, as numbers.
    fn taken(tail: &mut Tail, una: u64, runs: &[(u64, u64)], bytes: u32) -> Option<(u64, u64)> {
        let range = tail.take(DataSeq::new(una), on_slow(runs), bytes)?;
        Some((range.start.get(), range.end.get()))
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
        assert!(taken(&mut tail, 0, &[(0, 100)], 10).is_some());
        assert!(tail.decide(&[slow, busy], &sent()).is_some());
        assert_eq!(tail.decide(&[slow, busy], &demand(1_000)), None);
        assert_eq!(tail.decide(&[slow, busy], &sent()), None);
    }

    #[test]
    fn newest_is_copied_first_and_nothing_twice() {
        let mut tail = Tail::new();
        let runs = [(10, 40), (100, 130), (50, 60)];
        assert_eq!(taken(&mut tail, 0, &runs, 20), Some((110, 130)));
        assert_eq!(taken(&mut tail, 0, &runs, 20), Some((100, 110)));
        assert_eq!(taken(&mut tail, 0, &runs, 20), Some((50, 60)));
        assert_eq!(taken(&mut tail, 35, &runs, 20), Some((35, 40)));
        assert_eq!(taken(&mut tail, 35, &runs, 20), None);
    }

    #[test]
    fn what_was_copied_before_data_waited_is_not_copied_again() {
        let mut tail = Tail::new();
        assert_eq!(taken(&mut tail, 0, &[(10, 40)], 20), Some((20, 40)));
        tail.on_waiting();
        assert_eq!(taken(&mut tail, 0, &[(10, 40)], 20), None);
        let runs = [(10, 40), (60, 70)];
        assert_eq!(taken(&mut tail, 0, &runs, 20), Some((60, 70)));
        assert_eq!(taken(&mut tail, 0, &runs, 20), None);
    }

    #[test]
    fn numbers_wrap() {
        let mut tail = Tail::new();
        let (first, middle, last) = (u64::MAX - 9, u64::MAX - 4, 10);
        let runs = [(first, last)];
        assert_eq!(taken(&mut tail, first, &runs, 15), Some((middle, last)));
        assert_eq!(taken(&mut tail, first, &runs, 15), Some((first, middle)));
    }

    #[test]
    fn both_paths_meet_and_carry_nothing_twice() {
        // Four bytes go out on the fast path while one does on the slow one.
        let (mut tail, mut delivered, mut copied) = (Tail::new(), 0, 1_000);
        while delivered < copied {
            let Some((start, end)) = taken(&mut tail, delivered, &[(delivered, 1_000)], 4) else {
                break;
            };
            assert_eq!(end, copied);
            (copied, delivered) = (start, delivered + 1);
        }
        assert_eq!(delivered, 200);
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
