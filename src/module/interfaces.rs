// SPDX-License-Identifier: GPL-2.0

//! The interfaces of a namespace: how paths may use each, in `net.mptcp_rs.conf.<interface>.path`.
//!
//! A directory comes and goes with its interface, as in `net.ipv4.conf`; an interface keeps its
//! policy when it is renamed, and begins with the new namespace's default when it is moved. What is
//! in `conf.default` counts for interfaces to come.
//!
//! C counterpart: net/ipv4/devinet.c (`devinet_sysctl_register`).

use crate::addresses;
use crate::bindings;
use crate::setting::{
    Rule,
    Setting,
    Values, //
};
use crate::sysctl::Directory;
use kernel::fmt::{
    self,
    Write, //
};
use kernel::prelude::*;
use mptcp_proto::path_manager::Policy;

/// The names of the policies, in the order of `Policy::ALL`.
const POLICIES: [&str; Policy::ALL.len()] = {
    let mut names = [""; Policy::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = Policy::ALL[place].name();
        place += 1;
    }
    names
};

/// The policy of an interface.
static POLICY: Rule = Rule {
    directory: "net.mptcp_rs.conf.*.",
    name: c"path",
    values: Values::Names(&POLICIES),
    default: 0,
    on_write: addresses::refresh,
};

/// The policy of interfaces to come.
static DEFAULT_POLICY: Rule = Rule {
    directory: "net.mptcp_rs.conf.default.",
    name: c"path",
    values: Values::Names(&POLICIES),
    default: 0,
    on_write: |_| {},
};

/// Bytes of a name, the zero at its end included.
const NAME_SIZE: usize = 16;
/// Where the directories are.
const PLACE: &[u8] = b"net/mptcp_rs/conf/";

/// The name of an interface.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name([u8; NAME_SIZE]);

impl Name {
    /// Makes a name from what the kernel has, with a zero at its end.
    pub(crate) const fn new(bytes: [u8; NAME_SIZE]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes before the zero.
    pub(crate) fn bytes(&self) -> &[u8] {
        let name = self.0.split(|byte| *byte == 0).next();
        name.unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.bytes().iter().flat_map(|byte| byte.escape_ascii()) {
            f.write_char(char::from(byte))?;
        }
        Ok(())
    }
}

/// An interface.
pub(crate) struct Interface {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: Name,
    /// It is about to go down.
    pub(crate) is_leaving: bool,
    /// Its directory; gone before the policy, to which it refers.
    directory: Option<Directory<1>>,
    /// How paths may use it.
    policy: KBox<Setting>,
}

impl Interface {
    /// Takes in an interface of `net`, with its directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` outlives the interface.
    pub(crate) unsafe fn new(
        net: *mut bindings::net,
        index: u32,
        name: Name,
        default: &DefaultPolicy,
    ) -> Result<Self> {
        let mut interface = Self {
            index,
            name,
            is_leaving: false,
            directory: None,
            policy: KBox::new(Setting::with(&POLICY, net, default.0.get()), GFP_KERNEL)?,
        };
        // SAFETY: By the function's contract.
        unsafe { interface.rename(net, name) };
        Ok(interface)
    }

    /// Gives the interface a name: its directory goes, another one comes. Without memory it has none
    /// and keeps its policy.
    ///
    /// # Safety
    ///
    /// `net` outlives the interface.
    pub(crate) unsafe fn rename(&mut self, net: *mut bindings::net, name: Name) {
        self.directory = None;
        self.name = name;
        if is_taken(name.bytes()) {
            return;
        }
        // SAFETY: `net` by the function's contract; the policy is freed after its directory.
        match unsafe { register(net, name.bytes(), &self.policy) } {
            Ok(directory) => self.directory = Some(directory),
            Err(_) => pr_warn!("net.mptcp_rs.conf.{} could not be made\n", name),
        }
    }

    /// How paths may use it.
    pub(crate) fn policy(&self) -> Policy {
        self.policy.choose(&Policy::ALL)
    }

    /// Says how paths may use it from now on, as its file does.
    pub(crate) fn set_policy(&self, policy: Policy) {
        let place = Policy::ALL.iter().position(|known| *known == policy);
        self.policy.change(
            place
                .and_then(|place| u32::try_from(place).ok())
                .unwrap_or(0),
        );
    }
}

/// Whether the name of an interface is one that directories have for themselves, as the kernel's
/// `sysctl_dev_name_is_allowed` says: such an interface has no directory.
fn is_taken(name: &[u8]) -> bool {
    name == b"all" || name == b"default"
}

/// Makes a directory for the policy, in `net.mptcp_rs.conf`.
///
/// # Safety
///
/// `net` and the policy outlive the directory.
unsafe fn register(net: *mut bindings::net, name: &[u8], policy: &Setting) -> Result<Directory<1>> {
    let mut path = [0; PLACE.len() + NAME_SIZE];
    let text = [PLACE, name].into_iter().flatten();
    for (to, from) in path.iter_mut().zip(text) {
        *to = *from;
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| ENAMETOOLONG)?;
    // SAFETY: By the function's contract.
    unsafe { Directory::new(net, path, [policy.file()]) }
}

/// The policy of interfaces to come.
pub(crate) struct DefaultPolicy(Setting);

impl DefaultPolicy {
    /// Makes the default of `net`.
    pub(crate) const fn new(net: *mut bindings::net) -> Self {
        Self(Setting::new(&DEFAULT_POLICY, net))
    }

    /// Makes its directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` and the default outlive the directory.
    pub(crate) unsafe fn register(&self, net: *mut bindings::net) -> Result<Directory<1>> {
        // SAFETY: By the function's contract.
        unsafe { register(net, b"default", &self.0) }
    }

    /// Returns the policy.
    pub(crate) fn get(&self) -> Policy {
        self.0.choose(&Policy::ALL)
    }
}
