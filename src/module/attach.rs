// SPDX-License-Identifier: GPL-2.0

//! How a TCP socket becomes a subflow and ceases to be one: the upper layer protocol and the
//! callbacks of the socket.
//!
//! C counterpart: `subflow_ulp_init`, `subflow_ulp_release` in net/mptcp/subflow.c.

use crate::af_ops;
use crate::answer;
use crate::bindings;
use crate::canonical;
use crate::connection::Connection;
use crate::counters::{
    count,
    Counter, //
};
use crate::diag;
use crate::dss;
use crate::fast_open;
use crate::handshake::Agreement;
use crate::in_use;
use crate::join;
use crate::locks::DataLock;
use crate::net;
use crate::pm_events;
use crate::proto_ops;
use crate::rx;
use crate::skb::Header;
use crate::sock::Sock;
use crate::subflow::{
    of,
    Handshake,
    Saved,
    Subflow,
    Tables, //
};
use crate::syn_data;
use core::ptr::addr_of_mut;
use kernel::prelude::*;
use mptcp_proto::options::brevity::Form;
use mptcp_proto::path_manager::SubflowId;

/// The upper layer protocol that marks a subflow.
static mut ULP: bindings::tcp_ulp_ops = {
    let mut ops = named_ulp();
    ops.init = Some(refuse);
    ops.release = Some(release);
    ops.get_info = Some(diag::get_info);
    ops.get_info_size = Some(diag::get_info_size);
    ops
};

/// An upper layer protocol with our name and no function.
pub(crate) const fn named_ulp() -> bindings::tcp_ulp_ops {
    // SAFETY: NULL callbacks are skipped by TCP.
    let mut ops: bindings::tcp_ulp_ops = unsafe { core::mem::zeroed() };
    let mut index = 0;
    while index < canonical::ULP.len() {
        // CAST: ASCII.
        ops.name[index] = canonical::ULP[index] as kernel::ffi::c_char;
        index += 1;
    }
    ops
}

/// The address of [`ULP`].
pub(crate) fn ulp() -> *mut bindings::tcp_ulp_ops {
    addr_of_mut!(ULP)
}

/// Turns `ssk` into the first subflow of a new connection.
///
/// # Errors
///
/// `ENOMEM`, or `EEXIST` when the token is in use: the socket stays plain TCP.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
pub(crate) fn attach_first(ssk: Sock, agreement: &Agreement, header: &Header) -> Result {
    let no_connection = |error| {
        count(ssk.net(), Counter::MPFallbackTokenInit);
        error
    };
    let tables = Tables::new().map_err(no_connection)?;
    let connection = Connection::create(ssk, agreement, header).map_err(no_connection)?;
    let handshake = match agreement.client {
        Some(client) => Handshake::Opened(client),
        None => Handshake::Accepted,
    };
    let attached = attach(ssk, connection, tables, SubflowId::INITIAL, handshake);
    let Ok(subflow) = attached else {
        syn_data::hand_back(connection, ssk);
        connection.abandon();
        return Err(ENOMEM);
    };
    begin(ssk, subflow, agreement.local_isn, agreement.peer_isn);
    syn_data::declare(connection, ssk, subflow);
    if let Some((len, checksum)) = agreement.first_data {
        let _data = DataLock::take(connection);
        dss::declare_first(ssk, subflow, len, checksum);
    }
    pm_events::on_created(connection);
    if agreement.client.is_none() {
        pm_events::on_established(connection);
        connection.begin_paths();
    }
    Ok(())
}

/// Turns `ssk` into a further subflow of `connection`. It begins to carry data with [`begin`].
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Locking
///
/// `ssk` is owned, or known to nobody else yet. # Context: softirq or process.
pub(crate) fn attach_joined<'a>(
    ssk: Sock,
    connection: &'a Connection,
    id: SubflowId,
    handshake: Handshake,
) -> Result<&'a Subflow> {
    attach(ssk, connection, Tables::new()?, id, handshake)
}

/// Hangs the state of a subflow on its socket; see [`attach_joined`].
fn attach<'a>(
    ssk: Sock,
    connection: &'a Connection,
    tables: Tables,
    id: SubflowId,
    handshake: Handshake,
) -> Result<&'a Subflow> {
    let msk = connection.msk();
    // SAFETY: Plain reads of the callbacks of live sockets. A socket that has joined has the listener's
    // `data_ready`; an application's has the same as its connection.
    let saved = unsafe {
        let raw = ssk.as_ptr();
        Saved {
            data_ready: (*msk.as_ptr()).sk_data_ready,
            write_space: (*raw).sk_write_space,
            state_change: (*raw).sk_state_change,
            error_report: (*raw).sk_error_report,
        }
    };
    let subflow = Subflow::new(connection, id, handshake, tables, saved);
    let subflow = KBox::into_raw(KBox::new(subflow, GFP_ATOMIC)?);
    // The reference that `release` gives back.
    msk.hold();
    // SAFETY: The module is running, so its count may rise; TCP gives it back with the protocol.
    unsafe { bindings::mptcp_shim_module_get() };
    proto_ops::disown(ssk);
    net::on_subflow_begin(ssk);
    ssk.set_ulp(ulp(), subflow.cast());
    af_ops::hook(ssk);
    // SAFETY: The socket is owned; its fields are changed as their users expect.
    unsafe {
        let raw = ssk.as_ptr();
        (*raw).sk_data_ready = Some(data_ready);
        (*raw).sk_write_space = Some(write_space);
        (*raw).sk_state_change = Some(state_change);
        (*raw).sk_error_report = Some(error_report);
        // What has come was taken off the queue before TCP thinks of an answer. That must not look
        // like an application that has read it and gives room: the answer waits for the reader.
        (*raw).sk_rcvlowat = 0;
        bindings::mptcp_shim_keep_a_page(raw);
    }
    // SAFETY: Just made; freed a grace period after its socket.
    Ok(unsafe { &*subflow })
}

/// The handshake of a subflow is done as far as TCP is concerned: the sequence numbers are known,
/// and the segments must leave room for the options.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn begin(ssk: Sock, subflow: &Subflow, local_isn: u32, peer_isn: u32) {
    subflow.set_isns(local_isn, peer_isn);
    ssk.leave_room(0, Form::Whole.space());
    // SAFETY: The socket is owned; its fields are changed as their users expect.
    unsafe {
        let raw = ssk.as_ptr();
        if !net::sees_incoming(ssk) {
            bindings::mptcp_shim_forget_rx_dst(raw);
        }
        // What limits the peer is the connection's window, not the subflow's.
        let limit = bindings::mptcp_shim_sysctl_rmem_max(raw);
        if (*raw).sk_rcvbuf < limit as i32 {
            (*raw).sk_rcvbuf = limit as i32;
        }
    }
}

/// Puts our name on a plain TCP socket, and nothing else, unless another protocol is there.
///
/// # Context
///
/// Process; `sk` is not owned.
pub(crate) fn mark(sk: Sock) {
    sk.lock(false);
    if sk.ulp_ops().is_null() {
        // SAFETY: The module is running, so its count may rise; TCP gives it back with the protocol.
        unsafe { bindings::mptcp_shim_module_get() };
        sk.set_ulp(ulp(), core::ptr::null_mut());
        count_marked(sk, 1);
    }
    sk.release();
}

/// Whether a TCP socket has our name and nothing else: its program has asked for MPTCP, and the peer has none.
pub(crate) fn is_marked(sk: Sock) -> bool {
    core::ptr::eq(sk.ulp_ops(), ulp()) && sk.ulp_data().is_null()
}

/// Counts `n` more such sockets among the connections.
fn count_marked(sk: Sock, n: kernel::ffi::c_int) {
    in_use::add(sk.net(), sk.family(), n);
    net::counters(sk.net()).add(Counter::MPCurrEstab, n);
}

/// `setsockopt(TCP_ULP)` with our name: the module alone decides what is a subflow.
///
/// # Safety
///
/// Called by TCP.
unsafe extern "C" fn refuse(_sk: *mut bindings::sock) -> kernel::ffi::c_int {
    EOPNOTSUPP.to_errno()
}

/// TCP destroys the subflow's socket.
///
/// # Safety
///
/// Called by TCP once, with a socket whose protocol we are.
unsafe extern "C" fn release(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    let Some(ssk) = (unsafe { Sock::from_raw(sk) }) else {
        return;
    };
    let Some(subflow) = of(ssk) else {
        count_marked(ssk, -1);
        return;
    };
    af_ops::unhook(ssk);
    // SAFETY: The socket is dead, nobody else uses its callbacks.
    unsafe {
        let saved = subflow.saved();
        (*sk).sk_data_ready = saved.data_ready;
        (*sk).sk_write_space = saved.write_space;
        (*sk).sk_state_change = saved.state_change;
        (*sk).sk_error_report = saved.error_report;
    }
    net::on_subflow_end(ssk);
    subflow.connection().on_subflow_gone(ssk);
    // SAFETY: `rcu` is the first field of the subflow, whose last user is the callback.
    unsafe {
        bindings::mptcp_shim_call_rcu(ssk.ulp_data().cast(), Some(free));
        (*ssk.icsk()).icsk_ulp_data = core::ptr::null_mut();
    }
}

/// The grace period is over: nobody looks at the subflow any more.
///
/// # Safety
///
/// Called by RCU with the `rcu` field of a [`Subflow`] from `KBox::into_raw`.
unsafe extern "C" fn free(head: *mut bindings::callback_head) {
    // SAFETY: By the function's contract. CAST: `rcu` is the first field of the C layout.
    let subflow = unsafe { KBox::from_raw(head.cast::<Subflow>()) };
    let msk = subflow.msk();
    drop(subflow);
    msk.put();
}

/// Runs `event` for a callback of TCP and hands it the subflow.
///
/// # Safety
///
/// Called by TCP with a live socket that is owned.
#[inline]
unsafe fn on_event(sk: *mut bindings::sock, event: impl FnOnce(Sock, &Subflow)) {
    // SAFETY: By the function's contract.
    if let Some(ssk) = unsafe { Sock::from_raw(sk) } {
        if let Some(subflow) = of(ssk) {
            event(ssk, subflow);
        }
    }
}

/// Data has arrived on the subflow.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn data_ready(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe {
        on_event(sk, |ssk, subflow| {
            rx::take_from_subflow(ssk, subflow);
            answer::after_fast_path(ssk, subflow.connection());
        });
    }
}

/// The subflow has room to write again.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn write_space(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe { on_event(sk, |_, subflow| subflow.connection().on_subflow_room()) };
}

/// The subflow's TCP state has changed.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn state_change(sk: *mut bindings::sock) {
    // SAFETY: Passed on; the saved callback is the socket's own.
    unsafe {
        on_event(sk, |ssk, subflow| {
            if let Some(function) = subflow.saved().state_change {
                function(ssk.as_ptr());
            }
            join::on_state(ssk, subflow);
            rx::take_from_subflow(ssk, subflow);
            subflow.connection().on_subflow_state(ssk, subflow);
        });
    }
}

/// An error has hit the subflow, or there is something in its queue of notices.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn error_report(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe {
        on_event(sk, |ssk, subflow| {
            bindings::mptcp_shim_pass_notices(sk, subflow.msk().as_ptr());
            subflow.connection().on_subflow_state(ssk, subflow)
        })
    };
}

/// The name of the protocol, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Registers the upper layer protocol.
    ///
    /// # Errors
    ///
    /// `EEXIST` when another module has its name.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init is the only writer and runs once.
        unsafe {
            (*ulp()).owner = bindings::mptcp_shim_this_module();
            fast_open::init();
            kernel::error::to_result(bindings::tcp_register_ulp(ulp()))?;
        }
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`; no socket uses it, or the module could not unload. The
        // callbacks of `call_rcu` must have run before the code goes away.
        unsafe {
            bindings::tcp_unregister_ulp(ulp());
            bindings::rcu_barrier();
        }
    }
}
