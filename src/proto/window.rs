// SPDX-License-Identifier: GPL-2.0

//! The receive window of a connection, from both ends.
//!
//! All subflows share one receive window. It begins at the Data ACK and its size is the window field
//! of the TCP header that carries the Data ACK, scaled as negotiated for that subflow:
//!
//! ```text
//!        acknowledged  |  may be sent               |  may not be sent
//!   -------------------|----------------------------|------------------->
//!                  DATA_ACK             DATA_ACK + window = right edge
//! ```
//!
//! The right edge never moves back. A receiver that has less room than it promised offers the rest
//! of the promise ([`Advertised`]); a sender believes the furthest edge it has seen, whichever
//! subflow told it ([`SendWindow`]).
//!
//! Not handled here: the window of each subflow, which TCP keeps; probing a closed window.
//!
//! RFC 8684, Sections 3.3.4 and 3.3.5; RFC 7323, Section 2; RFC 1122, Section 4.2.3.3.
//!
//! C counterpart: `net/ipv4/tcp_output.c` (`__tcp_select_window`), `net/mptcp/options.c`
//! (`ack_update_msk`, `mptcp_set_rwin`).

use crate::seq::DataSeq;

/// The largest shift count of the window scale option.
///
/// RFC 7323, Section 2.3.
const SCALE_MAX: u8 = 14;

/// The largest window that can be advertised.
///
/// Bytes: 65,535 units of 2^14.
pub const WINDOW_MAX: u32 = 65_535 << 14;

/// What the local host has promised to receive.
///
/// RFC 8684, Section 3.3.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advertised {
    /// The right edge: the first DSN that the peer was never allowed to send.
    edge: DataSeq,
}

impl Advertised {
    /// Starts with a promise of `window` bytes from `rcv_nxt` on, as the handshake made it.
    #[inline]
    #[must_use]
    pub fn new(rcv_nxt: DataSeq, window: u32) -> Self {
        Self {
            edge: rcv_nxt.advance(u64::from(window)),
        }
    }

    /// Goes on with what was promised up to `edge`.
    #[inline]
    #[must_use]
    pub const fn up_to(edge: DataSeq) -> Self {
        Self { edge }
    }

    /// Returns the right edge: the first DSN that the peer may not send.
    #[inline]
    #[must_use]
    pub const fn edge(self) -> DataSeq {
        self.edge
    }

    /// Returns how many bytes from `rcv_nxt` on are promised.
    #[inline]
    #[must_use]
    pub fn promised(self, rcv_nxt: DataSeq) -> u64 {
        distance_or_zero(rcv_nxt, self.edge)
    }

    /// Returns the value for the window field of a TCP header that carries the Data ACK `rcv_nxt`,
    /// and remembers what it promises.
    ///
    /// `free_space` bytes can be taken in. `mss` is the smallest step in which the window grows, so
    /// that a slow reader does not make the peer send small segments: the MSS, or a part of the
    /// receive buffer, at most half, if that is less. `wscale` is the scale of the subflow, 0..=14; more counts
    /// as 14.
    ///
    /// The value is rounded down to a unit of the scale. If that says less than was promised, it
    /// takes nothing back: the edge is remembered here and by the sender.
    ///
    /// RFC 8684, Section 3.3.4.
    #[inline]
    #[must_use]
    pub fn advertise(&mut self, rcv_nxt: DataSeq, free_space: u32, mss: u32, wscale: u8) -> u16 {
        let scale = u32::from(wscale.min(SCALE_MAX));
        let free_units = (free_space >> scale).min(u32::from(u16::MAX));
        let possible = u64::from(free_units << scale);
        let promised = self.promised(rcv_nxt);
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.4
        //# As in TCP, a
        //# receiver MUST NOT shrink the right edge of the receive window (i.e.,
        //# DATA_ACK + receive window).
        if possible > promised && possible.wrapping_sub(promised) >= u64::from(mss) {
            self.edge = rcv_nxt.advance(possible);
            u16::try_from(free_units).unwrap_or(u16::MAX)
        } else {
            u16::try_from(promised >> scale).unwrap_or(u16::MAX)
        }
    }

    /// Tells whether [`advertise`](Self::advertise) would open the window by twice what is still
    /// promised: worth an acknowledgment of its own when the reader made room.
    #[inline]
    #[must_use]
    pub fn deserves_update(self, rcv_nxt: DataSeq, free_space: u32, mss: u32) -> bool {
        let promised = self.promised(rcv_nxt);
        let possible = u64::from(free_space);
        possible.saturating_sub(promised) >= u64::from(mss)
            && possible >= promised.saturating_mul(2)
    }
}

/// What the peer allows the local host to send.
///
/// RFC 8684, Section 3.3.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendWindow {
    /// The first DSN that the peer has not acknowledged.
    una: DataSeq,
    /// The right edge: the first DSN that may not be sent.
    end: DataSeq,
}

/// What an acknowledgment did to the right edge of a [`SendWindow`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// It stays where it is.
    Same,
    /// It moved on: more may be sent.
    Moved,
}

impl SendWindow {
    /// Starts with everything before `una` acknowledged and `window` bytes allowed.
    #[inline]
    #[must_use]
    pub fn new(una: DataSeq, window: u32) -> Self {
        Self {
            una,
            end: una.advance(u64::from(window)),
        }
    }

    /// Returns the first DSN that is not acknowledged.
    #[inline]
    #[must_use]
    pub const fn una(self) -> DataSeq {
        self.una
    }

    /// Returns the right edge: the first DSN that may not be sent.
    #[inline]
    #[must_use]
    pub const fn end(self) -> DataSeq {
        self.end
    }

    /// Takes in a Data ACK and the window of the segment that carried it, in bytes.
    ///
    /// An acknowledgment that was overtaken by a later one changes nothing, unless its window
    /// reaches further. Whether `ack` is plausible was checked by the caller.
    #[inline]
    pub fn on_ack(&mut self, ack: DataSeq, window: u32) -> Edge {
        if ack.after(self.una) {
            self.una = ack;
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.5
        //# Therefore, if receive window sizes differ on multiple
        //# subflows, when sending data MPTCP SHOULD take the largest of the most
        //# recent window sizes as the one to use in calculations.
        //= https://www.rfc-editor.org/rfc/rfc8684#section-4
        //# a host SHOULD use the maximum value of those
        //# recently seen on the constituent subflows for the connection-level
        //# receive window and also needs to maintain a subflow-level window
        //# for subflow-level processing.
        let end = ack.advance(u64::from(window));
        if end.after(self.end) {
            self.end = end;
            Edge::Moved
        } else {
            Edge::Same
        }
    }

    /// Returns how many bytes from `nxt` on may be sent.
    #[inline]
    #[must_use]
    pub fn usable(self, nxt: DataSeq) -> u64 {
        distance_or_zero(nxt, self.end)
    }
}

/// Returns how many bytes lie from `start` up to `end`, or zero if `end` comes before.
#[inline]
fn distance_or_zero(start: DataSeq, end: DataSeq) -> u64 {
    if end.after(start) {
        end.distance_from(start)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a number.
    fn dsn(value: u64) -> DataSeq {
        DataSeq::new(value)
    }

    #[test]
    fn shrinking_space_keeps_the_edge() {
        let start = dsn(u64::MAX - 10);
        let mut window = Advertised::new(start, 0);
        assert_eq!(window.advertise(start, 65_535, 1_000, 0), 65_535);
        let edge = window.edge();
        assert_eq!(window.advertise(start.advance(100), 10, 1_000, 0), 65_435);
        assert_eq!(window.edge(), edge);
        assert_eq!(window.advertise(start.advance(65_535), 10, 1_000, 0), 0);
        assert_eq!(window.advertise(start.advance(70_000), 10, 1_000, 0), 0);
        assert_eq!(window.edge(), edge);
    }

    #[test]
    fn small_steps_are_held_back() {
        let mut window = Advertised::new(dsn(0), 0);
        assert_eq!(window.advertise(dsn(0), 999, 1_000, 0), 0);
        assert_eq!(window.advertise(dsn(0), 1_000, 1_000, 0), 1_000);
        assert_eq!(window.advertise(dsn(500), 1_499, 1_000, 0), 500);
        assert_eq!(window.advertise(dsn(500), 1_500, 1_000, 0), 1_500);
        assert_eq!(window.edge(), dsn(2_000));
        assert!(!window.deserves_update(dsn(500), 2_499, 1_000));
        assert!(window.deserves_update(dsn(500), 3_000, 1_000));
        assert!(!window.deserves_update(dsn(2_000), 999, 1_000));
    }

    #[test]
    fn scaled_value_never_promises_more_than_there_is() {
        let mut window = Advertised::new(dsn(0), 0);
        assert_eq!(window.advertise(dsn(0), 1_023, 1, 7), 7);
        assert_eq!(window.edge(), dsn(896));
        // 889 bytes are left of the promise, which is six units and a bit.
        assert_eq!(window.advertise(dsn(7), 0, 1, 7), 6);
        assert_eq!(window.edge(), dsn(896));
        assert_eq!(window.advertise(dsn(7), u32::MAX, 1, 14), u16::MAX);
        assert_eq!(window.promised(dsn(7)), u64::from(WINDOW_MAX));
        // Another subflow without scaling says what it can.
        assert_eq!(window.advertise(dsn(7), u32::MAX, 1, 0), u16::MAX);
        assert_eq!(window.advertise(dsn(7), u32::MAX, 1, 99), u16::MAX);
    }

    #[test]
    fn overtaken_ack_moves_only_the_edge() {
        let mut window = SendWindow::new(dsn(u64::MAX - 5), 10);
        assert_eq!(window.usable(dsn(u64::MAX)), 5);
        assert_eq!(window.on_ack(dsn(2), 100), Edge::Moved);
        assert_eq!(window.on_ack(dsn(1), 50), Edge::Same);
        assert_eq!(window.on_ack(dsn(1), 102), Edge::Moved);
        assert_eq!((window.una(), window.end()), (dsn(2), dsn(103)));
        assert_eq!(window.usable(dsn(200)), 0);
    }
}
