// SPDX-License-Identifier: GPL-2.0

//! MP_CAPABLE: offers Multipath TCP on a new connection and exchanges the keys.
//!
//! The option goes through the three segments of the TCP handshake, and once more on the first
//! data if the initiator sends first. Each time it says more: first the version and what the sender
//! wants, then the listener's key, then both keys, then the length of the data, in place of a DSS.
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-------+---------------+
//! |   Kind = 30   |    Length     |  0x0  |Version|A|B|C|D|E|F|G|H|
//! +---------------+---------------+-------+-------+---------------+
//! |         Option Sender's Key (8 bytes, if Length > 4)          |
//! +---------------------------------------------------------------+
//! |        Option Receiver's Key (8 bytes, if Length > 12)        |
//! +-------------------------------+-------------------------------+
//! | Data-Level Length (if L > 20) |     Checksum (if L > 22)      |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! Whether version and flags are acceptable is decided by the handshake, not here.
//!
//! RFC 8684, Section 3.1.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::ids::Key;

/// A version of Multipath TCP, 0..=15.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Version(u8);

impl Version {
    /// Version 0, of RFC 6824.
    pub const V0: Self = Self(0);

    /// Version 1, of RFC 8684.
    pub const V1: Self = Self(1);

    /// Makes a version, or returns `None` for a number above 15.
    #[inline]
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 0x0f {
            Some(Self(value))
        } else {
            None
        }
    }

    /// Returns the number of the version.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The flags of an MP_CAPABLE option: what the sender requires and refuses.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Bit A: checksum required.
    const CHECKSUM_REQUIRED: u8 = 0x80;
    /// Bit B: extensibility.
    const EXTENSIBILITY: u8 = 0x40;
    /// Bit C: no further subflows to the source address and port.
    const NO_JOINS: u8 = 0x20;
    /// Bits D to H: algorithms.
    const ALGORITHMS: u8 = 0x1f;
    /// Bit H: HMAC-SHA256.
    const HMAC_SHA256: u8 = 0x01;

    /// What an implementation without special wishes sends: HMAC-SHA256 and nothing else.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# It MUST be set to 0 for current implementations.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# An implementation that only
    //# supports this method MUST set bit "H" to 1 and bits "D"
    //# through "G" to 0.
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# A crypto algorithm MUST be specified.
    pub const DEFAULT: Self = Self(Self::HMAC_SHA256);

    /// Makes flags from the byte on the wire.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the byte on the wire.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns a copy with the bits of `mask` set or cleared.
    const fn with(self, mask: u8, set: bool) -> Self {
        if set {
            Self(self.0 | mask)
        } else {
            Self(self.0 & !mask)
        }
    }

    /// Tells whether the sender requires checksums (A).
    #[inline]
    #[must_use]
    pub const fn checksum_required(self) -> bool {
        self.0 & Self::CHECKSUM_REQUIRED != 0
    }

    /// Returns a copy with "checksum required" (A) set or cleared.
    #[inline]
    #[must_use]
    pub const fn with_checksum_required(self, set: bool) -> Self {
        self.with(Self::CHECKSUM_REQUIRED, set)
    }

    /// Tells whether the option follows an extension of the protocol (B).
    #[inline]
    #[must_use]
    pub const fn extensibility(self) -> bool {
        self.0 & Self::EXTENSIBILITY != 0
    }

    /// Tells whether the sender refuses further subflows to its source address and port (C).
    #[inline]
    #[must_use]
    pub const fn no_joins(self) -> bool {
        self.0 & Self::NO_JOINS != 0
    }

    /// Returns a copy with "no joins to this address and port" (C) set or cleared.
    #[inline]
    #[must_use]
    pub const fn with_no_joins(self, set: bool) -> Self {
        self.with(Self::NO_JOINS, set)
    }

    /// Tells whether HMAC-SHA256 is among the algorithms (H).
    #[inline]
    #[must_use]
    pub const fn hmac_sha256(self) -> bool {
        self.0 & Self::HMAC_SHA256 != 0
    }

    /// Returns the bits D to H, one for each algorithm, H the least significant one.
    #[inline]
    #[must_use]
    pub const fn algorithms(self) -> u8 {
        self.0 & Self::ALGORITHMS
    }
}

/// An MP_CAPABLE option: one form for each segment it is sent on.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MpCapable {
    /// On the SYN: 4 bytes.
    Syn {
        /// The version that the initiator proposes.
        version: Version,
        /// What the initiator requires and refuses.
        flags: Flags,
    },
    /// On the SYN/ACK: 12 bytes.
    ///
    /// A SYN of version 0 has this form too.
    SynAck {
        /// The version that the listener chooses.
        version: Version,
        /// What the listener requires and refuses.
        flags: Flags,
        /// The key of the listener.
        key: Key,
    },
    /// On the ACK that ends the handshake: 20 bytes.
    Ack {
        /// The version in use.
        version: Version,
        /// What both hosts agreed on.
        flags: Flags,
        /// The key of the initiator.
        sender_key: Key,
        /// The key of the listener.
        receiver_key: Key,
    },
    /// On the first data of the initiator: 22 bytes, or 24 with a checksum.
    AckData {
        /// The version in use.
        version: Version,
        /// What both hosts agreed on.
        flags: Flags,
        /// The key of the initiator.
        sender_key: Key,
        /// The key of the listener.
        receiver_key: Key,
        /// Length of the mapping that starts with the first byte of data, in bytes.
        data_len: u16,
        /// The DSS checksum of that mapping.
        checksum: Option<u16>,
    },
}

impl MpCapable {
    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// - [`ParseError::BadLength`]: not 4, 12, 20, 22 or 24 bytes.
    /// - [`ParseError::ZeroKey`]: a key is zero.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        let version = Version(reader.u8()? & 0x0f);
        let flags = Flags(reader.u8()?);
        let parsed = match option.len() {
            4 => Self::Syn { version, flags },
            12 => Self::SynAck {
                version,
                flags,
                key: read_key(&mut reader)?,
            },
            20 => Self::Ack {
                version,
                flags,
                sender_key: read_key(&mut reader)?,
                receiver_key: read_key(&mut reader)?,
            },
            22 | 24 => Self::AckData {
                version,
                flags,
                sender_key: read_key(&mut reader)?,
                receiver_key: read_key(&mut reader)?,
                data_len: reader.u16()?,
                checksum: reader.optional_u16()?,
            },
            _ => return Err(ParseError::BadLength),
        };
        reader.end()?;
        Ok(parsed)
    }

    /// Returns the length of the option without padding, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Syn { .. } => 4,
            Self::SynAck { .. } => 12,
            Self::Ack { .. } => 20,
            Self::AckData { checksum: None, .. } => 22,
            Self::AckData {
                checksum: Some(_), ..
            } => 24,
        }
    }

    /// Returns the version the option names.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> Version {
        match *self {
            Self::Syn { version, .. }
            | Self::SynAck { version, .. }
            | Self::Ack { version, .. }
            | Self::AckData { version, .. } => version,
        }
    }

    /// Returns the flags of the option.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> Flags {
        match *self {
            Self::Syn { flags, .. }
            | Self::SynAck { flags, .. }
            | Self::Ack { flags, .. }
            | Self::AckData { flags, .. } => flags,
        }
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let version = self.version().get();
        let mut writer = Writer::option(out, len, subtype::MP_CAPABLE, version)?;
        writer.u8(self.flags().bits())?;
        match *self {
            Self::Syn { .. } => {}
            Self::SynAck { key, .. } => writer.u64(key.get())?,
            Self::Ack {
                sender_key,
                receiver_key,
                ..
            } => {
                writer.u64(sender_key.get())?;
                writer.u64(receiver_key.get())?;
            }
            Self::AckData {
                sender_key,
                receiver_key,
                data_len,
                checksum,
                ..
            } => {
                writer.u64(sender_key.get())?;
                writer.u64(receiver_key.get())?;
                writer.u16(data_len)?;
                if let Some(checksum) = checksum {
                    writer.u16(checksum)?;
                }
            }
        }
        Some(len)
    }
}

/// Takes a key.
///
/// # Errors
///
/// - [`ParseError::BadLength`]: fewer than eight bytes are left.
/// - [`ParseError::ZeroKey`]: the key is zero.
#[inline]
fn read_key(reader: &mut Reader<'_>) -> Result<Key, ParseError> {
    Key::new(reader.u64()?).ok_or(ParseError::ZeroKey)
}
