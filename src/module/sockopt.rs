// SPDX-License-Identifier: GPL-2.0

//! Socket options of a connection: replayed on the subflow, not listed.
//!
//! An option set on the connection socket is set on the subflow by TCP's own code and on the
//! connection socket itself, which is a TCP socket too and reports it back. A few concern only one
//! of the two, and a few would turn a socket into something a connection cannot be.
//!
//! C counterpart: net/mptcp/sockopt.c.

use crate::answer;
use crate::bindings;
use crate::choice::{
    self,
    Knob, //
};
use crate::connection::{
    self,
    Connection, //
};
use crate::counters::{
    count,
    Counter, //
};
use crate::event;
use crate::info::{
    self,
    Question, //
};
use crate::proto_ops::tcp_prot;
use crate::sock::Sock;
use kernel::ffi::{
    c_char,
    c_int, //
};
use kernel::prelude::*;

/// Where an option belongs.
enum Scope {
    /// On the connection socket and on its subflows.
    Both,
    /// On the connection socket and on the first subflow: the path manager sees to the others.
    First,
    /// On the connection socket only.
    Connection,
    /// Nowhere: it cannot work on a connection.
    Refused,
}

/// Where the option `name` of `level` belongs.
fn scope(level: u32, name: u32) -> Scope {
    match (level, name) {
        (
            bindings::SOL_SOCKET,
            bindings::SO_RCVLOWAT
            | bindings::SO_RCVBUF
            | bindings::SO_RCVBUFFORCE
            | bindings::SO_PEEK_OFF,
        ) => Scope::Connection,
        (
            bindings::SOL_TCP,
            bindings::TCP_ULP
            | bindings::TCP_REPAIR
            | bindings::TCP_MD5SIG
            | bindings::TCP_MD5SIG_EXT
            | bindings::TCP_AO_ADD_KEY,
        ) => Scope::Refused,
        (bindings::SOL_SOCKET, bindings::SO_BINDTODEVICE | bindings::SO_BINDTOIFINDEX) => {
            Scope::First
        }
        // It would make the connection socket TCP's.
        (bindings::SOL_IPV6, bindings::IPV6_ADDRFORM) => Scope::Refused,
        (bindings::SOL_TCP, bindings::TCP_INQ) => Scope::Connection,
        _ => Scope::Both,
    }
}

/// Whether an option is the class of traffic, which IPv4 and IPv6 have each for itself.
fn is_class(level: u32, name: u32) -> bool {
    matches!(
        (level, name),
        (bindings::SOL_IP, bindings::IP_TOS) | (bindings::SOL_IPV6, bindings::IPV6_TCLASS)
    )
}

/// Whether a socket about to connect or listen may use MPTCP: a signature would not cover our options, and a
/// subflow has no place for another upper layer protocol, as a socket may have that was connected before.
pub(crate) fn may_be_multipath(sk: Sock) -> bool {
    // SAFETY: Plain reads of a live socket; an option set at this very moment comes too late.
    let (is_signed, is_special) = unsafe {
        let tp = sk.tcp();
        (
            bindings::mptcp_shim_tcp_has_signature(sk.as_ptr()),
            (*tp).repair() != 0 || !sk.ulp_ops().is_null(),
        )
    };
    if is_signed {
        count(sk.net(), Counter::MD5SigFallback);
    }
    !is_signed && !is_special
}

/// Sets an option with TCP's own code.
///
/// # Safety
///
/// `sk` is not owned by this task; `value` has `len` bytes.
unsafe fn set_on(
    sk: Sock,
    level: c_int,
    name: c_int,
    value: bindings::sockptr_t,
    len: u32,
) -> c_int {
    // SAFETY: By the function's contract.
    unsafe {
        if level == bindings::SOL_SOCKET as c_int {
            return bindings::mptcp_shim_subflow_sol_socket(sk.as_ptr(), name, value, len);
        }
        match (*tcp_prot(sk.family())).setsockopt {
            Some(function) => function(sk.as_ptr(), level, name, value, len),
            None => ENOPROTOOPT.to_errno(),
        }
    }
}

/// `setsockopt()` on a connection socket.
///
/// # Safety
///
/// Called by the socket layer as `sk_prot->setsockopt`.
pub(crate) unsafe extern "C" fn setsockopt(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    value: bindings::sockptr_t,
    len: u32,
) -> c_int {
    // SAFETY: By the function's contract.
    let Some(msk) = (unsafe { Sock::from_raw(sk) }) else {
        return 0;
    };
    // SAFETY: Only connection sockets have this protocol.
    let connection = unsafe { connection::of(msk) };
    if let Some(knob) = Knob::of(level, name) {
        // SAFETY: By the function's contract.
        let result = unsafe { choice::set(msk, knob, value, len) };
        return result.map_or_else(Error::to_errno, |()| {
            connection.schedule(event::PATHS);
            0
        });
    }
    // CAST: Levels and names are small positive numbers; others match no arm.
    let option = (level as u32, name as u32);
    let scope = scope(option.0, option.1);
    if let Scope::Refused = scope {
        return EOPNOTSUPP.to_errno();
    }
    // SAFETY: By the function's contract.
    let set = |sk| unsafe { set_on(sk, level, name, value, len) };
    let result = set_on_all(connection, &scope, option.0, set);
    if result == 0 && is_class(option.0, option.1) {
        pass_class_on(connection);
    }
    if option == (bindings::SOL_TCP, bindings::TCP_KEEPIDLE) || matches!(scope, Scope::First) {
        // TCP has set its timer on the connection socket, where it is the path manager's; or the
        // interfaces that may be used are others.
        connection.schedule(event::PATHS);
    }
    result
}

/// Sets an option of `level` with `set` wherever it belongs, on the connection socket last; ends with the first
/// that refuses, and what it says.
fn set_on_all(
    connection: &Connection,
    scope: &Scope,
    level: u32,
    set: impl Fn(Sock) -> c_int,
) -> c_int {
    let msk = connection.msk();
    let is_wanted = |ssk: Sock| match scope {
        // What is IPv6's no IPv4 socket has.
        Scope::Both => level != bindings::SOL_IPV6 || ssk.family() == msk.family(),
        Scope::First => ssk == connection.first(),
        Scope::Connection | Scope::Refused => false,
    };
    let mut result = 0;
    for ssk in connection.hold_subflows(is_wanted) {
        if result == 0 {
            result = set(ssk);
        }
        ssk.put();
    }
    if result == 0 {
        result = set(msk);
    }
    result
}

/// Gives the class of traffic to the subflows of the other address family, which has an option of its own for it.
fn pass_class_on(connection: &Connection) {
    let msk = connection.msk();
    for ssk in connection.hold_subflows(|ssk| ssk.family() != msk.family()) {
        ssk.lock(false);
        // SAFETY: An owned socket, and one that is alive.
        unsafe { bindings::mptcp_shim_inherit_class(ssk.as_ptr(), msk.as_ptr()) };
        ssk.release();
        ssk.put();
    }
}

/// `getsockopt()` on a connection socket: what only the subflow knows is asked there.
///
/// # Safety
///
/// Called by the socket layer as `sk_prot->getsockopt`.
pub(crate) unsafe extern "C" fn getsockopt(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    value: *mut c_char,
    len: *mut c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    let Some(msk) = (unsafe { Sock::from_raw(sk) }) else {
        return 0;
    };
    // SAFETY: Only connection sockets have this protocol.
    let connection = unsafe { connection::of(msk) };
    if let Some(knob) = Knob::of(level, name) {
        return choice::get(msk, knob, value, len).map_or_else(Error::to_errno, |()| 0);
    }
    if let Some(question) = Question::of(level, name) {
        return info::answer(connection, question, value, len).map_or_else(Error::to_errno, |()| 0);
    }
    // CAST: As in `setsockopt`.
    let option = (level as u32, name as u32);
    if option == (bindings::SOL_TCP, bindings::TCP_IS_MPTCP) {
        let answer = c_int::from(!connection.has_fallen_back());
        // SAFETY: By the function's contract.
        return unsafe { bindings::mptcp_shim_put_int(value, len, answer) };
    }
    let asked = match option {
        (
            bindings::SOL_TCP,
            bindings::TCP_INFO
            | bindings::TCP_CC_INFO
            | bindings::TCP_MAXSEG
            | bindings::TCP_ULP
            | bindings::TCP_SAVED_SYN,
        ) => connection.first(),
        _ => msk,
    };
    // SAFETY: By the function's contract; both are TCP sockets.
    let result = unsafe {
        match (*tcp_prot(asked.family())).getsockopt {
            Some(function) => function(asked.as_ptr(), level, name, value, len),
            None => ENOPROTOOPT.to_errno(),
        }
    };
    if result == 0 && option == (bindings::SOL_TCP, bindings::TCP_ZEROCOPY_RECEIVE) {
        answer::after_read(connection);
    }
    if result == 0 && option == (bindings::SOL_TCP, bindings::TCP_INFO) {
        // The first byte is the state: the application asks for the connection's.
        // SAFETY: TCP has just written to the application's buffer.
        return unsafe { bindings::mptcp_shim_put_state(value, len, msk.as_ptr()) };
    }
    result
}
