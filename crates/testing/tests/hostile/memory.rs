//! What many clients can make the server hold, together: what they have sent, never what they claim.

use draftwire_testing::raw::{BINARY, FIN, PING, TEXT};

use crate::bystander::reserved_bytes;
use crate::frames::{claiming, raw};

/// Connections at a time.
const CONNECTIONS: usize = 2_000;
/// By how much the process may grow over them, both ends of each included.
const GROWTH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest message that may be claimed here.
const FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Address space that may be taken for them: 16 such messages, where hundreds are claimed.
const RESERVED_BYTES_MAX: usize = 16 * FRAME_BYTES;

#[tokio::test]
async fn two_thousand_connections_that_claim_everything_hold_nothing() {
    rlimit::increase_nofile_limit(u64::MAX).expect("descriptors");
    let (server, mut bystander) = crate::begin_alone(GROWTH_BYTES_MAX, |settings| {
        settings.limits.frame_bytes = FRAME_BYTES;
        settings.outbox_bytes_max = FRAME_BYTES;
    })
    .await;
    let reserved = reserved_bytes();
    let mut claimants = Vec::new();
    for number in 0..CONNECTIONS {
        let mut claimant = raw(&server).await;
        let mut claim = match number % 5 {
            // Refused at once.
            0 => claiming(FIN | TEXT, 1 << 62),
            1 => claiming(FIN | BINARY, FRAME_BYTES as u64),
            2 => claiming(FIN | TEXT, FRAME_BYTES as u64),
            3 => claiming(TEXT, FRAME_BYTES as u64),
            _ => vec![FIN | PING, 0x80 | 125, 0, 0, 0, 0],
        };
        claim.push(b'x');
        claimant.write_bytes(&claim).await;
        claimants.push(claimant);
    }
    for (number, claimant) in claimants.iter_mut().enumerate() {
        if number % 5 == 0 {
            assert_eq!(claimant.read_to_end().await, (Vec::new(), Some(1009)));
        }
    }
    bystander.works().await;
    let taken = reserved_bytes().saturating_sub(reserved);
    assert!(taken < RESERVED_BYTES_MAX, "{taken} bytes of address space were taken");
    bystander.expect_unharmed().await;
    drop(claimants);
}
