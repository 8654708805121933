// SPDX-License-Identifier: GPL-2.0

//! The tables through which the system calls reach a socket, and the switches between them.
//!
//! A socket of ours begins as TCP's own socket with the operations of [`crate::early`] in front. A
//! connection socket has the [`connected`] operations and protocol.
//!
//! C counterpart: net/mptcp/protocol.c (`mptcp_prot`, `mptcp_stream_ops`).

use crate::af_ops;
use crate::answer;
use crate::bindings;
use crate::canonical;
use crate::close;
use crate::connection::{
    self,
    Connection, //
};
use crate::early;
use crate::event;
use crate::in_use;
use crate::locks::{
    DataLock,
    Owned, //
};
use crate::pm_events;
use crate::push;
use crate::renew;
use crate::rx;
use crate::skb::Skb;
use crate::sock::Sock;
use crate::sock_diag;
use crate::sockopt;
use crate::subflow::{
    self,
    hold, //
};
use crate::subflows::Removed;
use crate::tx;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use kernel::error::to_result;
use kernel::ffi::{
    c_int,
    c_long, //
};
use kernel::prelude::*;

/// The protocol number that leads `socket()` to us; applications never see it.
pub(crate) const PROTOCOL: u16 = 261;
/// The protocol numbers that are ours. With the second one programs ask for MPTCP by name.
const PROTOCOLS: &[u16] = if canonical::IS_FREE {
    &[PROTOCOL, canonical::PROTOCOL]
} else {
    &[PROTOCOL]
};

/// The tables of one address family.
struct Family {
    /// TCP's protocol with our `init`: sockets are born through it.
    birth: bindings::proto,
    /// Operations of a socket whose kind is not known yet.
    early: bindings::proto_ops,
    /// The protocol of connection sockets.
    connection: bindings::proto,
    /// Operations of connection sockets.
    connected: bindings::proto_ops,
    /// The entries in the kernel's table of protocols.
    switches: [bindings::inet_protosw; PROTOCOLS.len()],
}

/// The tables of IPv4 and IPv6, made by module init.
struct Tables(UnsafeCell<[Family; 2]>);

// SAFETY: Written by module init before any socket of ours exists, only read afterwards.
unsafe impl Sync for Tables {}

/// See [`Tables`].
static TABLES: Tables = Tables(UnsafeCell::new(
    // SAFETY: Zeroes are NULL functions: valid and unused until `Registration::new` fills them.
    unsafe { core::mem::zeroed() },
));

/// The address families that TCP has.
pub(crate) const FAMILIES: [u32; 2] = [bindings::AF_INET, bindings::AF_INET6];

/// The tables of an address family.
fn family(family: u32) -> *mut Family {
    // CAST: An array of two as its elements.
    let first = TABLES.0.get().cast::<Family>();
    if family == bindings::AF_INET6 {
        first.wrapping_add(1)
    } else {
        first
    }
}

/// An entry of an address family in the kernel's table of protocols, by its place in [`PROTOCOLS`].
fn switch(number: u32, place: usize) -> *mut bindings::inet_protosw {
    // SAFETY: Only the address is taken. CAST: An array as its elements.
    let first: *mut bindings::inet_protosw =
        unsafe { (&raw mut (*family(number)).switches).cast() };
    first.wrapping_add(place)
}

/// Our operations of sockets whose kind is not known yet.
pub(crate) fn early_ops(number: u32) -> *mut bindings::proto_ops {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).early }
}

/// Whether `ops` are those of either address family.
#[inline]
pub(crate) fn are_early_ops(ops: *const bindings::proto_ops) -> bool {
    FAMILIES
        .iter()
        .any(|number| core::ptr::eq(ops, early_ops(*number)))
}

/// Our operations of connection sockets.
pub(crate) fn connected_ops(number: u32) -> *const bindings::proto_ops {
    // SAFETY: Only the address is taken.
    unsafe { &raw const (*family(number)).connected }
}

/// The protocol that sockets of ours are born through, which keeps the module.
pub(crate) fn birth_prot(number: u32) -> *mut bindings::proto {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).birth }
}

/// The protocol of connection sockets.
pub(crate) fn connection_prot(number: u32) -> *mut bindings::proto {
    // SAFETY: Only the address is taken.
    unsafe { &raw mut (*family(number)).connection }
}

/// TCP's operations of an address family.
pub(crate) fn stream_ops(family: u32) -> *const bindings::proto_ops {
    if family == bindings::AF_INET6 {
        &raw const bindings::inet6_stream_ops
    } else {
        &raw const bindings::inet_stream_ops
    }
}

/// TCP's protocol of an address family.
pub(crate) fn tcp_prot(family: u32) -> *mut bindings::proto {
    if family == bindings::AF_INET6 {
        &raw mut bindings::tcpv6_prot
    } else {
        &raw mut bindings::tcp_prot
    }
}

/// The socket of a `struct socket`.
///
/// # Safety
///
/// `sock` is in a system call, so its file holds it.
#[inline]
pub(crate) unsafe fn sock_of(sock: *mut bindings::socket) -> Option<Sock> {
    // SAFETY: By the function's contract; the socket lives as long as the file.
    unsafe { Sock::from_raw(core::ptr::read_volatile(&raw const (*sock).sk)) }
}

/// The protocol of connection sockets: called by the socket layer with the connection socket.
mod connected {
    use super::*;

    /// The connection of the socket that the socket layer passes.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    unsafe fn connection<'a>(sk: *mut bindings::sock) -> Option<&'a Connection> {
        // SAFETY: Only connection sockets have this protocol.
        unsafe { Sock::from_raw(sk).map(|msk| connection::of(msk)) }
    }

    /// `send()` and its relatives.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn sendmsg(
        sk: *mut bindings::sock,
        message: *mut bindings::msghdr,
        len: usize,
    ) -> c_int {
        // SAFETY: As for `connection`.
        let Some(connection) = (unsafe { connection(sk) }) else {
            return 0;
        };
        let mut owned = Owned::take(connection);
        match tx::send(&mut owned, message, len) {
            // CAST: The socket layer limits a message to INT_MAX bytes.
            Ok(sent) => sent as c_int,
            Err(error) => error.to_errno(),
        }
    }

    /// `recv()` and its relatives: TCP's own, with the answer from us.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn recvmsg(
        sk: *mut bindings::sock,
        message: *mut bindings::msghdr,
        len: usize,
        flags: c_int,
    ) -> c_int {
        // SAFETY: As for `connection`; TCP's own function on a TCP socket.
        unsafe {
            let Some(connection) = connection(sk) else {
                return 0;
            };
            let Some(function) = (*tcp_prot(connection.msk().family())).recvmsg else {
                return 0;
            };
            // CAST: Flags are bits.
            let waits = flags as u32 & bindings::MSG_WAITALL != 0;
            if waits {
                connection.set_read_in_loop(true);
            }
            let result = function(sk, message, len, flags);
            if waits {
                connection.set_read_in_loop(false);
            }
            if result > 0 {
                answer::after_read(connection);
            }
            result
        }
    }

    /// `splice()` from the socket: TCP's own, with the answer from us.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn splice_read(
        sock: *mut bindings::socket,
        position: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: u32,
    ) -> isize {
        // SAFETY: In a system call on a connection socket; TCP's own function on a TCP socket.
        unsafe {
            let Some(sk) = sock_of(sock) else {
                return 0;
            };
            let Some(function) = (*stream_ops(sk.family())).splice_read else {
                return 0;
            };
            if !is_connection(sk) {
                // Another thread has disconnected it just now.
                return function(sock, position, pipe, len, flags);
            }
            let connection = connection::of(sk);
            connection.set_read_in_loop(true);
            let result = function(sock, position, pipe, len, flags);
            connection.set_read_in_loop(false);
            if result > 0 {
                answer::after_read(connection);
            }
            result
        }
    }

    /// `splice()` to the socket has nothing more to come: what waits for more goes out.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn splice_eof(sock: *mut bindings::socket) {
        // SAFETY: In a system call on a connection socket.
        if let Some(connection) = unsafe { sock_of(sock).map(|msk| connection::of(msk)) } {
            push::push(&mut Owned::take(connection), 0);
        }
    }

    /// `close()`.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn close(sk: *mut bindings::sock, timeout: c_long) {
        // SAFETY: As for `connection`.
        let Some(connection) = (unsafe { connection(sk) }) else {
            return;
        };
        let msk = connection.msk();
        msk.hold();
        let removed = close::close(&mut Owned::take(connection), timeout);
        removed.close();
        renew::let_go(connection.take_previous());
        msk.put();
    }

    /// `shutdown()`; the socket layer owns the socket.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn shutdown(sk: *mut bindings::sock, how: c_int) {
        // SAFETY: As for `connection`; `inet_shutdown` owns the socket.
        unsafe {
            if let Some(connection) = connection(sk) {
                let sends = bindings::TCPF_ESTABLISHED | bindings::TCPF_CLOSE_WAIT;
                // CAST: Two bits.
                if how as u32 & bindings::SEND_SHUTDOWN != 0 && connection.msk().in_states(sends) {
                    close::shutdown_send(&mut Owned::assume(connection));
                }
            }
        }
    }

    /// `connect(AF_UNSPEC)`, or `connect()` finds that the connection has failed: it ends at once.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn disconnect(sk: *mut bindings::sock, _flags: c_int) -> c_int {
        // SAFETY: As for `connection`; `__inet_stream_connect` owns the socket.
        unsafe {
            if let Some(connection) = connection(sk) {
                let mut removed = Removed::none();
                close::disconnect(&mut Owned::assume(connection), &mut removed);
                connection.msk().release();
                removed.close();
                connection.msk().lock(false);
            }
        }
        0
    }

    /// A buffer that came while a process owned the socket.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn backlog_rcv(
        sk: *mut bindings::sock,
        skb: *mut bindings::sk_buff,
    ) -> c_int {
        // SAFETY: `release_sock` owns the socket and hands the buffer over.
        unsafe {
            if let (Some(msk), Some(skb)) = (Sock::from_raw(sk), Skb::from_raw(skb)) {
                rx::append(msk, skb);
                rx::wake_reader(msk);
            }
        }
        0
    }

    /// Ownership is about to end: what softirq has left is done now.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn release_cb(sk: *mut bindings::sock) {
        // SAFETY: As for `connection`; `release_sock` holds the data lock and the ownership.
        unsafe {
            if let Some(connection) = connection(sk) {
                if connection.has_events(event::ON_RELEASE) {
                    let mut data = core::mem::ManuallyDrop::new(DataLock::assume(connection));
                    close::on_release(&mut data);
                }
            }
        }
    }

    /// Whether there is room to write beyond the send buffer's own rule.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn stream_memory_free(
        sk: *const bindings::sock,
        wake: c_int,
    ) -> bool {
        // SAFETY: As for `connection`.
        unsafe { connection(sk.cast_mut()) }.is_none_or(|connection| connection.has_room(wake))
    }

    /// The socket is not in TCP's hash tables: nothing to take out.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn unhash(_sk: *mut bindings::sock) {}

    /// `SO_KEEPALIVE`: TCP probes on the subflow, which the option is replayed to.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn keepalive(_sk: *mut bindings::sock, _value: c_int) {}

    /// The socket ends; no process and no timer uses it any more.
    ///
    /// # Safety
    ///
    /// Called by the socket layer with a connection socket that it keeps alive.
    pub(super) unsafe extern "C" fn destroy(sk: *mut bindings::sock) {
        // SAFETY: As for `connection`.
        unsafe {
            if let Some(connection) = connection(sk) {
                connection.free_queued();
                bindings::mptcp_shim_stop_timers(sk);
                bindings::mptcp_shim_put_ca((*connection.msk().icsk()).icsk_ca_ops);
                bindings::sk_stream_kill_queues(sk);
                bindings::mptcp_shim_sk_sockets_allocated_dec(sk);
            }
        }
    }
}

/// TCP's reader wants to tell the peer of a larger window: the subflow does.
///
/// # Safety
///
/// Called by TCP as `icsk_af_ops->queue_xmit` of a connection socket, which is owned.
pub(crate) unsafe extern "C" fn connected_queue_xmit(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
    _flow: *mut bindings::flowi,
) -> c_int {
    // SAFETY: TCP passes the connection socket, and a packet of its own.
    unsafe {
        if let Some(skb) = Skb::from_raw(skb) {
            skb.free();
        }
        if let Some(msk) = Sock::from_raw(sk) {
            answer::on_read(connection::of(msk), msk);
        }
    }
    0
}

/// Closes a subflow that a connection has let go of, as an application would close a TCP socket.
///
/// # Context
///
/// Process; `ssk` is not owned.
pub(crate) fn close_subflow(ssk: Sock) {
    ssk.lock(false);
    let queued =
        subflow::of(ssk).is_some_and(|subflow| subflow.change_hold(hold::QUEUE, hold::DOOMED));
    ssk.release();
    if queued {
        // Whoever takes it off the listener's queue closes it.
        ssk.put();
        return;
    }
    // SAFETY: The caller took the subflow from its connection, and with it the reference that
    // `tcp_close` gives back.
    unsafe { bindings::tcp_close(ssk.as_ptr(), 0) };
}

/// Sends the FIN of a subflow, which nothing more goes over.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn shutdown_subflow(ssk: Sock) {
    // SAFETY: A live, owned TCP socket; TCP's own function through its table.
    unsafe {
        if let Some(shutdown) = (*tcp_prot(ssk.family())).shutdown {
            shutdown(ssk.as_ptr(), bindings::SEND_SHUTDOWN as c_int);
        }
    }
}

/// Clones the TCP socket of a first subflow.
///
/// # Errors
///
/// `ENOMEM`; `ENOENT` when the congestion control module is being unloaded.
pub(crate) fn clone_for_connection(ssk: Sock) -> Result<Sock> {
    // SAFETY: A live, owned socket. The clone is given a life of its own before anybody sees it.
    unsafe {
        let ca = (*ssk.icsk()).icsk_ca_ops;
        if !bindings::mptcp_shim_try_get_ca(ca) {
            return Err(ENOENT);
        }
        let raw = bindings::sk_clone(ssk.as_ptr(), bindings::GFP_ATOMIC, false);
        let Some(msk) = Sock::from_raw(raw) else {
            bindings::mptcp_shim_put_ca(ca);
            return Err(ENOMEM);
        };
        bindings::mptcp_shim_sk_clone_reset(raw);
        bindings::mptcp_shim_sk_rank_above(raw);
        let tables = family(ssk.family());
        bindings::mptcp_shim_module_get();
        // `sk_clone` makes sockets for new peers, to which the priority does not pass on.
        (*raw).sk_priority = (*ssk.as_ptr()).sk_priority;
        (*raw).__sk_common.skc_prot = &raw mut (*tables).connection;
        (*raw).sk_prot_creator = &raw mut (*tables).connection;
        (*raw).sk_backlog_rcv = Some(connected::backlog_rcv);
        // `sk_clone` counts two references, one for a hash table that this socket is not in.
        msk.put();
        Ok(msk)
    }
}

/// Frees a clone that did not become a connection.
pub(crate) fn free_clone(msk: Sock) {
    // SAFETY: The clone is nobody else's; TCP's destructor is still in place.
    unsafe {
        bindings::mptcp_shim_put_ca((*msk.icsk()).icsk_ca_ops);
        bindings::mptcp_shim_sk_sockets_allocated_dec(msk.as_ptr());
        msk.set_state(bindings::TCP_CLOSE);
        msk.put();
    }
}

/// Makes a clone the socket of a connection.
///
/// # Safety
///
/// The clone is nobody else's; `connection` is what `destruct` frees.
pub(crate) unsafe fn become_connection(
    msk: Sock,
    connection: *mut c_void,
    destruct: unsafe extern "C" fn(*mut bindings::sock),
    retransmit_timer: unsafe extern "C" fn(*mut bindings::timer_list),
    path_timer: unsafe extern "C" fn(*mut bindings::timer_list),
) {
    // SAFETY: By the function's contract.
    unsafe {
        (*msk.as_ptr()).sk_destruct = Some(destruct);
        (*msk.icsk()).icsk_ulp_data = connection;
        msk.set_af_ops(af_ops::of_connection(msk.af_ops()));
        bindings::mptcp_shim_setup_timers(msk.as_ptr(), Some(retransmit_timer), Some(path_timer));
        bindings::mptcp_shim_keep_a_page(msk.as_ptr());
        msk.set_state(bindings::TCP_ESTABLISHED);
    }
}

/// Ends a connection socket: the reference of its application, or of the lack of one, goes.
pub(crate) fn destroy(msk: Sock) {
    // SAFETY: Only connection sockets come here.
    if end(unsafe { connection::of(msk) }) {
        let_go(msk);
    }
}

/// Ends a connection: nobody finds it any more; `true` for the one caller who does.
fn end(connection: &Connection) -> bool {
    if !connection.end_hold() {
        return false;
    }
    let msk = connection.msk();
    pm_events::on_closed(connection);
    connection.set_state(bindings::TCP_CLOSE);
    connection.forget_token();
    in_use::add(msk.net(), msk.family(), -1);
    true
}

/// Ends a connection whose socket is to stay until [`let_go`]; what it needs no more is freed now.
///
/// # Locking
///
/// `msk` is owned.
pub(crate) fn retire(msk: Sock) {
    // SAFETY: Only connection sockets come here.
    let connection = unsafe { connection::of(msk) };
    if end(connection) {
        connection.free_queued();
        // SAFETY: A live, owned socket with timers of ours.
        unsafe { bindings::mptcp_shim_stop_timers(msk.as_ptr()) };
    }
}

/// Gives back the initial reference of a connection socket that has ended.
pub(crate) fn let_go(msk: Sock) {
    // SAFETY: A live socket with our protocol; whoever ended the connection has the reference.
    unsafe { bindings::sk_common_release(msk.as_ptr()) };
}

/// Whether `sk` is a connection socket.
pub(crate) fn is_connection(sk: Sock) -> bool {
    // SAFETY: A plain read of a live socket.
    let prot = unsafe { core::ptr::read_volatile(&raw const (*sk.as_ptr()).__sk_common.skc_prot) };
    FAMILIES
        .iter()
        .any(|number| core::ptr::eq(prot, connection_prot(*number)))
}

/// Lets a subflow, which keeps the module by its ULP, keep it no longer by its birth: a time-wait socket
/// has its socket's creator and would keep the module for a minute.
///
/// # Locking
///
/// `ssk` is owned.
pub(crate) fn disown(ssk: Sock) {
    for number in FAMILIES {
        // SAFETY: A live, owned socket. Both protocols have the same slab cache; the reference is the
        // one that the socket layer took for the creator.
        unsafe {
            if (*ssk.as_ptr()).sk_prot_creator == birth_prot(number) {
                (*ssk.as_ptr()).sk_prot_creator = tcp_prot(number);
                bindings::mptcp_shim_module_put();
            }
        }
    }
}

/// A socket is born: from here on it is TCP's own, with our operations in front.
///
/// # Safety
///
/// Called by the kernel as `sk_prot->init` of a new socket.
unsafe extern "C" fn birth(sk: *mut bindings::sock) -> c_int {
    // SAFETY: By the function's contract; nobody else knows the socket yet. `sk_prot_creator` stays
    // ours, so that the socket keeps the module until it is a subflow, or its memory is freed.
    unsafe {
        let tcp = tcp_prot(u32::from((*sk).__sk_common.skc_family));
        let asked = (*sk).sk_protocol;
        (*sk).__sk_common.skc_prot = tcp;
        // CAST: A small number.
        (*sk).sk_protocol = bindings::IPPROTO_TCP as u16;
        let result = (*tcp).init.map_or(0, |init| init(sk));
        if result != 0 || asked != canonical::PROTOCOL {
            return result;
        }
        // The kernel releases a socket that is refused, which TCP has to have made before.
        let allowed = Sock::from_raw(sk).map_or(Ok(()), canonical::on_birth);
        allowed.map_or_else(Error::to_errno, |()| 0)
    }
}

/// The protocol tables, while it lives.
pub(crate) struct Registration {
    /// Their lines in `/proc/net/protocols`.
    _lines: [in_use::Line; 2],
}

impl Registration {
    /// Makes the tables and registers the protocol numbers for both address families.
    ///
    /// # Errors
    ///
    /// Those of `inet6_register_protosw`; `ENOBUFS`: the kernel has no place for another protocol.
    pub(crate) fn new() -> Result<Self> {
        for number in FAMILIES {
            // SAFETY: Module init is the only user of the tables so far; TCP's tables are static.
            unsafe { fill(family(number), number) };
        }
        // SAFETY: The tables are complete, and there are no sockets yet.
        let lines = unsafe {
            [
                in_use::Line::new(bindings::AF_INET)?,
                in_use::Line::new(bindings::AF_INET6)?,
            ]
        };
        for place in 0..PROTOCOLS.len() {
            // SAFETY: The entries are complete.
            unsafe {
                bindings::inet_register_protosw(switch(bindings::AF_INET, place));
                let result = bindings::inet6_register_protosw(switch(bindings::AF_INET6, place));
                if let Err(error) = to_result(result) {
                    bindings::inet_unregister_protosw(switch(bindings::AF_INET, place));
                    Self::remove(place);
                    return Err(error);
                }
            }
        }
        Ok(Self { _lines: lines })
    }

    /// Removes the first `count` protocol numbers.
    fn remove(count: usize) {
        for place in 0..count {
            // SAFETY: Registered before.
            unsafe {
                bindings::inet_unregister_protosw(switch(bindings::AF_INET, place));
                bindings::inet6_unregister_protosw(switch(bindings::AF_INET6, place));
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        Self::remove(PROTOCOLS.len());
        // No socket is left, or the module could not unload. Functions of the last ones may still be
        // returning on other CPUs.
        // SAFETY: In process context.
        unsafe { bindings::synchronize_rcu() };
    }
}

/// Makes the tables of an address family from TCP's.
///
/// # Safety
///
/// `tables` is not in use yet.
unsafe fn fill(tables: *mut Family, number: u32) {
    // SAFETY: By the function's contract; TCP's tables are static and complete.
    unsafe {
        let module = bindings::mptcp_shim_this_module();
        let birth_prot = &raw mut (*tables).birth;
        core::ptr::copy_nonoverlapping(tcp_prot(number), birth_prot, 1);
        (*birth_prot).owner = module;
        (*birth_prot).init = Some(birth);

        let prot = &raw mut (*tables).connection;
        core::ptr::copy_nonoverlapping(tcp_prot(number), prot, 1);
        (*prot).owner = module;
        (*prot).close = Some(connected::close);
        (*prot).disconnect = Some(connected::disconnect);
        (*prot).shutdown = Some(connected::shutdown);
        (*prot).sendmsg = Some(connected::sendmsg);
        (*prot).recvmsg = Some(connected::recvmsg);
        (*prot).splice_eof = Some(connected::splice_eof);
        (*prot).backlog_rcv = Some(connected::backlog_rcv);
        (*prot).release_cb = Some(connected::release_cb);
        (*prot).stream_memory_free = Some(connected::stream_memory_free);
        (*prot).unhash = Some(connected::unhash);
        (*prot).keepalive = Some(connected::keepalive);
        (*prot).destroy = Some(connected::destroy);
        (*prot).setsockopt = Some(sockopt::setsockopt);
        (*prot).getsockopt = Some(sockopt::getsockopt);
        (*prot).psock_update_sk_prot = None;
        (*prot).diag_destroy = Some(sock_diag::destroy);

        let ops = &raw mut (*tables).early;
        core::ptr::copy_nonoverlapping(stream_ops(number), ops, 1);
        (*ops).owner = module;
        (*ops).release = Some(early::release);
        (*ops).connect = Some(early::connect);
        (*ops).listen = Some(early::listen);
        (*ops).accept = Some(early::accept);
        (*ops).poll = Some(early::poll);
        (*ops).getname = Some(early::getname);
        (*ops).ioctl = Some(early::ioctl);
        (*ops).shutdown = Some(early::shutdown);
        (*ops).setsockopt = Some(early::setsockopt);
        (*ops).getsockopt = Some(early::getsockopt);
        (*ops).sendmsg = Some(early::sendmsg);
        (*ops).recvmsg = Some(early::recvmsg);
        (*ops).splice_read = Some(early::splice_read);
        (*ops).splice_eof = Some(early::splice_eof);
        (*ops).sendmsg_locked = None;

        let ops = &raw mut (*tables).connected;
        core::ptr::copy_nonoverlapping(stream_ops(number), ops, 1);
        (*ops).owner = module;
        (*ops).sendmsg_locked = None;
        (*ops).read_skb = None;
        (*ops).splice_read = Some(connected::splice_read);
        (*ops).connect = Some(renew::connect);
        (*ops).listen = Some(renew::listen);

        for (place, protocol) in PROTOCOLS.iter().enumerate() {
            let switch = switch(number, place);
            (*switch).type_ = bindings::sock_type_SOCK_STREAM as u16;
            (*switch).protocol = *protocol;
            (*switch).prot = birth_prot;
            (*switch).ops = &raw const (*tables).early;
            (*switch).flags = bindings::INET_PROTOSW_ICSK as u8;
        }
    }
}
