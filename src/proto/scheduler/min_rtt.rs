// SPDX-License-Identifier: GPL-2.0

//! The scheduler `minrtt`: lowest RTT first, and a slower path only if it delays nothing.
//!
//! The next data goes to the path with room that has the shortest round trip, counting what is
//! queued there (see [`Path::round_trip`]). That path may still be slower than others that have no
//! room at the moment. What it gets now arrives late, and everything behind it waits at the receiver
//! and fills the shared window and the send buffer. So data is held back for the faster paths `f` if
//! they would, before the slower path `s` has delivered,
//!
//! ```text
//!   (1)  carry all that waits:
//!             waiting <= sum of rate_f * (arrival_s - arrival_f)
//!   (2)  use up the rest of the window or of the send buffer:
//!             reach - queued_s < sum of rate_f * (arrival_s + back_f)
//! ```
//!
//! where `queued_s` counts the burst, `back` is the way of an ACK, and `arrival` is the round trip less
//! that; of `s` it is the longest that the measurements suggest. What has arrived on `s` frees the window
//! as soon as an ACK on `f` says so. (1) keeps the end of the stream off the slow path.
//! It does not count while the application may be waiting for room, because more will come. (2)
//! leaves the faster paths alone with what they need, and the slower path gets the rest of the window:
//! a small window goes to the fast path, a large one feeds all of them.

use super::{
    burst,
    eligible,
    send,
    Choice,
    Demand,
    Path,
    Scheduler,
    BURST_MAX, //
};

/// Lowest RTT first, without blocking the head of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MinRtt;

impl MinRtt {
    /// Makes the scheduler; it has no state.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Scheduler for MinRtt {
    fn choose(&mut self, paths: &[Path], demand: &Demand) -> Choice {
        let eligible = eligible(paths);
        let alone = eligible.clone().nth(1).is_none();
        let available = eligible
            .clone()
            .map(|path| {
                let most = if alone { BURST_MAX } else { path.share() };
                (path, burst(path, demand, most))
            })
            .filter(|(_, bytes)| *bytes > 0)
            .min_by_key(|(path, _)| path.round_trip(path.segment()));
        let Some((path, bytes)) = available else {
            return Choice::Wait;
        };
        if holds_back(eligible, path, bytes, demand) {
            Choice::Wait
        } else {
            send(path, bytes)
        }
    }
}

/// Tells whether `bytes` are better kept for paths that are faster than `slow` and have no room.
fn holds_back<'a>(
    paths: impl Iterator<Item = &'a Path>,
    slow: &Path,
    bytes: u32,
    demand: &Demand,
) -> bool {
    // Without ACKs there is nothing to wait for.
    if !slow.answers() {
        return false;
    }
    // A queue delays data, not ACKs; of the faster paths the earliest arrival counts.
    let arrival = slow
        .long_round_trip(bytes)
        .saturating_sub(slow.least_one_way());
    let own = slow.round_trip(slow.segment());
    let (mut earlier, mut meanwhile) = (0_u64, 0_u64);
    for fast in paths {
        let trip = fast.round_trip(fast.segment());
        // An idle path has room, and no ACK will ask again.
        if trip < own && fast.queued() > 0 {
            let ahead = arrival.saturating_sub(trip.saturating_sub(fast.one_way()));
            earlier = earlier.saturating_add(fast.carried_in(ahead));
            let freed = arrival.saturating_add(fast.least_one_way());
            meanwhile = meanwhile.saturating_add(fast.carried_in(freed));
        }
    }
    if meanwhile == 0 {
        return false;
    }
    let ends_sooner = !demand.is_backlogged() && demand.waiting <= earlier;
    let queued = u64::from(slow.queued()).saturating_add(u64::from(bytes));
    ends_sooner || demand.reach().saturating_sub(queued) < meanwhile
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        demand,
        full,
        path,
        sent_to, //
    };
    use super::*;

    /// A fast path of 1 MB/s without room and a slow one of 250 kB/s with room, in this order.
    fn unequal() -> [Path; 2] {
        let mut paths = [full(path(0, 20, 20_000)), path(1, 150, 40_000)];
        for (path, rate) in paths.iter_mut().zip([1_000_000, 250_000]) {
            path.delivery_rate = rate;
        }
        paths
    }

    #[test]
    fn shortest_round_trip_with_room_is_used() {
        let mut paths = [
            path(0, 150, 10_000),
            path(1, 20, 10_000),
            path(2, 30, 10_000),
        ];
        let mut demand = demand(1_000_000);
        assert_eq!(sent_to(MinRtt::new().choose(&paths, &demand)), Some(1));
        paths = paths.map(|path| if path.index == 1 { full(path) } else { path });
        assert_eq!(sent_to(MinRtt::new().choose(&paths, &demand)), Some(2));
        demand.waiting = 0;
        assert_eq!(MinRtt::new().choose(&paths, &demand), Choice::Wait);
    }

    #[test]
    fn queue_counts_as_round_trip() {
        let mut paths = [path(0, 20, 100_000), path(1, 25, 100_000)];
        for path in &mut paths {
            path.delivery_rate = 1_000_000;
        }
        let mut min_rtt = MinRtt::new();
        let mut given = [0; 2];
        while let Choice::Send { index, bytes } = min_rtt.choose(&paths, &demand(1_000_000)) {
            for (path, given) in paths.iter_mut().zip(&mut given) {
                if path.index == index {
                    path.in_flight += bytes;
                    *given += bytes;
                }
            }
            if given.iter().sum::<u32>() >= 100_000 {
                break;
            }
        }
        let [first, second] = given;
        assert!(first.abs_diff(second) < 5_000, "{given:?}");
    }

    #[test]
    fn end_of_stream_is_kept_off_the_slow_path() {
        // The slow path delivers after 75 ms, the fast one, with its queue, begins after 11 ms.
        let paths = unequal();
        let mut demand = demand(64_000);
        assert_eq!(MinRtt::new().choose(&paths, &demand), Choice::Wait);
        demand.waiting = 64_001;
        assert_eq!(sent_to(MinRtt::new().choose(&paths, &demand)), Some(1));
        // More will come.
        (demand.waiting, demand.in_flight, demand.buffer_free) = (64_000, 200_000, 100_000);
        assert_eq!(sent_to(MinRtt::new().choose(&paths, &demand)), Some(1));
    }

    #[test]
    fn window_that_the_fast_path_needs_is_left_to_it() {
        let paths = unequal();
        let mut demand = demand(1_000_000);
        demand.in_flight = 20_000;
        // 85 kB leave the fast path until an ACK on it tells what the slow one has brought in 75 ms, and two
        // segments are the share.
        demand.window = 67_000;
        assert_eq!(
            MinRtt::new().choose(&paths, &demand),
            Choice::Send {
                index: 1,
                bytes: 2_000
            }
        );
        demand.window = 66_999;
        assert_eq!(MinRtt::new().choose(&paths, &demand), Choice::Wait);
        // The same of the send buffer.
        demand.window = 1_000_000;
        (demand.waiting, demand.buffer_free) = (50_000, 16_999);
        assert_eq!(MinRtt::new().choose(&paths, &demand), Choice::Wait);
    }

    #[test]
    fn slow_path_alone_is_never_held_back() {
        let [fast, slow] = unequal();
        let demand = demand(10_000);
        let lone = MinRtt::new().choose(&[slow], &demand);
        assert_eq!(
            lone,
            Choice::Send {
                index: 1,
                bytes: 10_000
            }
        );
        let mut stale = [fast, slow];
        for path in &mut stale {
            path.stale = true;
        }
        assert_eq!(sent_to(MinRtt::new().choose(&stale, &demand)), Some(1));
    }
}
