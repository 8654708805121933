// SPDX-License-Identifier: GPL-2.0

//! What each byte of a subflow stands for, in the direction we send.
//!
//! Two tables know: the assignment made when the byte was handed over, and the declarations as they
//! went out on the wire, which a retransmission has to repeat exactly.
//!
//! RFC 8684, Section 3.3.1. C counterpart: `struct mptcp_ext` on each packet, include/net/mptcp.h.

use crate::storage::{
    entries,
    storage,
    Entries,
    Mappings, //
};
use kernel::prelude::*;
use mptcp_proto::mapping::{
    Declaration,
    DeclareError,
    Declared,
    InsertError,
    Mapping,
    Sum,
    Sums,
    Table, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};

/// Assignments that a subflow starts with: one, and one for each reinjection under way.
const ASSIGNMENTS: usize = 4;
/// Declarations that a subflow starts with, one for each packet in flight.
const DECLARATIONS: usize = 8;
/// Most declarations kept apart; beyond, the latest two become one.
const DECLARATIONS_MAX: usize = 4096;
/// How far the infinite mapping may begin behind the data that it goes out with: the largest window.
const BACK_MAX: u32 = 1 << 30;

/// Which data the bytes of a subflow carry, in the direction we send.
pub(crate) struct TransmitMap {
    /// What was assigned when the bytes were handed over. It is kept until there is a Data ACK: that
    /// of the subflow may come from a middlebox, or for bytes whose mapping was lost.
    assigned: Table<Mappings>,
    /// What was declared on the wire.
    declared: Declared<Mappings>,
    /// What the payload of each declaration adds up to, if checksums are used.
    sums: Option<Sums<Entries<Sum>>>,
    /// The infinite mapping and the byte whose segment carries it.
    infinite: Option<(SubflowSeq, Mapping)>,
}

impl TransmitMap {
    /// No bytes yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            assigned: Table::new(storage(ASSIGNMENTS)?),
            declared: Declared::new(storage(DECLARATIONS)?),
            sums: None,
            infinite: None,
        })
    }

    /// Says that the bytes of `mapping` carry its data. `acked` is the first byte that the subflow has
    /// not acknowledged, `una` the first of the data.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the table cannot grow.
    pub(crate) fn assign(&mut self, mapping: Mapping, acked: SubflowSeq, una: DataSeq) -> Result {
        self.assigned.prune_delivered(acked, una);
        match self.assigned.insert(mapping) {
            Ok(_) => Ok(()),
            Err(InsertError::Full) => {
                let more = storage(self.assigned.capacity() * 2)?;
                let _ = self.assigned.replace_storage(more);
                self.assigned
                    .insert(mapping)
                    .map(|_| ())
                    .map_err(|_| ENOMEM)
            }
            Err(_) => Err(EINVAL),
        }
    }

    /// Whether data from `dsn` on that is handed over as the byte `ssn` goes on where the last data
    /// ended, so that one mapping can describe both.
    pub(crate) fn continues(&self, ssn: SubflowSeq, dsn: DataSeq) -> bool {
        self.assigned
            .last()
            .is_none_or(|last| last.end_ssn() == ssn && last.end_dsn() == dsn)
    }

    /// Whether the bytes from `ssn` to the last one are one run of data that ends at `end`.
    pub(crate) fn ends_with(&self, ssn: SubflowSeq, end: DataSeq) -> bool {
        self.assigned
            .last()
            .is_some_and(|last| last.ssn().at_or_before(ssn) && last.end_dsn() == end)
    }

    /// The first byte whose data is not known to have arrived.
    pub(crate) fn first(&self) -> Option<SubflowSeq> {
        self.assigned.first().map(Mapping::ssn)
    }

    /// What was assigned to the bytes from `una` on.
    pub(crate) fn assigned_from(&self, una: SubflowSeq) -> impl Iterator<Item = Mapping> + '_ {
        self.assigned.iter().filter_map(move |mapping| {
            if mapping.end_ssn().at_or_before(una) {
                None
            } else if mapping.ssn().before(una) {
                Some(mapping.skip(una.distance_from(mapping.ssn())))
            } else {
                Some(mapping)
            }
        })
    }

    /// Takes back what was assigned from `ssn` on: the bytes were not handed over, or they were taken
    /// back. TCP may have tried to send some of them, and failed.
    pub(crate) fn unassign(&mut self, ssn: SubflowSeq) {
        self.assigned.truncate(ssn);
        self.declared.truncate(ssn);
        if let Some(sums) = &mut self.sums {
            sums.truncate(ssn);
        }
    }

    /// Remembers what the payload of a mapping adds up to that is declared for the first time. `una` is the
    /// first byte that the subflow has not acknowledged. `false` when it is known already, or there is no
    /// memory: then a segment of those bytes declares itself.
    pub(crate) fn note_sum(&mut self, mapping: Mapping, sum: u16, una: SubflowSeq) -> bool {
        if self.sums.is_none() {
            self.sums = entries(Sum::EMPTY, DECLARATIONS).ok().map(Sums::new);
        }
        let Some(sums) = &mut self.sums else {
            return false;
        };
        let sum = Sum::new(mapping.ssn(), mapping.len(), sum);
        declare(sums, sum, una).is_ok()
    }

    /// What the payload of a mapping adds up to that was declared before.
    pub(crate) fn sum_of(&self, mapping: Mapping) -> Option<u16> {
        self.sums.as_ref()?.of(mapping.ssn(), mapping.len())
    }

    /// Whether the byte `ssn` has never been sent.
    #[inline]
    pub(crate) fn is_new(&self, ssn: SubflowSeq) -> bool {
        self.declared.end().is_none_or(|end| ssn.at_or_after(end))
    }

    /// Makes the infinite mapping that begins with `start` and goes out with the byte `ssn`.
    pub(crate) fn declare_infinite(&mut self, start: DataSeq, ssn: SubflowSeq) -> Option<Mapping> {
        let dsn = self.assigned.lookup(ssn)?.dsn();
        // The data is contiguous. A number that is not behind is nonsense of the peer's.
        let infinite = match u32::try_from(dsn.distance_from(start)) {
            Ok(back) if back < BACK_MAX => Mapping::new(ssn.retreat(back), start, 0),
            _ => Mapping::new(ssn, dsn, 0),
        };
        self.infinite = Some((ssn, infinite));
        Some(infinite)
    }

    /// Makes the infinite mapping of a connection that has fallen back: from the byte `ssn` on, which is the
    /// next new one and stands for `dsn`.
    pub(crate) fn declare_rest(&mut self, ssn: SubflowSeq, dsn: DataSeq) {
        self.infinite = Some((ssn, Mapping::new(ssn, dsn, 0)));
    }

    /// The infinite mapping, if it is to go out with the `len` bytes from `ssn` on.
    pub(crate) fn infinite_at(&self, ssn: SubflowSeq, len: u32) -> Option<Mapping> {
        let (carrier, infinite) = self.infinite?;
        (carrier.distance_from(ssn) < len).then_some(infinite)
    }

    /// The mapping to put on a segment of `len` bytes from `ssn` on.
    ///
    /// The first transmission declares the segment itself; a retransmission repeats what was
    /// declared, because a receiver may refuse a mapping that differs from the one it knows.
    #[inline]
    pub(crate) fn declare(
        &mut self,
        ssn: SubflowSeq,
        len: u32,
        una: SubflowSeq,
    ) -> Option<Mapping> {
        let is_new = self.is_new(ssn);
        if !is_new {
            if let Some(mapping) = self.declared.covering(ssn, len) {
                return Some(mapping);
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.1
        //# The mapping provided by a Data Sequence Mapping MUST apply to some or
        //# all of the subflow sequence space in the TCP segment that carries the
        //# option.
        let mapping = self.assigned.lookup(ssn)?.take(len);
        if !is_new || mapping.len() < len {
            return Some(mapping);
        }
        let _ = declare(&mut self.declared, mapping, una);
        Some(mapping)
    }
}

/// Remembers a declaration, in more memory if it needs that and there is some, else with the latest two as
/// one. Those before `una` are forgotten.
///
/// # Errors
///
/// As [`Declared::declare`].
#[inline]
fn declare<T: Declaration>(
    declared: &mut Declared<Entries<T>, T>,
    declaration: T,
    una: SubflowSeq,
) -> Result<(), DeclareError> {
    declared.prune(una);
    match declared.declare(declaration) {
        Err(DeclareError::Full) => {
            let capacity = declared.capacity();
            if capacity < DECLARATIONS_MAX {
                if let Ok(more) = entries(declaration, capacity * 2) {
                    let _ = declared.replace_storage(more);
                }
            }
            if declared.len() == declared.capacity() {
                let _ = declared.merge_last();
            }
            declared.declare(declaration)
        }
        outcome => outcome,
    }
}
