// SPDX-License-Identifier: GPL-2.0

//! What `/proc/net/protocols` tells of us: a line for each address family, with the number of connections
//! and listeners of the namespace.
//!
//! Connection sockets have a copy of TCP's protocol, which the kernel lists under a name of its own. All
//! memory behind it stays TCP's.
//!
//! C counterpart: net/mptcp/token.c (`sock_prot_inuse_add`).

use crate::bindings;
use crate::canonical;
use crate::proto_ops;
use core::ptr::null_mut;
use kernel::error::to_result;
use kernel::ffi::{
    c_char,
    c_int, //
};
use kernel::prelude::*;

/// The name of a family's line.
fn name(family: u32) -> &'static [u8] {
    match (canonical::IS_FREE, family == bindings::AF_INET6) {
        (true, false) => b"MPTCP",
        (true, true) => b"MPTCPv6",
        (false, false) => b"MPTCP_RS",
        (false, true) => b"MPTCP_RSv6",
    }
}

/// Counts `n` more sockets of an address family in a namespace.
///
/// # Context
///
/// Any.
#[inline]
pub(crate) fn add(net: *mut bindings::net, family: u32, n: c_int) {
    // SAFETY: A live namespace of the caller's socket; the protocol is registered while sockets exist.
    unsafe { bindings::mptcp_shim_count_in_use(net, proto_ops::connection_prot(family), n) };
}

/// The line of an address family, while it lives.
pub(crate) struct Line(u32);

impl Line {
    /// Lists the protocol of an address family.
    ///
    /// # Errors
    ///
    /// `ENOBUFS`: the kernel has no place for another protocol.
    ///
    /// # Safety
    ///
    /// The protocol is complete, and no socket has it yet.
    pub(crate) unsafe fn new(family: u32) -> Result<Self> {
        let prot = proto_ops::connection_prot(family);
        // SAFETY: By the function's contract.
        unsafe {
            (*prot).name.fill(0);
            for (to, from) in (*prot).name.iter_mut().zip(name(family)) {
                // CAST: ASCII.
                *to = *from as c_char;
            }
            to_result(bindings::proto_register(prot, 0))?;
        }
        Ok(Self(family))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let prot = proto_ops::connection_prot(self.0);
        // SAFETY: Registered by `new`, and no socket has the protocol any more. What it has in common with
        // TCP's is TCP's to free.
        unsafe {
            (*prot).slab = null_mut();
            (*prot).rsk_prot = null_mut();
            (*prot).twsk_prot = null_mut();
            bindings::proto_unregister(prot);
        }
    }
}
