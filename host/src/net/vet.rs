//! Which addresses an outbound request may reach: public ones, and those that the operator named.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};

/// The addresses that are reachable although they are not public.
#[derive(Debug, Clone, Default)]
pub struct Vetting {
    all: bool,
    networks: Vec<ipnet::IpNet>,
    targets: Vec<(String, u16)>,
}

impl Vetting {
    /// Reads a list of CIDRs, addresses, `host:port` pairs, or `*` for everything.
    ///
    /// # Errors
    /// When an entry is none of these.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut vetting = Self::default();
        for entry in entries {
            let entry = entry.as_ref().trim();
            if entry.is_empty() {
                continue;
            }
            if matches!(entry, "*" | "true" | "1") {
                vetting.all = true;
            } else if let Ok(network) = entry.parse() {
                vetting.networks.push(network);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                vetting.networks.push(address.into());
            } else if let Some((host, port)) = entry.rsplit_once(':') {
                let port = port
                    .parse()
                    .with_context(|| format!("{entry:?} has no port number"))?;
                vetting.permit(host, port);
            } else {
                anyhow::bail!("{entry:?} is neither a network, an address nor host:port");
            }
        }
        Ok(vetting)
    }

    /// Permits one target of the operator's own, such as the configured Supabase project.
    pub fn permit(&mut self, host: &str, port: u16) {
        self.targets.push((bare(host).to_ascii_lowercase(), port));
    }

    /// Whether a connection for `host` may go to `address`.
    pub fn allows(&self, host: &str, address: SocketAddr) -> bool {
        self.all
            || is_public(address.ip())
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address.ip().to_canonical()))
            || self.targets.iter().any(|(name, port)| {
                name.eq_ignore_ascii_case(bare(host)) && *port == address.port()
            })
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether an address is one of the public internet (IANA's special-purpose registries say which are not).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let global_unicast = segments[0] & 0xe000 == 0x2000;
    let documentation =
        (segments[0] == 0x2001 && segments[1] == 0x0db8) || segments[0] & 0xfff0 == 0x3ff0;
    let protocol_assignments = segments[0] == 0x2001 && segments[1] < 0x0200;
    global_unicast && !documentation && !protocol_assignments
}

/// The IPv4 address inside a mapped, compatible, 6to4 or NAT64 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0xffff | 0, _, _] => Some(low),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, _, _, _, _, _] => Some(low),
        [0x2002, high, middle, ..] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(middle)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.5",
            "198.51.100.7",
            "203.0.113.9",
            "198.18.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "2001::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_operator_may_name_exceptions() {
        let vetting = Vetting::parse(["127.0.0.1", "10.0.0.0/8", "db.local:5432"]).unwrap();
        assert!(vetting.allows("localhost", "127.0.0.1:80".parse().unwrap()));
        assert!(vetting.allows("x", "10.9.9.9:80".parse().unwrap()));
        assert!(vetting.allows("db.local", "192.168.0.9:5432".parse().unwrap()));
        assert!(!vetting.allows("db.local", "192.168.0.9:80".parse().unwrap()));
        assert!(!vetting.allows("other", "192.168.0.9:5432".parse().unwrap()));
        assert!(Vetting::parse(["nonsense"]).is_err());
    }
}
