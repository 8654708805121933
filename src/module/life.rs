// SPDX-License-Identifier: GPL-2.0

//! The life of the two kinds of sockets: how a connection socket is made from a clone of the first subflow's and ends,
//! and how a subflow is shut down and closed.
//!
//! C counterpart: net/mptcp/protocol.c (`mptcp_sk_clone_init`, `__mptcp_destroy_sock`, `__mptcp_close_ssk`).

use crate::af_ops;
use crate::bindings;
use crate::connected;
use crate::connection::{
    self,
    Connection, //
};
use crate::in_use;
use crate::pm_events;
use crate::proto_ops::{
    connection_prot,
    tcp_prot, //
};
use crate::sock::Sock;
use crate::subflow::{
    self,
    hold, //
};
use core::ffi::c_void;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// Clones the TCP socket of a first subflow.
///
/// # Errors
///
/// `ENOMEM`; `ENOENT` when the congestion control module is being unloaded.
pub(crate) fn clone_for_connection(ssk: Sock) -> Result<Sock> {
    // SAFETY: A live, owned socket. The clone is given a life of its own before anybody sees it.
    unsafe {
        let ca = (*ssk.icsk()).icsk_ca_ops;
        if !bindings::mptcp_shim_try_get_ca(ca) {
            return Err(ENOENT);
        }
        let raw = bindings::sk_clone(ssk.as_ptr(), bindings::GFP_ATOMIC, false);
        let Some(msk) = Sock::from_raw(raw) else {
            bindings::mptcp_shim_put_ca(ca);
            return Err(ENOMEM);
        };
        bindings::mptcp_shim_sk_clone_reset(raw, ssk.as_ptr());
        bindings::mptcp_shim_sk_rank_above(raw);
        let prot = connection_prot(ssk.family());
        bindings::mptcp_shim_module_get();
        (*raw).__sk_common.skc_prot = prot;
        (*raw).sk_prot_creator = prot;
        (*raw).sk_backlog_rcv = Some(connected::backlog_rcv);
        // `sk_clone` counts two references, one for a hash table that this socket is not in.
        msk.put();
        Ok(msk)
    }
}

/// Frees a clone that did not become a connection.
pub(crate) fn free_clone(msk: Sock) {
    // SAFETY: The clone is nobody else's; TCP's destructor is still in place.
    unsafe {
        bindings::mptcp_shim_put_ca((*msk.icsk()).icsk_ca_ops);
        bindings::mptcp_shim_sk_sockets_allocated_dec(msk.as_ptr());
        msk.set_state(bindings::TCP_CLOSE);
        msk.put();
    }
}

/// Makes a clone the socket of a connection.
///
/// # Safety
///
/// The clone is nobody else's; `connection` is what `destruct` frees.
pub(crate) unsafe fn become_connection(
    msk: Sock,
    connection: *mut c_void,
    destruct: unsafe extern "C" fn(*mut bindings::sock),
    retransmit_timer: unsafe extern "C" fn(*mut bindings::timer_list),
    path_timer: unsafe extern "C" fn(*mut bindings::timer_list),
) {
    // SAFETY: By the function's contract.
    unsafe {
        (*msk.as_ptr()).sk_destruct = Some(destruct);
        (*msk.icsk()).icsk_ulp_data = connection;
        msk.set_af_ops(af_ops::of_connection(msk.af_ops()));
        bindings::mptcp_shim_setup_timers(msk.as_ptr(), Some(retransmit_timer), Some(path_timer));
        bindings::mptcp_shim_keep_a_page(msk.as_ptr());
        msk.set_state(bindings::TCP_ESTABLISHED);
    }
}

/// Ends a connection socket: the reference of its application, or of the lack of one, goes.
pub(crate) fn destroy(msk: Sock) {
    // SAFETY: Only connection sockets come here.
    if end(unsafe { connection::of(msk) }) {
        let_go(msk);
    }
}

/// Ends a connection: nobody finds it any more; `true` for the one caller who does.
fn end(connection: &Connection) -> bool {
    if !connection.end_hold() {
        return false;
    }
    let msk = connection.msk();
    pm_events::on_closed(connection);
    connection.set_state(bindings::TCP_CLOSE);
    connection.forget_token();
    in_use::add(msk.net(), msk.family(), -1);
    true
}

/// Ends a connection whose socket is to stay until [`let_go`]; what it needs no more is freed now.
///
/// # Locking
///
/// `msk` is owned.
pub(crate) fn retire(msk: Sock) {
    // SAFETY: Only connection sockets come here.
    let connection = unsafe { connection::of(msk) };
    if end(connection) {
        connection.free_queued();
        // SAFETY: A live, owned socket with timers of ours.
        unsafe { bindings::mptcp_shim_stop_timers(msk.as_ptr()) };
    }
}

/// Gives back the initial reference of a connection socket that has ended.
pub(crate) fn let_go(msk: Sock) {
    // SAFETY: A live socket with our protocol; whoever ended the connection has the reference.
    unsafe { bindings::sk_common_release(msk.as_ptr()) };
}

/// Closes a subflow that a connection has let go of, as an application would close a TCP socket.
///
/// # Context
///
/// Process; `ssk` is not owned.
pub(crate) fn close_subflow(ssk: Sock) {
    ssk.lock(false);
    let queued =
        subflow::of(ssk).is_some_and(|subflow| subflow.change_hold(hold::QUEUE, hold::DOOMED));
    ssk.release();
    if queued {
        // Whoever takes it off the listener's queue closes it.
        ssk.put();
        return;
    }
    // SAFETY: The caller took the subflow from its connection, and with it the reference that
    // `tcp_close` gives back.
    unsafe { bindings::tcp_close(ssk.as_ptr(), 0) };
}

/// Sends the FIN of a subflow, which nothing more goes over.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn shutdown_subflow(ssk: Sock) {
    // SAFETY: A live, owned TCP socket; TCP's own function through its table.
    unsafe {
        if let Some(shutdown) = (*tcp_prot(ssk.family())).shutdown {
            shutdown(ssk.as_ptr(), bindings::SEND_SHUTDOWN as c_int);
        }
    }
}
