// SPDX-License-Identifier: GPL-2.0

//! When to fall back to regular TCP, when to give up a subflow and when to go on.
//!
//! Middleboxes remove options, change payload, or do both. A host that notices has three ways out.
//! If the subflow is the only one there ever was, all data in flight is contiguous and the
//! connection can go on as regular TCP (*fallback*). If there are others, or the peer could not know
//! where the data belongs, the subflow has to go. Otherwise the event is harmless.
//!
//! All of it is one table, [`decide`]: what happened and the situation it happened in go in, what to
//! do comes out. "Alone" means that the connection has no other subflow; "contiguous" that every
//! byte sent so far went out once, in order, on this subflow, so that subflow and connection can be
//! equated; "proven" that options are known to pass in both directions.
//!
//! ```text
//!   event                     initial, alone, contiguous     otherwise
//!                             not proven      proven
//!   SYN or SYN/ACK without    fall back       ignore         joined: reset (2)
//!   third ACK without         fall back       ignore         joined: reset (2)
//!   data without mapping      fall back (1)   ignore         not proven: reset (3)
//!   first data without        fall back (1)   fall back (1)  reset (3)
//!   mapping overdue           fall back (1)   reset (3)      reset (3)
//!   ACK of data without DSS   fall back (1)   ignore         not proven: reset (3)
//!   no Data ACK at all        fall back (1)   fall back (1)  reset (3)
//!   checksum failed           MP_FAIL         MP_FAIL        reset with MP_FAIL
//!   MP_FAIL received          answer (4)      answer (4)     reset with MP_FAIL
//!   infinite mapping          fall back       fall back      reset (2)
//!   mapping conflict          reset (2)       reset (2)      reset (2)
//!   checksum presence         reset (2)       reset (2)      reset (2)
//!   no room for mappings      reset (5)       reset (5)      reset (5)
//!   unknown or malformed      ignore          ignore         ignore
//!
//!   (1) and send an infinite mapping     (2) MPTCP-specific error
//!   (3) middlebox interference           (4) with MP_FAIL and an infinite mapping
//!   (5) lack of resources
//! ```
//!
//! After a fallback every event is ignored: there is no way back.
//!
//! Not handled here: what a reset subflow leaves to be sent again, and what becomes of a connection
//! whose only subflow is reset.
//!
//! RFC 8684, Sections 3.2, 3.3, 3.6 and 3.7.
//!
//! C counterpart: `net/mptcp/protocol.h` (`__mptcp_try_fallback`), `net/mptcp/subflow.c`
//! (`subflow_check_data_avail`), `net/mptcp/pm.c` (`mptcp_pm_mp_fail_received`).

use crate::options::mp_tcprst::Reason;

/// What happened on a subflow that a connection cannot simply digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The SYN or the SYN/ACK does not carry the option that sets the subflow up.
    SynWithoutOption,
    /// The third ACK, or the first data in its place, does not carry the option that ends the
    /// handshake.
    ThirdAckWithoutOption,
    /// The next byte of the subflow has arrived and no mapping for it.
    DataWithoutMapping,
    /// The first byte that could have a mapping has arrived without one at a server that has got both
    /// keys: the client has sent it with its SYN before, or the options of what follows are removed.
    FirstDataWithoutMapping,
    /// A whole receive window of data has arrived without a mapping.
    MappingOverdue,
    /// Data, not just the SYN, was acknowledged by the subflow without a Data ACK.
    AckWithoutDss,
    /// All data was acknowledged by the subflow a timeout ago without options, and no Data ACK has ever
    /// acknowledged any: the peer has got both keys, but the options of what it was sent since are
    /// removed. One such ACK alone is no sign: the kernel's own MPTCP sends some while it is busy.
    NoDataAck,
    /// The checksum of a mapping does not fit its data.
    ChecksumFailed,
    /// The peer reports by MP_FAIL that a checksum of the local host failed.
    MpFailReceived,
    /// The peer declares an infinite mapping.
    InfiniteMapping,
    /// A byte was mapped a second time, to another DSN.
    MappingConflict,
    /// A mapping has a checksum although none was negotiated, or the other way round.
    ChecksumPresence,
    /// The table of mappings is full.
    NoRoomForMapping,
    /// An option has an unknown subtype, a wrong length or a form that does not belong there.
    UnknownOption,
}

impl Event {
    /// Every event, for tests and tables.
    pub const ALL: [Self; 14] = [
        Self::SynWithoutOption,
        Self::ThirdAckWithoutOption,
        Self::DataWithoutMapping,
        Self::FirstDataWithoutMapping,
        Self::MappingOverdue,
        Self::AckWithoutDss,
        Self::NoDataAck,
        Self::ChecksumFailed,
        Self::MpFailReceived,
        Self::InfiniteMapping,
        Self::MappingConflict,
        Self::ChecksumPresence,
        Self::NoRoomForMapping,
        Self::UnknownOption,
    ];
}

/// How a subflow came to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// With MP_CAPABLE: it is the first one.
    Initial,
    /// With MP_JOIN.
    Joined,
}

/// The situation in which an event is to be judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Situation {
    /// How the subflow came to its connection.
    pub origin: Origin,
    /// Whether the options are known to pass: a DSS with a Data ACK came from the peer.
    pub proven: bool,
    /// Whether the connection has other subflows, usable or being set up.
    pub other_subflows: bool,
    /// Whether subflow and connection can be equated: no byte in flight was sent out of order, twice
    /// or on a subflow that is gone.
    pub contiguous: bool,
    /// Whether checksums were negotiated.
    pub checksum: bool,
    /// Whether the connection is regular TCP already.
    pub fallen_back: bool,
}

impl Situation {
    /// Tells whether the connection can go on as regular TCP on this subflow.
    #[inline]
    const fn can_fall_back(self) -> bool {
        !self.other_subflows && self.contiguous
    }
}

/// What to do about an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Go on as if nothing had happened.
    Ignore,
    /// Go on as regular TCP and send no option any more.
    FallBackToTcp,
    /// Send one last DSS with an infinite mapping, then go on as regular TCP.
    FallBackWithInfiniteMapping,
    /// Send MP_FAIL with the DSN at which the failed mapping begins on the next ACK, drop the data
    /// from there on, and wait for the infinite mapping of the peer.
    SendMpFail,
    /// Answer with MP_FAIL, send a last DSS with an infinite mapping that begins at the DSN the peer
    /// named, then go on as regular TCP.
    AnswerMpFail,
    /// Close the subflow with a RST that carries MP_TCPRST with this reason.
    ResetSubflow(Reason),
    /// Close the subflow with a RST that carries MP_FAIL, and drop the data from the DSN it names on.
    ResetWithMpFail,
}

impl Reaction {
    /// Tells whether the connection is regular TCP from now on.
    #[inline]
    #[must_use]
    pub const fn is_fallback(self) -> bool {
        matches!(
            self,
            Self::FallBackToTcp | Self::FallBackWithInfiniteMapping
        )
    }
}

/// Decides what to do about `event` on one subflow.
///
/// RFC 8684, Section 3.7.
#[must_use]
pub fn decide(event: Event, situation: Situation) -> Reaction {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
    //# Once MPTCP falls back to
    //# regular TCP, it MUST NOT revert to MPTCP later in the connection.
    if situation.fallen_back {
        return Reaction::Ignore;
    }
    match event {
        Event::SynWithoutOption | Event::ThirdAckWithoutOption => without_option(situation),
        Event::DataWithoutMapping | Event::AckWithoutDss => without_dss(situation),
        Event::FirstDataWithoutMapping | Event::NoDataAck => without_dss(Situation {
            proven: false,
            ..situation
        }),
        Event::MappingOverdue => {
            if situation.proven {
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
                //# the subflow
                //# SHOULD be treated as broken and closed with a RST, since no data
                //# can be delivered to the application layer and no fallback signal
                //# can be reliably sent.
                Reaction::ResetSubflow(Reason::MiddleboxInterference)
            } else {
                without_dss(situation)
            }
        }
        Event::ChecksumFailed => checksum_failed(situation),
        Event::MpFailReceived => mp_fail_received(situation),
        Event::InfiniteMapping => {
            if situation.can_fall_back() {
                Reaction::FallBackToTcp
            } else {
                Reaction::ResetSubflow(Reason::MptcpSpecific)
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3
        //# If a checksum is present but its use had
        //# not been negotiated in the MP_CAPABLE handshake, the receiver MUST
        //# close the subflow with a RST, as it is not behaving as negotiated.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3
        //# If a checksum is not present when its use has been negotiated, the
        //# receiver MUST close the subflow with a RST, as it is considered
        //# broken.
        Event::MappingConflict | Event::ChecksumPresence => {
            Reaction::ResetSubflow(Reason::MptcpSpecific)
        }
        Event::NoRoomForMapping => Reaction::ResetSubflow(Reason::LackOfResources),
        Event::UnknownOption => Reaction::Ignore,
    }
}

/// The option of the handshake is missing on one of its three segments.
fn without_option(situation: Situation) -> Reaction {
    match situation.origin {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# If Host B does not receive the expected HMAC or the MP_JOIN option is
        //# missing from the ACK, it MUST close the subflow with a TCP RST.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# If the SYN/ACK as received at Host A does not have an MP_JOIN option,
        //# Host A MUST close the subflow with a TCP RST.
        Origin::Joined if !situation.proven => Reaction::ResetSubflow(Reason::MptcpSpecific),
        // The segment is a late repetition: the handshake has succeeded.
        Origin::Joined => Reaction::Ignore,
        Origin::Initial if situation.proven => Reaction::Ignore,
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# The
        //# handshake as described in Section 3.1 SHOULD fall back to regular TCP if either of
        //# the SYN messages does not have the MPTCP options
        Origin::Initial if situation.can_fall_back() => Reaction::FallBackToTcp,
        Origin::Initial => Reaction::ResetSubflow(Reason::MiddleboxInterference),
    }
}

/// Data or its acknowledgment came without the DSS that should be with it.
fn without_dss(situation: Situation) -> Reaction {
    if situation.proven {
        // One mapping can cover many segments, and a Data ACK need not be in every one.
        return Reaction::Ignore;
    }
    match situation.origin {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# In the case of such an ACK being received on the first subflow
        //# (i.e., that started with MP_CAPABLE), before any additional
        //# subflows are added, the implementation MUST drop out of MPTCP mode
        //# and fall back to regular TCP.
        Origin::Initial if situation.can_fall_back() => Reaction::FallBackWithInfiniteMapping,
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# In the case of this occurring
        //# on an additional subflow (i.e., one started with MP_JOIN), the
        //# host MUST close the subflow with a RST, which SHOULD contain an
        //# MP_TCPRST option (Section 3.6) with a "Middlebox interference"
        //# reason code.
        Origin::Initial | Origin::Joined => Reaction::ResetSubflow(Reason::MiddleboxInterference),
    }
}

/// The data of a mapping does not have the checksum that was declared for it.
fn checksum_failed(situation: Situation) -> Reaction {
    if !situation.checksum {
        return Reaction::Ignore;
    }
    if situation.can_fall_back() {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# In this case, if a receiver identifies a checksum failure
        //# when there is only one path, it will send back an MP_FAIL option on
        //# the subflow-level ACK, referring to the data-level sequence number of
        //# the start of the segment on which the checksum error was detected.
        Reaction::SendMpFail
    } else {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# Therefore,
        //# it is not possible to recover the subflow, and the affected subflow
        //# must be immediately closed with a RST that includes an MP_FAIL option
        Reaction::ResetWithMpFail
    }
}

/// The peer has found a wrong checksum in what the local host sent.
fn mp_fail_received(situation: Situation) -> Reaction {
    if situation.can_fall_back() {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# the receiver of an MP_FAIL MUST also respond with an
        //# MP_FAIL in the reverse direction and entirely revert to a regular TCP
        //# session.
        Reaction::AnswerMpFail
    } else {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# the receiver MUST
        //# close the subflow with a RST with MP_FAIL.
        Reaction::ResetWithMpFail
    }
}

#[cfg(test)]
mod tests;
