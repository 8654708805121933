// SPDX-License-Identifier: GPL-2.0

//! Request sockets, marked as ours by the operations table that they point to.
//!
//! `struct request_sock` has no room for us and its size is not ours to choose. It does point to a
//! table of operations, so a request whose SYN asked for MPTCP gets a copy of that table: the same
//! functions at another address. There is one copy for each address family and each set of terms.

use crate::bindings;
use crate::crypto::ServerSecret;
use core::cell::UnsafeCell;
use core::ptr::{
    addr_of,
    addr_of_mut, //
};
use mptcp_proto::handshake::Terms;

/// The kernel's table.
type Operations = bindings::request_sock_ops;

/// Counted repetitions from which a SYN-ACK goes without the option, which a middlebox may drop it
/// for: TCP counts after sending, so the first two carry it, as with SYNs.
const ATTEMPTS: u8 = 1;

/// What module init makes and everybody reads.
struct Tables {
    /// By address family (IPv4, IPv6), then by terms.
    copies: UnsafeCell<[[Operations; 2]; 2]>,
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
            for terms in 0..2 {
                core::ptr::copy_nonoverlapping(original, copy(index, terms), 1);
            }
        }
        *TABLES.secret.get() = Some(ServerSecret::new());
    }
}

/// The address of one copy.
fn copy(family: usize, terms: usize) -> *mut Operations {
    // CAST: The array of arrays as its elements, row by row.
    TABLES
        .copies
        .get()
        .cast::<Operations>()
        .wrapping_add((family % 2) * 2 + terms % 2)
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

/// Runs `answer` while a SYN-ACK sent on this CPU is known to answer a SYN that asked for `terms`.
///
/// # Context
///
/// Softirq: the CPU does not change meanwhile.
pub(crate) fn with_pending(terms: Terms, answer: impl FnOnce() -> i32) -> i32 {
    // SAFETY: Writes this CPU's own variable.
    unsafe { bindings::mptcp_shim_set_pending_terms(1 + u8::from(terms.checksum)) };
    let result = answer();
    // SAFETY: As above.
    unsafe { bindings::mptcp_shim_set_pending_terms(0) };
    result
}

/// The terms under which a SYN-ACK for `request` goes out; the first one marks the request, the
/// third one takes the mark away.
///
/// # Safety
///
/// `request` is live, and nobody else uses it at the same time: it is sending its SYN-ACK.
pub(crate) unsafe fn on_syn_ack(request: *mut bindings::request_sock) -> Option<Terms> {
    // SAFETY: Reads this CPU's own variable.
    let pending = unsafe { bindings::mptcp_shim_pending_terms() };
    if let Some(index) = pending.checked_sub(1) {
        // SAFETY: By the function's contract.
        unsafe {
            let ops = (*request).rsk_ops;
            let family = usize::from((*ops).family != bindings::AF_INET as i32);
            let ours = copy(family, usize::from(index));
            if !core::ptr::eq(ops, ours) {
                addr_of_mut!((*request).rsk_ops).write(ours);
            }
        }
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
    Some(terms)
}

/// The terms that `request` is marked with, and the sequence number of its SYN-ACK.
///
/// # Safety
///
/// `request` is live.
pub(crate) unsafe fn terms(request: *mut bindings::request_sock) -> Option<(Terms, u32)> {
    // SAFETY: By the function's contract.
    let ops = unsafe { addr_of!((*request).rsk_ops).read() };
    let index = (0..4).find(|index| core::ptr::eq(copy(index / 2, index % 2), ops))?;
    let terms = Terms {
        checksum: index % 2 == 1,
        no_joins: false,
    };
    // SAFETY: By the function's contract; a TCP request, as only those are marked.
    Some((terms, unsafe { bindings::mptcp_shim_request_isn(request) }))
}
