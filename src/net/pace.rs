//! Whether an incomplete frame still comes in.
//!
//! - What a frame announces counts against the bytes in flight from its first four bytes on. A sender that stops there
//!   would hold that share for as long as its connection lives, and others wait for it.
//! - Time is counted only while bytes are asked for: who waits for room of ours has stalled nothing.
//! - A frame may be slow. In each window it has to bring a small frame's worth, or its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::buffer::SMALL;

/// The pace of one connection's frames.
#[derive(Debug)]
pub(crate) struct Pace {
    within: Duration,
    /// Since when, and from how many bytes on.
    window: Option<(Instant, usize)>,
    /// May be set for an earlier window; one that is early is set anew, which is rarer than a frame.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// A window is as long as `within`.
    pub(crate) fn new(within: Duration) -> Self {
        Self {
            within,
            window: None,
            timer: None,
        }
    }

    /// No frame is awaited, or another one than before.
    pub(crate) fn rest(&mut self) {
        self.window = None;
    }

    /// Ready once the frame of which `received` bytes are here has brought too little for too long.
    pub(crate) fn poll_stalled(&mut self, received: usize, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let begin = || (Instant::now(), received);
            let (since, before) = *self.window.get_or_insert_with(begin);
            let due = since + self.within;
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < due {
                timer.as_mut().reset(due);
                continue;
            }
            if received.saturating_sub(before) < SMALL {
                return Poll::Ready(());
            }
            self.window = Some((now, received));
            timer.as_mut().reset(now + self.within);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn slow_is_not_stalled_and_each_frame_has_its_time() {
        const WITHIN: Duration = Duration::from_millis(100);
        let mut pace = Pace::new(WITHIN);
        let mut is_stalled = |received: Option<usize>| {
            let mut cx = Context::from_waker(Waker::noop());
            let Some(received) = received else {
                pace.rest();
                return false;
            };
            pace.poll_stalled(received, &mut cx).is_ready()
        };
        assert!(!is_stalled(Some(4)));
        tokio::time::sleep(2 * WITHIN).await;
        assert!(!is_stalled(Some(4 + SMALL)), "it brought enough");
        tokio::time::sleep(2 * WITHIN).await;
        assert!(is_stalled(Some(4 + SMALL + 1)), "one byte is not enough");
        assert!(!is_stalled(None));
        assert!(!is_stalled(Some(4)), "another frame");
    }
}
