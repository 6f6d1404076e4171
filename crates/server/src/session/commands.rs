//! What a client's frame leads to: a command for the store, an answer at once, or an error.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use draftwire_protocol::code::{ErrorCode, RejectionCode};
use draftwire_protocol::command::Token;
use draftwire_protocol::kind::names;
use draftwire_protocol::reply::{self, Outcome, Rejection, frame};
use draftwire_protocol::{ClientFrame, CloseCode, Command, Numbered};
use draftwire_store::{Author, Submission};

use super::{Desk, Endpoint, Session};
use crate::clock::Now;
use crate::committer::{Pending, Reply, unavailable};
use crate::compression::frame_for_one;
use crate::delivery::{ConnectionKey, text_frame};
use crate::outbox::Outbox;

impl Session {
    /// A text message has arrived.
    pub fn text(
        &mut self,
        text: &str,
        key: ConnectionKey,
        outbox: &mut Outbox,
        desk: &Desk,
        now: Now,
    ) {
        desk.stats.messages_in.increment();
        if self.endpoint == Endpoint::Echo {
            outbox.push(frame_for_one(text_frame(text), self.compression));
            return;
        }
        match ClientFrame::decode(text) {
            Ok(ClientFrame::Ping { number }) => {
                self.count_frame(outbox, desk, now.steady);
                if self.is_closing() {
                    // Nothing may follow the close frame (RFC 6455 §5.5.1).
                    return;
                }
                outbox.push(text_frame(&reply::pong(now.wall)));
                self.use_up(number, Command::Skip, key, outbox, desk, now);
            }
            Ok(ClientFrame::Auth { number, token }) => {
                self.count_frame(outbox, desk, now.steady);
                if self.is_closing() {
                    return;
                }
                let command = match self.authenticate(token, outbox, desk, now) {
                    Ok(()) => Command::Skip,
                    Err((code, message)) => {
                        push_error(outbox, code, &message, now);
                        Command::Refused { message }
                    }
                };
                self.use_up(number, command, key, outbox, desk, now);
            }
            // The server only sends on /ws/sync; what an older client says there is not answered.
            _ if self.endpoint == Endpoint::Progress => {
                self.count_frame(outbox, desk, now.steady);
            }
            Ok(ClientFrame::Command { number, command }) => {
                self.command(number, command, key, outbox, desk, now);
            }
            Err(error) => {
                push_error(outbox, error.code, &error.message, now);
                self.count_frame(outbox, desk, now.steady);
            }
        }
    }

    /// A binary message has arrived.
    pub fn binary(&mut self, bytes: &[u8], outbox: &mut Outbox, desk: &Desk, now: Now) {
        desk.stats.messages_in.increment();
        match self.endpoint {
            Endpoint::Echo => {
                let frame = draftwire_websocket::encode::binary(bytes).into();
                outbox.push(frame_for_one(frame, self.compression));
            }
            Endpoint::Realtime | Endpoint::Progress => {
                self.close(CloseCode::Unsupported, outbox, desk, now.steady);
            }
        }
    }

    /// `AUTH` and `PING` take no number; one that carries a number all the same uses it up, so
    /// that the device's count stays without gaps.
    fn use_up(
        &mut self,
        number: Option<Numbered>,
        command: Command,
        key: ConnectionKey,
        outbox: &mut Outbox,
        desk: &Desk,
        now: Now,
    ) {
        if number.is_some() && self.endpoint == Endpoint::Realtime {
            self.command(number, command, key, outbox, desk, now);
        }
    }

    fn command(
        &mut self,
        number: Option<Numbered>,
        command: Command,
        key: ConnectionKey,
        outbox: &mut Outbox,
        desk: &Desk,
        now: Now,
    ) {
        let mutation_id = number.map(|number| number.mutation_id);
        if number.is_some() && !self.named {
            let message = "commands with a mutationId need a clientId: connect with ?clientId=";
            push_error(outbox, ErrorCode::NoClientId, message, now);
            return self.count_frame(outbox, desk, now.steady);
        }
        let Some(committer) = &desk.committer else {
            let message = "this server relays events and keeps no documents: ask the backend";
            let rejection = Rejection::new(RejectionCode::Forbidden, message);
            self.refuse(&rejection, mutation_id, outbox, desk, now);
            return self.count_frame(outbox, desk, now.steady);
        };
        if let (Command::Refused { message }, None) = (&command, number) {
            let rejection = Rejection::new(Command::REFUSED, message.clone());
            self.refuse(&rejection, None, outbox, desk, now);
            return self.count_frame(outbox, desk, now.steady);
        }
        if let Err(wait) = self.take_turn(desk, now) {
            let message = "too many commands; send it again, in order, after retryAfterMs";
            let mut rejection = Rejection::new(RejectionCode::RateLimited, message);
            rejection.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(0) + 1);
            desk.stats.rejected_commands.increment();
            let payload = Outcome::Rejected(rejection).payload(mutation_id);
            let refusal = frame(names::REJECTED, now.wall, &payload);
            self.answer_behind(text_frame(&refusal), outbox);
            return self.count_frame(outbox, desk, now.steady);
        }
        let submission = Submission {
            user: self.user(),
            author: Author::Device(Some(Arc::clone(&self.client_id))),
            number,
            idempotency: None,
            wants_document: false,
            command,
        };
        let cancelled =
            Arc::clone(self.cancel.get_or_insert_with(|| Arc::new(AtomicBool::new(false))));
        let pending =
            Pending { submission, reply: Reply::Connection(key), cancelled: Some(cancelled) };
        self.in_flight += 1;
        if committer.submit(vec![pending]).is_err() {
            desk.stats.rejected_commands.increment();
            let answer = unavailable(mutation_id);
            self.answer(text_frame(&frame(answer.name, now.wall, &answer.payload)), outbox);
        }
    }

    /// Whether the connection and its user may command now, or when. Behind a command that was
    /// refused and whose refusal still waits, nobody may: they would be out of order.
    fn take_turn(&mut self, desk: &Desk, now: Now) -> Result<(), Duration> {
        if !self.late.is_empty() {
            return Err(Duration::ZERO);
        }
        self.commands.take(desk.settings.connection_commands, 1, now.steady)?;
        desk.user_commands.take(self.user(), 1, now.steady)
    }

    /// Answers a command that the store need not see.
    fn refuse(
        &mut self,
        rejection: &Rejection,
        mutation_id: Option<u64>,
        outbox: &mut Outbox,
        desk: &Desk,
        now: Now,
    ) {
        desk.stats.rejected_commands.increment();
        let payload = Outcome::Rejected(rejection.clone()).payload(mutation_id);
        self.in_flight += 1;
        self.answer(text_frame(&frame(names::REJECTED, now.wall, &payload)), outbox);
    }

    fn authenticate(
        &mut self,
        token: Option<Token>,
        outbox: &mut Outbox,
        desk: &Desk,
        now: Now,
    ) -> Result<(), (ErrorCode, String)> {
        let Some(Token(token)) = token else {
            let message = "payload.token must be a string that holds a JWT";
            return Err((ErrorCode::BadToken, message.into()));
        };
        let admitted = desk.gate.admit(&token, now.wall);
        let identity = admitted.map_err(|error| (ErrorCode::BadToken, error.to_string()))?;
        let message = match &self.identity {
            Some(current) if current.user == identity.user => None,
            Some(_) => Some("the token belongs to another user; open a connection of its own"),
            None => Some("this connection was opened without a token; open a new one with it"),
        };
        if let Some(message) = message {
            return Err((ErrorCode::WrongUser, message.into()));
        }
        self.liveness.take_token(&identity, now);
        let notice = reply::token_notice(names::AUTHENTICATED, identity.expires_at, now.wall);
        self.identity = Some(identity);
        outbox.push(text_frame(&notice));
        Ok(())
    }
}

fn push_error(outbox: &mut Outbox, code: ErrorCode, message: &str, now: Now) {
    outbox.push(text_frame(&reply::error(code, message, now.wall)));
}
