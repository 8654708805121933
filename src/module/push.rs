// SPDX-License-Identifier: GPL-2.0

//! From the send queue to the subflows, by reference: what waits, and what has to be sent again.
//!
//! A single subflow takes all it has memory for, so that its TCP always has something to send. Where
//! there are several, each gets what [`crate::schedule`] says.
//!
//! C counterpart: `__mptcp_push_pending` in net/mptcp/protocol.c.

use crate::bindings;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::life;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::schedule::{
    self,
    Turn, //
};
use crate::send_queue::PAGES;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::trace;
use crate::worker;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::seq::DataSeq;

/// Most bytes handed to a subflow at once.
const BURST: u64 = 1 << 18;
/// Largest packet, headers included: a mapping's length has 16 bits.
const PACKET_MAX: u32 = 1 << 16;
/// Most turns of one push, so that a worker lets others go on.
const TURNS: u32 = 1 << 10;
/// What each call of TCP's `sendmsg` is told: never to wait, never to signal.
//= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
//# a TCP subflow MUST NOT use the Urgent
//# Pointer to interrupt an existing mapping.
pub(crate) const QUIETLY: u32 = bindings::MSG_DONTWAIT | bindings::MSG_NOSIGNAL;

/// Which bytes to hand over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Those that another subflow has failed, if any, before new ones.
    Waiting,
    /// Those from here on, which others carry too.
    Copy(DataSeq),
}

/// Hands what waits to the subflows, as far as their memory, or the scheduler, allows.
#[inline]
pub(crate) fn push(owned: &mut Owned<'_>, flags: u32) {
    let connection = owned.connection();
    connection.take_events(event::PUSH);
    let fin = connection.has_fallen_back() && connection.data_fin().is_some();
    if owned.queue().has_unsent() || fin || owned.duplicates() || may_relieve(connection) {
        push_waiting(owned, flags, fin);
    } else {
        note_unsent(connection, false);
    }
}

/// Whether a fast subflow may help a slow one even if nothing waits.
#[inline]
fn may_relieve(connection: &Connection) -> bool {
    connection.only_first().is_none() && connection.subflows().waits_for_slow()
}

/// Notes whether data waits; when none does any more, the application may write again.
#[inline]
fn note_unsent(connection: &Connection, unsent: bool) {
    let waited = connection.has_unsent();
    connection.set_unsent(unsent);
    if waited && !unsent {
        connection.msk().call_write_space();
    }
}

/// See [`push`]; `fin` is to follow.
#[inline(never)]
fn push_waiting(owned: &mut Owned<'_>, flags: u32, fin: bool) {
    let connection = owned.connection();
    if connection.subflows().count() == 0 {
        connection.set_unsent(owned.queue().has_unsent());
        return;
    }
    match connection.only_first() {
        Some(ssk) => push_all(owned, ssk, flags, fin),
        None => push_scheduled(owned, flags),
    }
    let unsent = owned.queue().has_unsent() || may_relieve(connection);
    note_unsent(connection, unsent);
    worker::arm_timer(owned);
}

/// Hands a single subflow all that it takes; `fin` is to follow.
fn push_all(owned: &mut Owned<'_>, ssk: Sock, flags: u32, fin: bool) {
    ssk.lock(true);
    if let Some(subflow) = subflow::of(ssk) {
        while owned.queue().has_unsent() {
            let (sent, asked) = hand_over(owned, ssk, subflow, Source::Waiting, BURST, flags);
            if sent < asked || sent == 0 {
                break;
            }
        }
        if fin && !owned.queue().has_unsent() {
            // Without options only the subflow's own FIN ends the stream.
            life::shutdown_subflow(ssk);
        }
    }
    ssk.release();
}

/// Hands each subflow what the scheduler says.
fn push_scheduled(owned: &mut Owned<'_>, flags: u32) {
    let mut refused = 0u64;
    for _ in 0..TURNS {
        let Some(turn) = schedule::next(owned, refused)
            .or_else(|| schedule::rescue(owned, refused))
            .or_else(|| schedule::relieve(owned, refused))
        else {
            break;
        };
        let (slot, bytes, source) = match turn {
            Turn::Send { slot, bytes } => (slot, bytes, Source::Waiting),
            Turn::Copy { slot, bytes, dsn } => (slot, bytes, Source::Copy(dsn)),
        };
        let Some(ssk) = owned.connection().subflows().get(slot) else {
            break;
        };
        ssk.lock(true);
        let (sent, asked) = match subflow::of(ssk) {
            Some(subflow) => hand_over(owned, ssk, subflow, source, u64::from(bytes), flags),
            None => (0, 1),
        };
        ssk.release();
        if sent < asked || sent == 0 {
            // It has no memory, or is about to end: the others go on without it.
            refused |= schedule::bit(slot);
        }
    }
}

/// Takes back what the subflows have not sent yet: another one can share it now.
///
/// A single subflow is given all that it has memory for, which may be what it sends in seconds.
pub(crate) fn take_back(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    if connection.has_fallen_back() {
        return;
    }
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        if let Some(subflow) = subflow::of(ssk) {
            let nxt = owned.queue().nxt();
            let unsent = subflow.local_ssn(ssk.snd_nxt());
            // SAFETY: The subflow is owned; the map is not used across the call below, which only
            // takes an owned TCP socket.
            unsafe {
                if subflow.transmit().ends_with(unsent, nxt) {
                    let bytes = bindings::mptcp_shim_take_back(ssk.as_ptr());
                    subflow
                        .transmit()
                        .unassign(subflow.local_ssn(ssk.write_seq()));
                    owned.queue().retreat(u64::from(bytes));
                    subflow.set_copied(owned.queue().nxt());
                }
            }
        }
        ssk.release();
    }
}

/// Hands up to `most` bytes of `source` to a subflow; returns how many it has taken of how many.
///
/// # Locking
///
/// `ssk` is owned.
fn hand_over(
    owned: &mut Owned<'_>,
    ssk: Sock,
    subflow: &Subflow,
    source: Source,
    most: u64,
    flags: u32,
) -> (u64, u64) {
    let repeated = match source {
        Source::Waiting => owned.queue().repeats().first(),
        Source::Copy(dsn) => Some(mptcp_proto::repeats::Range {
            start: dsn,
            end: owned.queue().nxt(),
        }),
    };
    let dsn = repeated.map_or(owned.queue().nxt(), |range| range.start);
    prepare(ssk, subflow, dsn);
    let ssn = subflow.local_ssn(ssk.write_seq());
    let (window, is_probe) = match repeated {
        Some(range) => (range.len(), false),
        None => {
            let mut data = owned.data();
            data.sent = Mapping::new(ssn, dsn, 0);
            let window = window_room(&data, dsn);
            (window, is_probe(&data, dsn, window))
        }
    };
    // SAFETY: Zeroes are an empty page range.
    let mut pages: [bindings::bio_vec; PAGES] = unsafe { core::mem::zeroed() };
    let found = owned.queue().pages(dsn, window.min(most), &mut pages);
    if found.bytes == 0 {
        if let (Source::Waiting, Some(range)) = (source, repeated) {
            // The data is gone: it was acknowledged meanwhile.
            owned.queue().repeats().prune(range.end);
        }
        return (0, 0);
    }
    // CAST: At most BURST.
    let mapping = Mapping::new(ssn, dsn, found.bytes as u32);
    let is_last = dsn.advance(found.bytes) == owned.queue().end();
    let more = if is_last || found.bytes == window || most < BURST {
        flags & bindings::MSG_MORE
    } else {
        bindings::MSG_MORE
    };
    let stable = if found.shared {
        0
    } else {
        bindings::MSG_NO_SHARED_FRAGS
    };
    let (acked, una) = (subflow.local_ssn(ssk.snd_una()), owned.queue().una());
    // SAFETY: The subflow is owned; the map is not used across the calls below. `pages` hold
    // `found.bytes` bytes in `found.count` ranges, whose pages the queue keeps.
    let sent = unsafe {
        if subflow.transmit().assign(mapping, acked, una).is_err() {
            return (0, found.bytes);
        }
        bindings::mptcp_shim_splice_pages(
            ssk.as_ptr(),
            pages.as_mut_ptr(),
            found.count as u32,
            found.bytes as usize,
            QUIETLY | stable | more,
        )
    };
    // CAST: A positive result is at most BURST.
    let sent = u64::try_from(sent).unwrap_or(0);
    if sent < found.bytes {
        // SAFETY: As above.
        unsafe { subflow.transmit().unassign(ssn.advance(sent as u32)) };
    }
    let end = dsn.advance(sent);
    trace::on_schedule(subflow, mapping.take(sent as u32), repeated.is_some());
    if repeated.is_some() && sent > 0 {
        owned.connection().on_repeated(sent);
    }
    if is_probe && sent > 0 {
        owned.connection().count(Counter::WinProbe);
    }
    match source {
        Source::Copy(_) => {
            subflow.set_copied(end);
            owned.connection().set_scattered();
        }
        Source::Waiting if repeated.is_none() => {
            owned.queue().advance(sent);
            subflow.set_copied(end);
        }
        Source::Waiting => owned.queue().repeats().prune(end),
    }
    (sent, found.bytes)
}

/// Makes `ssk` ready for data from `dsn` on.
///
/// Packets stay within what a mapping can describe; a change of route may have raised the limit. And
/// where the numbers do not go on as before, a new packet begins, because a segment has one mapping.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn prepare(ssk: Sock, subflow: &Subflow, dsn: DataSeq) {
    // SAFETY: A live, owned socket.
    unsafe {
        let raw = ssk.as_ptr();
        (*raw).sk_gso_max_size = (*raw).sk_gso_max_size.min(PACKET_MAX);
        // TCP makes packets of at least two segments, however long these may become.
        if u32::from((*ssk.tcp()).rx_opt.mss_clamp) > PACKET_MAX / 2 {
            (*raw).sk_gso_max_segs = 1;
        }
    }
    let ssn = subflow.local_ssn(ssk.write_seq());
    // SAFETY: The subflow is owned, and the reference ends here.
    if !unsafe { subflow.transmit() }.continues(ssn, dsn) {
        // SAFETY: A live, owned socket.
        unsafe { bindings::mptcp_shim_end_packet(ssk.as_ptr()) };
    }
}

/// Bytes that the peer's window allows from `nxt` on.
///
/// With nothing in flight one byte may exceed it: TCP's own window probe of the subflow then finds
/// out when the window opens.
pub(crate) fn window_room(data: &DataLock<'_>, nxt: DataSeq) -> u64 {
    if data.connection().has_fallen_back() {
        return u64::MAX;
    }
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.5
    //# The sender MUST also remember the receive windows advertised by each
    //# subflow.
    // Its TCP does, and sends no more than that allows.
    let end = data.proto.snd_wnd_end();
    if nxt.before(end) {
        end.distance_from(nxt)
    } else {
        u64::from(data.proto.snd_una() == nxt)
    }
}

/// Whether what [`window_room`] has allowed from `nxt` on is the byte beyond a closed window.
#[inline]
pub(crate) fn is_probe(data: &DataLock<'_>, nxt: DataSeq, room: u64) -> bool {
    room == 1 && !nxt.before(data.proto.snd_wnd_end())
}
