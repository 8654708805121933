// SPDX-License-Identifier: GPL-2.0

//! Shows that two hosts made of the pieces of the crate carry both streams intact and always come to
//! an end, whatever the paths between them do. Time is virtual and chance has a seed.

#[path = "sim/host.rs"]
mod host;
#[path = "sim/net.rs"]
mod net;
#[path = "sim/setup.rs"]
mod setup;
#[path = "sim/tcp.rs"]
mod tcp;
#[path = "sim/world.rs"]
mod world;

use mptcp_proto::handshake::{
    Checksums,
    Policy, //
};
use proptest::prelude::*;

use host::{
    Host,
    Mode, //
};
use net::{
    is_confirmed,
    Net,
    Scenario, //
};
use world::{
    Link,
    Strip, //
};

/// The longest that a connection may take, in microseconds.
const PATIENCE: u64 = 600_000_000;

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// With a DATA_FIN in both directions.
    Multipath,
    /// As regular TCP.
    Plain,
    /// Before its time.
    Aborted,
}

/// A scenario with clean paths.
fn scenario(paths: usize) -> Scenario {
    Scenario {
        seed: 1,
        paths: vec![[Link::CLEAN; 2]; paths],
        sizes: [150_000, 90_000],
        policies: [Policy::DEFAULT; 2],
        buffer: 40_000,
        pace: 20_000,
    }
}

/// Returns how a host ended.
fn end_of(host: &Host) -> End {
    match (host.aborted, host.mode) {
        (true, _) => End::Aborted,
        (false, Mode::Plain) => End::Plain,
        (false, _) => End::Multipath,
    }
}

/// Runs a scenario, checks what must hold for every one, and returns how both hosts ended.
fn run(scenario: &Scenario) -> [End; 2] {
    run_net(scenario).0
}

/// As [`run`], and returns what is left.
fn run_net(scenario: &Scenario) -> ([End; 2], Net) {
    let mut net = Net::new(scenario.clone());
    let ended = net.run(PATIENCE);
    assert!(ended, "no end: {scenario:?}\n{}", net.describe());
    let [client, server] = &net.hosts;
    let ends = [end_of(client), end_of(server)];
    if !ends.contains(&End::Aborted) {
        let delivered = [server.delivered, client.delivered];
        assert_eq!(delivered, scenario.sizes, "{ends:?}: {scenario:?}");
    }
    if ends == [End::Multipath; 2] && scenario.sizes != [0, 0] {
        assert!(is_confirmed(client));
    }
    (ends, net)
}

/// Runs a scenario with a number of seeds and returns all ends.
fn run_seeds(mut scenario: Scenario, seeds: u64) -> Vec<[End; 2]> {
    (1..=seeds)
        .map(|seed| {
            scenario.seed = seed;
            run(&scenario)
        })
        .collect()
}

/// Changes the links of the first path in both directions.
fn first_path(scenario: &mut Scenario, change: impl Fn(usize, &mut Link)) {
    for path in scenario.paths.iter_mut().take(1) {
        for (direction, link) in path.iter_mut().enumerate() {
            change(direction, link);
        }
    }
}

#[test]
fn clean_paths_end_multipath() {
    for paths in 1..=3 {
        let (ends, net) = run_net(&scenario(paths));
        assert_eq!(ends, [End::Multipath; 2]);
        let [client, _] = &net.hosts;
        let carried: Vec<_> = client.subflows.iter().map(|s| s.tcp.end()).collect();
        assert_eq!(carried.len(), paths);
        assert!(carried.iter().all(|end| *end > 10_000), "{carried:?}");
    }
}

#[test]
fn streams_of_any_size_end_multipath() {
    for sizes in [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
        [0, 70_000],
        [70_000, 0],
        [1_000, 1_000],
    ] {
        let scenario = Scenario {
            sizes,
            ..scenario(2)
        };
        assert_eq!(run(&scenario), [End::Multipath; 2], "{sizes:?}");
    }
}

#[test]
fn slow_reader_and_small_buffer_never_overrun() {
    for (buffer, pace) in [(1_500, 100), (5_000, 500), (30_000, 300)] {
        let scenario = Scenario {
            buffer,
            pace,
            sizes: [60_000, 20_000],
            paths: vec![[Link::BAD, Link::BAD], [Link::CLEAN, Link::BAD]],
            ..scenario(2)
        };
        for ends in run_seeds(scenario, 5) {
            assert!(!ends.contains(&End::Aborted));
        }
    }
}

#[test]
fn bad_paths_end_intact() {
    for paths in 1..=3 {
        let scenario = Scenario {
            paths: vec![[Link::BAD; 2]; paths],
            ..scenario(paths)
        };
        let ends = run_seeds(scenario, 12);
        assert!(
            ends.iter().all(|ends| !ends.contains(&End::Aborted)),
            "{ends:?}"
        );
        assert!(ends.contains(&[End::Multipath; 2]));
    }
}

#[test]
fn options_removed_from_the_handshake_end_plain() {
    let strips = [
        (
            0,
            Strip {
                syn: true,
                ..Strip::default()
            },
        ),
        (
            1,
            Strip {
                syn: true,
                ..Strip::default()
            },
        ),
        (
            0,
            Strip {
                third_ack: true,
                ..Strip::default()
            },
        ),
        (0, Strip::ALL),
        (1, Strip::ALL),
    ];
    for (from, strip) in strips {
        for sizes in [[50_000, 30_000], [0, 30_000], [50_000, 0], [0, 0]] {
            let mut scenario = Scenario {
                sizes,
                ..scenario(1)
            };
            first_path(&mut scenario, |direction, link| {
                link.jitter = 3_000;
                link.loss = 20;
                if direction == from {
                    link.strip = strip;
                }
            });
            for ends in run_seeds(scenario, 4) {
                // First data can carry what the third ACK lost.
                let saved = strip.third_ack && !strip.syn && sizes != [0, 0];
                let expected = ends == [End::Plain; 2] || (saved && ends == [End::Multipath; 2]);
                assert!(expected, "{strip:?} from {from} with {sizes:?}: {ends:?}");
            }
        }
    }
}

#[test]
fn syn_with_option_dropped_ends_plain() {
    let mut scenario = scenario(1);
    first_path(&mut scenario, |_, link| link.drop_syn_options = true);
    assert_eq!(run(&scenario), [End::Plain; 2]);
}

#[test]
fn options_removed_from_data_end_plain_or_reset() {
    for directions in 1..4 {
        for acks in [false, true] {
            for sizes in [[50_000, 0], [0, 50_000], [60_000, 60_000]] {
                let mut scenario = Scenario {
                    sizes,
                    ..scenario(1)
                };
                first_path(&mut scenario, |direction, link| {
                    link.jitter = 3_000;
                    link.loss = 20;
                    link.strip.data = (directions >> direction) & 1 != 0;
                    link.strip.acks = acks && link.strip.data;
                });
                run_seeds(scenario, 4);
            }
        }
    }
    // Nothing but options on SYNs passes from the client: the server has no reason to go on.
    let mut scenario = scenario(1);
    first_path(&mut scenario, |_, link| {
        link.strip.data = true;
        link.strip.acks = true;
    });
    assert_eq!(run(&scenario), [End::Plain; 2]);
}

#[test]
fn path_that_dies_is_replaced_by_the_other() {
    for dead in 0..2 {
        let mut scenario = scenario(2);
        if let Some(path) = scenario.paths.get_mut(dead) {
            for link in path {
                link.dead_from = 150_000;
            }
        }
        for ends in run_seeds(scenario, 10) {
            assert_eq!(ends, [End::Multipath; 2]);
        }
    }
}

#[test]
fn path_that_dies_alone_aborts() {
    let mut scenario = scenario(1);
    first_path(&mut scenario, |_, link| link.dead_from = 100_000);
    assert_eq!(run(&scenario), [End::Aborted; 2]);
}

#[test]
fn options_removed_on_a_second_path_leave_the_first() {
    for strip in [
        Strip::ALL,
        Strip {
            syn: true,
            ..Strip::default()
        },
        Strip {
            data: true,
            ..Strip::default()
        },
        Strip {
            data: true,
            acks: true,
            ..Strip::default()
        },
    ] {
        for from in 0..2 {
            let mut scenario = scenario(2);
            if let Some(link) = scenario
                .paths
                .last_mut()
                .and_then(|path| path.get_mut(from))
            {
                link.strip = strip;
            }
            for ends in run_seeds(scenario, 5) {
                assert_eq!(ends, [End::Multipath; 2], "{strip:?} from {from}");
            }
        }
    }
}

#[test]
fn payload_changed_on_a_second_path_is_found_and_sent_again() {
    let policy = Policy {
        checksums: Checksums::Required,
        ..Policy::DEFAULT
    };
    let mut scenario = Scenario {
        policies: [policy, Policy::DEFAULT],
        ..scenario(2)
    };
    if let Some(path) = scenario.paths.last_mut() {
        for link in path {
            link.corrupt = 200;
        }
    }
    for seed in 1..=10 {
        scenario.seed = seed;
        let (ends, net) = run_net(&scenario);
        assert_eq!(ends, [End::Multipath; 2]);
        let [client, server] = &net.hosts;
        assert!(client.mp_fails + server.mp_fails > 0);
    }
}

#[test]
fn checksums_on_bad_paths_end_intact() {
    let policy = Policy {
        checksums: Checksums::Required,
        ..Policy::DEFAULT
    };
    let scenario = Scenario {
        policies: [policy; 2],
        paths: vec![[Link::BAD; 2]; 2],
        ..scenario(2)
    };
    for ends in run_seeds(scenario, 10) {
        assert!(!ends.contains(&End::Aborted));
    }
}

/// Chooses a link.
fn link() -> impl Strategy<Value = Link> {
    let strip = prop_oneof![
        6 => Just(Strip::default()),
        1 => (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(syn, third_ack, data, acks)| Strip { syn, third_ack, data, acks }
        ),
    ];
    let dead_from = prop_oneof![4 => Just(u64::MAX), 1 => 0..2_000_000u64];
    (
        1_000..80_000u64,
        0..30_000u64,
        0..120u16,
        0..80u16,
        strip,
        dead_from,
    )
        .prop_map(|(delay, jitter, loss, duplicate, strip, dead_from)| Link {
            delay,
            jitter,
            loss,
            duplicate,
            strip,
            dead_from,
            ..Link::CLEAN
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_paths_keep_the_streams_intact_and_come_to_an_end(
        seed in 1..u64::MAX >> 8,
        paths in prop::collection::vec((link(), link()), 1..4),
        sizes in (0..120_000u64, 0..120_000u64),
        checksum in any::<bool>(),
        buffer in 2_000..60_000u64,
        pace in 200..20_000u64,
    ) {
        let policy = Policy {
            checksums: if checksum { Checksums::Required } else { Checksums::Accepted },
            ..Policy::DEFAULT
        };
        run(&Scenario {
            seed,
            paths: paths.into_iter().map(|(there, back)| [there, back]).collect(),
            sizes: [sizes.0, sizes.1],
            policies: [policy, Policy::DEFAULT],
            buffer,
            pace,
        });
    }
}
