// SPDX-License-Identifier: GPL-2.0

//! What each network namespace has: the sysctl directory `net.mptcp_rs`, and the packet hooks while
//! they have something to do.
//!
//! A hook costs every packet of its namespace a little. So the one for incoming segments is there
//! while the namespace has subflows, the one for SYN-ACKs while it has listeners, and a namespace
//! with nothing but plain connections has neither. A hook goes a second after its last user.
//!
//! C counterpart: net/mptcp/ctrl.c.

use crate::bindings;
use crate::kprobe;
use crate::netfilter::{
    Hooks,
    INCOMING,
    OUTGOING, //
};
use crate::sock::Sock;
use core::ptr::{
    addr_of_mut,
    null_mut, //
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use kernel::error::to_result;
use kernel::ffi::{
    c_int,
    c_void, //
};
use kernel::prelude::*;

/// How long a hook outlives its last user, in milliseconds.
const LINGER_MS: u32 = 1000;

/// One kind of hook in one namespace.
#[repr(C)]
struct Demand {
    /// Who needs the hook.
    users: AtomicU32,
    /// Whether it is registered. Only the namespace's work changes it.
    registered: AtomicBool,
}

impl Demand {
    /// Registers or removes `hooks`, as there are users or not.
    fn serve(&self, hooks: &Hooks, net: *mut bindings::net) {
        let wanted = self.users.load(Ordering::Acquire) != 0;
        if wanted == self.registered.load(Ordering::Relaxed) {
            return;
        }
        if !wanted {
            self.registered.store(false, Ordering::Release);
            hooks.unregister(net);
        } else if hooks.register(net).is_ok() {
            self.registered.store(true, Ordering::Release);
        }
    }
}

/// State of one network namespace, allocated by the kernel as zeroes.
#[repr(C)]
pub(crate) struct Net {
    /// `net.mptcp_rs.enabled`: whether new sockets become ours, 0 or 1.
    enabled: u8,
    /// Whether the probes count this namespace as enabled.
    counted: kprobe::Counted,
    /// The namespace itself.
    net: *mut bindings::net,
    /// The table behind the sysctl directory, freed when the namespace ends.
    table: *mut bindings::ctl_table,
    /// What `register_net_sysctl_sz` returned.
    header: *mut bindings::ctl_table_header,
    /// Subflows need incoming segments.
    incoming: Demand,
    /// Listeners need SYN-ACKs.
    outgoing: Demand,
    /// Serves the demands.
    work: bindings::delayed_work,
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

/// The state of `net`.
#[inline]
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

/// Whether the packet hook sees what arrives for `sk`.
#[inline]
pub(crate) fn sees_incoming(sk: Sock) -> bool {
    // SAFETY: A socket keeps its namespace.
    unsafe {
        (*state(sk.net()))
            .incoming
            .registered
            .load(Ordering::Acquire)
    }
}

/// Lets the work look at the demands of `net` in `delay_ms` milliseconds.
fn schedule(net: *mut Net, delay_ms: u32) {
    // SAFETY: `init` has prepared the work; `exit` cancels it.
    unsafe { bindings::mptcp_shim_mod_delayed_work(addr_of_mut!((*net).work), delay_ms) };
}

/// A subflow begins.
pub(crate) fn on_subflow_begin(ssk: Sock) {
    let net = state(ssk.net());
    // SAFETY: A socket keeps its namespace.
    let incoming = unsafe { &(*net).incoming };
    incoming.users.fetch_add(1, Ordering::AcqRel);
    if !incoming.registered.load(Ordering::Acquire) {
        schedule(net, 0);
    }
}

/// A subflow ends.
pub(crate) fn on_subflow_end(ssk: Sock) {
    let net = state(ssk.net());
    // SAFETY: A socket keeps its namespace.
    if unsafe { (*net).incoming.users.fetch_sub(1, Ordering::AcqRel) } == 1 {
        schedule(net, LINGER_MS);
    }
}

/// A listener begins; its SYN-ACKs are seen when this returns.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn on_listener_begin(net: *mut bindings::net) {
    let net = state(net);
    // SAFETY: The caller's socket keeps the namespace.
    let outgoing = unsafe { &(*net).outgoing };
    outgoing.users.fetch_add(1, Ordering::AcqRel);
    if !outgoing.registered.load(Ordering::Acquire) {
        schedule(net, 0);
        // SAFETY: The work was prepared by `init`.
        unsafe { bindings::flush_delayed_work(addr_of_mut!((*net).work)) };
    }
}

/// A listener ends.
pub(crate) fn on_listener_end(net: *mut bindings::net) {
    let net = state(net);
    // SAFETY: The caller's socket keeps the namespace.
    if unsafe { (*net).outgoing.users.fetch_sub(1, Ordering::AcqRel) } == 1 {
        schedule(net, LINGER_MS);
    }
}

/// Serves the demands of a namespace.
///
/// # Safety
///
/// Called by the workqueue with the work of a [`Net`].
unsafe extern "C" fn serve(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract; `delayed_work` begins with its `work_struct`.
    unsafe {
        let net = work
            .byte_sub(core::mem::offset_of!(Net, work))
            .cast::<Net>();
        (*net).incoming.serve(&INCOMING, (*net).net);
        (*net).outgoing.serve(&OUTGOING, (*net).net);
    }
}

/// Reads or writes `net.mptcp_rs.enabled`.
///
/// # Safety
///
/// Called by the kernel as the handler of our table.
unsafe extern "C" fn on_enabled(
    table: *const bindings::ctl_table,
    write: c_int,
    buffer: *mut c_void,
    len: *mut usize,
    position: *mut bindings::loff_t,
) -> c_int {
    // SAFETY: The arguments are passed on as they came.
    let result = unsafe { bindings::proc_dou8vec_minmax(table, write, buffer, len, position) };
    if write != 0 && result == 0 {
        // SAFETY: The table's data is the `enabled` of a namespace's state.
        let net = unsafe {
            (*table)
                .data
                .byte_sub(core::mem::offset_of!(Net, enabled))
                .cast::<Net>()
        };
        count_enabled(net);
    }
    result
}

/// Lets the probes know what `enabled` is now.
fn count_enabled(net: *mut Net) {
    // SAFETY: The caller keeps the namespace, and with it its state.
    let (counted, enabled) = unsafe { (&(*net).counted, &raw const (*net).enabled) };
    // SAFETY: As above; one byte that the sysctl handler writes.
    kprobe::on_switch(counted, || unsafe {
        core::ptr::read_volatile(enabled) != 0
    });
}

/// A namespace begins.
///
/// # Safety
///
/// Called by the kernel with a namespace under construction.
unsafe extern "C" fn init(net: *mut bindings::net) -> c_int {
    // SAFETY: The kernel allocated `size` zeroed bytes for us in this namespace.
    match unsafe { register(net) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Registers the sysctl table of `net` and prepares its work.
///
/// # Safety
///
/// `net` is a namespace under construction with our state allocated.
unsafe fn register(net: *mut bindings::net) -> Result {
    let state = state(net);
    // SAFETY: A zeroed `ctl_table` is valid; the fields set below make it a u8 in 0..=1 whose
    // data lives in the namespace's state, which outlives the table.
    let mut table = unsafe { KBox::<bindings::ctl_table>::new(core::mem::zeroed(), GFP_KERNEL) }?;
    table.procname = c"enabled".as_char_ptr();
    // SAFETY: `state` is this namespace's own memory.
    table.data = unsafe { addr_of_mut!((*state).enabled) }.cast();
    table.maxlen = 1;
    table.mode = 0o644;
    table.proc_handler = Some(on_enabled);
    table.extra1 = addr_of_mut!(ZERO).cast();
    table.extra2 = addr_of_mut!(ONE).cast();
    let table = KBox::into_raw(table);
    // SAFETY: `state` is this namespace's own memory; the table lives until `exit` has
    // unregistered it.
    unsafe {
        (*state).net = net;
        bindings::mptcp_shim_init_delayed_work(addr_of_mut!((*state).work), Some(serve));
        (*state).table = table;
        (*state).header =
            bindings::register_net_sysctl_sz(net, c"net/mptcp_rs".as_char_ptr(), table, 1);
        if (*state).header.is_null() {
            drop(KBox::from_raw(table));
            return Err(ENOMEM);
        }
    }
    Ok(())
}

/// A namespace ends.
///
/// # Safety
///
/// Called by the kernel for a namespace for which `init` succeeded; no socket is left in it.
unsafe extern "C" fn exit(net: *mut bindings::net) {
    let state = state(net);
    // SAFETY: `init` registered the table and prepared the work of this namespace.
    unsafe {
        bindings::unregister_net_sysctl_table((*state).header);
        drop(KBox::from_raw((*state).table));
        (*state).header = null_mut();
        (*state).table = null_mut();
        (*state).enabled = 0;
        count_enabled(state);
        bindings::cancel_delayed_work_sync(addr_of_mut!((*state).work));
        (*state).incoming.serve(&INCOMING, net);
        (*state).outgoing.serve(&OUTGOING, net);
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
