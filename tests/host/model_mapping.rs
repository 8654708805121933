// SPDX-License-Identifier: GPL-2.0

//! Shows that the tables of mappings answer as a map from every single byte would.

use std::collections::HashMap;

use mptcp_proto::mapping::{
    DeclareError,
    Declared,
    InsertError,
    Inserted,
    Mapping,
    Table, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use proptest::prelude::*;

/// How far operations reach from the start, in bytes.
const REACH: u32 = 400;

/// Returns the byte at `offset` from the start.
fn ssn(start: u32, offset: u32) -> SubflowSeq {
    SubflowSeq::new(start.wrapping_add(offset))
}

/// Returns the DSN that the byte at `offset` has in the `shift`th of several ways to map it.
fn dsn(offset: u32, shift: u8) -> DataSeq {
    DataSeq::new(u64::MAX - 100)
        .advance(u64::from(offset))
        .advance(u64::from(shift) * 5_000)
}

/// An operation on a table.
#[derive(Clone, Debug)]
enum Operation {
    /// Declares `len` bytes from `offset` on in one of several ways.
    Insert { offset: u32, len: u32, shift: u8 },
    /// Forgets what comes before.
    Prune { offset: u32 },
    /// Forgets what comes after.
    Truncate { offset: u32 },
    /// Gives the table room for so many entries, if they suffice.
    Replace { room: usize },
}

/// Chooses an operation.
fn operation() -> impl Strategy<Value = Operation> {
    let insert = (0..REACH, 0..120u32, 0..3u8).prop_map(|(offset, len, shift)| Operation::Insert {
        offset,
        len,
        shift,
    });
    prop_oneof![
        12 => insert,
        1 => (0..REACH).prop_map(|offset| Operation::Prune { offset }),
        1 => (0..REACH).prop_map(|offset| Operation::Truncate { offset }),
        1 => (0..12usize).prop_map(|room| Operation::Replace { room }),
    ]
}

/// Every byte with its DSN: what was declared first stays.
#[derive(Clone, Default)]
struct Model {
    /// The DSN of the byte at each offset.
    bytes: HashMap<u32, DataSeq>,
}

impl Model {
    /// Returns how many entries a table needs that merges whatever continues.
    fn runs(&self) -> usize {
        self.bytes
            .iter()
            .filter(|(offset, dsn)| {
                let previous = offset.checked_sub(1).and_then(|o| self.bytes.get(&o));
                previous != Some(&dsn.retreat(1))
            })
            .count()
    }

    /// Returns the model after an insertion, how many bytes it added, whether it disagreed, and
    /// whether a run of added bytes touches nothing that it continues.
    fn inserted(&self, offset: u32, len: u32, shift: u8) -> (Self, u32, bool, bool) {
        let mut after = self.clone();
        let (mut added, mut conflict, mut new) = (0, false, false);
        let mut joins_left = false;
        for at in offset..offset + len {
            match self.bytes.get(&at) {
                Some(known) => conflict |= *known != dsn(at, shift),
                None => {
                    let continues = |o: Option<u32>, expected: DataSeq| {
                        o.and_then(|o| self.bytes.get(&o)) == Some(&expected)
                    };
                    let starts = at == offset || self.bytes.contains_key(&(at - 1));
                    if starts {
                        joins_left = continues(at.checked_sub(1), dsn(at, shift).retreat(1));
                    }
                    let ends = at + 1 == offset + len || self.bytes.contains_key(&(at + 1));
                    if ends && !joins_left {
                        new |= !continues(Some(at + 1), dsn(at, shift).advance(1));
                    }
                    after.bytes.insert(at, dsn(at, shift));
                    added += 1;
                }
            }
        }
        (after, added, conflict, new)
    }
}

proptest! {
    #[test]
    fn table_answers_as_a_map_of_bytes(
        start in prop_oneof![any::<u32>(), (0..REACH).prop_map(|back| 0u32.wrapping_sub(back))],
        room in 0..8usize,
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut table = Table::new(vec![Mapping::EMPTY; room]);
        let mut model = Model::default();
        for operation in operations {
            match operation {
                Operation::Insert { offset, len, shift } => {
                    let mapping = Mapping::new(ssn(start, offset), dsn(offset, shift), len);
                    let before: Vec<_> = table.iter().collect();
                    let result = table.insert(mapping);
                    let (after, added, conflict, new) = model.inserted(offset, len, shift);
                    if after.runs() > table.capacity() {
                        prop_assert_eq!(result, Err(InsertError::Full));
                        prop_assert!(table.iter().eq(before));
                    } else {
                        let expected = if conflict {
                            Inserted::Conflict { added }
                        } else if added == 0 {
                            Inserted::Known
                        } else if new {
                            Inserted::New
                        } else {
                            Inserted::Merged
                        };
                        prop_assert_eq!(result, Ok(expected));
                        model = after;
                    }
                }
                Operation::Prune { offset } => {
                    table.prune(ssn(start, offset));
                    model.bytes.retain(|at, _| *at >= offset);
                }
                Operation::Truncate { offset } => {
                    table.truncate(ssn(start, offset));
                    model.bytes.retain(|at, _| *at < offset);
                }
                Operation::Replace { room } => {
                    let fits = table.replace_storage(vec![Mapping::EMPTY; room]).is_ok();
                    prop_assert_eq!(fits, room >= model.runs());
                }
            }
            prop_assert_eq!(table.len(), model.runs());
            for offset in 0..REACH + 130 {
                let found = table.lookup(ssn(start, offset));
                prop_assert_eq!(found.map(Mapping::dsn), model.bytes.get(&offset).copied());
                if let Some(found) = found {
                    prop_assert_eq!(found.ssn(), ssn(start, offset));
                    let last = offset + found.len() - 1;
                    prop_assert_eq!(Some(found.end_dsn().retreat(1)), model.bytes.get(&last).copied());
                }
            }
            prop_assert_eq!(table.lookup(ssn(start, 0).retreat(1)), None);
        }
    }

    #[test]
    fn stream_of_any_length_is_looked_up_behind_its_window(
        start in any::<u32>(),
        steps in prop::collection::vec((1..65_536u32, 0..4u8), 1..200),
    ) {
        // Each step is 64 KiB apart from the next times a few thousand: 4 GiB pass quickly.
        let mut table = Table::new([Mapping::EMPTY; 4]);
        let mut at = SubflowSeq::new(start);
        let mut dsn = DataSeq::new(7);
        for (len, shift) in steps {
            for part in 0..512u32 {
                let mapping = Mapping::new(at, dsn, len);
                prop_assert!(table.insert_within(mapping, at, 1).is_ok());
                let found = table.lookup(at).map(|found| (found.dsn(), found.len()));
                prop_assert_eq!(found, Some((dsn, len)));
                at = mapping.end_ssn();
                dsn = mapping.end_dsn().advance(u64::from(shift & 1) * u64::from(part & 1));
                table.prune(at);
                prop_assert!(table.is_empty());
            }
        }
    }

    #[test]
    fn declarations_are_repeated_as_they_were_made(
        start in prop_oneof![any::<u32>(), Just(u32::MAX - 500)],
        room in 1..12usize,
        steps in prop::collection::vec((0..3u8, 1..100u32, 0..2u8, prop::bool::weighted(0.1)), 1..20),
        acknowledged in 0..600u32,
    ) {
        let mut declared = Declared::new(vec![Mapping::EMPTY; room]);
        // What is remembered, as offsets; and the declarations that merging made longer.
        let mut model: Vec<(u32, u32, u8)> = Vec::new();
        let mut offset = 0;
        for (gap, len, shift, merge) in steps {
            offset += u32::from(gap / 2);
            let mapping = Mapping::new(ssn(start, offset), dsn(offset, shift), len);
            match declared.declare(mapping) {
                Ok(()) => {
                    model.push((offset, len, shift));
                    offset += len;
                }
                Err(error) => {
                    prop_assert_eq!(error, DeclareError::Full);
                    prop_assert_eq!(model.len(), room);
                }
            }
            if merge {
                let merged = match model.as_slice() {
                    [.., a, b] if a.0 + a.1 == b.0 && a.2 == b.2 => Some((a.0, a.1 + b.1, a.2)),
                    _ => None,
                };
                prop_assert_eq!(declared.merge_last().is_some(), merged.is_some());
                if let Some(merged) = merged {
                    model.pop();
                    model.pop();
                    model.push(merged);
                }
            }
        }
        declared.prune(ssn(start, acknowledged));
        model.retain(|entry| entry.0 + entry.1 > acknowledged);
        prop_assert_eq!(declared.len(), model.len());
        for from in 0..offset + 3 {
            for len in [1, 2, 50, 150, 700] {
                let first = model.iter().position(|e| e.0 <= from && from < e.0 + e.1);
                let expected = first.and_then(|first| {
                    let mut union = *model.get(first)?;
                    for next in model.iter().skip(first + 1) {
                        if union.0 + union.1 >= from + len {
                            break;
                        }
                        if union.0 + union.1 != next.0 || union.2 != next.2 {
                            return None;
                        }
                        union.1 += next.1;
                    }
                    (union.0 + union.1 >= from + len).then_some(union)
                });
                let expected = expected
                    .map(|e| Mapping::new(ssn(start, e.0), dsn(e.0, e.2), e.1));
                prop_assert_eq!(declared.covering(ssn(start, from), len), expected);
            }
        }
    }
}
