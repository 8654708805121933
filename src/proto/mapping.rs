// SPDX-License-Identifier: GPL-2.0

//! Data sequence mappings: which byte of a subflow is which byte of the connection.
//!
//! A subflow is a TCP connection with sequence numbers of its own. A mapping says that `len` bytes
//! that begin at the subflow sequence number `ssn` are the bytes of the connection that begin at
//! the data sequence number `dsn`:
//!
//! ```text
//!   subflow       ---------[ssn ........... ssn + len)------------>
//!                            |                  |
//!   connection    --------------[dsn ........... dsn + len)------->
//! ```
//!
//! Four tables hold them, each over storage that the caller owns and can replace by a larger one:
//!
//! - [`Table`] answers "which DSN is this byte?". Neighbours with the same offset melt into one
//!   entry, so that a bulk transfer needs a handful of entries whatever its length.
//! - [`Declared`] keeps mappings as they were put on the wire, because a retransmission has to
//!   repeat the same declaration: a receiver may refuse any other.
//! - [`Checked`] keeps received mappings apart together with their checksums.
//! - [`Sums`] keeps what the payload of declared mappings adds up to, for checksums to be repeated.
//!
//! [`Signal`] is what a DSS option declares.
//!
//! Subflow sequence numbers wrap every 4 GiB. What one table holds at one time spans less than 2 GiB,
//! so that "before" and "after" are well defined; every table refuses what would break this.
//!
//! Not handled here: the infinite mapping, which is a state of the subflow and not an entry of a
//! table (see the module `fallback`); the bytes themselves.
//!
//! RFC 8684, Sections 3.3 and 3.3.1.
//!
//! C counterpart: `net/mptcp/subflow.c` (`get_mapping_status`), `net/mptcp/protocol.c`.

mod checked;
mod declared;
mod signal;
mod sums;
mod table;

pub use checked::{
    Checked,
    CheckedMapping, //
};
pub use declared::{
    Declaration,
    DeclareError,
    Declared, //
};
pub use signal::Signal;
pub use sums::{
    joined_sum,
    Sum,
    Sums, //
};
pub use table::Table;

use crate::ring::Ring;
use crate::seq::{
    DataSeq,
    SubflowSeq, //
};

/// The most subflow sequence space that one table covers, from its first entry to its end.
///
/// Bytes. Below 2^31, so that comparisons of subflow sequence numbers stay unambiguous.
const SPAN_MAX: u32 = (1 << 31) - 1;

/// The longest mapping that one DSS option can declare.
///
/// Bytes. The Data-Level Length field has 16 bits.
///
/// RFC 8684, Section 3.3.
pub const WIRE_LEN_MAX: u32 = 65_535;

/// A data sequence mapping: `len` bytes from `ssn` on are the bytes from `dsn` on.
///
/// RFC 8684, Section 3.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Where the bytes begin in the subflow.
    ssn: SubflowSeq,
    /// Where the bytes begin in the connection.
    dsn: DataSeq,
    /// How many bytes it covers.
    len: u32,
}

impl Mapping {
    /// A mapping of no bytes, to fill storage with.
    pub const EMPTY: Self = Self::new(SubflowSeq::new(0), DataSeq::new(0), 0);

    /// Makes a mapping of `len` bytes.
    #[inline]
    #[must_use]
    pub const fn new(ssn: SubflowSeq, dsn: DataSeq, len: u32) -> Self {
        Self { ssn, dsn, len }
    }

    /// Returns where the bytes begin in the subflow.
    #[inline]
    #[must_use]
    pub const fn ssn(self) -> SubflowSeq {
        self.ssn
    }

    /// Returns where the bytes begin in the connection.
    #[inline]
    #[must_use]
    pub const fn dsn(self) -> DataSeq {
        self.dsn
    }

    /// Returns how many bytes the mapping covers.
    #[inline]
    #[must_use]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Tells whether the mapping covers no byte.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the subflow sequence number after the last byte.
    #[inline]
    #[must_use]
    pub const fn end_ssn(self) -> SubflowSeq {
        self.ssn.advance(self.len)
    }

    /// Returns the data sequence number after the last byte.
    #[inline]
    #[must_use]
    pub fn end_dsn(self) -> DataSeq {
        self.dsn.advance(u64::from(self.len))
    }

    /// Returns the data sequence number that belongs to `ssn`, inside the mapping or not.
    ///
    /// `dsn + (ssn - self.ssn)`, where the difference is signed: the result continues the mapping
    /// in both directions for half of the subflow sequence space.
    #[inline]
    #[must_use]
    pub fn dsn_of(self, ssn: SubflowSeq) -> DataSeq {
        if ssn.before(self.ssn) {
            self.dsn.retreat(u64::from(self.ssn.distance_from(ssn)))
        } else {
            self.dsn.advance(u64::from(ssn.distance_from(self.ssn)))
        }
    }

    /// Tells whether the byte `ssn` is inside the mapping.
    #[inline]
    #[must_use]
    pub const fn contains(self, ssn: SubflowSeq) -> bool {
        ssn.distance_from(self.ssn) < self.len
    }

    /// Tells whether both mappings assign the same DSN to the same byte of the subflow.
    #[inline]
    #[must_use]
    pub fn same_offset(self, other: Self) -> bool {
        self.dsn_of(other.ssn) == other.dsn
    }

    /// Returns the mapping without its first `bytes` bytes, or an empty one if it has no more.
    #[inline]
    #[must_use]
    pub fn skip(self, bytes: u32) -> Self {
        let bytes = if bytes < self.len { bytes } else { self.len };
        Self::new(
            self.ssn.advance(bytes),
            self.dsn.advance(u64::from(bytes)),
            self.len.wrapping_sub(bytes),
        )
    }

    /// Returns at most the first `bytes` bytes of the mapping.
    #[inline]
    #[must_use]
    pub const fn take(self, bytes: u32) -> Self {
        let len = if bytes < self.len { bytes } else { self.len };
        Self::new(self.ssn, self.dsn, len)
    }

    /// Tells whether `next` continues the mapping at both levels.
    #[inline]
    fn continued_by(self, next: Self) -> bool {
        self.end_ssn() == next.ssn && self.end_dsn() == next.dsn
    }
}

/// Forgets the bytes from `from` on of runs that do not overlap and are in order.
fn truncate<S, T>(ring: &mut Ring<S, T>, from: SubflowSeq)
where
    S: AsRef<[T]> + AsMut<[T]>,
    T: Declaration,
{
    while let Some(last) = ring.last() {
        if last.end_ssn().at_or_before(from) {
            return;
        }
        if last.ssn().before(from) {
            if let Some(rest) = last.until(from) {
                ring.set_last(rest);
                return;
            }
        }
        ring.pop_last();
    }
}

/// What became of a mapping that a table accepted.
///
/// In every case the bytes that had been declared before keep the mapping they had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// At least one byte was new and needed an entry of its own.
    New,
    /// At least one byte was new, and all of them continued entries that were there.
    Merged,
    /// Every byte had been declared before, with the same DSN.
    Known,
    /// Some byte had been declared before with another DSN: the peer changed its mind, or somebody
    /// on the path did.
    Conflict {
        /// How many bytes had not been declared before and were added all the same.
        added: u32,
    },
}

/// Why a table did not take a mapping. It is as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InsertError {
    /// There is no free entry.
    Full,
    /// The mapping begins behind the window, or so far from the other entries that their order
    /// would be ambiguous.
    Distant,
    /// The mapping ends before the window begins: all its bytes have been dealt with.
    Past,
}
