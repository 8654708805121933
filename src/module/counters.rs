// SPDX-License-Identifier: GPL-2.0

//! Counters of a network namespace, in the file `/proc/net/mptcp_rs`.
//!
//! The file has the form of `/proc/net/netstat`, so that `nstat` reads it, and the names of the kernel's
//! own MPTCP with their meaning. Each CPU counts for itself; a reader adds up.
//!
//! C counterpart: net/mptcp/mib.c, net/mptcp/mib.h.

use crate::bindings;
use crate::net;
use core::ffi::c_void;
use core::num::NonZeroUsize;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::seq_print;

/// Declares a table of counters: its enumeration and the names in the file.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $names:ident: $($(#[$counted:meta])* $counter:ident,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) enum $table {
            $($(#[$counted])* $counter,)*
        }

        #[doc = concat!("The names of [`", stringify!($table), "`], in their order.")]
        const $names: &[&str] = &[$(stringify!($counter)),*];
    };
}

table! {
    /// What is counted.
    Counter, NAMES:
    /// SYNs with MP_CAPABLE received.
    MPCapableSYNRX,
    /// SYNs with MP_CAPABLE sent, repetitions aside.
    MPCapableSYNTX,
    /// SYN-ACKs with MP_CAPABLE received.
    MPCapableSYNACKRX,
    /// Third ACKs with MP_CAPABLE received.
    MPCapableACKRX,
    /// Third ACKs without, though the SYN had it: fallback.
    MPCapableFallbackACK,
    /// SYN-ACKs without: fallback.
    MPCapableFallbackSYNACK,
    /// SYNs sent without it after several were lost with it: fallback.
    MPCapableSYNTXDrop,
    /// Connections begun without it, because SYNs with it were found to be dropped.
    MPCapableSYNTXDisabled,
    /// Connections that could not be made: no memory, or the token is in use.
    MPFallbackTokenInit,
    /// Pieces of data handed to a subflow again because another one did not deliver them.
    MPTCPRetrans,
    /// SYNs with MP_JOIN and a token that no connection has.
    MPJoinNoTokenFound,
    /// SYNs with MP_CAPABLE, or without any option of MPTCP, to the port of an endpoint.
    MPCapableEndpAttempt,
    /// SYNs with MP_JOIN to an address or with an address ID that the path manager knows nothing of.
    MPJoinNoIdFound,
    /// SYNs with MP_JOIN received.
    MPJoinSynRx,
    /// Those of them that ask for use as a backup.
    MPJoinSynBackupRx,
    /// SYN-ACKs with MP_JOIN received.
    MPJoinSynAckRx,
    /// Those of them that ask for use as a backup.
    MPJoinSynAckBackupRx,
    /// SYN-ACKs with MP_JOIN and a wrong code.
    MPJoinSynAckHMacFailure,
    /// SYN-ACKs without MP_JOIN, though the SYN had it.
    MPJoinSynAckNoMPJoin,
    /// Third ACKs with MP_JOIN received.
    MPJoinAckRx,
    /// Those of them with a wrong code.
    MPJoinAckHMacFailure,
    /// Third ACKs without MP_JOIN, though the SYN had it.
    MPJoinAckNoMPJoin,
    /// Joins that found no memory at the third ACK.
    MPJoinAckNoCtx,
    /// SYNs with MP_JOIN to an announced port that is not the connection's.
    MPJoinPortSynRx,
    /// SYN-ACKs with MP_JOIN from such a port.
    MPJoinPortSynAckRx,
    /// Third ACKs with MP_JOIN to such a port.
    MPJoinPortAckRx,
    /// SYNs with MP_JOIN to a port that is neither announced nor the connection's.
    MismatchPortSynRx,
    /// Joins that the path manager has refused.
    MPJoinRejected,
    /// Joins to a connection that is not fully established, or over.
    MPJoinNotEstablished,
    /// SYNs with MP_JOIN sent, repetitions aside.
    MPJoinSynTx,
    /// Joins for which no socket could be made.
    MPJoinSynTxCreatSkErr,
    /// Joins whose local address or interface could not be bound to.
    MPJoinSynTxBindErr,
    /// Joins that could not begin: no route.
    MPJoinSynTxConnectErr,
    /// Mappings of bytes that had been mapped otherwise.
    DSSNotMatching,
    /// Infinite mappings sent.
    InfiniteMapTx,
    /// Infinite mappings received.
    InfiniteMapRx,
    /// Mappings of bytes that the subflow cannot be carrying.
    DSSNoMatchTCP,
    /// Mappings whose checksum did not fit.
    DataCsumErr,
    /// Runs of data put behind all others that wait for their turn.
    OFOQueueTail,
    /// Runs of data that came before their turn.
    OFOQueue,
    /// Runs of data outside of the window.
    NoDSSInWindow,
    /// Runs of data that were there already.
    DuplicateData,
    /// ADD_ADDRs with the right code received.
    AddAddr,
    /// ADD_ADDRs sent.
    AddAddrTx,
    /// ADD_ADDRs that were not sent for lack of room.
    AddAddrTxDrop,
    /// Echoes of ADD_ADDR received.
    EchoAdd,
    /// Echoes of ADD_ADDR sent.
    EchoAddTx,
    /// Echoes of ADD_ADDR that were not sent for lack of room.
    EchoAddTxDrop,
    /// ADD_ADDRs with a port received.
    PortAdd,
    /// ADD_ADDRs that were ignored: no room, or no use for them.
    AddAddrDrop,
    /// Addresses that the peer has withdrawn.
    RmAddr,
    /// REMOVE_ADDRs that were ignored: the connection can have no further subflows.
    RmAddrDrop,
    /// Addresses that were withdrawn.
    RmAddrTx,
    /// Addresses whose withdrawal was not sent for lack of room.
    RmAddrTxDrop,
    /// Subflows closed by the path manager.
    RmSubflow,
    /// MP_PRIOs sent.
    MPPrioTx,
    /// MP_PRIOs received.
    MPPrioRx,
    /// MP_FASTCLOSEs sent.
    MPFastcloseTx,
    /// MP_FASTCLOSEs received.
    MPFastcloseRx,
    /// MP_FAILs sent.
    MPFailTx,
    /// MP_FAILs received.
    MPFailRx,
    /// Resets with MP_TCPRST sent.
    MPRstTx,
    /// Resets with MP_TCPRST received.
    MPRstRx,
    /// Subflows that have stopped making progress.
    SubflowStale,
    /// Subflows that have begun again.
    SubflowRecover,
    /// Windows that were not promised, because another subflow promised more at the same time.
    RcvWndConflictUpdate,
    /// Windows that were promised after those of subflows which did so at the same time.
    RcvWndConflict,
    /// Connections that are established now.
    MPCurrEstab,
    /// Connections whose first SYN without MP_CAPABLE got the answer that those with it had not.
    Blackhole,
    /// First data or its acknowledgment without a DSS: fallback.
    MPCapableDataFallback,
    /// An infinite mapping received: fallback.
    DssFallback,
    /// Data without a mapping later on: reset.
    DssReset,
    /// Connections that both hosts began at once: fallback.
    SimultConnectFallback,
    /// Fallbacks that were impossible, because data was sent or received out of order: reset.
    FallbackFailed,
    /// Bytes sent beyond a closed window.
    WinProbe,
    /// Runs of data that came before their turn and found no room.
    RcvPruned,
    /// Connections without MPTCP because a signature would not cover its options.
    MD5SigFallback,
    /// Runs of data that waited for their turn and were dropped for one that comes before.
    OFOPruned,
}

/// The counters of one namespace.
///
/// # Invariants
///
/// The number is what the shim that made them has returned.
pub(crate) struct Counters(NonZeroUsize);

impl Counters {
    /// All at zero.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Only allocates.
        let counters = unsafe { bindings::mptcp_shim_make_counters(NAMES.len()) };
        // INVARIANT: Just made.
        Ok(Self(NonZeroUsize::new(counters).ok_or(ENOMEM)?))
    }

    /// Adds `n`, which may be negative.
    ///
    /// # Context
    ///
    /// Any.
    #[inline]
    pub(crate) fn add(&self, counter: Counter, n: c_int) {
        // SAFETY: Made by `new` with a place for each counter.
        unsafe { bindings::mptcp_shim_count(self.0.get(), counter as usize, n) };
    }

    /// The sum of all CPUs.
    fn get(&self, place: usize) -> u64 {
        // SAFETY: As for `add`.
        unsafe { bindings::mptcp_shim_counted(self.0.get(), place) }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: Made by `new`; nobody counts any more.
        unsafe { bindings::mptcp_shim_free_counters(self.0.get()) };
    }
}

/// Counts once in a namespace.
///
/// # Context
///
/// Any.
#[inline]
pub(crate) fn count(net: *const bindings::net, counter: Counter) {
    net::counters(net).add(counter, 1);
}

/// The file of one namespace, while it lives.
pub(crate) struct File(*mut bindings::net);

impl File {
    /// Makes the file.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` is a live namespace, which has counters, and outlives the file.
    pub(crate) unsafe fn new(net: *mut bindings::net) -> Result<Self> {
        // SAFETY: By the function's contract.
        kernel::error::to_result(unsafe {
            bindings::mptcp_shim_make_counters_file(net, Some(show))
        })?;
        Ok(Self(net))
    }
}

impl Drop for File {
    /// Waits for those who read it right now.
    fn drop(&mut self) {
        // SAFETY: Made by `new`.
        unsafe { bindings::mptcp_shim_remove_counters_file(self.0) };
    }
}

/// Writes the file: a line with the names, a line with the values.
///
/// # Safety
///
/// Called by the kernel with a `seq_file` that nobody else uses, and the namespace it belongs to.
unsafe extern "C" fn show(file: *mut c_void, net: *const bindings::net) {
    // SAFETY: By the function's contract.
    let file = unsafe { SeqFile::from_raw(file.cast()) };
    let counters = net::counters(net);
    seq_print!(file, "MPTcpExt:");
    for name in NAMES {
        seq_print!(file, " {}", name);
    }
    seq_print!(file, "\nMPTcpExt:");
    for place in 0..NAMES.len() {
        seq_print!(file, " {}", counters.get(place));
    }
    seq_print!(file, "\n");
}
