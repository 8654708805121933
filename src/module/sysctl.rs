// SPDX-License-Identifier: GPL-2.0

//! Files in sysctl directories, each with a line of text.
//!
//! What is behind a file implements [`Line`]; the kernel's `proc_dostring` does the rest, so that
//! offsets and ends of lines are as in every other sysctl.
//!
//! C counterpart: fs/proc/proc_sysctl.c.

use crate::bindings;
use core::ptr::NonNull;
use kernel::ffi::{
    c_int,
    c_void, //
};
use kernel::fmt::{
    self,
    Write, //
};
use kernel::prelude::*;

/// Bytes of the longest text, the zero at its end included.
const SIZE: usize = 928;

/// A text on its way from or to a file.
pub(crate) struct Text {
    /// The text, and zeroes behind it.
    bytes: [u8; SIZE],
    /// How much has been written.
    len: usize,
}

impl Text {
    /// Makes an empty text.
    fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            len: 0,
        }
    }

    /// Returns the text without the white space around it.
    fn trimmed(&self) -> &[u8] {
        let line = self.bytes.split(|byte| *byte == 0).next();
        line.unwrap_or_default().trim_ascii()
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.len.checked_add(more.len());
        // The last byte stays zero.
        let end = end.filter(|end| *end < SIZE).ok_or(fmt::Error)?;
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(more.bytes()) {
            *to = from;
        }
        self.len = end;
        Ok(())
    }
}

/// What is behind a file.
pub(crate) trait Line {
    /// Writes the text that a reader gets, without the end of its last line.
    ///
    /// # Errors
    ///
    /// Those of `text`: it is full.
    fn show(&self, text: &mut Text) -> fmt::Result;

    /// Takes the text that a writer gave, without white space around it.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is none of those allowed; nothing has changed.
    fn store(&self, line: &[u8]) -> Result;
}

/// One file.
#[repr(transparent)]
pub(crate) struct File(bindings::ctl_table);

impl File {
    /// Makes a file that all may read.
    pub(crate) fn read_only<T: Line>(name: &'static CStr, line: &T) -> Self {
        Self::new(name, line, 0o444)
    }

    /// Makes a file that root may write, too.
    pub(crate) fn writable<T: Line>(name: &'static CStr, line: &T) -> Self {
        Self::new(name, line, 0o644)
    }

    /// Makes a file with permissions.
    fn new<T: Line>(name: &'static CStr, line: &T, mode: u16) -> Self {
        // SAFETY: Zeroes are how a `ctl_table` begins: no bounds, no poll.
        let mut table: bindings::ctl_table = unsafe { core::mem::zeroed() };
        table.procname = name.as_char_ptr();
        table.data = core::ptr::from_ref(line).cast_mut().cast();
        // CAST: A small number.
        table.maxlen = SIZE as c_int;
        table.mode = mode;
        table.proc_handler = Some(handle::<T>);
        Self(table)
    }
}

/// Reads or writes a file.
///
/// # Safety
///
/// Called by the kernel with a table that [`File::new`] made for a `T`.
unsafe extern "C" fn handle<T: Line>(
    table: *const bindings::ctl_table,
    write: c_int,
    buffer: *mut c_void,
    len: *mut usize,
    position: *mut bindings::loff_t,
) -> c_int {
    // SAFETY: By this function's contract the data is a `T`, which lives as long as the directory by
    // the contract of `Directory::new`; the kernel lets no call begin or go on after the directory.
    let (line, mut view) = unsafe { (&*(*table).data.cast::<T>(), table.read()) };
    let mut text = Text::new();
    if write == 0 && line.show(&mut text).is_err() {
        return EOVERFLOW.to_errno();
    }
    view.data = text.bytes.as_mut_ptr().cast();
    // SAFETY: The view's data has `maxlen` bytes, zero-terminated; the rest is passed on as it came.
    let result = unsafe { bindings::proc_dostring(&view, write, buffer, len, position) };
    if write == 0 || result != 0 {
        return result;
    }
    match line.store(text.trimmed()) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// A directory in the tree of a namespace, while it lives.
pub(crate) struct Directory<const N: usize> {
    /// What the registration returned.
    header: NonNull<bindings::ctl_table_header>,
    /// The files; the kernel refers to them.
    _files: KBox<[File; N]>,
}

impl<const N: usize> Directory<N> {
    /// Adds files at `path` in the tree of `net`; directories come to be as needed.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory, or there is a file of that name.
    ///
    /// # Context
    ///
    /// Process; may sleep.
    ///
    /// # Safety
    ///
    /// `net` is a live namespace and outlives the directory, and so does what is behind the files.
    pub(crate) unsafe fn new(
        net: *mut bindings::net,
        path: &CStr,
        files: [File; N],
    ) -> Result<Self> {
        let mut files = KBox::new(files, GFP_KERNEL)?;
        let table = files.as_mut_ptr().cast();
        // SAFETY: `net` lives by the function's contract; the files stay where they are until `drop`
        // has unregistered them; the path is copied.
        let header = unsafe { bindings::register_net_sysctl_sz(net, path.as_char_ptr(), table, N) };
        Ok(Self {
            header: NonNull::new(header).ok_or(ENOMEM)?,
            _files: files,
        })
    }
}

impl<const N: usize> Drop for Directory<N> {
    /// Waits for those who read or write a file right now.
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::unregister_net_sysctl_table(self.header.as_ptr()) };
    }
}

/// Whether a message about what a user wrote may go to the log now.
pub(crate) fn may_log() -> bool {
    // SAFETY: May be called in any context.
    unsafe { bindings::net_ratelimit() != 0 }
}
