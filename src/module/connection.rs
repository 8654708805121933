// SPDX-License-Identifier: GPL-2.0

//! A connection: the socket that the application holds once MPTCP is agreed on, and its state.
//!
//! The connection socket ("msk") is a clone of the first subflow's TCP socket, made at the moment
//! the handshake succeeds: every option the application has set is there by construction, and
//! TCP's own code can read from it. The [`Connection`] hangs on it and dies with it.
//!
//! ```text
//!   application ── socket ── msk ── Connection ── first subflow (TCP socket) ── Subflow
//!                             ▲                        ▲  │                        │
//!                             └────────────────────────┼──┘ keeps its memory       │
//!                             └────────────────────────┴──── keeps it alive ───────┘
//! ```
//!
//! Locking: see [`crate::locks`]. C counterpart: net/mptcp/protocol.c.

use crate::bindings;
use crate::crypto::KernelSha256;
use crate::handshake::Agreement;
use crate::locks::{
    Data,
    DataLock,
    Owned, //
};
use crate::proto_ops;
use crate::send_queue::SendQueue;
use crate::skb::Header;
use crate::sock::Sock;
use crate::token_table;
use core::cell::UnsafeCell;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicBool,
    AtomicPtr,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use kernel::error::to_result;
use kernel::prelude::*;
use mptcp_proto::connection::{
    self,
    FinOutcome, //
};
use mptcp_proto::ids::{
    Key,
    Token, //
};
use mptcp_proto::keys;
use mptcp_proto::seq::DataSeq;
use mptcp_proto::window::Advertised;

/// What has happened while a process owned the connection socket, or what the worker is to do.
pub(crate) mod event {
    /// A Data ACK has passed data that can be freed.
    pub(crate) const ACKED: u32 = 1;
    /// The peer's window has grown.
    pub(crate) const ROOM: u32 = 1 << 1;
    /// The peer's DATA_FIN has been reached.
    pub(crate) const PEER_FINISHED: u32 = 1 << 2;
    /// A subflow is gone, or has been reset.
    pub(crate) const BROKEN: u32 = 1 << 3;
    /// The connection has to be reset.
    pub(crate) const RESET: u32 = 1 << 4;
    /// Data waits to be sent and there may be room now.
    pub(crate) const PUSH: u32 = 1 << 5;
    /// The data-level retransmission timer has run out.
    pub(crate) const TIMEOUT: u32 = 1 << 6;
    /// The application has closed; finish when all data is acknowledged.
    pub(crate) const CLOSE: u32 = 1 << 7;
    /// Reset the subflow with MP_FASTCLOSE.
    pub(crate) const ABORT: u32 = 1 << 8;
    /// A Data ACK is owed to the peer.
    pub(crate) const ANSWER: u32 = 1 << 9;
    /// There is something to read; never stored.
    pub(crate) const READABLE: u32 = 1 << 10;
    /// Data came before its turn; never stored.
    pub(crate) const OUT_OF_ORDER: u32 = 1 << 11;
    /// The namespace's addresses or settings have changed.
    pub(crate) const PATHS: u32 = 1 << 12;

    /// What is done when a process lets go of the connection socket.
    pub(crate) const ON_RELEASE: u32 = ACKED | ROOM | PEER_FINISHED | BROKEN | RESET;
    /// What only the worker does, because it locks subflows.
    pub(crate) const WORK: u32 = PUSH | TIMEOUT | CLOSE | ABORT | ANSWER | PATHS;
}

/// State of one connection, allocated beside its socket.
pub(crate) struct Connection {
    /// The connection socket, which owns this state.
    msk: Sock,
    /// The first subflow's socket; the connection owns a reference that keeps its memory.
    first: Sock,
    /// Whether the first subflow still carries the connection.
    first_alive: AtomicBool,
    /// Whether the application holds the connection socket, and TCP's first reference with it.
    adopted: AtomicBool,
    /// Whether the application's hold has ended.
    abandoned: AtomicBool,
    /// TCP's destructor of the address family.
    destruct: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    /// Links connections of one chain of the token table.
    pub(crate) next_by_token: AtomicPtr<Connection>,
    /// Our token.
    token: Token,
    /// The peer's key, for MP_FASTCLOSE.
    peer_key: Key,
    /// Our key, which MP_FASTCLOSE must name.
    local_key: Key,
    /// The peer's initial data sequence number.
    peer_idsn: DataSeq,
    /// Whether every mapping carries a checksum.
    checksum: bool,
    /// Whether the connection has fallen back: one subflow, no MPTCP options any more.
    fallen_back: AtomicBool,
    /// Next data sequence number expected: what Data ACKs carry. Written under the data lock.
    rcv_nxt: AtomicU64,
    /// Right edge of the window that the peer has been promised.
    edge: AtomicU64,
    /// The last Data ACK that went out.
    data_acked: AtomicU64,
    /// The DATA_FIN to signal, plus one; 0 when there is none.
    data_fin: AtomicU64,
    /// Whether a reader waits for more inside of one call, and answers from there.
    read_in_loop: AtomicBool,
    /// Whether data waits for room, as the last push left it.
    unsent: AtomicBool,
    /// Bits of [`event`].
    events: AtomicU32,
    /// Data ACK at the last timeout.
    timeout_una: AtomicU64,
    /// Timeouts since the last progress.
    stalls: AtomicU32,
    /// Microseconds of those timeouts.
    stalled: AtomicU32,
    /// Runs what needs a process: locks on subflows.
    work: UnsafeCell<bindings::work_struct>,
    /// Protected by the data lock.
    pub(crate) data: UnsafeCell<Data>,
    /// Protected by the ownership of the connection socket.
    pub(crate) queue: UnsafeCell<SendQueue>,
}

/// The connection of a connection socket.
///
/// # Safety
///
/// `msk` is a connection socket: its protocol table is ours.
#[inline]
pub(crate) unsafe fn of<'a>(msk: Sock) -> &'a Connection {
    // SAFETY: `create` stored the pointer, and the destructor frees it with the socket.
    unsafe { &*msk.ulp_data().cast::<Connection>() }
}

impl Connection {
    /// Makes the connection and its socket for a first subflow whose handshake has succeeded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` when another connection of the namespace has the token.
    ///
    /// # Locking
    ///
    /// `ssk` is owned. # Context: softirq or process.
    pub(crate) fn create<'a>(
        ssk: Sock,
        agreement: &Agreement,
        header: &Header,
    ) -> Result<&'a Self> {
        let (token, local_idsn) = keys::token_and_idsn(agreement.local_key, &KernelSha256);
        let (_, peer_idsn) = keys::token_and_idsn(agreement.peer_key, &KernelSha256);
        let mut data = connection::Connection::new(local_idsn, peer_idsn);
        let window = u32::from(header.window);
        // The window of a SYN-ACK is never scaled.
        let window = if agreement.client.is_some() {
            window
        } else {
            window << ssk.snd_wscale()
        };
        data.on_data_ack(data.snd_una(), window);
        let rcv_nxt = data.rcv_nxt();
        let queue = SendQueue::new(data.snd_nxt());
        let msk = proto_ops::clone_for_connection(ssk)?;
        // SAFETY: Zeroes are what INIT_WORK overwrites.
        let work = unsafe { core::mem::zeroed() };
        let connection = KBox::new(
            Self {
                msk,
                first: ssk,
                first_alive: AtomicBool::new(true),
                adopted: AtomicBool::new(false),
                abandoned: AtomicBool::new(false),
                // SAFETY: A plain read of the live clone.
                destruct: unsafe { (*msk.as_ptr()).sk_destruct },
                next_by_token: AtomicPtr::new(core::ptr::null_mut()),
                token,
                peer_key: agreement.peer_key,
                local_key: agreement.local_key,
                peer_idsn,
                checksum: agreement.checksum,
                fallen_back: AtomicBool::new(false),
                rcv_nxt: AtomicU64::new(rcv_nxt.get()),
                edge: AtomicU64::new(rcv_nxt.advance(u64::from(ssk.rcv_wnd())).get()),
                data_acked: AtomicU64::new(rcv_nxt.get()),
                data_fin: AtomicU64::new(0),
                read_in_loop: AtomicBool::new(false),
                unsent: AtomicBool::new(false),
                events: AtomicU32::new(0),
                timeout_una: AtomicU64::new(0),
                stalls: AtomicU32::new(0),
                stalled: AtomicU32::new(0),
                work: UnsafeCell::new(work),
                data: UnsafeCell::new(Data::new(data)),
                queue: UnsafeCell::new(queue),
            },
            GFP_ATOMIC,
        );
        let Ok(connection) = connection else {
            proto_ops::free_clone(msk);
            return Err(ENOMEM);
        };
        let raw = KBox::into_raw(connection);
        // SAFETY: Fresh from `into_raw`; freed by the destructor of `msk`, installed next.
        let connection = unsafe { &*raw };
        // SAFETY: The work's memory is the connection's.
        unsafe { bindings::mptcp_shim_init_work(connection.work.get(), Some(work_function)) };
        // Keeps the memory of the first subflow until the connection socket is gone: a system call
        // that began on the subflow may still use it.
        ssk.hold();
        // SAFETY: The clone is nobody else's yet.
        unsafe { proto_ops::become_connection(msk, raw.cast(), destruct, retransmit_timer) };
        connection.write_tcp_view(local_idsn.advance(1), rcv_nxt);
        if token_table::insert(connection).is_err() {
            connection.abandon();
            return Err(EEXIST);
        }
        Ok(connection)
    }

    /// Sets TCP's sequence numbers on the connection socket to data sequence space.
    fn write_tcp_view(&self, snd_nxt: DataSeq, rcv_nxt: DataSeq) {
        let tp = self.msk.tcp();
        // SAFETY: The clone is nobody else's yet.
        unsafe {
            (*tp).snd_una = snd_nxt.low32();
            (*tp).snd_nxt = snd_nxt.low32();
            (*tp).write_seq = snd_nxt.low32();
            (*tp).rcv_nxt = rcv_nxt.low32();
            (*tp).copied_seq = rcv_nxt.low32();
            (*tp).rcv_wup = rcv_nxt.low32();
            (*tp).rcvq_space.seq = rcv_nxt.low32();
            (*tp).rcvq_space.time = (*tp).tcp_mstamp;
            (*tp).rcvq_space.space =
                core::cmp::min((*tp).rcv_wnd, 10 * u32::from((*tp).advmss)) as kernel::ffi::c_int;
            (*tp).rcv_ssthresh = (*tp).window_clamp;
        }
    }

    /// The connection socket.
    #[inline]
    pub(crate) fn msk(&self) -> Sock {
        self.msk
    }

    /// The first subflow's socket; it carries the connection while [`Self::is_first_alive`].
    #[inline]
    pub(crate) fn first(&self) -> Sock {
        self.first
    }

    /// Whether the first subflow still carries the connection.
    #[inline]
    pub(crate) fn is_first_alive(&self) -> bool {
        self.first_alive.load(Ordering::Acquire)
    }

    /// Our token.
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// The peer's key.
    pub(crate) fn peer_key(&self) -> Key {
        self.peer_key
    }

    /// Our key.
    pub(crate) fn local_key(&self) -> Key {
        self.local_key
    }

    /// The peer's initial data sequence number.
    pub(crate) fn peer_idsn(&self) -> DataSeq {
        self.peer_idsn
    }

    /// Whether every mapping carries a checksum.
    #[inline]
    pub(crate) fn uses_checksum(&self) -> bool {
        self.checksum
    }

    /// Whether the connection has fallen back to TCP.
    #[inline]
    pub(crate) fn has_fallen_back(&self) -> bool {
        self.fallen_back.load(Ordering::Relaxed)
    }

    /// Falls back: from now on the subflow's bytes are the connection's, in order, without options.
    ///
    /// RFC 8684, Section 3.7.
    pub(crate) fn fall_back(&self) {
        if !self.fallen_back.swap(true, Ordering::Relaxed) {
            // A DATA_FIN that was only an option has to become a FIN.
            self.schedule(event::PUSH);
        }
    }

    /// Next data sequence number expected.
    #[inline]
    pub(crate) fn rcv_nxt(&self) -> DataSeq {
        DataSeq::new(self.rcv_nxt.load(Ordering::Relaxed))
    }

    /// Publishes what Data ACKs carry from now on.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    #[inline]
    pub(crate) fn set_rcv_nxt(&self, rcv_nxt: DataSeq) {
        self.rcv_nxt.store(rcv_nxt.get(), Ordering::Relaxed);
    }

    /// Right edge of the promised window.
    #[inline]
    pub(crate) fn edge(&self) -> DataSeq {
        DataSeq::new(self.edge.load(Ordering::Relaxed))
    }

    /// The window that has been promised.
    #[inline]
    pub(crate) fn advertised(&self) -> Advertised {
        let (rcv_nxt, edge) = (self.rcv_nxt(), self.edge());
        let promised = if edge.after(rcv_nxt) {
            edge.distance_from(rcv_nxt)
        } else {
            0
        };
        Advertised::new(rcv_nxt, u32::try_from(promised).unwrap_or(u32::MAX))
    }

    /// Promises a window up to `edge`.
    #[inline]
    pub(crate) fn set_edge(&self, edge: DataSeq) {
        self.edge.store(edge.get(), Ordering::Relaxed);
    }

    /// Whether a reader waits for more inside of one call.
    #[inline]
    pub(crate) fn is_read_in_loop(&self) -> bool {
        self.read_in_loop.load(Ordering::Relaxed)
    }

    /// Notes whether a reader waits for more inside of one call.
    pub(crate) fn set_read_in_loop(&self, in_loop: bool) {
        self.read_in_loop.store(in_loop, Ordering::Relaxed);
    }

    /// The last Data ACK that went out.
    #[inline]
    pub(crate) fn data_acked(&self) -> DataSeq {
        DataSeq::new(self.data_acked.load(Ordering::Relaxed))
    }

    /// Notes the Data ACK that a segment carries out.
    #[inline]
    pub(crate) fn set_data_acked(&self, data_ack: DataSeq) {
        self.data_acked.store(data_ack.get(), Ordering::Relaxed);
    }

    /// The DATA_FIN to signal on every segment without data, until it is acknowledged.
    #[inline]
    pub(crate) fn data_fin(&self) -> Option<DataSeq> {
        let stored = self.data_fin.load(Ordering::Relaxed);
        (stored != 0).then(|| DataSeq::new(stored).retreat(1))
    }

    /// Starts or ends signalling of a DATA_FIN.
    pub(crate) fn set_data_fin(&self, fin: Option<DataSeq>) {
        self.data_fin
            .store(fin.map_or(0, |fin| fin.advance(1).get()), Ordering::Relaxed);
    }

    /// Bytes of data that the receive buffer can still take.
    #[inline]
    pub(crate) fn free_space(&self, out_of_order: i32) -> u32 {
        let used = self.msk.receive_memory().saturating_add(out_of_order);
        let free = self
            .msk
            .win_from_space(self.msk.rcvbuf().saturating_sub(used));
        u32::try_from(free).unwrap_or(0)
    }

    /// Notes that something has to be done once the connection socket is not owned, or by the
    /// worker.
    #[inline]
    pub(crate) fn raise(&self, events: u32) {
        self.events.fetch_or(events, Ordering::Relaxed);
    }

    /// Takes `events` away and says which of them were set.
    #[inline]
    pub(crate) fn take_events(&self, events: u32) -> u32 {
        if self.events.load(Ordering::Relaxed) & events == 0 {
            return 0;
        }
        self.events.fetch_and(!events, Ordering::Relaxed) & events
    }

    /// Lets the worker look at the connection.
    pub(crate) fn schedule(&self, events: u32) {
        self.raise(events);
        self.msk.hold();
        // SAFETY: The work was initialised by `create` and lives as long as the reference.
        if !unsafe { bindings::mptcp_shim_queue_work(self.work.get()) } {
            self.msk.put();
        }
    }

    /// Whether softirq has left something for `release_cb`.
    #[inline]
    pub(crate) fn has_release_events(&self) -> bool {
        self.events.load(Ordering::Relaxed) & event::ON_RELEASE != 0
    }

    /// Ends the hold of the application, or of the lack of one, on the socket; `true` for the one
    /// caller who is to destroy it.
    pub(crate) fn end_hold(&self) -> bool {
        !self.abandoned.swap(true, Ordering::AcqRel)
    }

    /// Frees what waits to be sent; the socket is being destroyed.
    pub(crate) fn free_queued(&self) {
        // SAFETY: Whoever destroys the socket is its last owner.
        let freed = unsafe { &mut *self.queue.get() }.free_all();
        // SAFETY: As above. CAST: At most a send buffer.
        unsafe { bindings::mptcp_shim_sk_wmem_uncharge(self.msk.as_ptr(), freed as i32) };
    }

    /// Send buffer of the first subflow, which TCP sizes, in bytes.
    pub(crate) fn first_sndbuf(&self) -> i32 {
        self.first.sndbuf()
    }

    /// Data-level retransmission timeout, in microseconds: twice the subflow's, so that TCP's own
    /// retransmission comes first; doubled with every timeout without progress.
    pub(crate) fn retransmit_timeout(&self) -> u32 {
        let stalls = self.stalls.load(Ordering::Relaxed).min(6);
        (self.first.rto_us().min(10_000_000) << 1) << stalls
    }

    /// Timeouts of the data-level retransmission timer since the last progress.
    #[inline]
    pub(crate) fn stalls(&self) -> u32 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Notes a timeout at `una`; `true` when data has been acknowledged since the last one.
    pub(crate) fn note_progress(&self, una: DataSeq) -> bool {
        let progressed = self.timeout_una.swap(una.get(), Ordering::Relaxed) != una.get();
        if progressed {
            self.stalls.store(0, Ordering::Relaxed);
            self.stalled.store(0, Ordering::Relaxed);
        } else {
            self.stalled
                .fetch_add(self.retransmit_timeout(), Ordering::Relaxed);
            self.stalls.fetch_add(1, Ordering::Relaxed);
        }
        progressed
    }

    /// Microseconds that timeouts have run out without any progress.
    pub(crate) fn stalled_for(&self) -> u32 {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Notes whether data waits that the subflow had no room for.
    #[inline]
    pub(crate) fn set_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Ordering::Relaxed);
    }

    /// Whether data waits that the subflow, or the peer's window, had no room for.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent.load(Ordering::Relaxed)
    }

    /// The subflow has room to write again.
    pub(crate) fn on_subflow_room(&self) {
        if self.has_unsent() {
            self.schedule(event::PUSH);
        }
        self.msk.call_write_space();
    }

    /// Whether the application may write: what it writes goes to the subflow at once, so that the
    /// subflow's room is the connection's. `wake` asks whether to wake a writer, which waits for
    /// more room than it takes to go on.
    pub(crate) fn has_room(&self, wake: kernel::ffi::c_int) -> bool {
        !self.is_first_alive() || self.first.has_room(wake)
    }

    /// The TCP state of the subflow has changed, or an error has hit it.
    ///
    /// # Locking
    ///
    /// `ssk` is owned.
    pub(crate) fn on_subflow_state(&self, ssk: Sock) {
        if ssk.state() != bindings::TCP_CLOSE && ssk.error() == 0 && !self.has_fallen_back() {
            return;
        }
        let mut data = DataLock::take(self);
        if self.has_fallen_back() {
            let mut events = 0;
            if ssk.shutdown_mask() & bindings::RCV_SHUTDOWN as u8 != 0 {
                let end = data.proto.rcv_nxt();
                if data.proto.on_data_fin(end) == FinOutcome::Finished {
                    events |= event::PEER_FINISHED;
                }
            }
            if ssk.state() != bindings::TCP_CLOSE && ssk.error() == 0 {
                if events != 0 {
                    data.publish(events);
                }
                return;
            }
            self.raise(events);
        }
        if ssk.error() != 0 && self.msk.state() != bindings::TCP_CLOSE {
            self.msk.set_error(ssk.error());
        }
        data.publish(event::BROKEN);
    }

    /// TCP is destroying the subflow's socket.
    pub(crate) fn on_subflow_gone(&self, ssk: Sock) {
        let _ = ssk;
        self.first_alive.store(false, Ordering::Release);
        let data = DataLock::take(self);
        if !self.adopted.load(Ordering::Acquire) {
            drop(data);
            proto_ops::destroy(self.msk);
            return;
        }
        data.publish(event::BROKEN);
    }

    /// The application's `struct socket` takes the connection over from the subflow.
    ///
    /// `false` when another thread has done it, or the connection is gone.
    pub(crate) fn adopt(&self) -> bool {
        let _data = DataLock::take(self);
        !self.abandoned.load(Ordering::Acquire) && !self.adopted.swap(true, Ordering::AcqRel)
    }

    /// Whether an application holds, or held, the connection socket.
    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Acquire)
    }

    /// Gives up a connection whose subflow could not be made.
    pub(crate) fn abandon(&self) {
        self.first_alive.store(false, Ordering::Release);
        proto_ops::destroy(self.msk);
    }

    /// Forgets the token.
    pub(crate) fn forget_token(&self) {
        token_table::remove(self);
    }

    /// Marks the first subflow as given up: it no longer carries the connection.
    ///
    /// `true` for the one caller who is to close it.
    pub(crate) fn take_first(&self) -> bool {
        self.first_alive.swap(false, Ordering::AcqRel)
    }
}

/// The worker: what needs to sleep or to lock subflows.
///
/// # Safety
///
/// Called by the workqueue with the `work` of a connection of which it has a reference.
unsafe extern "C" fn work_function(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract `work` lies in a live `Connection`.
    let connection = unsafe {
        &*work
            .byte_sub(core::mem::offset_of!(Connection, work))
            .cast::<Connection>()
    };
    let msk = connection.msk;
    {
        let to_close = crate::close::run_events(&mut Owned::take(connection));
        proto_ops::close_subflow(to_close);
    }
    msk.put();
}

/// The data-level retransmission timer has run out.
///
/// # Safety
///
/// Called by the timer of a connection socket, which owns a reference.
unsafe extern "C" fn retransmit_timer(timer: *mut bindings::timer_list) {
    // SAFETY: By the function's contract.
    let msk = unsafe { Sock::from_raw(bindings::mptcp_shim_sk_from_retransmit_timer(timer)) };
    if let Some(msk) = msk {
        // SAFETY: Only connection sockets have this timer function.
        unsafe { of(msk) }.schedule(event::TIMEOUT);
        msk.put();
    }
}

/// The last reference to a connection socket is gone.
///
/// # Safety
///
/// Called by the kernel once, as `sk_destruct` of a connection socket.
unsafe extern "C" fn destruct(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    let Some(msk) = (unsafe { Sock::from_raw(sk) }) else {
        return;
    };
    let raw = msk.ulp_data().cast::<Connection>();
    // SAFETY: `create` made the pointer with `into_raw`; nobody refers to the socket any more.
    let connection = unsafe { KBox::from_raw(raw) };
    let first = connection.first;
    let original = connection.destruct;
    drop(connection);
    // SAFETY: The field is TCP's, which has no use for it on a connection socket.
    unsafe { addr_of_mut!((*msk.icsk()).icsk_ulp_data).write(core::ptr::null_mut()) };
    first.put();
    if let Some(original) = original {
        // SAFETY: The destructor that the clone had before ours.
        unsafe { original(sk) };
    }
}

/// Where connections work, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Makes the work queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init runs once, before any connection exists.
        to_result(unsafe { bindings::mptcp_shim_make_workqueue() })?;
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Made by `new`. No socket is left, or the module could not unload, but the worker
        // that gave back the last reference may still be returning: this waits for it.
        unsafe { bindings::mptcp_shim_destroy_workqueue() };
    }
}
