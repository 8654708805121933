// SPDX-License-Identifier: GPL-2.0

//! The endpoints of a namespace and its limits, which the path manager `endpoint` goes by. Generic
//! netlink changes them, and then every connection of the namespace looks at them again.
//!
//! C counterpart: net/mptcp/pm_kernel.c (`struct pm_nl_pernet`).

use crate::bindings;
use crate::config;
use crate::event;
use crate::net;
use crate::port_listener::PortListener;
use crate::token_table;
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    new_spinlock,
    Mutex,
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
    ENDPOINTS,
    ENDPOINT_IDS, //
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

/// Places for the endpoints of a namespace: 10 KiB, which no stack has room for.
pub(crate) struct Places(KVec<Option<Endpoint>>);

impl AsRef<[Option<Endpoint>]> for Places {
    fn as_ref(&self) -> &[Option<Endpoint>] {
        &self.0
    }
}

impl AsMut<[Option<Endpoint>]> for Places {
    fn as_mut(&mut self) -> &mut [Option<Endpoint>] {
        &mut self.0
    }
}

/// The endpoints of a namespace.
pub(crate) type List = EndpointList<Places>;

/// Makes an empty list.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Context
///
/// Process; may sleep.
fn empty() -> Result<List> {
    let places = KVec::from_elem(None, ENDPOINT_IDS, GFP_KERNEL)?;
    Ok(List::new(Places(places)))
}

/// The endpoints and limits of one namespace.
#[pin_data]
pub(crate) struct Endpoints {
    /// The endpoints, made with the first one; taken with softirqs disabled.
    #[pin]
    list: SpinLock<Option<List>>,
    /// Subflows of a connection, the first one aside.
    subflows: AtomicU8,
    /// Announced addresses of the peer that a connection uses.
    accepted: AtomicU8,
    /// Those of the endpoints with a port.
    #[pin]
    listeners: Mutex<KVec<PortListener>>,
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
                listeners <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Runs `work` on the list, if there is one.
    ///
    /// # Context
    ///
    /// Any but hard interrupts.
    fn with_list<R>(&self, work: impl FnOnce(&mut Option<List>) -> R) -> R {
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
    look: impl FnOnce(&List) -> Option<R>,
) -> Option<R> {
    net::endpoints(net).with_list(|list| list.as_ref().and_then(look))
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
    change: impl FnOnce(&mut List) -> core::result::Result<R, E>,
) -> core::result::Result<R, E> {
    let result = with_made_list(net, change)??;
    config::tell_connections(net);
    Ok(result)
}

/// Keeps the listener of an endpoint of `net` with a port.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn keep(net: *const bindings::net, listener: PortListener) -> Result {
    let mut listeners = net::endpoints(net).listeners.lock();
    Ok(listeners.push(listener, GFP_KERNEL)?)
}

/// Closes the listener of an endpoint of `net` that is gone, if it had one.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn close(net: *const bindings::net, id: AddressId) {
    let mut listeners = net::endpoints(net).listeners.lock();
    listeners.retain(|listener| listener.id != id);
}

/// Closes all listeners of a namespace's endpoints.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn close_all(net: *const bindings::net) {
    net::endpoints(net).listeners.lock().clear();
}

/// Removes all endpoints of `net` and tells its connections.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn remove_all(net: *mut bindings::net) {
    net::endpoints(net).with_list(|list| {
        if let Some(list) = list {
            list.clear();
        }
    });
    close_all(net);
    token_table::for_each_in(net, |connection| connection.schedule(event::FLUSHED));
}

/// Names an address that a subflow uses, so that all connections call it the same. Without room it has
/// its name in one connection only.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn add_implicit(net: *const bindings::net, addr: Address, id: AddressId) {
    let endpoint = Endpoint {
        id,
        addr,
        flags: EndpointFlags::IMPLICIT,
        ..NONE
    };
    let _ = with_made_list(net, |list| list.add(endpoint));
}

/// Runs `work` on the list of `net`, which is made if there is none.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Context
///
/// Process; may sleep. `work` runs under a spinlock.
fn with_made_list<R>(net: *const bindings::net, work: impl FnOnce(&mut List) -> R) -> Result<R> {
    let endpoints = net::endpoints(net);
    let mut spare = None;
    if endpoints.with_list(|list| list.is_none()) {
        spare = Some(empty()?);
    }
    endpoints.with_list(|list| {
        if list.is_none() {
            core::mem::swap(list, &mut spare);
        }
        list.as_mut().map(work).ok_or(ENOMEM)
    })
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
