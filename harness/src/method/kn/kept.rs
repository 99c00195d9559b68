//! Cache of computed values, limited in size.

use crate::engine::device::Clock;
use lru::LruCache;
use std::hash::Hash;
use std::rc::Rc;
use tch::Device;

/// Values by their keys, with the bytes and the seconds of each. The least recently used
/// make room.
pub(super) struct SizedCache<K: Hash + Eq, V> {
    values: LruCache<K, CacheEntry<V>>,
    bytes: usize,
}

struct CacheEntry<V> {
    value: Rc<V>,
    bytes: usize,
    /// Seconds of computing it without the cache.
    seconds: f64,
}

impl<K: Hash + Eq, V> Default for SizedCache<K, V> {
    fn default() -> Self {
        Self { values: LruCache::unbounded(), bytes: 0 }
    }
}

impl<K: Hash + Eq, V> SizedCache<K, V> {
    /// The value of `key`, and the seconds that knowing has saved. `compute` makes it, on `device`, and
    /// says what it has saved itself; `size` is what it holds. All that is kept takes at most `room`
    /// bytes, or is the last value only.
    pub(super) fn or_compute(
        &mut self,
        key: K,
        (device, room): (Device, usize),
        size: impl Fn(&V) -> usize,
        compute: impl FnOnce() -> (V, f64),
    ) -> (Rc<V>, f64) {
        if let Some(known) = self.values.get(&key) {
            return (Rc::clone(&known.value), known.seconds);
        }
        let clock = Clock::start(device);
        let (value, saved) = compute();
        let (bytes, value) = (size(&value), Rc::new(value));
        let seconds = clock.seconds() + saved;
        while self.bytes + bytes > room
            && let Some((_, least)) = self.values.pop_lru()
        {
            self.bytes -= least.bytes;
        }
        self.bytes += bytes;
        self.values.push(key, CacheEntry { value: Rc::clone(&value), bytes, seconds });
        (value, saved)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::SizedCache;
    use std::cell::Cell;
    use tch::Device;

    /// With room for two: the least recently used one is computed again, and a value larger than all
    /// the room is kept alone.
    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let (made, mut kept) = (Cell::new(0), SizedCache::default());
        let mut ask = |key: u32, bytes: usize| {
            made.set(0);
            let compute = || {
                made.set(1);
                (bytes, 0.5)
            };
            let (value, saved) = kept.or_compute(key, (Device::Cpu, 20), |&bytes| bytes, compute);
            assert_eq!(*value, bytes);
            assert!(saved >= 0.5, "a saving inside counts, known or not");
            made.get() == 1
        };
        assert!(ask(1, 10) && ask(2, 10));
        assert!(!ask(1, 10));
        assert!(ask(3, 10), "2 makes room");
        assert!(!ask(1, 10));
        assert!(ask(2, 10), "3 makes room");
        assert!(ask(4, 50));
        assert!(!ask(4, 50) && ask(1, 10));
        assert_eq!(kept.len(), 1);
    }
}
