// SPDX-License-Identifier: GPL-2.0

//! The memory of what was declared on the wire, for retransmissions to repeat it.

use super::{
    truncate,
    Mapping,
    SPAN_MAX,
    WIRE_LEN_MAX, //
};
use crate::ring::{
    kept_in_ring,
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

/// What was said of a run of a subflow's bytes when it was declared: its mapping, or its sum.
pub trait Declaration: Copy {
    /// Returns where the bytes begin.
    fn ssn(self) -> SubflowSeq;

    /// Returns the subflow sequence number after the last byte.
    fn end_ssn(self) -> SubflowSeq;

    /// Returns one declaration for this run and `next`, if one can say the same of both.
    fn joined(self, next: Self) -> Option<Self>;

    /// Returns what is known of the bytes before `from`, which lies inside of the run.
    fn until(self, from: SubflowSeq) -> Option<Self>;
}

impl Declaration for Mapping {
    #[inline]
    fn ssn(self) -> SubflowSeq {
        self.ssn()
    }

    #[inline]
    fn end_ssn(self) -> SubflowSeq {
        self.end_ssn()
    }

    #[inline]
    fn joined(self, next: Self) -> Option<Self> {
        let len = self.len().checked_add(next.len())?;
        (self.continued_by(next) && len <= WIRE_LEN_MAX)
            .then(|| Self::new(self.ssn(), self.dsn(), len))
    }

    #[inline]
    fn until(self, from: SubflowSeq) -> Option<Self> {
        Some(self.take(from.distance_from(self.ssn())))
    }
}

/// Returns how many bytes a declaration is about.
#[inline]
fn len_of<T: Declaration>(declaration: T) -> u32 {
    declaration.end_ssn().distance_from(declaration.ssn())
}

/// The declarations of one subflow, mappings or sums, oldest first, until they are acknowledged.
///
/// A receiver may remember a mapping by its boundaries and reset the subflow when a retransmitted
/// segment declares the same bytes with others, even if the offset is the same. TCP retransmits in
/// segments of its own choice, so what to declare for a segment is looked up here.
///
/// Shape: entries do not overlap; each has 1 to 65,535 bytes.
///
/// RFC 8684, Section 3.3.1.
#[derive(Debug)]
pub struct Declared<S, T = Mapping> {
    /// The declarations.
    ring: Ring<S, T>,
}

impl<S, T> Declared<S, T>
where
    S: AsRef<[T]> + AsMut<[T]>,
    T: Declaration,
{
    kept_in_ring!("declarations");

    /// Returns the end of the last declaration: where bytes begin that were never declared.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<SubflowSeq> {
        self.ring.last().map(T::end_ssn)
    }

    /// Returns the declarations, oldest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.ring.iter()
    }

    /// Remembers a declaration that is made for the first time.
    ///
    /// # Errors
    ///
    /// - [`DeclareError::OutOfOrder`]: it does not come after all that were declared.
    /// - [`DeclareError::BadLength`]: a DSS option cannot say it.
    /// - [`DeclareError::Full`]: there is no room.
    #[inline]
    pub fn declare(&mut self, declaration: T) -> Result<(), DeclareError> {
        if len_of(declaration).wrapping_sub(1) >= WIRE_LEN_MAX {
            return Err(DeclareError::BadLength);
        }
        if let (Some(first), Some(last)) = (self.ring.first(), self.ring.last()) {
            let span = declaration.end_ssn().distance_from(first.ssn());
            if declaration.ssn().before(last.end_ssn()) || span > SPAN_MAX {
                return Err(DeclareError::OutOfOrder);
            }
        }
        match self.ring.push(declaration) {
            Ok(()) => Ok(()),
            Err(Full) => Err(DeclareError::Full),
        }
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
    pub fn merge_last(&mut self) -> Option<T> {
        let last = self.ring.last()?;
        let previous = self.ring.get(self.ring.len().checked_sub(2)?)?;
        let union = previous.joined(last)?;
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

    /// Returns the declaration that the `len` bytes from `ssn` on lie in, or the union of several.
    pub(super) fn union_over(&self, ssn: SubflowSeq, len: u32) -> Option<T> {
        let mut index = self
            .ring
            .partition_point(|entry| entry.end_ssn().at_or_before(ssn));
        let begins = |entry: &T| ssn.distance_from(entry.ssn()) < len_of(*entry);
        let mut found = self.ring.get(index).filter(begins)?;
        while found.end_ssn().distance_from(ssn) < len {
            index = index.wrapping_add(1);
            found = found.joined(self.ring.get(index)?)?;
        }
        Some(found)
    }
}

impl<S> Declared<S>
where
    S: AsRef<[Mapping]> + AsMut<[Mapping]>,
{
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
        self.union_over(ssn, len)
    }
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
