// SPDX-License-Identifier: GPL-2.0

//! MP_PRIO: asks the peer to treat a subflow as a backup, or no longer to.
//!
//! The option speaks of the subflow that carries it. RFC 6824 had a longer form that named another
//! subflow by the ID of its address; it is understood and never sent by this version's hosts.
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----+-+
//! |   Kind = 30   |  Length = 3   |  0x5  |(rsv)|B|
//! +---------------+---------------+-------+-----+-+
//!
//! +---------------+---------------+-------+-----+-+---------------+
//! |   Kind = 30   |  Length = 4   |  0x5  |(rsv)|B|   Address ID  |   RFC 6824
//! +---------------+---------------+-------+-----+-+---------------+
//! ```
//!
//! RFC 8684, Section 3.3.8.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::ids::AddressId;

/// Bit B: use the subflow as a backup only.
const BACKUP: u8 = 0x01;

/// An MP_PRIO option: 3 bytes, or 4 in the form of RFC 6824.
///
/// RFC 8684, Section 3.3.8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct MpPrio {
    /// The sender wants data on the subflow only if no other is usable.
    pub backup: bool,
    /// The subflow meant, if it is not the one that carries the option (RFC 6824 only).
    pub id: Option<AddressId>,
}

impl MpPrio {
    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 3 or 4 bytes.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        let backup = reader.u8()? & BACKUP != 0;
        let id = match reader.rest() {
            [] => None,
            [id] => Some(AddressId::new(*id)),
            _ => return Err(ParseError::BadLength),
        };
        Ok(Self { backup, id })
    }

    /// Returns the length of the option without padding, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        if self.id.is_some() {
            4
        } else {
            3
        }
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let mut writer = Writer::option(out, len, subtype::MP_PRIO, u8::from(self.backup))?;
        if let Some(id) = self.id {
            writer.u8(id.get())?;
        }
        Some(len)
    }
}
