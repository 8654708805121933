// SPDX-License-Identifier: GPL-2.0

//! A safe view of `struct sk_buff` as the module meets it: a TCP segment on its way in or out, or
//! a piece of the byte stream in a receive queue.
//!
//! C counterpart: include/linux/skbuff.h.

use crate::bindings;
use crate::sock::Sock;
use core::ptr::NonNull;
use mptcp_proto::ids::Address;
use mptcp_proto::options::room::{
    drop_timestamps,
    make_room,
    tail_len, //
};
use mptcp_proto::options::MptcpOption;

/// Most bytes of options that a TCP header holds.
pub(crate) const OPTIONS_MAX: usize = 40;
/// Bytes of the TCP header without options.
const TCP_HEADER: usize = 20;

/// FIN, in the flags octet of the TCP header.
pub(crate) const FIN: u8 = 0x01;
/// SYN.
pub(crate) const SYN: u8 = 0x02;
/// RST.
pub(crate) const RST: u8 = 0x04;
/// ACK.
pub(crate) const ACK: u8 = 0x10;

/// The options of a segment by value, and how many bytes they have: what they stand in may move then.
fn copy_of(options: &[u8]) -> ([u8; OPTIONS_MAX], usize) {
    let mut block = [0; OPTIONS_MAX];
    for (to, from) in block.iter_mut().zip(options) {
        *to = *from;
    }
    (block, options.len())
}

/// A socket buffer.
///
/// # Invariants
///
/// The pointer leads to an `sk_buff` that whoever made the handle may use exclusively: a hook was
/// handed the packet, or it was taken off a queue whose lock is held.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Skb(NonNull<bindings::sk_buff>);

/// The fields of a TCP header that the module looks at, in host order.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    /// Source port.
    pub(crate) source: u16,
    /// Destination port.
    pub(crate) destination: u16,
    /// Sequence number of the first byte.
    pub(crate) seq: u32,
    /// Acknowledgment number.
    pub(crate) ack_seq: u32,
    /// Flags octet: [`FIN`], [`SYN`], [`RST`], [`ACK`], ...
    pub(crate) flags: u8,
    /// Window field, unscaled.
    pub(crate) window: u16,
    /// Bytes of payload.
    pub(crate) payload: u32,
}

impl Header {
    /// The header of a segment of which only the window is known.
    pub(crate) fn with_window(window: u16) -> Self {
        Self {
            source: 0,
            destination: 0,
            seq: 0,
            ack_seq: 0,
            flags: ACK,
            window,
            payload: 0,
        }
    }
}

impl Skb {
    /// Makes a handle from the pointer that C passed.
    ///
    /// # Safety
    ///
    /// `skb` is NULL or a buffer that the caller may use exclusively while the handle is used.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Option<Self> {
        // INVARIANT: Passed on to the caller by this function's safety contract.
        NonNull::new(skb).map(Self)
    }

    /// Makes a handle from a pointer that cannot be NULL.
    ///
    /// # Safety
    ///
    /// As [`Self::from_raw`], but `skb` is not NULL.
    #[inline]
    pub(crate) unsafe fn from_live(skb: *mut bindings::sk_buff) -> Self {
        // INVARIANT: As above.
        // SAFETY: By this function's contract.
        Self(unsafe { NonNull::new_unchecked(skb) })
    }

    /// The pointer for C.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Bytes of the buffer from its data pointer on.
    #[inline]
    pub(crate) fn len(self) -> u32 {
        // SAFETY: Exclusive use by the type invariant.
        unsafe { (*self.as_ptr()).len }
    }

    /// Memory that the buffer accounts for, in bytes.
    #[inline]
    pub(crate) fn truesize(self) -> u32 {
        // SAFETY: Exclusive use by the type invariant.
        unsafe { (*self.as_ptr()).truesize }
    }

    /// TCP's control block of a buffer in a TCP queue.
    #[inline]
    pub(crate) fn control_block(self) -> *mut bindings::tcp_skb_cb {
        // SAFETY: Only the address of `skb->cb` is computed. CAST: As the macro TCP_SKB_CB does.
        unsafe { (&raw mut (*self.as_ptr()).cb).cast() }
    }

    /// First sequence number of a buffer in a TCP queue.
    #[inline]
    pub(crate) fn seq(self) -> u32 {
        // SAFETY: Exclusive use by the type invariant; the buffer is in a TCP queue.
        unsafe { (*self.control_block()).seq }
    }

    /// Whether the segment that this buffer came from had all of `flags`: [`FIN`], [`SYN`], ...
    #[inline]
    pub(crate) fn had_flags(self, flags: u8) -> bool {
        let flags = u16::from(flags);
        // SAFETY: Exclusive use by the type invariant; TCP has filled its control block.
        unsafe { (*self.control_block()).tcp_flags & flags == flags }
    }

    /// Whether the segment came in by the loopback device.
    pub(crate) fn came_by_loopback(self) -> bool {
        // SAFETY: Exclusive use by the type invariant.
        let index = unsafe { (*self.as_ptr()).__bindgen_anon_4.headers.as_ref().skb_iif };
        // CAST: A small number.
        index == bindings::LOOPBACK_IFINDEX as i32
    }

    /// Whether the segment that this buffer came from carried a FIN.
    #[inline]
    pub(crate) fn has_fin(self) -> bool {
        self.had_flags(FIN)
    }

    /// Puts the buffer into data sequence space: `seq` is that of its first byte.
    #[inline]
    pub(crate) fn set_data_range(self, seq: u32, end_seq: u32) {
        let block = self.control_block();
        // SAFETY: Exclusive use by the type invariant; the control block is TCP's.
        unsafe {
            (*block).seq = seq;
            (*block).end_seq = end_seq;
            (*block).tcp_flags &= !u16::from(FIN);
        }
    }

    /// The socket that early demultiplexing or the sender attached.
    #[inline]
    pub(crate) fn raw_sock(self) -> *mut bindings::sock {
        // SAFETY: Exclusive use by the type invariant.
        unsafe { (*self.as_ptr()).sk }
    }

    /// The TCP header of an incoming segment and its options.
    ///
    /// `None` when the header is cut short.
    #[inline]
    pub(crate) fn incoming(&mut self) -> Option<(Header, &[u8])> {
        let skb = self.as_ptr();
        // SAFETY: Exclusive use by the type invariant; the IP layer has set the transport header.
        let offset = unsafe {
            (*skb)
                .head
                .add(usize::from(self.transport_header()))
                .offset_from((*skb).data)
        };
        let offset = usize::try_from(offset).ok()?;
        self.pull(offset + TCP_HEADER)?;
        // SAFETY: `pull` made the header's 20 bytes linear.
        let length = unsafe { *(*skb).data.add(offset + 12) } >> 4;
        let length = usize::from(length) * 4;
        if length < TCP_HEADER {
            return None;
        }
        self.pull(offset + length)?;
        // SAFETY: `pull` made `length` bytes from `offset` linear; they live as long as `self` is
        // borrowed.
        let bytes = unsafe { core::slice::from_raw_parts((*skb).data.add(offset), length) };
        Self::parse(bytes, self.len().checked_sub(u32::try_from(offset).ok()?)?)
    }

    /// The TCP header of an outgoing segment and its options: the data pointer is at the header.
    #[inline]
    pub(crate) fn outgoing(&self) -> Option<(Header, &[u8])> {
        let skb = self.as_ptr();
        // SAFETY: TCP has just written a whole header at the data pointer, in linear memory.
        let bytes = unsafe {
            let length = usize::from(*(*skb).data.add(12) >> 4) * 4;
            core::slice::from_raw_parts((*skb).data, length)
        };
        Self::parse(bytes, self.len())
    }

    /// The flags octet of an outgoing segment: the data pointer is at the header.
    #[inline]
    pub(crate) fn outgoing_flags(self) -> u8 {
        // SAFETY: TCP has just written a whole header at the data pointer, in linear memory.
        unsafe { *(*self.as_ptr()).data.add(13) }
    }

    /// How many bytes of options fit on an outgoing segment with data, when segments of the current size
    /// leave room for `space`: TCP may have made it before.
    pub(crate) fn option_room(self, ssk: Sock, space: u8) -> u32 {
        // SAFETY: TCP has just written a whole header at the data pointer, in linear memory.
        unsafe { bindings::mptcp_shim_option_room(ssk.as_ptr(), self.as_ptr(), space.into()) }
    }

    /// The peer's and our address of an incoming packet, folded to 64 bits each.
    pub(crate) fn addresses(self) -> [u64; 2] {
        let (mut source, mut destination) = ([0u8; 16], [0u8; 16]);
        let skb = self.as_ptr();
        // SAFETY: The IP layer has set the network header and made the IP header linear.
        unsafe {
            let ip = (*skb).head.add(usize::from(self.network_header()));
            let (offset, len) = if *ip >> 4 == 4 { (12, 4) } else { (8, 16) };
            core::ptr::copy_nonoverlapping(ip.add(offset), source.as_mut_ptr(), len);
            core::ptr::copy_nonoverlapping(ip.add(offset + len), destination.as_mut_ptr(), len);
        }
        let fold = |bytes: [u8; 16]| {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
            u64::from_ne_bytes([a, b, c, d, e, f, g, h])
                ^ u64::from_ne_bytes([i, j, k, l, m, n, o, p]).rotate_left(1)
        };
        [fold(source), fold(destination)]
    }

    /// Source and destination address of an incoming packet.
    pub(crate) fn ends(self, family: u32) -> [Address; 2] {
        let skb = self.as_ptr();
        // SAFETY: The IP layer has set the network header and made the IP header linear.
        unsafe {
            let ip = (*skb).head.add(usize::from(self.network_header()));
            if family == bindings::AF_INET {
                let read = |offset| ip.add(offset).cast::<[u8; 4]>().read_unaligned();
                [Address::V4(read(12)), Address::V4(read(16))]
            } else {
                let read = |offset| ip.add(offset).cast::<[u8; 16]>().read_unaligned();
                [Address::V6(read(8)), Address::V6(read(24))]
            }
        }
    }

    /// The address family of an incoming packet.
    pub(crate) fn family(self) -> u32 {
        let skb = self.as_ptr();
        // SAFETY: The IP layer has set the network header and made the IP header linear.
        let version = unsafe { *(*skb).head.add(usize::from(self.network_header())) } >> 4;
        if version == 4 {
            bindings::AF_INET
        } else {
            bindings::AF_INET6
        }
    }

    /// Gives an incoming SYN to `listener`, whoever else listens on its port.
    pub(crate) fn steer(self, listener: Sock) {
        // SAFETY: Exclusive use by the type invariant; a live listener.
        unsafe { bindings::mptcp_shim_steer(self.as_ptr(), listener.as_ptr()) };
    }

    /// Answers an incoming segment with a reset, as TCP does where nobody listens.
    pub(crate) fn send_reset(self, family: u32) {
        // SAFETY: Exclusive use by the type invariant; the transport header is set. CAST: AF_INET
        // and AF_INET6 are small.
        unsafe { bindings::mptcp_shim_send_reset(self.as_ptr(), family as i32) };
    }

    /// Takes a TCP header apart; `segment` is its length with the payload.
    #[inline]
    fn parse(bytes: &[u8], segment: u32) -> Option<(Header, &[u8])> {
        let (fixed, options) = bytes.split_first_chunk::<TCP_HEADER>()?;
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, _, flags, w0, w1, ..] = *fixed;
        let header = Header {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack_seq: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            window: u16::from_be_bytes([w0, w1]),
            payload: segment.checked_sub(u32::try_from(bytes.len()).ok()?)?,
        };
        Some((header, options))
    }

    /// Makes the first `len` bytes linear.
    #[inline]
    fn pull(self, len: usize) -> Option<()> {
        let len = u32::try_from(len).ok()?;
        // SAFETY: Exclusive use by the type invariant.
        let linear = unsafe { (*self.as_ptr()).len.wrapping_sub((*self.as_ptr()).data_len) };
        if len <= linear {
            return Some(());
        }
        // SAFETY: As above.
        unsafe { bindings::mptcp_shim_skb_may_pull(self.as_ptr(), len) }.then_some(())
    }

    /// Whether the TCP checksum is right; TCP will not compute it again.
    #[inline]
    pub(crate) fn checksum_ok(self, family: u32) -> bool {
        // SAFETY: Exclusive use by the type invariant; called from LOCAL_IN with the transport
        // header set. CAST: AF_INET and AF_INET6 are small.
        unsafe { bindings::mptcp_shim_tcp_checksum_ok(self.as_ptr(), family as i32) }
    }

    /// Ones' complement sum of `len` payload bytes that begin `offset` bytes from the data pointer.
    pub(crate) fn payload_sum(self, offset: i32, len: i32) -> u32 {
        // SAFETY: Exclusive use by the type invariant; the range lies inside the buffer.
        unsafe { bindings::mptcp_shim_skb_payload_sum(self.as_ptr(), offset, len) }
    }

    /// Takes the MPTCP option, when it is all that is behind TCP's timestamps, off an incoming segment that
    /// has `options`, so that TCP finds the header that it predicts. A packet whose bytes others see, or
    /// whose checksum TCP is to verify, stays as it is.
    #[inline]
    pub(crate) fn take_option_off(self, options: &[u8]) {
        let less = tail_len(options);
        if less > 0 {
            let old = TCP_HEADER + options.len();
            // SAFETY: Exclusive use by the type invariant; `options` are the packet's, and linear. CAST: A
            // TCP header has at most 60 bytes.
            unsafe {
                bindings::mptcp_shim_tcp_header_shrink(self.as_ptr(), old as u32, less as u32)
            };
        }
    }

    /// Puts `option` behind TCP's own options on a segment that leaves, which may cost SACK blocks;
    /// without room or memory the packet stays as it is, and the answer is `false`.
    #[inline]
    pub(crate) fn add_option(self, ssk: Sock, option: &MptcpOption<'_>) -> bool {
        let len = option.padded_len();
        if let Some(gap) = self.open_gap(len) {
            let written = option.emit_padded(gap);
            debug_assert!(written == Some(len));
            return true;
        }
        let mut bytes = [0; OPTIONS_MAX];
        let written = option.emit_padded(&mut bytes);
        written
            .and_then(|len| bytes.get(..len))
            .is_some_and(|option| self.squeeze_in(ssk, option))
    }

    /// [`Self::add_option`] for the bytes of an option, a multiple of four.
    #[inline]
    pub(crate) fn add_option_bytes<const N: usize>(self, ssk: Sock, option: &[u8; N]) {
        match self.open_gap(N) {
            Some(gap) => gap.copy_from_slice(option),
            None => {
                self.squeeze_in(ssk, option);
            }
        }
    }

    /// Opens a gap of `len` bytes, a multiple of four, behind the options of an outgoing segment.
    ///
    /// Returns `None`, with the segment unchanged, when the header or the memory has no room.
    #[inline]
    fn open_gap<'a>(self, len: usize) -> Option<&'a mut [u8]> {
        // SAFETY: TCP has just written a whole header at the data pointer, in linear memory.
        let old = unsafe { usize::from(*(*self.as_ptr()).data.add(12) >> 4) * 4 };
        if old + len > TCP_HEADER + OPTIONS_MAX {
            return None;
        }
        // SAFETY: As above; `old` is the header's length. CAST: Both are at most 60.
        let gap =
            unsafe { bindings::mptcp_shim_tcp_header_grow(self.as_ptr(), old as u32, len as u32) };
        if gap.is_null() {
            return None;
        }
        // SAFETY: The gap has `len` bytes, which are the packet's own; headers stood there. The
        // caller is done with them before it lets go of the packet.
        Some(unsafe { core::slice::from_raw_parts_mut(gap.cast::<u8>(), len) })
    }

    /// Takes TCP's timestamps off a segment that leaves; `false`, with the segment unchanged, when it has
    /// none.
    #[cold]
    pub(crate) fn drop_timestamps(self, ssk: Sock) -> bool {
        let Some((block, used)) = self.outgoing().map(|(_, options)| copy_of(options)) else {
            return false;
        };
        let fits = self.leave_timestamps_out(0, block, used);
        if fits {
            self.renew_checksum(ssk);
        }
        fits
    }

    /// Takes the timestamps off a SYN-ACK that has its IP header already, if MP_CAPABLE would have no room
    /// beside them and a cookie of TCP Fast Open; `true` when that was done.
    ///
    /// RFC 8684, Appendix B.1.
    pub(crate) fn make_room_in_syn_ack(self, family: u32) -> bool {
        // The option with one key.
        const NEED: usize = 12;
        let mut whole = self;
        let Some((block, used)) = whole.incoming().map(|(_, options)| copy_of(options)) else {
            return false;
        };
        if used + NEED <= OPTIONS_MAX {
            return false;
        }
        let fits = self.leave_timestamps_out(self.network_header_len(), block, used);
        if fits {
            self.fix_ip_header(family);
        }
        fits
    }

    /// Writes the first `used` bytes of `block`, the options of a segment that leaves, again without
    /// timestamps; `false`, with the segment unchanged, when it has none. `below` is as in
    /// [`Self::grow_options`]; checksums are the caller's to renew.
    fn leave_timestamps_out(self, below: usize, mut block: [u8; OPTIONS_MAX], used: usize) -> bool {
        let Some(left) = drop_timestamps(&mut block, used) else {
            return false;
        };
        let fits = self.resize_header(below, TCP_HEADER + used, TCP_HEADER + left);
        if fits {
            self.set_options(below, block.get(..left).unwrap_or_default());
        }
        fits
    }

    /// Puts `option` in the place of SACK blocks; `false` when there are not enough of them.
    #[cold]
    fn squeeze_in(self, ssk: Sock, option: &[u8]) -> bool {
        let fits = self.grow_options(0, option);
        if fits {
            self.renew_checksum(ssk);
        }
        fits
    }

    /// Puts `option`, whose length is a multiple of four, behind the options of an outgoing segment.
    ///
    /// `below` header bytes lie in front of the TCP header (the IP header, when the packet already
    /// has one). SACK blocks give way when there is no room; without room the packet stays as it is, and
    /// the answer is `false`.
    #[inline]
    pub(crate) fn grow_options(self, below: usize, option: &[u8]) -> bool {
        let skb = self.as_ptr();
        // SAFETY: The TCP header is linear behind `below` bytes, as `outgoing` says.
        let old = unsafe { usize::from(*(*skb).data.add(below + 12) >> 4) * 4 };
        let mut block = [0u8; OPTIONS_MAX];
        // SAFETY: `old - 20` option bytes follow the header: at most 40, as the length has 4 bits.
        unsafe {
            core::ptr::copy_nonoverlapping(
                (*skb).data.add(below + TCP_HEADER),
                block.as_mut_ptr(),
                old - TCP_HEADER,
            );
        }
        let Some(used) = make_room(&mut block, old - TCP_HEADER, option.len()) else {
            return false;
        };
        let Some(place) = block.get_mut(used..used + option.len()) else {
            return false;
        };
        place.copy_from_slice(option);
        let new = TCP_HEADER + used + option.len();
        if !self.resize_header(below, old, new) {
            return false;
        }
        self.set_options(below, block.get(..new - TCP_HEADER).unwrap_or_default());
        true
    }

    /// Writes the sequence number of a segment that leaves, behind `below` bytes; checksums are the caller's
    /// to renew.
    pub(crate) fn set_seq(self, below: usize, seq: u32) {
        // SAFETY: A TCP header stands behind `below` linear bytes at the data pointer. It has no alignment
        // that bytes could miss.
        unsafe {
            let at = (*self.as_ptr()).data.add(below + 4);
            at.cast::<[u8; 4]>().write(seq.to_be_bytes());
        }
    }

    /// Writes all options of a segment whose header, behind `below` bytes, has room for just them.
    #[inline]
    fn set_options(self, below: usize, options: &[u8]) {
        let skb = self.as_ptr();
        let len = TCP_HEADER + options.len();
        // SAFETY: The header has `len` linear bytes behind `below`.
        unsafe {
            core::ptr::copy_nonoverlapping(
                options.as_ptr(),
                (*skb).data.add(below + TCP_HEADER),
                options.len(),
            );
            let offset = (*skb).data.add(below + 12);
            // CAST: At most 60 / 4.
            *offset = (*offset & 0x0f) | (((len / 4) as u8) << 4);
        }
    }

    /// Changes the length of the TCP header from `old` to `new` by moving what lies in front.
    #[inline]
    fn resize_header(self, below: usize, old: usize, new: usize) -> bool {
        let skb = self.as_ptr();
        // CAST: All lengths are at most some hundred bytes.
        // SAFETY: Exclusive use by the type invariant. TCP reserves MAX_TCP_HEADER in front of its
        // header, of which the IP and link headers and these 40 bytes use only a part; a header
        // that others share is copied first.
        unsafe {
            if let Some(more @ 1..) = new.checked_sub(old) {
                if bindings::mptcp_shim_skb_cow_head(skb, more as u32) != 0 {
                    return false;
                }
                bindings::mptcp_shim_skb_push(skb, more as u32);
                core::ptr::copy((*skb).data.add(more), (*skb).data, below + TCP_HEADER);
            } else if let Some(less @ 1..) = old.checked_sub(new) {
                core::ptr::copy((*skb).data, (*skb).data.add(less), below + TCP_HEADER);
                bindings::mptcp_shim_skb_pull(skb, less as u32);
            }
            bindings::mptcp_shim_skb_set_transport_header(skb, below as i32);
        }
        true
    }

    /// Offset of the TCP header from the start of the buffer.
    #[inline]
    fn transport_header(self) -> u16 {
        // SAFETY: Exclusive use by the type invariant; both members of the union are the same
        // headers.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_4
                .headers
                .as_ref()
                .transport_header
        }
    }

    /// Offset of the IP header from the start of the buffer.
    #[inline]
    fn network_header(self) -> u16 {
        // SAFETY: As for `transport_header`.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_4
                .headers
                .as_ref()
                .network_header
        }
    }

    /// Bytes of the IP header of a packet that has one.
    pub(crate) fn network_header_len(self) -> usize {
        usize::from(self.transport_header().wrapping_sub(self.network_header()))
    }

    /// Renews lengths and checksums after the TCP header behind an IP header has grown.
    pub(crate) fn fix_ip_header(self, family: u32) {
        // SAFETY: Exclusive use by the type invariant. CAST: Address families are small.
        unsafe { bindings::mptcp_shim_fix_ip_header(self.as_ptr(), family as i32) };
    }

    /// Whether the packet's IP header says TCP.
    #[inline]
    pub(crate) fn is_tcp(self, family: u32) -> bool {
        let skb = self.as_ptr();
        // SAFETY: The IP layer has set the network header and made the IP header linear.
        unsafe {
            let ip = (*skb).head.add(usize::from(self.network_header()));
            let at = if family == bindings::AF_INET { 9 } else { 6 };
            *ip.add(at) == 6
        }
    }

    /// Sum of the first `len` of the last `payload` bytes as the DSS checksum wants it.
    pub(crate) fn network_payload_sum(self, payload: u32, len: u32) -> u16 {
        // CAST: A packet has less than 2 GiB.
        network_sum(self.payload_sum(self.len().saturating_sub(payload) as i32, len as i32))
    }

    /// Writes the window field of an outgoing header at the data pointer.
    #[inline]
    pub(crate) fn set_window(self, window: u16) {
        let [high, low] = window.to_be_bytes();
        // SAFETY: TCP has written a whole header at the data pointer, as `outgoing` says.
        unsafe {
            *(*self.as_ptr()).data.add(14) = high;
            *(*self.as_ptr()).data.add(15) = low;
        }
    }

    /// Prepares the checksum that the device or the IP layer completes.
    #[inline]
    pub(crate) fn renew_checksum(self, sk: Sock) {
        // SAFETY: Exclusive use by the type invariant; the data pointer is at the TCP header.
        unsafe { bindings::mptcp_shim_tcp_checksum_partial(self.as_ptr(), sk.as_ptr()) };
    }

    /// Frees the buffer.
    #[inline]
    pub(crate) fn free(self) {
        // SAFETY: Exclusive use by the type invariant; the handle is not used again.
        unsafe { bindings::mptcp_shim_kfree_skb(self.as_ptr()) };
    }

    /// A second buffer over the same bytes.
    pub(crate) fn try_clone(self) -> Option<Self> {
        // SAFETY: Exclusive use by the type invariant; the new buffer is ours alone.
        unsafe { Self::from_raw(bindings::mptcp_shim_skb_clone(self.as_ptr())) }
    }

    /// Cuts the buffer to `len` bytes; `false` when memory is short.
    pub(crate) fn trim(self, len: u32) -> bool {
        // SAFETY: Exclusive use by the type invariant.
        unsafe { bindings::mptcp_shim_skb_trim(self.as_ptr(), len) == 0 }
    }

    /// Ends the buffer's accounting to its socket.
    #[inline]
    pub(crate) fn orphan(self) {
        // SAFETY: Exclusive use by the type invariant.
        unsafe { bindings::mptcp_shim_skb_orphan(self.as_ptr()) };
    }
}

/// Returns one of the kernel's sums as the DSS checksum wants it: folded, in network order.
pub(crate) fn network_sum(sum: u32) -> u16 {
    let folded = (sum & 0xffff) + (sum >> 16);
    // CAST: Folded twice, the sum has 16 bits.
    let folded = ((folded & 0xffff) + (folded >> 16)) as u16;
    folded.to_be()
}

/// A queue of buffers whose lock the caller holds.
#[derive(Clone, Copy)]
pub(crate) struct Queue(NonNull<bindings::sk_buff_head>);

impl Queue {
    /// The receive queue of a socket.
    ///
    /// # Locking
    ///
    /// The socket stays owned while the handle is used.
    #[inline]
    pub(crate) fn receive(sk: Sock) -> Option<Self> {
        NonNull::new(sk.receive_queue()).map(Self)
    }

    /// The first buffer, left in the queue.
    #[inline]
    pub(crate) fn first(self) -> Option<Skb> {
        self.end(|ends| ends.next)
    }

    /// The buffer at one end of the ring that the buffers and the head of the queue form.
    #[inline]
    fn end(
        self,
        choose: impl FnOnce(
            &bindings::sk_buff_head__bindgen_ty_1__bindgen_ty_1,
        ) -> *mut bindings::sk_buff,
    ) -> Option<Skb> {
        let head = self.0.as_ptr();
        // SAFETY: The queue's owner holds its lock, as `receive` asks; both members of the union
        // are the same two pointers, which lead to the head itself when the queue is empty.
        unsafe {
            if (*head).qlen == 0 {
                return None;
            }
            Skb::from_raw(choose(&(*head).__bindgen_anon_1.__bindgen_anon_1))
        }
    }

    /// The last buffer, left in the queue.
    #[inline]
    pub(crate) fn last(self) -> Option<Skb> {
        self.end(|ends| ends.prev)
    }

    /// Takes `skb` out.
    #[inline]
    pub(crate) fn unlink(self, skb: Skb) {
        // SAFETY: `skb` came from this queue; the queue's owner holds its lock.
        unsafe { bindings::mptcp_shim_skb_unlink(skb.as_ptr(), self.0.as_ptr()) };
    }
}
