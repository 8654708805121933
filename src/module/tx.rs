// SPDX-License-Identifier: GPL-2.0

//! The way out: from the application's buffer to the subflow.
//!
//! The application's bytes are copied once. While nothing waits, TCP's own code copies them into the
//! packets of a subflow, and the connection keeps references to the pages that TCP put them in
//! ([`write_through`]). What the subflow cannot take now is copied into pages of our own
//! ([`copy_some`]), or stays in the pages that the application handed over ([`take_pages`]), and
//! goes to a subflow by reference later ([`push`]). Either way the pages stay until the peer's
//! Data ACK has passed them, and what one subflow loses another can send.
//!
//! The connection's window is looked at, and not only the subflow's: a peer may acknowledge bytes of
//! the subflow that it has not taken in yet.
//!
//! C counterpart: `mptcp_sendmsg`, `__mptcp_push_pending` in net/mptcp/protocol.c.

use crate::bindings;
use crate::counters::Counter;
use crate::event;
use crate::locks::Owned;
use crate::push::{
    self,
    push,
    QUIETLY, //
};
use crate::schedule;
use crate::sock::Sock;
use crate::subflow::{
    self,
    Subflow, //
};
use crate::trace;
use crate::worker;
use kernel::page::{
    PAGE_SHIFT,
    PAGE_SIZE, //
};
use kernel::prelude::*;
use mptcp_proto::mapping::Mapping;

/// Bytes copied before they are handed to the subflow while the application has more.
const BATCH: u64 = 1 << 16;
/// What TCP takes in a few packets, whatever limits them, in bytes.
const ALWAYS: u32 = 512;

/// Sends what the application passes; returns the bytes taken.
///
/// # Errors
///
/// TCP's: `EISCONN` with MSG_FASTOPEN; `EPIPE` after shutdown, `EAGAIN`, `ERESTARTSYS`/`EINTR`, `EFAULT`, the socket's error.
pub(crate) fn send(
    owned: &mut Owned<'_>,
    message: *mut bindings::msghdr,
    len: usize,
) -> Result<usize> {
    let msk = owned.connection().msk();
    // SAFETY: `message` is the caller's, for the duration of the system call.
    let flags = unsafe { (*message).msg_flags };
    if flags & bindings::MSG_FASTOPEN != 0 && msk.is_connected() {
        return Err(EISCONN);
    }
    let mut timeout = None;
    let notice = if flags & bindings::MSG_ZEROCOPY != 0 {
        // SAFETY: A live, owned socket.
        unsafe { bindings::mptcp_shim_zerocopy_begin(msk.as_ptr(), flags, len) }
    } else {
        core::ptr::null_mut()
    };
    let mut copied = 0;
    let result = loop {
        if copied == len {
            break Ok(());
        }
        let is_shut = msk.shutdown_mask() & bindings::SEND_SHUTDOWN as u8 != 0;
        // Disconnected: neither an error nor a shutdown need be left.
        if msk.error() != 0 || is_shut || msk.state() == bindings::TCP_CLOSE {
            break Err(EPIPE);
        }
        match take_some(owned, message, len - copied, flags) {
            Ok(0) => {
                push(owned, flags & !bindings::MSG_MORE);
                // SAFETY: A live, owned socket; the wait releases and retakes the ownership.
                let error = unsafe {
                    let nonblocking = flags & bindings::MSG_DONTWAIT != 0;
                    let timeout = timeout.get_or_insert_with(|| {
                        bindings::mptcp_shim_sock_sndtimeo(msk.as_ptr(), nonblocking)
                    });
                    bindings::mptcp_shim_sk_set_nospace(msk.as_ptr());
                    bindings::sk_stream_wait_memory(msk.as_ptr(), timeout)
                };
                if error != 0 {
                    break Err(Error::from_errno(error));
                }
            }
            Ok(bytes) => {
                copied += bytes;
                let queue = owned.queue();
                if queue.end().distance_from(queue.nxt()) >= BATCH && copied < len {
                    push(owned, flags | bindings::MSG_MORE);
                }
            }
            Err(error) => break Err(error),
        }
    };
    push(owned, flags);
    if !notice.is_null() {
        // SAFETY: What `mptcp_shim_zerocopy_begin` returned, used once.
        unsafe { bindings::mptcp_shim_zerocopy_end(notice, copied != 0) };
    }
    match result {
        Err(error) if copied == 0 => {
            // SAFETY: A live, owned socket; turns EPIPE into the socket's error and the signal.
            let errno = unsafe {
                // CAST: Message flags have 32 bits.
                bindings::sk_stream_error(msk.as_ptr(), flags as i32, error.to_errno())
            };
            Err(Error::from_errno(errno))
        }
        _ => Ok(copied),
    }
}

/// Takes some of the next `len` bytes of `message`, in the way that costs least; 0 when there is
/// no room.
///
/// # Errors
///
/// `EFAULT` when the application's buffer cannot be read; `ENOMEM`.
fn take_some(
    owned: &mut Owned<'_>,
    message: *mut bindings::msghdr,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let by_reference = flags & bindings::MSG_SPLICE_PAGES != 0;
    if !by_reference {
        let taken = write_through(owned, message, len, flags)?;
        if taken != 0 {
            return Ok(taken);
        }
    }
    let msk = owned.connection().msk();
    // SAFETY: A live, owned socket.
    if !unsafe { bindings::mptcp_shim_sk_stream_memory_free(msk.as_ptr()) } {
        Ok(0)
    } else if by_reference {
        take_pages(owned, message, len)
    } else {
        copy_some(owned, message, len)
    }
}

/// Lets TCP copy the application's bytes into the subflow's packets; returns the bytes taken, 0
/// when others wait before them or the subflow takes none.
///
/// # Errors
///
/// As for [`take_some`].
fn write_through(
    owned: &mut Owned<'_>,
    message: *mut bindings::msghdr,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let connection = owned.connection();
    let msk = connection.msk();
    // Whether the subflow has room is for TCP to say.
    if owned.queue().has_unsent() || msk.wmem_queued() >= msk.sndbuf() {
        return Ok(0);
    }
    let Some((ssk, most)) = schedule::next_for_new(owned, len) else {
        return Ok(0);
    };
    ssk.lock(true);
    let mut taken = 0;
    let mut result = Ok(());
    if let Some(subflow) = subflow::of(ssk) {
        push::prepare(ssk, subflow, owned.queue().nxt());
        while taken < most {
            match write_packets(owned, ssk, subflow, message, most - taken, flags) {
                Ok(0) => break,
                Ok(bytes) => taken += bytes,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
    }
    ssk.release();
    worker::arm_timer(owned);
    result.map(|()| taken).or_else(|error| match taken {
        0 => Err(error),
        _ => Ok(taken),
    })
}

/// Lets TCP copy what it makes one or a few packets of; see [`write_through`].
fn write_packets(
    owned: &mut Owned<'_>,
    ssk: Sock,
    subflow: &Subflow,
    message: *mut bindings::msghdr,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let msk = owned.connection().msk();
    let asked = match u32::try_from(len) {
        Ok(len) if len <= ALWAYS => len,
        len => {
            // SAFETY: A live, owned TCP socket.
            let most = unsafe { bindings::mptcp_shim_write_limit(ssk.as_ptr()) };
            len.unwrap_or(most).min(most)
        }
    };
    let seq = ssk.write_seq();
    let ssn = subflow.local_ssn(seq);
    let nxt = owned.queue().nxt();
    let mut data = owned.data();
    data.sent = Mapping::new(ssn, nxt, 0);
    let window = push::window_room(&data, nxt);
    let asked = core::cmp::min(asked, u32::try_from(window).unwrap_or(u32::MAX));
    if push::is_probe(&data, nxt, window) {
        data.connection().count(Counter::WinProbe);
    }
    // The numbers must be known before the peer can acknowledge them. Data beyond a DATA_FIN is
    // impossible: the caller has looked for a shutdown.
    let _ = data.proto.on_send(asked);
    drop(data);
    // Whole pages, but for both ends.
    let reserved = owned.queue().reserve(2 + (asked as usize >> PAGE_SHIFT));
    // SAFETY: The subflow is owned; the map is not used across the call below.
    let map = unsafe { subflow.transmit() };
    // SAFETY: A live, owned socket. CAST: The limit is far smaller than 2 GiB.
    let has_memory = unsafe { bindings::mptcp_shim_sk_wmem_schedule(msk.as_ptr(), asked as i32) };
    let mapping = Mapping::new(ssn, nxt, asked);
    let (acked, una) = (subflow.local_ssn(ssk.snd_una()), owned.queue().una());
    let refused = asked == 0 || reserved.is_err() || !has_memory;
    if refused || map.assign(mapping, acked, una).is_err() {
        owned.data().proto.on_send_less(asked);
        return reserved.map(|()| 0);
    }
    // More follows at once, but not where the peer's window ends: that has to go out.
    let more = if len > asked as usize && u64::from(asked) < window {
        bindings::MSG_MORE
    } else {
        flags & bindings::MSG_MORE
    };
    // SAFETY: The subflow is owned; `message` is the caller's.
    let result = unsafe {
        bindings::mptcp_shim_send_some(ssk.as_ptr(), message, asked as usize, QUIETLY | more)
    };
    let sent = u32::try_from(result).unwrap_or(0);
    trace::on_schedule(subflow, mapping.take(sent), false);
    if sent < asked {
        // SAFETY: The subflow is owned, and `map` above is not used any more.
        unsafe { subflow.transmit() }.unassign(ssn.advance(sent));
        owned.data().proto.on_send_less(asked - sent);
    }
    keep_written(owned, ssk, seq, sent)?;
    charge(msk, sent);
    if sent == 0 && result != EAGAIN.to_errno() {
        return Err(Error::from_errno(result));
    }
    Ok(sent as usize)
}

/// Keeps references to the pages into which TCP has just copied `len` bytes from `seq` on.
///
/// # Errors
///
/// `ENOMEM`, never after a reservation. `EIO` if TCP had let go of them: the connection is ended.
fn keep_written(owned: &mut Owned<'_>, ssk: Sock, seq: u32, len: u32) -> Result {
    let mut done = 0;
    while done < len {
        // SAFETY: Zeroes are an empty page range.
        let mut range: bindings::bio_vec = unsafe { core::mem::zeroed() };
        // SAFETY: A live, owned TCP socket.
        let found = unsafe {
            let (seq, most) = (seq.wrapping_add(done), len.wrapping_sub(done));
            bindings::mptcp_shim_written_at(ssk.as_ptr(), seq, most, &mut range)
        };
        if !found {
            owned.connection().schedule(event::ABORT);
            return Err(EIO);
        }
        let queue = owned.queue();
        if queue.append(range.bv_page, range.bv_offset, range.bv_len, false)? {
            // SAFETY: TCP's packet holds the page, and the socket that has the packet is owned.
            unsafe { bindings::mptcp_shim_get_page(range.bv_page) };
        }
        queue.advance(u64::from(range.bv_len));
        done = done.wrapping_add(range.bv_len);
    }
    Ok(())
}

/// Copies what fits the current page fragment; returns the bytes taken.
///
/// # Errors
///
/// As for [`take_some`].
fn copy_some(owned: &mut Owned<'_>, message: *mut bindings::msghdr, len: usize) -> Result<usize> {
    let msk = owned.connection().msk();
    // SAFETY: A live, owned socket; `message` is the caller's.
    unsafe {
        let fragment = bindings::mptcp_shim_sk_page_frag(msk.as_ptr());
        if !bindings::sk_page_frag_refill(msk.as_ptr(), fragment) {
            return Ok(0);
        }
        let (page, offset) = ((*fragment).page, (*fragment).offset);
        let room = (*fragment).size - offset;
        let bytes = core::cmp::min(u32::try_from(len).unwrap_or(u32::MAX), room);
        // CAST: A fragment is far smaller than 2 GiB.
        if !bindings::mptcp_shim_sk_wmem_schedule(msk.as_ptr(), bytes as i32) {
            return Ok(0);
        }
        let bytes = bindings::copy_page_from_iter(
            page,
            offset as usize,
            bytes as usize,
            core::ptr::addr_of_mut!((*message).msg_iter),
        );
        // CAST: At most the 32-bit number asked for.
        let bytes = bytes as u32;
        if bytes == 0 {
            return Err(EFAULT);
        }
        if owned.queue().append(page, offset, bytes, false)? {
            bindings::mptcp_shim_get_page(page);
        }
        (*fragment).offset = offset + bytes;
        enqueue(owned, bytes);
        Ok(bytes as usize)
    }
}

/// Takes a page that the application hands over (`sendfile()`, `splice()`); returns its bytes.
///
/// # Errors
///
/// As for [`take_some`].
fn take_pages(owned: &mut Owned<'_>, message: *mut bindings::msghdr, len: usize) -> Result<usize> {
    let msk = owned.connection().msk();
    owned.queue().reserve(1)?;
    // SAFETY: Zeroes are an empty page range.
    let mut range: bindings::bio_vec = unsafe { core::mem::zeroed() };
    // SAFETY: A live, owned socket; `message` is the caller's and holds its pages during the call.
    unsafe {
        // CAST: A page is far smaller than 2 GiB.
        if !bindings::mptcp_shim_sk_wmem_schedule(msk.as_ptr(), len.min(PAGE_SIZE) as i32) {
            return Ok(0);
        }
        if !bindings::mptcp_shim_next_page(message, len, &mut range) {
            return copy_some(owned, message, len);
        }
    }
    let queue = owned.queue();
    if queue.append(range.bv_page, range.bv_offset, range.bv_len, true)? {
        // SAFETY: The application's pages are held during the call.
        unsafe { bindings::mptcp_shim_get_page(range.bv_page) };
    }
    enqueue(owned, range.bv_len);
    Ok(range.bv_len as usize)
}

/// Numbers `bytes` bytes that have been appended to the queue.
fn enqueue(owned: &mut Owned<'_>, bytes: u32) {
    charge(owned.connection().msk(), bytes);
    // Data beyond a DATA_FIN is impossible: the caller has looked for a shutdown.
    let _ = owned.data().proto.on_send(bytes);
}

/// Accounts for `bytes` bytes that the connection keeps.
///
/// # Locking
///
/// `msk` is owned.
pub(crate) fn charge(msk: Sock, bytes: u32) {
    // SAFETY: A live, owned socket. CAST: A fragment is far smaller than 2 GiB.
    unsafe {
        bindings::mptcp_shim_sk_wmem_charge(msk.as_ptr(), bytes as i32);
        let tp = msk.tcp();
        (*tp).write_seq = (*tp).write_seq.wrapping_add(bytes);
    }
}
