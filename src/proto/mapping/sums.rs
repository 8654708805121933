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
    DeclareError,
    SPAN_MAX,
    WIRE_LEN_MAX, //
};
use crate::ring::{
    Full,
    Ring, //
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

    /// Returns the subflow sequence number after the last byte.
    #[inline]
    const fn end_ssn(self) -> SubflowSeq {
        self.ssn.advance(self.len)
    }

    /// Returns the sum over both, if `next` follows.
    #[inline]
    fn joined(self, next: Self) -> Option<Self> {
        let len = self.len.checked_add(next.len)?;
        (self.end_ssn() == next.ssn && len <= WIRE_LEN_MAX)
            .then(|| Self::new(self.ssn, len, joined_sum(self.sum, self.len, next.sum)))
    }
}

/// The sums of the declarations of one subflow, oldest first, until they are acknowledged.
///
/// Shape: runs do not overlap; each has 1 to 65,535 bytes.
///
/// RFC 8684, Section 3.3.1.
#[derive(Debug)]
pub struct Sums<S> {
    /// The sums.
    ring: Ring<S, Sum>,
}

impl<S> Sums<S>
where
    S: AsRef<[Sum]> + AsMut<[Sum]>,
{
    /// Makes an empty memory; what the storage contains is not looked at.
    #[inline]
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self {
            ring: Ring::new(storage),
        }
    }

    /// Returns how many sums are remembered.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ring.len()
    }

    /// Tells whether no sum is remembered.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// Returns how many sums the storage has room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Returns the end of the last run.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<SubflowSeq> {
        self.ring.last().map(Sum::end_ssn)
    }

    /// Remembers the sum of bytes that are declared for the first time.
    ///
    /// # Errors
    ///
    /// - [`DeclareError::OutOfOrder`]: they do not come after all others.
    /// - [`DeclareError::BadLength`]: a DSS option cannot declare so many.
    /// - [`DeclareError::Full`]: there is no room.
    #[inline]
    pub fn declare(&mut self, sum: Sum) -> Result<(), DeclareError> {
        if sum.len.wrapping_sub(1) >= WIRE_LEN_MAX {
            return Err(DeclareError::BadLength);
        }
        if let (Some(first), Some(last)) = (self.ring.first(), self.ring.last()) {
            let span = sum.end_ssn().distance_from(first.ssn);
            if sum.ssn.before(last.end_ssn()) || span > SPAN_MAX {
                return Err(DeclareError::OutOfOrder);
            }
        }
        match self.ring.push(sum) {
            Ok(()) => Ok(()),
            Err(Full) => Err(DeclareError::Full),
        }
    }

    /// Returns what exactly the `len` bytes from `ssn` on add up to, `None` if they are not one or
    /// several whole runs.
    #[inline]
    #[must_use]
    pub fn of(&self, ssn: SubflowSeq, len: u32) -> Option<u16> {
        let mut index = self
            .ring
            .partition_point(|run| run.end_ssn().at_or_before(ssn));
        let mut found = self.ring.get(index).filter(|run| run.ssn == ssn)?;
        while found.len < len {
            index = index.wrapping_add(1);
            found = found.joined(self.ring.get(index)?)?;
        }
        (found.len == len).then_some(found.sum)
    }

    /// Forgets every run that ends at or before `una`, the first unacknowledged byte.
    #[inline]
    pub fn prune(&mut self, una: SubflowSeq) {
        while let Some(first) = self.ring.first() {
            if first.end_ssn().after(una) {
                return;
            }
            self.ring.pop_first();
        }
    }

    /// Forgets every run with bytes from `from` on: those never left this host, and others take their
    /// place. What is left of a run has a sum that nobody knows.
    pub fn truncate(&mut self, from: SubflowSeq) {
        while let Some(last) = self.ring.last() {
            if last.end_ssn().at_or_before(from) {
                return;
            }
            self.ring.pop_last();
        }
    }

    /// Makes the last two runs one, to make room; `false` if there are not two, or if they do not follow
    /// each other, or are too long together. Then nothing has changed.
    pub fn merge_last(&mut self) -> bool {
        let previous = self.ring.len().checked_sub(2);
        let previous = previous.and_then(|index| self.ring.get(index));
        let union = match (previous, self.ring.last()) {
            (Some(previous), Some(last)) => previous.joined(last),
            _ => None,
        };
        if let Some(union) = union {
            self.ring.pop_last();
            self.ring.set_last(union);
        }
        union.is_some()
    }

    /// Moves the sums into other storage and returns the old one.
    ///
    /// # Errors
    ///
    /// Gives `new` back if it has no room for the sums; nothing has changed.
    #[inline]
    pub fn replace_storage(&mut self, new: S) -> Result<S, S> {
        self.ring.replace_storage(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!sums.merge_last());
        assert_eq!(sums.declare(run(4, 2, 0x0405)), Ok(()));
        assert_eq!(sums.declare(run(6, 1, 1)), Err(DeclareError::Full));
        assert!(sums.merge_last());
        assert_eq!(sums.of(SubflowSeq::new(1), 5), Some(0x0906));
        assert_eq!(sums.declare(run(5, 1, 1)), Err(DeclareError::OutOfOrder));
        assert_eq!(sums.declare(run(6, 0, 1)), Err(DeclareError::BadLength));
        assert_eq!(sums.declare(run(7, 1, 1)), Ok(()));
        // They do not follow each other.
        assert!(!sums.merge_last());
        assert!(sums.replace_storage([Sum::EMPTY; 2]).is_ok());
        assert_eq!(sums.len(), 2);
    }
}
