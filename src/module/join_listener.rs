// SPDX-License-Identifier: GPL-2.0

//! The listener of a namespace through which subflows join: TCP makes their sockets, as for any
//! server, and no application's listener has anything to do with it.
//!
//! It is there while the namespace has subflows. No packet finds it by itself; SYNs with a token of
//! ours are steered to it, whichever address and port they were sent to. What it has accepted already
//! belongs to a connection, so its queue is only emptied.
//!
//! A SYN-ACK has the mark of its listener (SO_MARK). Connections that have a mark share a second listener,
//! which has theirs while it answers for them, one at a time.

use crate::af_ops;
use crate::bindings;
use crate::life;
use crate::net;
use crate::proto_ops;
use crate::sock::Sock;
use crate::subflow::{
    self,
    hold, //
};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr,
    Ordering, //
};

/// The listeners of one namespace, for IPv4 and IPv6, without and with a mark; NULL while there is none.
pub(crate) struct Listeners([AtomicPtr<bindings::socket>; 4]);

/// The place of a family's listener.
fn index(family: u32, is_marked: bool) -> usize {
    usize::from(family == bindings::AF_INET6) | usize::from(is_marked) << 1
}

/// The listener of `net` for a family, and for connections with a mark or without.
///
/// # Context
///
/// Softirq, inside an RCU read-side section, which the end of the namespace waits for.
pub(crate) fn of(net: *const bindings::net, family: u32, is_marked: bool) -> Option<Sock> {
    let socket = net::listeners(net)
        .0
        .get(index(family, is_marked))?
        .load(Ordering::Acquire);
    if socket.is_null() {
        return None;
    }
    // SAFETY: The socket lives until the namespace ends, which no packet outlives.
    unsafe { Sock::from_raw((*socket).sk) }
}

/// Whether `sk` is a listener of ours.
pub(crate) fn is_ours(sk: Sock) -> bool {
    let is = |is_marked| of(sk.net(), sk.family(), is_marked) == Some(sk);
    is(false) || is(true)
}

/// Lets `listener` answer with a mark, if it is one for connections that have one.
///
/// # Locking
///
/// Takes the spinlock of a listener for connections with a mark, which TCP does not take to answer.
pub(crate) fn with_mark<R>(listener: Sock, mark: u32, answer: impl FnOnce() -> R) -> R {
    if of(listener.net(), listener.family(), true) != Some(listener) {
        return answer();
    }
    listener.data_lock();
    listener.set_mark(mark);
    let result = answer();
    listener.data_unlock();
    result
}

impl Listeners {
    /// Makes those that are missing. A kernel without IPv6 has none for it.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    pub(crate) fn make(&self, net: *mut bindings::net) {
        let families = proto_ops::FAMILIES;
        let all = [false, true].map(|is_marked| families.map(|family| (family, is_marked)));
        for (family, is_marked) in all.into_iter().flatten() {
            let Some(place) = self.0.get(index(family, is_marked)) else {
                continue;
            };
            if !place.load(Ordering::Relaxed).is_null() {
                continue;
            }
            let mut socket = null_mut();
            // SAFETY: `net` is a live namespace.
            let result = unsafe {
                // CAST: Address families are small.
                bindings::mptcp_shim_make_listener(net, family as i32, Some(ready), &mut socket)
            };
            if result != 0 {
                continue;
            }
            // SAFETY: Just made.
            if let Some(listener) = unsafe { Sock::from_raw((*socket).sk) } {
                af_ops::hook(listener);
            }
            place.store(socket, Ordering::Release);
        }
    }

    /// Empties the queues: what has joined is handed to its connection.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    pub(crate) fn empty(&self) {
        for place in &self.0 {
            let socket = place.load(Ordering::Acquire);
            if socket.is_null() {
                continue;
            }
            let next = || {
                // SAFETY: The socket lives until the namespace ends, which waits for this work.
                unsafe { Sock::from_raw(bindings::mptcp_shim_take_child(socket)) }
            };
            while let Some(child) = next() {
                hand_over(child);
            }
        }
    }

    /// Closes the listeners.
    ///
    /// # Context
    ///
    /// Process; may sleep. No packet of the namespace is under way, and no work.
    pub(crate) fn close(&self) {
        for place in &self.0 {
            let socket = place.swap(null_mut(), Ordering::AcqRel);
            if !socket.is_null() {
                // SAFETY: Made by `make`; nobody finds it any more.
                unsafe { bindings::mptcp_shim_release_socket(socket) };
            }
        }
    }
}

/// Takes a socket off the queue, and its hold with it.
fn hand_over(child: Sock) {
    child.lock(false);
    let kept = subflow::of(child)
        .is_some_and(|subflow| subflow.change_hold(hold::QUEUE, hold::CONNECTION));
    if kept {
        // SAFETY: The child is owned, and comes here once. Its connection keeps the namespace.
        unsafe { bindings::mptcp_shim_count_in_net(child.as_ptr()) };
    } else {
        // It did not join, or its connection has let go of it.
        child.reset_on_close();
    }
    child.release();
    if kept {
        // The slot has the queue's hold in place of its own.
        child.put();
    } else {
        life::close_subflow(child);
    }
}

/// Something has happened on a listener, or on a child that did not join.
///
/// # Safety
///
/// Called by TCP with a live socket.
unsafe extern "C" fn ready(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract.
    if let Some(sk) = unsafe { Sock::from_raw(sk) } {
        if sk.state() == bindings::TCP_LISTEN {
            net::on_joined(sk.net());
        }
    }
}
