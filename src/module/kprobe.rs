// SPDX-License-Identifier: GPL-2.0

//! How an ordinary `socket()` call becomes ours: probes that change the protocol argument.
//!
//! `update_socket_protocol` exists so that a BPF program may override it; a probe at its entry does
//! the same without one. io_uring makes its sockets through `__sys_socket_file`, which does not ask,
//! so its entry has a probe too. Sockets that the kernel makes for itself pass neither.

use crate::bindings;
use crate::net;
use crate::proto_ops::PROTOCOL;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::error::to_result;
use kernel::prelude::*;

/// The probed functions; both take (family, type, protocol).
const FUNCTIONS: [&CStr; 2] = [c"update_socket_protocol", c"__sys_socket_file"];

/// The registered probes.
static mut PROBES: [bindings::kprobe; FUNCTIONS.len()] =
    // SAFETY: Zeroes are how `struct kprobe` begins before registration.
    unsafe { core::mem::zeroed() };

/// Changes the protocol of a TCP socket about to be made, if its namespace says so.
///
/// # Safety
///
/// Called by the probe with the registers of one of [`FUNCTIONS`] at its entry.
unsafe extern "C" fn on_socket(
    _probe: *mut bindings::kprobe,
    registers: *mut bindings::pt_regs,
) -> kernel::ffi::c_int {
    let mut arguments = [0; 3];
    // SAFETY: `registers` holds three arguments, by this function's contract.
    unsafe { bindings::mptcp_shim_arguments(registers, &mut arguments) };
    let [family, kind, protocol] = arguments;
    let is_tcp = (family == bindings::AF_INET || family == bindings::AF_INET6)
        && kind & bindings::SOCK_TYPE_MASK == bindings::sock_type_SOCK_STREAM
        && (protocol == 0 || protocol == bindings::IPPROTO_TCP);
    if is_tcp && net::current_is_enabled() {
        // SAFETY: As above; the third argument's register may be written at a function's entry.
        unsafe { bindings::mptcp_shim_set_argument3(registers, usize::from(PROTOCOL)) };
    }
    0
}

kernel::sync::global_lock! {
    // SAFETY: `init` is called by module init, before any namespace has the sysctl.
    /// Namespaces that are enabled, as counted; held while the probes are armed or disarmed.
    unsafe(uninit) static ENABLED: Mutex<u32> = 0;
}

/// Prepares the lock.
///
/// # Safety
///
/// Called once, by module init, before anything else here.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's contract.
    unsafe { ENABLED.init() };
}

/// Whether a namespace has been counted as enabled; changed under [`ENABLED`].
pub(crate) struct Counted(AtomicBool);

/// The switch of a namespace may have changed, to what `enabled` reads: the probes are armed while
/// any namespace is enabled. Of several writers at once the last one to come here decides, and it
/// sees what was written last.
///
/// # Context
///
/// Process; may sleep.
pub(crate) fn on_switch(counted: &Counted, enabled: impl FnOnce() -> bool) {
    let mut count = ENABLED.lock();
    let enabled = enabled();
    if counted.0.swap(enabled, Ordering::Relaxed) == enabled {
        return;
    }
    let before = *count;
    // No underflow: what is taken away here was added here.
    *count = if enabled { before + 1 } else { before - 1 };
    let armed = *count > 0;
    if armed == (before > 0) {
        return;
    }
    for index in 0..FUNCTIONS.len() {
        // SAFETY: The probes are registered before the sysctl directories and removed after them.
        let result = unsafe {
            let probe = addr_of_mut!(PROBES).cast::<bindings::kprobe>().add(index);
            if armed {
                bindings::enable_kprobe(probe)
            } else {
                bindings::disable_kprobe(probe)
            }
        };
        if result != 0 {
            pr_err!("a probe could not be switched (errno {})\n", -result);
        }
    }
}

/// The probes, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Sets the probes.
    ///
    /// # Errors
    ///
    /// Those of `register_kprobe`; the log names the function that cannot be probed.
    pub(crate) fn new() -> Result<Self> {
        for (index, name) in FUNCTIONS.iter().enumerate() {
            // SAFETY: Module init is the only user of the probes and runs once.
            let result = unsafe {
                let probe = addr_of_mut!(PROBES).cast::<bindings::kprobe>().add(index);
                (*probe).symbol_name = name.as_char_ptr();
                (*probe).pre_handler = Some(on_socket);
                (*probe).flags = bindings::KPROBE_FLAG_DISABLED;
                to_result(bindings::register_kprobe(probe))
            };
            if let Err(error) = result {
                pr_err!(
                    "this kernel lets no probe on {}: CONFIG_KPROBES=y is needed\n",
                    *name
                );
                Self::remove(index);
                return Err(error);
            }
        }
        Ok(Self)
    }

    /// Removes the first `count` probes.
    fn remove(count: usize) {
        for index in 0..count {
            // SAFETY: Registered before; nobody else uses them.
            unsafe {
                bindings::unregister_kprobe(
                    addr_of_mut!(PROBES).cast::<bindings::kprobe>().add(index),
                );
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        Self::remove(FUNCTIONS.len());
    }
}
