// SPDX-License-Identifier: GPL-2.0

//! The way in: from the subflow's receive queue to the connection's.
//!
//! What TCP has accepted moves from the subflow's receive queue to the connection socket's, buffer
//! by buffer and without a copy, and TCP's own code hands it to the application. Which data the
//! bytes are was declared by options that [`crate::segment`] has read before.
//!
//! C counterpart: `move_skbs_to_msk` in net/mptcp/protocol.c.

use crate::bindings;
use crate::checksums::{
    self,
    Found, //
};
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::locks::DataLock;
use crate::out_of_order::{
    Kept,
    Piece, //
};
use crate::reset::ResetOption;
use crate::skb::{
    Queue,
    Skb, //
};
use crate::sock::Sock;
use crate::storage::ReceiveMap;
use crate::subflow::{
    self,
    Subflow, //
};
use mptcp_proto::connection::ReceiveOutcome;
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::mapping::Mapping;
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::MpTcprst;
use mptcp_proto::reassembly::{
    place,
    Placement, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// How far beyond the promised window TCP accepts bytes: it rounds the window up to the unit of its
/// scale, at most 2^14. What TCP has acknowledged, a probe of a closed window above all, must not be
/// dropped here.
const ROUNDING: u64 = 1 << 14;
/// How much more memory than the receive buffer has data may take that came before its turn: a window is
/// promised for buffers as full as those that came before, and those of a lossy path are less so.
const OVERWEIGHT: u32 = 2;
/// How far data may lie ahead where no window is promised: the largest window.
const WINDOW: u32 = 1 << 30;

/// Moves what TCP has accepted on `ssk` to the connection.
///
/// # Locking
///
/// `ssk` is owned; the data lock is taken. # Context: softirq or process.
pub(crate) fn take_from_subflow(ssk: Sock, subflow: &Subflow) {
    let Some(queue) = Queue::receive(ssk) else {
        return;
    };
    if queue.first().is_none() {
        return;
    }
    let connection = subflow.connection();
    let mut data = DataLock::take(connection);
    let mut events = 0;
    while let Some(skb) = queue.first() {
        let copied = ssk.copied_seq();
        let offset = copied.wrapping_sub(skb.seq());
        let fin = u32::from(skb.has_fin());
        let Some(left) = skb.len().checked_sub(offset).filter(|left| *left > 0) else {
            queue.unlink(skb);
            ssk.set_copied_seq(copied.wrapping_add(fin));
            skb.free();
            continue;
        };
        let ssn = subflow.peer_ssn(copied);
        let found = match mapping_of(connection, subflow, &data, ssn, left) {
            None if connection.uses_checksum() => {
                checksums::verify(ssk, subflow, &mut data, ssn, &mut events)
            }
            None => Found::Unmapped,
            Some(mapping) => Found::Data(mapping),
        };
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# even if a mapping does not exist from the subflow space to
        //# the data-level space, the data SHOULD still be ACKed at the subflow
        //# (if it is in-window).
        // TCP has taken the bytes, and acknowledges them by itself.
        let Found::Data(mapping) = found else {
            if found == Found::Held {
                if ssk.unacked() > ssk.mss() {
                    // No reader will take it: the sender's clock must go on without one.
                    events |= event::OUT_OF_ORDER;
                }
                break;
            }
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
            //# If a mapping for that subflow-level
            //# sequence space does not arrive within a receive window of data, that
            //# subflow SHOULD be treated as broken, closed with a RST, and any
            //# unmapped data silently discarded.
            match subflow.react(overdue(subflow, ssn)) {
                reaction if reaction.is_fallback() => continue,
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
                //# This RST SHOULD include the MP_TCPRST
                //# option (Section 3.6) with a "Middlebox interference" reason code.
                Reaction::ResetSubflow(reason) => {
                    // Options have passed, and may again.
                    let transient = reason == Reason::MiddleboxInterference;
                    let option = MpTcprst { transient, reason };
                    if connection.subflows().count() > 1 {
                        // The others can carry what this one has lost.
                        subflow.fail(option);
                    } else {
                        subflow.resets().set_local(ResetOption::Tcprst(option));
                        events |= event::RESET;
                    }
                }
                _ => events |= event::RESET,
            }
            break;
        };
        let take = mapping.len().min(left);
        let piece = if take == left {
            queue.unlink(skb);
            ssk.set_copied_seq(copied.wrapping_add(take).wrapping_add(fin));
            skb
        } else {
            let Some(part) = skb.try_clone() else {
                break;
            };
            if !part.trim(offset.wrapping_add(take)) {
                part.free();
                break;
            }
            ssk.set_copied_seq(copied.wrapping_add(take));
            part
        };
        piece.orphan();
        events |= deliver(
            &mut data,
            Piece {
                dsn: mapping.dsn(),
                len: take,
                offset,
                skb: piece,
            },
        );
    }
    // SAFETY: The data lock is held, and `mapping_of` keeps no reference.
    unsafe { subflow.receive() }.prune(subflow.peer_ssn(ssk.copied_seq()));
    copy_clock(ssk, connection);
    if events & event::OUT_OF_ORDER != 0 {
        ssk.want_ack_now();
    }
    if events & event::READABLE != 0 && data.is_owner() {
        wake_reader(connection.msk());
    }
    let events = events & !(event::READABLE | event::OUT_OF_ORDER);
    if events != 0 {
        data.publish(events);
    }
}

/// What it means that bytes without a mapping have their turn, from `ssn` on.
#[cold]
fn overdue(subflow: &Subflow, ssn: SubflowSeq) -> Event {
    if subflow.is_misdeclared() {
        Event::ChecksumPresence
    } else if !subflow.is_proven() {
        Event::DataWithoutMapping
    } else if ssn == SubflowSeq::new(1) && !subflow.connection().is_client() {
        Event::FirstDataWithoutMapping
    } else {
        Event::MappingOverdue
    }
}

/// What waited in the queues of the subflows to be verified is not verified any more.
///
/// # Locking
///
/// The connection socket is owned.
pub(crate) fn take_held(connection: &Connection) {
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        if let Some(subflow) = subflow::of(ssk) {
            take_from_subflow(ssk, subflow);
        }
        ssk.release();
    }
}

/// What the bytes of the subflow from `ssn` on stand for, as far as that needs no checksum.
#[inline]
fn mapping_of(
    connection: &Connection,
    subflow: &Subflow,
    data: &DataLock<'_>,
    ssn: SubflowSeq,
    left: u32,
) -> Option<Mapping> {
    // SAFETY: The data lock is held, and the reference ends with this function.
    let declared = unsafe { subflow.receive() };
    let failure = connection.failure();
    if connection.has_fallen_back() || failure.has_begun() && failure.state().takes_all() {
        return Some(in_order(declared, ssn, data.proto.rcv_nxt(), left));
    }
    declared.lookup(ssn)
}

/// What the `left` bytes of the subflow from `ssn` on stand for when they are the stream: what is expected
/// next. The exception is a probe of a closed window as in-tree sends it, with a byte of a mapping of its own
/// that had arrived before; it may have been declared just before the fallback.
fn in_order(declared: &ReceiveMap, ssn: SubflowSeq, rcv_nxt: DataSeq, left: u32) -> Mapping {
    let begun = declared.lookup(ssn);
    let until = match begun {
        Some(mapping) if mapping.dsn().advance(1) == rcv_nxt => return mapping.take(1),
        Some(mapping) => mapping.len(),
        None => {
            let mut later = declared.iter().filter(|next| next.ssn().after(ssn));
            later
                .next()
                .map_or(left, |next| next.ssn().distance_from(ssn))
        }
    };
    Mapping::new(ssn, rcv_nxt, left.min(until))
}

/// Puts a run of data where it belongs; returns the events that follow.
fn deliver(data: &mut DataLock<'_>, piece: Piece) -> u32 {
    let connection = data.connection();
    let mut events = 0;
    let mut next = Some(piece);
    while let Some(piece) = next.take() {
        let rcv_nxt = data.proto.rcv_nxt();
        let end = if connection.has_fallen_back() {
            rcv_nxt.advance(u64::from(WINDOW))
        } else {
            connection.edge().advance(ROUNDING)
        };
        let placement = place(rcv_nxt, end, piece.dsn, piece.len);
        let is_new = placement != Placement::Duplicate;
        if is_new && connection.msk().flag(bindings::sock_flags_SOCK_DEAD) {
            // Nobody will read it: the peer is to know, as it does with TCP.
            piece.skb.free();
            return events | event::RESET;
        }
        match placement {
            Placement::InOrder { skip, take } => {
                events |= deliver_in_order(data, &piece, skip, take)
            }
            Placement::OutOfOrder { .. } => {
                // No reader will take it: the sender's clock must go on without one.
                events |= event::OUT_OF_ORDER;
                keep_out_of_order(data, piece);
                break;
            }
            Placement::Duplicate => {
                connection.count(Counter::DuplicateData);
                if piece.len > 1 {
                    // More than a probe of the window: the peer has sent data twice.
                    connection.set_scattered();
                }
                piece.skb.free();
            }
            Placement::BeyondWindow => {
                connection.count(Counter::NoDSSInWindow);
                piece.skb.free();
            }
        }
        let rcv_nxt = data.proto.rcv_nxt();
        next = data.out_of_order.take_due(rcv_nxt);
    }
    events
}

/// Keeps data that came before its turn, or drops what lies farthest ahead.
fn keep_out_of_order(data: &mut DataLock<'_>, piece: Piece) {
    let connection = data.connection();
    // CAST: Buffer sizes are positive.
    let limit = (connection.msk().rcvbuf() as u32).saturating_mul(OVERWEIGHT);
    connection.count(Counter::OFOQueue);
    match data.out_of_order.insert(piece, limit) {
        Ok(Kept { is_last, dropped }) => {
            if is_last {
                connection.count(Counter::OFOQueueTail);
            }
            if dropped {
                connection.count(Counter::OFOPruned);
            }
        }
        Err(skb) => {
            connection.count(Counter::RcvPruned);
            skb.free();
        }
    }
}

/// Appends data whose turn has come: to the receive queue, or to the backlog when a process owns the
/// connection socket.
fn deliver_in_order(data: &mut DataLock<'_>, piece: &Piece, skip: u32, take: u32) -> u32 {
    let connection = data.connection();
    let msk = connection.msk();
    let mut events = event::READABLE;
    match data.proto.on_receive(take) {
        ReceiveOutcome::Advanced => {}
        ReceiveOutcome::Finished => events |= event::PEER_FINISHED,
        ReceiveOutcome::BeyondFin => {
            piece.skb.free();
            return 0;
        }
    }
    let len = skip.wrapping_add(take);
    if len < piece.len {
        // Beyond the window; cannot fail to be cut where the buffer is ours alone.
        let _ = piece.skb.trim(piece.offset.wrapping_add(len));
    }
    let start = piece.dsn.low32().wrapping_sub(piece.offset);
    piece
        .skb
        .set_data_range(start, piece.dsn.low32().wrapping_add(len));
    connection.set_rcv_nxt(data.proto.rcv_nxt());
    if data.is_owner() {
        append(msk, piece.skb);
    } else {
        // SAFETY: The data lock is held; the buffer is in no queue and belongs to no socket.
        let full = unsafe {
            bindings::mptcp_shim_sk_add_backlog(msk.as_ptr(), piece.skb.as_ptr(), u32::MAX >> 1)
        };
        debug_assert!(full == 0);
    }
    events
}

/// Appends a buffer in data sequence space to the receive queue, as TCP's `tcp_queue_rcv` does.
///
/// # Locking
///
/// The connection socket is owned.
pub(crate) fn append(msk: Sock, skb: Skb) {
    let Some(queue) = Queue::receive(msk) else {
        skb.free();
        return;
    };
    let tp = msk.tcp();
    // SAFETY: The socket is owned and the buffer ours; TCP's fields are kept as its reader
    // expects: `rcv_nxt` behind the last byte queued, the window relative to it.
    unsafe {
        let end = (*skb.control_block()).end_seq;
        let added = end.wrapping_sub((*tp).rcv_nxt);
        (*tp).bytes_received += u64::from(added);
        let merged = queue.last().is_some_and(|last| {
            (*last.control_block()).end_seq == skb.seq()
                && bindings::mptcp_shim_skb_merge(msk.as_ptr(), last.as_ptr(), skb.as_ptr())
        });
        if !merged {
            bindings::mptcp_shim_sk_receive(msk.as_ptr(), skb.as_ptr());
        }
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*tp).rcv_nxt), end);
        let connection = crate::connection::of(msk);
        let mut from = end;
        if connection.is_read_in_loop() {
            // TCP's reader answers what it has read while it waits for more.
            (*msk.icsk()).icsk_ack.pending |= bindings::inet_csk_ack_state_t_ICSK_ACK_SCHED as u8;
            from = connection.data_acked().low32();
        }
        show_window(msk, connection, from);
    }
}

/// Shows TCP's reader the window that the peer has been promised, beginning at `from`: it compares it
/// with the room that it makes.
///
/// # Locking
///
/// The connection socket is owned.
pub(crate) fn show_window(msk: Sock, connection: &Connection, from: u32) {
    let window = connection.edge().low32().wrapping_sub(from);
    // SAFETY: The socket is owned.
    unsafe {
        (*msk.tcp()).rcv_wup = from;
        (*msk.tcp()).rcv_wnd = if window > WINDOW { 0 } else { window };
    }
}

/// Wakes the reader when as much as it asked for is there.
pub(crate) fn wake_reader(msk: Sock) {
    // SAFETY: Plain reads of a live socket.
    let (available, wanted) = unsafe {
        (
            msk.rcv_nxt().wrapping_sub(msk.copied_seq()),
            core::ptr::read_volatile(core::ptr::addr_of!((*msk.as_ptr()).sk_rcvlowat)),
        )
    };
    // CAST: A receive low-water mark is positive.
    if available >= wanted as u32 || msk.shutdown_mask() & bindings::RCV_SHUTDOWN as u8 != 0 {
        msk.call_data_ready();
    }
}

/// Lets the receive buffer of the connection grow as TCP would: by its clock, and by the round-trip
/// time of the slowest subflow, because what the others carry waits for that one.
///
/// # Locking
///
/// `ssk` is owned, the data lock is held.
fn copy_clock(ssk: Sock, connection: &Connection) {
    let msk = connection.msk();
    let rtt = if connection.only_first().is_some() {
        ssk.receive_rtt()
    } else {
        let all = connection.subflows().iter();
        all.map(|(_, ssk)| ssk.receive_rtt()).max().unwrap_or(0)
    };
    // SAFETY: Plain copies between two live sockets; TCP tolerates any value.
    unsafe {
        (*msk.tcp()).tcp_mstamp = (*ssk.tcp()).tcp_mstamp;
        (*msk.tcp()).rcv_rtt_est.rtt_us = rtt;
        (*msk.icsk()).icsk_ack.rcv_mss = (*ssk.icsk()).icsk_ack.rcv_mss;
        (*msk.tcp()).scaling_ratio = (*ssk.tcp()).scaling_ratio;
    }
}
