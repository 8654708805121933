// SPDX-License-Identifier: GPL-2.0

//! When a subflow ends or makes no progress: its data goes to the others.
//!
//! RFC 8684, Sections 3.3.6 and 3.4.2. C counterpart: `__mptcp_retrans`, `__mptcp_close_ssk` in
//! net/mptcp/protocol.c.

use crate::bindings;
use crate::close::end_broken;
use crate::config;
use crate::connection::Connection;
use crate::dss;
use crate::locks::Owned;
use crate::net;
use crate::paths;
use crate::pm_events;
use crate::push;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::subflows::Removed;
use crate::worker;
use mptcp_proto::fallback::Event;
use mptcp_proto::path_manager::Ended;
use mptcp_proto::repeats::Range;
use mptcp_proto::scheduler::BURST_MAX;
use mptcp_proto::seq::DataSeq;

/// Removes the subflows that have ended, and lets the others carry what they had. What has stopped
/// making progress stays, but its data goes to the others as well.
pub(crate) fn remove_ended(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    let mut nobody_left = false;
    for (slot, ssk) in connection.subflows().iter() {
        let finished = ssk.in_states(bindings::TCPF_CLOSE_WAIT)
            && connection.subflows().count() > 1
            && !owned.data().proto.peer_finished();
        let ended = finished || ssk.state() == bindings::TCP_CLOSE;
        ssk.lock(true);
        let state = subflow::of(ssk).map(|subflow| {
            (
                subflow.id(),
                ended_by(subflow),
                subflow.is_failed(),
                is_known(subflow, owned),
                subflow.take_relief(),
            )
        });
        if state.is_some_and(|(_, _, failed, ..)| failed) {
            ssk.reset_on_close();
        }
        ssk.release();
        let Some((id, how, failed, known, stale)) = state else {
            continue;
        };
        if !(ended || failed) {
            if stale && connection.subflows().count() > 1 {
                repeat_data_of(owned, ssk, Lost::Unacknowledged);
            }
            continue;
        }
        repeat_data_of(owned, ssk, Lost::Undelivered);
        if owned.take_subflow(slot, ssk) {
            pm_events::on_subflow_closed(ssk);
            removed.push(ssk);
            nobody_left |= !known && matches!(how, Ended::Refused | Ended::Reset(_));
            paths::on_ended(owned, id, how);
        }
    }
    if connection.subflows().count() == 0 {
        if nobody_left {
            end_broken(connection, connection.msk());
        } else {
            wait_for_subflow(owned);
        }
    }
}

/// A subflow was taken away. If it was the last one the connection waits for another, or ends if none can come.
pub(crate) fn on_taken(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    let msk = connection.msk();
    if connection.subflows().count() != 0 || msk.state() == bindings::TCP_CLOSE {
        return;
    }
    if connection.waits_for_subflow() {
        wait_for_subflow(owned);
    } else {
        end_broken(connection, msk);
    }
}

/// A further subflow can carry data: it gets its share of what was not sent yet, and a connection that
/// had none goes on.
pub(crate) fn on_joined(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    push::take_back(owned);
    // SAFETY: The timer was set up when the socket became a connection's.
    unsafe { bindings::mptcp_shim_stop_timer(connection.msk().as_ptr()) };
    worker::arm_timer(owned);
}

/// Whether the peer, which has reset a subflow, may know the connection still: it has answered, and has not closed
/// it whole, as a reset behind its DATA_FIN and FIN says.
fn is_known(subflow: &Subflow, owned: &mut Owned<'_>) -> bool {
    // CAST: Errors are positive. TCP has this one for a reset behind a FIN.
    let is_behind_fin = subflow.error() as u32 == bindings::EPIPE;
    subflow.may_send() && !(is_behind_fin && owned.data().proto.peer_finished())
}

/// How a subflow has ended.
fn ended_by(subflow: &Subflow) -> Ended {
    if let Some(option) = subflow.resets().peer() {
        return Ended::Reset(option);
    }
    // CAST: Errors are positive.
    match subflow.error() as u32 {
        0 => Ended::Finished,
        bindings::ETIMEDOUT => Ended::TimedOut,
        bindings::ENETUNREACH | bindings::EHOSTUNREACH => Ended::Unreachable,
        _ => Ended::Refused,
    }
}

/// The last subflow is gone: the connection waits for another one, but not forever.
fn wait_for_subflow(owned: &mut Owned<'_>) {
    let msk = owned.connection().msk();
    let timeout = config::of(msk.net()).close_timeout.as_micros();
    // SAFETY: The timer was set up when the socket became a connection's.
    unsafe {
        bindings::mptcp_shim_stop_timer(msk.as_ptr());
        let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
        bindings::mptcp_shim_start_timer(msk.as_ptr(), timeout);
    }
}

/// What a subflow does not deliver.
#[derive(Clone, Copy)]
pub(crate) enum Lost {
    /// What it has not acknowledged: it is alive, and the peer has the rest.
    Unacknowledged,
    /// What no Data ACK has come for: it is gone, and with it what the peer could not place.
    Undelivered,
}

/// Lets other subflows carry what `ssk` has got and does not deliver.
pub(crate) fn repeat_data_of(owned: &mut Owned<'_>, ssk: Sock, lost: Lost) {
    let connection = owned.connection();
    if connection.has_fallen_back() {
        return;
    }
    let una = owned.data().proto.snd_una();
    let nxt = owned.queue().nxt();
    ssk.lock(true);
    if let Some(subflow) = subflow::of(ssk) {
        // SAFETY: The subflow is owned, and the reference ends with the loop.
        let map = unsafe { subflow.transmit() };
        let acknowledged = subflow.local_ssn(ssk.snd_una());
        let from = match lost {
            Lost::Unacknowledged => acknowledged,
            Lost::Undelivered => map.first().unwrap_or(acknowledged),
        };
        for mapping in map.assigned_from(from) {
            let (start, end) = (mapping.dsn(), mapping.end_dsn());
            if end.after(una) && !end.after(nxt) {
                let start = start.later(una);
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.6
                //# a host
                //# MUST still retransmit the original data on the original subflow, in
                //# order to preserve the subflow's integrity
                // Its TCP goes on with its own copy.
                owned.queue().repeats().add(Range { start, end });
                connection.set_scattered();
            }
        }
    }
    ssk.release();
}

/// Nothing has been acknowledged for a whole timeout, though all subflows answer, or there is only one:
/// the oldest data is sent again; what TCP still has to deliver, TCP repeats by itself.
pub(crate) fn on_stall(owned: &mut Owned<'_>, una: DataSeq) {
    let connection = owned.connection();
    let nxt = owned.queue().nxt();
    if connection.has_fallen_back() || connection.failure().has_begun() || !una.before(nxt) {
        return;
    }
    let several = connection.subflows().count() > 1;
    if several && losses_until_stale(connection) > 1 {
        // Timeouts do not make a subflow stale yet, or never do: what it has got is sent elsewhere all the same.
        let subflows = connection.subflows().iter().map(|(_, ssk)| ssk);
        for ssk in subflows.filter(|ssk| ssk.retransmits() > 0 || is_silent(*ssk)) {
            repeat_data_of(owned, ssk, Lost::Unacknowledged);
        }
    }
    let mut subflows = connection.subflows().iter();
    let delivered = subflows.all(|(_, ssk)| ssk.snd_una() == ssk.write_seq());
    if delivered && !several && is_never_acked(connection, una) {
        dss::take_acked(connection);
        return;
    }
    let end = if delivered {
        nxt
    } else if several && connection.progress().stalls() > 2 {
        una.advance(u64::from(BURST_MAX)).earlier(nxt)
    } else {
        return;
    };
    owned.queue().repeats().add(Range { start: una, end });
    connection.set_scattered();
}

/// Whether the only subflow shows that our options do not get through, though the peer has our key: `true` when
/// the connection has fallen back.
///
/// RFC 8684, Section 3.7.
fn is_never_acked(connection: &Connection, una: DataSeq) -> bool {
    let Some(ssk) = connection.only_first() else {
        return false;
    };
    ssk.lock(true);
    let is_lost = una == connection.identity().local_start()
        && subflow::of(ssk)
            .is_some_and(|subflow| subflow.has_bare_ack() && subflow.falls_back(Event::NoDataAck));
    ssk.release();
    is_lost
}

/// Whether the peer should have said something on a subflow.
fn is_silent(ssk: Sock) -> bool {
    ssk.lock(true);
    let silent = ssk.is_silent();
    ssk.release();
    silent
}

/// After how many timeouts in a row a subflow makes no progress. With 1 it need not come to TCP's timeout: its silence
/// tells before.
fn losses_until_stale(connection: &Connection) -> u32 {
    net::config(connection.msk().net()).losses_until_stale()
}

/// When [`relieve_silent`] may find something at the earliest, in microseconds from now; `None` when nothing tells.
pub(crate) fn next_look_us(connection: &Connection) -> Option<u32> {
    if connection.only_first().is_some() {
        return None;
    }
    match losses_until_stale(connection) {
        1 => connection.subflows().silence_due_us(),
        u32::MAX => None,
        _ => connection.subflows().timeout_due_us(),
    }
}

/// Gives the data of subflows that do not answer to the others; `false` when all answer, or there is no
/// other.
pub(crate) fn relieve_silent(owned: &mut Owned<'_>) -> bool {
    let connection = owned.connection();
    let mut relieved = false;
    if connection.subflows().count() < 2 || connection.has_fallen_back() {
        return false;
    }
    let losses = losses_until_stale(connection);
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        let silent = (losses == 1 || u32::from(ssk.fruitless()) >= losses)
            && ssk.is_silent()
            && subflow::of(ssk).is_some_and(|subflow| {
                subflow.set_stale(true);
                subflow.take_relief()
            });
        ssk.release();
        if silent {
            repeat_data_of(owned, ssk, Lost::Unacknowledged);
            relieved = true;
        }
    }
    relieved
}
