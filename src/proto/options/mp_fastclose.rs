// SPDX-License-Identifier: GPL-2.0

//! MP_FASTCLOSE: closes the whole connection at once, as a RST closes a TCP connection.
//!
//! It proves its right to do so with the key of its receiver.
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----------------------+
//! |   Kind = 30   |  Length = 12  |  0x7  |      (reserved)       |
//! +---------------+---------------+-------+-----------------------+
//! |                Option Receiver's Key (64 bits)                |
//! +---------------------------------------------------------------+
//! ```
//!
//! RFC 8684, Section 3.5.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::ids::Key;

/// An MP_FASTCLOSE option: 12 bytes.
///
/// RFC 8684, Section 3.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpFastclose {
    /// The key of the host the option is sent to.
    pub receiver_key: Key,
}

impl MpFastclose {
    /// Length of the option, in bytes.
    const LEN: usize = 12;

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// - [`ParseError::BadLength`]: not 12 bytes.
    /// - [`ParseError::ZeroKey`]: the key is zero.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        reader.u16()?;
        let key = reader.u64()?;
        reader.end()?;
        let receiver_key = Key::new(key).ok_or(ParseError::ZeroKey)?;
        Ok(Self { receiver_key })
    }

    /// Returns the length of the option, in bytes: a multiple of four.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        Self::LEN
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::option(out, Self::LEN, subtype::MP_FASTCLOSE, 0)?;
        writer.u8(0)?;
        writer.u64(self.receiver_key.get())?;
        Some(Self::LEN)
    }
}
