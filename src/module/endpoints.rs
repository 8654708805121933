// SPDX-License-Identifier: GPL-2.0

//! The endpoints of a namespace and its limits, which the path manager `endpoint` goes by. Generic
//! netlink changes them, and then every connection of the namespace looks at them again.
//!
//! C counterpart: net/mptcp/pm_kernel.c (`struct pm_nl_pernet`).

use crate::bindings;
use crate::config;
use crate::event;
use crate::net;
use crate::token_table;
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};
use kernel::prelude::*;
use kernel::sync::{
    new_spinlock,
    SpinLock, //
};
use mptcp_proto::ids::{
    Address,
    AddressId, //
};
use mptcp_proto::path_manager::{
    Endpoint,
    EndpointFlags,
    EndpointList,
    ENDPOINTS, //
};

/// The most that a limit can be.
pub(crate) const LIMIT_MAX: u8 = 64;
/// How many endpoints a connection is told of: those it has room for, and as many that only name an
/// address.
pub(crate) const SNAPSHOT: usize = 2 * ENDPOINTS;
/// What stands in a place of a snapshot that is not in use.
pub(crate) const NONE: Endpoint = Endpoint {
    id: AddressId::INITIAL,
    addr: Address::V4([0; 4]),
    port: None,
    interface_index: 0,
    flags: EndpointFlags::NONE,
    serial: 0,
};

/// The endpoints and limits of one namespace.
#[pin_data]
pub(crate) struct Endpoints {
    /// The endpoints, made with the first one; taken with softirqs disabled.
    #[pin]
    list: SpinLock<Option<KBox<EndpointList>>>,
    /// Subflows of a connection, the first one aside.
    subflows: AtomicU8,
    /// Announced addresses of the peer that a connection uses.
    accepted: AtomicU8,
}

impl Endpoints {
    /// None, and the limits that the kernel's own MPTCP begins with.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                list <- new_spinlock!(None),
                subflows: AtomicU8::new(2),
                accepted: AtomicU8::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Runs `work` on the list, if there is one.
    ///
    /// # Context
    ///
    /// Any but hard interrupts.
    fn with_list<R>(&self, work: impl FnOnce(&mut Option<KBox<EndpointList>>) -> R) -> R {
        // SAFETY: Enabled again below.
        unsafe { bindings::mptcp_shim_local_bh_disable() };
        let result = work(&mut self.list.lock());
        // SAFETY: Disabled above.
        unsafe { bindings::mptcp_shim_local_bh_enable() };
        result
    }

    /// The limits: subflows, the first one aside, and announced addresses that are used.
    pub(crate) fn limits(&self) -> (u8, u8) {
        (
            self.subflows.load(Ordering::Relaxed),
            self.accepted.load(Ordering::Relaxed),
        )
    }
}

/// Looks at the endpoints of `net`; `None` when there are none.
///
/// # Context
///
/// Any but hard interrupts; `look` runs under a spinlock.
pub(crate) fn look<R>(
    net: *const bindings::net,
    look: impl FnOnce(&EndpointList) -> Option<R>,
) -> Option<R> {
    net::endpoints(net).with_list(|list| list.as_deref().and_then(look))
}

/// Changes the endpoints of `net` and tells its connections.
///
/// # Errors
///
/// `ENOMEM`; those of `change`.
///
/// # Context
///
/// Process; may sleep. `change` runs under a spinlock.
pub(crate) fn change<R, E: From<Error>>(
    net: *mut bindings::net,
    change: impl FnOnce(&mut EndpointList) -> core::result::Result<R, E>,
) -> core::result::Result<R, E> {
    let endpoints = net::endpoints(net);
    let spare = match endpoints.with_list(|list| list.is_none()) {
        true => Some(KBox::new(EndpointList::new(), GFP_KERNEL).map_err(Error::from)?),
        false => None,
    };
    let result = endpoints.with_list(|list| {
        let list = match list {
            Some(list) => list,
            none => none.insert(spare.ok_or(ENOMEM)?),
        };
        change(list)
    })?;
    config::tell_connections(net);
    Ok(result)
}

/// Removes all endpoints of `net` and tells its connections.
///
/// # Context
///
/// Process.
pub(crate) fn remove_all(net: *mut bindings::net) {
    net::endpoints(net).with_list(|list| {
        if let Some(list) = list {
            list.clear();
        }
    });
    token_table::for_each_in(net, |connection| connection.schedule(event::FLUSHED));
}

/// Names an address that a subflow uses, so that all connections call it the same. Without room it has
/// its name in one connection only.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn add_implicit(net: *const bindings::net, addr: Address, id: AddressId) {
    let endpoint = Endpoint {
        id,
        addr,
        flags: EndpointFlags::IMPLICIT,
        ..NONE
    };
    let spare = KBox::new(EndpointList::new(), GFP_ATOMIC).ok();
    net::endpoints(net).with_list(|list| {
        if list.is_none() {
            *list = spare;
        }
        if let Some(list) = list {
            let _ = list.add(endpoint);
        }
    });
}

/// Copies the endpoints of `net` that matter to a connection; returns how many there are.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn snapshot(net: *const bindings::net, to: &mut [Endpoint; SNAPSHOT]) -> usize {
    look(net, |list| Some(list.snapshot(to))).unwrap_or(0)
}

/// Sets the limits of `net` and tells its connections.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn set_limits(net: *mut bindings::net, subflows: u8, accepted: u8) {
    let endpoints = net::endpoints(net);
    endpoints.subflows.store(subflows, Ordering::Relaxed);
    endpoints.accepted.store(accepted, Ordering::Relaxed);
    config::tell_connections(net);
}

/// The endpoint of `net` with the lowest ID above `id`.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn next(net: *const bindings::net, id: u8) -> Option<Endpoint> {
    look(net, |list| {
        list.iter().find(|endpoint| endpoint.id.get() > id).copied()
    })
}
