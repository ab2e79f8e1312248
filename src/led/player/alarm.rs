//! One task on a thread that sleeps until the task's next time.
//!
//! A runtime's timers are sorted into ever finer slots as they come near, and its thread wakes for
//! each: for a flash in three seconds, twice as often as for the flash alone.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use tokio::time::Instant;

/// Wakes one task when its time has come.
#[derive(Debug, Default)]
pub(super) struct Alarm(Cell<Option<Instant>>);

impl Alarm {
    /// Waits until `at`, in a task that [`block_on`](Self::block_on) runs.
    pub(super) fn ring(&self, at: Instant) -> impl Future<Output = ()> {
        std::future::poll_fn(move |_| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            self.0.set(Some(at));
            Poll::Pending
        })
    }

    /// Runs a task to its end. It may wait for anything that needs no runtime, and for the alarm.
    pub(super) fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        let waker = Arc::new(Sleeper(thread::current())).into();
        loop {
            if let Poll::Ready(value) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            match self.0.take() {
                Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
    }
}

/// The thread to wake.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn it_rings_no_earlier_than_it_is_set() {
        let (alarm, at) = (Alarm::default(), Instant::now() + Duration::from_millis(20));
        alarm.block_on(alarm.ring(at));
        assert!(Instant::now() >= at);
    }

    #[test]
    fn what_comes_from_another_thread_is_not_waited_for_longer() {
        let (alarm, far) = (Alarm::default(), Instant::now() + Duration::from_secs(3600));
        let (sender, mut receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        let got = alarm.block_on(async {
            tokio::select! {
                () = alarm.ring(far) => None,
                got = &mut receiver => got.ok(),
            }
        });
        assert_eq!(got, Some(7));
        other.join().unwrap().unwrap();
    }
}
