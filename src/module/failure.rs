// SPDX-License-Identifier: GPL-2.0

//! Fallback of a connection whose handshake has succeeded: what the hosts have said since a checksum was wrong
//! (MP_FAIL), or since options were found to be missing.
//!
//! ```text
//!           wrong checksum                 MP_FAIL of the peer
//!   None ---------------------> Reported ------------------------> Answered
//!     |                             |                                  |
//!     | MP_FAIL of the peer         | infinite mapping of the peer     | the same
//!     v                             v                                  v
//!   Owed ---------------------> plain TCP
//!          new data goes out, with
//!          our infinite mapping (Declared)
//!
//!   None -------------------> Lost, plain TCP ----------------> Declared
//!         options are missing                 new data goes out, or
//!                                             a FIN, with our infinite mapping
//! ```
//!
//! The bytes whose checksum was wrong have been acknowledged by TCP, so that nobody sends them again on
//! the same subflow: they wait. The infinite mapping applies to them as well, as RFC 8684 has it, and so
//! does the peer's answer, because a host that has nothing more to send has nothing to put an infinite
//! mapping on. From then on what the subflow carries is the stream, altered or not, as with TCP.
//!
//! RFC 8684, Section 3.7. C counterpart: `mptcp_pm_mp_fail_received` in net/mptcp/pm.c.

use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// How long a report waits for an answer before the next ACK carries it again.
const REPEAT: Duration = Duration::from_millis(100);

/// How far the hosts have come; see the diagram above.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No checksum was wrong.
    None,
    /// We have found a wrong one; what the subflow carries from there on waits.
    Reported,
    /// The peer knows: what the subflow carries is the stream.
    Answered,
    /// The peer has found a wrong one, and gets an infinite mapping with the next new data.
    Owed,
    /// It has got it: the connection has fallen back.
    Declared,
    /// Options of the peer's are missing: the connection has fallen back, and the peer is to be told by an
    /// infinite mapping, for what we send may still have its options when it arrives.
    Lost,
}

impl State {
    /// Whether the bytes of the subflow are those of the stream, whatever their checksums are.
    pub(crate) fn takes_all(self) -> bool {
        matches!(self, Self::Answered | Self::Owed)
    }
}

/// What has become of a connection of one subflow since a checksum was wrong, or options were missing.
///
/// # Locking
///
/// Changed under the data lock, but for what concerns the segment that is being sent: that is under the
/// ownership of the subflow. Read without.
pub(crate) struct Failure {
    /// One of [`State`].
    state: AtomicU8,
    /// Whether the next ACK carries MP_FAIL.
    due: AtomicBool,
    /// What MP_FAIL names.
    said: AtomicU64,
    /// When it was sent last.
    said_at: AtomicU64,
    /// Where the infinite mapping begins.
    start: AtomicU64,
}

impl Failure {
    /// No checksum was wrong.
    pub(crate) const fn new() -> Self {
        Self {
            // CAST: A small number.
            state: AtomicU8::new(State::None as u8),
            due: AtomicBool::new(false),
            said: AtomicU64::new(0),
            said_at: AtomicU64::new(0),
            start: AtomicU64::new(0),
        }
    }

    /// How far the hosts have come.
    #[inline]
    pub(crate) fn state(&self) -> State {
        let state = self.state.load(Ordering::Relaxed);
        let mut all = [
            State::Reported,
            State::Answered,
            State::Owed,
            State::Declared,
            State::Lost,
        ]
        .into_iter();
        // CAST: A few small numbers.
        all.find(|known| *known as u8 == state)
            .unwrap_or(State::None)
    }

    /// Whether a checksum was wrong, or options were missing.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        // CAST: A small number.
        self.state.load(Ordering::Relaxed) != State::None as u8
    }

    /// Goes from one state to another; `false` if it was not in the first.
    fn go(&self, from: State, to: State) -> bool {
        // CAST: Small numbers.
        let (from, to) = (from as u8, to as u8);
        self.state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// A checksum is wrong: that of the mapping which begins with `dsn`.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn report(&self, dsn: DataSeq) {
        self.say(dsn);
        self.go(State::None, State::Reported);
    }

    /// Where the data begins whose checksum was wrong.
    pub(crate) fn reported(&self) -> DataSeq {
        DataSeq::new(self.said.load(Ordering::Relaxed))
    }

    /// The peer has answered our report, or reports a wrong checksum itself: `false` if we have not
    /// reported any.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn on_answer(&self) -> bool {
        self.go(State::Reported, State::Answered)
    }

    /// The peer has found a wrong checksum in the mapping that begins with `start`; our answer names
    /// `dsn`, the next number that we expect.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn owe(&self, start: DataSeq, dsn: DataSeq) {
        self.start.store(start.get(), Ordering::Relaxed);
        self.say(dsn);
        self.go(State::None, State::Owed);
    }

    /// The peer has not got our answer, and reports again.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn repeat_answer(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Lets the next ACK carry MP_FAIL.
    fn say(&self, dsn: DataSeq) {
        self.said.store(dsn.get(), Ordering::Relaxed);
        self.due.store(true, Ordering::Relaxed);
    }

    /// What MP_FAIL names on the ACK that is sent `now`, if that carries it.
    ///
    /// # Locking
    ///
    /// The subflow is owned.
    pub(crate) fn take_due(&self, now: Timestamp) -> Option<DataSeq> {
        let last = Timestamp::from_micros(self.said_at.load(Ordering::Relaxed));
        let again = || self.state() == State::Reported && now.since(last) >= REPEAT;
        if !(self.due.swap(false, Ordering::Relaxed) || again()) {
            return None;
        }
        self.said_at.store(now.as_micros(), Ordering::Relaxed);
        Some(DataSeq::new(self.said.load(Ordering::Relaxed)))
    }

    /// Options of the peer's are missing.
    pub(crate) fn lose(&self) {
        self.go(State::None, State::Lost);
    }

    /// Whether the infinite mapping goes out with the new data, or the FIN, that is being sent because options
    /// of the peer's are missing.
    ///
    /// # Locking
    ///
    /// The subflow is owned.
    pub(crate) fn take_lost(&self) -> bool {
        self.go(State::Lost, State::Declared)
    }

    /// Where the infinite mapping begins that goes out with the new data being sent, if it is owed.
    ///
    /// # Locking
    ///
    /// The subflow is owned.
    pub(crate) fn take_owed(&self) -> Option<DataSeq> {
        self.go(State::Owed, State::Declared)
            .then(|| DataSeq::new(self.start.load(Ordering::Relaxed)))
    }
}
