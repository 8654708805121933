// SPDX-License-Identifier: GPL-2.0

//! A segment of a subflow has arrived: its options, read before TCP has looked at it.
//!
//! Options only declare (`crate::dss`, `crate::signal`): bytes are delivered when TCP has accepted them, by
//! [`crate::rx`], and what was declared first for a byte stays.
//!
//! RFC 8684, Sections 3.3 and 3.7. C counterpart: `mptcp_incoming_options` in net/mptcp/options.c.

use crate::bindings;
use crate::counters::Counter;
use crate::dss::{
    declare_first,
    on_dss,
    on_plain_ack, //
};
use crate::event;
use crate::locks::DataLock;
use crate::options_hook::ACK_LEN;
use crate::paths;
use crate::schedule::now;
use crate::signal::{
    on_fastclose,
    on_signal, //
};
use crate::skb::{
    Header,
    Skb,
    ACK,
    FIN,
    OPTIONS_MAX,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::Subflow;
use mptcp_proto::fallback::Event;
use mptcp_proto::options::{
    mptcp_options,
    MpCapable,
    MptcpOption, //
};
use mptcp_proto::seq::SubflowSeq;

/// The largest window.
pub(crate) const LARGEST_WINDOW: u32 = 1 << 30;
/// How far a plausible segment may be off while the window is smaller or closed: a probe of it is.
const LEAST_WINDOW: u32 = 1 << 16;

/// What the caller of [`on_segment`] has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: the packet hook.
    Nothing,
    /// The subflow: TCP, while the packet hook is not registered yet.
    Subflow,
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
    if header.flags & SYN != 0 || !is_plausible(ssk, header) {
        return;
    }
    if header.flags & RST != 0 {
        on_reset(ssk, subflow, header, options, packet, holds);
        return;
    }
    if connection.has_fallen_back() {
        on_plain_ack(ssk, subflow, header);
        return;
    }
    if subflow.is_joined() && ssk.state() == bindings::TCP_SYN_SENT {
        // The peer's code has not come yet.
        return;
    }
    let mut events = 0;
    let mut seen = false;
    let mut data = DataLock::take(connection);
    if subflow.is_joined() && !subflow.is_proven() {
        if !packet.checksum_ok(ssk.family_of_packets()) {
            return;
        }
        on_fourth_ack(subflow, &mut data);
    }
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
                checksum,
                ..
            }) => {
                seen = true;
                if sender_key == connection.identity().peer_key {
                    declare_first(ssk, subflow, data_len, checksum);
                }
            }
            other => {
                seen = true;
                if is_first_look(&mut data, packet, holds) {
                    events |= on_signal(ssk, subflow, &mut data, header, &other);
                }
            }
        }
    }
    let probing = subflow.is_probing();
    let makes_room = || header.ack_seq.wrapping_sub(ssk.snd_una()).wrapping_sub(1) < LARGEST_WINDOW;
    if subflow.is_stale() && (probing || makes_room()) && subflow.set_stale(false) {
        connection.on_subflow_stale(false);
    }
    if probing {
        subflow.set_probing(false);
        if let Some(paths) = paths::of(&mut data) {
            paths.on_heard(subflow.id());
        }
    }
    if !seen && !subflow.is_joined() && shows_loss(subflow, &mut data, header, options) {
        drop(data);
        on_plain_ack(ssk, subflow, header);
        return;
    }
    // What waits goes to whichever subflow has room, also if the oldest data is on another one: then no
    // Data ACK asks for more.
    let waits = connection.has_unsent() && connection.only_first().is_none();
    let pushes = waits && events & (event::ACKED | event::ROOM) == 0 && makes_room();
    if waits {
        subflow.set_peer_ack(header.ack_seq);
    }
    // TCP answers a segment with data or FIN by itself.
    let answer = events & event::ANSWER != 0 && header.payload == 0 && header.flags & FIN == 0;
    let events = events & !event::ANSWER;
    if events != 0 {
        data.publish(events);
    } else {
        drop(data);
    }
    if pushes {
        connection.schedule(event::PUSH);
    }
    if answer && (holds == Holds::Subflow || !answer_at_once(ssk)) {
        connection.schedule(event::ANSWER);
    }
}

/// Whether a segment of the first subflow that carries no option shows that options are lost: `true` when the
/// connection has fallen back.
///
/// RFC 8684, Section 3.7.
fn shows_loss(subflow: &Subflow, data: &mut DataLock<'_>, header: &Header, options: &[u8]) -> bool {
    let connection = data.connection();
    let acks_data = subflow.local_ssn(header.ack_seq).after(SubflowSeq::new(1));
    // A host that has our key would have said so with its FIN.
    let ends = header.flags & FIN != 0;
    if !acks_data && !ends {
        return false;
    }
    if !subflow.is_proven() {
        return subflow.falls_back(Event::AckWithoutDss);
    }
    // Data need not have a Data ACK, but what acknowledges our first data and nothing else has one, if there
    // is room for it.
    let is_first = data.proto.snd_una() == connection.identity().local_start();
    let is_bare = header.payload == 0 && options.len() + ACK_LEN <= OPTIONS_MAX;
    if is_first && is_bare && acks_data {
        subflow.note_bare_ack();
    }
    false
}

/// A reset of a subflow: why, and whether the whole connection ends with it. TCP does the rest, if it
/// takes the reset for genuine, as it does one that has exactly the next sequence number. MP_FASTCLOSE
/// proves itself by the key: data that TCP has not come to yet may be in front of it.
fn on_reset(
    ssk: Sock,
    subflow: &Subflow,
    header: &Header,
    options: &[u8],
    packet: Skb,
    holds: Holds,
) {
    let connection = subflow.connection();
    if !packet.checksum_ok(ssk.family_of_packets()) {
        return;
    }
    let mut data = DataLock::take(connection);
    if !is_first_look(&mut data, packet, holds) {
        return;
    }
    let mut events = 0;
    let is_next = header.seq == ssk.rcv_nxt();
    for option in mptcp_options(options).flatten() {
        match option {
            MptcpOption::MpFail(_) if is_next => connection.count(Counter::MPFailRx),
            MptcpOption::MpTcprst(option) if is_next => {
                connection.count(Counter::MPRstRx);
                subflow.resets().set_peer(option);
            }
            MptcpOption::MpFastclose(fastclose) => events |= on_fastclose(&mut data, &fastclose),
            _ => {}
        }
    }
    if events != 0 {
        data.publish(events);
    }
}

/// The peer has answered our join: the subflow may carry data.
///
/// RFC 8684, Section 3.2.
fn on_fourth_ack(subflow: &Subflow, data: &mut DataLock<'_>) {
    let connection = data.connection();
    subflow.prove();
    let (id, backup) = subflow.peer();
    if let Some(paths) = paths::of(data) {
        paths.on_subflow_established(subflow.id(), id, backup, now());
    }
    connection.set_scattered();
    connection.schedule(event::JOINED);
}

/// Whether nobody has looked yet at what a packet says besides its DSS.
#[cold]
fn is_first_look(data: &mut DataLock<'_>, packet: Skb, holds: Holds) -> bool {
    match holds {
        Holds::Nothing => {
            data.looked_at.add(packet);
            true
        }
        Holds::Subflow => !data.looked_at.has(packet),
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

/// Whether TCP could accept the segment: what lies outside of its windows must not change anything. One that
/// others have overtaken may be a window behind.
///
/// RFC 5961, Section 5.2.
#[inline]
fn is_plausible(ssk: Sock, header: &Header) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3
    //# standard TCP validity checks (such as ensuring that the
    //# sequence number and acknowledgment number are within the window) MUST
    //# be undertaken before processing any MPTCP signals
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
    //# Typical TCP
    //# validity tests on the subflow (e.g., ensuring that sequence and ACK
    //# numbers are correct) MUST also be undertaken.
    let window = ssk.rcv_wnd().max(LEAST_WINDOW);
    let from = ssk.rcv_nxt().wrapping_sub(window);
    let in_window = header.seq.wrapping_sub(from) <= window.saturating_mul(2);
    if header.flags & ACK == 0 {
        return in_window && header.flags & RST != 0;
    }
    // On the same machine the ACK can overtake TCP's own note of what it has sent.
    let end = ssk.write_seq();
    let waits = end.wrapping_sub(ssk.snd_una());
    let oldest = waits.saturating_add(ssk.max_window().max(LEAST_WINDOW));
    in_window && end.wrapping_sub(header.ack_seq) <= oldest
}
