//! Values at places of 32 bits, shared by counting: half the size of a pointer, and the count beside the value.

/// Values at places; a place is given anew once nobody uses it.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The place that came free last, from where the others hang; one past the end when there is none.
    free: u32,
    used: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Used { value: T, uses: u32 },
    Free { next: u32 },
}

/// No place.
const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, used: 0 }
    }
}

impl<T> Slab<T> {
    /// Keeps a value for one user.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.used = self.used.saturating_add(1);
        let slot = Slot::Used { value, uses: 1 };
        let place = self.free;
        match self.slots.get_mut(place as usize) {
            Some(known) => {
                self.free = match known {
                    Slot::Free { next } => *next,
                    Slot::Used { .. } => NONE,
                };
                *known = slot;
                place
            }
            None => {
                let place = u32::try_from(self.slots.len()).ok().filter(|place| *place < NONE >> 1);
                self.slots.push(slot);
                place.expect("an index has fewer records than 31 bits count")
            }
        }
    }

    /// One user more.
    pub(super) fn share(&mut self, place: u32) {
        if let Some(Slot::Used { uses, .. }) = self.slots.get_mut(place as usize) {
            *uses = uses.saturating_add(1);
        }
    }

    /// One user less; the last one takes the value with it.
    pub(super) fn release(&mut self, place: u32) {
        let Some(slot) = self.slots.get_mut(place as usize) else { return };
        match slot {
            Slot::Used { uses, .. } if *uses > 1 => *uses = uses.saturating_sub(1),
            Slot::Used { .. } => {
                *slot = Slot::Free { next: self.free };
                self.free = place;
                self.used = self.used.saturating_sub(1);
            }
            Slot::Free { .. } => {}
        }
        if self.used == 0 {
            *self = Self::default();
        }
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        match self.slots.get(place as usize)? {
            Slot::Used { value, .. } => Some(value),
            Slot::Free { .. } => None,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_as_long_as_its_users_and_places_are_given_anew() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        slab.share(a);
        slab.release(a);
        assert_eq!((slab.get(a), slab.get(b), slab.len()), (Some(&"a"), Some(&"b"), 2));
        slab.release(a);
        assert_eq!((slab.get(a), slab.len()), (None, 1));
        slab.release(a);
        let c = slab.insert("c");
        assert_eq!((c, slab.insert("d")), (a, 2));
        for place in [b, c, 2] {
            slab.release(place);
        }
        assert!(slab.slots.is_empty(), "an empty one holds no memory");
    }

    #[test]
    fn a_slot_costs_no_more_than_its_value_and_a_count() {
        assert_eq!(size_of::<Slot<std::sync::Arc<str>>>(), 24);
        assert_eq!(size_of::<Slot<std::sync::Arc<u8>>>(), 16);
    }
}
