// SPDX-License-Identifier: GPL-2.0

//! The scheduler `ecf`: the slower path if the faster one would not be done earlier.
//!
//! ECF, earliest completion first, asks when the fastest path `f` has no room and a slower path `s`
//! has: is the `k` bytes that wait done earlier if all of it waits for `f`?
//!
//! ```text
//!   n = 1 + k / cwnd_f                            rounds that f needs
//!   d = max(rttvar_f, rttvar_s)
//!   wait if   n * srtt_f < (1 + waiting * beta) * (srtt_s + d)       f is done before s delivers
//!       and   k / cwnd_s * srtt_s >= 2 * srtt_f + d                  and s alone would take longer
//! ```
//!
//! where `waiting` is one if the last answer was to wait and `beta` is a quarter, so that the answer
//! does not change with every packet.
//!
//! Y. Lim, E. M. Nahum, D. Towsley, R. J. Gibbens: ECF: An MPTCP Path Scheduler to Manage
//! Heterogeneous Paths, CoNEXT 2017.

use super::{
    fastest,
    fastest_with_room,
    Choice,
    Demand,
    Path,
    Scheduler, //
};

/// `1 / beta`.
const BETA_INVERSE: u64 = 4;

/// The slower path if the faster one would not be done earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ecf {
    /// Whether the last answer was to wait for the fastest path.
    waiting: bool,
}

impl Ecf {
    /// Makes a scheduler that does not wait.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: false }
    }

    /// Tells whether to wait for the fastest path, and remembers it.
    fn holds_back(&mut self, fast: &Path, slow: &Path, demand: &Demand) -> bool {
        let deviation = fast.deviation_beside(slow).as_micros();
        let (fast_rtt, slow_rtt) = (
            fast.smoothed_rtt().as_micros(),
            slow.smoothed_rtt().as_micros(),
        );
        let fast_done = fast_rtt.saturating_add(rounds(fast, demand.waiting));
        let slow_done = slow_rtt.saturating_add(deviation);
        let margin = if self.waiting {
            slow_done / BETA_INVERSE
        } else {
            0
        };
        if fast_done >= slow_done.saturating_add(margin) {
            self.waiting = false;
            return false;
        }
        // Not remembered if the slower path gets it after all, as the paper has it.
        let twice = fast_rtt.saturating_mul(2).saturating_add(deviation);
        if rounds(slow, demand.waiting) < twice {
            return false;
        }
        self.waiting = true;
        true
    }
}

/// Returns `bytes / cwnd * srtt` of a path, in microseconds.
#[inline]
fn rounds(path: &Path, bytes: u64) -> u64 {
    let cwnd = u64::from(path.cwnd.max(path.segment()));
    bytes
        .saturating_mul(path.smoothed_rtt().as_micros())
        .checked_div(cwnd)
        .unwrap_or(u64::MAX)
}

impl Scheduler for Ecf {
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
        let Some(fast) = fastest(paths) else {
            return Choice::Wait;
        };
        fastest_with_room(paths, fast, demand, |slow| {
            fast.queued() > 0 && self.holds_back(fast, slow, demand)
        })
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
    use crate::time::Duration;

    #[test]
    fn little_data_waits_for_the_fast_path() {
        // f is done after 20 ms * (1 + k / 20,000), s delivers after 100 ms: they meet at 80,000.
        let paths = [full(path(0, 20, 20_000)), path(1, 100, 20_000)];
        let mut ecf = Ecf::new();
        assert_eq!(sent_to(ecf.choose(&paths, &demand(80_000))), Some(1));
        assert_eq!(ecf.choose(&paths, &demand(79_000)), Choice::Wait);
        // A quarter more is needed to change its mind.
        assert_eq!(ecf.choose(&paths, &demand(104_000)), Choice::Wait);
        assert_eq!(sent_to(ecf.choose(&paths, &demand(105_000))), Some(1));
        assert_eq!(sent_to(ecf.choose(&paths, &demand(80_000))), Some(1));
    }

    #[test]
    fn slower_path_that_is_done_soon_is_used() {
        // 7,000 bytes are 35 ms of the slower path, less than two RTTs of the faster one.
        let mut paths = [full(path(0, 20, 20_000)), path(1, 100, 20_000)];
        let mut ecf = Ecf::new();
        assert_eq!(sent_to(ecf.choose(&paths, &demand(7_000))), Some(1));
        assert_eq!(ecf.choose(&paths, &demand(8_000)), Choice::Wait);
        for path in &mut paths {
            path.rttvar = Duration::from_millis(10);
        }
        assert_eq!(sent_to(Ecf::new().choose(&paths, &demand(8_000))), Some(1));
    }

    #[test]
    fn fast_path_with_room_is_used() {
        let paths = [path(0, 100, 20_000), path(1, 20, 20_000)];
        assert_eq!(sent_to(Ecf::new().choose(&paths, &demand(5_000))), Some(1));
    }
}
