// SPDX-License-Identifier: GPL-2.0

//! Shows that the path manager does what a host would that looks at everything again each time.

#[path = "model_path_manager/commanded.rs"]
mod commanded;
#[path = "model_path_manager/endpoints.rs"]
mod endpoints;
#[path = "model_path_manager/events.rs"]
mod events;
#[path = "model_path_manager/host.rs"]
mod host;
#[path = "model_path_manager/switches.rs"]
mod switches;

use std::collections::BTreeSet;

use commanded::{
    Command,
    CommandedHost, //
};
use endpoints::{
    Change,
    EndpointHost, //
};
use events::Event;
use host::{
    Host,
    COPIES, //
};
use mptcp_proto::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use mptcp_proto::path_manager::{
    Config,
    Ended,
    EndpointFlags,
    Kind,
    Limits,
    Policy,
    Role, //
};
use proptest::prelude::*;
use switches::SwitchingHost;

/// Chooses a policy.
fn policies() -> impl Strategy<Value = Policy> {
    prop::sample::select(&[Policy::On, Policy::On, Policy::Off, Policy::Backup][..])
}

/// Chooses an end that does not forbid another try.
fn passing_ends() -> impl Strategy<Value = Ended> {
    let shortage = Ended::Reset(MpTcprst {
        transient: true,
        reason: Reason::LackOfResources,
    });
    prop::sample::select(vec![
        Ended::TimedOut,
        Ended::Unreachable,
        Ended::Finished,
        shortage,
    ])
}

/// Chooses any end.
fn all_ends() -> impl Strategy<Value = Ended> {
    let reset = (any::<bool>(), any::<u8>()).prop_map(|(transient, code)| {
        let reason = Reason::from_code(code);
        Ended::Reset(MpTcprst { transient, reason })
    });
    prop_oneof![passing_ends(), reset, Just(Ended::Refused)]
}

/// Chooses an event that does not come from a peer who joins by itself.
fn events(ends: impl Strategy<Value = Ended>) -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..7u8, policies()).prop_map(|(local, policy)| Event::LocalAdded(local, policy)),
        2 => (1..7u8).prop_map(Event::LocalRemoved),
        2 => (1..7u8, any::<bool>(), policies())
            .prop_map(|(local, is_running, policy)| Event::Interface(local, is_running, policy)),
        3 => (1..7u8, any::<bool>()).prop_map(|(peer, port)| Event::AddAddr(peer, port)),
        1 => (1..7u8).prop_map(Event::RemoveAddr),
        2 => (any::<usize>(), ends).prop_map(|(pick, ended)| Event::End(pick, ended)),
        2 => Just(Event::Establish),
        1 => any::<usize>().prop_map(Event::Heard),
        2 => (0..20_000u64).prop_map(Event::Wait),
    ]
}

/// Chooses a configuration of a manager.
fn configs() -> impl Strategy<Value = Config> {
    let limits =
        (1..=8u8, 1..=8u8, 0..=8u8).prop_map(|(subflows, peer_addresses, announced)| Limits {
            subflows,
            peer_addresses,
            announced,
        });
    let roles = prop::sample::select(vec![Role::Client, Role::Server]);
    // Endpoints and commands have models of their own.
    let kinds = prop::sample::select(vec![Kind::FullMesh, Kind::NDiffPorts, Kind::None]);
    (roles, kinds, 1..=8u8, limits).prop_map(|(role, kind, ports, limits)| Config {
        kind,
        ports,
        limits,
        ..Config::new(role)
    })
}

/// Chooses what an endpoint is for.
fn flags() -> impl Strategy<Value = EndpointFlags> {
    let flag = prop::sample::select(vec![
        EndpointFlags::NONE,
        EndpointFlags::SIGNAL,
        EndpointFlags::SUBFLOW,
        EndpointFlags::SUBFLOW,
        EndpointFlags::FULL_MESH,
        EndpointFlags::LAMINAR,
    ]);
    let backup = prop::sample::select(vec![EndpointFlags::NONE, EndpointFlags::BACKUP]);
    (flag.clone(), flag, backup).prop_map(|(one, other, backup)| one.with(other).with(backup))
}

/// Chooses a change of the list of endpoints, or another event.
fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (1..12u8, 1..9u8, any::<bool>(), flags())
            .prop_map(|(id, local, port, flags)| Change::Add(id, local, port, flags)),
        2 => any::<usize>().prop_map(Change::Remove),
        2 => (any::<usize>(), flags()).prop_map(|(pick, flags)| Change::SetFlags(pick, flags)),
        1 => Just(Change::Flush),
        1 => Just(Change::RemoveInitial),
        3 => (1..7u8, any::<bool>()).prop_map(|(peer, port)| Change::AddAddr(peer, port)),
        1 => (1..7u8).prop_map(Change::RemoveAddr),
        2 => (1..9u8, 1..7u8).prop_map(|(local, peer)| Change::Join(local, peer)),
        3 => (any::<usize>(), all_ends()).prop_map(|(pick, ended)| Change::End(pick, ended)),
        3 => (1..9u8).prop_map(Change::Establish),
        1 => (0..20_000u64).prop_map(Change::Wait),
    ]
}

/// Chooses a command, or another event.
fn commands() -> impl Strategy<Value = Command> {
    let flag = any::<bool>;
    prop_oneof![
        3 => (0..7u8, 1..9u8, flag())
            .prop_map(|(id, local, port)| Command::Announce(id, local, port)),
        3 => (0..7u8).prop_map(Command::Withdraw),
        6 => (0..7u8, 1..7u8, flag(), flag(), 1..7u8, flag()).prop_map(
            |(id, local, port, backup, peer, other)| {
                Command::Create(id, local, port, backup, peer, other)
            }
        ),
        2 => any::<usize>().prop_map(Command::Destroy),
        2 => (any::<usize>(), flag()).prop_map(|(pick, backup)| Command::SetBackup(pick, backup)),
        1 => (1..7u8).prop_map(Command::AddAddr),
        1 => (1..7u8).prop_map(Command::RemoveAddr),
        3 => (1..9u8, flag(), 1..7u8)
            .prop_map(|(local, port, peer)| Command::Join(local, port, peer)),
        2 => (any::<usize>(), all_ends()).prop_map(|(pick, ended)| Command::End(pick, ended)),
        3 => Just(Command::Establish),
        1 => (0..20_000u64).prop_map(Command::Wait),
    ]
}

proptest! {
    #[test]
    fn commands_lead_to_nothing_but_what_they_say(
        is_client: bool,
        echoes: bool,
        history in prop::collection::vec((commands(), any::<bool>()), 0..80),
    ) {
        let role = if is_client { Role::Client } else { Role::Server };
        let mut host = CommandedHost::new(role, echoes);
        for (command, is_looked_at) in history {
            host.on_command(command, is_looked_at);
        }
        host.settle();
    }

    #[test]
    fn managers_changed_come_to_an_end(
        history in prop::collection::vec(
            (commands(), any::<bool>(), prop::sample::select(&Kind::ALL[..]), 0..5u8),
            0..80,
        ),
    ) {
        let mut host = SwitchingHost::new();
        for (command, is_looked_at, kind, when) in history {
            if when == 0 {
                host.switch(kind);
            }
            host.on_command(command, is_looked_at);
        }
        host.settle();
    }

    #[test]
    fn endpoints_lead_to_nothing_but_what_they_say(
        subflows in 0..=8u8,
        accepted in 0..=7u8,
        initial_joinable: bool,
        echoes: bool,
        history in prop::collection::vec((changes(), any::<bool>()), 0..80),
    ) {
        let mut host = EndpointHost::new(subflows, accepted, initial_joinable, echoes);
        for (change, is_looked_at) in history {
            host.on_change(change, is_looked_at);
        }
        host.settle();
    }

    #[test]
    fn quiet_client_has_the_mesh(
        limit in prop_oneof![1..=16u8, Just(16)],
        initial_joinable: bool,
        history in prop::collection::vec(events(passing_ends()), 0..40),
    ) {
        let mut config = Config::new(Role::Client);
        config.limits.subflows = limit;
        let mut host = Host::new(config, initial_joinable, true);
        for event in history {
            host.on_event(event);
        }
        host.settle();
        let limit = usize::from(limit);
        let mesh = host.mesh();
        let all: Vec<_> = host.subflows.values().map(|(_, s)| (s.local, s.peer, s.port)).collect();
        let set: BTreeSet<_> = all.iter().copied().collect();
        prop_assert_eq!(set.len(), all.len());
        // The first subflow may be where no other may follow it; of those that are not in the mesh,
        // one may be kept for want of a better one, or because it proved to be alive.
        let in_mesh = set.intersection(&mesh).count();
        let others = all.iter().filter(|pair| !mesh.contains(pair));
        let others = others.filter(|pair| host.is_usable(pair.0)).count();
        prop_assert!(in_mesh >= mesh.len().min(limit.saturating_sub(others)));
        prop_assert!(all.len() <= limit || in_mesh == limit + 1);
        let lost = set.iter().filter(|pair| !host.is_usable(pair.0)).count();
        prop_assert!(lost == 0 || !host.can_signal());
    }

    #[test]
    fn nothing_is_done_that_should_not_be(
        config in configs(),
        initial_joinable: bool,
        echoes: bool,
        history in prop::collection::vec(
            prop_oneof![
                8 => events(all_ends()),
                1 => (1..7u8, 1..7u8).prop_map(|(local, peer)| Event::Join(local, peer)),
            ],
            0..60,
        ),
    ) {
        let mut host = Host::new(config, initial_joinable, echoes);
        for event in history {
            host.on_event(event);
        }
        host.settle();
        // Every address that can be told of was, and either echoed or repeated to the end.
        let announces = config.announces && config.kind == Kind::FullMesh && host.can_signal();
        if announces {
            let told = host.ids.iter().filter(|(id, _)| **id != 0);
            let told: Vec<_> = told.filter(|(_, (_, count))| *count > 0).collect();
            prop_assert!(told.iter().all(|(_, (_, count))| *count == COPIES));
            let initial = host.ids.get(&0).map(|(local, _)| *local);
            let usable = host.locals.keys().filter(|local| host.is_usable(**local));
            let usable = usable.filter(|local| Some(**local) != initial).count();
            let limit = usize::from(config.limits.announced);
            prop_assert_eq!(told.len(), usable.min(limit));
        }
    }
}
