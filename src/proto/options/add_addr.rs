// SPDX-License-Identifier: GPL-2.0

//! ADD_ADDR: announces one more address at which its sender can be reached.
//!
//! The announcement carries a code that only the two hosts of the connection can compute. It may
//! get lost with the pure ACK it travels on, so the peer echoes it, without the code. Family, port
//! and code are told apart by the length:
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-----+-+---------------+
//! |   Kind = 30   |    Length     |  0x3  |(rsv)|E|  Address ID   |
//! +---------------+---------------+-------+-----+-+---------------+
//! |           Address (IPv4: 4 bytes / IPv6: 16 bytes)            |
//! +-------------------------------+-------------------------------+
//! |   Port (2 bytes, optional)    |                               |
//! +-------------------------------+                               |
//! |             Truncated HMAC (8 bytes, if E = 0)                |
//! +---------------------------------------------------------------+
//!
//! Length          IPv4   IPv4 + port   IPv6   IPv6 + port
//!   announcement    16            18     28            30
//!   echo             8            10     20            22
//! ```
//!
//! RFC 8684, Section 3.4.1.

use super::wire::{
    subtype,
    Reader,
    Writer, //
};
use super::ParseError;
use crate::ids::{
    Address,
    AddressId,
    TruncatedHmac, //
};

/// Flag E: the option echoes an announcement.
const ECHO: u8 = 0x01;

/// An ADD_ADDR option.
///
/// RFC 8684, Section 3.4.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddAddr {
    /// Names the address.
    pub id: AddressId,
    /// The address.
    pub addr: Address,
    /// The port, host order; without one, the port of the subflow that carries the option.
    pub port: Option<u16>,
    /// The rightmost 64 bits of the sender's code; an option without it is an echo.
    pub hmac: Option<TruncatedHmac>,
}

impl AddAddr {
    /// Tells whether the option echoes an announcement (E).
    #[inline]
    #[must_use]
    pub const fn is_echo(&self) -> bool {
        self.hmac.is_none()
    }

    /// Returns the echo with which the receiver of this announcement answers.
    #[inline]
    #[must_use]
    pub const fn echo(self) -> Self {
        Self { hmac: None, ..self }
    }

    /// Reads the option from all of its bytes, kind and length included.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`]: not 16, 18, 28 or 30 bytes, or for an echo not 8, 10, 20 or 22.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(option)?;
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
        //# The other bits are currently unassigned; they
        //# MUST be set to 0 by a sender and MUST be ignored by the receiver.
        let is_echo = reader.u8()? & ECHO != 0;
        let id = AddressId::new(reader.u8()?);
        let (is_v6, has_port) = match (is_echo, option.len()) {
            (false, 16) | (true, 8) => (false, false),
            (false, 18) | (true, 10) => (false, true),
            (false, 28) | (true, 20) => (true, false),
            (false, 30) | (true, 22) => (true, true),
            _ => return Err(ParseError::BadLength),
        };
        let addr = if is_v6 {
            Address::V6(reader.bytes()?)
        } else {
            Address::V4(reader.bytes()?)
        };
        let port = if has_port { Some(reader.u16()?) } else { None };
        let hmac = if is_echo {
            None
        } else {
            Some(TruncatedHmac::new(reader.u64()?))
        };
        reader.end()?;
        Ok(Self {
            id,
            addr,
            port,
            hmac,
        })
    }

    /// Returns the length of the option without padding, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        let addr_len: usize = match self.addr {
            Address::V4(_) => 4,
            Address::V6(_) => 16,
        };
        let port_len = if self.port.is_some() { 2 } else { 0 };
        let hmac_len = if self.hmac.is_some() { 8 } else { 0 };
        // At most 30: no sum here overflows.
        addr_len
            .wrapping_add(4)
            .wrapping_add(port_len)
            .wrapping_add(hmac_len)
    }

    /// Writes the option to the start of `out` and returns its length, in bytes.
    ///
    /// Returns `None` if `out` is too small.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let flags = u8::from(self.is_echo());
        let mut writer = Writer::option(out, len, subtype::ADD_ADDR, flags)?;
        writer.u8(self.id.get())?;
        match self.addr {
            Address::V4(addr) => writer.bytes(addr)?,
            Address::V6(addr) => writer.bytes(addr)?,
        }
        if let Some(port) = self.port {
            writer.u16(port)?;
        }
        if let Some(hmac) = self.hmac {
            writer.u64(hmac.get())?;
        }
        Some(len)
    }
}
