// SPDX-License-Identifier: GPL-2.0

//! The data-level retransmission timer: when to send data again on another subflow.

use crate::time::{
    Duration,
    Timestamp, //
};

/// The most doublings of the timeout that are counted.
const DOUBLINGS_MAX: u32 = 31;

/// What to do when the timer is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutDecision {
    /// It does not run.
    Stopped,
    /// It is not due: look again at this time.
    NotDue(Timestamp),
    /// Send the first unacknowledged data again, on another subflow if there is one. The timer runs
    /// again, for longer.
    Reinject {
        /// How many times in a row nothing was acknowledged, 1 or more.
        attempt: u32,
    },
}

/// The data-level retransmission timer.
///
/// Runs while data is unacknowledged at the data level. It expires after the largest retransmission
/// timeout of all subflows, so that each of them had its chance to repair a loss by itself, and
/// doubles each time, up to a maximum.
///
/// RFC 8684, Section 3.3.6.
///
/// C counterpart: `net/mptcp/protocol.c` (`mptcp_set_timeout`, `mptcp_retransmit_timer`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetransmitTimer {
    /// The shortest timeout.
    min: Duration,
    /// The longest timeout.
    max: Duration,
    /// How many times in a row the timer expired.
    attempts: u32,
    /// When it expires, if it runs.
    deadline: Option<Timestamp>,
}

impl RetransmitTimer {
    /// Makes a timer that does not run, with timeouts from `min` to `max`.
    #[inline]
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            attempts: 0,
            deadline: None,
        }
    }

    /// Returns when the timer expires, if it runs.
    #[inline]
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Starts the timer if it does not run: data was sent.
    ///
    /// `rto` is the largest retransmission timeout of the subflows.
    #[inline]
    pub fn on_send(&mut self, now: Timestamp, rto: Duration) {
        if self.deadline.is_none() {
            self.deadline = Some(now.advance(self.timeout(rto)));
        }
    }

    /// Starts the timer afresh: something was acknowledged and something still is not.
    #[inline]
    pub fn on_progress(&mut self, now: Timestamp, rto: Duration) {
        self.attempts = 0;
        self.deadline = Some(now.advance(self.timeout(rto)));
    }

    /// Stops the timer: everything is acknowledged.
    #[inline]
    pub fn stop(&mut self) {
        self.attempts = 0;
        self.deadline = None;
    }

    /// Decides what to do now.
    ///
    /// RFC 8684, Section 3.3.6.
    pub fn on_timeout(&mut self, now: Timestamp, rto: Duration) -> TimeoutDecision {
        let Some(deadline) = self.deadline else {
            return TimeoutDecision::Stopped;
        };
        if now < deadline {
            return TimeoutDecision::NotDue(deadline);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.deadline = Some(now.advance(self.timeout(rto)));
        TimeoutDecision::Reinject {
            attempt: self.attempts,
        }
    }

    /// Returns the timeout: `min(max(rto, self.min) * 2^attempts, self.max)`.
    #[inline]
    fn timeout(&self, rto: Duration) -> Duration {
        rto.max(self.min)
            .doubled(self.attempts.min(DOUBLINGS_MAX))
            .min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a point in time.
    fn at(millis: u64) -> Timestamp {
        Timestamp::ORIGIN.advance(Duration::from_millis(millis))
    }

    #[test]
    fn timer_unanswered_backs_off_up_to_the_maximum() {
        let rto = Duration::from_millis(300);
        let mut timer =
            RetransmitTimer::new(Duration::from_millis(200), Duration::from_millis(1_000));
        assert_eq!(timer.on_timeout(at(0), rto), TimeoutDecision::Stopped);
        timer.on_send(at(0), rto);
        timer.on_send(at(200), rto);
        assert_eq!(
            timer.on_timeout(at(299), rto),
            TimeoutDecision::NotDue(at(300))
        );
        for (attempt, now, next) in [(1, 300, 900), (2, 900, 1_900), (3, 1_900, 2_900)] {
            assert_eq!(
                timer.on_timeout(at(now), rto),
                TimeoutDecision::Reinject { attempt }
            );
            assert_eq!(timer.deadline(), Some(at(next)));
        }
        timer.on_progress(at(2_000), Duration::ZERO);
        assert_eq!(timer.deadline(), Some(at(2_200)));
        timer.stop();
        assert_eq!(timer.deadline(), None);
    }
}
