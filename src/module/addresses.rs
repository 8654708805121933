// SPDX-License-Identifier: GPL-2.0

//! The local addresses of a namespace that paths may begin at, kept current.
//!
//! Whatever happens to an address or an interface makes a work item look at all of them again. What
//! it finds replaces the table if it is different, and then every connection of the namespace is
//! told, once. Nobody waits for the routing lock, and a storm of events costs a few looks.
//!
//! ```text
//!   notify.rs ── refresh ──► work: rebuild ──► table ──► connections: event::PATHS
//!   a policy is written ───────┘    │                │
//!                                   └── again, when an address becomes usable later
//!                                      snapshot, find ◄── any context
//! ```
//!
//! Which addresses are in it is for [`crate::address_table`] to say.
//!
//! C counterpart: net/mptcp/pm_kernel.c, where user space fills the table.

use crate::address_table::{
    Local,
    Look,
    Table, //
};
use crate::bindings;
use crate::config;
use crate::interfaces::{
    DefaultPolicy,
    Interface,
    Name, //
};
use crate::net;
use crate::sysctl::{
    Directory,
    File,
    Line,
    Text, //
};
use core::cell::UnsafeCell;
use core::net::{
    Ipv4Addr,
    Ipv6Addr, //
};
use kernel::fmt::{
    self,
    Write, //
};
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    new_spinlock,
    Mutex,
    SpinLock, //
};
use mptcp_proto::ids::Address;
use mptcp_proto::path_manager::{
    self,
    LOCALS, //
};

/// The addresses and interfaces of one namespace.
#[pin_data(PinnedDrop)]
pub(crate) struct Addresses {
    /// The namespace.
    net: *mut bindings::net,
    /// The policy of interfaces to come.
    default: DefaultPolicy,
    /// The interfaces; those who change the list hold the routing lock, too.
    #[pin]
    interfaces: Mutex<KVec<Interface>>,
    /// The table; taken with softirqs disabled.
    #[pin]
    table: SpinLock<Table>,
    /// Looks at the addresses.
    work: UnsafeCell<bindings::delayed_work>,
}

/// The file `addresses` and the directory `conf.default`.
pub(crate) type Files = (Directory<1>, Directory<1>);

impl Addresses {
    /// Makes the empty table of `net`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(net: *mut bindings::net) -> Result<Pin<KBox<Self>>> {
        let default = DefaultPolicy::new(net);
        let addresses = KBox::pin_init(
            pin_init!(Self {
                net,
                default,
                interfaces <- new_mutex!(KVec::new()),
                table <- new_spinlock!(Table::EMPTY),
                // SAFETY: Zeroes are what INIT_DELAYED_WORK overwrites.
                work: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The work's memory is pinned, and its function fits where it lies.
        unsafe { bindings::mptcp_shim_init_delayed_work(addresses.work.get(), Some(rebuild)) };
        Ok(addresses)
    }

    /// Puts the files into the tree of the namespace.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The namespace and this value outlive the files.
    pub(crate) unsafe fn register(&self) -> Result<Files> {
        // SAFETY: By the function's contract.
        unsafe {
            let file = File::read_only(c"addresses", self);
            let files = Directory::new(self.net, c"net/mptcp_rs", [file])?;
            Ok((files, self.default.register(self.net)?))
        }
    }

    /// Lets the work look at the addresses, now.
    fn schedule(&self) {
        // SAFETY: `new` has prepared the work; `drop` cancels it.
        unsafe { bindings::mptcp_shim_mod_delayed_work(self.work.get(), 0) };
    }

    /// Runs `work` on the table, in any context.
    fn with_table<R>(&self, work: impl FnOnce(&mut Table) -> R) -> R {
        // SAFETY: Enabled again below.
        unsafe { bindings::mptcp_shim_local_bh_disable() };
        let result = work(&mut self.table.lock());
        // SAFETY: Disabled above.
        unsafe { bindings::mptcp_shim_local_bh_enable() };
        result
    }

    /// An interface has come, with the default policy; without memory it has no other one either.
    ///
    /// # Locking
    ///
    /// The routing lock is held, as for the other events.
    pub(crate) fn on_registered(&self, index: u32, name: Name) {
        // SAFETY: The namespace outlives this value, and this value its interfaces.
        let interface = unsafe { Interface::new(self.net, index, name, &self.default) };
        let inserted = interface.and_then(|interface| {
            let mut interfaces = self.interfaces.lock();
            Ok(interfaces.push(interface, GFP_KERNEL)?)
        });
        if inserted.is_err() {
            pr_warn!("net.mptcp_rs.conf.{} could not be made\n", name);
        }
        self.schedule();
    }

    /// An interface has gone, or moves to another namespace.
    pub(crate) fn on_unregistered(&self, index: u32) {
        let mut interfaces = self.interfaces.lock();
        let place = interfaces.iter().position(|known| known.index == index);
        let gone = place.map(|place| interfaces.remove(place));
        drop(interfaces);
        drop(gone);
        self.schedule();
    }

    /// An interface has another name.
    pub(crate) fn on_renamed(&self, index: u32, name: Name) {
        let mut interfaces = self.interfaces.lock();
        if let Some(known) = interfaces.iter_mut().find(|known| known.index == index) {
            // SAFETY: The namespace outlives this value, and this value its interfaces.
            unsafe { known.rename(self.net, name) };
        }
    }

    /// An interface is about to go down, or the kernel is done with it.
    pub(crate) fn on_leaving(&self, index: u32, is_leaving: bool) {
        let mut interfaces = self.interfaces.lock();
        if let Some(known) = interfaces.iter_mut().find(|known| known.index == index) {
            known.is_leaving = is_leaving;
        }
        drop(interfaces);
        self.schedule();
    }
}

#[pinned_drop]
impl PinnedDrop for Addresses {
    fn drop(self: Pin<&mut Self>) {
        // Normally empty: interfaces end before their namespace, or with the notifiers.
        self.interfaces.lock().clear();
        // SAFETY: `new` has prepared the work, and nothing schedules it any more.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// Looks at the addresses of a namespace.
///
/// # Safety
///
/// Called by the workqueue with the work of an [`Addresses`].
unsafe extern "C" fn rebuild(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract; `delayed_work` begins with its `work_struct`.
    let addresses = unsafe {
        &*work
            .byte_sub(core::mem::offset_of!(Addresses, work))
            .cast::<Addresses>()
    };
    let interfaces = addresses.interfaces.lock();
    // SAFETY: The namespace outlives its state.
    let look = unsafe { Look::at(addresses.net, &interfaces, addresses.default.get()) };
    let Look {
        table, again_ms, ..
    } = look;
    drop(interfaces);
    if let Some(ms) = again_ms {
        // SAFETY: `new` has prepared the work. An event that came meanwhile has queued it already,
        // and stays first.
        unsafe { bindings::mptcp_shim_queue_delayed_work(addresses.work.get(), ms) };
    }
    let has_changed = addresses.with_table(|known| {
        let has_changed = *known != table;
        if has_changed {
            *known = table;
        }
        has_changed
    });
    if has_changed {
        config::tell_connections(addresses.net);
    }
}

/// Something has happened to an address or interface of `net`: looks at all of them soon.
///
/// # Context
///
/// Any, hard interrupts included.
pub(crate) fn refresh(net: *mut bindings::net) {
    net::addresses(net).schedule();
}

/// Copies the local addresses of `net`; returns how many there are.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn snapshot(net: *const bindings::net, to: &mut [Local; LOCALS]) -> usize {
    net::addresses(net).with_table(|table| {
        *to = table.locals;
        table.count
    })
}

/// How many local addresses `net` has.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn count(net: *const bindings::net) -> usize {
    net::addresses(net).with_table(|table| table.count)
}

/// What is known of the interface that has the local address; IPv4 addresses as such, not mapped.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn find(net: *const bindings::net, address: Address) -> Option<path_manager::Interface> {
    net::addresses(net).with_table(|table| {
        let mut known = table.known().iter();
        let found = known.find(|local| local.address == address)?;
        Some(found.interface)
    })
}

/// Looks at the interfaces of `net`.
///
/// # Context
///
/// Process; may sleep, which `look` may not do for long: whoever tells of interfaces waits.
pub(crate) fn with_interfaces<R>(
    net: *const bindings::net,
    look: impl FnOnce(&[Interface]) -> R,
) -> R {
    look(&net::addresses(net).interfaces.lock())
}

/// An address as people write it.
struct Written(Address);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Address::V4(bytes) => core::fmt::Display::fmt(&Ipv4Addr::from(bytes), f),
            Address::V6(bytes) => core::fmt::Display::fmt(&Ipv6Addr::from(bytes), f),
        }
    }
}

/// The file `addresses`: address, interface, state and policy, a line for each address.
impl Line for Addresses {
    fn show(&self, text: &mut Text) -> fmt::Result {
        let mut locals = [Local::NONE; LOCALS];
        let count = snapshot(self.net, &mut locals);
        let interfaces = self.interfaces.lock();
        for (place, local) in locals.iter().take(count).enumerate() {
            let interface = local.interface;
            text.write_str(if place == 0 { "" } else { "\n" })?;
            text.write_fmt(fmt!("{} ", Written(local.address)))?;
            match interfaces.iter().find(|i| i.index == interface.index) {
                Some(known) => text.write_fmt(fmt!("{}", known.name))?,
                None => text.write_fmt(fmt!("{}", interface.index))?,
            }
            let state = if interface.is_running { "up" } else { "down" };
            text.write_fmt(fmt!(" {} {}", state, interface.policy.name()))?;
        }
        Ok(())
    }

    fn store(&self, _line: &[u8]) -> Result {
        Err(EPERM)
    }
}
