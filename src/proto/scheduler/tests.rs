// SPDX-License-Identifier: GPL-2.0

//! What all schedulers share, and the paths that their tests begin with.

use super::*;
use crate::time::Duration;

/// Makes an idle, regular path with segments of 1,000 bytes and a steady RTT in milliseconds.
pub(super) fn path(index: u8, rtt: u64, cwnd: u32) -> Path {
    Path {
        index,
        srtt: Duration::from_millis(rtt),
        min_rtt: Duration::from_millis(rtt),
        rttvar: Duration::ZERO,
        cwnd,
        headroom: 0,
        in_flight: 0,
        unsent: 0,
        idle: Duration::ZERO,
        mss: 1_000,
        delivery_rate: 0,
        behind: 0,
        backup: false,
        stale: false,
        timed_out: false,
        usable: true,
    }
}

/// Fills the congestion window of a path.
pub(super) fn full(path: Path) -> Path {
    Path {
        in_flight: path.cwnd,
        ..path
    }
}

/// Makes a demand for `waiting` bytes that no window and no buffer limits.
pub(super) fn demand(waiting: u64) -> Demand {
    Demand {
        now: Timestamp::ORIGIN,
        waiting,
        window: 1 << 30,
        in_flight: 0,
        buffer_free: 1 << 30,
    }
}

/// Returns which path gets new data, if one does.
pub(super) fn sent_to(choice: Choice) -> Option<u8> {
    match choice {
        Choice::Send { index, .. } => Some(index),
        Choice::Repeat { .. } | Choice::Wait => None,
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names, ["minrtt", "roundrobin", "redundant", "blest", "ecf"]);
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.name().as_bytes()), Some(*kind));
        assert_eq!(AnyScheduler::new(*kind).kind(), *kind);
    }
    for name in [&b""[..], b"minrt", b"minrtt ", b"MINRTT"] {
        assert_eq!(Kind::parse(name), None);
    }
    assert_eq!(Kind::default(), Kind::MinRtt);
}

#[test]
fn regular_path_full_keeps_the_backup_idle() {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.8
    //= type=test
    //# a subflow where the
    //# receiver has indicated that B=1 SHOULD NOT be used to send data
    //# unless there are no usable subflows where B=0
    let backup = Path {
        backup: true,
        ..path(1, 10, 10_000)
    };
    let regular = full(path(0, 200, 10_000));
    for kind in Kind::ALL {
        let choose =
            |paths: &[Path]| sent_to(AnyScheduler::new(*kind).choose(paths, &demand(5_000)));
        assert_eq!(choose(&[regular, backup]), None);
        let unusable = Path {
            usable: false,
            ..regular
        };
        let stale = Path {
            stale: true,
            ..regular
        };
        let late = Path {
            timed_out: true,
            ..regular
        };
        let slow = path(1, 900, 10_000);
        assert_eq!(choose(&[unusable, backup]), Some(1));
        assert_eq!(choose(&[stale, backup]), Some(1));
        assert_eq!(choose(&[late, backup]), None, "{kind:?}");
        assert_eq!(choose(&[late, slow]), Some(1), "{kind:?}");
        assert_eq!(choose(&[]), None);
    }
}

#[test]
fn everything_stale_still_sends_on_the_regular_path() {
    let stale = Path {
        stale: true,
        ..path(0, 200, 10_000)
    };
    let backup = Path {
        backup: true,
        ..stale
    };
    let backup = Path { index: 1, ..backup };
    for kind in Kind::ALL {
        let mut scheduler = AnyScheduler::new(*kind);
        let choice = scheduler.choose(&[backup, stale], &demand(5_000));
        assert_eq!(sent_to(choice), Some(0));
    }
}

#[test]
fn small_window_waits_for_a_data_ack_that_can_come() {
    let path = path(0, 20, 10_000);
    let mut demand = demand(5_000);
    demand.window = 400;
    assert_eq!(burst(&path, &demand, BURST_MAX), 400);
    demand.in_flight = 1;
    assert_eq!(burst(&path, &demand, BURST_MAX), 0);
    demand.window = 2_400;
    assert_eq!(burst(&path, &demand, BURST_MAX), 2_000);
    // The end of the data goes as it is.
    demand.waiting = 400;
    assert_eq!(burst(&path, &demand, BURST_MAX), 400);
    demand.waiting = 2_400;
    assert_eq!(burst(&path, &demand, BURST_MAX), 2_400);
}

#[test]
fn burst_is_cut_to_room_and_share() {
    let mut path = path(0, 20, 1_000_000);
    let demand = demand(u64::MAX);
    assert_eq!(burst(&path, &demand, BURST_MAX), 65_000);
    assert_eq!(burst(&path, &demand, 4_999), 4_000);
    assert_eq!(burst(&path, &demand, 0), 1_000);
    path.in_flight = 993_000;
    assert_eq!(burst(&path, &demand, BURST_MAX), 7_000);
    path.in_flight = 999_001;
    assert_eq!(burst(&path, &demand, BURST_MAX), 0);
}

#[test]
fn reach_is_the_smaller_of_window_and_buffer() {
    let mut demand = demand(1_000);
    (demand.window, demand.in_flight, demand.buffer_free) = (5_000, 300, 2_000);
    assert_eq!((demand.sendable(), demand.reach()), (1_000, 3_300));
    demand.window = 700;
    assert_eq!((demand.sendable(), demand.reach()), (700, 1_000));
    (demand.window, demand.in_flight) = (u64::MAX, u64::MAX);
    (demand.waiting, demand.buffer_free) = (u64::MAX, u64::MAX);
    assert_eq!(demand.reach(), u64::MAX);
}

#[test]
fn buffer_two_thirds_full_is_backlogged() {
    let mut demand = demand(40);
    (demand.in_flight, demand.buffer_free) = (20, 29);
    assert!(demand.is_backlogged());
    demand.buffer_free = 30;
    assert!(!demand.is_backlogged());
    (demand.waiting, demand.in_flight, demand.buffer_free) = (0, 0, 0);
    assert!(!demand.is_backlogged());
}
