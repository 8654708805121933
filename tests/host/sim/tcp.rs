// SPDX-License-Identifier: GPL-2.0

//! A subflow as small as a reliable byte stream can be: retransmission by timeout, no options.

use std::collections::{
    BTreeMap,
    VecDeque, //
};

/// The payload of a segment, in bytes.
pub(crate) const MSS: u32 = 1_000;

/// The most that is in flight on a subflow, in bytes.
const FLIGHT: u32 = 20 * MSS;

/// The first retransmission timeout, in microseconds.
pub(crate) const RTO: u64 = 100_000;

/// How many timeouts in a row mean that the path is dead.
const RETRIES: u32 = 8;

/// A part of the stream that is to be sent.
pub(crate) struct Part {
    /// The number of the first byte.
    pub(crate) seq: u32,
    /// How many bytes.
    pub(crate) len: u32,
    /// Whether the end of the stream follows them.
    pub(crate) fin: bool,
}

/// One end of a subflow, after the handshake.
#[derive(Debug)]
pub(crate) struct Tcp {
    /// The first number that is not acknowledged.
    pub(crate) una: u32,
    /// The first number that was never sent.
    pub(crate) nxt: u32,
    /// The next number to send: below `nxt` when sending again.
    cursor: u32,
    /// The bytes from `una` on; the end of the stream is not among them.
    buffer: VecDeque<u8>,
    /// The number of the end of the stream, once it is known.
    fin: Option<u32>,
    /// The first number that the peer does not allow; only obeyed in fallback.
    pub(crate) window_end: u32,
    /// When to send again, in microseconds.
    pub(crate) deadline: Option<u64>,
    /// Timeouts in a row.
    retries: u32,
    /// Acknowledgments in a row that said nothing new.
    repeats: u32,
    /// The next number expected.
    pub(crate) rcv_nxt: u32,
    /// Bytes in order that nobody has taken, up to `rcv_nxt`.
    pub(crate) ready: VecDeque<u8>,
    /// What arrived out of order.
    early: BTreeMap<u32, Vec<u8>>,
    /// The number of the peer's FIN.
    peer_fin: Option<u32>,
    /// Whether the peer's FIN has been reached.
    pub(crate) peer_closed: bool,
}

impl Tcp {
    /// Makes an end whose handshake is over.
    pub(crate) fn new() -> Self {
        Self {
            una: 1,
            nxt: 1,
            cursor: 1,
            buffer: VecDeque::new(),
            fin: None,
            window_end: 1,
            deadline: None,
            retries: 0,
            repeats: 0,
            rcv_nxt: 1,
            ready: VecDeque::new(),
            early: BTreeMap::new(),
            peer_fin: None,
            peer_closed: false,
        }
    }

    /// Returns the number of the first byte that nobody has taken.
    pub(crate) fn head(&self) -> u32 {
        self.rcv_nxt - self.ready.len() as u32 - u32::from(self.peer_closed)
    }

    /// Returns the number that the next queued byte gets, or that of the end of the stream.
    pub(crate) fn end(&self) -> u32 {
        self.fin.unwrap_or(self.una + self.buffer.len() as u32)
    }

    /// Returns how many bytes may be queued.
    pub(crate) fn room(&self) -> u32 {
        if self.fin.is_some() {
            0
        } else {
            FLIGHT.saturating_sub(self.buffer.len() as u32)
        }
    }

    /// Queues bytes.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
    }

    /// Ends the stream.
    pub(crate) fn close(&mut self) {
        self.fin = Some(self.end());
    }

    /// Tells whether the stream was ended and the peer knows.
    pub(crate) fn close_acknowledged(&self) -> bool {
        self.fin.is_some_and(|fin| self.una > fin)
    }

    /// Tells whether something was sent that is not acknowledged.
    pub(crate) fn in_flight(&self) -> bool {
        self.una != self.nxt
    }

    /// Returns the bytes from `seq` on.
    pub(crate) fn bytes(&self, seq: u32, len: u32) -> Vec<u8> {
        self.buffer
            .iter()
            .skip((seq - self.una) as usize)
            .take(len as usize)
            .copied()
            .collect()
    }

    /// Returns the next part to send, at most `most` bytes of it, or nothing for now.
    ///
    /// What is sent may be shortened by the caller, who then reports it by [`sent`](Self::sent).
    pub(crate) fn next_part(&self, most: u32, obey_window: bool) -> Option<Part> {
        let again = self.cursor < self.nxt;
        if !again && self.nxt - self.una >= FLIGHT {
            return None;
        }
        let mut len = self.end().saturating_sub(self.cursor).min(most);
        if obey_window && !again {
            len = len.min(self.window_end.saturating_sub(self.cursor));
        }
        let fin = self.fin == Some(self.cursor + len);
        (len > 0 || fin).then_some(Part {
            seq: self.cursor,
            len,
            fin,
        })
    }

    /// Notes that a part was sent.
    pub(crate) fn sent(&mut self, now: u64, part: &Part) {
        self.cursor = part.seq + part.len + u32::from(part.fin);
        self.nxt = self.nxt.max(self.cursor);
        if self.deadline.is_none() {
            self.deadline = Some(now + RTO);
        }
    }

    /// Takes in an acknowledgment; returns whether it acknowledges something new.
    pub(crate) fn on_ack(&mut self, now: u64, ack: u32, empty: bool) -> bool {
        if ack > self.nxt || ack < self.una {
            return false;
        }
        if ack == self.una {
            self.repeats += u32::from(empty && self.in_flight());
            if self.repeats == 3 {
                self.cursor = self.una;
            }
            return false;
        }
        let bytes = (ack - self.una).min(self.buffer.len() as u32);
        self.buffer.drain(..bytes as usize);
        self.una = ack;
        self.cursor = self.cursor.max(ack);
        self.retries = 0;
        self.repeats = 0;
        self.deadline = self.in_flight().then_some(now + RTO);
        true
    }

    /// Looks at the timer; returns whether the path is to be given up.
    pub(crate) fn on_time(&mut self, now: u64) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.retries += 1;
            self.cursor = self.una;
            self.deadline = Some(now + (RTO << self.retries.min(5)));
        }
        self.retries > RETRIES
    }

    /// Takes in payload.
    pub(crate) fn on_payload(&mut self, seq: u32, payload: &[u8], fin: bool) {
        if fin {
            self.peer_fin = Some(seq + payload.len() as u32);
        }
        if !payload.is_empty() && seq + payload.len() as u32 > self.rcv_nxt {
            self.early.entry(seq).or_default();
            if let Some(known) = self.early.get_mut(&seq) {
                if known.len() < payload.len() {
                    *known = payload.to_vec();
                }
            }
        }
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.rcv_nxt {
                break;
            }
            let (seq, payload) = entry.remove_entry();
            let fresh = payload.iter().skip((self.rcv_nxt - seq) as usize);
            let before = self.ready.len();
            self.ready.extend(fresh);
            self.rcv_nxt += (self.ready.len() - before) as u32;
        }
        if self.peer_fin == Some(self.rcv_nxt) && !self.peer_closed {
            self.rcv_nxt += 1;
            self.peer_closed = true;
        }
    }
}
