// SPDX-License-Identifier: GPL-2.0

//! The endpoints of a host: which there are, and what a new one is called.
//!
//! C counterpart: `net/mptcp/pm_kernel.c` (`mptcp_pm_nl_append_new_local_addr`, `__lookup_addr`).

use super::endpoint::{
    Endpoint,
    EndpointFlags, //
};
use crate::ids::{
    Address,
    AddressId, //
};

/// The most endpoints: one for each ID but 0.
pub const ENDPOINT_IDS: usize = u8::MAX as usize;

/// Why an endpoint cannot be added or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointRefusal {
    /// A port is for endpoints that are announced and not used for subflows of this host's own.
    PortNeedsSignal,
    /// An address that is announced cannot be part of a full mesh.
    SignalAndFullMesh,
    /// Implicit endpoints come to be by themselves.
    Implicit,
    /// An endpoint has the address, and the port if it has one.
    Duplicate,
    /// An implicit endpoint has the address: it is replaced only under its own ID, which must not be
    /// given then.
    ImplicitHasId,
    /// Another endpoint has the ID.
    IdInUse,
    /// Every ID is in use.
    Full,
    /// There is no such endpoint.
    Unknown,
}

/// All endpoints of a host, each in the place of its ID, in storage of the caller's.
#[derive(Debug)]
pub struct EndpointList<S> {
    /// The endpoint with the ID 1 comes first.
    places: S,
    /// The highest ID given since the search began again at 1.
    last_id: u8,
    /// How many were ever added; wraps.
    serial: u32,
}

impl<S> EndpointList<S>
where
    S: AsRef<[Option<Endpoint>]> + AsMut<[Option<Endpoint>]>,
{
    /// Makes an empty list of `places` that are `None`, [`ENDPOINT_IDS`] of them. With less of them the
    /// highest IDs cannot be had.
    #[must_use]
    pub const fn new(places: S) -> Self {
        Self {
            places,
            last_id: 1,
            serial: 0,
        }
    }

    /// Returns the endpoints in the order of their IDs.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.places.as_ref().iter().flatten()
    }

    /// Returns the endpoint with an ID.
    #[must_use]
    pub fn get(&self, id: AddressId) -> Option<&Endpoint> {
        let place = usize::from(id.get()).checked_sub(1)?;
        self.places.as_ref().get(place)?.as_ref()
    }

    /// Returns the endpoint with an address; one that has a port only if that is `port`.
    #[must_use]
    pub fn find(&self, addr: Address, port: Option<u16>) -> Option<&Endpoint> {
        let same =
            |known: &&Endpoint| known.addr == addr && (known.port.is_none() || known.port == port);
        self.iter().find(same)
    }

    /// Copies the endpoints in the order in which connections use them, as many as there is room for:
    /// those with a port, then the others as they were added; those that only name an address come
    /// last. Returns how many.
    pub fn snapshot(&self, to: &mut [Endpoint]) -> usize {
        let rank = |endpoint: &Endpoint| {
            let is_used = endpoint.flags.is_used();
            (!is_used, endpoint.port.is_none(), endpoint.serial)
        };
        let mut last = None;
        let mut count = 0_usize;
        for place in to {
            let rest = self
                .iter()
                .filter(|e| last.is_none_or(|last| rank(e) > last));
            let Some(next) = rest.min_by_key(|e| rank(e)) else {
                break;
            };
            *place = *next;
            last = Some(rank(next));
            count = count.saturating_add(1);
        }
        count
    }

    /// Adds an endpoint; if its ID is 0 it gets one. Returns the ID.
    ///
    /// An implicit endpoint with the same address gives way and leaves its ID.
    ///
    /// # Errors
    ///
    /// As the refusal says; nothing has changed.
    pub fn add(&mut self, mut new: Endpoint) -> Result<AddressId, EndpointRefusal> {
        let has = |flag| new.flags.contains(flag);
        let announced_only = has(EndpointFlags::SIGNAL) && !has(EndpointFlags::SUBFLOW);
        if new.port.is_some() && !announced_only {
            return Err(EndpointRefusal::PortNeedsSignal);
        }
        if has(EndpointFlags::SIGNAL) && has(EndpointFlags::FULL_MESH) {
            return Err(EndpointRefusal::SignalAndFullMesh);
        }
        if self.get(new.id).is_some() {
            return Err(EndpointRefusal::IdInUse);
        }
        let same = |known: &&Endpoint| known.addr == new.addr && known.port == new.port;
        new.id = match self.iter().find(same) {
            Some(old) if !old.flags.contains(EndpointFlags::IMPLICIT) => {
                return Err(EndpointRefusal::Duplicate);
            }
            Some(_) if new.id != AddressId::INITIAL => {
                return Err(EndpointRefusal::ImplicitHasId);
            }
            Some(old) => old.id,
            None if new.id != AddressId::INITIAL => new.id,
            None => self.next_id().ok_or(EndpointRefusal::Full)?,
        };
        let id = new.id.get();
        self.last_id = self.first_tried().max(id);
        self.serial = self.serial.wrapping_add(1);
        new.serial = self.serial;
        let place = self.place(new.id).ok_or(EndpointRefusal::Full)?;
        *place = Some(new);
        Ok(new.id)
    }

    /// Returns the ID with which the search for a free one begins.
    fn first_tried(&self) -> u8 {
        match self.last_id {
            u8::MAX => 1,
            last => last,
        }
    }

    /// Returns a free ID: the next one, or the lowest when the end has been reached.
    fn next_id(&self) -> Option<AddressId> {
        let free = |id: &u8| self.get(AddressId::new(*id)).is_none();
        let from = self.first_tried();
        let found = (from..=u8::MAX).find(free).or_else(|| (1..from).find(free));
        found.map(AddressId::new)
    }

    /// Returns the place of an ID but 0.
    fn place(&mut self, id: AddressId) -> Option<&mut Option<Endpoint>> {
        let place = usize::from(id.get()).checked_sub(1)?;
        self.places.as_mut().get_mut(place)
    }

    /// Removes the endpoint with an ID and returns it.
    ///
    /// # Errors
    ///
    /// `Unknown`.
    pub fn remove(&mut self, id: AddressId) -> Result<Endpoint, EndpointRefusal> {
        let place = self.place(id).and_then(Option::take);
        place.ok_or(EndpointRefusal::Unknown)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.places.as_mut().fill(None);
        self.last_id = 1;
    }

    /// Makes the flags backup and fullmesh of the endpoint with an ID what they are in `flags`.
    ///
    /// # Errors
    ///
    /// `Unknown`; `SignalAndFullMesh`, `Implicit`: such an endpoint cannot be part of a full mesh.
    pub fn set_flags(
        &mut self,
        id: AddressId,
        flags: EndpointFlags,
    ) -> Result<(), EndpointRefusal> {
        let place = self.place(id).and_then(Option::as_mut);
        let endpoint = place.ok_or(EndpointRefusal::Unknown)?;
        if flags.contains(EndpointFlags::FULL_MESH) {
            if endpoint.flags.contains(EndpointFlags::SIGNAL) {
                return Err(EndpointRefusal::SignalAndFullMesh);
            }
            if endpoint.flags.contains(EndpointFlags::IMPLICIT) {
                return Err(EndpointRefusal::Implicit);
            }
        }
        for flag in [EndpointFlags::BACKUP, EndpointFlags::FULL_MESH] {
            endpoint.flags = if flags.contains(flag) {
                endpoint.flags.with(flag)
            } else {
                endpoint.flags.without(flag)
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint at 10.0.0.`last`.
    fn endpoint(last: u8, id: u8, flags: EndpointFlags) -> Endpoint {
        Endpoint {
            id: AddressId::new(id),
            addr: Address::V4([10, 0, 0, last]),
            port: None,
            interface_index: 0,
            flags,
            serial: 0,
        }
    }

    /// An empty list.
    fn empty() -> EndpointList<[Option<Endpoint>; ENDPOINT_IDS]> {
        EndpointList::new([None; ENDPOINT_IDS])
    }

    /// Adds endpoints, each at another address, and returns the IDs they get; 0 asks for any.
    fn ids(wanted: &[u8]) -> Vec<u8> {
        let mut list = empty();
        let mut last = 0;
        let add = |id: &u8| {
            last += 1;
            let added = list.add(endpoint(last, *id, EndpointFlags::NONE));
            added.map_or(0, AddressId::get)
        };
        wanted.iter().map(add).collect()
    }

    #[test]
    fn ids_given_follow_the_highest_and_wrap() {
        assert_eq!(
            ids(&[0, 0, 100, 0, 254, 0, 0, 0]),
            [1, 2, 100, 101, 254, 255, 3, 4]
        );
        assert_eq!(
            ids(&[0, 254, 0, 0, 253, 0, 0, 0]),
            [1, 254, 255, 2, 253, 3, 4, 5]
        );
    }

    #[test]
    fn id_in_use_refused_until_removed() {
        let mut list = empty();
        assert_eq!(
            list.add(endpoint(1, 7, EndpointFlags::NONE)),
            Ok(AddressId::new(7))
        );
        let another = endpoint(2, 7, EndpointFlags::NONE);
        assert_eq!(list.add(another), Err(EndpointRefusal::IdInUse));
        assert!(list.remove(AddressId::new(7)).is_ok());
        assert_eq!(
            list.remove(AddressId::new(7)),
            Err(EndpointRefusal::Unknown)
        );
        assert_eq!(list.add(another), Ok(AddressId::new(7)));
    }

    #[test]
    fn list_full_refuses_and_begins_afresh_when_cleared() {
        let mut list = empty();
        for last in 1..=u8::MAX {
            assert_eq!(
                list.add(endpoint(last, 0, EndpointFlags::NONE)),
                Ok(AddressId::new(last))
            );
        }
        let one_more = endpoint(0, 0, EndpointFlags::NONE);
        assert_eq!(list.add(one_more), Err(EndpointRefusal::Full));
        list.clear();
        assert_eq!(list.iter().count(), 0);
        assert_eq!(list.add(one_more), Ok(AddressId::new(1)));
    }

    #[test]
    fn address_known_refused_but_for_an_implicit_endpoint() {
        let mut list = empty();
        let implicit = endpoint(1, 0, EndpointFlags::IMPLICIT);
        assert_eq!(list.add(implicit), Ok(AddressId::new(1)));
        let with_id = endpoint(1, 9, EndpointFlags::SUBFLOW);
        assert_eq!(list.add(with_id), Err(EndpointRefusal::ImplicitHasId));
        let explicit = endpoint(1, 0, EndpointFlags::SUBFLOW);
        assert_eq!(list.add(explicit), Ok(AddressId::new(1)));
        assert_eq!(list.add(explicit), Err(EndpointRefusal::Duplicate));
    }

    #[test]
    fn port_told_apart_only_where_one_is_announced() {
        let mut list = empty();
        let on = |port| Endpoint {
            port: Some(port),
            ..endpoint(1, 0, EndpointFlags::SIGNAL)
        };
        assert!(list.add(on(80)).is_ok() && list.add(on(81)).is_ok());
        assert_eq!(list.add(on(81)), Err(EndpointRefusal::Duplicate));
        assert_eq!(
            list.find(on(1).addr, Some(81)).map(|e| e.port),
            Some(Some(81))
        );
        assert_eq!(list.find(on(1).addr, None), None);
        let used = Endpoint {
            flags: EndpointFlags::SUBFLOW,
            ..on(82)
        };
        assert_eq!(list.add(used), Err(EndpointRefusal::PortNeedsSignal));
    }

    #[test]
    fn snapshot_has_those_in_use_first_as_they_were_added() {
        let mut list = empty();
        let _ = list.add(endpoint(1, 9, EndpointFlags::NONE));
        let _ = list.add(endpoint(2, 8, EndpointFlags::SUBFLOW));
        let _ = list.add(endpoint(3, 1, EndpointFlags::SIGNAL));
        let with_port = Endpoint {
            port: Some(80),
            ..endpoint(4, 7, EndpointFlags::SIGNAL)
        };
        let _ = list.add(with_port);
        let mut all = [endpoint(0, 0, EndpointFlags::NONE); 6];
        assert_eq!(list.snapshot(&mut all), 4);
        assert_eq!(all.map(|e| e.id.get()), [7, 8, 1, 9, 0, 0]);
        assert_eq!(list.snapshot(&mut all[..2]), 2);
    }

    #[test]
    fn flags_changed_keep_the_others() {
        let mut list = empty();
        let both = EndpointFlags::BACKUP.with(EndpointFlags::FULL_MESH);
        let announced = EndpointFlags::SIGNAL.with(EndpointFlags::FULL_MESH);
        assert_eq!(
            list.add(endpoint(1, 0, announced)),
            Err(EndpointRefusal::SignalAndFullMesh)
        );
        let _ = list.add(endpoint(1, 1, EndpointFlags::SUBFLOW));
        let _ = list.add(endpoint(2, 2, EndpointFlags::SIGNAL));
        assert_eq!(list.set_flags(AddressId::new(1), both), Ok(()));
        let flags = list.get(AddressId::new(1)).map(|e| e.flags);
        assert_eq!(flags, Some(EndpointFlags::SUBFLOW.with(both)));
        assert_eq!(
            list.set_flags(AddressId::new(1), EndpointFlags::NONE),
            Ok(())
        );
        let flags = list.get(AddressId::new(1)).map(|e| e.flags);
        assert_eq!(flags, Some(EndpointFlags::SUBFLOW));
        let refused = list.set_flags(AddressId::new(2), both);
        assert_eq!(refused, Err(EndpointRefusal::SignalAndFullMesh));
        assert_eq!(
            list.set_flags(AddressId::new(3), both),
            Err(EndpointRefusal::Unknown)
        );
    }
}
