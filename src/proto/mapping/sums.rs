// SPDX-License-Identifier: GPL-2.0

//! The memory of what the payload of each declared mapping adds up to, for retransmissions to repeat
//! its checksum.
//!
//! TCP retransmits in segments of its own choice, and a mapping is repeated whole. Its checksum is
//! over bytes that the segment at hand need not have, so the sum is kept from the segment that
//! declared them.
//!
//! RFC 8684, Section 3.3.1.

use super::{
    Declaration,
    Declared,
    WIRE_LEN_MAX, //
};
use crate::seq::SubflowSeq;

/// Adds two ones' complement sums of 16-bit words.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    // With a carry the sum is at most 0xfffe.
    sum.wrapping_add(carry as u16)
}

/// Returns the sum of the bytes of two runs, the second of which follows the first.
///
/// Both are ones' complement sums of 16-bit words in network order, each with its own first byte as the
/// upper half of a word; `first_len` is the length of the first run, in bytes.
#[inline]
#[must_use]
pub const fn joined_sum(first: u16, first_len: u32, second: u16) -> u16 {
    if first_len % 2 == 0 {
        add(first, second)
    } else {
        add(first, second.swap_bytes())
    }
}

/// What a run of bytes adds up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// Where the bytes begin in the subflow.
    ssn: SubflowSeq,
    /// How many there are: 1..=65535.
    len: u32,
    /// Their ones' complement sum as 16-bit words in network order.
    sum: u16,
}

impl Sum {
    /// A sum over no bytes, to fill storage with.
    pub const EMPTY: Self = Self::new(SubflowSeq::new(0), 0, 0);

    /// Says that the `len` bytes from `ssn` on add up to `sum`.
    #[inline]
    #[must_use]
    pub const fn new(ssn: SubflowSeq, len: u32, sum: u16) -> Self {
        Self { ssn, len, sum }
    }
}

impl Declaration for Sum {
    #[inline]
    fn ssn(self) -> SubflowSeq {
        self.ssn
    }

    #[inline]
    fn end_ssn(self) -> SubflowSeq {
        self.ssn.advance(self.len)
    }

    #[inline]
    fn joined(self, next: Self) -> Option<Self> {
        let len = self.len.checked_add(next.len)?;
        (self.end_ssn() == next.ssn && len <= WIRE_LEN_MAX)
            .then(|| Self::new(self.ssn, len, joined_sum(self.sum, self.len, next.sum)))
    }

    /// What is left of a run has a sum that nobody knows.
    #[inline]
    fn until(self, _from: SubflowSeq) -> Option<Self> {
        None
    }
}

/// The sums of the declarations of one subflow.
///
/// RFC 8684, Section 3.3.1.
pub type Sums<S> = Declared<S, Sum>;

impl<S> Sums<S>
where
    S: AsRef<[Sum]> + AsMut<[Sum]>,
{
    /// Returns what exactly the `len` bytes from `ssn` on add up to, `None` if they are not one or
    /// several whole runs.
    #[inline]
    #[must_use]
    pub fn of(&self, ssn: SubflowSeq, len: u32) -> Option<u16> {
        self.union_over(ssn, len)
            .filter(|found| found.ssn == ssn && found.len == len)
            .map(|found| found.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::DeclareError;

    /// Makes the sum of a run.
    fn run(ssn: u32, len: u32, sum: u16) -> Sum {
        Sum::new(SubflowSeq::new(ssn), len, sum)
    }

    /// Asks for the sum of a range.
    fn of(sums: &Sums<[Sum; 3]>, ssn: u32, len: u32) -> Option<u16> {
        sums.of(SubflowSeq::new(ssn), len)
    }

    #[test]
    fn sums_of_odd_runs_are_joined_with_their_bytes_swapped() {
        // 01 02 03 | 04 05 as words: 0102 0300 | 0405, and 0102 0304 0500 together.
        assert_eq!(joined_sum(0x0402, 3, 0x0405), 0x0906);
        assert_eq!(joined_sum(0x0402, 4, 0x0405), 0x0807);
        // The carry comes round, and 0xffff is a zero.
        assert_eq!(joined_sum(0xffff, 2, 0x0001), 0x0001);
        assert_eq!(joined_sum(0xffff, 2, 0xffff), 0xffff);
    }

    #[test]
    fn only_whole_runs_have_a_sum() {
        let mut sums = Sums::new([Sum::EMPTY; 3]);
        let start = u32::MAX - 2;
        assert_eq!(sums.declare(run(start, 3, 0x0402)), Ok(()));
        assert_eq!(sums.declare(run(0, 2, 0x0405)), Ok(()));
        assert_eq!(sums.declare(run(10, 2, 0x1111)), Ok(()));
        assert_eq!(of(&sums, start, 3), Some(0x0402));
        assert_eq!(of(&sums, 0, 2), Some(0x0405));
        assert_eq!(of(&sums, start, 5), Some(0x0906));
        for (ssn, len) in [(start, 2), (start, 4), (start, 6), (1, 1), (2, 8), (12, 1)] {
            assert_eq!(of(&sums, ssn, len), None);
        }
        sums.prune(SubflowSeq::new(1));
        assert_eq!((sums.len(), of(&sums, start, 3)), (2, None));
        sums.truncate(SubflowSeq::new(11));
        assert_eq!(sums.end(), Some(SubflowSeq::new(2)));
    }

    #[test]
    fn full_memory_keeps_the_sum_of_both() {
        let mut sums = Sums::new([Sum::EMPTY; 2]);
        assert_eq!(sums.declare(run(1, 3, 0x0402)), Ok(()));
        assert_eq!(sums.merge_last(), None);
        assert_eq!(sums.declare(run(4, 2, 0x0405)), Ok(()));
        assert_eq!(sums.declare(run(6, 1, 1)), Err(DeclareError::Full));
        assert_eq!(sums.merge_last(), Some(run(1, 5, 0x0906)));
        assert_eq!(sums.of(SubflowSeq::new(1), 5), Some(0x0906));
        assert_eq!(sums.declare(run(5, 1, 1)), Err(DeclareError::OutOfOrder));
        assert_eq!(sums.declare(run(6, 0, 1)), Err(DeclareError::BadLength));
        assert_eq!(sums.declare(run(7, 1, 1)), Ok(()));
        // They do not follow each other.
        assert_eq!(sums.merge_last(), None);
        assert!(sums.replace_storage([Sum::EMPTY; 2]).is_ok());
        assert_eq!(sums.len(), 2);
    }
}
