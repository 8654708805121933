// SPDX-License-Identifier: GPL-2.0

//! The way in: from the subflow's receive queue to the connection's.
//!
//! A segment is seen twice. In the packet hook, before TCP has looked at it, its options are read:
//! mappings are remembered, Data ACKs and DATA_FINs taken to heart. Later, when TCP has accepted the
//! bytes, they move from the subflow's receive queue to the connection socket's, buffer by buffer
//! and without a copy, and TCP's own code hands them to the application.
//!
//! C counterpart: `mptcp_incoming_options` in net/mptcp/options.c, `move_skbs_to_msk` in
//! net/mptcp/protocol.c.

use crate::bindings;
use crate::connection::{
    event,
    Connection, //
};
use crate::locks::DataLock;
use crate::skb::{
    Header,
    Queue,
    Skb,
    FIN,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::{
    storage,
    Subflow, //
};
use kernel::prelude::*;
use mptcp_proto::connection::{
    AckOutcome,
    FinOutcome,
    ReceiveOutcome, //
};
use mptcp_proto::fallback::{
    decide,
    Event,
    Origin,
    Reaction,
    Situation, //
};
use mptcp_proto::mapping::{
    InsertError,
    Mapping, //
};
use mptcp_proto::options::{
    mptcp_options,
    Dss,
    MpCapable,
    MptcpOption, //
};
use mptcp_proto::reassembly::{
    place,
    Placement, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Most receive mappings of a subflow: beyond, further ones are ignored until some are used up.
const RECEIVE_MAPPINGS_MAX: usize = 1024;
/// How far a plausible segment may lie behind what TCP expects: the largest window.
const BEHIND: u32 = 1 << 30;

/// What the caller of [`on_segment`] has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: the packet hook.
    Nothing,
    /// The subflow: TCP, while the packet hook is not registered yet.
    Subflow,
}

/// A run of data that came before its turn.
struct Piece {
    /// Data sequence number of the first byte of data.
    dsn: DataSeq,
    /// Bytes of data.
    len: u32,
    /// Bytes of the buffer in front of them.
    offset: u32,
    /// The buffer, which the piece owns.
    skb: Skb,
}

/// Data that came before its turn, in data sequence order.
pub(crate) struct OutOfOrder {
    /// The runs; they may overlap.
    pieces: KVec<Piece>,
    /// Memory of the buffers, in bytes.
    memory: u32,
}

// SAFETY: The buffers belong to the pieces and may be freed by any thread.
unsafe impl Send for OutOfOrder {}

impl OutOfOrder {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            pieces: KVec::new(),
            memory: 0,
        }
    }

    /// Memory of the buffers, in bytes.
    #[inline]
    pub(crate) fn memory(&self) -> u32 {
        self.memory
    }

    /// Keeps `piece`; gives it back when there is no memory.
    fn insert(&mut self, piece: Piece) -> Result<(), Skb> {
        let skb = piece.skb;
        let memory = skb.truesize();
        let at = self
            .pieces
            .iter()
            .rposition(|other| other.dsn.at_or_before(piece.dsn));
        let at = at.map_or(0, |before| before + 1);
        if self.pieces.reserve(1, GFP_ATOMIC).is_err()
            || self.pieces.insert_within_capacity(at, piece).is_err()
        {
            return Err(skb);
        }
        self.memory = self.memory.saturating_add(memory);
        Ok(())
    }

    /// Takes the first piece if its turn has come.
    fn take_due(&mut self, rcv_nxt: DataSeq) -> Option<Piece> {
        if self.pieces.first()?.dsn.after(rcv_nxt) {
            return None;
        }
        let piece = self.pieces.remove(0).ok()?;
        self.memory = self.memory.saturating_sub(piece.skb.truesize());
        Some(piece)
    }
}

impl Drop for OutOfOrder {
    fn drop(&mut self) {
        for piece in &self.pieces {
            piece.skb.free();
        }
    }
}

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
        let Some(mapping) = mapping_of(connection, subflow, &data, ssn, left) else {
            match unmapped(connection, subflow) {
                Reaction::FallBackToTcp | Reaction::FallBackWithInfiniteMapping => continue,
                _ => {
                    events |= event::RESET;
                    break;
                }
            }
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
    copy_rtt(ssk, connection.msk());
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

/// What the bytes of the subflow from `ssn` on stand for.
#[inline]
fn mapping_of(
    connection: &Connection,
    subflow: &Subflow,
    data: &DataLock<'_>,
    ssn: SubflowSeq,
    left: u32,
) -> Option<Mapping> {
    if connection.has_fallen_back() {
        return Some(Mapping::new(ssn, data.proto.rcv_nxt(), left));
    }
    // SAFETY: The data lock is held, and the reference ends here.
    unsafe { subflow.receive() }.lookup(ssn)
}

/// Bytes without a mapping have their turn: what RFC 8684, Section 3.7 makes of it.
fn unmapped(connection: &Connection, subflow: &Subflow) -> Reaction {
    let reaction = decide(
        if subflow.is_proven() {
            Event::MappingOverdue
        } else {
            Event::DataWithoutMapping
        },
        situation(connection, subflow),
    );
    if matches!(
        reaction,
        Reaction::FallBackToTcp | Reaction::FallBackWithInfiniteMapping
    ) {
        connection.fall_back();
    }
    reaction
}

/// The connection as the fallback table looks at it.
fn situation(connection: &Connection, subflow: &Subflow) -> Situation {
    Situation {
        origin: Origin::Initial,
        proven: subflow.is_proven(),
        other_subflows: false,
        contiguous: true,
        checksum: connection.uses_checksum(),
        fallen_back: connection.has_fallen_back(),
    }
}

/// Puts a run of data where it belongs; returns the events that follow.
fn deliver(data: &mut DataLock<'_>, piece: Piece) -> u32 {
    let connection = data.connection();
    let mut events = 0;
    let mut next = Some(piece);
    while let Some(piece) = next.take() {
        let rcv_nxt = data.proto.rcv_nxt();
        let end = if connection.has_fallen_back() {
            rcv_nxt.advance(u64::from(BEHIND))
        } else {
            connection.edge()
        };
        match place(rcv_nxt, end, piece.dsn, piece.len) {
            Placement::InOrder { skip, take } => {
                events |= deliver_in_order(data, &piece, skip, take)
            }
            Placement::OutOfOrder { .. } => {
                // No reader will take it: the sender's clock must go on without one.
                events |= event::OUT_OF_ORDER;
                // CAST: Buffer sizes are positive.
                let limit = connection.msk().rcvbuf() as u32;
                if data.out_of_order.memory() > limit {
                    piece.skb.free();
                } else if let Err(skb) = data.out_of_order.insert(piece) {
                    skb.free();
                }
                break;
            }
            Placement::Duplicate | Placement::BeyondWindow => piece.skb.free(),
        }
        let rcv_nxt = data.proto.rcv_nxt();
        next = data.out_of_order.take_due(rcv_nxt);
    }
    events
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
        (*tp).rcv_wup = end;
        if connection.is_read_in_loop() {
            // TCP's reader answers what it has read while it waits for more.
            (*msk.icsk()).icsk_ack.pending |= bindings::inet_csk_ack_state_t_ICSK_ACK_SCHED as u8;
            (*tp).rcv_wup = connection.data_acked().low32();
        }
        (*tp).rcv_wnd = connection.edge().low32().wrapping_sub((*tp).rcv_wup);
        if (*tp).rcv_wnd > BEHIND {
            (*tp).rcv_wnd = 0;
        }
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

/// Lets the receive buffer of the connection grow by the round-trip time of its subflow.
fn copy_rtt(ssk: Sock, msk: Sock) {
    // SAFETY: Plain copies between two live sockets; TCP tolerates any value.
    unsafe {
        (*msk.tcp()).rcv_rtt_est.rtt_us = (*ssk.tcp()).rcv_rtt_est.rtt_us;
        (*msk.icsk()).icsk_ack.rcv_mss = (*ssk.icsk()).icsk_ack.rcv_mss;
        (*msk.tcp()).scaling_ratio = (*ssk.tcp()).scaling_ratio;
    }
}

/// A segment of the subflow has arrived; TCP has not looked at it yet.
///
/// # Locking
///
/// Those of `holds`; the data lock is taken. # Context: softirq, or process with the subflow.
pub(crate) fn on_segment(
    ssk: Sock,
    subflow: &Subflow,
    header: &Header,
    options: &[u8],
    packet: Skb,
    holds: Holds,
) {
    let connection = subflow.connection();
    if header.flags & (SYN | RST) != 0 || !is_plausible(ssk, header) {
        return;
    }
    if connection.has_fallen_back() {
        on_plain_ack(ssk, subflow, header);
        return;
    }
    let mut events = 0;
    let mut seen = false;
    let mut data = DataLock::take(connection);
    for option in mptcp_options(options).flatten() {
        if !seen && !packet.checksum_ok(ssk.family_of_packets()) {
            return;
        }
        match option {
            MptcpOption::Dss(dss) => {
                seen = true;
                events |= on_dss(ssk, subflow, &mut data, header, &dss);
            }
            MptcpOption::MpCapable(MpCapable::AckData {
                sender_key,
                data_len,
                ..
            }) => {
                seen = true;
                if sender_key == connection.peer_key() {
                    let dsn = connection.peer_idsn().advance(1);
                    remember(
                        ssk,
                        subflow,
                        Mapping::new(SubflowSeq::new(1), dsn, data_len.into()),
                    );
                }
            }
            MptcpOption::MpFastclose(fastclose) => {
                seen = true;
                if fastclose.receiver_key == connection.local_key() {
                    data.proto.on_fastclose();
                    connection.msk().set_error(bindings::ECONNRESET as i32);
                    events |= event::BROKEN | event::RESET;
                }
            }
            _ => seen = true,
        }
    }
    if !seen && !subflow.is_proven() {
        let reaction = decide(Event::AckWithoutDss, situation(connection, subflow));
        if matches!(
            reaction,
            Reaction::FallBackToTcp | Reaction::FallBackWithInfiniteMapping
        ) {
            connection.fall_back();
            drop(data);
            on_plain_ack(ssk, subflow, header);
            return;
        }
    }
    // TCP answers a segment with data or FIN by itself.
    let answer = events & event::ANSWER != 0 && header.payload == 0 && header.flags & FIN == 0;
    let events = events & !event::ANSWER;
    if events != 0 {
        data.publish(events);
    } else {
        drop(data);
    }
    if answer && (holds == Holds::Subflow || !answer_at_once(ssk)) {
        connection.schedule(event::ANSWER);
    }
}

/// Sends a Data ACK unless a process owns the subflow.
pub(crate) fn answer_at_once(ssk: Sock) -> bool {
    ssk.data_lock();
    let free = !ssk.is_owned_by_user();
    if free {
        ssk.send_ack();
    }
    ssk.data_unlock();
    free
}

/// Whether TCP could accept the segment: what lies outside of its windows must not change anything.
#[inline]
fn is_plausible(ssk: Sock, header: &Header) -> bool {
    let ahead = header.seq.wrapping_sub(ssk.rcv_nxt());
    let in_window = ahead <= ssk.rcv_wnd() || ahead > BEHIND.wrapping_neg();
    // On the same machine the ACK can overtake TCP's own note of what it has sent.
    let acked = ssk.write_seq().wrapping_sub(header.ack_seq);
    in_window && acked < BEHIND
}

/// An ACK of a connection that has fallen back: its bytes are the connection's.
fn on_plain_ack(ssk: Sock, subflow: &Subflow, header: &Header) {
    let mut data = DataLock::take(subflow.connection());
    // The position in the stream counts, not what is new since TCP's `snd_una`: TCP may still have
    // the ACKs before this one in its backlog. The FIN's number lies behind all data.
    let ack = data.sent.dsn_of(subflow.local_ssn(header.ack_seq));
    let ack = if ack.after(data.proto.snd_nxt()) {
        data.proto.snd_nxt()
    } else {
        ack
    };
    let window = u32::from(header.window) << ssk.snd_wscale();
    let events = on_data_ack(&mut data, ack, window);
    if events != 0 {
        data.publish(events);
    }
}

/// A DSS option; returns the events that follow.
///
/// RFC 8684, Section 3.3.
fn on_dss(
    ssk: Sock,
    subflow: &Subflow,
    data: &mut DataLock<'_>,
    header: &Header,
    dss: &Dss,
) -> u32 {
    subflow.prove();
    let mut events = 0;
    if let Some(ack) = dss.data_ack {
        let ack = ack.expand(data.proto.snd_una());
        events |= on_data_ack(data, ack, u32::from(header.window) << ssk.snd_wscale());
    }
    let Some(mapping) = dss.mapping else {
        return events;
    };
    if mapping.is_infinite() {
        let reaction = decide(
            Event::InfiniteMapping,
            situation(data.connection(), subflow),
        );
        if reaction == Reaction::FallBackToTcp {
            data.connection().fall_back();
        }
        return events;
    }
    let dsn = mapping.dsn.expand(data.proto.rcv_nxt());
    let len = u32::from(mapping.data_len) - u32::from(dss.data_fin);
    if len > 0 {
        remember(ssk, subflow, Mapping::new(mapping.ssn, dsn, len));
    }
    if dss.data_fin {
        events |= match data.proto.on_data_fin(dsn.advance(u64::from(len))) {
            FinOutcome::Finished => {
                data.connection().set_rcv_nxt(data.proto.rcv_nxt());
                event::PEER_FINISHED | event::ANSWER
            }
            // The peer repeats it because our Data ACK was lost.
            FinOutcome::Duplicate => event::ANSWER,
            FinOutcome::Remembered | FinOutcome::Inconsistent => 0,
        };
    }
    events
}

/// A Data ACK with the window that came with it; returns the events that follow.
#[inline]
fn on_data_ack(data: &mut DataLock<'_>, ack: DataSeq, window: u32) -> u32 {
    match data.proto.on_data_ack(ack, window) {
        AckOutcome::New { window_grew, .. } => {
            event::ACKED | if window_grew { event::ROOM } else { 0 }
        }
        AckOutcome::Old { window_grew } | AckOutcome::Same { window_grew } => {
            if window_grew {
                event::ROOM
            } else {
                0
            }
        }
        AckOutcome::Invalid => 0,
    }
}

/// Remembers a mapping that the peer has declared.
///
/// # Locking
///
/// The data lock is held.
fn remember(ssk: Sock, subflow: &Subflow, mapping: Mapping) {
    let oldest = subflow.peer_ssn(ssk.copied_seq());
    // SAFETY: The data lock is held, and the reference ends with this function.
    let table = unsafe { subflow.receive() };
    let window = BEHIND;
    if table.insert_within(mapping, oldest, window) == Err(InsertError::Full)
        && table.capacity() < RECEIVE_MAPPINGS_MAX
    {
        if let Ok(more) = storage(table.capacity() * 2) {
            let _ = table.replace_storage(more);
            let _ = table.insert_within(mapping, oldest, window);
        }
    }
}
