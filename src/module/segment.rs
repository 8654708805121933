// SPDX-License-Identifier: GPL-2.0

//! A segment of a subflow has arrived: its options, read before TCP has looked at it.
//!
//! Mappings are remembered, Data ACKs and DATA_FINs taken to heart. Options only declare: bytes are
//! delivered when TCP has accepted them, by [`crate::rx`], and what was declared first for a byte
//! stays.
//!
//! RFC 8684, Sections 3.3 and 3.7. C counterpart: `mptcp_incoming_options` in net/mptcp/options.c.

use crate::bindings;
use crate::checksums;
use crate::choice;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::failure::State;
use crate::locks::DataLock;
use crate::paths;
use crate::pm_events;
use crate::reset::ResetOption;
use crate::schedule::now;
use crate::skb::{
    Header,
    Skb,
    ACK,
    FIN,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::storage::storage;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::trace;
use mptcp_proto::connection::{
    AckOutcome,
    FinOutcome, //
};
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::mapping::{
    CheckedMapping,
    InsertError,
    Inserted,
    Mapping, //
};
use mptcp_proto::options::dss::verify_dss_checksum;
use mptcp_proto::options::{
    mptcp_options,
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoin,
    MpTcprst,
    MptcpOption, //
};
use mptcp_proto::path_manager::Joins;
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Most receive mappings of a subflow: beyond, further ones are ignored until some are used up.
const RECEIVE_MAPPINGS_MAX: usize = 1024;
/// The largest window.
const BEHIND: u32 = 1 << 30;
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
    let makes_room = || header.ack_seq.wrapping_sub(ssk.snd_una()).wrapping_sub(1) < BEHIND;
    if subflow.is_stale() && (probing || makes_room()) && subflow.set_stale(false) {
        connection.on_subflow_stale(false);
    }
    if probing {
        subflow.set_probing(false);
        if let Some(paths) = paths::of(&mut data) {
            paths.on_heard(subflow.id());
        }
    }
    if !seen && !subflow.is_joined() && shows_loss(subflow, &mut data, header) {
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
fn shows_loss(subflow: &Subflow, data: &mut DataLock<'_>, header: &Header) -> bool {
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
    // Data need not have a Data ACK, but what acknowledges our first data and nothing else has one.
    let is_first = data.proto.snd_una() == connection.identity().local_idsn.advance(1);
    let is_bare = header.payload == 0;
    is_first
        && is_bare
        && connection.only_first().is_some()
        && subflow.falls_back(Event::FirstAckWithoutDss)
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

/// The peer ends the whole connection at once; returns the events that follow.
///
/// RFC 8684, Section 3.5.
fn on_fastclose(data: &mut DataLock<'_>, fastclose: &MpFastclose) -> u32 {
    let connection = data.connection();
    if fastclose.receiver_key != connection.identity().local_key {
        return 0;
    }
    data.connection().count(Counter::MPFastcloseRx);
    data.proto.on_fastclose();
    // If it was ended here, its error may not have been read yet.
    if connection.msk().state() != bindings::TCP_CLOSE {
        connection.msk().set_error(bindings::ECONNRESET as i32);
    }
    event::BROKEN | event::RESET
}

/// The peer has found a wrong checksum in what we have sent, or answers our report of one; returns the events
/// that follow.
///
/// RFC 8684, Section 3.7.
#[cold]
fn on_mp_fail(subflow: &Subflow, data: &mut DataLock<'_>, header: &Header, option: &MpFail) -> u32 {
    let connection = data.connection();
    let failure = connection.failure();
    connection.count(Counter::MPFailRx);
    if failure.on_answer() {
        connection.schedule(event::HELD | event::ANSWER);
        return 0;
    }
    let rcv_nxt = data.proto.rcv_nxt();
    match failure.state() {
        State::None if option.dsn.after(data.proto.snd_nxt()) => return 0,
        State::None => match subflow.react(Event::MpFailReceived) {
            Reaction::AnswerMpFail => failure.owe(option.dsn, rcv_nxt),
            Reaction::ResetWithMpFail => {
                subflow.fail_with(ResetOption::Fail(rcv_nxt));
                return 0;
            }
            _ => return 0,
        },
        State::Owed => failure.repeat_answer(),
        _ => return 0,
    }
    if header.payload > 0 {
        // TCP may answer with data, which does not carry MP_FAIL.
        connection.schedule(event::ANSWER);
    }
    event::ANSWER
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

/// What the peer says besides what its data stands for; returns the events that follow.
#[cold]
fn on_signal(
    ssk: Sock,
    subflow: &Subflow,
    data: &mut DataLock<'_>,
    header: &Header,
    option: &MptcpOption<'_>,
) -> u32 {
    match option {
        MptcpOption::MpFail(option) => return on_mp_fail(subflow, data, header, option),
        MptcpOption::MpFastclose(option) => return on_fastclose(data, option),
        // A third ACK again, because the answer to it was lost.
        MptcpOption::MpJoin(MpJoin::Ack { .. }) if subflow.is_accepted() => return event::ANSWER,
        MptcpOption::AddAddr(option) => on_add_addr(ssk, subflow, data, option),
        _ => on_path_signal(ssk, subflow, data, option),
    }
    0
}

/// What the peer says of its addresses and priorities, but for announcements.
///
/// RFC 8684, Sections 3.3.8 and 3.4.
fn on_path_signal(ssk: Sock, subflow: &Subflow, data: &mut DataLock<'_>, option: &MptcpOption<'_>) {
    let connection = data.connection();
    if !connection.is_joinable() {
        if matches!(option, MptcpOption::RemoveAddr(_)) {
            connection.count(Counter::RmAddrDrop);
        }
        return;
    }
    match option {
        MptcpOption::RemoveAddr(option) => {
            for id in option.ids() {
                pm_events::on_removed(connection, id);
            }
            let Some(paths) = paths::of(data) else {
                connection.count(Counter::RmAddrDrop);
                return;
            };
            paths.on_remove_addr(option);
            option.ids().for_each(|_| connection.count(Counter::RmAddr));
        }
        MptcpOption::MpPrio(option) => {
            connection.count(Counter::MPPrioRx);
            let Some(paths) = paths::of(data) else {
                return;
            };
            paths.on_mp_prio(subflow.id(), option);
            paths::note_priorities(data);
            pm_events::on_priority(ssk, subflow);
        }
        _ => return,
    }
    connection.schedule(event::PATHS | event::PUSH);
}

/// An announcement, or the echo of one. The code of an announcement takes both keys: it shows as well as a
/// DSS that the server has got ours, and often comes first.
///
/// RFC 8684, Section 3.4.1.
fn on_add_addr(ssk: Sock, subflow: &Subflow, data: &mut DataLock<'_>, option: &AddAddr) {
    let connection = data.connection();
    if let Some(hmac) = option.hmac {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# If a host receives an ADD_ADDR option for which it
        //# cannot validate the HMAC, it SHOULD silently ignore the option.
        if hmac != connection.identity().peer_hmac(option) {
            return;
        }
        if !subflow.is_proven() {
            subflow.prove();
            connection.on_fully_established();
        }
    }
    connection.count(match option.hmac {
        Some(_) => Counter::AddAddr,
        None => Counter::EchoAdd,
    });
    if option.port.is_some() {
        connection.count(Counter::PortAdd);
    }
    if !connection.is_joinable() {
        return;
    }
    if option.hmac.is_some() {
        pm_events::on_announced(connection, ssk, option);
    }
    // A program manages the connection, and none listens.
    let is_unheard = || choice::settings(connection.msk()).joins == Joins::Refused;
    if option.hmac.is_some() && is_unheard() {
        connection.count(Counter::AddAddrDrop);
        return;
    }
    let Some(paths) = paths::of(data) else {
        return;
    };
    let outcome = paths.on_add_addr(option, now());
    if outcome.is_ignored() {
        connection.count(Counter::AddAddrDrop);
    }
    if outcome.is_to_be_echoed() {
        let free = data.echoes.iter_mut().find(|place| place.is_none());
        match free {
            Some(place) => *place = Some(option.echo()),
            None => connection.count(Counter::EchoAddTxDrop),
        }
    }
    connection.schedule(event::PATHS | event::PUSH);
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

/// Whether a segment only signals, and says nothing else that would be new: with duplicate ACKs that it counts TCP
/// must not count it.
///
/// RFC 8684, Section 3.
#[inline]
pub(crate) fn is_bare_signal(ssk: Sock, header: &Header, options: &[u8]) -> bool {
    header.payload == 0 && !ssk.has_sack() && is_duplicate(ssk, header) && has_signal(options)
}

/// Whether TCP would count a segment without data among the duplicate ACKs.
#[cold]
fn is_duplicate(ssk: Sock, header: &Header) -> bool {
    let window = u32::from(header.window) << ssk.snd_wscale();
    let is_ack = header.flags & (SYN | FIN | RST | ACK) == ACK;
    is_ack && header.ack_seq == ssk.snd_una() && window == ssk.snd_wnd()
}

/// Whether there is an MPTCP option but for DSS.
#[cold]
fn has_signal(options: &[u8]) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
    //# an MPTCP
    //# implementation MUST NOT treat duplicate ACKs with any MPTCP option,
    //# with the exception of the DSS option, as indications of congestion
    //= https://www.rfc-editor.org/rfc/rfc8684#section-4
    //# A duplicate ACK that includes any MPTCP signaling
    //# (with the exception of the DSS option) MUST NOT be treated as a
    //# signal of congestion.
    mptcp_options(options)
        .flatten()
        .any(|option| !matches!(option, MptcpOption::Dss(_)))
}

/// An ACK of a connection that has fallen back: its bytes are the connection's.
fn on_plain_ack(ssk: Sock, subflow: &Subflow, header: &Header) {
    let mut data = DataLock::take(subflow.connection());
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
    //# After a sender signals an infinite mapping, it MUST only use subflow
    //# ACKs to clear its send buffer.
    // The position in the stream counts, not what is new since TCP's `snd_una`: TCP may still have
    // the ACKs before this one in its backlog. The FIN's number lies behind all data.
    let ack = data.sent.dsn_of(subflow.local_ssn(header.ack_seq));
    let ack = ack.earlier(data.proto.snd_nxt());
    let window = u32::from(header.window) << ssk.snd_wscale();
    let events = on_data_ack(&mut data, ack, window);
    if events != 0 {
        data.publish(events);
    }
}

/// What TCP knows to be acknowledged on a connection that has fallen back, in case its last ACK came before
/// the packet hook was there: nobody repeats it.
pub(crate) fn take_acked(connection: &Connection) {
    let Some(ssk) = connection.only_first() else {
        return;
    };
    let mut data = DataLock::take(connection);
    if let Some(subflow) = subflow::of(ssk) {
        let ack = data.sent.dsn_of(subflow.local_ssn(ssk.snd_una()));
        let ack = ack.earlier(data.proto.snd_nxt());
        let events = on_data_ack(&mut data, ack, 0);
        if events != 0 {
            data.publish(events);
        }
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
    if !subflow.is_proven() {
        subflow.prove();
        data.connection().on_fully_established();
    }
    let mut events = 0;
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
    //# this behavior MUST be treated as valid.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
    //# an implementation MUST NOT use the RCV.WND
    //# field of a TCP segment at the connection level if it does not also
    //# carry a DSS option with a Data ACK field.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-4
    //# Implementations SHOULD NOT attempt to infer a data-level
    //# acknowledgment from the subflow ACKs.
    if let Some(ack) = dss.data_ack {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
        //# an implementation MUST accept either in this
        //# situation.
        let ack = ack.expand(data.proto.snd_una());
        events |= on_data_ack(data, ack, u32::from(header.window) << ssk.snd_wscale());
    }
    let Some(mapping) = dss.mapping else {
        return events;
    };
    if mapping.is_infinite() {
        data.connection().count(Counter::InfiniteMapRx);
        if let Reaction::ResetSubflow(reason) = subflow.react(Event::InfiniteMapping) {
            subflow.fail(MpTcprst {
                transient: false,
                reason,
            });
        }
        return events;
    }
    if mapping.checksum.is_some() != data.connection().uses_checksum() {
        subflow.misdeclare();
        return events;
    }
    let dsn = mapping.dsn.expand(data.proto.rcv_nxt());
    let len = u32::from(mapping.data_len) - u32::from(dss.data_fin);
    let declared = Mapping::new(mapping.ssn, dsn, len);
    let checked = mapping.checksum;
    match checked.filter(|_| !data.connection().failure().state().takes_all()) {
        Some(checksum) if len > 0 => {
            // The DATA_FIN, too, counts only once all of that is verified.
            let entry = CheckedMapping::new(declared, checksum).with_data_fin(dss.data_fin);
            checksums::declare(ssk, subflow, entry);
            return events;
        }
        Some(checksum) if !verify_dss_checksum(dsn, mapping.ssn, mapping.data_len, 0, checksum) => {
            data.connection().count(Counter::DataCsumErr);
            return events;
        }
        _ => {}
    }
    if len > 0 {
        remember(ssk, subflow, declared);
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
            // At once, whoever owns the connection: two hosts that both go on signalling what the
            // other has acknowledged would answer each other without end.
            if data.connection().data_fin().is_some() && data.proto.data_fin_to_send().is_none() {
                data.connection().set_data_fin(None);
            }
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

/// The peer has declared the first `len` bytes of the subflow, with a checksum if that was agreed on.
///
/// # Locking
///
/// The data lock is held.
pub(crate) fn declare_first(ssk: Sock, subflow: &Subflow, len: u16, checksum: Option<u16>) {
    let connection = subflow.connection();
    let dsn = connection.identity().peer_idsn.advance(1);
    let mapping = Mapping::new(SubflowSeq::new(1), dsn, len.into());
    match checksum {
        Some(checksum) if connection.uses_checksum() => {
            checksums::declare(ssk, subflow, CheckedMapping::new(mapping, checksum));
        }
        None if !connection.uses_checksum() => remember(ssk, subflow, mapping),
        _ => subflow.misdeclare(),
    }
}

/// Remembers a mapping that the peer has declared.
///
/// # Locking
///
/// The data lock is held.
fn remember(ssk: Sock, subflow: &Subflow, mapping: Mapping) {
    trace::on_mapping(subflow, mapping, false);
    let oldest = subflow.peer_ssn(ssk.copied_seq());
    // SAFETY: The data lock is held, and the reference ends with this function.
    let table = unsafe { subflow.receive() };
    let window = BEHIND;
    let mut result = table.insert_within(mapping, oldest, window);
    if result == Err(InsertError::Full) && table.capacity() < RECEIVE_MAPPINGS_MAX {
        if let Ok(more) = storage(table.capacity() * 2) {
            let _ = table.replace_storage(more);
            result = table.insert_within(mapping, oldest, window);
        }
    }
    match result {
        Ok(Inserted::Conflict { .. }) => subflow.connection().count(Counter::DSSNotMatching),
        Err(InsertError::Distant) => subflow.connection().count(Counter::DSSNoMatchTCP),
        _ => {}
    }
}
