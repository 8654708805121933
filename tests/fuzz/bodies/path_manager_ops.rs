// SPDX-License-Identifier: GPL-2.0

//! Shows that no sequence of events upsets the path manager, whatever the peer sends.
//!
//! The input is a configuration and a list of events: options of any content, addresses that come
//! and go, news of subflows that are there or not. Whatever comes, decisions come to an end and
//! speak only of what exists, and the limits hold.

use mptcp_proto::ids::{
    Address,
    AddressId,
    TruncatedHmac, //
};
use mptcp_proto::options::mp_tcprst::{
    MpTcprst,
    Reason, //
};
use mptcp_proto::options::{
    AddAddr,
    MpPrio,
    RemoveAddr, //
};
use mptcp_proto::path_manager::{
    Config,
    Decision,
    Ended,
    Endpoint,
    EndpointFlags,
    Families,
    Interface,
    Join,
    JoinVerdict,
    Joins,
    Kind,
    Limits,
    Paths,
    Policy,
    Setup,
    SubflowId,
    LOCAL_SLOTS,
    SUBFLOWS, //
};
use mptcp_proto::time::{
    Duration,
    Timestamp, //
};

use super::source::Source;

/// Chooses an address: one of a few, most of them usable.
fn address(source: &mut Source<'_>) -> Address {
    let byte = source.u8();
    match byte >> 5 {
        0..=3 => Address::V4([10, 0, 0, byte & 0x1f]),
        4 => Address::V4([127, 0, 0, byte & 3]),
        5 => Address::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte]),
        6 => Address::V6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte]),
        _ => Address::V6(source.bytes()),
    }
}

/// Chooses an interface.
fn interface(source: &mut Source<'_>) -> Interface {
    Interface {
        index: u32::from(source.u8() % 4),
        is_running: !source.bool(),
        policy: match source.u8() % 4 {
            0 => Policy::Off,
            1 => Policy::Backup,
            _ => Policy::On,
        },
    }
}

/// Chooses a configuration.
fn config(source: &mut Source<'_>) -> Config {
    let mut kinds = Kind::ALL.into_iter().cycle();
    Config {
        kind: kinds.nth(usize::from(source.u8())).unwrap_or_default(),
        ports: source.u8(),
        limits: Limits {
            subflows: source.u8() % 32,
            peer_addresses: source.u8() % 16,
            announced: source.u8() % 16,
        },
        connects: !source.bool(),
        announces: !source.bool(),
        joins: match source.u8() % 4 {
            0 => Joins::Refused,
            1 => Joins::NotToInitial,
            _ => Joins::Accepted,
        },
        announce_timeout: Duration::from_millis(u64::from(source.u16())),
    }
}

/// Chooses how a subflow ends.
fn ended(source: &mut Source<'_>) -> Ended {
    match source.u8() % 5 {
        0 => Ended::Refused,
        1 => Ended::TimedOut,
        2 => Ended::Unreachable,
        3 => Ended::Finished,
        _ => Ended::Reset(MpTcprst {
            transient: source.bool(),
            reason: Reason::from_code(source.u8()),
        }),
    }
}

/// Chooses an endpoint.
fn endpoint(source: &mut Source<'_>) -> Endpoint {
    Endpoint {
        id: AddressId::new(source.u8() % 16),
        addr: address(source),
        port: source.bool().then(|| source.u16()),
        interface_index: u32::from(source.u8() % 4),
        flags: EndpointFlags::from_known_bits(u32::from(source.u8() % 64)),
        serial: u32::from(source.u8() % 4),
    }
}

/// A subflow that there is or was.
struct Subflow {
    /// Names it.
    id: SubflowId,
    /// There is still such a subflow.
    is_alive: bool,
    /// Its addresses and the peer's port, unless the peer has begun it.
    pair: Option<(Address, Address, u16)>,
}

/// Chooses one of the subflows, those that are gone included.
fn subflow(source: &mut Source<'_>, all: &[Subflow]) -> SubflowId {
    let count = all.len().max(1);
    let chosen = all.get(usize::from(source.u8()) % count);
    chosen.map_or(SubflowId::INITIAL, |subflow| subflow.id)
}

/// Marks a subflow as gone.
fn remove(all: &mut [Subflow], id: SubflowId) {
    for subflow in all.iter_mut().filter(|subflow| subflow.id == id) {
        subflow.is_alive = false;
    }
}

/// Tells whether a subflow is alive.
fn is_alive(all: &[Subflow], id: SubflowId) -> bool {
    all.iter()
        .any(|subflow| subflow.id == id && subflow.is_alive)
}

/// Tells whether the address is one of those that were told of, some of them as mapped ones.
fn is_local(locals: &[Address], addr: Address) -> bool {
    let Address::V4([a, b, c, d]) = addr else {
        return locals.contains(&addr);
    };
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    locals.contains(&addr) || locals.contains(&Address::V6(mapped))
}

/// Runs the body on one input.
pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    let setup = Setup {
        local: Address::V4([10, 0, 0, 1]),
        local_port: source.u16(),
        interface: interface(source),
        peer: Address::V4([10, 0, 0, 2]),
        peer_port: source.u16(),
        initial_joinable: !source.bool(),
        families: match source.u8() % 4 {
            0 => Families::V4,
            1 => Families::V6,
            _ => Families::Both,
        },
        connect_from: Timestamp::from_micros(u64::from(source.u32())),
    };
    let mut config = config(source);
    let mut now = Timestamp::ORIGIN;
    let mut paths = Paths::new(config, &setup, now);
    let mut locals = vec![setup.local];
    let mut all = vec![Subflow {
        id: SubflowId::INITIAL,
        is_alive: true,
        pair: Some((setup.local, setup.peer, setup.peer_port)),
    }];
    let mut is_over = false;
    while !source.is_empty() {
        match source.u8() % 16 {
            0 | 1 => {
                let addr = address(source);
                paths.on_local_added(addr, interface(source));
                locals.push(addr);
            }
            2 => {
                let (addr, index) = (address(source), u32::from(source.u8() % 4));
                paths.on_local_removed(addr, index);
            }
            3 => paths.on_interface(interface(source)),
            4..=6 => {
                let option = AddAddr {
                    id: AddressId::new(source.u8() % 32),
                    addr: address(source),
                    port: source.bool().then(|| source.u16()),
                    hmac: (!source.bool()).then_some(TruncatedHmac::new(0)),
                };
                let outcome = paths.on_add_addr(&option, now);
                assert!(!is_over || !outcome.is_to_be_echoed());
            }
            7 => {
                if let Some(option) = RemoveAddr::new(source.slice(4)) {
                    paths.on_remove_addr(&option);
                }
            }
            8 => {
                let join = Join {
                    id: AddressId::new(source.u8() % 32),
                    backup: source.bool(),
                    local: address(source),
                    local_port: source.u16(),
                    peer: address(source),
                };
                let verdict = paths.accept_join(&join, now);
                locals.push(join.local);
                match paths.on_joined(&join, now) {
                    Ok(id) => {
                        assert!(matches!(verdict, JoinVerdict::Accept { .. }) && !is_over);
                        assert!(!is_alive(&all, id));
                        all.push(Subflow {
                            id,
                            is_alive: true,
                            pair: None,
                        });
                    }
                    Err(refusal) => assert_eq!(verdict, JoinVerdict::Refuse(refusal)),
                }
            }
            9 => {
                let subflow = subflow(source, &all);
                let (id, backup) = (AddressId::new(source.u8()), source.bool());
                paths.on_subflow_established(subflow, id, backup, now);
            }
            10 | 11 => {
                let subflow = subflow(source, &all);
                paths.on_subflow_ended(subflow, ended(source), now);
                remove(&mut all, subflow);
            }
            12 => {
                let option = MpPrio {
                    backup: source.bool(),
                    id: source.bool().then(|| AddressId::new(source.u8() % 32)),
                };
                paths.on_mp_prio(subflow(source, &all), &option);
            }
            13 => paths.on_heard(subflow(source, &all)),
            14 => {
                now = now.advance(Duration::from_millis(u64::from(source.u16())));
                paths.on_timer();
            }
            _ => match source.u8() {
                0 => {
                    paths.on_over();
                    is_over = true;
                }
                1 => {
                    config = self::config(source);
                    paths.set_config(config);
                }
                2..=63 => {
                    let count = source.u8() % 12;
                    let list: Vec<_> = (0..count).map(|_| endpoint(source)).collect();
                    paths.set_endpoints(&list);
                    locals.extend(list.iter().map(|endpoint| endpoint.addr));
                }
                64..=71 => paths.on_endpoints_flushed(),
                72..=79 => paths.on_initial_removed(address(source)),
                80..=95 => {
                    let addr = address(source);
                    paths.on_local_chosen(subflow(source, &all), addr);
                    locals.push(addr);
                }
                _ => now = now.advance(Duration::from_secs(u64::from(source.u8()))),
            },
        }
        let rto = Duration::from_millis(u64::from(source.u8()));
        for round in 0.. {
            assert!(round < 200, "decisions without end");
            let Some(decision) = paths.decide(now, rto) else {
                break;
            };
            assert!(!is_over);
            match decision {
                Decision::Connect {
                    subflow,
                    local,
                    peer,
                    ..
                } => {
                    assert!(config.connects || config.kind == Kind::Endpoint);
                    assert!(config.kind != Kind::None);
                    assert!(now >= setup.connect_from);
                    assert!(local.id.is_none() || is_local(&locals, local.addr));
                    let initial = (peer.addr, peer.port) == (setup.peer, setup.peer_port);
                    assert!(setup.initial_joinable || !initial);
                    assert!(!is_alive(&all, subflow));
                    let pair = Some((local.addr, peer.addr, peer.port));
                    let is_used = all.iter().any(|s| s.is_alive && s.pair == pair);
                    assert!(config.kind != Kind::FullMesh || !is_used);
                    all.push(Subflow {
                        id: subflow,
                        is_alive: true,
                        pair,
                    });
                    let limit = usize::from(config.limits.subflows.max(1));
                    assert!(paths.subflow_count() <= limit.saturating_add(1).min(SUBFLOWS));
                }
                Decision::CloseSubflow { subflow, .. } => {
                    assert!(is_alive(&all, subflow));
                    remove(&mut all, subflow);
                }
                Decision::SetPriority { subflow, .. } | Decision::Probe { subflow } => {
                    assert!(is_alive(&all, subflow));
                }
                Decision::Announce { addr, .. } => {
                    assert!(is_local(&locals, addr));
                }
                Decision::Withdraw { ids } => {
                    assert!((1..LOCAL_SLOTS).contains(&ids.as_bytes().len()));
                }
                Decision::ArmTimer { at } => assert!(at > now),
            }
        }
        let alive = all.iter().filter(|subflow| subflow.is_alive).count();
        assert_eq!(paths.subflow_count(), alive);
    }
}
