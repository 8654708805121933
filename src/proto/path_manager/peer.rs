// SPDX-License-Identifier: GPL-2.0

//! The addresses of the peer: learned, refreshed, withdrawn.
//!
//! An address is *joinable* when the peer has announced it or has used it for the first subflow and
//! accepts more there. An address from which the peer has joined by itself is *observed*: it may be
//! a translator's, and nobody need listen there. One that was *withdrawn* stays in its slot only as
//! long as a subflow uses it.
//!
//! What an announcement does is decided by the first line that fits:
//!
//! | ID | address and port | then | echo |
//! |---|---|---|---|
//! | any | not one host's, or this host's or its link's | ignored | yes |
//! | known | another address | ignored | no |
//! | known | the same | refreshed: closed pairs are opened | yes |
//! | any | those of the first subflow | ignored, unless they were withdrawn | yes |
//! | new | known under another ID | goes by the new ID from now on | yes |
//! | any | new, but more addresses than allowed | ignored | yes |
//! | any | new, but too many in a short time | ignored | no: the peer may say it again |
//! | known, observed | new | the address of this ID | yes |
//! | any | new | stored | yes |
//!
//! With endpoints, an address that a subflow leads to already is refreshed, as is one that nothing
//! leads to; one that is new is ignored if none of them leads there. ID 0 is that of the first
//! subflow's address only.
//!
//! With `userspace` every announcement is echoed and none is kept: what becomes of it is for the
//! program to say.
//!
//! RFC 8684, Sections 3.1, 3.4.1 and 3.4.2.
//!
//! C counterpart: `net/mptcp/pm.c` (`mptcp_pm_add_addr_received`, `mptcp_pm_rm_addr_received`).

use super::address::{
    canonical,
    is_credible,
    is_in_reach, //
};
use super::subflow::{
    CloseReason,
    Stage, //
};
use super::{
    Paths,
    PEERS, //
};
use crate::ids::{
    Address,
    AddressId, //
};
use crate::options::{
    AddAddr,
    RemoveAddr, //
};
use crate::time::Timestamp;

/// What may be done with an address of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Subflows may be set up to it.
    Joinable,
    /// The peer uses it, but has not asked for subflows to it.
    Observed,
    /// The peer has withdrawn it.
    Withdrawn,
}

/// One address of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    /// The address.
    pub(super) addr: Address,
    /// The port, host order; zero for that of the first subflow.
    pub(super) port: u16,
    /// What the peer calls it.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
    //# A host MUST store the mappings between Address IDs and
    //# addresses both for itself and the remote host.
    pub(super) id: AddressId,
    /// What may be done with it.
    pub(super) standing: Standing,
}

impl Peer {
    /// Tells whether the peer calls the address by this ID.
    pub(super) fn is_called(&self, id: AddressId) -> bool {
        self.id == id && self.standing != Standing::Withdrawn
    }
}

/// Why an announcement leads to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ignored {
    /// The connection speaks no MPTCP any longer.
    Over,
    /// No packet for this peer belongs to such an address.
    Unusable,
    /// The ID names another address.
    Contradiction,
    /// It is the address of the first subflow.
    Initial,
    /// More addresses of the peer are not kept.
    NoRoom,
    /// The peer has announced too many new addresses in a short time.
    TooOften,
    /// No endpoint leads to it.
    NoEndpoint,
}

/// What an ADD_ADDR leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddAddrOutcome {
    /// It is the echo of an announcement of the local host.
    Echo,
    /// The address is known from now on.
    Stored,
    /// The address was known; joins that were given up may be tried again.
    Refreshed,
    /// A program is to be told of it, and nothing else happens.
    Reported,
    /// Nothing.
    Ignored(Ignored),
}

impl AddAddrOutcome {
    /// Tells whether the peer is to be sent [`AddAddr::echo`] of the option.
    ///
    /// An echo says that the option has arrived, whether or not it is of use. It is withheld where
    /// the peer should say something else, or say it again.
    ///
    /// RFC 8684, Section 3.4.1.
    #[must_use]
    pub const fn is_to_be_echoed(self) -> bool {
        match self {
            Self::Stored | Self::Refreshed | Self::Reported => true,
            Self::Ignored(
                Ignored::Unusable | Ignored::Initial | Ignored::NoRoom | Ignored::NoEndpoint,
            ) => true,
            Self::Echo
            | Self::Ignored(Ignored::Over | Ignored::Contradiction | Ignored::TooOften) => false,
        }
    }
}

impl AddAddrOutcome {
    /// Tells whether nothing came of it.
    #[must_use]
    pub const fn is_ignored(self) -> bool {
        matches!(self, Self::Ignored(_))
    }
}

impl Paths {
    /// Returns the port as it is stored: zero for that of the first subflow.
    pub(super) fn stored_port(&self, port: Option<u16>) -> u16 {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# If no
        //# port is specified, MPTCP SHOULD attempt to connect to the specified
        //# address on the same port as the port that is already in use by the
        //# subflow on which the ADD_ADDR signal was sent;
        match port {
            Some(port) if port != self.peer_port => port,
            Some(_) | None => 0,
        }
    }

    /// Returns what may be done with the address of the first subflow while it is not withdrawn.
    pub(super) const fn initial_standing(&self) -> Standing {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
        //# and therefore the receiver MUST NOT try to open
        //# any additional subflows toward this address and port.
        if self.initial_joinable {
            Standing::Joinable
        } else {
            Standing::Observed
        }
    }

    /// Takes in an ADD_ADDR whose code has been checked, or an echo, which has none.
    ///
    /// RFC 8684, Section 3.4.1.
    pub fn on_add_addr(&mut self, option: &AddAddr, now: Timestamp) -> AddAddrOutcome {
        if self.is_over {
            return AddAddrOutcome::Ignored(Ignored::Over);
        }
        if option.is_echo() {
            self.on_echo(option);
            return AddAddrOutcome::Echo;
        }
        if self.is_commanded() {
            return AddAddrOutcome::Reported;
        }
        match self.learn(option, now) {
            Ok(outcome) => outcome,
            Err(ignored) => AddAddrOutcome::Ignored(ignored),
        }
    }

    /// Takes in an announcement by the table at the head of this file.
    ///
    /// # Errors
    ///
    /// Each line of the table that ignores the announcement has a variant of [`Ignored`].
    fn learn(&mut self, option: &AddAddr, now: Timestamp) -> Result<AddAddrOutcome, Ignored> {
        let (id, addr) = (option.id, canonical(option.addr));
        let port = self.stored_port(option.port);
        let initial = self.peers.get(0).ok_or(Ignored::Over)?;
        // With endpoints, what leads nowhere is found out by trying, as the kernel's own MPTCP does.
        let is_usable = if self.uses_endpoints() {
            is_in_reach(addr, initial.addr)
        } else {
            is_credible(addr, initial.addr)
        };
        if !is_usable {
            return Err(Ignored::Unusable);
        }
        let is_observed = |index, standing| index != 0 && standing == Standing::Observed;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# A host can therefore send an ADD_ADDR message with an already-
        //# assigned Address ID, but the address MUST be the same as the address
        //# previously assigned to this Address ID.
        if self.peers.iter().any(|(index, peer)| {
            peer.is_called(id) && peer.addr != addr && !is_observed(index, peer.standing)
        }) {
            return Err(Ignored::Contradiction);
        }
        // The same address may also have been observed, from behind a translator: what may be
        // joined there is decided by one slot only.
        let known = self
            .peers
            .iter()
            .filter(|(_, peer)| (peer.addr, peer.port) == (addr, port))
            .min_by_key(|(index, peer)| (*index != 0, peer.standing != Standing::Joinable))
            .map(|(index, _)| index);
        let standing = if known == Some(0) {
            self.initial_standing()
        } else {
            Standing::Joinable
        };
        if let Some((index, mut peer)) = known.and_then(|at| Some((at, self.peers.get(at)?))) {
            if peer.standing == Standing::Joinable && peer.id == id {
                self.backoff.open_peer(index);
                if self.uses_endpoints() {
                    self.refresh(index, &peer, now)?;
                }
                return Ok(AddAddrOutcome::Refreshed);
            }
            if index == 0 && peer.standing != Standing::Withdrawn {
                return Err(Ignored::Initial);
            }
            if peer.standing != Standing::Joinable {
                if self.is_joined_already(addr, option.port) {
                    return Ok(AddAddrOutcome::Refreshed);
                }
                self.may_learn(known, addr, now)?;
                self.open_announced(index);
            }
            (peer.id, peer.standing) = (id, standing);
            if let Some(place) = self.peers.get_mut(index) {
                *place = peer;
            }
            return Ok(AddAddrOutcome::Stored);
        }
        if self.uses_endpoints() && id == AddressId::INITIAL {
            return Err(Ignored::Initial);
        }
        if self.is_joined_already(addr, option.port) {
            return Ok(AddAddrOutcome::Refreshed);
        }
        self.may_learn(known, addr, now)?;
        let learned = Peer {
            addr,
            port,
            id,
            standing,
        };
        let observed = self
            .peers
            .iter()
            .find(|(index, peer)| peer.is_called(id) && is_observed(*index, peer.standing))
            .map(|(index, _)| index);
        if let Some(place) = observed.and_then(|index| self.peers.get_mut(index)) {
            *place = learned;
            return Ok(AddAddrOutcome::Stored);
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# If the port number is
        //# different, the receiving host SHOULD try to set up a new subflow to
        //# this new address/port combination.
        match self.peers.insert(learned) {
            Some(index) => {
                self.attempts.open_peer(index);
                Ok(AddAddrOutcome::Stored)
            }
            None => Err(Ignored::NoRoom),
        }
    }

    /// Lets an address that is announced again be joined again, if nothing leads there.
    ///
    /// # Errors
    ///
    /// [`Ignored::TooOften`].
    fn refresh(&mut self, index: u8, peer: &Peer, now: Timestamp) -> Result<(), Ignored> {
        if self.is_joined(peer.addr, Some(peer.port)) {
            return Ok(());
        }
        if !self.allowance.take(now) {
            return Err(Ignored::TooOften);
        }
        self.open_announced(index);
        Ok(())
    }

    /// Tells whether endpoints have no use for an announcement, since a subflow leads there.
    fn is_joined_already(&self, addr: Address, port: Option<u16>) -> bool {
        let port = port.map(|port| self.stored_port(Some(port)));
        self.uses_endpoints() && self.is_joined(addr, port)
    }

    /// Counts one more address that becomes joinable, which is in the slot `known` or in none.
    ///
    /// # Errors
    ///
    /// [`Ignored::NoRoom`]: as many are as the limits allow. [`Ignored::NoEndpoint`].
    /// [`Ignored::TooOften`]: others became so just now.
    fn may_learn(
        &mut self,
        known: Option<u8>,
        addr: Address,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        let limit = usize::from(self.config.limits.peer_addresses).min(PEERS);
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# Therefore, a host MUST treat address advertisements
        //# as soft state,
        // The address of the first subflow is one of them.
        if self.uses_endpoints() {
            if known != Some(0) {
                self.may_accept(addr, now)?;
            }
        } else if self.accepted().saturating_add(1) >= limit {
            return Err(Ignored::NoRoom);
        }
        if self.allowance.take(now) {
            Ok(())
        } else {
            Err(Ignored::TooOften)
        }
    }

    /// Returns how many addresses are joinable, that of the first subflow aside.
    pub(super) fn accepted(&self) -> usize {
        let all = self.peers.iter();
        all.filter(|(index, peer)| *index != 0 && peer.standing == Standing::Joinable)
            .count()
    }

    /// Takes in a REMOVE_ADDR.
    ///
    /// The addresses are used for no further subflow. Subflows that use them are asked whether they
    /// are alive; those that are stay, for the peer to close. With endpoints and with `userspace` they
    /// are closed at once.
    ///
    /// RFC 8684, Section 3.4.2.
    pub fn on_remove_addr(&mut self, option: &RemoveAddr<'_>) {
        if self.is_over {
            return;
        }
        let takes_word = self.has_listings();
        for id in option.ids() {
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
            //# If an Address ID is not known, the receiver will silently
            //# ignore the request.
            for (_, peer) in self.peers.iter_mut() {
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
                //# the receiving host SHOULD no
                //# longer use the specified address for future connections,
                if peer.is_called(id) {
                    peer.standing = Standing::Withdrawn;
                }
            }
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
            //# The receipt of REMOVE_ADDR SHOULD
            //# first trigger the sending of a TCP keepalive [RFC1122] on the path,
            for (_, subflow) in self.subflows.iter_mut() {
                if subflow.peer_id != id {
                    continue;
                }
                if takes_word {
                    subflow.doom.get_or_insert(CloseReason::PeerRemoved);
                } else if subflow.is_working() {
                    subflow.stage = Stage::ProbeDue;
                }
            }
        }
        self.forget_unused_peers();
    }

    /// Returns the slot of the address from which the peer joins, storing it if it is new.
    ///
    /// `None` if there is no room.
    ///
    /// RFC 8684, Section 3.4.1.
    pub(super) fn observe_peer(&mut self, id: AddressId, addr: Address) -> Option<u8> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# All Address IDs learned via either MP_JOIN or ADD_ADDR SHOULD be
        //# stored by the receiver in a data structure that gathers all the
        //# Address-ID-to-address mappings for a connection (identified by a
        //# token pair).
        self.peers.find(|peer| peer.is_called(id)).or_else(|| {
            let index = self.peers.insert(Peer {
                addr,
                port: 0,
                id,
                standing: Standing::Observed,
            })?;
            self.attempts.close_peer(index);
            Some(index)
        })
    }

    /// Frees the slots of addresses that no subflow uses and none is to use.
    pub(super) fn forget_unused_peers(&mut self) {
        for index in 1..self.peer_slots() {
            let unused = self
                .peers
                .get(index)
                .is_some_and(|peer| peer.standing != Standing::Joinable);
            if unused && !self.subflows.iter().any(|(_, s)| s.peer == index) {
                self.peers.take(index);
                self.backoff.forget_peer(index);
                self.attempts.open_peer(index);
            }
        }
    }
}
