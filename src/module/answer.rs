// SPDX-License-Identifier: GPL-2.0

//! Data ACKs that no segment of ours has carried: which subflow sends one, and when.
//!
//! C counterpart: `mptcp_cleanup_rbuf`, `mptcp_send_ack` in net/mptcp/protocol.c.

use crate::connection::Connection;
use crate::event;
use crate::rx;
use crate::segment;
use crate::sock::Sock;
use crate::subflow;

/// Sends a Data ACK on every subflow.
///
/// # Locking
///
/// The connection socket is owned.
pub(crate) fn answer(connection: &Connection) {
    for (_, ssk) in connection.subflows().iter() {
        ssk.lock(true);
        if subflow::of(ssk).is_some() {
            ssk.send_ack();
        }
        ssk.release();
    }
}

/// Data has been taken from a subflow. If TCP has acknowledged it before, on its fast path, it did so without
/// the Data ACK.
///
/// # Locking
///
/// `ssk` is owned.
#[inline]
pub(crate) fn after_fast_path(ssk: Sock, connection: &Connection) {
    let is_missing = connection.rcv_nxt() != connection.data_acked();
    if is_missing && !ssk.is_ack_scheduled() && !connection.has_fallen_back() {
        connection.schedule(event::ANSWER);
    }
}

/// The application has read: answers what has come, as TCP would.
///
/// # Locking
///
/// Nothing is owned.
pub(crate) fn after_read(connection: &Connection) {
    let drained = connection.msk().receive_memory() == 0;
    if let Some(ssk) = connection.only_first() {
        let unacked = connection.rcv_nxt().distance_from(connection.data_acked());
        if unacked > 0 && ssk.owes_ack(unacked, drained) && !segment::answer_at_once(ssk) {
            connection.schedule(event::ANSWER);
        }
        return;
    }
    // A Data ACK on one subflow is no answer to what has come on the others.
    let owes = |ssk: Sock| ssk.owes_ack(ssk.unacked().into(), drained);
    for ssk in connection.hold_subflows(owes) {
        if !segment::answer_at_once(ssk) {
            connection.schedule(event::ANSWER);
        }
        ssk.put();
    }
}

/// TCP's reader of the connection socket wants to answer what it has read, or to tell of room.
///
/// # Locking
///
/// `msk` is owned.
pub(crate) fn on_read(connection: &Connection, msk: Sock) {
    let rcv_nxt = connection.rcv_nxt();
    let free = connection.free_space();
    let window = connection.advertised();
    let step = connection.window_step(msk.mss(), free);
    if connection.data_acked() != rcv_nxt || window.deserves_update(rcv_nxt, free, step) {
        answer(connection);
    }
    // TCP believes that the window it asked for has been promised.
    rx::show_window(msk, connection, msk.rcv_nxt());
}
