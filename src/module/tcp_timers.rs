// SPDX-License-Identifier: GPL-2.0

//! What TCP's timers have run out for, how long its peer takes to answer, and how long it has said nothing.
//!
//! C counterpart: net/ipv4/tcp_timer.c, include/net/inet_connection_sock.h.

use crate::bindings;
use crate::sock::{
    read,
    Sock, //
};

impl Sock {
    /// How many retransmission timeouts the oldest segment has had.
    #[inline]
    pub(crate) fn retransmits(self) -> u8 {
        read!((*self.icsk()).icsk_retransmits)
    }

    /// How many retransmission timeouts there have been since the socket began to connect.
    #[inline]
    pub(crate) fn timeouts(self) -> u32 {
        u32::from(read!((*self.tcp()).total_rto))
    }

    /// How many questions in a row the peer has not answered: whether its window is still closed, or it lives.
    #[inline]
    pub(crate) fn probes(self) -> u8 {
        read!((*self.icsk()).icsk_probes_out)
    }

    /// How many timeouts in a row have brought nothing forward: retransmissions, or questions about a closed window.
    #[inline]
    pub(crate) fn fruitless(self) -> u8 {
        if self.waits_for_ack() || self.probes() > 0 {
            self.retransmits().max(read!((*self.icsk()).icsk_backoff))
        } else {
            0
        }
    }

    /// Whether segments are in flight.
    pub(crate) fn waits_for_ack(self) -> bool {
        read!((*self.tcp()).packets_out) != 0
    }

    /// How long ago the peer's TCP was heard last.
    ///
    /// Jiffies.
    pub(crate) fn silence(self) -> u32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_silence(self.as_ptr()) }
    }

    /// [`Self::silence`] in microseconds, at most a minute.
    pub(crate) fn silence_us(self) -> u32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_silence_us(self.as_ptr()) }
    }

    /// Whether the peer's TCP has answered nothing for longer than it usually takes, though it should.
    pub(crate) fn is_silent(self) -> bool {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_is_silent(self.as_ptr()) }
    }

    /// When [`Self::is_silent`] may become true at the earliest, in microseconds from now.
    pub(crate) fn silence_due_us(self) -> u32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_silence_due_us(self.as_ptr()) }
    }

    /// How long an answer of the peer's TCP may take without being remarkable, in microseconds, at
    /// most ten seconds.
    pub(crate) fn patience_us(self) -> u32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_patience_us(self.as_ptr()) }
    }

    /// The smoothed round-trip time in microseconds; 0 when none was measured.
    pub(crate) fn srtt_us(self) -> u32 {
        read!((*self.tcp()).srtt_us) >> 3
    }

    /// Subflow retransmission timeout, in microseconds.
    pub(crate) fn rto_us(self) -> u32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_tcp_rto_us(self.as_ptr()) }
    }

    /// Keeps TCP, which repeats something, from waiting long before it tries again.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn limit_backoff(self) {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_limit_backoff(self.as_ptr()) }
    }

    /// Keeps TCP, which is to end with a FIN, from repeating it for long.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn limit_orphan(self) {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_limit_orphan(self.as_ptr()) }
    }
}
