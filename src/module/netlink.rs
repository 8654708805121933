// SPDX-License-Identifier: GPL-2.0

//! Generic netlink: what a request says, and the messages that answer it.
//!
//! The kernel has checked a request against the policies made from include/netlink/mptcp_pm.yaml before
//! it comes here: an attribute that is there is as long as its type.
//!
//! C counterpart: include/net/genetlink.h, include/net/netlink.h.

use crate::bindings;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{
    null_mut,
    NonNull, //
};
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::prelude::*;

/// Bytes in front of an attribute's value.
const HEADER: usize = size_of::<bindings::nlattr>();
/// The places of the attributes of an address.
const ADDRESS_ATTRIBUTES: usize = bindings::MPTCP_PM_ADDR_ATTR_IF_IDX as usize + 1;

/// An attribute.
///
/// # Invariants
///
/// Its value follows it, as long as its header says.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a>(&'a bindings::nlattr);

impl<'a> Attribute<'a> {
    /// Its value.
    fn value(self) -> &'a [u8] {
        let start = core::ptr::from_ref(self.0).cast::<u8>();
        let len = usize::from(self.0.nla_len).saturating_sub(HEADER);
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(start.add(HEADER), len) }
    }

    /// The first `N` bytes of its value.
    pub(crate) fn bytes<const N: usize>(self) -> [u8; N] {
        self.value().first_chunk().copied().unwrap_or([0; N])
    }

    /// Its value, a number of eight bits.
    pub(crate) fn u8(self) -> u8 {
        u8::from_ne_bytes(self.bytes())
    }

    /// Its value, a number of 16 bits.
    pub(crate) fn u16(self) -> u16 {
        u16::from_ne_bytes(self.bytes())
    }

    /// Its value, a number of 32 bits.
    pub(crate) fn u32(self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    /// Its value, a signed number of 32 bits.
    pub(crate) fn i32(self) -> i32 {
        i32::from_ne_bytes(self.bytes())
    }
}

/// The attributes of an address.
pub(crate) struct AddressAttributes<'a>([Option<Attribute<'a>>; ADDRESS_ATTRIBUTES]);

impl<'a> AddressAttributes<'a> {
    /// One of MPTCP_PM_ADDR_ATTR_*.
    pub(crate) fn get(&self, number: u32) -> Option<Attribute<'a>> {
        // CAST: A small number.
        self.0.get(number as usize).copied().flatten()
    }
}

/// A request.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// What the kernel knows of it.
    info: NonNull<bindings::genl_info>,
    /// The highest number of an attribute.
    last: u32,
    /// The request lives as long as the call that handles it.
    _lives: PhantomData<&'a ()>,
}

impl<'a> Request<'a> {
    /// The request whose attributes are numbered up to `last`.
    ///
    /// # Safety
    ///
    /// `info` is what the kernel passes to the handler of a command with that highest number, and lives
    /// for `'a`.
    pub(crate) unsafe fn new(info: *mut bindings::genl_info, last: u32) -> Option<Self> {
        Some(Self {
            info: NonNull::new(info)?,
            last,
            _lives: PhantomData,
        })
    }

    /// Whose endpoints and connections it is about.
    pub(crate) fn net(&self) -> *mut bindings::net {
        // SAFETY: A live request, which keeps its namespace.
        unsafe { bindings::mptcp_shim_net_of_info(self.info.as_ptr()) }
    }

    /// An attribute, if it has it.
    pub(crate) fn get(&self, number: u32) -> Option<Attribute<'a>> {
        if number > self.last {
            return None;
        }
        // SAFETY: The table has a place for each number up to `last`. INVARIANT: The kernel has checked
        // the length against that of the message.
        unsafe {
            let table = (*self.info.as_ptr()).attrs;
            (*table.add(number as usize)).as_ref().map(Attribute)
        }
    }

    /// An attribute that it must have.
    ///
    /// # Errors
    ///
    /// `EINVAL`; the sender is told which one is missing.
    pub(crate) fn require(&self, number: u32) -> Result<Attribute<'a>> {
        self.get(number).ok_or_else(|| {
            // SAFETY: A live request.
            unsafe { bindings::mptcp_shim_refuse_missing(self.info.as_ptr(), number) };
            EINVAL
        })
    }

    /// The attributes of an address that an attribute holds.
    ///
    /// # Errors
    ///
    /// Those of the policy; the sender is told why.
    pub(crate) fn address(&self, nest: Attribute<'a>) -> Result<AddressAttributes<'a>> {
        let mut table = [core::ptr::null::<bindings::nlattr>(); ADDRESS_ATTRIBUTES];
        // SAFETY: The table has a place for each attribute; a live request and one of its attributes.
        to_result(unsafe {
            bindings::mptcp_shim_parse_address(table.as_mut_ptr(), nest.0, self.info.as_ptr())
        })?;
        // SAFETY: Attributes of the request, or NULL. INVARIANT: As in `get`.
        Ok(AddressAttributes(table.map(|attribute| unsafe {
            attribute.as_ref().map(Attribute)
        })))
    }

    /// Tells the sender why the request is refused, and which attribute is to blame.
    pub(crate) fn refuse(
        &self,
        attribute: Option<Attribute<'a>>,
        why: &'static CStr,
        error: Error,
    ) -> Error {
        let attribute = attribute.map_or(core::ptr::null(), |attribute| {
            core::ptr::from_ref(attribute.0)
        });
        // SAFETY: A live request and one of its attributes, or NULL; the text is static.
        unsafe { bindings::mptcp_shim_refuse(self.info.as_ptr(), attribute, why.as_char_ptr()) };
        error
    }

    /// Answers with what `fill` writes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit. `ENOMEM`. Those of `fill`, and of sending.
    pub(crate) fn reply(&self, fill: impl FnOnce(&mut Message) -> Result) -> Result {
        let mut header = null_mut();
        // SAFETY: A live request.
        let skb = unsafe { bindings::mptcp_shim_begin_reply(self.info.as_ptr(), &mut header) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        if let Err(error) = fill(&mut Message(skb)) {
            // SAFETY: Made above, and nobody else has it.
            unsafe { bindings::mptcp_shim_free_message(skb.as_ptr()) };
            return Err(error);
        }
        // SAFETY: As above; sending takes it over.
        to_result(unsafe {
            bindings::mptcp_shim_send_reply(skb.as_ptr(), header, self.info.as_ptr())
        })
    }
}

/// A dump under way.
pub(crate) struct Dump {
    /// The messages so far.
    skb: NonNull<bindings::sk_buff>,
    /// What the kernel knows of it.
    callback: NonNull<bindings::netlink_callback>,
}

impl Dump {
    /// A dump.
    ///
    /// # Safety
    ///
    /// These are what the kernel passes to the handler of a dump.
    pub(crate) unsafe fn new(
        skb: *mut bindings::sk_buff,
        callback: *mut bindings::netlink_callback,
    ) -> Option<Self> {
        Some(Self {
            skb: NonNull::new(skb)?,
            callback: NonNull::new(callback)?,
        })
    }

    /// What was asked, with attributes numbered up to `last`.
    pub(crate) fn request(&self, last: u32) -> Option<Request<'static>> {
        // SAFETY: A live dump, whose request has been parsed for its command; the kernel keeps it until the
        // dump has ended, and whoever handles the dump is done with it before.
        unsafe {
            let info = bindings::mptcp_shim_dump_info(self.callback.as_ptr());
            Request::new(info, last)
        }
    }

    /// Whose endpoints and connections it is about.
    pub(crate) fn net(&self) -> *mut bindings::net {
        // SAFETY: A live dump, which keeps its namespace.
        unsafe {
            let info = bindings::mptcp_shim_dump_info(self.callback.as_ptr());
            bindings::mptcp_shim_net_of_info(info)
        }
    }

    /// How far it has come; 0 at first.
    pub(crate) fn place(&mut self) -> &mut kernel::ffi::c_long {
        // SAFETY: A live dump; nobody else uses the field during the call.
        unsafe { &mut *bindings::mptcp_shim_dump_place(self.callback.as_ptr()) }
    }

    /// Adds a message with what `fill` writes; `false` when it does not fit: it goes into the next batch.
    pub(crate) fn add(&mut self, command: u8, fill: impl FnOnce(&mut Message) -> Result) -> bool {
        // SAFETY: A live dump.
        let header = unsafe {
            bindings::mptcp_shim_begin_part(self.skb.as_ptr(), self.callback.as_ptr(), command)
        };
        if header.is_null() {
            return false;
        }
        let fits = fill(&mut Message(self.skb)).is_ok();
        // SAFETY: The message begun above.
        unsafe {
            if fits {
                bindings::mptcp_shim_end_part(self.skb.as_ptr(), header);
            } else {
                bindings::mptcp_shim_cancel_part(self.skb.as_ptr(), header);
            }
        }
        fits
    }

    /// What the handler returns: how many bytes there are.
    pub(crate) fn len(&self) -> c_int {
        // SAFETY: A live buffer. CAST: At most a message.
        unsafe { (*self.skb.as_ptr()).len as c_int }
    }
}

/// A message that is being written.
pub(crate) struct Message(NonNull<bindings::sk_buff>);

impl Message {
    /// Adds an attribute.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit.
    pub(crate) fn put(&mut self, number: u32, value: &[u8]) -> Result {
        let (len, value) = (value.len() as c_int, value.as_ptr().cast::<c_void>());
        // SAFETY: A live message that nobody else writes. CAST: Small numbers.
        to_result(unsafe { bindings::nla_put(self.0.as_ptr(), number as c_int, len, value) })
    }

    /// Adds an attribute that holds what `fill` writes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit. Those of `fill`. The message is not to be sent then.
    pub(crate) fn nest(&mut self, number: u32, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: A live message that nobody else writes. CAST: A small number.
        let nest = unsafe { bindings::mptcp_shim_nest_start(self.0.as_ptr(), number as c_int) };
        if nest.is_null() {
            return Err(EMSGSIZE);
        }
        fill(self)?;
        // SAFETY: Begun above.
        unsafe { bindings::mptcp_shim_nest_end(self.0.as_ptr(), nest) };
        Ok(())
    }
}

/// Whether anybody waits for events of a namespace.
#[inline]
pub(crate) fn has_listeners(net: *mut bindings::net) -> bool {
    // SAFETY: A live namespace of the caller's socket or request.
    unsafe { bindings::mptcp_shim_has_listeners(net) }
}

/// Tells those who wait for events of a namespace of one that `fill` describes. Without memory nobody is
/// told.
///
/// # Context
///
/// Any but hard interrupts.
pub(crate) fn notify(
    net: *mut bindings::net,
    event: u32,
    fill: impl FnOnce(&mut Message) -> Result,
) {
    let mut header = null_mut();
    // SAFETY: Only allocates. CAST: A small number.
    let skb = unsafe { bindings::mptcp_shim_begin_event(event as u8, &mut header) };
    let Some(skb) = NonNull::new(skb) else {
        return;
    };
    let fits = fill(&mut Message(skb)).is_ok();
    // SAFETY: Made above, and nobody else has it; sending takes it over. A live namespace.
    unsafe {
        if fits {
            bindings::mptcp_shim_send_event(net, skb.as_ptr(), header);
        } else {
            bindings::mptcp_shim_free_message(skb.as_ptr());
        }
    }
}

/// The family, while it lives.
pub(crate) struct Registration;

impl Registration {
    /// Registers the family.
    ///
    /// # Errors
    ///
    /// `EEXIST` when another module has its name.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Module init runs once; the namespaces have their state.
        to_result(unsafe { bindings::mptcp_shim_register_netlink() })?;
        Ok(Self)
    }
}

impl Drop for Registration {
    /// Waits for those who handle a request right now.
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe { bindings::mptcp_shim_unregister_netlink() };
    }
}
