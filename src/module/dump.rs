// SPDX-License-Identifier: GPL-2.0

//! Dumps of generic netlink: as many messages as there is to tell, in batches as large as their reader wants.
//!
//! Between two batches no lock is held; where the next one begins is kept with the dump.
//!
//! C counterpart: include/net/genetlink.h.

use crate::bindings;
use crate::netlink::{
    Message,
    Request, //
};
use crate::token_table::Place;
use core::ptr::NonNull;
use kernel::prelude::*;

/// As [`crate::netlink::commands`], for dumps: the function writes as many messages as there is room for. Those that are left
/// when it says `EMSGSIZE` are asked for again.
macro_rules! dumps {
    ($($name:ident => $function:path, $last:ident;)*) => {$(
        #[doc = concat!("The dump that [`", stringify!($function), "`] writes.")]
        ///
        /// # Safety
        ///
        /// Called by generic netlink, as the tables say.
        #[no_mangle]
        unsafe extern "C" fn $name(
            skb: *mut $crate::bindings::sk_buff,
            callback: *mut $crate::bindings::netlink_callback,
        ) -> ::kernel::ffi::c_int {
            // SAFETY: By the function's contract; the tables have that number.
            let dump = unsafe {
                $crate::dump::Dump::new(skb, callback, $crate::bindings::$last)
            };
            match dump.map_or(Err(EINVAL), |(mut dump, request)| $function(&mut dump, &request)) {
                Ok(()) => 0,
                Err(error) => error.to_errno(),
            }
        }
    )*};
}
pub(crate) use dumps;

/// How far a dump has come, kept between its batches; zeroes are its beginning.
#[repr(C)]
pub(crate) struct Progress {
    /// The next connection.
    pub(crate) connections: Place,
    /// What has been told of the connection, or of what else there is.
    pub(crate) told: usize,
    /// The token of the connection of which that was told.
    pub(crate) token: u32,
}

/// A dump under way.
pub(crate) struct Dump {
    /// The messages so far.
    skb: NonNull<bindings::sk_buff>,
    /// What the kernel knows of it.
    callback: NonNull<bindings::netlink_callback>,
}

impl Dump {
    /// A dump, and what was asked, with attributes numbered up to `last`.
    ///
    /// # Safety
    ///
    /// These are what the kernel passes to the handler of a dump with that highest number, whose call lasts
    /// for `'a`.
    pub(crate) unsafe fn new<'a>(
        skb: *mut bindings::sk_buff,
        callback: *mut bindings::netlink_callback,
        last: u32,
    ) -> Option<(Self, Request<'a>)> {
        // SAFETY: By the function's contract a live dump, whose request has been parsed for its command and
        // is kept until the dump has ended.
        let request = unsafe {
            let info = bindings::mptcp_shim_dump_info(callback);
            Request::new((*callback).skb, info, last)?
        };
        let dump = Self {
            skb: NonNull::new(skb)?,
            callback: NonNull::new(callback)?,
        };
        Some((dump, request))
    }

    /// How far it has come.
    pub(crate) fn progress(&mut self) -> &mut Progress {
        const { assert!(size_of::<Progress>() <= 48) };
        // SAFETY: A live dump, whose context is ours: zeroes at first, large enough, and aligned for numbers.
        // Nobody else uses it during the call.
        unsafe { &mut *bindings::mptcp_shim_dump_place(self.callback.as_ptr()).cast() }
    }

    /// Adds a message with what `fill` writes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit, and goes into the next batch. Those of `fill`.
    pub(crate) fn add(&mut self, fill: impl FnOnce(&mut Message) -> Result) -> Result {
        // SAFETY: A live dump.
        let header =
            unsafe { bindings::mptcp_shim_begin_part(self.skb.as_ptr(), self.callback.as_ptr()) };
        if header.is_null() {
            return Err(EMSGSIZE);
        }
        // SAFETY: The message begun above.
        unsafe {
            let result = fill(&mut Message::new(self.skb));
            if result.is_ok() {
                bindings::mptcp_shim_end_part(self.skb.as_ptr(), header);
            } else {
                bindings::mptcp_shim_cancel_part(self.skb.as_ptr(), header);
            }
            result
        }
    }
}
