// SPDX-License-Identifier: GPL-2.0

//! The scheduler `redundant`: everything on every path.
//!
//! Each path carries the whole stream, at its own pace. The first copy to arrive counts, so a byte is
//! as fast as the fastest path, and a loss or a path that dies costs no time. The price is that the
//! connection has the throughput of one path. It is for little data that has to be there soon.
//!
//! Every subflow has a next DSN of its own. One that is [`behind`](Path::behind) repeats what others
//! have sent; one that is not takes what is new. What has a Data ACK is not repeated: the caller moves
//! a subflow's next DSN on to the first byte without one, and so a slow path skips what it is too
//! late for.

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

/// Everything on every path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Redundant;

impl Redundant {
    /// Makes the scheduler; it has no state.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Scheduler for Redundant {
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
        eligible(paths)
            .map(|path| (path, next(path, demand)))
            .filter(|(_, choice)| *choice != Choice::Wait)
            .min_by_key(|(path, _)| path.rtt())
            .map_or(Choice::Wait, |(_, choice)| choice)
    }

    #[inline]
    fn duplicates(&self) -> bool {
        true
    }
}

/// Returns what one path does next.
fn next(path: &Path, demand: &Demand) -> Choice {
    if path.behind == 0 {
        return send(path, burst(path, demand, BURST_MAX));
    }
    // The peer's window was open when this was sent first, and its right edge never moves back.
    let most = path.room().min(BURST_MAX);
    match u32::try_from(path.behind).map_or(most, |behind| behind.min(most)) {
        0 => Choice::Wait,
        bytes => Choice::Repeat {
            index: path.index,
            bytes,
        },
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

    #[test]
    fn every_path_gets_everything() {
        let mut paths = [path(0, 150, 3_000), path(1, 20, 10_000)];
        let mut demand = demand(5_000);
        assert!(Redundant::new().duplicates());
        let choice = Redundant::new().choose(&paths, &demand);
        let (index, bytes) = (1, 5_000);
        assert_eq!(choice, Choice::Send { index, bytes });
        // All of it is sent once, and the other path has it all before it.
        (demand.waiting, demand.in_flight) = (0, 5_000);
        let [slow, fast] = &mut paths;
        (slow.behind, fast.in_flight) = (5_000, 5_000);
        let choice = Redundant::new().choose(&paths, &demand);
        let (index, bytes) = (0, 3_000);
        assert_eq!(choice, Choice::Repeat { index, bytes });
        let [slow, _] = &mut paths;
        (slow.behind, slow.in_flight) = (2_000, 3_000);
        assert_eq!(Redundant::new().choose(&paths, &demand), Choice::Wait);
    }

    #[test]
    fn closed_window_still_lets_repeat() {
        let mut paths = [full(path(0, 20, 10_000)), path(1, 150, 10_000)];
        let mut demand = demand(100_000);
        (demand.window, demand.in_flight) = (0, 10_000);
        assert_eq!(Redundant::new().choose(&paths, &demand), Choice::Wait);
        let [_, slow] = &mut paths;
        slow.behind = 1 << 40;
        let choice = Redundant::new().choose(&paths, &demand);
        let (index, bytes) = (1, 10_000);
        assert_eq!(choice, Choice::Repeat { index, bytes });
    }
}
