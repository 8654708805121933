// SPDX-License-Identifier: GPL-2.0

//! Joins of the peer: accepted or refused.

use super::*;

#[test]
fn server_join_within_the_limits_is_accepted() {
    let mut p = paths(Role::Server, Kind::None);
    p.on_local_added(local(2), interface(2, Policy::Backup));
    let accept = |value, backup| JoinVerdict::Accept {
        id: id(value),
        backup,
    };
    assert_eq!(p.accept_join(&join(3, 1, 3), at(0)), accept(0, false));
    assert_eq!(p.accept_join(&join(3, 2, 3), at(0)), accept(1, true));
    assert_eq!(p.accept_join(&join(3, 9, 3), at(0)), accept(2, false));
    assert_eq!(p.subflow_count(), 1, "a SYN reserves nothing");
    for count in 0..7 {
        let subflow = p.on_joined(&join(count + 1, 2, count + 2), at(0));
        assert!(subflow.is_ok());
    }
    assert_eq!(
        p.accept_join(&join(3, 1, 3), at(0)),
        JoinVerdict::Refuse(Refusal::TooManySubflows)
    );
    assert_eq!(
        p.on_joined(&join(3, 1, 3), at(0)),
        Err(Refusal::TooManySubflows)
    );
    assert_eq!(actions(&mut p, at(0)), []);
}

#[test]
fn join_prohibited_or_after_the_end_is_refused_with_the_reason() {
    let mut p = paths(Role::Server, Kind::FullMesh);
    let refused = JoinVerdict::Refuse;
    p.set_config(Config {
        joins: Joins::NotToInitial,
        ..*p.config()
    });
    assert_eq!(
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.2
        //= type=test
        //# local policy prohibits
        //# the acceptance of the new subflow, the recipient MUST respond with a
        //# TCP RST for the subflow.
        p.accept_join(&join(1, 1, 2), at(0)),
        refused(Refusal::Prohibited)
    );
    let other_port = Join {
        local_port: 1_001,
        ..join(1, 1, 2)
    };
    assert!(matches!(
        p.accept_join(&other_port, at(0)),
        JoinVerdict::Accept { .. }
    ));
    p.on_local_added(local(2), interface(2, Policy::Off));
    assert_eq!(
        p.accept_join(&join(1, 2, 2), at(0)),
        refused(Refusal::Prohibited)
    );
    p.set_config(Config {
        joins: Joins::Refused,
        ..*p.config()
    });
    assert_eq!(
        p.accept_join(&join(1, 3, 2), at(0)),
        refused(Refusal::Prohibited)
    );
    p.on_over();
    assert_eq!(p.accept_join(&join(1, 3, 2), at(0)), refused(Refusal::Over));
    assert_eq!(
        p.on_add_addr(&add_addr(1, peer(2), None), at(0)),
        AddAddrOutcome::Ignored(Ignored::Over)
    );
    p.on_local_added(local(4), interface(4, Policy::On));
    assert_eq!(decisions(&mut p, at(0)), []);
    for (refusal, transient, reason) in [
        (Refusal::Over, false, Reason::MptcpSpecific),
        (
            Refusal::Prohibited,
            false,
            Reason::AdministrativelyProhibited,
        ),
        (Refusal::TooManySubflows, true, Reason::LackOfResources),
        (Refusal::TooManyAddresses, true, Reason::LackOfResources),
    ] {
        assert_eq!(refusal.reset(), MpTcprst { transient, reason });
    }
}
