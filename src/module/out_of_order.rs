// SPDX-License-Identifier: GPL-2.0

//! Data that came before its turn, until its turn comes.
//!
//! C counterpart: `mptcp_data_queue_ofo` in net/mptcp/protocol.c.

use crate::skb::Skb;
use kernel::prelude::*;
use mptcp_proto::seq::DataSeq;

/// A run of data.
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

/// Data that came before its turn, in data sequence order.
pub(crate) struct OutOfOrder {
    /// The runs; they may overlap.
    pieces: KVec<Piece>,
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
            memory: 0,
        }
    }

    /// Memory of the buffers, in bytes.
    #[inline]
    pub(crate) fn memory(&self) -> u32 {
        self.memory
    }

    /// Keeps `piece`; gives it back when there is no memory.
    pub(crate) fn insert(&mut self, piece: Piece) -> Result<(), Skb> {
        let skb = piece.skb;
        let memory = skb.truesize();
        let at = self
            .pieces
            .iter()
            .rposition(|other| other.dsn.at_or_before(piece.dsn));
        let at = at.map_or(0, |before| before + 1);
        if self.pieces.reserve(1, GFP_ATOMIC).is_err()
            || self.pieces.insert_within_capacity(at, piece).is_err()
        {
            return Err(skb);
        }
        self.memory = self.memory.saturating_add(memory);
        Ok(())
    }

    /// Takes the first piece if its turn has come.
    pub(crate) fn take_due(&mut self, rcv_nxt: DataSeq) -> Option<Piece> {
        if self.pieces.first()?.dsn.after(rcv_nxt) {
            return None;
        }
        let piece = self.pieces.remove(0).ok()?;
        self.memory = self.memory.saturating_sub(piece.skb.truesize());
        Some(piece)
    }
}

impl Drop for OutOfOrder {
    fn drop(&mut self) {
        for piece in &self.pieces {
            piece.skb.free();
        }
    }
}
