// SPDX-License-Identifier: GPL-2.0

//! REMOVE_ADDR: withdraws addresses, with the subflows that use them.
//!
//! Addresses are named by their IDs alone, so that translators on the way do not matter. The
//! length tells how many there are:
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-------+---------------+
//! |   Kind = 30   |Length = 3 + n |  0x4  | (rsv) |   Address ID  | ... n - 1 more Address IDs
//! +---------------+---------------+-------+-------+---------------+
//! ```
//!
//! RFC 8684, Section 3.4.2.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::{
    ParseError,
    MAX_BLOCK_LEN, //
};
use crate::ids::AddressId;

/// A REMOVE_ADDR option: 4..=40 bytes. The C tree calls it RM_ADDR.
///
/// RFC 8684, Section 3.4.2.
#[doc(alias = "RM_ADDR")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoveAddr<'a> {
    /// The address IDs as they are on the wire; 1..=37 of them.
    ids: &'a [u8],
}

impl<'a> RemoveAddr<'a> {
    /// Most address IDs that one option carries.
    pub const MAX_IDS: usize = MAX_BLOCK_LEN - Self::HEADER_LEN;

    /// Bytes in front of the address IDs.
    const HEADER_LEN: usize = 3;

    /// Makes an option that withdraws the addresses named by `ids`.
    ///
    /// Returns `None` unless there are 1..=[`RemoveAddr::MAX_IDS`] of them.
    #[inline]
    #[must_use]
    pub const fn new(ids: &'a [u8]) -> Option<Self> {
        if ids.is_empty() || ids.len() > Self::MAX_IDS {
            None
        } else {
            Some(Self { ids })
        }
    }

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 4..=40 bytes.
    #[inline]
    pub fn parse(option: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        reader.u8()?;
        Self::new(reader.rest()).ok_or(ParseError::BadLength)
    }

    /// Returns the address IDs, in the order of the option; one may be there twice.
    #[inline]
    pub fn ids(&self) -> impl ExactSizeIterator<Item = AddressId> + Clone + 'a {
        self.ids.iter().map(|id| AddressId::new(*id))
    }

    /// Returns the length of the option without padding, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        // At most 40: the sum does not overflow.
        self.ids.len().wrapping_add(Self::HEADER_LEN)
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let mut writer = Writer::option(out, len, subtype::REMOVE_ADDR, 0)?;
        writer.slice(self.ids)?;
        Some(len)
    }
}
