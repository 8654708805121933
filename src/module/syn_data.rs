// SPDX-License-Identifier: GPL-2.0

//! Data that came with a SYN, when its socket becomes a connection (TCP Fast Open).
//!
//! TCP sends and takes such data by itself, before either host has the other's key. What has arrived
//! with the SYN stands in front of the data sequence space, and the numbers of the subflow begin behind
//! it. What has not arrived is sent again, as the first data of the connection:
//!
//! ```text
//!   SYN        20 bytes                                  10 11 .. 29 30
//!   SYN-ACK    acknowledges all: the next byte is         |           SSN 1, DSN IDSN + 1
//!              acknowledges the SYN: these are            SSN 1 to 20, DSN IDSN + 1 to 20
//! ```
//!
//! What a client sends with its SYN is in [`crate::early`], whose data a server takes in
//! [`crate::fast_open`].
//!
//! RFC 8684, Appendix B. C counterpart: net/mptcp/fastopen.c.

use crate::bindings;
use crate::connection::Connection;
use crate::event;
use crate::locks::Owned;
use crate::skb::Queue;
use crate::sock::Sock;
use crate::subflow::Subflow;
use crate::tx;
use kernel::prelude::*;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::seq::SubflowSeq;

/// Most page ranges that the data of a SYN lies in: TCP takes it from one page fragment.
const RANGES: usize = 4;

/// Hands on to a new connection what its first subflow has taken or sent before: data that nobody has
/// read, and data that the peer has not acknowledged.
///
/// # Errors
///
/// `ENOMEM`; `EIO` if TCP has not kept what it has sent where it usually does.
///
/// # Locking
///
/// `ssk` is owned, and nobody else knows the connection yet.
#[inline]
pub(crate) fn hand_on(connection: &Connection, ssk: Sock) -> Result {
    if !connection.is_client() {
        move_unread(ssk, connection.msk());
    } else if ssk.unacknowledged() != 0 {
        hand_on_unacknowledged(connection, ssk)?;
    }
    Ok(())
}

/// Gives the first subflow back what nobody has read: there will be no connection.
///
/// # Locking
///
/// `ssk` is owned, and no application holds the connection socket, so nobody reads from it.
#[cold]
pub(crate) fn hand_back(connection: &Connection, ssk: Sock) {
    if !connection.is_client() {
        move_unread(connection.msk(), ssk);
    }
}

/// Moves what nobody has read from one socket to the other, whose numbers it gets: it is the last that
/// came before what either expects next.
///
/// # Locking
///
/// Nobody else uses the receive queues.
fn move_unread(from: Sock, to: Sock) {
    let Some(queue) = Queue::receive(from) else {
        return;
    };
    // The first byte of the data sequence space is that of the SYN, the second that of the first data that
    // has come otherwise (RFC 8684, Appendix B.2).
    let shift = to.rcv_nxt().wrapping_sub(from.rcv_nxt());
    let copied = from.copied_seq().wrapping_add(shift);
    while let Some(skb) = queue.first() {
        queue.unlink(skb);
        skb.orphan();
        let start = skb.seq().wrapping_add(shift);
        skb.set_data_range(start, start.wrapping_add(skb.len()));
        // SAFETY: A live socket whose receive queue is the caller's; the buffer is in no queue and
        // belongs to no socket.
        unsafe { bindings::mptcp_shim_sk_receive(to.as_ptr(), skb.as_ptr()) };
        to.set_copied_seq(copied);
        from.set_copied_seq(from.rcv_nxt());
    }
}

/// Makes the data that the peer has not acknowledged the first of the connection: it is in TCP's packets,
/// whose pages are kept as those of all data.
///
/// # Errors
///
/// As for [`hand_on`].
///
/// # Locking
///
/// As for [`hand_on`].
#[cold]
fn hand_on_unacknowledged(connection: &Connection, ssk: Sock) -> Result {
    let (msk, una, len) = (connection.msk(), ssk.snd_una(), ssk.unacknowledged());
    // SAFETY: Nobody else knows the connection yet.
    let mut owned = unsafe { Owned::assume(connection) };
    // SAFETY: A live socket that nobody else knows. CAST: At most a page fragment.
    if !unsafe { bindings::mptcp_shim_sk_wmem_schedule(msk.as_ptr(), len as i32) } {
        return Err(ENOMEM);
    }
    owned.queue().reserve_atomic(RANGES)?;
    let mut done = 0;
    while done < len {
        // SAFETY: Zeroes are an empty page range.
        let mut range: bindings::bio_vec = unsafe { core::mem::zeroed() };
        let (seq, left) = (una.wrapping_add(done), len.wrapping_sub(done));
        // SAFETY: A live, owned TCP socket.
        if !unsafe { bindings::mptcp_shim_written_at(ssk.as_ptr(), seq, left, &mut range) } {
            return Err(EIO);
        }
        if owned
            .queue()
            .append(range.bv_page, range.bv_offset, range.bv_len, false)?
        {
            // SAFETY: TCP's packet holds the page, and the socket that has the packet is owned.
            unsafe { bindings::mptcp_shim_get_page(range.bv_page) };
        }
        tx::charge(msk, range.bv_len);
        done = done.wrapping_add(range.bv_len);
    }
    owned.queue().advance(u64::from(len));
    // A new connection may send.
    let _ = owned.data().proto.on_send(len);
    Ok(())
}

/// Says that the data that was handed on by [`hand_on`] is what the subflow begins with.
///
/// # Locking
///
/// `ssk` is owned.
#[inline]
pub(crate) fn declare(connection: &Connection, ssk: Sock, subflow: &Subflow) {
    let len = ssk.unacknowledged();
    if connection.is_client() && len != 0 {
        let ssn = SubflowSeq::new(1);
        let dsn = connection.identity().local_start();
        // SAFETY: The subflow is owned, and the reference ends here.
        let map = unsafe { subflow.transmit() };
        // The table is empty, and never too small for one entry.
        let _ = map.assign(Mapping::new(ssn, dsn, len), ssn, dsn);
        subflow.set_copied(dsn.advance(u64::from(len)));
        // TCP sends it again by itself; the worker sees to the rest.
        connection.schedule(event::PUSH);
    }
}
