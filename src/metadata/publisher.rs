//! The latest image, for everybody in the process, and its changes in order.
//!
//! - Reading is one atomic load; an image that was read never changes.
//! - A subscriber sees every change exactly once and in order. One that falls behind gets several
//!   entries as one delta: its queue is the latest image, so it can't grow and never holds up the
//!   quorum.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::metadata::{ImageVersion, MetadataDelta, MetadataImage};

/// Where images are published. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Publisher {
    current: Arc<ArcSwap<MetadataImage>>,
    version: watch::Sender<ImageVersion>,
}

/// One step of a subscription.
#[derive(Clone, Debug)]
pub struct Published {
    /// What is different.
    pub delta: MetadataDelta,
    /// The image after it.
    pub image: Arc<MetadataImage>,
}

/// A reader of changes.
#[derive(Debug)]
pub struct Subscription {
    current: Arc<ArcSwap<MetadataImage>>,
    version: watch::Receiver<ImageVersion>,
    seen: Arc<MetadataImage>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(MetadataImage::default())),
            version: watch::Sender::new(ImageVersion::default()),
        }
    }
}

impl Publisher {
    /// The latest image.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.current.load_full()
    }

    /// The latest image, for a moment on this thread: cheaper than [`Publisher::image`].
    pub fn load(&self) -> arc_swap::Guard<Arc<MetadataImage>> {
        self.current.load()
    }

    /// Publishes the next image. Only the quorum's state machine calls this.
    pub fn publish(&self, image: Arc<MetadataImage>) {
        let version = image.version();
        self.current.store(image);
        self.version.send_replace(version);
    }

    /// Watches the version of the latest image.
    pub fn versions(&self) -> watch::Receiver<ImageVersion> {
        self.version.subscribe()
    }

    /// Waits until the latest image is at `version` or beyond, at most for `patience`. Returns
    /// whether it is.
    pub async fn reached(&self, version: ImageVersion, patience: Duration) -> bool {
        let mut versions = self.version.subscribe();
        let reached = versions.wait_for(|current| *current >= version);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Subscribes to changes, beginning with everything that is there, as one delta from nothing.
    pub fn subscribe(&self) -> Subscription {
        let mut version = self.version.subscribe();
        version.mark_changed();
        Subscription {
            current: self.current.clone(),
            version,
            seen: Arc::default(),
        }
    }
}

impl Subscription {
    /// The next change; `None` once the publisher is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Published> {
        loop {
            self.version.changed().await.ok()?;
            let image = self.current.load_full();
            // The version can be announced once more than there were images to see.
            if Arc::ptr_eq(&image, &self.seen) {
                continue;
            }
            let delta = MetadataDelta::between(&self.seen, &image);
            self.seen = image.clone();
            return Some(Published { delta, image });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::record::{Entry, FEATURE, Record};

    fn next(image: &MetadataImage, record: Record) -> Arc<MetadataImage> {
        let entry = Entry {
            decided_on: image.version().0,
            records: vec![record],
        };
        let outcome = image.apply(&entry);
        assert_eq!(outcome.rejection, None);
        Arc::new(outcome.image)
    }

    fn topic(n: u8) -> Record {
        Record::Topic {
            id: [n; 16],
            name: format!("t{n}"),
        }
    }

    #[tokio::test]
    async fn a_subscriber_sees_what_was_there_and_every_change_in_order() {
        let publisher = Publisher::default();
        let feature = Record::FeatureLevel {
            name: FEATURE.to_owned(),
            level: 1,
        };
        publisher.publish(next(&publisher.image(), feature));
        publisher.publish(next(&publisher.image(), topic(1)));
        let mut subscription = publisher.subscribe();
        let first = subscription.next().await.unwrap();
        assert_eq!(first.delta.topics_created.len(), 1);
        publisher.publish(next(&publisher.image(), topic(2)));
        publisher.publish(next(&publisher.image(), topic(3)));
        let second = subscription.next().await.unwrap();
        assert_eq!(
            second.delta.topics_created.len(),
            2,
            "one delta for what was missed"
        );
        assert_eq!(second.image.version(), ImageVersion(4));
        drop(publisher);
        assert!(subscription.next().await.is_none());
    }

    #[tokio::test]
    async fn waiting_for_a_version_ends_when_it_is_published() {
        let publisher = Publisher::default();
        assert!(
            !publisher
                .reached(ImageVersion(1), Duration::from_millis(1))
                .await
        );
        let waiting = publisher.reached(ImageVersion(1), Duration::from_mins(1));
        let (reached, ()) = tokio::join!(waiting, async {
            publisher.publish(next(&publisher.image(), topic(1)));
        });
        assert!(reached);
    }
}
