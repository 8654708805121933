// SPDX-License-Identifier: GPL-2.0

//! Calls that send with the SYN or read what has come with it (TCP Fast Open), on a socket whose kind is not
//! known yet.
//!
//! C counterpart: `mptcp_sendmsg_fastopen` in net/mptcp/protocol.c.

use crate::af_ops;
use crate::bindings;
use crate::early::{
    forward,
    ops_of,
    settle,
    stream_connect,
    undecided,
    wait_connected,
    Kind, //
};
use crate::mapped;
use crate::proto_ops::{
    sock_of,
    stream_ops, //
};
use crate::renew;
use crate::sock::Sock;
use crate::sockopt;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// `send()` that connects the socket, too (TCP Fast Open): the SYN takes along what fits, if the server has
/// given a cookie before, and asks for one otherwise.
///
/// TCP does both in one call, and writes what the SYN has not taken to the socket that is a subflow by
/// then. So TCP is called in a way that never waits, and what follows is done here.
///
/// # Safety
///
/// As for [`crate::early::sendmsg`], which it is a part of.
#[cold]
pub(crate) unsafe fn send(
    sock: *mut bindings::socket,
    message: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: In a system call.
    let Some(sk) = (unsafe { undecided(sock) }) else {
        return forward!(sock, sendmsg, sock, message, len);
    };
    // SAFETY: `message` is the caller's.
    let (flags, address, address_len) = unsafe {
        (
            (*message).msg_flags,
            (*message).msg_name.cast(),
            (*message).msg_namelen,
        )
    };
    let begins = sk.state() == bindings::TCP_CLOSE || sk.defers_connect();
    // Each call with MSG_ZEROCOPY has one notice of its end, and this would be two calls.
    let must_be_one_call = flags & bindings::MSG_ZEROCOPY != 0;
    // SAFETY: In a system call.
    let is_allowed = unsafe { renew::may_ask(ops_of(sock)) };
    let may_ask = is_allowed && !must_be_one_call && sockopt::may_be_multipath(sk);
    if begins && may_ask {
        af_ops::hook(sk);
    } else if begins {
        sk.lock(false);
        af_ops::unhook(sk);
        sk.release();
        return forward!(sock, sendmsg, sock, message, len);
    }
    // SAFETY: `message` is the caller's, and gets its flags back; TCP's operation on a TCP socket.
    let send = || unsafe {
        (*message).msg_flags = flags | bindings::MSG_DONTWAIT;
        let send = (*stream_ops(sk.family())).sendmsg;
        let sent = send.map_or(0, |send| send(sock, message, len));
        (*message).msg_flags = flags;
        sent
    };
    let sent = if begins {
        // SAFETY: The caller's address, if there is one. CAST: The socket layer limits its length.
        unsafe { mapped::while_watched(sk, address, address_len as c_int, send) }
    } else {
        send()
    };
    let is_under_way = sent >= 0 || sent == EINPROGRESS.to_errno() || sent == EALREADY.to_errno();
    if flags & bindings::MSG_DONTWAIT != 0 || !is_under_way {
        return sent;
    }
    // SAFETY: In a system call; waits as `connect()` does. CAST: As above.
    let result = unsafe { stream_connect(sock, address, address_len as c_int, 0) };
    let taken = sent.max(0);
    if result != 0 {
        let errors = [EALREADY, EINTR, ERESTARTSYS];
        return if taken > 0 && errors.iter().any(|error| error.to_errno() == result) {
            taken
        } else if result == EALREADY.to_errno() {
            EINPROGRESS.to_errno()
        } else {
            result
        };
    }
    // CAST: Not negative, and no more than `len`.
    let left = len - taken as usize;
    if left == 0 && taken > 0 {
        return taken;
    }
    // SAFETY: As above.
    unsafe { (*message).msg_flags &= !bindings::MSG_FASTOPEN };
    let rest = forward!(sock, sendmsg, sock, message, left);
    if taken > 0 {
        taken + rest.max(0)
    } else {
        rest
    }
}

/// `recv()` on a socket that waits for the keys of its client: what the SYN has brought can be read at once,
/// and a call that wants more waits until the socket is what it will be.
///
/// # Safety
///
/// As for [`crate::early::recvmsg`], which it is a part of.
#[cold]
pub(crate) unsafe fn receive(
    sock: *mut bindings::socket,
    message: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
) -> c_int {
    // CAST: Flags are bits.
    let is_set = |flag: u32| flags as u32 & flag != 0;
    // CAST: As above.
    let quietly = flags | bindings::MSG_DONTWAIT as c_int;
    let got = forward!(sock, recvmsg, sock, message, len, quietly);
    let wants_more = is_set(bindings::MSG_WAITALL) && !is_set(bindings::MSG_PEEK);
    // CAST: Compared with a length only if it is positive.
    let is_enough = got >= 0 && !(wants_more && got > 0 && (got as usize) < len);
    if is_set(bindings::MSG_DONTWAIT) || is_enough || got < 0 && got != EAGAIN.to_errno() {
        return got;
    }
    let got = got.max(0);
    // SAFETY: In a system call.
    let result = unsafe { wait_connected(sock, false, false) };
    // Whatever has become of the socket, its own operation tells. CAST: Not negative.
    let rest = if result == 0 || result == EPIPE.to_errno() {
        forward!(sock, recvmsg, sock, message, len - got as usize, flags)
    } else {
        result
    };
    if got > 0 {
        got + rest.max(0)
    } else {
        rest
    }
}
