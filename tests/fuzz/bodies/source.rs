// SPDX-License-Identifier: GPL-2.0

//! Values out of fuzzer input.

/// Hands out values from a byte string; when it is used up, every further byte is zero.
pub(crate) struct Source<'a> {
    /// What is not used yet.
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    /// Starts at the beginning of `data`.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Tells whether everything is used up.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the next `N` bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.u8())
    }

    /// Returns the next byte.
    pub(crate) fn u8(&mut self) -> u8 {
        match self.rest {
            [first, rest @ ..] => {
                self.rest = rest;
                *first
            }
            [] => 0,
        }
    }

    /// Returns the next bit of information, at the price of a byte.
    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// Returns the next 16-bit number.
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes())
    }

    /// Returns the next 32-bit number.
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    /// Returns the next 64-bit number.
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// Returns up to `most` bytes as they are.
    pub(crate) fn slice(&mut self, most: usize) -> &'a [u8] {
        let (slice, rest) = self.rest.split_at(self.rest.len().min(most));
        self.rest = rest;
        slice
    }
}
