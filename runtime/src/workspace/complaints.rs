//! Says the same thing to the log once in a while instead of each time.

use std::time::Duration;

use tokio::time::Instant;

/// Remembers what was last said.
#[derive(Debug)]
pub struct Complaints {
    again_after: Duration,
    last: Option<(String, Instant)>,
}

impl Complaints {
    /// The same text is news again after this long.
    pub fn new(again_after: Duration) -> Self {
        Self { again_after, last: None }
    }

    /// Whether to say it.
    pub fn is_news(&mut self, text: &str) -> bool {
        let now = Instant::now();
        let said = |(last, at): &(String, Instant)| last == text && now - *at < self.again_after;
        if self.last.as_ref().is_some_and(said) {
            return false;
        }
        self.last = Some((text.to_owned(), now));
        true
    }

    /// All is well; the next complaint is news.
    pub fn clear(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_complaint_is_news_once_in_a_while() {
        let mut complaints = Complaints::new(Duration::from_secs(60));
        let mut news = |text: &str| complaints.is_news(text);
        assert_eq!([news("a"), news("a"), news("b"), news("a")], [true, false, true, true]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(news("a"));
        complaints.clear();
        assert!(complaints.is_news("a"));
    }
}
