//! Tokens whose signature or encoding does not hold.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use draftwire_testing::token;

use crate::tokens::{refuse_all, url_safe};

#[tokio::test]
async fn the_signature_must_be_that_of_this_very_token() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = server.token("ann");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let other = server.token("eve");
    let (stolen, stolen_signature) = other.rsplit_once('.').unwrap();
    let zeros = url_safe([0; 32]);
    // The last of 43 characters stands for four bits only: of each four characters one is right.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
    let sibling = &alphabet[last + 1..=last + 1];
    let table = [
        ("no parts", "rubbish".to_owned()),
        ("a word", "null".to_owned()),
        ("dots", "..".to_owned()),
        ("more dots", "....".to_owned()),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.x")),
        ("four parts, the last empty", format!("{good}.")),
        ("four parts, the first empty", format!(".{good}")),
        ("five parts, as encrypted ones have (RFC 7516)", format!("{good}.x.y")),
        ("an empty signature", format!("{signed}.")),
        ("an empty header", format!(".{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("half a signature", format!("{signed}.{}", &signature[..20])),
        ("a signature without its last byte", format!("{signed}.{}", &signature[..42])),
        ("a signature and more", format!("{signed}.{signature}AA")),
        ("a signature twice", format!("{signed}.{signature}{signature}")),
        ("zeros", format!("{signed}.{zeros}")),
        ("another user's claims", format!("{stolen}.{signature}")),
        ("another token's signature", format!("{signed}.{stolen_signature}")),
        ("the parts exchanged", format!("{claims}.{header}.{signature}")),
        ("the claims twice", format!("{claims}.{claims}.{signature}")),
        ("a signature with bits left over", format!("{signed}.{}{sibling}", &signature[..42])),
        ("a padded signature", format!("{signed}.{signature}=")),
        ("a signature in hexadecimal", format!("{signed}.{}", "0a".repeat(32))),
        ("lower case", good.to_ascii_lowercase()),
        ("quotes around it", format!("\"{good}\"")),
        ("Bearer twice", format!("Bearer {good}")),
        ("a token behind it", format!("{good} {good}")),
        ("a comma and a token behind it", format!("{good},{good}")),
        ("JSON serialization (RFC 7515 §7.2)", format!(r#"{{"payload":"{claims}"}}"#)),
    ];
    let table = table.map(|(what, token)| (what.to_owned(), token)).to_vec();
    refuse_all(&server, "BAD_TOKEN", &table).await;
    server.connect("x").token("").answer().await.problem(401, "NO_TOKEN");
    server.connect("x").token(&good).open().await;
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn parts_are_base64url_and_nothing_else() {
    let (server, bystander) = crate::begin(|_| {}).await;
    // Claims whose encoding needs padding and both characters that the alphabets differ in.
    let exp = token::seconds_now() as u64 + 3600;
    let mut claims = format!(r#"{{"sub":"ann","exp":{exp},"x":"ÿ~~?>ÿ"}}"#);
    while claims.len() % 3 != 1 {
        claims.push(' ');
    }
    let (header, good) = (url_safe(token::HEADER), url_safe(&claims));
    let sign = |part: &str| token::sign_encoded(&header, part, token::SECRET);
    server.connect("x").token(&sign(&good)).open().await;
    assert!(STANDARD.encode(&claims).contains(['+', '/']), "{claims}");
    let mut bits = good.clone();
    // Four bits are left over in the last of two characters: `A` has none of them set.
    let last = bits.pop().unwrap();
    bits.push(char::from(last as u8 + 1));
    let table = [
        ("padding", URL_SAFE.encode(&claims)),
        ("the other alphabet", STANDARD.encode(&claims).trim_end_matches('=').to_owned()),
        ("the other alphabet with padding", STANDARD.encode(&claims)),
        ("too much padding", format!("{good}====")),
        ("padding inside", format!("{}=={}", &good[..8], &good[8..])),
        ("bits left over", bits),
        ("one character too many", format!("{good}A")),
        ("a single character", "a".to_owned()),
        ("a tilde", format!("{good}~")),
        ("percents", "%7B%7D".to_owned()),
        ("plain JSON", r#"{"sub":"ann"}"#.to_owned()),
        ("no UTF-8", url_safe([0xff, 0xfe])),
        ("half a character", url_safe(b"{\"sub\":\"\xc3\"}")),
        ("UTF-16", url_safe(b"{\0}\0")),
        ("a surrogate in UTF-8", url_safe(b"{\"sub\":\"\xed\xa0\x80\"}")),
        ("gzip", url_safe([0x1f, 0x8b, 8, 0])),
    ];
    let mut table = table.map(|(what, part)| (what.to_owned(), sign(&part))).to_vec();
    for (what, at) in [("a space", " "), ("a tab", "\t")] {
        table.push((format!("{what} inside"), sign(&format!("{}{at}{}", &good[..8], &good[8..]))));
        table.push((format!("{what} behind the claims"), sign(&format!("{good}{at}"))));
    }
    refuse_all(&server, "BAD_TOKEN", &table).await;
    bystander.expect_unharmed().await;
}
