//! The tests of the store.
//!
//! | module | guards |
//! |---|---|
//! | `bit_flips` | damage is noticed |
//! | `contract` | what every store promises, as functions over `&dyn Store`: a second engine runs them too |
//! | `sqlite_contract` | runs the contract on the embedded store |
//! | `durability` | reopening, locks, formats, damage, commands that fail alone |
//! | `failing_disk` | each write and sync in turn goes wrong |
//! | `model` | random commands against a plain model, with reopening in between |
//! | `support` | a user's desk: commands in, answers out, as JSON |

mod bit_flips;
mod contract;
mod durability;
mod failing_disk;
mod model;
mod sqlite_contract;
mod support;
