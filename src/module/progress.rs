// SPDX-License-Identifier: GPL-2.0

//! Whether Data ACKs make progress, as the retransmission timer finds it.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// Doublings of the timeout, at most.
const DOUBLINGS_MAX: u32 = 6;

/// What the data-level retransmission timer has found.
pub(crate) struct Progress {
    /// The oldest data without a Data ACK when the timer began to run.
    una: AtomicU64,
    /// When the timeout ends, in microseconds of TCP's clock, or any earlier time if the timer runs out
    /// no sooner.
    due: AtomicU64,
    /// Timeouts since the last progress.
    stalls: AtomicU32,
    /// The microseconds they took.
    stalled: AtomicU32,
}

impl Progress {
    /// Nothing has been sent yet.
    pub(crate) const fn new() -> Self {
        Self {
            una: AtomicU64::new(0),
            due: AtomicU64::new(0),
            stalls: AtomicU32::new(0),
            stalled: AtomicU32::new(0),
        }
    }

    /// Timeouts since the last progress.
    #[inline]
    pub(crate) fn stalls(&self) -> u32 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// `timeout`, doubled with every timeout since the last progress.
    pub(crate) fn back_off(&self, timeout: u32) -> u32 {
        timeout << self.stalls().min(DOUBLINGS_MAX)
    }

    /// Notes that a timeout begins that ends at `due`, with `una` as the oldest data without a Data ACK.
    pub(crate) fn watch(&self, una: DataSeq, due: Timestamp) {
        self.una.store(una.get(), Ordering::Relaxed);
        self.due.store(due.as_micros(), Ordering::Relaxed);
    }

    /// How much of the timeout is left.
    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        Timestamp::from_micros(self.due.load(Ordering::Relaxed)).since(now)
    }

    /// Notes a timeout after `timeout` microseconds at `una`; `true` when data has been acknowledged
    /// meanwhile.
    pub(crate) fn note(&self, una: DataSeq, timeout: u32) -> bool {
        let progressed = self.una.swap(una.get(), Ordering::Relaxed) != una.get();
        if progressed {
            self.stalls.store(0, Ordering::Relaxed);
            self.stalled.store(0, Ordering::Relaxed);
        } else {
            self.stalled.fetch_add(timeout, Ordering::Relaxed);
            self.stalls.fetch_add(1, Ordering::Relaxed);
        }
        progressed
    }

    /// Microseconds that timeouts have run out without any progress.
    pub(crate) fn stalled_for(&self) -> u32 {
        self.stalled.load(Ordering::Relaxed)
    }
}
