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
use crate::choice;
use crate::config;
use crate::counters::{
    self,
    Counter, //
};
use crate::event;
use crate::failure::Failure;
use crate::handshake::Agreement;
use crate::identity::Identity;
use crate::in_use;
use crate::life;
use crate::locks::{
    Data,
    DataLock, //
};
use crate::net;
use crate::paths;
use crate::pm_events;
use crate::progress::Progress;
use crate::renew::Renewed;
use crate::send_queue::SendQueue;
use crate::skb::Header;
use crate::sock::Sock;
use crate::subflows::Subflows;
use crate::syn_data;
use crate::token_table;
use crate::worker;
use core::cell::UnsafeCell;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicBool,
    AtomicPtr,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use kernel::prelude::*;
use mptcp_proto::connection;
use mptcp_proto::ids::Token;
use mptcp_proto::scheduler::{
    AnyScheduler,
    Rescue,
    Tail, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::Duration;
use mptcp_proto::window::Advertised;

/// State of one connection, allocated beside its socket.
pub(crate) struct Connection {
    /// The connection socket, which owns this state.
    msk: Sock,
    /// The first subflow's socket; the connection owns a reference that keeps its memory.
    first: Sock,
    /// The subflows that carry the connection.
    subflows: Subflows,
    /// Whether the application holds the connection socket, and TCP's first reference with it.
    adopted: AtomicBool,
    /// Whether the application's hold has ended.
    abandoned: AtomicBool,
    /// What the application's `struct socket` has kept from before it was disconnected; NULL when nothing.
    previous: AtomicPtr<Renewed>,
    /// TCP's destructor of the address family.
    destruct: Option<unsafe extern "C" fn(*mut bindings::sock)>,
    /// Links connections of one chain of the token table.
    pub(crate) next_by_token: AtomicPtr<Connection>,
    /// What the hosts have agreed on with the first subflow.
    identity: Identity,
    /// Whether the connection has fallen back: one subflow, no MPTCP options any more.
    fallen_back: AtomicBool,
    /// What the hosts have said since a checksum was wrong.
    failure: Failure,
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
    /// What the data-level retransmission timer has found.
    progress: Progress,
    /// Runs what needs a process: locks on subflows.
    work: UnsafeCell<bindings::work_struct>,
    /// Protected by the data lock.
    pub(crate) data: UnsafeCell<Data>,
    /// Protected by the ownership of the connection socket.
    pub(crate) queue: UnsafeCell<SendQueue>,
    /// Which subflow gets the next data; protected by the ownership of the connection socket.
    pub(crate) scheduler: UnsafeCell<AnyScheduler>,
    /// What was sent again to get the connection going; protected like the scheduler.
    pub(crate) rescue: UnsafeCell<Rescue>,
    /// What was sent again to end sooner; protected like the scheduler.
    pub(crate) tail: UnsafeCell<Tail>,
    /// Whether data was handed over a second time, or a second subflow has joined.
    scattered: AtomicBool,
    /// How many bytes were.
    repeated: AtomicU64,
    /// Whether the peer has shown that it is a host of this connection, so that it may join.
    joinable: AtomicBool,
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
    /// `ENOMEM`; `EEXIST` when another connection of the namespace has the token; `EIO` as for
    /// [`syn_data::hand_on`].
    ///
    /// # Locking
    ///
    /// `ssk` is owned. # Context: softirq or process.
    pub(crate) fn create<'a>(
        ssk: Sock,
        agreement: &Agreement,
        header: &Header,
    ) -> Result<&'a Self> {
        let identity = Identity::new(agreement);
        let mut data = connection::Connection::new(identity.local_idsn, identity.peer_idsn);
        let window = u32::from(header.window);
        // The window of a SYN-ACK is never scaled.
        let window = if identity.client {
            window
        } else {
            window << ssk.snd_wscale()
        };
        data.on_data_ack(data.snd_una(), window);
        let rcv_nxt = data.rcv_nxt();
        let queue = SendQueue::new(data.snd_nxt());
        let msk = life::clone_for_connection(ssk)?;
        let settings = choice::settings(msk);
        choice::forget(ssk);
        // SAFETY: Zeroes are what INIT_WORK overwrites.
        let work = unsafe { core::mem::zeroed() };
        let connection = KBox::new(
            Self {
                msk,
                first: ssk,
                subflows: Subflows::new(ssk),
                adopted: AtomicBool::new(false),
                abandoned: AtomicBool::new(false),
                previous: AtomicPtr::new(core::ptr::null_mut()),
                // SAFETY: A plain read of the live clone.
                destruct: unsafe { (*msk.as_ptr()).sk_destruct },
                next_by_token: AtomicPtr::new(core::ptr::null_mut()),
                identity,
                fallen_back: AtomicBool::new(false),
                failure: Failure::new(),
                rcv_nxt: AtomicU64::new(rcv_nxt.get()),
                edge: AtomicU64::new(rcv_nxt.advance(u64::from(ssk.rcv_wnd())).get()),
                data_acked: AtomicU64::new(rcv_nxt.get()),
                data_fin: AtomicU64::new(0),
                read_in_loop: AtomicBool::new(false),
                unsent: AtomicBool::new(false),
                events: AtomicU32::new(0),
                progress: Progress::new(),
                work: UnsafeCell::new(work),
                data: UnsafeCell::new(Data::new(data)),
                queue: UnsafeCell::new(queue),
                scheduler: UnsafeCell::new(AnyScheduler::new(settings.scheduler)),
                rescue: UnsafeCell::new(Rescue::new()),
                tail: UnsafeCell::new(Tail::new()),
                scattered: AtomicBool::new(false),
                repeated: AtomicU64::new(0),
                joinable: AtomicBool::new(agreement.client.is_none()),
            },
            GFP_ATOMIC,
        );
        let Ok(connection) = connection else {
            life::free_clone(msk);
            return Err(ENOMEM);
        };
        let raw = KBox::into_raw(connection);
        // SAFETY: Fresh from `into_raw`; freed by the destructor of `msk`, installed next.
        let connection = unsafe { &*raw };
        // SAFETY: The work's memory is the connection's.
        unsafe {
            bindings::mptcp_shim_init_work(connection.work.get(), Some(worker::work_function))
        };
        // Keeps the memory of the first subflow until the connection socket is gone: a system call
        // that began on the subflow may still use it.
        ssk.hold();
        // SAFETY: The clone is nobody else's yet.
        unsafe {
            life::become_connection(
                msk,
                raw.cast(),
                destruct,
                worker::retransmit_timer,
                worker::path_timer,
            )
        };
        connection.write_tcp_view(connection.identity.local_start(), rcv_nxt);
        connection.count(Counter::MPCurrEstab);
        in_use::add(msk.net(), msk.family(), 1);
        let known =
            syn_data::hand_on(connection, ssk).and_then(|()| token_table::insert(connection));
        if let Err(error) = known {
            syn_data::hand_back(connection, ssk);
            connection.abandon();
            return Err(error);
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

    /// The connection whose worker runs.
    ///
    /// # Safety
    ///
    /// `work` is that of a connection of which the caller has a reference.
    pub(crate) unsafe fn of_work<'a>(work: *mut bindings::work_struct) -> &'a Self {
        // SAFETY: By the function's contract `work` lies in a live connection.
        unsafe {
            &*work
                .byte_sub(core::mem::offset_of!(Self, work))
                .cast::<Self>()
        }
    }

    /// TCP's destructor of a socket of the address family.
    pub(crate) fn destructor(&self) -> Option<unsafe extern "C" fn(*mut bindings::sock)> {
        self.destruct
    }

    /// What [`Self::set_previous`] has left.
    pub(crate) fn previous(&self) -> *mut Renewed {
        self.previous.load(Ordering::Acquire)
    }

    /// Hands over what the `struct socket` has kept; see [`crate::renew`].
    pub(crate) fn set_previous(&self, previous: *mut Renewed) {
        self.previous.store(previous, Ordering::Release);
    }

    /// Takes that away.
    pub(crate) fn take_previous(&self) -> *mut Renewed {
        self.previous.swap(core::ptr::null_mut(), Ordering::AcqRel)
    }

    /// The connection socket.
    #[inline]
    pub(crate) fn msk(&self) -> Sock {
        self.msk
    }

    /// The first subflow's socket, whose memory is there as long as the connection, though it may no
    /// longer carry it.
    #[inline]
    pub(crate) fn first(&self) -> Sock {
        self.first
    }

    /// The subflows that carry the connection.
    #[inline]
    pub(crate) fn subflows(&self) -> &Subflows {
        &self.subflows
    }

    /// The first subflow, if no other carries the connection: it may be used without a lock.
    #[inline]
    pub(crate) fn only_first(&self) -> Option<Sock> {
        let alone = self.subflows.count() == 1 && self.subflows.get(0) == Some(self.first);
        alone.then_some(self.first)
    }

    /// Sets the TCP state of the connection socket.
    ///
    /// # Locking
    ///
    /// The connection socket is owned.
    pub(crate) fn set_state(&self, state: u32) {
        let is_established =
            |state| state == bindings::TCP_ESTABLISHED || state == bindings::TCP_CLOSE_WAIT;
        let ends = is_established(self.msk.state()) && !is_established(state);
        self.msk.set_state(state);
        if ends {
            net::counters(self.msk.net()).add(Counter::MPCurrEstab, -1);
        }
    }

    /// Counts once in the namespace.
    #[inline]
    pub(crate) fn count(&self, counter: Counter) {
        counters::count(self.msk.net(), counter);
    }

    /// What the hosts have agreed on with the first subflow.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Our token.
    pub(crate) fn token(&self) -> Token {
        self.identity.token
    }

    /// Whether we have opened the connection.
    pub(crate) fn is_client(&self) -> bool {
        self.identity.client
    }

    /// Whether every mapping carries a checksum.
    #[inline]
    pub(crate) fn uses_checksum(&self) -> bool {
        self.identity.checksum
    }

    /// Whether the bytes of the one subflow are those of the stream, each once and in order.
    pub(crate) fn is_contiguous(&self) -> bool {
        !self.scattered.load(Ordering::Relaxed)
    }

    /// How many bytes were handed over a second time.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Notes that so many bytes were.
    ///
    /// # Locking
    ///
    /// The connection socket is owned.
    pub(crate) fn on_repeated(&self, bytes: u64) {
        self.count(Counter::MPTCPRetrans);
        self.repeated.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that data is handed over a second time, or that a second subflow may carry some.
    pub(crate) fn set_scattered(&self) {
        self.scattered.store(true, Ordering::Relaxed);
    }

    /// Whether further subflows can join.
    #[inline]
    pub(crate) fn is_joinable(&self) -> bool {
        self.joinable.load(Ordering::Relaxed)
            && !self.has_fallen_back()
            && !self.failure.has_begun()
            && !self.subflows.are_shut()
    }

    /// The peer has shown that it speaks MPTCP: paths can be managed from now on.
    ///
    /// RFC 8684, Section 3.1.
    pub(crate) fn on_fully_established(&self) {
        if !self.joinable.swap(true, Ordering::Relaxed) {
            pm_events::on_established(self);
            self.begin_paths();
        }
    }

    /// Lets the path manager begin, if it has anything to do.
    pub(crate) fn begin_paths(&self) {
        if paths::has_work(self) {
            self.schedule(event::PATHS);
        }
    }

    /// Whether the connection goes on without a subflow, in the hope that one will come.
    pub(crate) fn waits_for_subflow(&self) -> bool {
        self.is_joinable()
            && self.is_adopted()
            && !self.msk.flag(bindings::sock_flags_SOCK_DEAD)
            && config::of(self.msk.net()).close_timeout != Duration::ZERO
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
            // A DATA_FIN that was only an option has to become a FIN, and what waits to be verified is
            // not verified any more.
            let held = if self.uses_checksum() { event::HELD } else { 0 };
            self.schedule(event::PUSH | held);
        }
    }

    /// What the hosts have said since a checksum was wrong.
    #[inline]
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
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
        Advertised::up_to(self.edge().later(self.rcv_nxt()))
    }

    /// Promises a window up to `edge` where the promise was `before`; fails with what it is.
    #[inline]
    pub(crate) fn exchange_edge(&self, before: DataSeq, edge: DataSeq) -> Result<(), DataSeq> {
        let (before, edge, relaxed) = (before.get(), edge.get(), Ordering::Relaxed);
        let result = self.edge.compare_exchange(before, edge, relaxed, relaxed);
        result.map(drop).map_err(DataSeq::new)
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
    pub(crate) fn free_space(&self) -> u32 {
        let used = self.msk.receive_memory();
        let free = self
            .msk
            .win_from_space(self.msk.rcvbuf().saturating_sub(used));
        u32::try_from(free).unwrap_or(0)
    }

    /// The least by which the window grows: a segment, or a quarter of the receive buffer where that is
    /// less. `free` is what the buffer can still take: usually that shows that a segment is less.
    #[inline]
    pub(crate) fn window_step(&self, mss: u32, free: u32) -> u32 {
        if mss <= free / 4 {
            return mss;
        }
        let whole = self.msk.win_from_space(self.msk.rcvbuf());
        mss.min(u32::try_from(whole).unwrap_or(0) / 4)
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

    /// Whether any of `events` waits.
    #[inline]
    pub(crate) fn has_events(&self, events: u32) -> bool {
        self.events.load(Ordering::Relaxed) & events != 0
    }

    /// Ends the hold of the application, or of the lack of one, on the socket; `true` for the one
    /// caller who is to destroy it.
    pub(crate) fn end_hold(&self) -> bool {
        !self.abandoned.swap(true, Ordering::AcqRel)
    }

    /// Whether the hold has ended: nothing is to be done any more.
    pub(crate) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Frees what waits to be sent; the socket is being destroyed.
    pub(crate) fn free_queued(&self) {
        // SAFETY: Whoever destroys the socket is its last owner.
        let freed = unsafe { &mut *self.queue.get() }.free_all();
        // SAFETY: As above. CAST: At most a send buffer.
        unsafe { bindings::mptcp_shim_sk_wmem_uncharge(self.msk.as_ptr(), freed as i32) };
    }

    /// Data-level retransmission timeout, in microseconds, doubled with every timeout without
    /// progress. Twice the timeout of a single subflow, so that TCP's own retransmission comes first;
    /// where another subflow can take over, no longer than an answer usually takes on those that wait
    /// for one.
    ///
    /// # Locking
    ///
    /// As for [`Self::subflows`].
    pub(crate) fn retransmit_timeout(&self) -> u32 {
        let timeout = if self.subflows.count() > 1 {
            self.subflows.patience_us()
        } else {
            self.subflows.rto_us() << 1
        };
        self.progress.back_off(timeout)
    }

    /// What the data-level retransmission timer has found.
    #[inline]
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
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

    /// The application's `struct socket` takes the connection over from the subflow: `switch` gives it
    /// the connection socket, unless another thread has done so, or the connection is gone.
    ///
    /// # Locking
    ///
    /// Takes the data lock, under which `switch` runs: a thread that comes second finds it done.
    pub(crate) fn adopt(&self, switch: impl FnOnce()) {
        let _data = DataLock::take(self);
        if self.is_over() || self.adopted.swap(true, Ordering::AcqRel) {
            return;
        }
        switch();
        if self.has_events(event::WORK) {
            // What the worker has left until now.
            self.schedule(0);
        }
    }

    /// The worker can do what `events` ask for only once the application's `struct socket` has taken
    /// the connection over.
    pub(crate) fn leave_for_adoption(&self, events: u32) {
        self.raise(events);
        if self.is_adopted() {
            // That happened meanwhile, and may have missed the events.
            self.schedule(0);
        }
    }

    /// Whether the worker may lock the first subflow: not while it waits in a listener's queue, which
    /// TCP empties on the understanding that nobody owns what is there.
    pub(crate) fn is_off_queue(&self) -> bool {
        self.is_client() || self.is_adopted()
    }

    /// Whether an application holds, or held, the connection socket.
    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Acquire)
    }

    /// Gives up a connection whose subflow could not be made.
    pub(crate) fn abandon(&self) {
        self.subflows.take(0, self.first);
        life::destroy(self.msk);
    }

    /// Forgets the token.
    pub(crate) fn forget_token(&self) {
        token_table::remove(self);
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
