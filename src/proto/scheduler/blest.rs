// SPDX-License-Identifier: GPL-2.0

//! The scheduler `blest`: the slower path if the window lasts for the faster one.
//!
//! BLEST asks, when the fastest path `f` has no room and a slower path `s` has: how much would `f`
//! send until `s` has delivered, and does the send window hold that beside what is on `s`?
//!
//! ```text
//!   r = srtt_s / srtt_f
//!   X = (cwnd_f + mss_f * (r - 1) / 2) * r        bytes of f in one RTT of s; its window grows
//!   wait if   X * lambda > window - (queued_s + mss_s)
//! ```
//!
//! `lambda` corrects the estimate. It grows for each RTT of `s` in which the window was full although
//! `f` had room, and shrinks for each one in which it was not.
//!
//! S. Ferlin, Ö. Alay, O. Mehani, R. Boreli: BLEST: Blocking Estimation-based MPTCP Scheduler for
//! Heterogeneous Networks, IFIP Networking 2016.

use super::{
    fastest,
    fastest_with_room,
    Choice,
    Demand,
    Path,
    Scheduler, //
};
use crate::time::Timestamp;

/// One, in the units of `lambda`.
const ONE: u64 = 1_000;

/// The least that `lambda` is.
const LAMBDA_MIN: u64 = ONE;

/// What `lambda` begins with.
const LAMBDA_INITIAL: u64 = 1_200;

/// The most that `lambda` is.
const LAMBDA_MAX: u64 = 2_000;

/// How much `lambda` grows when the window was full.
const LAMBDA_UP: u64 = 40;

/// How much `lambda` shrinks when it was not.
const LAMBDA_DOWN: u64 = 10;

/// One, in the units of the ratio of two RTTs.
const RATIO_ONE: u64 = 1 << 10;

/// The greatest ratio of two RTTs that counts.
const RATIO_MAX: u64 = RATIO_ONE << 10;

/// The slower path if the window lasts for the faster one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blest {
    /// What the estimate is multiplied with, in thousandths.
    lambda: u64,
    /// Whether the window was full, in this RTT of the slower path, although the fastest had room.
    blocked: bool,
    /// When this RTT of the slower path is over, once there was one.
    round_end: Option<Timestamp>,
}

impl Blest {
    /// Makes a scheduler with the first guess of `lambda`.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lambda: LAMBDA_INITIAL,
            blocked: false,
            round_end: None,
        }
    }

    /// Takes note of a full window.
    fn observe(&mut self, fast: &Path, demand: &Demand) {
        let full = demand.window < u64::from(fast.segment()) && demand.waiting > demand.window;
        if full && fast.room() > 0 {
            self.blocked = true;
        }
    }

    /// Adapts `lambda` once for each RTT of the slower path.
    fn adapt(&mut self, slow: &Path, now: Timestamp) {
        match self.round_end {
            Some(end) if now < end => return,
            Some(_) if self.blocked => {
                self.lambda = self.lambda.saturating_add(LAMBDA_UP).min(LAMBDA_MAX);
            }
            Some(_) => self.lambda = self.lambda.saturating_sub(LAMBDA_DOWN).max(LAMBDA_MIN),
            None => {}
        }
        self.blocked = false;
        self.round_end = Some(now.advance(slow.smoothed_rtt()));
    }

    /// Tells whether the fastest path would run out of window before the slower one has delivered.
    fn holds_back(&self, fast: &Path, slow: &Path, demand: &Demand) -> bool {
        let ratio = slow
            .smoothed_rtt()
            .as_micros()
            .saturating_mul(RATIO_ONE)
            .checked_div(fast.smoothed_rtt().as_micros())
            .map_or(RATIO_MAX, |ratio| ratio.clamp(RATIO_ONE, RATIO_MAX));
        let growth = u64::from(fast.segment()).wrapping_mul(ratio.wrapping_sub(RATIO_ONE));
        let window = u64::from(fast.cwnd).wrapping_add(growth / (2 * RATIO_ONE));
        let sent = window.saturating_mul(ratio) / RATIO_ONE;
        let queued = u64::from(slow.queued()).wrapping_add(u64::from(slow.segment()));
        sent.saturating_mul(self.lambda) / ONE > demand.reach().saturating_sub(queued)
    }
}

impl Default for Blest {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Scheduler for Blest {
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
        let Some(fast) = fastest(paths) else {
            return Choice::Wait;
        };
        self.observe(fast, demand);
        fastest_with_room(paths, fast, demand, |slow| {
            self.adapt(slow, demand.now);
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
    fn full_fast_path_yields_while_the_window_lasts() {
        // r = 5, X = (20,000 + 1,000 * 2) * 5 = 110,000; times 1.2 and with one segment: 133,000.
        let paths = [full(path(0, 20, 20_000)), path(1, 100, 20_000)];
        let mut blest = Blest::new();
        let mut demand = demand(1_000_000);
        demand.in_flight = 20_000;
        demand.window = 113_000;
        assert_eq!(sent_to(blest.choose(&paths, &demand)), Some(1));
        demand.window = 112_999;
        assert_eq!(blest.choose(&paths, &demand), Choice::Wait);
        demand.window = 1_000_000;
        demand.waiting = 50_000;
        demand.buffer_free = 62_000;
        assert_eq!(blest.choose(&paths, &demand), Choice::Wait);
    }

    #[test]
    fn fast_path_with_room_is_used() {
        let paths = [path(0, 100, 20_000), path(1, 20, 20_000)];
        let mut demand = demand(20_000);
        demand.window = 2_000;
        assert_eq!(sent_to(Blest::new().choose(&paths, &demand)), Some(1));
    }

    #[test]
    fn full_window_raises_lambda_and_an_open_one_lowers_it() {
        let idle = [path(0, 20, 20_000), path(1, 100, 20_000)];
        let busy = [full(path(0, 20, 20_000)), path(1, 100, 20_000)];
        let mut blest = Blest::new();
        let mut demand = demand(1_000_000);
        let step = |blest: &mut Blest, demand: &mut Demand, closed: bool| {
            if closed {
                let mut closed = *demand;
                closed.window = 0;
                assert_eq!(blest.choose(&idle, &closed), Choice::Wait);
            }
            assert_eq!(sent_to(blest.choose(&busy, demand)), Some(1));
            demand.now = demand.now.advance(Duration::from_millis(100));
        };
        step(&mut blest, &mut demand, true);
        assert_eq!(blest.lambda, LAMBDA_INITIAL);
        step(&mut blest, &mut demand, true);
        assert_eq!(blest.lambda, LAMBDA_INITIAL + LAMBDA_UP);
        step(&mut blest, &mut demand, false);
        assert_eq!(blest.lambda, LAMBDA_INITIAL + LAMBDA_UP - LAMBDA_DOWN);
        for (closed, end) in [(true, LAMBDA_MAX), (false, LAMBDA_MIN)] {
            for _ in 0..200 {
                step(&mut blest, &mut demand, closed);
            }
            assert_eq!(blest.lambda, end);
        }
    }
}
