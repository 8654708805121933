// SPDX-License-Identifier: GPL-2.0

//! Listeners of endpoints that are announced with a port: the port is taken, joins find somebody there,
//! and connections do not.
//!
//! C counterpart: net/mptcp/pm_kernel.c (`mptcp_pm_nl_create_listen_socket`).

use crate::af_ops;
use crate::bindings;
use crate::choice;
use crate::join;
use crate::pm_events::Listener;
use crate::sock::Sock;
use core::ptr::{
    null_mut,
    NonNull, //
};
use kernel::error::to_result;
use kernel::prelude::*;
use mptcp_proto::ids::{
    Address,
    AddressId, //
};

/// The listener of an endpoint, while it lives.
///
/// # Invariants
///
/// The socket is a listening TCP socket of the kernel's, in a namespace that outlives it.
pub(crate) struct PortListener {
    /// Names the endpoint.
    pub(crate) id: AddressId,
    /// Its socket.
    socket: NonNull<bindings::socket>,
}

// SAFETY: A socket may be closed by any thread.
unsafe impl Send for PortListener {}

impl PortListener {
    /// Listens at the address and port of an endpoint of `net`.
    ///
    /// # Errors
    ///
    /// Those of the socket calls: no memory, no such address, the port is in use.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    pub(crate) fn new(
        net: *mut bindings::net,
        id: AddressId,
        addr: Address,
        port: u16,
    ) -> Result<Self> {
        let mut socket = null_mut();
        let end = join::endpoint(addr, port);
        // SAFETY: The caller's request keeps the namespace.
        to_result(unsafe { bindings::mptcp_shim_make_port_listener(net, &end, &mut socket) })?;
        let socket = NonNull::new(socket).ok_or(ENOMEM)?;
        // INVARIANT: Just made; `net` closes all of its listeners when it ends.
        let listener = Self { id, socket };
        if let Some(sk) = listener.sk() {
            choice::mark_port(sk);
            af_ops::hook(sk);
            Listener::of(sk).on_created();
        }
        Ok(listener)
    }

    /// Its `struct sock`.
    fn sk(&self) -> Option<Sock> {
        // SAFETY: By the type invariant.
        unsafe { Sock::from_raw((*self.socket.as_ptr()).sk) }
    }
}

impl Drop for PortListener {
    /// Closes it. Process context; may sleep.
    fn drop(&mut self) {
        if let Some(sk) = self.sk() {
            Listener::of(sk).on_closed();
        }
        // SAFETY: By the type invariant; nobody uses the socket any more.
        unsafe { bindings::mptcp_shim_release_socket(self.socket.as_ptr()) };
    }
}
