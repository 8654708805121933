// SPDX-License-Identifier: GPL-2.0

//! Shows that remembered sums are those of the bytes themselves, however runs were cut and joined.

use mptcp_proto::mapping::{
    DeclareError,
    Sum,
    Sums, //
};
use mptcp_proto::seq::SubflowSeq;
use proptest::prelude::*;

/// Adds up bytes as 16-bit words in network order and folds the sum.
fn sum_of(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|word| match word {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(0)
}

/// An operation on the memory.
#[derive(Clone, Debug)]
enum Operation {
    /// Declares as many more bytes, with a gap before them.
    Declare { gap: usize, len: usize },
    /// Forgets what comes before.
    Prune { at: usize },
    /// Forgets what comes after.
    Truncate { at: usize },
    /// Joins the last two runs.
    Merge,
    /// Gives the memory room for so many runs, if they suffice.
    Replace { room: usize },
}

/// Chooses an operation.
fn operation() -> impl Strategy<Value = Operation> {
    let declare = (prop_oneof![5 => Just(0), 1 => 1..9usize], 1..60usize)
        .prop_map(|(gap, len)| Operation::Declare { gap, len });
    prop_oneof![
        8 => declare,
        1 => (0..600usize).prop_map(|at| Operation::Prune { at }),
        1 => (0..600usize).prop_map(|at| Operation::Truncate { at }),
        2 => Just(Operation::Merge),
        1 => (0..12usize).prop_map(|room| Operation::Replace { room }),
    ]
}

proptest! {
    #[test]
    fn sums_are_those_of_the_bytes(
        start in prop_oneof![Just(u32::MAX - 100), any::<u32>()],
        bytes in prop::collection::vec(any::<u8>(), 2_000),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let ssn = |at: usize| SubflowSeq::new(start.wrapping_add(at as u32));
        let mut sums = Sums::new(vec![Sum::EMPTY; 6]);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Declare { gap, len } => {
                    let from = runs.last().map_or(0, |(_, end)| *end) + gap;
                    let Some(run) = bytes.get(from..from + len) else { continue };
                    let outcome = sums.declare(Sum::new(ssn(from), len as u32, sum_of(run)));
                    if runs.len() < sums.capacity() {
                        prop_assert_eq!(outcome, Ok(()));
                        runs.push((from, from + len));
                    } else {
                        prop_assert_eq!(outcome, Err(DeclareError::Full));
                    }
                }
                Operation::Prune { at } => {
                    sums.prune(ssn(at));
                    runs.retain(|(_, end)| *end > at);
                }
                Operation::Truncate { at } => {
                    sums.truncate(ssn(at));
                    runs.retain(|(_, end)| *end <= at);
                }
                Operation::Merge => {
                    let joins = match runs.as_slice() {
                        [.., (_, end), (next, _)] => end == next,
                        _ => false,
                    };
                    prop_assert_eq!(sums.merge_last().is_some(), joins);
                    if joins {
                        let (_, end) = runs.pop().unwrap_or_default();
                        if let Some(last) = runs.last_mut() {
                            last.1 = end;
                        }
                    }
                }
                Operation::Replace { room } => {
                    let fits = sums.replace_storage(vec![Sum::EMPTY; room]).is_ok();
                    prop_assert_eq!(fits, room >= runs.len());
                }
            }
            prop_assert_eq!(sums.len(), runs.len());
            prop_assert_eq!(sums.end(), runs.last().map(|(_, end)| ssn(*end)));
            for (index, (from, _)) in runs.iter().enumerate() {
                for (_, end) in runs.iter().skip(index) {
                    let whole = runs
                        .iter()
                        .skip(index)
                        .zip(runs.iter().skip(index + 1))
                        .take_while(|((_, end_of_one), _)| end_of_one < end)
                        .all(|((_, end), (next, _))| end == next);
                    let sum = bytes.get(*from..*end).map(sum_of);
                    let expected = sum.filter(|_| whole);
                    let found = sums.of(ssn(*from), (end - from) as u32);
                    // Zero has two forms.
                    prop_assert_eq!(found.map(|sum| sum % 0xffff), expected.map(|sum| sum % 0xffff));
                }
            }
        }
    }
}
