// SPDX-License-Identifier: GPL-2.0

//! What the system calls, the socket layer and TCP's reader do with a connection socket.
//!
//! The thunks of its protocol and operations, which `crate::proto_ops` puts into tables: each converts its arguments
//! and calls what does the work.
//!
//! C counterpart: net/mptcp/protocol.c (`mptcp_prot`, `mptcp_stream_ops`).

use crate::answer;
use crate::bindings;
use crate::close;
use crate::connection::{
    self,
    Connection, //
};
use crate::event;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::proto_ops::{
    is_connection,
    sock_of,
    stream_ops,
    tcp_prot, //
};
use crate::push;
use crate::renew;
use crate::rx;
use crate::skb::Skb;
use crate::sock::Sock;
use crate::subflows::Removed;
use crate::tx;
use kernel::ffi::{
    c_int,
    c_long, //
};

/// The connection of the socket that the socket layer passes.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
unsafe fn connection<'a>(sk: *mut bindings::sock) -> Option<&'a Connection> {
    // SAFETY: Only connection sockets have this protocol.
    unsafe { Sock::from_raw(sk).map(|msk| connection::of(msk)) }
}

/// `send()` and its relatives.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn sendmsg(
    sk: *mut bindings::sock,
    message: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: As for `connection`.
    let Some(connection) = (unsafe { connection(sk) }) else {
        return 0;
    };
    let mut owned = Owned::take(connection);
    match tx::send(&mut owned, message, len) {
        // CAST: The socket layer limits a message to INT_MAX bytes.
        Ok(sent) => sent as c_int,
        Err(error) => error.to_errno(),
    }
}

/// `recv()` and its relatives: TCP's own, with the answer from us.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn recvmsg(
    sk: *mut bindings::sock,
    message: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: As for `connection`; TCP's own function on a TCP socket.
    unsafe {
        let Some(connection) = connection(sk) else {
            return 0;
        };
        let Some(function) = (*tcp_prot(connection.msk().family())).recvmsg else {
            return 0;
        };
        // CAST: Flags are bits.
        let waits = flags as u32 & bindings::MSG_WAITALL != 0;
        if waits {
            connection.set_read_in_loop(true);
        }
        let result = function(sk, message, len, flags);
        if waits {
            connection.set_read_in_loop(false);
        }
        if result > 0 {
            answer::after_read(connection);
        }
        result
    }
}

/// `splice()` from the socket: TCP's own, with the answer from us.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn splice_read(
    sock: *mut bindings::socket,
    position: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: u32,
) -> isize {
    // SAFETY: In a system call on a connection socket; TCP's own function on a TCP socket.
    unsafe {
        let Some(sk) = sock_of(sock) else {
            return 0;
        };
        let Some(function) = (*stream_ops(sk.family())).splice_read else {
            return 0;
        };
        if !is_connection(sk) {
            // Another thread has disconnected it just now.
            return function(sock, position, pipe, len, flags);
        }
        let connection = connection::of(sk);
        connection.set_read_in_loop(true);
        let result = function(sock, position, pipe, len, flags);
        connection.set_read_in_loop(false);
        if result > 0 {
            answer::after_read(connection);
        }
        result
    }
}

/// `splice()` to the socket has nothing more to come: what waits for more goes out.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn splice_eof(sock: *mut bindings::socket) {
    // SAFETY: In a system call on a connection socket.
    if let Some(connection) = unsafe { sock_of(sock).map(|msk| connection::of(msk)) } {
        push::push(&mut Owned::take(connection), 0);
    }
}

/// `close()`.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn close(sk: *mut bindings::sock, timeout: c_long) {
    // SAFETY: As for `connection`.
    let Some(connection) = (unsafe { connection(sk) }) else {
        return;
    };
    let msk = connection.msk();
    msk.hold();
    let removed = close::close(&mut Owned::take(connection), timeout);
    removed.close();
    renew::let_go(connection.take_previous());
    msk.put();
}

/// `shutdown()`; the socket layer owns the socket.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn shutdown(sk: *mut bindings::sock, how: c_int) {
    // SAFETY: As for `connection`; `inet_shutdown` owns the socket.
    unsafe {
        if let Some(connection) = connection(sk) {
            let sends = bindings::TCPF_ESTABLISHED | bindings::TCPF_CLOSE_WAIT;
            // CAST: Two bits.
            if how as u32 & bindings::SEND_SHUTDOWN != 0 && connection.msk().in_states(sends) {
                close::shutdown_send(&mut Owned::assume(connection));
            }
        }
    }
}

/// `connect(AF_UNSPEC)`, or `connect()` finds that the connection has failed: it ends at once.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn disconnect(sk: *mut bindings::sock, _flags: c_int) -> c_int {
    // SAFETY: As for `connection`; `__inet_stream_connect` owns the socket.
    unsafe {
        if let Some(connection) = connection(sk) {
            let mut removed = Removed::none();
            close::disconnect(&mut Owned::assume(connection), &mut removed);
            connection.msk().release();
            removed.close();
            connection.msk().lock(false);
        }
    }
    0
}

/// A buffer that came while a process owned the socket.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn backlog_rcv(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: `release_sock` owns the socket and hands the buffer over.
    unsafe {
        if let (Some(msk), Some(skb)) = (Sock::from_raw(sk), Skb::from_raw(skb)) {
            rx::append(msk, skb);
            rx::wake_reader(msk);
        }
    }
    0
}

/// Ownership is about to end: what softirq has left is done now.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn release_cb(sk: *mut bindings::sock) {
    // SAFETY: As for `connection`; `release_sock` holds the data lock and the ownership.
    unsafe {
        if let Some(connection) = connection(sk) {
            if connection.has_events(event::ON_RELEASE) {
                let mut data = core::mem::ManuallyDrop::new(DataLock::assume(connection));
                close::on_release(&mut data);
            }
        }
    }
}

/// Whether there is room to write beyond the send buffer's own rule.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn stream_memory_free(sk: *const bindings::sock, wake: c_int) -> bool {
    // SAFETY: As for `connection`.
    unsafe { connection(sk.cast_mut()) }.is_none_or(|connection| connection.has_room(wake))
}

/// The socket is not in TCP's hash tables: nothing to take out.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn unhash(_sk: *mut bindings::sock) {}

/// `SO_KEEPALIVE`: TCP probes on the subflow, which the option is replayed to.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn keepalive(_sk: *mut bindings::sock, _value: c_int) {}

/// The socket ends; no process and no timer uses it any more.
///
/// # Safety
///
/// Called by the socket layer with a connection socket that it keeps alive.
pub(crate) unsafe extern "C" fn destroy(sk: *mut bindings::sock) {
    // SAFETY: As for `connection`.
    unsafe {
        if let Some(connection) = connection(sk) {
            connection.free_queued();
            bindings::mptcp_shim_stop_timers(sk);
            bindings::mptcp_shim_put_ca((*connection.msk().icsk()).icsk_ca_ops);
            bindings::sk_stream_kill_queues(sk);
            bindings::mptcp_shim_sk_sockets_allocated_dec(sk);
        }
    }
}

/// TCP's reader wants to tell the peer of a larger window: the subflow does.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->queue_xmit` of a connection socket, which is owned.
pub(crate) unsafe extern "C" fn queue_xmit(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
    _flow: *mut bindings::flowi,
) -> c_int {
    // SAFETY: TCP passes the connection socket, and a packet of its own.
    unsafe {
        if let Some(skb) = Skb::from_raw(skb) {
            skb.free();
        }
        if let Some(msk) = Sock::from_raw(sk) {
            answer::on_read(connection::of(msk), msk);
        }
    }
    0
}
