// SPDX-License-Identifier: GPL-2.0

//! Which subflows a connection has: a slot for each, numbered as the path manager numbers them.
//!
//! Each socket in a slot carries the hold that closing it gives back, as an application's socket
//! does. So whoever takes a socket out of its slot closes it.

use crate::bindings;
use crate::connection::Connection;
use crate::life;
use crate::locks::DataLock;
use crate::sock::Sock;
use crate::subflow;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool,
    AtomicPtr,
    AtomicU8,
    Ordering, //
};
use kernel::alloc::{
    flags::GFP_ATOMIC,
    KBox, //
};
use kernel::sync::SetOnce;
use kernel::warn_on;
use mptcp_proto::path_manager::SUBFLOWS;

/// How many subflows hardly any connection exceeds: room for more is made when it does.
pub(crate) const FEW: usize = 4;

/// Subflows that were taken out of their slots, to be closed when no socket is owned any more. One that is
/// forgotten keeps the module for ever, so that gets a warning.
#[must_use = "a subflow that was taken is to be closed"]
pub(crate) struct Removed {
    /// The sockets, each with its hold, once there is one.
    sockets: Option<[Option<Sock>; SUBFLOWS]>,
}

impl Removed {
    /// None.
    pub(crate) const fn none() -> Self {
        Self { sockets: None }
    }

    /// Adds a subflow; a slot holds one at a time, so there is always a place.
    pub(crate) fn push(&mut self, ssk: Sock) {
        let sockets = self.sockets.get_or_insert([None; SUBFLOWS]);
        if let Some(place) = sockets.iter_mut().find(|place| place.is_none()) {
            *place = Some(ssk);
        }
    }

    /// Closes them, as an application would close TCP sockets.
    ///
    /// # Context
    ///
    /// Process; no socket is owned.
    pub(crate) fn close(mut self) {
        let sockets = self.sockets.iter_mut().flatten();
        for ssk in sockets.filter_map(Option::take) {
            life::close_subflow(ssk);
        }
        self.sockets = None;
    }
}

impl Drop for Removed {
    #[inline]
    fn drop(&mut self) {
        warn_on!(self.sockets.is_some());
    }
}

impl Connection {
    /// Those of the subflows that are `wanted`, one after the other, each with a reference for the caller.
    ///
    /// # Locking
    ///
    /// Takes the data lock for each.
    pub(crate) fn hold_subflows<'a>(
        &'a self,
        wanted: impl Fn(Sock) -> bool + 'a,
    ) -> impl Iterator<Item = Sock> + 'a {
        let mut next = 0;
        core::iter::from_fn(move || {
            let (slot, ssk) = self.hold_wanted(next, &wanted)?;
            next = slot.saturating_add(1);
            Some(ssk)
        })
    }

    /// The next subflow in a slot from `slot` on, with its slot, and a reference for the caller.
    ///
    /// # Locking
    ///
    /// Takes the data lock.
    pub(crate) fn hold_subflow(&self, slot: u8) -> Option<(u8, Sock)> {
        self.hold_wanted(slot, |_| true)
    }

    /// See [`Self::hold_subflow`]; one that is `wanted`.
    fn hold_wanted(&self, slot: u8, wanted: impl Fn(Sock) -> bool) -> Option<(u8, Sock)> {
        let _data = DataLock::take(self);
        let mut subflows = self.subflows().iter();
        let (slot, ssk) = subflows.find(|(place, ssk)| *place >= slot && wanted(*ssk))?;
        ssk.hold();
        Some((slot, ssk))
    }
}

/// A place for a subflow; NULL where there is none.
type Slot = AtomicPtr<bindings::sock>;

/// The subflows of one connection.
///
/// # Locking
///
/// A slot is filled under the data lock, and emptied under the data lock by the owner of the
/// connection socket. Either of the two is enough to use what the slots hold.
pub(crate) struct Subflows {
    /// The first slots.
    slots: [Slot; FEW],
    /// The others, once one of them has been used.
    more: SetOnce<KBox<[Slot; SUBFLOWS - FEW]>>,
    /// How many slots are filled.
    count: AtomicU8,
    /// Whether the slots are being emptied for good.
    shut: AtomicBool,
}

impl Subflows {
    /// The slots of a connection that has only its first subflow.
    pub(crate) fn new(first: Sock) -> Self {
        let mut slots = [const { Slot::new(null_mut()) }; FEW];
        if let Some(slot) = slots.first_mut() {
            *slot = Slot::new(first.as_ptr());
        }
        Self {
            slots,
            more: SetOnce::new(),
            count: AtomicU8::new(1),
            shut: AtomicBool::new(false),
        }
    }

    /// How many subflows there are. Exact only under the data lock.
    #[inline]
    pub(crate) fn count(&self) -> u8 {
        self.count.load(Ordering::Acquire)
    }

    /// The slots that there is memory for.
    #[inline]
    fn slots(&self) -> impl Iterator<Item = (u8, &Slot)> {
        let more = self.more.as_ref().map_or(&[][..], |more| &more[..]);
        (0u8..).zip(self.slots.iter().chain(more))
    }

    /// A slot, if there is memory for it.
    #[inline]
    fn slot(&self, slot: u8) -> Option<&Slot> {
        let index = usize::from(slot);
        match index.checked_sub(FEW) {
            None => self.slots.get(index),
            Some(index) => self.more.as_ref()?.get(index),
        }
    }

    /// The subflow in a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u8) -> Option<Sock> {
        let raw = self.slot(slot)?.load(Ordering::Acquire);
        // SAFETY: The slot's hold keeps the socket while the caller has one of the two locks.
        unsafe { Sock::from_raw(raw) }
    }

    /// The subflows with their slots.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Sock)> + '_ {
        self.slots()
            .take(if self.count() == 0 { 0 } else { SUBFLOWS })
            .filter_map(|(slot, place)| {
                // SAFETY: As in `get`.
                unsafe { Sock::from_raw(place.load(Ordering::Acquire)) }.map(|ssk| (slot, ssk))
            })
    }

    /// Lets no further subflow in: whoever empties the slots of a connection that ends must not miss one.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
    }

    /// Whether no further subflow is let in. Exact only under the data lock.
    #[inline]
    pub(crate) fn are_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// Puts a subflow into an empty slot, and its hold with it; `false` when the slot is not empty, there is
    /// no memory for it, or the slots are shut.
    ///
    /// # Locking
    ///
    /// The data lock is held.
    pub(crate) fn put(&self, slot: u8, ssk: Sock) -> bool {
        if usize::from(slot) >= FEW && self.more.as_ref().is_none() {
            let more = [const { Slot::new(null_mut()) }; SUBFLOWS - FEW];
            if let Ok(more) = KBox::new(more, GFP_ATOMIC) {
                self.more.populate(more);
            }
        }
        let place = self.slot(slot);
        let free = place.filter(|_| !self.are_shut()).is_some_and(|place| {
            place
                .compare_exchange(
                    null_mut(),
                    ssk.as_ptr(),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
        });
        if free {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        free
    }

    /// Takes `ssk` out of its slot; `true` for the one caller who is to close it.
    pub(crate) fn take(&self, slot: u8, ssk: Sock) -> bool {
        let taken = self.slot(slot).is_some_and(|place| {
            place
                .compare_exchange(
                    ssk.as_ptr(),
                    null_mut(),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
        });
        if taken {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        taken
    }

    /// The send buffer that the connection needs so that no subflow has to wait for another, in bytes.
    ///
    /// Data that is acknowledged out of order stays until the slowest path has delivered what is before
    /// it: each subflow needs room for what it carries in that time. TCP has sized the buffer of each
    /// for its own round trip.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn send_buffer(&self) -> i32 {
        let longest = self.iter().map(|(_, ssk)| ssk.srtt_us()).max().unwrap_or(0);
        let (mut sum, mut most) = (0_u64, 0);
        for (_, ssk) in self.iter() {
            // CAST: A buffer's size is positive.
            let own = u64::from(ssk.sndbuf() as u32);
            let needed = own.saturating_mul(u64::from(longest));
            let needed = needed.checked_div(u64::from(ssk.srtt_us()));
            sum = sum.saturating_add(needed.unwrap_or(own).max(own));
            most = most.max(ssk.sndbuf_max()).max(ssk.sndbuf());
        }
        i32::try_from(sum).map_or(most, |sum| sum.min(most))
    }

    /// The subflow on which the peer was heard last, `None` when there is none.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn heard_last(&self) -> Option<Sock> {
        let all = self.iter().map(|(_, ssk)| ssk);
        all.min_by_key(|ssk| ssk.silence())
    }

    /// Whether data is on its way on a subflow that is not the fastest.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn waits_for_slow(&self) -> bool {
        let (mut least, mut waits) = (u32::MAX, 0);
        for (_, ssk) in self.iter() {
            let rtt = ssk.srtt_us();
            least = least.min(rtt);
            if ssk.waits_for_ack() {
                waits = waits.max(rtt);
            }
        }
        waits > least
    }

    /// The largest retransmission timeout, in microseconds, at most ten seconds; one second when there
    /// is no subflow.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn rto_us(&self) -> u32 {
        let all = self.iter().map(|(_, ssk)| ssk.rto_us());
        all.max().unwrap_or(1_000_000).min(10_000_000)
    }

    /// The longest round trip of a subflow, in microseconds, of 1 ms to 1 s.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn round_trip_us(&self) -> u32 {
        let all = self.iter().map(|(_, ssk)| ssk.srtt_us());
        all.max().unwrap_or(0).clamp(1_000, 1_000_000)
    }

    /// When a subflow that waits for an answer may be found silent, in microseconds from now; `None`
    /// when none can. Those that are known to be stale do not count.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn silence_due_us(&self) -> Option<u32> {
        self.waiting().map(Sock::silence_due_us).min()
    }

    /// When to look again at subflows that TCP's timer has run out for, in microseconds from now; `None` when
    /// there are none, or all of them are known to be stale. That is before the next timeout is over, so that not
    /// every look comes just behind a repetition, to which there can be no answer yet.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn timeout_due_us(&self) -> Option<u32> {
        let late = self.waiting().filter(|ssk| ssk.fruitless() > 0);
        late.map(|ssk| ssk.rto_us() / 2).min()
    }

    /// The subflows that wait for an answer and are not known to be stale.
    fn waiting(&self) -> impl Iterator<Item = Sock> + '_ {
        self.iter()
            .map(|(_, ssk)| ssk)
            .filter(|ssk| ssk.waits_for_ack())
            .filter(|ssk| subflow::of(*ssk).is_some_and(|subflow| !subflow.is_stale()))
    }

    /// How long an answer usually takes at most, in microseconds, on the subflows that wait for one, or
    /// else on all.
    ///
    /// # Locking
    ///
    /// Either of the two; see [`Self`].
    pub(crate) fn patience_us(&self) -> u32 {
        let (mut waiting, mut all) = (0, 0);
        for (_, ssk) in self.iter() {
            let patience = ssk.patience_us();
            all = patience.max(all);
            if ssk.waits_for_ack() {
                waiting = patience.max(waiting);
            }
        }
        if waiting != 0 {
            waiting
        } else {
            all
        }
    }
}
