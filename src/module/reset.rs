// SPDX-License-Identifier: GPL-2.0

//! What the reset of a subflow says of why it ends: what ours is to say, and what the peer's has said.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::MpTcprst;
use mptcp_proto::seq::DataSeq;

/// What a reset of the subflow tells the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResetOption {
    /// Nothing: the subflow broke, or the reset is TCP's own.
    None,
    /// MP_FASTCLOSE: the whole connection ends; and why.
    Fastclose(Reason),
    /// MP_TCPRST: why this subflow ends.
    Tcprst(MpTcprst),
    /// MP_FAIL, which names the data whose checksum was wrong, and MP_TCPRST.
    Fail(DataSeq),
}

/// The kinds of [`ResetOption`], as they are stored.
mod kind {
    /// [`super::ResetOption::None`].
    pub(super) const NONE: u8 = 0;
    /// [`super::ResetOption::Fastclose`].
    pub(super) const FASTCLOSE: u8 = 1;
    /// [`super::ResetOption::Tcprst`].
    pub(super) const TCPRST: u8 = 2;
    /// [`super::ResetOption::Fail`].
    pub(super) const FAIL: u8 = 3;
}

/// What resets of one subflow say.
pub(crate) struct Resets {
    /// Ours: one of [`kind`], the T flag and the reason, as the bytes of a number.
    local: AtomicU32,
    /// What MP_FAIL on ours names.
    failed_dsn: AtomicU64,
    /// The peer's, as ours.
    peer: AtomicU32,
}

impl Resets {
    /// Nobody has anything to say.
    pub(crate) fn new() -> Self {
        Self {
            local: AtomicU32::new(0),
            failed_dsn: AtomicU64::new(0),
            peer: AtomicU32::new(0),
        }
    }

    /// What to put on a reset of ours.
    pub(crate) fn local(&self) -> ResetOption {
        let [stored, transient, reason, _] = self.local.load(Ordering::Relaxed).to_le_bytes();
        match stored {
            kind::NONE => ResetOption::None,
            kind::FASTCLOSE => ResetOption::Fastclose(Reason::from_code(reason)),
            kind::FAIL => ResetOption::Fail(DataSeq::new(self.failed_dsn.load(Ordering::Relaxed))),
            _ => ResetOption::Tcprst(decode(transient, reason)),
        }
    }

    /// Chooses what the next reset of ours carries.
    pub(crate) fn set_local(&self, option: ResetOption) {
        let stored = match option {
            ResetOption::None => 0,
            ResetOption::Fastclose(reason) => encode(kind::FASTCLOSE, false, reason),
            ResetOption::Tcprst(option) => encode(kind::TCPRST, option.transient, option.reason),
            ResetOption::Fail(dsn) => {
                self.failed_dsn.store(dsn.get(), Ordering::Relaxed);
                kind::FAIL.into()
            }
        };
        self.local.store(stored, Ordering::Relaxed);
    }

    /// What the peer has put on its reset.
    pub(crate) fn peer(&self) -> Option<MpTcprst> {
        let [stored, transient, reason, _] = self.peer.load(Ordering::Relaxed).to_le_bytes();
        (stored == kind::TCPRST).then(|| decode(transient, reason))
    }

    /// Lets the next reset of ours end the whole connection, for the reason that it had to end the subflow.
    pub(crate) fn end_all(&self) {
        let reason = match self.local() {
            ResetOption::Tcprst(option) => option.reason,
            _ => Reason::Unspecified,
        };
        self.set_local(ResetOption::Fastclose(reason));
    }

    /// Notes what the peer has put on its reset.
    pub(crate) fn set_peer(&self, option: MpTcprst) {
        let stored = encode(kind::TCPRST, option.transient, option.reason);
        self.peer.store(stored, Ordering::Relaxed);
    }
}

/// One of [`kind`], the T flag and the reason as the bytes of a number.
fn encode(kind: u8, transient: bool, reason: Reason) -> u32 {
    u32::from_le_bytes([kind, u8::from(transient), reason.code(), 0])
}

/// MP_TCPRST from two bytes of such a number.
fn decode(transient: u8, reason: u8) -> MpTcprst {
    MpTcprst {
        transient: transient != 0,
        reason: Reason::from_code(reason),
    }
}
