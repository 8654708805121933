// SPDX-License-Identifier: GPL-2.0

//! The paths of a connection, event by event.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::ids::TruncatedHmac;
use crate::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use crate::options::{
    AddAddr,
    MpPrio,
    RemoveAddr, //
};

mod announced;
mod commanded;
mod endpoints;
mod entries;
mod joins;
mod listings;
mod signals;

/// The retransmission timeout of all subflows.
const RTO: Duration = Duration::from_millis(200);

/// Makes a local address.
fn local(last: u8) -> Address {
    Address::V4([10, 0, 0, last])
}

/// Makes an address of the peer.
fn peer(last: u8) -> Address {
    Address::V4([192, 0, 2, last])
}

/// Makes an address ID.
fn id(value: u8) -> AddressId {
    AddressId::new(value)
}

/// Makes a point in time.
fn at(seconds: u64) -> Timestamp {
    Timestamp::ORIGIN.advance(Duration::from_secs(seconds))
}

/// Makes an interface that is running.
fn interface(index: u32, policy: Policy) -> Interface {
    Interface {
        index,
        is_running: true,
        policy,
    }
}

/// Returns what is known of a connection between the first address of each host.
fn setup() -> Setup {
    Setup {
        local: local(1),
        local_port: 1_000,
        interface: interface(1, Policy::On),
        peer: peer(1),
        peer_port: 80,
        initial_joinable: true,
        families: Families::Both,
        connect_from: Timestamp::ORIGIN,
    }
}

/// Makes a connection of one role and manager.
fn paths(role: Role, kind: Kind) -> Paths {
    let config = Config {
        kind,
        ..Config::new(role)
    };
    Paths::new(config, &setup(), at(0))
}

/// Makes an announcement.
fn add_addr(value: u8, addr: Address, port: Option<u16>) -> AddAddr {
    AddAddr {
        id: id(value),
        addr,
        port,
        hmac: Some(TruncatedHmac::new(0)),
    }
}

/// Returns what is to be done, all of it.
fn decisions(paths: &mut Paths, now: Timestamp) -> Vec<Decision> {
    let all: Vec<_> = core::iter::from_fn(|| paths.decide(now, RTO))
        .take(100)
        .collect();
    assert!(all.len() < 100, "it does not end");
    all
}

/// Returns what is to be done, but for the timer.
fn actions(paths: &mut Paths, now: Timestamp) -> Vec<Decision> {
    let mut all = decisions(paths, now);
    all.retain(|decision| !matches!(decision, Decision::ArmTimer { .. }));
    all
}

/// Returns the joins among what is to be done: subflow, last bytes of both addresses, port.
fn joins(paths: &mut Paths, now: Timestamp) -> Vec<(SubflowId, u8, u8, u16)> {
    let last = |addr| match addr {
        Address::V4([.., last]) | Address::V6([.., last]) => last,
    };
    let all = decisions(paths, now).into_iter();
    all.filter_map(|decision| match decision {
        Decision::Connect {
            subflow,
            local,
            peer,
            ..
        } => Some((subflow, last(local.addr), last(peer.addr), peer.port)),
        _ => None,
    })
    .collect()
}

/// Lets the joins among what is to be done succeed, and returns their subflows.
fn establish(paths: &mut Paths, now: Timestamp) -> Vec<SubflowId> {
    let all: Vec<_> = decisions(paths, now)
        .into_iter()
        .filter_map(|decision| match decision {
            Decision::Connect { subflow, peer, .. } => Some((subflow, peer.id)),
            _ => None,
        })
        .collect();
    for (subflow, id) in &all {
        paths.on_subflow_established(*subflow, *id, false, now);
    }
    all.into_iter().map(|(subflow, _)| subflow).collect()
}

/// A reset by a peer that does not want the subflow.
const PROHIBITED: Ended = Ended::Reset(MpTcprst {
    transient: false,
    reason: Reason::AdministrativelyProhibited,
});

#[test]
fn paths_are_small() {
    assert!(core::mem::size_of::<Paths>() <= 1_744);
}

#[test]
fn client_new_address_joins_every_address_of_the_peer() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    assert_eq!(actions(&mut p, at(0)), []);
    assert_eq!(
        p.on_local_added(local(2), interface(2, Policy::On)),
        Taken::Stored
    );
    let expected = Decision::Connect {
        subflow: SubflowId {
            slot: 1,
            generation: 1,
        },
        local: LocalEnd {
            id: Some(id(1)),
            addr: local(2),
            port: None,
            interface_index: 2,
        },
        peer: PeerEnd {
            id: id(0),
            addr: peer(1),
            port: 80,
        },
        backup: false,
    };
    assert_eq!(actions(&mut p, at(0)), [expected]);
    let outcome = p.on_add_addr(&add_addr(7, peer(2), Some(443)), at(0));
    assert_eq!(outcome, AddAddrOutcome::Stored);
    assert!(outcome.is_to_be_echoed());
    let pairs: Vec<_> = joins(&mut p, at(0))
        .iter()
        .map(|(_, local, peer, port)| (*local, *peer, *port))
        .collect();
    assert_eq!(pairs, [(1, 2, 443), (2, 2, 443)]);
    assert_eq!(p.subflow_count(), 4);
}

#[test]
fn client_addresses_of_other_families_are_left_alone() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    let mapped = Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2]);
    let v6 = Address::V6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(
        p.on_add_addr(&add_addr(1, v6, None), at(0)),
        AddAddrOutcome::Stored
    );
    assert_eq!(joins(&mut p, at(0)).len(), 0);
    assert_eq!(
        p.on_add_addr(&add_addr(2, mapped, None), at(0)),
        AddAddrOutcome::Stored
    );
    assert_eq!(joins(&mut p, at(0)).len(), 1);
    let multicast = Address::V4([224, 0, 0, 1]);
    assert_eq!(
        p.on_local_added(multicast, interface(3, Policy::On)),
        Taken::Unusable
    );
}

#[test]
fn client_asked_not_to_join_the_initial_address_obeys() {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //= type=test
    //# and therefore the receiver MUST NOT try to open
    //# any additional subflows toward this address and port.
    for kind in Kind::ALL {
        let refusing = Setup {
            initial_joinable: false,
            ..setup()
        };
        let config = Config {
            kind,
            ..Config::new(Role::Client)
        };
        let mut p = Paths::new(config, &refusing, at(0));
        p.on_local_added(local(2), interface(2, Policy::On));
        for (value, port) in [(0, None), (0, Some(80)), (5, None)] {
            let outcome = p.on_add_addr(&add_addr(value, peer(1), port), at(0));
            let expected = match kind {
                Kind::Userspace => AddAddrOutcome::Reported,
                _ => AddAddrOutcome::Ignored(Ignored::Initial),
            };
            assert_eq!(outcome, expected);
        }
        assert_eq!(joins(&mut p, at(0)), []);
        // Another port is another matter.
        p.on_add_addr(&add_addr(0, peer(1), Some(81)), at(0));
        let ports: Vec<_> = joins(&mut p, at(0)).iter().map(|join| join.3).collect();
        assert!(ports.iter().all(|port| *port == 81));
        assert_eq!(ports.len(), if kind == Kind::FullMesh { 2 } else { 0 });
    }
}

#[test]
fn client_with_more_pairs_than_subflows_spreads_them() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    for last in 2..=4 {
        p.on_local_added(local(last), interface(u32::from(last), Policy::On));
        p.on_add_addr(&add_addr(last, peer(last), None), at(0));
    }
    p.on_local_added(local(5), interface(5, Policy::Backup));
    let all = joins(&mut p, at(0));
    assert_eq!(all.len(), 7);
    for last in 2..=4 {
        assert_eq!(all.iter().filter(|join| join.1 == last).count(), 2);
        assert_eq!(all.iter().filter(|join| join.2 == last).count(), 2);
    }
    assert!(all.iter().all(|join| join.1 != 5));
}

#[test]
fn client_with_room_for_one_more_takes_the_other_interface() {
    let v6 = |last| Address::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.set_config(Config {
        limits: Limits {
            subflows: 2,
            ..Limits::default()
        },
        ..*p.config()
    });
    // Neither address of the pair is used yet, but the interface is.
    p.on_local_added(v6(5), interface(1, Policy::On));
    p.on_add_addr(&add_addr(3, v6(9), None), at(0));
    p.on_local_added(local(2), interface(2, Policy::On));
    let all: Vec<_> = joins(&mut p, at(0))
        .into_iter()
        .map(|(_, local, peer, _)| (local, peer))
        .collect();
    assert_eq!(all, [(2, 1)]);
}

#[test]
fn client_failed_join_is_tried_again_later() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::On));
    let [(subflow, ..)] = joins(&mut p, at(10))[..] else {
        unreachable!("one join");
    };
    p.on_subflow_ended(subflow, Ended::TimedOut, at(10));
    let [Decision::ArmTimer { at: when }] = decisions(&mut p, at(10))[..] else {
        unreachable!("one timer");
    };
    assert!(when >= at(11) && when < at(12));
    p.on_timer();
    assert_eq!(joins(&mut p, when).len(), 1);
}

#[test]
fn client_refused_for_good_waits_for_another_announcement() {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.6
    //= type=test
    //# the receiver of the RST segment SHOULD NOT try to re-establish a
    //# subflow for this connection over this path.
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_add_addr(&add_addr(1, peer(2), None), at(0));
    let [(subflow, ..)] = joins(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_subflow_ended(subflow, PROHIBITED, at(0));
    assert_eq!(decisions(&mut p, at(0)), []);
    assert_eq!(decisions(&mut p, at(10_000)), []);
    let outcome = p.on_add_addr(&add_addr(1, peer(2), None), at(10_000));
    assert_eq!(outcome, AddAddrOutcome::Refreshed);
    let [(subflow, ..)] = joins(&mut p, at(10_000))[..] else {
        unreachable!("one join");
    };
    // However often it is announced, the wait counts.
    p.on_subflow_ended(subflow, PROHIBITED, at(10_000));
    for _ in 0..9 {
        p.on_add_addr(&add_addr(1, peer(2), None), at(10_000));
        assert_eq!(joins(&mut p, at(10_000)), []);
    }
    p.on_timer();
    assert_eq!(joins(&mut p, at(10_003)).len(), 1);
}

#[test]
fn ndiffports_sets_up_as_many_as_configured() {
    let config = Config {
        kind: Kind::NDiffPorts,
        ports: 200,
        ..Config::new(Role::Client)
    };
    let mut p = Paths::new(config, &setup(), at(0));
    p.on_local_added(local(2), interface(2, Policy::On));
    p.on_add_addr(&add_addr(1, peer(2), None), at(0));
    let all = joins(&mut p, at(0));
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|join| (join.1, join.2) == (1, 1)));
    p.set_config(Config { ports: 0, ..config });
    assert_eq!(actions(&mut p, at(0)), []);
}

/// Returns a join to a local address.
fn join(value: u8, to: u8, from: u8) -> Join {
    Join {
        id: id(value),
        backup: true,
        local: local(to),
        local_port: 1_000,
        peer: peer(from),
    }
}

#[test]
fn stale_news_of_a_subflow_is_ignored() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::On));
    let [(old, ..)] = joins(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_subflow_ended(old, Ended::TimedOut, at(0));
    let [(new, ..)] = joins(&mut p, at(5))[..] else {
        unreachable!("one join");
    };
    assert_eq!((new.slot(), new == old), (old.slot(), false));
    p.on_subflow_ended(old, Ended::TimedOut, at(5));
    p.on_subflow_established(old, id(0), true, at(5));
    assert_eq!(p.subflow_count(), 2);
    assert_eq!(p.backup(new).map(|backup| backup.peer), Some(false));
}

#[test]
fn subflows_delayed_begin_when_told() {
    let delayed = Setup {
        connect_from: at(5),
        ..setup()
    };
    let mut p = Paths::new(Config::new(Role::Client), &delayed, at(0));
    p.on_local_added(local(2), interface(2, Policy::On));
    let [Decision::ArmTimer { at: when }] = decisions(&mut p, at(0))[..] else {
        unreachable!("one timer");
    };
    assert!(when >= at(5));
    p.on_timer();
    assert_eq!(joins(&mut p, when).len(), 1);
}

#[test]
fn subflows_that_may_begin_now_do_not_wait_for_the_next_tick() {
    let now = at(5).advance(Duration::from_millis(1));
    let setup = Setup {
        connect_from: now,
        ..setup()
    };
    let mut p = Paths::new(Config::new(Role::Client), &setup, now);
    p.on_local_added(local(2), interface(2, Policy::On));
    assert_eq!(joins(&mut p, now).len(), 1);
}
