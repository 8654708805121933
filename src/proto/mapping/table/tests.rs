// SPDX-License-Identifier: GPL-2.0

//! The table of mappings, case by case.

use super::*;
use crate::seq::DataSeq;

/// Makes a mapping.
fn mapping(ssn: u32, dsn: u64, len: u32) -> Mapping {
    Mapping::new(SubflowSeq::new(ssn), DataSeq::new(dsn), len)
}

/// Makes a table with room for `N` entries.
fn table<const N: usize>() -> Table<[Mapping; N]> {
    Table::new([Mapping::EMPTY; N])
}

/// Returns the entries of a table.
fn entries<const N: usize>(table: &Table<[Mapping; N]>) -> Vec<Mapping> {
    table.iter().collect()
}

#[test]
fn bulk_transfer_across_the_wrap_stays_one_entry() {
    let mut table = table::<1>();
    let start = SubflowSeq::new(u32::MAX - 50_000);
    let dsn = DataSeq::new(u64::MAX - 20_000);
    for step in 0..100u32 {
        let at = step * 1_000;
        let next = Mapping::new(start.advance(at), dsn.advance(u64::from(at)), 1_000);
        let expected = if step == 0 {
            Inserted::New
        } else {
            Inserted::Merged
        };
        assert_eq!(table.insert(next), Ok(expected));
        assert_eq!(table.insert(next), Ok(Inserted::Known));
    }
    assert_eq!(entries(&table), [Mapping::new(start, dsn, 100_000)]);
    let inside = table.lookup(start.advance(60_000));
    assert_eq!(
        inside,
        Some(Mapping::new(
            start.advance(60_000),
            dsn.advance(60_000),
            40_000
        ))
    );
    table.prune(start.advance(99_999));
    assert_eq!(table.first().map(Mapping::len), Some(1));
    table.prune(start.advance(100_000));
    assert!(table.is_empty());
}

#[test]
fn delivered_bytes_go_only_when_both_levels_have_acknowledged_them() {
    let mut table = table::<2>();
    assert_eq!(table.insert(mapping(100, 1_100, 100)), Ok(Inserted::New));
    assert_eq!(table.insert(mapping(200, 5_000, 100)), Ok(Inserted::New));
    table.prune_delivered(SubflowSeq::new(250), DataSeq::new(1_150));
    assert_eq!(
        entries(&table),
        [mapping(150, 1_150, 50), mapping(200, 5_000, 100)]
    );
    table.prune_delivered(SubflowSeq::new(160), DataSeq::new(9_000));
    assert_eq!(table.first(), Some(mapping(160, 1_160, 40)));
    table.prune_delivered(SubflowSeq::new(250), DataSeq::new(5_000));
    assert_eq!(entries(&table), [mapping(200, 5_000, 100)]);
    table.prune_delivered(SubflowSeq::new(300), DataSeq::new(5_100));
    assert!(table.is_empty());
}

#[test]
fn overlap_with_same_offset_adds_only_what_is_new() {
    let mut table = table::<2>();
    assert_eq!(table.insert(mapping(100, 1_100, 100)), Ok(Inserted::New));
    assert_eq!(table.insert(mapping(300, 1_300, 100)), Ok(Inserted::New));
    // Both sides and the hole between them, although no entry is free.
    assert_eq!(table.insert(mapping(50, 1_050, 500)), Ok(Inserted::Merged));
    assert_eq!(entries(&table), [mapping(50, 1_050, 500)]);
}

#[test]
fn overlap_with_other_offset_keeps_the_first_and_reports_it() {
    let mut table = table::<3>();
    assert_eq!(table.insert(mapping(100, 1_100, 100)), Ok(Inserted::New));
    assert_eq!(
        table.insert(mapping(50, 9_050, 200)),
        Ok(Inserted::Conflict { added: 100 })
    );
    assert_eq!(
        entries(&table),
        [
            mapping(50, 9_050, 50),
            mapping(100, 1_100, 100),
            mapping(200, 9_200, 50)
        ]
    );
    assert_eq!(
        table.insert(mapping(110, 0, 10)),
        Ok(Inserted::Conflict { added: 0 })
    );
}

#[test]
fn full_table_is_left_unchanged() {
    let mut table = table::<2>();
    assert_eq!(table.insert(mapping(100, 1_100, 10)), Ok(Inserted::New));
    assert_eq!(table.insert(mapping(200, 1_200, 10)), Ok(Inserted::New));
    let before = entries(&table);
    assert_eq!(table.insert(mapping(300, 0, 10)), Err(InsertError::Full));
    assert_eq!(table.insert(mapping(150, 0, 10)), Err(InsertError::Full));
    // Two gaps merge, but the one in front does not.
    assert_eq!(table.insert(mapping(90, 0, 140)), Err(InsertError::Full));
    assert_eq!(entries(&table), before);
    assert_eq!(table.insert(mapping(210, 1_210, 5)), Ok(Inserted::Merged));
    assert_eq!(table.insert(mapping(95, 1_095, 5)), Ok(Inserted::Merged));
    assert_eq!(table.lookup(SubflowSeq::new(110)), None);
    assert_eq!(
        table.lookup(SubflowSeq::new(214)),
        Some(mapping(214, 1_214, 1))
    );
}

#[test]
fn full_table_merges_before_it_needs_room() {
    let mut table = table::<3>();
    for entry in [
        mapping(100, 7_000, 10),
        mapping(200, 1_200, 10),
        mapping(300, 1_300, 10),
    ] {
        assert_eq!(table.insert(entry), Ok(Inserted::New));
    }
    // The part in front needs an entry, which is free once the last two have become one.
    let result = table.insert(mapping(50, 1_050, 260));
    assert_eq!(result, Ok(Inserted::Conflict { added: 230 }));
    assert_eq!(
        entries(&table),
        [
            mapping(50, 1_050, 50),
            mapping(100, 7_000, 10),
            mapping(110, 1_110, 200)
        ]
    );
}

#[test]
fn distant_mappings_are_refused() {
    let mut table = table::<4>();
    assert_eq!(
        table.insert(mapping(0, 0, 1 << 31)),
        Err(InsertError::Distant)
    );
    assert_eq!(table.insert(mapping(0, 0, 10)), Ok(Inserted::New));
    assert_eq!(
        table.insert(mapping(0, 0, 1 << 31)),
        Err(InsertError::Distant)
    );
    assert_eq!(
        table.insert(mapping(1 << 31, 7, 10)),
        Err(InsertError::Distant)
    );
    assert_eq!(
        table.insert(mapping((1 << 31) + 5, 7, 10)),
        Err(InsertError::Distant)
    );
    assert_eq!(table.insert(mapping(5, 7, 0)), Ok(Inserted::Known));
    assert_eq!(table.len(), 1);
}

#[test]
fn window_decides_what_a_peer_may_declare() {
    let mut table = table::<4>();
    let oldest = SubflowSeq::new(1_000);
    assert_eq!(
        table.insert_within(mapping(900, 0, 100), oldest, 500),
        Err(InsertError::Past)
    );
    assert_eq!(
        table.insert_within(mapping(1_500, 0, 1), oldest, 500),
        Err(InsertError::Distant)
    );
    assert_eq!(
        table.insert_within(mapping(900, 0, 150), oldest, 500),
        Ok(Inserted::New)
    );
    assert_eq!(entries(&table), [mapping(1_000, 100, 50)]);
    assert_eq!(
        table.insert_within(mapping(1_499, 0, 600), oldest, 500),
        Ok(Inserted::New)
    );
    assert_eq!(
        table.insert_within(mapping(900, 0, u32::MAX), oldest, 500),
        Err(InsertError::Distant)
    );
}

#[test]
fn truncate_forgets_the_tail() {
    let mut table = table::<4>();
    assert_eq!(table.insert(mapping(0, 0, 10)), Ok(Inserted::New));
    assert_eq!(table.insert(mapping(20, 0, 10)), Ok(Inserted::New));
    table.truncate(SubflowSeq::new(25));
    assert_eq!(entries(&table), [mapping(0, 0, 10), mapping(20, 0, 5)]);
    table.truncate(SubflowSeq::new(15));
    assert_eq!(entries(&table), [mapping(0, 0, 10)]);
    table.truncate(SubflowSeq::new(0));
    assert!(table.is_empty());
}
