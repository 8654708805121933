// SPDX-License-Identifier: GPL-2.0

//! Values that name things: keys, tokens, nonces, address IDs and message authentication codes.
//!
//! The two hosts of a connection exchange a [`Key`] each when they set it up. Everything else hangs
//! on the keys: a [`Token`] is a short digest of a key and names the connection when a subflow
//! joins it; a [`Nonce`] makes every join different; [`TruncatedHmac`] and [`Hmac`] prove that the
//! sender knows both keys. An [`AddressId`] names an address without spelling it, so that it means
//! the same on both sides of an address translator; the [`Address`] itself is sent where the peer
//! cannot see it in the IP header.
//!
//! How they are computed is in the module `keys`.
//!
//! RFC 8684, Sections 3.1, 3.2 and 3.4.
//!
//! C counterpart: `net/mptcp/crypto.c`, `net/mptcp/token.c`.

use core::fmt;
use core::num::NonZeroU64;

/// Returns whether two byte strings of one length are equal, in time independent of their content.
#[inline]
fn equals_in_constant_time<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let difference = a
        .iter()
        .zip(b.iter())
        .fold(0u8, |acc, (x, y)| acc | (x ^ y));
    // The barrier keeps the compiler from turning the fold into a loop that stops early.
    core::hint::black_box(difference) == 0
}

/// A key of one host for one connection: 64 random bits, sent in the clear when it is set up.
///
/// Never zero: zero is what an unset key looks like, and no host of ours generates it. The bytes on
/// the wire are the big-endian form of the number. It is a secret for as long as nobody listens,
/// so the debug form does not show it.
///
/// RFC 8684, Section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(NonZeroU64);

impl Key {
    /// Makes a key, or returns `None` for zero.
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Makes a key from a number that is known not to be zero.
    #[inline]
    #[must_use]
    pub const fn from_non_zero(value: NonZeroU64) -> Self {
        Self(value)
    }

    /// Makes a key from the eight bytes of the wire, or returns `None` for zero.
    #[inline]
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Option<Self> {
        Self::new(u64::from_be_bytes(bytes))
    }

    /// Returns the 64 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Returns the eight bytes as they are sent and hashed.
    #[inline]
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A token: names a connection to the host that generated the key it is derived from.
///
/// The 32 most significant bits of the SHA-256 digest of the key, host order.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Token(u32);

impl Token {
    /// Makes a token from its 32 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns the 32 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A random number of one host for one joining subflow: protects against replay of the handshake.
///
/// 32 bits, host order.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Nonce(u32);

impl Nonce {
    /// Makes a nonce from its 32 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns the 32 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An address ID: names one address of one host within one connection.
///
/// Zero is the address the first subflow was set up from.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AddressId(u8);

impl AddressId {
    /// The address of the first subflow.
    pub const INITIAL: Self = Self(0);

    /// Makes an address ID.
    #[inline]
    #[must_use]
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// Returns the value on the wire.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// An IP address, in the byte order of the wire.
///
/// RFC 8684, Section 3.4.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

/// A message authentication code of 64 bits, as the MP_JOIN SYN/ACK and ADD_ADDR carry it.
///
/// Which bits of the HMAC-SHA256 they are differs: the leftmost 64 in MP_JOIN, the rightmost 64 in
/// ADD_ADDR. All comparison is in constant time, `==` too.
///
/// RFC 8684, Sections 3.2 and 3.4.1.
#[derive(Clone, Copy, Eq, Debug)]
pub struct TruncatedHmac(u64);

impl TruncatedHmac {
    /// Makes a code from its 64 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Returns the 64 bits, in host order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns whether both codes are equal, in time independent of their content.
    #[inline]
    #[must_use]
    pub fn equals(self, other: Self) -> bool {
        equals_in_constant_time(&self.0.to_be_bytes(), &other.0.to_be_bytes())
    }
}

impl PartialEq for TruncatedHmac {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.equals(*other)
    }
}

/// A message authentication code of 160 bits, as the MP_JOIN ACK carries it.
///
/// The leftmost 160 bits of the HMAC-SHA256. All comparison is in constant time, `==` too.
///
/// RFC 8684, Section 3.2.
#[derive(Clone, Copy, Eq, Debug)]
pub struct Hmac([u8; 20]);

impl Hmac {
    /// Makes a code from its 20 bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the 20 bytes in the order of the wire.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 20] {
        self.0
    }

    /// Returns whether both codes are equal, in time independent of their content.
    #[inline]
    #[must_use]
    pub fn equals(self, other: Self) -> bool {
        equals_in_constant_time(&self.0, &other.0)
    }
}

impl PartialEq for Hmac {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.equals(*other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_zero_refused() {
        assert_eq!(Key::new(0), None);
        assert_eq!(Key::from_be_bytes([0; 8]), None);
        let key = Key::from_be_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(key, Key::new(0x0102_0304_0506_0708));
        assert_eq!(key.map(Key::to_be_bytes), Some([1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn key_debug_hides_it() {
        assert_eq!(format!("{:?}", Key::new(0x0102)), "Some(Key(..))");
    }

    #[test]
    fn codes_every_bit_counts() {
        let code = TruncatedHmac::new(0x0123_4567_89ab_cdef);
        assert!(code.equals(code));
        for bit in 0..64 {
            assert_ne!(code, TruncatedHmac::new(code.get() ^ (1 << bit)));
        }
        let code = Hmac::new([0x5a; 20]);
        assert!(code.equals(code));
        for at in 0..20 {
            for bit in 0..8 {
                let mut other = code.to_bytes();
                for byte in other.iter_mut().skip(at).take(1) {
                    *byte ^= 1 << bit;
                }
                assert_ne!(code, Hmac::new(other));
            }
        }
    }
}
