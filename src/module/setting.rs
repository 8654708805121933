// SPDX-License-Identifier: GPL-2.0

//! One setting of a namespace: a number or a name, which people read and write in a file.

use crate::bindings;
use crate::sysctl::{
    may_log,
    File,
    Line,
    Text, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::fmt::{
    self,
    Write, //
};
use kernel::prelude::*;

/// What a setting can be.
pub(crate) enum Values {
    /// One of these names; the value is the place in the list.
    Names(&'static [&'static str]),
    /// A number from the first to the second.
    Numbers(u32, u32),
}

impl Values {
    /// Returns the value that a text means.
    pub(crate) fn parse(&self, text: &[u8]) -> Option<u32> {
        match self {
            Self::Names(names) => {
                let place = names.iter().position(|name| name.as_bytes() == text)?;
                u32::try_from(place).ok()
            }
            Self::Numbers(least, most) => {
                let number = core::str::from_utf8(text).ok()?.parse().ok()?;
                (*least..=*most).contains(&number).then_some(number)
            }
        }
    }

    /// Returns the name of a value, if it has one.
    fn name(&self, value: u32) -> Option<&'static str> {
        match self {
            Self::Names(names) => names.get(usize::try_from(value).ok()?).copied(),
            Self::Numbers(..) => None,
        }
    }
}

/// As people read it in a message: all names, or both ends.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(names) => write_list(f, names, ", "),
            Self::Numbers(least, most) => f.write_fmt(fmt!("{} to {}", least, most)),
        }
    }
}

/// Writes names with something between them.
fn write_list(to: &mut impl Write, names: &[&str], between: &str) -> fmt::Result {
    for (place, name) in names.iter().enumerate() {
        if place != 0 {
            to.write_str(between)?;
        }
        to.write_str(name)?;
    }
    Ok(())
}

/// The file that lists the names of a setting.
impl Line for Values {
    fn show(&self, text: &mut Text) -> fmt::Result {
        match self {
            Self::Names(names) => write_list(text, names, " "),
            Self::Numbers(..) => text.write_fmt(fmt!("{}", self)),
        }
    }

    fn store(&self, _line: &[u8]) -> Result {
        Err(EPERM)
    }
}

/// Bytes that a user wrote, fit for the log.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is longer than any name is not worth the room.
        for byte in self.0.iter().take(32).flat_map(|b| b.escape_ascii()) {
            f.write_char(char::from(byte))?;
        }
        Ok(())
    }
}

/// What is the same for a setting in all namespaces.
pub(crate) struct Rule {
    /// Where the file is, as messages say it, with a dot at its end.
    pub(crate) directory: &'static str,
    /// The file's name.
    pub(crate) name: &'static CStr,
    /// What it can be.
    pub(crate) values: Values,
    /// What it is at first.
    pub(crate) default: u32,
    /// Called when somebody has written a value, the same or another one.
    pub(crate) on_write: fn(*mut bindings::net),
}

/// A setting.
pub(crate) struct Setting {
    /// What it can be.
    rule: &'static Rule,
    /// Whose setting it is.
    net: *mut bindings::net,
    /// What it is.
    value: AtomicU32,
}

impl Setting {
    /// Makes the setting of `net` with its default.
    pub(crate) const fn new(rule: &'static Rule, net: *mut bindings::net) -> Self {
        Self::with(rule, net, rule.default)
    }

    /// Makes the setting of `net` with a value.
    pub(crate) const fn with(rule: &'static Rule, net: *mut bindings::net, value: u32) -> Self {
        Self {
            rule,
            net,
            value: AtomicU32::new(value),
        }
    }

    /// Returns the value.
    #[inline]
    pub(crate) fn get(&self) -> u32 {
        self.value.load(Ordering::Relaxed)
    }

    /// Changes the value to one that the rule allows.
    pub(crate) fn change(&self, value: u32) {
        self.set(value);
        (self.rule.on_write)(self.net);
    }

    /// Changes the value and tells nobody.
    pub(crate) fn set(&self, value: u32) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// Returns which of `all` the value means; they are in the order of its names.
    #[inline]
    pub(crate) fn choose<T: Copy + Default>(&self, all: &[T]) -> T {
        let place = usize::try_from(self.get()).ok();
        let chosen = place.and_then(|place| all.get(place));
        chosen.copied().unwrap_or_default()
    }

    /// Returns its file.
    pub(crate) fn file(&self) -> File {
        File::writable(self.rule.name, self)
    }
}

impl Line for Setting {
    fn show(&self, text: &mut Text) -> fmt::Result {
        let value = self.get();
        match self.rule.values.name(value) {
            Some(name) => text.write_str(name),
            None => text.write_fmt(fmt!("{}", value)),
        }
    }

    fn store(&self, line: &[u8]) -> Result {
        let Some(value) = self.rule.values.parse(line) else {
            if may_log() {
                pr_warn!(
                    "{}{}: '{}' refused, allowed: {}\n",
                    self.rule.directory,
                    self.rule.name,
                    Quoted(line),
                    self.rule.values
                );
            }
            return Err(EINVAL);
        };
        self.change(value);
        Ok(())
    }
}
