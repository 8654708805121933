// SPDX-License-Identifier: GPL-2.0

//! What has happened to a connection and is still to be seen to: bits of one word.
//!
//! Softirq leaves [`ON_RELEASE`] to `release_cb` while a process owns the connection socket, and
//! [`WORK`] to the worker at any time.

/// A Data ACK has passed data that can be freed.
pub(crate) const ACKED: u32 = 1;
/// The peer's window has grown.
pub(crate) const ROOM: u32 = 1 << 1;
/// The peer's DATA_FIN has been reached.
pub(crate) const PEER_FINISHED: u32 = 1 << 2;
/// A subflow is gone, or has been reset.
pub(crate) const BROKEN: u32 = 1 << 3;
/// The connection has to be reset.
pub(crate) const RESET: u32 = 1 << 4;
/// Data waits to be sent and there may be room now.
pub(crate) const PUSH: u32 = 1 << 5;
/// The data-level retransmission timer has run out.
pub(crate) const TIMEOUT: u32 = 1 << 6;
/// The application has closed; finish when all data is acknowledged.
pub(crate) const CLOSE: u32 = 1 << 7;
/// Reset the subflow with MP_FASTCLOSE.
pub(crate) const ABORT: u32 = 1 << 8;
/// A Data ACK is owed to the peer.
pub(crate) const ANSWER: u32 = 1 << 9;
/// There is something to read; never stored.
pub(crate) const READABLE: u32 = 1 << 10;
/// Data came before its turn; never stored.
pub(crate) const OUT_OF_ORDER: u32 = 1 << 11;
/// What the path manager knows has changed.
pub(crate) const PATHS: u32 = 1 << 12;
/// A subflow has ended, but the connection has not.
pub(crate) const LOST: u32 = 1 << 13;
/// A further subflow can carry data.
pub(crate) const JOINED: u32 = 1 << 15;
/// No application will ever hold the connection: close all subflows.
pub(crate) const GIVE_UP: u32 = 1 << 14;

/// The endpoints were all removed at once.
pub(crate) const FLUSHED: u32 = 1 << 16;
/// The local address of the first subflow is to be given up.
pub(crate) const INITIAL_REMOVED: u32 = 1 << 17;
/// What waited in a subflow's queue to be verified is not verified any more.
pub(crate) const HELD: u32 = 1 << 18;

/// What is done when a process lets go of the connection socket.
pub(crate) const ON_RELEASE: u32 = ACKED | ROOM | PEER_FINISHED | BROKEN | RESET;
/// What concerns paths: the path manager is asked what to do.
pub(crate) const PATH_EVENTS: u32 = PATHS | LOST | JOINED | FLUSHED | INITIAL_REMOVED;
/// What only the worker does, because it locks subflows.
pub(crate) const WORK: u32 = PATH_EVENTS | PUSH | TIMEOUT | CLOSE | ABORT | ANSWER | GIVE_UP | HELD;
