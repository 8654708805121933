// SPDX-License-Identifier: GPL-2.0

//! The operations of a socket whose kind is not known yet: TCP's, or a connection's.
//!
//! Their only task is to notice what the socket becomes. Once the handshake has failed, the socket
//! gets TCP's operations and nothing of ours is left in its way; once it has succeeded, the
//! application's `struct socket` is given the connection socket and its operations. A listener
//! keeps the early operations, because `accept()` has to make the same choice for each child.
//!
//! All functions are called by the socket layer from a system call that holds the socket's file,
//! which is the safety contract of each of them.

use crate::af_ops;
use crate::attach;
use crate::bindings;
use crate::choice::{
    self,
    Knob, //
};
use crate::connection::Connection;
use crate::early_syn;
use crate::fast_open;
use crate::in_use;
use crate::locks::Owned;
use crate::mapped;
use crate::net;
use crate::pm_events::Listener;
use crate::proto_ops::{
    connected_ops,
    early_ops,
    is_connection,
    sock_of,
    stream_ops, //
};
use crate::renew;
use crate::sock::Sock;
use crate::sockopt;
use crate::subflow;
use core::ffi::c_void;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// The kind of a `struct socket` as far as the handshake has shown it.
#[derive(PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not connected, connecting, or listening.
    Early,
    /// TCP's or a connection's: the operations have been switched.
    Settled,
}

/// Switches the operations of `sock` if it has become known what it is.
///
/// # Safety
///
/// `sock` is in a system call.
#[inline(never)]
pub(crate) unsafe fn settle(sock: *mut bindings::socket) -> Kind {
    // SAFETY: By the function's contract.
    unsafe { settle_inline(sock) }
}

/// [`settle`] for `connect()`, which every connection goes through.
///
/// # Safety
///
/// As [`settle`].
#[inline(always)]
unsafe fn settle_inline(sock: *mut bindings::socket) -> Kind {
    // SAFETY: By the function's contract.
    let Some(sk) = (unsafe { sock_of(sock) }) else {
        return Kind::Early;
    };
    let undecided = bindings::TCPF_CLOSE | bindings::TCPF_LISTEN | bindings::TCPF_SYN_SENT;
    let kind = || {
        // SAFETY: As above.
        if unsafe { renew::is_early(ops_of(sock)) } {
            Kind::Early
        } else {
            Kind::Settled
        }
    };
    if kind() == Kind::Settled {
        return Kind::Settled;
    }
    if let Some(subflow) = subflow::of(sk) {
        // SAFETY: As above.
        unsafe { adopt(sock, subflow.connection()) };
        // A connection that is gone leaves the socket to TCP.
        return kind();
    }
    if sk.in_states(undecided) || is_connection(sk) {
        // A connection socket: another thread is about to give it its operations.
        return Kind::Early;
    }
    if af_ops::is_hooked(sk) {
        // SAFETY: As above.
        return unsafe { settle_hooked(sock, sk) };
    }
    // SAFETY: As above.
    unsafe { become_plain(sock, sk) };
    kind()
}

/// [`settle`] for a socket that is connected and still hooked: it waits for the keys of its client, or TCP,
/// which owns it, is about to say what it is. A call of TCP's that came between would sleep for ever.
///
/// # Safety
///
/// As [`settle`]; `sock` holds `sk`.
#[cold]
unsafe fn settle_hooked(sock: *mut bindings::socket, sk: Sock) -> Kind {
    if sk.state() == bindings::TCP_SYN_RECV {
        return Kind::Early;
    }
    sk.lock(false);
    let is_decided = subflow::of(sk).is_some() || !af_ops::is_hooked(sk);
    sk.release();
    if is_decided {
        // SAFETY: By the function's contract.
        unsafe { settle(sock) }
    } else {
        Kind::Early
    }
}

/// The operations of `sock`.
///
/// # Safety
///
/// `sock` is in a system call.
pub(crate) unsafe fn ops_of(sock: *mut bindings::socket) -> *const bindings::proto_ops {
    // SAFETY: By the function's contract.
    unsafe { core::ptr::read_volatile(&raw const (*sock).ops) }
}

/// Gives `sock` TCP's operations: nothing of ours stays in its way. A socket that was disconnected keeps
/// the early ones, on which hangs what it has kept.
///
/// # Safety
///
/// `sock` is in a system call and its operations are the early ones, or it is being accepted.
unsafe fn become_plain(sock: *mut bindings::socket, sk: Sock) {
    if choice::forget(sk) {
        attach::mark(sk);
    }
    // SAFETY: By the function's contract; another thread may do the same at the same time, and
    // only one of them gives back the reference that the early operations hold on the module. The
    // socket itself still holds one.
    unsafe {
        let ops = core::sync::atomic::AtomicPtr::from_ptr((&raw mut (*sock).ops).cast());
        let early = early_ops(sk.family()).cast::<c_void>();
        let plain = stream_ops(sk.family()).cast_mut().cast::<c_void>();
        let order = core::sync::atomic::Ordering::AcqRel;
        let relaxed = core::sync::atomic::Ordering::Relaxed;
        if ops.compare_exchange(early, plain, order, relaxed).is_ok() {
            bindings::mptcp_shim_module_put();
        }
    }
}

/// Gives the application's `struct socket` the connection socket in place of the subflow.
///
/// # Locking
///
/// Owns the subflow meanwhile: whoever owns the `struct sock` of a `struct socket` keeps it there.
///
/// # Safety
///
/// `sock` holds the first subflow of `connection` and is in a system call.
#[inline(never)]
unsafe fn adopt(sock: *mut bindings::socket, connection: &Connection) {
    let (ssk, msk) = (connection.first(), connection.msk());
    ssk.lock(false);
    connection.adopt(|| {
        // SAFETY: `adopt` lets only one thread in. The subflow keeps its pointer to the socket, as
        // firewall rules by owner and accounting expect; its wake-ups are harmless.
        unsafe {
            if let Some(renewed) = renew::of(ops_of(sock)) {
                connection.set_previous(renewed.as_ptr());
            }
            bindings::mptcp_shim_sock_graft(msk.as_ptr(), sock);
            bindings::mptcp_shim_set_custom_sockopt(sock, true);
            core::ptr::write_volatile(&raw mut (*sock).sk, msk.as_ptr());
            core::ptr::write_volatile(&raw mut (*sock).ops, connected_ops(msk.family()));
        }
    });
    ssk.release();
    charge(connection);
}

/// Charges the memory of a connection to the control group that its first subflow's is charged to: `accept()`
/// has just found out which that is.
fn charge(connection: &Connection) {
    let (first, msk) = (connection.first().as_ptr(), connection.msk().as_ptr());
    // SAFETY: Plain reads of live sockets.
    if !unsafe { bindings::mptcp_shim_lacks_memcg(msk, first) } {
        return;
    }
    let _owned = Owned::take(connection);
    // SAFETY: The socket is owned, the other one alive.
    unsafe { bindings::mptcp_shim_inherit_memcg(msk, first) };
    // Those that have joined before.
    for ssk in connection.hold_subflows(|_| true) {
        ssk.lock(true);
        // SAFETY: As above.
        unsafe { bindings::mptcp_shim_inherit_memcg(ssk.as_ptr(), msk) };
        ssk.release();
        ssk.put();
    }
}

/// The TCP socket of `sock` as long as its kind is not known.
///
/// # Safety
///
/// `sock` is in a system call.
pub(crate) unsafe fn undecided(sock: *mut bindings::socket) -> Option<Sock> {
    // SAFETY: By the function's contract.
    unsafe {
        if settle(sock) == Kind::Early {
            sock_of(sock)
        } else {
            None
        }
    }
}

/// Calls the operation that `sock` has now, with the arguments of the early one.
macro_rules! forward {
    ($sock:expr, $operation:ident, $($argument:expr),*) => {{
        // SAFETY: The operations of a socket in a system call stay valid; settled sockets have
        // TCP's or the connection's table, early ones are sent to TCP's.
        unsafe {
            let sock: *mut bindings::socket = $sock;
            let table = if settle(sock) == Kind::Settled {
                core::ptr::read_volatile(&raw const (*sock).ops)
            } else {
                stream_ops(sock_of(sock).map_or(bindings::AF_INET, Sock::family))
            };
            match (*table).$operation {
                Some(function) => function($($argument),*),
                // TCP's tables lack none of the operations used here.
                None => Default::default(),
            }
        }
    }};
}
pub(crate) use forward;

/// Runs an operation that may end a listener, and counts it.
fn counting_listeners(sk: Option<Sock>, operation: impl FnOnce() -> c_int) -> c_int {
    let Some(sk) = sk.filter(|sk| sk.state() == bindings::TCP_LISTEN) else {
        return operation();
    };
    let net = sk.net();
    let listener = Listener::of(sk);
    // A closed socket may be gone afterwards.
    sk.hold();
    let result = operation();
    if sk.state() != bindings::TCP_LISTEN && af_ops::is_hooked(sk) {
        in_use::add(net, sk.family(), -1);
        listener.on_closed();
        net::on_outgoing_end(net);
    }
    sk.put();
    result
}

/// A socket is closed.
///
/// The socket layer gives back the reference on the module that the operations held when it called
/// them, so a plain socket keeps the early ones: there is nothing to gain any more.
///
/// # Safety
///
/// Called by the socket layer, from the system call that drops the socket's file, or for a socket
/// that has never had a `struct sock`.
pub(crate) unsafe extern "C" fn release(sock: *mut bindings::socket) -> c_int {
    // SAFETY: In a system call, the last one.
    let sk = unsafe { sock_of(sock) };
    if let Some(subflow) = sk.and_then(subflow::of) {
        // SAFETY: As above.
        unsafe { adopt(sock, subflow.connection()) };
    }
    let family = sk.map_or(bindings::AF_INET, Sock::family);
    // SAFETY: TCP's tables are static and lack no operation; its `release` serves every socket that
    // has TCP's protocol or a connection's, and does nothing without a `struct sock`.
    counting_listeners(sk, || unsafe {
        (*stream_ops(family))
            .release
            .map_or(0, |release| release(sock))
    })
}

/// Puts the module between TCP and the address family of a socket about to connect or listen; returns it
/// as long as its kind is not known.
///
/// # Safety
///
/// `sock` is in a system call.
#[inline(always)]
unsafe fn prepare(sock: *mut bindings::socket) -> Option<Sock> {
    // SAFETY: By the function's contract.
    let sk = unsafe {
        if settle_inline(sock) != Kind::Early {
            return None;
        }
        sock_of(sock).filter(|_| renew::may_ask(ops_of(sock)))?
    };
    // Not locked: a packet cannot reach a closed socket, and threads that connect one socket at the
    // same time get what the first of them prepared.
    let state = sk.state();
    if state == bindings::TCP_CLOSE {
        if !is_connection(sk) && sockopt::may_be_multipath(sk) {
            af_ops::hook(sk);
        }
    } else if state == bindings::TCP_SYN_RECV {
        // `connect()` may end what it waits for, and begin anew.
        fast_open::give_up(sk);
    }
    Some(sk)
}

/// TCP's `connect()`. The kernel's `inet_stream_connect` would give up the ownership of whatever socket is
/// there when it returns, which need not be the one that it has taken.
///
/// # Safety
///
/// As [`connect`].
pub(crate) unsafe fn stream_connect(
    sock: *mut bindings::socket,
    address: *mut bindings::sockaddr_unsized,
    len: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: In a system call; the socket that is owned stays in its place until the call waits.
    unsafe {
        while let Some(sk) = sock_of(sock) {
            sk.lock(false);
            let is_there = sock_of(sock) == Some(sk);
            let result = if is_there {
                bindings::__inet_stream_connect(sock, address, len, flags, 0)
            } else {
                0
            };
            sk.release();
            if is_there {
                return result;
            }
        }
    }
    EINVAL.to_errno()
}

/// `connect()`: the SYN will carry MP_CAPABLE.
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
    // SAFETY: In a system call. Whatever the socket has become, this is its operation: TCP's tables
    // have the same one for both families, and the connection's have TCP's.
    let connect = || unsafe { stream_connect(sock, address, len, flags) };
    // SAFETY: In a system call; the socket layer has copied `len` bytes of address.
    unsafe {
        let result = match prepare(sock) {
            None => connect(),
            Some(sk) => {
                // `connect(AF_UNSPEC)` ends a listener.
                let call = || counting_listeners(Some(sk), connect);
                let result = mapped::while_watched(sk, address, len, call);
                settle_inline(sock);
                result
            }
        };
        // If that fails for now, the next `connect()` or `listen()` tries again.
        let _ = renew::renew(sock);
        result
    }
}

/// `listen()`: SYN-ACKs will carry MP_CAPABLE.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn listen(sock: *mut bindings::socket, backlog: c_int) -> c_int {
    // SAFETY: In a system call.
    let sk = unsafe { prepare(sock) }.filter(|sk| af_ops::is_hooked(*sk));
    let was_listening = sk.is_some_and(|sk| sk.state() == bindings::TCP_LISTEN);
    if let Some(sk) = sk.filter(|_| !was_listening) {
        // Without the hook SYN-ACKs go out without our option: plain TCP.
        net::on_outgoing_begin(sk.net());
    }
    let result = forward!(sock, listen, sock, backlog);
    if let Some(sk) = sk.filter(|_| !was_listening) {
        if sk.state() == bindings::TCP_LISTEN {
            in_use::add(sk.net(), sk.family(), 1);
            Listener::of(sk).on_created();
        } else {
            net::on_outgoing_end(sk.net());
        }
    }
    result
}

/// `accept()`: the new socket is a connection's or TCP's own.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn accept(
    sock: *mut bindings::socket,
    new: *mut bindings::socket,
    argument: *mut bindings::proto_accept_arg,
) -> c_int {
    // SAFETY: `new` is nobody else's yet. It has the operations of `sock`, or will get them if it has none;
    // those of a socket that was disconnected are not for another one.
    unsafe {
        if let (Some(_), Some(sk)) = (renew::of(ops_of(sock)), sock_of(sock)) {
            if ops_of(new).is_null() {
                return EOPNOTSUPP.to_errno();
            }
            (*new).ops = early_ops(sk.family());
        }
    }
    let result = forward!(sock, accept, sock, new, argument);
    if result == 0 {
        // SAFETY: `new` has just received its socket and early operations.
        unsafe {
            // The keys of a client may come at any moment: what the socket is shows only once it is known.
            if let Some(sk) = sock_of(new).filter(|sk| !fast_open::waits(*sk)) {
                // They are the listener's; a connection has taken its own copy.
                choice::forget(sk);
                if settle(new) == Kind::Early {
                    become_plain(new, sk);
                }
            }
        }
    }
    result
}

/// `poll()`.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn poll(
    file: *mut bindings::file,
    sock: *mut bindings::socket,
    wait: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    let events = forward!(sock, poll, file, sock, wait);
    // SAFETY: In a system call.
    if unsafe { sock_of(sock) }.is_some_and(fast_open::waits) {
        // TCP would send what is written before the client's keys are known.
        return events & !bindings::EPOLL_WRITE;
    }
    events
}

/// `getsockname()`, `getpeername()`.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn getname(
    sock: *mut bindings::socket,
    address: *mut bindings::sockaddr,
    peer: c_int,
) -> c_int {
    forward!(sock, getname, sock, address, peer)
}

/// `ioctl()`.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn ioctl(
    sock: *mut bindings::socket,
    command: u32,
    argument: usize,
) -> c_int {
    forward!(sock, ioctl, sock, command, argument)
}

/// `shutdown()`, which ends a listener.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn shutdown(sock: *mut bindings::socket, how: c_int) -> c_int {
    // SAFETY: In a system call.
    counting_listeners(unsafe { sock_of(sock) }, || {
        forward!(sock, shutdown, sock, how)
    })
}

/// `setsockopt()`.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn setsockopt(
    sock: *mut bindings::socket,
    level: c_int,
    name: c_int,
    value: bindings::sockptr_t,
    len: u32,
) -> c_int {
    if let Some(knob) = Knob::of(level, name) {
        // SAFETY: In a system call.
        if let Some(sk) = unsafe { undecided(sock) } {
            // SAFETY: By the function's contract.
            return unsafe { choice::set(sk, knob, value, len) }
                .map_or_else(Error::to_errno, |()| 0);
        }
    }
    forward!(sock, setsockopt, sock, level, name, value, len)
}

/// `getsockopt()`.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn getsockopt(
    sock: *mut bindings::socket,
    level: c_int,
    name: c_int,
    value: *mut kernel::ffi::c_char,
    len: *mut c_int,
) -> c_int {
    if let Some(knob) = Knob::of(level, name) {
        // SAFETY: In a system call.
        if let Some(sk) = unsafe { undecided(sock) } {
            return choice::get(sk, knob, value, len).map_or_else(Error::to_errno, |()| 0);
        }
    }
    forward!(sock, getsockopt, sock, level, name, value, len)
}

/// Waits until a handshake under way has ended, as TCP's own calls would.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe fn wait_connected(
    sock: *mut bindings::socket,
    nonblocking: bool,
    sending: bool,
) -> c_int {
    // SAFETY: In a system call; the socket is owned while its state is looked at.
    unsafe {
        let Some(sk) = sock_of(sock) else {
            return 0;
        };
        if !sk.in_states(bindings::TCPF_SYN_SENT | bindings::TCPF_SYN_RECV)
            || (nonblocking && !sending)
        {
            return 0;
        }
        sk.lock(false);
        let mut result = 0;
        if sk.in_states(bindings::TCPF_SYN_SENT | bindings::TCPF_SYN_RECV) {
            let mut timeout = if sending {
                bindings::mptcp_shim_sock_sndtimeo(sk.as_ptr(), nonblocking)
            } else {
                bindings::mptcp_shim_sock_rcvtimeo(sk.as_ptr(), nonblocking)
            };
            result = bindings::sk_stream_wait_connect(sk.as_ptr(), &mut timeout);
        }
        sk.release();
        result
    }
}

/// `send()` and its relatives.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn sendmsg(
    sock: *mut bindings::socket,
    message: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: In a system call.
    let (flags, sk) = unsafe { ((*message).msg_flags, sock_of(sock)) };
    if flags & bindings::MSG_FASTOPEN != 0 || sk.is_some_and(Sock::defers_connect) {
        // SAFETY: In a system call.
        return unsafe { early_syn::send(sock, message, len) };
    }
    // SAFETY: In a system call.
    let result = unsafe { wait_connected(sock, flags & bindings::MSG_DONTWAIT != 0, true) };
    if result != 0 {
        return result;
    }
    forward!(sock, sendmsg, sock, message, len)
}

/// `recv()` and its relatives.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn recvmsg(
    sock: *mut bindings::socket,
    message: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
) -> c_int {
    // CAST: Flags are bits.
    let nonblocking = flags as u32 & bindings::MSG_DONTWAIT != 0;
    // SAFETY: In a system call.
    if unsafe { sock_of(sock) }.is_some_and(fast_open::waits) {
        // SAFETY: In a system call.
        return unsafe { early_syn::receive(sock, message, len, flags) };
    }
    // SAFETY: In a system call.
    let result = unsafe { wait_connected(sock, nonblocking, false) };
    if result != 0 {
        return result;
    }
    forward!(sock, recvmsg, sock, message, len, flags)
}

/// `splice()` from the socket.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn splice_read(
    sock: *mut bindings::socket,
    position: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: u32,
) -> isize {
    let nonblocking = flags & bindings::SPLICE_F_NONBLOCK != 0;
    // SAFETY: In a system call.
    if !nonblocking && unsafe { sock_of(sock) }.is_some_and(fast_open::waits) {
        let quietly = flags | bindings::SPLICE_F_NONBLOCK;
        let got = forward!(sock, splice_read, sock, position, pipe, len, quietly);
        if got != EAGAIN.to_errno() as isize {
            return got;
        }
    }
    // SAFETY: In a system call.
    let result = unsafe { wait_connected(sock, nonblocking, false) };
    if result != 0 {
        return result as isize;
    }
    forward!(sock, splice_read, sock, position, pipe, len, flags)
}

/// `splice()` to the socket has nothing more to come.
///
/// # Safety
///
/// Called by the socket layer, from a system call that holds the socket's file.
pub(crate) unsafe extern "C" fn splice_eof(sock: *mut bindings::socket) {
    // SAFETY: In a system call.
    unsafe {
        if settle(sock) == Kind::Settled {
            let table = core::ptr::read_volatile(&raw const (*sock).ops);
            if let Some(function) = (*table).splice_eof {
                function(sock);
            }
        }
    }
}
