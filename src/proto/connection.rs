// SPDX-License-Identifier: GPL-2.0

//! The data-level state of a connection: what was sent, acknowledged and received, and how it ends.
//!
//! A connection numbers its data from IDSN + 1 on, acknowledges it with Data ACKs and ends it with a
//! DATA_FIN in each direction, which occupies one data sequence number behind the last byte. These
//! are TCP's ideas one level up, and so are the states:
//!
//! ```text
//!                              +-------------+
//!                              | ESTABLISHED |
//!                              +-------------+
//!              shutdown_send  /               \  DATA_FIN reached
//!                            v                 v
//!                  +------------+           +------------+
//!                  | FIN_WAIT_1 |           | CLOSE_WAIT |
//!                  +------------+           +------------+
//!      DATA_FIN   /       | own DATA_FIN          | shutdown_send
//!      reached   v        v acknowledged          v
//!       +---------+   +------------+        +----------+
//!       | CLOSING |   | FIN_WAIT_2 |        | LAST_ACK |
//!       +---------+   +------------+        +----------+
//!   own DATA_FIN |        | DATA_FIN              | own DATA_FIN
//!   acknowledged v        v reached               v acknowledged
//!               +-----------+   on_time_wait   +--------+
//!               | TIME_WAIT | ---------------->| CLOSED |
//!               +-----------+                  +--------+
//!                                                  ^
//!      MP_FASTCLOSE, abort or give_up in any state |
//! ```
//!
//! "Reached" means that everything before the DATA_FIN has arrived; a DATA_FIN that comes earlier
//! is remembered.
//!
//! Not handled here: the bytes and their order (module `reassembly`), which subflow carries what,
//! and what happens after a fallback, when the data level is TCP's own.
//!
//! RFC 8684, Sections 3.3.2, 3.3.3 and 3.5, Appendix D.
//!
//! C counterpart: `net/mptcp/protocol.c` (`mptcp_check_data_fin`, `mptcp_check_data_fin_ack`),
//! `net/mptcp/options.c` (`ack_update_msk`).

mod retransmit;

pub use retransmit::{
    RetransmitTimer,
    TimeoutDecision, //
};

use crate::seq::DataSeq;
use crate::window::{
    Edge,
    SendWindow,
    WINDOW_MAX, //
};

/// The state of a connection, named as TCP names its own.
///
/// RFC 8684, Appendix D.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Neither host has finished.
    Established,
    /// The local host has finished; its DATA_FIN is not acknowledged.
    FinWait1,
    /// The local host has finished and the peer knows.
    FinWait2,
    /// The peer has finished.
    CloseWait,
    /// Both have finished, the local host first; its DATA_FIN is not acknowledged.
    Closing,
    /// Both have finished, the peer first; the local DATA_FIN is not acknowledged.
    LastAck,
    /// Both have finished and know; the peer may still repeat its DATA_FIN.
    TimeWait,
    /// Nothing more will happen.
    Closed,
}

impl State {
    /// Returns the state after the local host has finished sending.
    #[inline]
    const fn after_shutdown(self) -> Self {
        match self {
            Self::Established => Self::FinWait1,
            Self::CloseWait => Self::LastAck,
            other => other,
        }
    }

    /// Returns the state after the local DATA_FIN was acknowledged.
    #[inline]
    const fn after_fin_acked(self) -> Self {
        match self {
            Self::FinWait1 => Self::FinWait2,
            Self::Closing => Self::TimeWait,
            Self::LastAck => Self::Closed,
            other => other,
        }
    }

    /// Returns the state after the DATA_FIN of the peer was reached.
    #[inline]
    const fn after_fin_reached(self) -> Self {
        match self {
            Self::Established => Self::CloseWait,
            Self::FinWait1 => Self::Closing,
            Self::FinWait2 => Self::TimeWait,
            other => other,
        }
    }
}

/// Whether and by whom a connection was ended without a DATA_FIN in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abort {
    /// It was not.
    No,
    /// The local host ended it.
    Local,
    /// The peer sent MP_FASTCLOSE.
    Peer,
    /// No subflow was left for too long.
    TimedOut,
}

/// How far the DATA_FIN of the local host has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LocalFin {
    /// More data may follow.
    Open,
    /// It has this number and is to be sent until it is acknowledged.
    Unacknowledged(DataSeq),
    /// The peer has acknowledged it.
    Acknowledged,
}

/// How far the DATA_FIN of the peer has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PeerFin {
    /// It has not been seen.
    Open,
    /// It has this number; data before it is missing.
    Announced(DataSeq),
    /// Everything before it and itself, with this number, is received.
    Reached(DataSeq),
}

/// What a Data ACK means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckOutcome {
    /// It acknowledges what was never sent: to be ignored with its window.
    Invalid,
    /// A later one was seen before.
    Old {
        /// Whether its window reaches further all the same.
        window_grew: bool,
    },
    /// It repeats the last one.
    Same {
        /// Whether more may be sent.
        window_grew: bool,
    },
    /// It acknowledges something new.
    New {
        /// How many bytes of data, without the DATA_FIN.
        acked: u64,
        /// Whether more may be sent.
        window_grew: bool,
        /// Whether the local DATA_FIN is among what it acknowledges.
        fin_acked: bool,
    },
}

/// Why no data sequence numbers were assigned. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The local host has finished sending.
    Finished,
}

/// What the arrival of data in order led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiveOutcome {
    /// More may follow.
    Advanced,
    /// The DATA_FIN of the peer, remembered before, was reached with it.
    Finished,
    /// It reaches past the end that the peer announced: nothing has changed.
    BeyondFin,
}

/// What a DATA_FIN of the peer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinOutcome {
    /// Everything before it is there: the peer has finished. To be acknowledged.
    Finished,
    /// Data before it is missing: it is remembered.
    Remembered,
    /// It was seen before. To be acknowledged again if the peer has finished.
    Duplicate,
    /// It contradicts what was received or announced before, or is beyond any window: ignored.
    Inconsistent,
}

/// What finishing to send led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownOutcome {
    /// The DATA_FIN got this number and is to be sent.
    Queued(DataSeq),
    /// The local host had finished before.
    Already,
    /// The connection is closed.
    Closed,
}

/// The data-level state of one connection.
///
/// RFC 8684, Sections 3.3.2 and 3.3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// What the peer has acknowledged and allows.
    send: SendWindow,
    /// The next data sequence number to assign; behind the DATA_FIN if there is one.
    snd_nxt: DataSeq,
    /// The next data sequence number expected: what Data ACKs carry.
    rcv_nxt: DataSeq,
    /// The end of the local data.
    local_fin: LocalFin,
    /// The end of the peer's data.
    peer_fin: PeerFin,
    /// The state; always agrees with both ends.
    state: State,
    /// Whether the connection was cut short.
    abort: Abort,
}

impl Connection {
    /// Makes the state of a connection whose hosts have these initial data sequence numbers.
    ///
    /// The first byte of data has the number after the initial one; no window is known yet.
    ///
    /// RFC 8684, Section 3.1.
    #[inline]
    #[must_use]
    pub fn new(local_idsn: DataSeq, peer_idsn: DataSeq) -> Self {
        let snd_nxt = local_idsn.advance(1);
        Self {
            send: SendWindow::new(snd_nxt, 0),
            snd_nxt,
            rcv_nxt: peer_idsn.advance(1),
            local_fin: LocalFin::Open,
            peer_fin: PeerFin::Open,
            state: State::Established,
            abort: Abort::No,
        }
    }

    /// Returns the state.
    #[inline]
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns whether and by whom the connection was cut short.
    #[inline]
    #[must_use]
    pub const fn abort_reason(&self) -> Abort {
        self.abort
    }

    /// Returns the first DSN that the peer has not acknowledged.
    #[inline]
    #[must_use]
    pub const fn snd_una(&self) -> DataSeq {
        self.send.una()
    }

    /// Returns the next DSN to assign.
    #[inline]
    #[must_use]
    pub const fn snd_nxt(&self) -> DataSeq {
        self.snd_nxt
    }

    /// Returns the first DSN that the peer does not allow to send.
    #[inline]
    #[must_use]
    pub const fn snd_wnd_end(&self) -> DataSeq {
        self.send.end()
    }

    /// Returns the next DSN expected from the peer, which is the Data ACK to send.
    #[inline]
    #[must_use]
    pub const fn rcv_nxt(&self) -> DataSeq {
        self.rcv_nxt
    }

    /// Returns how many more bytes may get numbers and be sent.
    #[inline]
    #[must_use]
    pub fn usable(&self) -> u64 {
        match (self.local_fin, self.state) {
            (_, State::Closed) | (LocalFin::Unacknowledged(_) | LocalFin::Acknowledged, _) => 0,
            (LocalFin::Open, _) => self.send.usable(self.snd_nxt),
        }
    }

    /// Returns how many numbers are assigned and not acknowledged, the DATA_FIN included.
    #[inline]
    #[must_use]
    pub const fn outstanding(&self) -> u64 {
        self.snd_nxt.distance_from(self.send.una())
    }

    /// Takes in a Data ACK and the window of the segment that carried it, in bytes.
    ///
    /// RFC 8684, Sections 3.3.2 and 3.3.5.
    #[inline]
    pub fn on_data_ack(&mut self, ack: DataSeq, window: u32) -> AckOutcome {
        let una = self.send.una();
        if ack.after(self.snd_nxt) {
            return AckOutcome::Invalid;
        }
        if ack.before(una) {
            // What lies further back than any window is not an old acknowledgment but nonsense.
            if una.distance_from(ack) > u64::from(WINDOW_MAX) {
                return AckOutcome::Invalid;
            }
            let window_grew = self.send.on_ack(ack, window) == Edge::Moved;
            return AckOutcome::Old { window_grew };
        }
        let window_grew = self.send.on_ack(ack, window) == Edge::Moved;
        if ack == una {
            return AckOutcome::Same { window_grew };
        }
        let passed = ack.distance_from(una);
        match self.local_fin {
            LocalFin::Unacknowledged(fin) if ack.after(fin) => {
                self.local_fin = LocalFin::Acknowledged;
                self.state = self.state.after_fin_acked();
                AckOutcome::New {
                    acked: passed.wrapping_sub(1),
                    window_grew,
                    fin_acked: true,
                }
            }
            _ => AckOutcome::New {
                acked: passed,
                window_grew,
                fin_acked: false,
            },
        }
    }

    /// Assigns numbers to `len` bytes of new data and returns the first.
    ///
    /// Whether the window allows to send them is asked from [`usable`](Self::usable); a probe of a
    /// closed window goes one byte further.
    ///
    /// # Errors
    ///
    /// [`SendError::Finished`] after [`shutdown_send`](Self::shutdown_send) or when the connection
    /// is closed.
    #[inline]
    pub fn on_send(&mut self, len: u32) -> Result<DataSeq, SendError> {
        if self.local_fin != LocalFin::Open || self.state == State::Closed {
            return Err(SendError::Finished);
        }
        let dsn = self.snd_nxt;
        self.snd_nxt = dsn.advance(u64::from(len));
        Ok(dsn)
    }

    /// Takes back the last `len` numbers that [`on_send`](Self::on_send) assigned: their bytes were
    /// not sent. Numbers that the peer has acknowledged, or a DATA_FIN, stay.
    #[inline]
    pub fn on_send_less(&mut self, len: u32) {
        if self.local_fin == LocalFin::Open && u64::from(len) <= self.outstanding() {
            self.snd_nxt = self.snd_nxt.retreat(u64::from(len));
        }
    }

    /// Takes in `len` bytes of data that begin at [`rcv_nxt`](Self::rcv_nxt).
    #[inline]
    pub fn on_receive(&mut self, len: u32) -> ReceiveOutcome {
        let end = self.rcv_nxt.advance(u64::from(len));
        match self.peer_fin {
            PeerFin::Open => {
                self.rcv_nxt = end;
                ReceiveOutcome::Advanced
            }
            PeerFin::Announced(fin) if end.before(fin) => {
                self.rcv_nxt = end;
                ReceiveOutcome::Advanced
            }
            PeerFin::Announced(fin) if end == fin => {
                self.reach(fin);
                ReceiveOutcome::Finished
            }
            PeerFin::Reached(_) if len == 0 => ReceiveOutcome::Advanced,
            PeerFin::Announced(_) | PeerFin::Reached(_) => ReceiveOutcome::BeyondFin,
        }
    }

    /// Takes in a DATA_FIN of the peer that has the number `dsn`.
    ///
    /// In a mapping with data that is the last number of the mapping.
    ///
    /// RFC 8684, Section 3.3.3.
    #[inline]
    pub fn on_data_fin(&mut self, dsn: DataSeq) -> FinOutcome {
        match self.peer_fin {
            PeerFin::Announced(known) | PeerFin::Reached(known) => {
                if dsn == known {
                    FinOutcome::Duplicate
                } else {
                    FinOutcome::Inconsistent
                }
            }
            PeerFin::Open => {
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
                //# Notably, it is only DATA_ACKed once all
                //# data has been successfully received at the connection level.
                if dsn == self.rcv_nxt {
                    self.reach(dsn);
                    FinOutcome::Finished
                } else if dsn.distance_from(self.rcv_nxt) <= u64::from(WINDOW_MAX) {
                    self.peer_fin = PeerFin::Announced(dsn);
                    FinOutcome::Remembered
                } else {
                    FinOutcome::Inconsistent
                }
            }
        }
    }

    /// Finishes sending: assigns the DATA_FIN the number after all data.
    ///
    /// RFC 8684, Section 3.3.3.
    pub fn shutdown_send(&mut self) -> ShutdownOutcome {
        if self.state == State::Closed {
            return ShutdownOutcome::Closed;
        }
        if self.local_fin != LocalFin::Open {
            return ShutdownOutcome::Already;
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
        //# A DATA_FIN occupies 1 octet (the final octet) of
        //# the connection-level sequence space.
        let fin = self.snd_nxt;
        self.snd_nxt = fin.advance(1);
        self.local_fin = LocalFin::Unacknowledged(fin);
        self.state = self.state.after_shutdown();
        ShutdownOutcome::Queued(fin)
    }

    /// Returns the number of the DATA_FIN as long as it has to be sent or sent again.
    #[inline]
    #[must_use]
    pub const fn data_fin_to_send(&self) -> Option<DataSeq> {
        match (self.local_fin, self.state) {
            (LocalFin::Open | LocalFin::Acknowledged, _) | (_, State::Closed) => None,
            (LocalFin::Unacknowledged(fin), _) => Some(fin),
        }
    }

    /// Tells whether everything up to the DATA_FIN of the peer has been received.
    #[inline]
    #[must_use]
    pub const fn peer_finished(&self) -> bool {
        matches!(self.peer_fin, PeerFin::Reached(_))
    }

    /// Returns where the data of the peer ends, if it has said so: the number of its DATA_FIN.
    #[inline]
    #[must_use]
    pub const fn peer_end(&self) -> Option<DataSeq> {
        match self.peer_fin {
            PeerFin::Open => None,
            PeerFin::Announced(fin) | PeerFin::Reached(fin) => Some(fin),
        }
    }

    /// Tells whether nothing more has to be carried, so that all subflows may be closed.
    ///
    /// RFC 8684, Section 3.3.3.
    #[inline]
    #[must_use]
    pub const fn may_close_subflows(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
        //# A connection is considered closed once both hosts' DATA_FINs have
        //# been acknowledged by DATA_ACKs.
        matches!(self.state, State::TimeWait | State::Closed)
    }

    /// Takes in an MP_FASTCLOSE with the right key: the peer has closed the whole connection.
    ///
    /// RFC 8684, Section 3.5.
    pub fn on_fastclose(&mut self) {
        self.cut_short(Abort::Peer);
    }

    /// Closes the whole connection at once; the caller sends MP_FASTCLOSE.
    ///
    /// RFC 8684, Section 3.5.
    pub fn abort(&mut self) {
        self.cut_short(Abort::Local);
    }

    /// Closes the connection after it has been without a subflow for too long.
    ///
    /// RFC 8684, Section 3.3.3.
    pub fn give_up(&mut self) {
        self.cut_short(Abort::TimedOut);
    }

    /// Ends the wait for repeated DATA_FINs of the peer.
    pub fn on_time_wait_over(&mut self) {
        if self.state == State::TimeWait {
            self.state = State::Closed;
        }
    }

    /// Closes the connection in any state, unless it is closed.
    fn cut_short(&mut self, reason: Abort) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.abort = reason;
        }
    }

    /// Takes the DATA_FIN of the peer in order.
    fn reach(&mut self, fin: DataSeq) {
        self.rcv_nxt = fin.advance(1);
        self.peer_fin = PeerFin::Reached(fin);
        self.state = self.state.after_fin_reached();
    }
}

#[cfg(test)]
mod tests;
