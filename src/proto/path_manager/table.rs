// SPDX-License-Identifier: GPL-2.0

//! A table of a fixed number of slots that are named by their index.

use core::iter::Map;

/// A table of `N` slots, at most 255; a slot is free or holds a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<T, const N: usize>([Option<T>; N]);

impl<T: Copy, const N: usize> Table<T, N> {
    /// Makes a table whose slots are free.
    pub(super) const fn new() -> Self {
        Self([None; N])
    }

    /// Returns what the slot at `index` holds.
    #[inline]
    pub(super) fn get(&self, index: u8) -> Option<T> {
        self.0.get(usize::from(index)).copied().flatten()
    }

    /// Returns what the slot at `index` holds, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, index: u8) -> Option<&mut T> {
        self.0.get_mut(usize::from(index))?.as_mut()
    }

    /// Frees the slot at `index` and returns what it held.
    pub(super) fn take(&mut self, index: u8) -> Option<T> {
        self.0.get_mut(usize::from(index))?.take()
    }

    /// Puts a value into the first free slot and returns its index, or `None` if there is none.
    pub(super) fn insert(&mut self, value: T) -> Option<u8> {
        let (index, slot) = numbered(self.0.iter_mut()).find(|(_, slot)| slot.is_none())?;
        *slot = Some(value);
        Some(index)
    }

    /// Returns the slots in the order of their indices.
    #[inline]
    pub(super) fn slots(&self) -> impl Iterator<Item = Option<T>> + '_ {
        self.0.iter().copied()
    }

    /// Returns the values with their indices.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &T)> + Clone {
        numbered(self.0.iter()).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// Returns the values with their indices, to change them.
    #[inline]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u8, &mut T)> {
        numbered(self.0.iter_mut()).filter_map(|(index, slot)| Some((index, slot.as_mut()?)))
    }

    /// Returns the index of the first value that `is_meant`.
    #[inline]
    pub(super) fn find(&self, is_meant: impl Fn(&T) -> bool) -> Option<u8> {
        self.iter()
            .find(|(_, value)| is_meant(value))
            .map(|(index, _)| index)
    }

    /// Returns how many slots hold a value.
    #[inline]
    pub(super) fn len(&self) -> usize {
        count(self.iter())
    }
}

/// Counts what an iterator yields.
///
/// [`Iterator::count`] would do, but for the panic that it keeps for an overflow.
#[inline]
pub(super) fn count(items: impl Iterator) -> usize {
    items.fold(0, |count: usize, _| count.wrapping_add(1))
}

/// Numbers what an iterator yields, from 0 on. At most 256 items have a number of their own.
///
/// `zip` and `enumerate` would do, but for the panic that they keep for an overflow.
#[inline]
pub(super) fn numbered<I>(items: I) -> Map<I, impl FnMut(I::Item) -> (u8, I::Item) + Clone>
where
    I: Iterator,
{
    let mut next = 0u8;
    items.map(move |item| {
        let index = next;
        next = next.wrapping_add(1);
        (index, item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_slots_are_used_again_and_full_refuses() {
        let mut table = Table::<u16, 2>::new();
        assert_eq!(table.insert(7), Some(0));
        assert_eq!(table.insert(8), Some(1));
        assert_eq!(table.insert(9), None);
        assert_eq!(table.take(0), Some(7));
        assert_eq!((table.take(0), table.take(9)), (None, None));
        assert_eq!(
            (table.get(0), table.get(1), table.len()),
            (None, Some(8), 1)
        );
        assert_eq!(table.insert(9), Some(0));
        for (_, value) in table.iter_mut() {
            *value += 1;
        }
        assert_eq!(table.find(|value| *value == 9), Some(1));
        assert!(table.iter().eq([(0, &10), (1, &9)]));
    }
}
