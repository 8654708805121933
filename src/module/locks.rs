// SPDX-License-Identifier: GPL-2.0

//! The locks of the module, their order, and the guards that prove they are held.
//!
//! | rank | lock | protects | taken in |
//! |---|---|---|---|
//! | 0 | count of enabled namespaces (`kprobe::ENABLED`, a mutex) | whether the probes are armed | process: sysctl, end of a namespace |
//! | 0 | interfaces of a namespace (`addresses::Addresses::interfaces`, a mutex) | their list and names | process, also under the routing lock |
//! | 1 | ownership of the connection socket (`lock_sock(msk)`) | send queue, the socket's TCP fields | process; softirq counts as owner while it holds the data lock and no process owns the socket |
//! | 2 | ownership of a subflow (`lock_sock_nested(ssk)`, or its spinlock in softirq) | TCP's state, what the subflow has declared | process under 1, softirq |
//! | 3 | data lock (`msk->sk_lock.slock`) | data sequence state, receive mappings, out-of-order data | process and softirq, also under 2 |
//! | 4 | chain of the token table | links of the chain | process and softirq, also under 3 |
//! | 5 | table of local addresses (`addresses::Addresses::table`) | the table | process and softirq, also under all above |
//!
//! A process that owns the connection socket may lock its subflows; softirq, which comes from a
//! subflow, only takes the data lock. What softirq finds to do while a process owns the connection
//! socket is left as an event, and `release_cb` sees to it before ownership ends.

use crate::connection::Connection;
use crate::event;
use crate::out_of_order::OutOfOrder;
use crate::send_queue::SendQueue;
use crate::skb::Skb;
use crate::sock::Sock;
use core::marker::PhantomData;
use core::ops::{
    Deref,
    DerefMut, //
};
use kernel::prelude::*;
use mptcp_proto::connection;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::options::AddAddr;
use mptcp_proto::path_manager::Paths;
use mptcp_proto::scheduler::{
    AnyScheduler,
    Rescue,
    Scheduler,
    Tail, //
};
use mptcp_proto::seq::SubflowSeq;

/// What the data lock protects.
pub(crate) struct Data {
    /// Data-level sequence numbers and states.
    pub(crate) proto: connection::Connection,
    /// Data that came before its turn.
    pub(crate) out_of_order: OutOfOrder,
    /// A byte of the subflow and the data it carries: where the last bytes handed over began or, at
    /// first, where the stream does. Once fallen back, it says what the subflow's ACKs acknowledge.
    pub(crate) sent: Mapping,
    /// The path manager's state, made when it has something to do.
    pub(crate) paths: Option<KBox<Paths>>,
    /// Announcements of the peer that are to be echoed.
    pub(crate) echoes: [Option<AddAddr>; ECHOES],
    /// What came while the packet hook was new.
    pub(crate) looked_at: LookedAt,
}

/// Most announcements that wait for their echo; the peer repeats what got none.
const ECHOES: usize = 4;

/// The last packets that the packet hook has handed over and that carried more than a DSS: until the hook
/// has seen whatever TCP gets, TCP hands them over as well.
///
/// A packet is known by its address, which is nobody else's until TCP has got it. One that the hook has
/// not seen is older than all that it has, so that it has none of their addresses.
pub(crate) struct LookedAt {
    /// Their addresses; 0 is none.
    packets: [usize; PACKETS],
    /// Where the next one goes.
    next: usize,
}

/// How many packets are remembered: most that wait for the owner of a subflow at a time, usually. Whatever
/// is looked at twice does no harm but for being counted and answered twice.
const PACKETS: usize = 4;

impl LookedAt {
    /// No packet yet.
    const fn new() -> Self {
        Self {
            packets: [0; PACKETS],
            next: 0,
        }
    }

    /// The packet hook hands over a packet.
    pub(crate) fn add(&mut self, packet: Skb) {
        if let Some(place) = self.packets.get_mut(self.next) {
            *place = packet.as_ptr().addr();
        }
        self.next = (self.next + 1) % PACKETS;
    }

    /// Whether the hook has handed over the packet.
    pub(crate) fn has(&self, packet: Skb) -> bool {
        self.packets.contains(&packet.as_ptr().addr())
    }
}

impl Data {
    /// State of a new connection.
    pub(crate) fn new(proto: connection::Connection) -> Self {
        let sent = Mapping::new(SubflowSeq::new(1), proto.snd_nxt(), 0);
        Self {
            proto,
            out_of_order: OutOfOrder::new(),
            sent,
            paths: None,
            echoes: [None; ECHOES],
            looked_at: LookedAt::new(),
        }
    }
}

/// Proof that the data lock is held.
pub(crate) struct DataLock<'a> {
    /// Whose data.
    connection: &'a Connection,
    /// Must be released on the CPU that took it.
    _not_send: PhantomData<*mut ()>,
}

impl<'a> DataLock<'a> {
    /// Takes the data lock, in any context.
    #[inline]
    pub(crate) fn take(connection: &'a Connection) -> Self {
        connection.msk().data_lock();
        Self {
            connection,
            _not_send: PhantomData,
        }
    }

    /// A guard for a data lock that the caller in C holds and releases: not to be dropped.
    ///
    /// # Safety
    ///
    /// The data lock is held, and no other guard for it is in use.
    #[inline]
    pub(crate) unsafe fn assume(connection: &'a Connection) -> Self {
        Self {
            connection,
            _not_send: PhantomData,
        }
    }

    /// The connection whose data lock is held.
    #[inline]
    pub(crate) fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// Whether no process owns the connection socket: the holder of the data lock may then do what
    /// an owner may.
    #[inline]
    pub(crate) fn is_owner(&self) -> bool {
        !self.connection.msk().is_owned_by_user()
    }

    /// Handles `events` at once when no process owns the connection socket, else leaves them to
    /// `release_cb`.
    pub(crate) fn publish(mut self, events: u32) {
        if self.is_owner() {
            let events = events | self.connection.take_events(event::ON_RELEASE);
            crate::close::finish_events(&mut self, events);
        } else {
            self.connection.raise(events);
        }
    }
}

impl Drop for DataLock<'_> {
    #[inline]
    fn drop(&mut self) {
        self.connection.msk().data_unlock();
    }
}

impl Deref for DataLock<'_> {
    type Target = Data;

    #[inline]
    fn deref(&self) -> &Data {
        // SAFETY: The lock is held, and the guard lends out one reference at a time.
        unsafe { &*self.connection.data.get() }
    }
}

impl DerefMut for DataLock<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Data {
        // SAFETY: The lock is held, and the guard lends out one reference at a time.
        unsafe { &mut *self.connection.data.get() }
    }
}

/// Ownership of the connection socket by a process.
pub(crate) struct Owned<'a> {
    /// Whose socket.
    connection: &'a Connection,
    /// Whether the guard took the ownership and has to give it back.
    taken: bool,
    /// Belongs to the task that took it.
    _not_send: PhantomData<*mut ()>,
}

impl<'a> Owned<'a> {
    /// Takes ownership.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    #[inline]
    pub(crate) fn take(connection: &'a Connection) -> Self {
        connection.msk().lock(false);
        Self {
            connection,
            taken: true,
            _not_send: PhantomData,
        }
    }

    /// A guard for ownership that the caller in C has.
    ///
    /// # Safety
    ///
    /// The current task owns the connection socket until the guard is dropped, and no other guard
    /// for it is in use.
    #[inline]
    pub(crate) unsafe fn assume(connection: &'a Connection) -> Self {
        Self {
            connection,
            taken: false,
            _not_send: PhantomData,
        }
    }

    /// The connection whose socket is owned.
    #[inline]
    pub(crate) fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The data, under its lock.
    #[inline]
    pub(crate) fn data(&mut self) -> DataLock<'_> {
        DataLock::take(self.connection)
    }

    /// Takes `ssk` out of its slot; `true` when it is the caller's to close from now on.
    pub(crate) fn take_subflow(&mut self, slot: u8, ssk: Sock) -> bool {
        let subflows = self.connection.subflows();
        let _data = self.data();
        subflows.take(slot, ssk)
    }

    /// The send queue.
    #[inline]
    pub(crate) fn queue(&mut self) -> &mut SendQueue {
        // SAFETY: The socket is owned, and the guard lends out one reference at a time.
        unsafe { &mut *self.connection.queue.get() }
    }

    /// What chooses the subflow for the next data.
    #[inline]
    pub(crate) fn scheduler(&mut self) -> &mut AnyScheduler {
        // SAFETY: As for `queue`.
        unsafe { &mut *self.connection.scheduler.get() }
    }

    /// What finds a way out when a slow subflow blocks the connection.
    #[inline]
    pub(crate) fn rescue(&mut self) -> &mut Rescue {
        // SAFETY: As for `queue`.
        unsafe { &mut *self.connection.rescue.get() }
    }

    /// What lets a fast subflow help a slow one at the end.
    #[inline]
    pub(crate) fn tail(&mut self) -> &mut Tail {
        // SAFETY: As for `queue`.
        unsafe { &mut *self.connection.tail.get() }
    }

    /// Whether every subflow is to carry all data.
    #[inline]
    pub(crate) fn duplicates(&mut self) -> bool {
        self.scheduler().duplicates() && self.connection.subflows().count() > 1
    }
}

impl Drop for Owned<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.taken {
            self.connection.msk().release();
        }
    }
}
