// SPDX-License-Identifier: GPL-2.0

//! What is remembered of failed joins: when, and whether, to try a pair of addresses again.
//!
//! ```text
//!   wait after the n-th failure in a row = min(first * 2^(n - 1), 60 s)
//!   first = 1 s, or 8 s if the peer is short of something
//! ```
//!
//! A path that the peer has refused for good is closed: only a new announcement of the address
//! opens it again, and even then no earlier than the wait would have ended, so that announcements
//! in quick succession do not become SYNs in quick succession.
//!
//! RFC 8684, Sections 3.4.1, 3.6 and 3.9.3.
//!
//! C counterpart: none in `net/mptcp`, which does not try again.

use super::table::numbered;
use super::tick::Tick;
use super::{
    Ended,
    Pair,
    LOCALS,
    PEERS, //
};
use crate::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use crate::time::{
    Duration,
    Timestamp, //
};

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The wait after the first failure if the peer is short of something.
const FIRST_SHORTAGE: Duration = Duration::from_secs(8);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// A subflow that lived for so long was a success: its end begins a new count of failures.
const SUCCESS: Duration = LONGEST;

/// How many bare resets in a row close a pair.
const REFUSALS_MAX: u8 = 3;

/// Set in a count of failures: the pair is closed.
const CLOSED: u8 = 0x80;

/// The most failures that are counted.
const FAILURES_MAX: u8 = 16;

/// When a pair may be tried again, after one more failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// After a wait, which begins with this one.
    Later(Duration),
    /// Not before the address is announced again.
    Never,
}

/// Judges the `failures`-th failure in a row.
///
/// RFC 8684, Sections 3.6 and 3.9.3.
fn judge(ended: Ended, failures: u8) -> Verdict {
    match ended {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.6
        //# If the error condition is considered to be Permanent,
        //# the receiver of the RST segment SHOULD NOT try to re-establish a
        //# subflow for this connection over this path.
        Ended::Reset(MpTcprst {
            transient: false, ..
        }) => Verdict::Never,
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.6
        //# The time at which a receiver may try to
        //# re-establish this subflow is implementation specific but SHOULD take
        //# into account the properties of the failure as defined by the provided
        //# reason code.
        Ended::Reset(MpTcprst {
            reason: Reason::LackOfResources | Reason::UnacceptablePerformance,
            ..
        }) => Verdict::Later(FIRST_SHORTAGE),
        Ended::Refused if failures >= REFUSALS_MAX => Verdict::Never,
        Ended::Reset(_)
        | Ended::Refused
        | Ended::TimedOut
        | Ended::Unreachable
        | Ended::Finished => Verdict::Later(FIRST),
    }
}

/// What is remembered of the failures of all pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// How many failures in a row; [`CLOSED`] if the pair is closed.
    failures: [[u8; PEERS]; LOCALS],
    /// Before when the pair is not tried.
    retry_at: [[Tick; PEERS]; LOCALS],
}

impl Backoff {
    /// Begins without failures.
    pub(super) const fn new() -> Self {
        Self {
            failures: [[0; PEERS]; LOCALS],
            retry_at: [[Tick::ORIGIN; PEERS]; LOCALS],
        }
    }

    /// Applies `change` to the failures and the next try of each pair that `is_meant`.
    fn change(&mut self, is_meant: impl Fn(Pair) -> bool, change: impl Fn(&mut u8, &mut Tick)) {
        let rows = self.failures.iter_mut().zip(self.retry_at.iter_mut());
        for (local, (failures, retry_at)) in numbered(rows) {
            let cells = failures.iter_mut().zip(retry_at.iter_mut());
            for (peer, (failures, retry_at)) in numbered(cells) {
                if is_meant(Pair { local, peer }) {
                    change(failures, retry_at);
                }
            }
        }
    }

    /// Takes in that a subflow of the pair, established at `since` or never, has ended.
    pub(super) fn on_ended(
        &mut self,
        pair: Pair,
        ended: Ended,
        since: Option<Tick>,
        now: Timestamp,
    ) {
        let lived = since.map_or(Duration::ZERO, |since| now.since(since.begin()));
        self.change(
            |other| other == pair,
            |failures, retry_at| {
                let before = if lived < SUCCESS {
                    *failures & !CLOSED
                } else {
                    0
                };
                let count = before.saturating_add(1).min(FAILURES_MAX);
                let (first, closed) = match judge(ended, count) {
                    Verdict::Later(first) => (first, 0),
                    Verdict::Never => (FIRST, CLOSED),
                };
                let wait = first.doubled(u32::from(before)).min(LONGEST);
                *failures = count | closed;
                *retry_at = Tick::after(now, wait);
            },
        );
    }

    /// Returns before when the pair is not tried, or `None` if the pair is closed.
    pub(super) fn retry_at(&self, pair: Pair) -> Option<Tick> {
        let (local, peer) = (usize::from(pair.local), usize::from(pair.peer));
        let failures = self.failures.get(local)?.get(peer)?;
        if *failures & CLOSED != 0 {
            return None;
        }
        self.retry_at.get(local)?.get(peer).copied()
    }

    /// Forgets the pairs of a local address: its slot holds another one from now on.
    pub(super) fn forget_local(&mut self, local: u8) {
        self.change(
            |pair| pair.local == local,
            |failures, retry_at| (*failures, *retry_at) = (0, Tick::ORIGIN),
        );
    }

    /// Forgets the pairs of an address of the peer: its slot holds another one from now on.
    pub(super) fn forget_peer(&mut self, peer: u8) {
        self.change(
            |pair| pair.peer == peer,
            |failures, retry_at| (*failures, *retry_at) = (0, Tick::ORIGIN),
        );
    }

    /// Ends the waits of a local address: it has come back. Closed pairs stay closed.
    pub(super) fn forgive_local(&mut self, local: u8) {
        self.change(
            |pair| pair.local == local,
            |failures, retry_at| {
                if *failures & CLOSED == 0 {
                    (*failures, *retry_at) = (0, Tick::ORIGIN);
                }
            },
        );
    }

    /// Opens the pairs of an address of the peer: it has been announced again. The waits stay.
    pub(super) fn open_peer(&mut self, peer: u8) {
        self.change(|pair| pair.peer == peer, |failures, _| *failures &= !CLOSED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair that fails.
    const PAIR: Pair = Pair { local: 1, peer: 2 };

    /// Makes a point in time.
    fn at(seconds: u64) -> Timestamp {
        Timestamp::ORIGIN.advance(Duration::from_secs(seconds))
    }

    /// Returns the seconds until the pair may be tried again, rounded down.
    fn wait(backoff: &Backoff, now: Timestamp) -> Option<u64> {
        let retry_at = backoff.retry_at(PAIR)?.begin();
        Some(retry_at.since(now).as_millis() / 1_000)
    }

    #[test]
    fn pair_failing_again_waits_twice_as_long_up_to_a_minute() {
        let mut backoff = Backoff::new();
        assert_eq!(wait(&backoff, at(0)), Some(0));
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.on_ended(PAIR, Ended::TimedOut, None, at(100));
            assert_eq!(wait(&backoff, at(100)), Some(expected));
        }
        backoff.on_ended(PAIR, Ended::Finished, Some(Tick::at(at(100))), at(120));
        assert_eq!(wait(&backoff, at(120)), Some(60));
        backoff.on_ended(PAIR, Ended::Finished, Some(Tick::at(at(130))), at(200));
        assert_eq!(wait(&backoff, at(200)), Some(1));
    }

    #[test]
    fn pair_refused_for_good_is_closed_until_announced_again() {
        let permanent = Ended::Reset(MpTcprst {
            transient: false,
            reason: Reason::AdministrativelyProhibited,
        });
        let mut backoff = Backoff::new();
        backoff.on_ended(PAIR, Ended::TimedOut, None, at(100));
        backoff.on_ended(PAIR, permanent, None, at(100));
        assert_eq!(wait(&backoff, at(100)), None);
        backoff.forgive_local(PAIR.local);
        assert_eq!(wait(&backoff, at(100)), None);
        backoff.open_peer(PAIR.peer);
        assert_eq!(wait(&backoff, at(100)), Some(2));
        backoff.forgive_local(PAIR.local);
        assert_eq!(wait(&backoff, at(100)), Some(0));
    }

    #[test]
    fn pair_refused_without_a_word_is_closed_the_third_time() {
        let mut backoff = Backoff::new();
        for expected in [Some(1), Some(2), None] {
            backoff.on_ended(PAIR, Ended::Refused, None, at(100));
            assert_eq!(wait(&backoff, at(100)), expected);
        }
        backoff.forget_peer(PAIR.peer);
        assert_eq!(wait(&backoff, at(100)), Some(0));
    }

    #[test]
    fn pair_refused_for_a_shortage_waits_longer() {
        let shortage = Ended::Reset(MpTcprst {
            transient: true,
            reason: Reason::LackOfResources,
        });
        let mut backoff = Backoff::new();
        for expected in [8, 16, 32, 60] {
            backoff.on_ended(PAIR, shortage, None, at(100));
            assert_eq!(wait(&backoff, at(100)), Some(expected));
        }
        backoff.forget_local(PAIR.local);
        assert_eq!(wait(&backoff, at(100)), Some(0));
    }
}
