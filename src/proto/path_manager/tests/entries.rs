// SPDX-License-Identifier: GPL-2.0

//! The entries of a program: how they are announced, joined by the peer, and kept with other managers.

use super::commanded::{
    commanded,
    entries,
    entry,
    from,
    joined,
    signal,
    to, //
};
use super::*;

#[test]
fn address_announced_is_repeated_until_echoed_and_again_when_commanded() {
    let mut p = commanded(Role::Client);
    assert_eq!(p.announce_entry(&signal(0, 2)), Err(CommandRefusal::NoId));
    assert_eq!(p.announce_entry(&from(1, 2)), Err(CommandRefusal::Flags));
    assert_eq!(
        p.announce_entry(&entry(
            1,
            Address::V4([224, 0, 0, 1]),
            EndpointFlags::SIGNAL
        )),
        Err(CommandRefusal::Unusable)
    );
    p.announce_entry(&signal(10, 2)).unwrap();
    let announce = |port| Decision::Announce {
        id: id(10),
        addr: local(2),
        port,
    };
    assert_eq!(actions(&mut p, at(0)), [announce(None)]);
    assert_eq!(actions(&mut p, at(0)), []);
    assert_eq!(actions(&mut p, at(1)), [announce(None)]);
    let echo = AddAddr {
        hmac: None,
        ..add_addr(10, local(2), None)
    };
    assert_eq!(p.on_add_addr(&echo, at(1)), AddAddrOutcome::Echo);
    assert_eq!(actions(&mut p, at(100)), []);
    assert_eq!(p.announce_entry(&signal(10, 2)), Ok(()));
    assert_eq!(actions(&mut p, at(100)), [announce(None)]);
    assert_eq!(p.usage().announced, 1);
    // Another port makes another entry, another ID or address does not.
    let with_port = Endpoint {
        port: Some(7),
        ..signal(11, 2)
    };
    for bad in [signal(10, 3), signal(12, 2)] {
        assert_eq!(p.announce_entry(&bad), Err(CommandRefusal::Mismatch));
    }
    p.announce_entry(&with_port).unwrap();
    let other = Decision::Announce {
        id: id(11),
        addr: local(2),
        port: Some(7),
    };
    assert_eq!(actions(&mut p, at(100)), [other]);
    let known: Vec<_> = p.entries().map(|entry| (entry.id, entry.port)).collect();
    assert_eq!(known, [(id(10), None), (id(11), Some(7))]);
    assert_eq!(p.entry(id(11)).map(|entry| entry.addr), Some(local(2)));
    assert_eq!(p.entry(id(12)), None);
}

#[test]
fn entries_are_as_many_as_there_is_room_for_in_their_order() {
    let mut p = commanded(Role::Client);
    for last in 2..=9 {
        p.announce_entry(&signal(last, last)).unwrap();
    }
    assert_eq!(
        p.announce_entry(&signal(10, 10)),
        Err(CommandRefusal::NoRoom)
    );
    assert_eq!(actions(&mut p, at(0)).len(), 8);
    p.withdraw_entry(id(4)).unwrap();
    p.announce_entry(&signal(4, 10)).unwrap();
    let ids: Vec<_> = p.entries().map(|entry| entry.id.get()).collect();
    assert_eq!(ids, [2, 3, 5, 6, 7, 8, 9, 4]);
    // The ID is withdrawn before it is given away.
    let [Decision::Withdraw { ids }, Decision::Announce { addr, .. }] = actions(&mut p, at(0))[..]
    else {
        unreachable!("both are told");
    };
    assert_eq!((ids.as_bytes(), addr), (&[4][..], local(10)));
}

#[test]
fn join_of_the_peer_comes_to_the_entry_of_its_address() {
    let mut p = commanded(Role::Server);
    p.announce_entry(&signal(10, 2)).unwrap();
    p.set_config(Config {
        limits: Limits {
            subflows: 1,
            ..Limits::default()
        },
        ..*p.config()
    });
    let accept = |value| JoinVerdict::Accept {
        id: id(value),
        backup: false,
    };
    for (last, value) in [(1, 0), (2, 10), (3, 1), (4, 2)] {
        assert_eq!(p.accept_join(&join(1, last, 1), at(0)), accept(value));
        assert!(p.on_joined(&join(1, last, 1), at(0)).is_ok());
    }
    let implicit = EndpointFlags::IMPLICIT.bits();
    let expected = [
        (10, local(2), EndpointFlags::SIGNAL.bits()),
        (1, local(3), implicit),
        (2, local(4), implicit),
    ];
    assert_eq!(entries(&p), expected);
    assert_eq!(p.entry(id(1)).and_then(|entry| entry.port), None);
    p.withdraw_entry(id(1)).unwrap();
    assert!(actions(&mut p, at(0)).len() > 1);
    for _ in p.subflow_count()..SUBFLOWS {
        assert!(p.on_joined(&join(1, 1, 1), at(0)).is_ok());
    }
    // The SYN is answered all the same; the third ACK is not.
    assert_eq!(p.accept_join(&join(1, 1, 1), at(0)), accept(0));
    let full = Err(Refusal::TooManySubflows);
    assert_eq!(p.on_joined(&join(1, 1, 1), at(0)), full);
    p.set_config(Config {
        joins: Joins::Refused,
        ..*p.config()
    });
    assert_eq!(p.accept_join(&join(1, 1, 1), at(0)), accept(0));
    let refused = Err(Refusal::Prohibited);
    assert_eq!(p.on_joined(&join(1, 1, 1), at(0)), refused);
    assert_eq!(entries(&p).len(), 2);
}

#[test]
fn joins_that_nobody_made_leave_room_for_commands() {
    let mut p = commanded(Role::Server);
    for last in 2..=30 {
        let verdict = p.accept_join(&join(1, last, 1), at(0));
        assert!(matches!(verdict, JoinVerdict::Accept { .. }));
    }
    for last in 100..108 {
        p.announce_entry(&signal(last, last)).unwrap();
    }
    let full = JoinVerdict::Refuse(Refusal::TooManyAddresses);
    assert_eq!(p.accept_join(&join(1, 2, 1), at(0)), full);
}

#[test]
fn manager_changed_to_commands_keeps_what_the_peer_knows() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::Backup));
    p.on_local_added(local(3), interface(3, Policy::Off));
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    let config = Config {
        kind: Kind::Userspace,
        ..*p.config()
    };
    p.set_config(config);
    let flags = EndpointFlags::SUBFLOW.with(EndpointFlags::BACKUP);
    assert_eq!(entries(&p), [(1, local(2), flags.bits())]);
    assert_eq!(decisions(&mut p, at(0)), []);
    p.announce_entry(&signal(2, 3)).unwrap();
    p.withdraw_entry(id(1)).unwrap();
    let actions = actions(&mut p, at(0));
    let closed = Decision::CloseSubflow {
        subflow,
        reason: CloseReason::Withdrawn,
    };
    assert_eq!(actions.first(), Some(&closed));
    assert_eq!(actions.len(), 3);
}

#[test]
fn manager_changed_from_commands_forgets_entries_and_keeps_subflows() {
    for kind in [Kind::FullMesh, Kind::None, Kind::Endpoint] {
        let mut p = commanded(Role::Server);
        let zero = joined(&mut p, &from(0, 3));
        let same = joined(&mut p, &from(5, 2));
        p.announce_entry(&signal(6, 4)).unwrap();
        let pending = p.create_subflow(&from(5, 2), &to(1, 80)).unwrap();
        let config = Config {
            kind,
            ..*p.config()
        };
        p.set_config(config);
        assert_eq!(p.entries().next(), None);
        assert_eq!(establish(&mut p, at(0)), [pending]);
        assert_eq!(p.subflow_count(), 4);
        assert_eq!(p.address_ids(same), Some((id(5), id(0))));
        // Its loss does not withdraw the first address.
        let ids = p.address_ids(zero);
        assert!(ids.is_none_or(|(local, _)| local != id(0)));
        decisions(&mut p, at(100));
    }
}

#[test]
fn entry_announced_and_not_used_survives_the_manager_of_endpoints() {
    let mut p = commanded(Role::Client);
    p.announce_entry(&signal(77, 4)).unwrap();
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    let before = entries(&p);
    p.set_config(Config {
        kind: Kind::Endpoint,
        ..*p.config()
    });
    // No other connection needs to call it the same.
    assert_eq!(p.unlisted(), [None; LOCAL_SLOTS]);
    p.set_endpoints(&[]);
    assert_eq!(actions(&mut p, at(0)), []);
    p.set_config(Config {
        kind: Kind::Userspace,
        ..*p.config()
    });
    assert_eq!(entries(&p), before);
}

#[test]
fn manager_changed_amid_a_withdrawal_ends_it_before_the_id_is_used() {
    let mut p = paths(Role::Server, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::On));
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    p.on_local_removed(local(2), 2);
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    p.set_config(Config {
        kind: Kind::Userspace,
        ..*p.config()
    });
    p.announce_entry(&signal(1, 3)).unwrap();
    let [Decision::Withdraw { ids }, Decision::Announce { .. }] = actions(&mut p, at(0))[..] else {
        unreachable!("both are told");
    };
    assert_eq!(ids.as_bytes(), [1]);
    let later = actions(&mut p, at(100));
    assert!(matches!(later[..], [Decision::Announce { .. }]));
}

#[test]
fn manager_changed_from_endpoints_keeps_their_ports() {
    let mut p = paths(Role::Server, Kind::Endpoint);
    let with_port = Endpoint {
        port: Some(8_080),
        ..signal(4, 2)
    };
    p.set_endpoints(&[with_port, signal(5, 2), signal(6, 3)]);
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    assert!(p.on_joined(&join(1, 2, 1), at(0)).is_ok());
    p.set_config(Config {
        kind: Kind::Userspace,
        ..*p.config()
    });
    let known: Vec<_> = p.entries().map(|entry| (entry.id, entry.port)).collect();
    assert_eq!(known, [(id(4), Some(8_080)), (id(5), None)]);
    assert_eq!(p.announce_entry(&signal(5, 2)), Ok(()));
}
