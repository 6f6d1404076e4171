//! Tokens that are signed well and say what no token may say.

use draftwire_testing::token;

use crate::tokens::{Table, refuse_all};

/// Claims as a text, so that they need not be JSON: these stand where `{}` is.
fn with_claims(claims: &str) -> String {
    token::sign_parts(token::HEADER, claims, token::SECRET)
}

/// jsonwebtoken CVE-2026-25537: `exp` and `nbf` of another type were taken as absent, and with that
/// not checked.
#[tokio::test]
async fn times_that_are_no_numbers_are_not_taken_as_absent() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let exp = token::seconds_now() as u64 + 3600;
    let mut table = Table::new();
    for value in [
        "\"9999999999\"",
        "\"\"",
        "\"never\"",
        "\"2099-01-01T00:00:00Z\"",
        "null",
        "true",
        "false",
        "[]",
        "[9999999999]",
        "{}",
        r#"{"$date":9999999999}"#,
        "1e400",
        "-1e400",
        "1e99999",
    ] {
        for name in ["exp", "nbf", "iat"] {
            let rest = if name == "exp" { String::new() } else { format!(r#","exp":{exp}"#) };
            let claims = format!(r#"{{"sub":"ann","{name}":{value}{rest}}}"#);
            table.push((format!("{name} {value}"), with_claims(&claims)));
        }
    }
    for claims in [
        r#"{"sub":"ann"}"#.to_owned(),
        format!(r#"{{"sub":"ann","EXP":{exp}}}"#),
        format!(r#"{{"sub":"ann","claims":{{"exp":{exp}}}}}"#),
        format!(r#"{{"sub":"ann","exp":{exp},"exp":{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":{exp},"\u0065xp":1}}"#),
        format!(r#"{{"sub":"ann","exp":0{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":+{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":0x{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":{exp}.}}"#),
        r#"{"sub":"ann","exp":NaN}"#.to_owned(),
        r#"{"sub":"ann","exp":Infinity}"#.to_owned(),
        format!(r#"{{"sub":"ann","exp":{exp},"nbf":{exp}}}"#),
        format!(r#"{{"sub":"ann","exp":{exp},"nbf":1e300}}"#),
        format!(r#"{{"sub":"ann","exp":{exp},"nbf":99999999999999999999999}}"#),
    ] {
        table.push((claims.clone(), with_claims(&claims)));
    }
    refuse_all(&server, "BAD_TOKEN", &table).await;
    let past = ["0", "-0", "-1", "-1e300", "-99999999999999999999", "0.5", "1e-400", "1", "1e9"];
    let past = past
        .map(|exp| (format!("exp {exp}"), with_claims(&format!(r#"{{"sub":"ann","exp":{exp}}}"#))));
    refuse_all(&server, "TOKEN_EXPIRED", &past.to_vec()).await;
    for exp in ["1e300", "99999999999999999999999999", "253402300800", "1e18"] {
        let huge = with_claims(&format!(r#"{{"sub":"ann","exp":{exp}}}"#));
        let device = server.connect("x").token(&huge).open().await;
        let shown = device.welcome().payload()["expiresAt"].as_str().unwrap().to_owned();
        assert!(shown.starts_with("9999-"), "{exp} is cut to what can be shown: {shown}");
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn the_user_is_one_text_that_can_be_kept() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let exp = token::seconds_now() as u64 + 3600;
    let mut table = Table::new();
    let long = format!(r#""{}""#, "u".repeat(129));
    let huge = format!(r#""{}""#, "u".repeat(5_000));
    for sub in [
        "7",
        "1e400",
        "true",
        "false",
        "null",
        "[]",
        r#"["ann"]"#,
        "{}",
        r#"{"sub":"ann"}"#,
        r#""""#,
        &long,
        &huge,
        r#""a\nb""#,
        r#""a\u0000b""#,
        r#""\u007f""#,
        r#""\u0085""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
    ] {
        for rest in ["", r#","userId":"ann""#] {
            let claims = format!(r#"{{"exp":{exp},"sub":{sub}{rest}}}"#);
            table.push((claims.clone(), with_claims(&claims)));
        }
    }
    for claims in [
        format!(r#"{{"exp":{exp}}}"#),
        format!(r#"{{"exp":{exp},"Sub":"ann"}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","sub":"ann"}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","s\u0075b":"bystander"}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","x":{{"a":1,"a":2}}}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","jti":7}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","jti":null}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann"}} "#) + "x",
        format!(r#"[{{"exp":{exp},"sub":"ann"}}]"#),
        format!(r#"{{"exp":{exp},"sub":"ann","x":{}{}}}"#, "[".repeat(2_500), "]".repeat(2_500)),
        r#"["ann"]"#.to_owned(),
        "\"ann\"".to_owned(),
        "null".to_owned(),
        "{".to_owned(),
        String::new(),
    ] {
        table.push((claims.chars().take(60).collect(), with_claims(&claims)));
    }
    refuse_all(&server, "BAD_TOKEN", &table).await;
    bystander.expect_unharmed().await;
}
