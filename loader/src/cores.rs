//! The same work for many items, on all cores where there are many.

use std::{num::NonZero, thread};

/// Fewer items are done before other threads would have started.
const MANY: usize = 100;
/// More threads than this wait for the disk and for each other.
const THREADS: usize = 4;

/// What `work` makes of each of `items`, in their order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    let some = |part: &[T]| part.iter().map(&work).collect::<Vec<R>>();
    if items.len() < MANY || cores < 2 {
        return some(items);
    }
    let share = items.len().div_ceil(cores);
    thread::scope(|scope| {
        let some = &some;
        let parts: Vec<_> =
            items.chunks(share).map(|part| (part, scope.spawn(move || some(part)))).collect();
        // A panic would be met again here, where it is seen.
        parts
            .into_iter()
            .flat_map(|(part, done)| done.join().unwrap_or_else(|_| some(part)))
            .collect()
    })
}
