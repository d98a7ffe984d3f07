//! The slot of a key in a Redis Cluster.

pub(crate) const SLOTS: u16 = 16_384;

/// CRC16 (XMODEM) of the key modulo 16,384; of the part in the first braces only, if there is one (a hash tag).
///
/// An id may hold braces. That is harmless: its slot follows from the braces' content, and both we and Redis know it.
pub(crate) fn of(key: &[u8]) -> u16 {
    crc16(tag(key).unwrap_or(key)) % SLOTS
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&byte| byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let carry = crc & 0x8000 != 0;
            (crc << 1) ^ if carry { 0x1021 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use redis::cluster_routing::Slot;

    #[test]
    fn slots_agree_with_the_clients_own() {
        let keys = [
            "",
            "foo",
            "123456789",
            "hs:0000000000000001:0badcafe:products/locale=de/A-1",
            "a{b}c",
            "a{}c",
            "a{b",
            "{a}{b}",
            "блок {7}",
        ];
        for key in keys {
            assert_eq!(
                Slot::new(super::of(key.as_bytes())),
                Some(Slot::for_key(key)),
                "{key}"
            );
        }
    }
}
