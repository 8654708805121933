// SPDX-License-Identifier: GPL-2.0

//! What the application has written and the peer has not acknowledged: page references, in order.
//!
//! The pages are those of the packets that carried the bytes first. They stay until the peer's Data
//! ACK has passed them, so that the same bytes can be sent again, on whichever subflow.
//!
//! C counterpart: `struct mptcp_data_frag` in net/mptcp/protocol.h.

use crate::bindings;
use kernel::prelude::*;
use mptcp_proto::repeats::Repeats;
use mptcp_proto::seq::DataSeq;

/// Most page ranges handed to a subflow at once.
pub(crate) const PAGES: usize = 8;

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
    /// Whether the page is somebody else's too, as the page cache's, who may write to it.
    shared: bool,
}

/// What [`SendQueue::pages`] found.
pub(crate) struct Pages {
    /// Ranges filled in.
    pub(crate) count: usize,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// Whether any of them is shared with somebody who may write to it.
    pub(crate) shared: bool,
}

/// What the application has written and the peer has not acknowledged.
pub(crate) struct SendQueue {
    /// Chunks in data sequence order; those before `first` are gone.
    chunks: KVec<Chunk>,
    /// Index of the oldest chunk.
    first: usize,
    /// Index of the chunk that was handed over last.
    cursor: usize,
    /// Next data sequence number to hand to a subflow for the first time.
    nxt: DataSeq,
    /// What was handed to subflows that failed it, to be handed to another.
    repeats: Repeats,
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
            repeats: Repeats::new(),
            end: dsn,
        }
    }

    /// Whether bytes wait to be handed to a subflow.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.nxt != self.end || !self.repeats.is_empty()
    }

    /// Bytes that wait to be handed to a subflow for the first time.
    #[inline]
    pub(crate) fn unsent(&self) -> u64 {
        self.end.distance_from(self.nxt)
    }

    /// What has to be handed to a subflow again.
    #[inline]
    pub(crate) fn repeats(&mut self) -> &mut Repeats {
        &mut self.repeats
    }

    /// Data sequence number of the oldest byte in the queue.
    #[inline]
    pub(crate) fn una(&self) -> DataSeq {
        self.chunks
            .get(self.first)
            .map_or(self.end, |chunk| chunk.dsn)
    }

    /// Next data sequence number to hand to a subflow.
    #[inline]
    pub(crate) fn nxt(&self) -> DataSeq {
        self.nxt
    }

    /// Data sequence number of the next byte written.
    #[inline]
    pub(crate) fn end(&self) -> DataSeq {
        self.end
    }

    /// Notes that the next `bytes` bytes have been handed to a subflow.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.nxt = self.nxt.advance(bytes);
    }

    /// Notes that the last `bytes` bytes of those have been taken back, to be handed over again. Some may
    /// have been acknowledged, because another subflow had a copy.
    pub(crate) fn retreat(&mut self, bytes: u64) {
        self.nxt = self.nxt.retreat(bytes).later(self.una());
    }

    /// Makes sure that `append` has room for `count` more chunks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize) -> Result {
        if self.chunks.capacity().wrapping_sub(self.chunks.len()) >= count {
            return Ok(());
        }
        self.reserve_more(count)
    }

    /// [`Self::reserve`] for an empty queue, in any context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve_atomic(&mut self, count: usize) -> Result {
        Ok(self.chunks.reserve(count, GFP_ATOMIC)?)
    }

    /// See [`Self::reserve`].
    #[cold]
    fn reserve_more(&mut self, count: usize) -> Result {
        let free = |chunks: &KVec<Chunk>| chunks.capacity().wrapping_sub(chunks.len());
        if self.first > 0 {
            // Closes the gap at the front before asking for more memory.
            let rest = self.chunks.len() - self.first;
            self.chunks.copy_within(self.first.., 0);
            self.chunks.truncate(rest);
            self.cursor = self.cursor.saturating_sub(self.first);
            self.first = 0;
        }
        if free(&self.chunks) < count {
            let more = core::cmp::max(8, self.chunks.len());
            self.chunks.reserve(more, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Appends `len` bytes at `offset` of `page`; `true` when that takes a reference, which is the
    /// caller's to have or to get.
    #[must_use = "the reference has to be taken"]
    ///
    /// # Errors
    ///
    /// `ENOMEM`; never after [`Self::reserve`].
    pub(crate) fn append(
        &mut self,
        page: *mut bindings::page,
        offset: u32,
        len: u32,
        shared: bool,
    ) -> Result<bool> {
        if len == 0 {
            return Ok(false);
        }
        let dsn = self.end;
        let index = self.chunks.len().wrapping_sub(1);
        let begins = match self.chunks.get_mut(index) {
            Some(last)
                if index >= self.first
                    && last.page == page
                    && last.offset + last.len == offset
                    && last.shared == shared =>
            {
                last.len += len;
                self.cursor = self.cursor.min(index);
                false
            }
            _ => {
                self.reserve(1)?;
                self.chunks.push(
                    Chunk {
                        page,
                        offset,
                        len,
                        dsn,
                        shared,
                    },
                    GFP_KERNEL,
                )?;
                true
            }
        };
        self.end = dsn.advance(u64::from(len));
        Ok(begins)
    }

    /// Frees what lies before `una`; returns the bytes freed.
    ///
    /// A DATA_FIN, which `una` may have passed too, has no byte here.
    pub(crate) fn free_acked(&mut self, una: DataSeq) -> u32 {
        let una = una.earlier(self.end);
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
        self.nxt = self.nxt.later(una);
        if !self.repeats.is_empty() {
            self.repeats.prune(una);
        }
        freed
    }

    /// Frees everything; returns the bytes freed.
    pub(crate) fn free_all(&mut self) -> u32 {
        self.nxt = self.end;
        self.free_acked(self.end)
    }

    /// The pages of up to `max` bytes from `dsn` on, none if it is not here.
    pub(crate) fn pages(
        &mut self,
        mut dsn: DataSeq,
        max: u64,
        pages: &mut [bindings::bio_vec; PAGES],
    ) -> Pages {
        let mut found = Pages {
            count: 0,
            bytes: 0,
            shared: false,
        };
        let ends = |chunk: &Chunk| chunk.dsn.advance(u64::from(chunk.len));
        let held = self.chunks.get(self.cursor);
        if held.is_none_or(|chunk| dsn.before(chunk.dsn)) {
            self.cursor = self.first;
        }
        let ahead = self.chunks.get(self.cursor..).unwrap_or_default();
        // What follows what was handed over last is found at once.
        let passed = match ahead {
            [chunk, ..] if dsn.before(ends(chunk)) => 0,
            [_, chunk, ..] if dsn.before(ends(chunk)) => 1,
            _ => ahead.partition_point(|chunk| ends(chunk).at_or_before(dsn)),
        };
        self.cursor += passed;
        if ahead.get(passed).is_none_or(|chunk| dsn.before(chunk.dsn)) {
            return found;
        }
        for chunk in self.chunks.get(self.cursor..).unwrap_or_default() {
            let Some(page) = pages.get_mut(found.count) else {
                break;
            };
            let skip = dsn.distance_from(chunk.dsn);
            let left = u64::from(chunk.len).saturating_sub(skip);
            let len = left.min(max.saturating_sub(found.bytes));
            if len == 0 {
                break;
            }
            page.bv_page = chunk.page;
            // CAST: Both are within a chunk, whose length has 32 bits.
            page.bv_offset = chunk.offset + skip as u32;
            page.bv_len = len as u32;
            found.count += 1;
            found.bytes += len;
            found.shared |= chunk.shared;
            dsn = dsn.advance(len);
        }
        found
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
