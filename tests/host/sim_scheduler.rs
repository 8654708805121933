// SPDX-License-Identifier: GPL-2.0

//! Shows what throughput each scheduler gets out of two paths, beside the best of them alone and the
//! sum of both, and that none of them loses anything. Time is virtual and nothing is left to chance.

#[path = "sim_scheduler/net.rs"]
mod net;
#[path = "sim_scheduler/subflow.rs"]
mod subflow;

use mptcp_proto::scheduler::Kind;

use net::{
    Net,
    Scenario, //
};
use subflow::Link;

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// Buffers that do not hold what slow paths need, in bytes.
const SMALL: [u64; 5] = [50_000, 100_000, 200_000, 400_000, 600_000];

/// Buffers that do.
const LARGE: [u64; 2] = [1_000_000, 2_000_000];

/// Makes a path from Mbit/s, milliseconds and bytes of queue.
fn link(rate: u64, rtt: u64, queue: u64) -> Link {
    Link {
        rate: rate * 125_000,
        rtt: rtt * 1_000,
        queue,
        backup: false,
    }
}

/// A fast path and a slow one, with queues as short as the paths, some way longer, and endless.
fn unequal() -> [[Link; 2]; 3] {
    [
        [link(8, 20, 30_000), link(2, 150, 40_000)],
        [link(8, 20, 150_000), link(2, 150, 150_000)],
        [link(8, 20, 1_000_000), link(2, 150, 1_000_000)],
    ]
}

/// Two paths of one rate, one of them longer.
fn near_and_far() -> [Link; 2] {
    [link(20, 30, 75_000), link(20, 100, 250_000)]
}

/// Two paths that are the same, with a short and a long queue.
fn equal() -> [[Link; 2]; 2] {
    [[link(10, 40, 50_000); 2], [link(10, 40, 300_000); 2]]
}

/// Makes a scenario with more data than there is time.
fn scenario(kind: Kind, links: &[Link], buffer: u64) -> Scenario {
    Scenario {
        kind,
        links: links.to_vec(),
        window: buffer,
        buffer,
        headroom: 0,
        rescue: true,
        rates: true,
        size: u64::MAX / 2,
        failure: None,
    }
}

/// Returns the throughput once everything has settled, in bytes per second.
fn throughput(scenario: Scenario) -> u64 {
    let mut net = Net::new(scenario);
    net.run(6 * SECOND);
    let start = net.rcv_nxt;
    net.run(12 * SECOND);
    (net.rcv_nxt - start) / 6
}

/// Returns the most that the best path alone can have: its rate, or a buffer in each round trip.
fn best_alone(links: &[Link], buffer: u64) -> u64 {
    let alone = |link: &Link| link.rate.min(buffer * SECOND / link.rtt);
    links.iter().map(alone).max().unwrap_or(0)
}

/// Returns the sum of the rates of all paths.
fn sum(links: &[Link]) -> u64 {
    links.iter().map(|link| link.rate).sum()
}

/// Checks that a throughput is at least so many hundredths of another.
fn assert_share(what: &Scenario, least: u64, of: u64) {
    let got = throughput(what.clone());
    assert!(
        got * 100 >= of * least,
        "{} of {of} B/s, {}%, at least {least}%: {what:?}",
        got,
        got * 100 / of.max(1)
    );
}

#[test]
fn small_buffer_min_rtt_is_never_worse_than_the_best_path() {
    for links in unequal() {
        for buffer in SMALL {
            let best = best_alone(&links, buffer);
            let mut what = scenario(Kind::MinRtt, &links, buffer);
            for rescue in [false, true] {
                what.rescue = rescue;
                assert_share(&what, 97, best);
            }
            // TCP is given more than the congestion window, or the rates are not known.
            what.headroom = 3_000;
            assert_share(&what, 97, best);
            (what.headroom, what.rates) = (0, false);
            assert_share(&what, 90, best);
        }
    }
    let links = near_and_far();
    for buffer in SMALL {
        let best = best_alone(&links, buffer);
        assert_share(&scenario(Kind::MinRtt, &links, buffer), 97, best);
    }
}

#[test]
fn one_small_buffer_of_two_min_rtt_is_never_worse_than_the_best_path() {
    for links in unequal() {
        for small in SMALL {
            let mut what = scenario(Kind::MinRtt, &links, small);
            for (window, buffer) in [(small, 4 * small), (4 * small, small)] {
                (what.window, what.buffer) = (window, buffer);
                assert_share(&what, 97, best_alone(&links, small));
            }
        }
    }
}

#[test]
fn large_buffer_min_rtt_reaches_the_sum() {
    for links in unequal().into_iter().chain([near_and_far()]) {
        for buffer in LARGE {
            assert_share(&scenario(Kind::MinRtt, &links, buffer), 93, sum(&links));
        }
    }
}

#[test]
fn equal_paths_reach_the_sum() {
    for links in equal() {
        // Twice what is in flight on both paths without a queue.
        for buffer in [200_000, 400_000, 1_000_000] {
            assert_share(&scenario(Kind::MinRtt, &links, buffer), 95, sum(&links));
        }
        for kind in [Kind::RoundRobin, Kind::Blest, Kind::Ecf] {
            assert_share(&scenario(kind, &links, 1_000_000), 95, sum(&links));
        }
    }
}

#[test]
fn large_buffer_every_scheduler_but_redundant_aggregates() {
    for links in [near_and_far()]
        .into_iter()
        .chain(unequal().into_iter().take(2))
    {
        for kind in [Kind::RoundRobin, Kind::Blest, Kind::Ecf] {
            assert_share(&scenario(kind, &links, 2_000_000), 93, sum(&links));
        }
    }
}

#[test]
fn small_buffer_blest_and_ecf_stay_near_the_best_path() {
    for links in unequal().into_iter().take(2).chain([near_and_far()]) {
        for buffer in SMALL {
            let best = best_alone(&links, buffer);
            for kind in [Kind::Blest, Kind::Ecf] {
                assert_share(&scenario(kind, &links, buffer), 90, best);
            }
        }
    }
}

#[test]
fn redundant_is_as_fast_as_the_best_path() {
    for links in unequal().into_iter().chain([near_and_far()]) {
        for buffer in [50_000, 200_000, 2_000_000] {
            let best = best_alone(&links, buffer);
            assert_share(&scenario(Kind::Redundant, &links, buffer), 97, best);
        }
    }
}

#[test]
fn little_data_min_rtt_is_as_soon_there_as_on_the_fast_path() {
    for [fast, slow] in unequal() {
        for size in [1_000, 14_000, 40_000, 100_000, 300_000, 1_000_000] {
            let time = |links: &[Link]| {
                let mut what = scenario(Kind::MinRtt, links, 4_000_000);
                what.size = size;
                let mut net = Net::new(what);
                net.run(60 * SECOND);
                assert_eq!(net.rcv_nxt, size);
                net.now
            };
            let (both, alone) = (time(&[slow, fast]), time(&[fast]));
            assert!(both * 100 <= alone * 103, "{size}: {both} and {alone} us");
        }
    }
}

#[test]
fn path_lost_leaves_the_rate_of_the_other() {
    let [first, second] = near_and_far();
    for kind in Kind::ALL {
        for lost in [0, 1] {
            let mut what = scenario(*kind, &[first, second], 1_000_000);
            what.failure = Some((4 * SECOND, lost));
            let left = if lost == 0 { second } else { first };
            what.size = 20_000_000;
            let mut net = Net::new(what);
            net.run(60 * SECOND);
            assert_eq!(net.rcv_nxt, net.size(), "{kind:?}");
            // As if it had been alone from the beginning, and two seconds to notice.
            let most = net.size() / left.rate * SECOND + 2 * SECOND;
            assert!(net.now < most, "{kind:?}: {} us", net.now);
        }
    }
}

#[test]
fn backup_carries_nothing_until_the_regular_path_is_lost() {
    let [regular, backup] = near_and_far();
    let backup = Link {
        backup: true,
        ..backup
    };
    for kind in Kind::ALL {
        let mut what = scenario(*kind, &[regular, backup], 1_000_000);
        what.failure = Some((4 * SECOND, 0));
        let mut net = Net::new(what);
        net.run(4 * SECOND);
        assert_eq!(net.given.get(1), Some(&0));
        let before = net.rcv_nxt;
        net.run(14 * SECOND);
        assert!(net.rcv_nxt - before > 5 * backup.rate, "{kind:?}");
    }
}
