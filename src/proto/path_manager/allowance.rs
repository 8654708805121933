// SPDX-License-Identifier: GPL-2.0

//! How fast addresses of the peer are learned.
//!
//! Each new address is tried at once, from every local address. A peer that withdraws it and
//! announces another could have this host send SYNs to anybody, as fast as it likes. So only some
//! are learned in a row, and then one now and then.
//!
//! RFC 8684, Section 5.

use super::tick::Tick;
use crate::time::{
    Duration,
    Timestamp, //
};

/// How many new addresses are learned at once.
const BURST: u8 = 16;

/// After how long one more may be learned.
const INTERVAL: Duration = Duration::from_secs(4);

/// How many new addresses may still be learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// How many at once.
    left: u8,
    /// When it was last found to be what it is.
    counted: Tick,
}

impl Allowance {
    /// A full allowance.
    pub(super) const FULL: Self = Self {
        left: BURST,
        counted: Tick::ORIGIN,
    };

    /// Takes one, or returns false if there is none left.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        while self.left < BURST && Tick::after(self.counted.begin(), INTERVAL) <= Tick::at(now) {
            self.left = self.left.saturating_add(1);
            self.counted = Tick::after(self.counted.begin(), INTERVAL);
        }
        if self.left == BURST {
            self.counted = Tick::at(now);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_used_up_comes_back_one_by_one() {
        let at = |seconds| Timestamp::ORIGIN.advance(Duration::from_secs(seconds));
        let mut allowance = Allowance::FULL;
        for _ in 0..BURST {
            assert!(allowance.take(at(1_000)));
        }
        assert!(!allowance.take(at(1_000)));
        assert!(!allowance.take(at(1_003)));
        assert!(allowance.take(at(1_005)));
        assert!(!allowance.take(at(1_005)));
        for _ in 0..BURST {
            assert!(allowance.take(at(2_000)));
        }
        assert!(!allowance.take(at(2_000)));
    }
}
