// SPDX-License-Identifier: GPL-2.0

//! Data that came before its turn, until its turn comes.
//!
//! C counterpart: `mptcp_data_queue_ofo` in net/mptcp/protocol.c.

use crate::skb::Skb;
use kernel::prelude::*;
use mptcp_proto::seq::DataSeq;

/// A run of data.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    /// Data sequence number of the first byte of data.
    pub(crate) dsn: DataSeq,
    /// Bytes of data.
    pub(crate) len: u32,
    /// Bytes of the buffer in front of them.
    pub(crate) offset: u32,
    /// The buffer, which the piece owns.
    pub(crate) skb: Skb,
}

/// A run of data has been kept.
pub(crate) struct Kept {
    /// None of the others begins behind it.
    pub(crate) is_last: bool,
    /// Others were dropped to make room.
    pub(crate) dropped: bool,
}

/// Data that came before its turn, in data sequence order.
pub(crate) struct OutOfOrder {
    /// The runs, which may overlap; those before `first` are gone.
    pieces: KVec<Piece>,
    /// Index of the first run.
    first: usize,
    /// Memory of the buffers, in bytes.
    memory: u32,
}

// SAFETY: The buffers belong to the pieces and may be freed by any thread.
unsafe impl Send for OutOfOrder {}

impl OutOfOrder {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            pieces: KVec::new(),
            first: 0,
            memory: 0,
        }
    }

    /// The runs.
    #[inline]
    fn waiting(&self) -> &[Piece] {
        self.pieces.get(self.first..).unwrap_or_default()
    }

    /// Keeps `piece` within `limit` bytes of memory for all; gives it back when there is no room.
    ///
    /// What lies farthest ahead makes room: the reader comes to it last. If what is missing next went in
    /// its place, all the rest would wait in vain for the peer to find out and send it again.
    pub(crate) fn insert(&mut self, piece: Piece, limit: u32) -> Result<Kept, Skb> {
        let skb = piece.skb;
        let memory = skb.truesize();
        let mut dropped = false;
        while self.memory.saturating_add(memory) > limit {
            if !self.drop_last_behind(piece.dsn) {
                return Err(skb);
            }
            dropped = true;
        }
        if self.first > 0 && self.pieces.len() == self.pieces.capacity() {
            self.close_gap();
        }
        // What comes last mostly belongs last.
        let behind_last = self.waiting().last();
        let is_last = behind_last.is_none_or(|last| last.dsn.at_or_before(piece.dsn));
        let at = if is_last {
            self.pieces.len()
        } else {
            let before = |other: &Piece| other.dsn.at_or_before(piece.dsn);
            self.first + self.waiting().partition_point(before)
        };
        if self.pieces.reserve(1, GFP_ATOMIC).is_err()
            || self.pieces.insert_within_capacity(at, piece).is_err()
        {
            return Err(skb);
        }
        self.memory = self.memory.saturating_add(memory);
        Ok(Kept { is_last, dropped })
    }

    /// Takes the first piece if its turn has come.
    pub(crate) fn take_due(&mut self, rcv_nxt: DataSeq) -> Option<Piece> {
        let piece = *self.waiting().first()?;
        if piece.dsn.after(rcv_nxt) {
            return None;
        }
        self.first += 1;
        if self.first == self.pieces.len() {
            self.pieces.clear();
            self.first = 0;
        }
        self.memory = self.memory.saturating_sub(piece.skb.truesize());
        Some(piece)
    }

    /// Frees the last run if it begins after `dsn`; `false` if none does.
    fn drop_last_behind(&mut self, dsn: DataSeq) -> bool {
        let behind = |last: &&Piece| last.dsn.after(dsn);
        let Some(last) = self.waiting().last().filter(behind).copied() else {
            return false;
        };
        self.pieces.truncate(self.pieces.len() - 1);
        self.memory = self.memory.saturating_sub(last.skb.truesize());
        last.skb.free();
        true
    }

    /// Moves the runs to the front, where there is room.
    fn close_gap(&mut self) {
        let rest = self.waiting().len();
        self.pieces.copy_within(self.first.., 0);
        self.pieces.truncate(rest);
        self.first = 0;
    }
}

impl Drop for OutOfOrder {
    fn drop(&mut self) {
        for piece in self.waiting() {
            piece.skb.free();
        }
    }
}
