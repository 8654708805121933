// SPDX-License-Identifier: GPL-2.0

//! The manager `userspace`: a program commands, connection by connection.
//!
//! Nothing happens of its own accord. The program is told of events by the caller and answers with
//! commands; what has been named in one of them is an *entry*, a local address with a name:
//!
//! | command or event | entry | then |
//! |---|---|---|
//! | announce | is added, if it is new | ADD_ADDR, also if it was sent before |
//! | withdraw | is removed | REMOVE_ADDR, if the peer can know the address; its subflows are closed |
//! | withdraw ID 0 | stays | the same for all subflows whose local address is called 0 |
//! | create subflow | is added, if it is new | a join, once |
//! | create subflow could not begin | is removed, unless it is in use otherwise | nothing |
//! | destroy subflow | is removed | the subflow is closed, even if it is the last one |
//! | set backup | gets or loses the flag | MP_PRIO on the subflow |
//! | the peer joins | is added, if no other has the address | the join is accepted |
//! | the subflow has ended | stays | nothing |
//!
//! Addresses and interfaces of the host do not matter, nor do limits; what is kept of entries is in
//! `entries.rs`.
//!
//! Whether a program listens at all is the caller's to know. While none does, the caller sets
//! [`super::Joins::Refused`] and tells of no announcement.
//!
//! C counterpart: `net/mptcp/pm_userspace.c`.

use super::address::{
    canonical,
    is_unicast, //
};
use super::connect::PeerEnd;
use super::decide::Decision;
use super::endpoint::{
    Endpoint,
    EndpointFlags, //
};
use super::local::Local;
use super::peer::{
    Peer,
    Standing, //
};
use super::signalling::Announcement;
use super::subflow::{
    CloseReason,
    Stage,
    Subflow,
    SubflowId, //
};
use super::tick::Tick;
use super::{
    Kind,
    Pair,
    Paths,
    SUBFLOWS, //
};
use crate::ids::{
    Address,
    AddressId, //
};

/// Why a command is not carried out; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandRefusal {
    /// The connection speaks no MPTCP any longer, or is being closed.
    Over,
    /// The manager of the connection is another one.
    OtherManager,
    /// An address that is announced must have an ID other than 0.
    NoId,
    /// An address that is announced must have the flag signal, one of a new subflow must not.
    Flags,
    /// The local address or the peer's is not one host's.
    Unusable,
    /// The addresses are of two families, or of one that the connection cannot use.
    Families,
    /// The ID stands for another address or port, or the address and port have another ID.
    Mismatch,
    /// There are as many entries, addresses of the peer, subflows or withdrawals as can be kept.
    NoRoom,
    /// There is no such entry or subflow.
    NotFound,
}

impl Paths {
    /// Tells whether a program says what is done.
    pub(super) fn is_commanded(&self) -> bool {
        self.config.kind == Kind::Userspace
    }

    /// Tells whether a command can be carried out at all.
    ///
    /// # Errors
    ///
    /// [`CommandRefusal::Over`], [`CommandRefusal::OtherManager`].
    fn obey(&self) -> Result<(), CommandRefusal> {
        if self.is_over {
            Err(CommandRefusal::Over)
        } else if self.is_commanded() {
            Ok(())
        } else {
            Err(CommandRefusal::OtherManager)
        }
    }

    /// Announces a local address to the peer, with its port if it has one. It may have been announced
    /// before.
    ///
    /// # Errors
    ///
    /// `Over`, `OtherManager`, `NoId`, `Flags`, `Unusable`, `Mismatch`, `NoRoom`.
    pub fn announce_entry(&mut self, entry: &Endpoint) -> Result<(), CommandRefusal> {
        self.obey()?;
        if entry.id == AddressId::INITIAL {
            return Err(CommandRefusal::NoId);
        }
        if !entry.flags.contains(EndpointFlags::SIGNAL) {
            return Err(CommandRefusal::Flags);
        }
        let index = self.enter(entry)?;
        if let Some(local) = self.locals.get_mut(index) {
            local.announcement = Announcement::Asked;
        }
        Ok(())
    }

    /// Withdraws the local address with an ID: it is no entry any longer.
    ///
    /// Its subflows are closed; the last one that works stays until another one does, unless the peer
    /// closes it. ID 0 can be withdrawn while a subflow has it.
    ///
    /// # Errors
    ///
    /// `Over`, `OtherManager`, `NotFound`; `NoRoom`: too many IDs wait for a subflow to be withdrawn
    /// on.
    pub fn withdraw_entry(&mut self, id: AddressId) -> Result<(), CommandRefusal> {
        self.obey()?;
        let is_named = |local: &Local| match local.listing {
            Some(listing) => listing.id == id,
            // What is no entry may be called 0, the first subflow's address above all.
            None => id == AddressId::INITIAL && local.id == Some(id),
        };
        let locals = &self.locals;
        let uses = |subflow: &Subflow| {
            let local = locals.get(subflow.local);
            subflow.stage != Stage::Asked && local.is_some_and(|local| is_named(&local))
        };
        let is_used = self.subflows.find(uses).is_some();
        let is_announced = locals.iter().any(|(_, local)| {
            let is_told = local.id == Some(id) && local.announcement != Announcement::Unsent;
            is_named(local) && is_told
        });
        let entry = locals.iter().find(|(_, local)| is_named(local));
        let entry = entry.map(|(index, _)| index);
        if entry.is_none() || (id == AddressId::INITIAL && !is_used) {
            return Err(CommandRefusal::NotFound);
        }
        let is_due = (is_used || is_announced) && !self.withdrawals.contains(id);
        if is_due && !self.withdrawals.push_once(id) {
            return Err(CommandRefusal::NoRoom);
        }
        for (_, subflow) in self.subflows.iter_mut() {
            let local = self.locals.get(subflow.local);
            if local.is_some_and(|local| is_named(&local)) {
                subflow.doom.get_or_insert(CloseReason::Withdrawn);
            }
        }
        if let Some(index) = entry.filter(|_| id != AddressId::INITIAL) {
            self.remove_entry(index);
        }
        Ok(())
    }

    /// Sets up a subflow from a local address, and from its port if it has one, to an address and
    /// port of the peer. It is tried once.
    ///
    /// The flag backup is that of the subflow, and of the entry if it is new.
    ///
    /// # Errors
    ///
    /// `Over`, `OtherManager`, `Flags`, `Unusable`, `Families`, `Mismatch`, `NoRoom`.
    pub fn create_subflow(
        &mut self,
        entry: &Endpoint,
        peer: &PeerEnd,
    ) -> Result<SubflowId, CommandRefusal> {
        self.obey()?;
        if entry.flags.contains(EndpointFlags::SIGNAL) {
            return Err(CommandRefusal::Flags);
        }
        let (from, to) = (canonical(entry.addr), canonical(peer.addr));
        let is_one_family = matches!(
            (from, to),
            (Address::V4(_), Address::V4(_)) | (Address::V6(_), Address::V6(_))
        );
        if !is_one_family || !self.families.include(from) {
            return Err(CommandRefusal::Families);
        }
        if !is_unicast(to) {
            return Err(CommandRefusal::Unusable);
        }
        if self.subflow_count() >= SUBFLOWS {
            return Err(CommandRefusal::NoRoom);
        }
        let peer_index = self.place_peer(to, peer).ok_or(CommandRefusal::NoRoom)?;
        let flags = entry.flags.with(EndpointFlags::SUBFLOW);
        let entered = self.enter(&Endpoint { flags, ..*entry });
        let subflow = entered.and_then(|local| {
            if let Some(local) = self.locals.get_mut(local) {
                local.interface_index = entry.interface_index;
            }
            let pair = Pair {
                local,
                peer: peer_index,
            };
            self.attempts.add(pair);
            self.revive_peer(peer_index);
            let subflow = self.add_subflow(Subflow {
                generation: 0,
                local,
                peer: peer_index,
                peer_id: peer.id,
                stage: Stage::Asked,
                local_backup: flags.contains(EndpointFlags::BACKUP),
                peer_backup: false,
                doom: None,
                tick: Tick::ORIGIN,
            });
            subflow.ok_or(CommandRefusal::NoRoom)
        });
        // An address of the peer that was stored for nothing is gone again.
        self.forget_unused_peers();
        subflow
    }

    /// Closes a subflow, whether or not there is another one; its local address is no entry any
    /// longer.
    ///
    /// # Errors
    ///
    /// `Over`, `OtherManager`, `NotFound`.
    pub fn destroy_subflow(&mut self, id: SubflowId) -> Result<(), CommandRefusal> {
        self.obey()?;
        let subflow = self.subflow_mut(id).ok_or(CommandRefusal::NotFound)?;
        if subflow.doom == Some(CloseReason::Commanded) {
            return Err(CommandRefusal::NotFound);
        }
        subflow.doom = Some(CloseReason::Commanded);
        let local = subflow.local;
        self.remove_entry(local);
        Ok(())
    }

    /// Tells the peer whether to use a subflow only as a backup, whatever it was told before; joins of
    /// its entry will be the same.
    ///
    /// # Errors
    ///
    /// `Over`, `OtherManager`, `NotFound`; this also if the subflow is not established.
    ///
    /// RFC 8684, Section 3.3.8.
    pub fn set_backup(&mut self, id: SubflowId, backup: bool) -> Result<(), CommandRefusal> {
        self.obey()?;
        let subflow = self.subflow_mut(id).filter(|subflow| subflow.is_working());
        let subflow = subflow.ok_or(CommandRefusal::NotFound)?;
        (subflow.local_backup, subflow.stage) = (backup, Stage::PriorityDue);
        let index = subflow.local;
        if let Some(local) = self.locals.get_mut(index) {
            if let Some(listing) = &mut local.listing {
                listing.flags = if backup {
                    listing.flags.with(EndpointFlags::BACKUP)
                } else {
                    listing.flags.without(EndpointFlags::BACKUP)
                };
                local.set_backup(backup);
            }
        }
        Ok(())
    }

    /// Returns the slot of an address and port of the peer, storing it if it is new; one that no
    /// subflow uses gives way.
    fn place_peer(&mut self, addr: Address, peer: &PeerEnd) -> Option<u8> {
        let port = self.stored_port(Some(peer.port));
        let same = |known: &Peer| (known.addr, known.port) == (addr, port);
        if let Some(index) = self.peers.find(same) {
            return Some(index);
        }
        let new = Peer {
            addr,
            port,
            id: peer.id,
            standing: Standing::Observed,
        };
        if let Some(index) = self.peers.insert(new) {
            return Some(index);
        }
        let is_used = |index: u8| self.subflows.find(|s| s.peer == index).is_some();
        let index = (1..self.peer_slots()).find(|index| !is_used(*index))?;
        *self.peers.get_mut(index)? = new;
        self.backoff.forget_peer(index);
        self.attempts.open_peer(index);
        Some(index)
    }

    /// Takes in that an address of the peer is in use, even if the peer has withdrawn it: the program
    /// knows better.
    fn revive_peer(&mut self, index: u8) {
        let standing = if index == Pair::INITIAL.peer {
            self.initial_standing()
        } else {
            Standing::Observed
        };
        let peer = self.peers.get_mut(index);
        if let Some(peer) = peer.filter(|peer| peer.standing == Standing::Withdrawn) {
            peer.standing = standing;
        }
    }

    /// Begins to set up a subflow that was commanded.
    pub(super) fn connect_asked(&mut self) -> Option<Decision> {
        let (slot, subflow) = self
            .subflows
            .iter()
            .find(|(_, subflow)| subflow.stage == Stage::Asked && subflow.doom.is_none())?;
        let subflow = *subflow;
        let peer = self.peers.get(subflow.peer)?;
        let (local, _) = self.local_end(subflow.local, peer.addr)?;
        if let Some(id) = local.id {
            // It could not be withdrawn for want of a subflow; now it would hit this one.
            self.withdrawals.cancel(id);
        }
        self.subflows.get_mut(slot)?.stage = Stage::Connecting;
        Some(Decision::Connect {
            subflow: SubflowId {
                slot,
                generation: subflow.generation,
            },
            local,
            peer: PeerEnd {
                id: subflow.peer_id,
                ..self.peer_end(&peer)
            },
            backup: subflow.local_backup,
        })
    }
}
