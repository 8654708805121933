// SPDX-License-Identifier: GPL-2.0

//! What an application can ask of its connection: the socket options MPTCP_INFO, MPTCP_TCPINFO,
//! MPTCP_SUBFLOW_ADDRS and MPTCP_FULL_INFO of the level SOL_MPTCP, as linux/mptcp.h has them.
//!
//! Programs of any age get as much of a structure as they know: sizes go both ways.
//!
//! C counterpart: `mptcp_getsockopt_sol_mptcp` in net/mptcp/sockopt.c.

use crate::bindings;
use crate::choice;
use crate::connection::Connection;
use crate::locks::Owned;
use crate::paths;
use crate::sock::Sock;
use crate::subflow;
use core::mem::{
    offset_of,
    zeroed, //
};
use kernel::error::to_result;
use kernel::ffi::{
    c_char,
    c_int,
    c_void, //
};
use kernel::prelude::*;

/// Bytes of `struct mptcp_full_info` before the part that is as long as a program knows it.
const FULL_INFO_HEAD: usize = offset_of!(bindings::mptcp_full_info, mptcp_info);

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Question {
    /// About the connection.
    Info,
    /// About each subflow, as TCP_INFO.
    TcpInfo,
    /// The addresses of each subflow.
    SubflowAddrs,
    /// All of these.
    FullInfo,
}

impl Question {
    /// The question behind a socket option.
    pub(crate) fn of(level: c_int, name: c_int) -> Option<Self> {
        // CAST: Levels and names are small positive numbers; others match no arm.
        match (level as u32, name as u32) {
            (bindings::SOL_MPTCP, bindings::MPTCP_INFO) => Some(Self::Info),
            (bindings::SOL_MPTCP, bindings::MPTCP_TCPINFO) => Some(Self::TcpInfo),
            (bindings::SOL_MPTCP, bindings::MPTCP_SUBFLOW_ADDRS) => Some(Self::SubflowAddrs),
            (bindings::SOL_MPTCP, bindings::MPTCP_FULL_INFO) => Some(Self::FullInfo),
            _ => None,
        }
    }
}

/// Answers a question.
///
/// # Errors
///
/// `EINVAL`: a length is too short, or a field that the kernel sets is not zero. `EFAULT`.
///
/// # Context
///
/// Process; may sleep. The connection socket is not owned.
pub(crate) fn answer(
    connection: &Connection,
    question: Question,
    value: *mut c_char,
    len: *mut c_int,
) -> Result {
    let asker = Asker { value, len };
    match question {
        Question::Info => put_info(connection, &asker),
        Question::TcpInfo => put_each(connection, &asker, fill_tcp_info),
        Question::SubflowAddrs => put_each(connection, &asker, fill_addresses),
        Question::FullInfo => put_full_info(connection, &asker),
    }
}

/// The buffer of `getsockopt()`.
struct Asker {
    /// Where the answer goes.
    value: *mut c_char,
    /// How long the buffer is, and then the answer.
    len: *mut c_int,
}

impl Asker {
    /// How long the buffer is; at least `least` bytes.
    fn room(&self, least: usize) -> Result<usize> {
        let mut len: c_int = 0;
        copy_in(self.len.cast(), &mut len, size_of::<c_int>())?;
        let len = usize::try_from(len).map_err(|_| EINVAL)?;
        if len < least {
            return Err(EINVAL);
        }
        Ok(len)
    }

    /// Says how long the answer is.
    fn set_len(&self, len: usize) -> Result {
        let len = c_int::try_from(len).map_err(|_| EINVAL)?;
        copy_out(self.len.cast(), &len, size_of::<c_int>())
    }

    /// A place in the buffer.
    fn at(&self, offset: usize) -> *mut c_void {
        self.value.wrapping_add(offset).cast()
    }
}

/// Copies the first `len` bytes of `value` to the application's memory.
fn copy_out<T>(to: *mut c_void, value: &T, len: usize) -> Result {
    let from = core::ptr::from_ref(value).cast();
    // SAFETY: `value` is a structure that C reads as bytes, made of zeroes where it has gaps.
    to_result(unsafe { bindings::mptcp_shim_copy_to_user(to, from, len.min(size_of::<T>())) })
}

/// Copies the first `len` bytes of `value` from the application's memory. Any bytes are a valid `T`: it
/// is a structure of C's integers.
fn copy_in<T>(from: *const c_void, value: &mut T, len: usize) -> Result {
    let to = core::ptr::from_mut(value).cast();
    // SAFETY: `value` has room for that many bytes.
    to_result(unsafe { bindings::mptcp_shim_copy_from_user(to, from, len.min(size_of::<T>())) })
}

/// MPTCP_INFO.
fn put_info(connection: &Connection, asker: &Asker) -> Result {
    let len = asker.room(0)?.min(size_of::<bindings::mptcp_info>());
    asker.set_len(len)?;
    copy_out(asker.at(0), &of(connection), len)
}

/// MPTCP_TCPINFO and MPTCP_SUBFLOW_ADDRS: a `T` for each subflow, as far as there is room.
fn put_each<T>(connection: &Connection, asker: &Asker, fill: fn(Sock, &mut T)) -> Result {
    let room = asker.room(size_of::<bindings::mptcp_subflow_data>())?;
    // SAFETY: Zeroes are a valid value.
    let mut head: bindings::mptcp_subflow_data = unsafe { zeroed() };
    let whole = size_of_val(&head);
    copy_in(asker.at(0), &mut head, whole)?;
    let size_of_head = head.size_subflow_data as usize;
    let wrong = head.size_user > i32::MAX as u32 || head.num_subflows != 0 || head.size_kernel != 0;
    if wrong || size_of_head < whole || size_of_head > room {
        return Err(EINVAL);
    }
    let size = (head.size_user as usize).min(size_of::<T>());
    let mut offset = size_of_head;
    head.num_subflows = for_each_subflow(connection, |_, ssk| {
        let end = offset.saturating_add(size);
        if offset == room || end > room {
            return Ok(());
        }
        put::<T>(asker.at(offset), size, |value| fill(ssk, value))?;
        offset = end;
        Ok(())
    })?;
    // CAST: At most the size of a structure.
    (head.size_kernel, head.size_user) = (size_of::<T>() as u32, size as u32);
    asker.set_len(if offset > size_of_head { offset } else { whole })?;
    copy_out(asker.at(0), &head, whole)
}

/// MPTCP_FULL_INFO.
fn put_full_info(connection: &Connection, asker: &Asker) -> Result {
    let room = asker.room(FULL_INFO_HEAD)?;
    // SAFETY: Zeroes are a valid value.
    let mut full: bindings::mptcp_full_info = unsafe { zeroed() };
    copy_in(asker.at(0), &mut full, FULL_INFO_HEAD)?;
    let too_large = |size| size > i32::MAX as u32;
    if full.size_tcpinfo_kernel != 0
        || full.size_sfinfo_kernel != 0
        || full.num_subflows != 0
        || too_large(full.size_sfinfo_user)
        || too_large(full.size_tcpinfo_user)
    {
        return Err(EINVAL);
    }
    let kernel_sizes = (
        size_of::<bindings::tcp_info>(),
        size_of::<bindings::mptcp_subflow_info>(),
    );
    let tcp_size = kernel_sizes.0.min(full.size_tcpinfo_user as usize);
    let subflow_size = kernel_sizes.1.min(full.size_sfinfo_user as usize);
    let place = |start: u64, size: usize, index: usize| -> *mut c_void {
        // CAST: An address of the application's.
        let start = core::ptr::without_provenance_mut::<c_void>(start as usize);
        start.wrapping_byte_add(size.wrapping_mul(index))
    };
    let mut index = 0;
    full.num_subflows = for_each_subflow(connection, |id, ssk| {
        if index >= full.size_arrays_user as usize {
            return Ok(());
        }
        let to = place(full.subflow_info, subflow_size, index);
        put::<bindings::mptcp_subflow_info>(to, subflow_size, |value| {
            value.id = id;
            fill_addresses(ssk, &mut value.addrs);
        })?;
        let to = place(full.tcp_info, tcp_size, index);
        put(to, tcp_size, |value| fill_tcp_info(ssk, value))?;
        index += 1;
        Ok(())
    })?;
    // CAST: Sizes of structures.
    (full.size_tcpinfo_kernel, full.size_tcpinfo_user) = (kernel_sizes.0 as u32, tcp_size as u32);
    (full.size_sfinfo_kernel, full.size_sfinfo_user) = (kernel_sizes.1 as u32, subflow_size as u32);
    fill_info(connection, &mut full.mptcp_info);
    let len = room.min(FULL_INFO_HEAD + size_of::<bindings::mptcp_info>());
    asker.set_len(len)?;
    copy_out(asker.at(0), &full, len)
}

/// Writes the first `size` bytes of a `T` to the application's memory.
fn put<T>(to: *mut c_void, size: usize, fill: impl FnOnce(&mut T)) -> Result {
    if size == 0 {
        return Ok(());
    }
    // SAFETY: Zeroes are a valid value of the structures of C's integers that are used here.
    let mut value: T = unsafe { zeroed() };
    fill(&mut value);
    copy_out(to, &value, size)
}

/// Calls `each` with every subflow and its number; returns how many there are.
fn for_each_subflow(
    connection: &Connection,
    mut each: impl FnMut(u32, Sock) -> Result,
) -> Result<u32> {
    let mut count = 0;
    let mut result = Ok(());
    for ssk in connection.hold_subflows(|_| true) {
        if result.is_ok() {
            ssk.lock(false);
            let id = subflow::of(ssk).map_or(0, |subflow| subflow.id().number());
            ssk.release();
            result = each(id, ssk);
            count += 1;
        }
        ssk.put();
    }
    result.map(|()| count)
}

/// The connection itself; see [`fill_info`].
pub(crate) fn of(connection: &Connection) -> bindings::mptcp_info {
    // SAFETY: Zeroes are a valid value.
    let mut info = unsafe { zeroed() };
    fill_info(connection, &mut info);
    info
}

/// TCP's view of a subflow, which is not owned; see [`fill_tcp_info`].
pub(crate) fn tcp_info_of(ssk: Sock) -> bindings::tcp_info {
    // SAFETY: Zeroes are a valid value.
    let mut info = unsafe { zeroed() };
    fill_tcp_info(ssk, &mut info);
    info
}

/// TCP's view of a subflow, but for the bytes received: TCP counts the peer's FIN as one, which here may
/// come with the last data, before a program has looked.
fn fill_tcp_info(ssk: Sock, info: &mut bindings::tcp_info) {
    // SAFETY: A live socket that is not owned.
    unsafe { bindings::tcp_get_info(ssk.as_ptr(), info) };
    let fin = u64::from(ssk.flag(bindings::sock_flags_SOCK_DONE));
    info.tcpi_bytes_received = info.tcpi_bytes_received.saturating_sub(fin);
}

/// The addresses of a subflow.
fn fill_addresses(ssk: Sock, addresses: &mut bindings::mptcp_subflow_addrs) {
    // SAFETY: A live TCP socket; the structure has room for either family.
    unsafe { bindings::mptcp_shim_subflow_addrs(ssk.as_ptr(), addresses) };
}

/// The connection itself.
///
/// # Context
///
/// Process; may sleep. The connection socket is not owned.
pub(crate) fn fill_info(connection: &Connection, info: &mut bindings::mptcp_info) {
    let limits = choice::settings(connection.msk())
        .path_config(paths::role(connection))
        .limits;
    let mut owned = Owned::take(connection);
    let (nxt, end) = (owned.queue().nxt(), owned.queue().end());
    let subflows = connection.subflows();
    let count = subflows.count();
    let has_first = subflows.get(0) == Some(connection.first());
    // SAFETY: The subflows are live TCP sockets: the connection socket is owned.
    let idle = subflows.iter().fold(Idle::LONG, |idle, (_, ssk)| unsafe {
        let mut times: bindings::mptcp_idle = zeroed();
        bindings::mptcp_shim_idle_ms(ssk.as_ptr(), &mut times);
        idle.shorter(&times)
    });
    info.mptcpi_retransmits = connection.progress().stalls();
    let mut data = owned.data();
    let usage = paths::existing(&mut data).map(|paths| paths.usage());
    let (snd_una, rcv_nxt) = (data.proto.snd_una(), data.proto.rcv_nxt());
    let fin_received = data.proto.peer_finished();
    drop(data);
    drop(owned);
    let start = connection.identity().local_start();
    let sent = nxt.distance_from(start);
    let acked = snd_una.distance_from(start);
    let received = rcv_nxt.distance_from(connection.identity().peer_start());

    info.mptcpi_subflows = count.saturating_sub(u8::from(has_first));
    info.mptcpi_subflows_total = count;
    info.mptcpi_subflows_max = limits.subflows.saturating_sub(1);
    info.mptcpi_add_addr_signal_max = limits.announced;
    info.mptcpi_add_addr_accepted_max = limits.peer_addresses.saturating_sub(1);
    if let Some(usage) = usage {
        info.mptcpi_add_addr_signal = usage.announced;
        info.mptcpi_add_addr_accepted = usage.accepted;
        info.mptcpi_local_addr_used = usage.locals;
    }
    let mut flags = bindings::MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED;
    if connection.has_fallen_back() {
        flags |= bindings::MPTCP_INFO_FLAG_FALLBACK;
    }
    info.mptcpi_flags = flags;
    info.mptcpi_csum_enabled = u8::from(connection.uses_checksum());
    info.mptcpi_token = connection.token().get();
    info.mptcpi_write_seq = end.get();
    info.mptcpi_snd_una = snd_una.get();
    info.mptcpi_rcv_nxt = rcv_nxt.get();
    info.mptcpi_bytes_sent = sent;
    // A DATA_FIN takes a number, too.
    info.mptcpi_bytes_acked = acked.min(sent);
    info.mptcpi_bytes_received = received.saturating_sub(u64::from(fin_received));
    info.mptcpi_bytes_retrans = connection.repeated();
    info.mptcpi_last_data_sent = idle.data_sent;
    info.mptcpi_last_data_recv = idle.data_received;
    info.mptcpi_last_ack_recv = idle.ack_received;
}

/// For how long nothing has happened on any subflow, in milliseconds.
struct Idle {
    /// No data was sent.
    data_sent: u32,
    /// No data was received.
    data_received: u32,
    /// No ACK was received.
    ack_received: u32,
}

impl Idle {
    /// For ever.
    const LONG: Self = Self {
        data_sent: u32::MAX,
        data_received: u32::MAX,
        ack_received: u32::MAX,
    };

    /// The shorter of the times.
    fn shorter(self, other: &bindings::mptcp_idle) -> Self {
        Self {
            data_sent: self.data_sent.min(other.data_sent_ms),
            data_received: self.data_received.min(other.data_received_ms),
            ack_received: self.ack_received.min(other.ack_received_ms),
        }
    }
}
