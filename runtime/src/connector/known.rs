//! What the connectors of one process have in common: the same component is in memory once.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::bindings::ConnectorPre;
use super::code::cache::Name;
use super::load::Schemas;
use super::sandbox::State;
use crate::manifest::Manifest;

/// A table of what is in use. It keeps nothing alive.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Name, Entry>>);

struct Entry {
    pre: Weak<ConnectorPre<State>>,
    said: Option<(Weak<Manifest>, Weak<Schemas>)>,
}

impl Known {
    /// The component's code, where a connector has it.
    pub(super) fn code(&self, name: &Name) -> Option<Arc<ConnectorPre<State>>> {
        self.0.lock().get(name)?.pre.upgrade()
    }

    /// Tells of code. Where another was quicker, its code is the one to use.
    pub(super) fn add(&self, name: &Name, pre: ConnectorPre<State>) -> Arc<ConnectorPre<State>> {
        let mut known = self.0.lock();
        known.retain(|_, entry| entry.pre.strong_count() > 0);
        if let Some(first) = known.get(name).and_then(|entry| entry.pre.upgrade()) {
            return first;
        }
        let pre = Arc::new(pre);
        let entry = Entry { pre: Arc::downgrade(&pre), said: None };
        known.insert(name.clone(), entry);
        pre
    }

    /// What another connector of the component has said of itself, if it is the same.
    pub(super) fn said(
        &self,
        name: &Name,
        manifest: &Manifest,
    ) -> Option<(Arc<Manifest>, Arc<Schemas>)> {
        let known = self.0.lock();
        let (other, schemas) = known.get(name)?.said.as_ref()?;
        let other = other.upgrade().filter(|other| **other == *manifest)?;
        Some((other, schemas.upgrade()?))
    }

    /// Tells what a connector has said of itself.
    pub(super) fn add_said(&self, name: &Name, manifest: &Arc<Manifest>, schemas: &Arc<Schemas>) {
        if let Some(entry) = self.0.lock().get_mut(name) {
            entry.said = Some((Arc::downgrade(manifest), Arc::downgrade(schemas)));
        }
    }
}
