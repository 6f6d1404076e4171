//! The works that are measured.
//!
//! | file | works |
//! |---|---|
//! | `live` | W1, W1b, W2, W2h, W3, W4, W5: published events, memory, handshakes, latency |
//! | `durable` | W6, W7: commands that are on disk before they are acknowledged |
//! | `reconnect` | W8: everybody at once |
//! | `growth` | W9 and how cost grows |

pub mod durable;
pub mod growth;
pub mod live;
pub mod reconnect;
