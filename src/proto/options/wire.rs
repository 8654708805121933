// SPDX-License-Identifier: GPL-2.0

//! Reading and writing the fields of an option, without a way to fail loudly.
//!
//! [`Reader`] and [`Writer`] walk a byte string from its start. Every step says whether the bytes
//! were there; nothing indexes and nothing panics. After inlining, a caller that has compared the
//! length of the option with that of its form pays for no further check.
//!
//! C counterpart: `get_unaligned_be*` and `put_unaligned_be*`.

use super::ParseError;

/// TCP option kind of every MPTCP option.
///
/// RFC 8684, Section 7.1.
pub(super) const KIND: u8 = 30;

/// Subtype values: the upper four bits of the third byte of an option.
///
/// RFC 8684, Section 7.2.
pub(super) mod subtype {
    /// Multipath Capable.
    pub(crate) const MP_CAPABLE: u8 = 0x0;
    /// Join Connection.
    pub(crate) const MP_JOIN: u8 = 0x1;
    /// Data Sequence Signal.
    pub(crate) const DSS: u8 = 0x2;
    /// Add Address.
    pub(crate) const ADD_ADDR: u8 = 0x3;
    /// Remove Address.
    pub(crate) const REMOVE_ADDR: u8 = 0x4;
    /// Change Subflow Priority.
    pub(crate) const MP_PRIO: u8 = 0x5;
    /// Fallback.
    pub(crate) const MP_FAIL: u8 = 0x6;
    /// Fast Close.
    pub(crate) const MP_FASTCLOSE: u8 = 0x7;
    /// Subflow Reset.
    pub(crate) const MP_TCPRST: u8 = 0x8;
    /// Reserved for private use.
    pub(crate) const MP_EXPERIMENTAL: u8 = 0xf;
}

/// Takes fields off the front of an option.
pub(super) struct Reader<'a> {
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts behind kind and length of `option`.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`] if kind and length are not there.
    #[inline(always)]
    pub(super) fn new(option: &'a [u8]) -> Result<Self, ParseError> {
        match option {
            [_, _, rest @ ..] => Ok(Self { rest }),
            _ => Err(ParseError::BadLength),
        }
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`] if fewer are left.
    #[inline(always)]
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (field, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(ParseError::BadLength)?;
        self.rest = rest;
        Ok(*field)
    }

    /// Takes one byte.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    #[inline(always)]
    pub(super) fn u8(&mut self) -> Result<u8, ParseError> {
        self.bytes().map(u8::from_be_bytes)
    }

    /// Takes a 16-bit number.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    #[inline(always)]
    pub(super) fn u16(&mut self) -> Result<u16, ParseError> {
        self.bytes().map(u16::from_be_bytes)
    }

    /// Takes a 32-bit number.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    #[inline(always)]
    pub(super) fn u32(&mut self) -> Result<u32, ParseError> {
        self.bytes().map(u32::from_be_bytes)
    }

    /// Takes a 64-bit number.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    #[inline(always)]
    pub(super) fn u64(&mut self) -> Result<u64, ParseError> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// Takes a 16-bit number if any byte is left.
    ///
    /// # Errors
    ///
    /// As [`Reader::bytes`].
    #[inline(always)]
    pub(super) fn optional_u16(&mut self) -> Result<Option<u16>, ParseError> {
        if self.rest.is_empty() {
            Ok(None)
        } else {
            self.u16().map(Some)
        }
    }

    /// Takes everything that is left.
    #[inline(always)]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the option.
    ///
    /// # Errors
    ///
    /// [`ParseError::BadLength`] if bytes are left over.
    #[inline(always)]
    pub(super) fn end(self) -> Result<(), ParseError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ParseError::BadLength)
        }
    }
}

/// Puts fields one after the other into a buffer.
pub(super) struct Writer<'a> {
    /// What is not written yet.
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// Starts an arbitrary byte string at the start of `out`.
    #[inline(always)]
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out }
    }

    /// Starts an option of `len` bytes: writes kind, length, `subtype` and the four bits after it.
    ///
    /// Returns `None`, with nothing written, if `out` has no room for the whole option.
    #[inline(always)]
    pub(super) fn option(out: &'a mut [u8], len: usize, subtype: u8, low_bits: u8) -> Option<Self> {
        let length = u8::try_from(len).ok()?;
        let mut writer = Self::new(out.get_mut(..len)?);
        writer.bytes([KIND, length, (subtype << 4) | (low_bits & 0x0f)])?;
        Some(writer)
    }

    /// Puts `N` bytes, or returns `None` if they do not fit.
    #[inline(always)]
    pub(super) fn bytes<const N: usize>(&mut self, field: [u8; N]) -> Option<()> {
        let (head, rest) = core::mem::take(&mut self.rest).split_first_chunk_mut::<N>()?;
        *head = field;
        self.rest = rest;
        Some(())
    }

    /// Puts a byte string, or returns `None` if it does not fit.
    #[inline(always)]
    pub(super) fn slice(&mut self, field: &[u8]) -> Option<()> {
        let (head, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(field.len())?;
        for (to, from) in head.iter_mut().zip(field) {
            *to = *from;
        }
        self.rest = rest;
        Some(())
    }

    /// Puts one byte.
    #[inline(always)]
    pub(super) fn u8(&mut self, field: u8) -> Option<()> {
        self.bytes([field])
    }

    /// Puts a 16-bit number.
    #[inline(always)]
    pub(super) fn u16(&mut self, field: u16) -> Option<()> {
        self.bytes(field.to_be_bytes())
    }

    /// Puts a 32-bit number.
    #[inline(always)]
    pub(super) fn u32(&mut self, field: u32) -> Option<()> {
        self.bytes(field.to_be_bytes())
    }

    /// Puts a 64-bit number.
    #[inline(always)]
    pub(super) fn u64(&mut self, field: u64) -> Option<()> {
        self.bytes(field.to_be_bytes())
    }
}
