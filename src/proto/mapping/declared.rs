// SPDX-License-Identifier: GPL-2.0

//! The memory of which mappings were put on the wire, for retransmissions to repeat them.

use super::{
    truncate,
    Mapping,
    SPAN_MAX,
    WIRE_LEN_MAX, //
};
use crate::ring::{
    Full,
    Ring, //
};
use crate::seq::SubflowSeq;

/// Why a declaration was not remembered. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeclareError {
    /// There is no free entry: [`Declared::replace_storage`] or [`Declared::merge_last`] helps.
    Full,
    /// It begins before the end of the last declaration, or 2 GiB behind the first one.
    OutOfOrder,
    /// It is empty or longer than one DSS option can say.
    BadLength,
}

/// The mappings of one subflow as they were declared, oldest first, until they are acknowledged.
///
/// A receiver may remember a mapping by its boundaries and reset the subflow when a retransmitted
/// segment declares the same bytes with others, even if the offset is the same. TCP retransmits in
/// segments of its own choice, so what to declare for a segment is looked up here.
///
/// Shape: entries do not overlap; each has 1 to 65,535 bytes.
///
/// RFC 8684, Section 3.3.1.
#[derive(Debug)]
pub struct Declared<S> {
    /// The declarations.
    ring: Ring<S, Mapping>,
}

impl<S> Declared<S>
where
    S: AsRef<[Mapping]> + AsMut<[Mapping]>,
{
    /// Makes an empty memory; what the storage contains is not looked at.
    #[inline]
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self {
            ring: Ring::new(storage),
        }
    }

    /// Returns how many declarations are remembered.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ring.len()
    }

    /// Tells whether no declaration is remembered.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// Returns how many declarations the storage has room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Returns the end of the last declaration: where bytes begin that were never declared.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<SubflowSeq> {
        self.ring.last().map(Mapping::end_ssn)
    }

    /// Returns the declarations, oldest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Mapping> + '_ {
        self.ring.iter()
    }

    /// Remembers a mapping that is put on the wire for the first time.
    ///
    /// # Errors
    ///
    /// - [`DeclareError::OutOfOrder`]: it does not come after all that were declared.
    /// - [`DeclareError::BadLength`]: a DSS option cannot say it.
    /// - [`DeclareError::Full`]: there is no room.
    #[inline]
    pub fn declare(&mut self, mapping: Mapping) -> Result<(), DeclareError> {
        if mapping.len().wrapping_sub(1) >= WIRE_LEN_MAX {
            return Err(DeclareError::BadLength);
        }
        if let (Some(first), Some(last)) = (self.ring.first(), self.ring.last()) {
            let span = mapping.end_ssn().distance_from(first.ssn());
            if mapping.ssn().before(last.end_ssn()) || span > SPAN_MAX {
                return Err(DeclareError::OutOfOrder);
            }
        }
        match self.ring.push(mapping) {
            Ok(()) => Ok(()),
            Err(Full) => Err(DeclareError::Full),
        }
    }

    /// Returns what to declare for a segment of `len` bytes from `ssn` on that is sent again.
    ///
    /// That is the declaration the segment lies in. If it spans several that continue each other
    /// at both levels, it is their union. `None` if some byte of the segment was never declared,
    /// the offset changes inside of it, or the union is too long for a DSS option.
    ///
    /// RFC 8684, Section 3.3.1.
    #[inline]
    #[must_use]
    pub fn covering(&self, ssn: SubflowSeq, len: u32) -> Option<Mapping> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# A
        //# sender MUST NOT change this mapping after it has been declared;
        if len > WIRE_LEN_MAX {
            return None;
        }
        // New segments are the common case: they lie in the declaration just made.
        if let Some(last) = self.ring.last() {
            let offset = ssn.distance_from(last.ssn());
            if offset < last.len() {
                return (len <= last.len().wrapping_sub(offset)).then_some(last);
            }
        }
        self.covering_earlier(ssn, len)
    }

    /// Forgets every declaration that ends at or before `una`, the first unacknowledged byte.
    #[inline]
    pub fn prune(&mut self, una: SubflowSeq) {
        while let Some(first) = self.ring.first() {
            if first.end_ssn().after(una) {
                return;
            }
            self.ring.pop_first();
        }
    }

    /// Forgets what was declared from `from` on: those bytes never left this host, and others take their
    /// place.
    pub fn truncate(&mut self, from: SubflowSeq) {
        truncate(&mut self.ring, from);
    }

    /// Makes the last two declarations one, to make room, and returns it.
    ///
    /// The price is that a retransmission of these bytes declares the union. `None` if there are
    /// not two, or if they do not continue each other, or are too long together; then nothing has
    /// changed.
    pub fn merge_last(&mut self) -> Option<Mapping> {
        let last = self.ring.last()?;
        let previous = self.ring.get(self.ring.len().checked_sub(2)?)?;
        let union = joined(previous, last)?;
        self.ring.pop_last();
        self.ring.set_last(union);
        Some(union)
    }

    /// Moves the declarations into other storage and returns the old one.
    ///
    /// # Errors
    ///
    /// Gives `new` back if it has no room for the declarations; nothing has changed.
    #[inline]
    pub fn replace_storage(&mut self, new: S) -> Result<S, S> {
        self.ring.replace_storage(new)
    }

    /// Forgets everything.
    #[inline]
    pub fn clear(&mut self) {
        self.ring.clear();
    }

    /// As [`covering`](Self::covering), for a segment that begins before the last declaration.
    fn covering_earlier(&self, ssn: SubflowSeq, len: u32) -> Option<Mapping> {
        let mut index = self
            .ring
            .partition_point(|entry| entry.end_ssn().at_or_before(ssn));
        let mut found = self.ring.get(index).filter(|entry| entry.contains(ssn))?;
        while found.end_ssn().distance_from(ssn) < len {
            index = index.wrapping_add(1);
            found = joined(found, self.ring.get(index)?)?;
        }
        Some(found)
    }
}

/// Returns one declaration for two neighbours, if one can say the same.
#[inline]
fn joined(earlier: Mapping, later: Mapping) -> Option<Mapping> {
    let len = earlier.len().checked_add(later.len())?;
    (earlier.continued_by(later) && len <= WIRE_LEN_MAX)
        .then(|| Mapping::new(earlier.ssn(), earlier.dsn(), len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::DataSeq;

    /// Makes a mapping.
    fn mapping(ssn: u32, dsn: u64, len: u32) -> Mapping {
        Mapping::new(SubflowSeq::new(ssn), DataSeq::new(dsn), len)
    }

    /// Looks up what to declare for a range.
    fn covering(declared: &Declared<[Mapping; 4]>, ssn: u32, len: u32) -> Option<Mapping> {
        declared.covering(SubflowSeq::new(ssn), len)
    }

    #[test]
    fn segment_inside_one_declaration_repeats_it() {
        let mut declared = Declared::new([Mapping::EMPTY; 4]);
        let start = u32::MAX - 99;
        assert_eq!(declared.declare(mapping(start, 500, 100)), Ok(()));
        assert_eq!(declared.declare(mapping(0, 900, 100)), Ok(()));
        assert_eq!(
            covering(&declared, start, 100),
            Some(mapping(start, 500, 100))
        );
        assert_eq!(
            covering(&declared, start + 40, 10),
            Some(mapping(start, 500, 100))
        );
        assert_eq!(covering(&declared, 99, 1), Some(mapping(0, 900, 100)));
        // The offset changes between the two, and nothing is declared before or behind them.
        assert_eq!(covering(&declared, start + 99, 2), None);
        assert_eq!(covering(&declared, 99, 2), None);
        assert_eq!(covering(&declared, start - 1, 1), None);
        assert_eq!(covering(&declared, 100, 1), None);
    }

    #[test]
    fn segment_across_declarations_of_one_offset_declares_the_union() {
        let mut declared = Declared::new([Mapping::EMPTY; 4]);
        for index in 0..3 {
            let start = index * 30_000;
            assert_eq!(
                declared.declare(mapping(start, u64::from(start), 30_000)),
                Ok(())
            );
        }
        assert_eq!(covering(&declared, 29_999, 2), Some(mapping(0, 0, 60_000)));
        assert_eq!(covering(&declared, 29_999, 30_002), None);
        assert_eq!(
            covering(&declared, 30_000, 30_001),
            Some(mapping(30_000, 30_000, 60_000))
        );
        declared.prune(SubflowSeq::new(30_000));
        assert_eq!(declared.len(), 2);
        declared.prune(SubflowSeq::new(59_999));
        assert_eq!(declared.len(), 2);
        assert_eq!(declared.merge_last(), Some(mapping(30_000, 30_000, 60_000)));
        assert_eq!(declared.merge_last(), None);
    }

    #[test]
    fn bytes_that_never_left_are_declared_anew() {
        let mut declared = Declared::new([Mapping::EMPTY; 4]);
        assert_eq!(declared.declare(mapping(0, 500, 100)), Ok(()));
        assert_eq!(declared.declare(mapping(100, 600, 100)), Ok(()));
        assert_eq!(declared.declare(mapping(200, 700, 100)), Ok(()));
        declared.truncate(SubflowSeq::new(300));
        assert_eq!(declared.len(), 3);
        declared.truncate(SubflowSeq::new(150));
        assert_eq!(declared.end(), Some(SubflowSeq::new(150)));
        assert_eq!(covering(&declared, 120, 30), Some(mapping(100, 600, 50)));
        assert_eq!(declared.declare(mapping(150, 900, 100)), Ok(()));
        assert_eq!(covering(&declared, 160, 10), Some(mapping(150, 900, 100)));
        declared.truncate(SubflowSeq::new(0));
        assert!(declared.is_empty());
    }

    #[test]
    fn bad_declarations_are_refused() {
        let mut declared = Declared::new([Mapping::EMPTY; 1]);
        assert_eq!(
            declared.declare(mapping(0, 0, 0)),
            Err(DeclareError::BadLength)
        );
        assert_eq!(
            declared.declare(mapping(0, 0, 65_536)),
            Err(DeclareError::BadLength)
        );
        assert_eq!(declared.declare(mapping(0, 0, 65_535)), Ok(()));
        assert_eq!(
            declared.declare(mapping(65_534, 1, 1)),
            Err(DeclareError::OutOfOrder)
        );
        assert_eq!(
            declared.declare(mapping(1 << 31, 1, 1)),
            Err(DeclareError::OutOfOrder)
        );
        assert_eq!(
            declared.declare(mapping(65_535, 1, 1)),
            Err(DeclareError::Full)
        );
        assert_eq!(declared.end(), Some(SubflowSeq::new(65_535)));
    }
}
