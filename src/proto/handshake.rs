// SPDX-License-Identifier: GPL-2.0

//! Setting up a connection with MP_CAPABLE, and adding a subflow with MP_JOIN.
//!
//! The client offers Multipath TCP on its SYN. The server answers with its key, the client returns
//! both keys. Each host knows only what it sees, and any of the three options may be lost on the way,
//! so each decides for itself whether the connection is multipath or regular TCP:
//!
//! ```text
//!   client                                                    server
//!   SYN_SENT  ---- SYN, MP_CAPABLE(version, flags) -------->  on_syn: Terms
//!   on_syn_ack  <-- SYN/ACK, MP_CAPABLE(key of server) -----  SYN_RECEIVED
//!   UNCONFIRMED --- ACK, MP_CAPABLE(both keys) ------------>  on_third_ack: ESTABLISHED
//!         |    and, if it has data first,
//!         |    ------- MP_CAPABLE(both keys, length) ------>  on_third_ack: ESTABLISHED with data
//!   ESTABLISHED <-- DSS with Data ACK ----------------------
//! ```
//!
//! Any segment that comes without its option, or with one that does not fit, leads to a fallback:
//! the TCP handshake goes on and the connection is regular TCP. The client repeats its option until
//! a Data ACK shows that the server has its key.
//!
//! Not handled here: making keys and tokens (module `keys`), refusing a token that is in use, the
//! TCP handshake itself, version 0 of the protocol.
//!
//! RFC 8684, Sections 3.1 and 3.2.
//!
//! C counterpart: `net/mptcp/subflow.c` (`subflow_check_req`, `subflow_finish_connect`,
//! `subflow_syn_recv_sock`), `net/mptcp/options.c` (`mptcp_established_options_mp`).

mod blackhole;
mod client;
mod fast_open;
mod join;
mod server;

pub use blackhole::Blackhole;
pub use client::{
    Carrier,
    Client,
    ClientState,
    SynAckOutcome, //
};
pub use fast_open::{
    judge_early_segment,
    overtakes_keys,
    EarlySegment, //
};
pub use join::{
    JoinClient,
    JoinOutcome,
    JoinServer,
    JoinSyn,
    JoinSynAckOutcome, //
};
pub use server::{
    on_syn,
    Server,
    SynOutcome,
    Terms,
    ThirdAckOutcome, //
};

use crate::options::mp_capable::{
    Flags,
    Version, //
};

/// How many SYNs carry the option unless the caller wants it otherwise.
///
/// The third SYN, after the second timeout, goes without: something on the path may drop SYNs with
/// options it does not know.
pub const SYN_ATTEMPTS: u32 = 2;

/// What the local host thinks of checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksums {
    /// It insists on them.
    Required,
    /// It uses them if the peer insists.
    Accepted,
    /// It does without Multipath TCP rather than use them.
    Refused,
}

/// What the local host wants in every handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// What it thinks of checksums.
    pub checksums: Checksums,
    /// Whether it refuses further subflows to the address and port of the first one.
    pub no_joins: bool,
    /// How many SYNs carry the option before one goes without: see [`SYN_ATTEMPTS`].
    pub syn_attempts: u32,
}

impl Policy {
    /// No wishes: checksums if the peer insists, further subflows welcome.
    pub const DEFAULT: Self = Self {
        checksums: Checksums::Accepted,
        no_joins: false,
        syn_attempts: SYN_ATTEMPTS,
    };

    /// Returns the flags of an option: `checksum` says whether checksums are required or agreed.
    #[inline]
    const fn flags(self, checksum: bool) -> Flags {
        Flags::DEFAULT
            .with_checksum_required(checksum)
            .with_no_joins(self.no_joins)
    }

    /// Tells whether the local host insists on checksums.
    #[inline]
    const fn requires_checksum(self) -> bool {
        matches!(self.checksums, Checksums::Required)
    }
}

/// Why a connection is regular TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FallbackReason {
    /// The segment carries no MP_CAPABLE.
    NoOption,
    /// The option has the form of another segment.
    WrongForm,
    /// The version is one that the local host does not speak.
    Version,
    /// The option uses an extension that the local host does not know (flag B).
    Extension,
    /// HMAC-SHA256 is not among the algorithms, or the peer chose more than one.
    Algorithm,
    /// The peer requires checksums and the local host refuses them.
    ChecksumRefused,
    /// The peer contradicts what was agreed on checksums.
    ChecksumMismatch,
    /// The key that was returned is not the one that was sent.
    KeyMismatch,
    /// The option declares a mapping without end.
    InfiniteMapping,
}

/// Checks what every MP_CAPABLE has in common; version numbers are compared by the caller.
///
/// # Errors
///
/// - [`FallbackReason::Extension`]: flag B is set.
/// - [`FallbackReason::Algorithm`]: flag H is not set.
/// - [`FallbackReason::ChecksumRefused`]: flag A is set and the policy refuses checksums.
///
/// RFC 8684, Section 3.1.
#[inline]
fn check_flags(flags: Flags, policy: Policy) -> Result<(), FallbackReason> {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# If
    //# receiving a message with the "B" flag set to 1 and this
    //# is not understood, then the MP_CAPABLE in this SYN MUST
    //# be silently ignored, which triggers a fallback to
    //# regular TCP
    if flags.extensibility() {
        return Err(FallbackReason::Extension);
    }
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# If flag bits "D" through "H"
    //# are all 0, the MP_CAPABLE option MUST be treated as invalid and
    //# ignored (that is, it must be treated as a regular TCP handshake).
    if !flags.hmac_sha256() {
        return Err(FallbackReason::Algorithm);
    }
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.1
    //# If A=1 is received by a host that does not
    //# want to use checksums, it MUST fall back to regular TCP by ignoring
    //# the MP_CAPABLE option as if it was invalid.
    if flags.checksum_required() && policy.checksums == Checksums::Refused {
        return Err(FallbackReason::ChecksumRefused);
    }
    Ok(())
}

/// Tells whether two versions are the same.
#[inline]
const fn same_version(a: Version, b: Version) -> bool {
    a.get() == b.get()
}

#[cfg(test)]
mod tests;
