// SPDX-License-Identifier: GPL-2.0

//! The manager `endpoint`: which subflows and announcements its endpoints lead to, and their names.

use super::*;

/// Makes an endpoint with an address and ID of its own, on an interface of its own.
pub(super) fn endpoint(value: u8, last: u8, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        id: id(value),
        addr: local(last),
        port: None,
        interface_index: u32::from(last),
        flags,
        serial: u32::from(value),
    }
}

/// Makes a connection with endpoints; the limits are those of further subflows, and of addresses.
pub(super) fn listed(subflows: u8, accepted: u8, endpoints: &[Endpoint]) -> Paths {
    listed_as(&setup(), subflows, accepted, endpoints)
}

/// Makes a connection as set up with endpoints.
pub(super) fn listed_as(
    setup: &Setup,
    subflows: u8,
    accepted: u8,
    endpoints: &[Endpoint],
) -> Paths {
    let config = Config {
        kind: Kind::Endpoint,
        limits: Limits {
            subflows: subflows + 1,
            peer_addresses: accepted + 1,
            ..Limits::default()
        },
        ..Config::new(Role::Server)
    };
    let mut paths = Paths::new(config, setup, at(0));
    paths.set_endpoints(endpoints);
    paths
}

/// Returns the joins among what is to be done: last bytes of both addresses, and the port.
pub(super) fn pairs(paths: &mut Paths, now: Timestamp) -> Vec<(u8, u8, u16)> {
    let all = joins(paths, now).into_iter();
    all.map(|(_, local, peer, port)| (local, peer, port))
        .collect()
}

use EndpointFlags as Flags;

#[test]
fn each_subflow_endpoint_joins_the_first_address_once() {
    for role in [Role::Client, Role::Server] {
        let mut p = paths(role, Kind::Endpoint);
        p.set_endpoints(&[
            endpoint(7, 2, Flags::SUBFLOW),
            endpoint(3, 3, Flags::SUBFLOW.with(Flags::BACKUP)),
            endpoint(4, 4, Flags::NONE),
        ]);
        let connect = |slot, value, last, backup| Decision::Connect {
            subflow: SubflowId {
                slot,
                generation: slot,
            },
            local: LocalEnd {
                id: Some(id(value)),
                addr: local(last),
                port: None,
                interface_index: u32::from(last),
            },
            peer: PeerEnd {
                id: id(0),
                addr: peer(1),
                port: 80,
            },
            backup,
        };
        assert_eq!(
            actions(&mut p, at(0)),
            [connect(1, 7, 2, false), connect(2, 3, 3, true)]
        );
    }
}

#[test]
fn subflow_ended_is_not_set_up_again() {
    let mut p = listed(2, 0, &[endpoint(1, 2, Flags::SUBFLOW)]);
    let [(subflow, ..)] = joins(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_subflow_ended(subflow, Ended::TimedOut, at(0));
    p.on_subflow_ended(SubflowId::INITIAL, Ended::Finished, at(0));
    p.set_endpoints(&[endpoint(1, 2, Flags::SUBFLOW)]);
    assert_eq!(decisions(&mut p, at(0)), []);
    assert_eq!(decisions(&mut p, at(10_000)), []);
}

#[test]
fn endpoints_beyond_the_limit_wait_for_room() {
    let all: Vec<_> = (2..=4).map(|n| endpoint(n, n, Flags::SUBFLOW)).collect();
    let mut p = listed(2, 0, &all);
    let [second, third] = establish(&mut p, at(0))[..] else {
        unreachable!("two joins");
    };
    assert_eq!(actions(&mut p, at(0)), []);
    p.on_subflow_ended(second, Ended::Finished, at(0));
    assert_eq!(pairs(&mut p, at(0)), [(4, 1, 80)]);
    p.on_subflow_ended(third, Ended::Finished, at(0));
    assert_eq!(pairs(&mut p, at(0)), []);
    let mut none = listed(0, 0, &all);
    assert_eq!(actions(&mut none, at(0)), []);
    // The SYN is answered, the third ACK refused.
    let one = join(1, 2, 2);
    assert!(matches!(
        none.accept_join(&one, at(0)),
        JoinVerdict::Accept { .. }
    ));
    assert_eq!(none.on_joined(&one, at(0)), Err(Refusal::TooManySubflows));
}

#[test]
fn eight_endpoints_are_handled_beside_the_first_address() {
    let flags = Flags::SUBFLOW.with(Flags::SIGNAL);
    let all: Vec<_> = (2..=10).map(|n| endpoint(n, n, flags)).collect();
    let mut p = listed(8, 0, &all);
    let mut connected = Vec::new();
    let mut announced = Vec::new();
    for _ in 0..8 {
        for decision in actions(&mut p, at(0)) {
            match decision {
                Decision::Connect { local, .. } => connected.push(local.addr),
                Decision::Announce { id, addr, .. } => {
                    announced.push(addr);
                    p.on_add_addr(&add_addr(id.get(), addr, None).echo(), at(0));
                }
                other => unreachable!("{other:?}"),
            }
        }
    }
    let expected: Vec<_> = (2..=9).map(local).collect();
    assert_eq!((connected, announced), (expected.clone(), expected));
    p.set_endpoints(&[]);
    let all: Vec<_> = actions(&mut p, at(0))
        .into_iter()
        .filter_map(|decision| match decision {
            Decision::Withdraw { ids } => Some(ids.as_bytes().to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(all, [[2, 3, 4, 5, 6, 7, 8, 9].to_vec()]);
}

#[test]
fn signal_endpoints_are_announced_one_after_another() {
    let with_port = Endpoint {
        port: Some(8_080),
        ..endpoint(5, 2, Flags::SIGNAL)
    };
    let mut p = listed(2, 0, &[with_port, endpoint(6, 3, Flags::SIGNAL)]);
    let announce = |value, last, port| Decision::Announce {
        id: id(value),
        addr: local(last),
        port,
    };
    assert_eq!(actions(&mut p, at(0)), [announce(5, 2, Some(8_080))]);
    // An echo without the port is of another announcement.
    p.on_add_addr(&add_addr(5, local(2), None).echo(), at(0));
    assert_eq!(actions(&mut p, at(0)), []);
    p.on_add_addr(&add_addr(5, local(2), Some(8_080)).echo(), at(0));
    assert_eq!(actions(&mut p, at(0)), [announce(6, 3, None)]);
    p.on_add_addr(&add_addr(6, local(3), None).echo(), at(0));
    assert_eq!(decisions(&mut p, at(100)), []);
    assert_eq!(p.usage().announced, 2);
}

#[test]
fn announcement_given_up_makes_way_for_the_next() {
    let all = [endpoint(1, 2, Flags::SIGNAL), endpoint(2, 3, Flags::SIGNAL)];
    let mut p = listed(2, 0, &all);
    let mut sent = Vec::new();
    for seconds in 0..60 {
        p.on_timer();
        sent.extend(actions(&mut p, at(seconds)));
    }
    let announce = |value, last| Decision::Announce {
        id: id(value),
        addr: local(last),
        port: None,
    };
    assert_eq!(sent, [[announce(1, 2); 4], [announce(2, 3); 4]].concat());
}

#[test]
fn endpoint_of_the_first_address_is_called_zero() {
    let flags = Flags::SUBFLOW.with(Flags::SIGNAL).with(Flags::BACKUP);
    let mut p = listed(2, 0, &[endpoint(9, 1, flags)]);
    let expected = Decision::SetPriority {
        subflow: SubflowId::INITIAL,
        backup: true,
    };
    assert_eq!(actions(&mut p, at(0)), [expected], "the peer knows it");
    let accept = JoinVerdict::Accept {
        id: id(0),
        backup: true,
    };
    assert_eq!(p.accept_join(&join(1, 1, 2), at(0)), accept);
}

#[test]
fn join_is_answered_with_the_endpoint_of_its_address_and_port() {
    let with_port = Endpoint {
        port: Some(8_080),
        ..endpoint(5, 2, Flags::SIGNAL)
    };
    let implicit = endpoint(1, 4, Flags::IMPLICIT);
    let mut p = listed(4, 0, &[with_port, endpoint(6, 2, Flags::BACKUP), implicit]);
    let answer = |p: &mut Paths, to, local_port| {
        let join = Join {
            local_port,
            ..join(3, to, 3)
        };
        match p.accept_join(&join, at(0)) {
            JoinVerdict::Accept { id, backup } => (id.get(), backup),
            JoinVerdict::Refuse(refusal) => unreachable!("{refusal:?}"),
        }
    };
    assert_eq!(answer(&mut p, 2, 8_080), (5, false));
    assert_eq!(answer(&mut p, 2, 80), (6, true));
    assert_eq!(answer(&mut p, 4, 80), (1, false));
    // One that is in no list gets an ID that no other has.
    assert_eq!(answer(&mut p, 3, 80), (2, false));
    assert!(p.on_joined(&join(3, 3, 3), at(0)).is_ok());
    let unlisted: Vec<_> = p.unlisted().into_iter().flatten().collect();
    assert_eq!(unlisted, [(local(3), id(2))]);
    // The caller lists it, and then somebody configures it.
    let known = endpoint(2, 3, Flags::IMPLICIT);
    p.set_endpoints(&[with_port, endpoint(6, 2, Flags::BACKUP), implicit, known]);
    assert_eq!(p.unlisted(), [None; LOCAL_SLOTS]);
    assert_eq!(answer(&mut p, 3, 80), (2, false));
}

#[test]
fn address_in_no_list_is_forgotten_with_its_last_subflow() {
    let mut p = listed(4, 0, &[]);
    let subflow = p.on_joined(&join(3, 3, 3), at(0)).unwrap();
    assert_eq!(p.address_ids(subflow), Some((id(1), id(3))));
    p.set_endpoints(&[endpoint(1, 2, Flags::SUBFLOW)]);
    assert_eq!(actions(&mut p, at(0)), [], "the ID is in use");
    p.on_subflow_ended(subflow, Ended::Finished, at(0));
    p.set_endpoints(&[endpoint(1, 2, Flags::SUBFLOW)]);
    assert_eq!(pairs(&mut p, at(0)), [(2, 1, 80)]);
    assert_eq!(p.unlisted(), [None; LOCAL_SLOTS]);
}

#[test]
fn peer_that_has_joined_an_endpoint_is_not_joined_from_there() {
    let all = [endpoint(1, 2, Flags::SUBFLOW.with(Flags::FULL_MESH))];
    let mut p = listed(4, 0, &all);
    let first = Join {
        id: id(0),
        ..join(0, 2, 1)
    };
    let subflow = p.on_joined(&first, at(0)).unwrap();
    assert_eq!(actions(&mut p, at(0)), []);
    p.on_subflow_ended(subflow, Ended::Finished, at(0));
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn full_mesh_endpoint_joins_every_address_that_the_peer_uses() {
    let mesh = Flags::SUBFLOW.with(Flags::FULL_MESH);
    let mut p = listed(8, 1, &[endpoint(1, 1, mesh)]);
    assert!(p.on_joined(&join(4, 1, 4), at(0)).is_ok());
    p.on_add_addr(&add_addr(5, peer(5), Some(443)), at(0));
    assert_eq!(pairs(&mut p, at(0)), [(1, 5, 443)]);
    p.set_endpoints(&[endpoint(1, 1, mesh), endpoint(2, 2, mesh)]);
    assert_eq!(pairs(&mut p, at(0)), [(2, 1, 80), (2, 4, 80), (2, 5, 443)]);
    // What the peer joins from later is not joined.
    assert!(p.on_joined(&join(6, 1, 6), at(0)).is_ok());
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn other_manager_knows_nothing_of_endpoints() {
    let all = [endpoint(7, 2, Flags::SUBFLOW.with(Flags::SIGNAL))];
    for kind in [Kind::FullMesh, Kind::NDiffPorts, Kind::None] {
        let mut p = paths(Role::Server, kind);
        p.set_endpoints(&all);
        p.on_endpoints_flushed();
        p.on_initial_removed(local(1));
        assert_eq!(decisions(&mut p, at(0)), []);
    }
    let mut p = listed(2, 0, &all);
    assert_eq!(actions(&mut p, at(0)).len(), 2);
    let config = Config {
        kind: Kind::FullMesh,
        ..*p.config()
    };
    p.set_config(config);
    p.on_local_removed(local(2), 2);
    assert_eq!(actions(&mut p, at(0)).len(), 2, "close and withdraw");
}
