//! How sure one may be that a count came of a rate above a threshold.

use std::time::Duration;

/// The windows over which a key's reads are compared with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// The last 0.2 s.
    Fifth,
    /// The last 0.5 s.
    Half,
    /// The last second.
    One,
    /// The last two seconds.
    Two,
}

impl Window {
    /// From the shortest to the longest.
    pub const ALL: [Window; 4] = [Window::Fifth, Window::Half, Window::One, Window::Two];

    /// The word for events and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Window::Fifth => "0.2s",
            Window::Half => "0.5s",
            Window::One => "1s",
            Window::Two => "2s",
        }
    }

    /// Its length.
    pub fn duration(self) -> Duration {
        Duration::from_millis(100) * u32::from(self.slots())
    }

    /// Its length in slices of 100 ms.
    pub(crate) fn slots(self) -> u8 {
        match self {
            Window::Fifth => 2,
            Window::Half => 5,
            Window::One => 10,
            Window::Two => 20,
        }
    }

    /// How many standard deviations above the threshold's count. A window of two seconds may be tried with less, because its count
    /// errs less and because it is what finds keys just above the threshold.
    fn sigmas(self) -> f64 {
        match self {
            Window::Fifth | Window::Half | Window::One => 5.0,
            Window::Two => 2.0,
        }
    }

    pub(crate) fn seconds(self) -> f64 {
        f64::from(self.slots()) / 10.0
    }
}

/// A key below this part of the threshold is never to be promoted...
const WRONG_SHARE: f64 = 0.8;

/// ...and is, by chance, in one of fifty million windows.
const WRONG_SIGMAS: f64 = 5.5;

/// How many standard deviations of a Poisson distribution a count lies above its mean: the signed root of the deviance, which, unlike
/// the distance over the root of the mean, is right for means below ten as well.
pub(crate) fn sigmas(count: f64, mean: f64) -> f64 {
    if count <= mean || mean <= 0.0 {
        return 0.0;
    }
    (2.0 * (count * (count / mean).ln() - (count - mean)).max(0.0)).sqrt()
}

/// A threshold, and what count in each window is above it beyond doubt.
#[derive(Clone, Debug)]
pub(crate) struct Triggers {
    /// Reads per second.
    pub(crate) threshold: f64,
    /// The least exact count in each window of [`Window::ALL`].
    counts: [f64; 4],
}

/// What a window holds of a key: the count, and the variance that sampling added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) count: f64,
    pub(crate) variance: f64,
}

/// A window whose count is above the threshold beyond doubt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fired {
    pub(crate) window: Window,
    pub(crate) count: f64,
    pub(crate) sigmas: f64,
}

impl Triggers {
    pub(crate) fn new(threshold: f64) -> Self {
        let counts = Window::ALL.map(|window| {
            let mean = threshold * window.seconds();
            let (mut low, mut high) = (mean, 2.0 * mean + 200.0);
            for _ in 0..50 {
                let middle = f64::midpoint(low, high);
                if is_beyond_doubt(window, middle, mean, 1.0) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            high
        });
        Triggers { threshold, counts }
    }

    /// The shortest of the windows that is above the threshold.
    pub(crate) fn fired(&self, sums: &[Sum; 4]) -> Option<Fired> {
        let windows = Window::ALL.into_iter().zip(self.counts).zip(sums);
        for ((window, least), sum) in windows {
            // What sampling adds only makes a count less sure, so most are refused by one comparison.
            if sum.count < least {
                continue;
            }
            let mean = self.threshold * window.seconds();
            let overdispersion = 1.0 + sum.variance / sum.count;
            if sum.variance == 0.0 || is_beyond_doubt(window, sum.count, mean, overdispersion) {
                return Some(Fired {
                    window,
                    count: sum.count,
                    sigmas: sigmas(sum.count / overdispersion, mean / overdispersion),
                });
            }
        }
        None
    }
}

/// Whether a window's sum is above a threshold in reads per second, beyond doubt.
pub(crate) fn is_above(window: Window, sum: Sum, threshold: f64) -> bool {
    let mean = threshold * window.seconds();
    sum.count > mean && is_beyond_doubt(window, sum.count, mean, 1.0 + sum.variance / sum.count)
}

/// A count whose variance is `overdispersion` times its mean errs as one that is so many times smaller.
fn is_beyond_doubt(window: Window, count: f64, mean: f64, overdispersion: f64) -> bool {
    let (count, mean) = (count / overdispersion, mean / overdispersion);
    sigmas(count, mean) >= window.sigmas() && sigmas(count, mean * WRONG_SHARE) >= WRONG_SIGMAS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(counts: [f64; 4]) -> [Sum; 4] {
        counts.map(|count| Sum {
            count,
            variance: 0.0,
        })
    }

    /// The chance of at least so many, summed up.
    fn tail(mean: f64, least: u32) -> f64 {
        let (mut term, mut below) = ((-mean).exp(), 0.0);
        for count in 0..least {
            below += term;
            term *= mean / f64::from(count + 1);
        }
        (1.0 - below).max(term)
    }

    #[test]
    fn the_bounds_are_those_of_the_distribution() {
        for (mean, count) in [(0.5, 8), (3.0, 15), (10.0, 28), (40.0, 74)] {
            let claimed = sigmas(f64::from(count), mean);
            let chance = tail(mean, count);
            // The upper tail of a normal distribution, to a few per cent at four to seven deviations.
            let normal = (-claimed * claimed / 2.0).exp() / (claimed * 2.5066)
                * (1.0 - 1.0 / (claimed * claimed));
            assert!(
                chance > normal / 3.0 && chance < normal * 3.0,
                "{mean} {count}: {chance} {normal}"
            );
        }
        assert_eq!((sigmas(3.0, 3.0), sigmas(1.0, 3.0)), (0.0, 0.0));
    }

    #[test]
    fn a_count_fires_when_it_is_beyond_doubt_and_not_before() {
        let triggers = Triggers::new(1000.0);
        assert_eq!(triggers.fired(&exact([200.0, 500.0, 1000.0, 2000.0])), None);
        let fired = triggers
            .fired(&exact([300.0, 500.0, 1000.0, 2000.0]))
            .unwrap();
        assert_eq!((fired.window, fired.count), (Window::Fifth, 300.0));
        assert!(fired.sigmas > 5.0);
        let slow = triggers
            .fired(&exact([220.0, 550.0, 1100.0, 2110.0]))
            .unwrap();
        assert_eq!(slow.window, Window::Two);
        assert!((2.0..3.0).contains(&slow.sigmas), "{}", slow.sigmas);
    }

    #[test]
    fn what_sampling_adds_makes_a_count_less_sure() {
        let triggers = Triggers::new(1000.0);
        let sampled = |unit: f64| {
            let sum = Sum {
                count: 4096.0,
                variance: 4096.0 * unit,
            };
            triggers.fired(&[sum; 4]).is_some()
        };
        assert!(sampled(4.0), "a thousand sampled reads");
        assert!(!sampled(4096.0), "one sampled read that stands for 4096");
        let low = Triggers::new(10.0);
        let one = Sum {
            count: 65_536.0,
            variance: 65_536.0_f64.powi(2),
        };
        assert_eq!(low.fired(&[one; 4]), None, "however low the threshold");
    }

    #[test]
    fn a_low_threshold_is_as_safe_as_a_high_one() {
        for threshold in [100.0, 200.0, 300.0] {
            let triggers = Triggers::new(threshold);
            for (window, least) in Window::ALL.into_iter().zip(triggers.counts) {
                let mean = 0.8 * threshold * window.seconds();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small counts"
                )]
                let chance = tail(mean, least.ceil() as u32);
                assert!(chance < 5e-8, "{threshold} {}: {chance}", window.as_str());
            }
        }
    }
}
