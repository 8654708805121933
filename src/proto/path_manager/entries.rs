// SPDX-License-Identifier: GPL-2.0

//! The entries of a connection that a program commands: local addresses that have been named.
//!
//! An entry is a slot of the local addresses with a listing. ID, and address and port, tell entries
//! apart; two entries have neither in common. An address whose entry was removed keeps its name while a
//! subflow uses it; if that is about to be closed, the name can be another entry's. The address of the
//! first subflow is called 0 without an entry. An entry of its own, by command, names it for the
//! subflows that are commanded.
//!
//! C counterpart: `net/mptcp/pm_userspace.c` (`mptcp_userspace_pm_append_new_local_addr`,
//! `mptcp_userspace_pm_get_local_id`).

use super::address::{
    canonical,
    is_unicast, //
};
use super::endpoint::{
    Endpoint,
    EndpointFlags, //
};
use super::listing::Listing;
use super::local::{
    Interface,
    Local, //
};
use super::signalling::Announcement;
use super::subflow::Subflow;
use super::{
    CommandRefusal,
    Pair,
    Paths, //
};
use crate::ids::{
    Address,
    AddressId, //
};

impl Local {
    /// Returns the entry that the local address is, if it is one.
    fn entry(&self) -> Option<Endpoint> {
        self.listing.map(|listing| Endpoint {
            id: listing.id,
            addr: self.addr,
            port: Some(listing.port).filter(|port| *port != 0),
            interface_index: self.interface_index,
            flags: listing.flags,
            serial: listing.serial,
        })
    }

    /// Tells whether the address is no entry, or one only because the peer has joined it.
    pub(super) fn is_spare_entry(&self) -> bool {
        let flags = self.listing.map(|listing| listing.flags);
        let is_implicit = flags.is_none_or(|flags| flags.contains(EndpointFlags::IMPLICIT));
        is_implicit && self.announcement == Announcement::Unsent
    }
}

impl Paths {
    /// Returns the entries in the order in which they were added; with other managers there are none.
    ///
    /// The serials mean nothing to the caller.
    pub fn entries(&self) -> impl Iterator<Item = Endpoint> + '_ {
        let mut last = None;
        core::iter::from_fn(move || {
            let all = self.locals.iter().filter(|_| self.is_commanded());
            let all = all.filter_map(|(_, local)| local.entry());
            let rest = all.filter(|entry| last.is_none_or(|last| entry.serial > last));
            let next = rest.min_by_key(|entry| entry.serial)?;
            last = Some(next.serial);
            Some(next)
        })
    }

    /// Returns the entry with an ID.
    #[must_use]
    pub fn entry(&self, id: AddressId) -> Option<Endpoint> {
        self.entries().find(|entry| entry.id == id)
    }

    /// Returns the slot of an entry, which is added if there is none like it.
    ///
    /// # Errors
    ///
    /// `Unusable`, `Mismatch`, `NoRoom`.
    ///
    /// C counterpart: `net/mptcp/pm_userspace.c` (`mptcp_userspace_pm_append_new_local_addr`).
    pub(super) fn enter(&mut self, entry: &Endpoint) -> Result<u8, CommandRefusal> {
        let (id, addr) = (entry.id, canonical(entry.addr));
        let port = entry.port.unwrap_or(0);
        if !is_unicast(addr) {
            return Err(CommandRefusal::Unusable);
        }
        let mut serial = 0_u32;
        let mut remnant = None;
        for (index, local) in self.locals.iter() {
            if let Some(listing) = local.listing {
                serial = serial.max(listing.serial);
                match ((local.addr, listing.port) == (addr, port), listing.id == id) {
                    (true, true) => return Ok(index),
                    (false, false) => {}
                    (true, false) | (false, true) => return Err(CommandRefusal::Mismatch),
                }
            } else if local.id == Some(id) && index != Pair::INITIAL.local {
                if local.addr == addr {
                    remnant = Some(index);
                } else if id != AddressId::INITIAL && self.has_lasting_subflow_from(index) {
                    return Err(CommandRefusal::Mismatch);
                }
            }
        }
        let index = match remnant {
            Some(index) => index,
            None => {
                let stored = self.store_local(Local::new(addr, Interface::UNKNOWN));
                stored.ok_or(CommandRefusal::NoRoom)?
            }
        };
        let listing = Listing {
            id,
            port,
            flags: entry.flags,
            serial: serial.saturating_add(1),
            place: 0,
            is_known: false,
        };
        for (other, local) in self.locals.iter_mut() {
            if other == index {
                local.set_endpoint(entry, listing);
            } else if other != Pair::INITIAL.local && local.id == Some(id) {
                // Only subflows that are about to be closed have that name.
                local.id = None;
            }
        }
        self.withdrawals.hurry(id);
        Ok(index)
    }

    /// Takes in that the local address in a slot is no entry any longer; it is there while a subflow
    /// uses it.
    pub(super) fn remove_entry(&mut self, index: u8) {
        if index == Pair::INITIAL.local {
            return;
        }
        if let Some(local) = self.locals.get_mut(index) {
            // Subflows that are still to be set up go by it.
            local.id = local.id.or(local.listing.map(|listing| listing.id));
            local.listing = None;
            local.announcement = Announcement::Unsent;
        }
        self.forget_remnant(index);
    }

    /// Frees the slot of a local address that is neither an entry nor in use.
    pub(super) fn forget_remnant(&mut self, index: u8) {
        let local = self.locals.get(index);
        let is_remnant = local.is_some_and(|local| local.listing.is_none());
        if is_remnant && index != Pair::INITIAL.local && !self.has_subflow_from(index) {
            self.forget_local(index);
        }
    }

    /// Takes in that a join has found no way.
    pub(super) fn give_up_entry(&mut self, ended: &Subflow) {
        let local = self.locals.get(ended.local);
        let is_quiet = local.is_some_and(|local| local.announcement == Announcement::Unsent);
        if !ended.has_connected() && is_quiet && !self.has_subflow_from(ended.local) {
            self.remove_entry(ended.local);
        }
    }

    /// Tells whether a subflow uses the local address in a slot that is not about to be closed.
    fn has_lasting_subflow_from(&self, index: u8) -> bool {
        let mut all = self.subflows.iter();
        all.any(|(_, subflow)| subflow.local == index && subflow.doom.is_none())
    }

    /// Returns what the peer is to call the local address in a slot.
    pub(super) fn commanded_id(&self, index: u8) -> Option<AddressId> {
        if index == Pair::INITIAL.local {
            return Some(AddressId::INITIAL);
        }
        let local = self.locals.get(index)?;
        local.listing.map(|listing| listing.id).or(local.id)
    }

    /// Returns the slot of the local address that a join to a port comes to: that of the first entry
    /// with the address, or of a new one.
    ///
    /// C counterpart: `net/mptcp/pm_userspace.c` (`mptcp_userspace_pm_get_local_id`).
    pub(super) fn place_commanded(&mut self, addr: Address, port: u16) -> Option<u8> {
        if self.find_local(addr) == Some(Pair::INITIAL.local) {
            return Some(Pair::INITIAL.local);
        }
        let all = self.locals.iter().filter(|(_, local)| local.addr == addr);
        let listed = all.filter_map(|(index, local)| Some((local.listing?.serial, index)));
        if let Some((_, index)) = listed.min() {
            return Some(index);
        }
        // What was an entry and is in use has a name that the peer knows.
        let known = self.locals.iter().find_map(|(index, local)| {
            let is_known = local.addr == addr && self.has_lasting_subflow_from(index);
            let id = local.id.filter(|id| *id != AddressId::INITIAL)?;
            is_known.then_some((id, local.interface_index))
        });
        let mut ids = (1..=u8::MAX).map(AddressId::new);
        let (id, interface_index) = match known {
            Some(known) => known,
            None => (ids.find(|id| self.is_free_id(*id))?, 0),
        };
        let entry = Endpoint {
            id,
            addr,
            port: Some(port).filter(|port| *port != self.local_port),
            interface_index,
            flags: EndpointFlags::IMPLICIT,
            serial: 0,
        };
        self.enter(&entry).ok()
    }

    /// Tells whether an ID stands for nothing, as far as the peer knows.
    fn is_free_id(&self, id: AddressId) -> bool {
        let is_meant = |local: &Local| {
            local.id == Some(id) || local.listing.is_some_and(|listing| listing.id == id)
        };
        self.locals.find(is_meant).is_none() && !self.withdrawals.contains(id)
    }

    /// Takes in that a program commands from now on: the local addresses that the peer knows, and that
    /// are there, become entries; those that it does not know are forgotten, and those that are gone,
    /// or there twice, are withdrawn unless a subflow uses them.
    pub(super) fn adopt_locals(&mut self) {
        for index in 0..self.local_slots() {
            let Some(mut local) = self.locals.get(index) else {
                continue;
            };
            let is_initial = index == Pair::INITIAL.local;
            let is_used = is_initial || self.has_subflow_from(index);
            if !is_used && local.id.is_none() {
                self.forget_local(index);
                continue;
            }
            let place = (local.addr, local.port());
            let is_double = self.locals.iter().any(|(other, known)| {
                other < index && known.listing.is_some() && (known.addr, known.port()) == place
            });
            if !is_used && (is_double || !local.is_usable()) {
                if let Some(local) = self.locals.get_mut(index) {
                    (local.is_present, local.listing) = (false, None);
                }
                continue;
            }
            let backup = local.is_backup();
            local.use_always();
            local.set_backup(backup);
            local.is_present = true;
            let flags = match (local.announcement, backup) {
                (Announcement::Unsent, false) => EndpointFlags::SUBFLOW,
                (Announcement::Unsent, true) => EndpointFlags::SUBFLOW.with(EndpointFlags::BACKUP),
                (_, false) => EndpointFlags::SIGNAL,
                (_, true) => EndpointFlags::SIGNAL.with(EndpointFlags::BACKUP),
            };
            let may_be_entry = !is_initial && !is_double;
            local.listing = local.id.filter(|_| may_be_entry).map(|id| Listing {
                id,
                port: local.port(),
                flags,
                serial: u32::from(index),
                place: 0,
                is_known: false,
            });
            if let Some(place) = self.locals.get_mut(index) {
                *place = local;
            }
        }
    }
}
