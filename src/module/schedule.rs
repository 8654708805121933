// SPDX-License-Identifier: GPL-2.0

//! Which subflow carries the next data: TCP's figures go to the scheduler, its choice comes back.
//!
//! C counterpart: net/mptcp/sched.c.

use crate::bindings;
use crate::locks::Owned;
use crate::push::window_room;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::subflows::FEW;
use kernel::alloc::{
    flags::GFP_ATOMIC,
    KVec, //
};
use kernel::sync::rcu;
use mptcp_proto::scheduler::{
    Choice,
    Demand,
    Head,
    Limit,
    Path,
    Relief,
    Remedy,
    Scheduler,
    BURST_MAX, //
};
use mptcp_proto::seq::DataSeq;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

/// What a subflow is to carry next.
pub(crate) enum Turn {
    /// Data that waits.
    Send {
        /// The slot of the subflow.
        slot: u8,
        /// Bytes.
        bytes: u32,
    },
    /// Data that other subflows have carried before.
    Copy {
        /// The slot of the subflow.
        slot: u8,
        /// Bytes.
        bytes: u32,
        /// Where they begin.
        dsn: DataSeq,
    },
}

/// The bit of a slot.
#[inline]
pub(crate) fn bit(slot: u8) -> u64 {
    1u64.wrapping_shl(slot.into())
}

/// Says what to hand over next, nothing when all that can be sent has been. Subflows whose bits are
/// set in `refused` get nothing.
pub(crate) fn next(owned: &mut Owned<'_>, refused: u64) -> Option<Turn> {
    let repeats = owned.queue().repeats().bytes();
    let waiting = owned.queue().unsent();
    if repeats == 0 && waiting == 0 && !owned.duplicates() {
        return None;
    }
    let nxt = owned.queue().nxt();
    let demand = demand(owned, repeats, waiting);
    with_paths(owned, refused, demand.now, |owned, paths| {
        match owned.scheduler().choose(paths, &demand) {
            Choice::Send { index, bytes } => Some(Turn::Send { slot: index, bytes }),
            Choice::Repeat { index, bytes } => {
                let path = paths.iter().find(|path| path.index == index)?;
                Some(Turn::Copy {
                    slot: index,
                    bytes,
                    dsn: nxt.retreat(path.behind),
                })
            }
            Choice::Wait => None,
        }
    })
}

/// Says which subflow the next `len` bytes that the application writes may go to at once, and how
/// many of them; `None` when they have to wait.
pub(crate) fn next_for_new(owned: &mut Owned<'_>, len: usize) -> Option<(Sock, usize)> {
    if let Some(ssk) = owned.connection().only_first() {
        return Some((ssk, len));
    }
    if owned.connection().subflows().count() == 0 || owned.duplicates() {
        return None;
    }
    let demand = demand(owned, 0, len as u64);
    let choice = with_paths(owned, 0, demand.now, |owned, paths| {
        owned.scheduler().choose(paths, &demand)
    });
    match choice {
        Choice::Send { index, bytes } => {
            let ssk = owned.connection().subflows().get(index)?;
            let bytes = bytes as usize;
            // Less than a segment would be left: it goes along.
            let goes_along = len.saturating_sub(bytes) < ssk.mss() as usize;
            Some((ssk, if goes_along { len } else { bytes }))
        }
        Choice::Repeat { .. } | Choice::Wait => None,
    }
}

/// Says what to send again because the connection stands still: its window or its send buffer is
/// full, and the oldest data is on a slow subflow.
///
/// C. Raiciu et al.: How Hard Can It Be?, NSDI 2012, Section 4.2.
pub(crate) fn rescue(owned: &mut Owned<'_>, refused: u64) -> Option<Turn> {
    let connection = owned.connection();
    let waiting = owned.queue().unsent();
    let demand = demand(owned, 0, waiting);
    if connection.subflows().count() < 2 || demand.in_flight == 0 {
        return None;
    }
    // Data that waits for a congestion window only is not blocked: what is done beside is not worth it.
    let is_open = demand.window >= demand.waiting.min(u64::from(BURST_MAX));
    if is_open && (demand.waiting > 0 || demand.buffer_free != 0) {
        return None;
    }
    let una = owned.data().proto.snd_una();
    let (head, ssk) = head(owned, una)?;
    ssk.lock(true);
    let turn = subflow::of(ssk).and_then(|subflow| {
        let remedy = with_paths(owned, refused, demand.now, |owned, paths| {
            // SAFETY: The connection socket is owned, and the reference ends with this block.
            let penalty = unsafe { subflow.penalty() };
            owned.rescue().decide(paths, &demand, &head, penalty)
        });
        match remedy {
            Remedy::Nothing => None,
            Remedy::Reinject {
                index,
                bytes,
                penalty,
            } => {
                if let Some(cwnd) = penalty {
                    // SAFETY: A live, owned TCP socket.
                    unsafe { bindings::mptcp_shim_reduce_cwnd(ssk.as_ptr(), cwnd) };
                }
                Some(Turn::Copy {
                    slot: index,
                    bytes,
                    dsn: una,
                })
            }
        }
    });
    ssk.release();
    turn
}

/// Says what a fast subflow is to copy of what a slow one still has on its way, as nothing waits.
pub(crate) fn relieve(owned: &mut Owned<'_>, refused: u64) -> Option<Turn> {
    if owned.queue().has_unsent() || owned.duplicates() {
        owned.tail().on_waiting();
        return None;
    }
    let demand = demand(owned, 0, 0);
    let Relief {
        from,
        skip,
        to,
        bytes,
    } = with_paths(owned, refused, demand.now, |owned, paths| {
        owned.tail().decide(paths, &demand)
    })?;
    let una = owned.data().proto.snd_una();
    let ssk = owned.connection().subflows().get(from)?;
    ssk.lock(true);
    let taken = subflow::of(ssk).and_then(|subflow| {
        // CAST: Less than what is in flight.
        let oldest = subflow.local_ssn(ssk.snd_una()).advance(skip as u32);
        // SAFETY: The subflow is owned, and the reference ends with this block.
        let map = unsafe { subflow.transmit() };
        owned.tail().take(una, map.assigned_from(oldest), bytes)
    });
    ssk.release();
    let range = taken?;
    Some(Turn::Copy {
        slot: to,
        // CAST: At most `bytes`.
        bytes: range.len() as u32,
        dsn: range.start,
    })
}

/// The oldest data without a Data ACK, and the subflow that carries it.
fn head(owned: &mut Owned<'_>, una: DataSeq) -> Option<(Head, Sock)> {
    let connection = owned.connection();
    for (slot, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        let found = subflow::of(ssk).and_then(|subflow| {
            let oldest = subflow.local_ssn(ssk.snd_una());
            // SAFETY: The subflow is owned, and the reference ends with this block.
            let map = unsafe { subflow.transmit() };
            let mut mappings = map.assigned_from(oldest);
            let mapping = mappings
                .find(|mapping| mapping.dsn().at_or_before(una) && mapping.end_dsn().after(una))?;
            // SAFETY: A live, owned TCP socket.
            let sent = unsafe { bindings::mptcp_shim_oldest_sent_us(ssk.as_ptr()) };
            Some(Head {
                dsn: una,
                bytes: mapping.end_dsn().distance_from(una),
                index: slot,
                sent: Timestamp::from_micros(sent),
            })
        });
        ssk.release();
        if let Some(head) = found {
            return Some((head, ssk));
        }
    }
    None
}

/// What the connection wants to send: what has to be repeated, or else what waits.
fn demand(owned: &mut Owned<'_>, repeats: u64, waiting: u64) -> Demand {
    let msk = owned.connection().msk();
    let nxt = owned.queue().nxt();
    let data = owned.data();
    let una = data.proto.snd_una();
    let window = window_room(&data, nxt);
    drop(data);
    let in_flight = if nxt.after(una) {
        nxt.distance_from(una)
    } else {
        0
    };
    let buffer_free = if msk.shutdown_mask() & bindings::SEND_SHUTDOWN as u8 != 0 {
        u64::MAX
    } else {
        // CAST: Not negative.
        msk.sndbuf().saturating_sub(msk.wmem_queued()).max(0) as u64
    };
    let (waiting, window) = if repeats > 0 {
        (repeats, repeats)
    } else {
        (waiting, window)
    };
    Demand {
        now: now(),
        waiting,
        window,
        in_flight,
        buffer_free,
    }
}

/// TCP's clock.
pub(crate) fn now() -> Timestamp {
    // SAFETY: Reads the clock.
    Timestamp::from_micros(unsafe { bindings::mptcp_shim_now_us() })
}

/// Asks a question about the subflows that may carry data; one that joins meanwhile may be left out, and
/// all but a few if there is no memory to describe them.
fn with_paths<R>(
    owned: &mut Owned<'_>,
    refused: u64,
    now: Timestamp,
    ask: impl FnOnce(&mut Owned<'_>, &[Path]) -> R,
) -> R {
    let mut few = [Path::UNUSABLE; FEW];
    let mut many = KVec::new();
    let count = usize::from(owned.connection().subflows().count());
    let is_many = count > FEW && many.resize(count, Path::UNUSABLE, GFP_ATOMIC).is_ok();
    let paths = if is_many { &mut many[..] } else { &mut few[..] };
    let count = describe_all(owned, refused, now, paths);
    ask(owned, paths.get(..count).unwrap_or_default())
}

/// Describes as many subflows as there is room for; returns how many.
fn describe_all(owned: &mut Owned<'_>, refused: u64, now: Timestamp, paths: &mut [Path]) -> usize {
    let connection = owned.connection();
    // Who repeats what was lost does not ask how far each is behind.
    let copies = owned.duplicates() && owned.queue().repeats().is_empty();
    let nxt = owned.queue().nxt();
    let una = owned.data().proto.snd_una();
    let mut count = 0;
    let _guard = rcu::read_lock();
    for (slot, ssk) in connection.subflows().iter() {
        let (Some(subflow), Some(place)) = (subflow::of(ssk), paths.get_mut(count)) else {
            continue;
        };
        *place = describe(slot, ssk, subflow, now);
        place.usable &= refused & bit(slot) == 0;
        if copies {
            let from = subflow.copied().later(una);
            if from.before(nxt) {
                place.behind = nxt.distance_from(from);
            }
        }
        count += 1;
    }
    count
}

/// Describes one subflow.
fn describe(slot: u8, ssk: Sock, subflow: &Subflow, now: Timestamp) -> Path {
    // SAFETY: Zeroes are a valid description, which the call fills in from a live TCP socket.
    let mut figures = unsafe {
        let mut figures: bindings::mptcp_path = core::mem::zeroed();
        bindings::mptcp_shim_describe_path(ssk.as_ptr(), &mut figures);
        figures
    };
    let micros = |us: u32| Duration::from_micros(u64::from(us));
    let srtt = micros(figures.srtt_us);
    let limit = if figures.app_limited {
        Limit::Application
    } else {
        Limit::Path
    };
    // SAFETY: The connection socket is owned while its data is scheduled; the reference ends here.
    let rate = unsafe { subflow.rate() };
    rate.on_sample(now, figures.delivery_rate, limit, srtt);
    // An ACK that asks for more data may be on its way to TCP still.
    let (una, ack, nxt) = (ssk.snd_una(), subflow.peer_ack(), ssk.snd_nxt());
    if ack.wrapping_sub(una) <= nxt.wrapping_sub(una) {
        figures.in_flight = figures.in_flight.min(nxt.wrapping_sub(ack));
    }
    let is_done = figures.in_flight == 0 && figures.unsent == 0;
    if subflow.is_stale() && !subflow.is_probing() && is_done {
        // All has been acknowledged, perhaps while it was being found stale: no ACK will tell.
        subflow.set_stale(false);
    }
    let sends = ssk.in_states(bindings::TCPF_ESTABLISHED | bindings::TCPF_CLOSE_WAIT);
    Path {
        index: slot,
        srtt,
        min_rtt: micros(figures.min_rtt_us),
        rttvar: micros(figures.rttvar_us),
        cwnd: figures.cwnd,
        headroom: figures.headroom,
        in_flight: figures.in_flight,
        unsent: figures.unsent,
        idle: micros(figures.idle_us),
        mss: figures.mss,
        delivery_rate: rate.get(),
        behind: 0,
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.8
        //# the data sender SHOULD adhere to
        //# these requests.
        backup: subflow.is_backup(),
        stale: subflow.is_stale(),
        timed_out: ssk.fruitless() > 0,
        usable: sends && subflow.may_send(),
    }
}
