// SPDX-License-Identifier: GPL-2.0

//! The way out when a slow path blocks the connection.
//!
//! The peer's window is full, or the send buffer is, and the oldest byte without a Data ACK is on a
//! slow path while a faster one could send:
//!
//! ```text
//!   una                                                      right edge
//!    |[ head: on slow path A ][ arrived over fast path B ....]|
//! ```
//!
//! Then the bytes at the head are sent again on B (opportunistic retransmission), and the congestion
//! window of A is halved, so that A gets less of the window from now on (penalisation), at most once
//! for each RTT of A.
//!
//! A connection that is limited by its window is blocked all the time, and the head of the line is
//! always on some path. What is about to arrive is left alone, so B has to be earlier by more than
//! the RTTs deviate:
//!
//! ```text
//!   round_trip_B + max(rttvar_A, rttvar_B) < rtt_A - age         the head is on its way
//!                                          < rtt_A               it is overdue: A has to repeat it
//! ```
//!
//! Not handled here: a path that makes no progress at all, which is the business of the
//! retransmission timer.
//!
//! C. Raiciu, C. Paasch, S. Barre, A. Ford, M. Honda, F. Duchene, O. Bonaventure, M. Handley: How
//! Hard Can It Be? Designing and Implementing a Deployable Multipath TCP, NSDI 2012, Section 4.2.

use super::{
    eligible,
    Demand,
    Path,
    BURST_MAX, //
};
use crate::seq::DataSeq;
use crate::time::{
    Duration,
    Timestamp, //
};

/// The least that a congestion window is halved to.
///
/// Segments.
const CWND_MIN: u32 = 2;

/// The oldest data that has no Data ACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its first DSN.
    pub dsn: DataSeq,
    /// How many bytes from there on are in flight on the same subflow.
    pub bytes: u64,
    /// The [`Path::index`] of that subflow.
    pub index: u8,
    /// When it was handed over to the subflow, or any later time if that is not known.
    pub sent: Timestamp,
}

/// What to do about a connection that does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Nothing: it moves, nobody else could do better, or it was done already.
    Nothing,
    /// Hand the first bytes without a Data ACK over to another subflow.
    Reinject {
        /// The [`Path::index`] of the subflow that is to carry them.
        index: u8,
        /// How many bytes from [`Head::dsn`] on; 1 or more.
        bytes: u32,
        /// The new congestion window of the subflow that they are on, in bytes, if it is reduced.
        penalty: Option<u32>,
    },
}

/// When the congestion window of one subflow was halved; kept with the subflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Penalty {
    /// Until when it is not halved again.
    until: Option<Timestamp>,
}

impl Penalty {
    /// Makes the state of a subflow that was never penalised.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { until: None }
    }

    /// Returns half of the congestion window, unless that was done less than an RTT ago or would
    /// not be less.
    fn try_halve(&mut self, path: &Path, now: Timestamp) -> Option<u32> {
        if self.until.is_some_and(|until| now < until) {
            return None;
        }
        let cwnd = (path.cwnd / 2).max(path.segment().saturating_mul(CWND_MIN));
        if cwnd >= path.cwnd {
            return None;
        }
        self.until = Some(now.advance(path.rtt()));
        Some(cwnd)
    }
}

/// Decides when to send the head of the line again; kept with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rescue {
    /// The first DSN that was not sent again, if anything was.
    reinjected: Option<DataSeq>,
}

impl Rescue {
    /// Makes the state of a connection that was never blocked.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { reinjected: None }
    }

    /// Decides what to do when the scheduler has nothing more to say.
    ///
    /// `penalty` is that of the subflow that carries the head. Each byte is sent again once; if that
    /// does not help, the retransmission timer does.
    pub fn decide(
        &mut self,
        paths: &[Path],
        demand: &Demand,
        head: &Head,
        penalty: &mut Penalty,
    ) -> Remedy {
        let Some(slow) = paths.iter().find(|path| path.index == head.index) else {
            return Remedy::Nothing;
        };
        let left = time_left(slow, demand.now.since(head.sent));
        let fast = eligible(paths)
            .filter(|path| path.index != slow.index && path.room() > 0)
            .filter(|path| is_blocked(path, demand))
            .map(|path| (path, path.round_trip(path.segment())))
            .filter(|(path, trip)| trip.saturating_add(path.deviation_beside(slow)) < left)
            .min_by_key(|(_, trip)| *trip);
        let Some((fast, _)) = fast else {
            return Remedy::Nothing;
        };
        if self.reinjected.is_some_and(|next| head.dsn.before(next)) {
            return Remedy::Nothing;
        }
        let most = fast.room().min(BURST_MAX);
        let bytes = u32::try_from(head.bytes).map_or(most, |bytes| bytes.min(most));
        if bytes == 0 {
            return Remedy::Nothing;
        }
        self.reinjected = Some(head.dsn.advance(u64::from(bytes)));
        Remedy::Reinject {
            index: fast.index,
            bytes,
            penalty: penalty.try_halve(slow, demand.now),
        }
    }
}

/// Returns how long it takes at least until data is acknowledged that was handed over `age` ago.
fn time_left(path: &Path, age: Duration) -> Duration {
    if age < path.rtt().saturating_add(path.rttvar) {
        path.rtt().saturating_sub(age)
    } else {
        path.rtt()
    }
}

/// Tells whether `path` could send more if there were more window, or more room for the application.
fn is_blocked(path: &Path, demand: &Demand) -> bool {
    if demand.waiting > 0 {
        demand.window < demand.waiting.min(u64::from(path.segment()))
    } else {
        demand.in_flight > 0 && demand.is_backlogged()
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

    /// A slow path that carries the head, and a fast one with room.
    fn paths() -> [Path; 2] {
        [full(path(0, 150, 40_000)), path(1, 20, 10_000)]
    }

    /// A full window at a time in milliseconds.
    fn blocked(millis: u64) -> Demand {
        Demand {
            now: Timestamp::ORIGIN.advance(Duration::from_millis(millis)),
            window: 0,
            in_flight: 40_000,
            ..demand(100_000)
        }
    }

    /// The head of the line from `dsn` on, sent at the origin.
    fn head(dsn: u64) -> Head {
        Head {
            dsn: DataSeq::new(dsn),
            bytes: 4_000,
            index: 0,
            sent: Timestamp::ORIGIN,
        }
    }

    /// The remedy that sends the head again on the fast path.
    fn reinject(penalty: Option<u32>) -> Remedy {
        Remedy::Reinject {
            index: 1,
            bytes: 4_000,
            penalty,
        }
    }

    #[test]
    fn full_window_reinjects_once_and_penalises_once_a_round_trip() {
        let (mut rescue, mut penalty) = (Rescue::new(), Penalty::new());
        let mut decide =
            |dsn, millis| rescue.decide(&paths(), &blocked(millis), &head(dsn), &mut penalty);
        assert_eq!(decide(u64::MAX - 1_000, 10), reinject(Some(20_000)));
        assert_eq!(decide(u64::MAX - 1_000, 10), Remedy::Nothing);
        assert_eq!(decide(2_000, 20), Remedy::Nothing);
        assert_eq!(decide(3_000, 100), reinject(None));
        assert_eq!(decide(7_000, 160), reinject(Some(20_000)));
    }

    #[test]
    fn penalty_leaves_two_segments() {
        let mut paths = paths();
        let mut penalties = Vec::new();
        for cwnd in [1_000, 2_000, 3_000, 5_000] {
            let [slow, _] = &mut paths;
            slow.cwnd = cwnd;
            let mut penalty = Penalty::new();
            let remedy = Rescue::new().decide(&paths, &blocked(0), &head(0), &mut penalty);
            if let Remedy::Reinject { penalty, .. } = remedy {
                penalties.push(penalty);
            }
        }
        assert_eq!(penalties, [None, None, Some(2_000), Some(2_500)]);
    }

    #[test]
    fn head_that_arrives_earlier_by_itself_is_left_alone() {
        let decide = |paths: &[Path], millis| {
            Rescue::new().decide(paths, &blocked(millis), &head(0), &mut Penalty::new())
        };
        assert_ne!(decide(&paths(), 129), Remedy::Nothing);
        assert_eq!(decide(&paths(), 130), Remedy::Nothing);
        assert_eq!(decide(&paths(), 149), Remedy::Nothing);
        // It is overdue: its TCP has to repeat it.
        assert_ne!(decide(&paths(), 150), Remedy::Nothing);
        let mut deviating = paths();
        for path in &mut deviating {
            path.rttvar = Duration::from_millis(130);
        }
        assert_eq!(decide(&deviating, 0), Remedy::Nothing);
    }

    #[test]
    fn connection_that_moves_is_left_alone() {
        let decide =
            |demand: &Demand| Rescue::new().decide(&paths(), demand, &head(0), &mut Penalty::new());
        let mut demand = blocked(0);
        assert_ne!(decide(&demand), Remedy::Nothing);
        demand.window = 1_000;
        assert_eq!(decide(&demand), Remedy::Nothing);
        // Nothing waits because the send buffer is full.
        (demand.waiting, demand.buffer_free) = (0, 10_000);
        assert_ne!(decide(&demand), Remedy::Nothing);
        demand.buffer_free = 20_000;
        assert_eq!(decide(&demand), Remedy::Nothing);
    }

    #[test]
    fn nobody_faster_with_room_leaves_it_alone() {
        let decide = |paths: &[Path]| {
            Rescue::new().decide(paths, &blocked(0), &head(0), &mut Penalty::new())
        };
        let [slow, fast] = paths();
        assert_eq!(decide(&[slow]), Remedy::Nothing);
        assert_eq!(decide(&[fast]), Remedy::Nothing);
        assert_eq!(decide(&[slow, full(fast)]), Remedy::Nothing);
        let backup = Path {
            backup: true,
            ..fast
        };
        assert_eq!(decide(&[slow, backup]), Remedy::Nothing);
        let stale = Path {
            stale: true,
            ..slow
        };
        assert_ne!(decide(&[stale, backup]), Remedy::Nothing);
    }
}
