// SPDX-License-Identifier: GPL-2.0

//! What a program commands: withdrawals, subflows, backups; what the peer signals meanwhile.

use super::*;

/// Makes a connection that a program commands.
pub(super) fn commanded(role: Role) -> Paths {
    paths(role, Kind::Userspace)
}

/// Makes an entry with a flag.
pub(super) fn entry(value: u8, addr: Address, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        id: id(value),
        addr,
        port: None,
        interface_index: 0,
        flags,
        serial: 0,
    }
}

/// Makes an entry that is announced.
pub(super) fn signal(value: u8, last: u8) -> Endpoint {
    entry(value, local(last), EndpointFlags::SIGNAL)
}

/// Makes an entry from which there is a subflow.
pub(super) fn from(value: u8, last: u8) -> Endpoint {
    entry(value, local(last), EndpointFlags::NONE)
}

/// Makes the peer's end of a subflow, which is called 0.
pub(super) fn to(last: u8, port: u16) -> PeerEnd {
    PeerEnd {
        id: id(0),
        addr: peer(last),
        port,
    }
}

/// Returns IDs, addresses and flags of the entries, in their order.
pub(super) fn entries(paths: &Paths) -> Vec<(u8, Address, u32)> {
    let all = paths.entries();
    all.map(|entry| (entry.id.get(), entry.addr, entry.flags.bits()))
        .collect()
}

/// Makes a subflow and lets it succeed.
pub(super) fn joined(paths: &mut Paths, entry: &Endpoint) -> SubflowId {
    let subflow = paths.create_subflow(entry, &to(1, 80)).unwrap();
    assert_eq!(establish(paths, at(0)), [subflow]);
    subflow
}

/// Returns the subflows that are closed, with the reasons, and the IDs that are withdrawn.
pub(super) fn losses(paths: &mut Paths) -> (Vec<(SubflowId, CloseReason)>, Vec<u8>) {
    let (mut closed, mut withdrawn) = (Vec::new(), Vec::new());
    for decision in actions(paths, at(0)) {
        match decision {
            Decision::CloseSubflow { subflow, reason } => closed.push((subflow, reason)),
            Decision::Withdraw { ids } => withdrawn.extend_from_slice(ids.as_bytes()),
            other => unreachable!("{other:?}"),
        }
    }
    (closed, withdrawn)
}

#[test]
fn commands_to_other_managers_or_when_over_are_refused() {
    let mut p = paths(Role::Client, Kind::FullMesh);
    let none = Err(CommandRefusal::OtherManager);
    assert_eq!(p.announce_entry(&signal(1, 2)), none);
    assert_eq!(p.withdraw_entry(id(0)), none);
    assert_eq!(p.destroy_subflow(SubflowId::INITIAL), none);
    assert_eq!(p.set_backup(SubflowId::INITIAL, true), none);
    assert_eq!(
        p.create_subflow(&from(1, 2), &to(1, 80)),
        Err(CommandRefusal::OtherManager)
    );
    assert_eq!(p.entries().next(), None);
    let mut p = commanded(Role::Client);
    p.on_over();
    assert_eq!(p.announce_entry(&signal(1, 2)), Err(CommandRefusal::Over));
}

#[test]
fn entry_withdrawn_is_told_if_the_peer_can_know_it() {
    let mut p = commanded(Role::Client);
    assert_eq!(p.withdraw_entry(id(5)), Err(CommandRefusal::NotFound));
    // Nothing was sent yet.
    p.announce_entry(&signal(5, 2)).unwrap();
    p.withdraw_entry(id(5)).unwrap();
    assert_eq!(actions(&mut p, at(0)), []);
    p.announce_entry(&signal(5, 2)).unwrap();
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    p.withdraw_entry(id(5)).unwrap();
    assert_eq!(losses(&mut p), (vec![], vec![5]));
    assert_eq!(p.withdraw_entry(id(5)), Err(CommandRefusal::NotFound));
    let subflow = joined(&mut p, &from(6, 2));
    p.withdraw_entry(id(6)).unwrap();
    assert_eq!(entries(&p), []);
    let closed = vec![(subflow, CloseReason::Withdrawn)];
    assert_eq!(losses(&mut p), (closed, vec![6]));
    // An entry whose subflow has ended stays, and the peer need not be told.
    let subflow = joined(&mut p, &from(7, 2));
    p.on_subflow_ended(subflow, Ended::Finished, at(0));
    assert_eq!(entries(&p).len(), 1);
    p.withdraw_entry(id(7)).unwrap();
    assert_eq!(losses(&mut p), (vec![], vec![]));
    assert_eq!(decisions(&mut p, at(1_000)), []);
}

#[test]
fn id_zero_withdrawn_closes_the_first_subflow_once_another_works() {
    let mut p = commanded(Role::Server);
    p.withdraw_entry(id(0)).unwrap();
    assert_eq!(losses(&mut p), (vec![], vec![0]));
    assert_eq!(p.subflow_count(), 1);
    let subflow = p.create_subflow(&from(3, 2), &to(1, 80)).unwrap();
    assert_eq!(establish(&mut p, at(0)), [subflow]);
    let closed = vec![(SubflowId::INITIAL, CloseReason::Withdrawn)];
    assert_eq!(losses(&mut p), (closed, vec![]));
    assert_eq!(p.withdraw_entry(id(0)), Err(CommandRefusal::NotFound));
    assert_eq!(p.destroy_subflow(subflow), Ok(()));
    let closed = vec![(subflow, CloseReason::Commanded)];
    assert_eq!(losses(&mut p), (closed, vec![]));
    assert_eq!(p.subflow_count(), 0);
}

#[test]
fn subflow_commanded_is_set_up_once_from_its_port_and_interface() {
    let mut p = commanded(Role::Server);
    let wanted = Endpoint {
        port: Some(5_000),
        interface_index: 9,
        ..entry(20, local(3), EndpointFlags::BACKUP)
    };
    let end = PeerEnd {
        id: id(4),
        addr: peer(2),
        port: 8_080,
    };
    let subflow = p.create_subflow(&wanted, &end).unwrap();
    let expected = Decision::Connect {
        subflow,
        local: LocalEnd {
            id: Some(id(20)),
            addr: local(3),
            port: Some(5_000),
            interface_index: 9,
        },
        peer: end,
        backup: true,
    };
    assert_eq!(decisions(&mut p, at(0)), [expected]);
    let flags = EndpointFlags::SUBFLOW.with(EndpointFlags::BACKUP);
    assert_eq!(entries(&p), [(20, local(3), flags.bits())]);
    p.on_subflow_established(subflow, id(6), false, at(0));
    assert_eq!(p.address_ids(subflow), Some((id(20), id(6))));
    p.on_subflow_ended(subflow, Ended::TimedOut, at(0));
    assert_eq!(decisions(&mut p, at(1_000)), []);
    assert_eq!(entries(&p).len(), 1);
}

#[test]
fn subflow_that_cannot_begin_takes_its_entry_with_it() {
    let mut p = commanded(Role::Client);
    for announced in [false, true] {
        if announced {
            p.announce_entry(&signal(20, 3)).unwrap();
        }
        let subflow = p.create_subflow(&from(20, 3), &to(1, 80)).unwrap();
        actions(&mut p, at(0));
        p.on_subflow_ended(subflow, Ended::Unreachable, at(0));
        assert_eq!(entries(&p).len(), usize::from(announced));
        assert_eq!(p.subflow_count(), 1);
    }
    // One that was refused leaves its entry, as one that has ended does.
    let subflow = p.create_subflow(&from(21, 4), &to(1, 80)).unwrap();
    actions(&mut p, at(0));
    p.on_subflow_ended(subflow, PROHIBITED, at(0));
    assert_eq!(entries(&p).len(), 2);
    assert!(p.create_subflow(&from(21, 4), &to(1, 80)).is_ok());
}

#[test]
fn subflow_that_cannot_be_is_refused() {
    let mut p = commanded(Role::Client);
    let v6 = Address::V6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let there = to(1, 80);
    for (entry, peer, refusal) in [
        (signal(1, 2), there, CommandRefusal::Flags),
        (
            entry(1, v6, EndpointFlags::NONE),
            there,
            CommandRefusal::Families,
        ),
        (
            entry(1, Address::V4([0; 4]), EndpointFlags::NONE),
            there,
            CommandRefusal::Unusable,
        ),
        (
            from(1, 2),
            PeerEnd {
                addr: Address::V4([224, 0, 0, 1]),
                ..there
            },
            CommandRefusal::Unusable,
        ),
    ] {
        assert_eq!(p.create_subflow(&entry, &peer), Err(refusal));
    }
    p.announce_entry(&signal(1, 2)).unwrap();
    assert_eq!(
        p.create_subflow(&from(1, 3), &there),
        Err(CommandRefusal::Mismatch)
    );
    for _ in 1..SUBFLOWS {
        assert!(p.create_subflow(&from(1, 2), &there).is_ok());
    }
    assert_eq!(
        p.create_subflow(&from(1, 2), &there),
        Err(CommandRefusal::NoRoom)
    );
    assert_eq!(joins(&mut p, at(0)).len(), SUBFLOWS - 1);
    let only_v4 = Setup {
        families: Families::V4,
        ..setup()
    };
    let mut p = Paths::new(*commanded(Role::Client).config(), &only_v4, at(0));
    let end = PeerEnd { addr: v6, ..there };
    assert_eq!(
        p.create_subflow(&entry(1, v6, EndpointFlags::NONE), &end),
        Err(CommandRefusal::Families)
    );
    // Addresses of the peer take room while subflows use them.
    for last in 2..=8 {
        assert!(p.create_subflow(&from(1, 2), &to(last, 80)).is_ok());
    }
    let refused = p.create_subflow(&from(2, 3), &to(9, 80));
    assert_eq!(refused, Err(CommandRefusal::NoRoom));
    assert_eq!(entries(&p).len(), 1);
}

#[test]
fn subflow_destroyed_is_closed_and_its_entry_gone_without_a_word() {
    let mut p = commanded(Role::Client);
    let one = joined(&mut p, &from(20, 3));
    let two = joined(&mut p, &from(20, 3));
    p.destroy_subflow(one).unwrap();
    assert_eq!(p.destroy_subflow(one), Err(CommandRefusal::NotFound));
    assert_eq!(entries(&p), []);
    let closed = vec![(one, CloseReason::Commanded)];
    assert_eq!(losses(&mut p), (closed, vec![]));
    assert_eq!(p.destroy_subflow(one), Err(CommandRefusal::NotFound));
    // The other subflow keeps the name, which stands for nothing else.
    assert_eq!(p.address_ids(two), Some((id(20), id(0))));
    assert_eq!(
        p.announce_entry(&signal(20, 4)),
        Err(CommandRefusal::Mismatch)
    );
    assert_eq!(p.announce_entry(&signal(20, 3)), Ok(()));
    p.destroy_subflow(two).unwrap();
    // Commanded again before it is closed.
    let three = p.create_subflow(&from(20, 4), &to(1, 80)).unwrap();
    let actions = actions(&mut p, at(0));
    let [Decision::CloseSubflow { .. }, Decision::Connect { subflow, .. }] = actions[..] else {
        unreachable!("{actions:?}");
    };
    assert_eq!(subflow, three);
    p.destroy_subflow(SubflowId::INITIAL).unwrap();
    p.destroy_subflow(three).unwrap();
    assert_eq!(losses(&mut p).0.len(), 2);
    assert_eq!(p.subflow_count(), 0);
    let none = CloseReason::Commanded.reset();
    assert_eq!((none, CloseReason::Withdrawn.reset()), (None, None));
}

#[test]
fn subflow_that_an_administrator_ends_is_prohibited_for_good() {
    let reset = CloseReason::Killed.reset();
    let said = reset.map(|option| (option.transient, option.reason.code()));
    assert_eq!(said, Some((false, 3)));
}

#[test]
fn subflow_commanded_and_destroyed_at_once_is_never_set_up() {
    let mut p = commanded(Role::Client);
    let subflow = p.create_subflow(&from(20, 3), &to(1, 80)).unwrap();
    p.destroy_subflow(subflow).unwrap();
    let closed = vec![(subflow, CloseReason::Commanded)];
    assert_eq!(losses(&mut p), (closed, vec![]));
    let subflow = p.create_subflow(&from(20, 3), &to(1, 80)).unwrap();
    p.withdraw_entry(id(20)).unwrap();
    let closed = vec![(subflow, CloseReason::Withdrawn)];
    assert_eq!(losses(&mut p), (closed, vec![]));
}

#[test]
fn subflow_of_id_zero_is_called_so_and_withdrawn_with_the_first() {
    let mut p = commanded(Role::Client);
    let other = joined(&mut p, &from(0, 3));
    let third = joined(&mut p, &from(9, 4));
    assert_eq!(p.address_ids(other), Some((id(0), id(0))));
    let first = entries(&p).first().copied();
    assert_eq!(first, Some((0, local(3), EndpointFlags::SUBFLOW.bits())));
    p.withdraw_entry(id(0)).unwrap();
    let (closed, withdrawn) = losses(&mut p);
    let closed: Vec<_> = closed.into_iter().map(|(subflow, _)| subflow).collect();
    assert_eq!(
        (closed, withdrawn),
        (vec![SubflowId::INITIAL, other], vec![0])
    );
    assert_eq!(p.address_ids(third), Some((id(9), id(0))));
    // The first subflow's address may be used again, and by its name.
    assert!(p.create_subflow(&from(8, 1), &to(1, 80)).is_ok());
    assert_eq!(joins(&mut p, at(0)).len(), 1);
}

#[test]
fn backup_commanded_is_told_on_that_subflow_each_time() {
    let mut p = commanded(Role::Client);
    let one = joined(&mut p, &from(20, 3));
    let two = joined(&mut p, &from(20, 3));
    for backup in [true, true, false] {
        p.set_backup(one, backup).unwrap();
        let expected = Decision::SetPriority {
            subflow: one,
            backup,
        };
        assert_eq!(actions(&mut p, at(0)), [expected]);
        assert_eq!(p.backup(one).map(|b| b.local), Some(backup));
        assert_eq!(p.backup(two).map(|b| b.local), Some(false));
        let verdict = p.accept_join(&join(1, 3, 1), at(0));
        let id = id(20);
        assert_eq!(verdict, JoinVerdict::Accept { id, backup });
    }
    // The first subflow's address has no entry that could change.
    p.set_backup(SubflowId::INITIAL, true).unwrap();
    assert_eq!(actions(&mut p, at(0)).len(), 1);
    let (id, backup) = (id(0), false);
    let verdict = p.accept_join(&join(1, 1, 1), at(0));
    assert_eq!(verdict, JoinVerdict::Accept { id, backup });
    let pending = p.create_subflow(&from(20, 3), &to(1, 80)).unwrap();
    assert_eq!(p.set_backup(pending, true), Err(CommandRefusal::NotFound));
}

#[test]
fn signals_of_the_peer_are_reported_and_obeyed() {
    let mut p = commanded(Role::Client);
    for value in 0..=40 {
        let outcome = p.on_add_addr(&add_addr(value, peer(9), Some(80)), at(0));
        assert_eq!(outcome, AddAddrOutcome::Reported);
        assert!(outcome.is_to_be_echoed() && !outcome.is_ignored());
    }
    assert_eq!(actions(&mut p, at(0)), []);
    let subflow = joined(&mut p, &from(20, 3));
    let prio = MpPrio {
        backup: true,
        id: None,
    };
    p.on_mp_prio(subflow, &prio);
    assert_eq!(p.backup(subflow).map(|b| b.peer), Some(true));
    let named = PeerEnd {
        id: id(7),
        ..to(9, 81)
    };
    let other = p.create_subflow(&from(20, 3), &named).unwrap();
    assert_eq!(establish(&mut p, at(0)), [other]);
    p.on_remove_addr(&RemoveAddr::new(&[7]).unwrap());
    let closed = vec![(other, CloseReason::PeerRemoved)];
    assert_eq!(losses(&mut p), (closed, vec![]));
    // What the peer has withdrawn can be joined by command.
    let again = p.create_subflow(&from(20, 3), &named).unwrap();
    assert_eq!(establish(&mut p, at(0)), [again]);
    p.on_remove_addr(&RemoveAddr::new(&[0]).unwrap());
    assert_eq!(losses(&mut p).0.len(), 2);
    let last = p.create_subflow(&from(20, 3), &to(1, 80)).unwrap();
    assert_eq!(establish(&mut p, at(0)), [last]);
    assert_eq!((p.subflow_count(), p.backup(again).is_some()), (2, true));
}
