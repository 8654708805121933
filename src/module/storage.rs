// SPDX-License-Identifier: GPL-2.0

//! Memory for the protocol crate's tables, which have none of their own.

use kernel::prelude::*;
use mptcp_proto::mapping::{
    Checked,
    CheckedMapping,
    Mapping,
    Table, //
};

/// Storage of the receive mappings: bulk data needs one or two entries.
pub(crate) type ReceiveMap = Table<Mappings>;
/// Received mappings whose checksums have not been verified yet.
pub(crate) type Checks = Checked<Entries<CheckedMapping>>;

/// Storage for `len` mappings, from any context.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn storage(len: usize) -> Result<Mappings> {
    entries(Mapping::EMPTY, len)
}

/// Storage for `len` entries, all `empty` at first, from any context.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn entries<T: Clone>(empty: T, len: usize) -> Result<Entries<T>> {
    Ok(Entries(KVec::from_elem(empty, len, GFP_ATOMIC)?))
}

/// Storage for the protocol's tables.
pub(crate) struct Entries<T>(KVec<T>);

/// Storage for tables of mappings.
pub(crate) type Mappings = Entries<Mapping>;

impl<T> AsRef<[T]> for Entries<T> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

impl<T> AsMut<[T]> for Entries<T> {
    #[inline]
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
