// SPDX-License-Identifier: GPL-2.0

//! Subflows between endpoints and the addresses of the peer: which may be set up now.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`fill_local_addresses_vec`,
//! `fill_remote_addresses_vec`).

use super::address::can_meet;
use super::endpoint::{
    EndpointFlags,
    Source, //
};
use super::local::Local;
use super::peer::{
    Ignored,
    Standing, //
};
use super::signalling::Announcement;
use super::subflow::{
    Stage,
    Subflow,
    SubflowId, //
};
use super::{
    Pair,
    Paths,
    PEERS,
    SUBFLOWS, //
};
use crate::ids::Address;
use crate::time::Timestamp;

impl Paths {
    /// Returns where subflows to announced addresses begin.
    pub(super) fn source(&self) -> Source {
        let has = |flags| {
            let is_meant = |local: &Local| local.is_usable() && local.flags().contains(flags);
            self.locals.find(is_meant).is_some()
        };
        if has(EndpointFlags::FULL_MESH) {
            Source::FullMesh
        } else if has(EndpointFlags::LAMINAR) {
            Source::Laminar
        } else if self.accepts_one() {
            Source::Subflow
        } else {
            Source::Routing
        }
    }

    /// Tells whether one announced address is accepted although none is by the limits: the peer
    /// does not want to be joined at its first one.
    ///
    /// C counterpart: `net/mptcp/protocol.h` (`mptcp_pm_add_addr_c_flag_case`).
    pub(super) fn accepts_one(&self) -> bool {
        !self.initial_joinable && self.config.limits.peer_addresses <= 1
    }

    /// Tells whether a subflow leads to an address, and port, of the peer; zero is that of the first
    /// subflow, `None` is any.
    pub(super) fn is_joined(&self, addr: Address, port: Option<u16>) -> bool {
        self.subflows.iter().any(|(_, subflow)| {
            let peer = self.peers.get(subflow.peer);
            let peer = peer.filter(|_| subflow.doom.is_none());
            peer.is_some_and(|peer| peer.addr == addr && port.is_none_or(|port| port == peer.port))
        })
    }

    /// Tells whether the pair may be tried: it was not, and the endpoint may be used like that.
    pub(super) fn may_try(&self, pair: Pair, local: &Local) -> bool {
        let has_name = self.id_to_give(pair.local).is_some();
        if self.attempts.contains(pair) || !has_name || !self.families.include(local.addr) {
            return false;
        }
        // What may be joined at the first address is decided by its slot, wherever it was seen.
        let place = |index| self.peers.get(index).map(|peer| (peer.addr, peer.port));
        let initial = Pair::INITIAL.peer;
        if pair.peer != initial && place(pair.peer) == place(initial) {
            return false;
        }
        if !local.flags().contains(EndpointFlags::LAMINAR) {
            return true;
        }
        if pair.peer == Pair::INITIAL.peer {
            !self.attempts.has_any_from(pair.local)
        } else {
            self.source() != Source::Laminar
                || !(self.has_subflow_from(pair.local) || self.attempts.has_any_to(pair.peer))
        }
    }

    /// Calls `found` for each address of the peer to which a subflow from where the routing chooses
    /// is missing.
    pub(super) fn for_each_routed(&self, mut found: impl FnMut(Pair)) {
        if self.source() != Source::Routing {
            return;
        }
        for (index, peer) in self.peers.iter() {
            let pair = Pair {
                local: Subflow::NO_LOCAL,
                peer: index,
            };
            if peer.standing == Standing::Joinable
                && !self.attempts.contains(pair)
                && self.families.include(peer.addr)
                && !self.is_joined(peer.addr, Some(peer.port))
            {
                found(pair);
            }
        }
    }

    /// Tells whether anything here leads to an announced address that is not known yet.
    pub(super) fn leads_to(&self, addr: Address) -> bool {
        let source = self.source();
        let flags = match source {
            Source::FullMesh => EndpointFlags::FULL_MESH,
            Source::Laminar => EndpointFlags::LAMINAR,
            Source::Subflow => EndpointFlags::SUBFLOW,
            Source::Routing => return self.families.include(addr),
        };
        let mut all = self.locals.iter();
        self.families.include(addr)
            && all.any(|(index, local)| {
                let is_free = match source {
                    Source::Laminar => !self.has_subflow_from(index),
                    Source::Subflow => index != Pair::INITIAL.local,
                    Source::FullMesh | Source::Routing => true,
                };
                is_free
                    && local.is_usable()
                    && local.flags().contains(flags)
                    && can_meet(local.addr, addr)
            })
    }

    /// Opens what an announcement of an address of the peer asks for.
    pub(super) fn open_announced(&mut self, index: u8) {
        if index != Pair::INITIAL.peer {
            self.attempts.open_peer(index);
            return;
        }
        // Endpoints that have been used for the first address are not used for it again.
        let is_full_mesh = self.source() == Source::FullMesh;
        for local in 0..self.local_slots() {
            let flags = self.locals.get(local).map(|local| local.flags());
            if is_full_mesh && flags.is_some_and(|f| f.contains(EndpointFlags::FULL_MESH)) {
                self.attempts.open(Pair { local, peer: index });
            }
        }
        self.attempts.open(Pair {
            local: Subflow::NO_LOCAL,
            peer: index,
        });
    }

    /// Takes in that a join to an address of the peer has found no way: if there is no other, the
    /// address counts as never announced.
    pub(super) fn give_up_peer(&mut self, ended: &Subflow, now: Timestamp) {
        if ended.stage != Stage::Connecting || ended.peer == Pair::INITIAL.peer {
            return;
        }
        let Some(peer) = self.peers.get(ended.peer) else {
            return;
        };
        let mut is_missing = self.is_joined(peer.addr, Some(peer.port));
        self.for_each_missing(&self.uses(), now, |pair, _| {
            is_missing |= pair.peer == ended.peer;
        });
        if !is_missing {
            if let Some(peer) = self.peers.get_mut(ended.peer) {
                peer.standing = Standing::Withdrawn;
            }
            self.forget_unused_peers();
        }
    }

    /// Tells whether one more subflow may join.
    ///
    /// The first one does not count, nor do those that are about to be closed.
    pub(super) fn has_room_to_join(&self, now: Timestamp) -> bool {
        let all = self.subflows.iter();
        let joined = all.filter(|(slot, subflow)| {
            let generation = subflow.generation;
            let id = SubflowId {
                slot: *slot,
                generation,
            };
            id != SubflowId::INITIAL && self.fault(subflow, now).is_none()
        });
        let with_first = joined.fold(1_usize, |count, _| count.saturating_add(1));
        with_first < self.subflow_limit() && self.subflow_count() < SUBFLOWS
    }

    /// Tells whether an address that the peer announces is accepted.
    ///
    /// # Errors
    ///
    /// [`Ignored::NoRoom`]: as many addresses or subflows are there as the limits allow.
    /// [`Ignored::NoEndpoint`].
    pub(super) fn may_accept(&self, addr: Address, now: Timestamp) -> Result<(), Ignored> {
        let limit = if self.accepts_one() {
            1
        } else {
            let limit = self.config.limits.peer_addresses.saturating_sub(1);
            usize::from(limit).min(PEERS)
        };
        if self.accepted() >= limit || !self.has_room(now) {
            return Err(Ignored::NoRoom);
        }
        if self.leads_to(addr) {
            Ok(())
        } else {
            Err(Ignored::NoEndpoint)
        }
    }

    /// Tells whether the endpoint in a slot that was not announced is to be.
    ///
    /// One announcement is outstanding at a time. The peer knows the address of the first subflow,
    /// unless that was removed.
    pub(super) fn is_to_be_signalled(&self, index: u8) -> bool {
        let waits = |local: &Local| {
            local.is_usable() && matches!(local.announcement, Announcement::Waiting { .. })
        };
        self.locals.find(waits).is_none()
            && self.locals.get(index).is_some_and(|local| {
                let is_new = local.listing.is_some_and(|listing| !listing.is_known);
                is_new && local.is_usable() && local.flags().contains(EndpointFlags::SIGNAL)
            })
    }
}
