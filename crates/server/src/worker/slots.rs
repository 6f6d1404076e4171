//! Where connections are kept: places that are used again, under keys that are not.
//!
//! Beside each place stands the moment at which its connection is due, in a list of its own: a
//! sweep over many idle connections reads a few bytes of each.

use mio::Token;

use crate::clock::Tick;
use crate::delivery::ConnectionKey;

use super::connection::Connection;
use super::socket::place_of;

/// Places for connections.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    due: Vec<Tick>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

impl Slots {
    /// Takes a place; `make` is told its index and generation.
    pub(super) fn insert(&mut self, make: impl FnOnce(u32, u32) -> Box<Connection>) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.due.push(Tick::MAX);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        slot.connection = Some(make(index, slot.generation));
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(index as usize)?;
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.due[index as usize] = Tick::MAX;
        self.free.push(index);
        Some(connection)
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut Connection> {
        self.slots.get_mut(index as usize)?.connection.as_deref_mut()
    }

    /// The connection of that key, if it still lives.
    pub(super) fn find(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.connection.as_deref_mut().filter(|_| slot.generation == key.generation)
    }

    /// The connection that a socket's event is for, if it still lives.
    pub(super) fn by_token(&mut self, token: Token) -> Option<&mut Connection> {
        let (index, generation) = place_of(token);
        let slot = self.slots.get_mut(index as usize)?;
        slot.connection.as_deref_mut().filter(|_| slot.generation == generation)
    }

    pub(super) fn set_due(&mut self, index: u32, due: Tick) {
        self.due[index as usize] = due;
    }

    /// Places whose connection is due.
    pub(super) fn due(&self, now: Tick) -> Vec<u32> {
        let due = self.due.iter().enumerate().filter(|(_, due)| **due <= now);
        due.map(|(index, _)| index as u32).collect()
    }

    /// Places up to which a walk over all connections goes.
    pub(super) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Number of connections.
    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
