// SPDX-License-Identifier: GPL-2.0

//! An IPv6 socket that connects to an IPv4-mapped address, as programs that know one kind of socket do.
//!
//! TCP gives such a socket another table of functions, that of IPv4 inside IPv6, in the middle of
//! `connect()`, and sends the SYN at once: there is no moment to put ours in its place. So the hook for
//! outgoing packets is there during such a call, exchanges the table when the SYN passes, and adds
//! the option to this one SYN. What TCP repeats, and all that follows, goes through the table.

use crate::af_ops;
use crate::bindings;
use crate::handshake::{
    self,
    Syn, //
};
use crate::net;
use crate::renew;
use crate::sock::Sock;
use crate::sockopt;
use kernel::ffi::c_int;
use mptcp_proto::options::MptcpOption;

/// Least length of an IPv6 address that `connect()` takes.
const LEN_MIN: usize = 24;
/// Where the 16 bytes of the address begin.
const ADDRESS: usize = 8;

/// Whether `connect()` to this address leads to IPv4.
///
/// # Safety
///
/// `address` has `len` bytes.
#[inline]
unsafe fn is_mapped(address: *const bindings::sockaddr_unsized, len: c_int) -> bool {
    if usize::try_from(len).is_ok_and(|len| len >= LEN_MIN) {
        // SAFETY: By the function's contract; LEN_MIN bytes end with the address. An address has
        // no alignment that bytes could miss.
        let bytes = unsafe { address.cast::<u8>().add(ADDRESS).cast::<[u8; 16]>().read() };
        matches!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
    } else {
        false
    }
}

/// Runs a call that may send the SYN of a socket to this address, with the hook for outgoing packets there if
/// that leads to IPv4.
///
/// # Safety
///
/// `address` has `len` bytes, or is NULL.
#[inline]
pub(crate) unsafe fn while_watched(
    sk: Sock,
    address: *const bindings::sockaddr_unsized,
    len: c_int,
    call: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    let is_mapped = || unsafe { is_mapped(address, len) };
    let is_watched = sk.family() == bindings::AF_INET6 && !address.is_null() && is_mapped();
    // The socket may be a subflow afterwards, and gone.
    let watched = is_watched.then(|| sk.net());
    if let Some(net) = watched {
        net::on_outgoing_begin(net);
    }
    let result = call();
    if let Some(net) = watched {
        net::on_outgoing_end(net);
    }
    result
}

/// The option for a SYN that is about to leave with an IPv4 header, if it is one of those. The socket's
/// table is exchanged with it.
///
/// # Safety
///
/// `sk` is in the state `TCP_SYN_SENT` and owned: it is sending.
pub(crate) unsafe fn syn_option(sk: *mut bindings::sock) -> Option<MptcpOption<'static>> {
    // SAFETY: By the function's contract. Another protocol's socket may be in a state of that number.
    let ssk = unsafe {
        if u32::from((*sk).sk_protocol) != bindings::IPPROTO_TCP {
            return None;
        }
        Sock::from_raw(sk)
    }?;
    // SAFETY: An owned socket keeps its `struct socket`, if it has one.
    let is_early = unsafe {
        let sock = (*sk).sk_socket;
        !sock.is_null() && renew::may_ask((*sock).ops)
    };
    // The first SYN decides.
    let is_undecided = is_early && ssk.retransmits() == 0 && !af_ops::is_hooked(ssk);
    if !is_undecided || !sockopt::may_be_multipath(ssk) {
        return None;
    }
    match handshake::make_syn(ssk) {
        Syn::Asks(option) => {
            af_ops::hook(ssk);
            Some(MptcpOption::MpCapable(option))
        }
        Syn::GaveUp | Syn::Blocked => None,
    }
}
