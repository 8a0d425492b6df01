//! A seat for every connector that registered: its key, its queue, and the one socket that is live.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::access::same;
use super::limits::CONNECTORS;
use super::outbox::Outbox;
use crate::ids::fresh_id;

/// All seats, by connector id.
#[derive(Default)]
pub struct Seats(Mutex<HashMap<Arc<str>, Arc<Seat>>>);

/// One connector's seat. Stays when its socket goes.
pub struct Seat {
    pub connector: Arc<str>,
    pub outbox: Outbox,
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    /// What the connector shows after it registered. Made anew by every registration, and
    /// forgotten when this process ends: the connector then registers again.
    key: Option<String>,
    live: Option<Live>,
    sockets: u64,
    health: Option<Health>,
}

/// The live socket, as its task holds it.
#[derive(Clone)]
pub struct Live {
    number: u64,
    /// Cancelled when a newer socket takes the seat or the connector is shown out.
    pub out: CancellationToken,
}

/// What a connector last said of its health.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    pub ok: bool,
    pub problems: Vec<String>,
}

impl Seats {
    /// Gives a connector a seat, or the one that it has, and a new key. None where all are taken.
    pub fn register(&self, connector: &str) -> Option<(Arc<Seat>, String)> {
        let seat = self.seat_for(connector)?;
        let key = fresh_id();
        seat.place.lock().key = Some(key.clone());
        Some((seat, key))
    }

    /// Seats for connectors that the store remembers; they have no key yet.
    pub fn remember(&self, connectors: impl IntoIterator<Item = String>) {
        for connector in connectors {
            self.seat_for(&connector);
        }
    }

    pub fn get(&self, connector: &str) -> Option<Arc<Seat>> {
        self.0.lock().get(connector).cloned()
    }

    /// Gives a seat up, unless somebody sits there. False then.
    pub fn give_up(&self, seat: &Seat) -> bool {
        let mut seats = self.0.lock();
        let mut place = seat.place.lock();
        if place.live.is_some() {
            return false;
        }
        place.key = None;
        seats.remove(&seat.connector);
        true
    }

    /// The seat that this key belongs to.
    pub fn by_key(&self, key: &str) -> Option<Arc<Seat>> {
        let seats = self.0.lock();
        seats
            .values()
            .find(|seat| seat.place.lock().key.as_deref().is_some_and(|own| same(own, key)))
            .cloned()
    }

    fn seat_for(&self, connector: &str) -> Option<Arc<Seat>> {
        let mut seats = self.0.lock();
        if let Some(seat) = seats.get(connector) {
            return Some(seat.clone());
        }
        if seats.len() >= CONNECTORS {
            return None;
        }
        let connector: Arc<str> = connector.into();
        let seat = Arc::new(Seat {
            connector: connector.clone(),
            outbox: Outbox::default(),
            place: Mutex::default(),
        });
        seats.insert(connector, seat.clone());
        Some(seat)
    }
}

impl Seat {
    /// Takes the seat for a new socket and shows the older one out.
    pub fn open(&self) -> Live {
        let mut place = self.place.lock();
        place.sockets += 1;
        let live = Live { number: place.sockets, out: CancellationToken::new() };
        if let Some(older) = place.live.replace(live.clone()) {
            older.out.cancel();
        }
        place.health = None;
        live
    }

    /// Leaves the seat. False where a newer socket has it already.
    pub fn close(&self, live: &Live) -> bool {
        let mut place = self.place.lock();
        let is_current = place.live.as_ref().is_some_and(|current| current.number == live.number);
        if is_current {
            place.live = None;
            place.health = None;
        }
        is_current
    }

    /// Shows the connector out; its key is worth nothing any more.
    pub fn leave(&self) {
        let mut place = self.place.lock();
        place.key = None;
        if let Some(live) = &place.live {
            live.out.cancel();
        }
    }

    pub fn connected(&self) -> bool {
        self.place.lock().live.is_some()
    }

    pub fn health(&self) -> Option<Health> {
        self.place.lock().health.clone()
    }

    /// Notes the health that came over a socket. True where it says something new.
    pub fn feels(&self, live: &Live, health: Health) -> bool {
        let mut place = self.place.lock();
        let is_current = place.live.as_ref().is_some_and(|current| current.number == live.number);
        is_current && place.health.replace(health.clone()) != Some(health)
    }
}
