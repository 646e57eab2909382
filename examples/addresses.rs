//! Addresses that cannot be listened on at once.

use std::net::SocketAddr;

/// Returns `true` if listening on one address keeps the other from being listened on: they have a port in
/// common, and are the same or one of them is all addresses (`0.0.0.0`, `[::]`).
///
/// IPv4 and IPv6 do not meet, as long as sockets of IPv6 are bound with `IPV6_V6ONLY`. An IPv4 address in
/// the form of IPv6 (`[::ffff:127.0.0.1]`) is one of IPv4. Port 0 is another port each time.
pub fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let ips = [one, other].map(|address| address.ip().to_canonical());
    let is_same_family = ips[0].is_ipv4() == ips[1].is_ipv4();
    let is_any = ips.iter().any(|ip| ip.is_unspecified());
    let is_same_ip = ips[0] == ips[1] && !are_apart(scope(one), scope(other));
    one.port() == other.port() && one.port() != 0 && is_same_family && (is_any || is_same_ip)
}

/// A link-local address of IPv6 is another one on each interface.
fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

fn are_apart(one: u32, other: u32) -> bool {
    one != other && one != 0 && other != 0
}
