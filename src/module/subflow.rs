// SPDX-License-Identifier: GPL-2.0

//! A subflow: a TCP socket that carries a connection, and what the module keeps beside it.
//!
//! The [`Subflow`] hangs on the socket as its upper layer protocol, so TCP frees it with the socket
//! and `ss -ti` can show it. It is freed after a grace period, because the packet hooks look at it
//! without a lock.
//!
//! C counterpart: net/mptcp/subflow.c.

use crate::attach;
use crate::bindings;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::reset::{
    ResetOption,
    Resets, //
};
use crate::sock::Sock;
use crate::storage::{
    storage,
    Checks,
    ReceiveMap, //
};
use crate::trace;
use crate::transmit_map::TransmitMap;
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicBool,
    AtomicI32,
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use mptcp_proto::fallback::{
    decide,
    Event,
    Origin,
    Reaction,
    Situation, //
};
use mptcp_proto::handshake::{
    Client,
    JoinClient, //
};
use mptcp_proto::ids::AddressId;
use mptcp_proto::options::brevity::Brevity;
use mptcp_proto::options::{
    AddAddr,
    MpPrio,
    MpTcprst, //
};
use mptcp_proto::path_manager::{
    AddressIds,
    Backup,
    SubflowId, //
};
use mptcp_proto::scheduler::{
    DeliveryRate,
    Penalty, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// A callback of `struct sock`.
pub(crate) type Callback = Option<unsafe extern "C" fn(*mut bindings::sock)>;

/// Receive mappings that a subflow starts with.
const RECEIVE_MAPPINGS: usize = 8;

/// What is said once, on the next segment without data.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    /// ADD_ADDR, or its echo.
    AddAddr(AddAddr),
    /// REMOVE_ADDR.
    RemoveAddr(AddressIds),
    /// MP_PRIO.
    Prio(MpPrio),
}

/// How a subflow came to its connection, and what is left to be done for it.
#[derive(Clone, Copy)]
pub(crate) enum Handshake {
    /// With MP_CAPABLE, as the server.
    Accepted,
    /// With MP_CAPABLE, as the client, which repeats it until the server has shown that it got it.
    Opened(Client),
    /// With MP_JOIN from the peer; the third ACK is to be answered.
    Joined,
    /// With our MP_JOIN, which is repeated until the peer has answered.
    Joining {
        /// What has been agreed on so far.
        client: JoinClient,
        /// The ID of our address.
        id: AddressId,
    },
}

/// Who closes the socket of a subflow that has joined through the namespace's listener.
pub(crate) mod hold {
    /// The connection, as all others.
    pub(crate) const CONNECTION: u8 = 0;
    /// Nobody yet: the socket waits in the listener's queue, which has a hold of its own.
    pub(crate) const QUEUE: u8 = 1;
    /// Whoever takes it off the queue: the connection has let go of it.
    pub(crate) const DOOMED: u8 = 2;
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
    /// What the path manager calls it.
    id: SubflowId,
    /// Whether it is a join of the peer.
    accepted: bool,
    /// Our initial sequence number: relative sequence numbers count from here.
    local_isn: AtomicU32,
    /// The peer's.
    peer_isn: AtomicU32,
    /// Whether the peer has shown that it received our keys, or our MP_JOIN.
    proven: AtomicBool,
    /// Whether we have asked the peer to use it only as a backup.
    local_backup: AtomicBool,
    /// Whether the peer has asked us.
    peer_backup: AtomicBool,
    /// What we call our address.
    local_id: AtomicU8,
    /// What the peer calls its address.
    peer_id: AtomicU8,
    /// Whether it makes no progress.
    stale: AtomicBool,
    /// Whether others have got its data since it stopped making progress.
    relieved: AtomicBool,
    /// Whether it cannot be used: the worker resets it.
    failed: AtomicBool,
    /// The error that TCP has ended with, which a call of ours may since have taken from the socket; 0 for none.
    error: AtomicI32,
    /// Whether the path manager waits for a sign of life.
    probing: AtomicBool,
    /// One of [`hold`].
    held_by: AtomicU8,
    /// Whether a mapping came with a checksum that was not agreed on, or without one that was.
    misdeclared: AtomicBool,
    /// Whether data was acknowledged without a Data ACK before any had one.
    bare_ack: AtomicBool,
    /// What resets of it say.
    resets: Resets,
    /// The last acknowledgement number that came while data waited.
    peer_ack: AtomicU32,
    /// The handshake; under the subflow's ownership.
    handshake: UnsafeCell<Handshake>,
    /// What to say on the next ACK; under the subflow's ownership.
    signal: UnsafeCell<Option<Signal>>,
    /// Which data each byte sent carries; under the subflow's ownership.
    transmit: UnsafeCell<TransmitMap>,
    /// How much its data segments say; under the subflow's ownership.
    brevity: UnsafeCell<Brevity>,
    /// Which data each byte received carries; under the connection's data lock.
    receive: UnsafeCell<ReceiveMap>,
    /// What has been declared with a checksum and is not verified yet, made with the first such
    /// mapping; under the connection's data lock.
    checks: UnsafeCell<Option<KBox<Checks>>>,
    /// At what rate it delivers; under the ownership of the connection socket.
    rate: UnsafeCell<DeliveryRate>,
    /// When its congestion window was reduced; under the ownership of the connection socket.
    penalty: UnsafeCell<Penalty>,
    /// The DSN behind the last data that it was given.
    copied: AtomicU64,
    /// TCP's callbacks, which ours replaced.
    saved: Saved,
}

/// The callbacks of a socket.
pub(crate) struct Saved {
    /// Data has arrived.
    pub(crate) data_ready: Callback,
    /// There is room to write again.
    pub(crate) write_space: Callback,
    /// The TCP state has changed.
    pub(crate) state_change: Callback,
    /// An error has hit the socket.
    pub(crate) error_report: Callback,
}

/// The tables of a subflow, made before anything that would have to be undone.
pub(crate) struct Tables {
    /// See [`Subflow::transmit`].
    transmit: TransmitMap,
    /// See [`Subflow::receive`].
    receive: ReceiveMap,
}

impl Tables {
    /// Empty tables.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            transmit: TransmitMap::new()?,
            receive: ReceiveMap::new(storage(RECEIVE_MAPPINGS)?),
        })
    }
}

/// The subflow state of `sk`; `None` when it is not a subflow of ours.
///
/// # Context
///
/// The result lives until the end of the RCU read-side section, or while the socket is owned.
#[inline]
pub(crate) fn of<'a>(sk: Sock) -> Option<&'a Subflow> {
    if !core::ptr::eq(sk.ulp_ops(), attach::ulp()) {
        return None;
    }
    // SAFETY: With our table in place the data is our `Subflow`, freed only after a grace period
    // that begins when the socket is destroyed.
    unsafe { sk.ulp_data().cast::<Subflow>().as_ref() }
}

/// What the path manager calls a subflow.
pub(crate) fn id_of(ssk: Sock) -> Option<SubflowId> {
    let _guard = rcu::read_lock();
    of(ssk).map(Subflow::id)
}

impl Subflow {
    /// The state of a subflow whose handshake has come this far. It owns a reference to the
    /// connection socket, which the caller takes.
    pub(crate) fn new(
        connection: &Connection,
        id: SubflowId,
        handshake: Handshake,
        tables: Tables,
        saved: Saved,
    ) -> Self {
        let flag = || AtomicBool::new(false);
        let is_proven = matches!(handshake, Handshake::Accepted | Handshake::Joined);
        let accepted = matches!(handshake, Handshake::Joined);
        let held_by = if accepted {
            hold::QUEUE
        } else {
            hold::CONNECTION
        };
        Self {
            // SAFETY: Zeroes are a valid RCU head.
            rcu: unsafe { core::mem::zeroed() },
            msk: connection.msk(),
            connection: NonNull::from(connection),
            id,
            accepted,
            local_isn: AtomicU32::new(0),
            peer_isn: AtomicU32::new(0),
            proven: AtomicBool::new(is_proven),
            local_backup: flag(),
            peer_backup: flag(),
            local_id: AtomicU8::new(0),
            peer_id: AtomicU8::new(0),
            stale: flag(),
            relieved: flag(),
            failed: flag(),
            error: AtomicI32::new(0),
            probing: flag(),
            held_by: AtomicU8::new(held_by),
            misdeclared: flag(),
            bare_ack: flag(),
            resets: Resets::new(),
            peer_ack: AtomicU32::new(0),
            handshake: UnsafeCell::new(handshake),
            signal: UnsafeCell::new(None),
            transmit: UnsafeCell::new(tables.transmit),
            brevity: UnsafeCell::new(Brevity::new()),
            receive: UnsafeCell::new(tables.receive),
            checks: UnsafeCell::new(None),
            rate: UnsafeCell::new(DeliveryRate::new()),
            penalty: UnsafeCell::new(Penalty::new()),
            copied: AtomicU64::new(0),
            saved,
        }
    }

    /// The connection socket.
    pub(crate) fn msk(&self) -> Sock {
        self.msk
    }

    /// TCP's callbacks, which ours replaced.
    pub(crate) fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Sets the initial sequence numbers, ours first.
    pub(crate) fn set_isns(&self, local: u32, peer: u32) {
        self.local_isn.store(local, Ordering::Relaxed);
        self.peer_isn.store(peer, Ordering::Relaxed);
    }

    /// The connection that the subflow carries.
    #[inline]
    pub(crate) fn connection(&self) -> &Connection {
        // SAFETY: The connection lives as long as `msk`, of which this subflow owns a reference.
        unsafe { self.connection.as_ref() }
    }

    /// Sequence number on the wire to relative one, in the direction we send.
    #[inline]
    pub(crate) fn local_ssn(&self, seq: u32) -> SubflowSeq {
        SubflowSeq::new(seq.wrapping_sub(self.local_isn.load(Ordering::Relaxed)))
    }

    /// Sequence number on the wire to relative one, in the direction we receive.
    #[inline]
    pub(crate) fn peer_ssn(&self, seq: u32) -> SubflowSeq {
        SubflowSeq::new(seq.wrapping_sub(self.peer_isn.load(Ordering::Relaxed)))
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

    /// What the path manager calls it.
    #[inline]
    pub(crate) fn id(&self) -> SubflowId {
        self.id
    }

    /// Whether it has joined its connection, rather than begun it.
    #[inline]
    pub(crate) fn is_joined(&self) -> bool {
        self.id != SubflowId::INITIAL
    }

    /// Whether it is a join of the peer.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether either host wants it to be used only as a backup.
    #[inline]
    pub(crate) fn is_backup(&self) -> bool {
        self.peer_backup.load(Ordering::Relaxed) || self.local_backup.load(Ordering::Relaxed)
    }

    /// Notes what the hosts have said of its use.
    pub(crate) fn set_backup(&self, backup: Backup) {
        self.local_backup.store(backup.local, Ordering::Relaxed);
        self.peer_backup.store(backup.peer, Ordering::Relaxed);
    }

    /// Whether it may carry data: the peer knows that it belongs to the connection.
    ///
    /// RFC 8684, Section 3.2.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        self.is_proven() || !self.is_joined()
    }

    /// The DSN behind the last data that it was given, or any that is acknowledged.
    #[inline]
    pub(crate) fn copied(&self) -> DataSeq {
        DataSeq::new(self.copied.load(Ordering::Relaxed))
    }

    /// Notes the data that it was given.
    #[inline]
    pub(crate) fn set_copied(&self, dsn: DataSeq) {
        self.copied.store(dsn.get(), Ordering::Relaxed);
    }

    /// The last acknowledgement number that came while data waited; TCP may not have seen it yet.
    #[inline]
    pub(crate) fn peer_ack(&self) -> u32 {
        self.peer_ack.load(Ordering::Relaxed)
    }

    /// Notes an acknowledgement number that TCP has not seen yet.
    #[inline]
    pub(crate) fn set_peer_ack(&self, ack: u32) {
        self.peer_ack.store(ack, Ordering::Relaxed);
    }

    /// Whether it makes no progress.
    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Notes whether it makes progress; tells whether that is news.
    pub(crate) fn set_stale(&self, stale: bool) -> bool {
        if self.is_stale() == stale {
            return false;
        }
        self.relieved.store(false, Ordering::Relaxed);
        let is_news = self.stale.swap(stale, Ordering::Relaxed) != stale;
        if is_news {
            self.connection().count(if stale {
                Counter::SubflowStale
            } else {
                Counter::SubflowRecover
            });
        }
        is_news
    }

    /// Whether it makes no progress and its data has not been given to others yet; that is for the
    /// caller to do.
    pub(crate) fn take_relief(&self) -> bool {
        self.is_stale() && !self.relieved.swap(true, Ordering::Relaxed)
    }

    /// Notes what we call our address.
    pub(crate) fn set_local_id(&self, id: AddressId) {
        self.local_id.store(id.get(), Ordering::Relaxed);
    }

    /// What the hosts call the addresses of its ends, ours first.
    pub(crate) fn address_ids(&self) -> (AddressId, AddressId) {
        let id = |id: &AtomicU8| AddressId::new(id.load(Ordering::Relaxed));
        (id(&self.local_id), id(&self.peer_id))
    }

    /// Notes what the peer has said in its SYN or SYN-ACK: the ID of its address, and whether it wants
    /// the subflow to be used only as a backup.
    pub(crate) fn set_peer(&self, id: AddressId, backup: bool) {
        self.peer_id.store(id.get(), Ordering::Relaxed);
        self.peer_backup.store(backup, Ordering::Relaxed);
    }

    /// What [`Self::set_peer`] has noted.
    pub(crate) fn peer(&self) -> (AddressId, bool) {
        (
            AddressId::new(self.peer_id.load(Ordering::Relaxed)),
            self.peer_backup.load(Ordering::Relaxed),
        )
    }

    /// Whether we want the peer to use it only as a backup.
    pub(crate) fn wants_backup(&self) -> bool {
        self.local_backup.load(Ordering::Relaxed)
    }

    /// Keeps the error that TCP has ended with.
    pub(crate) fn set_error(&self, error: i32) {
        self.error.store(error, Ordering::Relaxed);
    }

    /// The error that TCP has ended with, positive; 0 for none.
    pub(crate) fn error(&self) -> i32 {
        self.error.load(Ordering::Relaxed)
    }

    /// What resets of it say, from us and from the peer.
    pub(crate) fn resets(&self) -> &Resets {
        &self.resets
    }

    /// Whether it cannot be used.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// It cannot be used: the worker resets it and tells the peer why, and the connection goes on.
    pub(crate) fn fail(&self, option: MpTcprst) {
        self.fail_with(ResetOption::Tcprst(option));
    }

    /// As [`Self::fail`], with whatever the reset is to say.
    pub(crate) fn fail_with(&self, option: ResetOption) {
        self.resets.set_local(option);
        self.failed.store(true, Ordering::Relaxed);
        self.connection().schedule(event::LOST);
    }

    /// Whether the path manager waits for a sign of life.
    #[inline]
    pub(crate) fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    /// Notes whether the path manager waits for a sign of life.
    pub(crate) fn set_probing(&self, probing: bool) {
        self.probing.store(probing, Ordering::Relaxed);
    }

    /// Takes one of [`hold`] in place of another; tells whether that was so.
    pub(crate) fn change_hold(&self, from: u8, to: u8) -> bool {
        self.held_by
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a mapping came with a checksum that was not agreed on, or without one that was.
    pub(crate) fn is_misdeclared(&self) -> bool {
        self.misdeclared.load(Ordering::Relaxed)
    }

    /// A mapping has come with a checksum that was not agreed on, or without one that was. TCP has not accepted
    /// the segment yet: when it does, its bytes have no mapping, and that resets.
    pub(crate) fn misdeclare(&self) {
        self.misdeclared.store(true, Ordering::Relaxed);
    }

    /// Whether data was acknowledged without a Data ACK before any had one.
    pub(crate) fn has_bare_ack(&self) -> bool {
        self.bare_ack.load(Ordering::Relaxed)
    }

    /// Notes that data was acknowledged without a Data ACK before any had one.
    pub(crate) fn note_bare_ack(&self) {
        self.bare_ack.store(true, Ordering::Relaxed);
    }

    /// Asks the fallback table what `event` leads to.
    ///
    /// RFC 8684, Section 3.7.
    fn decide(&self, event: Event) -> Reaction {
        let connection = self.connection();
        let origin = if self.is_joined() {
            Origin::Joined
        } else {
            Origin::Initial
        };
        decide(
            event,
            Situation {
                origin,
                proven: self.is_proven(),
                other_subflows: connection.subflows().count() > 1,
                contiguous: connection.is_contiguous(),
                checksum: connection.uses_checksum(),
                fallen_back: connection.has_fallen_back(),
            },
        )
    }

    /// Asks the fallback table what `event` leads to; a fallback has then happened, the rest is for the
    /// caller.
    ///
    /// RFC 8684, Section 3.7.
    pub(crate) fn react(&self, event: Event) -> Reaction {
        let reaction = self.decide(event);
        trace::on_fallback(self, event, reaction);
        let connection = self.connection();
        let is_opening = matches!(
            event,
            Event::DataWithoutMapping | Event::AckWithoutDss | Event::NoDataAck
        );
        if reaction.is_fallback() {
            connection.count(if is_opening {
                Counter::MPCapableDataFallback
            } else {
                Counter::DssFallback
            });
            if reaction == Reaction::FallBackWithInfiniteMapping {
                // First, so that no new data goes out without that mapping.
                connection.failure().lose();
            }
            connection.fall_back();
        } else if matches!(reaction, Reaction::ResetSubflow(_)) {
            if !is_opening {
                connection.count(Counter::DssReset);
            } else if !self.is_joined() {
                connection.count(Counter::FallbackFailed);
            }
        }
        reaction
    }

    /// [`Self::react`] where nothing but a fallback matters: `true` when it has happened.
    pub(crate) fn falls_back(&self, event: Event) -> bool {
        self.react(event).is_fallback()
    }

    /// The handshake.
    ///
    /// # Safety
    ///
    /// The subflow is owned, and no other reference to the handshake is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn handshake(&self) -> &mut Handshake {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.handshake.get() }
    }

    /// What to say on the next segment without data.
    ///
    /// # Safety
    ///
    /// The subflow is owned, and no other reference to the signal is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn signal(&self) -> &mut Option<Signal> {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.signal.get() }
    }

    /// At what rate it delivers.
    ///
    /// # Safety
    ///
    /// The connection socket is owned, and no other reference to the rate is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn rate(&self) -> &mut DeliveryRate {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.rate.get() }
    }

    /// When its congestion window was reduced.
    ///
    /// # Safety
    ///
    /// The connection socket is owned, and no other reference to the state is in use.
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn penalty(&self) -> &mut Penalty {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.penalty.get() }
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

    /// How much its data segments say.
    ///
    /// # Safety
    ///
    /// The subflow is owned, and no other reference to the state is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn brevity(&self) -> &mut Brevity {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.brevity.get() }
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

    /// What has been declared with a checksum and is not verified yet.
    ///
    /// # Safety
    ///
    /// The connection's data lock is held, and no other reference to the table is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "unique by the lock named above")]
    pub(crate) unsafe fn checks(&self) -> &mut Option<KBox<Checks>> {
        // SAFETY: By this function's contract.
        unsafe { &mut *self.checks.get() }
    }
}
