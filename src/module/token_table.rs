// SPDX-License-Identifier: GPL-2.0

//! Connections by token: no two of a namespace may have the same.
//!
//! The table is split into shards, each with its own lock, so that connections opened on several
//! CPUs seldom meet. Chains link the connections themselves: nothing is allocated.
//!
//! RFC 8684, Section 3.1. C counterpart: net/mptcp/token.c.

use crate::bindings;
use crate::connection::Connection;
use core::cell::UnsafeCell;
use core::ops::Deref;
use core::ptr::null_mut;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use mptcp_proto::ids::Token;

/// Shards, a power of two.
const SHARDS: usize = 64;
/// Chains of a shard, a power of two: 16,384 chains in all.
const CHAINS: usize = 256;

/// A part of the table.
struct Shard {
    /// Protects the chains; taken with softirqs disabled.
    lock: UnsafeCell<bindings::spinlock_t>,
    /// Heads of the chains.
    chains: UnsafeCell<[*mut Connection; CHAINS]>,
}

/// The table.
struct Table([Shard; SHARDS]);

// SAFETY: The locks are prepared by module init; the chains are only touched under them.
unsafe impl Sync for Table {}

/// See [`Table`].
static TABLE: Table = Table(
    [const {
        Shard {
            // SAFETY: Zeroes until `init` prepares the lock.
            lock: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            chains: UnsafeCell::new([null_mut(); CHAINS]),
        }
    }; SHARDS],
);

/// Prepares the locks.
///
/// # Safety
///
/// Called once, by module init, before any connection exists.
pub(crate) unsafe fn init() {
    for shard in &TABLE.0 {
        // SAFETY: By the contract nobody uses the lock yet.
        unsafe { bindings::mptcp_shim_spin_lock_init(shard.lock.get()) };
    }
}

/// Runs `work` on the chains of `shard`, under its lock.
fn with_chains<R>(shard: &Shard, work: impl FnOnce(&mut [*mut Connection; CHAINS]) -> R) -> R {
    // SAFETY: `init` has prepared the lock.
    unsafe { bindings::mptcp_shim_spin_lock_bh(shard.lock.get()) };
    // SAFETY: The lock is held until the chains are no longer used.
    let result = work(unsafe { &mut *shard.chains.get() });
    // SAFETY: Taken above.
    unsafe { bindings::mptcp_shim_spin_unlock_bh(shard.lock.get()) };
    result
}

/// Runs `work` on the head of the chain of `token`, under the shard's lock.
fn with_chain<R>(token: Token, work: impl FnOnce(&mut *mut Connection) -> R) -> R {
    // CAST: On all supported machines `usize` has at least 32 bits.
    let token = token.get() as usize;
    with_chains(&TABLE.0[token % SHARDS], |chains| {
        work(&mut chains[token / SHARDS % CHAINS])
    })
}

/// Adds `connection`.
///
/// # Errors
///
/// `EEXIST` when its namespace has a connection with the same token.
pub(crate) fn insert(connection: &Connection) -> Result {
    with_chain(connection.token(), |head| {
        let mut next = *head;
        // SAFETY: Connections in a chain are alive: they leave it before they are freed.
        while let Some(other) = unsafe { next.as_ref() } {
            //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
            //# it MUST be unique for the sending host across all its
            //# current MPTCP connections.
            if other.token() == connection.token() && other.msk().net() == connection.msk().net() {
                return Err(EEXIST);
            }
            next = other.next_by_token.load(Ordering::Relaxed);
        }
        connection.next_by_token.store(*head, Ordering::Relaxed);
        *head = core::ptr::from_ref(connection).cast_mut();
        Ok(())
    })
}

/// The connection of `net` with a token. The caller gets a reference to its socket.
pub(crate) fn find<'a>(net: *mut bindings::net, token: Token) -> Option<&'a Connection> {
    with_chain(token, |head| {
        let mut next = *head;
        // SAFETY: Connections in a chain are alive: they leave it before they are freed.
        while let Some(connection) = unsafe { next.as_ref() } {
            if connection.token() == token && connection.msk().net() == net {
                connection.msk().hold();
                return Some(connection);
            }
            next = connection.next_by_token.load(Ordering::Relaxed);
        }
        None
    })
}

/// Where in the table a walk has come to; zeroes are its beginning.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Place {
    /// The chain, counted through all shards.
    chain: usize,
    /// How many of the chain have been passed.
    passed: usize,
}

/// The next connection of `net` behind `place`, which moves on. The caller gets a reference to its socket.
///
/// One that comes or goes between two calls may be missed, or another one told twice.
pub(crate) fn next<'a>(net: *mut bindings::net, place: &mut Place) -> Option<&'a Connection> {
    for (number, shard) in TABLE.0.iter().enumerate().skip(place.chain / CHAINS) {
        let first = number * CHAINS;
        let found = with_chains(shard, |chains| {
            let from = place.chain.saturating_sub(first);
            for (chain, head) in chains.iter().enumerate().skip(from) {
                if first + chain != place.chain {
                    (place.chain, place.passed) = (first + chain, 0);
                }
                let (mut next, mut count) = (*head, 0);
                // SAFETY: Connections in a chain are alive: they leave it before they are freed.
                while let Some(connection) = unsafe { next.as_ref() } {
                    count += 1;
                    if count > place.passed && connection.msk().net() == net {
                        place.passed = count;
                        connection.msk().hold();
                        return Some(connection);
                    }
                    next = connection.next_by_token.load(Ordering::Relaxed);
                }
            }
            (place.chain, place.passed) = (first + CHAINS, 0);
            None
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// A connection of the table, with a reference to its socket that is given back at the end.
pub(crate) struct Held<'a>(&'a Connection);

impl Held<'_> {
    /// The connection of `net` with a token.
    pub(crate) fn find(net: *mut bindings::net, token: Token) -> Option<Self> {
        find(net, token).map(Self)
    }

    /// As [`next`].
    pub(crate) fn next(net: *mut bindings::net, place: &mut Place) -> Option<Self> {
        next(net, place).map(Self)
    }
}

impl Deref for Held<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.msk().put();
    }
}

/// Removes `connection`, if it is there.
pub(crate) fn remove(connection: &Connection) {
    with_chain(connection.token(), |head| {
        let after = connection.next_by_token.load(Ordering::Relaxed);
        let mut next = *head;
        if core::ptr::eq(next, connection) {
            *head = after;
            return;
        }
        // SAFETY: Connections in a chain are alive: they leave it before they are freed.
        while let Some(other) = unsafe { next.as_ref() } {
            next = other.next_by_token.load(Ordering::Relaxed);
            if core::ptr::eq(next, connection) {
                other.next_by_token.store(after, Ordering::Relaxed);
                return;
            }
        }
    });
}

/// Calls `each` with every connection of `net`.
///
/// # Locking
///
/// The lock of the connection's chain is held during the call: the connection has a reference as
/// long as it is in a chain, so `each` may take another one. One pass over all chains, shard by
/// shard.
pub(crate) fn for_each_in(net: *mut bindings::net, mut each: impl FnMut(&Connection)) {
    for shard in &TABLE.0 {
        with_chains(shard, |chains| {
            for head in chains {
                let mut next = *head;
                // SAFETY: Connections in a chain are alive: they leave it before they are freed.
                while let Some(connection) = unsafe { next.as_ref() } {
                    if connection.msk().net() == net {
                        each(connection);
                    }
                    next = connection.next_by_token.load(Ordering::Relaxed);
                }
            }
        });
    }
}
