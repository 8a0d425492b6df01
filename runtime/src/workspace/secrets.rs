//! The values of a `set-config` as they come, and the newest ones while they wait.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::{VALUE_BYTES, VALUES, VALUES_BYTES};

/// Characters of a key that a problem shows. Keys come from the other side.
const SHOWN_KEY: usize = 64;

/// Values by field, plain or sealed: JSON text as it came, because a value that was parsed takes up
/// many times as much. There is a limit to what is kept; what is past it is dropped as it is read.
///
/// It is read of text, not of a [`serde_json::Value`]. Debug output shows no values.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, Box<RawValue>>,
    problems: Vec<String>,
}

impl Secrets {
    /// The values that were kept.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), &**value))
    }

    /// One line for what was dropped: which and why, never what.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// How many were kept.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fields", self.len())
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secrets, A::Error> {
        let (mut read, mut seen, mut bytes, mut more) = (Secrets::default(), 0, 0, 0);
        while let Some(key) = map.next_key::<String>()? {
            // Of a field that comes twice, the last value counts, as in any JSON.
            let former = read.values.remove(&key);
            bytes -= former.as_ref().map_or(0, |value| size(&key, value));
            if former.is_none() && seen == VALUES {
                map.next_value::<IgnoredAny>()?;
                more += 1;
                continue;
            }
            seen += usize::from(former.is_none());
            let value = map.next_value::<&RawValue>()?;
            let size = size(&key, value);
            if let Some(problem) = too_large(size, bytes) {
                read.problems.push(tell(&key, problem));
                continue;
            }
            bytes += size;
            read.values.insert(key, value.to_owned());
        }
        if more > 0 {
            let problem = format!("more than {VALUES} values came; {more} were dropped");
            read.problems.push(problem);
        }
        Ok(read)
    }
}

fn size(key: &str, value: &RawValue) -> usize {
    key.len() + value.get().len()
}

fn too_large(size: usize, before: usize) -> Option<String> {
    let (which, limit) = match size {
        _ if size > VALUE_BYTES => ("one value", VALUE_BYTES),
        _ if before + size > VALUES_BYTES => ("all values together", VALUES_BYTES),
        _ => return None,
    };
    Some(format!(
        "was dropped: it has {size} bytes, and {which} may have {limit}; enter a shorter value"
    ))
}

/// What is wrong with the value of a field.
pub(super) fn tell(key: &str, problem: impl fmt::Display) -> String {
    let shown: String = key.chars().take(SHOWN_KEY).collect();
    let more = if shown.len() < key.len() { "…" } else { "" };
    format!("field {shown:?}{more} {problem}")
}

/// A `set-config` that waits. A newer one takes its place, so that never more than one waits, however
/// many come.
#[derive(Clone, Debug)]
pub struct SetConfig(Arc<Mutex<Option<Secrets>>>);

impl SetConfig {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self(Arc::new(Mutex::new(Some(secrets))))
    }

    /// Ends the waiting: the newest values that came. None where they were taken already.
    pub fn take(&self) -> Option<Secrets> {
        self.0.lock().take()
    }

    /// Puts newer values in the place of those that wait. False where none do.
    pub(super) fn replace(&self, newer: &Self) -> bool {
        let mut waiting = self.0.lock();
        if waiting.is_some() {
            *waiting = newer.take();
        }
        waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(String, String)]) -> Secrets {
        let pairs = values.iter().map(|(key, value)| format!("{key:?}:{value}"));
        let text = format!("{{{}}}", pairs.collect::<Vec<_>>().join(","));
        serde_json::from_str(&text).expect("values")
    }

    fn text(bytes: usize) -> String {
        format!("{:?}", "s".repeat(bytes - 2))
    }

    #[test]
    fn a_flood_of_values_is_cut_and_told() {
        let values: Vec<_> = (0..VALUES + 3).map(|n| (format!("{n:04}"), "[0]".into())).collect();
        let secrets = read(&values);
        assert_eq!(secrets.len(), VALUES);
        assert_eq!(secrets.problems(), ["more than 256 values came; 3 were dropped"]);
        let last = secrets.iter().last().map(|(key, value)| (key, value.get()));
        assert_eq!(last, Some(("0255", "[0]")));
    }

    #[test]
    fn a_value_past_a_limit_is_dropped_and_told_and_the_others_are_kept() {
        let fits = ("a".to_owned(), text(VALUE_BYTES - 1));
        let too_long = ("b".to_owned(), format!("[{}0]", "0,".repeat(VALUE_BYTES)));
        let secrets = read(&[fits.clone(), too_long, ("c".into(), "1".into())]);
        assert_eq!(secrets.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "c"]);
        let [problem] = secrets.problems() else { panic!("{:?}", secrets.problems()) };
        let told = "field \"b\" was dropped: it has 2097156 bytes, and one value may have 1048576; \
                    enter a shorter value";
        assert_eq!(problem, told);

        let many: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| (key.into(), fits.1.clone())).into();
        let secrets = read(&many);
        assert_eq!(secrets.len(), VALUES_BYTES / VALUE_BYTES);
        let [problem] = secrets.problems() else { panic!("{:?}", secrets.problems()) };
        assert!(problem.contains("all values together may have 4194304"), "{problem}");
        assert!(!problem.contains("ss"), "values are never told");
    }

    #[test]
    fn of_a_field_that_comes_again_and_again_the_last_value_counts_once() {
        let mut values = vec![("a".to_owned(), text(VALUE_BYTES / 2)); 20];
        values.push(("a".into(), "1".into()));
        let secrets = read(&values);
        assert_eq!(secrets.iter().map(|(_, value)| value.get()).collect::<Vec<_>>(), ["1"]);
        assert_eq!(secrets.problems(), [""; 0]);
    }

    #[test]
    fn only_the_newest_waits() {
        let config = |key: &str| SetConfig::new(read(&[(key.into(), "1".into())]));
        let waiting = config("older");
        assert!(waiting.replace(&config("newer")));
        let taken = waiting.take().expect("values");
        assert_eq!(taken.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["newer"]);
        assert!(waiting.take().is_none() && !waiting.replace(&config("newest")));
    }
}
