// SPDX-License-Identifier: GPL-2.0

//! What an application has chosen for one socket in place of its namespace's settings.
//!
//! A socket that is not connected yet has no room of ours, so the choice is a small number in the
//! field that the kernel keeps for whoever uses a socket: it goes from a listener to its children
//! and from a subflow to the connection socket as they are cloned. No pointer is that small.
//!
//! C counterpart: none in `net/mptcp`, whose settings are those of the namespace.

use crate::bindings;
use crate::config::{
    self,
    Settings, //
};
use crate::net;
use crate::netlink;
use crate::setting::Values;
use crate::sock::Sock;
use kernel::ffi::{
    c_char,
    c_int, //
};
use kernel::prelude::*;
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};
use mptcp_proto::path_manager;
use mptcp_proto::scheduler;

/// Room for a name and the NUL at its end, in bytes.
const NAME_MAX: usize = bindings::MPTCP_RS_NAME_MAX as usize;
/// What the field holds is a choice of ours if it is below this.
const LIMIT: usize = 1 << 13;
/// The bits of one choice.
const MASK: usize = 0xf;
/// The bit of a socket that was asked for by name.
const BY_NAME: usize = 1 << 3;
/// The bit of the listener of an endpoint.
const PORT: usize = 1 << 12;

/// What can be chosen.
#[derive(Clone, Copy)]
pub(crate) enum Knob {
    /// Which subflow carries the next data.
    Scheduler,
    /// Which subflows there are to be.
    PathManager,
}

impl Knob {
    /// The knob behind a socket option of the level `SOL_MPTCP`.
    pub(crate) fn of(level: c_int, name: c_int) -> Option<Self> {
        // CAST: Levels and names are small positive numbers; others match no arm.
        match (level as u32, name as u32) {
            (bindings::SOL_MPTCP, bindings::MPTCP_RS_SCHEDULER) => Some(Self::Scheduler),
            (bindings::SOL_MPTCP, bindings::MPTCP_RS_PATH_MANAGER) => Some(Self::PathManager),
            _ => None,
        }
    }

    /// What it can be set to.
    fn values(self) -> &'static Values {
        match self {
            Self::Scheduler => &config::SCHEDULER.values,
            Self::PathManager => &config::PATH_MANAGER.values,
        }
    }

    /// Where its bits are. The kernel uses the lowest three for marks of its own, the next is [`BY_NAME`].
    fn shift(self) -> u32 {
        match self {
            Self::Scheduler => 4,
            Self::PathManager => 8,
        }
    }

    /// Its place in the list of names, if the application has chosen one.
    #[inline]
    fn place(self, choices: usize) -> Option<usize> {
        ((choices >> self.shift()) & MASK).checked_sub(1)
    }
}

/// The choices of a socket; 0 if there are none.
#[inline]
fn choices(sk: Sock) -> usize {
    let word = sk.user_data();
    if word < LIMIT {
        word
    } else {
        0
    }
}

/// The settings that apply to a socket.
///
/// # Context
///
/// Any; no lock is taken.
pub(crate) fn settings(sk: Sock) -> Settings {
    let mut settings = config::of(sk.net());
    let choices = choices(sk);
    if choices != 0 {
        if choices & BY_NAME != 0 {
            settings.path_manager = net::config(sk.net()).manager_by_name();
        }
        let scheduler = Knob::Scheduler.place(choices);
        if let Some(kind) = scheduler.and_then(|place| scheduler::Kind::ALL.get(place)) {
            settings.scheduler = *kind;
        }
        let manager = Knob::PathManager.place(choices);
        if let Some(kind) = manager.and_then(|place| path_manager::Kind::ALL.get(place)) {
            settings.path_manager = *kind;
        }
    }
    if settings.path_manager == path_manager::Kind::Userspace && !netlink::has_listeners(sk.net()) {
        settings.joins = path_manager::Joins::Refused;
    }
    settings
}

/// Notes that an application has asked for MPTCP by name: paths are what somebody has configured, unless
/// the application says otherwise.
pub(crate) fn on_asked_by_name(sk: Sock) {
    sk.exchange_user_data(0, BY_NAME);
}

/// Notes that a socket is the listener of an endpoint.
pub(crate) fn mark_port(sk: Sock) {
    sk.exchange_user_data(0, PORT);
}

/// Whether a socket is the listener of an endpoint.
pub(crate) fn is_port(sk: Sock) -> bool {
    choices(sk) & PORT != 0
}

/// Takes the choices off a socket: it is TCP's from now on, or a subflow whose connection has them. Returns
/// whether an application had asked for MPTCP by name.
pub(crate) fn forget(sk: Sock) -> bool {
    let choices = choices(sk);
    if choices != 0 {
        sk.exchange_user_data(choices, 0);
    }
    choices & BY_NAME != 0
}

/// `setsockopt()`: chooses by name, or nothing any more with an empty one.
///
/// # Errors
///
/// As include/mptcp_rs.h says; `EFAULT`.
///
/// # Safety
///
/// `value` has `len` bytes.
pub(crate) unsafe fn set(sk: Sock, knob: Knob, value: bindings::sockptr_t, len: u32) -> Result {
    let mut bytes = [0u8; NAME_MAX];
    let room = bytes
        .get_mut(..len as usize)
        .filter(|room| room.len() < NAME_MAX);
    let room = room.ok_or(EINVAL)?;
    // SAFETY: By the function's contract; `room` has `len` bytes.
    kernel::error::to_result(unsafe {
        bindings::mptcp_shim_copy_from_sockptr(room.as_mut_ptr().cast(), value, len)
    })?;
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let place = if name.is_empty() {
        0
    } else {
        // CAST: A place in a short list.
        knob.values().parse(name).ok_or(ENOENT)?.wrapping_add(1) as usize
    };
    loop {
        let before = sk.user_data();
        if before >= LIMIT {
            return Err(EBUSY);
        }
        let after = before & !(MASK << knob.shift()) | place << knob.shift();
        if sk.exchange_user_data(before, after) {
            return Ok(());
        }
    }
}

/// `getsockopt()`: the name in use.
///
/// # Errors
///
/// `EINVAL` if the length is negative; `EFAULT`.
pub(crate) fn get(sk: Sock, knob: Knob, value: *mut c_char, len: *mut c_int) -> Result {
    let settings = settings(sk);
    let name = match knob {
        Knob::Scheduler => settings.scheduler.name(),
        Knob::PathManager => settings.path_manager.name(),
    };
    let mut bytes = [0u8; NAME_MAX];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let (mut reader, mut writer) =
        UserSlice::new(UserPtr::from_ptr(len.cast()), size_of::<c_int>()).reader_writer();
    let room = usize::try_from(reader.read::<c_int>()?).map_err(|_| EINVAL)?;
    let written = room.min(name.len() + 1);
    // CAST: At most NAME_MAX.
    writer.write(&(written as c_int))?;
    let mut writer = UserSlice::new(UserPtr::from_ptr(value.cast()), written).writer();
    writer.write_slice(bytes.get(..written).unwrap_or_default())
}
