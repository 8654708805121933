// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells of interfaces and addresses, in all namespaces.
//!
//! Notifiers tell of everything but one thing soon enough: that a carrier is lost comes up to a
//! second late if another interface has lost its own just before. So there is a probe at
//! `linkwatch_fire_event`, which drivers reach at once.
//!
//! C counterpart: net/ipv4/devinet.c, net/core/link_watch.c.

use crate::addresses;
use crate::bindings;
use crate::interfaces::Name;
use crate::net;
use core::ptr::addr_of_mut;
use kernel::error::to_result;
use kernel::ffi::{
    c_int,
    c_ulong,
    c_void, //
};
use kernel::prelude::*;

/// What a notifier answers: go on with the next one (`NOTIFY_DONE`).
const DONE: c_int = 0;

/// A notifier with a function.
const fn notifier(
    function: unsafe extern "C" fn(*mut bindings::notifier_block, c_ulong, *mut c_void) -> c_int,
) -> bindings::notifier_block {
    bindings::notifier_block {
        notifier_call: Some(function),
        next: core::ptr::null_mut(),
        priority: 0,
    }
}

/// Tells of interfaces.
static mut DEVICES: bindings::notifier_block = notifier(on_device);
/// Tells of IPv4 addresses.
static mut ADDRESSES4: bindings::notifier_block = notifier(on_address4);
/// Tells of IPv6 addresses.
static mut ADDRESSES6: bindings::notifier_block = notifier(on_address6);
/// Tells of carriers.
// SAFETY: Zeroes are how `struct kprobe` begins before registration.
static mut CARRIER: bindings::kprobe = unsafe { core::mem::zeroed() };

/// Something happens to an interface.
///
/// # Safety
///
/// Called by the kernel with the routing lock held and the event's `netdev_notifier_info`.
unsafe extern "C" fn on_device(
    _notifier: *mut bindings::notifier_block,
    event: c_ulong,
    info: *mut c_void,
) -> c_int {
    // SAFETY: Zeroes are valid for the structure, which the shim fills.
    let mut device: bindings::mptcp_device = unsafe { core::mem::zeroed() };
    // SAFETY: By the function's contract.
    unsafe { bindings::mptcp_shim_device_of_event(info, &mut device) };
    if device.net.is_null() {
        return DONE;
    }
    let addresses = net::addresses(device.net);
    let (index, name) = (device.index, Name::new(device.name));
    // CAST: Events are small numbers.
    match event as bindings::netdev_cmd {
        bindings::netdev_cmd_NETDEV_REGISTER => addresses.on_registered(index, name),
        bindings::netdev_cmd_NETDEV_UNREGISTER => addresses.on_unregistered(index),
        bindings::netdev_cmd_NETDEV_CHANGENAME => addresses.on_renamed(index, name),
        bindings::netdev_cmd_NETDEV_GOING_DOWN => addresses.on_leaving(index, true),
        bindings::netdev_cmd_NETDEV_UP | bindings::netdev_cmd_NETDEV_DOWN => {
            addresses.on_leaving(index, false);
        }
        bindings::netdev_cmd_NETDEV_CHANGE => addresses::refresh(device.net),
        _ => {}
    }
    DONE
}

/// An IPv4 address has come or gone.
///
/// # Safety
///
/// Called by the kernel with a `struct in_ifaddr`.
unsafe extern "C" fn on_address4(
    _notifier: *mut bindings::notifier_block,
    _event: c_ulong,
    address: *mut c_void,
) -> c_int {
    // SAFETY: By the function's contract; the address has a reference on its interface.
    addresses::refresh(unsafe { bindings::mptcp_shim_net_of_ifa(address) });
    DONE
}

/// An IPv6 address has come or gone.
///
/// # Safety
///
/// Called by the kernel, perhaps in softirq, with a `struct inet6_ifaddr`.
unsafe extern "C" fn on_address6(
    _notifier: *mut bindings::notifier_block,
    _event: c_ulong,
    address: *mut c_void,
) -> c_int {
    // SAFETY: By the function's contract; the address has a reference on its interface.
    addresses::refresh(unsafe { bindings::mptcp_shim_net_of_ifa6(address) });
    DONE
}

/// A carrier has come or gone.
///
/// # Safety
///
/// Called by the probe with the registers of `linkwatch_fire_event` at its entry, in any context.
unsafe extern "C" fn on_carrier(
    _probe: *mut bindings::kprobe,
    registers: *mut bindings::pt_regs,
) -> c_int {
    // SAFETY: The first argument is the interface, which the caller keeps. Its namespace is alive: it
    // waits for an RCU grace period between the last of its interfaces and its end, and a probe runs
    // with preemption disabled.
    let net = unsafe {
        let device = bindings::mptcp_shim_argument(registers, 0);
        bindings::mptcp_shim_net_of_device(device as *const bindings::net_device)
    };
    if !net.is_null() {
        addresses::refresh(net);
    }
    0
}

/// The notifiers and the probe, while it lives.
pub(crate) struct Registration {
    /// Whether there is a probe.
    has_probe: bool,
}

impl Registration {
    /// Registers everything. The interfaces that exist are told as if they had just come.
    ///
    /// # Errors
    ///
    /// Those of the notifiers; a kernel that lets no probe on the function does without.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init is the only user of these statics and runs once; every namespace has
        // its state. Interfaces come last, so that no address is missed.
        unsafe {
            to_result(bindings::register_inetaddr_notifier(addr_of_mut!(
                ADDRESSES4
            )))?;
            if let Err(error) = to_result(bindings::register_inet6addr_notifier(addr_of_mut!(
                ADDRESSES6
            ))) {
                bindings::unregister_inetaddr_notifier(addr_of_mut!(ADDRESSES4));
                return Err(error);
            }
            if let Err(error) =
                to_result(bindings::register_netdevice_notifier(addr_of_mut!(DEVICES)))
            {
                bindings::unregister_inet6addr_notifier(addr_of_mut!(ADDRESSES6));
                bindings::unregister_inetaddr_notifier(addr_of_mut!(ADDRESSES4));
                return Err(error);
            }
            CARRIER.symbol_name = c"linkwatch_fire_event".as_char_ptr();
            CARRIER.pre_handler = Some(on_carrier);
            let has_probe = bindings::register_kprobe(addr_of_mut!(CARRIER)) == 0;
            if !has_probe {
                pr_notice!(
                    "no probe on linkwatch_fire_event: a lost carrier may show a second late\n"
                );
            }
            Ok(Self { has_probe })
        }
    }
}

impl Drop for Registration {
    /// Every interface is told as if it had gone.
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe {
            if self.has_probe {
                bindings::unregister_kprobe(addr_of_mut!(CARRIER));
            }
            bindings::unregister_netdevice_notifier(addr_of_mut!(DEVICES));
            bindings::unregister_inet6addr_notifier(addr_of_mut!(ADDRESSES6));
            bindings::unregister_inetaddr_notifier(addr_of_mut!(ADDRESSES4));
        }
    }
}
