// SPDX-License-Identifier: GPL-2.0

//! The tables through which the system calls reach a socket, and the switches between them.
//!
//! A socket of ours begins as TCP's own socket with the operations of [`crate::early`] in front. A
//! connection socket has the [`connected`] operations and protocol.
//!
//! C counterpart: net/mptcp/protocol.c (`mptcp_prot`, `mptcp_stream_ops`).

use crate::bindings;
use crate::canonical;
use crate::connected;
use crate::early;
use crate::in_use;
use crate::renew;
use crate::sock::Sock;
use crate::sock_diag;
use crate::sockopt;
use core::cell::UnsafeCell;
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// The protocol number that leads `socket()` to us; applications never see it.
pub(crate) const PROTOCOL: u16 = 261;
/// The protocol numbers that are ours. With the second one programs ask for MPTCP by name.
const PROTOCOLS: &[u16] = if canonical::IS_FREE {
    &[PROTOCOL, canonical::PROTOCOL]
} else {
    &[PROTOCOL]
};

/// The tables of one address family.
struct Family {
    /// TCP's protocol with our `init`: sockets are born through it.
    birth: bindings::proto,
    /// Operations of a socket whose kind is not known yet.
    early: bindings::proto_ops,
    /// The protocol of connection sockets.
    connection: bindings::proto,
    /// Operations of connection sockets.
    connected: bindings::proto_ops,
    /// The entries in the kernel's table of protocols.
    switches: [bindings::inet_protosw; PROTOCOLS.len()],
}

/// The tables of IPv4 and IPv6, made by module init.
struct Tables(UnsafeCell<[Family; 2]>);

// SAFETY: Written by module init before any socket of ours exists, only read afterwards.
unsafe impl Sync for Tables {}

/// See [`Tables`].
static TABLES: Tables = Tables(UnsafeCell::new(
    // SAFETY: Zeroes are NULL functions: valid and unused until `Registration::new` fills them.
    unsafe { core::mem::zeroed() },
));

/// The address families that TCP has.
pub(crate) const FAMILIES: [u32; 2] = [bindings::AF_INET, bindings::AF_INET6];

/// The tables of an address family.
fn family(family: u32) -> *mut Family {
    // CAST: An array of two as its elements.
    let first = TABLES.0.get().cast::<Family>();
    if family == bindings::AF_INET6 {
        first.wrapping_add(1)
    } else {
        first
    }
}

/// An entry of an address family in the kernel's table of protocols, by its place in [`PROTOCOLS`].
fn switch(number: u32, place: usize) -> *mut bindings::inet_protosw {
    // SAFETY: Only the address is taken. CAST: An array as its elements.
    let first: *mut bindings::inet_protosw =
        unsafe { (&raw mut (*family(number)).switches).cast() };
    first.wrapping_add(place)
}

/// Our operations of sockets whose kind is not known yet.
pub(crate) fn early_ops(number: u32) -> *mut bindings::proto_ops {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).early }
}

/// Whether `ops` are those of either address family.
#[inline]
pub(crate) fn are_early_ops(ops: *const bindings::proto_ops) -> bool {
    FAMILIES
        .iter()
        .any(|number| core::ptr::eq(ops, early_ops(*number)))
}

/// Our operations of connection sockets.
pub(crate) fn connected_ops(number: u32) -> *const bindings::proto_ops {
    // SAFETY: Only the address is taken.
    unsafe { &raw const (*family(number)).connected }
}

/// The protocol that sockets of ours are born through, which keeps the module.
pub(crate) fn birth_prot(number: u32) -> *mut bindings::proto {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).birth }
}

/// The protocol of connection sockets.
pub(crate) fn connection_prot(number: u32) -> *mut bindings::proto {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).connection }
}

/// TCP's operations of an address family.
pub(crate) fn stream_ops(family: u32) -> *const bindings::proto_ops {
    if family == bindings::AF_INET6 {
        &raw const bindings::inet6_stream_ops
    } else {
        &raw const bindings::inet_stream_ops
    }
}

/// TCP's protocol of an address family.
pub(crate) fn tcp_prot(family: u32) -> *mut bindings::proto {
    if family == bindings::AF_INET6 {
        &raw mut bindings::tcpv6_prot
    } else {
        &raw mut bindings::tcp_prot
    }
}

/// The socket of a `struct socket`.
///
/// # Safety
///
/// `sock` is in a system call, so its file holds it.
#[inline]
pub(crate) unsafe fn sock_of(sock: *mut bindings::socket) -> Option<Sock> {
    // SAFETY: By the function's contract; the socket lives as long as the file.
    unsafe { Sock::from_raw(core::ptr::read_volatile(&raw const (*sock).sk)) }
}

/// Whether `sk` is a connection socket.
pub(crate) fn is_connection(sk: Sock) -> bool {
    // SAFETY: A plain read of a live socket.
    let prot = unsafe { core::ptr::read_volatile(&raw const (*sk.as_ptr()).__sk_common.skc_prot) };
    FAMILIES
        .iter()
        .any(|number| core::ptr::eq(prot, connection_prot(*number)))
}

/// Lets a subflow, which keeps the module by its ULP, keep it no longer by its birth: a time-wait socket
/// has its socket's creator and would keep the module for a minute.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn disown(ssk: Sock) {
    for number in FAMILIES {
        // SAFETY: A live, owned socket. Both protocols have the same slab cache; the reference is the
        // one that the socket layer took for the creator.
        unsafe {
            if (*ssk.as_ptr()).sk_prot_creator == birth_prot(number) {
                (*ssk.as_ptr()).sk_prot_creator = tcp_prot(number);
                bindings::mptcp_shim_module_put();
            }
        }
    }
}

/// A socket is born: from here on it is TCP's own, with our operations in front.
///
/// # Safety
///
/// Called by the kernel as `sk_prot->init` of a new socket.
unsafe extern "C" fn birth(sk: *mut bindings::sock) -> c_int {
    // SAFETY: By the function's contract; nobody else knows the socket yet. `sk_prot_creator` stays
    // ours, so that the socket keeps the module until it is a subflow, or its memory is freed.
    unsafe {
        let tcp = tcp_prot(u32::from((*sk).__sk_common.skc_family));
        let asked = (*sk).sk_protocol;
        (*sk).__sk_common.skc_prot = tcp;
        // CAST: A small number.
        (*sk).sk_protocol = bindings::IPPROTO_TCP as u16;
        let result = (*tcp).init.map_or(0, |init| init(sk));
        if result != 0 || asked != canonical::PROTOCOL {
            return result;
        }
        // The kernel releases a socket that is refused, which TCP has to have made before.
        let allowed = Sock::from_raw(sk).map_or(Ok(()), canonical::on_birth);
        allowed.map_or_else(Error::to_errno, |()| 0)
    }
}

/// The protocol tables, while it lives.
pub(crate) struct Registration {
    /// Their lines in `/proc/net/protocols`.
    _lines: [in_use::Line; 2],
}

impl Registration {
    /// Makes the tables and registers the protocol numbers for both address families.
    ///
    /// # Errors
    ///
    /// Those of `inet6_register_protosw`; `ENOBUFS`: the kernel has no place for another protocol.
    pub(crate) fn new() -> Result<Self> {
        for number in FAMILIES {
            // SAFETY: Module init is the only user of the tables so far; TCP's tables are static.
            unsafe { fill(family(number), number) };
        }
        // SAFETY: The tables are complete, and there are no sockets yet.
        let lines = unsafe {
            [
                in_use::Line::new(bindings::AF_INET)?,
                in_use::Line::new(bindings::AF_INET6)?,
            ]
        };
        for place in 0..PROTOCOLS.len() {
            // SAFETY: The entries are complete.
            unsafe {
                bindings::inet_register_protosw(switch(bindings::AF_INET, place));
                let result = bindings::inet6_register_protosw(switch(bindings::AF_INET6, place));
                if let Err(error) = to_result(result) {
                    bindings::inet_unregister_protosw(switch(bindings::AF_INET, place));
                    Self::remove(place);
                    return Err(error);
                }
            }
        }
        Ok(Self { _lines: lines })
    }

    /// Removes the first `count` protocol numbers.
    fn remove(count: usize) {
        for place in 0..count {
            // SAFETY: Registered before.
            unsafe {
                bindings::inet_unregister_protosw(switch(bindings::AF_INET, place));
                bindings::inet6_unregister_protosw(switch(bindings::AF_INET6, place));
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        Self::remove(PROTOCOLS.len());
        // No socket is left, or the module could not unload. Functions of the last ones may still be
        // returning on other CPUs.
        // SAFETY: In process context.
        unsafe { bindings::synchronize_rcu() };
    }
}

/// Makes the tables of an address family from TCP's.
///
/// # Safety
///
/// `tables` is not in use yet.
unsafe fn fill(tables: *mut Family, number: u32) {
    // SAFETY: By the function's contract; TCP's tables are static and complete.
    unsafe {
        let module = bindings::mptcp_shim_this_module();
        let birth_prot = &raw mut (*tables).birth;
        core::ptr::copy_nonoverlapping(tcp_prot(number), birth_prot, 1);
        (*birth_prot).owner = module;
        (*birth_prot).init = Some(birth);

        let prot = &raw mut (*tables).connection;
        core::ptr::copy_nonoverlapping(tcp_prot(number), prot, 1);
        (*prot).owner = module;
        (*prot).close = Some(connected::close);
        (*prot).disconnect = Some(connected::disconnect);
        (*prot).shutdown = Some(connected::shutdown);
        (*prot).sendmsg = Some(connected::sendmsg);
        (*prot).recvmsg = Some(connected::recvmsg);
        (*prot).splice_eof = Some(connected::splice_eof);
        (*prot).backlog_rcv = Some(connected::backlog_rcv);
        (*prot).release_cb = Some(connected::release_cb);
        (*prot).stream_memory_free = Some(connected::stream_memory_free);
        (*prot).unhash = Some(connected::unhash);
        (*prot).keepalive = Some(connected::keepalive);
        (*prot).destroy = Some(connected::destroy);
        (*prot).setsockopt = Some(sockopt::setsockopt);
        (*prot).getsockopt = Some(sockopt::getsockopt);
        (*prot).psock_update_sk_prot = None;
        (*prot).diag_destroy = Some(sock_diag::destroy);

        let ops = &raw mut (*tables).early;
        core::ptr::copy_nonoverlapping(stream_ops(number), ops, 1);
        (*ops).owner = module;
        (*ops).release = Some(early::release);
        (*ops).connect = Some(early::connect);
        (*ops).listen = Some(early::listen);
        (*ops).accept = Some(early::accept);
        (*ops).poll = Some(early::poll);
        (*ops).getname = Some(early::getname);
        (*ops).ioctl = Some(early::ioctl);
        (*ops).shutdown = Some(early::shutdown);
        (*ops).setsockopt = Some(early::setsockopt);
        (*ops).getsockopt = Some(early::getsockopt);
        (*ops).sendmsg = Some(early::sendmsg);
        (*ops).recvmsg = Some(early::recvmsg);
        (*ops).splice_read = Some(early::splice_read);
        (*ops).splice_eof = Some(early::splice_eof);
        (*ops).sendmsg_locked = None;

        let ops = &raw mut (*tables).connected;
        core::ptr::copy_nonoverlapping(stream_ops(number), ops, 1);
        (*ops).owner = module;
        (*ops).sendmsg_locked = None;
        (*ops).read_skb = None;
        (*ops).splice_read = Some(connected::splice_read);
        (*ops).connect = Some(renew::connect);
        (*ops).listen = Some(renew::listen);

        for (place, protocol) in PROTOCOLS.iter().enumerate() {
            let switch = switch(number, place);
            (*switch).type_ = bindings::sock_type_SOCK_STREAM as u16;
            (*switch).protocol = *protocol;
            (*switch).prot = birth_prot;
            (*switch).ops = &raw const (*tables).early;
            (*switch).flags = bindings::INET_PROTOSW_ICSK as u8;
        }
    }
}
