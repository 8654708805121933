// SPDX-License-Identifier: GPL-2.0

//! What the peer says besides what its data stands for: addresses, priorities, failures, the end of all.
//!
//! RFC 8684, Sections 3.3.8, 3.4, 3.5 and 3.7. C counterpart: `mptcp_incoming_options` in net/mptcp/options.c.

use crate::bindings;
use crate::choice;
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
    ACK,
    FIN,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::Subflow;
use mptcp_proto::fallback::{
    Event,
    Reaction, //
};
use mptcp_proto::options::{
    mptcp_options,
    AddAddr,
    MpFail,
    MpFastclose,
    MpJoin,
    MptcpOption, //
};
use mptcp_proto::path_manager::Joins;

/// What the peer says besides what its data stands for; returns the events that follow.
#[cold]
pub(crate) fn on_signal(
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

/// The peer ends the whole connection at once; returns the events that follow.
///
/// RFC 8684, Section 3.5.
pub(crate) fn on_fastclose(data: &mut DataLock<'_>, fastclose: &MpFastclose) -> u32 {
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
