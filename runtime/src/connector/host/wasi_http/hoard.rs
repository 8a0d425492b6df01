//! What the host holds behind the `wasi:http` handles of a guest: each is bounded, and so are all
//! together, because a guest may keep thousands.

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p2::types::{
    HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};

/// Calls of `wasi:http` between two looks. In so many a guest adds a few MiB at most.
const CALLS: u32 = 64;

/// Bytes of all header fields: twice as many of the largest as there can be requests on the wire.
const FIELDS: usize = 16 << 20;

/// Bytes that are passed on at once of a body that a guest writes. The host holds up to three such
/// pieces of a body until somebody reads it …
const PIECE: usize = 64 << 10;

/// … and of one beyond so many bodies, far more than can be on the wire, much smaller ones.
const BODIES: usize = 128;
const SMALL_PIECE: usize = 1 << 10;

/// Looks after what a guest keeps.
#[derive(Default)]
pub struct Hoard {
    calls: u32,
    bodies: usize,
}

impl Hoard {
    /// Looks through the table now and then. Where there is too much, every header field goes.
    pub fn look(&mut self, table: &mut ResourceTable) -> Option<Verdict> {
        self.calls += 1;
        if self.calls < CALLS {
            return None;
        }
        self.calls = 0;
        let (mut bytes, mut bodies) = (0, 0);
        for entry in table.iter_mut() {
            bodies += usize::from(entry.is::<HostOutgoingBody>());
            bytes += fields(entry).map_or(0, |fields| size(fields));
        }
        self.bodies = bodies;
        if bytes <= FIELDS {
            return Some(Verdict::Fine);
        }
        for fields in table.iter_mut().filter_map(fields) {
            *fields = FieldMap::new_mutable(0);
        }
        Some(Verdict::TooMuch)
    }

    /// Bytes of a piece of the next body.
    pub fn piece(&self) -> usize {
        if self.bodies < BODIES { PIECE } else { SMALL_PIECE }
    }
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is in bounds.
    Fine,
    /// The guest keeps more header fields than it may.
    TooMuch,
}

fn fields(entry: &mut (dyn std::any::Any + Send)) -> Option<&mut FieldMap> {
    if entry.is::<FieldMap>() {
        return entry.downcast_mut();
    }
    if entry.is::<HostOutgoingRequest>() {
        return entry.downcast_mut::<HostOutgoingRequest>().map(|request| &mut request.headers);
    }
    if entry.is::<HostOutgoingResponse>() {
        return entry.downcast_mut::<HostOutgoingResponse>().map(|answer| &mut answer.headers);
    }
    entry.downcast_mut::<HostIncomingResponse>().map(|answer| &mut answer.headers)
}

/// Bytes, with what the map needs for each field.
fn size(fields: &FieldMap) -> usize {
    const OF_A_FIELD: usize = 64;
    let fields = fields.iter();
    fields.map(|(name, value)| name.as_str().len() + value.len() + OF_A_FIELD).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::super::Hooks;
    use super::*;
    use crate::broker::Scope;

    /// What the last of as many looks as it takes has shown.
    fn looked(hoard: &mut Hoard, table: &mut ResourceTable) -> Verdict {
        (0..CALLS).find_map(|_| hoard.look(table)).expect("one of so many calls looks")
    }

    fn large() -> FieldMap {
        let (vault, allowance) = Default::default();
        let scope = Scope { call: None, deadline: Instant::now(), vault, allowance };
        let mut fields = FieldMap::new_mutable(1 << 20);
        let value = vec![b'x'; 100 << 10];
        let mut hooks = Hooks::new(None, scope, Arc::default());
        fields.append(&mut hooks, "x-large".into(), value).expect("room");
        fields
    }

    #[test]
    fn header_fields_are_bounded_together() {
        let (mut hoard, mut table) = (Hoard::default(), ResourceTable::new());
        let mut kept = Vec::new();
        while kept.len() * (100 << 10) < FIELDS {
            assert_eq!(looked(&mut hoard, &mut table), Verdict::Fine, "{}", kept.len());
            kept.push(table.push(large()).expect("room"));
        }
        assert_eq!(looked(&mut hoard, &mut table), Verdict::TooMuch);
        assert!(kept.iter().all(|one| size(table.get(one).expect("it is there")) == 0));
        assert_eq!(looked(&mut hoard, &mut table), Verdict::Fine);
    }
}
