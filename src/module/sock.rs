// SPDX-License-Identifier: GPL-2.0

//! A safe view of `struct sock` and the TCP structures that begin with it.
//!
//! [`Sock`] is a plain handle, as cheap as the pointer it is. Which thread may do what with the
//! socket is said by the kernel's own rules, written at each method: `owned` means the socket lock
//! (`lock_sock`) or, in softirq, its spinlock while no process owns it.
//!
//! C counterpart: include/net/sock.h, include/linux/tcp.h.

use crate::bindings;
use crate::skb::network_sum;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use core::sync::atomic::{
    fence,
    AtomicPtr,
    Ordering, //
};

/// A TCP socket: the application's, a subflow, or a connection socket.
///
/// # Invariants
///
/// The pointer leads to a full TCP socket (`struct tcp_sock` or larger) that stays allocated while
/// the handle is in use: the thunk that made the handle was given the socket by a caller holding a
/// reference, or the object that stores the handle owns a reference.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Sock(NonNull<bindings::sock>);

// SAFETY: The handle is an address; the kernel's socket functions may be called from any context
// that fulfils what each method says of locking.
unsafe impl Send for Sock {}
// SAFETY: As for `Send`: no method relies on the thread it runs on.
unsafe impl Sync for Sock {}

/// Reads a field that other contexts may write at the same time (`READ_ONCE`).
macro_rules! read {
    ($place:expr) => {{
        // SAFETY: By the type invariant of `Sock` the field lies in a live object; the read is
        // volatile, so a concurrent write yields the old or the new value.
        unsafe { core::ptr::read_volatile(core::ptr::addr_of!($place)) }
    }};
}
pub(crate) use read;

/// Writes a field that other contexts may read at the same time (`WRITE_ONCE`).
macro_rules! write {
    ($place:expr, $value:expr) => {{
        let value = $value;
        // SAFETY: By the type invariant of `Sock` the field lies in a live object; the caller is
        // its only writer, as the method's locking rule says.
        unsafe { core::ptr::write_volatile(addr_of_mut!($place), value) }
    }};
}

impl Sock {
    /// Makes a handle from the pointer that C passed.
    ///
    /// # Safety
    ///
    /// `sk` is NULL or a full TCP socket that the caller keeps alive while the handle is used.
    #[inline]
    pub(crate) unsafe fn from_raw(sk: *mut bindings::sock) -> Option<Self> {
        // INVARIANT: Passed on to the caller by this function's safety contract.
        NonNull::new(sk).map(Self)
    }

    /// Makes a handle from a pointer that cannot be NULL.
    ///
    /// # Safety
    ///
    /// As [`Self::from_raw`], but `sk` is not NULL.
    #[inline]
    pub(crate) unsafe fn from_live(sk: *mut bindings::sock) -> Self {
        // INVARIANT: As above.
        // SAFETY: By this function's contract.
        Self(unsafe { NonNull::new_unchecked(sk) })
    }

    /// The pointer for C.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut bindings::sock {
        self.0.as_ptr()
    }

    /// The socket as `struct tcp_sock`, which begins with `struct sock`.
    #[inline]
    pub(crate) fn tcp(self) -> *mut bindings::tcp_sock {
        // CAST: `tcp_sock` begins with `inet_connection_sock`, `inet_sock`, `sock`.
        self.0.as_ptr().cast()
    }

    /// The socket as `struct inet_connection_sock`.
    #[inline]
    pub(crate) fn icsk(self) -> *mut bindings::inet_connection_sock {
        // CAST: `inet_connection_sock` begins with `inet_sock`, `sock`.
        self.0.as_ptr().cast()
    }

    /// The address family of the packets: IPv4 also for an IPv6 socket with an IPv4 peer.
    #[inline]
    pub(crate) fn family_of_packets(self) -> u32 {
        // SAFETY: Every socket has a table, which is never freed while it is in use.
        if unsafe { (*self.af_ops()).net_header_len } == 20 {
            bindings::AF_INET
        } else {
            bindings::AF_INET6
        }
    }

    /// The TCP state, `TCP_ESTABLISHED` and so on.
    #[inline]
    pub(crate) fn state(self) -> u32 {
        u32::from(read!((*self.as_ptr()).__sk_common.skc_state))
    }

    /// Whether the state is one of the `TCPF_` flags.
    #[inline]
    pub(crate) fn in_states(self, flags: u32) -> bool {
        1u32.wrapping_shl(self.state()) & flags != 0
    }

    /// Sets the TCP state.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn set_state(self, state: u32) {
        // SAFETY: A live socket by the type invariant.
        // CAST: TCP states are small.
        unsafe { bindings::mptcp_shim_sk_set_state(self.as_ptr(), state as i32) };
    }

    /// `AF_INET` or `AF_INET6`.
    #[inline]
    pub(crate) fn family(self) -> u32 {
        u32::from(read!((*self.as_ptr()).__sk_common.skc_family))
    }

    /// The network namespace.
    #[inline]
    pub(crate) fn net(self) -> *mut bindings::net {
        read!((*self.as_ptr()).__sk_common.skc_net.net)
    }

    /// The mark of its packets (SO_MARK).
    #[inline]
    pub(crate) fn mark(self) -> u32 {
        read!((*self.as_ptr()).sk_mark)
    }

    /// Changes the mark of its packets.
    pub(crate) fn set_mark(self, mark: u32) {
        write!((*self.as_ptr()).sk_mark, mark);
    }

    /// Takes a reference.
    #[inline]
    pub(crate) fn hold(self) {
        // SAFETY: A live socket by the type invariant, so its count is not zero.
        unsafe { bindings::mptcp_shim_sock_hold(self.as_ptr()) };
    }

    /// Gives back a reference that the caller owns.
    #[inline]
    pub(crate) fn put(self) {
        // SAFETY: The caller owns a reference, which ends here with its use of the handle.
        unsafe { bindings::mptcp_shim_sock_put(self.as_ptr()) };
    }

    /// Takes the spinlock: of a connection socket it is the data lock.
    #[inline]
    pub(crate) fn data_lock(self) {
        // SAFETY: A live socket by the type invariant.
        unsafe { bindings::mptcp_shim_data_lock(self.as_ptr()) };
    }

    /// Releases what [`Self::data_lock`] took.
    #[inline]
    pub(crate) fn data_unlock(self) {
        // SAFETY: A live socket by the type invariant, locked by the caller.
        unsafe { bindings::mptcp_shim_data_unlock(self.as_ptr()) };
    }

    /// Lets the next close reset the connection (`SO_LINGER` of zero seconds).
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn reset_on_close(self) {
        // SAFETY: A live socket by the type invariant, owned by the caller.
        unsafe { bindings::mptcp_shim_linger_zero(self.as_ptr()) };
    }

    /// Takes ownership (`lock_sock`); `nested` when the connection socket is owned already.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    #[inline]
    pub(crate) fn lock(self, nested: bool) {
        // SAFETY: A live socket by the type invariant.
        unsafe { bindings::lock_sock_nested(self.as_ptr(), i32::from(nested)) };
    }

    /// Gives up ownership: runs the backlog and `release_cb`.
    #[inline]
    pub(crate) fn release(self) {
        // SAFETY: A live socket by the type invariant, owned by the caller.
        unsafe { bindings::release_sock(self.as_ptr()) };
    }

    /// Whether a process owns the socket. Exact only under its spinlock.
    #[inline]
    pub(crate) fn is_owned_by_user(self) -> bool {
        read!((*self.as_ptr()).sk_lock.__bindgen_anon_1.slock_owned.owned) != 0
    }

    /// A `sock_flags` flag, for instance `SOCK_LINGER`.
    #[inline]
    pub(crate) fn flag(self, flag: bindings::sock_flags) -> bool {
        read!((*self.as_ptr()).__sk_common.__bindgen_anon_5.skc_flags) & (1 << flag) != 0
    }

    /// Sets a `sock_flags` flag.
    ///
    /// # Locking
    ///
    /// The socket is owned, or its spinlock held while nobody owns it.
    pub(crate) fn set_flag(self, flag: bindings::sock_flags) {
        let flags = read!((*self.as_ptr()).__sk_common.__bindgen_anon_5.skc_flags) | 1 << flag;
        write!(
            (*self.as_ptr()).__sk_common.__bindgen_anon_5.skc_flags,
            flags
        );
    }

    /// Shutdown directions, `RCV_SHUTDOWN | SEND_SHUTDOWN`.
    #[inline]
    pub(crate) fn shutdown_mask(self) -> u8 {
        read!((*self.as_ptr()).sk_shutdown)
    }

    /// Adds shutdown directions.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn add_shutdown(self, mask: u32) {
        // CAST: The mask has two bits.
        let mask = self.shutdown_mask() | mask as u8;
        write!((*self.as_ptr()).sk_shutdown, mask);
    }

    /// Takes all directions back, and the end of the peer's stream.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn forget_shutdown(self) {
        write!((*self.as_ptr()).sk_shutdown, 0);
        // SAFETY: A live socket by the type invariant, owned by the caller.
        unsafe {
            bindings::mptcp_shim_sock_reset_flag(self.as_ptr(), bindings::sock_flags_SOCK_DONE)
        };
    }

    /// The pending error, positive errno.
    #[inline]
    pub(crate) fn error(self) -> i32 {
        read!((*self.as_ptr()).sk_err)
    }

    /// Sets the pending error, positive errno.
    pub(crate) fn set_error(self, errno: i32) {
        write!((*self.as_ptr()).sk_err, errno);
    }

    /// The interface that it is bound to; 0 if it is not.
    pub(crate) fn bound_interface(self) -> i32 {
        read!((*self.as_ptr()).__sk_common.skc_bound_dev_if)
    }

    /// Whether the program knows that its socket is connected.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn is_connected(self) -> bool {
        // SAFETY: An owned socket keeps its `struct socket`, if it has one.
        unsafe { (*self.as_ptr()).sk_socket.as_ref() }
            .is_some_and(|sock| sock.state == bindings::socket_state_SS_CONNECTED)
    }

    /// Wakes whoever waits for readability.
    #[inline]
    pub(crate) fn call_data_ready(self) {
        if let Some(function) = read!((*self.as_ptr()).sk_data_ready) {
            // SAFETY: The socket's own callback with the socket, as TCP calls it.
            unsafe { function(self.as_ptr()) };
        }
    }

    /// Wakes whoever waits for room to write.
    #[inline]
    pub(crate) fn call_write_space(self) {
        if let Some(function) = read!((*self.as_ptr()).sk_write_space) {
            // SAFETY: The socket's own callback with the socket, as TCP calls it.
            unsafe { function(self.as_ptr()) };
        }
    }

    /// Wakes whoever waits for a change of state.
    #[inline]
    pub(crate) fn call_state_change(self) {
        if let Some(function) = read!((*self.as_ptr()).sk_state_change) {
            // SAFETY: The socket's own callback with the socket, as TCP calls it.
            unsafe { function(self.as_ptr()) };
        }
    }

    /// Reports the pending error to whoever waits.
    pub(crate) fn report_error(self) {
        // SAFETY: A live socket by the type invariant.
        unsafe { bindings::sk_error_report(self.as_ptr()) };
    }

    /// The table TCP calls through for this address family.
    #[inline]
    pub(crate) fn af_ops(self) -> *const bindings::inet_connection_sock_af_ops {
        read!((*self.icsk()).icsk_af_ops)
    }

    /// Replaces the address family table.
    ///
    /// # Locking
    ///
    /// The socket is owned, or not yet reachable by packets.
    #[inline]
    pub(crate) fn set_af_ops(self, ops: *const bindings::inet_connection_sock_af_ops) {
        write!((*self.icsk()).icsk_af_ops, ops);
    }

    /// Replaces the address family table if it still is `before`.
    #[inline]
    pub(crate) fn exchange_af_ops(
        self,
        before: *const bindings::inet_connection_sock_af_ops,
        after: *const bindings::inet_connection_sock_af_ops,
    ) {
        // SAFETY: A live socket by the type invariant; the field is an aligned pointer.
        let field = unsafe { AtomicPtr::from_ptr((&raw mut (*self.icsk()).icsk_af_ops).cast()) };
        let (before, after) = (before.cast_mut(), after.cast_mut());
        let _ = field.compare_exchange(before, after, Ordering::Release, Ordering::Relaxed);
    }

    /// The number in the field that is for whoever uses the socket; see [`crate::choice`].
    #[inline]
    pub(crate) fn user_data(self) -> usize {
        read!((*self.as_ptr()).sk_user_data).addr()
    }

    /// Puts a number there if the field is still as it was; tells whether it was.
    pub(crate) fn exchange_user_data(self, before: usize, after: usize) -> bool {
        // SAFETY: A live socket by the type invariant; the field is an aligned pointer.
        let field = unsafe { AtomicPtr::from_ptr(&raw mut (*self.as_ptr()).sk_user_data) };
        let number = core::ptr::without_provenance_mut;
        field
            .compare_exchange(
                number(before),
                number(after),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// The upper layer protocol's table, NULL when there is none.
    #[inline]
    pub(crate) fn ulp_ops(self) -> *const bindings::tcp_ulp_ops {
        let ops = read!((*self.icsk()).icsk_ulp_ops);
        fence(Ordering::Acquire);
        ops
    }

    /// The upper layer protocol's data.
    #[inline]
    pub(crate) fn ulp_data(self) -> *mut core::ffi::c_void {
        read!((*self.icsk()).icsk_ulp_data)
    }

    /// Installs the upper layer protocol: data first, then the table that makes it visible.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn set_ulp(self, ops: *const bindings::tcp_ulp_ops, data: *mut core::ffi::c_void) {
        write!((*self.icsk()).icsk_ulp_data, data);
        fence(Ordering::Release);
        write!((*self.icsk()).icsk_ulp_ops, ops);
    }

    /// Takes the upper layer protocol away: its table first.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn clear_ulp(self) {
        write!((*self.icsk()).icsk_ulp_ops, core::ptr::null());
        fence(Ordering::Release);
        write!((*self.icsk()).icsk_ulp_data, core::ptr::null_mut());
    }

    /// The round-trip time that the receiver has measured, in eighths of microseconds; 0 when it has
    /// not.
    #[inline]
    pub(crate) fn receive_rtt(self) -> u32 {
        read!((*self.tcp()).rcv_rtt_est.rtt_us)
    }

    /// Next sequence number TCP expects from the peer.
    #[inline]
    pub(crate) fn rcv_nxt(self) -> u32 {
        read!((*self.tcp()).rcv_nxt)
    }

    /// Sets it.
    ///
    /// # Locking
    ///
    /// As for [`Self::set_flag`].
    pub(crate) fn set_rcv_nxt(self, rcv_nxt: u32) {
        write!((*self.tcp()).rcv_nxt, rcv_nxt);
    }

    /// Oldest sequence number the peer has not acknowledged.
    #[inline]
    pub(crate) fn snd_una(self) -> u32 {
        read!((*self.tcp()).snd_una)
    }

    /// Sequence number of the next byte written.
    #[inline]
    pub(crate) fn write_seq(self) -> u32 {
        read!((*self.tcp()).write_seq)
    }

    /// Whether `connect()` has left the SYN to the first write (`TCP_FASTOPEN_CONNECT`).
    pub(crate) fn defers_connect(self) -> bool {
        // SAFETY: A live socket by the type invariant.
        let is_deferred = || unsafe { bindings::mptcp_shim_defers_connect(self.as_ptr()) };
        self.state() == bindings::TCP_SYN_SENT && is_deferred()
    }

    /// Whether the SYN asked for a cookie of TCP Fast Open, or carried one and data.
    pub(crate) fn asked_for_fast_open(self) -> bool {
        // SAFETY: A live TCP socket by the type invariant; written when the SYN was sent.
        unsafe { (*self.tcp()).syn_fastopen() != 0 || (*self.tcp()).syn_data() != 0 }
    }

    /// How many bytes TCP has taken that the peer has not acknowledged.
    #[inline]
    pub(crate) fn unacknowledged(self) -> u32 {
        self.write_seq().wrapping_sub(self.snd_una())
    }

    /// Sequence number of the next byte sent.
    pub(crate) fn snd_nxt(self) -> u32 {
        read!((*self.tcp()).snd_nxt)
    }

    /// Sequence number of the next byte read.
    #[inline]
    pub(crate) fn copied_seq(self) -> u32 {
        read!((*self.tcp()).copied_seq)
    }

    /// Moves the read position.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    #[inline]
    pub(crate) fn set_copied_seq(self, seq: u32) {
        write!((*self.tcp()).copied_seq, seq);
    }

    /// The window we last announced, in bytes.
    #[inline]
    pub(crate) fn rcv_wnd(self) -> u32 {
        read!((*self.tcp()).rcv_wnd)
    }

    /// Tells TCP of the window that was announced in place of its own, in bytes.
    ///
    /// TCP's own stays so small that no segment makes it grow, which TCP would tell the peer at
    /// once: when to do that is for the reader of the connection socket.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    #[inline]
    pub(crate) fn set_rcv_wnd(self, window: u32) {
        // SAFETY: A live TCP socket by the type invariant, owned by the caller.
        unsafe { bindings::mptcp_shim_set_rcv_wnd(self.as_ptr(), window) };
    }

    /// Whether the last header that TCP has taken apart had an option of a kind that TCP does not
    /// know, as MPTCP's is.
    #[inline]
    pub(crate) fn saw_unknown_option(self) -> bool {
        // SAFETY: A live TCP socket by the type invariant; TCP changes the bit under its lock.
        unsafe { (*self.tcp()).rx_opt.saw_unknown() != 0 }
    }

    /// Whether the peer says by SACK what has arrived.
    pub(crate) fn has_sack(self) -> bool {
        // SAFETY: A live socket by the type invariant; set before the socket is established.
        unsafe { (*self.tcp()).rx_opt.sack_ok() != 0 }
    }

    /// The window that TCP has last been told of, in bytes.
    pub(crate) fn snd_wnd(self) -> u32 {
        read!((*self.tcp()).snd_wnd)
    }

    /// The largest of them.
    pub(crate) fn max_window(self) -> u32 {
        read!((*self.tcp()).max_window)
    }

    /// How far the peer's window field is shifted.
    #[inline]
    pub(crate) fn snd_wscale(self) -> u8 {
        // SAFETY: A live socket by the type invariant; set before the socket is established.
        unsafe { (*self.tcp()).rx_opt.snd_wscale() as u8 }
    }

    /// How far our window field is shifted.
    #[inline]
    pub(crate) fn rcv_wscale(self) -> u8 {
        // SAFETY: A live socket by the type invariant; set before the socket is established.
        unsafe { (*self.tcp()).rx_opt.rcv_wscale() as u8 }
    }

    /// Effective maximum segment size, in bytes.
    #[inline]
    pub(crate) fn mss(self) -> u32 {
        read!((*self.tcp()).mss_cache)
    }

    /// Receive buffer size, bytes of memory.
    #[inline]
    pub(crate) fn rcvbuf(self) -> i32 {
        read!((*self.as_ptr()).sk_rcvbuf)
    }

    /// Send buffer size, bytes of memory.
    #[inline]
    pub(crate) fn sndbuf(self) -> i32 {
        read!((*self.as_ptr()).sk_sndbuf)
    }

    /// Memory of what has been written and not acknowledged, in bytes.
    #[inline]
    pub(crate) fn wmem_queued(self) -> i32 {
        read!((*self.as_ptr()).sk_wmem_queued)
    }

    /// Bytes of the window that `space` bytes of free memory are worth.
    #[inline]
    pub(crate) fn win_from_space(self, space: i32) -> i32 {
        // SAFETY: A live socket by the type invariant.
        unsafe { bindings::mptcp_shim_tcp_win_from_space(self.as_ptr(), space) }
    }

    /// Memory of the receive queue and the backlog, in bytes.
    #[inline]
    pub(crate) fn receive_memory(self) -> i32 {
        read!((*self.as_ptr()).sk_backlog.rmem_alloc.counter)
            .saturating_add(read!((*self.as_ptr()).sk_backlog.len))
    }

    /// The receive queue.
    #[inline]
    pub(crate) fn receive_queue(self) -> *mut bindings::sk_buff_head {
        // SAFETY: A live socket by the type invariant; only the address is taken.
        unsafe { addr_of_mut!((*self.as_ptr()).sk_receive_queue) }
    }

    /// Whether TCP would let an application write; see `Connection::has_room`.
    pub(crate) fn has_room(self, wake: kernel::ffi::c_int) -> bool {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_subflow_has_room(self.as_ptr(), wake) }
    }

    /// Forces a pure acknowledgment out, unless the handshake is still going on.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    #[inline]
    pub(crate) fn send_ack(self) {
        if self.in_states(bindings::TCPF_SYN_SENT | bindings::TCPF_SYN_RECV) {
            return;
        }
        // SAFETY: A live TCP socket by the type invariant, owned by the caller.
        unsafe { bindings::__tcp_send_ack(self.as_ptr(), self.rcv_nxt(), 0) };
    }

    /// Bytes that TCP has accepted and not acknowledged yet.
    pub(crate) fn unacked(self) -> u32 {
        self.rcv_nxt().wrapping_sub(read!((*self.tcp()).rcv_wup))
    }

    /// What TCP owes an ACK for: `ICSK_ACK_*` bits, and the size of the peer's segments in bytes.
    #[inline]
    fn ack_state(self) -> (u32, u32) {
        // SAFETY: A live TCP socket by the type invariant; TCP changes the fields under its lock,
        // and an answer too early or too late does no harm.
        unsafe {
            let ack = &raw const (*self.icsk()).icsk_ack;
            (
                u32::from(core::ptr::read_volatile(&raw const (*ack).pending)),
                u32::from(core::ptr::read_volatile(&raw const (*ack).rcv_mss)),
            )
        }
    }

    /// Whether the application answers what it gets, so that TCP's ACKs wait for data.
    #[inline]
    fn is_interactive(self) -> bool {
        // SAFETY: As above.
        unsafe { bindings::mptcp_shim_in_pingpong_mode(self.as_ptr()) }
    }

    /// Whether an ACK is going to be sent.
    #[inline]
    pub(crate) fn is_ack_scheduled(self) -> bool {
        self.ack_state().0 & bindings::inet_csk_ack_state_t_ICSK_ACK_SCHED != 0
    }

    /// Whether TCP will not acknowledge `payload` more bytes at once: its rule in `__tcp_ack_snd_check`.
    #[inline]
    pub(crate) fn waits_with_ack(self, payload: u32) -> bool {
        let (pending, segment) = self.ack_state();
        pending & bindings::inet_csk_ack_state_t_ICSK_ACK_NOW == 0
            && self.unacked().saturating_add(payload) <= segment
            && self.is_interactive()
    }

    /// Whether the application's reading of data, of which `unacked` bytes have not been
    /// acknowledged, is a reason to acknowledge it: TCP's rule in `__tcp_cleanup_rbuf`. `drained`
    /// says that the application has read all there was.
    pub(crate) fn owes_ack(self, unacked: u64, drained: bool) -> bool {
        let (pending, segment) = self.ack_state();
        let is = |flag| pending & flag != 0;
        is(bindings::inet_csk_ack_state_t_ICSK_ACK_SCHED)
            && (unacked > u64::from(segment)
                || drained
                    && (is(bindings::inet_csk_ack_state_t_ICSK_ACK_PUSHED2)
                        || is(bindings::inet_csk_ack_state_t_ICSK_ACK_PUSHED)
                            && !self.is_interactive()))
    }

    /// Sum of the next `len` bytes that the receive queue has, as the DSS checksum wants it; `None` if they
    /// are not all there.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn queued_sum(self, len: u32) -> Option<u16> {
        let mut sum = 0;
        // SAFETY: A live TCP socket by the type invariant, owned by the caller.
        let whole = unsafe { bindings::mptcp_shim_queued_sum(self.as_ptr(), len, &mut sum) };
        whole.then(|| network_sum(sum))
    }

    /// The segment with `seq`, which TCP sends for the first time, is not to become one with another when
    /// it is sent again.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn keep_apart(self, seq: u32) {
        // SAFETY: A live TCP socket by the type invariant, owned by the caller.
        unsafe { bindings::mptcp_shim_keep_apart(self.as_ptr(), seq) };
    }

    /// Lets TCP answer the segment that it is looking at now, and not a moment later.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn want_ack_now(self) {
        // SAFETY: A live TCP socket by the type invariant, owned by the caller. CAST: A small bit.
        unsafe {
            (*self.icsk()).icsk_ack.pending |= bindings::inet_csk_ack_state_t_ICSK_ACK_NOW as u8
        };
    }

    /// How large TCP lets a send buffer grow by itself, in bytes.
    pub(crate) fn sndbuf_max(self) -> i32 {
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_sysctl_wmem_max(self.as_ptr()) }
    }

    /// Makes segments leave room for `after` bytes of options in place of `before`: now, and whenever TCP
    /// looks at the MTU again.
    ///
    /// # Locking
    ///
    /// The socket is owned.
    pub(crate) fn leave_room(self, before: u8, after: u8) {
        let more = i32::from(after) - i32::from(before);
        // SAFETY: A live TCP socket by the type invariant.
        unsafe { bindings::mptcp_shim_leave_room(self.as_ptr(), more) }
    }
}
