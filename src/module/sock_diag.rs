// SPDX-License-Identifier: GPL-2.0

//! Socket diagnostics of connections and listeners: `ss -M` lists them, `ss -Mi` tells what MPTCP_INFO
//! tells.
//!
//! The number of the protocol is the one that the kernel's own MPTCP has, or ours next to it. What TCP's
//! diagnostics need is in a module of the kernel, which is loaded with ours; without it, `ss -M` shows
//! nothing and all else works.
//!
//! C counterpart: net/mptcp/mptcp_diag.c.

use crate::af_ops;
use crate::attach;
use crate::bindings;
use crate::canonical;
use crate::close;
use crate::connection;
use crate::info;
use crate::join_listener;
use crate::sock::Sock;
use crate::token_table::{
    self,
    Place, //
};
use core::ffi::c_void;
use core::ptr::addr_of_mut;
use kernel::ffi::c_int;
use kernel::prelude::*;
use mptcp_proto::ids::Token;

/// What diagnostics call.
static mut HANDLER: bindings::inet_diag_handler = {
    // SAFETY: Zeroes are absent functions.
    let mut handler: bindings::inet_diag_handler = unsafe { core::mem::zeroed() };
    handler.dump = Some(dump);
    handler.dump_one = Some(dump_one);
    #[cfg(CONFIG_INET_DIAG_DESTROY)]
    {
        handler.destroy = Some(destroy_one);
    }
    handler.idiag_get_info = Some(get_info);
    handler.idiag_type = if canonical::IS_FREE {
        canonical::PROTOCOL
    } else {
        crate::proto_ops::PROTOCOL
    };
    // CAST: The size of a small structure.
    handler.idiag_info_size = size_of::<bindings::mptcp_info>() as u16;
    handler
};

/// How far a dump has come, kept between its batches.
#[repr(C)]
struct Progress {
    /// The next connection.
    connections: Place,
    /// The next socket of a program that has asked for MPTCP, whose peer has none.
    marked: bindings::mptcp_table_place,
    /// The next listener.
    listeners: bindings::mptcp_table_place,
}

/// What a dump is asked for.
struct Dump {
    /// The messages so far.
    skb: *mut bindings::sk_buff,
    /// What the kernel knows of the dump.
    callback: *mut bindings::netlink_callback,
    /// What is asked.
    request: *const bindings::inet_diag_req_v2,
}

impl Dump {
    /// Whether a socket is asked for.
    fn wants(&self, sk: Sock) -> bool {
        let mut ports = bindings::mptcp_ports { local: 0, peer: 0 };
        // SAFETY: The kernel keeps the request during the dump; `sk` is a live socket.
        let request = unsafe {
            bindings::mptcp_shim_ports(sk.as_ptr(), &mut ports);
            &*self.request
        };
        let is = |wanted: u16, port: u16| wanted == 0 || wanted == port;
        request.idiag_states & (1 << sk.state()) != 0
            && (request.sdiag_family == 0 || u32::from(request.sdiag_family) == sk.family())
            && is(request.id.idiag_sport, ports.local)
            && is(request.id.idiag_dport, ports.peer)
    }

    /// Adds all sockets that `next` finds from `place` on, each with a reference; `false` when they do not
    /// fit, and `place` is then at the first that does not.
    fn add_all(
        &self,
        place: &mut bindings::mptcp_table_place,
        next: impl Fn(&mut bindings::mptcp_table_place) -> *mut bindings::sock,
    ) -> bool {
        loop {
            let before = *place;
            // SAFETY: A live socket of TCP's type, of which there is a reference.
            let Some(sk) = (unsafe { Sock::from_raw(next(place)) }) else {
                return true;
            };
            let fits = self.add(sk);
            sk.put();
            if !fits {
                *place = before;
                return false;
            }
        }
    }

    /// Adds a socket if it is asked for; `false` when it does not fit.
    fn add(&self, sk: Sock) -> bool {
        if !self.wants(sk) {
            return true;
        }
        // SAFETY: What the kernel has passed; a live socket of TCP's type.
        unsafe {
            bindings::mptcp_shim_diag_fill(sk.as_ptr(), self.skb, self.callback, self.request) >= 0
        }
    }
}

/// Lists connections and listeners.
///
/// # Safety
///
/// Called by socket diagnostics, in process context.
unsafe extern "C" fn dump(
    skb: *mut bindings::sk_buff,
    callback: *mut bindings::netlink_callback,
    request: *const bindings::inet_diag_req_v2,
) {
    let dump = Dump {
        skb,
        callback,
        request,
    };
    // SAFETY: By the function's contract. The context of a dump is ours, zeroes at first, which are a
    // beginning; it is large enough, and aligned for numbers.
    let (net, progress) = unsafe {
        let context = bindings::mptcp_shim_dump_place(callback);
        (
            bindings::mptcp_shim_net_of_skb(skb),
            &mut *context.cast::<Progress>(),
        )
    };
    const { assert!(size_of::<Progress>() <= 48) };
    loop {
        let before = progress.connections;
        let Some(connection) = token_table::next(net, &mut progress.connections) else {
            break;
        };
        let fits = dump.add(connection.msk());
        connection.msk().put();
        if !fits {
            progress.connections = before;
            return;
        }
    }
    // SAFETY: By the function's contract.
    let states = unsafe { (*request).idiag_states };
    // Only there do programs ask for MPTCP.
    if canonical::IS_FREE && states & !bindings::TCPF_LISTEN != 0 {
        let fits = dump.add_all(&mut progress.marked, |place| {
            // SAFETY: A live namespace; the callback takes any TCP socket.
            unsafe { bindings::mptcp_shim_next_connected(net, place, Some(is_marked)) }
        });
        if !fits {
            return;
        }
    }
    if states & bindings::TCPF_LISTEN != 0 {
        dump.add_all(&mut progress.listeners, |place| {
            // SAFETY: As above.
            unsafe { bindings::mptcp_shim_next_listener(net, place, Some(is_listener)) }
        });
    }
}

/// Whether a connected TCP socket is that of a program that has asked for MPTCP.
///
/// # Safety
///
/// Called by the shim with a live TCP socket.
unsafe extern "C" fn is_marked(sk: *mut bindings::sock) -> bool {
    // SAFETY: By the function's contract.
    unsafe { Sock::from_raw(sk) }.is_some_and(attach::is_marked)
}

/// Whether a listening TCP socket is an application's that accepts connections of ours.
///
/// # Safety
///
/// Called by the shim with a live TCP socket.
unsafe extern "C" fn is_listener(sk: *mut bindings::sock) -> bool {
    // SAFETY: By the function's contract.
    unsafe { Sock::from_raw(sk) }
        .is_some_and(|sk| af_ops::is_hooked(sk) && !join_listener::is_ours(sk))
}

/// Tells of the connection whose token stands where other protocols have the first half of a socket's cookie.
///
/// # Safety
///
/// Called by socket diagnostics, in process context.
unsafe extern "C" fn dump_one(
    callback: *mut bindings::netlink_callback,
    request: *const bindings::inet_diag_req_v2,
) -> c_int {
    // SAFETY: By the function's contract.
    let (net, [token, _]) = unsafe {
        (
            bindings::mptcp_shim_net_of_skb((*callback).skb),
            (*request).id.idiag_cookie,
        )
    };
    let Some(connection) = token_table::find(net, Token::new(token)) else {
        return ENOENT.to_errno();
    };
    // SAFETY: As above; a live socket, of which there is a reference.
    let result =
        unsafe { bindings::mptcp_shim_diag_reply(connection.msk().as_ptr(), callback, request) };
    connection.msk().put();
    result
}

/// Fills in the queues of a socket, and what MPTCP_INFO tells of a connection.
///
/// # Safety
///
/// Called by socket diagnostics, in process context, with a socket that [`dump`] or [`dump_one`] has
/// named and the message about it; `info` has room for a `struct mptcp_info`, or is NULL.
unsafe extern "C" fn get_info(
    sk: *mut bindings::sock,
    message: *mut bindings::inet_diag_msg,
    info: *mut c_void,
) {
    // SAFETY: By the function's contract; any bytes are a valid `mptcp_info`, and they are zeroed first.
    unsafe {
        let Some(sk) = Sock::from_raw(sk) else {
            return;
        };
        bindings::mptcp_shim_diag_queues(sk.as_ptr(), message);
        let info = info.cast::<bindings::mptcp_info>();
        if info.is_null() {
            return;
        }
        info.write_bytes(0, 1);
        if attach::is_marked(sk) {
            (*info).mptcpi_flags = bindings::MPTCP_INFO_FLAG_FALLBACK;
        } else if sk.state() != bindings::TCP_LISTEN {
            info::fill_info(connection::of(sk), &mut *info);
        }
    }
}

/// `ss -K -M`: ends the connection that a request names by its ports and its cookie.
///
/// # Safety
///
/// Called by socket diagnostics, in process context.
#[cfg(CONFIG_INET_DIAG_DESTROY)]
unsafe extern "C" fn destroy_one(
    skb: *mut bindings::sk_buff,
    request: *const bindings::inet_diag_req_v2,
) -> c_int {
    // SAFETY: By the function's contract.
    let net = unsafe { bindings::mptcp_shim_net_of_skb(skb) };
    let mut place = Place::default();
    while let Some(connection) = token_table::next(net, &mut place) {
        let msk = connection.msk();
        // SAFETY: As above; a live socket, of which there is a reference. CAST: An errno is small.
        let result = unsafe {
            bindings::mptcp_shim_diag_names(msk.as_ptr(), request)
                .then(|| bindings::sock_diag_destroy(msk.as_ptr(), bindings::ECONNABORTED as c_int))
        };
        msk.put();
        if let Some(result) = result {
            return result;
        }
    }
    ENOENT.to_errno()
}

/// Ends a connection as [`close::end`] does.
///
/// # Safety
///
/// Called by socket diagnostics as `sk_prot->diag_destroy` of a connection socket.
pub(crate) unsafe extern "C" fn destroy(sk: *mut bindings::sock, error: c_int) -> c_int {
    // SAFETY: By the function's contract.
    let Some(connection) = (unsafe { Sock::from_raw(sk).map(|msk| connection::of(msk)) }) else {
        return 0;
    };
    match close::end(connection, error) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The protocol's number in socket diagnostics, while it lives; `false` without them.
pub(crate) struct Registration(bool);

impl Registration {
    /// Registers the handler, if the kernel has diagnostics.
    pub(crate) fn new() -> Self {
        // SAFETY: Module init is the only writer and runs once.
        unsafe {
            HANDLER.owner = bindings::mptcp_shim_this_module();
            Self(bindings::mptcp_shim_register_diag(addr_of_mut!(HANDLER)))
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: Registered by `new`.
            unsafe { bindings::mptcp_shim_unregister_diag(addr_of_mut!(HANDLER)) };
        }
    }
}
