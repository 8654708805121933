// SPDX-License-Identifier: GPL-2.0

//! The table that answers which data sequence number a byte of a subflow has.

use super::{
    truncate,
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
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Mappings of one direction of one subflow, in the order of the subflow.
///
/// Shape: entries do not overlap; neighbours that continue each other at both levels are one entry.
/// Used for what the peer has declared and for where the own data was assigned.
///
/// RFC 8684, Section 3.3.1.
#[derive(Debug)]
pub struct Table<S> {
    /// The entries.
    ring: Ring<S, Mapping>,
}

/// A part of a mapping that no entry of the table covers.
struct Gap {
    /// The uncovered part.
    part: Mapping,
    /// The index of the entry after the part: where an entry of its own would be inserted.
    index: usize,
    /// Whether the entry before the part continues into it at both levels.
    joins_left: bool,
    /// Whether the part continues into the entry after it at both levels.
    joins_right: bool,
}

impl<S> Table<S>
where
    S: AsRef<[Mapping]> + AsMut<[Mapping]>,
{
    kept_in_ring!("entries");

    /// Returns the first entry.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Mapping> {
        self.ring.first()
    }

    /// Returns the last entry.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<Mapping> {
        self.ring.last()
    }

    /// Returns the entries in the order of the subflow.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Mapping> + '_ {
        self.ring.iter()
    }

    /// Forgets everything.
    #[inline]
    pub fn clear(&mut self) {
        self.ring.clear();
    }

    /// Adds what the mapping says about bytes that no entry covers yet.
    ///
    /// A byte that was declared before keeps its first mapping. Constant time if the mapping
    /// continues, repeats or follows the last entry.
    ///
    /// # Errors
    ///
    /// - [`InsertError::Full`]: the entries it needs do not fit.
    /// - [`InsertError::Distant`]: the table would span 2 GiB or more.
    ///
    /// RFC 8684, Section 3.3.1.
    #[inline]
    pub fn insert(&mut self, mapping: Mapping) -> Result<Inserted, InsertError> {
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# A mapping is fixed, in that the subflow sequence number is bound to
        //# the data sequence number after the mapping has been processed.
        let (Some(first), Some(last)) = (self.ring.first(), self.ring.last()) else {
            return self.insert_only(mapping);
        };
        let into_last = mapping.ssn().distance_from(last.ssn());
        if into_last <= last.len() && last.dsn().advance(u64::from(into_last)) == mapping.dsn() {
            let added = mapping
                .len()
                .saturating_sub(last.len().wrapping_sub(into_last));
            if added == 0 {
                return Ok(Inserted::Known);
            }
            let spanned = last.end_ssn().distance_from(first.ssn());
            if added > SPAN_MAX.saturating_sub(spanned) {
                return Err(InsertError::Distant);
            }
            let len = last.len().wrapping_add(added);
            self.ring
                .set_last(Mapping::new(last.ssn(), last.dsn(), len));
            return Ok(Inserted::Merged);
        }
        self.insert_anywhere(first, last, mapping)
    }

    /// As [`insert`](Self::insert), for a mapping that a peer declared: only what concerns bytes
    /// from `oldest` on, and only if it begins before `oldest + window`.
    ///
    /// `oldest` is the first byte that has not been dealt with, `window` what the subflow may have
    /// in flight. A mapping may reach past the end of the window, since a sender can declare data
    /// before it is allowed to send all of it.
    ///
    /// # Errors
    ///
    /// - [`InsertError::Past`]: all of it lies before `oldest`.
    /// - [`InsertError::Distant`]: it begins at or behind the end of the window, or so far before
    ///   `oldest` that it covers 2 GiB.
    /// - [`InsertError::Full`]: as for `insert`.
    #[inline]
    pub fn insert_within(
        &mut self,
        mapping: Mapping,
        oldest: SubflowSeq,
        window: u32,
    ) -> Result<Inserted, InsertError> {
        if mapping.len() > SPAN_MAX {
            return Err(InsertError::Distant);
        }
        if !mapping.ssn().before(oldest) {
            if mapping.ssn().distance_from(oldest) >= window {
                return Err(InsertError::Distant);
            }
            return self.insert(mapping);
        }
        let mapping = mapping.skip(oldest.distance_from(mapping.ssn()));
        if mapping.is_empty() {
            return Err(InsertError::Past);
        }
        self.insert(mapping)
    }

    /// Returns the part of the entry that covers `ssn` from `ssn` on.
    ///
    /// Constant time if it is the first entry, otherwise the logarithm of the number of entries.
    #[inline]
    #[must_use]
    pub fn lookup(&self, ssn: SubflowSeq) -> Option<Mapping> {
        let first = self.ring.first()?;
        let offset = ssn.distance_from(first.ssn());
        if offset < first.len() {
            return Some(first.skip(offset));
        }
        self.lookup_behind_first(ssn)
    }

    /// Forgets all bytes before `before`.
    #[inline]
    pub fn prune(&mut self, before: SubflowSeq) {
        while let Some(first) = self.ring.first() {
            if first.ssn().at_or_after(before) {
                return;
            }
            let passed = before.distance_from(first.ssn());
            if passed < first.len() {
                self.ring.set(0, first.skip(passed));
                return;
            }
            self.ring.pop_first();
        }
    }

    /// Forgets the bytes at the front that lie before `before` and stand for data before `una`.
    #[inline]
    pub fn prune_delivered(&mut self, before: SubflowSeq, una: DataSeq) {
        while let Some(first) = self.ring.first() {
            if first.ssn().at_or_after(before) || first.dsn().at_or_after(una) {
                return;
            }
            let passed = u64::from(before.distance_from(first.ssn()));
            let passed = passed.min(una.distance_from(first.dsn()));
            match u32::try_from(passed) {
                Ok(passed) if passed < first.len() => {
                    self.ring.set(0, first.skip(passed));
                    return;
                }
                _ => self.ring.pop_first(),
            };
        }
    }

    /// Forgets all bytes from `from` on.
    pub fn truncate(&mut self, from: SubflowSeq) {
        truncate(&mut self.ring, from);
    }

    /// Moves the entries into other storage and returns the old one.
    ///
    /// # Errors
    ///
    /// Gives `new` back if it has no room for the entries; the table is as it was before.
    #[inline]
    pub fn replace_storage(&mut self, new: S) -> Result<S, S> {
        self.ring.replace_storage(new)
    }

    /// Adds a mapping to a table that has no entry.
    fn insert_only(&mut self, mapping: Mapping) -> Result<Inserted, InsertError> {
        if mapping.is_empty() {
            return Ok(Inserted::Known);
        }
        if mapping.len() > SPAN_MAX {
            return Err(InsertError::Distant);
        }
        self.push(mapping)
    }

    /// Adds an entry at the end.
    #[inline]
    fn push(&mut self, mapping: Mapping) -> Result<Inserted, InsertError> {
        match self.ring.push(mapping) {
            Ok(()) => Ok(Inserted::New),
            Err(Full) => Err(InsertError::Full),
        }
    }

    /// Adds a mapping that does not simply continue or repeat the last entry.
    fn insert_anywhere(
        &mut self,
        first: Mapping,
        last: Mapping,
        mapping: Mapping,
    ) -> Result<Inserted, InsertError> {
        if mapping.is_empty() {
            return Ok(Inserted::Known);
        }
        // The space from the earlier of both beginnings to the later of both ends. A mapping that
        // seems to begin before the first entry is measured from there.
        let spanned = last.end_ssn().distance_from(first.ssn());
        let (ahead, reach) = if mapping.ssn().before(first.ssn()) {
            (
                first.ssn().distance_from(mapping.ssn()),
                u64::from(mapping.len()),
            )
        } else {
            let offset = mapping.ssn().distance_from(first.ssn());
            (0, u64::from(offset).wrapping_add(u64::from(mapping.len())))
        };
        let span = u64::from(spanned).wrapping_add(u64::from(ahead)).max(reach);
        if span > u64::from(SPAN_MAX) {
            return Err(InsertError::Distant);
        }
        if mapping.ssn().at_or_after(last.end_ssn()) {
            return self.push(mapping);
        }
        self.fill_gaps(mapping)
    }

    /// Adds the parts of `mapping` that no entry covers, or nothing if they do not all fit.
    ///
    /// The table is not empty, and it and the mapping together span less than 2 GiB.
    fn fill_gaps(&mut self, mapping: Mapping) -> Result<Inserted, InsertError> {
        let mut added = 0u32;
        let mut needed = 0usize;
        let mut freed = 0usize;
        let mut from = mapping.ssn();
        while let Some(gap) = self.next_gap(mapping, from) {
            added = added.wrapping_add(gap.part.len());
            match (gap.joins_left, gap.joins_right) {
                (true, true) => freed = freed.wrapping_add(1),
                (false, false) => needed = needed.wrapping_add(1),
                _ => {}
            }
            from = gap.part.end_ssn();
        }
        if needed > freed.saturating_add(self.ring.free()) {
            return Err(InsertError::Full);
        }
        let conflict = self.disagrees(mapping);
        // What merges goes first, because it makes room for what does not.
        for own_entry in [false, true] {
            let mut from = mapping.ssn();
            while let Some(gap) = self.next_gap(mapping, from) {
                from = gap.part.end_ssn();
                if own_entry || gap.joins_left || gap.joins_right {
                    self.fill(&gap)?;
                }
            }
        }
        Ok(if conflict {
            Inserted::Conflict { added }
        } else if added == 0 {
            Inserted::Known
        } else if needed > 0 {
            Inserted::New
        } else {
            Inserted::Merged
        })
    }

    /// Puts one uncovered part into the table.
    fn fill(&mut self, gap: &Gap) -> Result<(), InsertError> {
        let left_index = gap.index.wrapping_sub(1);
        let left = self.ring.get(left_index).filter(|_| gap.joins_left);
        let right = self.ring.get(gap.index).filter(|_| gap.joins_right);
        match (left, right) {
            (Some(left), Some(right)) => {
                let len = left
                    .len()
                    .wrapping_add(gap.part.len())
                    .wrapping_add(right.len());
                self.ring
                    .set(left_index, Mapping::new(left.ssn(), left.dsn(), len));
                self.ring.remove(gap.index);
            }
            (Some(left), None) => {
                let len = left.len().wrapping_add(gap.part.len());
                self.ring
                    .set(left_index, Mapping::new(left.ssn(), left.dsn(), len));
            }
            (None, Some(right)) => {
                let len = gap.part.len().wrapping_add(right.len());
                self.ring
                    .set(gap.index, Mapping::new(gap.part.ssn(), gap.part.dsn(), len));
            }
            (None, None) => match self.ring.insert(gap.index, gap.part) {
                Ok(()) => {}
                Err(Full) => return Err(InsertError::Full),
            },
        }
        Ok(())
    }

    /// Returns the first part of `mapping` at or after `from` that no entry covers.
    fn next_gap(&self, mapping: Mapping, from: SubflowSeq) -> Option<Gap> {
        let mut start = from;
        // The first entry that ends behind `start`.
        let mut index = self
            .ring
            .partition_point(|entry| entry.end_ssn().at_or_before(start));
        loop {
            if start.at_or_after(mapping.end_ssn()) {
                return None;
            }
            match self.ring.get(index) {
                Some(entry) if entry.contains(start) => {
                    start = entry.end_ssn();
                    index = index.wrapping_add(1);
                }
                next => {
                    let to_end = mapping.end_ssn().distance_from(start);
                    let len = match next {
                        Some(entry) => to_end.min(entry.ssn().distance_from(start)),
                        None => to_end,
                    };
                    let part = Mapping::new(start, mapping.dsn_of(start), len);
                    let previous = self.ring.get(index.wrapping_sub(1));
                    return Some(Gap {
                        part,
                        index,
                        joins_left: previous.is_some_and(|entry| entry.continued_by(part)),
                        joins_right: next.is_some_and(|entry| part.continued_by(entry)),
                    });
                }
            }
        }
    }

    /// Tells whether an entry gives a byte of `mapping` another DSN than `mapping` does.
    fn disagrees(&self, mapping: Mapping) -> bool {
        let mut index = self
            .ring
            .partition_point(|entry| entry.end_ssn().at_or_before(mapping.ssn()));
        while let Some(entry) = self.ring.get(index) {
            if entry.ssn().at_or_after(mapping.end_ssn()) {
                return false;
            }
            if !entry.same_offset(mapping) {
                return true;
            }
            index = index.wrapping_add(1);
        }
        false
    }

    /// As [`lookup`](Self::lookup), for a byte that the first entry does not cover.
    fn lookup_behind_first(&self, ssn: SubflowSeq) -> Option<Mapping> {
        let index = self
            .ring
            .partition_point(|entry| entry.end_ssn().at_or_before(ssn));
        let entry = self.ring.get(index)?;
        entry
            .contains(ssn)
            .then(|| entry.skip(ssn.distance_from(entry.ssn())))
    }
}

#[cfg(test)]
mod tests;
