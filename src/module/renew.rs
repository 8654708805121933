// SPDX-License-Identifier: GPL-2.0

//! A socket that was disconnected with `connect(AF_UNSPEC)` and may connect or listen again.
//!
//! TCP empties such a socket and goes on with it. A connection socket cannot become a TCP socket again:
//! subflows that end still refer to its state, and other threads may be inside of calls on it. So the
//! program's `struct socket` gets another TCP socket, with every option that the program has set and
//! with early operations, and its life begins anew. The connection socket stays, ended and empty, until the
//! program closes the `struct socket`: no call that has found it there can lose it.
//!
//! ```text
//!   struct socket ── ops ──► Renewed ──► connection socket that was disconnected ──► Renewed ──► ...
//!             └────► sk: TCP socket
//!                        │ connected to a peer with MPTCP
//!                        ▼
//!   struct socket ────► sk: connection socket ──► Renewed ──► ...
//! ```
//!
//! What is kept is bounded: after [`KEPT_MAX`] times the socket stays plain TCP, which can be emptied.
//!
//! C counterpart: `mptcp_disconnect` in net/mptcp/protocol.c, which makes its connection socket empty.

use crate::bindings;
use crate::close;
use crate::connection;
use crate::early;
use crate::life;
use crate::locks::Owned;
use crate::proto_ops::{
    are_early_ops,
    birth_prot,
    early_ops,
    is_connection,
    sock_of,
    tcp_prot, //
};
use crate::sock::Sock;
use crate::subflows::Removed;
use core::ptr::NonNull;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// How many connection sockets a `struct socket` keeps at most.
const KEPT_MAX: u8 = 32;

/// The operations of a socket that was disconnected, and what it keeps from before.
#[repr(C)]
pub(crate) struct Renewed {
    /// The early operations with a `release` of our own. The first field: whoever has the operations has
    /// the whole.
    ops: bindings::proto_ops,
    /// The socket that has the operations, as an address only.
    owner: *mut bindings::socket,
    /// The connection socket that was disconnected; it carries what was kept before.
    previous: Sock,
    /// How many connection sockets are kept, this one included.
    kept: u8,
}

/// What hangs on the operations of a socket; `None` when it was never disconnected, or is connected.
///
/// # Safety
///
/// `ops` are the operations of a socket in a system call, or NULL if it has none yet.
pub(crate) unsafe fn of(ops: *const bindings::proto_ops) -> Option<NonNull<Renewed>> {
    let ours: unsafe extern "C" fn(*mut bindings::socket) -> c_int = release;
    // SAFETY: By the function's contract.
    let is_renewed = unsafe { ops.as_ref() }
        .and_then(|ops| ops.release)
        .is_some_and(|it| core::ptr::fn_addr_eq(it, ours));
    // CAST: Only the operations of a `Renewed`, whose first field they are, have this `release`.
    NonNull::new(ops.cast::<Renewed>().cast_mut()).filter(|_| is_renewed)
}

/// Whether `ops` are early operations, whatever hangs on them.
///
/// # Safety
///
/// As [`of`].
#[inline]
pub(crate) unsafe fn is_early(ops: *const bindings::proto_ops) -> bool {
    // SAFETY: By the function's contract.
    are_early_ops(ops) || unsafe { of(ops) }.is_some()
}

/// Whether a socket with the operations `ops` may ask for MPTCP.
///
/// # Safety
///
/// As [`of`].
#[inline]
pub(crate) unsafe fn may_ask(ops: *const bindings::proto_ops) -> bool {
    if are_early_ops(ops) {
        return true;
    }
    // SAFETY: By the function's contract; what hangs on the operations stays as long as they.
    unsafe { of(ops).is_some_and(|renewed| renewed.as_ref().kept < KEPT_MAX) }
}

/// Gives back what a `struct socket` has kept, `renewed` and all before, now that no call is inside.
pub(crate) fn let_go(mut renewed: *mut Renewed) {
    while !renewed.is_null() {
        // SAFETY: `replace` made the pointer with `into_raw`, and the caller has taken it out of the only
        // place where it was.
        let msk = unsafe { KBox::from_raw(renewed) }.previous;
        // SAFETY: A connection socket, of which `replace` left the initial reference here.
        renewed = unsafe { connection::of(msk) }.take_previous();
        life::let_go(msk);
    }
}

/// A socket that was disconnected, and is not a connection's again, is closed.
///
/// # Safety
///
/// Called by the socket layer, from the system call that drops the socket's file, or by an `accept()` that
/// fails, for a socket that has a listener's operations so far.
pub(crate) unsafe extern "C" fn release(sock: *mut bindings::socket) -> c_int {
    // SAFETY: By the function's contract.
    unsafe {
        let result = early::release(sock);
        // A connection has taken it over, and let go of it.
        let renewed = of(early::ops_of(sock));
        if let Some(renewed) = renewed.filter(|renewed| renewed.as_ref().owner == sock) {
            let_go(renewed.as_ptr());
        }
        result
    }
}

/// `connect()` on a connection socket.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn connect(
    sock: *mut bindings::socket,
    address: *mut bindings::sockaddr_unsized,
    len: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: In a system call.
    unsafe {
        match renew(sock) {
            Ok(()) => early::connect(sock, address, len, flags),
            Err(error) => error.to_errno(),
        }
    }
}

/// `listen()` on a connection socket: none that is one listens.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn listen(sock: *mut bindings::socket, backlog: c_int) -> c_int {
    // SAFETY: In a system call.
    unsafe {
        match renew(sock) {
            Err(error) => error.to_errno(),
            Ok(()) if sock_of(sock).is_none_or(is_connection) => EINVAL.to_errno(),
            Ok(()) => early::listen(sock, backlog),
        }
    }
}

/// Gives `sock` a TCP socket if it has a connection socket that was disconnected.
///
/// # Errors
///
/// `ENOMEM`: nothing has changed.
///
/// # Locking
///
/// Owns the connection socket meanwhile: whoever owns the `struct sock` of a `struct socket` keeps it
/// there.
///
/// # Safety
///
/// `sock` is in a system call.
#[inline]
pub(crate) unsafe fn renew(sock: *mut bindings::socket) -> Result {
    // SAFETY: By the function's contract.
    unsafe {
        match sock_of(sock) {
            Some(sk) if is_unconnected(sock) && is_connection(sk) => renew_now(sock, sk),
            _ => Ok(()),
        }
    }
}

/// See [`renew`].
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Safety
///
/// `sock` is in a system call, and held the connection socket `msk` in the same one.
#[cold]
unsafe fn renew_now(sock: *mut bindings::socket, msk: Sock) -> Result {
    // SAFETY: Only connection sockets come here.
    let mut owned = Owned::take(unsafe { connection::of(msk) });
    let mut removed = Removed::none();
    // SAFETY: By the function's contract.
    let is_there = unsafe { sock_of(sock) == Some(msk) && is_unconnected(sock) };
    let result = if is_there {
        // The subflow may have been disconnected just when it became one.
        close::disconnect(&mut owned, &mut removed);
        // SAFETY: `sock` holds the connection socket, which is owned.
        unsafe { replace(sock, msk) }
    } else {
        Ok(())
    };
    drop(owned);
    removed.close();
    result
}

/// Whether `connect()` has yet to be called, once or again.
///
/// # Safety
///
/// `sock` is in a system call.
#[inline]
unsafe fn is_unconnected(sock: *mut bindings::socket) -> bool {
    // SAFETY: By the function's contract.
    let state = unsafe { core::ptr::read_volatile(&raw const (*sock).state) };
    state == bindings::socket_state_SS_UNCONNECTED
}

/// See [`renew`].
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Safety
///
/// `sock` is in a system call and holds `msk`, a connection socket that is owned and has no subflows.
unsafe fn replace(sock: *mut bindings::socket, msk: Sock) -> Result {
    // SAFETY: By the function's contract.
    let before = unsafe { connection::of(msk) }.previous();
    // SAFETY: What a connection has been handed stays until its program closes.
    let kept = unsafe { before.as_ref() }.map_or(0, |renewed| renewed.kept);
    let mut renewed = KBox::new(
        Renewed {
            // SAFETY: The table is complete and not written any more.
            ops: unsafe { early_ops(msk.family()).read() },
            owner: sock,
            previous: msk,
            kept: kept.saturating_add(1),
        },
        GFP_KERNEL,
    )?;
    renewed.ops.release = Some(release);
    let sk = clone_for_program(msk)?;
    sk.lock(true);
    // SAFETY: `sk` is nobody else's yet. Both are owned, so that `sock` keeps each until it is given the
    // other. First the socket: TCP's operations, which both have meanwhile, suit the new one as well.
    unsafe {
        bindings::mptcp_shim_sock_graft(sk.as_ptr(), sock);
        bindings::mptcp_shim_sk_make_tcp(
            sk.as_ptr(),
            msk.as_ptr(),
            connection::of(msk).first().as_ptr(),
        );
        life::retire(msk);
        bindings::mptcp_shim_set_custom_sockopt(sock, false);
        core::ptr::write_volatile(&raw mut (*sock).sk, sk.as_ptr());
        let renewed = KBox::into_raw(renewed);
        core::ptr::write_volatile(&raw mut (*sock).ops, &raw const (*renewed).ops);
    }
    sk.report_error();
    sk.release();
    Ok(())
}

/// Clones a connection socket: a TCP socket with the program's options, still to be made one.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Locking
///
/// `msk` is owned.
fn clone_for_program(msk: Sock) -> Result<Sock> {
    // SAFETY: A live, owned connection socket. The clone gets a life of its own before anybody sees it.
    unsafe {
        let raw = bindings::sk_clone(msk.as_ptr(), bindings::GFP_KERNEL, false);
        let sk = Sock::from_raw(raw).ok_or(ENOMEM)?;
        bindings::mptcp_shim_sk_clone_reset(raw, msk.as_ptr());
        let tcp = tcp_prot(msk.family());
        (*raw).__sk_common.skc_prot = tcp;
        // The clone has a reference on the module, as sockets that are born so.
        (*raw).sk_prot_creator = birth_prot(msk.family());
        (*raw).sk_backlog_rcv = (*tcp).backlog_rcv;
        (*raw).sk_destruct = connection::of(msk).destructor();
        // `sk_clone` counts two references, one for a hash table that this socket is not in.
        sk.put();
        Ok(sk)
    }
}
