// SPDX-License-Identifier: GPL-2.0

//! What each byte of a subflow stands for, in the direction we send.
//!
//! Two tables know: the assignment made when the byte was handed over, and the declarations as they
//! went out on the wire, which a retransmission has to repeat exactly.
//!
//! RFC 8684, Section 3.3.1. C counterpart: `struct mptcp_ext` on each packet, include/net/mptcp.h.

use crate::subflow::{
    storage,
    Mappings, //
};
use kernel::prelude::*;
use mptcp_proto::mapping::{
    DeclareError,
    Declared,
    InsertError,
    Mapping,
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

/// Which data the bytes of a subflow carry, in the direction we send.
pub(crate) struct TransmitMap {
    /// What was assigned when the bytes were handed over. It is kept until there is a Data ACK: that
    /// of the subflow may come from a middlebox, or for bytes whose mapping was lost.
    assigned: Table<Mappings>,
    /// What was declared on the wire.
    declared: Declared<Mappings>,
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
        let is_new = self.declared.end().is_none_or(|end| ssn.at_or_after(end));
        if !is_new {
            if let Some(mapping) = self.declared.covering(ssn, len) {
                return Some(mapping);
            }
        }
        let mapping = self.assigned.lookup(ssn)?.take(len);
        if !is_new || mapping.len() < len {
            return Some(mapping);
        }
        self.declared.prune(una);
        match self.declared.declare(mapping) {
            Ok(()) => {}
            Err(DeclareError::Full) => {
                let capacity = self.declared.capacity();
                if capacity < DECLARATIONS_MAX {
                    if let Ok(more) = storage(capacity * 2) {
                        let _ = self.declared.replace_storage(more);
                    }
                }
                if self.declared.len() == self.declared.capacity() {
                    let _ = self.declared.merge_last();
                }
                let _ = self.declared.declare(mapping);
            }
            Err(_) => {}
        }
        Some(mapping)
    }
}
