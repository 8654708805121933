// SPDX-License-Identifier: GPL-2.0

//! How connections end, and what is done when a process lets go of a connection socket.
//!
//! A connection whose data is all acknowledged ends in one step: the subflow is closed, its FIN
//! carries the DATA_FIN, and TCP sees the rest through. Until then the connection socket lives on
//! without an application, and the worker closes the subflow when the last Data ACK has come.
//!
//! RFC 8684, Section 3.3.3. C counterpart: `__mptcp_close` in net/mptcp/protocol.c.

use crate::answer::answer;
use crate::bindings;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::life;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::out_of_order::OutOfOrder;
use crate::push;
use crate::request::{
    self,
    Reset, //
};
use crate::reset::ResetOption;
use crate::skb::{
    Header,
    Queue,
    Skb, //
};
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::subflows::Removed;
use crate::worker::{
    arm_timer,
    finish_subflows_later, //
};
use kernel::prelude::*;
use mptcp_proto::connection::{
    ShutdownOutcome,
    State, //
};
use mptcp_proto::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use mptcp_proto::options::{
    mptcp_options,
    MpFastclose,
    MptcpOption, //
};

/// How long a closed connection may take to deliver its data without any progress, in
/// microseconds, as TCP's orphans do.
const ORPHAN_TIMEOUT: u32 = 60_000_000;

/// What the reset of a subflow says that makes no progress when its connection ends: all data has come
/// through on the others, and TCP would go on repeating its part for a minute or two.
//= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.6
//# A RST for this purpose SHOULD be accompanied by
//# an "Unacceptable performance" MP_TCPRST option (Section 3.6).
const STALE: MpTcprst = MpTcprst {
    transient: false,
    reason: Reason::UnacceptablePerformance,
};

/// TCP's name for a data-level state.
fn tcp_state(state: State) -> u32 {
    match state {
        State::Established => bindings::TCP_ESTABLISHED,
        State::FinWait1 => bindings::TCP_FIN_WAIT1,
        State::FinWait2 => bindings::TCP_FIN_WAIT2,
        State::CloseWait => bindings::TCP_CLOSE_WAIT,
        State::Closing => bindings::TCP_CLOSING,
        State::LastAck => bindings::TCP_LAST_ACK,
        State::TimeWait | State::Closed => bindings::TCP_CLOSE,
    }
}

/// Does what softirq has left, or what softirq itself may do now.
///
/// # Locking
///
/// The data lock is held, and nobody else owns the connection socket.
pub(crate) fn on_release(data: &mut DataLock<'_>) {
    let events = data.connection().take_events(event::ON_RELEASE);
    finish_events(data, events);
}

/// Does what `events` ask for; see [`on_release`].
pub(crate) fn finish_events(data: &mut DataLock<'_>, events: u32) {
    let connection = data.connection();
    let msk = connection.msk();
    if events & event::ACKED != 0 {
        free_acked(data, msk);
    }
    if connection.has_unsent() && events & (event::ACKED | event::ROOM) != 0 {
        connection.schedule(event::PUSH);
    }
    let ends = msk.state() != bindings::TCP_ESTABLISHED && events & event::ACKED != 0;
    if ends || events & event::PEER_FINISHED != 0 {
        sync_state(data, msk, events & event::PEER_FINISHED != 0);
    }
    if events & event::BROKEN != 0 {
        on_broken(connection, msk);
    }
    if events & event::RESET != 0 {
        connection.schedule(event::ABORT);
    }
}

/// Frees what the peer has acknowledged and lets the writer go on.
fn free_acked(data: &mut DataLock<'_>, msk: Sock) {
    let una = data.proto.snd_una();
    let connection = data.connection();
    let sndbuf = match connection.only_first() {
        Some(ssk) => ssk.sndbuf(),
        None => connection.subflows().send_buffer(),
    };
    // SAFETY: `on_release` is called by the only one who may use the queue now.
    let queue = unsafe { &mut *data.connection().queue.get() };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
    //# An MPTCP sender MUST NOT free data from the send buffer until it has
    //# been acknowledged by both a Data ACK received on any subflow and at
    //# the subflow level by all subflows on which the data was sent.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.6
    //# The sender MUST keep data in its send buffer as long as the data has
    //# not been acknowledged both (1) at the connection level and (2) on all
    //# subflows on which it has been sent.
    // What a subflow has still to deliver, its TCP keeps.
    let freed = queue.free_acked(una);
    // SAFETY: The socket is ours to change, as `on_release` says.
    unsafe {
        let raw = msk.as_ptr();
        if freed > 0 {
            // CAST: At most a send buffer.
            bindings::mptcp_shim_sk_wmem_uncharge(raw, freed as i32);
        }
        (*msk.tcp()).snd_una = una.low32();
        if sndbuf > msk.sndbuf() && u32::from((*raw).sk_userlocks) & bindings::SOCK_SNDBUF_LOCK == 0
        {
            (*raw).sk_sndbuf = sndbuf;
        }
        if bindings::mptcp_shim_sk_nospace(raw) {
            msk.call_write_space();
        }
    }
    if msk.flag(bindings::sock_flags_SOCK_DEAD) {
        data.connection().schedule(event::CLOSE);
    }
}

/// Gives the connection socket the TCP state that fits the data-level one.
fn sync_state(data: &mut DataLock<'_>, msk: Sock, peer_finished: bool) {
    let state = tcp_state(data.proto.state());
    if msk.state() == bindings::TCP_CLOSE {
        return;
    }
    if peer_finished {
        // As TCP does with a FIN, which takes a number, too: TCP_INQ and SIOCINQ go by that.
        msk.add_shutdown(bindings::RCV_SHUTDOWN);
        msk.set_flag(bindings::sock_flags_SOCK_DONE);
        msk.set_rcv_nxt(data.proto.rcv_nxt().low32());
    }
    if state != msk.state() {
        data.connection().set_state(state);
        msk.call_state_change();
        if state == bindings::TCP_CLOSE && !msk.flag(bindings::sock_flags_SOCK_DEAD) {
            finish_subflows_later(data.connection());
        }
    }
    if peer_finished {
        msk.call_data_ready();
    }
}

/// A subflow has ended, or the connection has an error. The connection ends with its last subflow,
/// unless another one may come.
fn on_broken(connection: &Connection, msk: Sock) {
    let mut subflows = connection.subflows().iter();
    let carried = subflows.any(|(_, ssk)| ssk.state() != bindings::TCP_CLOSE);
    if msk.state() == bindings::TCP_CLOSE {
        return;
    }
    if msk.error() == 0 && (carried || connection.waits_for_subflow()) {
        connection.schedule(event::LOST);
        return;
    }
    end_broken(connection, msk);
}

/// Ends a connection that nothing carries any more: with an error, unless the peer had finished.
///
/// # Locking
///
/// `msk` is owned, or the data lock is held and nobody owns it.
pub(crate) fn end_broken(connection: &Connection, msk: Sock) {
    if msk.error() == 0 && msk.shutdown_mask() & bindings::RCV_SHUTDOWN as u8 == 0 {
        msk.set_error(bindings::ECONNRESET as i32);
    }
    connection.set_state(bindings::TCP_CLOSE);
    msk.add_shutdown(bindings::SHUTDOWN_MASK);
    if msk.error() != 0 {
        msk.report_error();
    }
    msk.call_state_change();
    if msk.flag(bindings::sock_flags_SOCK_DEAD) {
        connection.schedule(event::CLOSE);
    }
}

/// Ends a connection from outside, with an error for its program, MP_FASTCLOSE for the peer and a reset of all
/// subflows. One that no program has accepted ends when one does.
///
/// # Errors
///
/// `ENOENT`: it is over already, as TCP says then.
///
/// # Context
///
/// Process; may sleep. Nothing is owned.
pub(crate) fn end(connection: &Connection, error: i32) -> Result {
    let msk = connection.msk();
    msk.lock(false);
    let is_over = msk.state() == bindings::TCP_CLOSE;
    if !is_over {
        msk.set_error(error);
        msk.report_error();
    }
    msk.release();
    if is_over {
        return Err(ENOENT);
    }
    connection.schedule(event::ABORT);
    Ok(())
}

/// `shutdown(SHUT_WR)`: the DATA_FIN follows the data.
pub(crate) fn shutdown_send(owned: &mut Owned<'_>) {
    let connection = owned.connection();
    let msk = connection.msk();
    let mut data = owned.data();
    if let ShutdownOutcome::Queued(fin) = data.proto.shutdown_send() {
        connection.set_data_fin(Some(fin));
        sync_state(&mut data, msk, false);
    }
    drop(data);
    push::push(owned, 0);
    if !connection.has_fallen_back() {
        answer(connection);
    }
    arm_timer(owned);
}

/// `close()`: returns the subflows that the caller is to close once it no longer owns the socket.
pub(crate) fn close(owned: &mut Owned<'_>, timeout: kernel::ffi::c_long) -> Removed {
    let connection = owned.connection();
    let msk = connection.msk();
    let unread = drain(msk);
    msk.add_shutdown(bindings::SHUTDOWN_MASK);
    let mut removed = Removed::none();
    if msk.state() != bindings::TCP_CLOSE {
        let lingers = msk.flag(bindings::sock_flags_SOCK_LINGER);
        // SAFETY: A plain read of an owned socket.
        let abortive = lingers && unsafe { (*msk.as_ptr()).sk_lingertime } == 0;
        if unread || abortive || connection.has_events(event::ABORT) {
            abort(owned, &mut removed);
        } else {
            let mut data = owned.data();
            let outcome = data.proto.shutdown_send();
            if let ShutdownOutcome::Queued(fin) = outcome {
                connection.set_data_fin(Some(fin));
                sync_state(&mut data, msk, false);
            }
            drop(data);
            push::push(owned, 0);
            if timeout > 0 {
                let mut timeout = timeout;
                let waiting =
                    bindings::TCPF_FIN_WAIT1 | bindings::TCPF_CLOSING | bindings::TCPF_LAST_ACK;
                answer(connection);
                // SAFETY: A live, owned socket with its application's wait queue.
                unsafe {
                    bindings::mptcp_shim_sk_wait_event(msk.as_ptr(), &mut timeout, waiting);
                }
            }
        }
    }
    // SAFETY: A live, owned socket.
    unsafe { bindings::mptcp_shim_sock_orphan(msk.as_ptr()) };
    if let Some(ssk) = connection.subflows().get(0) {
        ssk.lock(true);
        // SAFETY: A live, owned socket.
        unsafe { bindings::mptcp_shim_sock_detach(ssk.as_ptr()) };
        ssk.release();
    }
    finish(owned, &mut removed);
    removed
}

/// `connect(AF_UNSPEC)`: ends the connection as TCP does, at once unless it has ended by itself or only
/// waits for the last Data ACK; adds the subflows to those to close.
///
/// What is left looks to a call that is under way like a TCP socket that was disconnected.
pub(crate) fn disconnect(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    let msk = connection.msk();
    let is_over = msk.state() == bindings::TCP_CLOSE;
    let is_ending = msk.in_states(bindings::TCPF_CLOSING | bindings::TCPF_LAST_ACK);
    let is_abrupt = !is_over && (!is_ending || connection.has_unsent());
    connection.set_state(bindings::TCP_CLOSE);
    if is_abrupt {
        msk.set_error(bindings::ECONNRESET as i32);
        abort(owned, removed);
    } else {
        remove_all(owned, removed, |_| {});
    }
    owned.data().out_of_order = OutOfOrder::new();
    drain(msk);
    msk.set_copied_seq(msk.rcv_nxt());
    msk.forget_shutdown();
    msk.report_error();
}

/// Frees what the application has not read; `true` when there was anything.
fn drain(msk: Sock) -> bool {
    let mut unread = false;
    if let Some(queue) = Queue::receive(msk) {
        while let Some(skb) = queue.first() {
            // SAFETY: The buffer is in the queue of an owned socket.
            let end = unsafe { (*skb.control_block()).end_seq };
            unread |= end.wrapping_sub(msk.copied_seq()).wrapping_sub(1) < u32::MAX >> 1;
            queue.unlink(skb);
            skb.free();
        }
    }
    unread
}

/// Ends an orphaned connection if it is time: adds its subflows to those to close, and destroys the
/// connection socket.
pub(crate) fn finish(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    let msk = connection.msk();
    let data = owned.data();
    // A DATA_FIN takes a data sequence number, but the FIN will carry it again.
    let needs_fin = data.proto.data_fin_to_send().is_some();
    let outstanding = data
        .proto
        .outstanding()
        .saturating_sub(u64::from(needs_fin));
    drop(data);
    let over = msk.state() == bindings::TCP_CLOSE || connection.subflows().count() == 0;
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
    //# Essentially, a
    //# host MUST NOT close all functioning subflows unless it is safe to do
    //# so, i.e., until all outstanding data has been DATA_ACKed or until the
    //# segment with the DATA_FIN flag set is the only outstanding segment.
    if !over && outstanding != 0 {
        if connection.progress().stalled_for() >= ORPHAN_TIMEOUT {
            abort(owned, removed);
        } else {
            arm_timer(owned);
        }
        return;
    }
    let is_stale = |ssk| subflow::of(ssk).is_some_and(Subflow::is_stale);
    let mut subflows = connection.subflows().iter();
    let others_end_it = subflows.any(|(_, ssk)| !is_stale(ssk));
    let several = connection.subflows().count() > 1;
    // A FIN with the DATA_FIN has to arrive on one of them, most likely where the peer was heard last.
    let patient = if needs_fin {
        connection.subflows().heard_last()
    } else {
        None
    };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
    //# Both hosts SHOULD send FINs on
    //# all subflows, as a courtesy, to allow middleboxes to clean up state
    //# even if an individual subflow has failed.
    remove_all(owned, removed, |ssk| {
        if others_end_it && is_stale(ssk) {
            if let Some(subflow) = subflow::of(ssk) {
                subflow.resets().set_local(ResetOption::Tcprst(STALE));
            }
            ssk.reset_on_close();
        }
        if several && patient != Some(ssk) {
            ssk.limit_orphan();
        }
        // SAFETY: A live, owned socket. A peer that has not finished needs our Data ACK of its
        // DATA_FIN, which TCP's time-wait socket cannot give: FIN-WAIT-2 keeps the whole socket.
        unsafe { (*ssk.tcp()).linger2 = bindings::mptcp_shim_two_time_waits() };
    });
    life::destroy(msk);
}

/// Takes all subflows out of their slots for good, each after `prepare`, which owns it.
fn remove_all(owned: &mut Owned<'_>, removed: &mut Removed, prepare: impl Fn(Sock)) {
    let connection = owned.connection();
    owned.data().connection().subflows().shut();
    for (slot, ssk) in connection.subflows().iter() {
        if owned.take_subflow(slot, ssk) {
            ssk.lock(true);
            prepare(ssk);
            ssk.release();
            removed.push(ssk);
        }
    }
}

/// New data has come for a subflow that is left of a connection whose program has closed it. TCP resets the subflow;
/// the peer learns that the connection has ended with it, instead of waiting for another subflow.
///
/// RFC 8684, Section 3.5.
///
/// # Context
///
/// Softirq: the hook for incoming packets.
#[cold]
pub(crate) fn refuse_data(
    ssk: Sock,
    subflow: &Subflow,
    header: &Header,
    options: &[u8],
    packet: Skb,
) {
    let connection = subflow.connection();
    let family = ssk.family_of_packets();
    let in_window = header.seq.wrapping_sub(ssk.rcv_nxt()) < ssk.rcv_wnd();
    let rcv_nxt = connection.rcv_nxt();
    // A copy of what has come on another subflow is late, and no news.
    let is_new = mptcp_options(options).flatten().any(|option| match option {
        MptcpOption::Dss(dss) => dss.mapping.is_some_and(|mapping| {
            let end = mapping.dsn.expand(rcv_nxt).advance(mapping.data_len.into());
            end.after(rcv_nxt)
        }),
        _ => false,
    });
    let is_orphan = ssk.flag(bindings::sock_flags_SOCK_DEAD) && ssk.state() != bindings::TCP_CLOSE;
    let is_refused = in_window && is_new && is_orphan && !connection.has_fallen_back();
    if !is_refused || !packet.checksum_ok(family) {
        return;
    }
    let reset = Reset {
        option: fastclose(connection),
        // Behind our FIN, which the peer may not have acknowledged yet: its TCP takes no other.
        seq: Some(ssk.snd_nxt()),
    };
    request::reset(packet, family, reset);
}

/// What a reset says that ends the whole connection, which counts as sent.
///
/// RFC 8684, Section 3.5.
pub(crate) fn fastclose(connection: &Connection) -> MptcpOption<'static> {
    connection.count(Counter::MPFastcloseTx);
    MptcpOption::MpFastclose(MpFastclose {
        receiver_key: connection.identity().peer_key,
    })
}

/// Ends the connection at once: MP_FASTCLOSE to the peer, an error to whoever still waits; adds the
/// subflows to those to close.
///
/// RFC 8684, Section 3.5.
pub(crate) fn abort(owned: &mut Owned<'_>, removed: &mut Removed) {
    let connection = owned.connection();
    let msk = connection.msk();
    owned.data().proto.abort();
    remove_all(owned, removed, |ssk| {
        if let Some(subflow) = subflow::of(ssk) {
            subflow.resets().end_all();
        }
        ssk.reset_on_close();
    });
    if msk.state() != bindings::TCP_CLOSE {
        connection.set_state(bindings::TCP_CLOSE);
        msk.add_shutdown(bindings::SHUTDOWN_MASK);
        msk.call_state_change();
    }
    if msk.flag(bindings::sock_flags_SOCK_DEAD) || !connection.is_adopted() {
        life::destroy(msk);
    }
}
