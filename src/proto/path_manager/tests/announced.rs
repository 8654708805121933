// SPDX-License-Identifier: GPL-2.0

//! The manager `endpoint`: what announcements and withdrawals of the peer lead to.

use super::endpoints::{
    endpoint,
    listed,
    listed_as,
    pairs, //
};
use super::*;
use EndpointFlags as Flags;

/// Makes an IPv6 address.
fn v6(last: u8) -> Address {
    Address::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

/// Makes an IPv6 endpoint.
fn v6_endpoint(value: u8, last: u8, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        addr: v6(last),
        ..endpoint(value, last, flags)
    }
}

/// Lets the peer announce an address without a port.
fn announce(p: &mut Paths, last: u8) -> AddAddrOutcome {
    p.on_add_addr(&add_addr(last, peer(last), None), at(0))
}

/// What comes of an announcement that is not accepted; it is echoed all the same.
fn ignored(reason: Ignored) -> AddAddrOutcome {
    let outcome = AddAddrOutcome::Ignored(reason);
    assert!(outcome.is_to_be_echoed());
    outcome
}

#[test]
fn announced_address_is_joined_from_where_the_routing_chooses() {
    let list = [
        endpoint(5, 2, Flags::SIGNAL.with(Flags::BACKUP)),
        Endpoint {
            port: Some(8_080),
            ..endpoint(6, 3, Flags::SIGNAL)
        },
    ];
    for (chosen, value, backup) in [(1, 0, false), (2, 5, true), (3, 1, false), (4, 1, false)] {
        let mut p = listed(2, 1, &list);
        let outcome = p.on_add_addr(&add_addr(7, peer(2), Some(443)), at(0));
        assert_eq!(outcome, AddAddrOutcome::Stored);
        let connect = actions(&mut p, at(0))
            .into_iter()
            .find_map(|decision| match decision {
                Decision::Connect {
                    subflow,
                    local,
                    peer,
                    backup,
                } => Some((subflow, local, peer, backup)),
                _ => None,
            });
        let Some((subflow, end, target, false)) = connect else {
            unreachable!("one join");
        };
        let anywhere = LocalEnd {
            id: None,
            addr: Address::V4([0; 4]),
            port: None,
            interface_index: 0,
        };
        let expected = PeerEnd {
            id: id(7),
            addr: peer(2),
            port: 443,
        };
        assert_eq!((end, target), (anywhere, expected));
        assert_eq!(p.address_ids(subflow), None);
        let name = LocalName {
            id: id(value),
            backup,
        };
        for _ in 0..2 {
            assert_eq!(p.on_local_chosen(subflow, local(chosen)), Some(name));
        }
        p.on_subflow_established(subflow, id(7), false, at(0));
        assert_eq!(p.address_ids(subflow), Some((id(value), id(7))));
        assert_eq!(p.backup(subflow).map(|b| b.local), Some(backup));
        p.on_subflow_ended(subflow, Ended::Finished, at(0));
        assert_eq!(p.on_local_chosen(subflow, local(chosen)), None);
        assert_eq!(pairs(&mut p, at(100)), [], "it is not tried again");
    }
}

#[test]
fn announcements_are_accepted_up_to_the_limit() {
    let mut p = listed(8, 2, &[]);
    for last in [2, 3] {
        assert_eq!(announce(&mut p, last), AddAddrOutcome::Stored);
    }
    assert_eq!(announce(&mut p, 4), ignored(Ignored::NoRoom));
    assert_eq!(pairs(&mut p, at(0)), [(0, 2, 80), (0, 3, 80)]);
    assert_eq!(p.usage().accepted, 2);
    let mut p = listed(8, 0, &[]);
    assert_eq!(announce(&mut p, 2), ignored(Ignored::NoRoom));
    // Nor is one that no further subflow could lead to.
    let mut p = listed(1, 8, &[endpoint(5, 2, Flags::SUBFLOW)]);
    assert_eq!(pairs(&mut p, at(0)).len(), 1);
    assert_eq!(announce(&mut p, 2), ignored(Ignored::NoRoom));
}

#[test]
fn withdrawn_address_is_closed_at_once_and_makes_room() {
    assert_eq!(CloseReason::PeerRemoved.reset(), None);
    let mut p = listed(2, 1, &[]);
    announce(&mut p, 2);
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_local_chosen(subflow, local(1));
    p.on_remove_addr(&RemoveAddr::new(&[2]).unwrap());
    let reason = CloseReason::PeerRemoved;
    assert_eq!(
        actions(&mut p, at(0)),
        [Decision::CloseSubflow { subflow, reason }]
    );
    assert_eq!(p.usage().accepted, 0);
    assert_eq!(announce(&mut p, 3), AddAddrOutcome::Stored);
    // Withdrawn and announced again between two looks, it is joined anew.
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_remove_addr(&RemoveAddr::new(&[3]).unwrap());
    assert_eq!(announce(&mut p, 3), AddAddrOutcome::Stored);
    let all = actions(&mut p, at(0));
    assert_eq!(
        all.first(),
        Some(&Decision::CloseSubflow { subflow, reason })
    );
    assert!(matches!(all[..], [_, Decision::Connect { .. }]));
}

#[test]
fn first_address_withdrawn_and_announced_again_is_joined_beyond_the_limit() {
    let mut p = listed(3, 0, &[endpoint(5, 2, Flags::SUBFLOW)]);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    assert!(p.on_joined(&join(9, 1, 9), at(0)).is_ok());
    p.on_remove_addr(&RemoveAddr::new(&[0]).unwrap());
    assert_eq!(actions(&mut p, at(0)).len(), 2, "both that lead there");
    let outcome = p.on_add_addr(&add_addr(0, peer(1), None), at(0));
    assert_eq!(outcome, AddAddrOutcome::Stored);
    assert_eq!(pairs(&mut p, at(0)), [(0, 1, 80)]);
    // The ID 0 is not that of another port.
    let outcome = p.on_add_addr(&add_addr(0, peer(1), Some(81)), at(0));
    assert_eq!(outcome, ignored(Ignored::Initial));
}

#[test]
fn only_subflow_to_a_withdrawn_address_stays() {
    let mut p = listed(2, 0, &[]);
    p.on_remove_addr(&RemoveAddr::new(&[0]).unwrap());
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn address_that_a_subflow_leads_to_is_not_joined_again() {
    let mut p = listed(8, 8, &[]);
    let subflow = p.on_joined(&join(4, 1, 4), at(0)).unwrap();
    assert_eq!(announce(&mut p, 4), AddAddrOutcome::Refreshed);
    assert_eq!(actions(&mut p, at(0)), []);
    p.on_subflow_ended(subflow, Ended::Finished, at(0));
    assert_eq!(actions(&mut p, at(0)), []);
    assert_eq!(p.usage().accepted, 0);
    assert_eq!(announce(&mut p, 4), AddAddrOutcome::Stored);
    assert_eq!(pairs(&mut p, at(0)), [(0, 4, 80)]);
    assert_eq!(announce(&mut p, 4), AddAddrOutcome::Refreshed);
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn join_that_failed_is_tried_again_only_when_announced_again() {
    let mut p = listed(8, 8, &[]);
    announce(&mut p, 2);
    for _ in 0..10 {
        let [(subflow, ..)] = joins(&mut p, at(0))[..] else {
            unreachable!("one join");
        };
        p.on_subflow_ended(subflow, PROHIBITED, at(0));
        assert_eq!(actions(&mut p, at(1_000)), []);
        assert_eq!(announce(&mut p, 2), AddAddrOutcome::Refreshed);
    }
    // Not without end in a short time.
    for _ in 0..20 {
        for (subflow, ..) in joins(&mut p, at(0)) {
            p.on_subflow_ended(subflow, PROHIBITED, at(0));
        }
        announce(&mut p, 2);
    }
    assert_eq!(
        announce(&mut p, 2),
        AddAddrOutcome::Ignored(Ignored::TooOften)
    );
}

#[test]
fn address_without_a_way_is_not_accepted_after_all() {
    let mut p = listed(8, 1, &[]);
    announce(&mut p, 2);
    let [(subflow, ..)] = joins(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_subflow_ended(subflow, Ended::Unreachable, at(0));
    assert_eq!(p.usage().accepted, 0);
    assert_eq!(announce(&mut p, 3), AddAddrOutcome::Stored);
    // It is, as long as another endpoint leads there.
    let mesh = [
        endpoint(5, 2, Flags::FULL_MESH),
        endpoint(6, 3, Flags::FULL_MESH),
    ];
    let mut p = listed(8, 1, &mesh);
    announce(&mut p, 2);
    let [(first, ..), (second, ..)] = joins(&mut p, at(0))[..] else {
        unreachable!("two joins");
    };
    p.on_subflow_ended(first, Ended::Unreachable, at(0));
    assert_eq!(p.usage().accepted, 1);
    p.on_subflow_ended(second, Ended::Unreachable, at(0));
    assert_eq!(p.usage().accepted, 0);
}

#[test]
fn full_mesh_endpoints_join_an_announced_address_each() {
    let list = [
        endpoint(5, 2, Flags::FULL_MESH.with(Flags::SUBFLOW)),
        endpoint(6, 3, Flags::FULL_MESH),
        endpoint(7, 4, Flags::SUBFLOW),
        endpoint(8, 5, Flags::LAMINAR),
    ];
    let mut p = listed(8, 1, &list);
    announce(&mut p, 2);
    assert_eq!(
        pairs(&mut p, at(0)),
        [(2, 1, 80), (2, 2, 80), (3, 2, 80), (4, 1, 80)]
    );
    let mut p = listed(3, 1, &list);
    announce(&mut p, 2);
    assert_eq!(pairs(&mut p, at(0)).len(), 3);
    // Those of another family do not, and then nothing does.
    let both = Setup {
        families: Families::Both,
        ..setup()
    };
    let mesh = Flags::FULL_MESH.with(Flags::SUBFLOW);
    let mut p = listed_as(&both, 4, 1, &[v6_endpoint(5, 2, mesh)]);
    assert_eq!(announce(&mut p, 2), ignored(Ignored::NoEndpoint));
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn laminar_endpoints_join_one_announced_address_each() {
    let list = [
        v6_endpoint(4, 3, Flags::LAMINAR),
        endpoint(5, 3, Flags::LAMINAR),
        endpoint(6, 4, Flags::LAMINAR),
    ];
    let mut p = listed(8, 8, &list);
    announce(&mut p, 2);
    assert_eq!(pairs(&mut p, at(0)), [(3, 2, 80)]);
    announce(&mut p, 3);
    assert_eq!(pairs(&mut p, at(0)), [(4, 3, 80)]);
    assert_eq!(announce(&mut p, 4), ignored(Ignored::NoEndpoint));
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn laminar_endpoint_is_used_for_one_subflow_only() {
    let flags = Flags::LAMINAR.with(Flags::SUBFLOW);
    let list = [endpoint(1, 1, flags), endpoint(5, 3, flags)];
    let mut p = listed(4, 2, &list);
    assert_eq!(announce(&mut p, 2), AddAddrOutcome::Stored);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    assert_eq!(actions(&mut p, at(0)), []);
    let mut p = listed(4, 2, &list);
    assert_eq!(pairs(&mut p, at(0)), [(3, 1, 80)]);
    assert_eq!(announce(&mut p, 2), ignored(Ignored::NoEndpoint));
}

#[test]
fn first_address_refused_is_left_alone() {
    let refusing = Setup {
        initial_joinable: false,
        ..setup()
    };
    let list = [
        endpoint(1, 1, Flags::SUBFLOW),
        endpoint(5, 2, Flags::SUBFLOW),
        endpoint(6, 3, Flags::SUBFLOW.with(Flags::FULL_MESH)),
    ];
    let mut p = listed_as(&refusing, 4, 2, &list);
    assert_eq!(actions(&mut p, at(0)), []);
    announce(&mut p, 2);
    assert_eq!(pairs(&mut p, at(0)), [(3, 2, 80)]);
    // If no announcement is accepted by the limits, one is, from all that would have been used.
    let mut p = listed_as(&refusing, 4, 0, list.get(..2).unwrap());
    assert_eq!(announce(&mut p, 2), AddAddrOutcome::Stored);
    assert_eq!(announce(&mut p, 3), ignored(Ignored::NoRoom));
    assert_eq!(pairs(&mut p, at(0)), [(2, 2, 80)]);
    let mut p = listed_as(&refusing, 4, 0, &[]);
    assert_eq!(announce(&mut p, 2), ignored(Ignored::NoEndpoint));
}

#[test]
fn addresses_of_families_that_the_socket_has_not_are_left_alone() {
    let list = [
        endpoint(5, 2, Flags::SUBFLOW),
        v6_endpoint(6, 3, Flags::SUBFLOW),
    ];
    for (families, joins) in [(Families::V4, 1), (Families::V6, 0), (Families::Both, 2)] {
        let setup = Setup {
            families,
            ..setup()
        };
        let mut p = listed_as(&setup, 4, 2, &list);
        let outcome = p.on_add_addr(&add_addr(9, v6(9), None), at(0));
        assert_eq!(outcome.is_ignored(), families == Families::V4);
        let routed = usize::from(families != Families::V4);
        let all = pairs(&mut p, at(0));
        assert_eq!(all.iter().filter(|pair| pair.0 == 0).count(), routed);
        assert_eq!(all.len(), routed + joins.min(1));
    }
}

#[test]
fn subflows_delayed_begin_when_told_with_endpoints_as_well() {
    let delayed = Setup {
        connect_from: at(5),
        ..setup()
    };
    let mut p = listed_as(&delayed, 4, 1, &[endpoint(5, 2, Flags::SUBFLOW)]);
    announce(&mut p, 2);
    let [Decision::ArmTimer { at: when }] = decisions(&mut p, at(0))[..] else {
        unreachable!("one timer");
    };
    p.on_timer();
    assert_eq!(pairs(&mut p, when), [(0, 2, 80), (2, 1, 80)]);
}
