//! Limits on rates: token buckets, alone and in tables of bounded size.
//!
//! A bucket holds `burst` tokens and is filled with `per_second` of them a second; each thing costs
//! one. It is kept as one moment (the one at which it will be full again), so that it costs eight
//! bytes and nothing while nobody asks. It knows no clock: callers say what time it is.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Tick;

/// Parts of a table, each under its own lock.
const SHARDS: usize = 16;
/// Buckets in one part; more are forgotten, the full ones first.
const SHARD_BUCKETS_MAX: usize = 8_192;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Times a second in the long run; 0 for as often as anybody likes.
    pub per_second: u32,
    /// Times at once.
    pub burst: u32,
}

impl Rate {
    /// As often as anybody likes.
    pub const UNLIMITED: Self = Self { per_second: 0, burst: 0 };

    /// A rate.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// What one costs, in microseconds of filling.
    fn cost_micros(self) -> u64 {
        1_000_000 / u64::from(self.per_second.max(1))
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.per_second, self.burst)
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `50/200` for 50 a second and 200 at once; `0` for no limit.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::UNLIMITED);
        }
        let rate = text.split_once('/').and_then(|(per_second, burst)| {
            Some(Self::new(per_second.trim().parse().ok()?, burst.trim().parse().ok()?))
        });
        let rate = rate.filter(|rate| {
            *rate == Self::UNLIMITED
                || (rate.burst > 0 && (1..=1_000_000).contains(&rate.per_second))
        });
        rate.ok_or_else(|| {
            "write a rate as PER-SECOND/AT-ONCE, such as 50/200 (at most 1000000 a second), or 0 for \
             no limit"
                .into()
        })
    }
}

/// One bucket, full at first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When it will be full, in microseconds of steady time.
    full_at: u64,
}

impl Bucket {
    /// Takes `count` tokens, or says how long it takes until they are there. Nothing is taken then.
    /// More than the bucket holds are taken from a full one, which then owes the rest: refused for
    /// ever, whoever comes with so many would come again and again.
    ///
    /// # Errors
    ///
    /// The time to wait.
    pub fn take(&mut self, rate: Rate, count: u32, now: Tick) -> Result<(), Duration> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let (now, cost) = (now.0.saturating_mul(1_000), rate.cost_micros());
        let with =
            |count: u32| self.full_at.max(now).saturating_add(cost.saturating_mul(count.into()));
        let empty_at = now.saturating_add(cost.saturating_mul(rate.burst.into()));
        let wanted = with(count.min(rate.burst));
        if wanted <= empty_at {
            self.full_at = with(count);
            return Ok(());
        }
        Err(Duration::from_micros(wanted - empty_at))
    }

    fn has_one(mut self, rate: Rate, now: Tick) -> bool {
        self.take(rate, 1, now).is_ok()
    }

    fn is_full(&self, now: Tick) -> bool {
        self.full_at <= now.0.saturating_mul(1_000)
    }
}

/// A bucket for each of many keys, of which only so many are remembered.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    shards: Vec<Mutex<HashMap<K, Bucket>>>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// All full.
    pub fn new(rate: Rate) -> Self {
        Self { rate, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Takes `count` tokens of that key; see [`Bucket::take`].
    ///
    /// # Errors
    ///
    /// The time to wait.
    pub fn take(&self, key: K, count: u32, now: Tick) -> Result<(), Duration> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let mut buckets = self.shard_of(&key);
        if buckets.len() >= SHARD_BUCKETS_MAX && !buckets.contains_key(&key) {
            // A full bucket is like one that was never there.
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= SHARD_BUCKETS_MAX {
                // So many at once are an attack from everywhere: memory comes first.
                buckets.clear();
            }
        }
        buckets.entry(key).or_default().take(self.rate, count, now)
    }

    /// True where [`Buckets::take`] would give one token of that key; none is taken.
    pub fn has_one(&self, key: &K, now: Tick) -> bool {
        self.rate.per_second == 0
            || self.shard_of(key).get(key).is_none_or(|bucket| bucket.has_one(self.rate, now))
    }

    fn shard_of(&self, key: &K) -> MutexGuard<'_, HashMap<K, Bucket>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let shard = &self.shards[hasher.finish() as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (rate, mut bucket) = (Rate::new(10, 3), Bucket::default());
        let at = |millis: u64| Tick(1_000_000 + millis);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 1, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(rate, 1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(rate, 1, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(rate, 1, at(100)), Ok(()));
        assert_eq!(bucket.take(rate, 2, at(200)), Err(Duration::from_millis(100)), "nothing taken");
        assert_eq!(bucket.take(rate, 1, at(200)), Ok(()));
        assert_eq!(bucket.take(rate, 3, at(10_000)), Ok(()), "full again, and no fuller");
        assert!(bucket.take(rate, 1, at(10_000)).is_err());
        assert!(bucket.take(rate, 4, at(10_200)).is_err(), "not full");
        assert_eq!(bucket.take(rate, 6, at(90_000)), Ok(()), "more than it ever holds");
        assert_eq!(bucket.take(rate, 1, at(90_300)), Err(Duration::from_millis(100)), "paid off");
        assert_eq!(bucket.take(rate, 1, at(90_400)), Ok(()));
        assert_eq!(bucket.take(Rate::UNLIMITED, 1_000_000, at(0)), Ok(()));
    }

    #[test]
    fn a_table_is_bounded_and_forgets_the_full_first() {
        let buckets = Buckets::new(Rate::new(1, 1));
        let max = SHARDS * SHARD_BUCKETS_MAX;
        for key in 0..2 * max {
            assert_eq!(buckets.take(key, 1, Tick(key as u64 / 100)), Ok(()));
            assert!(buckets.len() <= max);
        }
        let now = Tick(2 * max as u64 / 100);
        assert!(!buckets.has_one(&(2 * max - 1), now), "known still");
        assert!(buckets.take(2 * max - 1, 1, now).is_err());
        assert!(buckets.has_one(&(2 * max), now), "never asked for");
        assert_eq!(buckets.take(2 * max, 1, now), Ok(()), "looking takes nothing");
    }

    #[test]
    fn rates_are_read_and_written_alike() {
        for text in ["50/200", "1/1", "0/0"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("0".parse(), Ok(Rate::UNLIMITED));
        for text in ["", "5", "5/0", "0/5", "-1/5", "5/5/5", "2000000/1", "a/b"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
