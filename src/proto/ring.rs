// SPDX-License-Identifier: GPL-2.0

//! A double-ended queue of small values over storage that somebody else owns.
//!
//! ```text
//!   slots   [ 5 6 7 . . . 3 4 ]      head = 6, len = 5: holds 3 4 5 6 7
//!             tail ^      ^ head
//! ```
//!
//! It never allocates, never panics and never reads a slot that it has not written.

use core::marker::PhantomData;

/// What every collection has that is kept in its field `ring`; the words say what it holds.
macro_rules! kept_in_ring {
    ($entries:literal) => {
        /// Makes an empty one; what the storage contains is not looked at.
        #[inline]
        #[must_use]
        pub const fn new(storage: S) -> Self {
            Self {
                ring: $crate::ring::Ring::new(storage),
            }
        }

        #[doc = concat!("Returns how many ", $entries, " there are.")]
        #[inline]
        #[must_use]
        pub const fn len(&self) -> usize {
            self.ring.len()
        }

        /// Tells whether there are none.
        #[inline]
        #[must_use]
        pub const fn is_empty(&self) -> bool {
            self.ring.len() == 0
        }

        #[doc = concat!("Returns how many ", $entries, " the storage has room for.")]
        #[inline]
        #[must_use]
        pub fn capacity(&self) -> usize {
            self.ring.capacity()
        }
    };
}
pub(crate) use kept_in_ring;

/// The ring has no free slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// A double-ended queue of `T` in the slots of `S`.
///
/// Invariants: `len` is at most the number of slots; `head` is below it, or zero.
#[derive(Debug)]
pub(crate) struct Ring<S, T> {
    /// The storage.
    slots: S,
    /// The slot of the first value.
    head: usize,
    /// How many values there are.
    len: usize,
    /// The ring owns values of this type although only `S` mentions it.
    values: PhantomData<T>,
}

impl<S, T> Ring<S, T>
where
    S: AsRef<[T]> + AsMut<[T]>,
    T: Copy,
{
    /// Makes an empty ring; what the slots contain is not looked at.
    #[inline]
    pub(crate) const fn new(slots: S) -> Self {
        Self {
            slots,
            head: 0,
            len: 0,
            values: PhantomData,
        }
    }

    /// Returns how many values the ring can hold.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// Returns how many values the ring holds.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns how many more values fit in.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.capacity().saturating_sub(self.len)
    }

    /// Returns the slot of the value at `index`, which is below the capacity.
    #[inline]
    fn slot(&self, index: usize) -> usize {
        let slot = self.head.wrapping_add(index);
        let capacity = self.capacity();
        if slot < capacity {
            slot
        } else {
            slot.wrapping_sub(capacity)
        }
    }

    /// Returns the value at `index`, counted from the first.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<T> {
        if index < self.len {
            self.slots.as_ref().get(self.slot(index)).copied()
        } else {
            None
        }
    }

    /// Returns the first value.
    #[inline]
    pub(crate) fn first(&self) -> Option<T> {
        self.get(0)
    }

    /// Returns the last value.
    #[inline]
    pub(crate) fn last(&self) -> Option<T> {
        self.get(self.len.wrapping_sub(1))
    }

    /// Writes a slot; does nothing if there is no such slot.
    #[inline]
    fn write(&mut self, index: usize, value: T) {
        let slot = self.slot(index);
        if let Some(place) = self.slots.as_mut().get_mut(slot) {
            *place = value;
        }
    }

    /// Replaces the value at `index`; does nothing if there is none.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: T) {
        if index < self.len {
            self.write(index, value);
        }
    }

    /// Replaces the last value; does nothing if there is none.
    #[inline]
    pub(crate) fn set_last(&mut self, value: T) {
        self.set(self.len.wrapping_sub(1), value);
    }

    /// Adds a value at the end.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no free slot; nothing has changed.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> Result<(), Full> {
        if self.len >= self.capacity() {
            return Err(Full);
        }
        self.write(self.len, value);
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Adds a value so that it comes to stand at `index`; what stood there moves back.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no free slot; nothing has changed.
    pub(crate) fn insert(&mut self, index: usize, value: T) -> Result<(), Full> {
        self.push(value)?;
        let mut at = self.len.wrapping_sub(1);
        while at > index {
            let before = at.wrapping_sub(1);
            if let Some(moved) = self.get(before) {
                self.set(at, moved);
            }
            at = before;
        }
        self.set(index, value);
        Ok(())
    }

    /// Removes the value at `index`; what stood behind it moves up. Does nothing if there is none.
    pub(crate) fn remove(&mut self, index: usize) {
        if index >= self.len {
            return;
        }
        let mut at = index;
        while let Some(moved) = self.get(at.wrapping_add(1)) {
            self.set(at, moved);
            at = at.wrapping_add(1);
        }
        self.len = self.len.wrapping_sub(1);
    }

    /// Removes the first value; does nothing if there is none.
    #[inline]
    pub(crate) fn pop_first(&mut self) {
        if self.len > 0 {
            self.head = self.slot(1);
            self.len = self.len.wrapping_sub(1);
        }
    }

    /// Removes the last value; does nothing if there is none.
    #[inline]
    pub(crate) fn pop_last(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Removes all values.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.head = 0;
        self.len = 0;
    }

    /// Returns how many values from the first on satisfy `holds`, which no value does after one
    /// that does not.
    #[inline]
    pub(crate) fn partition_point(&self, mut holds: impl FnMut(T) -> bool) -> usize {
        let mut low = 0usize;
        let mut high = self.len;
        while low < high {
            let middle = low.wrapping_add(high.wrapping_sub(low) >> 1);
            match self.get(middle) {
                Some(value) if holds(value) => low = middle.wrapping_add(1),
                _ => high = middle,
            }
        }
        low
    }

    /// Moves all values into other storage and returns the old one.
    ///
    /// # Errors
    ///
    /// Gives `new` back if it is too small for the values; nothing has changed.
    pub(crate) fn replace_storage(&mut self, mut new: S) -> Result<S, S> {
        if new.as_ref().len() < self.len {
            return Err(new);
        }
        for (index, place) in new.as_mut().iter_mut().take(self.len).enumerate() {
            if let Some(value) = self.get(index) {
                *place = value;
            }
        }
        self.head = 0;
        Ok(core::mem::replace(&mut self.slots, new))
    }

    /// Returns the values from the first to the last.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values of a ring.
    fn values(ring: &Ring<Vec<u8>, u8>) -> Vec<u8> {
        ring.iter().collect()
    }

    #[test]
    fn wrapped_ring_insert_and_remove_keep_order() {
        let mut ring = Ring::new(vec![0u8; 4]);
        for value in [1, 2, 3] {
            assert_eq!(ring.push(value), Ok(()));
        }
        ring.pop_first();
        ring.pop_first();
        assert_eq!(ring.push(5), Ok(()));
        assert_eq!(ring.insert(1, 4), Ok(()));
        assert_eq!(ring.push(6), Ok(()));
        assert_eq!(values(&ring), [3, 4, 5, 6]);
        assert_eq!(ring.push(7), Err(Full));
        assert_eq!(ring.insert(0, 7), Err(Full));
        ring.remove(1);
        assert_eq!(values(&ring), [3, 5, 6]);
        ring.remove(9);
        ring.pop_last();
        assert_eq!(values(&ring), [3, 5]);
        assert_eq!(ring.partition_point(|value| value < 5), 1);
    }

    #[test]
    fn ring_storage_replaced_keeps_values_or_refuses() {
        let mut ring = Ring::new(vec![0u8; 3]);
        for value in [1, 2, 3] {
            assert_eq!(ring.push(value), Ok(()));
        }
        ring.pop_first();
        assert_eq!(ring.push(4), Ok(()));
        assert_eq!(ring.replace_storage(vec![0; 2]), Err(vec![0; 2]));
        assert!(ring.replace_storage(vec![0; 8]).is_ok());
        assert_eq!(values(&ring), [2, 3, 4]);
        assert_eq!(ring.free(), 5);
    }

    #[test]
    fn ring_without_slots_is_full_and_empty() {
        let mut ring = Ring::new(Vec::<u8>::new());
        assert_eq!(ring.push(1), Err(Full));
        ring.pop_first();
        ring.pop_last();
        ring.remove(0);
        assert_eq!((ring.first(), ring.last(), ring.len()), (None, None, 0));
    }
}
