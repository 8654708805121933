// SPDX-License-Identifier: GPL-2.0

//! What each network namespace has: its settings and addresses, with the sysctl directory
//! `net.mptcp_rs`, and the packet hooks while they have something to do.
//!
//! A hook costs every packet of its namespace a little. So the one for incoming segments is there
//! while the namespace has subflows, the one for SYN-ACKs while it has listeners, and a namespace
//! with nothing but plain connections has neither. A hook goes a second after its last user.
//!
//! C counterpart: net/mptcp/ctrl.c.

use crate::addresses::{
    self,
    Addresses, //
};
use crate::bindings;
use crate::config::{
    self,
    Config, //
};
use crate::counters::{
    self,
    Counters, //
};
use crate::endpoints::{
    self,
    Endpoints, //
};
use crate::join_listener::Listeners;
use crate::kprobe;
use crate::netfilter::{
    Hooks,
    INCOMING,
    OUTGOING, //
};
use crate::sock::Sock;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicUsize,
    Ordering, //
};
use kernel::error::to_result;
use kernel::ffi::c_int;
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
    /// The RCU grace period that began after the registration.
    grace: AtomicUsize,
}

impl Demand {
    /// Registers or removes `hooks`, as there are users or not.
    fn serve(&self, hooks: &Hooks, net: *mut bindings::net) {
        let wanted = self.users.load(Ordering::Acquire) != 0;
        if wanted == self.registered.load(Ordering::Relaxed) {
            return;
        }
        if !wanted {
            self.registered.store(false, Ordering::SeqCst);
            if self.users.load(Ordering::SeqCst) != 0 {
                // It came between the two looks, and may have found the hook in place.
                self.registered.store(true, Ordering::SeqCst);
                return;
            }
            hooks.unregister(net);
        } else if hooks.register(net).is_ok() {
            // SAFETY: May be called in any context.
            let grace = unsafe { bindings::start_poll_synchronize_rcu() };
            // CAST: An unsigned long.
            self.grace.store(grace as usize, Ordering::Relaxed);
            self.registered.store(true, Ordering::Release);
        }
    }
}

/// The files of a namespace.
type Files = (config::Files, addresses::Files, counters::File);

/// State of one network namespace, allocated by the kernel as zeroes.
#[repr(C)]
pub(crate) struct Net {
    /// Whether the probes count this namespace as enabled.
    counted: kprobe::Counted,
    /// The namespace itself.
    net: *mut bindings::net,
    /// The settings; not NULL between `init` and `exit`, and so with the addresses, endpoints and counters.
    config: *mut Config,
    /// What is counted.
    counters: *mut Counters,
    /// The local addresses and the interfaces, pinned.
    addresses: *mut Addresses,
    /// The endpoints, pinned.
    endpoints: *mut Endpoints,
    /// The sysctl directory, and the file with the counters.
    files: Option<Files>,
    /// Subflows need incoming segments.
    incoming: Demand,
    /// Listeners need SYN-ACKs.
    outgoing: Demand,
    /// Serves the demands.
    work: bindings::delayed_work,
    /// Whether subflows can join, for which SYN-ACKs are looked at.
    joins: AtomicBool,
    /// Whether a SYN has had data that was not taken because the hook for incoming segments was not there.
    fast_open: AtomicBool,
    /// Subflows join through them.
    listeners: Listeners,
    /// Empties the listeners' queues.
    joined: bindings::delayed_work,
}

/// Identifies our part of every namespace; set by the kernel at registration.
static mut NET_ID: u32 = 0;
/// Whether every namespace has its state.
static COMPLETE: AtomicBool = AtomicBool::new(false);
/// Registration of the namespace callbacks.
static mut OPERATIONS: bindings::pernet_operations = {
    // SAFETY: All fields of `pernet_operations` may be zero: NULL callbacks are skipped.
    let mut operations: bindings::pernet_operations = unsafe { core::mem::zeroed() };
    operations.init = Some(init);
    operations.pre_exit = Some(pre_exit);
    operations.exit = Some(exit);
    operations.size = core::mem::size_of::<Net>();
    operations
};

/// The state of `net`.
#[inline]
fn state(net: *const bindings::net) -> *mut Net {
    // SAFETY: `NET_ID` was set by the registration, which precedes every socket and namespace
    // callback; `net` is a live namespace of the caller's socket or task.
    unsafe { bindings::mptcp_shim_net_generic(net, NET_ID).cast() }
}

/// The settings of `net`.
#[inline]
pub(crate) fn config<'a>(net: *const bindings::net) -> &'a Config {
    // SAFETY: A namespace has settings from its `init` to its `exit`; whoever asks keeps a socket, a
    // task or an interface in it, or is a probe, which ends in the grace period before `exit`.
    unsafe { &*(*state(net)).config }
}

/// The local addresses and interfaces of `net`.
#[inline]
pub(crate) fn addresses<'a>(net: *const bindings::net) -> &'a Addresses {
    // SAFETY: As for `config`.
    unsafe { &*(*state(net)).addresses }
}

/// The endpoints of `net`.
#[inline]
pub(crate) fn endpoints<'a>(net: *const bindings::net) -> &'a Endpoints {
    // SAFETY: As for `config`.
    unsafe { &*(*state(net)).endpoints }
}

/// The counters of `net`.
#[inline]
pub(crate) fn counters<'a>(net: *const bindings::net) -> &'a Counters {
    // SAFETY: As for `config`.
    unsafe { &*(*state(net)).counters }
}

/// The settings and the counters of `net`, for those who need both at once.
#[inline]
pub(crate) fn config_and_counters<'a>(net: *const bindings::net) -> (&'a Config, &'a Counters) {
    let state = state(net);
    // SAFETY: As for `config`.
    unsafe { (&*(*state).config, &*(*state).counters) }
}

/// Whether new TCP sockets of the current task's namespace become ours.
#[inline]
pub(crate) fn current_is_enabled() -> bool {
    // While the module loads, one namespace may be enabled before another has its state.
    if !COMPLETE.load(Ordering::Acquire) {
        return false;
    }
    // SAFETY: The task's namespace lives as long as the task runs.
    let net = unsafe { bindings::mptcp_shim_current_net() };
    config(net).is_enabled()
}

/// Whether the packet hook sees whatever TCP will get for `sk`: it is registered, and what had passed
/// before that waits no more. Packets pass inside RCU read-side sections, which end with a grace
/// period; they end in TCP or in the socket's backlog, which is empty while nobody owns the socket.
///
/// # Locking
///
/// TCP holds the socket's spinlock, or owns it.
#[inline]
pub(crate) fn sees_incoming(sk: Sock) -> bool {
    // SAFETY: A socket keeps its namespace.
    let incoming = unsafe { &(*state(sk.net())).incoming };
    if !incoming.registered.load(Ordering::Acquire) || sk.is_owned_by_user() {
        return false;
    }
    let grace = incoming.grace.load(Ordering::Relaxed);
    // SAFETY: A cookie of RCU's. CAST: An unsigned long.
    unsafe { bindings::poll_state_synchronize_rcu(grace as kernel::ffi::c_ulong) }
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
    incoming.users.fetch_add(1, Ordering::SeqCst);
    if !incoming.registered.load(Ordering::SeqCst) {
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

/// A listener begins, or a `connect()` whose SYN takes a way of its own ([`crate::mapped`]); what they
/// send is seen when this returns.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn on_outgoing_begin(net: *mut bindings::net) {
    let net = state(net);
    // SAFETY: The caller's socket keeps the namespace.
    let outgoing = unsafe { &(*net).outgoing };
    outgoing.users.fetch_add(1, Ordering::SeqCst);
    if !outgoing.registered.load(Ordering::SeqCst) {
        schedule(net, 0);
        // SAFETY: The work was prepared by `init`.
        unsafe { bindings::flush_delayed_work(addr_of_mut!((*net).work)) };
    }
}

/// A SYN with data has come that could not be taken, because the hook for incoming segments is not there:
/// from now on it is, as long as there are listeners.
pub(crate) fn on_fast_open(net: *mut bindings::net) {
    let net = state(net);
    // SAFETY: The caller's socket keeps the namespace.
    let (fast_open, incoming) = unsafe { (&(*net).fast_open, &(*net).incoming) };
    if !fast_open.swap(true, Ordering::SeqCst) {
        incoming.users.fetch_add(1, Ordering::SeqCst);
        schedule(net, 0);
    }
}

/// See [`on_outgoing_begin`]: it ends.
pub(crate) fn on_outgoing_end(net: *mut bindings::net) {
    let net = state(net);
    // SAFETY: The caller's socket keeps the namespace.
    let (before, fast_open) = unsafe {
        (
            (*net).outgoing.users.fetch_sub(1, Ordering::AcqRel),
            (*net).fast_open.load(Ordering::Relaxed),
        )
    };
    // The other user may be `joins`.
    if before == 1 || fast_open && before == 2 {
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
        if (*net).incoming.users.load(Ordering::Acquire) != 0
            || (*net).outgoing.users.load(Ordering::Acquire) != 0
        {
            // Before there are connections, because the first join may follow at once.
            (*net).listeners.make((*net).net);
        }
        // Those but for one that `joins` stands for are listeners.
        let joins = u32::from((*net).joins.load(Ordering::Relaxed));
        let has_listener = (*net).outgoing.users.load(Ordering::Acquire) > joins;
        if !has_listener && (*net).fast_open.swap(false, Ordering::SeqCst) {
            (*net).incoming.users.fetch_sub(1, Ordering::AcqRel);
        }
        (*net).incoming.serve(&INCOMING, (*net).net);
        if (*net).incoming.registered.load(Ordering::Relaxed) {
            // Joins need both hooks from now on: SYN-ACKs and resets are theirs too.
            if !(*net).joins.swap(true, Ordering::Relaxed) {
                (*net).outgoing.users.fetch_add(1, Ordering::AcqRel);
            }
        } else if (*net).joins.swap(false, Ordering::Relaxed) {
            (*net).outgoing.users.fetch_sub(1, Ordering::AcqRel);
        }
        (*net).outgoing.serve(&OUTGOING, (*net).net);
    }
}

/// Empties the queues of a namespace's listeners.
///
/// # Safety
///
/// Called by the workqueue with the `joined` work of a [`Net`].
unsafe extern "C" fn take_joined(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract; `delayed_work` begins with its `work_struct`.
    unsafe {
        let net = work
            .byte_sub(core::mem::offset_of!(Net, joined))
            .cast::<Net>();
        (*net).listeners.empty();
    }
}

/// The listeners of `net` through which subflows join.
pub(crate) fn listeners<'a>(net: *const bindings::net) -> &'a Listeners {
    // SAFETY: The caller's socket or packet keeps the namespace, and with it its state.
    unsafe { &(*state(net)).listeners }
}

/// A subflow waits in the queue of a listener.
pub(crate) fn on_joined(net: *const bindings::net) {
    // SAFETY: `init` has prepared the work; `exit` cancels it.
    unsafe { bindings::mptcp_shim_mod_delayed_work(addr_of_mut!((*state(net)).joined), 0) };
}

/// Lets the probes know what `net.mptcp_rs.enabled` is now.
pub(crate) fn on_switch(net: *mut bindings::net) {
    // SAFETY: The caller keeps the namespace, and with it its state.
    let counted = unsafe { &(*state(net)).counted };
    kprobe::on_switch(counted, || config(net).is_enabled());
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

/// Makes the settings and the table of `net`, their files, and prepares its work.
///
/// # Safety
///
/// `net` is a namespace under construction with our state allocated.
unsafe fn register(net: *mut bindings::net) -> Result {
    let state = state(net);
    let config = KBox::new(Config::new(net), GFP_KERNEL)?;
    let addresses = Addresses::new(net)?;
    let endpoints = Endpoints::new()?;
    let counters = KBox::new(Counters::new()?, GFP_KERNEL)?;
    // SAFETY: `state` is this namespace's own memory. What is pinned stays where it is. Everything is
    // in place before there are files, to which somebody could write; `pre_exit` drops the files
    // before `exit` frees what is behind them.
    unsafe {
        (*state).net = net;
        bindings::mptcp_shim_init_delayed_work(addr_of_mut!((*state).work), Some(serve));
        bindings::mptcp_shim_init_delayed_work(addr_of_mut!((*state).joined), Some(take_joined));
        (*state).config = KBox::into_raw(config);
        (*state).counters = KBox::into_raw(counters);
        (*state).addresses = KBox::into_raw(Pin::into_inner_unchecked(addresses));
        (*state).endpoints = KBox::into_raw(Pin::into_inner_unchecked(endpoints));
        match register_files(net) {
            Ok(files) => addr_of_mut!((*state).files).write(Some(files)),
            Err(error) => {
                free(state);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Makes the files of `net`.
///
/// # Safety
///
/// The settings, addresses and counters of `net` are in place and outlive the files.
unsafe fn register_files(net: *mut bindings::net) -> Result<Files> {
    // SAFETY: By the function's contract.
    unsafe {
        let settings = config(net).register(net)?;
        Ok((
            settings,
            addresses(net).register()?,
            counters::File::new(net)?,
        ))
    }
}

/// Frees the settings, addresses, endpoints and counters.
///
/// # Safety
///
/// `register` has put them into `state`; there are no files, and nobody else asks for them.
unsafe fn free(state: *mut Net) {
    // SAFETY: By the function's contract.
    unsafe {
        drop(Pin::new_unchecked(KBox::from_raw((*state).addresses)));
        drop(Pin::new_unchecked(KBox::from_raw((*state).endpoints)));
        drop(KBox::from_raw((*state).config));
        drop(KBox::from_raw((*state).counters));
    }
}

/// A namespace ends, or we do: no probe finds it enabled once an RCU grace period has passed, for
/// which the kernel waits before `exit`.
///
/// # Safety
///
/// Called by the kernel for a namespace for which `init` succeeded.
unsafe extern "C" fn pre_exit(net: *mut bindings::net) {
    // SAFETY: `init` has made the files; nobody else uses the field.
    unsafe { (*state(net)).files = None };
    config(net).disable();
    on_switch(net);
}

/// A namespace ends.
///
/// # Safety
///
/// Called by the kernel after `pre_exit`; no socket and no interface is left in the namespace, or
/// the notifiers are gone.
unsafe extern "C" fn exit(net: *mut bindings::net) {
    let state = state(net);
    // SAFETY: `init` made all of this, and nobody else knows the namespace any more.
    unsafe {
        bindings::cancel_delayed_work_sync(addr_of_mut!((*state).work));
        (*state).incoming.users.store(0, Ordering::Relaxed);
        (*state).incoming.serve(&INCOMING, net);
        (*state).outgoing.users.store(0, Ordering::Relaxed);
        (*state).outgoing.serve(&OUTGOING, net);
        bindings::cancel_delayed_work_sync(addr_of_mut!((*state).joined));
        (*state).listeners.close();
        endpoints::close_all(net);
        free(state);
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
        COMPLETE.store(true, Ordering::Release);
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::unregister_pernet_subsys(addr_of_mut!(OPERATIONS)) };
    }
}
