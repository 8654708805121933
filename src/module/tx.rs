// SPDX-License-Identifier: GPL-2.0

//! The way out: from the application's buffer to the subflow.
//!
//! The application's bytes are copied once, into page fragments that the connection keeps until the
//! peer's Data ACK has passed them. A subflow gets references to the same pages
//! (`MSG_SPLICE_PAGES`), so nothing is copied a second time, and what one subflow loses another can
//! send. What a byte of the subflow stands for is known to two tables: the assignment made when the
//! byte was handed over, and the declarations as they went out on the wire, which a retransmission
//! has to repeat exactly.
//!
//! C counterpart: `mptcp_sendmsg`, `__mptcp_push_pending` in net/mptcp/protocol.c.

use crate::bindings;
use crate::connection::{
    event,
    Connection, //
};
use crate::locks::Owned;
use crate::proto_ops;
use crate::sock::Sock;
use crate::subflow::{
    self,
    storage,
    Mappings,
    Subflow, //
};
use kernel::prelude::*;
use mptcp_proto::mapping::{
    DeclareError,
    Declared,
    InsertError,
    Mapping,
    Table, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Assignments that a subflow starts with: one, and one for each reinjection under way.
const ASSIGNMENTS: usize = 4;
/// Declarations that a subflow starts with, one for each packet in flight.
const DECLARATIONS: usize = 8;
/// Most declarations kept apart; beyond, the latest two become one.
const DECLARATIONS_MAX: usize = 4096;
/// Bytes copied before they are handed to the subflow while the application has more.
const BATCH: u64 = 1 << 16;
/// Most bytes handed to a subflow at once.
const BURST: u64 = 1 << 18;
/// Largest packet, headers included: a mapping's length has 16 bits.
const PACKET_MAX: u32 = 1 << 16;
/// Most page ranges handed to a subflow at once.
const PAGES: usize = 8;

/// A run of bytes in a page fragment.
#[derive(Clone, Copy)]
struct Chunk {
    /// The page; the chunk owns a reference.
    page: *mut bindings::page,
    /// Where the bytes begin, from the page's start.
    offset: u32,
    /// Bytes.
    len: u32,
    /// Data sequence number of the first byte.
    dsn: DataSeq,
}

/// What the application has written and the peer has not acknowledged.
pub(crate) struct SendQueue {
    /// Chunks in data sequence order; those before `first` are gone.
    chunks: KVec<Chunk>,
    /// Index of the oldest chunk.
    first: usize,
    /// Index of the chunk that contains `nxt`, or of one before it.
    cursor: usize,
    /// Next data sequence number to hand to a subflow.
    nxt: DataSeq,
    /// Data sequence number of the next byte written.
    end: DataSeq,
}

// SAFETY: The page references may be given back by any thread.
unsafe impl Send for SendQueue {}

impl SendQueue {
    /// An empty queue whose next byte has number `dsn`.
    pub(crate) fn new(dsn: DataSeq) -> Self {
        Self {
            chunks: KVec::new(),
            first: 0,
            cursor: 0,
            nxt: dsn,
            end: dsn,
        }
    }

    /// Whether bytes wait to be handed to a subflow.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.nxt != self.end
    }

    /// Next data sequence number to hand to a subflow.
    #[inline]
    pub(crate) fn nxt(&self) -> DataSeq {
        self.nxt
    }

    /// Sends again from `dsn` on.
    pub(crate) fn rewind(&mut self, dsn: DataSeq) {
        if dsn.before(self.nxt) {
            self.nxt = dsn;
            self.cursor = self.first;
        }
    }

    /// Makes sure that `append` has room for one more chunk.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn reserve(&mut self) -> Result {
        if self.chunks.len() == self.chunks.capacity() && self.first > 0 {
            // Closes the gap at the front before asking for more memory.
            let rest = self.chunks.len() - self.first;
            self.chunks.copy_within(self.first.., 0);
            self.chunks.truncate(rest);
            self.cursor = self.cursor.saturating_sub(self.first);
            self.first = 0;
        }
        if self.chunks.len() == self.chunks.capacity() {
            let more = core::cmp::max(8, self.chunks.len());
            self.chunks.reserve(more, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Appends `len` bytes at `offset` of `page`; takes a reference when a new chunk is needed.
    fn append(&mut self, page: *mut bindings::page, offset: u32, len: u32) -> Result {
        let dsn = self.end;
        let index = self.chunks.len().wrapping_sub(1);
        match self.chunks.get_mut(index) {
            Some(last)
                if index >= self.first && last.page == page && last.offset + last.len == offset =>
            {
                last.len += len;
                self.cursor = self.cursor.min(index);
            }
            _ => {
                self.reserve()?;
                self.chunks.push(
                    Chunk {
                        page,
                        offset,
                        len,
                        dsn,
                    },
                    GFP_KERNEL,
                )?;
                // SAFETY: The fragment that the bytes lie in holds the page.
                unsafe { bindings::mptcp_shim_get_page(page) };
            }
        }
        self.end = dsn.advance(u64::from(len));
        Ok(())
    }

    /// Frees what lies before `una`; returns the bytes freed.
    pub(crate) fn free_acked(&mut self, una: DataSeq) -> u32 {
        let mut freed = 0u32;
        while let Some(chunk) = self.chunks.get_mut(self.first) {
            if una.at_or_before(chunk.dsn) {
                break;
            }
            let passed = una.distance_from(chunk.dsn);
            if passed < u64::from(chunk.len) {
                // CAST: Less than the chunk's 32-bit length.
                let passed = passed as u32;
                chunk.dsn = una;
                chunk.offset += passed;
                chunk.len -= passed;
                freed += passed;
                break;
            }
            freed += chunk.len;
            // SAFETY: The chunk owns a reference, which ends here.
            unsafe { bindings::mptcp_shim_put_page(chunk.page) };
            self.first += 1;
        }
        if self.first == self.chunks.len() {
            self.chunks.clear();
            self.first = 0;
        }
        self.cursor = core::cmp::max(self.cursor, self.first);
        if self.cursor > self.chunks.len() {
            self.cursor = self.first;
        }
        if self.nxt.before(una) {
            self.nxt = una;
        }
        freed
    }

    /// Frees everything; returns the bytes freed.
    pub(crate) fn free_all(&mut self) -> u32 {
        self.nxt = self.end;
        self.free_acked(self.end)
    }

    /// The pages of up to `max` bytes from `nxt` on.
    fn next_pages(&mut self, max: u64, pages: &mut [bindings::bio_vec; PAGES]) -> (usize, u64) {
        let (mut count, mut bytes) = (0, 0);
        let mut dsn = self.nxt;
        while self
            .chunks
            .get(self.cursor)
            .is_some_and(|chunk| chunk.dsn.advance(u64::from(chunk.len)).at_or_before(dsn))
        {
            self.cursor += 1;
        }
        for chunk in self.chunks.get(self.cursor..).unwrap_or_default() {
            let Some(page) = pages.get_mut(count) else {
                break;
            };
            let skip = dsn.distance_from(chunk.dsn);
            let left = u64::from(chunk.len).saturating_sub(skip);
            let len = left.min(max.saturating_sub(bytes));
            if len == 0 {
                break;
            }
            page.bv_page = chunk.page;
            // CAST: Both are within a chunk, whose length has 32 bits.
            page.bv_offset = chunk.offset + skip as u32;
            page.bv_len = len as u32;
            count += 1;
            bytes += len;
            dsn = dsn.advance(len);
        }
        (count, bytes)
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        for chunk in self.chunks.get(self.first..).unwrap_or_default() {
            // SAFETY: Each chunk owns a reference, which ends here.
            unsafe { bindings::mptcp_shim_put_page(chunk.page) };
        }
    }
}

/// Which data the bytes of a subflow carry, in the direction we send.
pub(crate) struct TransmitMap {
    /// What was assigned when the bytes were handed over.
    assigned: Table<Mappings>,
    /// What was declared on the wire.
    declared: Declared<Mappings>,
}

impl TransmitMap {
    /// No bytes yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            assigned: Table::new(storage(ASSIGNMENTS)?),
            declared: Declared::new(storage(DECLARATIONS)?),
        })
    }

    /// Says that the bytes of `mapping` carry its data.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the table cannot grow.
    fn assign(&mut self, mapping: Mapping) -> Result {
        match self.assigned.insert(mapping) {
            Ok(_) => Ok(()),
            Err(InsertError::Full) => {
                let more = storage(self.assigned.capacity() * 2)?;
                let _ = self.assigned.replace_storage(more);
                self.assigned
                    .insert(mapping)
                    .map(|_| ())
                    .map_err(|_| ENOMEM)
            }
            Err(_) => Err(EINVAL),
        }
    }

    /// Takes back what was assigned from `ssn` on: the bytes were not handed over.
    fn unassign(&mut self, ssn: SubflowSeq) {
        self.assigned.truncate(ssn);
    }

    /// The mapping to put on a segment of `len` bytes from `ssn` on.
    ///
    /// The first transmission declares the segment itself; a retransmission repeats what was
    /// declared, because a receiver may refuse a mapping that differs from the one it knows.
    #[inline]
    pub(crate) fn declare(
        &mut self,
        ssn: SubflowSeq,
        len: u32,
        una: SubflowSeq,
    ) -> Option<Mapping> {
        let is_new = self.declared.end().is_none_or(|end| ssn.at_or_after(end));
        if !is_new {
            if let Some(mapping) = self.declared.covering(ssn, len) {
                return Some(mapping);
            }
        }
        let mapping = self.assigned.lookup(ssn)?.take(len);
        if !is_new || mapping.len() < len {
            return Some(mapping);
        }
        self.declared.prune(una);
        self.assigned.prune(una);
        match self.declared.declare(mapping) {
            Ok(()) => {}
            Err(DeclareError::Full) => {
                let capacity = self.declared.capacity();
                if capacity < DECLARATIONS_MAX {
                    if let Ok(more) = storage(capacity * 2) {
                        let _ = self.declared.replace_storage(more);
                    }
                }
                if self.declared.len() == self.declared.capacity() {
                    let _ = self.declared.merge_last();
                }
                let _ = self.declared.declare(mapping);
            }
            Err(_) => {}
        }
        Some(mapping)
    }
}

/// Copies what the application sends and hands it to the subflow; returns the bytes taken.
///
/// # Errors
///
/// TCP's: `EPIPE` after shutdown, `EAGAIN`, `ERESTARTSYS`/`EINTR`, `EFAULT`, the socket's error.
pub(crate) fn send(
    owned: &mut Owned<'_>,
    message: *mut bindings::msghdr,
    len: usize,
) -> Result<usize> {
    let msk = owned.connection().msk();
    // SAFETY: `message` is the caller's, for the duration of the system call.
    let flags = unsafe { (*message).msg_flags };
    // SAFETY: A live socket.
    let mut timeout = unsafe {
        bindings::mptcp_shim_sk_clear_async_nospace(msk.as_ptr());
        bindings::mptcp_shim_sock_sndtimeo(msk.as_ptr(), flags & bindings::MSG_DONTWAIT != 0)
    };
    // SAFETY: A live, owned socket.
    let notice = unsafe { bindings::mptcp_shim_zerocopy_begin(msk.as_ptr(), flags, len) };
    let mut copied = 0;
    let result = loop {
        if copied == len {
            break Ok(());
        }
        if msk.error() != 0 || msk.shutdown_mask() & bindings::SEND_SHUTDOWN as u8 != 0 {
            break Err(EPIPE);
        }
        match copy_some(owned, message, len - copied) {
            Ok(0) => {
                push(owned, flags & !bindings::MSG_MORE);
                // SAFETY: A live, owned socket; the wait releases and retakes the ownership.
                let error = unsafe {
                    bindings::mptcp_shim_sk_set_nospace(msk.as_ptr());
                    bindings::sk_stream_wait_memory(msk.as_ptr(), &mut timeout)
                };
                if error != 0 {
                    break Err(Error::from_errno(error));
                }
            }
            Ok(bytes) => {
                copied += bytes;
                let waiting = owned.queue().end.distance_from(owned.queue().nxt);
                if waiting >= BATCH && copied < len {
                    push(owned, flags | bindings::MSG_MORE);
                }
            }
            Err(error) => break Err(error),
        }
    };
    push(owned, flags);
    // SAFETY: What `mptcp_shim_zerocopy_begin` returned, used once.
    unsafe { bindings::mptcp_shim_zerocopy_end(notice, copied != 0) };
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

/// Copies what fits the current page fragment; 0 when there is no memory for more now.
///
/// # Errors
///
/// `EFAULT` when the application's buffer cannot be read.
fn copy_some(owned: &mut Owned<'_>, message: *mut bindings::msghdr, len: usize) -> Result<usize> {
    let msk = owned.connection().msk();
    // SAFETY: A live, owned socket; `message` is the caller's.
    unsafe {
        if !bindings::mptcp_shim_sk_stream_memory_free(msk.as_ptr()) {
            return Ok(0);
        }
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
        owned.queue().append(page, offset, bytes)?;
        (*fragment).offset = offset + bytes;
        bindings::mptcp_shim_sk_wmem_charge(msk.as_ptr(), bytes as i32);
        let tp = msk.tcp();
        (*tp).write_seq = (*tp).write_seq.wrapping_add(bytes);
        // Data beyond a DATA_FIN is impossible: shutdown was checked by the caller.
        let _ = owned.data().proto.on_send(bytes);
        Ok(bytes as usize)
    }
}

/// Hands what waits to the subflow, as far as the peer's window and the subflow's memory allow.
pub(crate) fn push(owned: &mut Owned<'_>, flags: u32) {
    let connection = owned.connection();
    connection.take_events(event::PUSH);
    let fin = connection.has_fallen_back() && connection.data_fin().is_some();
    if !(owned.queue().has_unsent() || fin) || !connection.is_first_alive() {
        return;
    }
    let ssk = connection.first();
    ssk.lock(true);
    if let Some(subflow) = subflow::of(ssk) {
        push_to(owned, ssk, subflow, flags);
        if fin && !owned.queue().has_unsent() {
            // Without options only the subflow's own FIN ends the stream.
            proto_ops::shutdown_subflow(ssk);
        }
    }
    ssk.release();
}

/// See [`push`]; `ssk` is owned.
fn push_to(owned: &mut Owned<'_>, ssk: Sock, subflow: &Subflow, flags: u32) {
    let connection = owned.connection();
    // SAFETY: A live, owned socket; a change of route may have raised the limit.
    unsafe {
        let raw = ssk.as_ptr();
        (*raw).sk_gso_max_size = (*raw).sk_gso_max_size.min(PACKET_MAX);
    }
    // SAFETY: Zeroes are an empty page range.
    let mut pages: [bindings::bio_vec; PAGES] = unsafe { core::mem::zeroed() };
    loop {
        let ssn = subflow.local_ssn(ssk.write_seq());
        let room = begin_burst(owned, connection, ssn);
        let (count, bytes) = owned
            .queue()
            .next_pages(core::cmp::min(room, BURST), &mut pages);
        if bytes == 0 {
            break;
        }
        let nxt = owned.queue().nxt;
        // CAST: At most BURST.
        let mapping = Mapping::new(ssn, nxt, bytes as u32);
        let more = if nxt.advance(bytes) == owned.queue().end {
            flags & bindings::MSG_MORE
        } else {
            bindings::MSG_MORE
        };
        // SAFETY: The subflow is owned; the map is not used across the calls below. `pages` hold
        // `bytes` bytes in `count` ranges, whose pages the queue keeps.
        let sent = unsafe {
            if subflow.transmit().assign(mapping).is_err() {
                break;
            }
            bindings::mptcp_shim_splice_pages(
                ssk.as_ptr(),
                pages.as_mut_ptr(),
                count as u32,
                bytes as usize,
                bindings::MSG_DONTWAIT
                    | bindings::MSG_NOSIGNAL
                    | bindings::MSG_NO_SHARED_FRAGS
                    | more,
            )
        };
        // CAST: A positive result is at most BURST.
        let sent = u64::try_from(sent).unwrap_or(0);
        owned.queue().nxt = nxt.advance(sent);
        if sent < bytes {
            // SAFETY: As above.
            unsafe { subflow.transmit().unassign(ssn.advance(sent as u32)) };
            break;
        }
    }
    connection.set_unsent(owned.queue().has_unsent());
    crate::close::arm_timer(owned);
}

/// Bytes that may be handed over now, the first of them as byte `ssn` of the subflow.
///
/// With nothing in flight one byte may exceed the peer's window: TCP's own window probe of the
/// subflow then finds out when the window opens.
fn begin_burst(owned: &mut Owned<'_>, connection: &Connection, ssn: SubflowSeq) -> u64 {
    let nxt = owned.queue().nxt;
    let mut data = owned.data();
    data.sent = Mapping::new(ssn, nxt, 0);
    if connection.has_fallen_back() {
        return u64::MAX;
    }
    let end = data.proto.snd_wnd_end();
    if nxt.before(end) {
        end.distance_from(nxt)
    } else {
        u64::from(data.proto.snd_una() == nxt)
    }
}
