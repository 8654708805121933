// SPDX-License-Identifier: GPL-2.0

//! Multipath TCP (RFC 8684), the protocol without the machine.
//!
//! A Multipath TCP connection carries one stream of bytes over several TCP connections, its
//! subflows. This crate holds everything about it that can be said without an operating system:
//! what the options look like, what a host does when it receives one, which byte belongs where,
//! when to give up and be plain TCP.
//!
//! # Contract
//!
//! The crate does no input and no output. It is told what happened and says what to do:
//!
//! - it has no clock: times are arguments;
//! - it has no randomness: keys and nonces are arguments;
//! - it has no memory of its own: state is in structs that the caller owns, tables are in storage
//!   that the caller supplies, payload never passes through;
//! - it has no locks and keeps no reference to the caller's data;
//! - it never panics: no index, no arithmetic that can overflow, no assertion outside tests;
//! - it has no logging and no errno: errors are small enums, one variant for each broken rule.
//!
//! The same files are compiled into the kernel module and, by cargo, into tests on the host.
//!
//! # Units
//!
//! Lengths and windows are in bytes, times in microseconds. Numbers are in host order; byte arrays
//! are in the order of the wire. Sequence numbers wrap and have types of their own.
//!
//! # Modules
//!
//! A module uses only those above it.
//!
//! | module | what it is about | RFC 8684 |
//! |---|---|---|
//! | [`seq`] | sequence numbers and their arithmetic | 3.3, 3.3.1 |
//! | [`time`] | points in time and durations | - |
//! | [`ids`] | keys, tokens, nonces, address IDs, codes | 3.1, 3.2, 3.4 |
//! | [`options`] | the options, as bytes and as types | 3, 7.2 |
//! | [`keys`] | token, IDSN and codes from keys | 3.1, 3.2, 3.4.1 |
//! | [`mapping`] | subflow bytes to connection bytes | 3.3.1 |
//! | [`reassembly`] | the order of what arrives | 3.3.1, 3.3.4 |
//! | [`window`] | the window that all subflows share | 3.3.4, 3.3.5 |
//! | [`handshake`] | setting up a connection, joining a subflow | 3.1, 3.2 |
//! | [`connection`] | data-level acknowledgment and close | 3.3.2, 3.3.3, 3.5 |
//! | [`fallback`] | when to fall back, reset or go on | 3.6, 3.7 |
//! | [`repeats`] | what has to be sent again | 3.3.6 |
//! | [`scheduler`] | which subflow carries the next data | 2.5, 3.3.8 |
//! | [`path_manager`] | which subflows there are to be | 3.2, 3.3.8, 3.4, 3.9 |
#![crate_name = "mptcp_proto"]
#![cfg_attr(not(any(MODULE, test)), no_std)]
#![forbid(unsafe_code)]

pub mod connection;
pub mod fallback;
pub mod handshake;
pub mod ids;
pub mod keys;
pub mod mapping;
pub mod options;
pub mod path_manager;
pub mod reassembly;
pub mod repeats;
pub mod scheduler;
pub mod seq;
pub mod time;
#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub mod vectors;
pub mod window;

mod ring;
