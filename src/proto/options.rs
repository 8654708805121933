// SPDX-License-Identifier: GPL-2.0

//! The option codec: MPTCP options to bytes and back.
//!
//! Everything two MPTCP hosts tell each other travels in TCP options of kind 30. The upper four
//! bits of an option's third byte, the subtype, say which of the nine options it is; several of
//! them take different forms, told apart by their length:
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----------------------+
//! |   Kind = 30   |    Length     |Subtype|                       |
//! +---------------+---------------+-------+                       |
//! |            Subtype-specific data (variable length)            |
//! +---------------------------------------------------------------+
//! ```
//!
//! [`mptcp_options`] walks the options of a received segment; [`MptcpOption::emit_padded`] writes
//! one for a segment to send, and [`room`] makes space for it. The codec checks the shape of an
//! option and nothing else: whether it is allowed on this segment, in this state, with this key is
//! decided by the state machines that it is handed to. Reserved bits are ignored when read and
//! zero when written.
//!
//! RFC 8684, Section 3.
//!
//! C counterpart: `net/mptcp/options.c` (`mptcp_parse_option`, `mptcp_write_options`).
#![expect(
    clippy::len_without_is_empty,
    reason = "no option is empty: the shortest one has three bytes"
)]

use core::iter::FusedIterator;

pub mod add_addr;
pub mod brevity;
pub mod dss;
pub mod mp_capable;
pub mod mp_fail;
pub mod mp_fastclose;
pub mod mp_join;
pub mod mp_prio;
pub mod mp_tcprst;
pub mod remove_addr;
pub mod room;
mod wire;

pub use self::add_addr::AddAddr;
pub use self::dss::{
    DataAck,
    DsnField,
    Dss,
    DssMapping, //
};
pub use self::mp_capable::MpCapable;
pub use self::mp_fail::MpFail;
pub use self::mp_fastclose::MpFastclose;
pub use self::mp_join::MpJoin;
pub use self::mp_prio::MpPrio;
pub use self::mp_tcprst::MpTcprst;
pub use self::remove_addr::RemoveAddr;
use self::wire::{
    subtype,
    Writer,
    KIND, //
};

/// Most bytes of options that a TCP header has room for.
pub const MAX_BLOCK_LEN: usize = 40;

/// TCP option kind 0: ends the list of options.
const KIND_END: u8 = 0;

/// TCP option kind 1: one byte of padding.
const KIND_NOP: u8 = 1;

/// TCP option kind 8: timestamps.
const KIND_TIMESTAMPS: u8 = 8;

/// Length of timestamps with the two bytes of padding that TCP puts in front, in bytes.
const TIMESTAMPS_LEN: usize = 12;

/// The rule that a received option breaks.
///
/// RFC 8684, Section 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ParseError {
    /// The length is not that of any form of the option.
    BadLength,
    /// A key is zero, which no [`Key`](crate::ids::Key) is.
    ZeroKey,
}

/// One MPTCP option.
///
/// RFC 8684, Section 7.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MptcpOption<'a> {
    /// Sets a connection up.
    MpCapable(MpCapable),
    /// Adds a subflow to a connection.
    MpJoin(MpJoin),
    /// Maps data and acknowledges it.
    Dss(Dss),
    /// Announces an address, or echoes its announcement.
    AddAddr(AddAddr),
    /// Withdraws addresses.
    RemoveAddr(RemoveAddr<'a>),
    /// Changes the priority of a subflow.
    MpPrio(MpPrio),
    /// Reports a failed checksum.
    MpFail(MpFail),
    /// Closes the whole connection abruptly.
    MpFastclose(MpFastclose),
    /// Tells why a subflow is reset.
    MpTcprst(MpTcprst),
    /// An option of a private experiment: all of its bytes, kind and length included.
    Experimental(&'a [u8]),
    /// An option of a subtype that is not assigned.
    Unknown {
        /// The subtype, 0x9..=0xe.
        subtype: u8,
        /// All bytes of the option, kind and length included.
        option: &'a [u8],
    },
}

impl<'a> MptcpOption<'a> {
    /// Reads an option from all of its bytes, kind and length included.
    ///
    /// The form follows from the length of `option`; the caller has compared it with the length
    /// byte, and the kind with 30, as [`mptcp_options`] does.
    ///
    /// # Errors
    ///
    /// - [`ParseError::BadLength`]: the length is not that of a form of this option.
    /// - [`ParseError::ZeroKey`]: the option carries a key that is zero.
    #[inline]
    pub fn parse(option: &'a [u8]) -> Result<Self, ParseError> {
        let [_, _, first, ..] = option else {
            return Err(ParseError::BadLength);
        };
        match first >> 4 {
            // Nearly every option of a busy connection is a DSS, so it is tried first.
            subtype::DSS => Dss::parse(option).map(Self::Dss),
            other => Self::parse_control(other, option),
        }
    }

    /// Reads any option but DSS: out of line, to keep the path of data short.
    ///
    /// # Errors
    ///
    /// As [`MptcpOption::parse`].
    #[inline(never)]
    fn parse_control(subtype: u8, option: &'a [u8]) -> Result<Self, ParseError> {
        match subtype {
            subtype::MP_CAPABLE => MpCapable::parse(option).map(Self::MpCapable),
            subtype::MP_JOIN => MpJoin::parse(option).map(Self::MpJoin),
            subtype::DSS => Dss::parse(option).map(Self::Dss),
            subtype::ADD_ADDR => AddAddr::parse(option).map(Self::AddAddr),
            subtype::REMOVE_ADDR => RemoveAddr::parse(option).map(Self::RemoveAddr),
            subtype::MP_PRIO => MpPrio::parse(option).map(Self::MpPrio),
            subtype::MP_FAIL => MpFail::parse(option).map(Self::MpFail),
            subtype::MP_FASTCLOSE => MpFastclose::parse(option).map(Self::MpFastclose),
            subtype::MP_TCPRST => MpTcprst::parse(option).map(Self::MpTcprst),
            subtype::MP_EXPERIMENTAL => Ok(Self::Experimental(option)),
            subtype => Ok(Self::Unknown { subtype, option }),
        }
    }

    /// Returns the length of the option without padding, in bytes, kind and length included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Dss(dss) => dss.len(),
            control => control.control_len(),
        }
    }

    /// Returns the length of any option but DSS: out of line, as [`MptcpOption::parse_control`].
    #[inline(never)]
    fn control_len(&self) -> usize {
        match self {
            Self::Dss(dss) => dss.len(),
            Self::MpCapable(mp_capable) => mp_capable.len(),
            Self::MpJoin(mp_join) => mp_join.len(),
            Self::AddAddr(add_addr) => add_addr.len(),
            Self::RemoveAddr(remove_addr) => remove_addr.len(),
            Self::MpPrio(mp_prio) => mp_prio.len(),
            Self::MpFail(mp_fail) => mp_fail.len(),
            Self::MpFastclose(mp_fastclose) => mp_fastclose.len(),
            Self::MpTcprst(mp_tcprst) => mp_tcprst.len(),
            Self::Experimental(option) | Self::Unknown { option, .. } => option.len(),
        }
    }

    /// Returns the length of the option with its padding, in bytes: a multiple of four.
    #[inline]
    #[must_use]
    pub fn padded_len(&self) -> usize {
        round_up(self.len())
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Dss(dss) => dss.emit(out),
            control => control.emit_control(out),
        }
    }

    /// Writes any option but DSS: out of line, as [`MptcpOption::parse_control`].
    ///
    /// Returns `None` if `out` is too small.
    #[inline(never)]
    fn emit_control(&self, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Dss(dss) => dss.emit(out),
            Self::MpCapable(mp_capable) => mp_capable.emit(out),
            Self::MpJoin(mp_join) => mp_join.emit(out),
            Self::AddAddr(add_addr) => add_addr.emit(out),
            Self::RemoveAddr(remove_addr) => remove_addr.emit(out),
            Self::MpPrio(mp_prio) => mp_prio.emit(out),
            Self::MpFail(mp_fail) => mp_fail.emit(out),
            Self::MpFastclose(mp_fastclose) => mp_fastclose.emit(out),
            Self::MpTcprst(mp_tcprst) => mp_tcprst.emit(out),
            Self::Experimental(option) | Self::Unknown { option, .. } => {
                Writer::new(out).slice(option)?;
                Some(option.len())
            }
        }
    }

    /// Writes the option and fills up with NOP; returns the length of both, a multiple of four.
    ///
    /// Returns `None` if `out` is too small; what it holds is then unspecified.
    #[inline]
    pub fn emit_padded(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.emit(out)?;
        pad(out, len)
    }
}

/// Rounds a length up to the four bytes in which a TCP header counts.
#[inline]
const fn round_up(len: usize) -> usize {
    len.wrapping_add(3) & !3
}

/// Writes NOP from `from` up to the next multiple of four, and returns that position.
///
/// Returns `None` if `out` ends before it.
#[inline]
pub fn pad(out: &mut [u8], from: usize) -> Option<usize> {
    let end = round_up(from);
    // Not a loop, which the compiler would make a call of memset().
    match out.get_mut(from..end)? {
        [a] => *a = KIND_NOP,
        [a, b] => [*a, *b] = [KIND_NOP; 2],
        [a, b, c] => [*a, *b, *c] = [KIND_NOP; 3],
        _ => {}
    }
    Some(end)
}

/// Walks the MPTCP options of a segment: `block` is what follows the first 20 bytes of TCP header.
///
/// Options of other kinds are skipped. Whatever keeps TCP from reading further ends the walk
/// without an error, as it ends TCP's: the end-of-list option, a length below two, and an option
/// longer than what is left of the block. An option of kind 30 that makes no sense in itself is
/// reported, and the walk goes on behind it.
#[inline]
#[must_use]
pub fn mptcp_options(block: &[u8]) -> Iter<'_> {
    let rest = behind_timestamps(block);
    Iter { rest }
}

/// Returns the first MP_CAPABLE of a segment that can be read, if it has one; `block` as in
/// [`mptcp_options`].
#[inline]
#[must_use]
pub fn mp_capable(block: &[u8]) -> Option<MpCapable> {
    mptcp_options(block).find_map(|option| match option {
        Ok(MptcpOption::MpCapable(option)) => Some(option),
        _ => None,
    })
}

/// What follows the timestamps with which almost every segment begins, aligned so; all if it does not.
#[inline]
fn behind_timestamps(block: &[u8]) -> &[u8] {
    match block.split_first_chunk::<TIMESTAMPS_LEN>() {
        Some(([KIND_NOP, KIND_NOP, KIND_TIMESTAMPS, 10, ..], rest)) => rest,
        _ => block,
    }
}

/// Iterator over the MPTCP options of a segment, made by [`mptcp_options`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    /// What is not looked at yet.
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    /// Returns the bytes of the next MPTCP option: out of line, so that what they mean is found out
    /// where it is used.
    #[inline(never)]
    fn next_bytes(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.rest {
                [KIND_NOP, rest @ ..] => self.rest = rest,
                [kind, len, ..] if *kind != KIND_END && *len >= 2 => {
                    let Some((option, rest)) = self.rest.split_at_checked(usize::from(*len)) else {
                        break;
                    };
                    self.rest = rest;
                    if *kind == KIND {
                        return Some(option);
                    }
                }
                _ => break,
            }
        }
        self.rest = &[];
        None
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<MptcpOption<'a>, ParseError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_bytes().map(MptcpOption::parse)
    }
}

impl FusedIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    #[test]
    fn emit_short_buffer_none() {
        for vector in vectors() {
            for option in mptcp_options(vector.bytes).flatten() {
                let mut out = [0xaa; MAX_BLOCK_LEN];
                for len in 0..option.len() {
                    let (short, _) = out.split_at_mut(len);
                    assert_eq!(option.emit(short), None, "{} {len}", vector.name);
                    assert!(short.iter().all(|byte| *byte == 0xaa), "{}", vector.name);
                }
                let (fitting, _) = out.split_at_mut(option.len());
                assert_eq!(option.emit(fitting), Some(option.len()), "{}", vector.name);
            }
        }
    }

    #[test]
    fn emit_padded_multiple_of_four() {
        for vector in vectors() {
            for option in mptcp_options(vector.bytes).flatten() {
                let mut out = [0xaa; MAX_BLOCK_LEN];
                let len = option.emit_padded(&mut out);
                assert_eq!(len, Some(option.padded_len()), "{}", vector.name);
                assert_eq!(option.padded_len() % 4, 0, "{}", vector.name);
                assert!(option.padded_len() - option.len() < 4, "{}", vector.name);
                let mut found = mptcp_options(&out);
                assert_eq!(found.next(), Some(Ok(option)), "{}", vector.name);
            }
        }
    }

    #[test]
    fn parse_truncated_never_finds_more() {
        for vector in vectors() {
            let whole = mptcp_options(vector.bytes).count();
            for len in 0..vector.bytes.len() {
                let (start, _) = vector.bytes.split_at(len);
                assert!(mptcp_options(start).count() <= whole, "{}", vector.name);
            }
        }
    }

    #[test]
    fn parse_without_subtype_error() {
        assert_eq!(MptcpOption::parse(&[]), Err(ParseError::BadLength));
        assert_eq!(MptcpOption::parse(&[30]), Err(ParseError::BadLength));
        assert_eq!(MptcpOption::parse(&[30, 2]), Err(ParseError::BadLength));
    }

    #[test]
    fn remove_addr_limits() {
        assert_eq!(RemoveAddr::new(&[]), None);
        assert_eq!(RemoveAddr::MAX_IDS, 37);
        assert!(RemoveAddr::new(&[9; 37]).is_some());
        assert_eq!(RemoveAddr::new(&[9; 38]), None);
    }

    #[test]
    fn pad_past_the_end_none() {
        let mut out = [0; 7];
        assert_eq!(pad(&mut out, 3), Some(4));
        assert_eq!(pad(&mut out, 4), Some(4));
        assert_eq!(pad(&mut out, 5), None);
        assert_eq!(pad(&mut out, usize::MAX), None);
        assert_eq!(out, [0, 0, 0, 1, 0, 0, 0]);
    }
}
