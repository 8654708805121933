// SPDX-License-Identifier: GPL-2.0

//! Received mappings with checksums: kept apart until all their bytes are there to be verified.

use super::{
    InsertError,
    Inserted,
    Mapping,
    SPAN_MAX, //
};
use crate::ring::{
    kept_in_ring,
    Full,
    Ring, //
};
use crate::seq::SubflowSeq;

/// A mapping and the checksum that came with it.
///
/// RFC 8684, Section 3.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckedMapping {
    /// The mapping.
    mapping: Mapping,
    /// The checksum over the pseudo-header and the bytes, host order, as received.
    checksum: u16,
    /// Whether a DATA_FIN follows the last byte: it counts in the length that is checksummed.
    data_fin: bool,
}

impl CheckedMapping {
    /// A mapping of no bytes, to fill storage with.
    pub const EMPTY: Self = Self::new(Mapping::EMPTY, 0);

    /// Makes one from a mapping and the checksum field of its option, in host order.
    #[inline]
    #[must_use]
    pub const fn new(mapping: Mapping, checksum: u16) -> Self {
        Self {
            mapping,
            checksum,
            data_fin: false,
        }
    }

    /// Returns the same with a DATA_FIN that follows the last byte, or without.
    #[inline]
    #[must_use]
    pub const fn with_data_fin(self, data_fin: bool) -> Self {
        Self { data_fin, ..self }
    }

    /// Returns the Data-Level Length as it was declared and checksummed, a DATA_FIN included.
    ///
    /// RFC 8684, Section 3.3.3.
    #[inline]
    #[must_use]
    pub fn data_len(self) -> u32 {
        self.mapping.len().saturating_add(u32::from(self.data_fin))
    }

    /// Tells whether a DATA_FIN follows the last byte.
    #[inline]
    #[must_use]
    pub const fn has_data_fin(self) -> bool {
        self.data_fin
    }

    /// Returns the mapping.
    #[inline]
    #[must_use]
    pub const fn mapping(self) -> Mapping {
        self.mapping
    }

    /// Returns the checksum field, in host order.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        self.checksum
    }
}

/// The received mappings of a subflow that uses checksums, in the order of the subflow.
///
/// Their boundaries are kept, because a checksum is over exactly the bytes of one declaration. No
/// byte of a mapping may be delivered before its checksum was verified.
///
/// Shape: entries do not overlap.
///
/// RFC 8684, Section 3.3.1.
#[derive(Debug)]
pub struct Checked<S> {
    /// The entries.
    ring: Ring<S, CheckedMapping>,
}

impl<S> Checked<S>
where
    S: AsRef<[CheckedMapping]> + AsMut<[CheckedMapping]>,
{
    kept_in_ring!("mappings");

    /// Returns the first mapping that waits.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<CheckedMapping> {
        self.ring.first()
    }

    /// Returns the mappings in the order of the subflow.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = CheckedMapping> + '_ {
        self.ring.iter()
    }

    /// Adds a mapping as it was received.
    ///
    /// The answer is [`Inserted::Known`] for an exact repetition (as segmentation offload makes
    /// them), [`Inserted::Conflict`] for one that overlaps another without being the same: it is
    /// not added, what was declared first stays. Never [`Inserted::Merged`].
    ///
    /// # Errors
    ///
    /// - [`InsertError::Full`]: there is no free entry.
    /// - [`InsertError::Distant`]: the table would span 2 GiB or more.
    #[inline]
    pub fn insert(&mut self, entry: CheckedMapping) -> Result<Inserted, InsertError> {
        let mapping = entry.mapping;
        if mapping.is_empty() {
            return Ok(Inserted::Known);
        }
        if mapping.len() > SPAN_MAX {
            return Err(InsertError::Distant);
        }
        let (Some(first), Some(last)) = (self.ring.first(), self.ring.last()) else {
            return self.insert_at(0, entry);
        };
        if last == entry {
            return Ok(Inserted::Known);
        }
        let (first, last) = (first.mapping, last.mapping);
        let spanned = last.end_ssn().distance_from(first.ssn());
        let (ahead, reach) = if mapping.ssn().before(first.ssn()) {
            (first.ssn().distance_from(mapping.ssn()), mapping.len())
        } else {
            let offset = mapping.ssn().distance_from(first.ssn());
            (0, offset.saturating_add(mapping.len()))
        };
        if spanned.saturating_add(ahead).max(reach) > SPAN_MAX {
            return Err(InsertError::Distant);
        }
        if mapping.ssn().at_or_after(last.end_ssn()) {
            return self.insert_at(self.ring.len(), entry);
        }
        let index = self
            .ring
            .partition_point(|other| other.mapping.end_ssn().at_or_before(mapping.ssn()));
        match self.ring.get(index) {
            Some(other) if other == entry => Ok(Inserted::Known),
            Some(other) if other.mapping.ssn().before(mapping.end_ssn()) => {
                Ok(Inserted::Conflict { added: 0 })
            }
            _ => self.insert_at(index, entry),
        }
    }

    /// Removes and returns the first mapping if all its bytes have arrived: `received` is the next
    /// byte that the subflow expects.
    #[inline]
    pub fn take_complete(&mut self, received: SubflowSeq) -> Option<CheckedMapping> {
        let first = self.ring.first()?;
        if first.mapping.end_ssn().after(received) {
            return None;
        }
        self.ring.pop_first();
        Some(first)
    }

    /// Returns the mapping that covers `ssn`, whole.
    #[inline]
    #[must_use]
    pub fn lookup(&self, ssn: SubflowSeq) -> Option<CheckedMapping> {
        let first = self.ring.first()?;
        if first.mapping.contains(ssn) {
            return Some(first);
        }
        let index = self
            .ring
            .partition_point(|entry| entry.mapping.end_ssn().at_or_before(ssn));
        self.ring
            .get(index)
            .filter(|entry| entry.mapping.contains(ssn))
    }

    /// Forgets every mapping that ends at or before `before`.
    #[inline]
    pub fn prune(&mut self, before: SubflowSeq) {
        while self.take_complete(before).is_some() {}
    }

    /// Moves the mappings into other storage and returns the old one.
    ///
    /// # Errors
    ///
    /// Gives `new` back if it has no room for the mappings; nothing has changed.
    #[inline]
    pub fn replace_storage(&mut self, new: S) -> Result<S, S> {
        self.ring.replace_storage(new)
    }

    /// Adds an entry at `index`.
    #[inline]
    fn insert_at(&mut self, index: usize, entry: CheckedMapping) -> Result<Inserted, InsertError> {
        match self.ring.insert(index, entry) {
            Ok(()) => Ok(Inserted::New),
            Err(Full) => Err(InsertError::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::DataSeq;

    /// Makes an entry.
    fn entry(ssn: u32, len: u32, checksum: u16) -> CheckedMapping {
        let dsn = DataSeq::new(u64::from(ssn).wrapping_add(1_000));
        CheckedMapping::new(Mapping::new(SubflowSeq::new(ssn), dsn, len), checksum)
    }

    #[test]
    fn mappings_out_of_order_come_out_in_order_when_complete() {
        let mut checked = Checked::new([CheckedMapping::EMPTY; 3]);
        assert_eq!(checked.insert(entry(20, 10, 2)), Ok(Inserted::New));
        assert_eq!(checked.insert(entry(40, 10, 4)), Ok(Inserted::New));
        assert_eq!(checked.insert(entry(10, 10, 1)), Ok(Inserted::New));
        assert_eq!(checked.insert(entry(30, 10, 3)), Err(InsertError::Full));
        assert_eq!(checked.lookup(SubflowSeq::new(29)), Some(entry(20, 10, 2)));
        assert_eq!(checked.lookup(SubflowSeq::new(30)), None);
        assert_eq!(checked.take_complete(SubflowSeq::new(19)), None);
        assert_eq!(
            checked.take_complete(SubflowSeq::new(20)),
            Some(entry(10, 10, 1))
        );
        assert_eq!(checked.take_complete(SubflowSeq::new(20)), None);
        checked.prune(SubflowSeq::new(50));
        assert!(checked.is_empty());
    }

    #[test]
    fn data_fin_counts_in_the_checksummed_length() {
        let plain = entry(20, 10, 2);
        assert_eq!(plain.data_len(), 10);
        assert_eq!(plain.with_data_fin(true).data_len(), 11);
        assert!(plain.with_data_fin(true).has_data_fin() && !plain.has_data_fin());
        let mut checked = Checked::new([CheckedMapping::EMPTY; 2]);
        assert_eq!(checked.insert(plain), Ok(Inserted::New));
        let conflict = Ok(Inserted::Conflict { added: 0 });
        assert_eq!(checked.insert(plain.with_data_fin(true)), conflict);
    }

    #[test]
    fn first_declaration_stays() {
        let mut checked = Checked::new([CheckedMapping::EMPTY; 3]);
        assert_eq!(checked.insert(entry(20, 10, 2)), Ok(Inserted::New));
        assert_eq!(checked.insert(entry(50, 10, 5)), Ok(Inserted::New));
        assert_eq!(checked.insert(entry(20, 10, 2)), Ok(Inserted::Known));
        assert_eq!(checked.insert(entry(50, 10, 5)), Ok(Inserted::Known));
        for other in [
            entry(20, 10, 3),
            entry(15, 6, 0),
            entry(29, 1, 0),
            entry(10, 60, 0),
        ] {
            assert_eq!(checked.insert(other), Ok(Inserted::Conflict { added: 0 }));
        }
        assert_eq!(
            checked.insert(entry(1 << 31, 60, 0)),
            Err(InsertError::Distant)
        );
        assert_eq!(checked.len(), 2);
    }
}
