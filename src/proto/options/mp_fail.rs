// SPDX-License-Identifier: GPL-2.0

//! MP_FAIL: reports that the data of a mapping did not fit its checksum.
//!
//! Somebody on the path changes the payload. The option names where the damage begins; what
//! follows there is either a reset of the subflow or the fallback to regular TCP.
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----------------------+
//! |   Kind = 30   |  Length = 12  |  0x6  |      (reserved)       |
//! +---------------+---------------+-------+-----------------------+
//! |                 Data Sequence Number (8 bytes)                |
//! +---------------------------------------------------------------+
//! ```
//!
//! RFC 8684, Section 3.7.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::seq::DataSeq;

/// An MP_FAIL option: 12 bytes.
///
/// RFC 8684, Section 3.7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct MpFail {
    /// Data sequence number of the first byte of the mapping whose checksum failed.
    pub dsn: DataSeq,
}

impl MpFail {
    /// Length of the option, in bytes.
    const LEN: usize = 12;

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 12 bytes.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        reader.u16()?;
        let dsn = DataSeq::new(reader.u64()?);
        reader.end()?;
        Ok(Self { dsn })
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
        let mut writer = Writer::option(out, Self::LEN, subtype::MP_FAIL, 0)?;
        writer.u8(0)?;
        writer.u64(self.dsn.get())?;
        Some(Self::LEN)
    }
}
