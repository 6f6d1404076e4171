//! The places where a token comes in: too much in one, two in one, and what can't stand there.

use draftwire_testing::token;

use crate::tokens::{percent_encoded, refuse_all, refuse_in_band};
use crate::wire::{Head, Wire};

#[tokio::test]
async fn a_token_of_a_megabyte_costs_nothing() {
    let (server, bystander) = crate::begin_alone(24 * 1024 * 1024, |settings| {
        settings.limits.frame_bytes = 4 * 1024 * 1024;
        settings.outbox_bytes_max = 4 * 1024 * 1024;
    })
    .await;
    let megabyte = "a".repeat(1024 * 1024);
    let good = server.token("ann");
    for token in [megabyte.clone(), format!("{good}{megabyte}"), ".".repeat(1024 * 1024)] {
        let good = Head::of(&server, "ann");
        let lines = [
            good.clone().with("authorization", &[&format!("Authorization: Bearer {token}")]),
            good.clone().with(
                "authorization",
                &[&format!("Sec-WebSocket-Protocol: draftwire.v1, draftwire.bearer.{token}")],
            ),
        ];
        for head in lines {
            // The rest is not read any more, and may be answered by a reset.
            let mut wire = Wire::said(&server, head.text()).await;
            if let Some(heard) = wire.hear().await {
                heard.is_refusal("a megabyte of header", 431, "");
            }
        }
        let line = format!("GET /ws/realtime?token={token} HTTP/1.1");
        let head = good.with("authorization", &[]).first(&line);
        let mut wire = Wire::said(&server, head.text()).await;
        if let Some(heard) = wire.hear().await {
            assert!([414, 431].contains(&heard.status), "{heard:?}");
        }
        let mut open = server.connect("ann").live().open().await;
        refuse_in_band(&mut open, "a megabyte", &token).await;
    }
    // Longer than a token may be, and shorter than a request: that is told.
    let mut claims = token::claims("ann");
    claims["padding"] = "x".repeat(9_000).into();
    let long = vec![("12 kB".to_owned(), token::sign(&claims))];
    refuse_all(&server, "BAD_TOKEN", &long).await;
    bystander.expect_unharmed().await;
}

/// What can't stand in a header or a URL is refused before anybody looks for a token; in a frame it
/// is a token like any other.
#[tokio::test]
async fn control_characters_are_no_part_of_a_token() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = server.token("ann");
    let mut open = server.connect("ann").live().open().await;
    for character in ['\0', '\n', '\r', '\u{1}', '\u{7f}', '\u{85}', '\u{200b}', 'é', '\u{1f600}']
    {
        for token in [format!("{character}{good}"), format!("{good}{character}")] {
            let what = format!("{character:?} in a token");
            refuse_in_band(&mut open, &what, &token).await;
            let query = server.connect("x").token_in_query(&percent_encoded(&token)).answer().await;
            assert!([400, 401].contains(&query.status), "{what}: {query:?}");
            let line = format!("Authorization: Bearer {token}");
            let head = Head::of(&server, "ann").with("authorization", &[&line]);
            let heard = Wire::said(&server, head.text()).await.hear().await.expect("an answer");
            // A line feed at the end is the end of the line, and what was before it is good.
            let is_line_end = character == '\n' && token.ends_with(character);
            let expected: &[u16] = if is_line_end { &[101] } else { &[400, 401] };
            assert!(expected.contains(&heard.status), "{what}: {heard:?}");
        }
    }
    bystander.expect_unharmed().await;
}

/// Of two tokens in one place none is right: whoever stands in between may have looked at the other.
#[tokio::test]
async fn two_tokens_in_one_place_are_none() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let (ann, eve) = (server.token("ann"), server.token("eve"));
    let bearer = |token: &str| format!("Bearer {token}");
    let pairs = [(bearer(&ann), bearer(&eve)), (bearer(&ann), "Basic YTpi".to_owned())];
    for (first, second) in pairs {
        let twice = server.connect("x").header("authorization", &first);
        let answer = twice.more_header("authorization", &second).answer().await;
        answer.problem(401, "BAD_TOKEN");
        let call = server.get("/api/session").header("authorization", &first);
        call.header("authorization", &second).send().await.problem(401, "BAD_TOKEN");
    }
    let query = server.connect("x").token_in_query(&ann).query("token", &eve);
    query.answer().await.problem(400, "INVALID");
    let offer = format!("draftwire.v1, draftwire.bearer.{ann}, draftwire.bearer.{eve}");
    let subprotocol = server.connect("x").without("authorization").subprotocols(&offer);
    subprotocol.answer().await.problem(400, "INVALID");
    bystander.expect_unharmed().await;
}
