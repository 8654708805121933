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
use core::ptr::null_mut;
use core::sync::atomic::Ordering;
use kernel::prelude::*;

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

/// Runs `work` on the head of the chain of `connection`, under the shard's lock.
fn with_chain<R>(connection: &Connection, work: impl FnOnce(&mut *mut Connection) -> R) -> R {
    // CAST: On all supported machines `usize` has at least 32 bits.
    let token = connection.token().get() as usize;
    let shard = &TABLE.0[token % SHARDS];
    // SAFETY: `init` has prepared the lock.
    unsafe { bindings::mptcp_shim_spin_lock_bh(shard.lock.get()) };
    // SAFETY: The lock is held until the chain is no longer used.
    let result = work(unsafe { &mut (*shard.chains.get())[token / SHARDS % CHAINS] });
    // SAFETY: Taken above.
    unsafe { bindings::mptcp_shim_spin_unlock_bh(shard.lock.get()) };
    result
}

/// Adds `connection`.
///
/// # Errors
///
/// `EEXIST` when its namespace has a connection with the same token.
pub(crate) fn insert(connection: &Connection) -> Result {
    with_chain(connection, |head| {
        let mut next = *head;
        // SAFETY: Connections in a chain are alive: they leave it before they are freed.
        while let Some(other) = unsafe { next.as_ref() } {
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

/// Removes `connection`, if it is there.
pub(crate) fn remove(connection: &Connection) {
    with_chain(connection, |head| {
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
