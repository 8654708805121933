// SPDX-License-Identifier: GPL-2.0

//! Request sockets, marked as ours by the operations table that they point to.
//!
//! `struct request_sock` has no room for us and its size is not ours to choose. It does point to a
//! table of operations, so a request whose SYN asked for MPTCP gets a copy of that table: the same
//! functions at another address. There is one copy for each address family and each set of terms.

use crate::bindings;
use crate::crypto::ServerSecret;
use crate::skb::Skb;
use core::cell::UnsafeCell;
use core::ptr::{
    addr_of,
    addr_of_mut, //
};
use mptcp_proto::handshake::Terms;
use mptcp_proto::options::MptcpOption;

/// The kernel's table.
type Operations = bindings::request_sock_ops;

/// Counted repetitions from which a SYN-ACK goes without the option, which a middlebox may drop it
/// for: TCP counts after sending, so the first two carry it, as with SYNs.
const ATTEMPTS: u8 = 1;

/// Kinds of requests that are told apart.
const KINDS: usize = 3;
/// The kind of a request to join; those below are the terms of MP_CAPABLE.
const JOIN: usize = 2;

/// How the packet being handled on this CPU is to be answered.
pub(crate) enum Pending {
    /// With MP_CAPABLE, on these terms.
    Capable(Terms),
    /// With MP_JOIN.
    Join(bindings::mptcp_join),
    /// With a reset.
    Reset(Reset),
}

/// A reset that answers a packet.
#[derive(Clone, Copy)]
pub(crate) struct Reset {
    /// What it says.
    pub(crate) option: MptcpOption<'static>,
    /// Its number, if it is not what the packet acknowledges.
    pub(crate) seq: Option<u32>,
}

/// What a SYN-ACK says.
pub(crate) enum Answer {
    /// MP_CAPABLE, on these terms.
    Capable(Terms),
    /// MP_JOIN.
    Join(bindings::mptcp_join),
}

/// What module init makes and everybody reads.
struct Tables {
    /// By address family (IPv4, IPv6), then by kind: MP_CAPABLE without and with checksums, MP_JOIN.
    copies: UnsafeCell<[[Operations; KINDS]; 2]>,
    /// From which server keys are derived.
    secret: UnsafeCell<Option<ServerSecret>>,
}

// SAFETY: Written by module init before any hook exists, only read afterwards.
unsafe impl Sync for Tables {}

/// See [`Tables`].
static TABLES: Tables = Tables {
    // SAFETY: NULL pointers and zero lengths are a valid, unused table.
    copies: UnsafeCell::new(unsafe { core::mem::zeroed() }),
    secret: UnsafeCell::new(None),
};

/// Makes the copies and the secret.
///
/// # Safety
///
/// Called once, by module init, before any hook is registered.
pub(crate) unsafe fn init() {
    // SAFETY: By the contract nobody else reads or writes; the kernel's tables are never freed.
    unsafe {
        for (index, original) in [bindings::tcp_prot.rsk_prot, bindings::tcpv6_prot.rsk_prot]
            .into_iter()
            .enumerate()
        {
            for kind in 0..KINDS {
                core::ptr::copy_nonoverlapping(original, copy(index, kind), 1);
            }
        }
        *TABLES.secret.get() = Some(ServerSecret::new());
    }
}

/// The address of one copy.
fn copy(family: usize, kind: usize) -> *mut Operations {
    // CAST: The array of arrays as its elements, row by row.
    TABLES
        .copies
        .get()
        .cast::<Operations>()
        .wrapping_add((family % 2) * KINDS + kind % KINDS)
}

/// The secret of server keys.
pub(crate) fn secret() -> &'static ServerSecret {
    // SAFETY: Only read after `init`.
    match unsafe { (*TABLES.secret.get()).as_ref() } {
        Some(secret) => secret,
        // Requests exist only after `init`.
        None => const { &ServerSecret::zero() },
    }
}

/// Runs `answer` while it is known how packets sent on this CPU answer the one at hand.
///
/// # Context
///
/// Softirq: the CPU does not change meanwhile.
pub(crate) fn with_pending<R>(pending: Pending, answer: impl FnOnce() -> R) -> R {
    // SAFETY: Writes this CPU's own variable.
    unsafe { bindings::mptcp_shim_set_pending((&raw const pending).cast()) };
    let result = answer();
    // SAFETY: As above.
    unsafe { bindings::mptcp_shim_set_pending(core::ptr::null()) };
    result
}

/// Answers a packet with a reset.
pub(crate) fn reset(packet: Skb, family: u32, reset: Reset) {
    with_pending(Pending::Reset(reset), || packet.send_reset(family));
}

/// How the packet being handled on this CPU is to be answered.
///
/// # Context
///
/// Softirq, inside [`with_pending`]: the value ends with it.
fn pending<'a>() -> Option<&'a Pending> {
    // SAFETY: This CPU's own variable, which points to a value of `with_pending` or is NULL.
    unsafe { bindings::mptcp_shim_pending().cast::<Pending>().as_ref() }
}

/// The reset that is being sent on this CPU.
pub(crate) fn pending_reset() -> Option<Reset> {
    match pending() {
        Some(Pending::Reset(reset)) => Some(*reset),
        _ => None,
    }
}

/// The terms of MP_CAPABLE for the SYN that is being answered on this CPU.
pub(crate) fn pending_terms() -> Option<Terms> {
    match pending() {
        Some(Pending::Capable(terms)) => Some(*terms),
        _ => None,
    }
}

/// What a SYN-ACK for `request` says; the first one marks the request, and the third one with
/// MP_CAPABLE takes the mark away.
///
/// # Safety
///
/// `request` is live, and nobody else uses it at the same time: it is sending its SYN-ACK.
pub(crate) unsafe fn on_syn_ack(request: *mut bindings::request_sock) -> Option<Answer> {
    match pending() {
        // SAFETY: By the function's contract.
        Some(Pending::Capable(terms)) => unsafe { mark(request, usize::from(terms.checksum)) },
        Some(Pending::Join(join)) => {
            // SAFETY: By the function's contract.
            if unsafe { bindings::mptcp_shim_save_join(request, join) } {
                // SAFETY: By the function's contract.
                unsafe { mark(request, JOIN) };
            }
        }
        Some(Pending::Reset(_)) | None => {}
    }
    // SAFETY: By the function's contract.
    if unsafe { is_join(request) } {
        // SAFETY: By the function's contract; zeroes are a valid value.
        return unsafe {
            let mut join: bindings::mptcp_join = core::mem::zeroed();
            bindings::mptcp_shim_saved_join(request, &mut join).then_some(Answer::Join(join))
        };
    }
    // SAFETY: By the function's contract.
    let (terms, _) = unsafe { terms(request) }?;
    // SAFETY: By the function's contract.
    if unsafe { bindings::mptcp_shim_request_repetitions(request) } >= ATTEMPTS {
        // SAFETY: By the function's contract; TCP's own table of the address family.
        unsafe {
            let original = if (*(*request).rsk_ops).family == bindings::AF_INET as i32 {
                bindings::tcp_prot.rsk_prot
            } else {
                bindings::tcpv6_prot.rsk_prot
            };
            addr_of_mut!((*request).rsk_ops).write(original);
        }
        return None;
    }
    Some(Answer::Capable(terms))
}

/// Marks `request`, whose SYN-ACK is about to be sent, as one that agrees to `terms`.
///
/// # Safety
///
/// As for [`on_syn_ack`].
pub(crate) unsafe fn mark_capable(request: *mut bindings::request_sock, terms: Terms) {
    // SAFETY: By the function's contract.
    unsafe { mark(request, usize::from(terms.checksum)) };
}

/// Marks `request` as one of a kind.
///
/// # Safety
///
/// As for [`on_syn_ack`].
unsafe fn mark(request: *mut bindings::request_sock, kind: usize) {
    // SAFETY: By the function's contract.
    unsafe {
        let ops = (*request).rsk_ops;
        let family = usize::from((*ops).family != bindings::AF_INET as i32);
        let ours = copy(family, kind);
        if !core::ptr::eq(ops, ours) {
            addr_of_mut!((*request).rsk_ops).write(ours);
        }
    }
}

/// Whether `request` is one to join a connection.
///
/// # Safety
///
/// `request` is live.
pub(crate) unsafe fn is_join(request: *mut bindings::request_sock) -> bool {
    // SAFETY: By the function's contract.
    let ops = unsafe { addr_of!((*request).rsk_ops).read() };
    core::ptr::eq(copy(0, JOIN), ops) || core::ptr::eq(copy(1, JOIN), ops)
}

/// The terms that `request` is marked with, and the sequence number of its SYN-ACK.
///
/// # Safety
///
/// `request` is live.
pub(crate) unsafe fn terms(request: *mut bindings::request_sock) -> Option<(Terms, u32)> {
    // SAFETY: By the function's contract.
    let ops = unsafe { addr_of!((*request).rsk_ops).read() };
    let checksum = (0..4)
        .find(|index| core::ptr::eq(copy(index / 2, index % 2), ops))
        .map(|index| index % 2 == 1)?;
    let terms = Terms {
        checksum,
        no_joins: false,
    };
    // SAFETY: By the function's contract; a TCP request, as only those are marked.
    Some((terms, unsafe { bindings::mptcp_shim_request_isn(request) }))
}
