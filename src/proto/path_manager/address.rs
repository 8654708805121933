// SPDX-License-Identifier: GPL-2.0

//! Which addresses can be the two ends of a path.
//!
//! Only what the bits of an address tell is judged here: its family, whether it is one host's, and
//! how far it reaches. Whether packets get through is for the join to find out.
//!
//! RFC 8684, Section 3.4.1.
//!
//! C counterpart: `net/mptcp/pm.c` (`mptcp_pm_addr_families_match`).

use crate::ids::Address;

/// How far an address reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    /// The host itself.
    Loopback,
    /// One link: means something only together with an interface.
    Link,
    /// Further than that, private addresses included.
    Wide,
}

/// Returns the address with an IPv4-mapped IPv6 address as the IPv4 address that it stands for.
#[inline]
#[must_use]
pub const fn canonical(addr: Address) -> Address {
    match addr {
        Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]) => {
            Address::V4([a, b, c, d])
        }
        Address::V4(_) | Address::V6(_) => addr,
    }
}

/// Tells whether one host can have the address: it is neither unspecified nor multicast nor
/// broadcast nor reserved.
pub(super) const fn is_unicast(addr: Address) -> bool {
    match addr {
        Address::V4([first, ..]) => first != 0 && first < 224,
        Address::V6([0xff, ..]) => false,
        Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]) => last == 1,
        Address::V6(_) => true,
    }
}

/// Returns the address of a family that stands for any of it.
pub(super) const fn unspecified(family: Address) -> Address {
    match family {
        Address::V4(_) => Address::V4([0; 4]),
        Address::V6(_) => Address::V6([0; 16]),
    }
}

/// Returns how far the address reaches.
const fn scope(addr: Address) -> Scope {
    match addr {
        Address::V4([127, ..]) | Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) => {
            Scope::Loopback
        }
        Address::V4([169, 254, ..]) | Address::V6([0xfe, 0x80..=0xbf, ..]) => Scope::Link,
        Address::V4(_) | Address::V6(_) => Scope::Wide,
    }
}

/// Tells whether the peer can make use of the address when it is announced.
pub(super) fn is_announceable(addr: Address) -> bool {
    scope(addr) == Scope::Wide
}

/// Tells whether packets from `local` can have the destination `peer`: both are of one family and
/// of one scope, and they are not the same.
///
/// An address of the peer that is also a local one is another host's behind another translator, or
/// the local host itself; neither leads to the peer.
pub(super) fn can_meet(local: Address, peer: Address) -> bool {
    let one_family = matches!(
        (local, peer),
        (Address::V4(_), Address::V4(_)) | (Address::V6(_), Address::V6(_))
    );
    one_family && local != peer && scope(local) == scope(peer)
}

/// Tells whether an announced address may be tried at all on a connection to `initial`.
///
/// A peer elsewhere has no business with the addresses of this host or of its links.
pub(super) fn is_credible(announced: Address, initial: Address) -> bool {
    is_unicast(announced) && is_in_reach(announced, initial)
}

/// Tells whether an announced address reaches as far as `initial`, whatever it is an address of.
pub(super) fn is_in_reach(announced: Address, initial: Address) -> bool {
    scope(announced) == Scope::Wide || scope(announced) == scope(initial)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes an IPv6 address from its first two bytes and its last.
    fn v6(first: u8, second: u8, last: u8) -> Address {
        Address::V6([first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
    }

    #[test]
    fn mapped_address_is_ipv4() {
        let mapped = Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]);
        assert_eq!(canonical(mapped), Address::V4([10, 0, 0, 1]));
        assert_eq!(canonical(v6(0x20, 1, 1)), v6(0x20, 1, 1));
    }

    #[test]
    fn addresses_of_no_single_host_are_told_apart() {
        for addr in [
            Address::V4([0, 0, 0, 0]),
            Address::V4([224, 0, 0, 1]),
            Address::V4([255, 255, 255, 255]),
            v6(0, 0, 0),
            v6(0xff, 2, 1),
        ] {
            assert!(!is_unicast(addr), "{addr:?}");
        }
        for addr in [
            Address::V4([223, 255, 255, 255]),
            v6(0, 0, 1),
            v6(0xfe, 0x80, 1),
        ] {
            assert!(is_unicast(addr), "{addr:?}");
        }
    }

    #[test]
    fn ends_meet_within_one_family_and_scope() {
        let wide = Address::V4([10, 0, 0, 1]);
        assert!(can_meet(wide, Address::V4([192, 0, 2, 1])));
        assert!(!can_meet(wide, wide));
        assert!(!can_meet(wide, v6(0x20, 1, 1)));
        assert!(!can_meet(wide, Address::V4([127, 0, 0, 1])));
        assert!(!can_meet(v6(0x20, 1, 1), v6(0xfe, 0x80, 1)));
        assert!(can_meet(v6(0xfe, 0x80, 2), v6(0xfe, 0xbf, 1)));
        assert!(is_announceable(wide) && !is_announceable(v6(0xfe, 0x80, 1)));
    }

    #[test]
    fn loopback_announced_from_elsewhere_is_not_credible() {
        let loopback = Address::V4([127, 0, 0, 2]);
        assert!(!is_credible(loopback, Address::V4([192, 0, 2, 1])));
        assert!(is_credible(loopback, Address::V4([127, 0, 0, 1])));
        assert!(is_credible(Address::V4([192, 168, 0, 1]), v6(0x20, 1, 1)));
        assert!(!is_credible(v6(0xff, 2, 1), v6(0xff, 2, 1)));
    }
}
