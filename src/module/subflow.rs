// SPDX-License-Identifier: GPL-2.0

//! A subflow: a TCP socket that carries a connection, and what the module keeps beside it.
//!
//! The [`Subflow`] hangs on the socket as its upper layer protocol, so TCP frees it with the socket
//! and `ss -ti` can show it. It is freed after a grace period, because the packet hooks look at it
//! without a lock.
//!
//! C counterpart: net/mptcp/subflow.c.

use crate::af_ops;
use crate::bindings;
use crate::connection::Connection;
use crate::handshake::Agreement;
use crate::net;
use crate::rx;
use crate::skb::Header;
use crate::sock::Sock;
use crate::transmit_map::TransmitMap;
use core::cell::UnsafeCell;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU8,
    Ordering, //
};
use kernel::prelude::*;
use mptcp_proto::fallback::{
    decide,
    Event,
    Origin,
    Reaction,
    Situation, //
};
use mptcp_proto::handshake::Client;
use mptcp_proto::mapping::{
    Mapping,
    Table, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// A callback of `struct sock`.
type Callback = Option<unsafe extern "C" fn(*mut bindings::sock)>;
/// Storage of the receive mappings: bulk data needs one or two entries.
pub(crate) type ReceiveMap = Table<Mappings>;

/// Receive mappings that a subflow starts with.
const RECEIVE_MAPPINGS: usize = 8;
/// Bytes that MPTCP options take on every data segment: the longest DSS.
const OPTION_SPACE: u16 = 28;

/// What a reset of the subflow tells the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ResetOption {
    /// Nothing: the subflow broke, or the reset is TCP's own.
    None = 0,
    /// MP_FASTCLOSE: the whole connection ends.
    Fastclose = 1,
}

/// What belongs to one subflow.
#[repr(C)]
pub(crate) struct Subflow {
    /// For the grace period before the memory is freed; first, so that its address is ours.
    rcu: bindings::callback_head,
    /// The connection socket; the subflow owns a reference.
    msk: Sock,
    /// The connection, alive as long as `msk`.
    connection: NonNull<Connection>,
    /// Our initial sequence number: relative sequence numbers count from here.
    local_isn: u32,
    /// The peer's.
    peer_isn: u32,
    /// Whether the peer has shown that it received our keys.
    proven: AtomicBool,
    /// What to put on a reset, a [`ResetOption`].
    reset: AtomicU8,
    /// The client's handshake; under the subflow's ownership.
    client: UnsafeCell<Option<Client>>,
    /// Which data each byte sent carries; under the subflow's ownership.
    transmit: UnsafeCell<TransmitMap>,
    /// Which data each byte received carries; under the connection's data lock.
    receive: UnsafeCell<ReceiveMap>,
    /// TCP's callbacks, which ours replaced.
    data_ready: Callback,
    /// See `data_ready`.
    write_space: Callback,
    /// See `data_ready`.
    state_change: Callback,
    /// See `data_ready`.
    error_report: Callback,
}

/// The upper layer protocol that marks a subflow.
static mut ULP: bindings::tcp_ulp_ops = {
    // SAFETY: NULL callbacks are skipped by TCP.
    let mut ops: bindings::tcp_ulp_ops = unsafe { core::mem::zeroed() };
    ops.init = Some(refuse);
    ops.release = Some(release);
    let name = b"mptcp_rs";
    let mut index = 0;
    while index < name.len() {
        // CAST: ASCII.
        ops.name[index] = name[index] as kernel::ffi::c_char;
        index += 1;
    }
    ops
};

/// The address of [`ULP`].
fn ulp() -> *mut bindings::tcp_ulp_ops {
    addr_of_mut!(ULP)
}

/// The subflow state of `sk`; `None` when it is not a subflow of ours.
///
/// # Context
///
/// The result lives until the end of the RCU read-side section, or while the socket is owned.
#[inline]
pub(crate) fn of<'a>(sk: Sock) -> Option<&'a Subflow> {
    if !core::ptr::eq(sk.ulp_ops(), ulp()) {
        return None;
    }
    // SAFETY: With our table in place the data is our `Subflow`, freed only after a grace period
    // that begins when the socket is destroyed.
    unsafe { sk.ulp_data().cast::<Subflow>().as_ref() }
}

/// Turns `ssk` into the first subflow of a new connection.
///
/// # Errors
///
/// `ENOMEM`, or `EEXIST` when the token is in use: the socket stays plain TCP.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
pub(crate) fn attach(ssk: Sock, agreement: &Agreement, header: &Header) -> Result {
    let mut receive = ReceiveMap::new(storage(RECEIVE_MAPPINGS)?);
    let transmit = TransmitMap::new()?;
    let connection = Connection::create(ssk, agreement, header)?;
    let msk = connection.msk();
    if let Some(mapping) = agreement.first_mapping(connection.peer_idsn()) {
        let _ = receive.insert(mapping);
    }
    // SAFETY: Plain reads of the callbacks of a live, owned socket; zeroes are a valid RCU head.
    let subflow = unsafe {
        let raw = ssk.as_ptr();
        Subflow {
            rcu: core::mem::zeroed(),
            msk,
            connection: NonNull::from(connection),
            local_isn: agreement.local_isn,
            peer_isn: agreement.peer_isn,
            proven: AtomicBool::new(agreement.client.is_none()),
            reset: AtomicU8::new(ResetOption::None as u8),
            client: UnsafeCell::new(agreement.client),
            transmit: UnsafeCell::new(transmit),
            receive: UnsafeCell::new(receive),
            data_ready: (*raw).sk_data_ready,
            write_space: (*raw).sk_write_space,
            state_change: (*raw).sk_state_change,
            error_report: (*raw).sk_error_report,
        }
    };
    let Ok(subflow) = KBox::new(subflow, GFP_ATOMIC) else {
        connection.abandon();
        return Err(ENOMEM);
    };
    // The reference that `release` gives back.
    msk.hold();
    // SAFETY: The module is running, so its count may rise; TCP gives it back with the protocol.
    unsafe { bindings::mptcp_shim_module_get() };
    net::on_subflow_begin(ssk);
    ssk.set_ulp(ulp(), KBox::into_raw(subflow).cast());
    af_ops::hook(ssk);
    // SAFETY: The socket is owned; its fields are changed as their users expect.
    unsafe {
        let raw = ssk.as_ptr();
        (*raw).sk_data_ready = Some(data_ready);
        (*raw).sk_write_space = Some(write_space);
        (*raw).sk_state_change = Some(state_change);
        (*raw).sk_error_report = Some(error_report);
        // What has come was taken off the queue before TCP thinks of an answer. That must not look
        // like an application that has read it and gives room: the answer waits for the reader.
        (*raw).sk_rcvlowat = 0;
        bindings::mptcp_shim_keep_a_page(raw);
        if !net::sees_incoming(ssk) {
            bindings::mptcp_shim_forget_rx_dst(raw);
        }
        // The segments must leave room for the options; the next look at the MTU sees it.
        (*ssk.icsk()).icsk_ext_hdr_len += OPTION_SPACE;
        (*ssk.icsk()).icsk_pmtu_cookie = 0;
        // What limits the peer is the connection's window, not the subflow's.
        let limit = bindings::mptcp_shim_sysctl_rmem_max(raw);
        if (*raw).sk_rcvbuf < limit as i32 {
            (*raw).sk_rcvbuf = limit as i32;
        }
    }
    Ok(())
}

/// Storage for `len` mappings, from any context.
pub(crate) fn storage(len: usize) -> Result<Mappings> {
    let empty = Mapping::new(SubflowSeq::new(0), DataSeq::new(0), 0);
    Ok(Mappings(KVec::from_elem(empty, len, GFP_ATOMIC)?))
}

/// Storage for the protocol's tables.
pub(crate) struct Mappings(KVec<Mapping>);

impl AsRef<[Mapping]> for Mappings {
    #[inline]
    fn as_ref(&self) -> &[Mapping] {
        &self.0
    }
}

impl AsMut<[Mapping]> for Mappings {
    #[inline]
    fn as_mut(&mut self) -> &mut [Mapping] {
        &mut self.0
    }
}

impl Subflow {
    /// The connection that the subflow carries.
    #[inline]
    pub(crate) fn connection(&self) -> &Connection {
        // SAFETY: The connection lives as long as `msk`, of which this subflow owns a reference.
        unsafe { self.connection.as_ref() }
    }

    /// Sequence number on the wire to relative one, in the direction we send.
    #[inline]
    pub(crate) fn local_ssn(&self, seq: u32) -> SubflowSeq {
        SubflowSeq::new(seq.wrapping_sub(self.local_isn))
    }

    /// Sequence number on the wire to relative one, in the direction we receive.
    #[inline]
    pub(crate) fn peer_ssn(&self, seq: u32) -> SubflowSeq {
        SubflowSeq::new(seq.wrapping_sub(self.peer_isn))
    }

    /// Whether the peer has shown that it received our keys.
    #[inline]
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// The peer has sent a DSS option.
    #[inline]
    pub(crate) fn prove(&self) {
        if !self.is_proven() {
            self.proven.store(true, Ordering::Relaxed);
        }
    }

    /// Asks the fallback table what `event` leads to; `true` when that is a fallback, which has then
    /// happened.
    ///
    /// RFC 8684, Section 3.7.
    pub(crate) fn falls_back(&self, event: Event) -> bool {
        let connection = self.connection();
        let reaction = decide(
            event,
            Situation {
                origin: Origin::Initial,
                proven: self.is_proven(),
                other_subflows: false,
                contiguous: true,
                checksum: connection.uses_checksum(),
                fallen_back: connection.has_fallen_back(),
            },
        );
        let falls = matches!(
            reaction,
            Reaction::FallBackToTcp | Reaction::FallBackWithInfiniteMapping
        );
        if falls {
            connection.fall_back();
        }
        falls
    }

    /// What to put on a reset.
    pub(crate) fn reset_option(&self) -> ResetOption {
        if self.reset.load(Ordering::Relaxed) == ResetOption::Fastclose as u8 {
            ResetOption::Fastclose
        } else {
            ResetOption::None
        }
    }

    /// Chooses what the next reset carries.
    pub(crate) fn set_reset_option(&self, option: ResetOption) {
        self.reset.store(option as u8, Ordering::Relaxed);
    }

    /// The client's handshake.
    ///
    /// # Safety
    ///
    /// The subflow is owned, and no other reference to the handshake is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn client(&self) -> &mut Option<Client> {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.client.get() }
    }

    /// Which data each byte sent carries.
    ///
    /// # Safety
    ///
    /// The subflow is owned, and no other reference to the map is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn transmit(&self) -> &mut TransmitMap {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.transmit.get() }
    }

    /// Which data each byte received carries.
    ///
    /// # Safety
    ///
    /// The connection's data lock is held, and no other reference to the map is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn receive(&self) -> &mut ReceiveMap {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.receive.get() }
    }
}

/// `setsockopt(TCP_ULP, "mptcp_rs")`: the module alone decides what is a subflow.
///
/// # Safety
///
/// Called by TCP.
unsafe extern "C" fn refuse(_sk: *mut bindings::sock) -> kernel::ffi::c_int {
    EOPNOTSUPP.to_errno()
}

/// TCP destroys the subflow's socket.
///
/// # Safety
///
/// Called by TCP once, with a socket whose protocol we are.
unsafe extern "C" fn release(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    let Some(ssk) = (unsafe { Sock::from_raw(sk) }) else {
        return;
    };
    let Some(subflow) = of(ssk) else {
        return;
    };
    af_ops::unhook(ssk);
    // SAFETY: The socket is dead, nobody else uses its callbacks.
    unsafe {
        (*sk).sk_data_ready = subflow.data_ready;
        (*sk).sk_write_space = subflow.write_space;
        (*sk).sk_state_change = subflow.state_change;
        (*sk).sk_error_report = subflow.error_report;
    }
    net::on_subflow_end(ssk);
    subflow.connection().on_subflow_gone(ssk);
    // SAFETY: `rcu` is the first field of the subflow, whose last user is the callback.
    unsafe {
        bindings::mptcp_shim_call_rcu(ssk.ulp_data().cast(), Some(free));
        (*ssk.icsk()).icsk_ulp_data = core::ptr::null_mut();
    }
}

/// The grace period is over: nobody looks at the subflow any more.
///
/// # Safety
///
/// Called by RCU with the `rcu` field of a [`Subflow`] from `KBox::into_raw`.
unsafe extern "C" fn free(head: *mut bindings::callback_head) {
    // SAFETY: By the function's contract. CAST: `rcu` is the first field of the C layout.
    let subflow = unsafe { KBox::from_raw(head.cast::<Subflow>()) };
    let msk = subflow.msk;
    drop(subflow);
    msk.put();
}

/// Runs `event` for a callback of TCP and hands it the subflow.
///
/// # Safety
///
/// Called by TCP with a live socket that is owned.
#[inline]
unsafe fn on_event(sk: *mut bindings::sock, event: impl FnOnce(Sock, &Subflow)) {
    // SAFETY: By the function's contract.
    if let Some(ssk) = unsafe { Sock::from_raw(sk) } {
        if let Some(subflow) = of(ssk) {
            event(ssk, subflow);
        }
    }
}

/// Data has arrived on the subflow.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn data_ready(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe { on_event(sk, rx::take_from_subflow) };
}

/// The subflow has room to write again.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn write_space(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe { on_event(sk, |_, subflow| subflow.connection().on_subflow_room()) };
}

/// The subflow's TCP state has changed.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn state_change(sk: *mut bindings::sock) {
    // SAFETY: Passed on; the saved callback is the socket's own.
    unsafe {
        on_event(sk, |ssk, subflow| {
            if let Some(function) = subflow.state_change {
                function(ssk.as_ptr());
            }
            rx::take_from_subflow(ssk, subflow);
            subflow.connection().on_subflow_state(ssk);
        });
    }
}

/// An error has hit the subflow.
///
/// # Safety
///
/// As for [`on_event`].
unsafe extern "C" fn error_report(sk: *mut bindings::sock) {
    // SAFETY: Passed on.
    unsafe {
        on_event(sk, |ssk, subflow| {
            subflow.connection().on_subflow_state(ssk)
        })
    };
}

/// The name of the protocol, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Registers the upper layer protocol.
    ///
    /// # Errors
    ///
    /// `EEXIST` when another module has its name.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init is the only writer and runs once.
        unsafe {
            (*ulp()).owner = bindings::mptcp_shim_this_module();
            kernel::error::to_result(bindings::tcp_register_ulp(ulp()))?;
        }
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`; no socket uses it, or the module could not unload. The
        // callbacks of `call_rcu` must have run before the code goes away.
        unsafe {
            bindings::tcp_unregister_ulp(ulp());
            bindings::rcu_barrier();
        }
    }
}
