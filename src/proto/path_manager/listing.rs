// SPDX-License-Identifier: GPL-2.0

//! The list of endpoints, as far as one connection is concerned.
//!
//! The list belongs to the namespace. A connection is told all of it each time and compares it with
//! the local addresses that it knows:
//!
//! | in the list | known | then |
//! |---|---|---|
//! | yes | no | it is a local address from now on, if there is room |
//! | yes | with other flags | it is used in the new way |
//! | yes | differs in the flag fullmesh | its subflows are set up anew as well |
//! | yes | with another serial | it was added again: what was tried may be tried again |
//! | no | yes | its subflows are closed, and it is withdrawn |
//!
//! A local address that is in no list has a name only while a subflow uses it.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_nl_add_subflow_or_signal_addr`,
//! `mptcp_nl_remove_subflow_and_signal_addr`, `mptcp_pm_nl_set_flags`).

use super::address::canonical;
use super::endpoint::{
    Endpoint,
    EndpointFlags, //
};
use super::local::{
    Interface,
    Local, //
};
use super::signalling::Announcement;
use super::subflow::{
    CloseReason,
    Subflow,
    SubflowId, //
};
use super::table::numbered;
use super::{
    Kind,
    Pair,
    Paths,
    LOCAL_SLOTS, //
};
use crate::ids::{
    Address,
    AddressId, //
};

/// What the list, or a program, says of a local address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listing {
    /// What the peer is to call the address.
    pub(super) id: AddressId,
    /// The port to announce, host order; zero if none.
    pub(super) port: u16,
    /// How it is used.
    pub(super) flags: EndpointFlags,
    /// Tells it from an earlier one of the same ID, address and port; the entries of a program are in
    /// its order.
    pub(super) serial: u32,
    /// How many are before it in the list.
    pub(super) place: u8,
    /// The peer knows the address from the first subflow.
    pub(super) is_known: bool,
}

impl Local {
    /// Tells whether it is the endpoint's, or that of one which the endpoint replaces.
    ///
    /// One that was announced is not replaced by one that is not to be: it is withdrawn before.
    fn is_of(&self, endpoint: &Endpoint) -> bool {
        let may_replace = self.announcement == Announcement::Unsent
            || endpoint.flags.contains(EndpointFlags::SIGNAL);
        let is_listed = self.listing.is_some_and(|listing| {
            listing.id == endpoint.id && listing.port == endpoint.port.unwrap_or(0)
        });
        is_listed && may_replace && self.addr == canonical(endpoint.addr)
    }
}

/// How a local address is named that the routing has chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalName {
    /// Names the address, for the MP_JOIN of the SYN.
    pub id: AddressId,
    /// The bit B of the MP_JOIN.
    pub backup: bool,
}

impl Paths {
    /// Tells whether endpoints say what is done.
    pub(super) fn uses_endpoints(&self) -> bool {
        self.config.kind == Kind::Endpoint
    }

    /// Tells whether the local addresses are those that somebody has named.
    pub(super) fn has_listings(&self) -> bool {
        self.uses_endpoints() || self.is_commanded()
    }

    /// Takes in which endpoints the namespace has, all of them, in the order of its list.
    ///
    /// To be called when the connection has begun, and again when the list may have changed. One
    /// that is not there any longer counts as removed. What is removed and added again between two
    /// calls has never been away; a new serial says that what was tried may be tried again. Of
    /// those that a connection has no room for, the first come first.
    ///
    /// Other managers ignore endpoints.
    pub fn set_endpoints(&mut self, endpoints: &[Endpoint]) {
        if !self.uses_endpoints() {
            return;
        }
        for index in 0..self.local_slots() {
            self.drop_unlisted(index, endpoints);
        }
        // Addresses that are only named do not take the place of others.
        for is_used in [true, false] {
            for (place, endpoint) in numbered(endpoints.iter()) {
                if endpoint.flags.is_used() == is_used && endpoint.id != AddressId::INITIAL {
                    self.list(endpoint, place);
                }
            }
        }
    }

    /// Takes in that all endpoints were removed at once.
    ///
    /// Addresses that were announced are withdrawn, others are not, although subflows used them.
    ///
    /// C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_pm_flush_addrs_and_subflows`).
    pub fn on_endpoints_flushed(&mut self) {
        if !self.uses_endpoints() {
            return;
        }
        for (_, local) in self.locals.iter_mut() {
            if local.listing.is_some() && local.announcement == Announcement::Unsent {
                local.id = None;
            }
        }
        self.set_endpoints(&[]);
    }

    /// Takes in that `addr` is to be given up by the connections whose first subflow it belongs to.
    ///
    /// Its subflows are closed, and the address ID 0 is withdrawn. An endpoint with the address may
    /// use it again afterwards.
    ///
    /// C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_nl_remove_id_zero_address`).
    pub fn on_initial_removed(&mut self, addr: Address) {
        if !self.uses_endpoints() {
            return;
        }
        if let Some(local) = self.locals.get_mut(Pair::INITIAL.local) {
            if local.addr == canonical(addr) {
                local.is_present = false;
            }
        }
    }

    /// Takes in which local address the routing has chosen for a subflow that was left to it, and
    /// returns how to name it.
    ///
    /// `None`: the subflow is gone, or the address cannot be named; the subflow is to be given up.
    ///
    /// C counterpart: `net/mptcp/subflow.c` (`subflow_chk_local_id`).
    pub fn on_local_chosen(&mut self, id: SubflowId, addr: Address) -> Option<LocalName> {
        let chosen = self.subflow_mut(id)?.local;
        let index = if chosen == Subflow::NO_LOCAL {
            self.place_local(canonical(addr), 0)?
        } else {
            chosen
        };
        let id_of_local = self.name_local(index)?;
        let backup = self.locals.get(index)?.is_backup();
        let subflow = self.subflow_mut(id)?;
        subflow.local = index;
        subflow.local_backup = backup;
        Some(LocalName {
            id: id_of_local,
            backup,
        })
    }

    /// Returns the local addresses that subflows use and that neither an endpoint has nor another
    /// manager has announced, with their address IDs.
    ///
    /// The caller may list them as implicit endpoints, so that all connections call them the same.
    #[must_use]
    pub fn unlisted(&self) -> [Option<(Address, AddressId)>; LOCAL_SLOTS] {
        let mut unlisted = [None; LOCAL_SLOTS];
        let all = self.locals.iter().filter_map(|(index, local)| {
            let is_unannounced = local.announcement == Announcement::Unsent;
            let is_meant =
                index != Pair::INITIAL.local && local.listing.is_none() && is_unannounced;
            let id = local
                .id
                .filter(|_| is_meant && self.has_subflow_from(index))?;
            Some((local.addr, id))
        });
        for (place, found) in unlisted.iter_mut().zip(all) {
            *place = Some(found);
        }
        unlisted
    }

    /// Takes in that the manager changes: nothing is said of any address, and none is there twice.
    pub(super) fn forget_listings(&mut self) {
        for index in 0..self.local_slots() {
            let Some(mut local) = self.locals.get(index) else {
                continue;
            };
            local.listing = None;
            if index != Pair::INITIAL.local && local.id == Some(AddressId::INITIAL) {
                // A program may call another address 0; its loss must not withdraw the first one.
                local.id = None;
            }
            local.is_present &= self.find_local(local.addr) == Some(index);
            if let Some(place) = self.locals.get_mut(index) {
                *place = local;
            }
        }
    }

    /// Returns the slot of the local address that a join to a port comes to, storing it if it is
    /// new.
    ///
    /// An endpoint with the port comes before one without.
    pub(super) fn place_local(&mut self, addr: Address, port: u16) -> Option<u8> {
        if self.is_commanded() {
            return self.place_commanded(addr, port);
        }
        let is_unused = !self.has_subflow_from(Pair::INITIAL.local);
        let initial = self.locals.get_mut(Pair::INITIAL.local)?;
        if initial.addr == addr {
            if !initial.is_present && is_unused {
                // It was given up, and is in use again.
                initial.use_always();
                (initial.is_present, initial.listing) = (true, None);
                initial.announcement = Announcement::Unsent;
            }
            return Some(Pair::INITIAL.local);
        }
        let all = self.locals.iter().filter(|(_, local)| {
            let own = local.port();
            local.is_present && local.addr == addr && (own == 0 || own == port)
        });
        if let Some((index, _)) = all.min_by_key(|(_, local)| local.port() == 0) {
            return Some(index);
        }
        self.store_local(Local::new(addr, Interface::UNKNOWN))
    }

    /// Returns what the peer is to call the local address in a slot, or `None` if that ID stands
    /// for another one as far as the peer knows.
    pub(super) fn id_to_give(&self, index: u8) -> Option<AddressId> {
        let local = self.locals.get(index)?;
        if local.id.is_some() {
            return local.id;
        }
        if index == Pair::INITIAL.local {
            return Some(AddressId::INITIAL);
        }
        let is_free = |id: AddressId| {
            let is_used = self.locals.find(|local| local.id == Some(id)).is_some();
            !is_used && !self.withdrawals.contains(id)
        };
        if let Some(listing) = local.listing {
            return Some(listing.id).filter(|id| is_free(*id));
        }
        let is_listed = |id: AddressId| {
            let is_meant = |local: &Local| local.listing.is_some_and(|listing| listing.id == id);
            self.locals.find(is_meant).is_some()
        };
        let mut ids = (1..=u8::MAX).map(AddressId::new);
        ids.find(|id| is_free(*id) && !is_listed(*id))
    }

    /// Tells whether the list has to do with the local address: it is in it, or a subflow uses it.
    pub(super) fn is_kept(&self, index: u8, local: &Local) -> bool {
        local.listing.is_some()
            || index == Pair::INITIAL.local
            || local.announcement != Announcement::Unsent
            || self.has_subflow_from(index)
    }

    /// Takes in that a subflow from the local address in a slot is gone: with the last one, the peer
    /// need not be told when the address goes.
    pub(super) fn forget_name(&mut self, index: u8) {
        if self.has_subflow_from(index) {
            return;
        }
        if let Some(local) = self.locals.get_mut(index) {
            if local.is_present && local.announcement == Announcement::Unsent {
                local.id = None;
            }
        }
    }

    /// Compares the local address in a slot with the list, which may have it no longer.
    fn drop_unlisted(&mut self, index: u8, endpoints: &[Endpoint]) {
        let Some(mut local) = self.locals.get(index) else {
            return;
        };
        if !self.is_kept(index, &local) {
            self.forget_local(index);
            return;
        }
        let is_listed = endpoints.iter().any(|endpoint| local.is_of(endpoint));
        local.is_present &= is_listed || local.listing.is_none();
        let is_quiet = local.announcement == Announcement::Unsent;
        if !is_listed && is_quiet && local.flags().contains(EndpointFlags::IMPLICIT) {
            // Nobody has asked for it, so nobody withdraws it.
            local.id = None;
        }
        if !is_listed {
            // What the interface is like is for other managers.
            local.use_always();
        }
        if let Some(place) = self.locals.get_mut(index) {
            *place = local;
        }
    }

    /// Takes in one endpoint of the list.
    fn list(&mut self, endpoint: &Endpoint, place: u8) {
        let addr = canonical(endpoint.addr);
        let listing = Listing {
            id: endpoint.id,
            port: endpoint.port.unwrap_or(0),
            flags: endpoint.flags,
            serial: endpoint.serial,
            place,
            is_known: false,
        };
        if let Some(index) = self.locals.find(|local| local.is_of(endpoint)) {
            self.list_again(index, endpoint, listing);
            return;
        }
        let may_be_initial = listing.port == 0 || listing.port == self.local_port;
        let unlisted = self.locals.iter().find(|(index, local)| {
            let is_free = if *index == Pair::INITIAL.local {
                may_be_initial && (local.listing.is_none() || !local.is_present)
            } else {
                listing.port == 0 && local.listing.is_none()
            };
            local.addr == addr && is_free
        });
        let index = match unlisted {
            Some((index, _)) => Some(index),
            None => self.store_local(Local::new(addr, Interface::UNKNOWN)),
        };
        let Some(index) = index else {
            return;
        };
        let is_known = index == Pair::INITIAL.local && self.has_subflow_from(index);
        self.open_local(index);
        if let Some(local) = self.locals.get_mut(index) {
            local.set_endpoint(
                endpoint,
                Listing {
                    is_known,
                    ..listing
                },
            );
        }
    }

    /// Takes in an endpoint of the list that the local address in a slot is.
    fn list_again(&mut self, index: u8, endpoint: &Endpoint, new: Listing) {
        let Some(local) = self.locals.get(index) else {
            return;
        };
        let Some(old) = local.listing else {
            return;
        };
        // Only the first address is given up without being taken from the list.
        let is_given_up = old.serial == new.serial && !local.is_present && local.id.is_some();
        let is_added = !is_given_up && (old.serial != new.serial || !local.is_present);
        let is_changed = old.flags.differs_in(new.flags, EndpointFlags::FULL_MESH);
        if is_changed && new.flags.contains(EndpointFlags::SUBFLOW) {
            self.close_all_from(index);
            self.open_local(index);
        } else if is_added {
            self.open_local(index);
        }
        let is_known = old.is_known && self.has_subflow_from(index);
        if let Some(local) = self.locals.get_mut(index) {
            // What the peer has not echoed is announced anew when it is its turn again.
            if is_added && local.announcement != Announcement::Echoed {
                local.announcement = Announcement::Unsent;
            }
            local.set_endpoint(endpoint, Listing { is_known, ..new });
            local.is_present = !is_given_up;
        }
    }

    /// Opens the pairs of a local address that no subflow uses.
    fn open_local(&mut self, index: u8) {
        self.attempts.open_local(index);
        let used = self.subflows.iter().filter(|(_, s)| s.local == index);
        for (_, subflow) in used.filter(|(_, s)| s.doom.is_none()) {
            self.attempts.add(subflow.pair());
        }
    }

    /// Has the subflows from a local address closed, if others are left.
    fn close_all_from(&mut self, index: u8) {
        let is_other = |subflow: &Subflow| subflow.local != index && self.is_lasting(subflow);
        if self.subflows.find(is_other).is_none() {
            return;
        }
        for (_, subflow) in self.subflows.iter_mut() {
            if subflow.local == index {
                subflow.doom = Some(CloseReason::EndpointChanged);
            }
        }
    }
}
