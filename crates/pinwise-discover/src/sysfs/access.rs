//! Access control services (ACS) from a port's configuration space.

use pinwise::host::Acs;

/// The size of PCIe's configuration space; only root sees more than its first 64 bytes.
pub(super) const CONFIG_BYTES: u16 = 4096;
/// The offset of the extended capabilities.
const EXTENDED: usize = 0x100;
/// The id of the capability, as the PCIe specification numbers them.
const ACS: u32 = 0x000d;
/// A capability takes at least eight bytes, so a longer list is a circle.
const MAX_CAPABILITIES: usize = (CONFIG_BYTES as usize - EXTENDED) / 8;

/// `None` if the extended capabilities are not shown, the device does not answer, or their list is
/// broken; all controls off if the list has no ACS.
pub(super) fn parse(config: &[u8]) -> Option<Acs> {
    let word = |at: usize| {
        let bytes = config.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if config.len() != usize::from(CONFIG_BYTES) {
        return None;
    }
    let mut at = EXTENDED;
    for _ in 0..MAX_CAPABILITIES {
        // The id is in the low half, the offset of the next one in the highest twelve bits.
        let header = word(at).filter(|header| *header != u32::MAX)?;
        if header & 0xffff == ACS {
            // Below the header: supported controls in the low half, enabled ones in the high half.
            let on = |bit: u32| word(at + 4).map(|word| word & (1 << (16 + bit)) != 0);
            return Some(Acs {
                request_redirect: on(2)?,
                completion_redirect: on(3)?,
                upstream_forwarding: on(4)?,
                direct_translated: on(6)?,
            });
        }
        at = (header >> 20) as usize & !3;
        if at == 0 {
            return Some(Acs::default());
        }
        if at < EXTENDED {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up configuration space with these words.
    fn config(words: &[(usize, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(CONFIG_BYTES)];
        for (at, word) in words {
            bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_controls_that_are_on_are_read_behind_other_capabilities() {
        let first = (0x100, 0x1481_0001);
        let acs = |word: u32| parse(&config(&[first, (0x148, 0x0001_000d), (0x14c, word)]));
        assert_eq!(acs(0x0000_005f), Some(Acs::default()), "able, not on");
        let names = |acs: Acs| {
            let Acs {
                request_redirect,
                completion_redirect,
                upstream_forwarding,
                direct_translated,
            } = acs;
            [request_redirect, completion_redirect, upstream_forwarding, direct_translated]
        };
        for (bit, expected) in [
            (2, [true, false, false, false]),
            (3, [false, true, false, false]),
            (4, [false, false, true, false]),
            (6, [false, false, false, true]),
            (5, [false; 4]),
        ] {
            assert_eq!(names(acs(1 << (16 + bit)).unwrap()), expected, "{bit}");
        }
    }

    #[test]
    fn what_is_not_shown_is_not_known() {
        assert_eq!(parse(&config(&[])), Some(Acs::default()), "none at all");
        assert_eq!(parse(&config(&[(0x100, 0x0001_0001)])), Some(Acs::default()));
        let whole = config(&[(0x100, 0x0001_000d), (0x104, u32::MAX)]);
        assert!(parse(&whole).unwrap().request_redirect);
        for cut in [0, 64, 256, 4095] {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(parse(&[0xff; CONFIG_BYTES as usize]), None, "no answer");
        assert_eq!(parse(&config(&[(0x100, 0x1001_0001)])), None, "a circle");
        assert_eq!(parse(&config(&[(0x100, 0x0401_0001)])), None, "outside");
        let last = config(&[(0x100, 0xffc1_0001), (0xffc, 0x0001_000d)]);
        assert_eq!(parse(&last), None, "cut off");
    }
}
