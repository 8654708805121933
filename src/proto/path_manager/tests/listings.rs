// SPDX-License-Identifier: GPL-2.0

//! The list of endpoints changes: what is closed, withdrawn and set up anew.

use super::endpoints::{
    endpoint,
    listed,
    pairs, //
};
use super::*;
use EndpointFlags as Flags;

/// Returns the decision to withdraw one address.
fn withdraws(decision: &Decision, value: u8) -> bool {
    matches!(decision, Decision::Withdraw { ids } if ids.as_bytes() == [value])
}

/// Returns the decision to close a subflow because its endpoint has changed.
fn close(subflow: SubflowId) -> Decision {
    let reason = CloseReason::EndpointChanged;
    Decision::CloseSubflow { subflow, reason }
}

/// Makes a connection whose endpoints have set up one subflow, with one more to be allowed.
fn connected(flags: EndpointFlags) -> (Paths, SubflowId) {
    let mut p = listed(2, 2, &[endpoint(5, 2, flags)]);
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    (p, subflow)
}

#[test]
fn endpoint_removed_is_closed_and_withdrawn_once() {
    assert_eq!(CloseReason::EndpointChanged.reset(), None);
    let (mut p, subflow) = connected(Flags::SUBFLOW);
    p.set_endpoints(&[]);
    let all = actions(&mut p, at(1));
    assert_eq!((all.len(), all.first()), (2, Some(&close(subflow))));
    assert!(all.last().is_some_and(|last| withdraws(last, 5)));
    assert_eq!(decisions(&mut p, at(100)), []);
    // Added again, it is used again under the same ID.
    p.set_endpoints(&[endpoint(5, 2, Flags::SUBFLOW)]);
    assert_eq!(pairs(&mut p, at(100)), [(2, 1, 80)]);
}

#[test]
fn signal_endpoint_removed_and_added_again_is_announced_again() {
    let list = [endpoint(5, 2, Flags::SIGNAL)];
    let mut p = listed(2, 0, &list);
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    p.set_endpoints(&[]);
    let all = actions(&mut p, at(1));
    assert!(matches!(&all[..], [only] if withdraws(only, 5)));
    p.set_endpoints(&list);
    let expected = Decision::Announce {
        id: id(5),
        addr: local(2),
        port: None,
    };
    assert_eq!(actions(&mut p, at(1)), [expected]);
}

#[test]
fn endpoint_that_no_subflow_uses_goes_without_a_word() {
    let mut p = listed(2, 0, &[endpoint(5, 2, Flags::NONE)]);
    p.set_endpoints(&[]);
    assert_eq!(actions(&mut p, at(0)), []);
    let (mut p, subflow) = connected(Flags::SUBFLOW);
    p.on_subflow_ended(subflow, Ended::Refused, at(0));
    p.set_endpoints(&[]);
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn implicit_endpoint_removed_is_closed_only() {
    let mut p = listed(2, 0, &[endpoint(5, 2, Flags::IMPLICIT)]);
    let subflow = p.on_joined(&join(3, 2, 3), at(0)).unwrap();
    p.set_endpoints(&[]);
    assert_eq!(actions(&mut p, at(0)), [close(subflow)]);
}

#[test]
fn endpoints_flushed_are_withdrawn_only_if_announced() {
    let list = [
        endpoint(1, 1, Flags::SUBFLOW),
        endpoint(5, 2, Flags::SUBFLOW),
        endpoint(6, 3, Flags::SUBFLOW.with(Flags::SIGNAL)),
    ];
    let mut p = listed(3, 0, &list);
    let [second, third] = establish(&mut p, at(0))[..] else {
        unreachable!("two joins");
    };
    let other = p.on_joined(&join(9, 9, 9), at(0)).unwrap();
    p.on_endpoints_flushed();
    let all = actions(&mut p, at(1));
    let closed = [SubflowId::INITIAL, second, third].map(close);
    assert_eq!(all.get(..3), Some(&closed[..]));
    assert!(all.len() == 4 && all.last().is_some_and(|last| withdraws(last, 6)));
    assert!(p.backup(other).is_some());
    p.set_endpoints(&[endpoint(5, 2, Flags::SUBFLOW)]);
    assert_eq!(pairs(&mut p, at(1)), [(2, 1, 80)]);
}

#[test]
fn serial_changed_lets_what_failed_be_tried_again() {
    let list = endpoint(5, 2, Flags::SUBFLOW);
    let (mut p, subflow) = connected(Flags::SUBFLOW);
    p.set_endpoints(&[Endpoint { serial: 9, ..list }]);
    assert_eq!(actions(&mut p, at(0)), [], "what lives stays");
    p.on_subflow_ended(subflow, Ended::Refused, at(0));
    p.set_endpoints(&[Endpoint { serial: 9, ..list }]);
    assert_eq!(actions(&mut p, at(0)), []);
    p.set_endpoints(&[Endpoint { serial: 10, ..list }]);
    assert_eq!(pairs(&mut p, at(0)), [(2, 1, 80)]);
}

#[test]
fn id_given_to_another_address_is_withdrawn_before() {
    let (mut p, subflow) = connected(Flags::SUBFLOW);
    p.set_endpoints(&[endpoint(5, 3, Flags::SUBFLOW)]);
    let all = actions(&mut p, at(0));
    assert_eq!((all.len(), all.first()), (3, Some(&close(subflow))));
    assert!(all.get(1).is_some_and(|second| withdraws(second, 5)));
    assert!(
        matches!(all.last(), Some(Decision::Connect { local: end, .. })
            if end.id == Some(id(5)) && end.addr == local(3))
    );
}

#[test]
fn backup_changed_is_told_to_the_peer() {
    let (mut p, subflow) = connected(Flags::SUBFLOW);
    for backup in [true, false] {
        let flags = if backup { Flags::BACKUP } else { Flags::NONE };
        p.set_endpoints(&[endpoint(5, 2, Flags::SUBFLOW.with(flags))]);
        let expected = Decision::SetPriority { subflow, backup };
        assert_eq!(actions(&mut p, at(0)), [expected]);
    }
}

#[test]
fn full_mesh_changed_sets_up_the_subflows_anew() {
    let mesh = Flags::SUBFLOW.with(Flags::FULL_MESH);
    for (before, after) in [(Flags::SUBFLOW, mesh), (mesh, Flags::SUBFLOW)] {
        let (mut p, subflow) = connected(before);
        p.set_endpoints(&[endpoint(5, 2, after)]);
        let all = actions(&mut p, at(0));
        assert_eq!(all.first(), Some(&close(subflow)));
        assert!(matches!(all[..], [_, Decision::Connect { local, .. }]
            if local.id == Some(id(5))));
    }
    // The only subflow stays, and so does one of an endpoint that sets up none.
    let mut p = listed(2, 0, &[endpoint(5, 1, Flags::SUBFLOW)]);
    p.set_endpoints(&[endpoint(5, 1, mesh)]);
    assert_eq!(actions(&mut p, at(0)), []);
    let mut p = listed(2, 0, &[endpoint(5, 2, Flags::NONE)]);
    assert!(p.on_joined(&join(3, 2, 3), at(0)).is_ok());
    p.set_endpoints(&[endpoint(5, 2, Flags::FULL_MESH)]);
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn first_address_removed_and_added_again_is_joined_as_zero() {
    let first = endpoint(9, 1, Flags::SUBFLOW);
    let other = endpoint(5, 2, Flags::SUBFLOW);
    let mut p = listed(2, 0, &[first, other]);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    for serial in 20..23 {
        let subflow = p.subflows.find(|subflow| subflow.local == 0).unwrap();
        let generation = p.subflows.get(subflow).unwrap().generation;
        p.set_endpoints(&[other]);
        let all = actions(&mut p, at(0));
        let closed = close(SubflowId {
            slot: subflow,
            generation,
        });
        assert_eq!((all.len(), all.first()), (2, Some(&closed)));
        assert!(all.last().is_some_and(|last| withdraws(last, 0)));
        p.set_endpoints(&[Endpoint { serial, ..first }, other]);
        let all = decisions(&mut p, at(0));
        let [Decision::Connect {
            subflow,
            local: end,
            ..
        }] = all[..]
        else {
            unreachable!("one join");
        };
        assert_eq!((end.id, end.addr), (Some(id(0)), local(1)));
        p.on_subflow_established(subflow, id(0), false, at(0));
        assert_eq!(actions(&mut p, at(0)), []);
    }
    // Two have joined, and the limit is one of those.
    p.set_endpoints(&[first, other, endpoint(6, 3, Flags::SUBFLOW)]);
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn first_address_signalled_again_is_announced_as_zero() {
    let first = endpoint(42, 1, Flags::SIGNAL);
    let mut p = listed(2, 0, &[first]);
    let other = p.on_joined(&join(9, 9, 9), at(0)).unwrap();
    p.set_endpoints(&[]);
    let all = actions(&mut p, at(0));
    assert_eq!(all.first(), Some(&close(SubflowId::INITIAL)));
    assert!(all.last().is_some_and(|last| withdraws(last, 0)));
    for value in [42, 88] {
        p.set_endpoints(&[Endpoint {
            serial: 50 + u32::from(value),
            ..endpoint(value, 1, Flags::SIGNAL)
        }]);
        let expected = Decision::Announce {
            id: id(0),
            addr: local(1),
            port: None,
        };
        assert_eq!(actions(&mut p, at(0)), [expected]);
        p.set_endpoints(&[]);
        let all = actions(&mut p, at(0));
        assert!(matches!(&all[..], [only] if withdraws(only, 0)));
    }
    assert!(p.backup(other).is_some());
}

#[test]
fn first_address_given_up_is_closed_and_withdrawn() {
    let other = endpoint(5, 2, Flags::SUBFLOW);
    let (mut p, _) = connected(Flags::SUBFLOW);
    p.on_initial_removed(local(7));
    assert_eq!(actions(&mut p, at(0)), []);
    p.on_initial_removed(local(1));
    p.set_endpoints(&[other]);
    let all = actions(&mut p, at(0));
    assert_eq!(
        (all.len(), all.first()),
        (2, Some(&close(SubflowId::INITIAL)))
    );
    assert!(all.last().is_some_and(|last| withdraws(last, 0)));
    p.set_endpoints(&[other]);
    assert_eq!(actions(&mut p, at(0)), []);
    // An endpoint with the address may use it again.
    p.set_endpoints(&[other, endpoint(9, 1, Flags::SUBFLOW)]);
    assert_eq!(pairs(&mut p, at(0)), [(1, 1, 80)]);
}

#[test]
fn first_address_given_up_and_still_listed_is_used_again() {
    let list = [
        endpoint(9, 1, Flags::SUBFLOW),
        endpoint(5, 2, Flags::SUBFLOW),
    ];
    let mut p = listed(2, 0, &list);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    p.on_initial_removed(local(1));
    p.set_endpoints(&list);
    assert_eq!(actions(&mut p, at(0)).len(), 2, "close and withdraw");
    p.set_endpoints(&list);
    assert_eq!(pairs(&mut p, at(0)), [(1, 1, 80)]);
}

#[test]
fn last_subflow_stays_and_signals_until_there_is_another() {
    let mut p = listed(1, 0, &[endpoint(9, 1, Flags::SUBFLOW)]);
    p.set_endpoints(&[endpoint(5, 2, Flags::SIGNAL)]);
    let all = actions(&mut p, at(0));
    assert!(matches!(all[..], [Decision::Announce { .. }]));
    p.set_endpoints(&[endpoint(5, 2, Flags::SIGNAL.with(Flags::SUBFLOW))]);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    let all = actions(&mut p, at(0));
    assert_eq!(all.first(), Some(&close(SubflowId::INITIAL)));
    assert!(all.last().is_some_and(|last| withdraws(last, 0)));
}

#[test]
fn one_subflow_stays_when_all_endpoints_are_removed() {
    let list = [
        endpoint(1, 1, Flags::SUBFLOW),
        endpoint(5, 2, Flags::SUBFLOW),
        endpoint(6, 3, Flags::SUBFLOW),
    ];
    let mut p = listed(2, 0, &list);
    let [second, third] = establish(&mut p, at(0))[..] else {
        unreachable!("two joins");
    };
    p.set_endpoints(&[]);
    let all = actions(&mut p, at(0));
    let closed = [SubflowId::INITIAL, second].map(close);
    assert_eq!((all.len(), all.get(..2)), (3, Some(&closed[..])));
    assert!(matches!(all.last(), Some(Decision::Withdraw { ids }) if ids.as_bytes() == [0, 5]));
    // The address comes back before it was withdrawn.
    p.set_endpoints(&[endpoint(6, 3, Flags::SUBFLOW)]);
    assert_eq!(actions(&mut p, at(0)), []);
    assert!(p.backup(third).is_some());
}

#[test]
fn address_of_two_endpoints_is_one_of_another_manager() {
    let with_port = Endpoint {
        port: Some(8_080),
        ..endpoint(5, 2, Flags::SIGNAL)
    };
    let mut p = listed(4, 0, &[with_port, endpoint(6, 2, Flags::SUBFLOW)]);
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    p.set_config(Config {
        kind: Kind::FullMesh,
        connects: true,
        ..*p.config()
    });
    let all = actions(&mut p, at(0));
    assert!(matches!(
        all[..],
        [
            Decision::CloseSubflow { .. },
            Decision::Withdraw { .. },
            Decision::Connect { .. }
        ]
    ));
}

#[test]
fn endpoint_that_means_nothing_is_ignored() {
    let mut p = listed(2, 0, &[endpoint(0, 2, Flags::SUBFLOW.with(Flags::SIGNAL))]);
    assert_eq!(decisions(&mut p, at(0)), []);
}
