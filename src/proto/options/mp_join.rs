// SPDX-License-Identifier: GPL-2.0

//! MP_JOIN: adds a subflow to a connection.
//!
//! The SYN names the connection by the token of the host it is sent to; then both hosts prove, by a
//! code computed over both nonces, that they know both keys. The three forms have three lengths:
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----+-+---------------+
//! |   Kind = 30   |  Length = 12  |  0x1  |(rsv)|B|   Address ID  |   SYN
//! +---------------+---------------+-------+-----+-+---------------+
//! |                   Receiver's Token (32 bits)                  |
//! +---------------------------------------------------------------+
//! |                Sender's Random Number (32 bits)               |
//! +---------------------------------------------------------------+
//!
//! +---------------+---------------+-------+-----+-+---------------+
//! |   Kind = 30   |  Length = 16  |  0x1  |(rsv)|B|   Address ID  |   SYN/ACK
//! +---------------+---------------+-------+-----+-+---------------+
//! |                Sender's Truncated HMAC (64 bits)              |
//! +---------------------------------------------------------------+
//! |                Sender's Random Number (32 bits)               |
//! +---------------------------------------------------------------+
//!
//! +---------------+---------------+-------+-----------------------+
//! |   Kind = 30   |  Length = 24  |  0x1  |      (reserved)       |   ACK
//! +---------------+---------------+-------+-----------------------+
//! |              Sender's Truncated HMAC (160 bits)               |
//! +---------------------------------------------------------------+
//! ```
//!
//! The codes are computed in the module `keys`.
//!
//! RFC 8684, Section 3.2.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::ids::{
    AddressId,
    Hmac,
    Nonce,
    Token,
    TruncatedHmac, //
};

/// Bit B: use this subflow as a backup only.
const BACKUP: u8 = 0x01;

/// An MP_JOIN option: one form for each segment of the handshake.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MpJoin {
    /// On the SYN: 12 bytes.
    Syn {
        /// The sender wants data on this subflow only if no other is usable.
        backup: bool,
        /// Names the source address.
        id: AddressId,
        /// Names the connection to the receiver.
        token: Token,
        /// The random number of the initiator of this subflow.
        nonce: Nonce,
    },
    /// On the SYN/ACK: 16 bytes.
    SynAck {
        /// The sender wants data on this subflow only if no other is usable.
        backup: bool,
        /// Names the source address.
        id: AddressId,
        /// The leftmost 64 bits of the sender's code.
        hmac: TruncatedHmac,
        /// The random number of the host that answers.
        nonce: Nonce,
    },
    /// On the ACK that ends the handshake: 24 bytes.
    Ack {
        /// The leftmost 160 bits of the sender's code.
        hmac: Hmac,
    },
}

impl MpJoin {
    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 12, 16 or 24 bytes.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        let backup = reader.u8()? & BACKUP != 0;
        let id = AddressId::new(reader.u8()?);
        let parsed = match option.len() {
            12 => Self::Syn {
                backup,
                id,
                token: Token::new(reader.u32()?),
                nonce: Nonce::new(reader.u32()?),
            },
            16 => Self::SynAck {
                backup,
                id,
                hmac: TruncatedHmac::new(reader.u64()?),
                nonce: Nonce::new(reader.u32()?),
            },
            24 => Self::Ack {
                hmac: Hmac::new(reader.bytes()?),
            },
            _ => return Err(ParseError::BadLength),
        };
        reader.end()?;
        Ok(parsed)
    }

    /// Returns the length of the option, in bytes: a multiple of four.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Syn { .. } => 12,
            Self::SynAck { .. } => 16,
            Self::Ack { .. } => 24,
        }
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //# The
        //# reserved bits in this option MUST be set to 0 by the sender.
        let len = self.len();
        match *self {
            Self::Syn {
                backup,
                id,
                token,
                nonce,
            } => {
                //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
                //# 3 of which are currently reserved and MUST be set to
                //# 0 by the sender.
                let mut writer = Writer::option(out, len, subtype::MP_JOIN, u8::from(backup))?;
                writer.u8(id.get())?;
                writer.u32(token.get())?;
                writer.u32(nonce.get())?;
            }
            Self::SynAck {
                backup,
                id,
                hmac,
                nonce,
            } => {
                let mut writer = Writer::option(out, len, subtype::MP_JOIN, u8::from(backup))?;
                writer.u8(id.get())?;
                writer.u64(hmac.get())?;
                writer.u32(nonce.get())?;
            }
            Self::Ack { hmac } => {
                let mut writer = Writer::option(out, len, subtype::MP_JOIN, 0)?;
                writer.u8(0)?;
                writer.bytes(hmac.to_bytes())?;
            }
        }
        Some(len)
    }
}
