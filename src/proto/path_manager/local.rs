// SPDX-License-Identifier: GPL-2.0

//! The local addresses: which there are, whether they may be used, and what the peer calls them.
//!
//! An address gets its ID when the peer is to hear of it for the first time, and keeps it until
//! that ID is withdrawn. An address that comes back before the withdrawal was signalled has never
//! been away, as far as the peer knows. One that comes back later gets another ID, so that a late
//! copy of the withdrawal cannot hit it. An endpoint or a program's entry brings its ID with it.
//!
//! RFC 8684, Sections 3.2, 3.4.1 and 3.4.2.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_pm_nl_get_local_id`).

use super::address::{
    canonical,
    is_unicast, //
};
use super::endpoint::{
    Endpoint,
    EndpointFlags, //
};
use super::listing::Listing;
use super::signalling::Announcement;
use super::tick::Tick;
use super::{
    Kind,
    Paths,
    LOCALS,
    LOCAL_SLOTS, //
};
use crate::ids::{
    Address,
    AddressId, //
};

/// How subflows may use the addresses of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Policy {
    /// As any other.
    #[default]
    On,
    /// Not at all.
    Off,
    /// Only if no other subflow is usable.
    Backup,
}

impl Policy {
    /// All policies, the default first.
    pub const ALL: [Self; 3] = [Self::On, Self::Off, Self::Backup];

    /// Returns the name by which people choose the policy.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Backup => "backup",
        }
    }

    /// Returns the policy with this name, exactly as [`Policy::name`] writes it.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name().as_bytes() == name)
    }
}

/// What is known of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Names the interface; zero if it is not known.
    pub index: u32,
    /// It is up and has a carrier.
    pub is_running: bool,
    /// How subflows may use its addresses.
    pub policy: Policy,
}

impl Interface {
    /// Stands for an interface that nobody has told of.
    pub(super) const UNKNOWN: Self = Self {
        index: 0,
        is_running: true,
        policy: Policy::On,
    };
}

/// What became of a local address that was offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is known from now on.
    Stored,
    /// It is not one host's address.
    Unusable,
    /// All slots hold addresses that are in use or could be.
    NoRoom,
}

/// One local address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Local {
    /// The address.
    pub(super) addr: Address,
    /// Names the interface that has it; zero if it is not known.
    pub(super) interface_index: u32,
    /// The interface is up and has a carrier.
    is_running: bool,
    /// How subflows may use the addresses of the interface.
    policy: Policy,
    /// The interface still has it.
    pub(super) is_present: bool,
    /// What the peer calls it, if it can have heard of it.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
    //# A host MUST store the mappings between Address IDs and
    //# addresses both for itself and the remote host.
    pub(super) id: Option<AddressId>,
    /// How far its announcement has come.
    pub(super) announcement: Announcement,
    /// When the announcement is repeated or given up, if it waits for its echo.
    pub(super) due: Tick,
    /// What the list of endpoints says of it, or has said until it was removed; or what a program
    /// says.
    pub(super) listing: Option<Listing>,
}

impl Local {
    /// Makes an address that the peer has not heard of.
    pub(super) const fn new(addr: Address, interface: Interface) -> Self {
        Self {
            addr,
            interface_index: interface.index,
            is_running: interface.is_running,
            policy: interface.policy,
            is_present: true,
            id: None,
            announcement: Announcement::Unsent,
            due: Tick::ORIGIN,
            listing: None,
        }
    }

    /// Takes in that there is an endpoint with the address, and what the list says of it.
    pub(super) fn set_endpoint(&mut self, endpoint: &Endpoint, listing: Listing) {
        self.use_always();
        self.set_backup(endpoint.flags.contains(EndpointFlags::BACKUP));
        if !endpoint.flags.contains(EndpointFlags::SIGNAL) {
            self.announcement = Announcement::Unsent;
        }
        self.interface_index = endpoint.interface_index;
        self.is_present = true;
        self.listing = Some(listing);
    }

    /// Lets the address be used whatever its interface is like.
    pub(super) fn use_always(&mut self) {
        self.is_running = true;
        self.policy = Policy::On;
    }

    /// Lets the address be used, and only as a backup if `backup`.
    pub(super) fn set_backup(&mut self, backup: bool) {
        self.policy = if backup { Policy::Backup } else { Policy::On };
    }

    /// Returns how its endpoint is used.
    pub(super) fn flags(&self) -> EndpointFlags {
        self.listing
            .map_or(EndpointFlags::NONE, |listing| listing.flags)
    }

    /// Returns the port of its endpoint, host order; zero if it has none.
    pub(super) fn port(&self) -> u16 {
        self.listing.map_or(0, |listing| listing.port)
    }

    /// Changes what is known of the interface.
    fn set_interface(&mut self, interface: Interface) {
        self.interface_index = interface.index;
        self.is_running = interface.is_running;
        self.policy = interface.policy;
    }

    /// Tells whether packets can leave from the address, whatever the policy.
    pub(super) const fn is_reachable(&self) -> bool {
        self.is_present && self.is_running
    }

    /// Tells whether subflows may use the address.
    pub(super) fn is_usable(&self) -> bool {
        self.is_reachable() && self.policy != Policy::Off
    }

    /// Tells whether the peer is to use subflows of the address only as a backup.
    pub(super) fn is_backup(&self) -> bool {
        self.policy == Policy::Backup
    }
}

impl Paths {
    /// Returns the local addresses that are there, with the numbers of their interfaces; zero for
    /// one of which no interface is known.
    #[must_use]
    pub fn locals(&self) -> [Option<(Address, u32)>; LOCALS] {
        let mut present = [None; LOCALS];
        let all = self.locals.iter().filter(|(_, local)| local.is_present);
        for (place, (_, local)) in present.iter_mut().zip(all) {
            *place = Some((local.addr, local.interface_index));
        }
        present
    }

    /// Returns the slot of a local address.
    pub(super) fn find_local(&self, addr: Address) -> Option<u8> {
        self.locals.find(|local| local.addr == addr)
    }

    /// Stores an address that is in no slot; one that is neither usable nor known to the peer gives
    /// way, as does one that is not in use, if it is no endpoint's or a program has not named it.
    pub(super) fn store_local(&mut self, local: Local) -> Option<u8> {
        let limit = if self.has_listings() {
            LOCAL_SLOTS
        } else {
            LOCALS
        };
        if self.locals.len() < limit {
            return self.locals.insert(local);
        }
        let (index, _) = self.locals.iter().find(|(index, old)| {
            let is_unknown = !old.is_usable() && old.id.is_none();
            let is_spare = match self.config.kind {
                Kind::Endpoint => !self.is_kept(*index, old),
                Kind::Userspace => old.is_spare_entry(),
                Kind::FullMesh | Kind::NDiffPorts | Kind::None => false,
            };
            *index != 0 && (is_unknown || is_spare) && !self.has_subflow_from(*index)
        })?;
        *self.locals.get_mut(index)? = local;
        self.backoff.forget_local(index);
        self.attempts.open_local(index);
        Some(index)
    }

    /// Frees the slot of a local address, with what is remembered of it.
    pub(super) fn forget_local(&mut self, index: u8) {
        self.locals.take(index);
        self.backoff.forget_local(index);
        self.attempts.open_local(index);
    }

    /// Applies `change` to a local address and lets it start afresh if that makes it usable.
    fn change_local(&mut self, index: u8, change: impl Fn(&mut Local)) {
        if let Some(local) = self.locals.get_mut(index) {
            let was_usable = local.is_usable();
            change(local);
            if !was_usable && local.is_usable() {
                self.backoff.forgive_local(index);
            }
        }
    }

    /// Takes in that the local host has an address, or that it is on another interface now.
    ///
    /// Which addresses may be used by connections at all is the caller's to know: those of loopback
    /// interfaces are not told, nor tentative or deprecated ones.
    pub fn on_local_added(&mut self, addr: Address, interface: Interface) -> Taken {
        let addr = canonical(addr);
        if !is_unicast(addr) {
            return Taken::Unusable;
        }
        if let Some(index) = self.find_local(addr) {
            self.change_local(index, |local| {
                local.set_interface(interface);
                local.is_present = true;
            });
            return Taken::Stored;
        }
        match self.store_local(Local::new(addr, interface)) {
            Some(_) => Taken::Stored,
            None => Taken::NoRoom,
        }
    }

    /// Takes in that an interface has an address no longer.
    ///
    /// An interface that the address was not last said to be on is ignored.
    pub fn on_local_removed(&mut self, addr: Address, interface_index: u32) {
        if let Some(index) = self.find_local(canonical(addr)) {
            self.change_local(index, |local| {
                if local.interface_index == interface_index || local.interface_index == 0 {
                    local.is_present = false;
                }
            });
        }
    }

    /// Takes in that an interface has lost or got back its carrier, or has another policy.
    pub fn on_interface(&mut self, interface: Interface) {
        for index in 0..self.local_slots() {
            self.change_local(index, |local| {
                if local.interface_index == interface.index {
                    local.set_interface(interface);
                }
            });
        }
    }

    /// Returns the ID of the local address in a slot; if it has none, it gets one.
    ///
    /// RFC 8684, Section 3.4.1.
    pub(super) fn name_local(&mut self, index: u8) -> Option<AddressId> {
        if self.uses_endpoints() {
            let id = self.id_to_give(index);
            self.locals.get_mut(index)?.id = id;
            return id;
        }
        if self.is_commanded() {
            let id = self.commanded_id(index);
            self.locals.get_mut(index)?.id = id;
            return id;
        }
        if let Some(id) = self.locals.get(index)?.id {
            return Some(id);
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# The Address ID MUST uniquely identify the address for the
        //# sender of the option (within the scope of the connection);
        let mut id = self.last_id;
        for _ in 0..u8::MAX {
            id = id.wrapping_add(1).max(1);
            let candidate = AddressId::new(id);
            let in_use = self.locals.find(|local| local.id == Some(candidate));
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
            //# A host wishing to replace an existing Address ID MUST first remove
            //# the existing one (Section 3.4.2).
            if in_use.is_none() && !self.withdrawals.contains(candidate) {
                self.last_id = id;
                self.locals.get_mut(index)?.id = Some(candidate);
                return Some(candidate);
            }
        }
        None
    }
}
