// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers of a connection and of a subflow, and their arithmetic modulo 2^64 and 2^32.
//!
//! A connection numbers its bytes with 64-bit data sequence numbers ([`DataSeq`]). Every subflow
//! numbers the bytes it carries with the 32-bit numbers of TCP; options name them relative to the
//! start of the subflow ([`SubflowSeq`]). Both spaces wrap, so there is no smallest number and
//! neither type implements `Ord`: "before" is the sign of a wrapping difference and means something
//! only for two numbers less than half the space apart.
//!
//! ```text
//!        half of the space lies before x            half of it lies after x
//!   ... ------------------------------------- x ------------------------------------- ...
//!        x.after(y), y.before(x)                    x.before(y), y.after(x)
//! ```
//!
//! The conversion between absolute TCP sequence numbers and relative ones is left to the caller,
//! who knows the initial sequence number of the subflow.
//!
//! RFC 8684, Sections 3.3 and 3.3.1.
//!
//! C counterpart: `include/linux/tcp.h` and `net/mptcp/protocol.h` (`before64`, `after64`,
//! `__mptcp_expand_seq`).

/// Gives a type of sequence numbers its arithmetic; the words are for its documentation.
macro_rules! impl_sequence {
    ($name:ident, $value:ident, $bits:literal, $half:literal) => {
        impl $name {
            /// Half of the space: the first wrapping difference that counts as negative.
            const HALF: $value = 1 << ($value::BITS - 1);

            #[doc = concat!("Makes a number from its ", $bits, " bits, in host order.")]
            #[inline]
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(value)
            }

            #[doc = concat!("Returns the ", $bits, " bits, in host order.")]
            #[inline]
            #[must_use]
            pub const fn get(self) -> $value {
                self.0
            }

            /// Returns the number `bytes` further on.
            #[inline]
            #[must_use]
            pub const fn advance(self, bytes: $value) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// Returns the number `bytes` further back.
            #[inline]
            #[must_use]
            pub const fn retreat(self, bytes: $value) -> Self {
                Self(self.0.wrapping_sub(bytes))
            }

            /// Tells whether `self` comes strictly before `other`.
            ///
            #[doc = concat!("Of two numbers exactly 2^", $half, " apart each comes both before and")]
            /// after the other: callers keep what they compare inside half of the space.
            #[inline]
            #[must_use]
            pub const fn before(self, other: Self) -> bool {
                self.0.wrapping_sub(other.0) >= Self::HALF
            }

            /// Tells whether `self` comes strictly after `other`: `other.before(self)`.
            #[inline]
            #[must_use]
            pub const fn after(self, other: Self) -> bool {
                other.before(self)
            }

            /// Tells whether `self` equals `other` or comes before it.
            #[inline]
            #[must_use]
            pub const fn at_or_before(self, other: Self) -> bool {
                self.0 == other.0 || self.before(other)
            }

            /// Tells whether `self` equals `other` or comes after it.
            #[inline]
            #[must_use]
            pub const fn at_or_after(self, other: Self) -> bool {
                self.0 == other.0 || self.after(other)
            }

            #[doc = concat!("Returns how many bytes lie from `earlier` up to `self`, modulo 2^", $bits, ".")]
            ///
            /// The result is a plain distance only if `earlier.at_or_before(self)`.
            #[inline]
            #[must_use]
            pub const fn distance_from(self, earlier: Self) -> $value {
                self.0.wrapping_sub(earlier.0)
            }
        }
    };
}

/// A data sequence number: the position of a byte in the data stream of a connection.
///
/// Host order, modulo 2^64.
///
/// RFC 8684, Section 3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
//= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
//# Data sequence numbers are always 64-bit quantities and MUST be
//# maintained as such in implementations.
pub struct DataSeq(u64);

impl_sequence!(DataSeq, u64, "64", "63");

impl DataSeq {
    /// Returns the 32 least significant bits, which is what the short form of a DSS option carries.
    #[inline]
    #[must_use]
    pub const fn low32(self) -> u32 {
        // CAST: the mask leaves 32 bits, so the conversion loses nothing.
        (self.0 & 0xffff_ffff) as u32
    }

    /// Returns the later of the two.
    #[inline]
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if other.after(self) {
            other
        } else {
            self
        }
    }

    /// Returns the earlier of the two.
    #[inline]
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        if other.before(self) {
            other
        } else {
            self
        }
    }

    /// Returns the number nearest to `near` whose 32 least significant bits are `low`.
    ///
    /// Both directions are considered, and the wrap of the upper half in either of them. Of two
    /// equally near numbers (exactly 2^31 away) the one before `near` is chosen.
    ///
    /// RFC 8684, Section 3.3.1.
    #[inline]
    #[must_use]
    pub fn expand(near: Self, low: u32) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# Implementations MUST accept a
        //# 32-bit DSN and implicitly promote it to a 64-bit quantity by
        //# incrementing the upper 32 bits of the sequence number each time the
        //# lower 32 bits wrap.
        let forward = low.wrapping_sub(near.low32());
        if forward < 1 << 31 {
            near.advance(u64::from(forward))
        } else {
            near.retreat(u64::from(forward.wrapping_neg()))
        }
    }
}

/// A relative subflow sequence number: the position of a byte in the stream of one subflow.
///
/// The SYN has number 0, the first byte of data number 1.
///
/// Host order, modulo 2^32.
///
/// RFC 8684, Section 3.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct SubflowSeq(u32);

impl_sequence!(SubflowSeq, u32, "32", "31");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_across_wrap() {
        let last = DataSeq::new(u64::MAX);
        let first = DataSeq::new(0);
        assert!(last.before(first) && first.after(last));
        assert!(!first.before(last) && !last.after(first));
        assert_eq!(last.advance(1), first);
        assert_eq!(first.retreat(1), last);
        assert_eq!(first.distance_from(last), 1);
        assert_eq!((first.later(last), last.later(first)), (first, first));
        assert_eq!((first.earlier(last), last.earlier(first)), (last, last));

        let last = SubflowSeq::new(u32::MAX);
        let first = SubflowSeq::new(0);
        assert!(last.before(first) && first.after(last));
        assert_eq!(last.advance(1), first);
        assert_eq!(first.retreat(1), last);
        assert_eq!(first.distance_from(last), 1);
    }

    #[test]
    fn order_of_equals() {
        let x = DataSeq::new(7);
        assert!(!x.before(x) && !x.after(x) && x.at_or_before(x) && x.at_or_after(x));
        let x = SubflowSeq::new(7);
        assert!(!x.before(x) && !x.after(x) && x.at_or_before(x) && x.at_or_after(x));
    }

    #[test]
    fn order_at_half_the_space() {
        let x = DataSeq::new(5);
        assert!(x.before(x.advance((1 << 63) - 1)));
        assert!(!x.after(x.advance((1 << 63) - 1)));
        assert!(x.before(x.advance(1 << 63)) && x.after(x.advance(1 << 63)));
        assert!(x.after(x.advance((1 << 63) + 1)));
        assert!(!x.before(x.advance((1 << 63) + 1)));

        let x = SubflowSeq::new(5);
        assert!(x.before(x.advance((1 << 31) - 1)));
        assert!(x.before(x.advance(1 << 31)) && x.after(x.advance(1 << 31)));
        assert!(x.after(x.advance((1 << 31) + 1)));
    }

    #[test]
    fn expand_near_wrap() {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //= type=test
        //# A sanity check MUST be implemented to ensure
        //# that a wrap occurs at an expected time (e.g., the sequence number
        //# jumps from a very high number to a very low number) and is not
        //# triggered by out-of-order packets.
        let table = [
            (0x0000_0001_0000_0000, 0x0000_0000, 0x0000_0001_0000_0000),
            (0x0000_0001_ffff_fff0, 0x0000_0010, 0x0000_0002_0000_0010),
            (0x0000_0002_0000_0010, 0xffff_fff0, 0x0000_0001_ffff_fff0),
            (0x0000_0001_0000_0000, 0x7fff_ffff, 0x0000_0001_7fff_ffff),
            (0x0000_0001_0000_0000, 0x8000_0000, 0x0000_0000_8000_0000),
            (0x0000_0001_0000_0000, 0x8000_0001, 0x0000_0000_8000_0001),
            (0xffff_ffff_ffff_ffff, 0x0000_0000, 0x0000_0000_0000_0000),
            (0x0000_0000_0000_0000, 0xffff_ffff, 0xffff_ffff_ffff_ffff),
        ];
        for (near, low, expected) in table {
            assert_eq!(
                DataSeq::expand(DataSeq::new(near), low),
                DataSeq::new(expected),
                "{near:#x} {low:#x}"
            );
        }
    }
}
