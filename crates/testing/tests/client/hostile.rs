//! Servers that break the protocol: no crash, no lost change, no endless loop without a pause.

use draftwire_client::{Reason, Status};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::{await_status, client_of};

const WELCOME: &str = r#"{"type":"WELCOME","timestamp":"2026-01-01T00:00:00.000Z","payload":{"connectionId":"c","userId":"ann","clientId":"x","epoch":"e","seq":1,"at":"2026-01-01T00:00:00.000Z","lastMutationId":0,"recovery":"snapshot","heartbeatMs":25000,"expiresAt":"2027-01-01T00:00:00.000Z","expiresInMs":100000,"limits":{"frameBytes":524288,"documentBytes":262144,"inFlight":64}}}"#;
const SNAPSHOT: &str = r#"{"type":"SNAPSHOT","seq":1,"timestamp":"2026-01-01T00:00:00.000Z","payload":{"reason":"initial","drafts":[],"pending":[],"more":false}}"#;

/// What a client says of a server that sends these frames and then is silent.
async fn verdict_on(frames: &[&str]) -> (Reason, draftwire_client::Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let frames: Vec<String> = frames.iter().map(|frame| (*frame).to_owned()).collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            for frame in &frames {
                if socket.send(Message::text(frame.clone())).await.is_err() {
                    break;
                }
            }
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    let client = client_of("ann", &url).open().await.unwrap();
    client.drafts().create(Some("d"), "{}").unwrap();
    client.connect();
    let gone = |status: &Status| match status {
        Status::Disconnected { reason, .. } => *reason != Reason::NotWanted,
        _ => false,
    };
    let status = await_status(&client, "a verdict", gone).await;
    let Status::Disconnected { reason, retry: Some(_) } = status else { panic!("{status:?}") };
    (reason, client)
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection_and_cost_nothing() {
    let wrong_seq = SNAPSHOT.replace("\"seq\":1", "\"seq\":7");
    let gap = r#"{"type":"DRAFT_DELETED","seq":9,"timestamp":"2026-01-01T00:00:00.000Z","payload":{"id":"d","origin":{}}}"#;
    let delta = WELCOME.replace("snapshot", "delta");
    let table: [&[&str]; 9] = [
        &["nonsense"],
        &[r#"{"type":"WELCOME","payload":{}}"#],
        &[SNAPSHOT],
        &[WELCOME, &wrong_seq],
        &[WELCOME, gap],
        &[WELCOME, SNAPSHOT, SNAPSHOT],
        &[WELCOME, SNAPSHOT, gap],
        &[&delta],
        &[
            WELCOME,
            SNAPSHOT,
            r#"{"type":"REJECTED","payload":{"mutationId":1,"code":"WHAT","message":""}}"#,
        ],
    ];
    for frames in table {
        let (reason, client) = verdict_on(frames).await;
        assert!(matches!(reason, Reason::Lost(_) | Reason::Restart(_)), "{frames:?}: {reason}");
        assert_eq!(client.unanswered(), 1, "{frames:?}");
        assert!(client.drafts().get("d").unwrap().unsaved);
    }
}

#[tokio::test]
async fn a_server_that_is_silent_for_too_long_is_given_up() {
    let welcome = WELCOME.replace("25000", "40");
    let (reason, client) = verdict_on(&[&welcome, SNAPSHOT]).await;
    assert_eq!(reason, Reason::Lost("the server was silent for too long".into()));
    assert_eq!(client.unanswered(), 1);
}

#[tokio::test]
async fn answers_to_what_was_never_asked_are_ignored() {
    let frames = [
        WELCOME,
        SNAPSHOT,
        r#"{"type":"ACK","payload":{"mutationId":77,"seq":1,"id":"z","version":1}}"#,
        r#"{"type":"REJECTED","payload":{"mutationId":78,"code":"INVALID","message":""}}"#,
        r#"{"type":"REJECTED","payload":{"mutationId":null,"code":"INVALID","message":""}}"#,
        r#"{"type":"ERROR","payload":{"code":"BAD_TOKEN","message":""}}"#,
        r#"{"type":"SOMETHING_NEW","payload":{}}"#,
        "the end",
    ];
    let (reason, client) = verdict_on(&frames).await;
    assert!(matches!(reason, Reason::Lost(_)), "{reason}");
    assert_eq!(client.unanswered(), 1);
    assert!(client.rejected().is_empty());
}
