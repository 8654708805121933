// SPDX-License-Identifier: GPL-2.0

//! What a scheduler is told of a subflow, and what follows from it.
//!
//! A [`Path`] is a snapshot of TCP's figures for one subflow. From them follow how much it takes
//! now, and when what it takes now would be acknowledged:
//!
//! ```text
//!   queued     = in_flight + unsent
//!   room       = cwnd + headroom - queued
//!   rtt        = max(srtt - idle, min_rtt)           a queue that nobody feeds drains
//!   rate       = delivery_rate, or cwnd / srtt until it is known
//!   round trip = max(rtt, (queued + bytes) / rate)
//! ```
//!
//! So what has just been handed over counts at once, long before the smoothed RTT shows it, and a
//! queue that the subflow has filled itself is not held against it for ever.
//!
//! C counterpart: `struct tcp_sock`.

use super::BURST_MAX;
use crate::time::Duration;

/// The RTT of a subflow that has not measured one.
///
/// RFC 9002, Section 6.2.2.
const INITIAL_RTT: Duration = Duration::from_millis(333);

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// The fewest segments that a share has, so that each delayed ACK is of one share.
const SHARE_SEGMENTS: u32 = 2;

/// The segments of the first congestion window.
///
/// RFC 6928, Section 2.
const INITIAL_SEGMENTS: u32 = 10;

/// A share is what a path carries in a second, divided by this: about 4 ms.
const SHARES_PER_SECOND: u64 = 256;

/// A subflow at the moment of a choice.
///
/// The paths of one call have different indexes, which mean the same subflows in every call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Which subflow it is.
    pub index: u8,
    /// The smoothed round-trip time, or zero if none was measured.
    pub srtt: Duration,
    /// The least round-trip time measured, or zero if that is not known.
    pub min_rtt: Duration,
    /// The mean deviation of the round-trip time, without the floor that the retransmission timeout
    /// has.
    pub rttvar: Duration,
    /// The congestion window.
    ///
    /// Bytes.
    pub cwnd: u32,
    /// What may be handed over beyond the congestion window, so that TCP has something to send the
    /// moment an ACK comes.
    ///
    /// Bytes; zero if the caller is there as fast as the ACK.
    pub headroom: u32,
    /// What TCP has sent and the peer's TCP has not acknowledged.
    ///
    /// Bytes.
    pub in_flight: u32,
    /// What was handed over to TCP and not sent yet.
    ///
    /// Bytes.
    pub unsent: u32,
    /// How long nothing was sent.
    pub idle: Duration,
    /// The payload of a full segment; zero counts as one.
    ///
    /// Bytes.
    pub mss: u32,
    /// The rate that the path is known to carry, or zero if it is not known.
    ///
    /// Bytes per second; see [`DeliveryRate`](super::DeliveryRate).
    pub delivery_rate: u64,
    /// What other subflows have carried and this one has not: from its own next DSN, or the first
    /// one without Data ACK if that is later, to the connection's next DSN.
    ///
    /// Bytes; only looked at by schedulers that duplicate. Zero for all paths when data is offered
    /// again that was lost with its subflow.
    pub behind: u64,
    /// Whether the peer, or the local host, wants it to be used as a backup only.
    pub backup: bool,
    /// Whether it makes no progress: what is in flight may never be acknowledged.
    pub stale: bool,
    /// Whether TCP's timeout has run out and nothing has answered since, however long it takes until
    /// that makes it stale.
    pub timed_out: bool,
    /// Whether it is established and may send.
    pub usable: bool,
}

/// How a usable subflow stands, the best first.
///
/// A stale one counts as failed, so that a backup is used in its place; if everything is stale, all
/// that is known says that the regular ones are to be preferred. One that has timed out gives way to
/// its like only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It works.
    Regular,
    /// TCP waits there for an answer to what it has repeated.
    LateRegular,
    /// It works, to be used in the event of failure of the others.
    Backup,
    /// The same, and TCP waits there for an answer to what it has repeated.
    LateBackup,
    /// It makes no progress.
    StaleRegular,
    /// It makes no progress, and is a backup.
    StaleBackup,
}

impl Path {
    /// A subflow that cannot be used.
    pub const UNUSABLE: Self = Self {
        index: 0,
        srtt: Duration::ZERO,
        min_rtt: Duration::ZERO,
        rttvar: Duration::ZERO,
        cwnd: 0,
        headroom: 0,
        in_flight: 0,
        unsent: 0,
        idle: Duration::ZERO,
        mss: 0,
        delivery_rate: 0,
        behind: 0,
        backup: false,
        stale: false,
        timed_out: false,
        usable: false,
    };

    /// Returns how the subflow stands, if it is usable.
    ///
    /// RFC 8684, Section 3.3.8.
    #[inline]
    #[must_use]
    pub const fn standing(&self) -> Option<Standing> {
        if !self.usable {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.8
        //# a subflow where the
        //# receiver has indicated that B=1 SHOULD NOT be used to send data
        //# unless there are no usable subflows where B=0
        Some(match (self.stale, self.timed_out, self.backup) {
            (true, _, false) => Standing::StaleRegular,
            (true, _, true) => Standing::StaleBackup,
            (false, true, false) => Standing::LateRegular,
            (false, true, true) => Standing::LateBackup,
            (false, false, false) => Standing::Regular,
            (false, false, true) => Standing::Backup,
        })
    }

    /// Tells whether ACKs come, as far as is known.
    #[inline]
    #[must_use]
    pub const fn answers(&self) -> bool {
        !self.stale && !self.timed_out
    }

    /// Returns the payload of a full segment: the MSS, as far as one burst can hold it.
    ///
    /// Bytes, 1..=[`BURST_MAX`].
    #[inline]
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.mss.clamp(1, BURST_MAX)
    }

    /// Returns what TCP has been given and the peer's TCP has not acknowledged.
    ///
    /// Bytes.
    #[inline]
    #[must_use]
    pub const fn queued(&self) -> u32 {
        self.in_flight.saturating_add(self.unsent)
    }

    /// Returns how much the subflow takes now: whole segments, `cwnd + headroom - queued` at most,
    /// or one segment if it is idle.
    ///
    /// Bytes.
    #[inline]
    #[must_use]
    pub fn room(&self) -> u32 {
        let free = self
            .cwnd
            .saturating_add(self.headroom)
            .saturating_sub(self.queued());
        let room = super::whole_segments(free, self.segment());
        if self.queued() == 0 {
            room.max(self.segment())
        } else {
            room
        }
    }

    /// Returns the smoothed round-trip time, or what stands for it until it is measured.
    #[inline]
    #[must_use]
    pub fn smoothed_rtt(&self) -> Duration {
        if self.srtt == Duration::ZERO {
            INITIAL_RTT
        } else {
            self.srtt
        }
    }

    /// Returns the round-trip time that the next packet is likely to see: `max(srtt - idle, min_rtt)`.
    #[inline]
    #[must_use]
    pub fn rtt(&self) -> Duration {
        if self.srtt == Duration::ZERO || self.min_rtt == Duration::ZERO {
            self.smoothed_rtt()
        } else {
            self.srtt.saturating_sub(self.idle).max(self.min_rtt)
        }
    }

    /// Returns the rate at which the subflow delivers: `cwnd / srtt` until it was measured, and never
    /// less than the first window of a connection in each round trip.
    ///
    /// Bytes per second, 1 or more. The measured rate is too small while there is little to send.
    #[inline]
    #[must_use]
    pub fn rate(&self) -> u64 {
        let window = match self.delivery_rate {
            0 => self.cwnd,
            _ => self
                .cwnd
                .min(self.segment().saturating_mul(INITIAL_SEGMENTS)),
        };
        let least = u64::from(window)
            .saturating_mul(SECOND)
            .checked_div(self.smoothed_rtt().as_micros());
        self.delivery_rate.max(least.unwrap_or(0)).max(1)
    }

    /// Returns how many bytes the subflow carries in `time`.
    #[inline]
    #[must_use]
    pub fn carried_in(&self, time: Duration) -> u64 {
        self.rate().saturating_mul(time.as_micros()) / SECOND
    }

    /// Returns how long it takes until `bytes` that are handed over now are acknowledged:
    /// `max(rtt, (queued + bytes) / rate)`.
    #[inline]
    #[must_use]
    pub fn round_trip(&self, bytes: u32) -> Duration {
        self.rtt().max(self.transfer(bytes))
    }

    /// Returns how long the same may take at worst: `max(rtt + rttvar, (queued + bytes) / rate)`.
    #[inline]
    #[must_use]
    pub fn long_round_trip(&self, bytes: u32) -> Duration {
        self.rtt()
            .saturating_add(self.rttvar)
            .max(self.transfer(bytes))
    }

    /// Returns how long it takes until everything handed over, and `bytes` more, are on their way.
    #[inline]
    fn transfer(&self, bytes: u32) -> Duration {
        let bytes = u64::from(self.queued()).saturating_add(u64::from(bytes));
        let micros = bytes.saturating_mul(SECOND).checked_div(self.rate());
        Duration::from_micros(micros.unwrap_or(u64::MAX))
    }

    /// Returns by how much a comparison of the round-trip times of two paths may be wrong.
    #[inline]
    #[must_use]
    pub fn deviation_beside(&self, other: &Self) -> Duration {
        self.rttvar.max(other.rttvar)
    }

    /// Returns half of the round-trip time: what an ACK takes at most.
    #[inline]
    #[must_use]
    pub fn one_way(&self) -> Duration {
        Duration::from_micros(self.rtt().as_micros() / 2)
    }

    /// Returns half of the least round-trip time: what an ACK takes that meets no queue.
    #[inline]
    #[must_use]
    pub fn least_one_way(&self) -> Duration {
        let least = match self.min_rtt {
            Duration::ZERO => self.rtt(),
            least => least.min(self.rtt()),
        };
        Duration::from_micros(least.as_micros() / 2)
    }

    /// Returns how much is handed over at a time where paths share the data: about 4 ms worth of the
    /// rate, so that each choice sees what the last one has done.
    ///
    /// Bytes, from two segments to [`BURST_MAX`].
    #[inline]
    #[must_use]
    pub fn share(&self) -> u32 {
        let least = self.segment().saturating_mul(SHARE_SEGMENTS).min(BURST_MAX);
        let share = self.rate() / SHARES_PER_SECOND;
        u32::try_from(share).map_or(BURST_MAX, |share| share.max(least).min(BURST_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::path;
    use super::*;

    /// Makes a span from milliseconds.
    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn room_is_what_the_window_leaves_in_whole_segments() {
        let mut path = path(0, 20, 10_000);
        assert_eq!(path.room(), 10_000);
        (path.in_flight, path.unsent) = (4_000, 500);
        assert_eq!((path.queued(), path.room()), (4_500, 5_000));
        path.headroom = 3_600;
        assert_eq!(path.room(), 9_000);
        path.in_flight = u32::MAX;
        assert_eq!((path.queued(), path.room()), (u32::MAX, 0));
    }

    #[test]
    fn idle_path_always_takes_a_segment() {
        let mut path = path(0, 20, 0);
        assert_eq!(path.room(), 1_000);
        path.mss = 0;
        assert_eq!(path.room(), 1);
        path.mss = u32::MAX;
        assert_eq!(path.room(), BURST_MAX);
        path.in_flight = 1;
        assert_eq!(path.room(), 0);
    }

    #[test]
    fn idle_time_drains_the_queue_but_not_the_path() {
        let mut path = path(0, 20, 10_000);
        path.srtt = millis(300);
        assert_eq!(path.rtt(), millis(300));
        path.idle = millis(100);
        assert_eq!(path.rtt(), millis(200));
        path.idle = Duration::from_micros(u64::MAX);
        assert_eq!(path.rtt(), millis(20));
        assert_eq!(path.smoothed_rtt(), millis(300));
        path.min_rtt = Duration::ZERO;
        assert_eq!(path.rtt(), millis(300));
        path.srtt = Duration::ZERO;
        assert_eq!(path.rtt(), INITIAL_RTT);
    }

    #[test]
    fn rate_is_measured_or_the_window_per_round_trip() {
        let mut path = path(0, 20, 100_000);
        assert_eq!(path.rate(), 5_000_000);
        path.delivery_rate = 1_000_000;
        assert_eq!(path.rate(), 1_000_000);
        // Ten segments in each round trip are assumed to get through.
        path.delivery_rate = 1_000;
        assert_eq!(path.rate(), 500_000);
        path.cwnd = 2_000;
        assert_eq!(path.rate(), 100_000);
        (path.cwnd, path.delivery_rate) = (0, 0);
        assert_eq!(path.rate(), 1);
    }

    #[test]
    fn round_trip_counts_what_is_queued() {
        let mut path = path(0, 20, 100_000);
        path.delivery_rate = 1_000_000;
        assert_eq!(path.round_trip(1_000), millis(20));
        path.in_flight = 30_000;
        path.unsent = 9_000;
        assert_eq!(path.round_trip(1_000), millis(40));
        path.rttvar = millis(5);
        assert_eq!(path.long_round_trip(1_000), millis(40));
        path.in_flight = 0;
        assert_eq!(path.long_round_trip(1_000), millis(25));
        assert_eq!(path.carried_in(millis(3)), 3_000);
    }

    #[test]
    fn share_is_four_milliseconds_within_bounds() {
        let mut path = path(0, 20, 10_000);
        for (rate, share) in [
            (0, 2_000),
            (2_560_000, 10_000),
            (1 << 40, BURST_MAX),
            (u64::MAX, BURST_MAX),
        ] {
            path.delivery_rate = rate;
            assert_eq!(path.share(), share);
        }
        path.mss = u32::MAX;
        assert_eq!(path.share(), BURST_MAX);
    }

    #[test]
    fn standing_prefers_progress_then_regular() {
        let mut path = path(0, 20, 10_000);
        let mut standings = Vec::new();
        for stale in [false, true] {
            for backup in [false, true] {
                for timed_out in [false, true] {
                    (path.stale, path.backup, path.timed_out) = (stale, backup, timed_out);
                    standings.extend(path.standing());
                    assert_eq!(path.answers(), !stale && !timed_out);
                }
            }
        }
        // To a stale one a timeout adds nothing.
        standings.dedup();
        assert_eq!(standings.len(), 6);
        assert!(standings.is_sorted_by(|one, next| one < next));
        path.usable = false;
        assert_eq!(path.standing(), None);
    }
}
