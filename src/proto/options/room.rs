// SPDX-License-Identifier: GPL-2.0

//! Room for an MPTCP option in a TCP header that TCP has filled already.
//!
//! A header holds 40 bytes of options. With timestamps and three SACK blocks all of them are in
//! use. SACK is advice, so it gives way: its last blocks are the oldest news, and a receiver
//! repeats every block in later segments.
//!
//! ```text
//! before   NOP NOP 8 10 ts ts | NOP NOP 5 26 block 1, block 2, block 3     40 bytes
//! after    NOP NOP 8 10 ts ts | NOP NOP 5 10 block 1 | 16 bytes for DSS    40 bytes
//! ```
//!
//! A SYN/ACK has no SACK blocks. If it carries a cookie of TCP Fast Open, its timestamps give way, and the
//! connection does without them.
//!
//! RFC 8684, Section 3 and Appendix B.1; RFC 2018, Sections 3 and 4.
//!
//! C counterpart: `mptcp_established_options` with `tcp_established_options`, which offers SACK
//! what MPTCP leaves.

use super::wire::KIND;
use super::{
    behind_timestamps,
    KIND_END,
    KIND_NOP,
    KIND_TIMESTAMPS,
    MAX_BLOCK_LEN,
    TIMESTAMPS_LEN, //
};

/// TCP option kind 5: selective acknowledgment.
const KIND_SACK: u8 = 5;

/// TCP option kind 4: SACK may be used.
const KIND_SACK_PERMITTED: u8 = 4;

/// Length of timestamps without padding, in bytes.
const TIMESTAMPS_ONLY_LEN: u8 = 10;

/// Length of kind and length of a SACK option, in bytes.
const SACK_HEADER_LEN: usize = 2;

/// Length of one SACK block, in bytes.
const SACK_BLOCK_LEN: usize = 8;

/// Length of the NOPs that usually align a SACK option, in bytes.
const NOPS_LEN: usize = 2;

/// Where the SACK option of a block of options is.
struct Sack {
    /// Position of its kind.
    start: usize,
    /// How many blocks it has.
    blocks: usize,
    /// The two NOPs that align it are directly in front of it.
    aligned: bool,
}

impl Sack {
    /// Finds the SACK option, or returns `None` if there is none or it is malformed.
    fn find(block: &[u8]) -> Option<Self> {
        let mut at = 0usize;
        let mut nops = 0usize;
        loop {
            match block.get(at..)? {
                [KIND_NOP, ..] => {
                    nops = nops.wrapping_add(1);
                    at = at.wrapping_add(1);
                }
                [KIND_SACK, len, ..] => {
                    let len = usize::from(*len);
                    let body = len.checked_sub(SACK_HEADER_LEN)?;
                    if body % SACK_BLOCK_LEN != 0 || at.wrapping_add(len) > block.len() {
                        return None;
                    }
                    return Some(Self {
                        start: at,
                        blocks: body / SACK_BLOCK_LEN,
                        aligned: nops >= NOPS_LEN,
                    });
                }
                [kind, len, ..] if *kind != KIND_END && *len >= 2 => {
                    nops = 0;
                    at = at.wrapping_add(usize::from(*len));
                }
                _ => return None,
            }
        }
    }
}

/// Makes room for `need` bytes behind the first `used` bytes of `block`, at the cost of SACK.
///
/// Returns the new number of bytes in use, a multiple of four that leaves `need` of the 40 bytes.
/// As few SACK blocks as possible are dropped, the last ones first; with the last of them go the
/// option itself and the two NOPs in front of it. Every other option is kept, byte by byte; one
/// that stands behind the SACK option moves forward.
///
/// `used` and `need` are in bytes. Returns `None`, with nothing changed, if there is no way: `used`
/// or `need` is no multiple of four, `block` is shorter than `used`, or SACK is not the one that
/// takes the space.
#[inline]
pub fn make_room(block: &mut [u8], used: usize, need: usize) -> Option<usize> {
    if used % 4 != 0 || need % 4 != 0 || used > block.len() {
        return None;
    }
    match used.checked_add(need)?.checked_sub(MAX_BLOCK_LEN) {
        None | Some(0) => Some(used),
        Some(excess) => shorten_sack(block, used, excess),
    }
}

/// Returns how many bytes at the end of a segment's options are one MPTCP option with its padding, if
/// nothing but TCP's timestamps is in front of it: without them the header is as TCP alone would have
/// written it. Zero otherwise.
#[inline]
#[must_use]
pub fn tail_len(options: &[u8]) -> usize {
    let tail = behind_timestamps(options);
    match tail {
        [KIND, len, ..] if tail.len().wrapping_sub(usize::from(*len)) < 4 => tail.len(),
        _ => 0,
    }
}

/// Takes at least `excess` bytes from the SACK option: the slow half of [`make_room`].
#[cold]
fn shorten_sack(block: &mut [u8], used: usize, excess: usize) -> Option<usize> {
    let sack = Sack::find(block.get(..used)?)?;
    let dropped = excess.div_ceil(SACK_BLOCK_LEN);
    // No arithmetic below overflows: everything is a position in, or a part of, 40 bytes.
    let (from, len) = if dropped < sack.blocks {
        let kept = sack.blocks.wrapping_sub(dropped);
        let kept_len = SACK_HEADER_LEN.wrapping_add(kept.wrapping_mul(SACK_BLOCK_LEN));
        *block.get_mut(sack.start.wrapping_add(1))? = u8::try_from(kept_len).ok()?;
        let from = sack.start.wrapping_add(kept_len);
        (from, dropped.wrapping_mul(SACK_BLOCK_LEN))
    } else {
        let blocks_len = sack.blocks.wrapping_mul(SACK_BLOCK_LEN);
        let header = sack.start..sack.start.wrapping_add(SACK_HEADER_LEN);
        let (from, len) = if sack.aligned {
            let len = blocks_len.wrapping_add(NOPS_LEN + SACK_HEADER_LEN);
            (header.start.wrapping_sub(NOPS_LEN), len)
        } else {
            // Without its two NOPs the header is no multiple of four: it becomes padding.
            (header.end, blocks_len)
        };
        if len < excess {
            return None;
        }
        for byte in block.get_mut(header)? {
            *byte = KIND_NOP;
        }
        (from, len)
    };
    close_gap(block.get_mut(..used)?, from, len)?;
    used.checked_sub(len)
}

/// Moves what follows the `len` bytes at `from` forward over them.
fn close_gap(block: &mut [u8], from: usize, len: usize) -> Option<()> {
    let tail = block.get_mut(from..)?;
    let moved = tail.len().checked_sub(len)?;
    for to in 0..moved {
        let byte = *tail.get(to.wrapping_add(len))?;
        *tail.get_mut(to)? = byte;
    }
    Some(())
}

/// Takes the timestamps off the first `used` bytes of `block`, the options of a SYN/ACK, and returns how many
/// are in use then.
///
/// TCP aligns them with what stands in front: two NOPs, which go as well, or SACK-permitted, which gets NOPs
/// of its own:
///
/// ```text
/// before   2 4 mss | 4 2 8 10 ts ts | 1 3 3 scale      20 bytes
/// after    2 4 mss | 1 1 4 2        | 1 3 3 scale      12 bytes
/// ```
///
/// Returns `None`, with nothing changed, if there are none so.
pub fn drop_timestamps(block: &mut [u8], used: usize) -> Option<usize> {
    let start = find(block.get(..used)?, KIND_TIMESTAMPS)?;
    let in_front = start.checked_sub(NOPS_LEN)?;
    let rest = block.get(in_front..used)?;
    // No arithmetic below overflows: everything is a position in, or a part of, 40 bytes.
    let (from, len) = match rest {
        [KIND_NOP, KIND_NOP, _, TIMESTAMPS_ONLY_LEN, ..] => (in_front, TIMESTAMPS_LEN),
        [KIND_SACK_PERMITTED, 2, _, TIMESTAMPS_ONLY_LEN, ..] => {
            (start.wrapping_add(2), TIMESTAMPS_LEN.wrapping_sub(4))
        }
        _ => return None,
    };
    if from.wrapping_add(len) > used {
        return None;
    }
    if from != in_front {
        let aligned = [KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2];
        block.get_mut(in_front..from)?.copy_from_slice(&aligned);
    }
    close_gap(block.get_mut(..used)?, from, len)?;
    used.checked_sub(len)
}

/// Where the first option of a kind begins.
fn find(block: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0usize;
    loop {
        at = match block.get(at..)? {
            [KIND_END, ..] => return None,
            [KIND_NOP, ..] => at.wrapping_add(1),
            [kind, ..] if *kind == wanted => return Some(at),
            [_, len, ..] if *len >= 2 => at.wrapping_add(usize::from(*len)),
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NOP, NOP and timestamps.
    const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

    /// Timestamps (if wanted), then NOP, NOP and a SACK option of `blocks` blocks, then `tail`.
    fn block(timestamps: bool, blocks: u8, tail: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        if timestamps {
            block.extend(TIMESTAMPS);
        }
        if blocks > 0 {
            block.extend([1, 1, 5, 2 + 8 * blocks]);
            for number in 1..=blocks {
                block.extend([number; 8]);
            }
        }
        block.extend(tail);
        block
    }

    #[test]
    fn tail_is_one_mptcp_option_behind_timestamps_or_nothing() {
        let ack = [30, 8, 0x20, 1, 0, 0, 0, 9];
        let padded = [30, 6, 0x40, 2, 3, 4, 1, 1];
        for option in [&ack[..], &padded] {
            assert_eq!(tail_len(option), 8);
            assert_eq!(tail_len(&block(true, 0, option)), 8);
            // TCP's own options would be another header than TCP predicts.
            assert_eq!(tail_len(&block(true, 1, option)), 0);
            assert_eq!(tail_len(&block(false, 1, option)), 0);
        }
        assert_eq!(tail_len(&[ack, ack].concat()), 0);
        assert_eq!(tail_len(&TIMESTAMPS), 0);
        assert_eq!(tail_len(&[]), 0);
        // Longer than what is there, or shorter than an option can be.
        assert_eq!(tail_len(&[30, 9, 0x20, 1, 0, 0, 0, 9]), 0);
        assert_eq!(tail_len(&[30, 0, 0, 0]), 0);
        assert_eq!(tail_len(&[30]), 0);
    }

    /// Makes room and returns what is in use then.
    fn with_room(mut block: Vec<u8>, need: usize) -> Option<Vec<u8>> {
        let used = block.len();
        block.resize(40, 0xee);
        let untouched = block.clone();
        match make_room(&mut block, used, need) {
            Some(used) => {
                assert!(used % 4 == 0 && used + need <= 40);
                block.truncate(used);
                Some(block)
            }
            None => {
                assert_eq!(block, untouched);
                None
            }
        }
    }

    #[test]
    fn room_there_already_unchanged() {
        assert_eq!(with_room(vec![], 40), Some(vec![]));
        let full = block(true, 1, &[]);
        assert_eq!(with_room(full.clone(), 16), Some(full));
    }

    #[test]
    fn sack_gives_way_last_blocks_first() {
        // (timestamps, blocks, bytes needed, blocks left)
        let table = [
            (true, 3, 4, 2),
            (true, 3, 8, 2),
            (true, 3, 12, 1),
            (true, 3, 16, 1),
            (true, 3, 20, 0),
            (true, 3, 28, 0),
            (true, 2, 12, 1),
            (true, 1, 20, 0),
            (false, 4, 4, 4),
            (false, 4, 8, 3),
            (false, 4, 12, 3),
            (false, 4, 28, 1),
            (false, 4, 32, 0),
            (false, 4, 40, 0),
        ];
        for (timestamps, blocks, need, left) in table {
            assert_eq!(
                with_room(block(timestamps, blocks, &[]), need),
                Some(block(timestamps, left, &[])),
                "{timestamps} {blocks} {need}"
            );
        }
    }

    #[test]
    fn option_behind_sack_moves_up() {
        let tail = [1, 1, 1, 99, 4, 7, 7, 1];
        assert_eq!(
            with_room(block(true, 2, &tail), 8),
            Some(block(true, 1, &tail))
        );
        assert_eq!(
            with_room(block(true, 2, &tail), 20),
            Some(block(true, 0, &tail))
        );
    }

    #[test]
    fn sack_without_nops_becomes_padding() {
        let mut before = vec![2, 4, 5, 180, 3, 3, 7, 1, 5, 10];
        before.extend([9; 8]);
        before.extend([1, 1]);
        assert_eq!(
            with_room(before, 28),
            Some(vec![2, 4, 5, 180, 3, 3, 7, 1, 1, 1, 1, 1])
        );
    }

    /// Drops the timestamps and returns what is in use then.
    fn without_timestamps(options: &[u8]) -> Option<Vec<u8>> {
        let mut block = options.to_vec();
        block.resize(40, 0xee);
        let untouched = block.clone();
        let used = drop_timestamps(&mut block, options.len());
        if used.is_none() {
            assert_eq!(block, untouched);
        }
        used.and_then(|used| block.get(..used).map(<[u8]>::to_vec))
    }

    #[test]
    fn timestamps_of_a_syn_ack_leave_what_was_beside_them() {
        let mut options = vec![2, 4, 5, 180];
        options.extend([4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]);
        let left = [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7];
        assert_eq!(without_timestamps(&options), Some(left.to_vec()));
        options.splice(4..6, [1, 1]);
        let left = [2, 4, 5, 180, 1, 3, 3, 7];
        assert_eq!(without_timestamps(&options), Some(left.to_vec()));
    }

    #[test]
    fn timestamps_missing_or_malformed_none() {
        assert_eq!(without_timestamps(&[]), None);
        assert_eq!(without_timestamps(&[2, 4, 5, 180, 1, 1, 4, 2]), None);
        assert_eq!(without_timestamps(&TIMESTAMPS[2..]), None);
        assert_eq!(without_timestamps(&TIMESTAMPS[..8]), None);
        assert_eq!(
            without_timestamps(&[1, 1, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0]),
            None
        );
        assert_eq!(
            without_timestamps(&[1, 0, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
            None
        );
        assert_eq!(
            without_timestamps(&[3, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
            None
        );
        assert_eq!(drop_timestamps(&mut [1; 8], 12), None);
    }

    #[test]
    fn no_way_none() {
        assert_eq!(with_room(block(true, 0, &[]), 32), None);
        assert_eq!(with_room(block(true, 3, &[]), 32), None);
        assert_eq!(with_room(block(true, 3, &[]), 44), None);
        assert_eq!(with_room(block(true, 3, &[]), 6), None);
        assert_eq!(with_room(vec![1, 1, 1], 4), None);
        // A SACK option that is malformed, cut off, or behind the end of the list.
        let mut bad = block(false, 4, &[]);
        bad.resize(36, 0);
        for (at, value) in [(3, 33), (3, 42), (3, 0), (0, 0)] {
            let mut bad = bad.clone();
            for byte in bad.iter_mut().skip(at).take(1) {
                *byte = value;
            }
            assert_eq!(with_room(bad, 8), None);
        }
        assert_eq!(make_room(&mut [1; 8], 12, 4), None);
        assert_eq!(make_room(&mut [1; 8], 8, usize::MAX - 3), None);
    }
}
