// SPDX-License-Identifier: GPL-2.0

//! What each network namespace has: the sysctl directory `net.mptcp_rs` and the packet hooks.
//!
//! C counterpart: net/mptcp/ctrl.c.

use crate::bindings;
use crate::netfilter;
use core::ptr::{
    addr_of_mut,
    null_mut, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::prelude::*;

/// State of one network namespace, allocated by the kernel as zeroes.
#[repr(C)]
pub(crate) struct Net {
    /// `net.mptcp_rs.enabled`: whether new sockets become ours, 0 or 1.
    enabled: u8,
    /// The table behind the sysctl directory, freed when the namespace ends.
    table: *mut bindings::ctl_table,
    /// What `register_net_sysctl_sz` returned.
    header: *mut bindings::ctl_table_header,
}

/// Identifies our part of every namespace; set by the kernel at registration.
static mut NET_ID: u32 = 0;
/// Registration of the namespace callbacks.
static mut OPERATIONS: bindings::pernet_operations = {
    // SAFETY: All fields of `pernet_operations` may be zero: NULL callbacks are skipped.
    let mut operations: bindings::pernet_operations = unsafe { core::mem::zeroed() };
    operations.init = Some(init);
    operations.exit = Some(exit);
    operations.size = core::mem::size_of::<Net>();
    operations
};
/// The bounds of `enabled`.
static mut ZERO: u32 = 0;
/// See [`ZERO`].
static mut ONE: u32 = 1;
/// How many namespaces have the packet hooks; only read for the log.
static HOOKED: AtomicU32 = AtomicU32::new(0);

/// The state of `net`.
fn state(net: *const bindings::net) -> *mut Net {
    // SAFETY: `NET_ID` was set by the registration, which precedes every socket and namespace
    // callback; `net` is a live namespace of the caller's socket or task.
    unsafe { bindings::mptcp_shim_net_generic(net, NET_ID).cast() }
}

/// Whether new TCP sockets of the current task's namespace become ours.
#[inline]
pub(crate) fn current_is_enabled() -> bool {
    // SAFETY: The task's namespace lives as long as the task runs; `enabled` is one byte that the
    // sysctl handler writes.
    unsafe {
        let net = bindings::mptcp_shim_current_net();
        core::ptr::read_volatile(&(*state(net)).enabled) != 0
    }
}

/// A namespace begins.
///
/// # Safety
///
/// Called by the kernel with a namespace under construction.
unsafe extern "C" fn init(net: *mut bindings::net) -> kernel::ffi::c_int {
    // SAFETY: The kernel allocated `size` zeroed bytes for us in this namespace.
    match unsafe { register(net) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Registers the sysctl table and the packet hooks of `net`.
///
/// # Safety
///
/// `net` is a namespace under construction with our state allocated.
unsafe fn register(net: *mut bindings::net) -> Result {
    let state = state(net);
    // SAFETY: A zeroed `ctl_table` is valid; the fields set below make it a u8 in 0..=1 whose
    // data lives in the namespace's state, which outlives the table.
    let mut table = unsafe { KBox::<bindings::ctl_table>::new(core::mem::zeroed(), GFP_KERNEL) }?;
    table.procname = c"enabled".as_ptr().cast();
    // SAFETY: `state` is this namespace's own memory.
    table.data = unsafe { addr_of_mut!((*state).enabled) }.cast();
    table.maxlen = 1;
    table.mode = 0o644;
    table.proc_handler = Some(bindings::proc_dou8vec_minmax);
    table.extra1 = addr_of_mut!(ZERO).cast();
    table.extra2 = addr_of_mut!(ONE).cast();
    let table = KBox::into_raw(table);
    // SAFETY: The table lives until `exit` has unregistered it.
    let header = unsafe {
        bindings::register_net_sysctl_sz(net, c"net/mptcp_rs".as_ptr().cast(), table, 1)
    };
    if header.is_null() {
        // SAFETY: The pointer came from `KBox::into_raw` and nobody else has it.
        drop(unsafe { KBox::from_raw(table) });
        return Err(ENOMEM);
    }
    // SAFETY: `state` is this namespace's own memory.
    unsafe {
        (*state).table = table;
        (*state).header = header;
    }
    netfilter::register(net).inspect_err(|_| {
        // SAFETY: Registered just above.
        unsafe { unregister_sysctl(state) };
    })?;
    HOOKED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// A namespace ends.
///
/// # Safety
///
/// Called by the kernel for a namespace for which `init` succeeded.
unsafe extern "C" fn exit(net: *mut bindings::net) {
    netfilter::unregister(net);
    // SAFETY: `init` registered the table of this namespace.
    unsafe { unregister_sysctl(state(net)) };
    HOOKED.fetch_sub(1, Ordering::Relaxed);
}

/// Takes the sysctl directory away.
///
/// # Safety
///
/// `state` is of a namespace whose table is registered.
unsafe fn unregister_sysctl(state: *mut Net) {
    // SAFETY: By the function's contract header and table are those of `register`.
    unsafe {
        bindings::unregister_net_sysctl_table((*state).header);
        drop(KBox::from_raw((*state).table));
        (*state).header = null_mut();
        (*state).table = null_mut();
    }
}

/// Our callbacks in every namespace, present and future, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Registers the namespace callbacks.
    ///
    /// # Errors
    ///
    /// Those of `register_pernet_subsys`: no memory, or a namespace refused.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init is the only writer of these statics and runs once.
        unsafe {
            OPERATIONS.id = addr_of_mut!(NET_ID);
            to_result(bindings::register_pernet_subsys(addr_of_mut!(OPERATIONS)))?;
        }
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::unregister_pernet_subsys(addr_of_mut!(OPERATIONS)) };
    }
}

use kernel::error::to_result;
