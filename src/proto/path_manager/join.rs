// SPDX-License-Identifier: GPL-2.0

//! Whether a subflow that the peer wants to join is accepted.
//!
//! Asked twice: when the SYN comes, so that its answer can name the local address, and when the
//! third ACK has proved who sent it. Nothing is kept in between, so a SYN reserves nothing.
//!
//! RFC 8684, Sections 3.1, 3.2 and 3.6.
//!
//! C counterpart: `net/mptcp/subflow.c` (`mptcp_can_accept_new_subflow`), `net/mptcp/pm.c`
//! (`mptcp_pm_allow_new_subflow`).

use super::address::canonical;
use super::local::{
    Interface,
    Local, //
};
use super::subflow::{
    Stage,
    Subflow,
    SubflowId, //
};
use super::tick::Tick;
use super::{
    Joins,
    Paths, //
};
use crate::ids::{
    Address,
    AddressId, //
};
use crate::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use crate::time::Timestamp;

/// A subflow that the peer wants to join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Join {
    /// What the peer calls its address.
    pub id: AddressId,
    /// The peer wants data on it only if no other subflow is usable.
    pub backup: bool,
    /// The address that the SYN was sent to.
    pub local: Address,
    /// The port that the SYN was sent to.
    pub local_port: u16,
    /// The address that the SYN seems to come from.
    pub peer: Address,
}

/// Why a join is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The connection speaks no MPTCP any longer, or is being closed.
    Over,
    /// The configuration, or the policy of the interface, does not allow it.
    Prohibited,
    /// There are as many subflows as the limits allow.
    TooManySubflows,
    /// There are as many local addresses as can be named.
    TooManyAddresses,
}

impl Refusal {
    /// Returns what the reset says.
    ///
    /// For too many subflows, RFC 8684, Section 3.2 suggests "MPTCP specific error" and Section 3.6
    /// defines "lack of resources"; the second lets the peer try again later.
    ///
    /// RFC 8684, Sections 3.2 and 3.6.
    #[must_use]
    pub const fn reset(self) -> MpTcprst {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# If the token received at Host B is unknown or local policy prohibits
        //# the acceptance of the new subflow, the recipient MUST respond with a
        //# TCP RST for the subflow.
        let (transient, reason) = match self {
            Self::Over => (false, Reason::MptcpSpecific),
            Self::Prohibited => (false, Reason::AdministrativelyProhibited),
            Self::TooManySubflows | Self::TooManyAddresses => (true, Reason::LackOfResources),
        };
        MpTcprst { transient, reason }
    }
}

/// How to answer a SYN with MP_JOIN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinVerdict {
    /// With a SYN/ACK whose MP_JOIN says this.
    Accept {
        /// Names the local address.
        id: AddressId,
        /// The local host wants data on the subflow only if no other is usable.
        backup: bool,
    },
    /// With a reset.
    Refuse(Refusal),
}

impl Paths {
    /// Decides how to answer a SYN with MP_JOIN and the token of this connection.
    ///
    /// RFC 8684, Section 3.2.
    ///
    /// Where somebody says which paths there are, a join for which there is no room, or nobody who would
    /// hear of it, is refused only by its third ACK, as the kernel's own MPTCP does.
    pub fn accept_join(&mut self, join: &Join, now: Timestamp) -> JoinVerdict {
        let may_join = if self.has_listings() {
            Ok(())
        } else {
            self.may_join(now)
        };
        match self.admit(join, may_join) {
            Ok((_, id, backup)) => JoinVerdict::Accept { id, backup },
            Err(refusal) => JoinVerdict::Refuse(refusal),
        }
    }

    /// Takes in that the third ACK has proved a join to come from the peer.
    ///
    /// # Errors
    ///
    /// The join is refused after all, for example because another was faster.
    pub fn on_joined(&mut self, join: &Join, now: Timestamp) -> Result<SubflowId, Refusal> {
        let may_join = self.may_join(now);
        let (local, _, local_backup) = self.admit(join, may_join)?;
        let peer = self.observe_peer(join.id, canonical(join.peer));
        let subflow = Subflow {
            generation: 0,
            local,
            peer: peer.unwrap_or(Subflow::NO_PEER),
            peer_id: join.id,
            stage: Stage::Established,
            local_backup,
            peer_backup: join.backup,
            doom: None,
            tick: Tick::at(now),
        };
        self.attempts.add(subflow.pair());
        self.add_subflow(subflow).ok_or(Refusal::TooManySubflows)
    }

    /// Tells whether another subflow may join at all.
    ///
    /// # Errors
    ///
    /// [`Refusal::Prohibited`], [`Refusal::TooManySubflows`].
    fn may_join(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.config.joins == Joins::Refused {
            Err(Refusal::Prohibited)
        } else if self.has_room(now) {
            Ok(())
        } else {
            Err(Refusal::TooManySubflows)
        }
    }

    /// Returns slot, ID and backup policy of the local address of a join that may be accepted.
    ///
    /// A SYN may come to an address that nobody has told of, such as one that many hosts share; it
    /// is one of the local addresses from then on.
    ///
    /// # Errors
    ///
    /// As the variants of [`Refusal`] say.
    fn admit(
        &mut self,
        join: &Join,
        may_join: Result<(), Refusal>,
    ) -> Result<(u8, AddressId, bool), Refusal> {
        if self.is_over {
            return Err(Refusal::Over);
        }
        let addr = canonical(join.local);
        let known = if self.has_listings() {
            self.place_local(addr, join.local_port)
        } else {
            self.find_local(addr)
        };
        let is_initial = known == Some(0) && join.local_port == self.local_port;
        if is_initial && self.config.joins == Joins::NotToInitial {
            return Err(Refusal::Prohibited);
        }
        may_join?;
        let index = match known {
            Some(index) => index,
            None => self
                .store_local(Local::new(addr, Interface::UNKNOWN))
                .ok_or(Refusal::TooManyAddresses)?,
        };
        let local = self.locals.get(index).ok_or(Refusal::TooManyAddresses)?;
        if !local.is_usable() {
            return Err(Refusal::Prohibited);
        }
        let id = self.name_local(index).ok_or(Refusal::TooManyAddresses)?;
        Ok((index, id, local.is_backup()))
    }
}
