// SPDX-License-Identifier: GPL-2.0

//! Sockets that a SYN with data has made: a listener's side of TCP Fast Open.
//!
//! TCP makes such a socket before the client's third ACK, and the application may accept it and read.
//! Whether it becomes a connection is known when the ACK comes, with or without both keys. Until then it
//! is TCP's, with [`Waiting`] beside it:
//!
//! ```text
//!   SYN, cookie, data ──► child in SYN_RECV; its SYN-ACK has MP_CAPABLE
//!                           │  reads: what the SYN has brought; writes wait, as in-tree's do
//!   packet hook: the ACK ──►│  keeps the keys
//!   TCP takes the ACK ─────►│
//!                           ├─ keys: a connection; what nobody has read is handed on to it
//!                           └─ none: plain TCP
//! ```
//!
//! The packet hook has to be there before the ACK comes. Where it is not, TCP takes nothing from the SYN,
//! the client sends the data again behind the handshake, and the hook stays from then on, as long as there
//! are listeners.
//!
//! RFC 8684, Appendix B. C counterpart: net/mptcp/fastopen.c.

use crate::af_ops;
use crate::attach;
use crate::bindings;
use crate::counters::{
    count,
    Counter, //
};
use crate::handshake::Agreement;
use crate::join::Fate;
use crate::net;
use crate::request;
use crate::skb::{
    Header,
    Skb,
    ACK,
    FIN,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::Callback;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::prelude::*;
use mptcp_proto::handshake::{
    judge_early_segment,
    EarlySegment,
    Server,
    Terms, //
};
use mptcp_proto::ids::Key;

/// Marks a pointer to [`Waiting`]: none to a subflow is odd.
const TAG: usize = 1;
/// A flag of [`Waiting::said`]: the segment with the keys maps data.
const HAS_DATA: u8 = 1;
/// The mapping has a checksum.
const HAS_CHECKSUM: u8 = 2;
/// The client refuses further subflows to its address and port.
const NO_JOINS: u8 = 4;

/// What is kept of a handshake under way beside a socket that exists already.
#[repr(C)]
pub(crate) struct Waiting {
    /// For the grace period before the memory is freed; first, so that its address is ours.
    rcu: bindings::callback_head,
    /// What the SYN-ACK has agreed to.
    terms: Terms,
    /// TCP's callback, which ours replaced.
    state_change: Callback,
    /// Our key, which came back with it.
    local_key: AtomicU64,
    /// The client's key; 0 until it has come. Written last.
    peer_key: AtomicU64,
    /// What came with it, two bytes each: the window, the length of the first mapping, its checksum, flags.
    said: AtomicU64,
}

/// The upper layer protocol that marks such a socket.
static mut ULP: bindings::tcp_ulp_ops = {
    let mut ops = attach::named_ulp();
    ops.release = Some(release);
    ops
};

/// The address of [`ULP`].
fn ulp() -> *mut bindings::tcp_ulp_ops {
    addr_of_mut!(ULP)
}

/// Prepares the protocol, which nobody can ask for by its name.
///
/// # Safety
///
/// Called once, by module init, before any hook is registered.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's contract nobody else uses it.
    unsafe { (*ulp()).owner = bindings::mptcp_shim_this_module() };
}

/// What is kept beside a socket that waits for the keys; `None` when it does not.
///
/// # Context
///
/// The result lives until the end of the RCU read-side section, or while the socket is owned.
#[inline]
fn of<'a>(sk: Sock) -> Option<&'a Waiting> {
    if !core::ptr::eq(sk.ulp_ops(), ulp()) {
        return None;
    }
    let data = sk.ulp_data();
    if data.addr() & TAG == 0 {
        // The socket has just become a subflow, or plain TCP.
        return None;
    }
    // SAFETY: With the tag it is what `begin` has put there, freed only after a grace period that begins
    // when it is taken away.
    unsafe { data.map_addr(|addr| addr & !TAG).cast::<Waiting>().as_ref() }
}

/// Whether a socket waits for the keys of its client: it can be read, but not written.
#[inline]
pub(crate) fn waits(sk: Sock) -> bool {
    sk.state() == bindings::TCP_SYN_RECV && core::ptr::eq(sk.ulp_ops(), ulp())
}

/// A SYN has come from which TCP is about to take data; `make` lets it make the child. NULL refuses the
/// data, and the handshake goes on as without.
///
/// # Safety
///
/// `request` is the request of the SYN, and `make` returns NULL or its child, live and locked.
///
/// # Context
///
/// Softirq, while the SYN is being answered.
#[cold]
pub(crate) unsafe fn on_syn(
    listener: Sock,
    mut packet: Skb,
    request: *mut bindings::request_sock,
    make: impl FnOnce() -> *mut bindings::sock,
) -> *mut bindings::sock {
    let has_fin = packet
        .incoming()
        .is_none_or(|(header, _)| header.flags & FIN != 0);
    let terms = request::pending_terms().filter(|_| !has_fin);
    let mut waiting = None;
    if let Some(terms) = terms {
        if !net::sees_incoming(listener) {
            net::on_fast_open(listener.net());
            return core::ptr::null_mut();
        }
        let Ok(memory) = KBox::new(Waiting::new(terms), GFP_ATOMIC) else {
            return core::ptr::null_mut();
        };
        waiting = Some((memory, terms));
    }
    let raw = make();
    // SAFETY: By the function's contract.
    if let Some(child) = unsafe { Sock::from_raw(raw) } {
        match waiting {
            Some((waiting, terms)) if child.ulp_ops().is_null() => {
                begin(child, waiting);
                // SAFETY: By the function's contract; the SYN-ACK is not sent yet.
                unsafe { request::mark_capable(request, terms) };
            }
            _ => af_ops::unhook(child),
        }
    }
    raw
}

impl Waiting {
    /// Nothing has come yet.
    fn new(terms: Terms) -> Self {
        Self {
            // SAFETY: Zeroes are a valid RCU head.
            rcu: unsafe { core::mem::zeroed() },
            terms,
            state_change: None,
            local_key: AtomicU64::new(0),
            peer_key: AtomicU64::new(0),
            said: AtomicU64::new(0),
        }
    }

    /// Keeps what the client has said. The last segment counts that has the keys and maps data.
    fn keep(&self, window: u16, keys: [Key; 2], first_data: Option<(u16, Option<u16>)>, flags: u8) {
        if first_data.is_none() && self.peer_key.load(Ordering::Relaxed) != 0 {
            return;
        }
        let (len, checksum) = first_data.unwrap_or((0, None));
        let [a, b] = window.to_le_bytes();
        let [c, d] = len.to_le_bytes();
        let [e, f] = checksum.unwrap_or(0).to_le_bytes();
        let has_data = first_data.map_or(0, |_| HAS_DATA);
        let has_checksum = checksum.map_or(0, |_| HAS_CHECKSUM);
        let flags = flags | has_data | has_checksum;
        let [local_key, peer_key] = keys;
        let said = u64::from_le_bytes([a, b, c, d, e, f, flags, 0]);
        self.said.store(said, Ordering::Relaxed);
        self.local_key.store(local_key.get(), Ordering::Relaxed);
        self.peer_key.store(peer_key.get(), Ordering::Release);
    }

    /// What has been agreed on, and the window of the client, once the keys have come.
    fn agreement(&self, ssk: Sock) -> Option<(Agreement, u16)> {
        let peer_key = Key::new(self.peer_key.load(Ordering::Acquire))?;
        let local_key = Key::new(self.local_key.load(Ordering::Relaxed))?;
        let [a, b, c, d, e, f, flags, _] = self.said.load(Ordering::Relaxed).to_le_bytes();
        let checksum = (flags & HAS_CHECKSUM != 0).then(|| u16::from_le_bytes([e, f]));
        let first_data = (flags & HAS_DATA != 0).then(|| (u16::from_le_bytes([c, d]), checksum));
        let agreement = Agreement {
            local_key,
            peer_key,
            checksum: self.terms.checksum,
            no_joins: flags & NO_JOINS != 0,
            client: None,
            local_isn: local_isn(ssk),
            // Behind what the SYN has brought.
            peer_isn: ssk.rcv_nxt().wrapping_sub(1),
            first_data,
        };
        Some((agreement, u16::from_le_bytes([a, b])))
    }
}

/// The initial sequence number of a socket that has sent nothing but its SYN-ACK.
fn local_isn(ssk: Sock) -> u32 {
    ssk.write_seq().wrapping_sub(1)
}

/// A child waits from now on.
///
/// # Locking
///
/// `child` is locked and not yet known to anybody else.
fn begin(child: Sock, mut waiting: KBox<Waiting>) {
    // SAFETY: A plain read of a live socket.
    waiting.state_change = unsafe { (*child.as_ptr()).sk_state_change };
    let data = KBox::into_raw(waiting).cast::<core::ffi::c_void>();
    // SAFETY: The module is running, so its count may rise; `end`, or TCP, gives it back with the protocol.
    unsafe { bindings::mptcp_shim_module_get() };
    net::on_subflow_begin(child);
    child.set_ulp(ulp(), data.map_addr(|addr| addr | TAG));
    af_ops::hook(child);
    // SAFETY: The socket is locked; its field is changed as its users expect.
    unsafe { (*child.as_ptr()).sk_state_change = Some(state_change) };
}

/// The socket waits no more: TCP's callback is back in its place, and nothing of ours beside it.
///
/// # Locking
///
/// `ssk` is owned.
fn end(ssk: Sock, waiting: &Waiting) {
    // SAFETY: The socket is owned; its field is changed as its users expect.
    unsafe { (*ssk.as_ptr()).sk_state_change = waiting.state_change };
    ssk.clear_ulp();
    free(ssk, waiting);
    // SAFETY: Gives back what `begin` took; the callers' code is held by other references.
    unsafe { bindings::mptcp_shim_module_put() };
}

/// Frees what was kept beside a socket, after a grace period.
fn free(ssk: Sock, waiting: &Waiting) {
    net::on_subflow_end(ssk);
    let head = core::ptr::from_ref(&waiting.rcu).cast_mut();
    // SAFETY: `rcu` is the first field of memory from `KBox::into_raw`, whose last user is the callback.
    unsafe { bindings::mptcp_shim_call_rcu(head, Some(free_now)) };
}

/// The grace period is over: nobody looks at it any more.
///
/// # Safety
///
/// Called by RCU with the `rcu` field of a [`Waiting`] from `KBox::into_raw`.
unsafe extern "C" fn free_now(head: *mut bindings::callback_head) {
    // SAFETY: By the function's contract. CAST: `rcu` is the first field of the C layout.
    drop(unsafe { KBox::from_raw(head.cast::<Waiting>()) });
}

/// Makes a socket that waits, if it still does, plain TCP: its application does not wait for the keys.
///
/// # Context
///
/// Process; `sk` is not owned.
#[cold]
pub(crate) fn give_up(sk: Sock) {
    sk.lock(false);
    if let Some(waiting) = of(sk) {
        end(sk, waiting);
        af_ops::unhook(sk);
    }
    sk.release();
}

/// The option of the SYN-ACK of a socket that waits.
///
/// # Safety
///
/// `sk` is a full socket that sends a packet, and keeps it alive.
pub(crate) unsafe fn syn_ack_terms(sk: *mut bindings::sock) -> Option<Terms> {
    // SAFETY: By the function's contract. Another protocol's socket may be in a state of that number.
    let ssk = unsafe {
        if u32::from((*sk).sk_protocol) != bindings::IPPROTO_TCP {
            return None;
        }
        Sock::from_raw(sk)
    }?;
    of(ssk).map(|waiting| waiting.terms)
}

/// A segment has arrived for a TCP socket that is no subflow; TCP has not looked at it yet.
///
/// # Context
///
/// Softirq, inside an RCU read-side section.
#[inline]
pub(crate) fn on_segment(ssk: Sock, packet: Skb) -> Fate {
    if waits(ssk) {
        on_early_segment(ssk, packet)
    } else {
        Fate::Pass
    }
}

/// See [`on_segment`]; the socket waits.
#[cold]
fn on_early_segment(ssk: Sock, packet: Skb) -> Fate {
    let mut whole = packet;
    let (Some(waiting), Some((header, options))) = (of(ssk), whole.incoming()) else {
        return Fate::Pass;
    };
    // Anything else TCP drops by itself.
    let acks = header.flags & (SYN | ACK | RST) == ACK && header.ack_seq == ssk.write_seq();
    let in_window = header.seq.wrapping_sub(ssk.rcv_nxt()) <= ssk.rcv_wnd();
    if !acks || !in_window || !packet.checksum_ok(ssk.family_of_packets()) {
        return Fate::Pass;
    }
    let ports = (u32::from(header.source) << 16) | u32::from(header.destination);
    let local_key = request::secret().key(packet.addresses(), ports, local_isn(ssk));
    let is_next = header.payload > 0 && header.seq == ssk.rcv_nxt();
    match judge_early_segment(Server::new(waiting.terms, local_key), options, is_next) {
        EarlySegment::Keys {
            peer_key,
            first_data,
            no_joins,
        } => {
            let flags = if no_joins { NO_JOINS } else { 0 };
            waiting.keep(header.window, [local_key, peer_key], first_data, flags);
            Fate::Pass
        }
        // The client's TCP sends it again.
        EarlySegment::Premature => Fate::Drop,
        EarlySegment::Plain => Fate::Pass,
    }
}

/// The TCP state of a socket that waits has changed: the third ACK has come, or it is over.
///
/// # Safety
///
/// Called by TCP with a live socket that is owned.
unsafe extern "C" fn state_change(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    let Some(ssk) = (unsafe { Sock::from_raw(sk) }) else {
        return;
    };
    let Some(waiting) = of(ssk) else {
        return;
    };
    let original = waiting.state_change;
    if ssk.state() != bindings::TCP_SYN_RECV {
        settle(ssk, waiting);
    }
    if let Some(function) = original {
        // SAFETY: TCP's own callback with the socket.
        unsafe { function(sk) };
    }
}

/// Makes a socket that need not wait any more a subflow or plain TCP.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
fn settle(ssk: Sock, waiting: &Waiting) {
    let is_established = ssk.state() == bindings::TCP_ESTABLISHED;
    // A program that has called shutdown() meanwhile gets the FIN that TCP is about to send.
    let may_go_on = is_established && ssk.shutdown_mask() == 0;
    let agreement = waiting.agreement(ssk).filter(|_| may_go_on);
    end(ssk, waiting);
    if let Some((agreement, window)) = agreement {
        count(ssk.net(), Counter::MPCapableACKRX);
        let header = Header::with_window(window);
        if attach::attach_first(ssk, &agreement, &header).is_ok() {
            return;
        }
    } else if is_established {
        count(ssk.net(), Counter::MPCapableFallbackACK);
    }
    af_ops::unhook(ssk);
}

/// TCP destroys a socket that waits.
///
/// # Safety
///
/// Called by TCP once, with a socket whose protocol we are; it gives back the reference on the module.
unsafe extern "C" fn release(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    let Some(ssk) = (unsafe { Sock::from_raw(sk) }) else {
        return;
    };
    if let Some(waiting) = of(ssk) {
        af_ops::unhook(ssk);
        // SAFETY: The socket is dead, nobody else uses its fields.
        unsafe {
            (*sk).sk_state_change = waiting.state_change;
            (*ssk.icsk()).icsk_ulp_data = core::ptr::null_mut();
        }
        free(ssk, waiting);
    }
}
