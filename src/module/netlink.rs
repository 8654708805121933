// SPDX-License-Identifier: GPL-2.0

//! Generic netlink: what a request says, and the messages that answer it.
//!
//! There are two families: that of path managers, as the kernel's own MPTCP has it, and one of ours. The
//! kernel has checked a request against the policies made from include/netlink/*.yaml before it comes here:
//! an attribute that is there is as long as its type.
//!
//! C counterpart: include/net/genetlink.h, include/net/netlink.h.

use crate::bindings;
use crate::sock::Sock;
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

/// Bytes of the longest text in a message, the zero at its end included.
const TEXT_SIZE: usize = 32;

/// Makes the handlers that the tables of a family in src/shims name: for each command the function that
/// handles it, and the highest number of an attribute.
macro_rules! commands {
    ($($name:ident => $function:path, $last:ident;)*) => {$(
        #[doc = concat!("The command that [`", stringify!($function), "`] handles.")]
        ///
        /// # Safety
        ///
        /// Called by generic netlink, as the tables say.
        #[no_mangle]
        unsafe extern "C" fn $name(
            skb: *mut $crate::bindings::sk_buff,
            info: *mut $crate::bindings::genl_info,
        ) -> ::kernel::ffi::c_int {
            // SAFETY: By the function's contract; the tables have that number.
            let request = unsafe {
                $crate::netlink::Request::new(skb, info, $crate::bindings::$last)
            };
            match request.map_or(Err(EINVAL), |request| $function(&request)) {
                Ok(()) => 0,
                Err(error) => error.to_errno(),
            }
        }
    )*};
}
pub(crate) use commands;

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
    /// Its message.
    skb: NonNull<bindings::sk_buff>,
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
    /// `skb` and `info` are what the kernel passes to the handler of a command with that highest number,
    /// and live for `'a`.
    pub(crate) unsafe fn new(
        skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
        last: u32,
    ) -> Option<Self> {
        Some(Self {
            skb: NonNull::new(skb)?,
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

    /// Whose socket this is, as the sender of the request calls users.
    pub(crate) fn owner(&self, sk: Sock) -> bindings::mptcp_owner {
        let mut owner = bindings::mptcp_owner { inode: 0, uid: 0 };
        // SAFETY: A live socket, and a live message with its sender's socket.
        unsafe { bindings::mptcp_shim_owner(sk.as_ptr(), self.skb.as_ptr(), &mut owner) };
        owner
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

/// A message that is being written.
pub(crate) struct Message(NonNull<bindings::sk_buff>);

impl Message {
    /// The message at the end of `skb`.
    ///
    /// # Safety
    ///
    /// `skb` is live as long as the message, which has been begun, and nobody else writes it.
    pub(crate) unsafe fn new(skb: NonNull<bindings::sk_buff>) -> Self {
        Self(skb)
    }

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

    /// Adds a number of 32 bits.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit.
    pub(crate) fn put_u32(&mut self, number: u32, value: u32) -> Result {
        self.put(number, &value.to_ne_bytes())
    }

    /// Adds a number that is as long as it has to be, 32 or 64 bits.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit.
    pub(crate) fn put_uint(&mut self, number: u32, value: u64) -> Result {
        match u32::try_from(value) {
            Ok(value) => self.put_u32(number, value),
            Err(_) => self.put(number, &value.to_ne_bytes()),
        }
    }

    /// Adds a text with a zero at its end; what is longer than any name is cut.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: it does not fit.
    pub(crate) fn put_text(&mut self, number: u32, text: &[u8]) -> Result {
        let mut bytes = [0; TEXT_SIZE];
        let len = text.len().min(TEXT_SIZE - 1);
        for (to, from) in bytes.iter_mut().zip(text.iter().take(len)) {
            *to = *from;
        }
        self.put(number, bytes.get(..=len).unwrap_or_default())
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

/// The families, while they live.
pub(crate) struct Registration;

impl Registration {
    /// Registers the families.
    ///
    /// # Errors
    ///
    /// `EEXIST` when another module has the name of one.
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
