// SPDX-License-Identifier: GPL-2.0

//! The tables through which TCP calls the address family, with the module in between.
//!
//! Every TCP socket points to a table of functions: IPv4's, IPv6's, or that of IPv4 inside IPv6. A
//! socket of ours points to a copy of its table in which five functions are the module's: they do
//! what MPTCP needs and go on to the original. Nothing global is changed, and a socket that turns
//! out to be plain TCP gets its original table back.
//!
//! C counterpart: `subflow_specific` in net/mptcp/subflow.c.

use crate::bindings;
use crate::connected;
use crate::fast_open;
use crate::handshake;
use crate::join;
use crate::join_listener;
use crate::net;
use crate::options_hook;
use crate::request;
use crate::segment::{
    self,
    Holds, //
};
use crate::skb::{
    Skb,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr,
    Ordering, //
};
use kernel::ffi::c_int;

/// The kernel's table.
type AfOps = bindings::inet_connection_sock_af_ops;
/// How a child is made from its request.
type SynRecvSock = unsafe extern "C" fn(
    *const bindings::sock,
    *mut bindings::sk_buff,
    *mut bindings::request_sock,
    *mut bindings::dst_entry,
    *mut bindings::request_sock,
    *mut bool,
    Option<unsafe extern "C" fn(*mut bindings::sock, *const bindings::sock)>,
) -> *mut bindings::sock;

/// One hooked table and the original it stands for.
///
/// # Invariants
///
/// The copies are written once, before `original` becomes non-null, and read-only from then on.
struct Hooked {
    /// The kernel's table; NULL while the slot is free.
    original: AtomicPtr<AfOps>,
    /// Its copy with our functions, for subflows and listeners.
    table: UnsafeCell<AfOps>,
    /// Its copy for connection sockets, which send nothing themselves.
    connection: UnsafeCell<AfOps>,
}

// SAFETY: By the type invariant the copies are shared only when they are no longer written.
unsafe impl Sync for Hooked {}

impl Hooked {
    /// A free slot.
    const fn new() -> Self {
        Self {
            original: AtomicPtr::new(null_mut()),
            // SAFETY: NULL function pointers and zero lengths are a valid, unused table.
            table: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: As above.
            connection: UnsafeCell::new(unsafe { core::mem::zeroed() }),
        }
    }
}

/// IPv4, IPv6, and IPv4 inside IPv6, in the order in which they were first met.
static TABLES: [Hooked; 3] = [Hooked::new(), Hooked::new(), Hooked::new()];

/// Fills a slot with the copy of `original`, when module init or a first socket meets it.
///
/// # Locking
///
/// Two CPUs may come at the same time: the slot is claimed by a compare-and-swap of a marker, with
/// softirqs off, because a softirq that interrupted the claim would wait for it forever.
fn fill(slot: &Hooked, original: *const AfOps) -> bool {
    // SAFETY: May be called in any context.
    unsafe { bindings::mptcp_shim_local_bh_disable() };
    let filled = fill_claimed(slot, original);
    // SAFETY: Ends what began above.
    unsafe { bindings::mptcp_shim_local_bh_enable() };
    filled
}

/// See [`fill`].
fn fill_claimed(slot: &Hooked, original: *const AfOps) -> bool {
    if slot
        .original
        .compare_exchange(null_mut(), claimed(), Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return false;
    }
    // SAFETY: The claim above makes this context the slot's only user; `original` is a table of
    // the kernel's, which is never freed.
    unsafe {
        let table = slot.table.get();
        core::ptr::copy_nonoverlapping(original, table, 1);
        (*table).queue_xmit = Some(queue_xmit);
        (*table).sk_rx_dst_set = Some(sk_rx_dst_set);
        (*table).conn_request = Some(conn_request);
        (*table).syn_recv_sock = Some(syn_recv_sock);
        let connection = slot.connection.get();
        core::ptr::copy_nonoverlapping(original, connection, 1);
        (*connection).queue_xmit = Some(connected::queue_xmit);
    }
    // INVARIANT: The table is complete and not written again.
    slot.original.store(original.cast_mut(), Ordering::Release);
    true
}

/// The slot of `ops`, an original; `None` when all belong to others, which no kernel has.
fn slot_of(ops: *const AfOps) -> Option<&'static Hooked> {
    for slot in &TABLES {
        loop {
            let original = slot.original.load(Ordering::Acquire);
            if core::ptr::eq(original, ops) || (original.is_null() && fill(slot, ops)) {
                return Some(slot);
            }
            if !original.is_null() && !core::ptr::eq(original, claimed()) {
                break;
            }
            core::hint::spin_loop();
        }
    }
    None
}

/// The table of a connection socket that was cloned from a socket with the table `ops`.
pub(crate) fn of_connection(ops: *const AfOps) -> *const AfOps {
    let ops = original(ops).map_or(ops, core::ptr::from_ref);
    slot_of(ops).map_or(ops, |slot| slot.connection.get().cast_const())
}

/// Marks a slot that another CPU is filling just now.
fn claimed() -> *mut AfOps {
    core::ptr::dangling_mut()
}

/// The original of a hooked table; `None` for a table that is not ours.
#[inline]
fn original(ops: *const AfOps) -> Option<&'static AfOps> {
    for slot in &TABLES {
        if core::ptr::eq(slot.table.get(), ops) {
            // SAFETY: A slot whose table is in use has the kernel's table, which is never freed.
            return unsafe { slot.original.load(Ordering::Relaxed).as_ref() };
        }
    }
    None
}

/// Whether `sk` calls through a table of ours.
#[inline]
pub(crate) fn is_hooked(sk: Sock) -> bool {
    original(sk.af_ops()).is_some()
}

/// Puts the module between TCP and the address family of `sk`.
///
/// # Locking
///
/// None: the table is exchanged only if nobody else has done so meanwhile, as `connect()` does when
/// it finds an IPv4 peer for an IPv6 socket.
pub(crate) fn hook(sk: Sock) {
    let ops = sk.af_ops();
    let is_known = |slot: &&Hooked| core::ptr::eq(slot.original.load(Ordering::Acquire), ops);
    let slot = TABLES.iter().find(is_known).or_else(|| {
        // Either a table of ours, which stays, or one that is met for the first time.
        original(ops).is_none().then(|| slot_of(ops)).flatten()
    });
    if let Some(slot) = slot {
        sk.exchange_af_ops(ops, slot.table.get());
    }
}

/// Gives `sk` its original table back: from here on it is a plain TCP socket.
///
/// # Locking
///
/// The socket is owned.
pub(crate) fn unhook(sk: Sock) {
    if let Some(ops) = original(sk.af_ops()) {
        sk.set_af_ops(ops);
    }
}

/// A segment leaves: TCP's header is complete, the IP header not yet there.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->queue_xmit` with the socket owned.
unsafe extern "C" fn queue_xmit(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
    flow: *mut bindings::flowi,
) -> c_int {
    // SAFETY: TCP passes a live socket and a packet of which it has given up the use.
    let (ssk, packet) = unsafe { (Sock::from_live(sk), Skb::from_live(skb)) };
    let function = original(ssk.af_ops()).and_then(|ops| ops.queue_xmit);
    options_hook::on_transmit(ssk, packet);
    match function {
        // SAFETY: The original function with the arguments that it was meant to get.
        Some(function) => unsafe { function(sk, skb, flow) },
        None => {
            packet.free();
            0
        }
    }
}

/// The SYN-ACK has arrived at the client, or a segment while the socket has no cached route.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->sk_rx_dst_set` with the socket owned.
unsafe extern "C" fn sk_rx_dst_set(sk: *mut bindings::sock, skb: *const bindings::sk_buff) {
    // SAFETY: TCP passes a live socket and the packet it is processing.
    let (ssk, packet) = unsafe { (Sock::from_live(sk), Skb::from_live(skb.cast_mut())) };
    let Some(original) = original(ssk.af_ops()) else {
        return;
    };
    if subflow::of(ssk).is_none() && handshake::is_plain_answer(ssk, packet) {
        // The commonest case there is: a peer that speaks plain TCP.
        handshake::on_plain_answer(ssk);
        ssk.set_af_ops(original);
    } else if !may_cache_route(ssk, packet) {
        return;
    }
    if let Some(function) = original.sk_rx_dst_set {
        // SAFETY: The original function with the arguments that it was meant to get.
        unsafe { function(sk, skb) };
    }
}

/// Looks at what [`sk_rx_dst_set`] has been called with, and says whether TCP may cache the route:
/// until the packet hook has seen whatever TCP gets, TCP comes there with each segment of a subflow,
/// as long as the route is left unset. A segment that both have seen counts once: its DSS only
/// declares, and what else it says is looked at once.
#[inline(never)]
fn may_cache_route(ssk: Sock, packet: Skb) -> bool {
    let Some(subflow) = subflow::of(ssk) else {
        handshake::on_established(ssk, packet);
        return subflow::of(ssk).is_none() || net::sees_incoming(ssk);
    };
    if subflow.is_joined() {
        join::on_syn_ack(ssk, subflow, packet);
    }
    if net::sees_incoming(ssk) {
        return true;
    }
    let mut whole = packet;
    if let Some((header, options)) = whole.incoming() {
        segment::on_segment(ssk, subflow, &header, options, packet, Holds::Subflow);
    }
    false
}

/// A SYN has arrived at a listener.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->conn_request`, in softirq.
unsafe extern "C" fn conn_request(sk: *mut bindings::sock, skb: *mut bindings::sk_buff) -> c_int {
    // SAFETY: TCP passes a live listener and the packet it is processing.
    let (listener, packet) = unsafe { (Sock::from_live(sk), Skb::from_live(skb)) };
    let Some(function) = original(listener.af_ops()).and_then(|ops| ops.conn_request) else {
        return 0;
    };
    // SAFETY: The original function with the packet that it was meant to get, and a TCP listener.
    let answer = |listener: Sock| unsafe { function(listener.as_ptr(), skb) };
    if join_listener::is_ours(listener) {
        return join::while_answering(listener, packet, || answer(listener));
    }
    handshake::while_answering(listener, packet, answer)
}

/// The third ACK has arrived, or a SYN from which TCP takes data: the child is born.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->syn_recv_sock`, in softirq.
unsafe extern "C" fn syn_recv_sock(
    sk: *const bindings::sock,
    skb: *mut bindings::sk_buff,
    request: *mut bindings::request_sock,
    dst: *mut bindings::dst_entry,
    unhash: *mut bindings::request_sock,
    own_request: *mut bool,
    child_init: Option<unsafe extern "C" fn(*mut bindings::sock, *const bindings::sock)>,
) -> *mut bindings::sock {
    // SAFETY: TCP passes a live listener and the packet it is processing.
    let (listener, packet) = unsafe { (Sock::from_live(sk.cast_mut()), Skb::from_live(skb)) };
    let function: SynRecvSock = match original(listener.af_ops()).and_then(|ops| ops.syn_recv_sock)
    {
        Some(function) => function,
        None => return null_mut(),
    };
    // SAFETY: The original function with the arguments that it was meant to get.
    let make = move || unsafe { function(sk, skb, request, dst, unhash, own_request, child_init) };
    if unhash.is_null() && packet.had_flags(SYN) {
        // SAFETY: `request` is the request of the SYN; TCP returns its child live and locked.
        return unsafe { fast_open::on_syn(listener, packet, request, make) };
    }
    // SAFETY: `request` is the request that the packet is for.
    if unsafe { handshake::is_premature(packet, request) } {
        return null_mut();
    }
    let raw = make();
    // SAFETY: The child, when there is one, is live and locked by its creator.
    if let Some(child) = unsafe { Sock::from_raw(raw) } {
        // SAFETY: `own_request` is TCP's local variable.
        let owned = unsafe { *own_request };
        // A child of IPv4 on an IPv6 listener got its table from TCP, all others from the listener.
        unhook(child);
        // SAFETY: `request` is the request that the child was made from.
        if unsafe { request::is_join(request) } {
            if owned {
                // SAFETY: As above.
                let local_isn = unsafe { bindings::mptcp_shim_request_isn(request) };
                join::on_third_ack(child, packet, child.family_of_packets(), local_isn);
            }
        } else if owned {
            // A request that was made of a SYN cookie is in no table.
            let cookie = unhash.is_null();
            // SAFETY: `request` is the request that the child was made from.
            unsafe { handshake::on_third_ack(child, packet, request, cookie) };
        }
    }
    raw
}
