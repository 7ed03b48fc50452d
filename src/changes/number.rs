//! The search for the largest number that fits.

use std::iter::successors;

/// Below the requested number, and above the number found, this many are tried one by one: whether
/// a number fits may depend on its remainders, and those repeat within a few numbers.
pub(super) const NEAR: u64 = 8;

/// The largest number found to fit, from 1 to below `asked`.
///
/// The numbers that fit are taken to be one interval with a few gaps. It need not begin at 1: a VM
/// whose memory needs two nodes does not fit with one guest core. The numbers directly below
/// `asked` are tried first, then numbers 16, 32, 64, … below it. If none of these fits, the
/// interval is far below or small, and 1, 2, 4, … are tried. The first that fits and the lowest
/// above it that was tried and does not are the ends of a bisection; at last, a few numbers above
/// its result are tried.
///
/// A number returned fits. It is the largest one if `asked` is at most `NEAR` above it, or if the
/// numbers that fit are one interval that contains a number tried before the bisection. At most 2 x
/// `NEAR` + 3 x log2(`asked`) numbers are tried.
pub(super) fn largest_below(asked: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let lowest_near = asked.saturating_sub(NEAR).max(1);
    let near = (lowest_near..asked).rev().find(|n| fits(*n));
    if near.is_some() || lowest_near == 1 {
        return near;
    }
    let doubled = |n: &u64| n.checked_mul(2);
    let gaps = || successors(Some(2 * NEAR), doubled).take_while(|gap| *gap < asked);
    let down = || gaps().map(|gap| asked - gap);
    let up = successors(Some(1), doubled).take_while(|n| *n < lowest_near);
    let mut good = down().chain(up).find(|n| fits(*n))?;
    let mut bad = down().take_while(|n| *n > good).last().unwrap_or(lowest_near);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    let above = bad + 1..asked.min(good.saturating_add(NEAR));
    Some(above.rev().find(|n| fits(*n)).unwrap_or(good))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What is found, and the number of numbers tried.
    fn found(asked: u64, fits: impl Fn(u64) -> bool) -> (Option<u64>, u32) {
        let tried = Cell::new(0);
        let found = largest_below(asked, |n| {
            assert!(0 < n && n < asked, "{n} of {asked}");
            tried.set(tried.get() + 1);
            fits(n)
        });
        (found, tried.get())
    }

    #[test]
    fn every_interval_that_holds_a_number_tried_is_found_to_its_end() {
        for asked in 0..80_u64 {
            for low in 1..asked {
                for high in low..asked {
                    let (found, _) = found(asked, |n| (low..=high).contains(&n));
                    let powers = (0..7).map(|k| 1_u64 << k);
                    let mut tried = powers.flat_map(|n| [Some(n), asked.checked_sub(n)]).flatten();
                    let must = asked - high <= NEAR || tried.any(|n| (low..=high).contains(&n));
                    assert!(found == Some(high) || (!must && found.is_none()), "{low}-{high}");
                }
            }
        }
        // The bisection meets the gap at 50 and ends at 49; the last step looks beyond it.
        assert_eq!(found(64, |n| n <= 51 && n != 50).0, Some(51));
        // The numbers that fit are not an interval: the one found fits, but is not the largest, 47.
        assert_eq!(found(64, |n| n % 5 == 2 && n < 50).0, Some(37));
        assert_eq!(found(u64::MAX, |_| false).0, None);
    }

    #[test]
    fn few_numbers_are_tried() {
        for asked in [1, 2, 48, 4096, 1 << 26, u64::MAX] {
            for highest in [0, 1, 3, 47, 1000, asked / 3, asked / 2, asked - 1] {
                let (_, tried) = found(asked, |n| n <= highest);
                let bound = 2 * NEAR + 3 * u64::from(asked.ilog2());
                assert!(u64::from(tried) <= bound, "{tried} tried below {asked}, for {highest}");
            }
        }
    }
}
