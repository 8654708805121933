// SPDX-License-Identifier: GPL-2.0

//! The subflows of a connection, as the path manager sees them.
//!
//! ```text
//!                 Connect                 established
//!   (no subflow) ---------> Connecting ------------------> Established <------------+
//!        ^  |                   |                           |   |                   | the peer
//!        |  | joined or initial |                           |   | REMOVE_ADDR       | was heard
//!        |  +-------------------|-------------------------> +   v                   |
//!        |                      |                           |  ProbeDue --> Probing-+
//!        +----------------------+---------------------------+---------------- | ---+
//!            ended, or CloseSubflow                                           +--> closed in time
//! ```
//!
//! A subflow that a program has commanded is *asked* until `Connect`, and an established one whose use
//! it has changed is *priority due* until `SetPriority`.
//!
//! RFC 8684, Sections 3.2, 3.3.8 and 3.4.2.

use super::tick::Tick;
use super::{
    Pair,
    Paths, //
};
use crate::ids::AddressId;
use crate::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use crate::options::MpPrio;
use crate::time::Timestamp;

/// Names a subflow to the path manager.
///
/// A slot is used again; the generation tells its subflows apart, so that news of one that is gone
/// is not taken for news of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct SubflowId {
    /// The slot, below [`super::SUBFLOWS`].
    pub(super) slot: u8,
    /// Counts subflows.
    pub(super) generation: u8,
}

impl SubflowId {
    /// The first subflow.
    pub const INITIAL: Self = Self {
        slot: 0,
        generation: 0,
    };

    /// Returns the slot of the subflow, which no other has at the same time.
    ///
    /// Below [`super::SUBFLOWS`].
    #[inline]
    #[must_use]
    pub const fn slot(self) -> u8 {
        self.slot
    }

    /// Returns a number for people, which no other subflow has at the same time, or soon after; that of the
    /// first one is 1.
    #[inline]
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(u16::from_be_bytes([self.generation, self.slot])).wrapping_add(1)
    }
}

/// How a subflow, or the attempt to set one up, came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The peer has reset it and said why.
    Reset(MpTcprst),
    /// It was reset, or its SYN refused, without MP_TCPRST; or the SYN/ACK had no MP_JOIN.
    Refused,
    /// Nothing was heard for as long as TCP waits.
    TimedOut,
    /// There is no route, or the network reports that there is none.
    Unreachable,
    /// The peer has closed it with a FIN.
    Finished,
}

/// Why the path manager closes a subflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// Its local address, or the carrier of its interface, is gone.
    AddressLost,
    /// The policy of its interface does not allow it any longer.
    PolicyOff,
    /// The peer has withdrawn its address, and nothing answers there.
    PeerWithdrew,
    /// The endpoint of its local address was removed, or is used in another way now.
    EndpointChanged,
    /// The peer has withdrawn its address, and the manager does not ask whether it is alive.
    PeerRemoved,
    /// A program has withdrawn its local address.
    Withdrawn,
    /// A program has said so.
    Commanded,
    /// An administrator has ended it; never decided here.
    Killed,
}

impl CloseReason {
    /// Returns what the reset of the subflow says, or `None` if the subflow is to be closed with a
    /// FIN.
    ///
    /// RFC 8684, Section 3.4.2.
    #[must_use]
    pub const fn reset(self) -> Option<MpTcprst> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
        //# The sending and receipt (if no keepalive response was received) of
        //# this message SHOULD trigger the sending of RSTs by both hosts on the
        //# affected subflow(s) (if possible), as a courtesy, to allow the
        //# cleanup of middlebox state before cleaning up any local state.
        let transient = match self {
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
            //# A subflow that is still functioning MUST be closed with a FIN
            //# exchange as in regular TCP, rather than using this option.
            Self::PolicyOff
            | Self::EndpointChanged
            | Self::PeerRemoved
            | Self::Withdrawn
            | Self::Commanded => return None,
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.6
            //# Administratively prohibited (code 0x03).
            Self::Killed => {
                return Some(MpTcprst {
                    transient: false,
                    reason: Reason::AdministrativelyProhibited,
                })
            }
            Self::AddressLost => true,
            Self::PeerWithdrew => false,
        };
        Some(MpTcprst {
            transient,
            reason: Reason::Unspecified,
        })
    }
}

/// Which hosts have asked to use a subflow only as a backup.
///
/// RFC 8684, Section 3.3.8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backup {
    /// The local host has asked the peer.
    pub local: bool,
    /// The peer has asked the local host.
    pub peer: bool,
}

/// How far a subflow has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// A program has commanded it.
    Asked,
    /// The SYN is on its way.
    Connecting,
    /// It can carry data.
    Established,
    /// The same; the peer is to be told of its use.
    PriorityDue,
    /// The peer has withdrawn its address; whether it is alive is to be asked.
    ProbeDue,
    /// It was asked.
    Probing,
}

/// One subflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subflow {
    /// Counts subflows.
    pub(super) generation: u8,
    /// The slot of its local address.
    pub(super) local: u8,
    /// The slot of its peer address, or [`Subflow::NO_PEER`].
    pub(super) peer: u8,
    /// The ID of the peer's address.
    pub(super) peer_id: AddressId,
    /// How far it has come.
    pub(super) stage: Stage,
    /// The local host has asked the peer to use it as a backup only.
    pub(super) local_backup: bool,
    /// The peer has asked for the same.
    pub(super) peer_backup: bool,
    /// Why it is to be closed whatever its addresses are like, if so.
    pub(super) doom: Option<CloseReason>,
    /// Since when it is established; in [`Stage::Probing`], when an answer is overdue.
    pub(super) tick: Tick,
}

impl Subflow {
    /// Stands for an address of the peer that is in no slot.
    pub(super) const NO_PEER: u8 = u8::MAX;

    /// Stands for the local address of a subflow for which the routing has still to choose one.
    pub(super) const NO_LOCAL: u8 = u8::MAX;

    /// Returns the pair of addresses, which no slot has if the peer's is in none.
    pub(super) const fn pair(&self) -> Pair {
        Pair {
            local: self.local,
            peer: self.peer,
        }
    }

    /// Tells whether signals and data may go over the subflow, as far as the peer is concerned.
    pub(super) fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Established | Stage::PriorityDue)
    }

    /// Tells whether it was ever established.
    pub(super) fn has_connected(&self) -> bool {
        !matches!(self.stage, Stage::Asked | Stage::Connecting)
    }
}

impl Paths {
    /// Returns the subflow that `id` names, unless it is gone.
    pub(super) fn subflow_mut(&mut self, id: SubflowId) -> Option<&mut Subflow> {
        self.subflows
            .get_mut(id.slot)
            .filter(|subflow| subflow.generation == id.generation)
    }

    /// Enters a subflow, or returns `None` if there is no slot for it.
    pub(super) fn add_subflow(&mut self, subflow: Subflow) -> Option<SubflowId> {
        let generation = self.generation.wrapping_add(1);
        let slot = self.subflows.insert(Subflow {
            generation,
            ..subflow
        })?;
        self.generation = generation;
        Some(SubflowId { slot, generation })
    }

    /// Removes a subflow and the addresses of the peer that only it referred to.
    pub(super) fn remove_subflow(&mut self, slot: u8) -> Option<Subflow> {
        let removed = self.subflows.take(slot)?;
        self.forget_unused_peers();
        if self.uses_endpoints() {
            self.forget_name(removed.local);
        }
        if self.is_commanded() {
            self.forget_remnant(removed.local);
        }
        Some(removed)
    }

    /// Returns how many subflows there are, those that connect included.
    #[must_use]
    pub fn subflow_count(&self) -> usize {
        self.subflows.len()
    }

    /// Returns who has asked to use the subflow only as a backup, or `None` if it is gone.
    ///
    /// RFC 8684, Section 3.3.8.
    #[must_use]
    pub fn backup(&self, id: SubflowId) -> Option<Backup> {
        let subflow = self.subflows.get(id.slot)?;
        (subflow.generation == id.generation).then_some(Backup {
            local: subflow.local_backup,
            peer: subflow.peer_backup,
        })
    }

    /// Returns what the hosts call the addresses of the subflow, the local one first, or `None` if it is
    /// gone, or its local address has been withdrawn.
    ///
    /// RFC 8684, Section 3.4.1.
    #[must_use]
    pub fn address_ids(&self, id: SubflowId) -> Option<(AddressId, AddressId)> {
        let subflow = self.subflows.get(id.slot)?;
        let local = self.locals.get(subflow.local)?;
        (subflow.generation == id.generation).then_some((local.id?, subflow.peer_id))
    }

    /// Takes in that a subflow asked for by [`super::Decision::Connect`] can carry data.
    ///
    /// `peer_id` and `peer_backup` are what the MP_JOIN of the SYN/ACK says.
    pub fn on_subflow_established(
        &mut self,
        id: SubflowId,
        peer_id: AddressId,
        peer_backup: bool,
        now: Timestamp,
    ) {
        if let Some(subflow) = self.subflow_mut(id) {
            if subflow.stage == Stage::Connecting {
                subflow.stage = Stage::Established;
                subflow.peer_id = peer_id;
                subflow.peer_backup = peer_backup;
                subflow.tick = Tick::at(now);
            }
        }
    }

    /// Takes in that a subflow, or the attempt to set one up, has come to its end, other than by
    /// [`super::Decision::CloseSubflow`].
    pub fn on_subflow_ended(&mut self, id: SubflowId, ended: Ended, now: Timestamp) {
        if self.subflow_mut(id).is_none() {
            return;
        }
        let Some(subflow) = self.remove_subflow(id.slot) else {
            return;
        };
        if self.has_listings() {
            match (ended, self.is_commanded()) {
                (Ended::Unreachable, false) => self.give_up_peer(&subflow, now),
                (Ended::Unreachable, true) => self.give_up_entry(&subflow),
                _ => {}
            }
            return;
        }
        let usable = self.locals.get(subflow.local);
        // Of a path whose local end is gone it tells nothing.
        if usable.is_some_and(|local| local.is_usable()) {
            let since = match subflow.stage {
                Stage::Asked | Stage::Connecting => None,
                Stage::Established | Stage::PriorityDue | Stage::ProbeDue => Some(subflow.tick),
                Stage::Probing => Some(Tick::ORIGIN),
            };
            self.backoff.on_ended(subflow.pair(), ended, since, now);
        }
    }

    /// Takes in an MP_PRIO that came on the subflow `id`.
    ///
    /// RFC 8684, Section 3.3.8; RFC 6824, Section 3.3.8, for the form with an address ID.
    pub fn on_mp_prio(&mut self, id: SubflowId, option: &MpPrio) {
        match option.id {
            None => {
                if let Some(subflow) = self.subflow_mut(id) {
                    subflow.peer_backup = option.backup;
                }
            }
            Some(peer_id) => {
                let all = self.subflows.iter_mut();
                for (_, subflow) in all.filter(|(_, subflow)| subflow.peer_id == peer_id) {
                    subflow.peer_backup = option.backup;
                }
            }
        }
    }

    /// Takes in that something came from the peer on a subflow: it is alive.
    ///
    /// RFC 8684, Section 3.4.2.
    pub fn on_heard(&mut self, id: SubflowId) {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
        //# and if a response is received, the path SHOULD NOT be removed.
        if let Some(subflow) = self.subflow_mut(id) {
            if subflow.stage == Stage::Probing {
                subflow.stage = Stage::Established;
                subflow.tick = Tick::ORIGIN;
            }
        }
    }
}
