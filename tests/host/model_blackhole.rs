// SPDX-License-Identifier: GPL-2.0

//! Shows that MPTCP is off for as long as a naive list of what happened says, whatever happens when.

use mptcp_proto::handshake::Blackhole;
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};
use proptest::prelude::*;

/// What happens to a host.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes, in thousandths of the timeout.
    Wait(u64),
    /// A connection finds that the option was dropped.
    Dropped,
    /// A connection has its answer with the option.
    Worked,
}

/// Chooses what happens.
fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop_oneof![0..3_000u64, 0..70_000u64].prop_map(Event::Wait),
        4 => Just(Event::Dropped),
        1 => Just(Event::Worked),
    ]
}

/// When the option was dropped since it last worked, one time for each period without it.
fn is_off(dropped: &[u64], now: u64, timeout: u64) -> bool {
    let Some(last) = dropped.last() else {
        return false;
    };
    let mut span = timeout;
    for _ in 0..dropped.len().min(7) - 1 {
        span *= 2;
    }
    now < last + span
}

proptest! {
    #[test]
    fn off_as_long_as_the_list_says(
        begin in 0..u64::from(u32::MAX) << 20,
        seconds in 0..100_000u64,
        history in prop::collection::vec(event(), 0..60),
    ) {
        let timeout = Duration::from_secs(seconds);
        let (mut now, mut dropped) = (begin, Vec::new());
        let mut word = Blackhole::NONE.bits();
        for event in history {
            let blackhole = Blackhole::from_bits(word);
            let time = Timestamp::from_micros(now);
            let off = is_off(&dropped, now, timeout.as_micros());
            prop_assert_eq!(blackhole.blocks(time, timeout), off);
            match event {
                Event::Wait(share) => now += timeout.as_micros() / 1_000 * share,
                Event::Dropped => {
                    word = blackhole.on_dropped(time, timeout).bits();
                    if !off {
                        dropped.push(now);
                    }
                }
                Event::Worked => {
                    word = Blackhole::NONE.bits();
                    dropped.clear();
                }
            }
        }
    }
}
