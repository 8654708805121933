// SPDX-License-Identifier: GPL-2.0

//! Which addresses of a namespace paths may begin at.
//!
//! Left out are loopback interfaces, addresses that reach only one link, secondary IPv4 addresses,
//! and IPv6 addresses that are tentative, deprecated or duplicate. Of the stable and the temporary
//! IPv6 addresses of an interface the table has those which the kernel prefers for connections
//! (`use_tempaddr`). If there are more than fit, those that can be used at once come first.
//!
//! Not every change is told: that a new IPv6 address is found to be unique, or that its lifetime is
//! over, is not. So a look says when the next one is due.

use crate::bindings;
use crate::interfaces::Interface;
use kernel::ffi::c_void;
use mptcp_proto::ids::Address;
use mptcp_proto::path_manager::{
    self,
    Policy,
    LOCALS, //
};

/// When to look again at an address that is checked for duplicates, in milliseconds.
const TENTATIVE_MS: u32 = 100;
/// When to look again at a deprecated address, in milliseconds: a router may renew it silently.
const DEPRECATED_MS: u32 = 60_000;
/// The most to wait at once for a lifetime to end, in seconds.
const LIFETIME_MAX_S: u32 = 86_400;

/// A local address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    /// The address.
    pub(crate) address: Address,
    /// Its interface.
    pub(crate) interface: path_manager::Interface,
}

impl Local {
    /// What stands in a place of the table that is not in use.
    pub(crate) const NONE: Self = Self {
        address: Address::V4([0; 4]),
        interface: path_manager::Interface {
            index: 0,
            is_running: false,
            policy: Policy::Off,
        },
    };

    /// Whether a path may begin at the address now.
    fn is_usable(&self) -> bool {
        self.interface.is_running && self.interface.policy != Policy::Off
    }
}

/// The address in the bytes of a C structure, of which IPv4 uses the first four.
pub(crate) fn address_of(bytes: [u8; 16], is_v6: bool) -> Address {
    let [a, b, c, d, ..] = bytes;
    if is_v6 {
        Address::V6(bytes)
    } else {
        Address::V4([a, b, c, d])
    }
}

/// What is known of the local addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    /// The addresses, then [`Local::NONE`].
    pub(crate) locals: [Local; LOCALS],
    /// How many there are.
    pub(crate) count: usize,
}

impl Table {
    /// A table without an address.
    pub(crate) const EMPTY: Self = Self {
        locals: [Local::NONE; LOCALS],
        count: 0,
    };

    /// The addresses.
    pub(crate) fn known(&self) -> &[Local] {
        self.locals.get(..self.count).unwrap_or_default()
    }

    /// Takes in an address, if it has room; one that is usable takes the place of one that is not,
    /// and an address is there only once.
    fn offer(&mut self, local: Local) {
        let same = |known: &Local| known.address == local.address;
        let place = match self.known().iter().position(same) {
            Some(place) if self.locals.get(place).is_some_and(Local::is_usable) => return,
            Some(place) => place,
            None if self.count < LOCALS => {
                self.count += 1;
                self.count - 1
            }
            None => match self.known().iter().rposition(|known| !known.is_usable()) {
                Some(place) if local.is_usable() => place,
                _ => return,
            },
        };
        if let Some(place) = self.locals.get_mut(place) {
            *place = local;
        }
    }
}

/// What a look at all addresses finds.
pub(crate) struct Look<'a> {
    /// The interfaces.
    interfaces: &'a [Interface],
    /// The policy of interfaces that are not on the list.
    policy: Policy,
    /// The addresses.
    pub(crate) table: Table,
    /// When to look again, in milliseconds.
    pub(crate) again_ms: Option<u32>,
}

impl<'a> Look<'a> {
    /// Looks at all addresses of `net`.
    ///
    /// # Safety
    ///
    /// `net` is a live namespace.
    pub(crate) unsafe fn at(
        net: *mut bindings::net,
        interfaces: &'a [Interface],
        policy: Policy,
    ) -> Self {
        let mut look = Self {
            interfaces,
            policy,
            table: Table::EMPTY,
            again_ms: None,
        };
        let context = core::ptr::from_mut(&mut look).cast();
        // SAFETY: `net` by the function's contract; `on_address` gets the look that it expects.
        unsafe { bindings::mptcp_shim_for_each_address(net, Some(on_address), context) };
        look
    }

    /// Looks at one address.
    fn on_address(&mut self, found: &bindings::mptcp_address) {
        let has = |flag: u32| found.flags & flag != 0;
        if !found.is_wide {
            return;
        }
        let is_left_out = if found.is_ipv6 {
            !self.is_ready(found)
        } else {
            has(bindings::IFA_F_SECONDARY)
        };
        if is_left_out {
            return;
        }
        let address = address_of(found.bytes, found.is_ipv6);
        let known = self.interfaces.iter().find(|i| i.index == found.index);
        self.table.offer(Local {
            address,
            interface: path_manager::Interface {
                index: found.index,
                is_running: found.is_running && known.is_none_or(|i| !i.is_leaving),
                policy: known.map_or(self.policy, Interface::policy),
            },
        });
    }

    /// Whether an IPv6 address may be used now; if that will change by itself, notes when to look.
    fn is_ready(&mut self, found: &bindings::mptcp_address) -> bool {
        let has = |flag: u32| found.flags & flag != 0;
        if has(bindings::IFA_F_DADFAILED) {
            return false;
        }
        if has(bindings::IFA_F_TENTATIVE) && !has(bindings::IFA_F_OPTIMISTIC) {
            self.look_again(TENTATIVE_MS);
            return false;
        }
        if has(bindings::IFA_F_DEPRECATED) {
            self.look_again(DEPRECATED_MS);
            return false;
        }
        if found.preferred_s != u32::MAX {
            let seconds = found.preferred_s.min(LIFETIME_MAX_S) + 1;
            self.look_again(seconds * 1000);
        }
        if found.prefers_temporary {
            !has(bindings::IFA_F_MANAGETEMPADDR)
        } else {
            !has(bindings::IFA_F_TEMPORARY)
        }
    }

    /// Notes that a look is due in `ms` milliseconds.
    fn look_again(&mut self, ms: u32) {
        self.again_ms = Some(self.again_ms.map_or(ms, |earlier| earlier.min(ms)));
    }
}

/// Hands an address over to the look.
///
/// # Safety
///
/// Called by `mptcp_shim_for_each_address` with the look of [`Look::at`]; must not sleep.
unsafe extern "C" fn on_address(found: *const bindings::mptcp_address, look: *mut c_void) {
    // SAFETY: By the function's contract; nobody else uses the look meanwhile.
    unsafe { (*look.cast::<Look<'_>>()).on_address(&*found) };
}
