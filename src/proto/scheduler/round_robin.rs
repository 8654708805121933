// SPDX-License-Identifier: GPL-2.0

//! The scheduler `roundrobin`: each path in turn.
//!
//! The next burst goes to the next path, in the order of indexes, that has room. While all have room
//! each gets the same; the slow ones fill up first, and from then on each gets what it delivers.
//! That is fair and simple, for tests and for paths that are alike. On unequal paths the stream is
//! as late as the slowest path, and the window is used up by what waits for it.

use super::{
    burst,
    eligible,
    send,
    Choice,
    Demand,
    Path,
    Scheduler,
    BURST_MAX, //
};

/// Each path in turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoundRobin {
    /// The index of the path that got the last burst.
    last: Option<u8>,
}

impl RoundRobin {
    /// Makes a scheduler that begins with the lowest index.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// Returns how many indexes come before `index`, beginning behind the last one.
    #[inline]
    fn turn(self, index: u8) -> u8 {
        match self.last {
            Some(last) => index.wrapping_sub(last).wrapping_sub(1),
            None => index,
        }
    }
}

impl Scheduler for RoundRobin {
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
        let next = eligible(paths)
            .map(|path| (path, burst(path, demand, BURST_MAX)))
            .filter(|(_, bytes)| *bytes > 0)
            .min_by_key(|(path, _)| self.turn(path.index));
        let Some((path, bytes)) = next else {
            return Choice::Wait;
        };
        self.last = Some(path.index);
        send(path, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        demand,
        full,
        path,
        sent_to, //
    };
    use super::*;

    #[test]
    fn paths_with_room_take_turns() {
        let mut paths = [
            path(200, 20, 10_000),
            path(0, 20, 10_000),
            path(7, 150, 10_000),
        ];
        let mut round_robin = RoundRobin::new();
        let mut take = |paths: &[Path], turns| -> Vec<_> {
            (0..turns)
                .filter_map(|_| sent_to(round_robin.choose(paths, &demand(100_000))))
                .collect()
        };
        assert_eq!(take(&paths, 7), [0, 7, 200, 0, 7, 200, 0]);
        paths = paths.map(|path| if path.index == 7 { full(path) } else { path });
        assert_eq!(take(&paths, 3), [200, 0, 200]);
        paths = paths.map(full);
        assert_eq!(take(&paths, 3), []);
    }

    #[test]
    fn burst_is_what_the_window_takes() {
        let mut path = path(0, 20, 1_000_000);
        let choice = RoundRobin::new().choose(&[path], &demand(1_000_000));
        assert_eq!(
            choice,
            Choice::Send {
                index: 0,
                bytes: BURST_MAX / 1_000 * 1_000
            }
        );
        path.cwnd = 4_500;
        let choice = RoundRobin::new().choose(&[path], &demand(1_000_000));
        assert_eq!(
            choice,
            Choice::Send {
                index: 0,
                bytes: 4_000
            }
        );
    }
}
