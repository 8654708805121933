// SPDX-License-Identifier: GPL-2.0

//! Addresses that come and go: what is announced, withdrawn and closed.

use super::*;

#[test]
fn client_address_back_is_joined_at_once_under_another_id() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::On));
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_local_removed(local(2), 9);
    assert_eq!(actions(&mut p, at(1)), []);
    p.on_local_removed(local(2), 2);
    let all = actions(&mut p, at(1));
    let [Decision::CloseSubflow { .. }, Decision::Withdraw { ids }] = all[..] else {
        unreachable!("close and withdraw");
    };
    let reason = CloseReason::AddressLost;
    let close = Decision::CloseSubflow { subflow, reason };
    assert_eq!(all.first(), Some(&close));
    assert_eq!(ids.as_bytes(), [1]);
    assert!(reason.reset().is_some_and(|reset| reset.transient));
    p.on_subflow_ended(subflow, Ended::Unreachable, at(1));
    p.on_local_added(local(2), interface(3, Policy::On));
    let all = actions(&mut p, at(1));
    let [Decision::Connect { local, .. }] = all[..] else {
        unreachable!("one join");
    };
    assert_eq!((local.id, local.interface_index), (Some(id(2)), 3));
}

#[test]
fn client_last_subflow_stays_until_there_is_another() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    let lost = Interface {
        is_running: false,
        ..interface(1, Policy::On)
    };
    p.on_interface(lost);
    assert_eq!(actions(&mut p, at(1)), []);
    p.on_interface(interface(1, Policy::On));
    assert_eq!(actions(&mut p, at(2)), []);
    p.on_interface(lost);
    p.on_local_added(local(2), interface(2, Policy::On));
    assert_eq!(establish(&mut p, at(3)).len(), 1);
    let all = actions(&mut p, at(3));
    let [Decision::CloseSubflow { subflow, .. }, Decision::Withdraw { ids }] = all[..] else {
        unreachable!("close and withdraw");
    };
    assert_eq!(subflow, SubflowId::INITIAL);
    assert_eq!(ids.as_bytes(), [0]);
    p.on_interface(interface(1, Policy::On));
    let all = actions(&mut p, at(5));
    assert!(
        matches!(all[..], [Decision::Withdraw { .. }, Decision::Connect { local: end, .. }]
        if end.addr == local(1) && end.id == Some(id(2)))
    );
}

#[test]
fn policy_changed_is_told_to_the_peer() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_interface(interface(1, Policy::Backup));
    let told = |subflow, backup| [Decision::SetPriority { subflow, backup }];
    assert_eq!(actions(&mut p, at(0)), told(SubflowId::INITIAL, true));
    p.on_local_added(local(2), interface(2, Policy::On));
    let [second] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    p.on_interface(interface(1, Policy::On));
    assert_eq!(actions(&mut p, at(0)), told(SubflowId::INITIAL, false));
    p.on_interface(interface(1, Policy::Off));
    let all = actions(&mut p, at(0));
    let [Decision::CloseSubflow { subflow, reason }, Decision::Withdraw { .. }] = all[..] else {
        unreachable!("close and withdraw");
    };
    assert_eq!((subflow, reason.reset()), (SubflowId::INITIAL, None));

    p.on_mp_prio(
        second,
        &MpPrio {
            backup: true,
            id: None,
        },
    );
    let expected = Backup {
        local: false,
        peer: true,
    };
    assert_eq!(p.backup(second), Some(expected));
    let by_id = MpPrio {
        backup: false,
        id: Some(id(0)),
    };
    p.on_mp_prio(SubflowId::INITIAL, &by_id);
    assert_eq!(p.backup(second).map(|backup| backup.peer), Some(false));
    assert_eq!(p.backup(SubflowId::INITIAL), None);
}

#[test]
fn server_announces_until_echoed_or_given_up() {
    let mut p = paths(Role::Server, Kind::FullMesh);
    for last in [2, 3] {
        p.on_local_added(local(last), interface(2, Policy::On));
    }
    let announce = |value, last| Decision::Announce {
        id: id(value),
        addr: local(last),
        port: None,
    };
    assert_eq!(
        actions(&mut p, at(0)),
        [announce(1, 2), announce(2, 3)],
        "both are outstanding"
    );
    // An echo of something else is none.
    for (value, last) in [(1, 3), (2, 2), (9, 2)] {
        let echo = add_addr(value, local(last), None).echo();
        assert_eq!(p.on_add_addr(&echo, at(0)), AddAddrOutcome::Echo);
    }
    p.on_add_addr(&add_addr(2, local(3), None).echo(), at(0));
    let mut sent = Vec::new();
    let mut now = at(0);
    loop {
        p.on_timer();
        let mut all = decisions(&mut p, now);
        let Some(Decision::ArmTimer { at }) = all.pop() else {
            break;
        };
        sent.extend(all);
        now = at;
    }
    assert_eq!(sent, [announce(1, 2); 3]);
    assert!(now >= at(3) && now < at(4), "0.2 + 0.4 + 0.8 + 1.6 s");
}

#[test]
fn server_address_lost_is_withdrawn_three_times() {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
    //= type=test
    //# Even if an address is not in use by an MPTCP
    //# connection, if it has been previously announced, an implementation
    //# SHOULD announce its removal.
    let mut p = paths(Role::Server, Kind::FullMesh);
    p.on_local_added(local(2), interface(2, Policy::On));
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    p.on_local_removed(local(2), 2);
    for seconds in [10, 20, 30] {
        let all = actions(&mut p, at(seconds));
        let [Decision::Withdraw { ids }] = all[..] else {
            unreachable!("withdraw");
        };
        assert_eq!(ids.as_bytes(), [1]);
    }
    assert_eq!(actions(&mut p, at(40)), []);
    // One that was never announced is not withdrawn.
    p.on_local_added(local(3), interface(3, Policy::Off));
    p.on_local_removed(local(3), 3);
    assert_eq!(actions(&mut p, at(50)), []);
}

#[test]
fn peer_withdrawn_address_alive_is_kept_and_dead_is_closed() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_add_addr(&add_addr(1, peer(2), None), at(0));
    let [subflow] = establish(&mut p, at(0))[..] else {
        unreachable!("one join");
    };
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.2
    //= type=test
    //# The receipt of REMOVE_ADDR SHOULD
    //# first trigger the sending of a TCP keepalive [RFC1122] on the path,
    //# and if a response is received, the path SHOULD NOT be removed.
    p.on_remove_addr(&RemoveAddr::new(&[1, 9, 1]).unwrap());
    assert_eq!(actions(&mut p, at(0)), [Decision::Probe { subflow }]);
    p.on_heard(subflow);
    assert_eq!(actions(&mut p, at(10)), []);
    p.on_remove_addr(&RemoveAddr::new(&[1]).unwrap());
    assert_eq!(actions(&mut p, at(10)), [Decision::Probe { subflow }]);
    let reason = CloseReason::PeerWithdrew;
    assert_eq!(
        actions(&mut p, at(12)),
        [Decision::CloseSubflow { subflow, reason }]
    );
    assert_eq!(actions(&mut p, at(1_000)), [], "no use of it any more");
    assert_eq!(
        p.on_add_addr(&add_addr(1, peer(3), None), at(1_000)),
        AddAddrOutcome::Stored,
        "the ID may name another address"
    );
}

#[test]
fn add_addr_rules() {
    let mut p = paths(Role::Client, Kind::None);
    let mut outcome = |value, addr, port| p.on_add_addr(&add_addr(value, addr, port), at(0));
    let ignored = AddAddrOutcome::Ignored;
    assert_eq!(outcome(1, peer(2), None), AddAddrOutcome::Stored);
    assert_eq!(outcome(1, peer(2), Some(80)), AddAddrOutcome::Refreshed);
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.4.1
    //= type=test
    //# the address MUST be the same as the address
    //# previously assigned to this Address ID.
    assert_eq!(outcome(1, peer(3), None), ignored(Ignored::Contradiction));
    assert_eq!(outcome(0, peer(3), None), ignored(Ignored::Contradiction));
    assert_eq!(outcome(0, peer(1), None), AddAddrOutcome::Refreshed);
    assert_eq!(outcome(4, peer(1), None), ignored(Ignored::Initial));
    assert_eq!(outcome(2, peer(2), None), AddAddrOutcome::Stored);
    assert_eq!(outcome(2, peer(2), Some(81)), AddAddrOutcome::Stored);
    let loopback = Address::V4([127, 0, 0, 1]);
    assert_eq!(outcome(3, loopback, None), ignored(Ignored::Unusable));
    for value in 3..=7 {
        assert_eq!(outcome(value, peer(value), None), AddAddrOutcome::Stored);
    }
    assert_eq!(outcome(8, peer(8), None), ignored(Ignored::NoRoom));
    for (reason, echo) in [
        (Ignored::Contradiction, false),
        (Ignored::TooOften, false),
        (Ignored::Over, false),
        (Ignored::NoRoom, true),
        (Ignored::Unusable, true),
        (Ignored::Initial, true),
    ] {
        assert_eq!(ignored(reason).is_to_be_echoed(), echo);
    }
}

#[test]
fn add_addr_and_remove_addr_in_turn_are_bounded() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    let mut connects = 0;
    for round in 0..200u8 {
        p.on_add_addr(&add_addr(1, peer(round.max(2)), None), at(0));
        for (subflow, ..) in joins(&mut p, at(0)) {
            connects += 1;
            p.on_subflow_ended(subflow, Ended::TimedOut, at(0));
        }
        p.on_remove_addr(&RemoveAddr::new(&[1]).unwrap());
    }
    assert_eq!(connects, 16);
    let outcome = p.on_add_addr(&add_addr(1, peer(2), None), at(0));
    assert_eq!(outcome, AddAddrOutcome::Ignored(Ignored::TooOften));
}

#[test]
fn peer_that_joined_by_itself_and_then_announces_is_not_joined_again() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    // The address that the SYN comes from is a translator's.
    let subflow = p.on_joined(&join(4, 1, 99), at(0)).unwrap();
    assert_eq!(actions(&mut p, at(0)), []);
    let outcome = p.on_add_addr(&add_addr(4, peer(2), None), at(0));
    assert_eq!(outcome, AddAddrOutcome::Stored);
    assert_eq!(joins(&mut p, at(0)), []);
    p.on_subflow_ended(subflow, Ended::Finished, at(0));
    p.on_timer();
    assert_eq!(joins(&mut p, at(2)).len(), 1);
}

#[test]
fn locals_full_give_way_only_if_useless() {
    let mut p = paths(Role::Server, Kind::FullMesh);
    for last in 2..=8 {
        assert_eq!(
            p.on_local_added(local(last), interface(2, Policy::Off)),
            Taken::Stored
        );
    }
    for last in 9..=15 {
        assert_eq!(
            p.on_local_added(local(last), interface(3, Policy::On)),
            Taken::Stored
        );
    }
    assert_eq!(
        p.on_local_added(local(16), interface(3, Policy::On)),
        Taken::NoRoom
    );
    assert_eq!(
        p.accept_join(&join(1, 16, 2), at(0)),
        JoinVerdict::Refuse(Refusal::TooManyAddresses)
    );
    let all = actions(&mut p, at(0));
    assert_eq!(all.len(), 7);
}

#[test]
fn id_withdrawn_is_not_given_away_before_it_is_signalled() {
    let mut p = paths(Role::Server, Kind::FullMesh);
    p.last_id = 253;
    for last in 2..=4 {
        p.on_local_added(local(last), interface(2, Policy::On));
    }
    let ids: Vec<_> = actions(&mut p, at(0))
        .into_iter()
        .map(|decision| match decision {
            Decision::Announce { id, .. } => id.get(),
            _ => 0,
        })
        .collect();
    assert_eq!(ids, [254, 255, 1]);
    p.last_id = 253;
    p.on_local_removed(local(2), 2);
    p.on_local_added(local(5), interface(2, Policy::On));
    let all = actions(&mut p, at(0));
    assert!(
        matches!(all[..], [Decision::Withdraw { .. }, Decision::Announce { id, .. }]
            if id.get() == 2)
    );
}

#[test]
fn initial_address_observed_and_announced_is_still_not_joined() {
    let refusing = Setup {
        initial_joinable: false,
        ..setup()
    };
    let mut p = Paths::new(Config::new(Role::Client), &refusing, at(0));
    p.on_local_added(local(2), interface(2, Policy::On));
    // A join from behind the translator that the first subflow came through.
    assert!(p.on_joined(&join(4, 1, 1), at(0)).is_ok());
    let outcome = p.on_add_addr(&add_addr(4, peer(1), None), at(0));
    assert_eq!(outcome, AddAddrOutcome::Ignored(Ignored::Initial));
    assert_eq!(joins(&mut p, at(0)), []);
}

#[test]
fn address_announced_and_observed_is_joined_once() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    p.on_add_addr(&add_addr(5, peer(2), None), at(0));
    assert_eq!(establish(&mut p, at(0)).len(), 1);
    assert!(p.on_joined(&join(6, 1, 2), at(0)).is_ok());
    let outcome = p.on_add_addr(&add_addr(6, peer(2), None), at(0));
    assert_eq!(outcome, AddAddrOutcome::Stored);
    assert_eq!(joins(&mut p, at(0)), []);
}
